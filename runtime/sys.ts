/**
 * The Sys interface: every call the runtime makes on the outside world, in one place.
 *
 * An engine implements it (`engines/node` on koffi, later `engines/quickjs` in C) and tests hand in a fake, so a
 * decision never touches the system by itself. Each method is one system call, or one idiom that has to be done
 * in one place; all are synchronous. A failure throws `SysError` with the errno's name.
 *
 * Paths are text and are handed to the kernel as UTF-8. Descriptors are close-on-exec.
 */
import type { VerityAlgorithm } from './format/fsverity.ts';

export type Fd = number;

/** What the kernel measures of a file. `unsupported`: the file system or the kernel has no fs-verity. */
export type KernelMeasurement =
  | { readonly verity: 'measured'; readonly algorithm: VerityAlgorithm; readonly digest: string }
  | { readonly verity: 'not-enabled' }
  | { readonly verity: 'unsupported' };

export interface SysStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly size: number;
  readonly dev: number;
  readonly ino: number;
}

/** One value of a file system context, as fsconfig(2) takes them. */
export type FsConfig =
  | { readonly kind: 'string'; readonly key: string; readonly value: string }
  | { readonly kind: 'flag'; readonly key: string }
  | { readonly kind: 'fd'; readonly key: string; readonly fd: Fd }
  | { readonly kind: 'create' };

/** A loop device in use. It goes away by itself when the last user closes it. */
export interface LoopDevice {
  readonly path: string;
  readonly fd: Fd;
}

export interface SysFiles {
  /** Opens for reading. `directory` refuses anything else; `nofollow` refuses a symbolic link as last part. */
  open(path: string, options?: { directory?: boolean; nofollow?: boolean }): Fd;
  close(fd: Fd): void;
  stat(fd: Fd): SysStat;
  /** Reads at an offset; fewer bytes than asked for only at the end of the file. */
  read(fd: Fd, into: Uint8Array, offset: number): number;
  /** The names in a directory, in byte order. */
  list(path: string): string[];
  makeDirectory(path: string): void;
  /** Makes a directory that only its owner can enter, with a new name. */
  makeTempDirectory(): string;
  removeDirectory(path: string): void;
  /** The path under which the kernel finds exactly this open file. */
  pathOfFd(fd: Fd): string;
}

/** Filling the kernel's cache before anybody asks. */
export interface SysReadAhead {
  /** Has the kernel fetch bytes of a file or block device; it may do less, and does not wait for the medium. */
  readAhead(fd: Fd, offset: number, length: number): void;
  /** Fetches the whole Merkle tree of a sealed file, and waits for it. */
  readTree(fd: Fd): void;
}

export interface SysVerity {
  measureVerity(fd: Fd): KernelMeasurement;
  /** False when the file system cannot. */
  enableVerity(fd: Fd, algorithm: VerityAlgorithm): boolean;
}

export interface MountAttributes {
  readonly readOnly?: boolean;
  readonly nosuid?: boolean;
  readonly nodev?: boolean;
  readonly noexec?: boolean;
  /** Descriptor of a user namespace whose ids the mount takes. */
  readonly idmap?: Fd;
}

export interface SysMounts {
  fsopen(type: string): Fd;
  fsconfig(context: Fd, value: FsConfig): void;
  /** What the kernel has to say about the last failure of a context: its messages, one a line. */
  fsmessages(context: Fd): string[];
  fsmount(context: Fd, attributes: MountAttributes): Fd;
  moveMount(mount: Fd, target: string): void;
  setMountAttributes(mount: Fd, attributes: MountAttributes): void;
  /** The old mount(2). */
  mount(
    source: string,
    target: string,
    type: string,
    options: Omit<MountAttributes, 'idmap'> & { readonly readOnly: boolean; readonly data: string },
  ): void;
  /** `detach` hides the mount at once and frees it when it is no longer busy. */
  unmount(target: string, options?: { detach?: boolean }): void;
  /** Puts a file behind a free loop device: read-only, direct I/O, blocks of 4096, gone with its last user. */
  attachLoop(file: Fd): LoopDevice;
}

export interface SysHost {
  /** The kernel's release, such as `6.12.48`. */
  kernelRelease(): string;
}

export interface Sys extends SysFiles, SysReadAhead, SysVerity, SysMounts, SysHost {}

// --- what only a device does: PID 1 of the initramfs, and the same bundle in the booted system --------------

export interface SysWrites {
  /** Writes a file whole: under another name beside it, then renamed. `sync` waits for the medium in between. */
  writeFile(path: string, bytes: Uint8Array, options?: { mode?: number; sync?: boolean }): void;
  /** Overwrites bytes of an existing file or block device and waits for the medium; never changes its length. */
  writeInPlace(path: string, bytes: Uint8Array, offset: number): void;
  /** Opens for appending or for a stream device such as a port; never makes a file. */
  openWrite(path: string): Fd;
  /** Writes all of it. */
  write(fd: Fd, bytes: Uint8Array): void;
}

export interface SysTree {
  /** Shows a file or directory, with what is mounted below it, at a second place. */
  bindMount(source: string, target: string): void;
  /** Moves a mount, as `mount --move`. */
  moveTree(source: string, target: string): void;
  /** Makes a mounted directory the root of this process: move it over `/`, chroot, chdir. */
  switchRoot(newRoot: string): void;
}

export interface SysDevices {
  /** Loads a module from an open file; EEXIST when it is loaded already. */
  loadModule(file: Fd, parameters: string): void;
  /** Opens the kernel's announcements of devices. Open it before looking at what is there, so that none is missed. */
  openUevents(): Fd;
  /** The next announcement, its `KEY=value` lines; undefined when none comes in time. Waits in the kernel. */
  readUevent(events: Fd, timeoutMs: number): string[] | undefined;
}

/** One reading of all clocks, taken together. */
export interface ClockReading {
  /** CLOCK_BOOTTIME, nanoseconds. */
  readonly bootNs: number;
  /** The processor's counter, which runs since its reset; absent where there is none or it cannot be read. */
  readonly counter?: {
    readonly name: 'CNTVCT_EL0' | 'TSC';
    readonly ticks: number;
    /** Ticks per second, where the processor says (CNTFRQ_EL0); otherwise found out by a second reading. */
    readonly hz?: number;
  };
}

export interface SysClock {
  clock(): ClockReading;
  sleep(ms: number): void;
}

export interface SpawnJob {
  /** The program, absolute, and its arguments. */
  readonly argv: readonly string[];
  readonly env: readonly string[];
  /** Standard output and error; the console or terminal of this process when absent. Standard input is /dev/null. */
  readonly output?: Fd;
  readonly cwd?: string;
}

/** A child that has ended: exit code, or 128 and the signal's number. */
export interface ChildExit {
  readonly pid: number;
  readonly code: number;
}

export interface SysProcesses {
  pid(): number;
  /** Starts a program in a session of its own; throws what execve said, such as ENOENT. */
  spawn(job: SpawnJob): number;
  /** The next child that ends, also one that was inherited; undefined when none does in time or there is none. */
  waitChild(timeoutMs: number): ChildExit | undefined;
  /** Replaces this program. Returns only by throwing. */
  exec(argv: readonly string[], env: readonly string[]): never;
  /** A copy of this process in a session of its own: 0 in the copy. ENOSYS where an engine cannot. */
  fork(): number;
  kill(pid: number, signal: number): void;
  pipe(): { readonly read: Fd; readonly write: Fd };
  /** Those of some descriptors that can be read or have ended; none when the time is up. */
  waitReadable(fds: readonly Fd[], timeoutMs: number): Fd[];
  /** What a pipe has now, at most as much as fits; 0 at its end. */
  readStream(fd: Fd, into: Uint8Array): number;
}

export type LogLevel = 'error' | 'warning' | 'notice' | 'info';

export interface SysPower {
  /** Writes a line into the kernel's log. */
  logKernel(level: LogLevel, text: string): void;
  /** Ends the machine after a sync(2); does not return. `halt` stops with everything still powered. */
  endMachine(how: 'restart' | 'power-off' | 'halt'): never;
}

export interface DeviceSys
  extends Sys, SysWrites, SysTree, SysDevices, SysClock, SysProcesses, SysPower {}
