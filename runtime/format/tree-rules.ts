/**
 * The rules that take a walk over all inodes: directories, counts, stubs, and the account of every byte.
 *
 * `TreeChecker` walks once, tests the rules of each inode on the way and the rules of the whole at the end.
 * Source: libcomposefs lcfs_compute_tree, add_overlay_whiteouts and compute_erofs_shared_xattrs.
 */
import { alignUp, compareBytes, toByteString } from './bytes.ts';
import { ByteCoverage } from './byte-coverage.ts';
import {
  COMPOSEFS_FLAGS_HAS_ACL,
  SHARED_XATTRS_PER_INODE_MAX,
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
  XATTR_SELINUX,
} from './composefs.ts';
import type { DirentView } from './erofs-dirents.ts';
import type { ErofsImage, XattrView } from './erofs-image.ts';
import { MODE_CHARACTER, MODE_TYPE_MASK, type ErofsInode } from './erofs-inode.ts';
import { walkImage } from './erofs-walk.ts';
import {
  EROFS_BLOCK_SIZE,
  EROFS_FT_BLKDEV,
  EROFS_FT_CHRDEV,
  EROFS_FT_DIR,
  EROFS_FT_FIFO,
  EROFS_FT_REG_FILE,
  EROFS_FT_SOCK,
  EROFS_FT_SYMLINK,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsDirent,
  ErofsSuperblock,
  ErofsXattrEntry,
} from './erofs.ts';
import type { ErrorCode } from './errors.ts';
import { INODE_RULES } from './inode-rules.ts';
import {
  unlike,
  V0_V1,
  V2,
  type InodeFacts,
  type InodeRule,
  type NamedXattr,
  type Rule,
} from './rules.ts';
import { XATTR_RULES } from './xattr-rules.ts';

const SUPER_END = EROFS_SUPER_OFFSET + ErofsSuperblock.size;
const STUBS = 256;
const STUB_MODE = MODE_CHARACTER | 0o644;
const FILE_TYPES: Readonly<Record<number, number>> = {
  0o100000: EROFS_FT_REG_FILE,
  0o040000: EROFS_FT_DIR,
  0o020000: EROFS_FT_CHRDEV,
  0o060000: EROFS_FT_BLKDEV,
  0o010000: EROFS_FT_FIFO,
  0o140000: EROFS_FT_SOCK,
  0o120000: EROFS_FT_SYMLINK,
};

export const TREE_RULES = [
  tree('FORMAT_DIRENT_ORDER', 'the names of a directory are sorted and distinct'),
  tree('FORMAT_DIRENT_DOTS', 'a directory has "." for itself and ".." for its parent'),
  tree('FORMAT_DIRENT_TYPE', 'an entry says the type its inode has, and its reserved byte is zero'),
  tree('FORMAT_DIRECTORY_NLINK', 'a directory has two links and one for each subdirectory', V0_V1),
  tree('FORMAT_WHITEOUT_RAW', 'no character device 0:0 stands anywhere but for a stub', V0_V1),
  tree('FORMAT_WHITEOUT_LINKS', 'a character device 0:0 has one link'),
  tree('FORMAT_STUB', 'a stub has mode 0644, and owner, time and label of the root', V0_V1),
  tree('FORMAT_STUBS_MISSING', 'the root has a name for each of the 256 object directories', V0_V1),
  tree('FORMAT_INODE_INO', 'inode numbers count the inodes in the order they stand', V0_V1),
  tree('FORMAT_INODE_INO_NID', 'the inode number is the nid', V2),
  tree('FORMAT_SUPER_INOS', 'the superblock counts the inodes'),
  tree('FORMAT_SUPER_BUILD_TIME', 'build_time is the least mtime; 0 in version 2'),
  tree(
    'FORMAT_SUPER_XATTR_BLKADDR',
    'shared attributes count from the block where inodes end; from 0 in version 2',
  ),
  tree('FORMAT_HEADER_ACL', 'the header flag says whether some inode has a POSIX ACL', V0_V1),
  tree(
    'FORMAT_XATTR_TABLE',
    'a shared id names an entry of the table, and each entry is used',
    V0_V1,
  ),
  tree('FORMAT_BYTES_SHARED', 'no byte belongs to two records'),
  tree('FORMAT_BYTES_UNUSED', 'every byte that belongs to nothing is zero'),
] as const;

type TreeCode = (typeof TREE_RULES)[number]['code'];
type Report = (code: ErrorCode, message: string) => void;

function tree<const C extends ErrorCode>(
  code: C,
  meaning: string,
  versions?: readonly number[],
): Rule & { readonly code: C } {
  return { code, meaning, scope: 'tree', ...(versions === undefined ? {} : { versions }) };
}

function applies({ versions }: Rule, version: number): boolean {
  return versions === undefined || versions.includes(version);
}

export class TreeChecker {
  readonly #image: ErofsImage;
  readonly #report: Report;
  readonly #inodeRules: readonly InodeRule[];
  readonly #treeRules: ReadonlyMap<TreeCode, Rule>;
  readonly #coverage: ByteCoverage;
  readonly #shared = new Map<number, NamedXattr>();
  /** Own attributes of inodes with as many shared ids as fit; these may be in the table all the same. */
  readonly #overflow = new Set<string>();
  readonly #root: ErofsInode;
  readonly #rootSelinux: Uint8Array | undefined;
  readonly #inos: number[] = [];
  readonly #nids: number[] = [];
  #inodesEnd = SUPER_END;
  #movedTables = 0;
  #stubNames = 0;
  #hasAcl = false;
  #oldestSec: number | bigint = Number.POSITIVE_INFINITY;
  #oldestNsec = 0;
  // The directory being walked.
  #subdirectories = 0;
  #dots = 0;
  #previous: DirentView | undefined;

  constructor(image: ErofsImage, report: Report) {
    const { version } = image;
    this.#image = image;
    this.#report = report;
    this.#inodeRules = [...INODE_RULES, ...XATTR_RULES].filter((rule) => applies(rule, version));
    this.#treeRules = new Map(
      TREE_RULES.filter((rule) => applies(rule, version)).map((rule) => [rule.code, rule]),
    );
    this.#coverage = new ByteCoverage(image.bytes);
    this.#coverage.mark(0, SUPER_END);
    this.#root = image.root();
    this.#rootSelinux = image.xattr(this.#root, XATTR_SELINUX);
  }

  run(): void {
    this.#inode(this.#root);
    walkImage(this.#image, {
      enter: () => this.#enter(),
      entry: (entry, inode, isNew, directory) => this.#entry(entry, inode, isNew, directory),
      dots: (entry, expected, directory) => this.#dotsEntry(entry, expected, directory),
      leave: (directory) => this.#leave(directory),
    });
    this.#checkNumbers();
    this.#checkSuperblock();
    this.#checkTable();
    this.#checkUnused();
  }

  #broken(code: TreeCode, where: string, problem: string): void {
    const rule = this.#treeRules.get(code);
    if (rule !== undefined)
      this.#report(code, `Cannot accept ${where}: ${rule.meaning}, but ${problem}`);
  }

  #enter(): void {
    this.#subdirectories = 0;
    this.#dots = 0;
    this.#previous = undefined;
  }

  #leave(directory: ErofsInode): void {
    const where = `directory ${directory.nid}`;
    if (this.#dots !== 3) this.#broken('FORMAT_DIRENT_DOTS', where, 'one is missing');
    const expected = 2 + this.#subdirectories;
    if (directory.nlink !== expected) {
      this.#broken('FORMAT_DIRECTORY_NLINK', where, unlike('nlink', directory.nlink, expected));
    }
    if (directory.nid === this.#root.nid && this.#stubNames !== STUBS) {
      this.#broken('FORMAT_STUBS_MISSING', where, unlike('their number', this.#stubNames, STUBS));
    }
  }

  #dotsEntry(entry: DirentView, expected: number, directory: ErofsInode): void {
    this.#order(entry, directory);
    this.#dots |= entry.nameEnd - entry.nameStart;
    if (entry.nid !== expected) {
      const where = `directory ${directory.nid}`;
      this.#broken('FORMAT_DIRENT_DOTS', where, unlike('one', entry.nid, expected));
    }
    this.#type(entry, EROFS_FT_DIR, directory);
  }

  #entry(entry: DirentView, inode: ErofsInode, isNew: boolean, directory: ErofsInode): void {
    this.#order(entry, directory);
    this.#type(entry, FILE_TYPES[inode.mode & MODE_TYPE_MASK]!, directory);
    if (inode.isDirectory) this.#subdirectories++;
    const isStubName = directory.nid === this.#root.nid && this.#isStubName(entry);
    if (isStubName) this.#stubNames++;
    if (inode.isWhiteout) this.#whiteout(inode, isStubName);
    if (isNew) this.#inode(inode);
  }

  #order(entry: DirentView, directory: ErofsInode): void {
    const previous = this.#previous;
    this.#previous = entry;
    if (previous === undefined) return;
    const { bytes } = this.#image;
    const before = bytes.subarray(previous.nameStart, previous.nameEnd);
    if (compareBytes(before, bytes.subarray(entry.nameStart, entry.nameEnd)) < 0) return;
    const problem = `the one at offset ${entry.nameStart} is not`;
    this.#broken('FORMAT_DIRENT_ORDER', `directory ${directory.nid}`, problem);
  }

  #type(entry: DirentView, expected: number, directory: ErofsInode): void {
    const reserved = this.#image.bytes[entry.offset + ErofsDirent.at.reserved]!;
    if (entry.fileType === expected && reserved === 0) return;
    const problem = `the entry at offset ${entry.offset} has type ${entry.fileType}, expected ${expected}`;
    this.#broken('FORMAT_DIRENT_TYPE', `directory ${directory.nid}`, problem);
  }

  /** Two lower-case hexadecimal digits, as object directories have. */
  #isStubName({ nameStart, nameEnd }: DirentView): boolean {
    const { bytes } = this.#image;
    return (
      nameEnd - nameStart === 2 &&
      isHexDigit(bytes[nameStart]!) &&
      isHexDigit(bytes[nameStart + 1]!)
    );
  }

  #whiteout(inode: ErofsInode, isStubName: boolean): void {
    const where = `inode ${inode.nid}`;
    if (inode.nlink > 1) this.#broken('FORMAT_WHITEOUT_LINKS', where, `it has ${inode.nlink}`);
    if (!isStubName) {
      this.#broken('FORMAT_WHITEOUT_RAW', where, 'it is one');
      return;
    }
    const root = this.#root;
    const selinux = this.#rootSelinux;
    const own = this.#image.xattr(inode, XATTR_SELINUX);
    const isRight =
      inode.mode === STUB_MODE &&
      inode.uid === root.uid &&
      inode.gid === root.gid &&
      inode.nlink === 1 &&
      inode.mtimeSec === root.mtimeSec &&
      inode.mtimeNsec === root.mtimeNsec &&
      (selinux === undefined
        ? inode.xattrSize === 0
        : own !== undefined &&
          compareBytes(own, selinux) === 0 &&
          this.#image.xattrs(inode).length === 1);
    if (!isRight) this.#broken('FORMAT_STUB', where, 'something differs');
  }

  /** Everything about an inode that its names have no part in. */
  #inode(inode: ErofsInode): void {
    const xattrs =
      inode.xattrSize === 0 ? [] : this.#image.xattrs(inode).map((view) => this.#named(view));
    const facts: InodeFacts = {
      image: this.#image,
      inode,
      isRoot: inode.nid === this.#root.nid,
      xattrs,
    };
    if (inode.isSymlink) this.#image.readlink(inode);
    for (const rule of this.#inodeRules) {
      const problem = rule.test(facts);
      if (problem !== undefined) {
        this.#report(
          rule.code,
          `Cannot accept inode ${inode.nid} at offset ${inode.offset}: ${rule.meaning}, but ${problem}`,
        );
      }
    }
    if (!this.#hasAcl)
      this.#hasAcl = xattrs.some(
        ({ name }) => name === XATTR_ACL_ACCESS || name === XATTR_ACL_DEFAULT,
      );
    if (xattrs.length > SHARED_XATTRS_PER_INODE_MAX) this.#noteOverflow(xattrs);
    this.#inos.push(inode.ino);
    this.#nids.push(inode.nid);
    this.#cover(inode, xattrs);
    const { mtimeSec, mtimeNsec } = inode;
    if (
      mtimeSec < this.#oldestSec ||
      (mtimeSec === this.#oldestSec && mtimeNsec < this.#oldestNsec)
    ) {
      this.#oldestSec = mtimeSec;
      this.#oldestNsec = mtimeNsec;
    }
  }

  #named(view: XattrView): NamedXattr {
    if (!view.isShared) return { name: this.#image.xattrName(view), view };
    let xattr = this.#shared.get(view.offset);
    if (xattr === undefined) {
      xattr = { name: this.#image.xattrName(view), view };
      this.#shared.set(view.offset, xattr);
      if (this.#image.version >= 2) this.#mark(view.offset, view.end, 'the shared xattr');
    }
    return xattr;
  }

  #noteOverflow(xattrs: readonly NamedXattr[]): void {
    if (xattrs[SHARED_XATTRS_PER_INODE_MAX - 1]!.view.isShared) {
      for (const { view } of xattrs) if (!view.isShared) this.#overflow.add(this.#pairOf(view));
    }
  }

  /** Name and value of an attribute as one key. */
  #pairOf(view: XattrView): string {
    const { bytes } = this.#image;
    return `${this.#image.xattrName(view)}\0${toByteString(bytes, view.valueStart, view.end)}`;
  }

  #cover(inode: ErofsInode, xattrs: readonly NamedXattr[]): void {
    const end = inode.tailStart + inode.tailSize;
    this.#mark(inode.offset, end, `inode ${inode.nid}`);
    for (const { view } of xattrs) if (!view.isShared) this.#padding(view.end);
    const { blocksStart, blocksSize } = inode;
    if (blocksSize > 0) {
      this.#mark(
        blocksStart,
        alignUp(blocksStart + blocksSize, EROFS_BLOCK_SIZE),
        `the blocks of inode ${inode.nid}`,
      );
      this.#unusedInBlocks(inode);
    }
    if (inode.isDirectory) this.#unusedInDirectory(inode);
    if (inode.hasMovedChunkTable) this.#movedTables++;
    this.#inodesEnd = Math.max(this.#inodesEnd, alignUp(end, EROFS_SLOT_SIZE));
  }

  #mark(start: number, end: number, what: string): void {
    if (!this.#coverage.mark(start, end)) {
      this.#broken('FORMAT_BYTES_SHARED', `${what} at offset ${start}`, 'some do');
    }
    this.#padding(end);
  }

  #padding(end: number): void {
    if (!this.#coverage.isPadded(end)) this.#unused(end);
  }

  #unused(offset: number): void {
    this.#broken('FORMAT_BYTES_UNUSED', `the image`, `not so at offset ${offset}`);
  }

  #unusedInBlocks({ blocksStart, blocksSize }: ErofsInode): void {
    const end = Math.min(
      alignUp(blocksStart + blocksSize, EROFS_BLOCK_SIZE),
      this.#image.bytes.length,
    );
    this.#zeros(blocksStart + blocksSize, end);
  }

  /** Behind the last name of each block. */
  #unusedInDirectory(directory: ErofsInode): void {
    const count = this.#image.direntBlockCount(directory);
    for (let i = 0; i < count; i++) {
      const block = this.#image.direntBlock(directory, i);
      this.#zeros(block.entry(block.count - 1).nameEnd, block.start + block.size);
    }
  }

  #zeros(from: number, to: number): void {
    const { bytes } = this.#image;
    for (let at = from; at < to; at++) {
      if (bytes[at] !== 0) return this.#unused(at);
    }
  }

  #checkNumbers(): void {
    if (this.#image.version >= 2) {
      const i = this.#inos.findIndex((ino, k) => ino !== this.#nids[k]);
      if (i >= 0) {
        this.#broken(
          'FORMAT_INODE_INO_NID',
          `inode ${this.#nids[i]}`,
          unlike('it', this.#inos[i]!, this.#nids[i]!),
        );
      }
      return;
    }
    // By number, inodes must stand one behind the other; a number out of range or used twice leaves a gap.
    const count = this.#nids.length;
    const nidOf = new Float64Array(count).fill(-1);
    for (let i = 0; i < count; i++) {
      const ino = this.#inos[i]!;
      if (ino < count) nidOf[ino] = this.#nids[i]!;
    }
    for (let ino = 0; ino < count; ino++) {
      if (nidOf[ino]! > (ino === 0 ? -1 : nidOf[ino - 1]!)) continue;
      this.#broken('FORMAT_INODE_INO', `inode number ${ino}`, 'it is missing or out of order');
      return;
    }
  }

  #checkSuperblock(): void {
    const { superblock, header, version } = this.#image;
    const where = 'the superblock';
    const count = this.#nids.length;
    if (superblock.inos !== BigInt(count)) {
      this.#broken('FORMAT_SUPER_INOS', where, unlike('inos', superblock.inos, count));
    }
    const [sec, nsec] = version >= 2 ? [0, 0] : [this.#oldestSec, this.#oldestNsec];
    if (superblock.build_time !== BigInt(sec) || superblock.build_time_nsec !== nsec) {
      const time = `${superblock.build_time}.${superblock.build_time_nsec}`;
      this.#broken('FORMAT_SUPER_BUILD_TIME', where, unlike('it', time, `${sec}.${nsec}`));
    }
    const block = version >= 2 ? 0 : Math.floor(this.#inodesEnd / EROFS_BLOCK_SIZE);
    if (superblock.xattr_blkaddr !== block) {
      this.#broken(
        'FORMAT_SUPER_XATTR_BLKADDR',
        where,
        unlike('xattr_blkaddr', superblock.xattr_blkaddr, block),
      );
    }
    const hasFlag = (header.flags & COMPOSEFS_FLAGS_HAS_ACL) !== 0;
    if (hasFlag !== this.#hasAcl) {
      this.#broken('FORMAT_HEADER_ACL', 'the header', hasFlag ? 'none has' : 'it says none has');
    }
  }

  /** The table of shared attributes follows the inodes; an inode's limit may leave entries nobody refers to. */
  #checkTable(): void {
    if (this.#image.version >= 2) return;
    const { length } = this.#image.bytes;
    const entries = new Set<number>();
    let at = this.#inodesEnd;
    while (
      at + ErofsXattrEntry.size <= length &&
      !this.#coverage.isMarked(at) &&
      this.#image.view.getUint32(at, true) !== 0
    ) {
      const entry = this.#image.xattrAt(at, length, true);
      this.#mark(at, entry.end, 'the shared xattr');
      entries.add(at);
      if (!this.#shared.has(at) && !this.#overflow.has(this.#pairOf(entry))) {
        this.#broken('FORMAT_XATTR_TABLE', `the shared xattr at offset ${at}`, 'nothing uses it');
      }
      at = alignUp(entry.end, 4);
    }
    for (const offset of this.#shared.keys()) {
      if (!entries.has(offset)) {
        this.#broken('FORMAT_XATTR_TABLE', `the shared xattr at offset ${offset}`, 'this is none');
      }
    }
  }

  /** Looks for bytes outside every record; a moved chunk table is a block of 0xff that nothing points at. */
  #checkUnused(): void {
    const { bytes } = this.#image;
    let at = this.#coverage.findUnused(0);
    while (at >= 0) {
      const isTable =
        this.#movedTables > 0 &&
        at % EROFS_BLOCK_SIZE === 0 &&
        bytes.subarray(at, at + EROFS_BLOCK_SIZE).every((byte) => byte === 0xff);
      if (!isTable) return this.#unused(at);
      this.#movedTables--;
      at = this.#coverage.findUnused(at + EROFS_BLOCK_SIZE);
    }
  }
}

function isHexDigit(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
}
