/**
 * Opening an index of an archive: headers, and one inode at a time, each proven before it is used.
 *
 * Nothing is read outside of the image or pointed to outside of the archive. The parts of all inodes together take at
 * most the bytes of the image, so none of them can be made to cost more than it does.
 */
import {
  EROFS_CHUNK_FORMAT_BLKBITS_MASK,
  EROFS_CHUNK_FORMAT_INDEXES,
  EROFS_FEATURE_INCOMPAT_CHUNKED_FILE,
  EROFS_FEATURE_INCOMPAT_DEVICE_TABLE,
  EROFS_INODE_CHUNK_BASED,
  EROFS_INODE_FLAT_INLINE,
  EROFS_INODE_FLAT_PLAIN,
  EROFS_NULL_ADDR,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsChunkIndex,
  ErofsDeviceSlot,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { FILE_SIZE_MAX } from '../../runtime/format/composefs.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  VERITY_ALGORITHMS,
  verityAlgorithmOfId,
  type VerityAlgorithm,
} from '../../runtime/format/fsverity.ts';
import type { StructValue } from '../../runtime/format/struct.ts';
import type { Extent } from './tar-extents.ts';
import {
  DEVICE_SLOT_OFFSET,
  INDEX_BLKSZBITS,
  INDEX_BLOCK_SIZE,
  RECIPE_ALL,
  TAR_DEVICE_ID,
  TAR_INDEX_VERSION,
  TarIndexHeader,
} from './tar-index-format.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './tree.ts';

const COMPACT = ErofsInodeCompact.at;
const EXTENDED = ErofsInodeExtended.at;

/** What an index says of its archive. */
export interface IndexedArchive {
  readonly bytes: number;
  readonly sha256: string;
  readonly fsVerityDigest: string;
  readonly algorithm: VerityAlgorithm;
  /** RECIPE_* bits. */
  readonly recipe: number;
}

export interface IndexInode {
  readonly nid: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Device number, first block, or chunk format. */
  readonly union: number;
  readonly mtimeSec: number | bigint;
  readonly mtimeNsec: number;
  readonly xattrStart: number;
  readonly xattrEnd: number;
  /** Where the bytes of a directory or symlink are: whole blocks, then what stands behind the inode. */
  readonly blocks: { readonly start: number; readonly size: number };
  readonly tail: { readonly start: number; readonly size: number };
  readonly isChunked: boolean;
}

export function failIndex(
  code: 'FORMAT_TAR_INDEX_HEADER' | 'FORMAT_TAR_INDEX_RANGE' | 'FORMAT_TAR_INDEX_TREE',
  problem: string,
): never {
  throw new ColdsealError(code, `Cannot use the index of an archive: ${problem}`);
}

/** An index whose headers hold. */
export class TarIndexImage {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly superblock: StructValue<typeof ErofsSuperblock>;
  readonly archive: IndexedArchive;
  /** Bytes that inodes read so far have for themselves. */
  #claimed = 0;

  /** Throws FORMAT_TAR_INDEX_HEADER, FORMAT_RECORD_*. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const header = TarIndexHeader.decode(bytes);
    this.superblock = ErofsSuperblock.decode(bytes, EROFS_SUPER_OFFSET);
    const slot = ErofsDeviceSlot.decode(bytes, DEVICE_SLOT_OFFSET);
    this.archive = archiveOf(header);
    const tarBlocks = Math.ceil(this.archive.bytes / INDEX_BLOCK_SIZE);
    const rules: readonly (readonly [
      field: string,
      found: number | string,
      expected: number | string,
    ])[] = [
      ['version', header.version, TAR_INDEX_VERSION],
      ['recipe', header.recipe & ~RECIPE_ALL, 0],
      ['blkszbits', this.superblock.blkszbits, INDEX_BLKSZBITS],
      ['feature_incompat', this.superblock.feature_incompat, INCOMPAT],
      ['meta_blkaddr', this.superblock.meta_blkaddr, 0],
      ['blocks', this.superblock.blocks, bytes.length / INDEX_BLOCK_SIZE],
      ['extra_devices', this.superblock.extra_devices, 1],
      ['devt_slotoff', this.superblock.devt_slotoff, DEVICE_SLOT_OFFSET / ErofsDeviceSlot.size],
      ['tag of the device', Buffer.from(slot.tag).toString('latin1'), this.archive.sha256],
      ['blocks of the device', slot.blocks_lo, tarBlocks],
      ['uniaddr of the device', slot.uniaddr_lo, this.superblock.blocks],
    ];
    for (const [field, found, expected] of rules) {
      if (found === expected) continue;
      failIndex('FORMAT_TAR_INDEX_HEADER', `its ${field} is ${found}, expected ${expected}`);
    }
  }

  /** The inode at a nid. Throws FORMAT_TAR_INDEX_RANGE when any part of it is where it cannot be. */
  inode(nid: number): IndexInode {
    const { view } = this;
    const at = nid * EROFS_SLOT_SIZE;
    this.requireInside(at, ErofsInodeCompact.size, nid);
    const format = view.getUint16(at, true);
    const isExtended = (format & 1) === 1;
    const recordSize = isExtended ? ErofsInodeExtended.size : ErofsInodeCompact.size;
    this.requireInside(at, recordSize, nid);
    const icount = view.getUint16(at + COMPACT.i_xattr_icount, true);
    const xattrStart = at + recordSize;
    const xattrEnd =
      xattrStart + (icount === 0 ? 0 : ErofsXattrIbodyHeader.size + (icount - 1) * 4);
    this.requireInside(at, xattrEnd - at, nid);
    const mode = view.getUint16(at + COMPACT.i_mode, true);
    const size = isExtended ? this.#size(at, nid) : view.getUint32(at + COMPACT.i_size, true);
    const union = view.getUint32(at + COMPACT.i_u, true);
    const rest = { nid, mode, size, union, xattrStart, xattrEnd };
    const place = this.#data(format >>> 1, rest);
    this.#claim(xattrEnd - at + place.tail.size + place.blocks.size, nid);
    return { ...rest, ...this.#attributes(at, isExtended), ...place };
  }

  /** Where each byte of a file is. Throws FORMAT_TAR_INDEX_RANGE for what lies beyond the archive. */
  extents(inode: IndexInode): Extent[] {
    const { nid, size, tail } = inode;
    const extents: Extent[] = [];
    const chunkSize = 2 ** chunkBits(inode.union);
    for (let i = 0; i < tail.size / ErofsChunkIndex.size; i++) {
      const { device_id: device, startblk_lo: block } = ErofsChunkIndex.decode(
        this.bytes,
        tail.start + i * ErofsChunkIndex.size,
      );
      if (block === EROFS_NULL_ADDR) continue;
      const at = i * chunkSize;
      const length = Math.min(chunkSize, size - at);
      const offset = block * INDEX_BLOCK_SIZE;
      if (device !== TAR_DEVICE_ID || offset + length > this.archive.bytes) {
        const place = `${length} bytes at ${offset} of device ${device}`;
        const problem = `${place}, expected a place in the archive of ${this.archive.bytes} bytes`;
        failIndex('FORMAT_TAR_INDEX_RANGE', `inode ${nid} has ${problem}`);
      }
      addExtent(extents, { at, size: length, offset });
    }
    return extents;
  }

  /** Throws FORMAT_TAR_INDEX_RANGE unless a part lies in the image. */
  requireInside(at: number, size: number, nid: number): void {
    if (at + size <= this.bytes.length) return;
    failIndex(
      'FORMAT_TAR_INDEX_RANGE',
      `inode ${nid} has ${size} bytes at ${at}, expected an end within ${this.bytes.length}`,
    );
  }

  #size(at: number, nid: number): number {
    const size = this.view.getBigUint64(at + EXTENDED.i_size, true);
    if (size <= BigInt(FILE_SIZE_MAX)) return Number(size);
    return failIndex('FORMAT_TAR_INDEX_RANGE', `inode ${nid} has a size of ${size}`);
  }

  #attributes(
    at: number,
    isExtended: boolean,
  ): Pick<IndexInode, 'nlink' | 'uid' | 'gid' | 'mtimeSec' | 'mtimeNsec'> {
    const { bytes, superblock } = this;
    if (!isExtended) {
      const { i_nlink: nlink, i_uid: uid, i_gid: gid } = ErofsInodeCompact.decode(bytes, at);
      const { build_time: sec, build_time_nsec: mtimeNsec } = superblock;
      return { nlink, uid, gid, mtimeSec: seconds(sec), mtimeNsec };
    }
    const record = ErofsInodeExtended.decode(bytes, at);
    return {
      nlink: record.i_nlink,
      uid: record.i_uid,
      gid: record.i_gid,
      mtimeSec: seconds(record.i_mtime),
      mtimeNsec: record.i_mtime_nsec,
    };
  }

  #data(
    layout: number,
    inode: Pick<IndexInode, 'nid' | 'mode' | 'size' | 'union' | 'xattrEnd'>,
  ): Pick<IndexInode, 'blocks' | 'tail' | 'isChunked'> {
    const { nid, mode, size, union, xattrEnd } = inode;
    const type = mode & S_IFMT;
    const isFile = type === S_IFREG;
    if (type === S_IFSOCK || layout !== layoutFor(layout, isFile && size > 0)) {
      failIndex(
        'FORMAT_TAR_INDEX_TREE',
        `inode ${nid} has mode 0${mode.toString(8)} and layout ${layout}`,
      );
    }
    const none = { start: 0, size: 0 };
    if (layout === EROFS_INODE_CHUNK_BASED) {
      const chunks = Math.ceil(size / 2 ** chunkBits(union));
      const start = Math.ceil(xattrEnd / ErofsChunkIndex.size) * ErofsChunkIndex.size;
      const tail = { start, size: chunks * ErofsChunkIndex.size };
      if ((union & ~EROFS_CHUNK_FORMAT_BLKBITS_MASK) !== EROFS_CHUNK_FORMAT_INDEXES) {
        failIndex('FORMAT_TAR_INDEX_TREE', `inode ${nid} has chunk format ${union}`);
      }
      this.requireInside(tail.start, tail.size, nid);
      return { blocks: none, tail, isChunked: true };
    }
    const hasData = type === S_IFDIR || type === S_IFLNK;
    const tailSize = hasData && layout === EROFS_INODE_FLAT_INLINE ? size % INDEX_BLOCK_SIZE : 0;
    const blocksSize = hasData ? size - tailSize : 0;
    const tail = { start: xattrEnd, size: tailSize };
    const blocks = blocksSize === 0 ? none : { start: union * INDEX_BLOCK_SIZE, size: blocksSize };
    this.requireInside(tail.start, tail.size, nid);
    this.requireInside(blocks.start, blocks.size, nid);
    return { blocks, tail, isChunked: false };
  }

  #claim(size: number, nid: number): void {
    this.#claimed += size;
    if (this.#claimed <= this.bytes.length) return;
    failIndex('FORMAT_TAR_INDEX_TREE', `inode ${nid} overlaps others`);
  }
}

const INCOMPAT = EROFS_FEATURE_INCOMPAT_CHUNKED_FILE | EROFS_FEATURE_INCOMPAT_DEVICE_TABLE;

function archiveOf(header: StructValue<typeof TarIndexHeader>): IndexedArchive {
  const algorithm = verityAlgorithmOfId(header.verity_algorithm);
  if (algorithm === undefined) {
    const problem = `its fs-verity algorithm is ${header.verity_algorithm}, expected 1 or 2`;
    return failIndex('FORMAT_TAR_INDEX_HEADER', problem);
  }
  const { digestSize } = VERITY_ALGORITHMS[algorithm];
  return {
    bytes: Number(header.tar_size),
    sha256: toHex(header.tar_sha256),
    fsVerityDigest: toHex(header.tar_verity.subarray(0, digestSize)),
    algorithm,
    recipe: header.recipe,
  };
}

/** The layout itself when an inode may have it: files with content are in chunks, everything else is not. */
function layoutFor(layout: number, isFileWithContent: boolean): number {
  if (isFileWithContent) return EROFS_INODE_CHUNK_BASED;
  return layout === EROFS_INODE_FLAT_INLINE ? layout : EROFS_INODE_FLAT_PLAIN;
}

function chunkBits(union: number): number {
  return INDEX_BLKSZBITS + (union & EROFS_CHUNK_FORMAT_BLKBITS_MASK);
}

function addExtent(extents: Extent[], extent: Extent): void {
  const last = extents.at(-1);
  const isNext =
    last !== undefined &&
    last.at + last.size === extent.at &&
    last.offset + last.size === extent.offset;
  if (isNext) extents[extents.length - 1] = { ...last, size: last.size + extent.size };
  else extents.push(extent);
}

function seconds(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
