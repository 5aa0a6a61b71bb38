/**
 * What the bundle needs of the engine that runs it: QuickJS-ng as /init of a board, or Node.
 *
 * An engine is handed in whole; nothing under `runtime/` but `engines/` knows which one it is.
 */
import type { Crypto } from './crypto.ts';
import type { ComputeDigest } from './mount-steps.ts';
import type { DeviceSys } from './sys.ts';

declare global {
  /** The sentences of the bundle, which the build takes out of it; an engine sets it before it loads the bundle. */
  var coldsealTexts: (() => readonly string[]) | undefined;
}

export interface Engine {
  /** As the boot record names it. */
  readonly name: 'quickjs' | 'node';
  readonly sys: DeviceSys;
  readonly crypto: Crypto;
  /** The fs-verity digest of an open file where the kernel measures none; boards with `verity: require` never ask. */
  readonly computeDigest: ComputeDigest;
  /** Standard output and standard error of a command; one line each, without its end. */
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
  /** What each reason code means. Not in the bundle, which would be half as large again: an engine brings the text. */
  readonly reasons?: () => Readonly<Record<string, string>>;
}
