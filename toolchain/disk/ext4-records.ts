/**
 * The records of an ext4 file system, in the one shape that is written here and read again by the check.
 *
 * Features: extents, filetype, 64bit, flex_bg, sparse_super2, large_file, extra_isize, metadata_csum, verity. No
 * journal, since the store is mounted read-only and a journal would only be looked at on every mount; no dir_index,
 * because the largest directory has a few hundred names; no resize_inode, no backup superblocks: a store is made again,
 * not repaired. All of it is known to Linux 5.4 and later, fs-verity on ext4 itself included.
 *
 * Source: Linux Documentation/filesystems/ext4/, fs/ext4/ext4.h and ext4_extents.h.
 */
import {
  always16,
  always32,
  byteArray,
  struct,
  type StructValue,
  u16,
  u32,
  u64,
  u8,
  zeros,
} from '../../runtime/format/struct.ts';
import { crc32c } from './crc32.ts';

export const BLOCK = 4096;
export const BLOCKS_PER_GROUP = 8 * BLOCK;
export const INODE_SIZE = 256;
export const INODES_PER_BLOCK = BLOCK / INODE_SIZE;
export const GROUP_SIZE = 64;
export const SUPERBLOCK_OFFSET = 1024;
export const ROOT_INODE = 2;
/** Inodes 1 to 10 are ext4's own. */
export const FIRST_INODE = 11;

export const FEATURE_COMPAT = 0x200; // sparse_super2
export const FEATURE_INCOMPAT = 0x2 | 0x40 | 0x80 | 0x200; // filetype, extents, 64bit, flex_bg
// sparse_super, large_file, extra_isize, metadata_csum, verity
export const FEATURE_RO_COMPAT = 0x1 | 0x2 | 0x40 | 0x400 | 0x8000;

export const EXTENTS_FL = 0x80000;
export const VERITY_FL = 0x100000;
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const FILE_TYPE = { REGULAR: 1, DIRECTORY: 2, CHECKSUM: 0xde } as const;
/** A directory block ends with a checksum that looks like an entry without a name. */
export const DIRENT_TAIL_SIZE = 12;

export const Superblock = struct('ext4 superblock', 1024, 'fs/ext4/ext4.h, ext4_super_block', {
  inodes: [0x00, u32('inodes')],
  blocks: [0x04, u32('blocks')],
  reserved: [0x08, u32('blocks kept for root')],
  freeBlocks: [0x0c, u32('free blocks')],
  freeInodes: [0x10, u32('free inodes')],
  firstDataBlock: [0x14, always32(0, '0 for blocks of 4096 bytes')],
  logBlockSize: [0x18, always32(2, 'blocks of 4096 bytes')],
  logClusterSize: [0x1c, always32(2, 'the same')],
  blocksPerGroup: [0x20, always32(BLOCKS_PER_GROUP, 'as many as a bitmap of one block has bits')],
  clustersPerGroup: [0x24, always32(BLOCKS_PER_GROUP, 'the same')],
  inodesPerGroup: [0x28, u32('inodes in each group')],
  mountTime: [0x2c, u32('last mount')],
  writeTime: [0x30, u32('last write')],
  mounts: [0x34, u16('mounts since the last check')],
  mountsMax: [0x36, u16('mounts after which to check; 0xffff never')],
  magic: [0x38, always16(0xef53, 'ext4')],
  state: [0x3a, u16('1 clean')],
  errors: [0x3c, u16('on an error: 1 go on, 2 read-only, 3 panic')],
  minorRevision: [0x3e, u16('revision')],
  checkTime: [0x40, u32('last check')],
  checkInterval: [0x44, u32('seconds between checks; 0 none')],
  creator: [0x48, u32('0 Linux')],
  revision: [0x4c, always32(1, 'inodes have a size')],
  reservedUid: [0x50, u16('owner of the reserved blocks')],
  reservedGid: [0x52, u16('group of the reserved blocks')],
  firstInode: [0x54, always32(FIRST_INODE, 'first inode that is not ext4’s own')],
  inodeSize: [0x58, always16(INODE_SIZE, 'bytes of an inode')],
  groupNumber: [0x5a, always16(0, 'group of this superblock')],
  compat: [0x5c, always32(FEATURE_COMPAT, 'features, compatible')],
  incompat: [0x60, always32(FEATURE_INCOMPAT, 'features, incompatible')],
  roCompat: [0x64, always32(FEATURE_RO_COMPAT, 'features, compatible for reading')],
  uuid: [0x68, byteArray(16, 'UUID')],
  label: [0x78, byteArray(16, 'volume name')],
  lastMounted: [0x88, byteArray(64, 'where it was last mounted')],
  algorithms: [0xc8, u32('unused')],
  prealloc: [0xcc, zeros(2, 'preallocation: none')],
  reservedGroups: [0xce, always16(0, 'no blocks to grow group descriptors')],
  journal: [0xd0, zeros(24, 'no journal')],
  lastOrphan: [0xe8, u32('first inode to be removed at mount')],
  hashSeed: [0xec, byteArray(16, 'seed of directory hashes')],
  hashVersion: [0xfc, u8('1 half MD4')],
  journalBackup: [0xfd, zeros(1)],
  groupSize: [0xfe, always16(GROUP_SIZE, 'bytes of a group descriptor')],
  mountOptions: [0x100, u32('default mount options')],
  firstMetaGroup: [0x104, always32(0, 'unused')],
  madeTime: [0x108, u32('when it was made')],
  journalBlocks: [0x10c, zeros(68, 'no journal')],
  highCounts: [0x150, zeros(12, 'upper halves of the block counts')],
  minExtra: [0x15c, u16('bytes that every inode has beyond 128')],
  wantExtra: [0x15e, u16('bytes that a new inode should have')],
  flags: [0x160, u32('1 directory hashes of signed characters')],
  raidAndMmp: [0x164, zeros(16, 'neither RAID nor multiple mount protection')],
  logGroupsPerFlex: [0x174, u8('groups whose metadata lies together, log2')],
  checksumType: [0x175, u8('1 CRC-32C')],
  encryption: [0x176, zeros(2)],
  written: [0x178, u64('KiB ever written')],
  snapshots: [0x180, zeros(20)],
  errorLog: [0x194, byteArray(108, 'errors that the kernel met')],
  optionText: [0x200, byteArray(64, 'mount options as text')],
  quota: [0x240, zeros(8)],
  overhead: [0x248, u32('blocks of metadata; 0 unknown')],
  backupGroups: [0x24c, zeros(8, 'groups with a copy of the superblock: none')],
  encryption2: [0x254, zeros(20)],
  lostFound: [0x268, u32('unused')],
  projectQuota: [0x26c, zeros(4)],
  checksumSeed: [0x270, zeros(4, 'the UUID is the seed')],
  highTimes: [0x274, byteArray(8, 'upper bytes of the times')],
  encoding: [0x27c, zeros(4, 'names are bytes')],
  orphanFile: [0x280, zeros(4)],
  unused: [0x284, zeros(376)],
  checksum: [0x3fc, u32('CRC-32C of the bytes before it')],
});

export const GroupRecord = struct('ext4 group descriptor', GROUP_SIZE, 'ext4_group_desc', {
  blockBitmap: [0x00, u32('block of the block bitmap')],
  inodeBitmap: [0x04, u32('block of the inode bitmap')],
  inodeTable: [0x08, u32('first block of the inodes')],
  freeBlocks: [0x0c, u16('free blocks')],
  freeInodes: [0x0e, u16('free inodes')],
  directories: [0x10, u16('directories')],
  flags: [0x12, u16('4: the inodes are initialised')],
  exclude: [0x14, zeros(4)],
  blockBitmapSum: [0x18, u16('CRC-32C of the block bitmap, lower half')],
  inodeBitmapSum: [0x1a, u16('CRC-32C of the inode bitmap, lower half')],
  unusedInodes: [0x1c, u16('inodes at the end that were never used')],
  checksum: [0x1e, u16('CRC-32C of the descriptor, lower half')],
  high: [0x20, zeros(24, 'upper halves of the numbers')],
  blockBitmapSumHigh: [0x38, u16('upper half')],
  inodeBitmapSumHigh: [0x3a, u16('upper half')],
  unused: [0x3c, zeros(4)],
});

export const Inode = struct('ext4 inode', INODE_SIZE, 'ext4_inode', {
  mode: [0x00, u16('type and permissions')],
  uid: [0x02, u16('owner')],
  size: [0x04, u32('bytes, lower half')],
  accessTime: [0x08, u32('last access')],
  changeTime: [0x0c, u32('last change of the inode')],
  modifyTime: [0x10, u32('last change of the content')],
  deleteTime: [0x14, u32('deletion')],
  gid: [0x18, u16('group')],
  links: [0x1a, u16('names')],
  sectors: [0x1c, u32('sectors of 512 bytes, lower half')],
  flags: [0x20, u32('EXTENTS, VERITY')],
  version: [0x24, u32('version')],
  tree: [0x28, byteArray(60, 'extent header and up to four entries')],
  generation: [0x64, u32('generation')],
  acl: [0x68, u32('block of extended attributes')],
  sizeHigh: [0x6c, u32('bytes, upper half')],
  fragment: [0x70, zeros(4)],
  sectorsHigh: [0x74, u16('sectors, upper half')],
  aclHigh: [0x76, u16('upper half')],
  uidHigh: [0x78, u16('owner, upper half')],
  gidHigh: [0x7a, u16('group, upper half')],
  checksum: [0x7c, u16('CRC-32C of the inode, lower half')],
  reserved: [0x7e, zeros(2)],
  extraSize: [0x80, u16('bytes in use beyond 128')],
  checksumHigh: [0x82, u16('upper half')],
  extraTimes: [0x84, byteArray(20, 'parts of times below a second, time of creation')],
  versionHigh: [0x98, u32('upper half')],
  project: [0x9c, u32('project')],
  attributes: [0xa0, byteArray(96, 'extended attributes')],
});
export type InodeValue = StructValue<typeof Inode>;

export const ExtentHeader = struct('ext4 extent header', 12, 'ext4_extents.h', {
  magic: [0x00, always16(0xf30a, 'extent header')],
  entries: [0x02, u16('entries in use')],
  max: [0x04, u16('entries there is room for')],
  depth: [0x06, u16('0: the entries are extents, else indexes')],
  generation: [0x08, u32('unused')],
});

export const Extent = struct('ext4 extent', 12, 'ext4_extents.h', {
  logical: [0x00, u32('first block of the file')],
  count: [0x04, u16('blocks, at most 32768')],
  high: [0x06, u16('first block on the disk, upper half')],
  physical: [0x08, u32('first block on the disk')],
});

export const ExtentIndex = struct('ext4 extent index', 12, 'ext4_extents.h', {
  logical: [0x00, u32('first block of the file below it')],
  physical: [0x04, u32('block of the next level')],
  high: [0x08, u16('upper half')],
  unused: [0x0a, zeros(2)],
});
export const EXTENT_BLOCKS_MAX = 32768;
export const EXTENTS_IN_INODE = 4;
export const EXTENTS_IN_BLOCK = Math.floor((BLOCK - 12) / 12);

// --- checksums -----------------------------------------------------------------------------------------

const START = 0xffff_ffff;

function le32(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

/** What every checksum but the superblock's starts from. */
export function checksumSeed(uuid: Uint8Array): number {
  return crc32c(START, uuid);
}

/** The checksum of an encoded superblock. */
export function superblockChecksum(superblock: Uint8Array): number {
  return crc32c(START, superblock.subarray(0, Superblock.at.checksum));
}

/** The checksum of an encoded group descriptor, 16 bits. */
export function groupChecksum(seed: number, group: number, descriptor: Uint8Array): number {
  const at = GroupRecord.at.checksum;
  let crc = crc32c(crc32c(seed, le32(group)), descriptor.subarray(0, at));
  crc = crc32c(crc, new Uint8Array(2));
  return crc32c(crc, descriptor.subarray(at + 2, GROUP_SIZE)) & 0xffff;
}

/** Where the checksums of an inode, its directory blocks and extent blocks start from. */
export function inodeSeed(seed: number, inode: number, generation: number): number {
  return crc32c(crc32c(seed, le32(inode)), le32(generation));
}

const TWO_ZEROS = new Uint8Array(2);

/** The checksum of an encoded inode. */
export function inodeChecksum(ownSeed: number, inode: Uint8Array): number {
  const { checksum, checksumHigh } = Inode.at;
  let crc = crc32c(crc32c(ownSeed, inode.subarray(0, checksum)), TWO_ZEROS);
  crc = crc32c(crc32c(crc, inode.subarray(checksum + 2, checksumHigh)), TWO_ZEROS);
  return crc32c(crc, inode.subarray(checksumHigh + 2, INODE_SIZE));
}
