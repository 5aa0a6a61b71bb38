/**
 * Where ext4 keeps what fs-verity adds to a file: behind its data, in blocks past the end of the file.
 *
 *   data, to the end of its block zeros | nothing up to the next 64 KiB | Merkle tree, root level first |
 *   descriptor block: 256 bytes, zeros, and in the last 4 bytes of the file's last block the descriptor's size
 *
 * A file of at most one block has no tree. Pure arithmetic, shared by the writer and the check.
 * Source: Linux fs/ext4/verity.c, Documentation/filesystems/fsverity.rst (Merkle tree).
 */
import { alignUp } from '../../runtime/format/bytes.ts';
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
} from '../../runtime/format/fsverity.ts';

/** The tree starts at a multiple of the largest page size, so that data and tree never share a page. */
export const TREE_ALIGNMENT = 65536;

export interface SealedLayout {
  /** Blocks of data. */
  readonly dataBlocks: number;
  /** The file's block at which tree or descriptor begin. */
  readonly treeStart: number;
  /** Blocks of each level, level 0 next to the data. */
  readonly levels: readonly number[];
  /** The file's last block. */
  readonly descriptorBlock: number;
  /** Blocks that the file takes: the gap before the tree takes none. */
  readonly blocks: number;
}

/** The layout of a sealed file of `size` bytes. */
export function sealedLayout(size: number, algorithm: VerityAlgorithm): SealedLayout {
  const perBlock = VERITY_BLOCK_SIZE / VERITY_ALGORITHMS[algorithm].digestSize;
  const dataBlocks = Math.ceil(size / VERITY_BLOCK_SIZE);
  const levels: number[] = [];
  for (let blocks = dataBlocks; blocks > 1; levels.push(blocks)) {
    blocks = Math.ceil(blocks / perBlock);
  }
  const treeStart = alignUp(size, TREE_ALIGNMENT) / VERITY_BLOCK_SIZE;
  const tree = levels.reduce((sum, blocks) => sum + blocks, 0);
  const descriptorBlock = treeStart + tree;
  return { dataBlocks, treeStart, levels, descriptorBlock, blocks: dataBlocks + tree + 1 };
}
