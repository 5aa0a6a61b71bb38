/**
 * Where everything in an image goes: inode order, sizes, padding, shared attributes, data blocks.
 *
 * Bit-for-bit what mkcomposefs does (docs/format.md tells the rules in prose). Inodes are numbered
 * breadth-first, so the inodes of a directory's own entries are consecutive, and per-inode facts are columns
 * of typed arrays indexed by that number. The input tree is not changed.
 * Source: libcomposefs lcfs-writer-erofs.c and lcfs_compute_tree in lcfs-writer.c.
 */
import { CHUNKS_MAX } from '../../runtime/format/composefs.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_CHUNK_BITS_MAX,
  EROFS_CHUNK_INDEX_SIZE,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
} from '../../runtime/format/erofs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { ImageXattr } from './image-xattr.ts';
import { ImageXattrs } from './image-xattrs.ts';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type TreeNode } from './tree.ts';
import { Dirents } from './dirents.ts';
import { EntryTable, NO_DATA, NOT_LINKED } from './entry-table.ts';
import { tableOfTree } from './tree-table.ts';

export interface FormatVersions {
  /** Format version to write: 0 or 1. */
  readonly min: number;
  /** May be raised to this when the tree has whiteouts. */
  readonly max: number;
}

/** mkcomposefs's default: version 0, or 1 when the tree has a whiteout. */
export const DEFAULT_VERSIONS: FormatVersions = { min: 0, max: 1 };

const INODES_START = EROFS_SUPER_OFFSET + ErofsSuperblock.size;
/** More of a block than this left over is stored as a whole block instead of after the inode. */
const TAIL_MAX = EROFS_BLOCK_SIZE / 2;
const COMPACT_ID_MAX = 0xffff;
const COMPACT_SIZE_MAX = 0xffffffff;
/** Files up to here have one chunk; larger ones have chunks of this size. */
const CHUNK_SIZE_MAX = 2 ** EROFS_CHUNK_BITS_MAX;

/** A complete plan of an image; `write.ts` turns it into bytes. */
export interface ImageLayout {
  readonly version: number;
  readonly hasAcl: boolean;
  readonly buildTimeSec: number | bigint;
  readonly buildTimeNsec: number;
  readonly xattrs: ImageXattrs;
  readonly sharedXattrs: readonly ImageXattr[];
  readonly inodesEnd: number;
  readonly sharedXattrsEnd: number;
  readonly firstDataBlock: number;
  readonly blockCount: number;
  readonly inodes: InodeColumns;
}

/** Facts about the inodes, by inode number. */
export interface InodeColumns {
  readonly count: number;
  readonly table: EntryTable;
  /** The entry that each inode comes from. */
  readonly entries: Int32Array;
  /** By entry: its inode; of a hardlink, that of the entry it links to. */
  readonly inodeOf: Int32Array;
  /** Number of the list of attributes in `ImageXattrs`. */
  readonly xattrLists: Int32Array;
  readonly extended: Uint8Array;
  readonly nlink: Uint32Array;
  readonly xattrSize: Uint32Array;
  readonly tailSize: Uint16Array;
  readonly dataBlocks: Uint32Array;
  readonly firstBlock: Uint32Array;
  /** Byte offset of the inode in the image. */
  readonly position: Float64Array;
  readonly dirents: Dirents;
}

/** Bytes of these columns for each inode. */
export const INODE_SIZE = 39;

/** Plans the image of a tree. Throws USAGE_FORMAT_VERSION or FORMAT_TREE_* for what no image can hold. */
export function layoutImage(root: TreeNode | EntryTable, versions: FormatVersions): ImageLayout {
  const table = root instanceof EntryTable ? root : tableOfTree(root);
  const columns = numberInodes(table);
  const hasWhiteout = columns.entries.some((entry) => table.isWhiteout(entry));
  const version = chooseVersion(versions, hasWhiteout);
  const xattrs = new ImageXattrs(table);
  addXattrs(columns, xattrs, hasWhiteout, version);
  const sharedXattrs = xattrs.placeShared();
  const oldest = oldestEntry(columns);
  for (let inode = 0; inode < columns.count; inode++) {
    columns.xattrSize[inode] = xattrs.areaSize(columns.xattrLists[inode]!, columns.entries[inode]!);
    measureInode(columns, inode, oldest);
  }
  const inodesEnd = placeInodes(columns);
  const sharedXattrsEnd = sharedXattrs.reduce((end, { size }) => end + size, inodesEnd);
  const firstDataBlock = Math.ceil(sharedXattrsEnd / EROFS_BLOCK_SIZE);
  const blockCount = placeDataBlocks(columns, firstDataBlock);
  return {
    version,
    hasAcl: xattrs.hasAcl,
    buildTimeSec: table.mtimeSec(oldest),
    buildTimeNsec: table.mtimeNsec[oldest]!,
    xattrs,
    sharedXattrs,
    inodesEnd,
    sharedXattrsEnd,
    firstDataBlock,
    blockCount,
    inodes: columns,
  };
}

function chooseVersion(versions: FormatVersions, hasWhiteout: boolean): number {
  return hasWhiteout && versions.min < 1 && versions.max >= 1 ? 1 : versions.min;
}

/** Breadth-first order of the inodes, with the stubs among the root's entries. */
function numberInodes(table: EntryTable): InodeColumns {
  const { start, entries: children } = table.index;
  const inodeOf = new Int32Array(table.count);
  const entries = new Int32Array(table.count);
  let count = 1;
  for (let inode = 0; inode < count; inode++) {
    const directory = entries[inode]!;
    for (let i = start[directory]!; i < start[directory + 1]!; i++) {
      const child = children[i]!;
      if (table.hardlink[child] !== NOT_LINKED) continue;
      inodeOf[child] = count;
      entries[count++] = child;
    }
  }
  for (let entry = 0; entry < table.count; entry++) {
    const target = table.hardlink[entry]!;
    if (target !== NOT_LINKED) inodeOf[entry] = inodeOf[target]!;
  }
  return {
    count,
    table,
    entries: entries.subarray(0, count),
    inodeOf,
    xattrLists: new Int32Array(count),
    extended: new Uint8Array(count),
    nlink: new Uint32Array(count),
    xattrSize: new Uint32Array(count),
    tailSize: new Uint16Array(count),
    dataBlocks: new Uint32Array(count),
    firstBlock: new Uint32Array(count),
    position: new Float64Array(count),
    dirents: new Dirents(table),
  };
}

/** Chooses the list of every inode and counts what is in it. */
function addXattrs(
  { count, table, entries, inodeOf, xattrLists }: InodeColumns,
  xattrs: ImageXattrs,
  hasWhiteout: boolean,
  version: number,
): void {
  const whiteoutParents = new Set<number>();
  for (let inode = 0; inode < count; inode++) {
    const entry = entries[inode]!;
    let list = xattrs.listOf(table.xattrs[entry]!);
    if (hasWhiteout && table.isWhiteout(entry)) {
      list = xattrs.withWhiteout(list);
      whiteoutParents.add(inodeOf[table.parent[entry]!]!);
    }
    xattrLists[inode] = list;
  }
  for (const inode of whiteoutParents) {
    xattrLists[inode] = xattrs.withWhiteouts(xattrLists[inode]!, version);
  }
  xattrLists[0] = xattrs.withRootOpaque(xattrLists[0]!);
  for (let inode = 0; inode < count; inode++) xattrs.count(xattrLists[inode]!, entries[inode]!);
}

/** The entry with the least mtime of all inodes, which compact inodes share. */
function oldestEntry({ count, table, entries }: InodeColumns): number {
  const { mtimeHigh, mtimeLow, mtimeNsec } = table;
  let oldest = 0;
  for (let inode = 1; inode < count; inode++) {
    const entry = entries[inode]!;
    const difference =
      mtimeHigh[entry]! - mtimeHigh[oldest]! ||
      mtimeLow[entry]! - mtimeLow[oldest]! ||
      mtimeNsec[entry]! - mtimeNsec[oldest]!;
    if (difference < 0) oldest = entry;
  }
  return oldest;
}

function isSameTime(table: EntryTable, a: number, b: number): boolean {
  return (
    table.mtimeHigh[a] === table.mtimeHigh[b] &&
    table.mtimeLow[a] === table.mtimeLow[b] &&
    table.mtimeNsec[a] === table.mtimeNsec[b]
  );
}

function measureInode(columns: InodeColumns, inode: number, oldest: number): void {
  const { table } = columns;
  const entry = columns.entries[inode]!;
  let size = table.size[entry]!;
  columns.nlink[inode] = table.nlink[entry]!;
  const type = table.mode[entry]! & S_IFMT;
  if (type === S_IFDIR) size = measureDirectory(columns, inode, entry);
  else if (type === S_IFLNK) {
    size = table.dataSize[entry]!;
    columns.tailSize[inode] = size;
  } else if (type === S_IFREG) {
    if (size > 0) measureRegular(columns, inode, entry);
  } else if (type === S_IFCHR && table.rdev[entry] === 0) size = 0;
  const compact =
    columns.nlink[inode] <= COMPACT_ID_MAX &&
    table.uid[entry]! <= COMPACT_ID_MAX &&
    table.gid[entry]! <= COMPACT_ID_MAX &&
    size <= COMPACT_SIZE_MAX &&
    isSameTime(table, entry, oldest);
  columns.extended[inode] = compact ? 0 : 1;
}

function measureRegular(columns: InodeColumns, inode: number, entry: number): void {
  const contentSize = columns.table.dataSize[entry]!;
  if (contentSize === NO_DATA) {
    const size = columns.table.size[entry]!;
    const chunks = Math.ceil(size / CHUNK_SIZE_MAX);
    if (chunks > CHUNKS_MAX) {
      throw new ColdsealError(
        'FORMAT_TREE_FILE_SIZE',
        `Cannot describe a file of ${size} bytes: expected at most 8 PiB`,
      );
    }
    columns.tailSize[inode] = chunks * EROFS_CHUNK_INDEX_SIZE;
    return;
  }
  const tail = contentSize % EROFS_BLOCK_SIZE;
  const blocks = (contentSize - tail) / EROFS_BLOCK_SIZE;
  columns.dataBlocks[inode] = tail > TAIL_MAX ? blocks + 1 : blocks;
  columns.tailSize[inode] = tail > TAIL_MAX ? 0 : tail;
}

/** log2 of the chunk size of a file: the smallest power of two that holds it, within what EROFS can say. */
export function chunkBits(size: number): number {
  if (size <= EROFS_BLOCK_SIZE) return EROFS_BLKSZBITS;
  if (size <= 0x80000000) return 32 - Math.clz32(size - 1);
  let bits = 32;
  while (bits < EROFS_CHUNK_BITS_MAX && 2 ** bits < size) bits++;
  return bits;
}

/** Whole blocks and left-over bytes of a directory's entries, its link count; returns its size. */
function measureDirectory(columns: InodeColumns, inode: number, directory: number): number {
  const { table } = columns;
  const { start, entries } = table.index;
  let nlink = 2;
  for (let i = start[directory]!; i < start[directory + 1]!; i++) {
    const child = entries[i]!;
    if (table.isDirectory(child) && table.hardlink[child] === NOT_LINKED) nlink++;
  }
  columns.nlink[inode] = nlink;
  const dirents = columns.dirents;
  dirents.load(directory);
  const isWhole = dirents.lastSize > TAIL_MAX;
  const blocks = isWhole ? dirents.blockCount : dirents.blockCount - 1;
  const tail = isWhole ? 0 : dirents.lastSize;
  columns.dataBlocks[inode] = blocks;
  columns.tailSize[inode] = tail;
  return blocks * EROFS_BLOCK_SIZE + tail;
}

/** Gives every inode its position and returns the end of the last one, rounded up to a slot. */
function placeInodes(columns: InodeColumns): number {
  let position = INODES_START;
  for (let inode = 0; inode < columns.count; inode++) {
    const record = columns.extended[inode] === 1 ? ErofsInodeExtended.size : ErofsInodeCompact.size;
    const head = record + columns.xattrSize[inode]!;
    position += paddingBefore(columns, inode, position, head);
    columns.position[inode] = position;
    position = alignSlot(position + head + columns.tailSize[inode]!);
  }
  return position;
}

function isSymlink({ table, entries }: InodeColumns, inode: number): boolean {
  return (table.mode[entries[inode]!]! & S_IFMT) === S_IFLNK;
}

function alignSlot(position: number): number {
  return Math.ceil(position / EROFS_SLOT_SIZE) * EROFS_SLOT_SIZE;
}

function toNextBlock(position: number): number {
  return Math.ceil(position / EROFS_BLOCK_SIZE) * EROFS_BLOCK_SIZE - position;
}

/** Bytes to skip so that an inode's tail stays within one block; moves a tail to a data block if it never can. */
function paddingBefore(
  columns: InodeColumns,
  inode: number,
  position: number,
  head: number,
): number {
  const tail = columns.tailSize[inode]!;
  if (isSymlink(columns, inode)) {
    const total = head + tail;
    if (total >= EROFS_BLOCK_SIZE) moveTailToBlock(columns, inode);
    // Kernels before 6.12 refuse a symlink whose inode and target do not share a block.
    const first = Math.floor(position / EROFS_BLOCK_SIZE);
    const last = Math.floor((position + total - 1) / EROFS_BLOCK_SIZE);
    return first === last ? 0 : toNextBlock(position);
  }
  if (tail === 0) return 0;
  const room = EROFS_BLOCK_SIZE - ((position + head) % EROFS_BLOCK_SIZE);
  if (room >= tail) return 0;
  const padding = alignSlot(room);
  if (EROFS_BLOCK_SIZE - ((position + padding + head) % EROFS_BLOCK_SIZE) >= tail) return padding;
  moveTailToBlock(columns, inode);
  return toNextBlock(position);
}

function moveTailToBlock(columns: InodeColumns, inode: number): void {
  columns.tailSize[inode] = 0;
  columns.dataBlocks[inode]!++;
}

function placeDataBlocks(columns: InodeColumns, firstDataBlock: number): number {
  let block = firstDataBlock;
  for (let inode = 0; inode < columns.count; inode++) {
    columns.firstBlock[inode] = block;
    block += columns.dataBlocks[inode]!;
  }
  return block;
}

/** nid of an inode: its position in slots. */
export function nidOf(columns: InodeColumns, inode: number): number {
  return columns.position[inode]! / EROFS_SLOT_SIZE;
}
