/**
 * A whole input file, or stdin for `-`, with an error that names it.
 */
import { fstatSync, openSync, closeSync, readFileSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';

/** Node holds a buffer of this size; an image or dump of a hundred million entries is smaller. */
const INPUT_MAX = 2 ** 31 - 1;

/** Reads `path`, or stdin for `-`. Throws HOST_NOT_FOUND, HOST_PERMISSION, FORMAT_INPUT_SIZE… */
export function readInput(path: string): Buffer {
  const shown = path === '-' ? 'stdin' : path;
  let fd: number | undefined;
  try {
    fd = path === '-' ? 0 : openSync(path, 'r');
    const stat = fstatSync(fd);
    if (stat.isDirectory()) {
      throw new ColdsealError(
        'USAGE_NOT_A_FILE',
        `Cannot read ${shown}: it is a directory, expected a file`,
      );
    }
    if (stat.size > INPUT_MAX) {
      throw new ColdsealError(
        'FORMAT_INPUT_SIZE',
        `Cannot read ${shown}: it has ${stat.size} bytes, expected at most ${INPUT_MAX}`,
      );
    }
    return readFileSync(fd);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${shown}`);
  } finally {
    if (fd !== undefined && fd !== 0) closeSync(fd);
  }
}
