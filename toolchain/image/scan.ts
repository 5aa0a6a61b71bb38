/**
 * A directory on disk to a tree.
 *
 * Names are bytes; symbolic links are never followed; every regular file larger than `inlineMax` gets the
 * digest of its content, read while the scan goes on. Hardlinks are lost by default, as mkcomposefs loses
 * them: each name becomes an inode of its own with one link. With `hardlinks` the names of one file are kept
 * together and the first in depth-first name order owns the inode. Either way a file is read once, however
 * many names it has.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { INLINE_CONTENT_MAX } from '../../runtime/format/composefs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import {
  listXattrs,
  lstatFast,
  lstatInto,
  newFastStat,
  type FastStat,
} from '../../runtime/engines/node/xattr.ts';
import {
  type CacheSummary,
  DigestCache,
  type DigestCacheOptions,
} from '../objects/digest-cache.ts';
import { addSummaries, HashPool } from '../objects/hash-pool.ts';
import { objectPath } from '../objects/layout.ts';
import { ObjectStore, type StoreSummary } from '../objects/store.ts';
import { byteString, flat, nodePath, showBytes, type ByteString } from './byte-string.ts';
import {
  isRegular,
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  sortChildren,
  sortXattrs,
  TreeNode,
  walkTree,
  XattrPool,
  type Xattr,
} from './tree.ts';

export interface ScanOptions {
  /** Algorithm of the objects' digests. */
  readonly algorithm: VerityAlgorithm;
  /** Files up to this many bytes are stored in the image. */
  readonly inlineMax: number;
  readonly threads: number;
  readonly useEpoch?: boolean;
  readonly skipDevices?: boolean;
  readonly xattrs?: 'all' | 'user' | 'none';
  readonly hardlinks?: boolean;
  /** Object store to fill on the way. */
  readonly store?: string | undefined;
  readonly verifyExisting?: boolean;
  /** Digests of earlier scans, of files that have not changed since; without it every file is read. */
  readonly cache?: DigestCacheOptions | undefined;
  readonly interrupted?: AbortSignal;
  /** Called now and then with what is done so far. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export interface ScanProgress {
  readonly entries: number;
  readonly hashedBytes: number;
  /** Bytes to hash; grows until the scan is over. */
  readonly totalBytes: number;
}

export interface ScanResult {
  readonly root: TreeNode;
  readonly entries: number;
  /** Bytes that were read. */
  readonly totalBytes: number;
  readonly store: StoreSummary | undefined;
  readonly cache?: CacheSummary | undefined;
}

/** Entries scanned between two looks at the event loop: workers' answers arrive and interruptions are seen. */
const YIELD_ENTRIES = 2048;

/** Reads a directory tree. Throws HOST_NOT_FOUND, HOST_PERMISSION, HOST_FILE_CHANGED and the like, naming the path. */
export async function scanDirectory(path: ByteString, options: ScanOptions): Promise<ScanResult> {
  return new Scanner(options).scan(path);
}

class Scanner {
  readonly #options: ScanOptions;
  readonly #pool: HashPool;
  readonly #hashed: TreeNode[] = [];
  /** The names of each file that has several, by what tells it from others. */
  readonly #names = new Map<string, TreeNode[]>();
  readonly #xattrs = new XattrPool();
  readonly #inodes = new Map<TreeNode, string>();
  readonly #pending: { path: ByteString; node: TreeNode }[] = [];
  /** Filled anew for every name. */
  readonly #stat = newFastStat();
  #entries = 0;
  #totalBytes = 0;
  #hashedBytes = 0;
  #cache: DigestCache | undefined;
  /** The store as this thread sees it: only to ask for objects whose digest the cache knew. */
  #store: ObjectStore | undefined;
  /** Bytes of files that need not be read. */
  #knownBytes = 0;

  constructor(options: ScanOptions) {
    if (options.inlineMax > INLINE_CONTENT_MAX) throw new RangeError('inlineMax is too large');
    this.#options = options;
    const { algorithm, inlineMax, threads, store } = options;
    const poolOptions = {
      algorithm,
      inlineMax,
      threads,
      store,
      verifyExisting: options.verifyExisting ?? false,
      onProgress: (bytes: number) => {
        this.#hashedBytes = bytes;
        this.#report();
      },
    };
    this.#pool = new HashPool(poolOptions, (index, result) => this.#onHashed(index, result));
  }

  async scan(path: ByteString): Promise<ScanResult> {
    try {
      const root = this.#root(path);
      for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
        const before = this.#entries;
        this.#scanChildren(next.path, next.node);
        if (crosses(before, this.#entries, YIELD_ENTRIES)) await this.#breathe();
        await this.#pool.hasRoom();
      }
      const stored = await this.#pool.finish(this.#options.interrupted);
      const store = addSummaries([stored, this.#store?.finish()]);
      this.#shareResults();
      if (this.#options.hardlinks === true) linkNames(root, this.#inodes);
      const cache = this.#cache?.save();
      return { root, entries: this.#entries, totalBytes: this.#totalBytes, store, cache };
    } catch (error) {
      await this.#pool.stop();
      throw error;
    } finally {
      this.#store?.[Symbol.dispose]();
    }
  }

  async #breathe(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#options.interrupted?.throwIfAborted();
    this.#report();
  }

  #report(): void {
    this.#options.onProgress?.({
      entries: this.#entries,
      hashedBytes: this.#hashedBytes,
      totalBytes: this.#totalBytes - this.#knownBytes,
    });
  }

  #root(path: ByteString): TreeNode {
    let stat: FastStat;
    try {
      // `/.` follows a symbolic link given on the command line, and refuses what is no directory.
      stat = lstatFast(`${path}/.`);
    } catch (error) {
      throw explainSysError(error, `Cannot read the source directory ${showBytes(path)}`);
    }
    const { cache, algorithm } = this.#options;
    if (cache !== undefined) this.#cache = DigestCache.open(path, stat, algorithm, cache);
    const root = this.#node('' as ByteString, path, stat);
    this.#pending.push({ path, node: root });
    return root;
  }

  #scanChildren(path: ByteString, directory: TreeNode): void {
    let names: string[];
    try {
      names = readdirSync(nodePath(path), 'latin1');
    } catch (error) {
      throw explainSysError(error, `Cannot list the directory ${showBytes(path)}`);
    }
    const prefix = path.endsWith('/') ? path : `${path}/`;
    const children = directory.children!;
    for (const name of names) {
      const childPath = `${prefix}${name}` as ByteString;
      const child = this.#entry(name as ByteString, childPath);
      if (child === undefined) continue;
      children.push(child);
      if (child.children !== undefined) this.#pending.push({ path: childPath, node: child });
    }
    sortChildren(children);
  }

  #entry(name: ByteString, path: ByteString): TreeNode | undefined {
    let stat: FastStat;
    try {
      stat = lstatInto(path, this.#stat);
    } catch (error) {
      throw explainSysError(error, `Cannot describe ${showBytes(path)}`);
    }
    const type = stat.mode & S_IFMT;
    if (this.#options.skipDevices === true && (type === S_IFCHR || type === S_IFBLK)) {
      return undefined;
    }
    return this.#node(name, path, stat);
  }

  #node(name: ByteString, path: ByteString, stat: FastStat): TreeNode {
    this.#entries++;
    const node = new TreeNode(name, stat.mode);
    node.uid = stat.uid;
    node.gid = stat.gid;
    if (this.#options.useEpoch !== true) {
      node.mtimeSec = stat.mtimeSec;
      node.mtimeNsec = stat.mtimeNsec;
    }
    node.xattrs = this.#readXattrs(path);
    const type = stat.mode & S_IFMT;
    if (type === S_IFREG) this.#addFile(node, path, stat);
    else if (type === S_IFLNK) this.#addSymlink(node, path);
    else if (type === S_IFCHR || type === S_IFBLK) node.rdev = stat.rdev;
    if (this.#options.hardlinks === true && type !== S_IFDIR && stat.nlink > 1) {
      this.#inodes.set(node, `${stat.dev}:${stat.ino}`);
    }
    return node;
  }

  #addSymlink(node: TreeNode, path: ByteString): void {
    try {
      node.payload = byteString(readlinkSync(nodePath(path), 'buffer'));
    } catch (error) {
      throw explainSysError(error, `Cannot read the symlink ${showBytes(path)}`);
    }
    node.size = node.payload.length;
  }

  #addFile(node: TreeNode, path: ByteString, stat: FastStat): void {
    node.size = stat.size;
    if (stat.size === 0 || this.#isOtherName(node, stat)) return;
    this.#totalBytes += stat.size;
    const isInline = stat.size <= this.#options.inlineMax;
    const known = isInline ? undefined : this.#known(stat);
    if (known !== undefined) {
      this.#knownBytes += stat.size;
      setDigest(node, known);
      return;
    }
    if (!isInline) this.#cache?.missed(this.#hashed.length, path, stat);
    this.#hashed.push(node);
    this.#pool.add(path, stat);
  }

  /** The digest of a file that need not be read: it is in the cache, and its object is in the store if there is one. */
  #known(stat: FastStat): string | undefined {
    const { store, verifyExisting } = this.#options;
    if (this.#cache === undefined || verifyExisting === true) return undefined;
    const digest = this.#cache.lookup(stat);
    if (digest === undefined || store === undefined) return digest;
    this.#store ??= new ObjectStore(store);
    if (this.#store.has(digest, stat.size)) return digest;
    return undefined;
  }

  /** Whether this is one more name of a file that is hashed already. One that changed meanwhile is another file. */
  #isOtherName(node: TreeNode, stat: FastStat): boolean {
    if (stat.nlink < 2) return false;
    const { dev, ino, size, ctimeSec, ctimeNsec, mtimeSec, mtimeNsec } = stat;
    const key = [dev, ino, size, ctimeSec, ctimeNsec, mtimeSec, mtimeNsec].join();
    const names = this.#names.get(key);
    if (names === undefined) this.#names.set(key, [node]);
    else names.push(node);
    return names !== undefined;
  }

  #onHashed(index: number, result: Uint8Array): void {
    const node = this.#hashed[index]!;
    if (node.size <= this.#options.inlineMax) {
      node.content = result.slice();
      return;
    }
    this.#cache?.hashed(index, result);
    setDigest(node, Buffer.from(result.buffer, result.byteOffset, result.length).toString('hex'));
  }

  /** Gives the other names of each file what its first name got. */
  #shareResults(): void {
    for (const [first, ...others] of this.#names.values()) {
      const { content, digest, payload } = first!;
      for (const other of others) Object.assign(other, { content, digest, payload });
    }
  }

  #readXattrs(path: ByteString): readonly Xattr[] {
    const which = this.#options.xattrs ?? 'all';
    if (which === 'none') return NO_XATTRS;
    let found: [string, string][];
    try {
      found = listXattrs(path);
    } catch (error) {
      throw explainSysError(error, `Cannot read the extended attributes of ${showBytes(path)}`);
    }
    if (found.length === 0) return NO_XATTRS;
    const result: Xattr[] = [];
    for (const [name, value] of found) {
      if (which === 'user' && !name.startsWith('user.')) continue;
      result.push(this.#xattrs.get(name as ByteString, value as ByteString));
    }
    return result.length === 0 ? NO_XATTRS : sortXattrs(result);
  }
}

function setDigest(node: TreeNode, digest: string): void {
  node.digest = digest;
  node.payload = flat(objectPath(digest));
}

function crosses(before: number, after: number, step: number): boolean {
  return Math.floor(before / step) !== Math.floor(after / step);
}

/** Makes one inode of the names of one file; the first name in depth-first order owns it. */
function linkNames(root: TreeNode, inodes: ReadonlyMap<TreeNode, string>): void {
  const owners = new Map<string, TreeNode>();
  for (const { node } of walkTree(root)) {
    const inode = inodes.get(node);
    if (inode === undefined) continue;
    const owner = owners.get(inode);
    if (owner === undefined) owners.set(inode, node);
    else {
      requireSameFile(owner, node);
      node.hardlink = owner;
      owner.nlink++;
    }
  }
}

/** Two names of one inode cannot differ unless it changed between the two looks at it. */
function requireSameFile(a: TreeNode, b: TreeNode): void {
  if (a.size === b.size && a.digest === b.digest && isRegular(a) === isRegular(b)) return;
  throw new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot describe ${showBytes(b.name)}: it changed while it was read, expected the content of its hardlink`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}
