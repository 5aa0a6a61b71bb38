/**
 * Asking a person. Only where a person is: both stdin and stderr must be terminals.
 */
import { createInterface } from 'node:readline';

/** Whether there is anybody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Shows a question on stderr; resolves to the answer, or to nothing when there is none. */
export async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.question(question, { signal }, resolve);
      lines.on('close', () => resolve(''));
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  } finally {
    lines.close();
  }
}
