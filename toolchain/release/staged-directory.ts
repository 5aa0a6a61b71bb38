/**
 * A directory that appears whole or not at all: filled under a temporary name beside its target, brought to the
 * disk, then renamed.
 *
 * Until `commit` nothing is under the target's name, or what was there before. An existing directory is exchanged in
 * one step (renameat2, RENAME_EXCHANGE), so at every moment one whole release has the name; a file system without
 * that gets two renames. The temporary directory is locked while its writer lives, so a later run recognises and
 * removes what a killed one left.
 */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  chmodSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { AT_FDCWD, byteText, syscall } from '../../runtime/engines/node/libc.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { refuseExisting } from '../files/atomic-file.ts';
import { syncPath } from '../files/sync-path.ts';
import { StoreLock } from '../objects/lock.ts';

/** renameat2 in arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const SYS_RENAMEAT2 = process.arch === 'arm64' ? 276 : 316;
const RENAME_EXCHANGE = 2;

export interface StagedDirectoryOptions {
  /** Replace a release that is there. */
  readonly force: boolean;
}

export class StagedDirectory implements Disposable {
  readonly target: string;
  /** Where to write until `commit`. */
  readonly path: string;
  #lock: StoreLock | undefined;

  /** Begins the directory. Throws USAGE_OUTPUT_EXISTS, USAGE_NOT_A_RELEASE or HOST_*. */
  constructor(target: string, options: StagedDirectoryOptions) {
    this.target = resolve(target);
    if (!options.force) refuseExisting(target);
    refuseOther(this.target);
    const prefix = join(dirname(this.target), `.${basename(this.target)}.unfinished-`);
    try {
      removeLeftovers(prefix);
      this.path = mkdtempSync(prefix);
      this.#lock = StoreLock.take(this.path, 'writer');
    } catch (error) {
      throw explainSysError(error, `Cannot write ${target}`);
    }
  }

  /** Gives the directory its name. Its files are durable already; its entries become so here. */
  commit(): void {
    try {
      chmodSync(this.path, 0o755);
      syncPath(this.path);
      if (existsSync(this.target)) exchange(this.path, this.target);
      else renameSync(this.path, this.target);
      syncPath(dirname(this.target));
    } catch (error) {
      throw explainSysError(error, `Cannot write ${this.target}`);
    } finally {
      // What is under the temporary name now is the release that was replaced, or nothing.
      this[Symbol.dispose]();
    }
  }

  /** Removes whatever is under the temporary name. */
  [Symbol.dispose](): void {
    if (this.#lock === undefined) return;
    rmSync(this.path, { recursive: true, force: true });
    this.#lock[Symbol.dispose]();
    this.#lock = undefined;
  }
}

/** `--force` must not empty a home directory: only a release, or an empty directory, is replaced. */
function refuseOther(target: string): void {
  const stat = lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isDirectory()) {
    const names = readdirSync(target);
    if (names.length === 0 || names.includes('manifest.cose')) return;
  }
  throw new ColdsealError(
    'USAGE_NOT_A_RELEASE',
    `Cannot replace ${target}: it is not a release, expected a directory with manifest.cose in it`,
    { hint: 'give another name, or remove it yourself' },
  );
}

/** Removes what killed runs left; a directory that a living one has locked stays. */
function removeLeftovers(prefix: string): void {
  const parent = dirname(prefix);
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(basename(prefix))) continue;
    const path = join(parent, name);
    try {
      using _lock = StoreLock.take(path, 'collector', 0);
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      if (!(error instanceof ColdsealError)) throw error;
    }
  }
}

function exchange(from: string, to: string): void {
  const [a, b] = [byteText(from), byteText(to)];
  try {
    syscall('renameat2', SYS_RENAMEAT2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    return;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'EINVAL' && errno !== 'ENOSYS') throw error;
  }
  const old = `${from}-replaced`;
  renameSync(to, old);
  renameSync(from, to);
  renameSync(old, from);
}
