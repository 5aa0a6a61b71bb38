/**
 * A whole small board behind DeviceSys: partitions that appear late or never, a store whose files are sealed, a state
 * partition whose writes can be torn, and a power supply that can fail after any effect.
 *
 * The disk outlives a run: `new FakeDevice(board)` is one power-on. A machine that has ended, by exec, by endMachine or
 * by a power cut, does nothing any more: every later call throws the same end and has no effect. So a boot that
 * swallowed it would still be dead, as on hardware.
 */
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import type { Engine } from '../../runtime/engine.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type {
  ChildExit,
  ClockReading,
  DeviceSys,
  Fd,
  LogLevel,
  SpawnJob,
} from '../../runtime/sys.ts';
import { digestOf, Ended, rememberingCrypto, ueventOf } from './fake-board.ts';
import { FakeMounts } from './fake-mounts.ts';

const crypto = rememberingCrypto(createNodeCrypto());

export class FakeDevice extends FakeMounts implements DeviceSys {
  /** The engine around this device. */
  engine(): Engine {
    const lines: string[] = [];
    return {
      name: 'node',
      sys: this,
      crypto,
      computeDigest: (fd, algorithm) => digestOf(this.fileOf(fd).bytes, algorithm),
      print: (line) => void lines.push(line),
      printError: (line) => void lines.push(line),
    };
  }

  writeFile(path: string, bytes: Uint8Array): void {
    this.change('writeFile', path);
    if (this.mountOf(path)?.[1].type !== 'tmpfs') throw new SysError('open', 'EROFS', path);
    this.tmpfs.set(path, bytes.slice());
  }

  writeInPlace(path: string, bytes: Uint8Array, offset: number): void {
    this.call('writeInPlace', path, offset);
    if (this.run.failWrites === true) throw new SysError('pwrite', 'EIO', path);
    if (offset + bytes.length > this.board.state.length)
      throw new SysError('pwrite', 'ENOSPC', path);
    if (this.effect()) {
      this.board.state.set(bytes.subarray(0, this.run.cutBytes ?? 0), offset);
      this.cut();
    }
    this.board.state.set(bytes, offset);
  }

  openWrite(path: string): Fd {
    this.call('openWrite', path);
    throw new SysError('open', 'ENOENT', path);
  }

  write(): void {
    this.call('write');
  }

  bindMount(source: string, target: string): void {
    this.change('bindMount', source, target);
    this.mountAt(target, { type: 'bind', source, attributes: {} });
  }

  moveTree(source: string, target: string): void {
    this.change('moveTree', source, target);
    if (!this.mounts.has(source)) throw new SysError('mount', 'EINVAL', source);
    const inImage = target.startsWith('/sysroot/');
    if (inImage && !this.board.systemPaths.includes(target.slice('/sysroot'.length))) {
      throw new SysError('mount', 'ENOENT', target);
    }
    this.rename(source, target);
  }

  protected rename(source: string, target: string): void {
    const moved = (path: string): string => target + path.slice(source.length);
    const isInside = (path: string): boolean => path === source || path.startsWith(`${source}/`);
    for (const map of [this.mounts, this.tmpfs] as Map<string, never>[]) {
      for (const [path, value] of [...map].filter(([path]) => isInside(path))) {
        map.delete(path);
        map.set(moved(path), value);
      }
    }
    for (const path of [...this.directories].filter(isInside)) {
      if (path !== source) this.directories.delete(path);
      this.directories.add(moved(path));
    }
  }

  switchRoot(newRoot: string): void {
    this.change('switchRoot', newRoot);
    const root = this.mounts.get(newRoot);
    if (root === undefined) throw new SysError('switchRoot', 'EINVAL', newRoot);
    this.mounts.delete(newRoot);
    this.rename(newRoot, '');
    this.mounts.set('/', root);
    this.root = newRoot;
  }

  loadModule(fd: Fd): void {
    this.change('loadModule');
    const { path } = this.fileOf(fd);
    const name = path.replace(/^.*\/|\.ko$/g, '');
    if (this.board.modulesLoaded.has(name)) throw new SysError('finit_module', 'EEXIST', name);
    this.loaded.push(name);
  }

  openUevents(): Fd {
    this.call('openUevents');
    this.announced = this.present().length;
    return this.handleFor({ kind: 'uevents' });
  }

  readUevent(events: Fd, timeoutMs: number): string[] | undefined {
    this.call('readUevent', timeoutMs);
    this.handle(events, 'uevents');
    const next = this.board.partitions
      .filter(({ atMs }) => atMs !== undefined)
      .sort((a, b) => a.atMs! - b.atMs!)[this.announced];
    const untilNs = this.nowNs + timeoutMs * 1e6;
    if (next === undefined || next.atMs! * 1e6 > untilNs) {
      this.nowNs = untilNs;
      return undefined;
    }
    this.announced++;
    this.nowNs = Math.max(this.nowNs, next.atMs! * 1e6);
    return ueventOf(next);
  }

  clock(): ClockReading {
    this.call('clock');
    const bootNs = this.nowNs;
    if (this.run.counter === false) return { bootNs };
    // The counter started 400 ms before the kernel's clock.
    const ticks = Math.round((bootNs + 400_000_000) / 16);
    return { bootNs, counter: { name: 'CNTVCT_EL0', ticks, hz: 62_500_000 } };
  }

  sleep(ms: number): void {
    this.call('sleep', ms);
    this.nowNs += ms * 1e6;
  }

  pid(): number {
    return 1;
  }

  spawn(job: SpawnJob): number {
    this.call('spawn', job.argv.join(' '));
    throw new SysError('spawn', 'ENOENT', job.argv[0]);
  }

  waitChild(): ChildExit | undefined {
    this.call('waitChild');
    return undefined;
  }

  exec(argv: readonly string[]): never {
    this.call('exec', argv.join(' '));
    if (this.root === '' || !this.board.systemPaths.includes(argv[0]!)) {
      throw new SysError('execve', 'ENOENT', argv[0]);
    }
    this.execArgv = argv;
    this.end = 'exec';
    throw new Ended('exec');
  }

  fork(): number {
    this.call('fork');
    return 2;
  }

  kill(): void {
    this.call('kill');
  }

  pipe(): { read: Fd; write: Fd } {
    this.call('pipe');
    throw new SysError('pipe', 'EMFILE');
  }

  waitReadable(_fds: readonly Fd[]): Fd[] {
    this.call('waitReadable');
    return [];
  }

  readStream(_fd: Fd, _into: Uint8Array): number {
    this.call('readStream');
    return 0;
  }

  logKernel(level: LogLevel, line: string): void {
    this.call('logKernel', line);
    this.log.push({ level, text: line });
  }

  endMachine(how: 'restart' | 'power-off' | 'halt'): never {
    this.call('endMachine', how);
    this.end = how;
    throw new Ended(how);
  }
}
