/**
 * Running an outside program to its end, with its output, a time-out and interruption.
 *
 * The program is killed when the signal aborts, when its time is over, and when this process ends, however it
 * ends: setpriv(1) asks the kernel for that where it is installed.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';

/** Tools of an administrator are outside an ordinary user's PATH on Debian. */
const EXTRA_DIRS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

export interface ToolSettings {
  /** The Debian package that has the program, for the hint when it is missing. */
  readonly debian: string;
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called at the start with what kills the program; gets its stdout as it comes. */
  readonly watch?: (kill: () => void) => (chunk: Buffer) => void;
  /** The program has this process's terminal; nothing of its output is kept. */
  readonly isOnTerminal?: boolean;
}

export interface ToolResult {
  /** The exit code, or -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Whether it was killed because its time was over. */
  readonly isLate: boolean;
}

/** The path of a program, which may be given by its path; throws HOST_TOOL_MISSING. */
export function locateTool(name: string, debian: string): string {
  const candidates = name.startsWith('/') ? [name] : toolPath().map((dir) => join(dir, name));
  const path = candidates.find(isExecutable);
  if (path !== undefined) return path;
  throw new ColdsealError('HOST_TOOL_MISSING', `Cannot run ${name}: expected it to be installed`, {
    hint: `install the Debian package ${debian}`,
  });
}

/** Runs a program to its end; its exit code is for the caller to judge. */
export async function runTool(
  [name, ...args]: readonly [string, ...string[]],
  settings: ToolSettings,
): Promise<ToolResult> {
  settings.signal?.throwIfAborted();
  const argv = toolCommand(name, args, settings.debian);
  const child = spawn(argv[0]!, argv.slice(1), {
    ...(settings.cwd === undefined ? {} : { cwd: settings.cwd }),
    env: { ...toolEnvironment(), ...settings.env },
    stdio: settings.isOnTerminal === true ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  const watch = settings.watch?.(kill);
  let isLate = false;
  const late = (): void => {
    isLate = true;
    kill();
  };
  const timer = settings.timeoutMs === undefined ? undefined : setTimeout(late, settings.timeoutMs);
  process.once('exit', kill);
  settings.signal?.addEventListener('abort', kill);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
    watch?.(chunk);
  });
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status) => resolve(status ?? -1));
    });
    settings.signal?.throwIfAborted();
    return {
      code,
      stdout: Buffer.concat(stdout),
      stderr: Buffer.concat(stderr).toString(),
      isLate,
    };
  } finally {
    clearTimeout(timer);
    process.off('exit', kill);
    settings.signal?.removeEventListener('abort', kill);
  }
}

/** Runs a program that must succeed; returns its stdout as text. */
export async function runToolToSuccess(
  argv: readonly [string, ...string[]],
  settings: ToolSettings,
): Promise<string> {
  const { code, stdout, stderr, isLate } = await runTool(argv, settings);
  if (code === 0) return stdout.toString();
  const how = isLate ? `it took longer than ${settings.timeoutMs} ms` : `it exited with ${code}`;
  throw new ColdsealError('HOST_TOOL_FAILED', `Cannot run ${argv.join(' ')}: ${how}`, {
    hint: lastLines(stderr),
  });
}

/** The last lines of what a program said, in one. */
export function lastLines(text: string, count = 3): string | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.length === 0 ? undefined : lines.slice(-count).join('; ');
}

/** The command line of a program that ends with this process. Throws HOST_TOOL_MISSING. */
export function toolCommand(name: string, args: readonly string[], debian: string): string[] {
  return [...deathWatch(), locateTool(name, debian), ...args];
}

/** The environment of every program: it is found where administrators have it, and speaks English. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: toolPath().join(':'), LC_ALL: 'C.UTF-8' };
}

function deathWatch(): string[] {
  try {
    return [locateTool('setpriv', 'util-linux'), '--pdeathsig', 'KILL'];
  } catch {
    // Not on every system; then only an orderly end of this process takes the program with it.
    return [];
  }
}

function toolPath(): string[] {
  const dirs = (process.env['PATH'] ?? '').split(':').filter((dir) => dir !== '');
  return [...dirs, ...EXTRA_DIRS];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
