/**
 * A tree as columns of numbers: what an image is planned and written from.
 *
 * An entry is a name in a directory, in the order in which the source told of it; entry 0 is the root. Columns need
 * an eighth of the memory of objects, nothing in them is copied or marked by the garbage collector, and both the
 * reader of dumps (dumpfile.ts) and any tree of `TreeNode`s (tree-table.ts) fill them. What a field means is told in
 * tree.ts.
 */
import { XATTR_SELINUX } from '../../runtime/format/composefs.ts';
import { ByteHeap } from './byte-heap.ts';
import { byteStringOfText, type ByteString } from './byte-string.ts';
import { DigestPool, NO_DIGEST } from './digest-pool.ts';
import { indexEntries, type EntryIndex } from './entry-index.ts';
import { S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, type TreeNode } from './tree.ts';
import { XattrLists } from './xattr-lists.ts';

const CAPACITY_MIN = 512;
const TWO_32 = 2 ** 32;
const STUBS = 256;
/** In `redirect`: the file has no payload. Lower numbers are payloads that are no path of an object. */
export const NO_PAYLOAD = -1;
const FIRST_PAYLOAD = -2;
/** In `hardlink`: the entry is an inode of its own. */
export const NOT_LINKED = -1;
/** In `dataSize`: the file has no content in the image. */
export const NO_DATA = -1;

/** Bytes of columns for each entry; the test of it keeps a dump of a million entries within its limit. */
export const ENTRY_SIZE = 79;

export class EntryTable {
  /** Entries so far; after `seal`, with the stubs. */
  count = 0;
  /** Entries of the source: those from here on are stubs. */
  sourceCount = 0;
  readonly heap = new ByteHeap();
  readonly digests = new DigestPool();
  readonly xattrLists = new XattrLists();
  /** Payloads of regular files that are no path of an object. */
  readonly payloads: ByteString[] = [];
  readonly #payloadIds = new Map<ByteString, number>();
  #index: EntryIndex | undefined;

  /** The directory that an entry is in, or DETACHED (entry-index.ts); the root is its own. */
  parent = new Int32Array(CAPACITY_MIN);
  nameAt = new Float64Array(CAPACITY_MIN);
  nameSize = new Uint8Array(CAPACITY_MIN);
  mode = new Uint16Array(CAPACITY_MIN);
  nlink = new Uint32Array(CAPACITY_MIN);
  uid = new Uint32Array(CAPACITY_MIN);
  gid = new Uint32Array(CAPACITY_MIN);
  rdev = new Uint32Array(CAPACITY_MIN);
  size = new Float64Array(CAPACITY_MIN);
  /** Seconds in two parts: the upper one with the sign. */
  mtimeHigh = new Int32Array(CAPACITY_MIN);
  mtimeLow = new Uint32Array(CAPACITY_MIN);
  mtimeNsec = new Uint32Array(CAPACITY_MIN);
  /** Number in `xattrLists`. */
  xattrs = new Int32Array(CAPACITY_MIN);
  /** Target of a symlink, or content in the image of a regular file. */
  dataAt = new Float64Array(CAPACITY_MIN);
  dataSize = new Int32Array(CAPACITY_MIN);
  /** Regular file: its digest in `digests`, or NO_DIGEST. */
  digest = new Int32Array(CAPACITY_MIN);
  /** Regular file: the digest whose object its payload names, NO_PAYLOAD, or another payload. */
  redirect = new Int32Array(CAPACITY_MIN);
  /** The entry whose inode this is one more name of, or NOT_LINKED. */
  hardlink = new Int32Array(CAPACITY_MIN);

  /** A new entry with a name that is in the heap already; everything else is 0 or absent. */
  add(parent: number, nameAt: number, nameSize: number, mode: number): number {
    const entry = this.count++;
    if (entry === this.parent.length) this.#grow();
    this.parent[entry] = parent;
    this.nameAt[entry] = nameAt;
    this.nameSize[entry] = nameSize;
    this.mode[entry] = mode;
    this.nlink[entry] = 1;
    this.dataSize[entry] = NO_DATA;
    this.digest[entry] = NO_DIGEST;
    this.redirect[entry] = NO_PAYLOAD;
    this.hardlink[entry] = NOT_LINKED;
    return entry;
  }

  /** A copy of a node, without its children. Of a hardlink it takes the name only; the target is set later. */
  addNode(parent: number, node: TreeNode): number {
    const { name } = node;
    const entry = this.add(parent, this.heap.addString(name), name.length, node.mode);
    if (node.hardlink !== undefined) return entry;
    this.nlink[entry] = node.nlink;
    this.uid[entry] = node.uid;
    this.gid[entry] = node.gid;
    this.rdev[entry] = node.rdev;
    this.size[entry] = node.size;
    this.setMtime(entry, node.mtimeSec, node.mtimeNsec);
    this.xattrs[entry] = this.xattrLists.idOf(node.xattrs);
    if ((node.mode & S_IFMT) === S_IFREG) this.#setFile(entry, node);
    else if (node.payload !== undefined) {
      this.dataAt[entry] = this.heap.addString(node.payload);
      this.dataSize[entry] = node.payload.length;
    }
    return entry;
  }

  setMtime(entry: number, sec: number | bigint, nsec: number): void {
    if (typeof sec === 'number') {
      this.mtimeHigh[entry] = Math.floor(sec / TWO_32);
      this.mtimeLow[entry] = sec >>> 0;
    } else {
      this.mtimeHigh[entry] = Number(BigInt.asIntN(32, sec >> 32n));
      this.mtimeLow[entry] = Number(BigInt.asUintN(32, sec));
    }
    this.mtimeNsec[entry] = nsec;
  }

  #setFile(entry: number, { content, digest, payload }: TreeNode): void {
    if (content !== undefined) this.setData(entry, content);
    if (digest !== undefined) {
      const slot = this.digests.addHex(digest, digest.length / 2);
      if (slot === NO_DIGEST) throw new Error(`${digest} is no digest`);
      this.digest[entry] = slot;
    }
    if (payload === undefined) return;
    const slot = this.digests.addObjectPath(payload);
    this.redirect[entry] = slot === NO_DIGEST ? FIRST_PAYLOAD - this.#payloadId(payload) : slot;
  }

  /** Gives a symlink its target, or a regular file its content in the image. */
  setData(entry: number, bytes: Uint8Array): void {
    this.dataAt[entry] = this.heap.addBytes(bytes, 0, bytes.length);
    this.dataSize[entry] = bytes.length;
  }

  /** Gives a regular file the object of a digest, which has 32 or 64 bytes. */
  setObject(entry: number, digest: Uint8Array): void {
    this.digests.scratch.set(digest);
    const slot = this.digests.add(digest.length);
    this.digest[entry] = slot;
    this.redirect[entry] = slot;
  }

  /** Gives a regular file what another one has. */
  copyContent(entry: number, from: number): void {
    this.dataAt[entry] = this.dataAt[from]!;
    this.dataSize[entry] = this.dataSize[from]!;
    this.digest[entry] = this.digest[from]!;
    this.redirect[entry] = this.redirect[from]!;
  }

  /** Makes an entry what another one is, under its own name; the number of its names stays. */
  copyInode(entry: number, from: number): void {
    this.mode[entry] = this.mode[from]!;
    this.uid[entry] = this.uid[from]!;
    this.gid[entry] = this.gid[from]!;
    this.rdev[entry] = this.rdev[from]!;
    this.size[entry] = this.size[from]!;
    this.mtimeHigh[entry] = this.mtimeHigh[from]!;
    this.mtimeLow[entry] = this.mtimeLow[from]!;
    this.mtimeNsec[entry] = this.mtimeNsec[from]!;
    this.xattrs[entry] = this.xattrs[from]!;
    this.copyContent(entry, from);
  }

  #payloadId(payload: ByteString): number {
    let id = this.#payloadIds.get(payload);
    if (id === undefined) this.#payloadIds.set(payload, (id = this.payloads.push(payload) - 1));
    return id;
  }

  name(entry: number): ByteString {
    return this.heap.string(this.nameAt[entry]!, this.nameSize[entry]!);
  }

  /** The path of an entry; the root's is `/`. */
  path(entry: number): ByteString {
    let path = '';
    for (let at = entry; at !== 0; at = this.parent[at]!) path = `/${this.name(at)}${path}`;
    return (path === '' ? '/' : path) as ByteString;
  }

  /** The payload that a number in `redirect` means. */
  payload(redirect: number): ByteString | undefined {
    if (redirect === NO_PAYLOAD) return undefined;
    return redirect >= 0 ? this.digests.objectPath(redirect) : this.otherPayload(redirect);
  }

  /** The payload of a number below NO_PAYLOAD. */
  otherPayload(redirect: number): ByteString {
    return this.payloads[FIRST_PAYLOAD - redirect]!;
  }

  mtimeSec(entry: number): number | bigint {
    const sec = this.mtimeHigh[entry]! * TWO_32 + this.mtimeLow[entry]!;
    if (Number.isSafeInteger(sec)) return sec;
    return (BigInt(this.mtimeHigh[entry]!) << 32n) + BigInt(this.mtimeLow[entry]!);
  }

  /**
   * Ends the filling: adds the stubs, finds the entries of each directory and sorts them by name. `onDuplicate` gets
   * each two entries of one name, of which there must be none.
   */
  seal(onDuplicate: (first: number, second: number) => void = () => undefined): void {
    this.sourceCount = this.count;
    this.#addStubs();
    this.#index = indexEntries(this, onDuplicate);
  }

  /** The entries of each directory. Only of a sealed table. */
  get index(): EntryIndex {
    if (this.#index === undefined) throw new Error('the table is not sealed');
    return this.#index;
  }

  /** The entries of the source as a tree is walked: parents first, then by name. Only of a sealed table. */
  *depthFirst(): Generator<number> {
    const { start, entries } = this.index;
    const stack = [0];
    for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
      if (entry < this.sourceCount) yield entry;
      for (let i = start[entry + 1]! - 1; i >= start[entry]!; i--) stack.push(entries[i]!);
    }
  }

  /** A whiteout in the root for each name of an object directory that is still free. */
  #addStubs(): void {
    const taken = new Set<string>();
    for (let entry = 1; entry < this.count; entry++) {
      if (this.parent[entry] === 0 && this.nameSize[entry] === 2) taken.add(this.name(entry));
    }
    const rootXattrs = this.xattrLists.lists[this.xattrs[0]!]!;
    const selinux = rootXattrs.filter(({ name }) => name === XATTR_SELINUX);
    for (let i = 0; i < STUBS; i++) {
      const name = byteStringOfText(i.toString(16).padStart(2, '0'));
      if (taken.has(name)) continue;
      const stub = this.add(0, this.heap.addString(name), name.length, S_IFCHR | 0o644);
      this.uid[stub] = this.uid[0]!;
      this.gid[stub] = this.gid[0]!;
      this.mtimeHigh[stub] = this.mtimeHigh[0]!;
      this.mtimeLow[stub] = this.mtimeLow[0]!;
      this.mtimeNsec[stub] = this.mtimeNsec[0]!;
      this.xattrs[stub] = this.xattrLists.idOf(selinux);
    }
  }

  /** Type bits of the mode. */
  typeOf(entry: number): number {
    return this.mode[entry]! & S_IFMT;
  }

  isDirectory(entry: number): boolean {
    return (this.mode[entry]! & S_IFMT) === S_IFDIR;
  }

  /** A whiteout of the source, which an image stores in a way of its own; stubs are whiteouts as they are. */
  isWhiteout(entry: number): boolean {
    const isDevice = (this.mode[entry]! & S_IFMT) === S_IFCHR;
    return isDevice && this.rdev[entry] === 0 && entry < this.sourceCount;
  }

  /** A regular file whose bytes are in the object store. */
  isExternal(entry: number): boolean {
    const isFile = (this.mode[entry]! & S_IFMT) === S_IFREG;
    return isFile && this.dataSize[entry]! < 0 && this.size[entry]! > 0;
  }

  #grow(): void {
    const capacity = 2 * this.parent.length;
    this.parent = grown(this.parent, new Int32Array(capacity));
    this.nameAt = grown(this.nameAt, new Float64Array(capacity));
    this.nameSize = grown(this.nameSize, new Uint8Array(capacity));
    this.mode = grown(this.mode, new Uint16Array(capacity));
    this.nlink = grown(this.nlink, new Uint32Array(capacity));
    this.uid = grown(this.uid, new Uint32Array(capacity));
    this.gid = grown(this.gid, new Uint32Array(capacity));
    this.rdev = grown(this.rdev, new Uint32Array(capacity));
    this.size = grown(this.size, new Float64Array(capacity));
    this.mtimeHigh = grown(this.mtimeHigh, new Int32Array(capacity));
    this.mtimeLow = grown(this.mtimeLow, new Uint32Array(capacity));
    this.mtimeNsec = grown(this.mtimeNsec, new Uint32Array(capacity));
    this.xattrs = grown(this.xattrs, new Int32Array(capacity));
    this.dataAt = grown(this.dataAt, new Float64Array(capacity));
    this.dataSize = grown(this.dataSize, new Int32Array(capacity));
    this.digest = grown(this.digest, new Int32Array(capacity));
    this.redirect = grown(this.redirect, new Int32Array(capacity));
    this.hardlink = grown(this.hardlink, new Int32Array(capacity));
  }
}

function grown<T extends { set(from: T): void }>(from: T, into: T): T {
  into.set(from);
  return into;
}
