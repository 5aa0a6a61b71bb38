/** fsync(2) by path. */
import { closeSync, constants, fsyncSync, openSync } from 'node:fs';

/** Brings a file's content, or a directory's names, to the disk. */
export function syncPath(path: string): void {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
