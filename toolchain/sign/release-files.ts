/**
 * Reads the files of a release directory: regular files only, no links, sizes bounded before reading.
 *
 * A file that is absent, is something else, or has another size is a "no" of the verification, not a problem of
 * the host: the codes are VERIFY_*.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import type { BootBinding, Manifest } from '../../runtime/format/manifest.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';

/** Names that may stand directly in any release directory. */
const PLAIN_FILES = [
  'deny.cose',
  'images',
  'manifest.cose',
  'manifest.p7s',
  'objects',
  'provenance.json',
  'release.json',
  'sbom.json',
  'timings.json',
];

/** The disk; what is on it is for `coldseal disk check`. */
export const DISK_FILE = 'disk.img';

/** What the manifest's boot binding names, and the names it may have: one of them. */
export const BOUND_FILES: readonly (readonly [
  part: keyof BootBinding,
  names: readonly [string, ...string[]],
])[] = [
  ['kernel', ['kernel']],
  ['dtb', ['dtb']],
  ['cmdline', ['cmdline.txt']],
  ['initramfs', ['initramfs.cpio', 'initramfs.cpio.lz4', 'initramfs.cpio.zst']],
  ['container', ['container']],
];

/** Names that may stand in the directory of a release: boot files and a disk only where the manifest binds them. */
export function releaseNames(
  { bootBinding }: Pick<Manifest, 'bootBinding'>,
  bootFiles: readonly string[],
): ReadonlySet<string> {
  const names = new Set([...PLAIN_FILES, ...bootFiles]);
  if (bootBinding?.kernel !== undefined) names.add(DISK_FILE);
  return names;
}

/** Runs `use` on an open regular file; `missing` is the code when there is none. */
export function withFile<T>(
  path: string,
  missing: ErrorCode,
  use: (fd: number, size: number) => T,
): T {
  const fd = openRegular(path, missing);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) {
      throw new ColdsealError(missing, `Cannot read ${path}: it is not a regular file`);
    }
    return use(fd, stat.size);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  } finally {
    closeSync(fd);
  }
}

function openRegular(path: string, missing: ErrorCode): number {
  try {
    // O_NONBLOCK: a FIFO planted in place of a file must not stop the check.
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') {
      const hint =
        missing === 'VERIFY_MANIFEST_MISSING'
          ? 'give the directory that coldseal release wrote, with manifest.cose in it, or a file of evidence'
          : undefined;
      throw new ColdsealError(missing, `Cannot read ${path}: it does not exist`, {
        hint,
        cause: error,
      });
    }
    if (errno === 'ELOOP' || errno === 'ENXIO') {
      throw new ColdsealError(missing, `Cannot read ${path}: it is not a regular file`, {
        cause: error,
      });
    }
    throw explainSysError(error, `Cannot open ${path}`);
  }
}

/** All of an open file whose size was just read; a file that shrinks meanwhile gives fewer bytes. */
export function readWhole(fd: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const read = readSync(fd, bytes, at, Math.min(size - at, 1 << 24), at);
    if (read === 0) break;
    at += read;
  }
  return bytes.subarray(0, at);
}
