/**
 * A directory on disk to a table of entries, or to the tree of it.
 *
 * Names are bytes; symbolic links are never followed; every regular file larger than `inlineMax` gets the
 * digest of its content, read while the scan goes on. Hardlinks are lost by default, as mkcomposefs loses
 * them: each name becomes an inode of its own with one link. With `hardlinks` the names of one file are kept
 * together and the first in depth-first name order owns the inode. Either way a file is read once, however
 * many names it has.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { INLINE_CONTENT_MAX } from '../../runtime/format/composefs.ts';
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
import { ObjectStore, type StoreSummary } from '../objects/store.ts';
import { nodePath, showBytes, type ByteString } from './byte-string.ts';
import { EntryTable } from './entry-table.ts';
import { EntryLinks } from './entry-links.ts';
import { treeOfTable } from './tree-table.ts';
import {
  NO_XATTRS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  sortXattrs,
  type TreeNode,
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

export interface ScannedTable {
  /** Sealed; names, contents and digests are bytes in it. */
  readonly table: EntryTable;
  readonly entries: number;
  /** Bytes that were read. */
  readonly totalBytes: number;
  readonly store: StoreSummary | undefined;
  readonly cache?: CacheSummary | undefined;
}

export interface ScanResult extends Omit<ScannedTable, 'table'> {
  readonly root: TreeNode;
}

/** Entries scanned between two looks at the event loop: workers' answers arrive and interruptions are seen. */
const YIELD_ENTRIES = 2048;

/** Reads a directory tree. Throws HOST_NOT_FOUND, HOST_PERMISSION, HOST_FILE_CHANGED and the like, naming the path. */
export async function scanTable(path: ByteString, options: ScanOptions): Promise<ScannedTable> {
  return new Scanner(options).scan(path);
}

/** The same as nodes, which take five times the memory. */
export async function scanDirectory(path: ByteString, options: ScanOptions): Promise<ScanResult> {
  const { table, ...result } = await scanTable(path, options);
  return { ...result, root: treeOfTable(table) };
}

class Scanner {
  readonly #options: ScanOptions;
  readonly #pool: HashPool;
  readonly #table = new EntryTable();
  /** Entries of the pool's jobs. */
  readonly #hashed: number[] = [];
  /** The first name of each file that has several, by what tells it from others. */
  readonly #names = new Map<string, number>();
  /** Further names, each followed by the first one. */
  readonly #otherNames: number[] = [];
  readonly #xattrs = new XattrPool();
  readonly #links = new EntryLinks(this.#table);
  readonly #pending: { path: ByteString; entry: number }[] = [];
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

  async scan(path: ByteString): Promise<ScannedTable> {
    try {
      this.#addRoot(path);
      for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
        const before = this.#entries;
        this.#scanChildren(next.path, next.entry);
        if (crosses(before, this.#entries, YIELD_ENTRIES)) await this.#breathe();
        await this.#pool.hasRoom();
      }
      const stored = await this.#pool.finish(this.#options.interrupted);
      const store = addSummaries([stored, this.#store?.finish()]);
      this.#shareResults();
      this.#table.seal();
      this.#links.tie();
      const cache = this.#cache?.save();
      return {
        table: this.#table,
        entries: this.#entries,
        totalBytes: this.#totalBytes,
        store,
        cache,
      };
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

  #addRoot(path: ByteString): void {
    let stat: FastStat;
    try {
      // `/.` follows a symbolic link given on the command line, and refuses what is no directory.
      stat = lstatFast(`${path}/.`);
    } catch (error) {
      throw explainSysError(error, `Cannot read the source directory ${showBytes(path)}`);
    }
    const { cache, algorithm } = this.#options;
    if (cache !== undefined) this.#cache = DigestCache.open(path, stat, algorithm, cache);
    this.#pending.push({ path, entry: this.#add(0, '' as ByteString, path, stat) });
  }

  #scanChildren(path: ByteString, directory: number): void {
    let names: string[];
    try {
      names = readdirSync(nodePath(path), 'latin1');
    } catch (error) {
      throw explainSysError(error, `Cannot list the directory ${showBytes(path)}`);
    }
    const prefix = path.endsWith('/') ? path : `${path}/`;
    for (const name of names as ByteString[]) {
      const childPath = `${prefix}${name}` as ByteString;
      const stat = this.#describe(childPath);
      const type = stat.mode & S_IFMT;
      if (this.#options.skipDevices === true && (type === S_IFCHR || type === S_IFBLK)) continue;
      const entry = this.#add(directory, name, childPath, stat);
      if (type === S_IFDIR) this.#pending.push({ path: childPath, entry });
    }
  }

  #describe(path: ByteString): FastStat {
    try {
      return lstatInto(path, this.#stat);
    } catch (error) {
      throw explainSysError(error, `Cannot describe ${showBytes(path)}`);
    }
  }

  #add(parent: number, name: ByteString, path: ByteString, stat: FastStat): number {
    this.#entries++;
    const table = this.#table;
    const entry = table.add(parent, table.heap.addString(name), name.length, stat.mode);
    table.uid[entry] = stat.uid;
    table.gid[entry] = stat.gid;
    if (this.#options.useEpoch !== true) table.setMtime(entry, stat.mtimeSec, stat.mtimeNsec);
    table.xattrs[entry] = table.xattrLists.idOf(this.#readXattrs(path));
    const type = stat.mode & S_IFMT;
    if (type === S_IFREG) this.#addFile(entry, path, stat);
    else if (type === S_IFLNK) this.#addSymlink(entry, path);
    else if (type === S_IFCHR || type === S_IFBLK) table.rdev[entry] = stat.rdev;
    if (this.#options.hardlinks === true && type !== S_IFDIR && stat.nlink > 1) {
      this.#links.add(entry, `${stat.dev}:${stat.ino}`);
    }
    return entry;
  }

  #addSymlink(entry: number, path: ByteString): void {
    let target: Uint8Array;
    try {
      target = readlinkSync(nodePath(path), 'buffer');
    } catch (error) {
      throw explainSysError(error, `Cannot read the symlink ${showBytes(path)}`);
    }
    this.#table.setData(entry, target);
    this.#table.size[entry] = target.length;
  }

  #addFile(entry: number, path: ByteString, stat: FastStat): void {
    this.#table.size[entry] = stat.size;
    if (stat.size === 0 || this.#isOtherName(entry, stat)) return;
    this.#totalBytes += stat.size;
    const isInline = stat.size <= this.#options.inlineMax;
    const known = isInline ? undefined : this.#known(stat);
    if (known !== undefined) {
      this.#knownBytes += stat.size;
      this.#table.setObject(entry, Buffer.from(known, 'hex'));
      return;
    }
    if (!isInline) this.#cache?.missed(this.#hashed.length, path, stat);
    this.#hashed.push(entry);
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
  #isOtherName(entry: number, stat: FastStat): boolean {
    if (stat.nlink < 2) return false;
    const { dev, ino, size, ctimeSec, ctimeNsec, mtimeSec, mtimeNsec } = stat;
    const key = [dev, ino, size, ctimeSec, ctimeNsec, mtimeSec, mtimeNsec].join();
    const first = this.#names.get(key);
    if (first === undefined) this.#names.set(key, entry);
    else this.#otherNames.push(entry, first);
    return first !== undefined;
  }

  #onHashed(index: number, result: Uint8Array): void {
    const entry = this.#hashed[index]!;
    if (this.#table.size[entry]! <= this.#options.inlineMax) {
      this.#table.setData(entry, result);
      return;
    }
    this.#cache?.hashed(index, result);
    this.#table.setObject(entry, result);
  }

  /** Gives the other names of each file what its first name got. */
  #shareResults(): void {
    for (let i = 0; i < this.#otherNames.length; i += 2) {
      this.#table.copyContent(this.#otherNames[i]!, this.#otherNames[i + 1]!);
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

function crosses(before: number, after: number, step: number): boolean {
  return Math.floor(before / step) !== Math.floor(after / step);
}
