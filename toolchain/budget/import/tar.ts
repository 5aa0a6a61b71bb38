/**
 * The regular files of a tar archive, in memory: what a board's `tar c` of a small directory gives. Pure.
 *
 * POSIX ustar with the long names of GNU tar and pax (POSIX.1-2024, pax interchange format). Everything that is no
 * regular file is passed over.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';

const BLOCK = 512;
const FILES_MAX = 10_000;

/** Whether bytes begin with the header of a tar archive. */
export function isTar(bytes: Uint8Array): boolean {
  return bytes.length >= BLOCK && text(bytes, 257, 5) === 'ustar';
}

/** The files by path. Throws FORMAT_BOOT_LOG_TRUNCATED. */
export function tarFiles(bytes: Uint8Array, name: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= bytes.length;) {
    const header = bytes.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return files;
    const size = octal(header, 124, 12);
    const end = at + BLOCK + size;
    if (text(header, 257, 5) !== 'ustar' || Number.isNaN(size) || end > bytes.length) break;
    const content = bytes.subarray(at + BLOCK, end);
    const type = text(header, 156, 1);
    if (type === 'L') longName = text(content, 0, Math.min(size, 4096));
    else if (type === 'x') longName = paxPath(content) ?? longName;
    else {
      if (type === '0' || type === '') files.set(longName ?? headerPath(header), content);
      longName = undefined;
    }
    if (files.size > FILES_MAX) break;
    at = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new ColdsealError(
    'FORMAT_BOOT_LOG_TRUNCATED',
    `Cannot read ${name}: the archive is not whole`,
  );
}

function headerPath(header: Uint8Array): string {
  const prefix = text(header, 345, 155);
  // GNU tar has other things there, and says so with a blank after "ustar".
  const isPosix = header[262] === 0;
  return (isPosix && prefix !== '' ? `${prefix}/` : '') + text(header, 0, 100);
}

function paxPath(content: Uint8Array): string | undefined {
  const records = Buffer.from(content.subarray(0, 4096)).toString('utf8').split('\n');
  return records.flatMap((record) => /^\d{1,6} path=(.{1,4000})$/.exec(record)?.[1] ?? [])[0];
}

/** Up to the first NUL. */
function text(bytes: Uint8Array, at: number, length: number): string {
  const field = Buffer.from(bytes.subarray(at, at + length));
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? field.length : end).toString('utf8');
}

function octal(bytes: Uint8Array, at: number, length: number): number {
  const digits = text(bytes, at, length).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}
