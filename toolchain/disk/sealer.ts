/**
 * Makes what fs-verity keeps behind a file's data, while the data streams by: the Merkle tree and the descriptor.
 *
 * The writer puts it on the disk, the check compares it with what is there. Needs a 128th (SHA-512: a 64th) of the
 * file's size in memory.
 */
import { toHex } from '../../runtime/format/bytes.ts';
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
  VerityHasher,
} from '../../runtime/format/fsverity.ts';
import { FsverityDescriptor } from '../../runtime/format/fsverity-descriptor.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { sealedLayout } from './sealed-layout.ts';

export interface Sealed {
  /** The fs-verity digest, in lower-case hexadecimal. */
  readonly digest: string;
  /** Everything from the first block of the tree to the descriptor's, as it is on the disk. */
  readonly blocks: Uint8Array;
}

/** Seals one file after the other. */
export class Sealer {
  readonly #algorithm: VerityAlgorithm;
  readonly #hasher: VerityHasher;
  readonly #firstBlock = new Uint8Array(VERITY_BLOCK_SIZE);
  #levels: Uint8Array[][] = [];
  #size = 0;

  constructor(algorithm: VerityAlgorithm) {
    this.#algorithm = algorithm;
    this.#hasher = new VerityHasher(algorithm, hashFunction(algorithm), (level, block) => {
      (this.#levels[level] ??= []).push(new Uint8Array(block));
    });
  }

  begin(): void {
    this.#hasher.reset();
    this.#firstBlock.fill(0);
    this.#levels = [];
    this.#size = 0;
  }

  update(bytes: Uint8Array): void {
    // The root hash of a file of one block is that block's, and there is no tree to find it in.
    const room = VERITY_BLOCK_SIZE - this.#size;
    if (room > 0) this.#firstBlock.set(bytes.subarray(0, room), this.#size);
    this.#hasher.update(bytes);
    this.#size += bytes.length;
  }

  /** Ends the file that began last. */
  finish(): Sealed {
    const size = this.#size;
    const layout = sealedLayout(size, this.#algorithm);
    const digest = toHex(this.#hasher.digest());
    const blocks = new Uint8Array(
      (layout.descriptorBlock + 1 - layout.treeStart) * VERITY_BLOCK_SIZE,
    );
    const tree = this.#levels.toReversed().flat();
    tree.forEach((block, index) => blocks.set(block, index * VERITY_BLOCK_SIZE));
    const descriptor = this.#descriptor(size, tree[0]);
    blocks.set(descriptor, blocks.length - VERITY_BLOCK_SIZE);
    new DataView(blocks.buffer).setUint32(blocks.length - 4, descriptor.length, true);
    return { digest, blocks };
  }

  #descriptor(size: number, root: Uint8Array | undefined): Uint8Array {
    const rootHash = new Uint8Array(64);
    if (size > 0) rootHash.set(hashFunction(this.#algorithm)(root ?? this.#firstBlock));
    return FsverityDescriptor.encode({
      hash_algorithm: VERITY_ALGORITHMS[this.#algorithm].id,
      data_size: BigInt(size),
      root_hash: rootHash,
    });
  }
}
