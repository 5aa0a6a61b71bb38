/** A directory for what is made on the way, gone at the end of its scope, or of the process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { explainSysError } from '../../runtime/sys-error.ts';
import { cacheDirectory } from './cache-directory.ts';
import { makeDirectories } from './make-directories.ts';

export interface WorkDirectory extends Disposable {
  readonly path: string;
}

/**
 * Makes a new empty directory below `$XDG_CACHE_HOME/coldseal`, which is on a disk where /tmp may be memory: a tmpfs
 * has no room for disks, and reads from it do not repeat as well. Throws HOST_PERMISSION and the like.
 */
export function makeWorkDirectory(prefix: string): WorkDirectory {
  const cache = cacheDirectory();
  try {
    makeDirectories(cache);
    const path = mkdtempSync(join(cache, prefix));
    const remove = (): void => rmSync(path, { recursive: true, force: true });
    process.once('exit', remove);
    return {
      path,
      [Symbol.dispose]() {
        remove();
        process.off('exit', remove);
      },
    };
  } catch (error) {
    throw explainSysError(error, `Cannot make a directory in ${cache}`);
  }
}
