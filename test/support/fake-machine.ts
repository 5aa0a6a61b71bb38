/**
 * The machine of a fake board: its power, its clock, its descriptors, and the files it shows.
 *
 * A machine that has ended does nothing any more: every later call throws the same end and has no effect. So a boot
 * that swallowed it would still be dead, as on hardware.
 */
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { Fd, KernelMeasurement, LogLevel } from '../../runtime/sys.ts';
import {
  copy,
  Ended,
  type FakeBoard,
  type FakePartition,
  type FakeRun,
  type Handle,
  isIntact,
  type MachineEnd,
  type Mounted,
  ueventOf,
} from './fake-board.ts';

const SILENT = new Set(['close', 'unmount', 'removeDirectory', 'logKernel', 'fsmessages']);
export const STORE = '/run/coldseal/store';
const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

/** Power, files and what the disk shows of them. */
export class FakeMachine {
  readonly board: FakeBoard;
  protected readonly run: FakeRun;
  protected readonly handles = new Map<Fd, Handle>();
  protected nextFd = 3;
  readonly mounts = new Map<string, Mounted>();
  protected readonly tmpfs = new Map<string, Uint8Array>();
  protected readonly directories = new Set(['/dev', '/proc', '/sys', '/run', '/sysroot']);
  protected root = '';
  readonly calls: string[] = [];
  readonly log: { level: LogLevel; text: string }[] = [];
  protected nowNs = 100_000_000;
  protected count = 0;
  protected effects = 0;
  protected announced = 0;
  end: MachineEnd | undefined;
  protected endError: Ended | undefined;
  execArgv: readonly string[] = [];
  loaded: string[] = [];
  /** Images of every mount that was made, in order, by their path on the store. */
  readonly imagesMounted: string[] = [];

  constructor(board: FakeBoard, run: FakeRun = {}) {
    this.board = board;
    this.run = run;
    this.announced = this.present().length;
  }

  /** The record as it lies in /run, if one was written. */
  get record(): BootRecord | undefined {
    const bytes = this.tmpfs.get('/run/coldseal/boot.json');
    return bytes && (JSON.parse(Buffer.from(bytes).toString()) as BootRecord);
  }

  get callCount(): number {
    return this.count;
  }

  get effectCount(): number {
    return this.effects;
  }

  /** Descriptors that are still open. */
  get openHandles(): string[] {
    return [...this.handles.values()].map(({ kind }) => kind);
  }

  /** Mount points of images; nothing but the booted slot's may be here. */
  get imageMounts(): string[] {
    return [...this.mounts]
      .filter(([, { type }]) => type === 'overlay' || type === 'erofs')
      .map(([path]) => path)
      .sort();
  }

  // --- the machine ---

  protected call(name: string, ...details: unknown[]): void {
    if (this.end !== undefined) throw (this.endError ??= new Ended(this.end));
    this.calls.push([name, ...details].join(' '));
    this.nowNs += 1000;
    if (SILENT.has(name)) return;
    this.count++;
    const { failCall } = this.run;
    if (failCall !== undefined && this.calls.at(-1)!.startsWith(failCall)) {
      throw new SysError(name, 'EIO', 'made to fail');
    }
    if (this.count === this.run.failAt) throw new SysError(name, 'EIO', 'made to fail');
  }

  /** Something that outlives the call; true when the power fails within it. */
  protected effect(): boolean {
    this.effects++;
    return this.effects === this.run.cutAt;
  }

  protected cut(): never {
    this.end = 'power cut';
    throw new Ended('power cut');
  }

  protected change(name: string, ...details: unknown[]): void {
    this.call(name, ...details);
    if (this.effect()) this.cut();
  }

  protected handleFor(handle: Handle): Fd {
    this.handles.set(this.nextFd, handle);
    return this.nextFd++;
  }

  protected handle<K extends Handle['kind']>(fd: Fd, kind: K): Extract<Handle, { kind: K }> {
    const handle = this.handles.get(fd);
    if (handle?.kind !== kind) throw new SysError('fd', 'EBADF', `${fd} is not a ${kind}`);
    return handle as Extract<Handle, { kind: K }>;
  }

  protected fileOf(fd: Fd): Extract<Handle, { kind: 'file' }> {
    return this.handle(fd, 'file');
  }

  protected present(): FakePartition[] {
    return this.board.partitions
      .filter(({ atMs }) => atMs !== undefined && atMs * 1e6 <= this.nowNs)
      .sort((a, b) => a.atMs! - b.atMs!);
  }

  // --- files ---

  protected mountOf(path: string): [string, Mounted] | undefined {
    const inside = [...this.mounts].filter(([at]) => path === at || path.startsWith(`${at}/`));
    return inside.sort(([a], [b]) => b.length - a.length)[0];
  }

  /** A readable file, or undefined. */
  protected lookUp(path: string): { bytes: Uint8Array; fileKind: 'file' | 'symlink' } | undefined {
    const mount = this.mountOf(path);
    const plain = (bytes: Uint8Array | undefined) => bytes && { bytes, fileKind: 'file' as const };
    if (mount === undefined) {
      return plain(this.root === '' ? this.board.initramfs.get(path) : undefined);
    }
    const [at, { type, source }] = mount;
    if (type === 'proc')
      return path === '/proc/cmdline' ? plain(text(this.board.commandLine)) : undefined;
    if (type === 'sysfs') return plain(this.sysFile(path));
    if (type === 'tmpfs') return plain(this.tmpfs.get(path));
    if (type === 'bind') return plain(this.board.initramfs.get(source + path.slice(at.length)));
    if (type !== 'ext4') return undefined;
    const file = this.board.store.get(path.slice(at.length + 1));
    if (file === undefined) return undefined;
    return { bytes: file.bytes, fileKind: file.kind ?? 'file' };
  }

  protected sysFile(path: string): Uint8Array | undefined {
    const { smbios, compatible } = this.board;
    if (path === '/sys/firmware/devicetree/base/compatible') {
      return smbios ? undefined : text(`${compatible}\0generic\0`);
    }
    if (path === '/sys/class/dmi/id/sys_vendor') return smbios && text(`${smbios.vendor}\n`);
    if (path === '/sys/class/dmi/id/product_name') return smbios && text(`${smbios.product}\n`);
    if (path === '/sys/class/block/vda/stat' && this.present().length > 0) {
      const stat = this.board.diskStat?.();
      return stat === undefined ? undefined : text(stat);
    }
    const device = /^\/sys\/class\/block\/(\w+)\/uevent$/.exec(path)?.[1];
    const partition = this.present().find((each) => each.device === device);
    return partition && text(`${ueventOf(partition).slice(1).join('\n')}\n`);
  }

  open(path: string, options: { directory?: boolean; nofollow?: boolean } = {}): Fd {
    this.call('open', path);
    const own = /^\/proc\/self\/fd\/(\d+)$/.exec(path);
    if (own !== null) {
      const handle = this.handles.get(Number(own[1]));
      if (handle?.kind !== 'mount') throw new SysError('open', 'ENOENT', path);
      const { image } = handle;
      return this.handleFor({ kind: 'directory', path, ...(image === undefined ? {} : { image }) });
    }
    if (options.directory === true) {
      const image = this.mounts.get(path)?.image;
      return this.handleFor({ kind: 'directory', path, ...(image === undefined ? {} : { image }) });
    }
    if (path.startsWith('/dev/') && this.mounts.has('/dev')) {
      const known = this.present().some(({ device }) => path === `/dev/${device}`);
      if (!known) throw new SysError('open', 'ENOENT', path);
      return this.handleFor({ kind: 'device', path });
    }
    const file = this.lookUp(path);
    if (file === undefined) throw new SysError('open', 'ENOENT', path);
    if (file.fileKind === 'symlink' && options.nofollow === true)
      throw new SysError('open', 'ELOOP', path);
    return this.handleFor({ kind: 'file', path, ...file });
  }

  close(fd: Fd): void {
    this.call('close', fd);
    if (!this.handles.delete(fd)) throw new Error(`descriptor ${fd} closed twice`);
  }

  stat(fd: Fd): { kind: 'file' | 'symlink'; size: number; dev: number; ino: number } {
    this.call('stat', fd);
    const { bytes, fileKind, path } = this.fileOf(fd);
    // The kernel's own files have no size.
    const size = path.startsWith('/proc') || path.startsWith('/sys') ? 0 : bytes.length;
    return { kind: fileKind, size, dev: 1, ino: fd };
  }

  read(fd: Fd, into: Uint8Array, offset: number): number {
    this.call('read', fd);
    const handle = this.handles.get(fd);
    if (handle?.kind === 'device') return copy(this.board.state, into, offset);
    const { bytes, path } = this.fileOf(fd);
    const file = path.startsWith(`${STORE}/`)
      ? this.board.store.get(path.slice(STORE.length + 1))
      : undefined;
    if (file?.sealed !== undefined && !isIntact(file)) throw new SysError('read', 'EIO', path);
    return copy(bytes, into, offset);
  }

  readAhead(fd: Fd, offset: number, length: number): void {
    const handle = this.handles.get(fd);
    this.call(
      'readAhead',
      handle !== undefined && 'path' in handle ? handle.path : fd,
      offset,
      length,
    );
    if (handle?.kind !== 'file' && handle?.kind !== 'device')
      throw new SysError('readahead', 'EBADF');
  }

  list(path: string): string[] {
    this.call('list', path);
    if (path === '/sys/class/block')
      return this.present()
        .map(({ device }) => device)
        .sort();
    const prefix = `${path}/`;
    const names = new Set<string>();
    if (prefix.startsWith(`${STORE}/`)) {
      for (const name of this.board.store.keys()) {
        const full = `${STORE}/${name}`;
        if (full.startsWith(prefix)) names.add(full.slice(prefix.length).split('/')[0]!);
      }
    }
    if (names.size === 0) throw new SysError('list', 'ENOENT', path);
    return [...names].sort();
  }

  makeDirectory(path: string): void {
    this.change('makeDirectory', path);
    if (this.directories.has(path)) throw new SysError('mkdir', 'EEXIST', path);
    this.directories.add(path);
  }

  makeTempDirectory(): string {
    this.change('makeTempDirectory');
    const path = `/run/.tmp-${this.nextFd++}`;
    this.directories.add(path);
    return path;
  }

  removeDirectory(path: string): void {
    this.call('removeDirectory', path);
    if (this.mounts.has(path)) throw new SysError('rmdir', 'EBUSY', path);
    if (!this.directories.delete(path)) throw new SysError('rmdir', 'ENOENT', path);
  }

  pathOfFd(fd: Fd): string {
    return `/proc/self/fd/${fd}`;
  }

  readTree(fd: Fd): void {
    this.call('readTree', this.fileOf(fd).path);
  }

  measureVerity(fd: Fd): KernelMeasurement {
    this.call('measureVerity', fd);
    const { path } = this.fileOf(fd);
    const sealed = this.board.store.get(path.slice(STORE.length + 1))?.sealed;
    const honest: KernelMeasurement =
      sealed === undefined
        ? { verity: 'not-enabled' }
        : {
            verity: 'measured',
            algorithm: sealed.length === 64 ? 'sha256' : 'sha512',
            digest: sealed,
          };
    return this.run.measure?.(path.slice(STORE.length + 1), honest) ?? honest;
  }

  enableVerity(): boolean {
    throw new Error('verity is never enabled on the boot path');
  }
}
