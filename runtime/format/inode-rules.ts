/**
 * The rules for one inode and the bytes that belong to it.
 *
 * Sources: libcomposefs lcfs-writer-erofs.c for what is written; Linux fs/erofs/inode.c and data.c for what
 * kernels refuse.
 */
import { allZero } from './bytes.ts';
import { CHUNKS_MAX, INLINE_CONTENT_MAX } from './composefs.ts';
import { fitsInBlock, type ErofsInode } from './erofs-inode.ts';
import {
  EROFS_BLKSZBITS,
  EROFS_BLOCK_SIZE,
  EROFS_CHUNK_BITS_MAX,
  EROFS_INODE_CHUNK_BASED,
  EROFS_INODE_FLAT_INLINE,
  EROFS_INODE_FLAT_PLAIN,
  ErofsInodeCompact,
  ErofsInodeExtended,
} from './erofs.ts';
import type { ErrorCode } from './errors.ts';
import { unlike, V0_V1, type InodeFacts, type InodeRule } from './rules.ts';

const COMPACT_ID_MAX = 0xffff;
const COMPACT_SIZE_MAX = 0xffffffff;
const NSEC_MAX = 999_999_999;
/** The low half of i_u holds the chunk format; the high half is what is left of a block number. */
const CHUNK_FORMAT_MASK = 0xffff;
const CHUNK_FORMAT_V2 = EROFS_CHUNK_BITS_MAX - EROFS_BLKSZBITS;

export const INODE_RULES: readonly InodeRule[] = [
  rule('FORMAT_INODE_RESERVED', 'the reserved bytes of an inode are zero', ({ inode }) =>
    hasReservedBytes(inode) ? 'not all are zero' : undefined,
  ),
  rule(
    'FORMAT_INODE_FORM',
    'an inode is compact when its values fit; version 2 has only extended ones',
    testForm,
  ),
  rule('FORMAT_INODE_NSEC', 'the nanoseconds of an mtime are less than a second', ({ inode }) =>
    inode.mtimeNsec <= NSEC_MAX
      ? undefined
      : unlike('i_mtime_nsec', inode.mtimeNsec, `at most ${NSEC_MAX}`),
  ),
  rule('FORMAT_INODE_EMPTY', 'devices, fifos and sockets have size 0 and no tail', ({ inode }) =>
    hasData(inode) || (inode.size === 0 && inode.layout === EROFS_INODE_FLAT_PLAIN)
      ? undefined
      : unlike('the size', inode.size, '0 in a flat plain inode'),
  ),
  rule(
    'FORMAT_INODE_UNION',
    'i_u is zero where nothing uses it',
    ({ inode }) =>
      isUnionUsed(inode) || inode.i_u === 0 ? undefined : unlike('i_u', inode.i_u, 0),
    V0_V1,
  ),
  rule('FORMAT_FILE_LAYOUT', 'an empty file is flat plain and has no tail', ({ inode }) =>
    !inode.isRegular || inode.size > 0 || inode.layout === EROFS_INODE_FLAT_PLAIN
      ? undefined
      : unlike('the layout of an empty file', inode.layout, EROFS_INODE_FLAT_PLAIN),
  ),
  rule('FORMAT_FILE_CONTENT_SIZE', 'a file with content in the image is small', ({ inode }) =>
    !inode.isRegular || inode.layout === EROFS_INODE_CHUNK_BASED || inode.size <= INLINE_CONTENT_MAX
      ? undefined
      : unlike('the size', inode.size, `at most ${INLINE_CONTENT_MAX}`),
  ),
  rule(
    'FORMAT_CHUNK_FORMAT',
    'the chunk size is the smallest power of two that holds the file',
    testChunkFormat,
  ),
  rule('FORMAT_CHUNK_HOLES', 'every chunk is a hole: the bytes are in an object', testHoles),
  rule('FORMAT_TAIL_BLOCK', 'what follows an inode stays within one block', ({ inode }) =>
    fitsInBlock(inode.tailStart, inode.tailSize)
      ? undefined
      : `${inode.tailSize} bytes at offset ${inode.tailStart} cross a block, expected one block`,
  ),
  rule(
    'FORMAT_SYMLINK_BLOCK',
    'an inline symlink shares one block with its inode, for kernels before 6.12',
    testSymlinkBlock,
    V0_V1,
  ),
];

/** An inode rule. */
export function rule(
  code: ErrorCode,
  meaning: string,
  test: (facts: InodeFacts) => string | undefined,
  versions?: readonly number[],
): InodeRule {
  return { code, meaning, scope: 'tree', test, ...(versions === undefined ? {} : { versions }) };
}

/** Whether the type has a size and bytes: regular files, directories and symlinks. */
export function hasData(inode: ErofsInode): boolean {
  return inode.isRegular || inode.isDirectory || inode.isSymlink;
}

function hasReservedBytes({ image, offset, isExtended }: ErofsInode): boolean {
  const { bytes } = image;
  if (!isExtended) {
    const { i_reserved, i_reserved2 } = ErofsInodeCompact.at;
    return (
      !allZero(bytes, offset + i_reserved, offset + i_reserved + 4) ||
      !allZero(bytes, offset + i_reserved2, offset + ErofsInodeCompact.size)
    );
  }
  const { i_reserved, i_reserved2 } = ErofsInodeExtended.at;
  return (
    !allZero(bytes, offset + i_reserved, offset + i_reserved + 2) ||
    !allZero(bytes, offset + i_reserved2, offset + ErofsInodeExtended.size)
  );
}

function testForm({ image, inode }: InodeFacts): string | undefined {
  if (image.version >= 2) return inode.isExtended ? undefined : 'it is compact, expected extended';
  // The size that a source gives a device or fifo is not stored, but an enormous one makes it extended.
  return inode.isExtended && hasData(inode) && fitsCompact(inode)
    ? 'it is extended, expected compact'
    : undefined;
}

/** Whether the values that are stored fit into a compact inode. */
export function fitsCompact(inode: ErofsInode): boolean {
  const { superblock } = inode.image;
  return (
    inode.nlink <= COMPACT_ID_MAX &&
    inode.uid <= COMPACT_ID_MAX &&
    inode.gid <= COMPACT_ID_MAX &&
    inode.size <= COMPACT_SIZE_MAX &&
    inode.mtimeNsec === superblock.build_time_nsec &&
    BigInt(inode.mtimeSec) === superblock.build_time
  );
}

function isUnionUsed(inode: ErofsInode): boolean {
  if (hasData(inode)) return inode.blocksSize > 0 || inode.layout === EROFS_INODE_CHUNK_BASED;
  return inode.rdev !== 0;
}

/** log2 of the chunk size mkcomposefs gives a file. */
function expectedChunkBits(size: number): number {
  let bits = EROFS_BLKSZBITS;
  while (bits < EROFS_CHUNK_BITS_MAX && 2 ** bits < size) bits++;
  return bits;
}

function testChunkFormat({ image, inode }: InodeFacts): string | undefined {
  if (inode.layout !== EROFS_INODE_CHUNK_BASED) return undefined;
  const expected =
    image.version >= 2 ? CHUNK_FORMAT_V2 : expectedChunkBits(inode.size) - EROFS_BLKSZBITS;
  const value = inode.hasMovedChunkTable ? inode.i_u & CHUNK_FORMAT_MASK : inode.i_u;
  if (value !== expected) return unlike('the chunk format', value, expected);
  return inode.chunkCount <= CHUNKS_MAX
    ? undefined
    : unlike('the number of chunks', inode.chunkCount, `at most ${CHUNKS_MAX}`);
}

function testHoles({ image, inode }: InodeFacts): string | undefined {
  if (inode.layout !== EROFS_INODE_CHUNK_BASED) return undefined;
  const end = inode.tailStart + inode.tailSize;
  for (let at = inode.tailStart; at < end; at++) {
    if (image.bytes[at] !== 0xff) return `the chunk index at offset ${at - (at % 4)} is not a hole`;
  }
  return undefined;
}

/** Linux before 6.12, fs/erofs/inode.c, erofs_fill_symlink: counts from the end of the record in its block. */
function testSymlinkBlock({ inode }: InodeFacts): string | undefined {
  if (!inode.isSymlink || inode.layout !== EROFS_INODE_FLAT_INLINE) return undefined;
  if (inode.size >= EROFS_BLOCK_SIZE) return undefined;
  const recordEnd = inode.xattrStart;
  const inBlock = ((recordEnd - 1) % EROFS_BLOCK_SIZE) + 1;
  if (inBlock + inode.xattrSize + inode.size <= EROFS_BLOCK_SIZE) return undefined;
  return `${inode.size} bytes at offset ${inode.tailStart} cross a block, expected one block`;
}
