/**
 * A whole small board behind DeviceSys: partitions that appear late or never, a store whose files are sealed, a state
 * partition whose writes can be torn, and a power supply that can fail after any effect.
 *
 * The disk outlives a run: `new FakeDevice(board)` is one power-on. A machine that has ended, by exec, by endMachine or
 * by a power cut, does nothing any more: every later call throws the same end and has no effect. So a boot that
 * swallowed it would still be dead, as on hardware.
 */
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import type { Crypto } from '../../runtime/crypto.ts';
import type { Engine } from '../../runtime/engine.ts';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type {
  ClockReading,
  DeviceSys,
  Fd,
  FsConfig,
  KernelMeasurement,
  LogLevel,
  MountAttributes,
  SpawnJob,
} from '../../runtime/sys.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';

/** A file on the store: its bytes now, and what was sealed. Reading a block that does not fit gives EIO. */
export interface StoreFile {
  bytes: Uint8Array;
  /** fs-verity digest as the descriptor says it; absent: not sealed. */
  sealed?: string;
  kind?: 'file' | 'symlink';
}

export interface FakePartition {
  readonly name: string;
  /** Such as `vda2`. */
  readonly device: string;
  /** When it appears, in milliseconds of the boot clock; undefined: never. */
  readonly atMs: number | undefined;
}

/** What stays when the power goes. */
export interface FakeBoard {
  partitions: readonly FakePartition[];
  readonly store: Map<string, StoreFile>;
  readonly state: Uint8Array;
  readonly initramfs: Map<string, Uint8Array>;
  commandLine: string;
  compatible: string;
  smbios?: { vendor: string; product: string };
  /** Paths below the root of the system image that exist, as directories or programs. */
  systemPaths: readonly string[];
  modulesLoaded: Set<string>;
}

export interface FakeRun {
  /** The call with this number (from 1) fails; clean-up calls are not counted and never fail. */
  readonly failAt?: number;
  /** Power fails in the effect with this number (from 1). */
  readonly cutAt?: number;
  /** How many bytes of a write in that effect still reach the medium. */
  readonly cutBytes?: number;
  /** Lies about what the kernel measures. */
  readonly measure?: (path: string, honest: KernelMeasurement) => KernelMeasurement;
  /** Linux 6.15 and newer: layers from mounts that are attached nowhere. */
  readonly detachedLayers?: boolean;
  readonly failWrites?: boolean;
  readonly counter?: boolean;
}

export type MachineEnd = 'exec' | 'restart' | 'power-off' | 'halt' | 'power cut';

/** The machine has ended; not an error that runtime code may explain. */
export class Ended extends Error {
  readonly how: MachineEnd;
  constructor(how: MachineEnd) {
    super(`the machine has ended: ${how}`);
    this.how = how;
  }
}

interface Mounted {
  readonly type: string;
  readonly source: string;
  readonly attributes: MountAttributes;
  /** Of an image: the store's path of the file that was mounted. */
  readonly image?: string;
  /** Whether every file must have fs-verity. */
  readonly isVerityRequired?: boolean;
  readonly data?: string;
}

type Handle =
  | { kind: 'file'; path: string; bytes: Uint8Array; fileKind: 'file' | 'symlink' }
  | { kind: 'device'; path: string }
  | { kind: 'directory'; path: string; image?: string }
  | { kind: 'context'; type: string; options: FsConfig[] }
  | { kind: 'mount'; mounted: Mounted; image?: string }
  | { kind: 'uevents' };

const SILENT = new Set(['close', 'unmount', 'removeDirectory', 'logKernel', 'fsmessages']);
const STORE = '/run/coldseal/store';
const crypto = rememberingCrypto(createNodeCrypto());
const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

export class FakeDevice implements DeviceSys {
  readonly board: FakeBoard;
  readonly #run: FakeRun;
  readonly #handles = new Map<Fd, Handle>();
  #nextFd = 3;
  readonly mounts = new Map<string, Mounted>();
  readonly #tmpfs = new Map<string, Uint8Array>();
  readonly #directories = new Set(['/dev', '/proc', '/sys', '/run', '/sysroot']);
  #root = '';
  readonly calls: string[] = [];
  readonly log: { level: LogLevel; text: string }[] = [];
  #nowNs = 100_000_000;
  #count = 0;
  #effects = 0;
  #announced = 0;
  end: MachineEnd | undefined;
  #ended: Ended | undefined;
  execArgv: readonly string[] = [];
  loaded: string[] = [];
  /** Images of every mount that was made, in order, by their path on the store. */
  readonly imagesMounted: string[] = [];

  constructor(board: FakeBoard, run: FakeRun = {}) {
    this.board = board;
    this.#run = run;
    this.#announced = this.#present().length;
  }

  /** The engine around this device. */
  engine(): Engine {
    const lines: string[] = [];
    return {
      name: 'node',
      sys: this,
      crypto,
      computeDigest: (fd, algorithm) => digestOf(this.#file(fd).bytes, algorithm),
      print: (line) => void lines.push(line),
      printError: (line) => void lines.push(line),
    };
  }

  /** The record as it lies in /run, if one was written. */
  get record(): BootRecord | undefined {
    const bytes = this.#tmpfs.get('/run/coldseal/boot.json');
    return bytes && (JSON.parse(Buffer.from(bytes).toString()) as BootRecord);
  }

  get callCount(): number {
    return this.#count;
  }

  get effectCount(): number {
    return this.#effects;
  }

  /** Descriptors that are still open. */
  get openHandles(): string[] {
    return [...this.#handles.values()].map(({ kind }) => kind);
  }

  /** Mount points of images; nothing but the booted slot's may be here. */
  get imageMounts(): string[] {
    return [...this.mounts]
      .filter(([, { type }]) => type === 'overlay' || type === 'erofs')
      .map(([path]) => path)
      .sort();
  }

  // --- the machine ---

  #call(name: string, ...details: unknown[]): void {
    if (this.end !== undefined) throw (this.#ended ??= new Ended(this.end));
    this.calls.push([name, ...details].join(' '));
    this.#nowNs += 1000;
    if (SILENT.has(name)) return;
    this.#count++;
    if (this.#count === this.#run.failAt) throw new SysError(name, 'EIO', 'made to fail');
  }

  /** Something that outlives the call; true when the power fails within it. */
  #effect(): boolean {
    this.#effects++;
    return this.#effects === this.#run.cutAt;
  }

  #cut(): never {
    this.end = 'power cut';
    throw new Ended('power cut');
  }

  #change(name: string, ...details: unknown[]): void {
    this.#call(name, ...details);
    if (this.#effect()) this.#cut();
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

  #file(fd: Fd): Extract<Handle, { kind: 'file' }> {
    return this.#get(fd, 'file');
  }

  #present(): FakePartition[] {
    return this.board.partitions
      .filter(({ atMs }) => atMs !== undefined && atMs * 1e6 <= this.#nowNs)
      .sort((a, b) => a.atMs! - b.atMs!);
  }

  // --- files ---

  #mountOf(path: string): [string, Mounted] | undefined {
    const inside = [...this.mounts].filter(([at]) => path === at || path.startsWith(`${at}/`));
    return inside.sort(([a], [b]) => b.length - a.length)[0];
  }

  /** A readable file, or undefined. */
  #lookUp(path: string): { bytes: Uint8Array; fileKind: 'file' | 'symlink' } | undefined {
    const mount = this.#mountOf(path);
    const plain = (bytes: Uint8Array | undefined) => bytes && { bytes, fileKind: 'file' as const };
    if (mount === undefined) {
      return plain(this.#root === '' ? this.board.initramfs.get(path) : undefined);
    }
    const [at, { type, source }] = mount;
    if (type === 'proc')
      return path === '/proc/cmdline' ? plain(text(this.board.commandLine)) : undefined;
    if (type === 'sysfs') return plain(this.#sysFile(path));
    if (type === 'tmpfs') return plain(this.#tmpfs.get(path));
    if (type === 'bind') return plain(this.board.initramfs.get(source + path.slice(at.length)));
    if (type !== 'ext4') return undefined;
    const file = this.board.store.get(path.slice(at.length + 1));
    if (file === undefined) return undefined;
    return { bytes: file.bytes, fileKind: file.kind ?? 'file' };
  }

  #sysFile(path: string): Uint8Array | undefined {
    const { smbios, compatible } = this.board;
    if (path === '/sys/firmware/devicetree/base/compatible') {
      return smbios ? undefined : text(`${compatible}\0generic\0`);
    }
    if (path === '/sys/class/dmi/id/sys_vendor') return smbios && text(`${smbios.vendor}\n`);
    if (path === '/sys/class/dmi/id/product_name') return smbios && text(`${smbios.product}\n`);
    const device = /^\/sys\/class\/block\/(\w+)\/uevent$/.exec(path)?.[1];
    const partition = this.#present().find((each) => each.device === device);
    return partition && text(`${ueventOf(partition).slice(1).join('\n')}\n`);
  }

  open(path: string, options: { directory?: boolean; nofollow?: boolean } = {}): Fd {
    this.#call('open', path);
    const own = /^\/proc\/self\/fd\/(\d+)$/.exec(path);
    if (own !== null) {
      const handle = this.#handles.get(Number(own[1]));
      if (handle?.kind !== 'mount') throw new SysError('open', 'ENOENT', path);
      const { image } = handle;
      return this.#open({ kind: 'directory', path, ...(image === undefined ? {} : { image }) });
    }
    if (options.directory === true) {
      const image = this.mounts.get(path)?.image;
      return this.#open({ kind: 'directory', path, ...(image === undefined ? {} : { image }) });
    }
    if (path.startsWith('/dev/') && this.mounts.has('/dev')) {
      const known = this.#present().some(({ device }) => path === `/dev/${device}`);
      if (!known) throw new SysError('open', 'ENOENT', path);
      return this.#open({ kind: 'device', path });
    }
    const file = this.#lookUp(path);
    if (file === undefined) throw new SysError('open', 'ENOENT', path);
    if (file.fileKind === 'symlink' && options.nofollow === true)
      throw new SysError('open', 'ELOOP', path);
    return this.#open({ kind: 'file', path, ...file });
  }

  close(fd: Fd): void {
    this.#call('close', fd);
    if (!this.#handles.delete(fd)) throw new Error(`descriptor ${fd} closed twice`);
  }

  stat(fd: Fd): { kind: 'file' | 'symlink'; size: number; dev: number; ino: number } {
    this.#call('stat', fd);
    const { bytes, fileKind, path } = this.#file(fd);
    // The kernel's own files have no size.
    const size = path.startsWith('/proc') || path.startsWith('/sys') ? 0 : bytes.length;
    return { kind: fileKind, size, dev: 1, ino: fd };
  }

  read(fd: Fd, into: Uint8Array, offset: number): number {
    this.#call('read', fd);
    const handle = this.#handles.get(fd);
    if (handle?.kind === 'device') return copy(this.board.state, into, offset);
    const { bytes, path } = this.#file(fd);
    const file = path.startsWith(`${STORE}/`)
      ? this.board.store.get(path.slice(STORE.length + 1))
      : undefined;
    if (file?.sealed !== undefined && !isIntact(file)) throw new SysError('read', 'EIO', path);
    return copy(bytes, into, offset);
  }

  list(path: string): string[] {
    this.#call('list', path);
    if (path === '/sys/class/block')
      return this.#present()
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
    this.#change('makeDirectory', path);
    if (this.#directories.has(path)) throw new SysError('mkdir', 'EEXIST', path);
    this.#directories.add(path);
  }

  makeTempDirectory(): string {
    this.#change('makeTempDirectory');
    const path = `/run/.tmp-${this.#nextFd++}`;
    this.#directories.add(path);
    return path;
  }

  removeDirectory(path: string): void {
    this.#call('removeDirectory', path);
    if (this.mounts.has(path)) throw new SysError('rmdir', 'EBUSY', path);
    if (!this.#directories.delete(path)) throw new SysError('rmdir', 'ENOENT', path);
  }

  pathOfFd(fd: Fd): string {
    return `/proc/self/fd/${fd}`;
  }

  measureVerity(fd: Fd): KernelMeasurement {
    this.#call('measureVerity', fd);
    const { path } = this.#file(fd);
    const sealed = this.board.store.get(path.slice(STORE.length + 1))?.sealed;
    const honest: KernelMeasurement =
      sealed === undefined
        ? { verity: 'not-enabled' }
        : {
            verity: 'measured',
            algorithm: sealed.length === 64 ? 'sha256' : 'sha512',
            digest: sealed,
          };
    return this.#run.measure?.(path.slice(STORE.length + 1), honest) ?? honest;
  }

  enableVerity(): boolean {
    throw new Error('verity is never enabled on the boot path');
  }

  // --- mounts ---

  fsopen(type: string): Fd {
    this.#call('fsopen', type);
    return this.#open({ kind: 'context', type, options: [] });
  }

  fsconfig(fd: Fd, value: FsConfig): void {
    const key = value.kind === 'create' ? 'create' : value.key;
    this.#call('fsconfig', key);
    const context = this.#get(fd, 'context');
    if (key === 'coldseal-probe') throw new SysError('fsconfig', 'EINVAL', key);
    if (
      value.kind === 'create' &&
      context.type === 'overlay' &&
      this.#run.detachedLayers !== true
    ) {
      const paths = context.options.flatMap((option) =>
        option.kind === 'fd' ? [this.#handles.get(option.fd)] : [],
      );
      // Layers of mounts that are attached nowhere.
      if (
        paths.some(
          (handle) => handle?.kind === 'directory' && handle.path.startsWith('/proc/self/fd/'),
        )
      ) {
        throw new SysError('fsconfig', 'EINVAL', 'create');
      }
      if (
        paths.length > 0 &&
        !context.options.some((option) => 'key' in option && option.key === 'source')
      ) {
        throw new SysError('fsconfig', 'EINVAL', 'create');
      }
    }
    context.options.push(value);
  }

  fsmessages(): string[] {
    return [];
  }

  fsmount(fd: Fd, attributes: MountAttributes): Fd {
    this.#call('fsmount');
    const { type, options } = this.#get(fd, 'context');
    const source = options.find((option) => 'key' in option && option.key === 'source');
    const from = source?.kind === 'string' ? source.value : '';
    const image = type === 'erofs' ? this.#imageOfSource(from) : this.#imageOfLayers(options);
    const verity = options.find((option) => 'key' in option && option.key === 'verity');
    const isVerityRequired = verity?.kind === 'string' && verity.value === 'require';
    const mounted = { type, source: from, attributes, isVerityRequired, ...(image && { image }) };
    return this.#open({ kind: 'mount', mounted, ...(image && { image }) });
  }

  #imageOfSource(source: string): string {
    const handle = this.#handles.get(Number(/(\d+)$/.exec(source)?.[1]));
    if (handle?.kind !== 'file') throw new SysError('fsmount', 'EINVAL', source);
    return handle.path.slice(STORE.length + 1);
  }

  #imageOfLayers(options: readonly FsConfig[]): string | undefined {
    const layer = options.find((option) => 'key' in option && option.key === 'lowerdir+');
    if (layer?.kind === 'string') {
      const attached = this.mounts.get(layer.value)?.image;
      if (attached !== undefined) return attached;
    }
    const fd = layer?.kind === 'fd' ? layer.fd : Number(/(\d+)$/.exec(textOf(layer))?.[1]);
    const handle = this.#handles.get(fd);
    return handle?.kind === 'directory' ? handle.image : undefined;
  }

  moveMount(fd: Fd, target: string): void {
    this.#change('moveMount', target);
    const { mounted } = this.#get(fd, 'mount');
    this.#mountAt(target, mounted);
  }

  #mountAt(target: string, mounted: Mounted): void {
    if (!this.#directories.has(target) && !this.#tmpfs.has(target)) {
      if (mounted.type !== 'cgroup2') throw new SysError('mount', 'ENOENT', target);
    }
    this.mounts.set(target, mounted);
    if (mounted.type === 'overlay') this.imagesMounted.push(mounted.image ?? '');
  }

  setMountAttributes(): void {
    this.#call('setMountAttributes');
  }

  mount(
    source: string,
    target: string,
    type: string,
    options: Omit<MountAttributes, 'idmap'> & { readonly readOnly: boolean; readonly data: string },
  ): void {
    this.#change('mount', type, target);
    const { data, ...attributes } = options;
    if (type === 'ext4' && !this.#present().some(({ device }) => source === `/dev/${device}`)) {
      throw new SysError('mount', 'ENOENT', source);
    }
    const layer = /lowerdir=(?<path>[^:,]+)/.exec(data)?.groups?.['path'];
    const image = layer === undefined ? undefined : this.mounts.get(layer)?.image;
    const isVerityRequired = data.includes('verity=require');
    const mounted = { type, source, attributes, data, isVerityRequired, ...(image && { image }) };
    this.#mountAt(target, mounted);
  }

  unmount(target: string): void {
    this.#call('unmount', target);
    if (!this.mounts.delete(target)) throw new SysError('umount2', 'EINVAL', target);
  }

  attachLoop(): never {
    throw new SysError('attachLoop', 'ENOENT');
  }

  kernelRelease(): string {
    this.#call('kernelRelease');
    return '6.12.48+deb13-arm64';
  }

  // --- what only a device does ---

  writeFile(path: string, bytes: Uint8Array): void {
    this.#change('writeFile', path);
    if (this.#mountOf(path)?.[1].type !== 'tmpfs') throw new SysError('open', 'EROFS', path);
    this.#tmpfs.set(path, bytes.slice());
  }

  writeInPlace(path: string, bytes: Uint8Array, offset: number): void {
    this.#call('writeInPlace', path, offset);
    if (this.#run.failWrites === true) throw new SysError('pwrite', 'EIO', path);
    if (offset + bytes.length > this.board.state.length)
      throw new SysError('pwrite', 'ENOSPC', path);
    if (this.#effect()) {
      this.board.state.set(bytes.subarray(0, this.#run.cutBytes ?? 0), offset);
      this.#cut();
    }
    this.board.state.set(bytes, offset);
  }

  openWrite(path: string): Fd {
    this.#call('openWrite', path);
    throw new SysError('open', 'ENOENT', path);
  }

  write(): void {
    this.#call('write');
  }

  bindMount(source: string, target: string): void {
    this.#change('bindMount', source, target);
    this.#mountAt(target, { type: 'bind', source, attributes: {} });
  }

  moveTree(source: string, target: string): void {
    this.#change('moveTree', source, target);
    if (!this.mounts.has(source)) throw new SysError('mount', 'EINVAL', source);
    const inImage = target.startsWith('/sysroot/');
    if (inImage && !this.board.systemPaths.includes(target.slice('/sysroot'.length))) {
      throw new SysError('mount', 'ENOENT', target);
    }
    this.#rename(source, target);
  }

  #rename(source: string, target: string): void {
    const moved = (path: string): string => target + path.slice(source.length);
    const isInside = (path: string): boolean => path === source || path.startsWith(`${source}/`);
    for (const map of [this.mounts, this.#tmpfs] as Map<string, never>[]) {
      for (const [path, value] of [...map].filter(([path]) => isInside(path))) {
        map.delete(path);
        map.set(moved(path), value);
      }
    }
    for (const path of [...this.#directories].filter(isInside)) {
      if (path !== source) this.#directories.delete(path);
      this.#directories.add(moved(path));
    }
  }

  switchRoot(newRoot: string): void {
    this.#change('switchRoot', newRoot);
    const root = this.mounts.get(newRoot);
    if (root === undefined) throw new SysError('switchRoot', 'EINVAL', newRoot);
    this.mounts.delete(newRoot);
    this.#rename(newRoot, '');
    this.mounts.set('/', root);
    this.#root = newRoot;
  }

  loadModule(fd: Fd): void {
    this.#change('loadModule');
    const { path } = this.#file(fd);
    const name = path.replace(/^.*\/|\.ko$/g, '');
    if (this.board.modulesLoaded.has(name)) throw new SysError('finit_module', 'EEXIST', name);
    this.loaded.push(name);
  }

  openUevents(): Fd {
    this.#call('openUevents');
    this.#announced = this.#present().length;
    return this.#open({ kind: 'uevents' });
  }

  readUevent(events: Fd, timeoutMs: number): string[] | undefined {
    this.#call('readUevent', timeoutMs);
    this.#get(events, 'uevents');
    const next = this.board.partitions
      .filter(({ atMs }) => atMs !== undefined)
      .sort((a, b) => a.atMs! - b.atMs!)[this.#announced];
    const untilNs = this.#nowNs + timeoutMs * 1e6;
    if (next === undefined || next.atMs! * 1e6 > untilNs) {
      this.#nowNs = untilNs;
      return undefined;
    }
    this.#announced++;
    this.#nowNs = Math.max(this.#nowNs, next.atMs! * 1e6);
    return ueventOf(next);
  }

  clock(): ClockReading {
    this.#call('clock');
    const bootNs = this.#nowNs;
    if (this.#run.counter === false) return { bootNs };
    // The counter started 400 ms before the kernel's clock.
    const ticks = Math.round((bootNs + 400_000_000) / 16);
    return { bootNs, counter: { name: 'CNTVCT_EL0', ticks, hz: 62_500_000 } };
  }

  sleep(ms: number): void {
    this.#call('sleep', ms);
    this.#nowNs += ms * 1e6;
  }

  pid(): number {
    return 1;
  }

  spawn(job: SpawnJob): number {
    this.#call('spawn', job.argv.join(' '));
    throw new SysError('spawn', 'ENOENT', job.argv[0]);
  }

  waitChild(): undefined {
    this.#call('waitChild');
    return undefined;
  }

  exec(argv: readonly string[]): never {
    this.#call('exec', argv.join(' '));
    if (this.#root === '' || !this.board.systemPaths.includes(argv[0]!)) {
      throw new SysError('execve', 'ENOENT', argv[0]);
    }
    this.execArgv = argv;
    this.end = 'exec';
    throw new Ended('exec');
  }

  fork(): number {
    this.#call('fork');
    return 2;
  }

  kill(): void {
    this.#call('kill');
  }

  pipe(): { read: Fd; write: Fd } {
    this.#call('pipe');
    throw new SysError('pipe', 'EMFILE');
  }

  waitReadable(): Fd[] {
    this.#call('waitReadable');
    return [];
  }

  readStream(): number {
    this.#call('readStream');
    return 0;
  }

  logKernel(level: LogLevel, line: string): void {
    this.#call('logKernel', line);
    this.log.push({ level, text: line });
  }

  endMachine(how: 'restart' | 'power-off' | 'halt'): never {
    this.#call('endMachine', how);
    this.end = how;
    throw new Ended(how);
  }
}

function ueventOf({ name, device }: FakePartition): string[] {
  return [
    'ACTION=add',
    'SUBSYSTEM=block',
    'DEVTYPE=partition',
    `DEVNAME=${device}`,
    `PARTNAME=${name}`,
  ];
}

function copy(bytes: Uint8Array, into: Uint8Array, offset: number): number {
  const part = bytes.subarray(offset, offset + into.length);
  into.set(part);
  return part.length;
}

export function digestOf(bytes: Uint8Array, algorithm: VerityAlgorithm = 'sha256'): string {
  return toHex(fsVerityDigest(bytes, algorithm, hashFunction(algorithm)));
}

/** The same signatures are verified in hundreds of boots. */
function rememberingCrypto(real: Crypto): Crypto {
  const known = new Map<string, boolean>();
  return {
    ...real,
    verifySignature: (algorithm, spki, message, signature) => {
      const parts = [spki, message, signature].map((part) => toHex(real.sha256(part)));
      const key = [algorithm, ...parts].join();
      const answer = known.get(key) ?? real.verifySignature(algorithm, spki, message, signature);
      known.set(key, answer);
      return answer;
    },
  };
}

const textOf = (option: FsConfig | undefined): string =>
  option?.kind === 'string' ? option.value : '';

const isIntact = (file: StoreFile): boolean => digestOf(file.bytes) === file.sealed;
