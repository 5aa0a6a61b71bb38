/**
 * Where a drop-in tool writes its image: stdout, a device or pipe in place, or a regular file that appears whole.
 *
 * The C tools open the target at once and write into it; a failure leaves an empty or half-written image under
 * the final name. Here a regular file is replaced by renaming, keeping its permission bits, through symlinks.
 */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  openSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import { SysError } from '../../runtime/sys-error.ts';
import type { Output } from '../cli/output.ts';
import { AtomicFile } from '../files/atomic-file.ts';

const NEW_FILE_MODE = 0o666;

/** `write` any number of times, then `commit`; `abandon` afterwards is harmless, before it drops the image. */
export abstract class ImageOutput {
  abstract write(bytes: Uint8Array): void;
  abstract commit(): Promise<void>;
  abandon(): void {}

  /** Opens a target; `-` is stdout. Throws USAGE_BYTES_TO_TERMINAL, or the system's error. */
  static async open(path: string, output: Output): Promise<ImageOutput> {
    if (path !== '-') return openPath(path);
    // Nothing is written, but a terminal is refused before the work begins.
    await output.raw(new Uint8Array(0));
    return new StdoutImage(output);
  }
}

function openPath(path: string): ImageOutput {
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing === undefined) return new FileImage(path, undefined);
  if (existing.isDirectory()) throw new SysError('open', 'EISDIR', path);
  accessSync(path, constants.W_OK);
  if (!existing.isFile()) return new DeviceImage(openSync(path, 'w'));
  return new FileImage(realpathSync(path), existing.mode & 0o7777);
}

class FileImage extends ImageOutput {
  readonly #file: AtomicFile;
  readonly #mode: number | undefined;

  constructor(path: string, mode: number | undefined) {
    super();
    this.#file = new AtomicFile(path, { force: true, mode: mode ?? NEW_FILE_MODE });
    this.#mode = mode;
  }

  write(bytes: Uint8Array): void {
    this.#file.write(bytes);
  }

  async commit(): Promise<void> {
    this.#file.commit();
    // The umask took bits away that the file before had.
    if (this.#mode !== undefined) chmodSync(this.#file.path, this.#mode);
  }

  override abandon(): void {
    this.#file[Symbol.dispose]();
  }
}

class DeviceImage extends ImageOutput {
  #fd: number | undefined;

  constructor(fd: number) {
    super();
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd!, bytes, at);
  }

  async commit(): Promise<void> {
    this.abandon();
  }

  override abandon(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

class StdoutImage extends ImageOutput {
  readonly #output: Output;
  readonly #pieces: Uint8Array[] = [];

  constructor(output: Output) {
    super();
    this.#output = output;
  }

  write(bytes: Uint8Array): void {
    this.#pieces.push(new Uint8Array(bytes));
  }

  async commit(): Promise<void> {
    for (const piece of this.#pieces) await this.#output.raw(piece);
  }
}
