/**
 * A whole small system behind the Sys interface: descriptors, mounts, loop devices and temporary directories as
 * plain sets, so that a test can see what is left, and make any call fail.
 */
import type { MountCapabilities } from '../../runtime/mount-capabilities.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { Fd, FsConfig, KernelMeasurement, MountAttributes, Sys } from '../../runtime/sys.ts';

/** What an open descriptor is. */
type Handle =
  | { kind: 'file'; path: string }
  | { kind: 'directory'; path: string }
  | { kind: 'loop'; path: string }
  | { kind: 'context'; type: string; options: FsConfig[] }
  | { kind: 'mount'; type: string; options: FsConfig[]; readOnly: boolean };

export interface FakeSettings {
  readonly kernel?: Partial<MountCapabilities>;
  readonly files?: Readonly<Record<string, Uint8Array>>;
  readonly directories?: Readonly<Record<string, readonly string[]>>;
  readonly measure?: (path: string) => KernelMeasurement;
  /** Whether EROFS can be mounted from a file, without a loop device. */
  readonly erofsFromFile?: boolean;
}

export const MODERN_KERNEL: MountCapabilities = {
  kernelRelease: '6.18.0',
  newMountApi: true,
  erofs: true,
  overlay: true,
  overlayContext: true,
  overlayVerity: true,
  appendLayers: true,
  descriptorLayers: true,
  detachedLayers: true,
};

const MUTATORS_THAT_CLEAN_UP = new Set(['close', 'unmount', 'removeDirectory']);

export class FakeSys implements Sys {
  readonly #kernel: MountCapabilities;
  readonly #settings: FakeSettings;
  readonly #handles = new Map<Fd, Handle>();
  #nextFd = 3;
  readonly #temporary = new Set<string>();
  /** What the latest mount of an overlay forbids. */
  overlayAttributes: MountAttributes = {};
  #nextTemporary = 0;
  /** Mount points and what is mounted there. */
  readonly mounts = new Map<
    string,
    { type: string; options: FsConfig[]; data?: string; readOnly: boolean }
  >();
  readonly calls: string[] = [];
  /** Fails the call with this number (from 1) with EIO; clean-up calls are not counted and never fail. */
  failAt = 0;
  #count = 0;

  constructor(settings: FakeSettings = {}) {
    this.#settings = settings;
    this.#kernel = { ...MODERN_KERNEL, ...settings.kernel };
  }

  /** Everything that a caller left behind, the mounts at the given targets excepted. */
  left(...targets: string[]): string[] {
    const mounts = [...this.mounts.keys()].filter((path) => !targets.includes(path));
    const handles = [...this.#handles.values()].map(({ kind }) => `open ${kind}`);
    return [...handles, ...mounts.map((path) => `mount ${path}`), ...this.#temporary];
  }

  /** How many calls can be made to fail. */
  get count(): number {
    return this.#count;
  }

  #call(name: string, ...details: unknown[]): void {
    this.calls.push([name, ...details].join(' '));
    if (MUTATORS_THAT_CLEAN_UP.has(name)) return;
    this.#count++;
    if (this.#count === this.failAt) throw new SysError(name, 'EIO');
  }

  #open(handle: Handle): Fd {
    this.#handles.set(this.#nextFd, handle);
    return this.#nextFd++;
  }

  #get<K extends Handle['kind']>(fd: Fd, kind: K): Extract<Handle, { kind: K }> {
    const handle = this.#handles.get(fd);
    if (handle?.kind !== kind) throw new SysError('fd', 'EBADF', `${fd} is not a ${kind}`);
    return handle as Extract<Handle, { kind: K }>;
  }

  open(path: string, options: { directory?: boolean } = {}): Fd {
    this.#call('open', path);
    if (options.directory === true) return this.#open({ kind: 'directory', path });
    if (this.#settings.files?.[path] === undefined) throw new SysError('open', 'ENOENT', path);
    return this.#open({ kind: 'file', path });
  }

  close(fd: Fd): void {
    this.#call('close', fd);
    if (!this.#handles.delete(fd)) throw new Error(`descriptor ${fd} closed twice`);
  }

  stat(fd: Fd): { kind: 'file'; size: number; dev: number; ino: number } {
    this.#call('stat', fd);
    const { path } = this.#get(fd, 'file');
    return { kind: 'file', size: this.#settings.files![path]!.length, dev: 1, ino: fd };
  }

  read(fd: Fd, into: Uint8Array, offset: number): number {
    this.#call('read', fd);
    const bytes = this.#settings.files![this.#get(fd, 'file').path]!.subarray(offset);
    into.set(bytes.subarray(0, into.length));
    return Math.min(bytes.length, into.length);
  }

  readAhead(fd: Fd): void {
    this.#call('readAhead', fd);
    this.#get(fd, 'file');
  }

  list(path: string): string[] {
    this.#call('list', path);
    const names = this.#settings.directories?.[path];
    if (names === undefined) throw new SysError('list', 'ENOENT', path);
    return [...names];
  }

  makeDirectory(path: string): void {
    this.#call('makeDirectory', path);
  }

  makeTempDirectory(): string {
    this.#call('makeTempDirectory');
    const path = `/tmp/.coldseal-${this.#nextTemporary++}`;
    this.#temporary.add(path);
    return path;
  }

  removeDirectory(path: string): void {
    this.#call('removeDirectory', path);
    if (this.mounts.has(path)) throw new SysError('rmdir', 'EBUSY', path);
    if (!this.#temporary.delete(path)) throw new SysError('rmdir', 'ENOENT', path);
  }

  pathOfFd(fd: Fd): string {
    return `/proc/self/fd/${fd}`;
  }

  readTree(fd: Fd): void {
    this.#call('readTree', fd);
    this.#get(fd, 'file');
  }

  measureVerity(fd: Fd): KernelMeasurement {
    this.#call('measureVerity', fd);
    return this.#settings.measure?.(this.#get(fd, 'file').path) ?? { verity: 'unsupported' };
  }

  enableVerity(): boolean {
    this.#call('enableVerity');
    return false;
  }

  fsopen(type: string): Fd {
    this.#call('fsopen', type);
    if (!this.#kernel.newMountApi) throw new SysError('fsopen', 'ENOSYS');
    if (type === 'erofs' && !this.#kernel.erofs) throw new SysError('fsopen', 'ENODEV');
    if (type === 'overlay' && !this.#kernel.overlay) throw new SysError('fsopen', 'ENODEV');
    return this.#open({ kind: 'context', type, options: [] });
  }

  fsconfig(fd: Fd, value: FsConfig): void {
    const key = value.kind === 'create' ? '' : value.key;
    const shown = value.kind === 'string' ? value.value : value.kind;
    this.#call('fsconfig', key, shown);
    const context = this.#get(fd, 'context');
    const refused =
      context.type === 'overlay'
        ? this.#overlayRefuses(value, key)
        : this.#otherRefuses(context, value);
    if (refused !== undefined) throw new SysError('fsconfig', refused, key);
    context.options.push(value);
  }

  #overlayRefuses(value: FsConfig, key: string): string | undefined {
    const kernel = this.#kernel;
    if (!kernel.overlayContext) return undefined;
    if (key === 'coldseal-probe') return 'EINVAL';
    if (key === 'verity' && !kernel.overlayVerity) return 'EINVAL';
    if (key.endsWith('+') && !kernel.appendLayers) return 'EINVAL';
    if (value.kind === 'fd' && !kernel.descriptorLayers) return 'EINVAL';
    return value.kind === 'create' && !kernel.detachedLayers && this.#temporary.size === 0
      ? 'EINVAL'
      : undefined;
  }

  #otherRefuses(
    context: { type: string; options: FsConfig[] },
    value: FsConfig,
  ): string | undefined {
    if (context.type !== 'erofs' || value.kind !== 'create') return undefined;
    const source = context.options.find((option) => 'key' in option && option.key === 'source');
    const isFile = source?.kind === 'string' && source.value.startsWith('/proc/self/fd/');
    return isFile && this.#settings.erofsFromFile === false ? 'ENOTBLK' : undefined;
  }

  fsmessages(): string[] {
    return ['a message'];
  }

  fsmount(fd: Fd, attributes: MountAttributes): Fd {
    this.#call('fsmount');
    const { type, options } = this.#get(fd, 'context');
    const { readOnly = false } = attributes;
    if (type === 'overlay') this.overlayAttributes = attributes;
    return this.#open({ kind: 'mount', type, options, readOnly });
  }

  moveMount(fd: Fd, target: string): void {
    this.#call('moveMount', target);
    const { type, options, readOnly } = this.#get(fd, 'mount');
    this.mounts.set(target, { type, options, readOnly });
  }

  setMountAttributes(fd: Fd): void {
    this.#call('setMountAttributes', fd);
    this.#get(fd, 'mount');
  }

  mount(
    source: string,
    target: string,
    type: string,
    options: MountAttributes & { readOnly: boolean; data: string },
  ): void {
    this.#call('mount', source, target, type, options.data);
    const { data: _, ...attributes } = options;
    if (type === 'overlay') this.overlayAttributes = attributes;
    this.mounts.set(target, { type, options: [], data: options.data, readOnly: options.readOnly });
  }

  unmount(target: string): void {
    this.#call('unmount', target);
    if (!this.mounts.delete(target)) throw new SysError('umount2', 'EINVAL', target);
  }

  attachLoop(): { path: string; fd: Fd } {
    this.#call('attachLoop');
    return { path: '/dev/loop0', fd: this.#open({ kind: 'loop', path: '/dev/loop0' }) };
  }

  kernelRelease(): string {
    return this.#kernel.kernelRelease;
  }
}
