/**
 * Hash jobs spread over worker threads, in batches, with results in the order of the jobs.
 *
 * Workers are started when there is enough to do to pay for them; a small tree is hashed in the main thread by
 * the same code. Jobs may be added while workers run, so that scanning and hashing overlap.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { VERITY_ALGORITHMS } from '../../runtime/format/fsverity.ts';
import type { ByteString } from '../image/byte-string.ts';
import { nodeBlockHashers } from './block-hasher.ts';
import { FileHasher } from './file-hasher.ts';
import { JobPacker, NUMBERS_PER_JOB, type HashJob, type PackedJobs } from './hash-job.ts';
import type { HashAnswer, HashWorkerData } from './hash-worker.ts';
import { ObjectStore, removeStaged, type StoreSummary } from './store.ts';

export interface HashPoolOptions extends HashWorkerData {
  readonly threads: number;
  /** Called with the bytes hashed so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** A batch is sent when it has this many files or bytes: large enough to pay for its message, small to balance. */
const BATCH_FILES = 128;
const BATCH_BYTES = 8 << 20;
/** Less than this is done here: a worker costs 30 ms to start. */
const WORKERS_FROM_BYTES = 32 << 20;
const WORKERS_FROM_FILES = 1500;
/** Batches a worker holds at once: one it works on, one waiting. */
const DEPTH = 2;
/** Batches that wait at most; a batch takes some 30 KB. */
const QUEUE_MAX = 64;

/** What a job came to: the content of a small file, or the raw digest of a larger one. */
export type OnHashResult = (index: number, result: Uint8Array) => void;

let poolCount = 0;

interface Batch {
  readonly first: number;
  readonly jobs: PackedJobs;
  readonly bytes: number;
}

export class HashPool {
  readonly #options: HashPoolOptions;
  readonly #onResult: OnHashResult;
  readonly #workers: PooledWorker[] = [];
  readonly #stagingTag = `${process.pid}-${poolCount++}-`;
  readonly #queue: Batch[] = [];
  #open = new JobPacker(BATCH_FILES);
  #added = 0;
  #queuedBytes = 0;
  #doneBytes = 0;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(options: HashPoolOptions, onResult: OnHashResult) {
    this.#options = options;
    this.#onResult = onResult;
  }

  /** Adds a job; its index counts from 0. `stat` is read at once and may be used again. */
  add(path: ByteString, stat: Omit<HashJob, 'path'>): void {
    this.#open.add(path, stat);
    this.#added++;
    if (this.#open.count >= BATCH_FILES || this.#open.bytes >= BATCH_BYTES) this.#closeBatch();
  }

  /** Waits while so much is queued that more would only take memory. */
  async hasRoom(): Promise<void> {
    while (
      this.#queue.length > QUEUE_MAX &&
      this.#workers.length > 0 &&
      this.#failure === undefined
    ) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for all jobs; with a store, everything put is then durable. Rejects with the first failure. */
  async finish(signal?: AbortSignal): Promise<StoreSummary | undefined> {
    this.#closeBatch();
    try {
      if (this.#workers.length === 0) return await this.#runHere(signal);
      while (this.#busy() && this.#failure === undefined) {
        signal?.throwIfAborted();
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if (this.#failure !== undefined) throw this.#failure;
      const summaries = await Promise.all(this.#workers.map((worker) => worker.finish()));
      return addSummaries(summaries);
    } finally {
      await this.stop();
    }
  }

  /** Ends all workers, whatever they do. */
  async stop(): Promise<void> {
    if (this.#workers.length === 0) return;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
    this.#workers.length = 0;
    // A worker that was ended in the middle could not remove what it had copied so far.
    if (this.#options.store !== undefined) removeStaged(this.#options.store, this.#stagingTag);
  }

  #closeBatch(): void {
    const { count, bytes } = this.#open;
    if (count === 0) return;
    this.#queue.push({ first: this.#added - count, jobs: this.#open.pack(), bytes });
    this.#queuedBytes += bytes;
    this.#open = new JobPacker(BATCH_FILES);
    if (this.#workers.length > 0) this.#feed();
    else if (this.#queuedBytes >= WORKERS_FROM_BYTES || this.#added >= WORKERS_FROM_FILES) {
      this.#startWorkers();
    }
  }

  #startWorkers(): void {
    for (let i = 0; i < this.#options.threads; i++) {
      const { algorithm, inlineMax, store, verifyExisting } = this.#options;
      const stagingTag = this.#stagingTag;
      const data: HashWorkerData = { algorithm, inlineMax, store, verifyExisting, stagingTag };
      const worker = new PooledWorker(data, {
        answered: (batch, results) => this.#answered(batch, results),
        failed: (error) => this.#failed(error),
      });
      this.#workers.push(worker);
    }
    this.#feed();
  }

  #feed(): void {
    for (let depth = 1; depth <= DEPTH; depth++) {
      for (const worker of this.#workers) {
        if (this.#queue.length > 0 && worker.pending < depth) worker.send(this.#queue.shift()!);
      }
    }
  }

  #answered(batch: Batch, results: Uint8Array): void {
    this.#deliver(batch, results);
    this.#feed();
    this.#wake?.();
  }

  #failed(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #busy(): boolean {
    return this.#queue.length > 0 || this.#workers.some((worker) => worker.pending > 0);
  }

  #deliver(batch: Batch, results: Uint8Array): void {
    const digestSize = VERITY_ALGORITHMS[this.#options.algorithm].digestSize;
    const { numbers } = batch.jobs;
    let at = 0;
    for (let i = 0; i < numbers.length / NUMBERS_PER_JOB; i++) {
      const fileSize = numbers[NUMBERS_PER_JOB * i]!;
      const size = fileSize <= this.#options.inlineMax ? fileSize : digestSize;
      this.#onResult(batch.first + i, results.subarray(at, at + size));
      at += size;
    }
    this.#doneBytes += batch.bytes;
    this.#options.onProgress?.(this.#doneBytes);
  }

  async #runHere(signal: AbortSignal | undefined): Promise<StoreSummary | undefined> {
    const { store: dir, verifyExisting } = this.#options;
    using store = dir === undefined ? undefined : new ObjectStore(dir, { verifyExisting });
    const hashers = nodeBlockHashers(this.#options.algorithm);
    const hasher = new FileHasher(this.#options, { store, hashers });
    for (const batch of this.#queue) {
      // Lets an interruption be seen between batches.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      this.#deliver(batch, hasher.run(batch.jobs));
    }
    return store?.finish();
  }
}

interface WorkerEvents {
  readonly answered: (batch: Batch, results: Uint8Array) => void;
  readonly failed: (error: Error) => void;
}

/** One worker thread and the batches it has not answered yet, oldest first. */
class PooledWorker {
  readonly #worker: Worker;
  readonly #batches: Batch[] = [];
  #finished: ((summary: StoreSummary | undefined) => void) | undefined;
  #finishFailed: ((error: Error) => void) | undefined;

  constructor(data: HashWorkerData, events: WorkerEvents) {
    this.#worker = new Worker(workerFile(), { workerData: data });
    const fail = (error: Error): void => {
      this.#finishFailed?.(error);
      events.failed(error);
    };
    this.#worker.on('error', fail);
    this.#worker.on('message', (answer: HashAnswer) => {
      if (answer.kind === 'finished') return this.#finished?.(answer.summary);
      if (answer.kind === 'failed') {
        return fail(new ColdsealError(answer.code, answer.message, { hint: answer.hint }));
      }
      return events.answered(this.#batches.shift()!, answer.results);
    });
  }

  get pending(): number {
    return this.#batches.length;
  }

  send(batch: Batch): void {
    this.#batches.push(batch);
    this.#worker.postMessage(batch.jobs);
  }

  finish(): Promise<StoreSummary | undefined> {
    return new Promise((resolve, reject) => {
      this.#finished = resolve;
      this.#finishFailed = reject;
      this.#worker.postMessage('finish');
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The worker's bundle lies beside this one, in dist/ as in the tests' output. */
function workerFile(): string {
  const file = fileURLToPath(new URL('hash-worker.mjs', import.meta.url));
  if (!existsSync(file)) throw new Error(`missing ${file}: build coldseal first`);
  return file;
}

/** What several writers of one store did together. */
export function addSummaries(
  summaries: readonly (StoreSummary | undefined)[],
): StoreSummary | undefined {
  const present = summaries.filter((summary) => summary !== undefined);
  if (present.length === 0) return undefined;
  const sum = (pick: (summary: StoreSummary) => number): number =>
    present.reduce((total, summary) => total + pick(summary), 0);
  return {
    copied: sum((s) => s.copied),
    copiedBytes: sum((s) => s.copiedBytes),
    present: sum((s) => s.present),
    replaced: sum((s) => s.replaced),
    reflinked: sum((s) => s.reflinked),
    verity: present.find((s) => s.verity !== 'unknown')?.verity ?? 'unknown',
  };
}
