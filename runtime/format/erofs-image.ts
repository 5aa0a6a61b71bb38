/**
 * Opening an EROFS image of composefs: the first of two gates.
 *
 * `openImage` proves the header and the superblock; from then on every inode, block of entries and xattr is
 * proven to lie inside the image before a byte of it is used. Nothing here reads outside the bytes given, runs
 * longer than the image is large, recurses, or allocates by a length that was not checked against the image.
 * What composefs allows beyond that is the second gate, restrict.ts.
 *
 * Positions are bytes from the start of the image. Fields are read at offsets from the record tables, so that
 * walking a million inodes makes no object but one view each.
 * Source: Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h.
 */
import { alignUp, ascii, toByteString } from './bytes.ts';
import { ComposefsHeader, SYMLINK_TARGET_MAX } from './composefs.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_INODE_CHUNK_BASED,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  EROFS_XATTR_INDEX_LUSTRE,
  EROFS_XATTR_PREFIXES,
  ErofsSuperblock,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from './erofs.ts';
import { ErofsInode } from './erofs-inode.ts';
import { DirentBlock, type DirentView } from './erofs-dirents.ts';
import { ColdsealError } from './errors.ts';
import { refuse } from './refuse.ts';
import type { StructValue } from './struct.ts';

const SUPER_END = EROFS_SUPER_OFFSET + ErofsSuperblock.size;

const XATTR_PREFIX_OF_INDEX: ReadonlyMap<number, string> = new Map([
  [0, ''],
  ...EROFS_XATTR_PREFIXES,
  [EROFS_XATTR_INDEX_LUSTRE, 'lustre.'],
]);

/** Header and superblock hold; everything else is proven when it is read. Throws FORMAT_*. */
export function openImage(bytes: Uint8Array): ErofsImage {
  if (bytes.length < SUPER_END) {
    throw new ColdsealError(
      'FORMAT_IMAGE_TRUNCATED',
      `Cannot open an image of ${bytes.length} bytes: expected at least ${SUPER_END}`,
      { hint: 'the file is not a composefs image, or only its beginning' },
    );
  }
  const header = ComposefsHeader.decode(bytes);
  if (header.version !== 1) {
    refuse(
      'FORMAT_HEADER_VERSION',
      `Cannot open an image with header version ${header.version}`,
      1,
    );
  }
  const superblock = ErofsSuperblock.decode(bytes, EROFS_SUPER_OFFSET);
  if (superblock.blkszbits !== EROFS_BLKSZBITS) {
    refuse(
      'FORMAT_SUPER_BLKSZBITS',
      `Cannot open an image with block size 2^${superblock.blkszbits}`,
      `2^${EROFS_BLKSZBITS}`,
    );
  }
  return new ErofsImage(bytes, header, superblock);
}

/** An extended attribute as stored: a prefix index, the rest of the name, the value. */
export interface XattrView {
  /** Position of the entry. */
  readonly offset: number;
  readonly index: number;
  readonly suffixStart: number;
  readonly valueStart: number;
  readonly end: number;
  /** Whether it stands in the table of shared attributes. */
  readonly isShared: boolean;
}

/** An image whose header and superblock hold. */
export class ErofsImage {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly header: StructValue<typeof ComposefsHeader>;
  readonly superblock: StructValue<typeof ErofsSuperblock>;
  readonly rootNid: number;
  readonly #metaStart: number;
  readonly #xattrStart: number;

  constructor(
    bytes: Uint8Array,
    header: StructValue<typeof ComposefsHeader>,
    superblock: StructValue<typeof ErofsSuperblock>,
  ) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.header = header;
    this.superblock = superblock;
    this.rootNid = superblock.root_nid;
    this.#metaStart = superblock.meta_blkaddr * EROFS_BLOCK_SIZE;
    this.#xattrStart = superblock.xattr_blkaddr * EROFS_BLOCK_SIZE;
  }

  /** Format version: 0, 1, or 2 for early composefs-rs. */
  get version(): number {
    return this.header.composefs_version;
  }

  /** The inode at `nid`: its record, xattr area and data all lie in the image. */
  inode(nid: number): ErofsInode {
    return new ErofsInode(this, nid, this.#metaStart + nid * EROFS_SLOT_SIZE);
  }

  /** The root directory. */
  root(): ErofsInode {
    const root = this.inode(this.rootNid);
    if (!root.isDirectory) {
      refuse(
        'FORMAT_ROOT_TYPE',
        `Cannot use inode ${root.nid} with mode 0${root.mode.toString(8)} as root`,
        'a directory',
      );
    }
    return root;
  }

  /** Number of blocks of entries a directory has. */
  direntBlockCount(directory: ErofsInode): number {
    if (!directory.isDirectory) {
      refuse(
        'FORMAT_INODE_TYPE',
        `Cannot list inode ${directory.nid} with mode 0${directory.mode.toString(8)}`,
        'a directory',
      );
    }
    return Math.ceil(directory.size / EROFS_BLOCK_SIZE);
  }

  /** One block of entries; the last one may stand behind the inode. */
  direntBlock(directory: ErofsInode, block: number): DirentBlock {
    const from = block * EROFS_BLOCK_SIZE;
    const size = Math.min(EROFS_BLOCK_SIZE, directory.size - from);
    const start = from < directory.blocksSize ? directory.blocksStart + from : directory.tailStart;
    return new DirentBlock(this, directory.nid, start, size);
  }

  /** Every entry of a directory in stored order, `.` and `..` included. */
  *dirents(directory: ErofsInode): Generator<DirentView> {
    const blocks = this.direntBlockCount(directory);
    for (let i = 0; i < blocks; i++) {
      const block = this.direntBlock(directory, i);
      for (let k = 0; k < block.count; k++) yield block.entry(k);
    }
  }

  /**
   * Finds a name: a binary search over the blocks by their first names, then within one block. Both halve an
   * interval, so it ends for every name and every image.
   */
  lookup(directory: ErofsInode, name: Uint8Array): DirentView | undefined {
    let low = 0;
    let high = this.direntBlockCount(directory);
    // The block to search is the last one whose first name is not greater.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.direntBlock(directory, middle).compare(0, name) <= 0) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const block = this.direntBlock(directory, low - 1);
    low = 0;
    high = block.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = block.compare(middle, name);
      if (order === 0) return block.entry(middle);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  /** The target of a symlink: 1 to 4095 bytes without NUL. */
  readlink(inode: ErofsInode): Uint8Array {
    if (!inode.isSymlink) {
      refuse(
        'FORMAT_INODE_TYPE',
        `Cannot read inode ${inode.nid} with mode 0${inode.mode.toString(8)} as a link`,
        'a symlink',
      );
    }
    if (inode.size === 0 || inode.size > SYMLINK_TARGET_MAX) {
      refuse(
        'FORMAT_SYMLINK_TARGET',
        `Cannot read the symlink of inode ${inode.nid} with ${inode.size} bytes`,
        `1 to ${SYMLINK_TARGET_MAX}`,
      );
    }
    const target = this.#data(inode);
    if (target.includes(0)) {
      refuse(
        'FORMAT_SYMLINK_TARGET',
        `Cannot read the symlink of inode ${inode.nid} with a NUL at byte ${target.indexOf(0)}`,
        'none',
      );
    }
    return target;
  }

  /** The bytes of a regular file stored in the image, or undefined when they are in an object. */
  inlineContent(inode: ErofsInode): Uint8Array | undefined {
    if (!inode.isRegular || inode.layout === EROFS_INODE_CHUNK_BASED) return undefined;
    return this.#data(inode);
  }

  /** Blocks, then tail. Both were proven to lie in the image, which bounds what is copied. */
  #data(inode: ErofsInode): Uint8Array {
    const { blocksStart, blocksSize, tailStart, tailSize } = inode;
    if (tailSize === 0) return this.bytes.subarray(blocksStart, blocksStart + blocksSize);
    if (blocksSize === 0) return this.bytes.subarray(tailStart, tailStart + tailSize);
    const data = new Uint8Array(blocksSize + tailSize);
    data.set(this.bytes.subarray(blocksStart, blocksStart + blocksSize));
    data.set(this.bytes.subarray(tailStart, tailStart + tailSize), blocksSize);
    return data;
  }

  /** Position of the entry with a shared id. */
  sharedXattrOffset(id: number): number {
    return this.#xattrStart + id * 4;
  }

  /** An inode's extended attributes as stored: shared ones in the order of their ids, then its own. */
  xattrs(inode: ErofsInode): XattrView[] {
    if (inode.xattrSize === 0) return [];
    const result: XattrView[] = [];
    const start = inode.xattrStart;
    const end = start + inode.xattrSize;
    const sharedCount = this.bytes[start + ErofsXattrIbodyHeader.at.h_shared_count]!;
    let at = start + ErofsXattrIbodyHeader.size;
    if (at + sharedCount * 4 > end) {
      refuse(
        'FORMAT_XATTR_RANGE',
        `Cannot read ${sharedCount} shared xattr ids at offset ${at} of inode ${inode.nid}`,
        `at most ${(end - at) / 4}`,
      );
    }
    for (let i = 0; i < sharedCount; i++, at += 4) {
      const offset = this.sharedXattrOffset(this.view.getUint32(at, true));
      result.push(this.xattrAt(offset, this.bytes.length, true));
    }
    while (at < end) {
      const entry = this.xattrAt(at, end, false);
      result.push(entry);
      at = alignUp(entry.end, 4);
    }
    return result;
  }

  /** The xattr entry at `offset`, which ends at `limit` at the latest. */
  xattrAt(offset: number, limit: number, isShared: boolean): XattrView {
    const suffixStart = offset + ErofsXattrEntry.size;
    if (suffixStart > limit) this.#refuseXattr(offset, limit);
    const index = this.bytes[offset + ErofsXattrEntry.at.e_name_index]!;
    const valueStart = suffixStart + this.bytes[offset + ErofsXattrEntry.at.e_name_len]!;
    const end = valueStart + this.view.getUint16(offset + ErofsXattrEntry.at.e_value_size, true);
    if (end > limit) this.#refuseXattr(offset, limit);
    if (!XATTR_PREFIX_OF_INDEX.has(index)) {
      refuse(
        'FORMAT_XATTR_INDEX',
        `Cannot name the xattr at offset ${offset} with prefix index ${index}`,
        '0 to 6',
      );
    }
    return { offset, index, suffixStart, valueStart, end, isShared };
  }

  #refuseXattr(offset: number, limit: number): never {
    return refuse(
      'FORMAT_XATTR_RANGE',
      `Cannot read the xattr at offset ${offset}`,
      `its end at ${limit} or before`,
    );
  }

  /** The prefix that an attribute's index stands for. */
  xattrPrefix(xattr: XattrView): string {
    return XATTR_PREFIX_OF_INDEX.get(xattr.index)!;
  }

  /** The full name of an extended attribute, one character per byte. */
  xattrName(xattr: XattrView): string {
    const suffix = toByteString(this.bytes, xattr.suffixStart, xattr.valueStart);
    return this.xattrPrefix(xattr) + suffix;
  }

  /** The value of an extended attribute, not copied. */
  xattrValue(xattr: XattrView): Uint8Array {
    return this.bytes.subarray(xattr.valueStart, xattr.end);
  }

  /** The value of the attribute called `name`, or undefined. */
  xattr(inode: ErofsInode, name: string): Uint8Array | undefined {
    for (const xattr of this.xattrs(inode)) {
      const prefix = this.xattrPrefix(xattr);
      const length = prefix.length + xattr.valueStart - xattr.suffixStart;
      if (length === name.length && this.xattrName(xattr) === name) return this.xattrValue(xattr);
    }
    return undefined;
  }

  /** Walks a path of names from the root; undefined where one is missing or not a directory. */
  lookupPath(names: readonly string[]): ErofsInode | undefined {
    let inode = this.root();
    for (const name of names) {
      const found = inode.isDirectory ? this.lookup(inode, ascii(name)) : undefined;
      if (found === undefined) return undefined;
      inode = this.inode(found.nid);
    }
    return inode;
  }
}
