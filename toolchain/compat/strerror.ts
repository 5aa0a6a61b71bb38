/** The C library's words for an error, as the C tools print them. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf } from '../../runtime/sys-error.ts';

const TEXTS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EEXIST: 'File exists',
  EFBIG: 'File too large',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  ENAMETOOLONG: 'File name too long',
  ENODATA: 'No data available',
  ENOENT: 'No such file or directory',
  ENOMEM: 'Cannot allocate memory',
  ENOSPC: 'No space left on device',
  ENOTDIR: 'Not a directory',
  ENOTSUP: 'Operation not supported',
  EOPNOTSUPP: 'Operation not supported',
  EPERM: 'Operation not permitted',
  EROFS: 'Read-only file system',
};

/** The text of a failed system call; bytes that are not an image are EINVAL. Bugs are thrown on. */
export function strerror(error: unknown): string {
  const errno = errnoOf(error) ?? (error instanceof ColdsealError ? 'EINVAL' : undefined);
  if (errno === undefined) throw error;
  return TEXTS[errno] ?? errno;
}
