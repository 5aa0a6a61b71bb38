/**
 * Where everything in an index of an archive goes: inodes, chunk tables, attributes, blocks of directories.
 *
 * Plain EROFS with blocks of 512 bytes, the alignment of contents in an archive. Inodes are numbered breadth-first, as
 * in a composefs image (layout.ts), whose other choices are mkcomposefs's and not needed here. The order of the image:
 * headers, inodes with what follows each, shared attributes, blocks. Facts about inodes are columns by inode number.
 * Source: Linux fs/erofs/inode.c, data.c, dir.c.
 */
import {
  ErofsChunkIndex,
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  EROFS_SLOT_SIZE,
} from '../../runtime/format/erofs.ts';
import type { ByteString } from './byte-string.ts';
import { chunkingOf, extentsOf } from './tar-extents.ts';
import { failTar } from './tar-error.ts';
import { INDEX_BLOCK_SIZE, INDEX_INODES_START } from './tar-index-format.ts';
import { IndexXattrs } from './tar-index-xattrs.ts';
import { isDirectory, isRegular, isSymlink, type TreeNode } from './tree.ts';

const COMPACT_ID_MAX = 0xffff;
const COMPACT_SIZE_MAX = 0xffffffff;
const BLOCK_MAX = 0xffffffff;
/** Chunk tables begin at a multiple of an entry. */
const CHUNK_ALIGNMENT = ErofsChunkIndex.size;

/** A complete plan; tar-index-write.ts turns it into bytes. */
export interface IndexLayout {
  readonly nodes: readonly TreeNode[];
  /** Inode number of each directory's parent, and of its first own entry. */
  readonly parent: Uint32Array;
  readonly firstChild: Uint32Array;
  /** Inode numbers of entries that other names link to. */
  readonly linked: ReadonlyMap<TreeNode, number>;
  readonly extended: Uint8Array;
  /** Size as stored: of a directory's entries, of a symlink's target, of a file. */
  readonly size: Float64Array;
  /** Bytes that stand behind the inode's attributes: of entries, a target or a chunk table. */
  readonly tailSize: Uint32Array;
  readonly blockCount: Uint32Array;
  readonly firstBlock: Uint32Array;
  /** Byte at which the inode stands. */
  readonly position: Float64Array;
  readonly xattrs: IndexXattrs;
  readonly buildTime: Time;
  readonly inodesEnd: number;
  readonly firstDataBlock: number;
  /** Blocks of the image. */
  readonly totalBlocks: number;
}

interface Time {
  readonly sec: number | bigint;
  readonly nsec: number;
}

/** Plans the index of a tree whose files have payloads that chunks can say (tar-extents.ts). */
export function layoutIndex(root: TreeNode): IndexLayout {
  const { nodes, parent, firstChild, linked } = numberInodes(root);
  const count = nodes.length;
  const xattrs = new IndexXattrs();
  for (const node of nodes) xattrs.count(node.xattrs);
  const sharedSize = xattrs.placeShared();
  const plan = {
    nodes,
    parent: Uint32Array.from(parent),
    firstChild: Uint32Array.from(firstChild),
    linked,
    extended: new Uint8Array(count),
    size: new Float64Array(count),
    tailSize: new Uint32Array(count),
    blockCount: new Uint32Array(count),
    firstBlock: new Uint32Array(count),
    position: new Float64Array(count),
    xattrs,
    buildTime: leastTime(nodes),
  };
  for (let inode = 0; inode < count; inode++) measure(plan, inode);
  const inodesEnd = placeInodes(plan);
  const firstDataBlock = Math.ceil((inodesEnd + sharedSize) / INDEX_BLOCK_SIZE);
  const totalBlocks = placeBlocks(plan, firstDataBlock);
  return { ...plan, inodesEnd, firstDataBlock, totalBlocks };
}

/** What is planned before anything has its place. */
type Plan = Omit<IndexLayout, 'inodesEnd' | 'firstDataBlock' | 'totalBlocks'>;

function numberInodes(root: TreeNode): {
  nodes: TreeNode[];
  parent: number[];
  firstChild: number[];
  linked: Map<TreeNode, number>;
} {
  const nodes = [root];
  const parent = [0];
  const firstChild: number[] = [];
  const linked = new Map<TreeNode, number>();
  for (let inode = 0; inode < nodes.length; inode++) {
    firstChild.push(nodes.length);
    for (const child of nodes[inode]!.children ?? []) {
      if (child.hardlink !== undefined) linked.set(child.hardlink, 0);
      else {
        nodes.push(child);
        parent.push(inode);
      }
    }
  }
  if (linked.size > 0) {
    nodes.forEach((node, inode) => linked.has(node) && linked.set(node, inode));
  }
  return { nodes, parent, firstChild, linked };
}

/** The least time of all inodes, which compact ones have. */
function leastTime(nodes: readonly TreeNode[]): Time {
  let { mtimeSec: sec, mtimeNsec: nsec } = nodes[0]!;
  for (const node of nodes) {
    const isLess = node.mtimeSec < sec || (node.mtimeSec === sec && node.mtimeNsec < nsec);
    if (isLess) ({ mtimeSec: sec, mtimeNsec: nsec } = node);
  }
  return { sec, nsec };
}

// --- sizes -----------------------------------------------------------------------------------------------

/** Sizes of an inode before it has a place. */
function measure(plan: Plan, inode: number): void {
  const node = plan.nodes[inode]!;
  if (isDirectory(node)) {
    const { blocks, tail } = measureEntries(node.children!);
    plan.blockCount[inode] = blocks;
    plan.tailSize[inode] = tail;
    plan.size[inode] = blocks * INDEX_BLOCK_SIZE + tail;
  } else if (isSymlink(node)) {
    plan.tailSize[inode] = plan.size[inode] = node.payload!.length;
  } else if (isRegular(node) && node.size > 0) {
    plan.size[inode] = node.size;
    plan.tailSize[inode] =
      chunkingOf(extentsOf(node.payload!, node.size), node.size)!.count * ErofsChunkIndex.size;
  }
  const isCompact =
    node.mtimeSec === plan.buildTime.sec &&
    node.mtimeNsec === plan.buildTime.nsec &&
    nlinkOf(node) <= COMPACT_ID_MAX &&
    node.uid <= COMPACT_ID_MAX &&
    node.gid <= COMPACT_ID_MAX &&
    plan.size[inode]! <= COMPACT_SIZE_MAX;
  plan.extended[inode] = isCompact ? 0 : 1;
}

/** Links to an inode: names, or for a directory its own entries and those of the directories in it. */
export function nlinkOf(node: TreeNode): number {
  if (!isDirectory(node)) return node.nlink;
  return node.children!.reduce((n, child) => (child.children === undefined ? n : n + 1), 2);
}

/** Visits a directory's entries in name order, `.` and `..` among them. */
export function forEachEntry(
  children: readonly TreeNode[],
  visit: (name: ByteString, child: TreeNode | '.' | '..') => void,
): void {
  const dots = ['.', '..'] as const;
  let next = 0;
  for (const child of children) {
    for (; next < 2 && dots[next]! < child.name; next++) visitDot(dots[next]!, visit);
    visit(child.name, child);
  }
  for (; next < 2; next++) visitDot(dots[next]!, visit);
}

function visitDot(dot: '.' | '..', visit: (name: ByteString, child: '.' | '..') => void): void {
  visit(dot as string as ByteString, dot);
}

/** Whole blocks and the bytes left over of a directory's entries. */
function measureEntries(children: readonly TreeNode[]): { blocks: number; tail: number } {
  let blocks = 0;
  let tail = 0;
  forEachEntry(children, (name) => {
    const size = ErofsDirent.size + name.length;
    if (tail + size > INDEX_BLOCK_SIZE) {
      blocks++;
      tail = 0;
    }
    tail += size;
  });
  return { blocks, tail };
}

// --- places ----------------------------------------------------------------------------------------------

/** Bytes of an inode's record and attributes. */
export function headSize(layout: Plan, inode: number): number {
  const record = layout.extended[inode] === 1 ? ErofsInodeExtended.size : ErofsInodeCompact.size;
  return record + layout.xattrs.areaSize(layout.nodes[inode]!.xattrs);
}

function placeInodes(plan: Plan): number {
  let at = INDEX_INODES_START;
  for (let inode = 0; inode < plan.nodes.length; inode++) {
    const head = headSize(plan, inode);
    if (!isRegular(plan.nodes[inode]!)) at += placeTail(plan, inode, at, head);
    plan.position[inode] = at;
    const tail = plan.tailSize[inode]!;
    const isTable = isRegular(plan.nodes[inode]!) && tail > 0;
    at = alignUp(isTable ? alignUp(at + head, CHUNK_ALIGNMENT) + tail : at + head + tail);
  }
  return at;
}

function alignUp(position: number, to: number = EROFS_SLOT_SIZE): number {
  return Math.ceil(position / to) * to;
}

/**
 * How far to move an inode so that what follows it stands in one block, a symlink with all of its inode: kernels before
 * 6.12 want that. Where that would cost more than a block, the tail becomes one.
 */
function placeTail(plan: Plan, inode: number, at: number, head: number): number {
  const tail = plan.tailSize[inode]!;
  if (tail === 0) return 0;
  const isLink = isSymlink(plan.nodes[inode]!);
  for (let padding = 0; padding + tail < INDEX_BLOCK_SIZE; padding += EROFS_SLOT_SIZE) {
    const from = isLink ? at + padding : at + padding + head;
    const size = isLink ? head + tail : tail;
    if ((from % INDEX_BLOCK_SIZE) + size <= INDEX_BLOCK_SIZE) return padding;
  }
  plan.blockCount[inode]! += Math.ceil(tail / INDEX_BLOCK_SIZE);
  plan.tailSize[inode] = 0;
  // The size of a directory that has no tail is that of its blocks.
  if (!isLink) plan.size[inode] = plan.blockCount[inode]! * INDEX_BLOCK_SIZE;
  return 0;
}

function placeBlocks(plan: Plan, firstDataBlock: number): number {
  let block = firstDataBlock;
  for (let inode = 0; inode < plan.nodes.length; inode++) {
    if (plan.blockCount[inode] === 0) continue;
    plan.firstBlock[inode] = block;
    block += plan.blockCount[inode]!;
  }
  if (block > BLOCK_MAX) failTar('FORMAT_TAR_ENTRIES', { at: 0 }, 'its index has over 2 TiB');
  return block;
}

/** The nid of an inode: slots from the start of the image. */
export function indexNid({ position }: Pick<IndexLayout, 'position'>, inode: number): number {
  return position[inode]! / EROFS_SLOT_SIZE;
}
