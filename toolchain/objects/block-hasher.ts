/**
 * Hashes of many messages of one length that lie one after the other in a buffer.
 *
 * fs-verity hashes nothing but blocks of 4096 bytes and descriptors of 256. Handing them over in bulk lets a hasher
 * work on several at once (multi-buffer.ts); this one takes them in turn with Node's own crypto.
 */
import { hash } from 'node:crypto';
import { VERITY_ALGORITHMS, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';

export interface BlockHasher {
  /** Filled by the caller; message `i` is at `i * messageSize`. */
  readonly messages: Buffer;
  /** After `run`, digest `i` is at `i * digestSize`, raw. */
  readonly digests: Buffer;
  /** Hashes the first `count` messages. */
  run(count: number): void;
}

/** Makes hashers for `capacity` messages of `messageSize` bytes. */
export type BlockHasherMaker = (messageSize: number, capacity: number) => BlockHasher;

/** Hashers that use Node's crypto, for either algorithm. */
export function nodeBlockHashers(algorithm: VerityAlgorithm): BlockHasherMaker {
  return (messageSize, capacity) => new NodeBlockHasher(algorithm, messageSize, capacity);
}

/** One message after the other, with Node's crypto. */
export class NodeBlockHasher implements BlockHasher {
  readonly messages: Buffer;
  readonly digests: Buffer;
  readonly #algorithm: VerityAlgorithm;
  readonly #digestSize: number;
  readonly #views: readonly Buffer[];

  constructor(algorithm: VerityAlgorithm, messageSize: number, capacity: number) {
    this.#algorithm = algorithm;
    this.#digestSize = VERITY_ALGORITHMS[algorithm].digestSize;
    this.messages = Buffer.alloc(messageSize * capacity);
    this.digests = Buffer.alloc(this.#digestSize * capacity);
    // A view made for every call would cost a twentieth of the hash.
    this.#views = Array.from({ length: capacity }, (_, i) =>
      this.messages.subarray(messageSize * i, messageSize * (i + 1)),
    );
  }

  run(count: number): void {
    this.runRange(0, count);
  }

  /** Hashes the messages from `from` up to `end`. */
  runRange(from: number, end: number): void {
    for (let i = from; i < end; i++) {
      // Faster than a Buffer of the hash's own; compute-digest.ts has the figures.
      const digest = hash(this.#algorithm, this.#views[i]!, 'binary');
      this.digests.write(digest, this.#digestSize * i, 'latin1');
    }
  }
}
