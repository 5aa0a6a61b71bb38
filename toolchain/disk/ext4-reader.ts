/**
 * Reads the ext4 of a store without mounting it, for the check: superblock, groups, inodes, extents, directories.
 *
 * Accepts what ext4-layout.ts describes and nothing else. Made for hostile bytes: every number is compared with its
 * bounds before it is used, no inode is visited twice, no block belongs to two things, so the work is bounded by the
 * size of the partition. Checksums are verified on the way: one flipped bit in metadata that is read is an error.
 * Bitmaps and free space are not looked at; e2fsck does the bitmaps.
 */
import { toByteString } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { StructValue } from '../../runtime/format/struct.ts';
import { crc32c } from './crc32.ts';
import {
  BLOCK,
  BLOCKS_PER_GROUP,
  checksumSeed,
  DIRENT_TAIL_SIZE,
  Extent,
  EXTENT_BLOCKS_MAX,
  ExtentHeader,
  ExtentIndex,
  EXTENTS_FL,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  FILE_TYPE,
  FIRST_INODE,
  GROUP_SIZE,
  groupChecksum,
  GroupRecord,
  Inode,
  INODE_SIZE,
  inodeChecksum,
  INODES_PER_BLOCK,
  inodeSeed,
  type InodeValue,
  ROOT_INODE,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  Superblock,
  SUPERBLOCK_OFFSET,
  superblockChecksum,
  VERITY_FL,
} from './ext4-records.ts';
import type { Run } from './ext4-layout.ts';

/** Reads bytes of the partition; throws when they are not there. */
export type ReadBytes = (offset: number, length: number) => Uint8Array;

export interface FoundFile {
  /** Below the root of the store, one character per byte. */
  readonly path: string;
  readonly size: number;
  /** Whether fs-verity is on. */
  readonly isSealed: boolean;
  /** Ascending; only the last may end behind the data. */
  readonly runs: readonly Run[];
}

export interface FoundDirectory {
  /** Empty for the root. */
  readonly path: string;
  readonly runs: readonly Run[];
}

const DEPTH_MAX = 2;
const PATH_MAX = 1024;
const READ_STEP = 256 * BLOCK;

function malformed(where: string, problem: string): ColdsealError {
  return new ColdsealError('FORMAT_EXT4', `Cannot read ${where} of the store: ${problem}`);
}

export class Ext4Reader {
  readonly #read: ReadBytes;
  readonly #superblock: StructValue<typeof Superblock>;
  readonly #seed: number;
  readonly #groups: StructValue<typeof GroupRecord>[] = [];
  /** A bit for each block that something has claimed. */
  readonly #claimed: Uint8Array;
  readonly #visited = new Set<number>();
  readonly #directories: FoundDirectory[] = [];

  /** Opens a file system in a partition of `size` bytes; throws FORMAT_EXT4 or FORMAT_RECORD_*. */
  constructor(read: ReadBytes, size: number) {
    this.#read = read;
    const bytes = read(SUPERBLOCK_OFFSET, Superblock.size);
    const superblock = Superblock.decode(bytes);
    if (superblockChecksum(bytes) !== superblock.checksum) {
      throw malformed('the superblock', 'its checksum is wrong');
    }
    const { blocks, inodes, inodesPerGroup } = superblock;
    const groups = Math.ceil(blocks / BLOCKS_PER_GROUP);
    const isSound =
      blocks > 0 &&
      blocks * BLOCK <= size &&
      inodesPerGroup > 0 &&
      inodesPerGroup <= BLOCKS_PER_GROUP &&
      inodesPerGroup % INODES_PER_BLOCK === 0 &&
      inodes === groups * inodesPerGroup;
    if (!isSound) {
      throw malformed('the superblock', `${blocks} blocks and ${inodes} inodes cannot be`);
    }
    this.#superblock = superblock;
    this.#seed = checksumSeed(superblock.uuid);
    this.#claimed = new Uint8Array(Math.ceil(blocks / 8));
    const groupBlocks = Math.ceil((groups * GROUP_SIZE) / BLOCK);
    this.#claim(0, 1 + groupBlocks, 'the superblock');
    this.#readGroups(groups);
  }

  get uuid(): Uint8Array {
    return this.#superblock.uuid;
  }

  /** The directories that `files` has gone through. */
  get directories(): readonly FoundDirectory[] {
    return this.#directories;
  }

  /** The blocks of the inode tables, one run for each group. */
  get inodeTables(): readonly { readonly physical: number; readonly count: number }[] {
    const count = this.#superblock.inodesPerGroup / INODES_PER_BLOCK;
    return this.#groups.map(({ inodeTable }) => ({ physical: inodeTable, count }));
  }

  /** Every file of the tree, in the order of the directories. */
  files(): FoundFile[] {
    const found: FoundFile[] = [];
    const waiting = [{ path: '', inode: ROOT_INODE, parent: ROOT_INODE }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { path, inode, parent } = next;
      const directory = this.#inode(inode, path);
      if ((directory.mode & S_IFMT) !== S_IFDIR) throw malformed(`/${path}`, 'it is no directory');
      for (const entry of this.#entries(inode, directory, path, parent)) {
        const below = path === '' ? entry.name : `${path}/${entry.name}`;
        if (below.length > PATH_MAX) throw malformed(`/${path}`, 'a path is too long');
        if (entry.isDirectory) waiting.push({ path: below, inode: entry.inode, parent: inode });
        else found.push(this.#file(entry.inode, below));
      }
    }
    return found;
  }

  /** The bytes of a file's blocks `from` up to `to`, in pieces, whatever its size says. Every block must be there. */
  *blocks(file: FoundFile, from: number, to: number): Generator<Uint8Array> {
    let next = from;
    for (const { logical, physical, count } of file.runs) {
      if (logical + count <= next) continue;
      if (next >= to) return;
      if (logical > next) break;
      while (next < Math.min(logical + count, to)) {
        const length = Math.min((Math.min(logical + count, to) - next) * BLOCK, READ_STEP);
        yield this.#read((physical + next - logical) * BLOCK, length);
        next += length / BLOCK;
      }
    }
    if (next < to) throw malformed(`/${file.path}`, `its block ${next} is not there`);
  }

  // --- groups and inodes -------------------------------------------------------------------------------

  #readGroups(groups: number): void {
    const bytes = this.#read(BLOCK, groups * GROUP_SIZE);
    const tableBlocks = this.#superblock.inodesPerGroup / INODES_PER_BLOCK;
    for (let group = 0; group < groups; group++) {
      const own = bytes.subarray(group * GROUP_SIZE, (group + 1) * GROUP_SIZE);
      const record = GroupRecord.decode(own);
      if (groupChecksum(this.#seed, group, own) !== record.checksum) {
        throw malformed(`group ${group}`, 'the checksum of its descriptor is wrong');
      }
      this.#claim(record.blockBitmap, 1, `group ${group}`);
      this.#claim(record.inodeBitmap, 1, `group ${group}`);
      this.#claim(record.inodeTable, tableBlocks, `group ${group}`);
      this.#groups.push(record);
    }
  }

  #inode(number: number, path: string): InodeValue {
    const { inodesPerGroup, inodes } = this.#superblock;
    const where = `/${path}`;
    const isKnown = number === ROOT_INODE || (number >= FIRST_INODE && number <= inodes);
    if (!isKnown) throw malformed(where, `it cannot have inode ${number}`);
    if (this.#visited.has(number)) throw malformed(where, `inode ${number} has another name`);
    this.#visited.add(number);
    const group = this.#groups[Math.floor((number - 1) / inodesPerGroup)]!;
    const at = group.inodeTable * BLOCK + ((number - 1) % inodesPerGroup) * INODE_SIZE;
    const bytes = this.#read(at, INODE_SIZE);
    const inode = Inode.decode(bytes);
    const checksum = inodeChecksum(inodeSeed(this.#seed, number, inode.generation), bytes);
    if (checksum !== ((inode.checksumHigh << 16) | inode.checksum) >>> 0) {
      throw malformed(where, `the checksum of inode ${number} is wrong`);
    }
    if (inode.links === 0 || inode.deleteTime !== 0) {
      throw malformed(where, `inode ${number} is deleted`);
    }
    return inode;
  }

  #file(number: number, path: string): FoundFile {
    const inode = this.#inode(number, path);
    const where = `/${path}`;
    if ((inode.mode & S_IFMT) !== S_IFREG) throw malformed(where, 'it is no regular file');
    if (inode.links !== 1) throw malformed(where, `it has ${inode.links} names`);
    const size = this.#size(inode, where);
    const runs = this.#runs(number, inode, where);
    return { path, size, isSealed: (inode.flags & VERITY_FL) !== 0, runs };
  }

  #size({ size, sizeHigh }: InodeValue, where: string): number {
    const bytes = sizeHigh * 2 ** 32 + size;
    // Every block is claimed once, so a file cannot be larger than the file system.
    if (bytes > this.#superblock.blocks * BLOCK) throw malformed(where, `it has ${bytes} bytes`);
    return bytes;
  }

  /** Takes blocks that nothing else may have. */
  #claim(first: number, count: number, where: string): void {
    if (first + count > this.#superblock.blocks) {
      throw malformed(where, `block ${first + count - 1} is outside the file system`);
    }
    for (let block = first; block < first + count; block++) {
      const bit = 1 << (block & 7);
      if ((this.#claimed[block >> 3]! & bit) !== 0) {
        throw malformed(where, `block ${block} belongs to something else too`);
      }
      this.#claimed[block >> 3]! |= bit;
    }
  }

  // --- extents -----------------------------------------------------------------------------------------

  #runs(number: number, inode: InodeValue, where: string): Run[] {
    if ((inode.flags & EXTENTS_FL) === 0) throw malformed(where, 'it has no extents');
    const runs: Run[] = [];
    const own = inodeSeed(this.#seed, number, inode.generation);
    const header = ExtentHeader.decode(inode.tree);
    if (header.depth > DEPTH_MAX) throw malformed(where, `its extents are ${header.depth} deep`);
    this.#addRuns(inode.tree, EXTENTS_IN_INODE, header.depth, own, runs, where);
    return runs;
  }

  #addRuns(
    tree: Uint8Array,
    room: number,
    depth: number,
    ownSeed: number,
    runs: Run[],
    where: string,
  ): void {
    const header = ExtentHeader.decode(tree);
    const isSound = header.depth === depth && header.max <= room && header.entries <= header.max;
    if (!isSound) throw malformed(where, 'its extents are malformed');
    for (let i = 0; i < header.entries; i++) {
      const at = ExtentHeader.size + i * Extent.size;
      if (depth === 0) {
        this.#addRun(Extent.decode(tree, at), runs, where);
        continue;
      }
      const { physical, high } = ExtentIndex.decode(tree, at);
      if (high !== 0) throw malformed(where, 'a block is out of reach');
      this.#claim(physical, 1, where);
      const block = this.#read(physical * BLOCK, BLOCK);
      const end = ExtentHeader.size + EXTENTS_IN_BLOCK * Extent.size;
      const view = new DataView(block.buffer, block.byteOffset, BLOCK);
      if (crc32c(ownSeed, block.subarray(0, end)) !== view.getUint32(end, true)) {
        throw malformed(where, 'the checksum of its extents is wrong');
      }
      this.#addRuns(block, EXTENTS_IN_BLOCK, depth - 1, ownSeed, runs, where);
    }
  }

  #addRun(extent: StructValue<typeof Extent>, runs: Run[], where: string): void {
    const { logical, count, physical, high } = extent;
    const last = runs.at(-1);
    const start = last === undefined ? 0 : last.logical + last.count;
    // Counts above 32768 are blocks that were set aside and never written.
    if (high !== 0 || count === 0 || count > EXTENT_BLOCKS_MAX || logical < start) {
      throw malformed(where, 'its extents are malformed');
    }
    this.#claim(physical, count, where);
    runs.push({ logical, physical, count });
  }

  // --- directories -------------------------------------------------------------------------------------

  #entries(
    number: number,
    inode: InodeValue,
    path: string,
    parent: number,
  ): { name: string; inode: number; isDirectory: boolean }[] {
    const where = `/${path}`;
    const size = this.#size(inode, where);
    const runs = this.#runs(number, inode, where);
    if (size === 0 || size % BLOCK !== 0) throw malformed(where, `it has ${size} bytes`);
    this.#directories.push({ path, runs });
    const entries: { name: string; inode: number; isDirectory: boolean }[] = [];
    const names = new Set<string>();
    const own = inodeSeed(this.#seed, number, inode.generation);
    const directory = { path, size, isSealed: false, runs };
    for (const piece of this.blocks(directory, 0, size / BLOCK)) {
      for (let at = 0; at < piece.length; at += BLOCK) {
        const block = piece.subarray(at, at + BLOCK);
        for (const entry of readDirents(block, own, where)) {
          if (names.has(entry.name)) throw malformed(where, `${entry.name} is there twice`);
          names.add(entry.name);
          entries.push(entry);
        }
      }
    }
    const [self, up, ...others] = entries;
    const isRooted =
      self?.name === '.' && self.inode === number && up?.name === '..' && up.inode === parent;
    if (!isRooted) throw malformed(where, 'it does not begin with . and ..');
    return others;
  }
}

function readDirents(
  block: Uint8Array,
  ownSeed: number,
  where: string,
): { name: string; inode: number; isDirectory: boolean }[] {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK);
  const end = BLOCK - DIRENT_TAIL_SIZE;
  const isTail =
    view.getUint32(end, true) === 0 &&
    view.getUint16(end + 4, true) === DIRENT_TAIL_SIZE &&
    block[end + 6] === 0 &&
    block[end + 7] === FILE_TYPE.CHECKSUM;
  if (!isTail || crc32c(ownSeed, block.subarray(0, end)) !== view.getUint32(end + 8, true)) {
    throw malformed(where, 'the checksum of its names is wrong');
  }
  const entries = [];
  for (let at = 0; at < end;) {
    const length = at + 8 <= end ? view.getUint16(at + 4, true) : 0;
    const nameSize = block[at + 6]!;
    if (length < 8 + nameSize || length % 4 !== 0 || at + length > end) {
      throw malformed(where, `its entry at ${at} is malformed`);
    }
    const inode = view.getUint32(at, true);
    if (inode !== 0) {
      const name = toByteString(block, at + 8, at + 8 + nameSize);
      const type = block[at + 7];
      const isDirectory = type === FILE_TYPE.DIRECTORY;
      if (name === '' || /[/\0]/.test(name) || (!isDirectory && type !== FILE_TYPE.REGULAR)) {
        throw malformed(where, `its entry at ${at} is malformed`);
      }
      entries.push({ name, inode, isDirectory });
    }
    at += length;
  }
  return entries;
}
