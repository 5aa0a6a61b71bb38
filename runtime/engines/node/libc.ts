/**
 * The C library through koffi: the system calls that Node does not have.
 *
 * koffi is loaded on first use and only then. Measured here (Node 20, koffi 3.3.4, 2 cores): loading it
 * takes 10 ms, finding the library and its functions 0.2 ms, an empty call 0.11 µs.
 *
 * Only x86-64 and aarch64 Linux are meant: pointers and `long` have 64 bits, structs are little-endian.
 * Paths are bytes: a Uint8Array, or a string with one char per byte. Text goes through `byteText` first.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { SysError } from '../../sys-error.ts';

/** A path as bytes: an array, or a string with one char per byte (Latin-1). No terminator. */
export type BytePath = Uint8Array | string;

/** include/uapi/linux/fcntl.h: paths count from the working directory; the descriptor itself is meant. */
export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;

type Pointer = bigint | Uint8Array;

/** The functions in use. A negative result is a failure; `errno()` then names it. */
export interface Libc {
  readonly statx: (
    dirfd: number,
    path: Pointer,
    flags: number,
    mask: number,
    out: Pointer,
  ) => number;
  readonly llistxattr: (path: Pointer, out: Pointer | null, size: number) => number;
  readonly lgetxattr: (path: Pointer, name: Pointer, out: Pointer | null, size: number) => number;
  readonly ioctl: (fd: number, request: number, argument: number | bigint) => number;
  /** Copies within the kernel at both files' positions; sharing blocks where the file system can. */
  readonly copyFileRange: (
    from: number,
    fromOffset: null,
    to: number,
    toOffset: null,
    size: number,
    flags: number,
  ) => number;
  readonly lseek: (fd: number, offset: number, whence: number) => number;
  readonly syncfs: (fd: number) => number;
  readonly flock: (fd: number, operation: number) => number;
  readonly mount: (
    source: Pointer,
    target: Pointer,
    type: Pointer,
    flags: number,
    data: Pointer | null,
  ) => number;
  readonly umount2: (path: Pointer, flags: number) => number;
  /** What the C library says of an errno's name, such as `No such file or directory`. */
  readonly messageOf: (errnoName: string) => string;
  readonly rawSyscall: (...args: (number | bigint)[]) => number | bigint;
  /** The address of a buffer that stays alive. */
  readonly address: (buffer: Uint8Array) => bigint;
  readonly errno: () => number;
  readonly errnoName: () => string;
  /** The name of an errno that a call has returned instead of setting it. */
  readonly nameOf: (errno: number) => string;
  /** Another function of the C library, for what only one module needs. */
  readonly bind: <F>(name: string, result: string, args: string[]) => F;
}

let loaded: Libc | undefined;

/** The C library, loaded on first use. */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  // The process itself: glibc and musl alike, whatever their file is called.
  const lib = koffi.load(null);
  const names = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));
  // Two names of one number: keep the one that Linux's manual pages use.
  names
    .set(koffi.os.errno['EOPNOTSUPP'] ?? 95, 'EOPNOTSUPP')
    .set(koffi.os.errno['EAGAIN'] ?? 11, 'EAGAIN');
  const nameOf = (errno: number): string => names.get(errno) ?? `E${errno}`;
  const bind = <F>(name: string, result: string, args: string[]): F =>
    lib.func(name, result, args) as unknown as F;
  const strerror = bind<(errno: number) => string>('strerror', 'str', ['int']);
  const long = Array.from({ length: 7 }, () => 'intptr_t');
  return {
    statx: bind('statx', 'int', ['int', 'void *', 'int', 'uint', 'void *']),
    llistxattr: bind('llistxattr', 'int64_t', ['void *', 'void *', 'size_t']),
    lgetxattr: bind('lgetxattr', 'int64_t', ['void *', 'void *', 'void *', 'size_t']),
    ioctl: bind('ioctl', 'int', ['int', 'unsigned long', 'intptr_t']),
    copyFileRange: bind('copy_file_range', 'int64_t', [
      'int',
      'void *',
      'int',
      'void *',
      'size_t',
      'uint',
    ]),
    lseek: bind('lseek', 'int64_t', ['int', 'int64_t', 'int']),
    syncfs: bind('syncfs', 'int', ['int']),
    flock: bind('flock', 'int', ['int', 'int']),
    mount: bind('mount', 'int', ['void *', 'void *', 'void *', 'unsigned long', 'void *']),
    umount2: bind('umount2', 'int', ['void *', 'int']),
    messageOf: (name) => strerror(koffi.os.errno[name] ?? 0),
    rawSyscall: bind('syscall', 'intptr_t', long),
    address: (buffer) => koffi.address(buffer),
    errno: () => koffi.errno(),
    errnoName: () => nameOf(koffi.errno()),
    nameOf,
    bind,
  };
}

/** Throws the last failure of `call` as a SysError. */
export function throwErrno(call: string, what?: string): never {
  throw new SysError(call, libc().errnoName(), what);
}

/** One argument of `syscall`: strings are byte strings and get their terminator here. */
export type SyscallArgument = number | bigint | Uint8Array | string | null;

const PADDING = [0, 0, 0, 0, 0, 0];
let held: Exclude<SyscallArgument, string>[] = [];

/** Does a system call by number and returns its result; throws SysError with the errno's name. */
export function syscall(call: string, number: number, ...args: SyscallArgument[]): number {
  const { rawSyscall, address } = libc();
  // The engine may free what nothing refers to, even while the call runs: `held` refers to it.
  held = args.map((arg) => (typeof arg === 'string' ? terminated(arg) : arg));
  const words = held.map((arg) =>
    arg === null ? 0 : arg instanceof Uint8Array ? address(arg) : arg,
  );
  const result = Number(rawSyscall(number, ...words, ...PADDING.slice(words.length)));
  if (result < 0) throwErrno(call);
  return result;
}

/** The bytes of text as a system call takes them: UTF-8, one char per byte. */
export function byteText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** A byte string with its terminator; a NUL inside is refused. */
export function terminated(text: string): Buffer {
  if (text.includes('\0')) throw new SysError('path', 'EINVAL', 'contains a NUL');
  return Buffer.from(`${text}\0`, 'latin1');
}

/** Linux's PATH_MAX, the terminator included (include/uapi/linux/limits.h). */
export const PATH_MAX = 4096;

/** A reused place for one NUL-terminated path at a time, and its address. */
export class PathScratch {
  readonly #bytes = Buffer.alloc(PATH_MAX);
  readonly address: bigint = libc().address(this.#bytes);

  /** Puts a path there; the kernel's own limits apply, and a NUL inside is refused. */
  set(path: BytePath): bigint {
    if (path.length >= PATH_MAX) throw new SysError('path', 'ENAMETOOLONG');
    if (typeof path === 'string') {
      if (path.includes('\0')) throw new SysError('path', 'EINVAL', 'contains a NUL');
      this.#bytes.write(path, 0, 'latin1');
    } else {
      if (path.includes(0)) throw new SysError('path', 'EINVAL', 'contains a NUL');
      this.#bytes.set(path);
    }
    this.#bytes[path.length] = 0;
    return this.address;
  }
}
