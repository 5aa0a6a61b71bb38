/**
 * Refuses a path that is no directory before work begins that would take it for an empty one.
 */
import { statSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';

/** Throws HOST_NOT_FOUND or USAGE_NOT_A_DIRECTORY; `doing` stands in front of the path. */
export function requireDirectory(path: string, doing: string): void {
  try {
    if (statSync(path).isDirectory()) return;
  } catch (error) {
    throw explainSysError(error, `${doing} ${path}`);
  }
  throw new ColdsealError(
    'USAGE_NOT_A_DIRECTORY',
    `${doing} ${path}: it is a file, expected a directory`,
  );
}
