/**
 * The content of a file on its way from an archive into an image or an object store, as it flows by.
 *
 * What is small enough for the image is kept; what fits into a piece of memory is hashed there, and written only if
 * the store lacks it; what is larger goes to a staged file of the store while it is hashed. Memory does not grow with
 * files.
 */
import { ftruncateSync, closeSync, rmSync, writeSync } from 'node:fs';
import { toHex } from '../../runtime/format/bytes.ts';
import { VerityHasher, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { ObjectStore, StagedFile } from '../objects/store.ts';
import type { ContentConsumer } from './tar-reader.ts';

export interface TarContentOptions {
  readonly algorithm: VerityAlgorithm;
  /** Files up to this many bytes come back whole. */
  readonly inlineMax: number;
  readonly store: ObjectStore | undefined;
}

/** What a file came to: its bytes, or the digest of its object. */
export type StoredContent =
  | { readonly content: Uint8Array; readonly digest: undefined }
  | { readonly content: undefined; readonly digest: string };

/** Files up to here are hashed in memory: an object that is there already is then not written at all. */
const MEMORY_MAX = 1 << 20;
const ZEROS = new Uint8Array(1 << 20);

/** Takes one file after the other: `begin`, what the reader hands on, `end`. */
export class TarContent implements ContentConsumer, Disposable {
  readonly #options: TarContentOptions;
  readonly #hasher: VerityHasher;
  readonly #memory = new Uint8Array(MEMORY_MAX);
  #staged: StagedFile | undefined;
  #size = 0;
  #at = 0;

  constructor(options: TarContentOptions) {
    this.#options = options;
    this.#hasher = new VerityHasher(options.algorithm, hashFunction(options.algorithm));
  }

  begin(size: number): void {
    this.#size = size;
    this.#at = 0;
    this.#hasher.reset();
    if (size > MEMORY_MAX) this.#staged = this.#options.store?.stageFile();
  }

  write(bytes: Uint8Array): void {
    if (this.#size <= MEMORY_MAX) this.#memory.set(bytes, this.#at);
    else {
      this.#hasher.update(bytes);
      if (this.#staged !== undefined) this.#writeStaged(this.#staged.fd, bytes);
    }
    this.#at += bytes.length;
  }

  zeros(count: number): void {
    if (this.#size <= MEMORY_MAX) this.#memory.fill(0, this.#at, this.#at + count);
    else {
      for (let left = count; left > 0; left -= ZEROS.length) {
        this.#hasher.update(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
      }
    }
    this.#at += count;
  }

  /** The result, once all bytes of the file have come. */
  end(): StoredContent {
    if (this.#at !== this.#size) throw new Error(`${this.#at} bytes of ${this.#size} came`);
    if (this.#size > MEMORY_MAX) return this.#endStaged();
    const bytes = this.#memory.subarray(0, this.#size);
    if (this.#size <= this.#options.inlineMax) {
      // A small buffer shares its memory with others; an array would have its own.
      return { content: Buffer.from(bytes), digest: undefined };
    }
    this.#hasher.update(bytes);
    const digest = toHex(this.#hasher.digest());
    this.#options.store?.putBytes(bytes, digest);
    return { content: undefined, digest };
  }

  /** Holes at the end of a file stay holes. */
  #endStaged(): StoredContent {
    const digest = toHex(this.#hasher.digest());
    const staged = this.#staged;
    if (staged === undefined) return { content: undefined, digest };
    this.#staged = undefined;
    try {
      ftruncateSync(staged.fd, this.#size);
    } catch (error) {
      throw this.#explain(error);
    } finally {
      closeSync(staged.fd);
    }
    this.#options.store!.adopt(staged.path, digest, this.#size);
    return { content: undefined, digest };
  }

  /** Writes at the place where the file is now, so that zeros before it are a hole. */
  #writeStaged(fd: number, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, this.#at + done);
      }
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): unknown {
    return explainSysError(error, `Cannot write the object store ${this.#options.store!.dir}`);
  }

  /** Removes what was staged of a file that did not come to its end. */
  [Symbol.dispose](): void {
    if (this.#staged === undefined) return;
    closeSync(this.#staged.fd);
    rmSync(this.#staged.path, { force: true });
    this.#staged = undefined;
  }
}
