/**
 * The fs-verity digest of a file: asked of the kernel where it has one, otherwise computed here.
 *
 * A kernel digest of another algorithm than the one asked for does not answer the question, so it is computed
 * then too. Spec: Linux Documentation/filesystems/fsverity.rst.
 */
import { hash } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { toHex } from '../../runtime/format/bytes.ts';
import {
  type HashFunction,
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
  VerityHasher,
} from '../../runtime/format/fsverity.ts';
import { measureVerity } from '../../runtime/engines/node/verity.ts';
import { errnoOf } from '../../runtime/sys-error.ts';

export interface Measurement {
  /** Lower-case hexadecimal. */
  readonly digest: string;
  readonly by: 'kernel' | 'computed';
}

/** Reading in steps of 1 MiB is as fast as larger ones and keeps the memory of a worker small. */
const STEP = 256 * VERITY_BLOCK_SIZE;
let step: Buffer | undefined;

/**
 * The hash of one message, as the fs-verity code wants it handed in. For blocks of 4096 bytes, measured on Node 20:
 * `crypto.hash` into a Latin-1 string 2.65 µs, into a Buffer 3.2 µs, OpenSSL itself through koffi 2.56 µs.
 */
export function hashFunction(algorithm: VerityAlgorithm): HashFunction {
  const result = new Uint8Array(VERITY_ALGORITHMS[algorithm].digestSize);
  return (message) => {
    const text = hash(algorithm, message, 'binary');
    for (let i = 0; i < result.length; i++) result[i] = text.charCodeAt(i);
    return result;
  };
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

/** Reads a whole open file and computes its digest, whatever the kernel says. */
export function computeDigest(fd: number, algorithm: VerityAlgorithm): string {
  step ??= Buffer.allocUnsafe(STEP);
  const hasher = new VerityHasher(algorithm, hashFunction(algorithm));
  for (let at = 0; ;) {
    const length = readSync(fd, step, 0, STEP, at);
    if (length === 0) return toHex(hasher.digest());
    hasher.update(step.subarray(0, length));
    at += length;
  }
}
