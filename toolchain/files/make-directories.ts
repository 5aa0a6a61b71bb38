/**
 * Makes a directory and the parents it lacks.
 *
 * Node's own recursive mkdir never returns where a directory can be seen but not be written to by anyone, as below
 * /proc; this one asks once for each part of the path.
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../../runtime/sys-error.ts';

/** Makes `path`; a directory that is there is left as it is. Throws the system's error. */
export function makeDirectories(path: string, mode = 0o777): void {
  const parent = dirname(path);
  if (parent !== path && statSync(parent, { throwIfNoEntry: false }) === undefined) {
    makeDirectories(parent, mode);
  }
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const isThere = errnoOf(error) === 'EEXIST' && statSync(path).isDirectory();
    if (!isThere) throw error;
  }
}
