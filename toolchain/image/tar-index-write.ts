/**
 * The bytes of a planned index, in order: headers, inodes, shared attributes, blocks.
 *
 * Nothing is decided here; where things go is in tar-index-layout.ts. Records are those of runtime/format/erofs.ts.
 */
import {
  EROFS_CHUNK_FORMAT_INDEXES,
  EROFS_FEATURE_COMPAT_MTIME,
  EROFS_FEATURE_COMPAT_XATTR_FILTER,
  EROFS_FEATURE_INCOMPAT_CHUNKED_FILE,
  EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
  EROFS_FT_BLKDEV,
  EROFS_FT_CHRDEV,
  EROFS_FT_DIR,
  EROFS_FT_FIFO,
  EROFS_FT_REG_FILE,
  EROFS_FT_SYMLINK,
  EROFS_INODE_CHUNK_BASED,
  EROFS_INODE_FLAT_INLINE,
  EROFS_INODE_FLAT_PLAIN,
  EROFS_NULL_ADDR,
  EROFS_SUPER_OFFSET,
  ErofsChunkIndex,
  ErofsDeviceSlot,
  ErofsDirent,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import type { StructValue } from '../../runtime/format/struct.ts';
import { bytesOf, type ByteString } from './byte-string.ts';
import { ImageSink, type ConsumeBytes } from './image-sink.ts';
import { chunkingOf, chunkOffsets, extentsOf, type Chunking } from './tar-extents.ts';
import {
  DEVICE_SLOT_OFFSET,
  INDEX_BLKSZBITS,
  INDEX_BLOCK_SIZE,
  TAR_DEVICE_ID,
  TarIndexHeader,
} from './tar-index-format.ts';
import { forEachEntry, headSize, indexNid, nlinkOf, type IndexLayout } from './tar-index-layout.ts';
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  type TreeNode,
} from './tree.ts';

const FILE_TYPES: ReadonlyMap<number, number> = new Map([
  [S_IFDIR, EROFS_FT_DIR],
  [S_IFCHR, EROFS_FT_CHRDEV],
  [S_IFBLK, EROFS_FT_BLKDEV],
  [S_IFIFO, EROFS_FT_FIFO],
  [S_IFLNK, EROFS_FT_SYMLINK],
]);

/** Writes the index in pieces to `consume`, in order. */
export function writeIndex(
  layout: IndexLayout,
  header: StructValue<typeof TarIndexHeader>,
  consume: ConsumeBytes,
): void {
  const sink = new ImageSink(consume);
  writeHeaders(sink, layout, header);
  for (let inode = 0; inode < layout.nodes.length; inode++) writeInode(sink, layout, inode);
  sink.padTo(layout.inodesEnd);
  layout.xattrs.writeShared(sink);
  for (let inode = 0; inode < layout.nodes.length; inode++) {
    if (layout.blockCount[inode]! > 0) writeBlocks(sink, layout, inode);
  }
  sink.padTo(layout.totalBlocks * INDEX_BLOCK_SIZE);
  sink.end();
}

function writeHeaders(
  sink: ImageSink,
  layout: IndexLayout,
  header: StructValue<typeof TarIndexHeader>,
): void {
  sink.bytes(TarIndexHeader.encode(header));
  sink.padTo(EROFS_SUPER_OFFSET);
  sink.bytes(
    ErofsSuperblock.encode({
      checksum: 0,
      feature_compat: EROFS_FEATURE_COMPAT_MTIME | EROFS_FEATURE_COMPAT_XATTR_FILTER,
      blkszbits: INDEX_BLKSZBITS,
      sb_extslots: 0,
      root_nid: indexNid(layout, 0),
      inos: BigInt(layout.nodes.length),
      build_time: BigInt(layout.buildTime.sec),
      build_time_nsec: layout.buildTime.nsec,
      blocks: layout.totalBlocks,
      meta_blkaddr: 0,
      xattr_blkaddr: Math.floor(layout.inodesEnd / INDEX_BLOCK_SIZE),
      uuid: new Uint8Array(16),
      volume_name: new Uint8Array(16),
      feature_incompat: EROFS_FEATURE_INCOMPAT_CHUNKED_FILE | EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
      available_compr_algs: 0,
      extra_devices: 1,
      devt_slotoff: DEVICE_SLOT_OFFSET / ErofsDeviceSlot.size,
      dirblkbits: 0,
      xattr_prefix_count: 0,
      xattr_prefix_start: 0,
      packed_nid: 0n,
      xattr_filter_reserved: 0,
    }),
  );
  sink.bytes(
    ErofsDeviceSlot.encode({
      tag: bytesOf(Buffer.from(header.tar_sha256).toString('hex') as ByteString),
      blocks_lo: Math.ceil(Number(header.tar_size) / INDEX_BLOCK_SIZE),
      uniaddr_lo: layout.totalBlocks,
    }),
  );
}

function writeInode(sink: ImageSink, layout: IndexLayout, inode: number): void {
  const node = layout.nodes[inode]!;
  const isExtended = layout.extended[inode] === 1;
  const xattrSize = layout.xattrs.areaSize(node.xattrs);
  const chunking = isRegular(node) ? chunkingOfNode(node) : undefined;
  sink.padTo(layout.position[inode]!);
  sink.u16(dataLayout(layout, inode, chunking) * 2 + (isExtended ? 1 : 0));
  sink.u16(xattrSize === 0 ? 0 : (xattrSize - ErofsXattrIbodyHeader.size) / 4 + 1);
  sink.u16(node.mode);
  sink.u16(isExtended ? 0 : nlinkOf(node));
  if (isExtended) sink.u64(layout.size[inode]!);
  else {
    sink.u32(layout.size[inode]!);
    sink.u32(0);
  }
  sink.u32(union(layout, inode, chunking));
  sink.u32(inode + 1);
  if (isExtended) {
    sink.u32(node.uid);
    sink.u32(node.gid);
    sink.u64(node.mtimeSec);
    sink.u32(node.mtimeNsec);
    sink.u32(nlinkOf(node));
    sink.fill(0, 16);
  } else {
    sink.u16(node.uid);
    sink.u16(node.gid);
    sink.u32(0);
  }
  if (xattrSize > 0) {
    layout.xattrs.writeArea(sink, node.xattrs, layout.inodesEnd % INDEX_BLOCK_SIZE);
  }
  if (chunking !== undefined) writeChunks(sink, layout, inode, chunking);
  else if (layout.tailSize[inode]! > 0) writeTail(sink, layout, inode);
}

function chunkingOfNode(node: TreeNode): Chunking | undefined {
  return node.size === 0 ? undefined : chunkingOf(extentsOf(node.payload!, node.size), node.size);
}

function dataLayout(layout: IndexLayout, inode: number, chunking: Chunking | undefined): number {
  if (chunking !== undefined) return EROFS_INODE_CHUNK_BASED;
  return layout.tailSize[inode]! > 0 ? EROFS_INODE_FLAT_INLINE : EROFS_INODE_FLAT_PLAIN;
}

/** Device number, chunk format or first block. */
function union(layout: IndexLayout, inode: number, chunking: Chunking | undefined): number {
  const node = layout.nodes[inode]!;
  const type = node.mode & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK) return node.rdev;
  if (chunking !== undefined) return EROFS_CHUNK_FORMAT_INDEXES | (chunking.bits - INDEX_BLKSZBITS);
  return layout.firstBlock[inode]!;
}

function writeChunks(
  sink: ImageSink,
  layout: IndexLayout,
  inode: number,
  chunking: Chunking,
): void {
  const node = layout.nodes[inode]!;
  const from = layout.position[inode]! + headSize(layout, inode);
  sink.padTo(Math.ceil(from / ErofsChunkIndex.size) * ErofsChunkIndex.size);
  for (const offset of chunkOffsets(extentsOf(node.payload!, node.size), chunking)) {
    sink.u16(0);
    sink.u16(offset < 0 ? 0 : TAR_DEVICE_ID);
    sink.u32(offset < 0 ? EROFS_NULL_ADDR : offset / INDEX_BLOCK_SIZE);
  }
}

/** What stands behind an inode: the last entries of a directory, or the target of a symlink. */
function writeTail(sink: ImageSink, layout: IndexLayout, inode: number): void {
  const node = layout.nodes[inode]!;
  if (isSymlink(node)) sink.string(node.payload!);
  else writeEntries(sink, entryBlocks(layout, inode).at(-1)!);
}

function writeBlocks(sink: ImageSink, layout: IndexLayout, inode: number): void {
  const node = layout.nodes[inode]!;
  const first = layout.firstBlock[inode]!;
  sink.padTo(first * INDEX_BLOCK_SIZE);
  if (!isDirectory(node)) return sink.string(node.payload!);
  const blocks = entryBlocks(layout, inode).slice(0, layout.blockCount[inode]);
  blocks.forEach((entries, i) => {
    sink.padTo((first + i) * INDEX_BLOCK_SIZE);
    writeEntries(sink, entries);
  });
}

interface Entry {
  readonly name: ByteString;
  readonly nid: number;
  readonly type: number;
}

/** A directory's entries, cut into blocks. */
function entryBlocks(layout: IndexLayout, inode: number): Entry[][] {
  const blocks: Entry[][] = [[]];
  let used = 0;
  let nextOwn = layout.firstChild[inode]!;
  forEachEntry(layout.nodes[inode]!.children!, (name, child) => {
    let target: number;
    if (child === '.') target = inode;
    else if (child === '..') target = layout.parent[inode]!;
    else target = child.hardlink === undefined ? nextOwn++ : layout.linked.get(child.hardlink)!;
    const size = ErofsDirent.size + name.length;
    if (used + size > INDEX_BLOCK_SIZE) {
      blocks.push([]);
      used = 0;
    }
    used += size;
    const type = FILE_TYPES.get(layout.nodes[target]!.mode & S_IFMT) ?? EROFS_FT_REG_FILE;
    blocks.at(-1)!.push({ name, nid: indexNid(layout, target), type });
  });
  return blocks;
}

/** One block of entries: records, then names. */
function writeEntries(sink: ImageSink, entries: readonly Entry[]): void {
  let nameAt = entries.length * ErofsDirent.size;
  for (const { name, nid, type } of entries) {
    sink.u64(nid);
    sink.u16(nameAt);
    sink.u8(type);
    sink.u8(0);
    nameAt += name.length;
  }
  for (const { name } of entries) sink.string(name);
}
