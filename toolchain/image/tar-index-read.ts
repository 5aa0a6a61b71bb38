/**
 * An index of an archive back to the tree that it was written from, and the checks of an index.
 *
 * Each directory is read once and each inode is decoded once, whatever the image says, and names are in their order.
 * A payload says where a file's bytes are in the archive (tar-extents.ts).
 */
import { toByteString } from '../../runtime/format/bytes.ts';
import { DirentBlock } from '../../runtime/format/erofs-dirents.ts';
import {
  EROFS_XATTR_INDEX_LUSTRE,
  EROFS_XATTR_PREFIXES,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { payloadOf } from './tar-extents.ts';
import { INDEX_BLOCK_SIZE } from './tar-index-format.ts';
import {
  failIndex,
  TarIndexImage,
  type IndexedArchive,
  type IndexInode,
} from './tar-index-open.ts';
import { TAR_LIMITS } from './tar-limits.ts';
import {
  isSymlink,
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  S_IFREG,
  sortXattrs,
  TreeNode,
  XattrPool,
  type Xattr,
} from './tree.ts';

const PREFIXES: ReadonlyMap<number, string> = new Map([
  [0, ''],
  ...EROFS_XATTR_PREFIXES,
  [EROFS_XATTR_INDEX_LUSTRE, 'lustre.'],
]);

/** Reads the whole tree. Throws FORMAT_TAR_INDEX_*, FORMAT_DIRENT_*. */
export function readIndexTree(image: TarIndexImage): TreeNode {
  return new IndexReader(image).read();
}

export interface IndexCheck {
  readonly broken: readonly { readonly code: string; readonly message: string }[];
  readonly inodes?: number;
  readonly archive?: IndexedArchive;
}

/** Checks an index completely; nothing that it holds makes this throw. */
export function checkIndex(bytes: Uint8Array): IndexCheck {
  try {
    const image = new TarIndexImage(bytes);
    readIndexTree(image);
    return { broken: [], inodes: Number(image.superblock.inos), archive: image.archive };
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    return { broken: [{ code: error.code, message: error.message }] };
  }
}

interface OpenDirectory {
  readonly node: TreeNode;
  readonly inode: IndexInode;
  readonly parentNid: number;
}

class IndexReader {
  readonly #image: TarIndexImage;
  readonly #pool = new XattrPool();
  readonly #shared = new Map<number, Xattr>();
  /** Every inode that has a name, by nid. */
  readonly #nodes = new Map<number, TreeNode>();
  /** Names that each file should still have. */
  readonly #namesLeft = new Map<TreeNode, number>();
  #names = 0;

  constructor(image: TarIndexImage) {
    this.#image = image;
  }

  read(): TreeNode {
    const rootNid = this.#image.superblock.root_nid;
    const inode = this.#image.inode(rootNid);
    const root = this.#node('' as ByteString, inode);
    if (root.children === undefined) failIndex('FORMAT_TAR_INDEX_TREE', 'its root is no directory');
    const directories: OpenDirectory[] = [{ node: root, inode, parentNid: rootNid }];
    for (const directory of directories) this.#readDirectory(directory, directories);
    for (const [node, left] of this.#namesLeft) {
      if (left === 0) continue;
      failIndex('FORMAT_TAR_INDEX_TREE', `${showBytes(node.name)} lacks ${left} of its names`);
    }
    const { inos } = this.#image.superblock;
    if (inos !== BigInt(this.#nodes.size)) {
      failIndex('FORMAT_TAR_INDEX_TREE', `it has ${this.#nodes.size} inodes, expected ${inos}`);
    }
    return root;
  }

  #readDirectory(directory: OpenDirectory, directories: OpenDirectory[]): void {
    const { node, inode, parentNid } = directory;
    const { bytes } = this.#image;
    let last = '';
    const dots = new Map<string, number>();
    let subdirectories = 0;
    for (const { start, size } of entryBlocks(inode)) {
      const block = new DirentBlock(this.#image, inode.nid, start, size);
      for (let i = 0; i < block.count; i++) {
        const { nid, nameStart, nameEnd } = block.entry(i);
        const name = toByteString(bytes, nameStart, nameEnd) as ByteString;
        if (last !== '' && name <= last)
          this.#fail(directory, `${showBytes(name)} is out of order`);
        last = name;
        if (name === '.' || name === '..') dots.set(name, nid);
        else {
          const child = this.#entry(name, nid, directory, directories);
          node.children!.push(child);
          if (child.children !== undefined) subdirectories++;
        }
      }
    }
    if (dots.get('.') !== inode.nid || dots.get('..') !== parentNid) {
      this.#fail(directory, 'its . and .. lead elsewhere');
    }
    if (inode.nlink !== subdirectories + 2) this.#fail(directory, `it has ${inode.nlink} links`);
  }

  #entry(
    name: ByteString,
    nid: number,
    directory: OpenDirectory,
    directories: OpenDirectory[],
  ): TreeNode {
    if (++this.#names > TAR_LIMITS.entries) this.#fail(directory, 'there are too many names');
    const known = this.#nodes.get(nid);
    if (known === undefined) {
      const inode = this.#image.inode(nid);
      const node = this.#node(name, inode);
      if (node.children !== undefined) {
        directories.push({ node, inode, parentNid: directory.inode.nid });
      }
      return node;
    }
    const left = this.#namesLeft.get(known) ?? 0;
    if (left === 0) this.#fail(directory, `${showBytes(name)} is another name of nid ${nid}`);
    this.#namesLeft.set(known, left - 1);
    const link = new TreeNode(name, known.mode);
    link.hardlink = known;
    return link;
  }

  #node(name: ByteString, inode: IndexInode): TreeNode {
    const node = new TreeNode(name, inode.mode);
    const type = inode.mode & S_IFMT;
    node.uid = inode.uid;
    node.gid = inode.gid;
    node.mtimeSec = inode.mtimeSec;
    node.mtimeNsec = inode.mtimeNsec;
    node.xattrs = this.#xattrs(inode);
    if (type === S_IFCHR || type === S_IFBLK) node.rdev = inode.union;
    if (type === S_IFREG) {
      node.size = inode.size;
      if (inode.size > 0) node.payload = payloadOf(this.#image.extents(inode), inode.size);
    } else if (isSymlink(node)) {
      const { start, size } = inode.blocks.size > 0 ? inode.blocks : inode.tail;
      node.payload = toByteString(this.#image.bytes, start, start + size) as ByteString;
      node.size = size;
    }
    this.#nodes.set(inode.nid, node);
    if (node.children === undefined) {
      node.nlink = inode.nlink;
      if (inode.nlink !== 1) this.#namesLeft.set(node, inode.nlink - 1);
    }
    return node;
  }

  #xattrs({ nid, xattrStart, xattrEnd }: IndexInode): readonly Xattr[] {
    if (xattrStart === xattrEnd) return NO_XATTRS;
    const { h_shared_count: sharedCount } = ErofsXattrIbodyHeader.decode(
      this.#image.bytes,
      xattrStart,
    );
    const xattrs: Xattr[] = [];
    let at = xattrStart + ErofsXattrIbodyHeader.size;
    if (at + 4 * sharedCount > xattrEnd) this.#failXattr(nid);
    for (let i = 0; i < sharedCount; i++, at += 4) {
      xattrs.push(this.#sharedXattr(this.#image.view.getUint32(at, true), nid));
    }
    while (at < xattrEnd) {
      const { xattr, end } = this.#xattrAt(at, xattrEnd, nid);
      xattrs.push(xattr);
      at = Math.ceil(end / 4) * 4;
    }
    const sorted = sortXattrs(xattrs);
    const isDoubled = sorted.some(({ name }, i) => i > 0 && name === sorted[i - 1]!.name);
    if (isDoubled) this.#failXattr(nid);
    return sorted;
  }

  #sharedXattr(id: number, nid: number): Xattr {
    let xattr = this.#shared.get(id);
    if (xattr === undefined) {
      const at = this.#image.superblock.xattr_blkaddr * INDEX_BLOCK_SIZE + id * 4;
      ({ xattr } = this.#xattrAt(at, this.#image.bytes.length, nid));
      this.#shared.set(id, xattr);
    }
    return xattr;
  }

  #xattrAt(at: number, limit: number, nid: number): { xattr: Xattr; end: number } {
    const { bytes } = this.#image;
    if (at + ErofsXattrEntry.size > limit) this.#failXattr(nid);
    const entry = ErofsXattrEntry.decode(bytes, at);
    const suffixAt = at + ErofsXattrEntry.size;
    const valueAt = suffixAt + entry.e_name_len;
    const end = valueAt + entry.e_value_size;
    const prefix = PREFIXES.get(entry.e_name_index);
    if (end > limit || prefix === undefined) this.#failXattr(nid);
    const name = (prefix + toByteString(bytes, suffixAt, valueAt)) as ByteString;
    return { xattr: this.#pool.get(name, toByteString(bytes, valueAt, end) as ByteString), end };
  }

  #failXattr(nid: number): never {
    return failIndex('FORMAT_TAR_INDEX_TREE', `inode ${nid} has malformed attributes`);
  }

  #fail({ inode }: OpenDirectory, problem: string): never {
    return failIndex('FORMAT_TAR_INDEX_TREE', `in the directory with nid ${inode.nid}, ${problem}`);
  }
}

/** Where the blocks of a directory's entries are. */
function* entryBlocks({ blocks, tail }: IndexInode): Generator<{ start: number; size: number }> {
  for (let at = 0; at < blocks.size; at += INDEX_BLOCK_SIZE) {
    yield { start: blocks.start + at, size: Math.min(INDEX_BLOCK_SIZE, blocks.size - at) };
  }
  if (tail.size > 0) yield tail;
}
