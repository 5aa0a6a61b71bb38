/**
 * What the C side of the QuickJS engine gives: system calls with checked arguments, no more (files.c, mounts.c,
 * process.c, host.c).
 *
 * A failed call throws an Error whose `code` is the errno's name. Numbers are whole and descriptors are those of the
 * kernel; text is at most 4095 bytes of UTF-8 without a NUL. Times are milliseconds from 0 to 2^31 - 1.
 */
import type { Fd } from '../../sys.ts';

export interface Host {
  readonly open: (path: string, flags: number, permissions: number) => Fd;
  readonly close: (fd: Fd) => void;
  readonly stat: (fd: Fd) => readonly [mode: number, size: number, dev: number, ino: number];
  /** The size of a file or block device; moves its position. */
  readonly seekEnd: (fd: Fd) => number;
  /** Fewer bytes than asked for only at the end. */
  readonly pread: (fd: Fd, into: Uint8Array, offset: number) => number;
  readonly readahead: (fd: Fd, offset: number, length: number) => void;
  readonly pwrite: (fd: Fd, bytes: Uint8Array, offset: number) => void;
  readonly read: (fd: Fd, into: Uint8Array) => number;
  readonly write: (fd: Fd, bytes: Uint8Array) => void;
  readonly fsync: (fd: Fd) => void;
  readonly fdatasync: (fd: Fd) => void;
  readonly chmod: (fd: Fd, permissions: number) => void;
  readonly mkdir: (path: string, permissions: number) => void;
  readonly rmdir: (path: string) => void;
  readonly unlink: (path: string) => void;
  readonly rename: (from: string, to: string) => void;
  /** Names in byte order. */
  readonly list: (path: string) => string[];
  readonly readTree: (fd: Fd) => void;
  readonly measureVerity: (fd: Fd) => readonly [algorithm: number, digest: Uint8Array];
  readonly enableVerity: (fd: Fd, algorithm: number, blockSize: number) => void;
  readonly loopFree: (control: Fd) => number;
  readonly loopConfigure: (loop: Fd, file: Fd, blockSize: number, flags: number) => void;
  readonly kernelRelease: () => string;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  /** base^65537 mod modulus, as format/rsa.ts asks for it; RangeError for what is no base and odd modulus. */
  readonly power65537: (base: Uint8Array, modulus: Uint8Array) => Uint8Array;
  readonly O_WRONLY: number;
  readonly O_RDWR: number;
  readonly O_CREAT: number;
  readonly O_EXCL: number;
  readonly O_APPEND: number;
  readonly O_DIRECTORY: number;
  readonly O_NOFOLLOW: number;

  readonly mount: (
    source: string,
    target: string,
    type: string,
    flags: number,
    data: string,
  ) => void;
  readonly unmount: (target: string, flags: number) => void;
  readonly fsopen: (type: string) => Fd;
  readonly fsconfig: (
    context: Fd,
    command: number,
    key: string | null,
    value: string | null,
    number: number,
  ) => void;
  readonly fsmount: (context: Fd, attributes: number) => Fd;
  readonly moveMount: (mount: Fd, target: string) => void;
  /** `userNamespace` 0: none. */
  readonly mountSetattr: (mount: Fd, attributes: number, userNamespace: Fd) => void;
  readonly chroot: (path: string) => void;
  readonly chdir: (path: string) => void;
  readonly loadModule: (file: Fd, parameters: string) => void;
  readonly openUevents: () => Fd;
  /** The strings of one announcement of the kernel; the first is `ACTION@PATH`. */
  readonly readUevent: (events: Fd, timeoutMs: number) => string[] | undefined;

  readonly pid: () => number;
  readonly spawn: (
    argv: readonly string[],
    env: readonly string[],
    /** -1: that of this process. */
    output: Fd,
    cwd: string | null,
  ) => number;
  readonly exec: (argv: readonly string[], env: readonly string[]) => never;
  readonly fork: () => number;
  readonly wait: (timeoutMs: number) => readonly [pid: number, code: number] | undefined;
  readonly kill: (pid: number, signal: number) => void;
  readonly pipe: () => readonly [read: Fd, write: Fd];
  readonly poll: (fds: readonly Fd[], timeoutMs: number) => Fd[];
  /** Nanoseconds of CLOCK_BOOTTIME; the counter, and its ticks per second or 0. */
  readonly clock: () => readonly [bootNs: number, ticks: number, hz: number];
  readonly sleep: (ms: number) => void;
  /** At a level of syslog(3). */
  readonly logKernel: (level: number, text: string) => void;
  /** sync(2), then reboot(2) with this command. */
  readonly endMachine: (command: number) => never;

  /** Lines of a code, a tab and its meaning. */
  readonly reasons: () => string;
  /** JSON: the sentences that the build took out of the device bundle. */
  readonly texts: () => string;
}
