/**
 * Copying a file's content the cheapest way that works: shared blocks, else inside the kernel, else by hand.
 *
 * What a pair of file systems cannot do is remembered, so it is tried once and not for every file. Holes stay
 * holes. The caller compares sizes and times before and after; this only says how many bytes it moved.
 */
import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { libc } from '../../runtime/engines/node/libc.ts';
import { SysError } from '../../runtime/sys-error.ts';

/** `_IOW(0x94, 9, int)` (include/uapi/linux/fs.h). */
const FICLONE = 0x40049409;
const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const STEP = 1024 * 1024;

/** Errnos by which a pair of files says that this way of copying is not for them. */
const NOT_THIS_WAY = new Set([
  'EXDEV',
  'EOPNOTSUPP',
  'ENOTTY',
  'EINVAL',
  'ENOSYS',
  'EPERM',
  'ETXTBSY',
]);

export type CopyMethod = 'reflink' | 'in-kernel' | 'read-write';

export interface CopySource {
  readonly fd: number;
  readonly size: number;
  /** Device of the file system the source is on. */
  readonly dev: number;
  /** Allocated blocks of 512 bytes. */
  readonly blocks: number;
}

/** Copies into files of one file system. */
export class FileCopier {
  readonly #noReflinkFrom = new Set<number>();
  readonly #noKernelCopyFrom = new Set<number>();
  #step: Buffer | undefined;

  /** Fills an empty file with the content of another; returns how and the number of bytes there were. */
  copy(source: CopySource, to: number): { method: CopyMethod; copied: number } {
    if (source.size > 0 && this.#reflink(source, to)) {
      return { method: 'reflink', copied: source.size };
    }
    if (source.blocks * 512 < source.size) return this.#copySparse(source, to);
    return this.#copyRange(source, to, 0, source.size);
  }

  #reflink(source: CopySource, to: number): boolean {
    if (this.#noReflinkFrom.has(source.dev)) return false;
    if (libc().ioctl(to, FICLONE, source.fd) === 0) return true;
    const errno = libc().errnoName();
    if (!NOT_THIS_WAY.has(errno)) throw new SysError('FICLONE', errno);
    this.#noReflinkFrom.add(source.dev);
    return false;
  }

  /** Copies the parts that hold data and leaves the rest a hole. */
  #copySparse(source: CopySource, to: number): { method: CopyMethod; copied: number } {
    let method: CopyMethod = 'in-kernel';
    for (let end = 0; end < source.size;) {
      const start = seek(source.fd, end, SEEK_DATA);
      if (start === undefined || start >= source.size) break;
      end = Math.min(seek(source.fd, start, SEEK_HOLE) ?? source.size, source.size);
      const part = this.#copyRange(source, to, start, end - start);
      method = part.method;
      if (part.copied < end - start) return { method, copied: start + part.copied };
    }
    ftruncateSync(to, source.size);
    return { method, copied: source.size };
  }

  #copyRange(
    source: CopySource,
    to: number,
    from: number,
    size: number,
  ): { method: CopyMethod; copied: number } {
    if (this.#noKernelCopyFrom.has(source.dev))
      return this.#copyByHand(source.fd, to, from, size, 0);
    const { copyFileRange, errnoName } = libc();
    // Looking for holes moves the position too, so it is always set.
    seekBoth(source.fd, to, from);
    let copied = 0;
    while (copied < size) {
      const moved = copyFileRange(source.fd, null, to, null, size - copied, 0);
      if (moved > 0) {
        copied += moved;
        continue;
      }
      // Some file systems answer zero for files whose content is made up on reading; reading tells.
      if (moved === 0) return this.#copyByHand(source.fd, to, from, size, copied);
      const errno = errnoName();
      if (copied > 0 || !NOT_THIS_WAY.has(errno)) throw new SysError('copy_file_range', errno);
      this.#noKernelCopyFrom.add(source.dev);
      return this.#copyByHand(source.fd, to, from, size, 0);
    }
    return { method: 'in-kernel', copied };
  }

  #copyByHand(
    fd: number,
    to: number,
    from: number,
    size: number,
    done: number,
  ): { method: CopyMethod; copied: number } {
    this.#step ??= Buffer.allocUnsafe(STEP);
    let copied = done;
    while (copied < size) {
      const length = readSync(fd, this.#step, 0, Math.min(STEP, size - copied), from + copied);
      if (length === 0) break;
      for (let at = 0; at < length;) {
        at += writeSync(to, this.#step, at, length - at, from + copied + at);
      }
      copied += length;
    }
    return { method: 'read-write', copied };
  }
}

/** The next data or hole at or after an offset; undefined when there is none. */
function seek(fd: number, offset: number, whence: number): number | undefined {
  const at = libc().lseek(fd, offset, whence);
  if (at >= 0) return at;
  const errno = libc().errnoName();
  if (errno === 'ENXIO') return undefined;
  throw new SysError('lseek', errno);
}

function seekBoth(from: number, to: number, offset: number): void {
  for (const fd of [from, to]) {
    if (libc().lseek(fd, offset, SEEK_SET) < 0) throw new SysError('lseek', libc().errnoName());
  }
}
