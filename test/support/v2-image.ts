/**
 * A small image in format version 2, which nothing here writes: extended inodes, numbers that are nids, shared
 * ids from the start of the image, a raw whiteout, no stubs, chunk format 31.
 *
 * Source: composefs-rs crates/composefs/src/erofs/writer.rs, as of its version 0.4.
 */
import { ComposefsHeader, XATTR_METACOPY, XATTR_REDIRECT } from '../../runtime/format/composefs.ts';
import {
  EROFS_BLOCK_SIZE,
  EROFS_SUPER_OFFSET,
  EROFS_XATTR_FILTER_SEED,
  ErofsDirent,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';

const TRUSTED = 4;
const SHARED_AT = 2048;
const ROOT = 36;
const FILE = 48;
const LINK = 56;
const WHITEOUT = 60;

type Attribute = readonly [index: number, suffix: string, value: Uint8Array];
const SHARED: Attribute = [1, 'k', Buffer.from('1')];

function entry([index, suffix, value]: Attribute): Buffer {
  const size = (4 + suffix.length + value.length + 3) & ~3;
  const bytes = Buffer.alloc(size);
  ErofsXattrEntry.encode(
    { e_name_len: suffix.length, e_name_index: index, e_value_size: value.length },
    bytes,
  );
  bytes.write(suffix, 4, 'latin1');
  bytes.set(value, 4 + suffix.length);
  return bytes;
}

function xattrArea(own: readonly Attribute[]): Buffer {
  let filter = 0xffffffff;
  for (const [index, suffix] of [SHARED, ...own]) {
    filter &= ~(1 << (xxh32(Buffer.from(suffix, 'latin1'), EROFS_XATTR_FILTER_SEED + index) % 32));
  }
  const head = ErofsXattrIbodyHeader.encode({ h_name_filter: filter >>> 0, h_shared_count: 1 });
  const ids = Buffer.alloc(4);
  ids.writeUInt32LE(SHARED_AT / 4);
  return Buffer.concat([head, ids, ...own.map(entry)]);
}

interface Inode {
  readonly layout: number;
  readonly mode: number;
  readonly size: number;
  readonly u?: number;
  readonly nlink?: number;
  readonly ids?: readonly [uid: number, gid: number];
  readonly xattrs?: Buffer;
  readonly tail?: Uint8Array;
}

function putInode(image: Buffer, nid: number, inode: Inode): void {
  const { xattrs = Buffer.alloc(0), tail = new Uint8Array(0) } = inode;
  const at = nid * 32;
  ErofsInodeExtended.encode(
    {
      i_format: inode.layout * 2 + 1,
      i_xattr_icount: xattrs.length === 0 ? 0 : (xattrs.length - 12) / 4 + 1,
      i_mode: inode.mode,
      i_size: BigInt(inode.size),
      i_u: inode.u ?? 0,
      i_ino: nid,
      i_uid: inode.ids?.[0] ?? 0,
      i_gid: inode.ids?.[1] ?? 0,
      i_mtime: 7n,
      i_mtime_nsec: 0,
      i_nlink: inode.nlink ?? 1,
    },
    image,
    at,
  );
  image.set(xattrs, at + 64);
  image.set(tail, at + 64 + xattrs.length);
}

function directory(
  entries: readonly (readonly [name: string, nid: number, type: number])[],
): Buffer {
  const table = Buffer.alloc(entries.length * ErofsDirent.size);
  let nameoff = table.length;
  entries.forEach(([name, nid, file_type], i) => {
    ErofsDirent.encode({ nid: BigInt(nid), nameoff, file_type }, table, i * ErofsDirent.size);
    nameoff += name.length;
  });
  return Buffer.concat([table, Buffer.from(entries.map(([name]) => name).join(''))]);
}

export interface V2Options {
  /** Another place for the symlink, with a target that may then cross a block. */
  readonly link?: { readonly nid: number; readonly target: string };
  /** What the header says. */
  readonly version?: number;
}

/** The image: a file with two names, a symlink and a whiteout. */
export function v2Image({ link, version = 2 }: V2Options = {}): Uint8Array {
  const blocks = link === undefined ? 1 : 2;
  const { nid: linkNid, target } = link ?? { nid: LINK, target: 'a/b' };
  const image = Buffer.alloc(blocks * EROFS_BLOCK_SIZE);
  ComposefsHeader.encode({ version: 1, flags: 0, composefs_version: version }, image);
  const zero = {
    checksum: 0,
    sb_extslots: 0,
    build_time: 0n,
    build_time_nsec: 0,
    meta_blkaddr: 0,
    xattr_blkaddr: 0,
  };
  const unused = {
    available_compr_algs: 0,
    extra_devices: 0,
    devt_slotoff: 0,
    dirblkbits: 0,
    xattr_prefix_count: 0,
    xattr_prefix_start: 0,
    packed_nid: 0n,
    xattr_filter_reserved: 0,
  };
  const label = { uuid: new Uint8Array(16), volume_name: new Uint8Array(16) };
  ErofsSuperblock.encode(
    {
      ...zero,
      ...unused,
      ...label,
      feature_compat: 6,
      feature_incompat: 0,
      blkszbits: 12,
      root_nid: ROOT,
      inos: 4n,
      blocks,
    },
    image,
    EROFS_SUPER_OFFSET,
  );
  const tail = directory([
    ['.', ROOT, 2],
    ['..', ROOT, 2],
    ['f', FILE, 1],
    ['g', FILE, 1],
    ['l', linkNid, 7],
    ['w', WHITEOUT, 3],
  ]);
  putInode(image, ROOT, { layout: 2, mode: 0o40755, size: tail.length, nlink: 2, tail });
  const metacopy = Buffer.alloc(36, 0x5a);
  metacopy.set([0, 36, 0, 1]);
  const xattrs = xattrArea([
    [TRUSTED, XATTR_METACOPY.slice('trusted.'.length), metacopy],
    [TRUSTED, XATTR_REDIRECT.slice('trusted.'.length), Buffer.from('/ab/cd')],
    [5, 'lov', Buffer.from('v')],
  ]);
  putInode(image, FILE, {
    layout: 4,
    mode: 0o100644,
    size: 5000,
    u: 31,
    nlink: 2,
    ids: [1, 2],
    xattrs,
    tail: Buffer.alloc(4, 0xff),
  });
  putInode(image, linkNid, {
    layout: 2,
    mode: 0o120777,
    size: target.length,
    xattrs: xattrArea([]),
    tail: Buffer.from(target),
  });
  putInode(image, WHITEOUT, { layout: 0, mode: 0o20600, size: 0 });
  image.set(entry(SHARED), SHARED_AT);
  return image;
}
