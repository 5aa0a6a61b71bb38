/**
 * What an image asks of a kernel: counted in its tree, and for symlinks in its bytes.
 */
import {
  EROFS_BLOCK_SIZE,
  EROFS_INODE_FLAT_INLINE,
  ErofsInodeCompact,
  ErofsInodeExtended,
} from '../../runtime/format/erofs.ts';
import { openImage } from '../../runtime/format/erofs-image.ts';
import type { ErofsInode } from '../../runtime/format/erofs-inode.ts';
import { walkImage } from '../../runtime/format/erofs-walk.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { type ByteString, byteString } from './byte-string.ts';
import { isRegular, isWhiteout, S_IFLNK, S_IFMT, type TreeNode, walkTree } from './tree.ts';

/** How many entries have something, and one of them for messages. */
export interface Sighting {
  count: number;
  example: ByteString | undefined;
}

export interface ImageFacts {
  /** composefs layout version. */
  readonly format: number;
  /** Algorithm of the digests. */
  readonly algorithm: VerityAlgorithm;
  /** Files whose content is an object. */
  readonly objects: Sighting;
  readonly whiteouts: Sighting;
  /** Symlinks that kernels before 6.12 cannot read, see `isBeyondBlock`. */
  readonly symlinks: Sighting;
  /** Entries with `security.*` attributes. */
  readonly security: Sighting;
  /** Entries with access lists. */
  readonly acls: Sighting;
  /** Entries whose owner is the number that is none. */
  readonly nobody: Sighting;
  /** Entries whose attributes have names beyond what listxattr(2) returns. */
  readonly longLists: Sighting;
}

/** (uid_t) -1: Linux, include/linux/uidgid.h. */
const INVALID_ID = 0xffff_ffff;
/** Linux, include/uapi/linux/limits.h. */
const XATTR_LIST_MAX = 65_536;

/** Looks at the tree and the bytes of an image that was written from it. */
export function imageFacts(
  root: TreeNode,
  bytes: Uint8Array,
  algorithm: VerityAlgorithm,
): ImageFacts {
  const image = openImage(bytes);
  const facts = {
    format: image.version,
    algorithm,
    objects: none(),
    whiteouts: none(),
    symlinks: none(),
    security: none(),
    acls: none(),
    nobody: none(),
    longLists: none(),
  };
  for (const { path, node } of walkTree(root)) {
    if (node.hardlink !== undefined) continue;
    if (isRegular(node) && node.size > 0 && node.content === undefined) see(facts.objects, path);
    if (isWhiteout(node)) see(facts.whiteouts, path);
    if (node.uid === INVALID_ID || node.gid === INVALID_ID) see(facts.nobody, path);
    if (node.xattrs.length > 0) seeXattrs(facts, path, node);
  }
  walkImage(image, {
    entry: (entry, inode) => {
      if ((inode.mode & S_IFMT) !== S_IFLNK || !isBeyondBlock(inode)) return;
      see(facts.symlinks, byteString(bytes, entry.nameStart, entry.nameEnd));
    },
  });
  return facts;
}

function seeXattrs(
  facts: Pick<ImageFacts, 'security' | 'acls' | 'longLists'>,
  path: ByteString,
  { xattrs }: TreeNode,
): void {
  let length = 0;
  for (const { name } of xattrs) {
    length += name.length + 1;
    if (name.startsWith('system.posix_acl_')) see(facts.acls, path);
  }
  if (xattrs.some(({ name }) => name.startsWith('security.'))) see(facts.security, path);
  if (length > XATTR_LIST_MAX) see(facts.longLists, path);
}

/**
 * Whether Linux before 6.12 takes a symlink for damaged: it counts from the block in which the record of the inode
 * ends, and refuses when record, attributes and target together go beyond that block, wherever the target is.
 *
 * Source: Linux 6.6 fs/erofs/inode.c, erofs_read_inode and erofs_fill_symlink; composefs-rs#85; kernel commit
 * 9ed50b8231e3.
 */
export function isBeyondBlock(
  inode: Pick<ErofsInode, 'layout' | 'offset' | 'isExtended' | 'xattrSize' | 'size'>,
): boolean {
  if (inode.layout !== EROFS_INODE_FLAT_INLINE || inode.size >= EROFS_BLOCK_SIZE) return false;
  const record = inode.isExtended ? ErofsInodeExtended.size : ErofsInodeCompact.size;
  const end = (inode.offset % EROFS_BLOCK_SIZE) + record;
  // A record that is itself in two blocks is put together, and the rest counts from the second one.
  const from = end > EROFS_BLOCK_SIZE ? end - EROFS_BLOCK_SIZE : end;
  return from + inode.xattrSize + inode.size > EROFS_BLOCK_SIZE;
}

function none(): Sighting {
  return { count: 0, example: undefined };
}

function see(sighting: Sighting, path: ByteString): void {
  sighting.count++;
  sighting.example ??= path;
}
