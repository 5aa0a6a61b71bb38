/**
 * The one error class, and what its codes mean to a caller.
 *
 * A code is `CLASS_PROBLEM`. Its first word is the exit class, so the exit code of an error can be
 * read off the code itself and no table is needed on the device. What each code means, in a line, is in
 * `runtime/reasons.ts` (what the device can say) and `toolchain/reasons.ts` (what only the host can say).
 */

/** Process exit codes by error class (docs/reference/errors.md). */
export const EXIT_CODES = {
  INTERNAL: 1,
  USAGE: 2,
  CONFIG: 2,
  VERIFY: 3,
  FORMAT: 4,
  BUDGET: 5,
  HOST: 6,
} as const;

export type ErrorClass = keyof typeof EXIT_CODES;
export type ErrorCode = `${ErrorClass}_${string}`;

export interface ErrorDetails {
  /** The next thing to try, as a sentence without a full stop. */
  readonly hint?: string | undefined;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** Any failure that coldseal explains: a stable code, a sentence for a person, and perhaps a hint. */
export class ColdsealError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'ColdsealError';
    this.code = code;
    this.hint = details.hint;
  }

  get exitCode(): number {
    return exitCodeOf(this.code);
  }
}

/** The exit code of a reason code: its first word decides. A class that is not known never passes for success. */
export function exitCodeOf(code: string): number {
  return EXIT_CODES[code.slice(0, code.indexOf('_')) as ErrorClass] ?? EXIT_CODES.INTERNAL;
}
