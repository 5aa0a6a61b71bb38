/**
 * The bytes of a planned image, in order: header, superblock, inodes, shared attributes, data blocks.
 *
 * Nothing is decided here; where things go and how large they are is in the layout. Field order follows the
 * records in runtime/format/erofs.ts, and a test decodes what this wrote with them.
 */
import {
  COMPOSEFS_FLAGS_HAS_ACL,
  ComposefsHeader,
  SHARED_XATTRS_PER_INODE_MAX,
} from '../../runtime/format/composefs.ts';
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
  EROFS_XATTR_FILTER_DEFAULT,
  ErofsDirent,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import type { ByteString } from './byte-string.ts';
import type { ImageXattr } from './image-xattrs.ts';
import { ImageSink, type ConsumeBytes } from './image-sink.ts';
import { chunkBits, forEachDirent, nidOf, type ImageLayout } from './layout.ts';
import {
  isDirectory,
  isRegular,
  isSymlink,
  isWhiteout,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  type TreeNode,
} from './tree.ts';

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

/** Writes the image in pieces to `consume`, in order. */
export function writeImage(layout: ImageLayout, consume: ConsumeBytes): void {
  const writer = new ImageWriter(layout, new ImageSink(consume));
  writer.write();
}

class ImageWriter {
  readonly #layout: ImageLayout;
  readonly #sink: ImageSink;
  /** The entries of the directory being written: names, inode numbers, and where each block begins. */
  #names: ByteString[] = [];
  #targets: number[] = [];
  #blockStarts: number[] = [];

  constructor(layout: ImageLayout, sink: ImageSink) {
    this.#layout = layout;
    this.#sink = sink;
  }

  write(): void {
    const { inodes, sharedXattrs, firstDataBlock } = this.#layout;
    this.#writeHeaders();
    for (let inode = 0; inode < inodes.count; inode++) this.#writeInode(inode);
    this.#sink.padTo(this.#layout.inodesEnd);
    for (const xattr of sharedXattrs) this.#writeXattr(xattr);
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
    const { inodes } = this.#layout;
    const sink = this.#sink;
    const node = inodes.nodes[inode]!;
    const extended = inodes.extended[inode]!;
    const xattrSize = inodes.xattrSize[inode]!;
    sink.padTo(inodes.position[inode]!);
    sink.u16(this.#dataLayout(inode, node) * 2 + extended);
    sink.u16(xattrSize === 0 ? 0 : (xattrSize - ErofsXattrIbodyHeader.size) / 4 + 1);
    sink.u16(this.#mode(inode, node));
    if (extended === 1) this.#writeExtendedRest(inode, node);
    else this.#writeCompactRest(inode, node);
    if (xattrSize > 0) this.#writeXattrArea(inodes.xattrs[inode]!);
    if (inodes.tailSize[inode]! > 0) this.#writeTail(inode, node);
  }

  #writeCompactRest(inode: number, node: TreeNode): void {
    const { inodes } = this.#layout;
    const sink = this.#sink;
    sink.u16(inodes.nlink[inode]!);
    sink.u32(this.#size(inode, node));
    sink.u32(0);
    sink.u32(this.#union(inode, node));
    sink.u32(inode);
    sink.u16(node.uid);
    sink.u16(node.gid);
    sink.u32(0);
  }

  #writeExtendedRest(inode: number, node: TreeNode): void {
    const { inodes } = this.#layout;
    const sink = this.#sink;
    sink.u16(0);
    sink.u64(this.#size(inode, node));
    sink.u32(this.#union(inode, node));
    sink.u32(inode);
    sink.u32(node.uid);
    sink.u32(node.gid);
    sink.u64(node.mtimeSec);
    sink.u32(node.mtimeNsec);
    sink.u32(inodes.nlink[inode]!);
    sink.fill(0, 16);
  }

  /** A whiteout is stored as an empty regular file with attributes that say what it is. */
  #isEscapedWhiteout(inode: number, node: TreeNode): boolean {
    return isWhiteout(node) && !this.#layout.inodes.isStub(inode);
  }

  #mode(inode: number, node: TreeNode): number {
    return this.#isEscapedWhiteout(inode, node) ? (node.mode & ~S_IFMT) | S_IFREG : node.mode;
  }

  #dataLayout(inode: number, node: TreeNode): number {
    if (isExternal(node)) return EROFS_INODE_CHUNK_BASED;
    return this.#layout.inodes.tailSize[inode]! > 0
      ? EROFS_INODE_FLAT_INLINE
      : EROFS_INODE_FLAT_PLAIN;
  }

  #size(inode: number, node: TreeNode): number {
    const { inodes } = this.#layout;
    if (isDirectory(node)) {
      return inodes.dataBlocks[inode]! * EROFS_BLOCK_SIZE + inodes.tailSize[inode]!;
    }
    if (isSymlink(node)) return node.payload!.length;
    return isRegular(node) ? node.size : 0;
  }

  #union(inode: number, node: TreeNode): number {
    const { inodes } = this.#layout;
    const type = node.mode & S_IFMT;
    if (type === S_IFCHR || type === S_IFBLK) return node.rdev;
    const block = inodes.dataBlocks[inode]! > 0 ? inodes.firstBlock[inode]! : 0;
    if (!isExternal(node)) return block;
    // The chunk format is 16 bits wide and overwrites the low half of a block address.
    return ((block & 0xffff0000) | (chunkBits(node.size) - EROFS_BLKSZBITS)) >>> 0;
  }

  #writeXattrArea(list: readonly ImageXattr[]): void {
    const sink = this.#sink;
    let filter = EROFS_XATTR_FILTER_DEFAULT;
    let sharedCount = 0;
    for (const xattr of list) {
      filter &= ~xattr.filterBit;
      if (xattr.sharedAt >= 0 && sharedCount < SHARED_XATTRS_PER_INODE_MAX) sharedCount++;
    }
    sink.u32(filter >>> 0);
    sink.u8(sharedCount);
    sink.fill(0, 7);
    let left = sharedCount;
    const base = this.#layout.inodesEnd % EROFS_BLOCK_SIZE;
    for (const xattr of list) {
      if (xattr.sharedAt < 0 || left === 0) continue;
      sink.u32((base + xattr.sharedAt) / 4);
      left--;
    }
    left = sharedCount;
    for (const xattr of list) {
      if (xattr.sharedAt >= 0 && left > 0) left--;
      else this.#writeXattr(xattr);
    }
  }

  #writeXattr(xattr: ImageXattr): void {
    const sink = this.#sink;
    sink.u8(xattr.suffix.length);
    sink.u8(xattr.index);
    sink.u16(xattr.valueSize);
    sink.string(xattr.suffix);
    xattr.writeValue(sink);
    sink.fill(0, xattr.size - 4 - xattr.suffix.length - xattr.valueSize);
  }

  #writeTail(inode: number, node: TreeNode): void {
    const tailSize = this.#layout.inodes.tailSize[inode]!;
    if (isDirectory(node)) {
      this.#loadDirents(inode);
      this.#writeDirents(this.#blockStarts.length - 1);
    } else if (isSymlink(node)) this.#sink.string(node.payload!);
    else if (node.content === undefined) this.#sink.fill(0xff, tailSize);
    else this.#sink.bytes(node.content.subarray(node.content.length - tailSize));
  }

  #writeDataBlocks(inode: number): void {
    const { inodes } = this.#layout;
    const sink = this.#sink;
    const node = inodes.nodes[inode]!;
    const blocks = inodes.dataBlocks[inode]!;
    const end = sink.position + blocks * EROFS_BLOCK_SIZE;
    if (isDirectory(node)) {
      this.#loadDirents(inode);
      for (let block = 0; block < blocks; block++) {
        this.#writeDirents(block);
        sink.padTo(Math.ceil(sink.position / EROFS_BLOCK_SIZE) * EROFS_BLOCK_SIZE);
      }
    } else if (isSymlink(node)) sink.string(node.payload!);
    else if (node.content === undefined) sink.fill(0xff, EROFS_BLOCK_SIZE);
    else sink.bytes(node.content.subarray(0, blocks * EROFS_BLOCK_SIZE));
    sink.padTo(end);
  }

  /** Lists a directory's entries and cuts them into blocks; the last block may be the tail. */
  #loadDirents(inode: number): void {
    const { inodes } = this.#layout;
    this.#names = [];
    this.#targets = [];
    this.#blockStarts = [0];
    let used = 0;
    let nextOwn = inodes.firstChild[inode]!;
    forEachDirent(inodes.children[inode]!, (name, child) => {
      const size = ErofsDirent.size + name.length;
      if (used + size > EROFS_BLOCK_SIZE) {
        this.#blockStarts.push(this.#names.length);
        used = 0;
      }
      used += size;
      this.#names.push(name);
      if (child === '.') this.#targets.push(inode);
      else if (child === '..') this.#targets.push(inodes.parent[inode]!);
      else if (child.hardlink === undefined) this.#targets.push(nextOwn++);
      else this.#targets.push(inodes.hardlinkTargets.get(child.hardlink)!);
    });
  }

  /** Writes one block of the loaded directory: records, then names. */
  #writeDirents(block: number): void {
    const { inodes } = this.#layout;
    const sink = this.#sink;
    const from = this.#blockStarts[block]!;
    const to = this.#blockStarts[block + 1] ?? this.#names.length;
    let nameoff = (to - from) * ErofsDirent.size;
    for (let i = from; i < to; i++) {
      const target = this.#targets[i]!;
      sink.u64(nidOf(inodes, target));
      sink.u16(nameoff);
      sink.u8(FILE_TYPES[this.#mode(target, inodes.nodes[target]!) >> TYPE_SHIFT]!);
      sink.u8(0);
      nameoff += this.#names[i]!.length;
    }
    for (let i = from; i < to; i++) sink.string(this.#names[i]!);
  }
}

/** Whether a file's bytes are in the object store: its inode then only has holes. */
function isExternal(node: TreeNode): boolean {
  return isRegular(node) && node.size > 0 && node.content === undefined;
}
