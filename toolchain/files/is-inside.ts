/** Where a path lies once symbolic links are followed. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Whether a path, which need not exist yet, lies inside a directory once symlinks are followed. */
export function isInside(path: string, directory: string): boolean {
  const outer = realPathOf(directory);
  const inner = realPathOf(path);
  return inner === outer || inner.startsWith(outer === '/' ? outer : `${outer}/`);
}

function realPathOf(path: string): string {
  const absolute = resolve(path);
  if (existsSync(absolute)) return realpathSync(absolute);
  return join(realPathOf(dirname(absolute)), basename(absolute));
}
