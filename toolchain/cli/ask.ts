/**
 * Asking a person. Only where a person is: both stdin and stderr must be terminals.
 */
import { createInterface } from 'node:readline';
import { isatty, ReadStream, WriteStream } from 'node:tty';

const STDIN = 0;
const STDERR = 2;

/** Whether there is anybody to ask. */
export function canAsk(): boolean {
  return isatty(STDIN) && isatty(STDERR);
}

/** Shows a question on stderr; resolves to the answer, or to nothing when there is none. */
export async function ask(question: string, signal: AbortSignal): Promise<string> {
  const input = new ReadStream(STDIN);
  const lines = createInterface({ input, output: new WriteStream(STDERR) });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.question(question, { signal }, resolve);
      lines.on('close', () => resolve(''));
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  } finally {
    lines.close();
    input.destroy();
  }
}
