/**
 * The levels of one Merkle tree above its data blocks, fed with the blocks' hashes in order.
 *
 * Each level keeps one block that fills up, so memory does not grow with the file. The same tree as in
 * runtime/format/fsverity.ts, which hashes the data itself, one block at a time.
 */
import { type HashFunction, VERITY_BLOCK_SIZE } from '../../runtime/format/fsverity.ts';

export class MerkleLevels {
  readonly #hash: HashFunction;
  readonly #digestSize: number;
  /** `#levels[0]` collects hashes of data blocks, `#levels[1]` hashes of those, and so on. */
  readonly #levels: { readonly block: Uint8Array; size: number }[] = [];

  /** `hash` may give back the same array every time. */
  constructor(hash: HashFunction, digestSize: number) {
    this.#hash = hash;
    this.#digestSize = digestSize;
  }

  /** Takes hashes that lie one after the other. */
  add(hashes: Uint8Array, level = 0): void {
    for (let at = 0; at < hashes.length;) {
      const into = (this.#levels[level] ??= { block: new Uint8Array(VERITY_BLOCK_SIZE), size: 0 });
      // A full block is hashed when more comes: it may turn out to be the root.
      if (into.size === VERITY_BLOCK_SIZE) this.#close(level);
      const length = Math.min(hashes.length - at, VERITY_BLOCK_SIZE - into.size);
      into.block.set(hashes.subarray(at, at + length), into.size);
      into.size += length;
      at += length;
    }
  }

  /** The root hash of what was fed, valid until the next call. */
  root(): Uint8Array {
    for (let level = 0; ; level++) {
      const { block, size } = this.#levels[level]!;
      const isTop = this.#levels[level + 1] === undefined;
      if (isTop && size === this.#digestSize) return block.subarray(0, size);
      this.#close(level);
    }
  }

  #close(level: number): void {
    const full = this.#levels[level]!;
    full.block.fill(0, full.size);
    full.size = 0;
    // The hash function may be used again before the hash is copied.
    this.add(new Uint8Array(this.#hash(full.block)), level + 1);
  }
}
