/**
 * What an importer reads: the files of one log, and their text in lines. Pure.
 *
 * A board wrote it, over a line that may be noisy, and perhaps a board that is not ours. So bytes, lines and the length
 * of a line have maxima, control characters never leave this file, and bytes that are no text are refused by name.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag } from '../measured-boot.ts';

/** A kernel log with initcall_debug of a large board has 2 MB; a capture of a logic analyser may have many more. */
export const LOG_BYTES_MAX = 64 * 1024 * 1024;
/** JSON is held as values, which take more: a plot of systemd has 150 bytes a unit. */
export const JSON_BYTES_MAX = 8 * 1024 * 1024;
/** Two samples for each millisecond of a thousand seconds. */
const LINES_MAX = 2_000_000;
/** The kernel's own lines end at 1024 characters. What is behind this many is not looked at. */
const LINE_LENGTH_MAX = 4096;

/** One log: a file, or a directory or archive with several. */
export interface LogInput {
  /** As it was named on the command line, without its directory. */
  readonly name: string;
  /** By path, with `/` between names; a log that is one file has its own name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface LogText {
  /** Without control characters other than tabs; the number of a line is its index plus one. */
  readonly lines: readonly string[];
  readonly flags: readonly BootFlag[];
}

/** The bytes of a log that is one file; undefined when it is several. */
export function soleFile(log: LogInput): Uint8Array | undefined {
  return log.files.size === 1 ? [...log.files.values()][0] : undefined;
}

/** A file of a log by the end of its path. */
export function fileEnding(log: LogInput, end: string): Uint8Array | undefined {
  for (const [path, bytes] of log.files) {
    if (path === end || path.endsWith(`/${end}`)) return bytes;
  }
  return undefined;
}

const CONTROL_SAMPLE = 64 * 1024;
/** Random bytes have one control character in nine; text after line noise has next to none. */
const CONTROL_SHARE = 1 / 32;

/** Whether bytes are no text: more control characters than line noise puts in. */
export function isBinary(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, CONTROL_SAMPLE);
  let controls = 0;
  for (const byte of sample) {
    // Tab, the ends of lines, backspace and escape are what consoles print.
    const isUsual = byte === 8 || byte === 9 || byte === 10 || byte === 13 || byte === 27;
    if ((byte < 32 && !isUsual) || byte === 127) controls++;
  }
  return controls > sample.length * CONTROL_SHARE;
}

/** The text of a log as it is, for formats that are no lines. Throws as `logText` does. */
export function wholeText(
  bytes: Uint8Array,
  maxBytes: number = LOG_BYTES_MAX,
): { text: string; isUtf8: boolean } {
  if (bytes.length > maxBytes) {
    throw sizeError(`has ${bytes.length} bytes, expected at most ${maxBytes}`);
  }
  if (isBinary(bytes)) {
    throw new ColdsealError('FORMAT_BOOT_LOG_BINARY', 'it is binary, expected text', {
      hint: 'unpack a compressed log first',
    });
  }
  return decode(bytes);
}

/** The lines of a log. Throws FORMAT_BOOT_LOG_EMPTY, FORMAT_BOOT_LOG_BINARY or FORMAT_BOOT_LOG_SIZE. */
export function logText(bytes: Uint8Array): LogText {
  const { text, isUtf8 } = wholeText(bytes);
  const lines = splitLines(text);
  if (lines.every((line) => line.trim() === '')) {
    throw new ColdsealError('FORMAT_BOOT_LOG_EMPTY', 'it is empty, expected a log');
  }
  const flags: BootFlag[] = [];
  if (!isUtf8) {
    flags.push({
      code: 'BUDGET_FLAG_LOG_BYTES',
      message: 'the log has bytes that are no text, as line noise makes them',
      isUnusable: false,
    });
  }
  if (!text.endsWith('\n')) {
    flags.push({
      code: 'BUDGET_FLAG_LOG_CUT',
      message: 'the log does not end in a newline, so its last line may have been cut off',
      isUnusable: false,
    });
  }
  return { lines, flags };
}

function sizeError(what: string): ColdsealError {
  return new ColdsealError('FORMAT_BOOT_LOG_SIZE', `it ${what}`, {
    hint: 'cut the log down to the boot',
  });
}

function decode(bytes: Uint8Array): { text: string; isUtf8: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), isUtf8: true };
  } catch {
    return { text: Buffer.from(bytes).toString('latin1'), isUtf8: false };
  }
}

function splitLines(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length;) {
    const next = text.indexOf('\n', at);
    const end = next < 0 ? text.length : next;
    if (lines.length === LINES_MAX) throw sizeError(`has more than ${LINES_MAX} lines`);
    lines.push(cleanLine(text.slice(at, Math.min(end, at + LINE_LENGTH_MAX))));
    at = end + 1;
  }
  return lines;
}

// oxlint-disable-next-line no-control-regex -- what a console prints
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
// oxlint-disable-next-line no-control-regex -- colours and cursor movements, and what remains
const CONTROLS = /\u001b\[[0-9;?]{0,16}[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

function cleanLine(line: string): string {
  return CONTROL.test(line) ? line.replace(CONTROLS, '') : line;
}

const SAMPLE_BYTES = 64 * 1024;
const SAMPLE_LINES = 200;

/** The first lines that have text, of a log that is one file of text: to see what it is. Empty for all others. */
export function sampleLines(log: LogInput): string[] {
  const bytes = soleFile(log);
  if (bytes === undefined || isBinary(bytes)) return [];
  const text = Buffer.from(bytes.subarray(0, SAMPLE_BYTES)).toString('latin1');
  const lines = text.split('\n', SAMPLE_LINES).map((line) => {
    return cleanLine(line.slice(0, LINE_LENGTH_MAX));
  });
  return lines.filter((line) => line.trim() !== '');
}

/** A name for a record: one line, short, never empty. */
export function rowName(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a board wrote it
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return line.slice(0, 200) || '-';
}
