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
  return withInput(path, (fd) => (fd === 0 ? readStdin() : readFileSync(fd)));
}

/**
 * The same piece by piece, for what is much larger than what is made of it. `take` says how many bytes of a piece it
 * took; the others come again in front of the next bytes. The last call is told so; it may bring nothing new.
 */
export function feedInput(path: string, take: (bytes: Buffer, isLast: boolean) => number): void {
  withInput(path, (fd) => {
    let buffer = Buffer.allocUnsafe(PIECE_SIZE);
    for (let size = 0; ;) {
      if (size === buffer.length) buffer = Buffer.concat([buffer], 2 * size);
      const count = readOrWait(fd, buffer, size);
      size += count;
      const taken = take(buffer.subarray(0, size), count === 0);
      if (count === 0) return;
      buffer.copyWithin(0, taken, size);
      size -= taken;
    }
  });
}

function withInput<T>(path: string, read: (fd: number) => T): T {
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
    return read(fd);
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
    const count = readOrWait(0, piece, 0);
    if (count === 0) return Buffer.concat(pieces);
    pieces.push(Buffer.from(piece.subarray(0, count)));
  }
}

/** Fills a buffer from `at` on; returns the number of bytes, 0 at the end. */
function readOrWait(fd: number, piece: Buffer, at: number): number {
  for (;;) {
    try {
      return readSync(fd, piece, at, piece.length - at, null);
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
