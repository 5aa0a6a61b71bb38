/**
 * The bytes of a planned image, in order: header, superblock, inodes, shared attributes, data blocks.
 *
 * Nothing is decided here; where things go and how large they are is in the layout. Field order follows the
 * records in runtime/format/erofs.ts, and a test decodes what this wrote with them.
 */
import { COMPOSEFS_FLAGS_HAS_ACL, ComposefsHeader } from '../../runtime/format/composefs.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_FEATURE_COMPAT_MTIME,
  EROFS_FEATURE_COMPAT_XATTR_FILTER,
  EROFS_FT_BLKDEV,
  EROFS_FT_CHRDEV,
  EROFS_FT_DIR,
  EROFS_FT_FIFO,
  EROFS_FT_REG_FILE,
  EROFS_FT_SOCK,
  EROFS_FT_SYMLINK,
  EROFS_INODE_CHUNK_BASED,
  EROFS_INODE_FLAT_INLINE,
  EROFS_INODE_FLAT_PLAIN,
  EROFS_SUPER_OFFSET,
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import type { EntryTable } from './entry-table.ts';
import { ImageSink, type ConsumeBytes } from './image-sink.ts';
import { type Dirents, DOT_DOT } from './dirents.ts';
import { chunkBits, nidOf, type ImageLayout } from './layout.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './tree.ts';

/** EROFS file types by the type bits of a mode, shifted down. */
const FILE_TYPES = new Uint8Array(16);
const TYPE_SHIFT = 12;
for (const [type, value] of [
  [S_IFREG, EROFS_FT_REG_FILE],
  [S_IFDIR, EROFS_FT_DIR],
  [S_IFCHR, EROFS_FT_CHRDEV],
  [S_IFBLK, EROFS_FT_BLKDEV],
  [S_IFIFO, EROFS_FT_FIFO],
  [S_IFSOCK, EROFS_FT_SOCK],
  [S_IFLNK, EROFS_FT_SYMLINK],
] as const) {
  FILE_TYPES[type >> TYPE_SHIFT] = value;
}

const COMPACT = ErofsInodeCompact.at;
const EXTENDED = ErofsInodeExtended.at;
const DIRENT = ErofsDirent.at;

/** Writes the image in pieces to `consume`, in order. */
export function writeImage(layout: ImageLayout, consume: ConsumeBytes): void {
  const writer = new ImageWriter(layout, new ImageSink(consume));
  writer.write();
}

class ImageWriter {
  readonly #layout: ImageLayout;
  readonly #table: EntryTable;
  readonly #sink: ImageSink;
  readonly #dirents: Dirents;

  constructor(layout: ImageLayout, sink: ImageSink) {
    this.#layout = layout;
    this.#table = layout.inodes.table;
    this.#sink = sink;
    this.#dirents = layout.inodes.dirents;
  }

  write(): void {
    const { inodes, sharedXattrs, firstDataBlock } = this.#layout;
    this.#writeHeaders();
    for (let inode = 0; inode < inodes.count; inode++) this.#writeInode(inode);
    this.#sink.padTo(this.#layout.inodesEnd);
    for (const xattr of sharedXattrs) xattr.write(this.#sink);
    this.#sink.padTo(firstDataBlock * EROFS_BLOCK_SIZE);
    for (let inode = 0; inode < inodes.count; inode++) {
      if (inodes.dataBlocks[inode]! > 0) this.#writeDataBlocks(inode);
    }
    this.#sink.end();
  }

  #writeHeaders(): void {
    const layout = this.#layout;
    this.#sink.bytes(
      ComposefsHeader.encode({
        version: 1,
        flags: layout.hasAcl ? COMPOSEFS_FLAGS_HAS_ACL : 0,
        composefs_version: layout.version,
      }),
    );
    this.#sink.padTo(EROFS_SUPER_OFFSET);
    this.#sink.bytes(
      ErofsSuperblock.encode({
        checksum: 0,
        feature_compat: EROFS_FEATURE_COMPAT_MTIME | EROFS_FEATURE_COMPAT_XATTR_FILTER,
        blkszbits: EROFS_BLKSZBITS,
        sb_extslots: 0,
        root_nid: nidOf(layout.inodes, 0),
        inos: BigInt(layout.inodes.count),
        build_time: BigInt(layout.buildTimeSec),
        build_time_nsec: layout.buildTimeNsec,
        blocks: layout.blockCount,
        meta_blkaddr: 0,
        xattr_blkaddr: Math.floor(layout.inodesEnd / EROFS_BLOCK_SIZE),
        uuid: new Uint8Array(16),
        volume_name: new Uint8Array(16),
        feature_incompat: 0,
        available_compr_algs: 0,
        extra_devices: 0,
        devt_slotoff: 0,
        dirblkbits: 0,
        xattr_prefix_count: 0,
        xattr_prefix_start: 0,
        packed_nid: 0n,
        xattr_filter_reserved: 0,
      }),
    );
  }

  #writeInode(inode: number): void {
    const { inodes, xattrs, inodesEnd } = this.#layout;
    const entry = inodes.entries[inode]!;
    const xattrSize = inodes.xattrSize[inode]!;
    this.#sink.padTo(inodes.position[inode]!);
    if (inodes.extended[inode] === 1) this.#writeExtended(inode, entry, xattrSize);
    else this.#writeCompact(inode, entry, xattrSize);
    if (xattrSize > 0) {
      xattrs.write(this.#sink, inodes.xattrLists[inode]!, entry, inodesEnd % EROFS_BLOCK_SIZE);
    }
    if (inodes.tailSize[inode]! > 0) this.#writeTail(inode, entry);
  }

  #writeCompact(inode: number, entry: number, xattrSize: number): void {
    const at = this.#sink.record(ErofsInodeCompact.size);
    const { view } = this.#sink;
    const { uid, gid } = this.#table;
    view.setUint16(at + COMPACT.i_format, this.#dataLayout(inode, entry) * 2, true);
    view.setUint16(at + COMPACT.i_xattr_icount, xattrCount(xattrSize), true);
    view.setUint16(at + COMPACT.i_mode, this.#mode(entry), true);
    view.setUint16(at + COMPACT.i_nlink, this.#layout.inodes.nlink[inode]!, true);
    view.setUint32(at + COMPACT.i_size, this.#size(inode, entry), true);
    view.setUint32(at + COMPACT.i_u, this.#union(inode, entry), true);
    view.setUint32(at + COMPACT.i_ino, inode, true);
    view.setUint16(at + COMPACT.i_uid, uid[entry]!, true);
    view.setUint16(at + COMPACT.i_gid, gid[entry]!, true);
  }

  #writeExtended(inode: number, entry: number, xattrSize: number): void {
    const at = this.#sink.record(ErofsInodeExtended.size);
    const { view } = this.#sink;
    const { uid, gid, mtimeLow, mtimeHigh, mtimeNsec } = this.#table;
    const size = this.#size(inode, entry);
    view.setUint16(at + EXTENDED.i_format, this.#dataLayout(inode, entry) * 2 + 1, true);
    view.setUint16(at + EXTENDED.i_xattr_icount, xattrCount(xattrSize), true);
    view.setUint16(at + EXTENDED.i_mode, this.#mode(entry), true);
    view.setUint32(at + EXTENDED.i_size, size >>> 0, true);
    view.setUint32(at + EXTENDED.i_size + 4, size / 2 ** 32, true);
    view.setUint32(at + EXTENDED.i_u, this.#union(inode, entry), true);
    view.setUint32(at + EXTENDED.i_ino, inode, true);
    view.setUint32(at + EXTENDED.i_uid, uid[entry]!, true);
    view.setUint32(at + EXTENDED.i_gid, gid[entry]!, true);
    view.setUint32(at + EXTENDED.i_mtime, mtimeLow[entry]!, true);
    view.setInt32(at + EXTENDED.i_mtime + 4, mtimeHigh[entry]!, true);
    view.setUint32(at + EXTENDED.i_mtime_nsec, mtimeNsec[entry]!, true);
    view.setUint32(at + EXTENDED.i_nlink, this.#layout.inodes.nlink[inode]!, true);
  }

  /** A whiteout is stored as an empty regular file with attributes that say what it is. */
  #mode(entry: number): number {
    const mode = this.#table.mode[entry]!;
    return this.#table.isWhiteout(entry) ? (mode & ~S_IFMT) | S_IFREG : mode;
  }

  #dataLayout(inode: number, entry: number): number {
    if (this.#table.isExternal(entry)) return EROFS_INODE_CHUNK_BASED;
    return this.#layout.inodes.tailSize[inode]! > 0
      ? EROFS_INODE_FLAT_INLINE
      : EROFS_INODE_FLAT_PLAIN;
  }

  #size(inode: number, entry: number): number {
    const { inodes } = this.#layout;
    const table = this.#table;
    switch (table.mode[entry]! & S_IFMT) {
      case S_IFDIR:
        return inodes.dataBlocks[inode]! * EROFS_BLOCK_SIZE + inodes.tailSize[inode]!;
      case S_IFLNK:
        return table.dataSize[entry]!;
      case S_IFREG:
        return table.size[entry]!;
      default:
        return 0;
    }
  }

  #union(inode: number, entry: number): number {
    const { inodes } = this.#layout;
    const table = this.#table;
    const type = table.mode[entry]! & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) return table.rdev[entry]!;
    const block = inodes.dataBlocks[inode]! > 0 ? inodes.firstBlock[inode]! : 0;
    if (!table.isExternal(entry)) return block;
    // The chunk format is 16 bits wide and overwrites the low half of a block address.
    return ((block & 0xffff0000) | (chunkBits(table.size[entry]!) - EROFS_BLKSZBITS)) >>> 0;
  }

  #writeTail(inode: number, entry: number): void {
    const tailSize = this.#layout.inodes.tailSize[inode]!;
    const table = this.#table;
    if (table.isDirectory(entry)) {
      this.#dirents.load(entry);
      this.#writeDirents(inode, this.#dirents.blockCount - 1);
    } else if (table.isExternal(entry)) this.#sink.fill(0xff, tailSize);
    else this.#writeData(entry, table.dataSize[entry]! - tailSize, tailSize);
  }

  /** A part of the target of a symlink, or of a file's content. */
  #writeData(entry: number, from: number, size: number): void {
    const { heap, dataAt } = this.#table;
    const place = dataAt[entry]!;
    this.#sink.range(heap.chunkOf(place), heap.offsetOf(place) + from, size);
  }

  #writeDataBlocks(inode: number): void {
    const { inodes } = this.#layout;
    const sink = this.#sink;
    const table = this.#table;
    const entry = inodes.entries[inode]!;
    const blocks = inodes.dataBlocks[inode]!;
    const end = sink.position + blocks * EROFS_BLOCK_SIZE;
    if (table.isDirectory(entry)) {
      this.#dirents.load(entry);
      for (let block = 0; block < blocks; block++) {
        this.#writeDirents(inode, block);
        sink.padTo(Math.ceil(sink.position / EROFS_BLOCK_SIZE) * EROFS_BLOCK_SIZE);
      }
    } else if (table.isExternal(entry)) sink.fill(0xff, EROFS_BLOCK_SIZE);
    else this.#writeData(entry, 0, Math.min(table.dataSize[entry]!, blocks * EROFS_BLOCK_SIZE));
    sink.padTo(end);
  }

  /** Writes one block of the loaded directory: records, then names. */
  #writeDirents(inode: number, block: number): void {
    const { inodes } = this.#layout;
    const { entries, blockStarts } = this.#dirents;
    const { heap, nameAt, nameSize, parent } = this.#table;
    const sink = this.#sink;
    const from = blockStarts[block]!;
    const to = blockStarts[block + 1]!;
    let nameoff = (to - from) * ErofsDirent.size;
    let at = sink.record(nameoff);
    const { view, buffer } = sink;
    for (let i = from; i < to; i++) {
      const entry = entries[i]!;
      let target = inode;
      if (entry >= 0) target = inodes.inodeOf[entry]!;
      else if (entry === DOT_DOT) target = inodes.inodeOf[parent[inodes.entries[inode]!]!]!;
      const nid = nidOf(inodes, target);
      view.setUint32(at + DIRENT.nid, nid >>> 0, true);
      view.setUint32(at + DIRENT.nid + 4, nid / 2 ** 32, true);
      view.setUint16(at + DIRENT.nameoff, nameoff, true);
      view.setUint8(
        at + DIRENT.file_type,
        FILE_TYPES[this.#mode(inodes.entries[target]!) >> TYPE_SHIFT]!,
      );
      at += ErofsDirent.size;
      nameoff += entry >= 0 ? nameSize[entry]! : -entry;
    }
    at = sink.record(nameoff - (to - from) * ErofsDirent.size);
    for (let i = from; i < to; i++) {
      const entry = entries[i]!;
      if (entry < 0) {
        for (let left = -entry; left > 0; left--) buffer[at++] = 0x2e;
        continue;
      }
      const place = nameAt[entry]!;
      const chunk = heap.chunkOf(place);
      const start = heap.offsetOf(place);
      for (let k = start; k < start + nameSize[entry]!; k++) buffer[at++] = chunk[k]!;
    }
  }
}

/** What an inode says of the size of its attributes. */
function xattrCount(size: number): number {
  return size === 0 ? 0 : (size - ErofsXattrIbodyHeader.size) / 4 + 1;
}
