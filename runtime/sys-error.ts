/**
 * System errors: how a failed system call travels from an engine to the code that decides.
 *
 * A `SysError` keeps the errno's name, because decisions hang on it (ENOTBLK means "use a loop device").
 * What leaves for a person is a ColdsealError that names the operation and the path; `explainSysError`
 * makes it. Node's own errors carry the same `code` field and are explained the same way.
 */
import { ColdsealError, type ErrorCode } from './format/errors.ts';

/** A system call that failed, with the errno's name such as `ENOENT`. */
export class SysError extends Error {
  readonly code: string;
  readonly call: string;

  constructor(call: string, code: string, what = '') {
    super(`${call}${what === '' ? '' : ` ${what}`}: ${code}`);
    this.name = 'SysError';
    this.code = code;
    this.call = call;
  }
}

/** The errno's name of a SysError or of one of Node's system errors, otherwise undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof ColdsealError || !(error instanceof Error)) return undefined;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** The error for a step of the system that failed; what no system call said is thrown as it is. */
export function stepError(code: ErrorCode, doing: string, cause: unknown): ColdsealError {
  const errno = errnoOf(cause);
  if (errno === undefined) throw cause;
  return new ColdsealError(code, `${doing}: ${errno}`, { cause });
}

/** A function, so that a boot without errors never has these texts in memory. */
const explanations = (): Readonly<Record<string, readonly [code: ErrorCode, text: string]>> => ({
  ENOENT: ['HOST_NOT_FOUND', 'it does not exist'],
  ENOTDIR: ['HOST_NOT_FOUND', 'a part of the path is not a directory'],
  EISDIR: ['HOST_SYSTEM_CALL', 'it is a directory, expected a file'],
  EEXIST: ['HOST_SYSTEM_CALL', 'something else is there already'],
  ELOOP: ['HOST_SYSTEM_CALL', 'it is a symbolic link, or leads through too many'],
  ENAMETOOLONG: ['HOST_SYSTEM_CALL', 'a name in the path is too long'],
  EMFILE: ['HOST_SYSTEM_CALL', 'too many files are open'],
  EIO: ['HOST_SYSTEM_CALL', 'an input/output error'],
  EACCES: ['HOST_PERMISSION', 'permission denied'],
  EPERM: ['HOST_PERMISSION', 'operation not permitted'],
  EROFS: ['HOST_PERMISSION', 'the file system is read-only'],
  ENOSPC: ['HOST_NO_SPACE', 'no space left on the file system'],
  EDQUOT: ['HOST_NO_SPACE', 'the disk quota is used up'],
  EFBIG: ['HOST_NO_SPACE', 'the file is larger than the file system or the limit allows'],
});

/**
 * The error for a person: `doing` says what was tried and on what, such as `Cannot open /x/y`. `code` is for
 * errnos without a code of their own. An error that is not from the system is returned as it is.
 */
export function explainSysError(
  error: unknown,
  doing: string,
  { code: other = 'HOST_SYSTEM_CALL', hint }: { code?: ErrorCode; hint?: string | undefined } = {},
): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const [known, text] = explanations()[errno] ?? ([other, errno] as const);
  const code = known === 'HOST_SYSTEM_CALL' ? other : known;
  return new ColdsealError(code, `${doing}: ${text}`, { hint, cause: error });
}
