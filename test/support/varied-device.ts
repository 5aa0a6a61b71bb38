/**
 * Fake boards that differ in their kernel and in their containers: older mount calls, loop devices, engines that
 * end well, badly or never, an attendant with somewhere to report to.
 */
import { SysError } from '../../runtime/sys-error.ts';
import type { ChildExit, Fd, FsConfig, LoopDevice, MountAttributes } from '../../runtime/sys.ts';
import type { FakeBoard, FakeRun } from './fake-board.ts';
import { FakeDevice } from './fake-device.ts';

export interface Variation {
  /** Calls that fail, by their name and what they are asked, with an errno. */
  readonly failures?: readonly (readonly [call: RegExp, errno: string])[];
  /** What the engine of each container does; without it there are no containers' calls. */
  readonly engines?: {
    readonly code?: number;
    readonly output?: string;
    readonly never?: true;
  };
  /** What fork answers. */
  readonly fork?: number;
}

const PORTS = '/sys/class/virtio-ports';
const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

/** A device whose container engines all do the same. */
export class VariedDevice extends FakeDevice {
  readonly #variation: Variation;
  readonly #children: ChildExit[] = [];
  readonly #streams = new Map<Fd, string>();

  constructor(board: FakeBoard, run: FakeRun, variation: Variation) {
    super(board, run);
    this.#variation = variation;
  }

  protected override call(name: string, ...details: unknown[]): void {
    super.call(name, ...details);
    const made = [name, ...details].join(' ');
    const failure = this.#variation.failures?.find(([call]) => call.test(made));
    if (failure !== undefined) throw new SysError(name, failure[1]);
  }

  override open(path: string, options: { directory?: boolean; nofollow?: boolean } = {}): Fd {
    const bytes = this.#special(path);
    if (bytes === undefined) return super.open(path, options);
    this.call('open', path);
    return this.handleFor({ kind: 'file', path, bytes, fileKind: 'file' });
  }

  #special(path: string): Uint8Array | undefined {
    if (path === `${PORTS}/vport0p1/name`) return text('results\n');
    const hasBundles = this.#variation.engines !== undefined;
    return hasBundles && path.endsWith('/config.json') ? text('{}') : undefined;
  }

  override list(path: string): string[] {
    return path === PORTS ? ['vport0p1'] : super.list(path);
  }

  override openWrite(path: string): Fd {
    this.call('openWrite', path);
    return this.handleFor({ kind: 'device', path });
  }

  override fsconfig(fd: Fd, value: FsConfig): void {
    const kind = value.kind === 'create' ? 'create' : `${value.kind} ${value.key}`;
    this.call('configure', this.handle(fd, 'context').type, kind);
    if (kind === 'string coldseal-probe') return this.call('configure-probe');
    super.fsconfig(fd, value);
  }

  override fsmount(fd: Fd, attributes: MountAttributes): Fd {
    const { type, options } = this.handle(fd, 'context');
    const source = options.find((option) => 'key' in option && option.key === 'source');
    this.call('mount-source', type, source?.kind === 'string' ? source.value : '');
    return super.fsmount(fd, attributes);
  }

  override attachLoop(file: Fd): LoopDevice {
    this.call('attachLoop');
    const fd = this.handleFor({ ...this.fileOf(file) });
    return { path: `/dev/loop${fd}`, fd };
  }

  override fork(): number {
    this.call('fork');
    return this.#variation.fork ?? 2;
  }

  override pipe(): { read: Fd; write: Fd } {
    this.call('pipe');
    const read = this.handleFor({ kind: 'device', path: 'pipe' });
    this.#streams.set(read, this.#variation.engines?.output ?? '');
    return { read, write: this.handleFor({ kind: 'device', path: 'pipe' }) };
  }

  override spawn(): number {
    this.call('spawn');
    const { code = 0, never } = this.#variation.engines!;
    const pid = 100 + this.#children.length;
    if (never !== true) this.#children.push({ pid, code });
    return pid;
  }

  override waitChild(): ChildExit | undefined {
    this.call('waitChild');
    return this.#children.pop();
  }

  override waitReadable(fds: readonly Fd[]): Fd[] {
    this.call('waitReadable');
    return [...fds];
  }

  override readStream(fd: Fd, into: Uint8Array): number {
    this.call('readStream');
    const bytes = text(this.#streams.get(fd) ?? '');
    this.#streams.set(fd, '');
    into.set(bytes);
    return bytes.length;
  }
}
