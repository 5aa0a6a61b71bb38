/**
 * EROFS on-disk records and constants, as far as composefs images use them.
 *
 * Nothing here computes: the reader (erofs-image.ts) and the writer (toolchain/image/write.ts) share these
 * tables. Field names are the kernel's. Source: Linux fs/erofs/erofs_fs.h; what composefs writes into each
 * field is in docs/format.md.
 */
import { struct, u16, u32, u64, u8, zeros, i64, byteArray, magic } from './struct.ts';

const SOURCE = 'Linux fs/erofs/erofs_fs.h';

/** Block size as a power of two; composefs fixes it (superblock blkszbits). */
export const EROFS_BLKSZBITS = 12;
export const EROFS_BLOCK_SIZE = 4096;
/** An inode number (nid) counts these slots from the start of the metadata. */
export const EROFS_SLOT_SIZE = 32;
export const EROFS_SUPER_OFFSET = 1024;
const EROFS_SUPER_MAGIC = 0xe0f5e1e2;

export const EROFS_FEATURE_COMPAT_MTIME = 0x2;
export const EROFS_FEATURE_COMPAT_XATTR_FILTER = 0x4;
export const EROFS_FEATURE_INCOMPAT_CHUNKED_FILE = 0x4;
export const EROFS_FEATURE_INCOMPAT_DEVICE_TABLE = 0x8;

/** Data layouts, bits 1..3 of i_format. */
export const EROFS_INODE_FLAT_PLAIN = 0;
export const EROFS_INODE_FLAT_INLINE = 2;
export const EROFS_INODE_CHUNK_BASED = 4;

/** Chunk size bits beyond the block size, in the low bits of i_u of a chunk-based inode. */
export const EROFS_CHUNK_FORMAT_BLKBITS_MASK = 0x1f;
/** The largest chunk composefs writes: 2^(12 + 31) bytes. */
export const EROFS_CHUNK_BITS_MAX = 43;
/** One chunk index entry is a block address; all ones is a hole. */
export const EROFS_CHUNK_INDEX_SIZE = 4;
/** Bit of the chunk format: entries are whole `ErofsChunkIndex` records, which can name a device. */
export const EROFS_CHUNK_FORMAT_INDEXES = 0x20;
export const EROFS_NULL_ADDR = 0xffffffff;

/** File types of directory entries. */
export const EROFS_FT_REG_FILE = 1;
export const EROFS_FT_DIR = 2;
export const EROFS_FT_CHRDEV = 3;
export const EROFS_FT_BLKDEV = 4;
export const EROFS_FT_FIFO = 5;
export const EROFS_FT_SOCK = 6;
export const EROFS_FT_SYMLINK = 7;

/** Longest name of a directory entry (NAME_MAX). */
export const EROFS_NAME_LEN_MAX = 255;

/**
 * Name prefixes an xattr entry stores as an index. The order is the order of matching; `lustre.` (5) is left
 * to readers, because mkcomposefs writes such names whole under index 0.
 */
export const EROFS_XATTR_PREFIXES: readonly (readonly [index: number, prefix: string])[] = [
  [1, 'user.'],
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [4, 'trusted.'],
  [6, 'security.'],
];
export const EROFS_XATTR_INDEX_LUSTRE = 5;
/** Seed of the xattr name filter: xxh32(suffix, seed + index) mod 32 names the bit to clear. */
export const EROFS_XATTR_FILTER_SEED = 0x25bbe08f;
export const EROFS_XATTR_FILTER_DEFAULT = 0xffffffff;

/** The superblock, at byte 1024. */
export const ErofsSuperblock = struct(
  'EROFS superblock',
  128,
  `${SOURCE}, struct erofs_super_block`,
  {
    magic: [0x00, magic(EROFS_SUPER_MAGIC, 'identifies an EROFS image')],
    checksum: [0x04, u32('crc32c of the superblock; 0 and unchecked in composefs')],
    feature_compat: [0x08, u32('MTIME 0x2, XATTR_FILTER 0x4')],
    blkszbits: [0x0c, u8('log2 of the block size: 12')],
    sb_extslots: [0x0d, u8('extension slots: 0')],
    root_nid: [0x0e, u16('nid of the root directory')],

    inos: [0x10, u64('number of inodes')],
    build_time: [0x18, i64('seconds of every compact inode: the least mtime')],

    build_time_nsec: [0x20, u32('nanoseconds that go with build_time')],
    blocks: [0x24, u32('size of the image in blocks')],
    meta_blkaddr: [0x28, u32('block where nids count from: 0')],
    xattr_blkaddr: [0x2c, u32('block where shared xattr ids count from')],

    uuid: [0x30, byteArray(16, 'volume UUID: zero')],
    volume_name: [0x40, byteArray(16, 'volume label: zero')],

    feature_incompat: [0x50, u32('0, even though chunk-based inodes are used')],
    available_compr_algs: [0x54, u16('compression algorithms: 0')],
    extra_devices: [0x56, u16('additional devices: 0')],
    devt_slotoff: [0x58, u16('start of the device table: 0')],
    dirblkbits: [0x5a, u8('directory block size beyond the block size: 0')],
    xattr_prefix_count: [0x5b, u8('long xattr prefixes: 0')],
    xattr_prefix_start: [0x5c, u32('start of the long xattr prefixes: 0')],

    packed_nid: [0x60, u64('special packed inode: 0')],
    xattr_filter_reserved: [0x68, u8('a non-zero value turns the name filter off: 0')],
    reserved2: [0x69, zeros(23)],
  },
);

/** The 32-byte inode, used when every value fits (docs/format.md, compact or extended). */
export const ErofsInodeCompact = struct(
  'EROFS compact inode',
  32,
  `${SOURCE}, struct erofs_inode_compact`,
  {
    i_format: [0x00, u16('bit 0: extended; bits 1..3: data layout')],
    i_xattr_icount: [0x02, u16('0, or (bytes of the xattr area - 12) / 4 + 1')],
    i_mode: [0x04, u16('file type and permissions')],
    i_nlink: [0x06, u16('link count')],
    i_size: [0x08, u32('size in bytes')],
    i_reserved: [0x0c, u32('zero; an mtime delta for kernels from 6.15')],

    i_u: [0x10, u32('first data block, device number, or chunk format')],
    i_ino: [0x14, u32('inode number for 32-bit stat')],
    i_uid: [0x18, u16('owner')],
    i_gid: [0x1a, u16('group')],
    i_reserved2: [0x1c, zeros(4)],
  },
);

/** The 64-byte inode. */
export const ErofsInodeExtended = struct(
  'EROFS extended inode',
  64,
  `${SOURCE}, struct erofs_inode_extended`,
  {
    i_format: [0x00, u16('bit 0: extended; bits 1..3: data layout')],
    i_xattr_icount: [0x02, u16('0, or (bytes of the xattr area - 12) / 4 + 1')],
    i_mode: [0x04, u16('file type and permissions')],
    i_reserved: [0x06, zeros(2)],
    i_size: [0x08, u64('size in bytes')],

    i_u: [0x10, u32('first data block, device number, or chunk format')],
    i_ino: [0x14, u32('inode number for 32-bit stat')],
    i_uid: [0x18, u32('owner')],
    i_gid: [0x1c, u32('group')],

    i_mtime: [0x20, i64('modification time, seconds')],
    i_mtime_nsec: [0x28, u32('modification time, nanoseconds')],
    i_nlink: [0x2c, u32('link count')],

    i_reserved2: [0x30, zeros(16)],
  },
);

/** A directory entry; the names follow the array of entries in the same block. */
export const ErofsDirent = struct('EROFS directory entry', 12, `${SOURCE}, struct erofs_dirent`, {
  nid: [0x00, u64('nid of the inode')],
  nameoff: [0x08, u16('offset of the name from the start of the block')],
  file_type: [0x0a, u8('EROFS_FT_*')],
  reserved: [0x0b, zeros(1)],
});

/** The head of an inode's xattr area; shared ids (u32 each) and inline entries follow. */
export const ErofsXattrIbodyHeader = struct(
  'EROFS xattr area header',
  12,
  `${SOURCE}, struct erofs_xattr_ibody_header`,
  {
    h_name_filter: [0x00, u32('a cleared bit: a name with this hash may be present')],
    h_shared_count: [0x04, u8('number of shared xattr ids')],
    h_reserved2: [0x05, zeros(7)],
  },
);

/** An xattr entry; name suffix and value follow, then padding to 4 bytes. */
export const ErofsXattrEntry = struct(
  'EROFS xattr entry',
  4,
  `${SOURCE}, struct erofs_xattr_entry`,
  {
    e_name_len: [0x00, u8('length of the name without its prefix')],
    e_name_index: [0x01, u8('prefix index, 0 for none')],
    e_value_size: [0x02, u16('length of the value')],
  },
);

/** Where a chunk lies: a device and a block of it. */
export const ErofsChunkIndex = /* @__PURE__ */ struct(
  'EROFS chunk index',
  8,
  `${SOURCE}, struct erofs_inode_chunk_index`,
  {
    startblk_hi: [0x00, zeros(2, 'high bits of the block, for images with 48 bits')],
    device_id: [0x02, u16('0: this image, 1: the first extra device')],
    startblk_lo: [0x04, u32('block of the device; all ones is a hole')],
  },
);

/** An extra device, in the device table. */
export const ErofsDeviceSlot = /* @__PURE__ */ struct(
  'EROFS device slot',
  128,
  `${SOURCE}, struct erofs_deviceslot`,
  {
    tag: [0x00, byteArray(64, "the device's name: SHA-256 of its bytes in hexadecimal")],

    blocks_lo: [0x40, u32('size of the device in blocks')],
    uniaddr_lo: [0x44, u32('block at which it begins when it follows the image on one device')],
    blocks_hi: [0x48, zeros(4, 'high bits of the size, for images with 48 bits')],
    uniaddr_hi: [0x4c, zeros(2, 'high bits of the beginning')],
    reserved: [0x4e, zeros(50)],
  },
);
