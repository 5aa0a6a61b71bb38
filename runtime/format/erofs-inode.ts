/**
 * One inode of an EROFS image.
 *
 * Making an `ErofsInode` proves that its record, its xattr area and its data lie inside the image; nothing that
 * uses one has to check again. Fields are read at offsets from the record tables when they are asked for.
 * Source: Linux fs/erofs/erofs_fs.h and inode.c.
 */
import { FILE_SIZE_MAX } from './composefs.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_CHUNK_FORMAT_BLKBITS_MASK,
  EROFS_CHUNK_INDEX_SIZE,
  EROFS_INODE_CHUNK_BASED,
  EROFS_INODE_FLAT_INLINE,
  EROFS_INODE_FLAT_PLAIN,
  EROFS_SUPER_OFFSET,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from './erofs.ts';
import { refuse } from './refuse.ts';
import type { StructValue } from './struct.ts';

const COMPACT = ErofsInodeCompact.at;
const EXTENDED = ErofsInodeExtended.at;

/** Type bits of a mode. */
export const MODE_TYPE_MASK = 0o170000;
const MODE_SOCKET = 0o140000;
const MODE_SYMLINK = 0o120000;
const MODE_REGULAR = 0o100000;
const MODE_BLOCK = 0o060000;
const MODE_DIRECTORY = 0o040000;
export const MODE_CHARACTER = 0o020000;
const MODE_FIFO = 0o010000;

/** 2^53, the largest file size, split the way it is stored. */
const SIZE_HIGH_MAX = FILE_SIZE_MAX / 2 ** 32;

/** What an inode needs to know of its image. */
export interface ImageBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly superblock: StructValue<typeof ErofsSuperblock>;
}

/** A view of one inode; the record, its xattr area and its data lie in the image. */
export class ErofsInode {
  readonly image: ImageBytes;
  readonly nid: number;
  /** Position of the record. */
  readonly offset: number;
  readonly isExtended: boolean;
  /** EROFS_INODE_*. */
  readonly layout: number;
  readonly mode: number;
  /** At most 2^53. */
  readonly size: number;
  readonly xattrSize: number;
  /** Data in whole blocks: where, and how many bytes are used. */
  readonly blocksStart: number;
  readonly blocksSize: number;
  /** Data or chunk indexes behind the xattr area. */
  readonly tailSize: number;

  constructor(image: ImageBytes, nid: number, offset: number) {
    const { view } = image;
    const length = view.byteLength;
    if (offset + ErofsInodeCompact.size > length) refuseNid(nid, offset, length);
    const format = view.getUint16(offset, true);
    this.image = image;
    this.nid = nid;
    this.offset = offset;
    this.isExtended = (format & 1) === 1;
    this.layout = format >>> 1;
    if (this.isExtended && offset + ErofsInodeExtended.size > length)
      refuseNid(nid, offset, length);
    if (
      this.layout !== EROFS_INODE_FLAT_PLAIN &&
      this.layout !== EROFS_INODE_FLAT_INLINE &&
      this.layout !== EROFS_INODE_CHUNK_BASED
    ) {
      refuse(
        'FORMAT_INODE_FORMAT',
        `Cannot read inode ${nid} at offset ${offset} with format 0x${format.toString(16)}`,
        'flat plain, flat inline or chunk-based',
      );
    }
    this.mode = view.getUint16(offset + COMPACT.i_mode, true);
    this.size = this.#readSize();
    const icount = view.getUint16(offset + COMPACT.i_xattr_icount, true);
    this.xattrSize = icount === 0 ? 0 : ErofsXattrIbodyHeader.size + (icount - 1) * 4;
    const type = this.type;
    if (!isKnownType(type)) {
      refuse(
        'FORMAT_INODE_MODE',
        `Cannot read inode ${nid} at offset ${offset} with mode 0${this.mode.toString(8)}`,
        'a known file type',
      );
    }
    const hasData = type === MODE_DIRECTORY || type === MODE_REGULAR || type === MODE_SYMLINK;
    const isChunked = this.layout === EROFS_INODE_CHUNK_BASED;
    if (isChunked && type !== MODE_REGULAR) {
      refuse(
        'FORMAT_INODE_FORMAT',
        `Cannot read inode ${nid} with mode 0${this.mode.toString(8)} in chunks`,
        'a regular file',
      );
    }
    const flatSize = hasData && !isChunked ? this.size : 0;
    this.tailSize = isChunked
      ? this.#chunkTableSize()
      : this.layout === EROFS_INODE_FLAT_INLINE
        ? flatSize % EROFS_BLOCK_SIZE
        : 0;
    this.blocksSize = isChunked ? 0 : flatSize - this.tailSize;
    this.blocksStart = this.blocksSize === 0 ? 0 : this.i_u * EROFS_BLOCK_SIZE;
    this.#proveRanges(length);
  }

  #readSize(): number {
    const { view } = this.image;
    const low = view.getUint32(this.offset + COMPACT.i_size, true);
    if (!this.isExtended) return low;
    const high = view.getUint32(this.offset + EXTENDED.i_size + 4, true);
    if (high > SIZE_HIGH_MAX || (high === SIZE_HIGH_MAX && low > 0)) {
      refuse(
        'FORMAT_INODE_SIZE',
        `Cannot use the size 0x${high.toString(16)}${low.toString(16).padStart(8, '0')} of inode ${this.nid}`,
        `at most ${FILE_SIZE_MAX}`,
      );
    }
    return high * 2 ** 32 + low;
  }

  /** Bytes of chunk indexes that follow; none when they cannot stand there (see `hasMovedChunkTable`). */
  #chunkTableSize(): number {
    const size = this.chunkCount * EROFS_CHUNK_INDEX_SIZE;
    return fitsInBlock(this.tailStart, size) ? size : 0;
  }

  #proveRanges(length: number): void {
    const end = this.tailStart + this.tailSize;
    if (end > length) {
      refuse(
        'FORMAT_INODE_RANGE',
        `Cannot read inode ${this.nid} at offset ${this.offset} up to ${end}`,
        `at most ${length}`,
      );
    }
    if (this.blocksStart + this.blocksSize > length) {
      refuse(
        'FORMAT_INODE_RANGE',
        `Cannot read ${this.blocksSize} bytes of inode ${this.nid} at offset ${this.blocksStart}`,
        `an end of at most ${length}`,
      );
    }
    if (this.layout === EROFS_INODE_FLAT_INLINE && this.tailSize === 0 && this.blocksSize > 0) {
      refuse(
        'FORMAT_INODE_FORMAT',
        `Cannot read inode ${this.nid} of ${this.size} bytes as flat inline`,
        'a size that leaves a tail',
      );
    }
  }

  get type(): number {
    return this.mode & MODE_TYPE_MASK;
  }

  get isDirectory(): boolean {
    return this.type === MODE_DIRECTORY;
  }

  get isRegular(): boolean {
    return this.type === MODE_REGULAR;
  }

  get isSymlink(): boolean {
    return this.type === MODE_SYMLINK;
  }

  /** A character device 0:0. */
  get isWhiteout(): boolean {
    return this.type === MODE_CHARACTER && this.i_u === 0;
  }

  /** Size of the record: 32 or 64. */
  get recordSize(): number {
    return this.isExtended ? ErofsInodeExtended.size : ErofsInodeCompact.size;
  }

  get xattrStart(): number {
    return this.offset + this.recordSize;
  }

  get tailStart(): number {
    return this.xattrStart + this.xattrSize;
  }

  /** Data block, device number or chunk format. */
  get i_u(): number {
    return this.image.view.getUint32(this.offset + COMPACT.i_u, true);
  }

  /** Device number of a character or block device, otherwise 0. */
  get rdev(): number {
    return this.type === MODE_CHARACTER || this.type === MODE_BLOCK ? this.i_u : 0;
  }

  get ino(): number {
    return this.image.view.getUint32(this.offset + COMPACT.i_ino, true);
  }

  get nlink(): number {
    const { view } = this.image;
    return this.isExtended
      ? view.getUint32(this.offset + EXTENDED.i_nlink, true)
      : view.getUint16(this.offset + COMPACT.i_nlink, true);
  }

  get uid(): number {
    const { view } = this.image;
    return this.isExtended
      ? view.getUint32(this.offset + EXTENDED.i_uid, true)
      : view.getUint16(this.offset + COMPACT.i_uid, true);
  }

  get gid(): number {
    const { view } = this.image;
    return this.isExtended
      ? view.getUint32(this.offset + EXTENDED.i_gid, true)
      : view.getUint16(this.offset + COMPACT.i_gid, true);
  }

  /** Seconds since 1970; a bigint only beyond what a number holds exactly. */
  get mtimeSec(): number | bigint {
    const at = this.isExtended
      ? this.offset + EXTENDED.i_mtime
      : EROFS_SUPER_OFFSET + ErofsSuperblock.at.build_time;
    const { view } = this.image;
    const value = view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    return Number.isSafeInteger(value) ? value : view.getBigInt64(at, true);
  }

  get mtimeNsec(): number {
    return this.isExtended
      ? this.image.view.getUint32(this.offset + EXTENDED.i_mtime_nsec, true)
      : this.image.superblock.build_time_nsec;
  }

  /** log2 of the chunk size of a chunk-based file. */
  get chunkBits(): number {
    return EROFS_BLKSZBITS + (this.i_u & EROFS_CHUNK_FORMAT_BLKBITS_MASK);
  }

  get chunkCount(): number {
    return Math.ceil(this.size / 2 ** this.chunkBits);
  }

  /**
   * mkcomposefs moves a chunk table that would cross a block to a data block nobody points at. Nothing reads it:
   * the file's bytes are in an object.
   */
  get hasMovedChunkTable(): boolean {
    return this.layout === EROFS_INODE_CHUNK_BASED && this.tailSize === 0 && this.size > 0;
  }
}

function refuseNid(nid: number, offset: number, length: number): never {
  return refuse(
    'FORMAT_NID_RANGE',
    `Cannot read inode ${nid} at offset ${offset}`,
    `it whole within ${length} bytes`,
  );
}

function isKnownType(type: number): boolean {
  return (
    type === MODE_DIRECTORY ||
    type === MODE_REGULAR ||
    type === MODE_SYMLINK ||
    type === MODE_CHARACTER ||
    type === MODE_BLOCK ||
    type === MODE_FIFO ||
    type === MODE_SOCKET
  );
}

/** Whether `size` bytes at `start` stay within one block. */
export function fitsInBlock(start: number, size: number): boolean {
  return size === 0 || (start % EROFS_BLOCK_SIZE) + size <= EROFS_BLOCK_SIZE;
}
