/**
 * The list that the runtime reads ahead by, as it is sealed into the initramfs: one line for each file, `path from
 * length from length…`, in the order of the boot. A `+` before the path stands for the file's Merkle tree, the line
 * without a path for the partition itself. Pure.
 *
 * Everything is bounded here, so that the runtime need not: the size of the list, and what it makes a board read.
 */
import { READ_AHEAD_BYTES_MAX, TREE_TOO } from '../../runtime/read-ahead.ts';
import { ascii } from '../../runtime/format/bytes.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { sealedLayout } from '../disk/sealed-layout.ts';
import type { ByteRange } from './profile-schema.ts';

/**
 * Linux cuts off what is more than one request of the disk (mm/readahead.c, force_page_cache_ra): 1.25 MiB of a
 * virtio disk, 512 KiB of most controllers of eMMC and SD.
 */
const PIECE_MAX = 512 * 1024;
/** What a board with little memory can hold besides its system, and reads in under a second from slow storage. */
export const READ_AHEAD_TOTAL_MAX = 32 * 1024 * 1024;

export interface ReadAheadFile {
  /** Path in the store; empty: the partition itself. */
  readonly name: string;
  readonly ranges: readonly ByteRange[];
  /** Its whole size where it is sealed, to tell how much Merkle tree it has. */
  readonly sealed?: { readonly size: number; readonly algorithm: VerityAlgorithm };
}

export interface ReadAheadList {
  readonly bytes: Uint8Array;
  readonly files: number;
  /** That it asks for. */
  readonly total: number;
  /** Files that had no room in it, from the end of the boot. */
  readonly left: number;
}

/** The list of as many files as there is room for. */
export function readAheadList(files: readonly ReadAheadFile[]): ReadAheadList {
  let text = '';
  let total = 0;
  let count = 0;
  for (const { name, ranges, sealed } of files) {
    const hasTree = sealed !== undefined && treeBlocks(sealed.size, sealed.algorithm) > 1;
    const pieces = ranges.flatMap(([from, to]) => split(from, to));
    const line = [
      (hasTree ? TREE_TOO : '') + name,
      ...pieces.flatMap(([from, length]) => [from, length]),
    ].join(' ');
    const size = pieces.reduce((sum, [, length]) => sum + length, 0);
    const isFull =
      text.length + line.length + 1 > READ_AHEAD_BYTES_MAX || total + size > READ_AHEAD_TOTAL_MAX;
    if (isFull) break;
    text += text === '' ? line : `\n${line}`;
    total += size;
    count++;
  }
  return { bytes: ascii(text), files: count, total, left: files.length - count };
}

function treeBlocks(size: number, algorithm: VerityAlgorithm): number {
  return sealedLayout(size, algorithm).levels.reduce((sum, blocks) => sum + blocks, 0);
}

function split(from: number, to: number): [from: number, length: number][] {
  const pieces: [number, number][] = [];
  for (let at = from; at < to; at += PIECE_MAX) pieces.push([at, Math.min(PIECE_MAX, to - at)]);
  return pieces;
}
