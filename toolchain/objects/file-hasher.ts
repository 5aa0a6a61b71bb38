/**
 * The work on files of a source tree: read each, and give back its bytes if they go into the image, else its digest;
 * with a store, put the object there too.
 *
 * The same code runs in a worker and, for small trees, in the main thread. A file that is not what the scan saw,
 * before or after reading, is an error that names it: a digest of half-old bytes would be a wrong answer.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { fstatInto, newFastStat } from '../../runtime/engines/node/xattr.ts';
import { measureVerity } from '../../runtime/engines/node/verity.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { VERITY_ALGORITHMS } from '../../runtime/format/fsverity.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { bytesOf, nodePath, showBytes } from '../image/byte-string.ts';
import type { BlockHasherMaker } from './block-hasher.ts';
import {
  JobPacker,
  unpackJobs,
  type HashJob,
  type HashSettings,
  type PackedJobs,
} from './hash-job.ts';
import { blockHashers } from './multi-buffer.ts';
import type { ObjectStore } from './store.ts';
import { VerityBatch } from './verity-batch.ts';

/** Files that stay open until they are hashed and in the store, in each thread. */
const OPEN_MAX = 64;

/** What is asked of the kernel for a file. Tests count these: each costs a microsecond for every file of a tree. */
export const SYSTEM_CALLS = { open: openSync, read: readSync, stat: fstatInto, close: closeSync };

/** A file that was read and whose digest is not known yet. */
interface Waiting {
  readonly job: HashJob;
  /** Where its result goes. */
  readonly at: number;
  /** Still open, when it is to be copied to the store. */
  readonly fd: number | undefined;
}

/** Part of a file, and where it goes. */
interface Part {
  readonly into: Uint8Array;
  readonly at: number;
  readonly length: number;
  readonly position: number;
}

export interface FileHasherOptions {
  /** Where objects go. */
  readonly store?: ObjectStore | undefined;
  /** Default: the fastest that the host has, which takes 10 ms to load. */
  readonly hashers?: BlockHasherMaker;
  readonly calls?: typeof SYSTEM_CALLS;
}

/** Hashes files, many at a time. One for each thread: it owns two megabytes of buffers. */
export class FileHasher {
  readonly #settings: HashSettings;
  readonly #store: ObjectStore | undefined;
  readonly #digestSize: number;
  readonly #batch: VerityBatch;
  readonly #calls: typeof SYSTEM_CALLS;
  #waiting: Waiting[] = [];
  /** Filled anew for every file. */
  readonly #stat = newFastStat();

  constructor(settings: HashSettings, options: FileHasherOptions = {}) {
    this.#settings = settings;
    this.#calls = options.calls ?? SYSTEM_CALLS;
    this.#store = options.store;
    this.#digestSize = VERITY_ALGORITHMS[settings.algorithm].digestSize;
    const hashers = options.hashers ?? blockHashers(settings.algorithm);
    this.#batch = new VerityBatch(settings.algorithm, hashers);
  }

  /**
   * The results of jobs, one after the other: the content of a file that is inlined, else the raw fs-verity digest.
   * Throws for a file that cannot be read or has changed: HOST_NOT_FOUND, HOST_FILE_CHANGED and the like.
   */
  run(packed: PackedJobs): Uint8Array<ArrayBuffer> {
    const jobs = unpackJobs(packed);
    const results = new Uint8Array(jobs.reduce((sum, job) => sum + this.#resultSize(job), 0));
    try {
      let at = 0;
      for (const job of jobs) {
        this.#start(job, results, at);
        at += this.#resultSize(job);
      }
      this.#finishBatch(results);
    } finally {
      this.#abandonBatch();
    }
    return results;
  }

  /** The result of a single job. */
  runOne(job: HashJob): Uint8Array {
    const packer = new JobPacker(1);
    packer.add(job.path, job);
    return this.run(packer.pack());
  }

  #resultSize(job: HashJob): number {
    return job.size <= this.#settings.inlineMax ? job.size : this.#digestSize;
  }

  /** Reads a file. Its result is there afterwards, or when the batch is finished. */
  #start(job: HashJob, results: Uint8Array, at: number): void {
    const isInlined = job.size <= this.#settings.inlineMax;
    // A file that is too large to be collected needs the whole buffer.
    if (!isInlined && !this.#hasRoom(job)) this.#finishBatch(results);
    const fd = this.#open(job);
    let isKept = false;
    try {
      if (isInlined) this.#readWhole(fd, job, results, at);
      else isKept = this.#measure(fd, job, results, at);
    } catch (error) {
      throw explainReadError(error, job);
    } finally {
      if (!isKept) this.#calls.close(fd);
    }
  }

  #open(job: HashJob): number {
    try {
      // O_NONBLOCK: should a FIFO have taken the file's place, opening it must not wait for a writer.
      return this.#calls.open(
        nodePath(job.path),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
      );
    } catch (error) {
      throw explainReadError(error, job);
    }
  }

  #hasRoom({ size }: HashJob): boolean {
    if (this.#store !== undefined && this.#waiting.length >= OPEN_MAX) return false;
    return this.#batch.collects(size) && this.#batch.hasRoom(size);
  }

  /** Returns whether the file has to stay open. */
  #measure(fd: number, job: HashJob, results: Uint8Array, at: number): boolean {
    const known = job.hasVerity ? this.#askKernel(fd, job) : undefined;
    if (known !== undefined || !this.#batch.collects(job.size)) {
      const digest = known ?? this.#hashLarge(fd, job);
      results.set(digest, at);
      this.#store?.put(sourceOf(job, fd), toHex(digest, 0, digest.length), job.size);
      return false;
    }
    this.#readWhole(fd, job, this.#batch.buffer, this.#batch.collect(job.size));
    const isKept = this.#store !== undefined;
    this.#waiting.push({ job, at, fd: isKept ? fd : undefined });
    return isKept;
  }

  #askKernel(fd: number, job: HashJob): Uint8Array | undefined {
    this.#requireUnchanged(fd, job);
    const kernel = measureVerity(fd);
    const isAnswer = kernel.verity === 'measured' && kernel.algorithm === this.#settings.algorithm;
    return isAnswer ? Buffer.from(kernel.digest, 'hex') : undefined;
  }

  #hashLarge(fd: number, job: HashJob): Uint8Array {
    const { buffer } = this.#batch;
    const digest = this.#batch.digestOf(job.size, (position, length) =>
      this.#read(fd, job, { into: buffer, at: 0, length, position }),
    );
    this.#requireUnchanged(fd, job);
    return digest;
  }

  #readWhole(fd: number, job: HashJob, into: Uint8Array, at: number): void {
    this.#read(fd, job, { into, at, length: job.size, position: 0 });
    this.#requireUnchanged(fd, job);
  }

  #read(fd: number, job: HashJob, part: Part): void {
    const { into, at, length, position } = part;
    for (let done = 0; done < length;) {
      const got = this.#calls.read(fd, into, at + done, length - done, position + done);
      if (got === 0) throw changed(job);
      done += got;
    }
  }

  /** Hashes what was collected, and puts it into the store. */
  #finishBatch(results: Uint8Array): void {
    if (this.#waiting.length === 0) return;
    const size = this.#digestSize;
    const digests = this.#batch.finish();
    for (let i = 0; i < this.#waiting.length; i++) {
      const { job, at, fd } = this.#waiting[i]!;
      results.set(digests.subarray(size * i, size * (i + 1)), at);
      if (fd === undefined) continue;
      try {
        this.#store!.put(sourceOf(job, fd), toHex(digests, size * i, size * (i + 1)), job.size);
      } catch (error) {
        throw explainReadError(error, job);
      }
    }
    this.#abandonBatch();
  }

  /** Closes and forgets what is waiting. */
  #abandonBatch(): void {
    for (const { fd } of this.#waiting) if (fd !== undefined) this.#calls.close(fd);
    this.#waiting = [];
    this.#batch.clear();
  }

  #requireUnchanged(fd: number, job: HashJob): void {
    const now = this.#calls.stat(fd, this.#stat);
    const isSame =
      now.ino === job.ino &&
      now.size === job.size &&
      now.ctimeSec === job.ctimeSec &&
      now.ctimeNsec === job.ctimeNsec &&
      now.mtimeSec === job.mtimeSec &&
      now.mtimeNsec === job.mtimeNsec;
    if (!isSame) throw changed(job);
  }
}

function sourceOf(job: HashJob, fd: number): { path: Buffer; fd: number; stamp: HashJob } {
  return { path: bytesOf(job.path), fd, stamp: job };
}

function toHex(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('hex');
}

/** How opening or reading fails when a symlink, a pipe, a socket or a directory has taken the file's place. */
const NO_LONGER_A_FILE = new Set(['ELOOP', 'ESPIPE', 'ENXIO', 'EISDIR']);

function explainReadError(error: unknown, job: HashJob): unknown {
  if (NO_LONGER_A_FILE.has(errnoOf(error) ?? '')) return changed(job);
  return explainSysError(error, `Cannot read ${showBytes(job.path)}`);
}

function changed(job: HashJob): ColdsealError {
  return new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot describe ${showBytes(job.path)}: it changed while it was read`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}
