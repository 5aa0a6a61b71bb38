/** A tree of files for the object store: the same number, sizes and bytes every time, shaped like part of /usr/lib. */
import { createCipheriv } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Random } from '../dev/fuzz/random.ts';

const SEED = 2;
const FILES_PER_DIRECTORY = 32;
/** The largest file is 2^14 times the smallest, as many files in each octave: half are below 2.5 KB, as in /usr. */
const OCTAVES = 14;

/** Sizes of so many files, `bytes` in all. */
export function fileSizes(files: number, bytes: number): number[] {
  const random = new Random(SEED, 0);
  const weights = Array.from({ length: files }, () => 2 ** ((OCTAVES * random.below(1000)) / 1000));
  const scale = bytes / weights.reduce((sum, weight) => sum + weight, 0);
  const sizes = weights.map((weight) => Math.floor(weight * scale));
  const missing = bytes - sizes.reduce((sum, size) => sum + size, 0);
  // Each size lost less than one byte.
  for (let i = 0; i < missing; i++) sizes[i]!++;
  return sizes;
}

/** Makes the directory with its files. */
export function writeSyntheticTree(root: string, files: number, bytes: number): void {
  const sizes = fileSizes(files, bytes);
  const zeros = Buffer.alloc(Math.max(...sizes));
  const paths = syntheticPaths(root, files);
  sizes.forEach((size, i) => {
    const path = paths[i]!;
    if (i % FILES_PER_DIRECTORY === 0) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, keystream(i, zeros.subarray(0, size)));
  });
}

/** The files of such a directory. */
export function syntheticPaths(root: string, files: number): string[] {
  return Array.from({ length: files }, (_, i) =>
    join(root, `part-${Math.floor(i / FILES_PER_DIRECTORY)}`, `file-${i}`),
  );
}

/** Bytes that no file system can make smaller and that differ from file to file. */
function keystream(number: number, zeros: Uint8Array): Buffer {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(number);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(zeros);
}
