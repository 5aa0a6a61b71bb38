/**
 * What the device's commands print with `--json`: documents that other people's programs read.
 *
 * The build keeps the names of properties that stand here; every other name inside the bundle may be shortened.
 */

/** One line on standard output, on failure too. */
export interface CommandDocument {
  readonly schema: 1;
  readonly ok: boolean;
  readonly result?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | undefined;
  };
}

export interface HelpResult {
  readonly text: string;
}

export interface VersionResult {
  readonly version: string;
  readonly level: number;
}

/** `reasons CODE`; without a code it is a map of codes to their texts. */
export interface ReasonResult {
  readonly code: string;
  readonly text: string;
  readonly exitCode: number;
}

export interface MarkGoodResult {
  readonly slot: string;
  readonly changes: readonly {
    readonly name: string;
    readonly from: string;
    readonly to: string;
  }[];
}

export interface VerifyResult {
  readonly slot: string;
  readonly manifestSha256: string;
  readonly images: readonly {
    readonly name: string;
    readonly reason: { readonly code: string; readonly message: string } | undefined;
  }[];
}
