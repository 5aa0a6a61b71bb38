/**
 * The SHA-256 of an archive, made beside the main thread when the archive is large.
 *
 * The main thread has enough to do with the digests of contents. Bytes are copied into a few buffers that go to a
 * thread and come back, so memory is bounded, and who brings more bytes than it can hash waits. Copying a byte costs a
 * twentieth of hashing it.
 */
import { createHash, type Hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';

const BUFFER_SIZE = 1 << 20;
/** Buffers there are at most: one being filled, one being hashed, and what is between. */
const BUFFERS_MAX = 8;
/** What is known to be smaller is hashed here: a thread costs 30 ms to start, this 30 ms to hash. */
const THREAD_FROM_BYTES = 64 << 20;

/** All that the thread does; as text it needs no file of its own beside the bundle. */
const THREAD = `
  const { parentPort } = require('node:worker_threads');
  const hash = require('node:crypto').createHash('sha256');
  parentPort.on('message', ({ buffer, size }) => {
    if (buffer === undefined) return parentPort.postMessage({ sha256: hash.digest('hex') });
    hash.update(new Uint8Array(buffer, 0, size));
    parentPort.postMessage({ buffer }, [buffer]);
  });`;

type Answer =
  | { readonly buffer: ArrayBuffer; readonly sha256?: undefined }
  | { readonly buffer?: undefined; readonly sha256: string };

/** Takes bytes in order, then gives their digest once. */
export class ArchiveHasher implements Disposable {
  readonly #hash: Hash | undefined;
  #thread: Worker | undefined;
  readonly #free: ArrayBuffer[] = [];
  #made = 0;
  /** Full buffers, before there is a thread. */
  readonly #full: ArrayBuffer[] = [];
  #open: ArrayBuffer | undefined;
  #used = 0;
  #sha256: string | undefined;
  #failure: Error | undefined;
  #isDisposed = false;
  #wake: () => void = () => undefined;

  /** `size` is that of the archive, where it is known. */
  constructor(size?: number) {
    if (size !== undefined && size < THREAD_FROM_BYTES) this.#hash = createHash('sha256');
  }

  /** Takes bytes, which may change afterwards; waits while too many are on their way. */
  async update(bytes: Uint8Array): Promise<void> {
    if (this.#hash !== undefined) {
      this.#hash.update(bytes);
      return;
    }
    for (let at = 0; at < bytes.length;) {
      this.#open ??= await this.#nextBuffer();
      const step = Math.min(bytes.length - at, BUFFER_SIZE - this.#used);
      new Uint8Array(this.#open, this.#used, step).set(bytes.subarray(at, at + step));
      at += step;
      this.#used += step;
      if (this.#used === BUFFER_SIZE) this.#close(this.#open);
    }
  }

  /** The digest in lower-case hexadecimal. */
  async digest(): Promise<string> {
    if (this.#thread === undefined) return this.#digestHere();
    if (this.#open !== undefined) this.#post(this.#open, this.#used);
    this.#thread.postMessage({});
    while (this.#sha256 === undefined) await this.#answer();
    return this.#sha256;
  }

  /** Ends the thread; whoever still waits for it goes on, and what comes is dropped. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    void this.#thread?.terminate();
    this.#wake();
  }

  #digestHere(): string {
    const hash = this.#hash ?? createHash('sha256');
    for (const buffer of this.#full) hash.update(new Uint8Array(buffer));
    if (this.#open !== undefined) hash.update(new Uint8Array(this.#open, 0, this.#used));
    return hash.digest('hex');
  }

  async #nextBuffer(): Promise<ArrayBuffer> {
    for (;;) {
      const buffer = this.#free.pop();
      if (buffer !== undefined) return buffer;
      if (this.#made++ < BUFFERS_MAX || this.#isDisposed) return new ArrayBuffer(BUFFER_SIZE);
      await this.#answer();
    }
  }

  /** The thread starts when all buffers are full: there may never be so much. */
  #close(buffer: ArrayBuffer): void {
    this.#open = undefined;
    this.#used = 0;
    if (this.#thread !== undefined) {
      this.#post(buffer, BUFFER_SIZE);
      return;
    }
    this.#full.push(buffer);
    if (this.#full.length < BUFFERS_MAX) return;
    this.#start();
    for (const each of this.#full.splice(0)) this.#post(each, BUFFER_SIZE);
  }

  #post(buffer: ArrayBuffer, size: number): void {
    this.#thread!.postMessage({ buffer, size }, [buffer]);
  }

  #start(): void {
    const thread = new Worker(THREAD, { eval: true });
    const fail = (error: Error): void => {
      if (!this.#isDisposed) this.#failure ??= error;
      this.#wake();
    };
    thread.on('message', ({ buffer, sha256 }: Answer) => {
      if (buffer === undefined) this.#sha256 = sha256;
      else this.#free.push(buffer);
      this.#wake();
    });
    thread.on('error', fail);
    thread.on('exit', () => fail(new Error('the thread that hashes an archive ended')));
    this.#thread = thread;
  }

  /** Waits until the thread says something. */
  async #answer(): Promise<void> {
    this.#requireThread();
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#requireThread();
  }

  #requireThread(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
