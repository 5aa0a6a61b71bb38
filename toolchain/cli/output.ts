/**
 * Everything a command may say, and where it goes.
 *
 * stdout carries the result and nothing else; stderr carries progress, notes and errors. With `--json`, stdout is
 * exactly one document, printed at the end, on failure too. A reader that goes away (EPIPE) is not an error: what is
 * left to print is dropped quietly. Anything else that keeps stdout from being written, such as a full disk, is.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import { createStyle, decideColor, type ColorMode, type Style } from './color.ts';
import {
  startProgress,
  type Progress,
  type ProgressOptions,
  type ProgressSink,
} from './progress.ts';

/** What a command prints through. */
export interface Output {
  /** Whether `--json` was given: text lines are ignored and the result is one document. */
  readonly json: boolean;
  /** Colours for stdout; each function returns its text unchanged when colour is off. */
  readonly style: Style;
  /** Aborted on SIGINT or SIGTERM. A command that reads it promises to clean up and end. */
  readonly interrupted: AbortSignal;
  /** One line of the text result. */
  line(text: string): void;
  /** Text of the result exactly as given, without a newline added. */
  text(text: string): void;
  /** Bytes to stdout; refused on a terminal and with `--json`. Resolves when they are handed over. */
  raw(bytes: Uint8Array): Promise<void>;
  /** The `result` of the JSON document; `ok: false` when the answer is a "no". */
  result(value: unknown, details?: { ok?: boolean }): void;
  /** A note on stderr; silent with `--quiet`. */
  note(text: string): void;
  /** A warning on stderr, always shown. */
  warn(text: string): void;
  /** Text on stderr exactly as given, always shown; for the drop-in personalities. */
  errorText(text: string): void;
  progress(label: string, options: ProgressOptions): Progress;
}

/** The part of a writable stream that is used; tests hand in their own. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(chunk: string | Uint8Array, done: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

export interface OutputSettings {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: ColorMode;
}

export interface OutputWorld {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly nowMs: () => number;
  /** Called when a command asks for the signal: from then on an interruption waits for its clean-up. */
  readonly interrupted: () => AbortSignal;
}

/** An output and the two calls that only the CLI itself makes. */
export interface OutputControl {
  readonly output: Output;
  /** Prints the error: text on stderr, and the document on stdout with `--json`. */
  fail(error: {
    code: string;
    message: string;
    hint?: string | undefined;
    stack?: string | undefined;
  }): void;
  /** Prints the JSON document if one is due, and resolves when everything is handed over. */
  finish(): Promise<void>;
  /** Resolves when what was said on stderr is handed over. */
  flushErrors(): Promise<void>;
  /** Why stdout could not be written, once that is known; a reader that went away is no reason. */
  stdoutFailure(): Error | undefined;
}

const BUFFER_LIMIT = 64 * 1024;

/** Text collected into large writes; flushed at the latest when the program yields to its event loop. */
class Channel {
  readonly #stream: OutputStream;
  readonly #isTerminal: boolean;
  #parts: string[] = [];
  #size = 0;
  #closed = false;
  #failure: Error | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(stream: OutputStream) {
    this.#stream = stream;
    this.#isTerminal = stream.isTTY === true;
    stream.on('error', (error) => this.#close(error));
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  #close(error: Error): void {
    this.#closed = true;
    if (errnoOf(error) !== 'EPIPE') this.#failure ??= error;
  }

  get isTerminal(): boolean {
    return this.#isTerminal;
  }

  write(text: string): void {
    if (text === '') return;
    if (this.#parts.length === 0) setImmediate(() => void this.flush());
    this.#parts.push(this.#isTerminal ? printable(text) : text);
    this.#size += text.length;
    if (this.#size >= BUFFER_LIMIT) void this.flush();
  }

  /** Control sequences that progress needs; never mixed with text from files. */
  writeControl(text: string): void {
    void this.flush();
    void this.#send(text);
  }

  writeBytes(bytes: Uint8Array): Promise<void> {
    void this.flush();
    return this.#send(bytes);
  }

  flush(): Promise<void> {
    if (this.#parts.length === 0) return this.#last;
    const text = this.#parts.join('');
    this.#parts = [];
    this.#size = 0;
    return this.#send(text);
  }

  #send(chunk: string | Uint8Array): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#last = new Promise((resolve) => {
      this.#stream.write(chunk, (error) => {
        if (error !== undefined && error !== null) this.#close(error);
        resolve();
      });
    });
    return this.#last;
  }
}

// On a terminal, a control character in a file name must not move the cursor; colours pass.
const UNPRINTABLE = /\u001b\[[0-9;]*m|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

function printable(text: string): string {
  return text.replace(UNPRINTABLE, (found) =>
    found.length > 1 ? found : `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Creates the output of one run. */
export function createOutput(settings: OutputSettings, world: OutputWorld): OutputControl {
  const stdout = new Channel(world.stdout);
  const stderr = new Channel(world.stderr);
  const colorFor = (channel: Channel): Style =>
    createStyle(decideColor(settings.color, world.env, channel.isTerminal));
  const errorStyle = colorFor(stderr);
  const sink = progressSink(settings, world, stderr);
  let document: Record<string, unknown> | undefined;

  const output: Output = {
    json: settings.json,
    style: colorFor(stdout),
    get interrupted() {
      return world.interrupted();
    },
    line: (text) => settings.json || stdout.write(`${text}\n`),
    text: (text) => settings.json || stdout.write(text),
    raw: (bytes) => {
      refuseRaw(settings.json, stdout.isTerminal);
      return stdout.writeBytes(bytes);
    },
    result: (value, details = {}) => {
      document = { schema: 1, ok: details.ok ?? true, result: value };
    },
    note: (text) => settings.quiet || stderr.write(`${text}\n`),
    warn: (text) => stderr.write(`coldseal: ${errorStyle.yellow('warning')}: ${text}\n`),
    errorText: (text) => stderr.write(text),
    progress: (label, options) => startProgress(label, options, sink),
  };

  return {
    output,
    fail(error) {
      stderr.write(`coldseal: ${errorStyle.red(error.message)}\n`);
      if (error.hint !== undefined) stderr.write(`  ${error.hint}\n`);
      stderr.write(`  ${errorStyle.dim(error.code)}\n`);
      if (error.stack !== undefined) stderr.write(`${errorStyle.dim(error.stack)}\n`);
      const { code, message, hint } = error;
      document = {
        schema: 1,
        ok: false,
        error: { code, message, ...(hint === undefined ? {} : { hint }) },
      };
    },
    async finish() {
      if (settings.json) {
        stdout.write(
          `${JSON.stringify(document ?? { schema: 1, ok: true, result: null }, undefined, 2)}\n`,
        );
      }
      await Promise.all([stdout.flush(), stderr.flush()]);
    },
    flushErrors: () => stderr.flush(),
    stdoutFailure: () => stdout.failure,
  };
}

function progressSink(settings: OutputSettings, world: OutputWorld, stderr: Channel): ProgressSink {
  const silent = settings.json || settings.quiet;
  const dumb = world.env['TERM'] === 'dumb';
  return {
    mode: silent ? 'silent' : stderr.isTerminal && !dumb ? 'bar' : 'lines',
    write: (text) => stderr.writeControl(text),
    nowMs: world.nowMs,
    columns: () => world.stderr.columns ?? 80,
  };
}

function refuseRaw(json: boolean, isTerminal: boolean): void {
  if (json) {
    throw new ColdsealError(
      'USAGE_BYTES_WITH_JSON',
      'Cannot write bytes to stdout with --json: expected a file name',
    );
  }
  if (isTerminal) {
    throw new ColdsealError(
      'USAGE_BYTES_TO_TERMINAL',
      'Cannot write bytes to a terminal: expected a file or a pipe',
      { hint: 'give a file name, or redirect stdout' },
    );
  }
}
