/**
 * What composefs adds to EROFS: the header, the overlay xattrs and their names.
 *
 * Sources: libcomposefs lcfs-erofs.h and lcfs-internal.h for the header and limits; Linux
 * fs/overlayfs/overlayfs.h for the metacopy record. docs/format.md tells it in prose.
 */
import { always8, magic, struct, u32, u8, zeros } from './struct.ts';

/** composefs header flag: some inode has a POSIX ACL, so the image must not be mounted with noacl. */
export const COMPOSEFS_FLAGS_HAS_ACL = 0x1;

/** Format versions: 0 and 1 are mkcomposefs's, 2 is the former layout of composefs-rs (read only). */
export const COMPOSEFS_VERSION_MAX_WRITTEN = 1;
export const COMPOSEFS_VERSION_MAX_READ = 2;

/** The first 32 bytes of every image. */
export const ComposefsHeader = struct(
  'composefs header',
  32,
  'libcomposefs/lcfs-erofs.h, struct lcfs_erofs_header_s',
  {
    magic: [0x00, magic(0xd078629a, 'identifies a composefs image')],
    version: [0x04, u32('layout of this header: 1')],
    flags: [0x08, u32('bit 0: some inode has a POSIX ACL')],
    composefs_version: [0x0c, u32('format version: 0, 1, or 2 for early composefs-rs')],

    unused: [0x10, zeros(16)],
  },
);

/** The value of `trusted.overlay.metacopy` without its digest bytes. */
export const OverlayMetacopy = /* @__PURE__ */ struct(
  'overlay metacopy',
  4,
  'Linux fs/overlayfs/overlayfs.h, struct ovl_metacopy',
  {
    version: [0x00, always8(0, 'record version')],
    len: [0x01, u8('length of the record with its digest')],
    flags: [0x02, always8(0, 'flags')],
    digest_algo: [0x03, u8('fs-verity algorithm: 1 SHA-256, 2 SHA-512')],
  },
);

export const XATTR_OVERLAY_PREFIX = 'trusted.overlay.';
export const XATTR_OVERLAY_ESCAPE_PREFIX = 'trusted.overlay.overlay.';
export const XATTR_METACOPY = 'trusted.overlay.metacopy';
export const XATTR_REDIRECT = 'trusted.overlay.redirect';
export const XATTR_OPAQUE = 'trusted.overlay.opaque';
/** A whiteout inside an image is a regular file with these two, and its parent has the plural ones. */
export const XATTR_ESCAPED_WHITEOUT = 'trusted.overlay.overlay.whiteout';
export const XATTR_USER_WHITEOUT = 'user.overlay.whiteout';
export const XATTR_ESCAPED_WHITEOUTS = 'trusted.overlay.overlay.whiteouts';
export const XATTR_USER_WHITEOUTS = 'user.overlay.whiteouts';
export const XATTR_ESCAPED_OPAQUE = 'trusted.overlay.overlay.opaque';
export const XATTR_USER_OPAQUE = 'user.overlay.opaque';
export const XATTR_SELINUX = 'security.selinux';
export const XATTR_ACL_ACCESS = 'system.posix_acl_access';
export const XATTR_ACL_DEFAULT = 'system.posix_acl_default';

/** Content up to this many bytes is stored in the image by the directory builder (inclusive). */
export const INLINE_CONTENT_RECOMMENDED_MAX = 64;
/** No image holds more content than this in one inode (LCFS_INLINE_CONTENT_MAX). */
export const INLINE_CONTENT_MAX = 5000;
/** Longest symlink target in bytes (PATH_MAX without its terminator). */
export const SYMLINK_TARGET_MAX = 4095;
/** Longest xattr name and value. */
export const XATTR_NAME_MAX = 255;
export const XATTR_VALUE_MAX = 65535;
/** Cap on the xattrs a source may give one inode: 12, plus 7 + name + value for each (EROFS's u16 count). */
export const XATTR_EXTERNAL_TOTAL_MAX = 32767;
export const XATTR_TOTAL_BASE = 12;
export const XATTR_TOTAL_PER_ENTRY = 7;
/** Chunk index entries of one inode; with chunks of 2^43 bytes this allows 8 PiB, exactly 2^53 bytes. */
export const CHUNKS_MAX = 1024;
/** Shared xattr ids one inode refers to; the rest of its shared xattrs are written inline as well. */
export const SHARED_XATTRS_PER_INODE_MAX = 128;
/** The largest file composefs can describe: CHUNKS_MAX chunks of 2^43 bytes. */
export const FILE_SIZE_MAX = 2 ** 53;
