/**
 * A file that appears whole or not at all: written under a temporary name beside its target, brought to the
 * disk, then renamed. Whatever ends the process in between leaves the target as it was.
 */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { syncPath } from './sync-path.ts';

export interface AtomicFileOptions {
  /** Replace a file that is there. */
  readonly force?: boolean;
  /** Permission bits; 0644 by default, less the umask. */
  readonly mode?: number;
}

export class AtomicFile implements Disposable {
  readonly path: string;
  readonly #temporary: string;
  #fd: number | undefined;

  /** Begins the file. Throws USAGE_OUTPUT_EXISTS unless `force`, HOST_* when it cannot be made. */
  constructor(path: string, options: AtomicFileOptions = {}) {
    this.path = path;
    if (options.force !== true) refuseExisting(path);
    this.#temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    try {
      // A temporary of this process number can only be from a process that is gone.
      rmSync(this.#temporary, { force: true });
      this.#fd = openSync(this.#temporary, flags, options.mode ?? 0o644);
    } catch (error) {
      // What does not exist is not the file that is to be made.
      const isMissing = errnoOf(error) === 'ENOENT';
      throw explainSysError(
        error,
        `Cannot write ${path}${isMissing ? `: cannot open the directory ${dirname(path)}` : ''}`,
      );
    }
  }

  /** Appends bytes. */
  write(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd!, bytes, at);
    } catch (error) {
      throw explainSysError(error, `Cannot write ${this.path}`);
    }
  }

  /** Makes the file durable and gives it its name. */
  commit(): void {
    try {
      fsyncSync(this.#fd!);
      closeSync(this.#fd!);
      this.#fd = undefined;
      renameSync(this.#temporary, this.path);
      syncPath(dirname(this.path));
    } catch (error) {
      rmSync(this.#temporary, { force: true });
      throw explainSysError(error, `Cannot write ${this.path}`);
    }
  }

  /** Removes what was not committed. */
  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(this.#temporary, { force: true });
  }
}

/** Refuses an output that exists; commands ask before the work begins. Throws USAGE_OUTPUT_EXISTS. */
export function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new ColdsealError('USAGE_OUTPUT_EXISTS', `Cannot write ${path}: it exists already`, {
    hint: 'give another name, or --force to replace it',
  });
}

/** Writes a whole file at once, atomically. */
export function writeFileAtomically(
  path: string,
  bytes: Uint8Array,
  options?: AtomicFileOptions,
): void {
  using file = new AtomicFile(path, options);
  file.write(bytes);
  file.commit();
}
