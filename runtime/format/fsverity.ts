/**
 * fs-verity digests: a Merkle tree over 4096-byte blocks, then the hash of a 256-byte descriptor.
 *
 * The hash function is handed in. Blocks are 4096 bytes and there is no salt: that is what composefs fixes.
 * The tree is built while bytes stream by, keeping one partial block per level.
 * Source: Linux Documentation/filesystems/fsverity.rst. The descriptor is fsverity-descriptor.ts.
 */
import { FsverityDescriptor } from './fsverity-descriptor.ts';

export type VerityAlgorithm = 'sha256' | 'sha512';
/**
 * The digest of one message. Must not keep or change its argument; may give back the same array every time,
 * so a caller copies what it keeps.
 */
export type HashFunction = (message: Uint8Array) => Uint8Array;

export const VERITY_BLOCK_SIZE = 4096;

/** Numbers and sizes of the algorithms (include/uapi/linux/fsverity.h). */
export const VERITY_ALGORITHMS: Readonly<
  Record<VerityAlgorithm, { readonly id: number; readonly digestSize: number }>
> = {
  sha256: { id: 1, digestSize: 32 },
  sha512: { id: 2, digestSize: 64 },
};

const NAMES = Object.keys(VERITY_ALGORITHMS) as VerityAlgorithm[];

/** The algorithm whose digests are `digestSize` bytes long, if there is one. */
export function verityAlgorithmOfDigestSize(digestSize: number): VerityAlgorithm | undefined {
  return NAMES.find((name) => VERITY_ALGORITHMS[name].digestSize === digestSize);
}

/** The algorithm with this number, if there is one. */
export function verityAlgorithmOfId(id: unknown): VerityAlgorithm | undefined {
  return NAMES.find((name) => VERITY_ALGORITHMS[name].id === id);
}

/** Takes a file's bytes in order, then gives its fs-verity digest; afterwards it is ready for the next file. */
export class VerityHasher {
  readonly #hash: HashFunction;
  readonly #digestSize: number;
  /** `#levels[0]` collects hashes of data blocks, `#levels[1]` hashes of those, and so on. */
  readonly #levels: HashBlock[] = [];
  #depth = 0;
  readonly #onBlock: ((level: number, block: Uint8Array) => void) | undefined;
  readonly #partial = new Uint8Array(VERITY_BLOCK_SIZE);
  #partialSize = 0;
  #size = 0;
  /** The descriptor of an empty file; a digest fills in size and root hash. */
  readonly #descriptor: Uint8Array;

  /** `onBlock` gets each finished Merkle tree block, valid during the call; level 0 is next to the data. */
  constructor(
    algorithm: VerityAlgorithm,
    hash: HashFunction,
    onBlock?: (level: number, block: Uint8Array) => void,
  ) {
    const { id, digestSize } = VERITY_ALGORITHMS[algorithm];
    this.#hash = hash;
    this.#digestSize = digestSize;
    this.#onBlock = onBlock;
    this.#descriptor = FsverityDescriptor.encode({
      hash_algorithm: id,
      data_size: 0n,
      root_hash: new Uint8Array(64),
    });
  }

  /** Feeds the next bytes; chunks may have any size, multiples of 4096 are fastest. */
  update(bytes: Uint8Array): void {
    let at = 0;
    if (this.#partialSize > 0) {
      at = Math.min(bytes.length, VERITY_BLOCK_SIZE - this.#partialSize);
      this.#partial.set(bytes.subarray(0, at), this.#partialSize);
      this.#partialSize += at;
      if (this.#partialSize === VERITY_BLOCK_SIZE) this.#flushPartial();
    }
    for (; at + VERITY_BLOCK_SIZE <= bytes.length; at += VERITY_BLOCK_SIZE) {
      this.#push(0, this.#hash(bytes.subarray(at, at + VERITY_BLOCK_SIZE)));
    }
    if (at < bytes.length) {
      this.#partial.set(bytes.subarray(at), 0);
      this.#partialSize = bytes.length - at;
    }
    this.#size += bytes.length;
  }

  /** The digest of everything fed since the last one: 32 or 64 bytes, in an array of its own. */
  digest(): Uint8Array {
    if (this.#partialSize > 0) this.#flushPartial();
    const { at } = FsverityDescriptor;
    const descriptor = this.#descriptor;
    new DataView(descriptor.buffer).setBigUint64(at.data_size, BigInt(this.#size), true);
    descriptor.fill(0, at.root_hash, at.root_hash + this.#digestSize);
    if (this.#size > 0) descriptor.set(this.#rootHash(), at.root_hash);
    this.reset();
    return new Uint8Array(this.#hash(descriptor));
  }

  /** Forgets what was fed since the last digest. */
  reset(): void {
    this.#partialSize = 0;
    this.#size = 0;
    this.#depth = 0;
  }

  #flushPartial(): void {
    this.#partial.fill(0, this.#partialSize);
    this.#partialSize = 0;
    this.#push(0, this.#hash(this.#partial));
  }

  /** Adds a hash to a level; the hash may be overwritten by the next call of the hash function. */
  #push(level: number, hash: Uint8Array): void {
    let kept = hash;
    const block = this.#level(level);
    if (block.size === VERITY_BLOCK_SIZE) {
      kept = new Uint8Array(hash);
      this.#push(level + 1, this.#finish(level, block));
    }
    block.bytes.set(kept, block.size);
    block.size += this.#digestSize;
  }

  /** The block of a level, empty if nothing of this file reached the level before. */
  #level(level: number): HashBlock {
    const block = (this.#levels[level] ??= new HashBlock());
    if (level < this.#depth) return block;
    this.#depth = level + 1;
    block.size = 0;
    return block;
  }

  #finish(level: number, block: HashBlock): Uint8Array {
    block.bytes.fill(0, block.size);
    block.size = 0;
    this.#onBlock?.(level, block.bytes);
    return this.#hash(block.bytes);
  }

  /** Closes the levels from the bottom up. The last level with a single hash holds the root. */
  #rootHash(): Uint8Array {
    for (let level = 0; ; level++) {
      const block = this.#levels[level]!;
      if (level === this.#depth - 1 && block.size === this.#digestSize) {
        return block.bytes.subarray(0, this.#digestSize);
      }
      this.#push(level + 1, this.#finish(level, block));
    }
  }
}

class HashBlock {
  readonly bytes = new Uint8Array(VERITY_BLOCK_SIZE);
  size = 0;
}

/** The fs-verity digest of bytes in memory. */
export function fsVerityDigest(
  bytes: Uint8Array,
  algorithm: VerityAlgorithm,
  hash: HashFunction,
): Uint8Array {
  const hasher = new VerityHasher(algorithm, hash);
  hasher.update(bytes);
  return hasher.digest();
}
