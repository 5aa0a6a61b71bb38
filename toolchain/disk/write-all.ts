/** pwrite(2) of everything. */
import { writeSync } from 'node:fs';

/** Writes all bytes at a position of an open file. */
export function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}
