/**
 * Entries of an archive to a tree, as if they had been unpacked one after the other, without a file system.
 *
 * - Of two entries with one path the later one counts. A directory that comes again keeps what is in it.
 * - A hardlink is another name of what its target is at that moment; what comes later under the target's path is
 *   something else. A target must come before its links.
 * - A directory that no entry describes has mode 755, owner 0:0 and time 0, the root too.
 * - Nothing is ever put below a symlink or a file, and a directory that holds something is never replaced: what such
 *   an archive means depends on who unpacks it.
 */
import { SYMLINK_TARGET_MAX, XATTR_ACL_ACCESS } from '../../runtime/format/composefs.ts';
import { type ByteString, flat } from './byte-string.ts';
import { modeWithAcl } from './tar-acl.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import type { TarLimits } from './tar-limits.ts';
import { tarPath } from './tar-path.ts';
import type { TarEntry } from './tar-reader.ts';
import { xattrsOf } from './tar-xattrs.ts';
import {
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  sortChildren,
  TreeNode,
  walkTree,
  XattrPool,
  type Xattr,
} from './tree.ts';

export interface TarTreeOptions {
  readonly useEpoch?: boolean;
  readonly skipDevices?: boolean;
  readonly xattrs?: 'all' | 'user' | 'none';
  /** Keep the names of one file together; otherwise each becomes a file of its own, as in a scanned directory. */
  readonly hardlinks?: boolean;
}

const TYPE_BITS: Readonly<Record<string, number>> = {
  0: S_IFREG,
  2: S_IFLNK,
  3: S_IFCHR,
  4: S_IFBLK,
  5: S_IFDIR,
  6: S_IFIFO,
  // Only a cpio archive has sockets.
  s: S_IFSOCK,
};
/** Of a directory that no entry describes. */
const IMPLIED_MODE = S_IFDIR | 0o755;
/** Device numbers as Linux packs them into 32 bits: 12 bits of major, 20 of minor (new_encode_dev). */
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xfffff;

export class TarTree {
  readonly #options: TarTreeOptions;
  readonly #limits: TarLimits;
  readonly #pool = new XattrPool();
  readonly #root = new TreeNode('' as ByteString, IMPLIED_MODE);
  /** The entries of every directory by name; `children` are made of them at the end. */
  readonly #entries = new Map<TreeNode, Map<ByteString, TreeNode>>();
  /** Nodes that the current layer put or described, and directories it has hidden the lower part of. */
  #fresh: Set<TreeNode> | undefined;
  readonly #hidden = new Set<TreeNode>();
  #count = 1;
  #lastParentPath = '' as ByteString;
  #lastParent = this.#root;

  constructor(options: TarTreeOptions, limits: TarLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#entries.set(this.#root, new Map());
  }

  /** Nodes made so far. */
  get count(): number {
    return this.#count;
  }

  /** Adds an entry; returns the node of a regular file, whose content the caller fills in. */
  add(entry: TarEntry): TreeNode | undefined {
    const { place } = entry;
    const { path, endsInSlash } = tarPath(entry.name, 'name', place);
    if (entry.type === '1') {
      this.#addHardlink(entry, path, endsInSlash);
      return undefined;
    }
    const node = this.#add(entry, path, endsInSlash);
    return (node.mode & S_IFMT) === S_IFREG ? node : undefined;
  }

  /** Adds an entry that is no hardlink; returns its node, whatever it is. */
  addNode(entry: TarEntry): TreeNode {
    const { path, endsInSlash } = tarPath(entry.name, 'name', entry.place);
    return this.#add(entry, path, endsInSlash);
  }

  #add(entry: TarEntry, path: ByteString, endsInSlash: boolean): TreeNode {
    const node = this.#node(entry, path);
    const { place } = entry;
    if (node.children === undefined && (endsInSlash || path === '')) {
      const problem = path === '' ? 'the root is no directory' : 'its name ends in a slash';
      failTar('FORMAT_TAR_NAME', place, `${problem}, and type ${entry.type} is no directory`);
    }
    if (path === '') this.#describe(this.#root, node);
    else this.#put(path, node, place);
    return node;
  }

  // --- one node ----------------------------------------------------------------------------------------

  #node(entry: TarEntry, path: ByteString): TreeNode {
    const type = TYPE_BITS[entry.type]!;
    const node = new TreeNode(lastPart(path), type | (type === S_IFLNK ? 0o777 : entry.mode));
    node.uid = entry.uid;
    node.gid = entry.gid;
    if (this.#options.useEpoch !== true) {
      node.mtimeSec = entry.mtimeSec;
      node.mtimeNsec = entry.mtimeNsec;
    }
    const xattrs = xattrsOf(entry.xattrs, this.#pool, entry.place);
    const acl = xattrs.find(({ name }) => name === XATTR_ACL_ACCESS);
    if (acl !== undefined) node.mode = modeWithAcl(node.mode, acl.value);
    node.xattrs = this.#kept(xattrs);
    if (type === S_IFREG) node.size = entry.size;
    else if (type === S_IFLNK) setTarget(node, entry);
    else if (type === S_IFCHR || type === S_IFBLK) node.rdev = deviceNumber(entry);
    return node;
  }

  #kept(all: readonly Xattr[]): readonly Xattr[] {
    const which = this.#options.xattrs ?? 'all';
    if (which === 'all' || all.length === 0) return all;
    if (which === 'none') return NO_XATTRS;
    const kept = all.filter(({ name }) => name.startsWith('user.'));
    return kept.length === 0 ? NO_XATTRS : kept;
  }

  // --- places ------------------------------------------------------------------------------------------

  #put(path: ByteString, node: TreeNode, place: TarPlace): void {
    const siblings = this.#entries.get(this.#parent(path, place))!;
    const existing = siblings.get(node.name);
    if (existing?.children !== undefined) {
      if (node.children !== undefined) return this.#describe(existing, node);
      // What lies below it in an earlier layer goes with it.
      if (this.#fresh !== undefined) this.#hideLowerIn(existing);
      if (this.#entries.get(existing)!.size > 0) {
        failTar('FORMAT_TAR_REPLACE', place, 'it would replace a directory that holds something');
      }
      this.#forget(existing);
    }
    if (existing === undefined) this.#countNode(place);
    siblings.set(node.name, node);
    this.#fresh?.add(node);
    if (node.children !== undefined) this.#entries.set(node, new Map());
  }

  /** A directory that was there is what the entry says from now on. */
  #describe(directory: TreeNode, node: TreeNode): void {
    describeAs(directory, node);
    this.#fresh?.add(directory);
  }

  #forget(directory: TreeNode): void {
    this.#entries.delete(directory);
    this.#forgetLastParent();
  }

  #forgetLastParent(): void {
    this.#lastParentPath = '' as ByteString;
    this.#lastParent = this.#root;
  }

  /** The directory that a path is in; made where no entry described it. */
  #parent(path: ByteString, place: TarPlace): TreeNode {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return this.#root;
    const parentPath = path.slice(0, slash) as ByteString;
    if (parentPath === this.#lastParentPath) return this.#lastParent;
    let directory = this.#root;
    for (const name of parentPath.split('/') as ByteString[]) {
      directory = this.#directory(directory, name, place);
    }
    this.#lastParentPath = parentPath;
    this.#lastParent = directory;
    return directory;
  }

  #directory(parent: TreeNode, name: ByteString, place: TarPlace): TreeNode {
    const siblings = this.#entries.get(parent)!;
    const existing = siblings.get(name);
    if (existing === undefined) {
      this.#countNode(place);
      const made = new TreeNode(flat(name), IMPLIED_MODE);
      siblings.set(made.name, made);
      this.#fresh?.add(made);
      this.#entries.set(made, new Map());
      return made;
    }
    if (existing.children !== undefined) return existing;
    const shown = showName(name);
    if (((existing.hardlink ?? existing).mode & S_IFMT) === S_IFLNK) {
      failTar(
        'FORMAT_TAR_SYMLINK',
        place,
        `it is below ${shown}, which is a symlink, expected a directory`,
        'unpacking could write outside of the tree; make the archive of the tree itself',
      );
    }
    return failTar('FORMAT_TAR_PARENT', place, `it is below ${shown}, which is no directory`);
  }

  #countNode(place: TarPlace): void {
    if (++this.#count <= this.#limits.entries) return;
    failTar(
      'FORMAT_TAR_ENTRIES',
      place,
      `the archive has more than ${this.#limits.entries} entries, with the directories its paths imply`,
    );
  }

  // --- layers ------------------------------------------------------------------------------------------

  /** What comes from now on is laid over what is there; only that can be hidden. */
  beginLayer(): void {
    this.#fresh = new Set();
    this.#hidden.clear();
  }

  /** Takes away what earlier layers have at a path; what this layer put there stays. */
  hide(path: ByteString): void {
    const node = this.#find(path);
    if (node === undefined || node === this.#root) return;
    const parent = this.#find(path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as ByteString)!;
    this.#hideLower(this.#entries.get(parent)!, node);
  }

  /** Takes away what earlier layers have in a directory. */
  hideBelow(path: ByteString): void {
    const node = this.#find(path);
    if (node?.children !== undefined) this.#hideLowerIn(node);
  }

  /** Each directory is looked through once in a layer: all that is left in it then is of this layer. */
  #hideLowerIn(directory: TreeNode): void {
    if (this.#hidden.has(directory)) return;
    this.#hidden.add(directory);
    const entries = this.#entries.get(directory)!;
    for (const child of entries.values()) this.#hideLower(entries, child);
  }

  #hideLower(siblings: Map<ByteString, TreeNode>, node: TreeNode): void {
    if (node.children !== undefined) this.#hideLowerIn(node);
    if (this.#fresh!.has(node)) return;
    if (node.children !== undefined && this.#entries.get(node)!.size > 0) {
      // Only its path is left, which leads to what this layer has in it.
      this.#describe(node, new TreeNode(node.name, IMPLIED_MODE));
      return;
    }
    siblings.delete(node.name);
    this.#count--;
    if (node.children !== undefined) this.#forget(node);
  }

  // --- hardlinks ---------------------------------------------------------------------------------------

  #addHardlink(entry: TarEntry, path: ByteString, endsInSlash: boolean): void {
    const { place } = entry;
    const target = tarPath(entry.linkName, "hardlink's target", place).path;
    const existing = this.#find(target);
    const shown = showName(entry.linkName);
    if (existing === undefined) {
      const problem = `the hardlink's target ${shown} is no earlier entry`;
      failTar('FORMAT_TAR_HARDLINK', place, problem, 'a target has to come before its links');
    }
    if (existing.children !== undefined || path === '' || endsInSlash) {
      failTar(
        'FORMAT_TAR_HARDLINK',
        place,
        `it is a hardlink to ${shown}, and one of them is a directory`,
      );
    }
    // GNU tar writes this for a file that it was told to archive twice.
    if (path === target) return;
    const inode = existing.hardlink ?? existing;
    const node = new TreeNode(lastPart(path), inode.mode);
    if (this.#options.hardlinks === true) node.hardlink = inode;
    else describeAs(node, inode);
    this.#put(path, node, place);
  }

  #find(path: ByteString): TreeNode | undefined {
    let node: TreeNode | undefined = this.#root;
    for (const name of path === '' ? [] : (path.split('/') as ByteString[])) {
      node = node && this.#entries.get(node)?.get(name);
    }
    return node;
  }

  // --- the tree ----------------------------------------------------------------------------------------

  /** The finished tree. */
  finish(): TreeNode {
    for (const [directory, entries] of this.#entries) {
      directory.children = [...entries.values()].filter((node) => !this.#isSkipped(node));
      sortChildren(directory.children);
    }
    this.#entries.clear();
    if (this.#options.hardlinks === true) tieNames(this.#root);
    return this.#root;
  }

  #isSkipped(node: TreeNode): boolean {
    if (this.#options.skipDevices !== true) return false;
    const type = (node.hardlink ?? node).mode & S_IFMT;
    return type === S_IFCHR || type === S_IFBLK;
  }
}

/** The first name in depth-first order owns the inode, as in a scanned directory. */
function tieNames(root: TreeNode): void {
  const owners = new Map<TreeNode, TreeNode>();
  for (const { node } of walkTree(root)) {
    if (node.children !== undefined) continue;
    const inode = node.hardlink ?? node;
    const owner = owners.get(inode);
    if (owner === undefined) owners.set(inode, node);
    else owner.nlink++;
  }
  // Only now is it known who owns what; the inode of a name that was replaced is owned by another.
  for (const { node } of walkTree(root)) {
    if (node.children !== undefined) continue;
    const inode = node.hardlink ?? node;
    const owner = owners.get(inode)!;
    if (node !== owner) node.hardlink = owner;
    else if (node.hardlink !== undefined) {
      describeAs(node, inode);
      node.hardlink = undefined;
    }
  }
}

/** Makes a node be what another one is, under its own name and with its own children. */
function describeAs(node: TreeNode, other: TreeNode): void {
  node.mode = other.mode;
  node.uid = other.uid;
  node.gid = other.gid;
  node.rdev = other.rdev;
  node.size = other.size;
  node.mtimeSec = other.mtimeSec;
  node.mtimeNsec = other.mtimeNsec;
  node.payload = other.payload;
  node.content = other.content;
  node.digest = other.digest;
  node.xattrs = other.xattrs;
}

function setTarget(node: TreeNode, entry: TarEntry): void {
  const { linkName: target, place } = entry;
  if (target === '' || target.includes('\0') || target.length > SYMLINK_TARGET_MAX) {
    const problem = `its target has ${target.length} bytes, expected 1 to ${SYMLINK_TARGET_MAX} without NUL`;
    failTar('FORMAT_TAR_TARGET', place, problem);
  }
  node.payload = target;
  node.size = target.length;
}

function deviceNumber({ major, minor, place }: TarEntry): number {
  if (major <= MAJOR_MAX && minor <= MINOR_MAX) {
    return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
  }
  return failTar(
    'FORMAT_TAR_DEVICE',
    place,
    `it is the device ${major}:${minor}, expected at most ${MAJOR_MAX}:${MINOR_MAX}`,
  );
}

function lastPart(path: ByteString): ByteString {
  return flat(path.slice(path.lastIndexOf('/') + 1));
}
