/**
 * The work on one file of a source tree: read it, and give back its bytes if they go into the image, else its
 * digest; with a store, put the object there too.
 *
 * The same code runs in a worker and, for small trees, in the main thread. A file that is not what the scan
 * saw, before or after reading, is an error that names it: a digest of half-old bytes would be a wrong answer.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { fstatFast, type FastStat } from '../../runtime/engines/node/xattr.ts';
import { measureVerity } from '../../runtime/engines/node/verity.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { VerityHasher, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { bytesOf, nodePath, showBytes, type ByteString } from '../image/byte-string.ts';
import type { ObjectStore } from './store.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';

/** A regular file as the scan saw it. */
export interface HashJob {
  readonly path: ByteString;
  readonly size: number;
  readonly ino: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly hasVerity: boolean;
}

/**
 * Jobs packed into one string and one array: every object would cost microseconds in a message between threads,
 * and most of a scan's memory besides.
 */
export interface PackedJobs {
  /** The paths, each followed by a NUL byte. */
  readonly paths: string;
  /** `NUMBERS_PER_JOB` numbers a job, the size first. */
  readonly numbers: Float64Array;
}

export const NUMBERS_PER_JOB = 7;

/** Collects jobs for a message. */
export class JobPacker {
  readonly #paths: ByteString[] = [];
  readonly #numbers: Float64Array;
  bytes = 0;

  /** Room for `capacity` jobs. */
  constructor(capacity: number) {
    this.#numbers = new Float64Array(NUMBERS_PER_JOB * capacity);
  }

  get count(): number {
    return this.#paths.length;
  }

  add(path: ByteString, stat: Omit<HashJob, 'path'>): void {
    let at = NUMBERS_PER_JOB * this.#paths.length;
    this.#paths.push(path);
    const numbers = this.#numbers;
    numbers[at++] = stat.size;
    numbers[at++] = stat.ino;
    numbers[at++] = stat.ctimeSec;
    numbers[at++] = stat.ctimeNsec;
    numbers[at++] = stat.mtimeSec;
    numbers[at++] = stat.mtimeNsec;
    numbers[at] = stat.hasVerity ? 1 : 0;
    this.bytes += stat.size;
  }

  pack(): PackedJobs {
    const numbers = this.#numbers.slice(0, NUMBERS_PER_JOB * this.#paths.length);
    return { paths: `${this.#paths.join('\0')}\0`, numbers };
  }
}

/** The jobs of a message. */
export function unpackJobs({ paths, numbers }: PackedJobs): HashJob[] {
  return (paths.split('\0') as ByteString[]).slice(0, -1).map((path, i) => {
    const at = NUMBERS_PER_JOB * i;
    return {
      path,
      size: numbers[at]!,
      ino: numbers[at + 1]!,
      ctimeSec: numbers[at + 2]!,
      ctimeNsec: numbers[at + 3]!,
      mtimeSec: numbers[at + 4]!,
      mtimeNsec: numbers[at + 5]!,
      hasVerity: numbers[at + 6] === 1,
    };
  });
}

export interface HashSettings {
  readonly algorithm: VerityAlgorithm;
  /** Files up to this size come back whole. */
  readonly inlineMax: number;
}

const STEP = 1 << 20;
let step: Buffer | undefined;

/** The content of a small file, or the raw fs-verity digest of a larger one. */
export function runHashJob(job: HashJob, settings: HashSettings, store?: ObjectStore): Uint8Array {
  let fd: number;
  try {
    // O_NONBLOCK: should a FIFO have taken the file's place, opening it must not wait for a writer.
    fd = openSync(
      nodePath(job.path),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch (error) {
    throw explainReadError(error, job);
  }
  try {
    const result = readOpenFile(fd, job, settings);
    if (store !== undefined && job.size > settings.inlineMax) {
      const digest = Buffer.from(result).toString('hex');
      store.put({ path: bytesOf(job.path), fd, stamp: job }, digest, job.size);
    }
    return result;
  } catch (error) {
    throw explainReadError(error, job);
  } finally {
    closeSync(fd);
  }
}

/** How opening or reading fails when a symlink, a pipe, a socket or a directory has taken the file's place. */
const NO_LONGER_A_FILE = new Set(['ELOOP', 'ESPIPE', 'ENXIO', 'EISDIR']);

function explainReadError(error: unknown, job: HashJob): unknown {
  if (NO_LONGER_A_FILE.has(errnoOf(error) ?? '')) return changed(job);
  return explainSysError(error, `Cannot read ${showBytes(job.path)}`);
}

function readOpenFile(fd: number, job: HashJob, settings: HashSettings): Uint8Array {
  if (job.hasVerity && job.size > settings.inlineMax) {
    requireUnchanged(fstatFast(fd), job);
    const kernel = measureVerity(fd);
    if (kernel.verity === 'measured' && kernel.algorithm === settings.algorithm) {
      return Buffer.from(kernel.digest, 'hex');
    }
  }
  step ??= Buffer.allocUnsafe(STEP);
  if (job.size <= settings.inlineMax) {
    const content = Buffer.alloc(job.size);
    requireLength(readSync(fd, content, 0, job.size, 0), job);
    requireUnchanged(fstatFast(fd), job);
    return content;
  }
  const hasher = hasherOf(settings.algorithm);
  for (let at = 0; at < job.size;) {
    const length = readSync(fd, step, 0, Math.min(job.size - at, STEP), at);
    if (length === 0) throw changed(job);
    hasher.update(length === STEP ? step : step.subarray(0, length));
    at += length;
  }
  requireUnchanged(fstatFast(fd), job);
  return hasher.digest();
}

const hashers = new Map<VerityAlgorithm, VerityHasher>();

/** One hasher per thread: making one for every small file costs as much as hashing it. */
function hasherOf(algorithm: VerityAlgorithm): VerityHasher {
  let hasher = hashers.get(algorithm);
  if (hasher === undefined) {
    hasher = new VerityHasher(algorithm, hashFunction(algorithm));
    hashers.set(algorithm, hasher);
  }
  // The last file may have failed half-way.
  hasher.reset();
  return hasher;
}

function requireLength(length: number, job: HashJob): void {
  if (length !== job.size) throw changed(job);
}

function requireUnchanged(now: FastStat, job: HashJob): void {
  const same =
    now.ino === job.ino &&
    now.size === job.size &&
    now.ctimeSec === job.ctimeSec &&
    now.ctimeNsec === job.ctimeNsec &&
    now.mtimeSec === job.mtimeSec &&
    now.mtimeNsec === job.mtimeNsec;
  if (!same) throw changed(job);
}

function changed(job: HashJob): ColdsealError {
  return new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot describe ${showBytes(job.path)}: it changed while it was read`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}
