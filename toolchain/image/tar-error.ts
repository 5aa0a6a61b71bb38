/**
 * How every problem of a tar archive is told: where in the archive, in which entry, what was found, what was expected.
 */
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';

/** A place in the uncompressed archive. */
export interface TarPlace {
  /** Byte at which the entry's first header begins. */
  readonly at: number;
  /** Name of the entry, once it is known. */
  readonly name?: ByteString | undefined;
}

/** Names are shown up to here: a hostile one may have thousands of bytes. */
const SHOWN_MAX = 100;

/** Throws the error for a problem, such as `has a size of -1, expected at least 0`. */
export function failTar(
  code: ErrorCode,
  { at, name }: TarPlace,
  problem: string,
  hint?: string,
): never {
  const entry = name === undefined ? '' : `, ${showName(name)}`;
  throw new ColdsealError(code, `Cannot read tar archive at byte ${at}${entry}: ${problem}`, {
    hint,
  });
}

/** A name for a message, cut when it is long. */
export function showName(name: ByteString): string {
  if (name.length <= SHOWN_MAX) return showBytes(name);
  return `${showBytes(name.slice(0, SHOWN_MAX) as ByteString)}… (${name.length} bytes)`;
}
