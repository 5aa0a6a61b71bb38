/**
 * Files opened for one use; a small file read whole: no link as its last part, regular, no more than a given size.
 *
 * For what is sealed, for what lies on the store, and for the kernel's own files, whose size stat does not tell.
 */
import { ColdsealError } from './format/errors.ts';
import { explainSysError } from './sys-error.ts';
import type { Fd, SysFiles } from './sys.ts';

/** Opens a file, not through a link as its last part, for as long as something is done with it. */
export function withFile<T>(
  sys: Pick<SysFiles, 'open' | 'close'>,
  path: string,
  use: (file: Fd) => T,
): T {
  const file = sys.open(path, { nofollow: true });
  try {
    return use(file);
  } finally {
    sys.close(file);
  }
}

/** The bytes of the file; throws FORMAT_FILE_KIND, HOST_READ_FAILED, HOST_NOT_FOUND or HOST_PERMISSION. */
export function readSmallFile(sys: SysFiles, path: string, max: number): Uint8Array {
  const doing = `Cannot read ${path}`;
  try {
    return withFile(sys, path, (file) => {
      const { kind } = sys.stat(file);
      if (kind !== 'file') throw refuse(`${doing}: it is a ${kind}, expected a file`);
      const bytes = new Uint8Array(max + 1);
      const length = sys.read(file, bytes, 0);
      if (length > max) throw refuse(`${doing}: expected at most ${max} bytes`);
      return bytes.slice(0, length);
    });
  } catch (error) {
    throw explainSysError(error, doing, { code: 'HOST_READ_FAILED' });
  }
}

function refuse(message: string): ColdsealError {
  return new ColdsealError('FORMAT_FILE_KIND', message);
}
