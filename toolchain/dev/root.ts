/** Where the repository is, whichever bundle this runs in. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package-lock.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error(`${import.meta.url}: expected to be inside the repository`);
    dir = parent;
  }
  return dir;
}

/** Absolute path of the repository. */
export const ROOT: string = findRoot();
