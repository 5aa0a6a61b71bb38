/**
 * Reads a small file whole: no link as its last part, a regular file, no more than a given size.
 *
 * For what is sealed, for what lies on the store, and for the kernel's own files, whose size stat does not tell.
 */
import { ColdsealError } from './format/errors.ts';
import { explainSysError } from './sys-error.ts';
import type { SysFiles } from './sys.ts';

/** The bytes of the file; throws FORMAT_FILE_KIND, HOST_READ_FAILED, HOST_NOT_FOUND or HOST_PERMISSION. */
export function readSmallFile(sys: SysFiles, path: string, max: number): Uint8Array {
  const doing = `Cannot read ${path}`;
  try {
    const fd = sys.open(path, { nofollow: true });
    try {
      const { kind } = sys.stat(fd);
      if (kind !== 'file') throw refuse(`${doing}: it is a ${kind}, expected a file`);
      const bytes = new Uint8Array(max + 1);
      const length = sys.read(fd, bytes, 0);
      if (length > max) throw refuse(`${doing}: expected at most ${max} bytes`);
      return bytes.slice(0, length);
    } finally {
      sys.close(fd);
    }
  } catch (error) {
    throw explainSysError(error, doing, { code: 'HOST_READ_FAILED' });
  }
}

function refuse(message: string): ColdsealError {
  return new ColdsealError('FORMAT_FILE_KIND', message);
}
