/**
 * Container engines, containers and their pipes on a clock of their own: what each prints and when is a script.
 *
 * Only the calls that starting and attending containers need; waiting moves the clock, so a test takes no time.
 */
import type { Engine } from '../../runtime/engine.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { ChildExit, DeviceSys, Fd, SpawnJob } from '../../runtime/sys.ts';

/** One container, in milliseconds from the start of its engine. */
export interface ContainerScript {
  /** False: its image has no config.json. An errno: opening it fails so. */
  readonly bundle?: boolean | string;
  /** The errno that starting the engine gives. */
  readonly spawn?: string;
  /** When the engine ends; never when absent. */
  readonly engineMs?: number;
  readonly code?: number;
  readonly output?: readonly (readonly [atMs: number, text: string])[];
  /** When the container closes its output; never when absent. */
  readonly endMs?: number;
  /** What was there before, by the device's time: an earlier try that went on. Its name is in the way of a new one. */
  readonly before?: readonly (readonly [
    fromMs: number,
    status: 'starting' | 'created' | 'running' | 'paused' | 'stopped' | 'gone',
  ])[];
}

/** How long an engine takes to answer a question. */
const ANSWER_MS = 1;

interface Running {
  readonly pid: number;
  readonly fd: Fd;
  readonly startMs: number;
  readonly script: ContainerScript;
  output: (readonly [atMs: number, text: string])[];
  isReaped: boolean;
}

export class MachineEnded extends Error {}

const CONFIG = /^\/run\/coldseal\/containers\/([^/]+)\/config\.json$/;
const PORT_NAME = /^\/sys\/class\/virtio-ports\/([^/]+)\/name$/;

/** A device that can do nothing but run containers. */
export class FakeContainers {
  readonly scripts: Readonly<Record<string, ContainerScript>>;
  /** Children that somebody else left behind: when they end. */
  strangers: number[] = [];
  /** virtio-serial ports, device to name. */
  ports: Record<string, string> = {};
  nowMs: number;
  readonly files = new Map<string, string>();
  readonly spawned: string[] = [];
  /** Questions to the engine, and what it was told to take away. */
  readonly asked: string[] = [];
  readonly #deleted = new Set<string>();
  readonly log: string[] = [];
  end: string | undefined;
  /** Calls by name that fail with an errno. */
  readonly failures = new Map<string, string>();
  /** What fork gives; undefined: the engine has none. */
  forkResult: number | undefined = 0;
  #running: Running[] = [];
  readonly #open = new Map<Fd, string>();
  #nextFd: Fd;

  constructor(scripts: Readonly<Record<string, ContainerScript>>, nowMs = 1000, firstFd = 10) {
    this.scripts = scripts;
    this.nowMs = nowMs;
    this.#nextFd = firstFd;
  }

  /** What is open now; pipes are named after their container. */
  get openHandles(): string[] {
    return [...this.#open.values()];
  }

  engine(): Engine {
    const sys = this as unknown as DeviceSys;
    const unused = (): never => {
      throw new Error('not here');
    };
    return {
      name: 'node',
      sys,
      crypto: { algorithms: new Set(), sha256: unused, verifySignature: unused },
      computeDigest: unused,
      print: unused,
      printError: unused,
    };
  }

  #fail(call: string): void {
    const errno = this.failures.get(call);
    if (errno !== undefined) throw new SysError(call, errno);
  }

  #handle(what: string): Fd {
    this.#open.set(this.#nextFd, what);
    return this.#nextFd++;
  }

  clock(): { bootNs: number } {
    return { bootNs: this.nowMs * 1e6 };
  }

  sleep(ms: number): void {
    this.nowMs += ms;
  }

  pid(): number {
    return 50;
  }

  // --- files ---

  open(path: string): Fd {
    this.#fail('open');
    const bundle = this.scripts[CONFIG.exec(path)?.[1] ?? '']?.bundle;
    if (typeof bundle === 'string') throw new SysError('open', bundle, path);
    const isThere =
      path === '/dev/null' ||
      (CONFIG.test(path) ? bundle !== false : PORT_NAME.test(path) || this.files.has(path));
    if (!isThere) throw new SysError('open', 'ENOENT', path);
    return this.#handle(path);
  }

  close(fd: Fd): void {
    if (fd > 2 && !this.#open.delete(fd)) throw new Error(`descriptor ${fd} closed twice`);
  }

  stat(): { kind: 'file'; size: number } {
    return { kind: 'file', size: 0 };
  }

  read(fd: Fd, into: Uint8Array, offset: number): number {
    const path = this.#open.get(fd)!;
    const port = PORT_NAME.exec(path)?.[1];
    const text = port === undefined ? this.files.get(path)! : `${this.ports[port]}\n`;
    const bytes = Buffer.from(text, 'latin1').subarray(offset, offset + into.length);
    into.set(bytes);
    return bytes.length;
  }

  list(): string[] {
    this.#fail('list');
    return Object.keys(this.ports).sort();
  }

  makeDirectory(): void {
    this.#fail('makeDirectory');
  }

  writeFile(path: string, bytes: Uint8Array): void {
    this.#fail('writeFile');
    this.files.set(path, Buffer.from(bytes).toString('latin1'));
  }

  openWrite(path: string): Fd {
    this.#fail('openWrite');
    return this.#handle(path);
  }

  write(fd: Fd, bytes: Uint8Array): void {
    this.#fail('write');
    const path = this.#open.get(fd)!;
    const text = Buffer.from(bytes).toString('latin1');
    this.files.set(path, `${this.files.get(path) ?? ''}${text}`);
  }

  logKernel(_level: string, line: string): void {
    this.log.push(line);
  }

  endMachine(how: string): never {
    this.end = how;
    throw new MachineEnded(how);
  }

  // --- processes ---

  pipe(): { read: Fd; write: Fd } {
    this.#fail('pipe');
    return { read: this.#handle('pipe'), write: this.#handle('write end') };
  }

  spawn(job: SpawnJob): number {
    const name = job.argv.at(-1)!;
    const given = this.scripts[name]!;
    if (given.spawn !== undefined) throw new SysError('spawn', given.spawn, job.argv[0]);
    const script = this.#scriptOf(job, name, given);
    const pid = 100 + this.#running.length;
    // The read end was made just before the write end.
    const fd = job.output! - 1;
    this.#open.set(fd, name);
    const output = [...(script.output ?? [])];
    this.#running.push({ pid, fd, script, output, startMs: this.nowMs, isReaped: false });
    return pid;
  }

  /** What the engine does: answer, take away, complain about a taken name, or as the script of the test says. */
  #scriptOf({ argv }: SpawnJob, name: string, script: ContainerScript): ContainerScript {
    const answer = (code: number, text: string): ContainerScript => ({
      engineMs: ANSWER_MS,
      code,
      output: text === '' ? [] : [[ANSWER_MS, text]],
      endMs: ANSWER_MS,
    });
    const status = this.#statusOf(name, script);
    if (argv[1] === 'state' || argv[1] === 'delete') {
      this.asked.push(argv.slice(1).join(' '));
      if (status === undefined || status === 'starting') return answer(1, 'error: no status\n');
      if (argv[1] === 'state')
        return answer(0, `{\n  "id": "${name}",\n  "status": "${status}"\n}\n`);
      this.#deleted.add(name);
      return answer(0, '');
    }
    this.spawned.push(argv.join(' '));
    return status === undefined
      ? script
      : answer(1, `error: container \`${name}\` already exists\n`);
  }

  /** Undefined: there is no such container. */
  #statusOf(name: string, { before = [] }: ContainerScript): string | undefined {
    const latest = before.filter(([fromMs]) => fromMs <= this.nowMs).at(-1)?.[1];
    return latest === 'gone' || this.#deleted.has(name) ? undefined : latest;
  }

  waitChild(timeoutMs: number): ChildExit | undefined {
    const own = this.#running
      .filter(({ isReaped }) => !isReaped)
      .map((each) => ({ each, atMs: each.startMs + (each.script.engineMs ?? Infinity) }));
    const others = this.strangers.map((atMs) => ({ each: undefined, atMs }));
    const [next] = [...own, ...others].sort((a, b) => a.atMs - b.atMs);
    if (next === undefined) return undefined;
    if (next.atMs > this.nowMs + timeoutMs) {
      this.nowMs += timeoutMs;
      return undefined;
    }
    this.nowMs = Math.max(this.nowMs, next.atMs);
    if (next.each === undefined) {
      this.strangers = this.strangers.filter((atMs) => atMs !== next.atMs);
      return { pid: 7, code: 0 };
    }
    next.each.isReaped = true;
    return { pid: next.each.pid, code: next.each.script.code ?? 0 };
  }

  fork(): number {
    if (this.forkResult === undefined) throw new SysError('fork', 'ENOSYS');
    return this.forkResult;
  }

  #eventMs({ startMs, script, output }: Running): number {
    return startMs + (output[0]?.[0] ?? script.endMs ?? Infinity);
  }

  waitReadable(fds: readonly Fd[], timeoutMs: number): Fd[] {
    const watched = this.#running.filter(({ fd }) => fds.includes(fd));
    const nextMs = Math.min(...watched.map((each) => this.#eventMs(each)));
    if (nextMs > this.nowMs + timeoutMs) {
      if (nextMs === Infinity && timeoutMs > 1e6) throw new Error('would wait for ever');
      this.nowMs += timeoutMs;
      return [];
    }
    this.nowMs = Math.max(this.nowMs, nextMs);
    return watched.filter((each) => this.#eventMs(each) <= this.nowMs).map(({ fd }) => fd);
  }

  readStream(fd: Fd, into: Uint8Array): number {
    const running = this.#running.find((each) => each.fd === fd)!;
    const [next] = running.output;
    if (next === undefined) {
      if (this.#eventMs(running) > this.nowMs) throw new Error('would block');
      return 0;
    }
    const [atMs, text] = next;
    if (running.startMs + atMs > this.nowMs) throw new Error('would block');
    const bytes = Buffer.from(text, 'latin1').subarray(0, into.length);
    into.set(bytes);
    const rest = text.slice(bytes.length);
    running.output = [...(rest === '' ? [] : [[atMs, rest] as const]), ...running.output.slice(1)];
    return bytes.length;
  }
}
