/**
 * Bytes through an outside program: what it prints, piece by piece, while its input is fed as fast as it takes it.
 *
 * The program is killed when the reader stops early, when the signal aborts, and when this process ends. Its output
 * counts as whole only when it has exited with 0.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lastLines, toolCommand, toolEnvironment } from './run-tool.ts';

export interface StreamToolSettings {
  /** The Debian package that has the program, for the hint when it is missing. */
  readonly debian: string;
  readonly signal?: AbortSignal | undefined;
  /** The error for an exit code, with the last lines the program said. */
  readonly explain: (code: number, said: string | undefined) => Error;
}

/** What is kept of what a program says. */
const STDERR_MAX = 65_536;

/** The output of a program for some input. Throws HOST_TOOL_MISSING, and what `explain` makes of a failure. */
export async function* streamTool(
  [name, ...args]: readonly [string, ...string[]],
  input: AsyncIterable<Uint8Array>,
  settings: StreamToolSettings,
): AsyncGenerator<Uint8Array> {
  const argv = toolCommand(name, args, settings.debian);
  const child = spawn(argv[0]!, argv.slice(1), { env: toolEnvironment(), stdio: 'pipe' });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  settings.signal?.addEventListener('abort', kill);
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });
  let stderr = '';
  child.stderr.on(
    'data',
    (chunk: Buffer) => (stderr = `${stderr}${chunk.toString()}`.slice(-STDERR_MAX)),
  );
  const fed = feed(child.stdin, input);
  // Who waits for them comes later, or never when the reader stops early.
  for (const promise of [ended, fed]) promise.catch(() => undefined);
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const code = await ended;
    settings.signal?.throwIfAborted();
    // An input that could not be read is the cause of what the program then says of it.
    const isWhole = await fed;
    if (code !== 0 || !isWhole) throw settings.explain(code, lastLines(stderr));
  } finally {
    kill();
    process.off('exit', kill);
    settings.signal?.removeEventListener('abort', kill);
  }
}

/** Writes all input; false when the program has ended before it took all. */
async function feed(
  stdin: NodeJS.WritableStream & { readonly destroyed?: boolean; destroy?: () => void },
  input: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  let isOpen = true;
  stdin.on('error', () => (isOpen = false));
  const closed = once(stdin, 'close').catch(() => undefined);
  try {
    for await (const piece of input) {
      if (!isOpen || stdin.destroyed === true) return false;
      if (!stdin.write(piece))
        await Promise.race([once(stdin, 'drain').catch(() => undefined), closed]);
    }
    stdin.end();
    return isOpen;
  } catch (error) {
    stdin.destroy?.();
    throw error;
  }
}
