/**
 * Kernel, initramfs, command line and devicetree of a release against the manifest's boot binding.
 *
 * On the board the bootloader checks them; here it is the signed hash. What the manifest binds must be there under
 * exactly one of its names, and be it byte for byte.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Manifest } from '../../runtime/format/manifest.ts';
import { BOUND_FILES, withFile } from './release-files.ts';

/** Checks what the manifest binds; returns the names. Throws VERIFY_BOOT_FILE_MISSING, VERIFY_BOOT_FILE. */
export function checkBootFiles(
  dir: string,
  { bootBinding }: Pick<Manifest, 'bootBinding'>,
): string[] {
  const found: string[] = [];
  for (const [part, names] of BOUND_FILES) {
    const expected = bootBinding?.[part];
    if (expected === undefined) continue;
    const name = names.find((each) => exists(join(dir, each))) ?? names[0];
    const actual = withFile(join(dir, name), 'VERIFY_BOOT_FILE_MISSING', hashFile);
    if (actual !== toHex(expected)) {
      throw new ColdsealError(
        'VERIFY_BOOT_FILE',
        `Cannot accept ${join(dir, name)}: its SHA-256 is ${actual}, the manifest binds ${toHex(expected)}`,
      );
    }
    found.push(name);
  }
  return found;
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

const PIECE_SIZE = 1 << 20;

function hashFile(fd: number): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(PIECE_SIZE);
  for (let at = 0; ;) {
    const length = readSync(fd, piece, 0, PIECE_SIZE, at);
    if (length === 0) return hash.digest('hex');
    hash.update(piece.subarray(0, length));
    at += length;
  }
}
