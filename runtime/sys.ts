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

export interface SysVerity {
  measureVerity(fd: Fd): KernelMeasurement;
  /** False when the file system cannot. */
  enableVerity(fd: Fd, algorithm: VerityAlgorithm): boolean;
}

export interface MountAttributes {
  readonly readOnly?: boolean;
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
    options: { readOnly: boolean; data: string },
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

export interface Sys extends SysFiles, SysVerity, SysMounts, SysHost {}
