/**
 * How every problem of an archive is told: where in the archive, in which entry, what was found, what was expected.
 *
 * The rules for what entries come to are the same for cpio archives; there they have codes of their own.
 */
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';

export type ArchiveFormat = 'tar' | 'cpio';

/** A place in the uncompressed archive. */
export interface TarPlace {
  /** Without it, tar. */
  readonly format?: ArchiveFormat;
  /** Byte at which the entry's first header begins. */
  readonly at: number;
  /** Name of the entry, once it is known. */
  readonly name?: ByteString | undefined;
}

/** Names are shown up to here: a hostile one may have thousands of bytes. */
const SHOWN_MAX = 100;

/** Rules that count for both formats: by their codes for tar, those for cpio. */
const CPIO_CODES: Partial<Readonly<Record<ErrorCode, ErrorCode>>> = {
  FORMAT_TAR_COMPRESSION: 'FORMAT_CPIO_COMPRESSION',
  FORMAT_TAR_DEVICE: 'FORMAT_CPIO_DEVICE',
  FORMAT_TAR_ENTRIES: 'FORMAT_CPIO_ENTRIES',
  FORMAT_TAR_NAME: 'FORMAT_CPIO_NAME',
  FORMAT_TAR_PARENT: 'FORMAT_CPIO_PARENT',
  FORMAT_TAR_RATIO: 'FORMAT_CPIO_RATIO',
  FORMAT_TAR_REPLACE: 'FORMAT_CPIO_REPLACE',
  FORMAT_TAR_SYMLINK: 'FORMAT_CPIO_SYMLINK',
  FORMAT_TAR_TARGET: 'FORMAT_CPIO_TARGET',
  FORMAT_TAR_TOTAL: 'FORMAT_CPIO_TOTAL',
  FORMAT_TAR_TRAVERSAL: 'FORMAT_CPIO_TRAVERSAL',
  FORMAT_TAR_TRUNCATED: 'FORMAT_CPIO_TRUNCATED',
};

/** Throws the error for a problem, such as `has a size of -1, expected at least 0`. */
export function failTar(
  code: ErrorCode,
  { at, name, format = 'tar' }: TarPlace,
  problem: string,
  hint?: string,
): never {
  const entry = name === undefined ? '' : `, ${showName(name)}`;
  throw archiveError(code, format, ` at byte ${at}${entry}: ${problem}`, hint);
}

/** A name for a message, cut when it is long. */
export function showName(name: ByteString): string {
  if (name.length <= SHOWN_MAX) return showBytes(name);
  return `${showBytes(name.slice(0, SHOWN_MAX) as ByteString)}… (${name.length} bytes)`;
}

/** The error itself, with its code for the format; `rest` goes on after the archive. */
export function archiveError(
  code: ErrorCode,
  format: ArchiveFormat,
  rest: string,
  hint?: string,
): ColdsealError {
  const own = format === 'cpio' ? (CPIO_CODES[code] ?? code) : code;
  return new ColdsealError(own, `Cannot read ${format} archive${rest}`, { hint });
}
