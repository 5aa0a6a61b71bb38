/**
 * Running a rig's command to its end: through the shell, in a process group of its own, so that nothing which the
 * command started is left behind when it is stopped.
 *
 * It is stopped when the signal aborts, when its time is over, and when it says more than it may: SIGTERM for the
 * group, and SIGKILL when that was not enough. Two seconds are for a relay that is to be put back.
 */
import { spawn } from 'node:child_process';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import { lastLines } from '../host/run-tool.ts';

const GRACE_MS = 2000;
const GROUP_POLL_MS = 20;
/** As much as a console of a virtual board. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export interface CommandSettings {
  readonly cwd: string;
  /** Added to the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandResult {
  /** The exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Why it was stopped, if it was. */
  readonly stopped: 'late' | 'output' | null;
  /** On the host's monotonic clock: just before it was started, and when its end was seen. */
  readonly startedNs: bigint;
  readonly endedNs: bigint;
}

/** Runs a command; its exit code is for the caller to judge. Rejects with the signal's reason. */
export async function runCommand(
  command: string,
  { cwd, env, timeoutMs, signal }: CommandSettings,
): Promise<CommandResult> {
  signal?.throwIfAborted();
  const startedNs = process.hrtime.bigint();
  const child = spawn('/bin/sh', ['-c', command], {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stopped: CommandResult['stopped'] = null;
  let size = 0;
  let graceTimer: NodeJS.Timeout | undefined;
  const killAll = (): void => void signalGroup(child.pid, 'SIGKILL');
  const stop = (why: CommandResult['stopped']): void => {
    if (graceTimer !== undefined) return;
    stopped = why;
    signalGroup(child.pid, 'SIGTERM');
    graceTimer = setTimeout(killAll, GRACE_MS);
  };
  const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
    size += chunk.length;
    if (size > OUTPUT_BYTES_MAX) stop('output');
    else chunks.push(chunk);
  };
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', collect(stdout));
  child.stderr.on('data', collect(stderr));
  const timer = setTimeout(() => stop('late'), timeoutMs);
  const abort = (): void => stop(null);
  signal?.addEventListener('abort', abort);
  process.once('exit', killAll);
  try {
    const { code, endedNs } = await endOf(child, cwd, () => graceTimer !== undefined);
    signal?.throwIfAborted();
    const text = Buffer.concat(stderr).toString();
    return { code, stdout: Buffer.concat(stdout), stderr: text, stopped, startedNs, endedNs };
  } finally {
    clearTimeout(timer);
    if (graceTimer !== undefined) await endGroup(child.pid, graceTimer);
    signal?.removeEventListener('abort', abort);
    process.off('exit', killAll);
  }
}

/** Runs a command that must succeed; otherwise the rig is broken. Throws HOST_RIG_COMMAND. */
export async function runRigCommand(
  what: string,
  command: string,
  settings: CommandSettings,
): Promise<CommandResult> {
  const result = await runCommand(command, settings);
  if (result.code === 0 && result.stopped === null) return result;
  throw rigCommandError(what, command, result, settings.timeoutMs);
}

export function rigCommandError(
  what: string,
  command: string,
  { code, stderr, stopped }: CommandResult,
  timeoutMs: number,
): ColdsealError {
  const how =
    stopped === 'late'
      ? `it took longer than ${timeoutMs} ms`
      : stopped === 'output'
        ? `it printed more than ${OUTPUT_BYTES_MAX} bytes`
        : code === null
          ? 'a signal ended it'
          : `it exited with ${code}`;
  return new ColdsealError('HOST_RIG_COMMAND', `Cannot ${what} with ${command}: ${how}`, {
    hint: lastLines(stderr),
  });
}

/**
 * The end of the command: it has exited, and what it printed has been read. A process that it left in the background
 * keeps the pipe open; then its exit counts, a little later.
 */
function endOf(
  child: ReturnType<typeof spawn>,
  cwd: string,
  isStopping: () => boolean,
): Promise<{ code: number | null; endedNs: bigint }> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      const where = errnoOf(error) === 'ENOENT' ? ` in ${cwd}` : '';
      reject(
        new ColdsealError('HOST_RIG_COMMAND', `Cannot run a command${where}: ${error.message}`, {
          cause: error,
        }),
      );
    });
    child.on('exit', (code) => {
      const end = { code, endedNs: process.hrtime.bigint() };
      child.on('close', () => resolve(end));
      const leave = (): void => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve(end);
      };
      // Stopped means stopped: nobody waits for the output of what is being killed.
      setTimeout(leave, isStopping() ? 0 : GRACE_MS).unref();
    });
  });
}

/** Waits until nothing of a stopped group is left. */
async function endGroup(pid: number | undefined, timer: NodeJS.Timeout): Promise<void> {
  const lastMs = performance.now() + 2 * GRACE_MS;
  while (signalGroup(pid, 0) && performance.now() < lastMs) {
    await new Promise((resolve) => void setTimeout(resolve, GROUP_POLL_MS));
  }
  clearTimeout(timer);
}

/** Whether there was anything to send it to. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
