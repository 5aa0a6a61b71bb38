/** Printing paths one a line as they are; to a terminal, bytes that are not text are shown as \xHH. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Output } from '../cli/output.ts';
import { bytesOf, showBytes, type ByteString } from './byte-string.ts';

/** Prints each path on a line of its own. */
export async function writeBytesOrText(
  paths: readonly ByteString[],
  output: Output,
): Promise<void> {
  const text = paths.map((path) => `${path}\n`).join('') as ByteString;
  if (/^[\n -~]*$/.test(text)) {
    output.text(text);
    return;
  }
  try {
    await output.raw(bytesOf(text));
  } catch (error) {
    if (!(error instanceof ColdsealError) || error.code !== 'USAGE_BYTES_TO_TERMINAL') throw error;
    for (const path of paths) output.line(showBytes(path));
  }
}
