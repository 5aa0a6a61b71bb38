/**
 * An image back to the tree it was written from.
 *
 * The exact inverse of layout.ts: overlay escapes, whiteout marks, the 256 stubs and the root's opaque mark go
 * away, and a mark that the writer would not set again stays as an ordinary xattr, so that writing the tree in
 * the image's format version gives the same image. The walk is breadth-first and without recursion.
 *
 * Among several names of one inode the original is the one whose place in the breadth-first order is the
 * inode's number; composefs-info takes the first it meets depth-first, and what it dumps may then make another
 * image (docs/composefs-differences.md).
 */
import {
  OverlayMetacopy,
  XATTR_ESCAPED_WHITEOUT,
  XATTR_ESCAPED_WHITEOUTS,
  XATTR_METACOPY,
  XATTR_OPAQUE,
  XATTR_OVERLAY_ESCAPE_PREFIX,
  XATTR_OVERLAY_PREFIX,
  XATTR_REDIRECT,
  XATTR_USER_OPAQUE,
  XATTR_USER_WHITEOUT,
  XATTR_USER_WHITEOUTS,
} from '../../runtime/format/composefs.ts';
import type { DirentView } from '../../runtime/format/erofs-dirents.ts';
import type { ErofsImage, XattrView } from '../../runtime/format/erofs-image.ts';
import type { ErofsInode } from '../../runtime/format/erofs-inode.ts';
import { walkImage } from '../../runtime/format/erofs-walk.ts';
import { fitsCompact, hasData } from '../../runtime/format/inode-rules.ts';
import type { ByteString } from './byte-string.ts';
import { NO_XATTRS, S_IFCHR, S_IFMT, sortXattrs, TreeNode, XattrPool, type Xattr } from './tree.ts';

export interface ReadOptions {
  /** Keep only these names of the root directory. */
  readonly filter?: ReadonlySet<string> | undefined;
  /**
   * For the drop-in composefs-info: xattrs in stored order (own before shared), whiteout marks as it shows
   * them, every chr 0:0 left out.
   */
  readonly likeComposefsInfo?: boolean | undefined;
}

/** What the writer adds to a directory that holds whiteouts, by its name in the source. */
const WHITEOUTS = `${XATTR_OVERLAY_PREFIX}whiteouts`;
/** The least size of a device or fifo that makes its inode extended. */
const HIDDEN_SIZE = 2 ** 32;
const STUB_NAME = /^[0-9a-f]{2}$/;

/** Reads the whole tree of an opened image. */
export function readTree(image: ErofsImage, options: ReadOptions = {}): TreeNode {
  const root = new TreeReader(image, options).read();
  if (options.filter !== undefined) keepOnly(root, options.filter);
  return root;
}

/** A directory that is being filled. */
interface OpenDirectory {
  readonly node: TreeNode;
  /** Whether it carries what the writer sets on a directory with whiteouts. */
  readonly isMarked: boolean;
  hasWhiteouts: boolean;
}

class TreeReader {
  readonly #image: ErofsImage;
  readonly #likeInfo: boolean;
  readonly #buffer: Buffer;
  readonly #pool = new XattrPool();
  readonly #shared = new Map<number, Xattr>();
  readonly #waiting = new Map<number, OpenDirectory>();
  #open: OpenDirectory;
  readonly #root: TreeNode;
  /** Originals by inode number, and the nids they have. Stubs have a place here too. */
  readonly #originals: (TreeNode | undefined)[] = [];
  readonly #nids: number[] = [];
  /** Names met before the original of their inode. */
  readonly #early = new Map<number, TreeNode[]>();
  /** Without inode numbers in order (format version 2), the first name met is the original. */
  readonly #byNid = new Map<number, TreeNode>();
  /** Names of the latest inode, when it looks like a whiteout but its directory has no marks. */
  #undecided: TreeNode[] | undefined;

  constructor(image: ErofsImage, options: ReadOptions) {
    const { buffer, byteOffset, length } = image.bytes;
    this.#image = image;
    this.#likeInfo = options.likeComposefsInfo === true;
    this.#buffer = Buffer.from(buffer, byteOffset, length);
    const inode = image.root();
    this.#open = this.#directory('' as ByteString, inode);
    this.#root = this.#open.node;
    this.#waiting.set(inode.nid, this.#open);
    this.#addOriginal(inode, this.#root);
  }

  read(): TreeNode {
    walkImage(this.#image, {
      enter: (directory) => {
        this.#open = this.#waiting.get(directory.nid)!;
        this.#waiting.delete(directory.nid);
      },
      entry: (entry, inode) => this.#entry(entry, inode),
      leave: () => this.#leave(),
    });
    this.#promoteEarly();
    return this.#root;
  }

  #entry(entry: DirentView, inode: ErofsInode): void {
    const name = this.#buffer.toString('latin1', entry.nameStart, entry.nameEnd) as ByteString;
    const parent = this.#open;
    if (inode.isDirectory) {
      const directory = this.#directory(name, inode);
      this.#addOriginal(inode, directory.node);
      this.#waiting.set(inode.nid, directory);
      parent.node.children!.push(directory.node);
      return;
    }
    if (inode.isWhiteout && this.#skipsWhiteout(name)) {
      this.#addOriginal(inode, undefined);
      return;
    }
    const node = new TreeNode(name, inode.mode);
    parent.node.children!.push(node);
    const original = this.#originalOf(inode);
    if (original !== undefined) this.#link(node, inode, original, parent);
    else if (this.#isOriginal(inode)) {
      this.#fill(node, inode, parent);
      this.#addOriginal(inode, node);
      this.#resolveEarly(inode.nid, node);
    } else {
      const names = this.#early.get(inode.nid);
      if (names === undefined) this.#early.set(inode.nid, [node]);
      else names.push(node);
    }
  }

  /**
   * One more name. When no inode came between, its number fits this name as well as the earlier one, and only
   * the marks of the directories can tell which is the whiteout's own.
   */
  #link(node: TreeNode, inode: ErofsInode, original: TreeNode, parent: OpenDirectory): void {
    node.hardlink = original;
    const undecided = this.#undecided;
    if (undecided === undefined || inode.ino + 1 !== this.#originals.length) return;
    undecided.push(node);
    if (!parent.isMarked) return;
    node.hardlink = undefined;
    this.#fill(node, inode, parent);
    this.#originals[inode.ino] = node;
    for (const name of undecided) if (name !== node) name.hardlink = node;
    this.#undecided = undefined;
  }

  /** The stubs; they hide object directories and no tree has them. Everything else is shown, right or not. */
  #skipsWhiteout(name: ByteString): boolean {
    if (this.#likeInfo) return true;
    return this.#image.version < 2 && this.#open.node === this.#root && STUB_NAME.test(name);
  }

  #addOriginal(inode: ErofsInode, node: TreeNode | undefined): void {
    if (this.#image.version < 2) {
      if (this.#undecided?.[0] !== node) this.#undecided = undefined;
      this.#originals.push(node);
      this.#nids.push(inode.nid);
    } else if (node !== undefined && !inode.isDirectory) this.#byNid.set(inode.nid, node);
  }

  #originalOf(inode: ErofsInode): TreeNode | undefined {
    if (this.#image.version >= 2) return this.#byNid.get(inode.nid);
    return this.#nids[inode.ino] === inode.nid ? this.#originals[inode.ino] : undefined;
  }

  #isOriginal(inode: ErofsInode): boolean {
    return this.#image.version >= 2 || inode.ino === this.#originals.length;
  }

  #resolveEarly(nid: number, original: TreeNode): void {
    if (this.#early.size === 0) return;
    for (const name of this.#early.get(nid) ?? []) name.hardlink = original;
    this.#early.delete(nid);
  }

  /** Only an image with wrong inode numbers has names left: the first one is then the original. */
  #promoteEarly(): void {
    for (const [nid, [first, ...others]] of this.#early) {
      this.#fill(first!, this.#image.inode(nid), undefined);
      for (const name of others) name.hardlink = first!;
    }
  }

  #directory(name: ByteString, inode: ErofsInode): OpenDirectory {
    const node = new TreeNode(name, inode.mode);
    node.size = inode.size;
    this.#fillCommon(node, inode);
    const xattrs = this.#storedXattrs(inode);
    node.xattrs = this.#sourceXattrs(xattrs, node, false, false);
    return { node, isMarked: isMarked(xattrs, this.#image.version), hasWhiteouts: false };
  }

  #leave(): void {
    const { node, hasWhiteouts } = this.#open;
    if (!hasWhiteouts || this.#likeInfo) return;
    const hasOpaque = this.#image.version === 1;
    node.xattrs = node.xattrs.filter(
      ({ name }) =>
        name !== WHITEOUTS &&
        name !== XATTR_USER_WHITEOUTS &&
        !(hasOpaque && (name === XATTR_OPAQUE || name === XATTR_USER_OPAQUE)),
    );
  }

  #fillCommon(node: TreeNode, inode: ErofsInode): void {
    node.nlink = inode.nlink;
    node.uid = inode.uid;
    node.gid = inode.gid;
    node.rdev = inode.rdev;
    node.mtimeSec = inode.mtimeSec;
    node.mtimeNsec = inode.mtimeNsec;
  }

  #fill(node: TreeNode, inode: ErofsInode, parent: OpenDirectory | undefined): void {
    this.#fillCommon(node, inode);
    const xattrs = this.#storedXattrs(inode);
    const isWhiteout = this.#isWhiteout(node, inode, xattrs, parent);
    if (isWhiteout) {
      if (parent !== undefined) parent.hasWhiteouts = true;
      node.mode = (node.mode & ~S_IFMT) | S_IFCHR;
    } else {
      node.size = inode.size;
      if (inode.isSymlink) node.payload = latin1(this.#image.readlink(inode));
      else if (inode.isRegular && inode.size > 0) node.content = this.#image.inlineContent(inode);
      else if (this.#hidesSize(inode)) node.size = HIDDEN_SIZE;
    }
    const isFile = inode.isRegular && !isWhiteout;
    node.xattrs = this.#sourceXattrs(xattrs, node, isFile, isWhiteout);
  }

  /** Only a size that is not stored makes the writer choose an extended inode here. */
  #hidesSize(inode: ErofsInode): boolean {
    if (this.#likeInfo || this.#image.version >= 2 || !inode.isExtended) return false;
    return !hasData(inode) && fitsCompact(inode);
  }

  /** An empty regular file with both marks, in a directory with its marks: exactly what the writer makes. */
  #isWhiteout(
    node: TreeNode,
    inode: ErofsInode,
    xattrs: readonly Xattr[],
    parent: OpenDirectory | undefined,
  ): boolean {
    if (!inode.isRegular || xattrs.length === 0 || this.#image.version >= 2) return false;
    if (this.#likeInfo) return xattrs.some(({ name }) => name === XATTR_ESCAPED_WHITEOUT);
    if (inode.size > 0 || !has(xattrs, XATTR_ESCAPED_WHITEOUT, '')) return false;
    if (!has(xattrs, XATTR_USER_WHITEOUT, '')) return false;
    if (parent?.isMarked === true) return true;
    this.#undecided = [node];
    return false;
  }

  /** The attributes as stored, shared ones last as composefs-info shows them. */
  #storedXattrs(inode: ErofsInode): readonly Xattr[] {
    if (inode.xattrSize === 0) return NO_XATTRS;
    const own: Xattr[] = [];
    const shared: Xattr[] = [];
    for (const xattr of this.#image.xattrs(inode)) {
      if (xattr.isShared) shared.push(this.#sharedXattr(xattr));
      else own.push({ name: this.#nameOf(xattr), value: this.#valueOf(xattr) });
    }
    return shared.length === 0 ? own : own.concat(shared);
  }

  #sharedXattr(view: XattrView): Xattr {
    let xattr = this.#shared.get(view.offset);
    if (xattr === undefined) {
      xattr = { name: this.#nameOf(view), value: this.#valueOf(view) };
      this.#shared.set(view.offset, xattr);
    }
    return xattr;
  }

  #nameOf(view: XattrView): ByteString {
    const suffix = this.#buffer.toString('latin1', view.suffixStart, view.valueStart);
    return (this.#image.xattrPrefix(view) + suffix) as ByteString;
  }

  #valueOf(view: XattrView): ByteString {
    return this.#buffer.toString('latin1', view.valueStart, view.end) as ByteString;
  }

  /** Takes digest and payload out of stored attributes, drops what the writer adds and undoes the escapes. */
  #sourceXattrs(
    stored: readonly Xattr[],
    node: TreeNode,
    isFile: boolean,
    isWhiteout: boolean,
  ): readonly Xattr[] {
    if (stored.length === 0) return NO_XATTRS;
    const result: Xattr[] = [];
    for (const { name, value } of stored) {
      if (name === XATTR_METACOPY) {
        if (isFile) node.digest = digestOf(value);
      } else if (name === XATTR_REDIRECT) {
        if (isFile) node.payload = payloadOf(value);
      } else if (!this.#isWritersOwn(name, isWhiteout)) {
        if (name.startsWith(XATTR_OVERLAY_ESCAPE_PREFIX)) {
          result.push(this.#pool.get(unescape(name), value));
        } else if (!name.startsWith(XATTR_OVERLAY_PREFIX)) {
          result.push(this.#pool.get(name, value));
        }
      }
    }
    if (result.length === 0) return NO_XATTRS;
    return withoutDuplicates(this.#likeInfo ? result : sortXattrs(result));
  }

  #isWritersOwn(name: ByteString, isWhiteout: boolean): boolean {
    if (isWhiteout && (name === XATTR_ESCAPED_WHITEOUT || name === XATTR_USER_WHITEOUT))
      return true;
    if (!this.#likeInfo) return false;
    return (
      name === XATTR_ESCAPED_WHITEOUTS ||
      name === XATTR_USER_WHITEOUT ||
      name === XATTR_USER_WHITEOUTS
    );
  }
}

function latin1(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1') as ByteString;
}

function has(xattrs: readonly Xattr[], name: string, value: string): boolean {
  return xattrs.some((xattr) => xattr.name === name && xattr.value === value);
}

function isMarked(stored: readonly Xattr[], version: number): boolean {
  if (stored.length < 2) return false;
  if (!has(stored, XATTR_ESCAPED_WHITEOUTS, '') || !has(stored, XATTR_USER_WHITEOUTS, '')) {
    return false;
  }
  const escapedOpaque = XATTR_OVERLAY_ESCAPE_PREFIX + 'opaque';
  return version < 1 || (has(stored, escapedOpaque, 'x') && has(stored, XATTR_USER_OPAQUE, 'x'));
}

function unescape(name: ByteString): ByteString {
  return (XATTR_OVERLAY_PREFIX + name.slice(XATTR_OVERLAY_ESCAPE_PREFIX.length)) as ByteString;
}

/** The digest of a metacopy record, lower-case hexadecimal; undefined when it has none. */
function digestOf(value: ByteString): string | undefined {
  const size = value.length - OverlayMetacopy.size;
  if (size !== 32 && size !== 64) return undefined;
  return Buffer.from(value, 'latin1').toString('hex', OverlayMetacopy.size);
}

/** The path below the object store that a redirect names. */
function payloadOf(value: ByteString): ByteString {
  return (value.length > 1 && value.startsWith('/') ? value.slice(1) : value) as ByteString;
}

/** No image that passes the second gate has two attributes of one name; in others the later one counts. */
function withoutDuplicates(xattrs: readonly Xattr[]): readonly Xattr[] {
  const byName = new Map(xattrs.map((xattr) => [xattr.name, xattr]));
  return byName.size === xattrs.length ? xattrs : [...byName.values()];
}

/** Keeps some names of the root; a link whose original is gone becomes the original. */
export function keepOnly(root: TreeNode, names: ReadonlySet<string>): void {
  root.children = root.children!.filter((child) => names.has(child.name));
  const links = new Map<TreeNode, TreeNode[]>();
  const present = new Set<TreeNode>();
  const stack: TreeNode[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.hardlink === undefined) {
      present.add(node);
      for (let i = (node.children?.length ?? 0) - 1; i >= 0; i--) stack.push(node.children![i]!);
    } else {
      const others = links.get(node.hardlink);
      if (others === undefined) links.set(node.hardlink, [node]);
      else others.push(node);
    }
  }
  for (const [original, [first, ...others]] of links) {
    if (present.has(original)) continue;
    const { name } = first!;
    Object.assign(first!, original, { name });
    for (const other of others) other.hardlink = first!;
  }
}
