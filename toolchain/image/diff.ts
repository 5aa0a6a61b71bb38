/**
 * Two trees compared entry by entry: what differs, in which attribute, and what kind of cause that has.
 *
 * Both trees are walked together in name order, parents first. A further name of an inode is compared as the
 * inode it names. What a writer computes anew is not compared: size and links of directories, and the size
 * column of entries without data. Grouping and advice are diff-groups.ts.
 */
import { toHex } from '../../runtime/format/bytes.ts';
import { majorOf, minorOf } from '../../runtime/format/device-number.ts';
import { type VerityAlgorithm, VerityHasher } from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import {
  CAPABILITY_XATTR,
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  SELINUX_XATTR,
  walkTree,
  type TreeNode,
  type Xattr,
} from './tree.ts';

/** Kinds of causes, in the order they are reported. */
export const CAUSES = [
  'version',
  'algorithm',
  'only-a',
  'only-b',
  'devices',
  'type',
  'content',
  'inline',
  'digest',
  'object-path',
  'hardlinks',
  'nlink',
  'permissions',
  'owner',
  'device-number',
  'selinux',
  'xattrs',
  'mtime',
  'root',
  'bytes',
] as const;

export type Cause = (typeof CAUSES)[number];

/** One attribute of one entry that differs; `a` and `b` are for people. */
export interface Difference {
  /** Path of the entry; empty when the difference is one of the images as a whole. */
  readonly path: ByteString;
  readonly attribute: string;
  readonly a: string;
  readonly b: string;
  readonly cause: Cause;
}

/** What a whole tree is like, which tells the policy it was built with. */
export interface TreeTraits {
  entries: number;
  devices: number;
  hardlinks: number;
  xattrs: number;
  /** SELinux labels. */
  labels: number;
  /** Attributes whose names do not begin with `user.`, labels left out. */
  otherXattrs: number;
  /** `security.capability`. */
  capabilities: number;
  /** Whether every modification time is 0. */
  isEpoch: boolean;
  hasNanoseconds: boolean;
  /** Size of the largest file stored in the image. */
  inlineMax: number;
}

export interface TreeComparison {
  readonly differences: readonly Difference[];
  readonly a: TreeTraits;
  readonly b: TreeTraits;
}

/** Compares two trees. */
export function compareTrees(a: TreeNode, b: TreeNode): TreeComparison {
  const comparer = new TreeComparer(new Side(a), new Side(b));
  return { differences: comparer.compare(), a: comparer.a.traits, b: comparer.b.traits };
}

/** A tree with its traits, and the paths of the inodes that have several names. */
class Side {
  readonly root: TreeNode;
  readonly traits: TreeTraits;
  readonly #originals = new Map<TreeNode, ByteString>();

  constructor(root: TreeNode) {
    this.root = root;
    this.traits = {
      entries: 0,
      devices: 0,
      hardlinks: 0,
      xattrs: 0,
      labels: 0,
      otherXattrs: 0,
      capabilities: 0,
      isEpoch: true,
      hasNanoseconds: false,
      inlineMax: 0,
    };
    const empty = '' as ByteString;
    for (const { node } of walkTree(root)) {
      this.traits.entries++;
      if (node.hardlink !== undefined) this.#originals.set(node.hardlink, empty);
      this.#observe(node);
    }
    if (this.#originals.size === 0) return;
    for (const { path, node } of walkTree(root)) {
      if (this.#originals.has(node)) this.#originals.set(node, path);
    }
  }

  #observe(node: TreeNode): void {
    const { traits } = this;
    if (node.hardlink !== undefined) {
      traits.hardlinks++;
      return;
    }
    if (isDevice(node)) traits.devices++;
    for (const { name } of node.xattrs) {
      if (name === SELINUX_XATTR) traits.labels++;
      else traits.xattrs++;
      if (name === CAPABILITY_XATTR) traits.capabilities++;
      if (name !== SELINUX_XATTR && !name.startsWith('user.')) traits.otherXattrs++;
    }
    if (node.mtimeSec !== 0 || node.mtimeNsec !== 0) traits.isEpoch = false;
    if (node.mtimeNsec !== 0) traits.hasNanoseconds = true;
    traits.inlineMax = Math.max(traits.inlineMax, node.content?.length ?? 0);
  }

  /** The path of the original of an inode with several names; undefined for an inode with one. */
  originalOf(node: TreeNode): ByteString | undefined {
    return this.#originals.get(node.hardlink ?? node);
  }
}

class TreeComparer {
  readonly a: Side;
  readonly b: Side;
  readonly #differences: Difference[] = [];
  #path = '/' as ByteString;

  constructor(a: Side, b: Side) {
    this.a = a;
    this.b = b;
  }

  compare(): readonly Difference[] {
    const stack: [ByteString, TreeNode | undefined, TreeNode | undefined][] = [
      ['/' as ByteString, this.a.root, this.b.root],
    ];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [path, a, b] = next;
      this.#path = path;
      this.#comparePair(a, b);
      const prefix = path === '/' ? '/' : `${path}/`;
      const pairs = pairChildren(a?.children ?? [], b?.children ?? []);
      for (let i = pairs.length - 1; i >= 0; i--) {
        const [left, right] = pairs[i]!;
        stack.push([`${prefix}${(left ?? right)!.name}` as ByteString, left, right]);
      }
    }
    return this.#differences;
  }

  #comparePair(a: TreeNode | undefined, b: TreeNode | undefined): void {
    if (a === undefined || b === undefined) {
      const node = (a ?? b)!;
      const other = a === undefined ? this.a : this.b;
      const isLeftOut = isDevice(node.hardlink ?? node) && other.traits.devices === 0;
      const cause = isLeftOut ? 'devices' : a === undefined ? 'only-b' : 'only-a';
      const shown = typeName(node.hardlink ?? node);
      this.#add(
        'entry',
        a === undefined ? 'absent' : shown,
        b === undefined ? 'absent' : shown,
        cause,
      );
      return;
    }
    const isLinkDifferent = this.#compareLinks(a, b);
    this.#compareInodes(a.hardlink ?? a, b.hardlink ?? b, isLinkDifferent);
  }

  /** Whether the entry shares its inode with the same other names on both sides, as far as this name shows. */
  #compareLinks(a: TreeNode, b: TreeNode): boolean {
    const left = this.a.originalOf(a);
    const right = this.b.originalOf(b);
    if (left === right) return false;
    this.#add('inode', this.#showLink(left), this.#showLink(right), 'hardlinks');
    return true;
  }

  #showLink(original: ByteString | undefined): string {
    if (original === undefined) return 'its own';
    return original === this.#path ? 'shared with other names' : `that of ${showBytes(original)}`;
  }

  #compareInodes(a: TreeNode, b: TreeNode, isLinkDifferent: boolean): void {
    if ((a.mode & S_IFMT) !== (b.mode & S_IFMT)) {
      this.#add('type', typeName(a), typeName(b), 'type');
      return;
    }
    if (a.mode !== b.mode) {
      this.#add('permissions', showPermissions(a), showPermissions(b), 'permissions');
    }
    if (a.uid !== b.uid || a.gid !== b.gid) {
      this.#add('owner', `${a.uid}:${a.gid}`, `${b.uid}:${b.gid}`, 'owner');
    }
    if (a.mtimeSec !== b.mtimeSec || a.mtimeNsec !== b.mtimeNsec) {
      this.#add('mtime', showTime(a), showTime(b), 'mtime');
    }
    if (isDirectory(a)) return this.#compareXattrs(a.xattrs, b.xattrs);
    if (a.nlink !== b.nlink) {
      this.#add('nlink', String(a.nlink), String(b.nlink), isLinkDifferent ? 'hardlinks' : 'nlink');
    }
    if (isDevice(a) && a.rdev !== b.rdev) {
      this.#add(
        'device number',
        `${majorOf(a.rdev)}:${minorOf(a.rdev)}`,
        `${majorOf(b.rdev)}:${minorOf(b.rdev)}`,
        'device-number',
      );
    }
    if (isRegular(a)) this.#compareFiles(a, b);
    else if (isSymlink(a) && a.payload !== b.payload) {
      this.#add('target', showBytes(a.payload!), showBytes(b.payload!), 'content');
    }
    this.#compareXattrs(a.xattrs, b.xattrs);
  }

  #compareFiles(a: TreeNode, b: TreeNode): void {
    if (a.size !== b.size) this.#add('size', String(a.size), String(b.size), 'content');
    else if (a.content !== undefined && b.content !== undefined) {
      if (!Buffer.from(a.content).equals(b.content)) {
        this.#add('content', digestOfContent(a), digestOfContent(b), 'content');
      }
    } else if (a.content !== undefined || b.content !== undefined) this.#compareInline(a, b);
    else this.#compareObjects(a, b);
  }

  /** One side has the bytes in the image, the other an object: the same file unless the digest says otherwise. */
  #compareInline(a: TreeNode, b: TreeNode): void {
    const [inside, outside] = a.content === undefined ? [b, a] : [a, b];
    const algorithm = algorithmOf(outside.digest);
    if (algorithm !== undefined && digestOfContent(inside, algorithm) !== outside.digest) {
      this.#add('content', digestOfContent(a, algorithm), digestOfContent(b, algorithm), 'content');
    } else {
      const show = (node: TreeNode): string =>
        node.content === undefined ? showObject(node) : 'in the image';
      this.#add('stored', show(a), show(b), 'inline');
    }
  }

  #compareObjects(a: TreeNode, b: TreeNode): void {
    const left = algorithmOf(a.digest);
    const right = algorithmOf(b.digest);
    if (left !== undefined && right !== undefined && left !== right) {
      this.#add('digest algorithm', left, right, 'algorithm');
    } else if (left !== undefined && right !== undefined && a.digest !== b.digest) {
      this.#add('content', a.digest!, b.digest!, 'content');
    } else if (a.digest !== b.digest) {
      this.#add('digest', a.digest ?? 'none', b.digest ?? 'none', 'digest');
    } else if (a.payload !== b.payload) {
      this.#add('object path', showObject(a), showObject(b), 'object-path');
    }
  }

  #compareXattrs(a: readonly Xattr[], b: readonly Xattr[]): void {
    if (a === b) return;
    const others = new Map(b.map((xattr) => [xattr.name, xattr]));
    for (const { name, value } of a) {
      const other = others.get(name);
      others.delete(name);
      if (other?.value === value) continue;
      const shown = other === undefined ? 'absent' : showValue(other.value);
      this.#add(`xattr ${showBytes(name)}`, showValue(value), shown, causeOfXattr(name));
    }
    for (const { name, value } of others.values()) {
      this.#add(`xattr ${showBytes(name)}`, 'absent', showValue(value), causeOfXattr(name));
    }
  }

  #add(attribute: string, a: string, b: string, cause: Cause): void {
    this.#differences.push({ path: this.#path, attribute, a, b, cause });
  }
}

type Pair = readonly [TreeNode | undefined, TreeNode | undefined];

/** The children of two directories, both in name order, side by side. */
function pairChildren(a: readonly TreeNode[], b: readonly TreeNode[]): Pair[] {
  const pairs: Pair[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const left = a[i];
    const right = b[j];
    if (right === undefined || (left !== undefined && left.name < right.name)) {
      pairs.push([left, undefined]);
      i++;
    } else if (left === undefined || right.name < left.name) {
      pairs.push([undefined, right]);
      j++;
    } else {
      pairs.push([left, right]);
      i++;
      j++;
    }
  }
  return pairs;
}

function causeOfXattr(name: ByteString): Cause {
  return name === SELINUX_XATTR ? 'selinux' : 'xattrs';
}

function isDevice(node: TreeNode): boolean {
  const type = node.mode & S_IFMT;
  return type === S_IFCHR || type === S_IFBLK;
}

function algorithmOf(digest: string | undefined): VerityAlgorithm | undefined {
  if (digest === undefined) return undefined;
  return digest.length === 128 ? 'sha512' : 'sha256';
}

function digestOfContent(node: TreeNode, algorithm: VerityAlgorithm = 'sha256'): string {
  if (node.content === undefined) return node.digest ?? 'unknown';
  const hasher = new VerityHasher(algorithm, hashFunction(algorithm));
  hasher.update(node.content);
  return toHex(hasher.digest());
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [S_IFDIR]: 'directory',
  [S_IFREG]: 'file',
  [S_IFLNK]: 'symlink',
  [S_IFCHR]: 'character device',
  [S_IFBLK]: 'block device',
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
};

function typeName(node: TreeNode): string {
  return TYPE_NAMES[node.mode & S_IFMT] ?? 'unknown';
}

function showPermissions(node: TreeNode): string {
  return (node.mode & ~S_IFMT).toString(8).padStart(4, '0');
}

function showTime(node: TreeNode): string {
  return `${node.mtimeSec}.${node.mtimeNsec}`;
}

function showObject({ payload }: TreeNode): string {
  return payload === undefined ? 'an object without a path' : `object ${showBytes(payload)}`;
}

const VALUE_SHOWN_MAX = 40;

function showValue(value: ByteString): string {
  const shown = showBytes(value.slice(0, VALUE_SHOWN_MAX) as ByteString);
  return `"${shown}"${value.length > VALUE_SHOWN_MAX ? `… (${value.length} bytes)` : ''}`;
}
