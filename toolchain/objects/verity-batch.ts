/**
 * fs-verity digests of many files, hashed together.
 *
 * Files whose Merkle tree has at most one block are collected in one buffer, each padded to whole blocks. When it is
 * full, all data blocks are hashed in one go, then all tree blocks, then all descriptors. So a hasher that works on
 * several blocks at once has enough of them even when every file is small. Larger files pass through the same buffer
 * piece by piece. Memory is the same whatever comes.
 */
import { FsverityDescriptor } from '../../runtime/format/fsverity-descriptor.ts';
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
} from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import type { BlockHasher, BlockHasherMaker } from './block-hasher.ts';
import { MerkleLevels } from './merkle-levels.ts';

/** Data blocks hashed in one go: 1 MiB, a multiple of what a block of either algorithm's tree holds. */
const BATCH_BLOCKS = 256;
const DESCRIPTOR_SIZE = 256;

/** Puts `length` bytes of a file, from `position` on, at the start of the batch's buffer. */
export type ReadPiece = (position: number, length: number) => void;

export class VerityBatch {
  readonly #algorithm: VerityAlgorithm;
  readonly #digestSize: number;
  readonly #data: BlockHasher;
  /** The same bytes as a plain array, whose `fill` does not check what it is given. */
  readonly #bytes: Uint8Array;
  readonly #trees: BlockHasher;
  readonly #descriptors: BlockHasher;
  /** Data blocks of the largest file that is collected: its tree is one block. */
  readonly #blocksMax: number;
  readonly #sizes: number[] = [];
  #blocks = 0;

  constructor(algorithm: VerityAlgorithm, make: BlockHasherMaker) {
    this.#algorithm = algorithm;
    this.#digestSize = VERITY_ALGORITHMS[algorithm].digestSize;
    this.#blocksMax = VERITY_BLOCK_SIZE / this.#digestSize;
    this.#data = make(VERITY_BLOCK_SIZE, BATCH_BLOCKS);
    const { messages } = this.#data;
    this.#bytes = new Uint8Array(messages.buffer, messages.byteOffset, messages.length);
    this.#trees = make(VERITY_BLOCK_SIZE, BATCH_BLOCKS / 2);
    this.#descriptors = make(DESCRIPTOR_SIZE, BATCH_BLOCKS);
    const { id } = VERITY_ALGORITHMS[algorithm];
    const root_hash = new Uint8Array(64);
    const empty = FsverityDescriptor.encode({ hash_algorithm: id, data_size: 0n, root_hash });
    for (let i = 0; i < BATCH_BLOCKS; i++) {
      this.#descriptors.messages.set(empty, DESCRIPTOR_SIZE * i);
    }
  }

  get buffer(): Buffer {
    return this.#data.messages;
  }

  /** Whether a file of this size is ever collected. */
  collects(size: number): boolean {
    return size > 0 && blocksOf(size) <= this.#blocksMax;
  }

  hasRoom(size: number): boolean {
    return this.#blocks + blocksOf(size) <= BATCH_BLOCKS;
  }

  /** Room in `buffer` for the bytes of a file: the offset that the caller puts them at before `finish`. */
  collect(size: number): number {
    const start = this.#blocks * VERITY_BLOCK_SIZE;
    this.#blocks += blocksOf(size);
    this.#bytes.fill(0, start + size, this.#blocks * VERITY_BLOCK_SIZE);
    this.#sizes.push(size);
    return start;
  }

  /** Hashes what was collected; digest after digest in the order of the files, valid until the next call. */
  finish(): Uint8Array {
    const count = this.#sizes.length;
    this.#data.run(this.#blocks);
    this.#hashTrees();
    this.#descriptors.run(count);
    this.clear();
    return this.#descriptors.digests.subarray(0, count * this.#digestSize);
  }

  /** Forgets what was collected. */
  clear(): void {
    this.#sizes.length = 0;
    this.#blocks = 0;
  }

  /** The digest of one file of any size, valid until the next call. Nothing may be waiting at the time. */
  digestOf(size: number, read: ReadPiece): Uint8Array {
    if (this.#blocks > 0) throw new Error('files are waiting in the batch');
    const { messages, digests } = this.#data;
    const levels = new MerkleLevels(hashFunction(this.#algorithm), this.#digestSize);
    for (let at = 0; at < size;) {
      const length = Math.min(size - at, messages.length);
      read(at, length);
      const blocks = blocksOf(length);
      messages.fill(0, length, blocks * VERITY_BLOCK_SIZE);
      this.#data.run(blocks);
      levels.add(digests.subarray(0, blocks * this.#digestSize));
      at += length;
    }
    // The root hash of an empty file is zero.
    this.#writeDescriptor(0, size, size === 0 ? new Uint8Array(this.#digestSize) : levels.root());
    this.#descriptors.run(1);
    return this.#descriptors.digests.subarray(0, this.#digestSize);
  }

  /** Hashes the trees of the files with more than one block, and describes every file. */
  #hashTrees(): void {
    const size = this.#digestSize;
    const leaves = this.#data.digests;
    const { messages, digests } = this.#trees;
    let trees = 0;
    this.#eachFile((_, block, blocks) => {
      if (blocks === 1) return;
      const at = VERITY_BLOCK_SIZE * trees++;
      leaves.copy(messages, at, size * block, size * (block + blocks));
      messages.fill(0, at + size * blocks, at + VERITY_BLOCK_SIZE);
    });
    this.#trees.run(trees);
    trees = 0;
    this.#eachFile((i, block, blocks) => {
      const isData = blocks === 1;
      const at = size * (isData ? block : trees++);
      this.#writeDescriptor(i, this.#sizes[i]!, isData ? leaves : digests, at);
    });
  }

  #eachFile(visit: (index: number, firstBlock: number, blocks: number) => void): void {
    let block = 0;
    for (let i = 0; i < this.#sizes.length; i++) {
      const blocks = blocksOf(this.#sizes[i]!);
      visit(i, block, blocks);
      block += blocks;
    }
  }

  /** Puts a file's size and root hash, which is at `at` of `roots`, into its descriptor. */
  #writeDescriptor(index: number, size: number, roots: Uint8Array, at = 0): void {
    const { messages } = this.#descriptors;
    const start = DESCRIPTOR_SIZE * index;
    const { at: offsets } = FsverityDescriptor;
    const low = size % 2 ** 32;
    messages.writeUInt32LE(low, start + offsets.data_size);
    messages.writeUInt32LE((size - low) / 2 ** 32, start + offsets.data_size + 4);
    for (let i = 0; i < this.#digestSize; i++) {
      messages[start + offsets.root_hash + i] = roots[at + i]!;
    }
  }
}

function blocksOf(size: number): number {
  return Math.ceil(size / VERITY_BLOCK_SIZE);
}
