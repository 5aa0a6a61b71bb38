/**
 * The tree every source produces and every image is written from: what a file system entry is to composefs.
 *
 * Invariants of a tree as sources hand it over: the root is a directory without a name; `children` are sorted
 * by unsigned bytes and have distinct names; `xattrs` are sorted by name and have distinct names. Overlay
 * escaping, the 256 stubs and `.`/`..` are the writer's business and never appear here.
 */
import type { ByteString } from './byte-string.ts';

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** An extended attribute by its full name. Equal pairs of one tree are one object, so they can be counted. */
export interface Xattr {
  readonly name: ByteString;
  readonly value: ByteString;
}

/** The label of a file, with the NUL that ends it. */
export const SELINUX_XATTR = 'security.selinux' as ByteString;
export const CAPABILITY_XATTR = 'security.capability' as ByteString;

export const NO_XATTRS: readonly Xattr[] = [];

/** One entry. Which fields mean something depends on the type bits of `mode`. */
export class TreeNode {
  /** Name in the parent directory, without slashes; empty for the root. */
  name: ByteString;
  /** Type and permission bits, 16 bits. */
  mode: number;
  nlink = 1;
  uid = 0;
  gid = 0;
  /** Device number as Linux encodes it in 32 bits, for character and block devices. */
  rdev = 0;
  /** Regular file: size in bytes, at most 2^53. Symlink: length of the target. Others: as the source gave it. */
  size = 0;
  /** Seconds since 1970, signed; a bigint only beyond what a number holds exactly. */
  mtimeSec: number | bigint = 0;
  mtimeNsec = 0;
  /** Regular file: path of its object below the object store. Symlink: the target. */
  payload: ByteString | undefined = undefined;
  /** Regular file: the bytes themselves when they are stored in the image. */
  content: Uint8Array | undefined = undefined;
  /** Regular file: fs-verity digest of the content in lower-case hexadecimal. */
  digest: string | undefined = undefined;
  xattrs: readonly Xattr[] = NO_XATTRS;
  /** Directories have an array, everything else undefined. */
  children: TreeNode[] | undefined = undefined;
  /** Set when this entry is one more name of another entry; all other fields but `name` are then unused. */
  hardlink: TreeNode | undefined = undefined;
  /** Line of the dump text this entry came from, for error messages; 0 when it came from elsewhere. */
  line = 0;

  constructor(name: ByteString, mode: number) {
    this.name = name;
    this.mode = mode;
    if ((mode & S_IFMT) === S_IFDIR) this.children = [];
  }
}

export function isDirectory(node: TreeNode): boolean {
  return (node.mode & S_IFMT) === S_IFDIR;
}

export function isRegular(node: TreeNode): boolean {
  return (node.mode & S_IFMT) === S_IFREG;
}

export function isSymlink(node: TreeNode): boolean {
  return (node.mode & S_IFMT) === S_IFLNK;
}

/** A character device 0:0, which overlayfs takes for a deletion marker. */
export function isWhiteout(node: TreeNode): boolean {
  return (node.mode & S_IFMT) === S_IFCHR && node.rdev === 0;
}

/** Makes equal (name, value) pairs one object, so that a tree of a million labelled files holds each label once. */
export class XattrPool {
  readonly #byName = new Map<ByteString, Map<ByteString, Xattr>>();

  get(name: ByteString, value: ByteString): Xattr {
    let byValue = this.#byName.get(name);
    if (byValue === undefined) this.#byName.set(name, (byValue = new Map()));
    let xattr = byValue.get(value);
    if (xattr === undefined) byValue.set(value, (xattr = { name, value }));
    return xattr;
  }
}

function byName(a: { readonly name: ByteString }, b: { readonly name: ByteString }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Sorts xattrs by name; the array is new only when it has to change. */
export function sortXattrs(xattrs: readonly Xattr[]): readonly Xattr[] {
  for (let i = 1; i < xattrs.length; i++) {
    if (xattrs[i - 1]!.name > xattrs[i]!.name) return [...xattrs].sort(byName);
  }
  return xattrs;
}

/** Sorts the children of one directory unless they already are. */
export function sortChildren(children: TreeNode[]): void {
  for (let i = 1; i < children.length; i++) {
    if (children[i - 1]!.name > children[i]!.name) {
      children.sort(byName);
      return;
    }
  }
}

/** Visits every entry with its path, parents first, children in their order. The root's path is `/`. */
export function* walkTree(root: TreeNode): Generator<{ path: ByteString; node: TreeNode }> {
  const stack: { path: ByteString; node: TreeNode }[] = [{ path: '/' as ByteString, node: root }];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    yield entry;
    const children = entry.node.hardlink === undefined ? entry.node.children : undefined;
    const prefix = entry.path === '/' ? '/' : `${entry.path}/`;
    for (let i = (children?.length ?? 0) - 1; i >= 0; i--) {
      const node = children![i]!;
      stack.push({ path: `${prefix}${node.name}` as ByteString, node });
    }
  }
}
