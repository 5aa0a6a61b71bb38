/**
 * Who may use an object store now: any number of writers, or one garbage collection.
 *
 * A writer counts on an object it found; a collection must not delete it before the image that
 * names it exists. Both take a flock(2) on the store's directory, which the kernel drops when a
 * process is killed. A file system without flock (some network ones) gives writers no lock, and
 * refuses a collection.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { explainSysError, SysError } from '../../runtime/sys-error.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const POLL_MS = 50;

export type LockKind = 'writer' | 'collector';

/** A lock on a store's directory, held until it is disposed. */
export class StoreLock implements Disposable {
  /** Descriptor of the store's directory. */
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Takes the lock, waiting up to `waitMs`; throws HOST_STORE_BUSY when the other kind still holds it. */
  static take(dir: string, kind: LockKind, waitMs = 10_000): StoreLock {
    let fd: number;
    try {
      fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      throw explainSysError(error, `Cannot open the object store ${dir}`);
    }
    try {
      for (let waited = 0; !tryLock(fd, kind); waited += POLL_MS) {
        if (waited >= waitMs) throw busy(dir, kind);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
      }
    } catch (error) {
      closeSync(fd);
      throw explainSysError(error, `Cannot lock the object store ${dir}`);
    }
    return new StoreLock(fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

function tryLock(fd: number, kind: LockKind): boolean {
  const operation = (kind === 'writer' ? LOCK_SH : LOCK_EX) | LOCK_NB;
  if (libc().flock(fd, operation) === 0) return true;
  const errno = libc().errnoName();
  if (errno === 'EAGAIN') return false;
  const unsupported = errno === 'EOPNOTSUPP' || errno === 'ENOLCK' || errno === 'ENOSYS';
  if (unsupported && kind === 'writer') return true;
  throw new SysError('flock', errno);
}

function busy(dir: string, kind: LockKind): ColdsealError {
  const [other, hint] =
    kind === 'writer'
      ? ['a garbage collection is running', 'wait until it has finished, then run this again']
      : ['a build is writing to it', 'wait until no build uses this store, then run this again'];
  return new ColdsealError('HOST_STORE_BUSY', `Cannot use the object store ${dir}: ${other}`, {
    hint,
  });
}
