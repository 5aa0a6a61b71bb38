/**
 * What goes into a file of the disk: bytes at hand, or a file of this machine that is read when it is written.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';

export type Content = { readonly bytes: Uint8Array } | { readonly path: string };

const STEP = 1 << 20;
let step: Buffer | undefined;

/** The number of bytes that there are now. Throws HOST_* when the file cannot be opened. */
export function contentSize(content: Content): number {
  if ('bytes' in content) return content.bytes.length;
  return withOpen(content.path, (fd) => fstatSync(fd).size);
}

/** Hands over the bytes in order, in pieces valid during the call; returns how many there were. */
export function readContent(
  content: Content,
  use: (piece: Uint8Array, at: number) => void,
): number {
  if ('bytes' in content) {
    if (content.bytes.length > 0) use(content.bytes, 0);
    return content.bytes.length;
  }
  return withOpen(content.path, (fd) => {
    step ??= Buffer.allocUnsafe(STEP);
    for (let at = 0; ;) {
      const length = readSync(fd, step, 0, STEP, at);
      if (length === 0) return at;
      use(step.subarray(0, length), at);
      at += length;
    }
  });
}

function withOpen<T>(path: string, use: (fd: number) => T): T {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) {
      throw new ColdsealError('USAGE_NOT_A_FILE', `Cannot read ${path}: expected a regular file`);
    }
    return use(fd);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
