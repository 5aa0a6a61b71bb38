/**
 * A whole input file, or stdin for `-`, with an error that names it.
 */
import { fstatSync, openSync, closeSync, readFileSync, readSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';

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
    return fd === 0 ? readStdin() : readFileSync(fd);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${shown}`);
  } finally {
    if (fd !== undefined && fd !== 0) closeSync(fd);
  }
}

const PIECE_SIZE = 1 << 20;
const RETRY_MS = 5;

/** All of stdin. Whoever shares it may have made it non-blocking, and then having nothing yet is an error. */
export function readStdin(): Buffer {
  const pieces: Buffer[] = [];
  const piece = Buffer.alloc(PIECE_SIZE);
  for (;;) {
    const count = readOrWait(piece);
    if (count === 0) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece.subarray(0, count)));
  }
}

function readOrWait(piece: Buffer): number {
  for (;;) {
    try {
      return readSync(0, piece);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
