/**
 * Where everything in an image goes: inode order, sizes, padding, shared attributes, data blocks.
 *
 * Bit-for-bit what mkcomposefs does (docs/format.md tells the rules in prose). Inodes are numbered
 * breadth-first, so the inodes of a directory's own entries are consecutive, and per-inode facts are columns
 * of typed arrays indexed by that number. The input tree is not changed.
 * Source: libcomposefs lcfs-writer-erofs.c and lcfs_compute_tree in lcfs-writer.c.
 */
import {
  CHUNKS_MAX,
  SHARED_XATTRS_PER_INODE_MAX,
  XATTR_SELINUX,
} from '../../runtime/format/composefs.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_CHUNK_BITS_MAX,
  EROFS_CHUNK_INDEX_SIZE,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { ByteString } from './byte-string.ts';
import { ImageXattrs, type ImageXattr } from './image-xattrs.ts';
import { isDirectory, isRegular, isSymlink, isWhiteout, S_IFCHR, TreeNode } from './tree.ts';

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
const STUBS = 256;
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
  readonly nodes: readonly TreeNode[];
  /** Entries of each directory in name order, with the stubs for the root; undefined for other inodes. */
  readonly children: readonly (readonly TreeNode[] | undefined)[];
  readonly xattrs: readonly (readonly ImageXattr[])[];
  readonly parent: Int32Array;
  /** Inode number of a directory's first own entry. */
  readonly firstChild: Int32Array;
  /** Inode numbers of entries that other names link to. */
  readonly hardlinkTargets: ReadonlyMap<TreeNode, number>;
  readonly isStub: (inode: number) => boolean;
  readonly extended: Uint8Array;
  readonly nlink: Uint32Array;
  readonly xattrSize: Uint32Array;
  readonly tailSize: Uint16Array;
  readonly dataBlocks: Uint32Array;
  readonly firstBlock: Uint32Array;
  /** Byte offset of the inode in the image. */
  readonly position: Float64Array;
}

/** Plans the image of a tree. Throws USAGE_FORMAT_VERSION or FORMAT_TREE_* for what no image can hold. */
export function layoutImage(root: TreeNode, versions: FormatVersions): ImageLayout {
  const order = new InodeOrder(root);
  const version = chooseVersion(versions, order.hasWhiteout);
  const xattrs = new ImageXattrs();
  order.addXattrs(xattrs, version);
  const time = order.buildTime();
  const sharedXattrs = xattrs.shared();
  const sharedSize = placeSharedXattrs(sharedXattrs);
  const columns = order.columns(time);
  const inodesEnd = placeInodes(columns);
  const sharedXattrsEnd = inodesEnd + sharedSize;
  const firstDataBlock = Math.ceil(sharedXattrsEnd / EROFS_BLOCK_SIZE);
  const blockCount = placeDataBlocks(columns, firstDataBlock);
  return {
    version,
    hasAcl: xattrs.hasAcl,
    buildTimeSec: time.sec,
    buildTimeNsec: time.nsec,
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

interface Time {
  readonly sec: number | bigint;
  readonly nsec: number;
}

/** Breadth-first order of the inodes, with the 256 stubs among the root's entries. */
class InodeOrder {
  readonly #nodes: TreeNode[] = [];
  readonly #children: (readonly TreeNode[] | undefined)[] = [];
  readonly #parents: number[] = [];
  readonly #firstChild: number[] = [];
  readonly #xattrs: (readonly ImageXattr[])[] = [];
  readonly #stubs = new Set<TreeNode>();
  readonly #linked = new Set<TreeNode>();
  readonly #targets = new Map<TreeNode, number>();
  hasWhiteout = false;

  constructor(root: TreeNode) {
    this.#add(root, 0);
    this.#children[0] = this.#withStubs(root);
    for (let inode = 0; inode < this.#nodes.length; inode++) this.#addChildren(inode);
    for (let inode = 0; inode < this.#nodes.length && this.#linked.size > 0; inode++) {
      const node = this.#nodes[inode]!;
      if (this.#linked.delete(node)) this.#targets.set(node, inode);
    }
    if (this.#linked.size > 0) throw new Error('a hardlink points outside the tree');
  }

  #add(node: TreeNode, parent: number): void {
    this.#nodes.push(node);
    this.#parents.push(parent);
    this.#children.push(node.children);
    this.#firstChild.push(0);
    if (isWhiteout(node) && !this.#stubs.has(node)) this.hasWhiteout = true;
  }

  #addChildren(inode: number): void {
    const children = this.#children[inode];
    if (children === undefined) return;
    this.#firstChild[inode] = this.#nodes.length;
    for (const child of children) {
      if (child.hardlink === undefined) this.#add(child, inode);
      else this.#linked.add(child.hardlink);
    }
  }

  /** The root's entries and a whiteout for each name of an object directory that is still free. */
  #withStubs(root: TreeNode): TreeNode[] {
    const taken = new Set<string>(root.children!.map((child) => child.name));
    const selinux = root.xattrs.filter((xattr) => xattr.name === XATTR_SELINUX);
    const stubs: TreeNode[] = [];
    for (let i = 0; i < STUBS; i++) {
      const name = i.toString(16).padStart(2, '0');
      if (taken.has(name)) continue;
      const stub = new TreeNode(name as ByteString, S_IFCHR | 0o644);
      stub.uid = root.uid;
      stub.gid = root.gid;
      stub.mtimeSec = root.mtimeSec;
      stub.mtimeNsec = root.mtimeNsec;
      stub.xattrs = selinux;
      stubs.push(stub);
      this.#stubs.add(stub);
    }
    return [...root.children!, ...stubs].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  addXattrs(xattrs: ImageXattrs, version: number): void {
    const whiteoutParents = new Set<number>();
    for (let inode = 0; inode < this.#nodes.length; inode++) {
      const node = this.#nodes[inode]!;
      let list = xattrs.ofNode(node);
      if (this.hasWhiteout && isWhiteout(node) && !this.#stubs.has(node)) {
        list = xattrs.withWhiteout(list);
        whiteoutParents.add(this.#parents[inode]!);
      }
      this.#xattrs.push(list);
    }
    for (const inode of whiteoutParents) {
      this.#xattrs[inode] = xattrs.withWhiteouts(this.#xattrs[inode]!, version);
    }
    this.#xattrs[0] = xattrs.withRootOpaque(this.#xattrs[0]!);
  }

  /** The least mtime of all inodes, which compact inodes share. */
  buildTime(): Time {
    let { mtimeSec: sec, mtimeNsec: nsec } = this.#nodes[0]!;
    for (const node of this.#nodes) {
      if (node.mtimeSec < sec || (node.mtimeSec === sec && node.mtimeNsec < nsec)) {
        sec = node.mtimeSec;
        nsec = node.mtimeNsec;
      }
    }
    return { sec, nsec };
  }

  /** Sizes of every inode before they are placed; frees what only the traversal needed. */
  columns(time: Time): InodeColumns {
    const count = this.#nodes.length;
    const columns: InodeColumns = {
      count,
      nodes: this.#nodes,
      children: this.#children,
      xattrs: this.#xattrs,
      parent: Int32Array.from(this.#parents),
      firstChild: Int32Array.from(this.#firstChild),
      hardlinkTargets: this.#targets,
      isStub: (inode) => this.#stubs.has(this.#nodes[inode]!),
      extended: new Uint8Array(count),
      nlink: new Uint32Array(count),
      xattrSize: new Uint32Array(count),
      tailSize: new Uint16Array(count),
      dataBlocks: new Uint32Array(count),
      firstBlock: new Uint32Array(count),
      position: new Float64Array(count),
    };
    for (let inode = 0; inode < count; inode++) measureInode(columns, inode, time);
    return columns;
  }
}

function measureInode(columns: InodeColumns, inode: number, time: Time): void {
  const node = columns.nodes[inode]!;
  let size = node.size;
  columns.nlink[inode] = node.nlink;
  columns.xattrSize[inode] = xattrAreaSize(columns.xattrs[inode]!);
  if (isDirectory(node)) {
    const children = columns.children[inode]!;
    let nlink = 2;
    for (const child of children) if (isOwnDirectory(child)) nlink++;
    columns.nlink[inode] = nlink;
    const { blocks, tail } = measureDirectory(children);
    columns.dataBlocks[inode] = blocks;
    columns.tailSize[inode] = tail;
    size = blocks * EROFS_BLOCK_SIZE + tail;
  } else if (isSymlink(node)) {
    size = node.payload!.length;
    columns.tailSize[inode] = size;
  } else if (isWhiteout(node)) size = 0;
  else if (isRegular(node) && node.size > 0) measureRegular(columns, inode, node);
  const compact =
    node.mtimeSec === time.sec &&
    node.mtimeNsec === time.nsec &&
    columns.nlink[inode] <= COMPACT_ID_MAX &&
    node.uid <= COMPACT_ID_MAX &&
    node.gid <= COMPACT_ID_MAX &&
    size <= COMPACT_SIZE_MAX;
  columns.extended[inode] = compact ? 0 : 1;
}

function isOwnDirectory(child: TreeNode): boolean {
  return child.hardlink === undefined && isDirectory(child);
}

function measureRegular(columns: InodeColumns, inode: number, node: TreeNode): void {
  if (node.content === undefined) {
    const chunks = Math.ceil(node.size / CHUNK_SIZE_MAX);
    if (chunks > CHUNKS_MAX) {
      throw new ColdsealError(
        'FORMAT_TREE_FILE_SIZE',
        `Cannot describe a file of ${node.size} bytes: expected at most 8 PiB`,
      );
    }
    columns.tailSize[inode] = chunks * EROFS_CHUNK_INDEX_SIZE;
    return;
  }
  const tail = node.content.length % EROFS_BLOCK_SIZE;
  const blocks = (node.content.length - tail) / EROFS_BLOCK_SIZE;
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

/**
 * Walks a directory's entries in name order, with `.` and `..` in their places. `visit` may be told where a
 * block ends by its return value being ignored; blocks are cut here and nowhere else.
 */
export function forEachDirent(
  children: readonly TreeNode[],
  visit: (name: ByteString, child: TreeNode | '.' | '..') => void,
): void {
  let dots = 0;
  for (const child of children) {
    if (dots < 2) {
      if (dots === 0 && child.name > '.') dots = visitDot(visit, '.');
      if (dots === 1 && child.name > '..') dots = visitDot(visit, '..');
    }
    visit(child.name, child);
  }
  if (dots === 0) dots = visitDot(visit, '.');
  if (dots === 1) visitDot(visit, '..');
}

function visitDot(visit: (name: ByteString, child: '.' | '..') => void, name: '.' | '..'): number {
  visit(name as string as ByteString, name);
  return name.length;
}

/** Whole blocks and left-over bytes of a directory's entries. */
function measureDirectory(children: readonly TreeNode[]): { blocks: number; tail: number } {
  let blocks = 0;
  let used = 0;
  forEachDirent(children, (name) => {
    const size = ErofsDirent.size + name.length;
    if (used + size > EROFS_BLOCK_SIZE) {
      blocks++;
      used = 0;
    }
    used += size;
  });
  return used > TAIL_MAX ? { blocks: blocks + 1, tail: 0 } : { blocks, tail: used };
}

function xattrAreaSize(list: readonly ImageXattr[]): number {
  if (list.length === 0) return 0;
  let size = ErofsXattrIbodyHeader.size;
  let shared = 0;
  for (const xattr of list) {
    if (xattr.sharedAt >= 0 && shared < SHARED_XATTRS_PER_INODE_MAX) {
      shared++;
      size += 4;
    } else size += xattr.size;
  }
  return size;
}

function placeSharedXattrs(shared: readonly ImageXattr[]): number {
  let size = 0;
  for (const xattr of shared) {
    xattr.sharedAt = size;
    size += xattr.size;
  }
  return size;
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
  if (isSymlink(columns.nodes[inode]!)) {
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
