/**
 * What each block of a store partition belongs to: a file's data, what fs-verity keeps behind it, or the file system's
 * own records. The way back from a request of the disk to what was asked for.
 */
import type { Ext4Reader, FoundFile } from '../disk/ext4-reader.ts';
import { BLOCK } from '../disk/ext4-records.ts';

/** What a block is. `tree`: of the Merkle tree and descriptor. `metadata`: of the file system. */
export type BlockOwner =
  | { readonly kind: 'data' | 'tree'; readonly file: FoundFile; readonly block: number }
  | { readonly kind: 'metadata'; readonly what: MetadataKind };

export type MetadataKind = 'directory' | 'inode' | 'other';

interface Span {
  readonly first: number;
  readonly end: number;
  readonly ownerOf: (block: number) => BlockOwner;
}

export class BlockMap {
  /** In the order of the disk; they do not overlap. */
  readonly #spans: readonly Span[];

  /** Reads the whole tree. Throws what Ext4Reader throws. */
  constructor(reader: Ext4Reader) {
    const spans = reader.files().flatMap(fileSpans);
    const metadata = (first: number, count: number, what: MetadataKind): Span => {
      return { first, end: first + count, ownerOf: () => ({ kind: 'metadata', what }) };
    };
    for (const { runs } of reader.directories) {
      spans.push(...runs.map(({ physical, count }) => metadata(physical, count, 'directory')));
    }
    for (const { physical, count } of reader.inodeTables) {
      spans.push(metadata(physical, count, 'inode'));
    }
    this.#spans = spans.sort((a, b) => a.first - b.first);
  }

  /** The owner of a block of the partition; what is nobody's is the file system's. */
  ownerOf(block: number): BlockOwner {
    let [low, high] = [0, this.#spans.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#spans[middle]!.end <= block) low = middle + 1;
      else high = middle;
    }
    const span = this.#spans[low];
    if (span !== undefined && span.first <= block) return span.ownerOf(block);
    return { kind: 'metadata', what: 'other' };
  }
}

function fileSpans(file: FoundFile): Span[] {
  const dataBlocks = Math.ceil(file.size / BLOCK);
  return file.runs.map(({ logical, physical, count }) => ({
    first: physical,
    end: physical + count,
    ownerOf: (block) => {
      const at = logical + block - physical;
      return { kind: at < dataBlocks ? 'data' : 'tree', file, block: at };
    },
  }));
}
