/**
 * Programs on Node: started, waited for and replaced without its event loop, because every call of Sys is synchronous.
 *
 * A child is started by posix_spawn, which is safe in a program with threads; fork is not, so there is none. Node
 * ignores SIGPIPE, and what is ignored stays so across an exec: children and successors get the default back. It also
 * marks its standard descriptors to be closed by an exec: they are kept open.
 * Sources: posix_spawn(3), waitpid(2), poll(2), bits/poll.h, spawn.h.
 */
import { readSync } from 'node:fs';
import { SysError } from '../../sys-error.ts';
import type { ChildExit, Fd, SpawnJob, SysProcesses } from '../../sys.ts';
import { byteText, libc, terminated, throwErrno } from './libc.ts';

/** Larger than sizeof(posix_spawn_file_actions_t) and posix_spawnattr_t of glibc (80, 336) and musl. */
const SPAWN_RECORD_SIZE = 1024;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSID = 0x80;
const SIGSET_SIZE = 128;
const SIGPIPE = 13;
const WNOHANG = 1;
const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
const F_SETFD = 2;
const POLLIN = 1;
const POLLFD_SIZE = 8;
/** Children are looked for this often: Node's threads leave no way to wait for any child with a deadline. */
const WAIT_STEP_MS = 1;

interface ProcessCalls {
  readonly actionsInit: (actions: Buffer) => number;
  readonly actionsDestroy: (actions: Buffer) => number;
  readonly actionsOpen: (
    actions: Buffer,
    fd: number,
    path: Buffer,
    flags: number,
    mode: number,
  ) => number;
  readonly actionsDup2: (actions: Buffer, from: number, to: number) => number;
  readonly actionsChdir: (actions: Buffer, path: Buffer) => number;
  readonly attrInit: (attr: Buffer) => number;
  readonly attrDestroy: (attr: Buffer) => number;
  readonly attrFlags: (attr: Buffer, flags: number) => number;
  readonly attrSigdefault: (attr: Buffer, set: Buffer) => number;
  readonly spawn: (
    pid: Buffer,
    path: Buffer,
    actions: Buffer,
    attr: Buffer,
    argv: Buffer,
    env: Buffer,
  ) => number;
  readonly waitpid: (pid: number, status: Buffer, options: number) => number;
  readonly execve: (path: Buffer, argv: Buffer, env: Buffer) => number;
  readonly signal: (signal: number, handler: null) => bigint | number;
  readonly fcntl: (fd: number, command: number, argument: number) => number;
  readonly kill: (pid: number, signal: number) => number;
  readonly pipe2: (fds: Buffer, flags: number) => number;
  readonly poll: (fds: Buffer, count: number, timeoutMs: number) => number;
}

let bound: ProcessCalls | undefined;

function calls(): ProcessCalls {
  if (bound !== undefined) return bound;
  const { bind } = libc();
  const pointer = 'void *';
  const int = <F>(name: string, ...args: string[]): F => bind(name, 'int', args);
  const actions = 'posix_spawn_file_actions_';
  const attr = 'posix_spawnattr_';
  bound = {
    actionsInit: int(`${actions}init`, pointer),
    actionsDestroy: int(`${actions}destroy`, pointer),
    actionsOpen: int(`${actions}addopen`, pointer, 'int', pointer, 'int', 'uint'),
    actionsDup2: int(`${actions}adddup2`, pointer, 'int', 'int'),
    actionsChdir: int(`${actions}addchdir_np`, pointer, pointer),
    attrInit: int(`${attr}init`, pointer),
    attrDestroy: int(`${attr}destroy`, pointer),
    attrFlags: int(`${attr}setflags`, pointer, 'short'),
    attrSigdefault: int(`${attr}setsigdefault`, pointer, pointer),
    spawn: int('posix_spawn', pointer, pointer, pointer, pointer, pointer, pointer),
    waitpid: int('waitpid', 'int', pointer, 'int'),
    execve: int('execve', pointer, pointer, pointer),
    signal: bind('signal', 'intptr_t', ['int', pointer]),
    fcntl: int('fcntl', 'int', 'int', 'int'),
    kill: int('kill', 'int', 'int'),
    pipe2: int('pipe2', pointer, 'int'),
    poll: int('poll', pointer, 'unsigned long', 'int'),
  };
  return bound;
}

export const processes: SysProcesses = {
  pid: () => process.pid,
  spawn,
  waitChild,
  exec,
  fork: () => {
    throw new SysError('fork', 'ENOSYS', 'not safe in Node');
  },
  kill: (pid, signal) => {
    if (calls().kill(pid, signal) !== 0) throwErrno('kill');
  },
  pipe: () => {
    const fds = Buffer.alloc(8);
    if (calls().pipe2(fds, O_CLOEXEC) !== 0) throwErrno('pipe2');
    return { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
  },
  waitReadable,
  readStream: (fd, into) => readSync(fd, into, 0, into.length, null),
};

/** The text as a program takes it, and its bytes kept alive by the array it is in. */
const cText = (text: string): Buffer => terminated(byteText(text));

/** A list of pointers as execve takes it. The caller keeps `texts` alive. */
function pointerList(texts: readonly Buffer[]): Buffer {
  const list = Buffer.alloc(8 * (texts.length + 1));
  texts.forEach((text, index) => list.writeBigUInt64LE(libc().address(text), 8 * index));
  return list;
}

function spawn({ argv, env, output, cwd }: SpawnJob): number {
  const c = calls();
  const actions = Buffer.alloc(SPAWN_RECORD_SIZE);
  const attr = Buffer.alloc(SPAWN_RECORD_SIZE);
  const pid = Buffer.alloc(4);
  const signals = Buffer.alloc(SIGSET_SIZE);
  signals.writeUInt32LE(1 << (SIGPIPE - 1), 0);
  const words = argv.map(cText);
  const variables = env.map(cText);
  // Unlike other calls these return the errno.
  const must = (call: string, errno: number): void => {
    if (errno !== 0) throw new SysError(call, libc().nameOf(errno), argv[0]);
  };
  c.actionsInit(actions);
  c.attrInit(attr);
  try {
    must('spawn', c.actionsOpen(actions, 0, cText('/dev/null'), O_RDONLY, 0));
    // Node has made its own closed on exec; duplicated onto itself a descriptor stays open.
    for (const fd of [1, 2]) must('spawn', c.actionsDup2(actions, output ?? fd, fd));
    if (cwd !== undefined) must('spawn', c.actionsChdir(actions, cText(cwd)));
    must('spawn', c.attrSigdefault(attr, signals));
    must('spawn', c.attrFlags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF));
    const [list, environment] = [pointerList(words), pointerList(variables)];
    must('posix_spawn', c.spawn(pid, words[0]!, actions, attr, list, environment));
    return pid.readInt32LE(0);
  } finally {
    c.attrDestroy(attr);
    c.actionsDestroy(actions);
  }
}

function waitChild(timeoutMs: number): ChildExit | undefined {
  const status = Buffer.alloc(4);
  const end = performance.now() + timeoutMs;
  for (;;) {
    const pid = calls().waitpid(-1, status, WNOHANG);
    if (pid > 0) return { pid, code: exitCode(status.readInt32LE(0)) };
    if (pid < 0 && libc().errnoName() === 'ECHILD') return undefined;
    const leftMs = end - performance.now();
    if (leftMs <= 0) return undefined;
    pollFds([], Math.min(WAIT_STEP_MS, Math.ceil(leftMs)));
  }
}

/** The wait status as a shell tells it (bits/waitstatus.h). */
function exitCode(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

function exec(argv: readonly string[], env: readonly string[]): never {
  const words = argv.map(cText);
  const variables = env.map(cText);
  calls().signal(SIGPIPE, null);
  for (const fd of [0, 1, 2]) calls().fcntl(fd, F_SETFD, 0);
  calls().execve(words[0]!, pointerList(words), pointerList(variables));
  return throwErrno('execve', argv[0]);
}

function waitReadable(fds: readonly Fd[], timeoutMs: number): Fd[] {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const ready = pollFds(fds, Math.max(0, Math.ceil(end - performance.now())));
    if (ready !== undefined) return ready;
  }
}

/** One poll(2); undefined when a signal ended it. Any event counts: an ended pipe can be read to its end. */
function pollFds(fds: readonly Fd[], timeoutMs: number): Fd[] | undefined {
  const records = Buffer.alloc(Math.max(1, fds.length) * POLLFD_SIZE);
  fds.forEach((fd, index) => {
    records.writeInt32LE(fd, index * POLLFD_SIZE);
    records.writeInt16LE(POLLIN, index * POLLFD_SIZE + 4);
  });
  const timeout = Math.min(timeoutMs, 0x7fffffff);
  if (calls().poll(records, fds.length, timeout) < 0) {
    if (libc().errnoName() === 'EINTR') return undefined;
    throwErrno('poll');
  }
  return fds.filter((_, index) => records.readInt16LE(index * POLLFD_SIZE + 6) !== 0);
}
