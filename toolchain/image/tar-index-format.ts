/**
 * What an index of a tar archive adds to EROFS: the record before its superblock, and its fixed choices.
 *
 * EROFS leaves the first 1024 bytes of an image alone. Ours say which archive the image belongs to and how it was read,
 * so the image's digest stands for the archive's, and the image can be made again from the archive. docs/tar-index.md
 * tells the format.
 */
import {
  EROFS_SUPER_OFFSET,
  ErofsDeviceSlot,
  ErofsSuperblock,
} from '../../runtime/format/erofs.ts';
import { byteArray, magic, struct, u32, u64, zeros } from '../../runtime/format/struct.ts';
import { TAR_BLOCK_SIZE } from './tar-header.ts';

/** log2 of the block size: a block of an archive, since that is what its contents are aligned to. */
export const INDEX_BLKSZBITS = 9;
export const INDEX_BLOCK_SIZE: number = TAR_BLOCK_SIZE;
export const TAR_INDEX_VERSION = 1;
/** The archive is the first extra device. */
export const TAR_DEVICE_ID = 1;

/** How an archive was read: bits of `recipe`. */
export const RECIPE_USE_EPOCH = 0x1;
export const RECIPE_SKIP_DEVICES = 0x2;
export const RECIPE_SKIP_XATTRS = 0x4;
export const RECIPE_USER_XATTRS = 0x8;
export const RECIPE_ALL = 0xf;

const INDEX_MAGIC = 0x78495443;
const MAGIC_BYTES = [0x43, 0x54, 0x49, 0x78] as const;

/** The first 128 bytes of an image. */
export const TarIndexHeader = struct('tar index header', 128, 'docs/tar-index.md', {
  magic: [0x00, magic(INDEX_MAGIC, 'CTIx: identifies an index of an archive')],
  version: [0x04, u32('1')],
  recipe: [0x08, u32('1: times are 0, 2: no devices, 4: no attributes, 8: only user.*')],
  verity_algorithm: [0x0c, u32('fs-verity algorithm of the archive: 1 SHA-256, 2 SHA-512')],

  tar_size: [0x10, u64('bytes of the archive')],
  unused: [0x18, zeros(8)],

  tar_sha256: [0x20, byteArray(32, 'SHA-256 of the archive: what OCI calls the diffID')],

  tar_verity: [0x40, byteArray(64, 'fs-verity digest of the archive, filled up with zeros')],
});

/** Whether bytes begin as an index does. */
export function isTarIndex(bytes: Uint8Array): boolean {
  return MAGIC_BYTES.every((byte, i) => bytes[i] === byte);
}

/** The device table stands right behind the superblock, and the inodes behind it. */
export const DEVICE_SLOT_OFFSET: number = EROFS_SUPER_OFFSET + ErofsSuperblock.size;
export const INDEX_INODES_START: number = DEVICE_SLOT_OFFSET + ErofsDeviceSlot.size;

/** Chunks are at most this large: a kernel of 32 bits computes their size in 32 bits. */
export const INDEX_CHUNK_BITS_MAX = 30;
/** Entries of one inode that tell where a sparse file's data lie, and of all of an image: 8 bytes each. */
export const SPARSE_CHUNKS_MAX: number = 1 << 20;
export const SPARSE_CHUNKS_TOTAL_MAX: number = 1 << 22;
