/** The directory that inputs and outputs of the bench are made in, below the cache; gone when the process ends. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../files/cache-directory.ts';

export interface Workspace extends Disposable {
  readonly path: string;
}

/** Makes a new empty directory below `$XDG_CACHE_HOME/coldseal`, which is on a disk where /tmp may be memory. */
export function makeWorkspace(): Workspace {
  const cache = cacheDirectory();
  mkdirSync(cache, { recursive: true });
  const path = mkdtempSync(join(cache, 'bench-'));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  process.once('exit', remove);
  return {
    path,
    [Symbol.dispose]() {
      remove();
      process.removeListener('exit', remove);
    },
  };
}
