/**
 * Writes what a plan says about itself: superblock, group descriptors, bitmaps, inodes, directories, extents, each with
 * its checksum. The order and the layout are those of ext4-layout.ts.
 */
import { writeSync } from 'node:fs';
import { ascii } from '../../runtime/format/bytes.ts';
import { crc32c } from './crc32.ts';
import {
  direntSize,
  type Ext4Plan,
  type PlannedDirectory,
  type PlannedFile,
  type Run,
} from './ext4-layout.ts';
import {
  BLOCK,
  BLOCKS_PER_GROUP,
  checksumSeed,
  DIRENT_TAIL_SIZE,
  Extent,
  ExtentHeader,
  ExtentIndex,
  EXTENTS_FL,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  FILE_TYPE,
  GROUP_SIZE,
  groupChecksum,
  GroupRecord,
  Inode,
  INODE_SIZE,
  inodeChecksum,
  INODES_PER_BLOCK,
  inodeSeed,
  S_IFDIR,
  S_IFREG,
  Superblock,
  SUPERBLOCK_OFFSET,
  superblockChecksum,
  VERITY_FL,
} from './ext4-records.ts';

export interface Ext4Identity {
  readonly uuid: Uint8Array;
  readonly label: string;
}

/** What a planned file must say about itself here. */
interface FileFacts {
  readonly digest: string | undefined;
}

const SECTORS_PER_BLOCK = BLOCK / 512;
/** Bytes of an inode in use beyond the first 128. */
const EXTRA_SIZE = 32;
const INODES_INITIALISED = 4;

/** Writes all metadata of a planned file system at `base` of an open file. */
export function writeMetadata(
  fd: number,
  base: number,
  plan: Ext4Plan<FileFacts>,
  identity: Ext4Identity,
): void {
  const seed = checksumSeed(identity.uuid);
  const writeBlock = (block: number, bytes: Uint8Array): void => {
    if (writeSync(fd, bytes, 0, bytes.length, base + block * BLOCK) !== bytes.length) {
      throw new Error(`block ${block} was written in part`);
    }
  };
  const inodes = new InodeTable(plan, seed);
  for (const directory of plan.directories) {
    inodes.addDirectory(directory);
    writeBlock(directory.run.physical, directoryBytes(directory, seed));
  }
  for (const file of plan.files) {
    const indexes = inodes.addFile(file);
    indexes.forEach((bytes, i) => writeBlock(file.indexBlocks[i]!, bytes));
  }
  writeBlock(plan.geometry.inodeTables, inodes.bytes);
  writeGroups(plan, seed, writeBlock);
  const superblock = superblockBytes(plan, identity);
  writeBlock(0, Buffer.concat([new Uint8Array(SUPERBLOCK_OFFSET), superblock]));
}

// --- inodes --------------------------------------------------------------------------------------------

/** The inodes in use, encoded one behind the other; the others of the table stay zero. */
class InodeTable {
  readonly bytes: Uint8Array;
  readonly #seed: number;

  constructor(plan: Ext4Plan<FileFacts>, seed: number) {
    this.#seed = seed;
    const blocks = Math.ceil(plan.usedInodes / INODES_PER_BLOCK);
    this.bytes = new Uint8Array(blocks * BLOCK);
  }

  addDirectory({ inode, run, subdirectories }: PlannedDirectory): void {
    const size = run.count * BLOCK;
    const facts = { mode: S_IFDIR | 0o755, links: 2 + subdirectories, flags: EXTENTS_FL };
    this.#add(inode, {
      ...facts,
      size,
      blocks: run.count,
      tree: extentTree([run], EXTENTS_IN_INODE),
    });
  }

  /** Returns the blocks of extents that have no room in the inode. */
  addFile({ file, inode, size, runs, indexBlocks }: PlannedFile<FileFacts>): Uint8Array[] {
    const flags = EXTENTS_FL | (file.digest === undefined ? 0 : VERITY_FL);
    const blocks = runs.reduce((sum, { count }) => sum + count, indexBlocks.length);
    const facts = { mode: S_IFREG | 0o644, links: 1, flags, size, blocks };
    if (indexBlocks.length === 0) {
      this.#add(inode, { ...facts, tree: extentTree(runs, EXTENTS_IN_INODE) });
      return [];
    }
    const parts = indexBlocks.map((_, i) => {
      return runs.slice(i * EXTENTS_IN_BLOCK, (i + 1) * EXTENTS_IN_BLOCK);
    });
    this.#add(inode, { ...facts, tree: indexTree(parts, indexBlocks) });
    return parts.map((part) => extentBlock(part, inodeSeed(this.#seed, inode, 0)));
  }

  #add(
    inode: number,
    facts: {
      mode: number;
      links: number;
      flags: number;
      size: number;
      blocks: number;
      tree: Uint8Array;
    },
  ): void {
    const { size, blocks, tree } = facts;
    const at = (inode - 1) * INODE_SIZE;
    const inodeTree = new Uint8Array(60);
    inodeTree.set(tree.subarray(0, 60));
    Inode.encode(
      {
        ...NO_INODE,
        ...facts,
        tree: inodeTree,
        size: size % 2 ** 32,
        sizeHigh: Math.floor(size / 2 ** 32),
        sectors: (blocks * SECTORS_PER_BLOCK) % 2 ** 32,
        sectorsHigh: Math.floor((blocks * SECTORS_PER_BLOCK) / 2 ** 32),
      },
      this.bytes,
      at,
    );
    const own = this.bytes.subarray(at, at + INODE_SIZE);
    const checksum = inodeChecksum(inodeSeed(this.#seed, inode, 0), own);
    const view = new DataView(this.bytes.buffer, at);
    view.setUint16(Inode.at.checksum, checksum & 0xffff, true);
    view.setUint16(Inode.at.checksumHigh, checksum >>> 16, true);
  }
}

const NO_INODE = {
  uid: 0,
  accessTime: 0,
  changeTime: 0,
  modifyTime: 0,
  deleteTime: 0,
  gid: 0,
  version: 0,
  generation: 0,
  acl: 0,
  aclHigh: 0,
  uidHigh: 0,
  gidHigh: 0,
  checksum: 0,
  extraSize: EXTRA_SIZE,
  checksumHigh: 0,
  extraTimes: new Uint8Array(20),
  versionHigh: 0,
  project: 0,
  attributes: new Uint8Array(96),
};

/** An extent header and its extents. */
function extentTree(runs: readonly Run[], max: number): Uint8Array {
  const bytes = new Uint8Array(ExtentHeader.size + max * Extent.size);
  ExtentHeader.encode({ entries: runs.length, max, depth: 0, generation: 0 }, bytes);
  runs.forEach(({ logical, physical, count }, index) => {
    const at = ExtentHeader.size + index * Extent.size;
    Extent.encode({ logical, count, high: 0, physical }, bytes, at);
  });
  return bytes;
}

function indexTree(parts: readonly Run[][], blocks: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(60);
  ExtentHeader.encode(
    { entries: parts.length, max: EXTENTS_IN_INODE, depth: 1, generation: 0 },
    bytes,
  );
  parts.forEach(([first], index) => {
    const at = ExtentHeader.size + index * ExtentIndex.size;
    ExtentIndex.encode({ logical: first!.logical, physical: blocks[index]!, high: 0 }, bytes, at);
  });
  return bytes;
}

function extentBlock(runs: readonly Run[], ownSeed: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const tree = extentTree(runs, EXTENTS_IN_BLOCK);
  block.set(tree);
  new DataView(block.buffer).setUint32(tree.length, crc32c(ownSeed, tree), true);
  return block;
}

// --- directories ---------------------------------------------------------------------------------------

function directoryBytes(directory: PlannedDirectory, seed: number): Uint8Array {
  const bytes = new Uint8Array(directory.run.count * BLOCK);
  const view = new DataView(bytes.buffer);
  const own = inodeSeed(seed, directory.inode, 0);
  const end = BLOCK - DIRENT_TAIL_SIZE;
  let block = 0;
  let at = 0;
  let previous = 0;
  const closeBlock = (): void => {
    view.setUint16(previous + 4, block + end - previous, true);
    view.setUint16(block + end + 4, DIRENT_TAIL_SIZE, true);
    bytes[block + end + 7] = FILE_TYPE.CHECKSUM;
    const checksum = crc32c(own, bytes.subarray(block, block + end));
    view.setUint32(block + end + 8, checksum, true);
  };
  const entries = [
    { name: '.', inode: directory.inode, isDirectory: true },
    { name: '..', inode: directory.parent, isDirectory: true },
    ...directory.entries,
  ];
  for (const { name, inode, isDirectory } of entries) {
    const size = direntSize(name);
    if (at + size > block + end) {
      closeBlock();
      at = block += BLOCK;
    }
    view.setUint32(at, inode, true);
    view.setUint16(at + 4, size, true);
    bytes[at + 6] = name.length;
    bytes[at + 7] = isDirectory ? FILE_TYPE.DIRECTORY : FILE_TYPE.REGULAR;
    bytes.set(ascii(name), at + 8);
    previous = at;
    at += size;
  }
  closeBlock();
  return bytes;
}

// --- groups --------------------------------------------------------------------------------------------

/** How many of the first `used` things fall into a group's share. */
const usedIn = (group: number, share: number, used: number): number =>
  Math.min(Math.max(used - group * share, 0), share);

function writeGroups(
  plan: Ext4Plan<FileFacts>,
  seed: number,
  writeBlock: (block: number, bytes: Uint8Array) => void,
): void {
  const { geometry, usedBlocks, usedInodes, directories } = plan;
  const { groups, inodesPerGroup } = geometry;
  const descriptors = new Uint8Array(groups * GROUP_SIZE);
  for (let group = 0; group < groups; group++) {
    const blocks = Math.min(BLOCKS_PER_GROUP, geometry.blocks - group * BLOCKS_PER_GROUP);
    const blocksUsed = usedIn(group, BLOCKS_PER_GROUP, usedBlocks);
    const inodesUsed = usedIn(group, inodesPerGroup, usedInodes);
    const blockBitmap = bitmap(blocksUsed, blocks);
    const inodeBitmap = bitmap(inodesUsed, inodesPerGroup);
    writeBlock(geometry.blockBitmaps + group, blockBitmap);
    writeBlock(geometry.inodeBitmaps + group, inodeBitmap);
    const blockSum = crc32c(seed, blockBitmap);
    const inodeSum = crc32c(seed, inodeBitmap.subarray(0, inodesPerGroup / 8));
    const first = group * inodesPerGroup;
    const record = {
      blockBitmap: geometry.blockBitmaps + group,
      inodeBitmap: geometry.inodeBitmaps + group,
      inodeTable: geometry.inodeTables + (group * inodesPerGroup) / INODES_PER_BLOCK,
      freeBlocks: blocks - blocksUsed,
      freeInodes: inodesPerGroup - inodesUsed,
      directories: directories.filter(({ inode }) => {
        return inode > first && inode <= first + inodesPerGroup;
      }).length,
      flags: INODES_INITIALISED,
      blockBitmapSum: blockSum & 0xffff,
      blockBitmapSumHigh: blockSum >>> 16,
      inodeBitmapSum: inodeSum & 0xffff,
      inodeBitmapSumHigh: inodeSum >>> 16,
      unusedInodes: 0,
      checksum: 0,
    };
    const at = group * GROUP_SIZE;
    GroupRecord.encode(record, descriptors, at);
    const checksum = groupChecksum(seed, group, descriptors.subarray(at, at + GROUP_SIZE));
    new DataView(descriptors.buffer).setUint16(at + GroupRecord.at.checksum, checksum, true);
  }
  writeBlock(1, descriptors);
}

/** The first `used` bits set, and all those behind `size`, which do not exist. */
function bitmap(used: number, size: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  const set = (from: number, to: number): void => {
    let bit = from;
    for (; bit < to && bit % 8 !== 0; bit++) bytes[bit >> 3]! |= 1 << (bit & 7);
    if (bit < to) bytes.fill(0xff, bit >> 3, to >> 3);
    for (bit = Math.max(bit, to - (to % 8)); bit < to; bit++) bytes[bit >> 3]! |= 1 << (bit & 7);
  };
  set(0, used);
  set(size, 8 * BLOCK);
  return bytes;
}

// --- superblock ----------------------------------------------------------------------------------------

const NEVER = 0xffff;

function superblockBytes(plan: Ext4Plan<FileFacts>, { uuid, label }: Ext4Identity): Uint8Array {
  const { geometry, usedBlocks, usedInodes } = plan;
  const { groups, inodesPerGroup } = geometry;
  const name = new Uint8Array(16);
  name.set(ascii(label));
  const bytes = Superblock.encode({
    ...NO_SUPERBLOCK,
    inodes: groups * inodesPerGroup,
    blocks: geometry.blocks,
    freeBlocks: geometry.blocks - usedBlocks,
    freeInodes: groups * inodesPerGroup - usedInodes,
    inodesPerGroup,
    uuid,
    label: name,
    hashSeed: uuid,
    // All groups are one: that is why their metadata may lie in the first.
    logGroupsPerFlex: Math.ceil(Math.log2(Math.max(groups, 2))),
  });
  const checksum = superblockChecksum(bytes);
  new DataView(bytes.buffer).setUint32(Superblock.at.checksum, checksum, true);
  return bytes;
}

const NO_SUPERBLOCK = {
  reserved: 0,
  mountTime: 0,
  writeTime: 0,
  mounts: 0,
  mountsMax: NEVER,
  state: 1,
  errors: 2,
  minorRevision: 0,
  checkTime: 0,
  checkInterval: 0,
  creator: 0,
  reservedUid: 0,
  reservedGid: 0,
  lastMounted: new Uint8Array(64),
  algorithms: 0,
  lastOrphan: 0,
  hashVersion: 1,
  mountOptions: 0,
  madeTime: 0,
  minExtra: EXTRA_SIZE,
  wantExtra: EXTRA_SIZE,
  flags: 1,
  checksumType: 1,
  written: 0n,
  errorLog: new Uint8Array(108),
  optionText: new Uint8Array(64),
  overhead: 0,
  lostFound: 0,
  highTimes: new Uint8Array(8),
  checksum: 0,
};
