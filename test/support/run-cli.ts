/** Runs the built CLI as a user does, in its own process. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../toolchain/dev/root.ts';

export interface CliResult {
  /** The exit code, or -1 when a signal ended the process. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout before decoding, for commands that print bytes. */
  readonly stdoutBytes: Uint8Array;
}

export interface CliSettings {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** Added to the environment; `undefined` takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The CLI that `npm run build` made. */
export const CLI_PATH: string = join(ROOT, 'dist/coldseal.mjs');

/** Runs `coldseal ARGS…` and returns what it printed and its exit code. */
export async function runCli(
  args: readonly string[],
  settings: CliSettings = {},
): Promise<CliResult> {
  const { FORCE_COLOR: _force, NO_COLOR: _no, ...inherited } = process.env;
  const child = spawn(process.execPath, [CLI_PATH, ...args], {
    cwd: settings.cwd ?? ROOT,
    env: { ...inherited, ...settings.env },
    stdio: 'pipe',
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command that does not read its input may end before it is written.
  child.stdin.on('error', () => undefined);
  child.stdin.end(settings.input ?? '');
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });
  const bytes = Buffer.concat(stdout);
  return {
    code,
    stdout: bytes.toString(),
    stderr: Buffer.concat(stderr).toString(),
    stdoutBytes: bytes,
  };
}
