/**
 * The rules that the composefs header and the superblock settle alone.
 *
 * Sources: libcomposefs lcfs_write_erofs_to for what is written; composefs-rs restrict_to_composefs for what a
 * reader should refuse.
 */
import { allZero } from './bytes.ts';
import {
  COMPOSEFS_FLAGS_HAS_ACL,
  COMPOSEFS_VERSION_MAX_READ,
  ComposefsHeader,
} from './composefs.ts';
import type { ErofsImage } from './erofs-image.ts';
import {
  EROFS_BLOCK_SIZE,
  EROFS_FEATURE_COMPAT_MTIME,
  EROFS_FEATURE_COMPAT_XATTR_FILTER,
  EROFS_FEATURE_INCOMPAT_CHUNKED_FILE,
  EROFS_SLOT_SIZE,
  EROFS_SUPER_OFFSET,
  ErofsSuperblock,
} from './erofs.ts';
import type { ErrorCode } from './errors.ts';
import { unlike, type HeaderRule } from './rules.ts';
import type { StructValue } from './struct.ts';

const COMPAT = EROFS_FEATURE_COMPAT_MTIME | EROFS_FEATURE_COMPAT_XATTR_FILTER;
const FIRST_NID = (EROFS_SUPER_OFFSET + ErofsSuperblock.size) / EROFS_SLOT_SIZE;
const NSEC_MAX = 999_999_999;

export const HEADER_RULES: readonly HeaderRule[] = [
  rule('FORMAT_COMPOSEFS_VERSION', 'the format version is 0, 1 or 2', ({ version }) =>
    version > COMPOSEFS_VERSION_MAX_READ
      ? unlike('the format version', version, '0, 1 or 2')
      : undefined,
  ),
  rule('FORMAT_HEADER_FLAGS', 'no header flag but "has ACLs" is set', ({ header }) =>
    (header.flags & ~COMPOSEFS_FLAGS_HAS_ACL) === 0
      ? undefined
      : unlike('flags', header.flags, '0 or 1'),
  ),
  rule('FORMAT_HEADER_PADDING', 'the bytes between header and superblock are zero', ({ bytes }) =>
    allZero(bytes, ComposefsHeader.size, EROFS_SUPER_OFFSET) ? undefined : 'not all are zero',
  ),
  zero('FORMAT_SUPER_CHECKSUM', 'there is no checksum', 'checksum'),
  rule(
    'FORMAT_SUPER_COMPAT',
    'the compatible features are exactly mtime and xattr filter',
    ({ superblock }) =>
      superblock.feature_compat === COMPAT
        ? undefined
        : unlike('feature_compat', superblock.feature_compat, COMPAT),
  ),
  rule(
    'FORMAT_SUPER_INCOMPAT',
    'no incompatible feature is set; version 2 may say chunked files',
    (image) => {
      const allowed = image.version === 2 ? EROFS_FEATURE_INCOMPAT_CHUNKED_FILE : 0;
      const { feature_incompat: features } = image.superblock;
      return (features & ~allowed) === 0
        ? undefined
        : unlike('feature_incompat', features, allowed);
    },
  ),
  zero('FORMAT_SUPER_EXTSLOTS', 'the superblock has no extension slots', 'sb_extslots'),
  zero('FORMAT_SUPER_COMPRESSION', 'nothing is compressed', 'available_compr_algs'),
  zero('FORMAT_SUPER_DEVICES', 'there are no additional devices', 'extra_devices', 'devt_slotoff'),
  zero('FORMAT_SUPER_DIRBLKBITS', 'directory blocks are ordinary blocks', 'dirblkbits'),
  zero(
    'FORMAT_SUPER_XATTR_PREFIXES',
    'there are no long xattr prefixes',
    'xattr_prefix_count',
    'xattr_prefix_start',
  ),
  zero('FORMAT_SUPER_PACKED_NID', 'there is no packed inode', 'packed_nid'),
  zero('FORMAT_SUPER_XATTR_FILTER', 'the xattr filter is not turned off', 'xattr_filter_reserved'),
  zero('FORMAT_SUPER_META_BLKADDR', 'nids count from the start of the image', 'meta_blkaddr'),
  rule('FORMAT_SUPER_LABEL', 'volume UUID and label are zero', ({ superblock }) =>
    allZero(superblock.uuid) && allZero(superblock.volume_name)
      ? undefined
      : 'uuid or volume_name is set',
  ),
  rule(
    'FORMAT_SUPER_BLOCKS',
    'the image is as many whole blocks as the superblock says',
    ({ superblock, bytes }) =>
      superblock.blocks * EROFS_BLOCK_SIZE === bytes.length
        ? undefined
        : `it says ${superblock.blocks * EROFS_BLOCK_SIZE} bytes and the image has ${bytes.length}`,
  ),
  rule('FORMAT_SUPER_ROOT_NID', 'the root inode stands behind the superblock', ({ superblock }) =>
    superblock.root_nid >= FIRST_NID
      ? undefined
      : unlike('root_nid', superblock.root_nid, `${FIRST_NID} or more`),
  ),
  rule(
    'FORMAT_SUPER_NSEC',
    'the nanoseconds of build_time are less than a second',
    ({ superblock }) =>
      superblock.build_time_nsec <= NSEC_MAX
        ? undefined
        : unlike('build_time_nsec', superblock.build_time_nsec, `at most ${NSEC_MAX}`),
  ),
];

function rule(
  code: ErrorCode,
  meaning: string,
  test: (image: ErofsImage) => string | undefined,
): HeaderRule {
  return { code, meaning, scope: 'header', test };
}

/** A rule that some superblock fields are zero. */
function zero(
  code: ErrorCode,
  meaning: string,
  ...fields: (keyof StructValue<typeof ErofsSuperblock>)[]
): HeaderRule {
  return rule(code, meaning, ({ superblock }) => {
    for (const field of fields) {
      const value = Number(superblock[field]);
      if (value !== 0) return unlike(field, value, 0);
    }
    return undefined;
  });
}
