/**
 * The fs-verity digest of a file: asked of the kernel where it has one, otherwise computed here.
 *
 * A kernel digest of another algorithm than the one asked for does not answer the question, so it is computed
 * then too. Spec: Linux Documentation/filesystems/fsverity.rst.
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';
import { measureVerity } from '../../runtime/engines/node/verity.ts';
import { errnoOf } from '../../runtime/sys-error.ts';

export interface Measurement {
  /** Lower-case hexadecimal. */
  readonly digest: string;
  readonly by: 'kernel' | 'computed';
}

/** Measures a file by path or open descriptor. The kernel's digest wins where there is one. */
export function measureFile(
  file: string | Buffer | number,
  algorithm: VerityAlgorithm,
): Measurement {
  if (typeof file === 'number') return measureOpen(file, algorithm);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOCTTY);
  try {
    return measureOpen(fd, algorithm);
  } finally {
    closeSync(fd);
  }
}

function measureOpen(fd: number, algorithm: VerityAlgorithm): Measurement {
  const kernel = measureVerity(fd);
  if (kernel.verity === 'measured' && kernel.algorithm === algorithm) {
    return { digest: kernel.digest, by: 'kernel' };
  }
  return { digest: computeDigest(fd, algorithm), by: 'computed' };
}

/**
 * Reads a whole open file for its digest, because the kernel's says nothing about blocks that nobody has read.
 * Undefined when they cannot be read: that is how fs-verity refuses a changed block (EIO).
 */
export function readDigest(fd: number, algorithm: VerityAlgorithm): string | undefined {
  try {
    return computeDigest(fd, algorithm);
  } catch (error) {
    if (errnoOf(error) !== 'EIO') throw error;
    return undefined;
  }
}
