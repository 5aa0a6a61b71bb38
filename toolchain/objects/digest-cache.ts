/**
 * Digests of the files of a source directory, kept from one build to the next: a file whose inode, size, modification
 * time and change time are those of its entry is not read again.
 *
 * The change time is the kernel's and cannot be set by a program, so it moves with every change of content; what that
 * rests on, and where it is not believed, is in digest-cache-trust.ts and docs/cache.md. One cache file belongs to one
 * source directory and algorithm. A build writes the entries it has seen, so what is gone from the tree goes from the
 * cache. A cache that cannot be used is as good as none: the build reads every file.
 */
import { join } from 'node:path';
import type { FastStat } from '../../runtime/engines/node/xattr.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { cacheDirectory } from '../files/cache-directory.ts';
import type { ByteString } from '../image/byte-string.ts';
import { readCacheFile, touchCacheFile, trimCaches, writeCacheFile } from './digest-cache-files.ts';
import {
  type CacheIdentity,
  decodeCache,
  encodeCache,
  ENTRIES_MAX,
  EntryTable,
} from './digest-cache-format.ts';
import { identifySource, judgeTimes, mayBeOpenForWriting } from './digest-cache-trust.ts';

export interface DigestCacheOptions {
  /** Directory of the caches; by default `digests` in coldseal's own (cache-directory.ts). */
  readonly directory?: string;
  /** Smaller trees are not worth a file. */
  readonly minFiles?: number;
  readonly minBytes?: number;
  /** Milliseconds since 1970; tests set it. */
  readonly now?: () => number;
  /** What the cache belongs to, or why there is none; tests give their own. */
  readonly identify?: typeof identifySource;
}

/** What a cache was good for. */
export interface CacheSummary {
  /** Files that were not read. */
  readonly hits: number;
  /** Files that had to be read. */
  readonly misses: number;
  /** Misses that the next build need not read. */
  readonly added: number;
  /** Why the source has no cache, or what was wrong with it. */
  readonly problem?: string;
}

/** Hashing less takes less time than looking after a file. */
const MIN_FILES = 256;
const MIN_BYTES = 16 << 20;

/** Where the caches lie. */
export function digestCacheDirectory(): string {
  return join(cacheDirectory(), 'digests');
}

export class DigestCache {
  readonly #algorithm: VerityAlgorithm;
  readonly #options: DigestCacheOptions;
  readonly #now: () => number;
  readonly #device: number;
  readonly #identity: CacheIdentity | undefined;
  readonly #directory: string;
  #problem: string | undefined;
  #old: EntryTable | undefined;
  #index: Int32Array = new Int32Array(0);
  /** Old entries that were looked up and right: they are kept. */
  #seen = new Uint8Array(0);
  #kept = 0;
  readonly #fresh: EntryTable;
  /** Jobs of the hash pool to new entries. */
  readonly #entryOfJob = new Map<number, number>();
  /** New entries that have their digest. */
  readonly #hashed: number[] = [];
  /** Whether the last lookup found its file. */
  #isFound = false;
  /** Inodes with several names that have an entry already. */
  readonly #linked = new Set<number>();
  #hits = 0;
  #misses = 0;
  #bytes = 0;

  /** Opens the cache of a source directory, whose stat is given. Whatever is wrong with it, the build goes on. */
  static open(
    path: ByteString,
    root: Pick<FastStat, 'dev' | 'ino'>,
    algorithm: VerityAlgorithm,
    options: DigestCacheOptions = {},
  ): DigestCache {
    let identity = (options.identify ?? identifySource)(path, root);
    let directory = '';
    try {
      directory = options.directory ?? digestCacheDirectory();
    } catch {
      identity = 'there is no home directory';
    }
    return new DigestCache(root.dev, identity, algorithm, { ...options, directory });
  }

  private constructor(
    device: number,
    identity: CacheIdentity | string,
    algorithm: VerityAlgorithm,
    options: DigestCacheOptions & { readonly directory: string },
  ) {
    this.#device = device;
    this.#algorithm = algorithm;
    this.#options = options;
    this.#directory = options.directory;
    this.#now = options.now ?? Date.now;
    this.#fresh = new EntryTable(algorithm);
    if (typeof identity === 'string') {
      this.#problem = identity;
      return;
    }
    this.#identity = identity;
    this.#load(identity);
  }

  #load(identity: CacheIdentity): void {
    const bytes = readCacheFile(this.#directory, this.#name(identity));
    if (bytes === undefined) return;
    const table =
      typeof bytes === 'string'
        ? bytes
        : decodeCache(bytes, identity, this.#algorithm, this.#now());
    if (typeof table === 'string') {
      this.#problem = table;
      return;
    }
    this.#old = table;
    this.#index = indexOf(table);
    this.#seen = new Uint8Array(table.count);
  }

  #name({ fileSystemId, device, rootIno }: CacheIdentity): string {
    const parts = [fileSystemId, device, rootIno].map((part) => part.toString(16));
    return `${parts.join('-')}.${this.#algorithm}`;
  }

  /** The digest of a file in hexadecimal, if its content is known. Who has no use for it says `missed`. */
  lookup(stat: FastStat): string | undefined {
    const entry = this.#find(stat);
    this.#isFound = entry !== undefined;
    if (entry === undefined) return undefined;
    if (this.#seen[entry] === 0) {
      this.#seen[entry] = 1;
      this.#kept++;
    }
    this.#hits++;
    const digest = this.#old!.digest(entry);
    return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex');
  }

  #find(stat: FastStat): number | undefined {
    const old = this.#old;
    // Another file system below the source has other rules.
    if (old === undefined || stat.dev !== this.#device) return undefined;
    const mask = this.#index.length - 1;
    for (let slot = slotOf(stat.ino >>> 0, mask); ; slot = (slot + 1) & mask) {
      const entry = this.#index[slot]! - 1;
      if (entry < 0) return undefined;
      if (old.hasIno(entry, stat.ino)) return old.isOf(entry, stat) ? entry : undefined;
    }
  }

  /** Says that a file is going to be read as the job of this number; call it before reading begins. */
  missed(job: number, path: ByteString, stat: FastStat): void {
    this.#misses++;
    this.#bytes += stat.size;
    if (this.#isFound) {
      // Known, but its object is not in the store: it is read to be copied, and its entry stays.
      this.#isFound = false;
      this.#hits--;
      return;
    }
    if (this.#identity === undefined || stat.dev !== this.#device) return;
    if (this.#kept + this.#fresh.count >= ENTRIES_MAX) return;
    const verdict = judgeTimes(stat, this.#now());
    if (verdict === 'never') return;
    if (stat.nlink > 1) {
      if (this.#linked.has(stat.ino)) return;
      this.#linked.add(stat.ino);
    }
    if (verdict === 'unless open for writing' && mayBeOpenForWriting(path)) return;
    this.#entryOfJob.set(job, this.#fresh.add(stat));
  }

  /** The digest of a job: its file was after reading what `missed` was told. */
  hashed(job: number, digest: Uint8Array): void {
    const entry = this.#entryOfJob.get(job);
    if (entry === undefined) return;
    this.#entryOfJob.delete(job);
    this.#fresh.digest(entry).set(digest);
    this.#hashed.push(entry);
  }

  /** Writes what the next build need not read. */
  save(): CacheSummary {
    const added = this.#hashed.length;
    if (this.#identity !== undefined && this.#isWorthAFile()) this.#write(this.#identity);
    const problem = this.#problem === undefined ? {} : { problem: this.#problem };
    return { hits: this.#hits, misses: this.#misses, added, ...problem };
  }

  #isWorthAFile(): boolean {
    const { minFiles = MIN_FILES, minBytes = MIN_BYTES } = this.#options;
    return this.#old !== undefined || this.#misses >= minFiles || this.#bytes >= minBytes;
  }

  /** One after the other: a million views at once would take more memory than what they show. */
  *#entries(): Generator<Uint8Array> {
    for (let i = 0; i < this.#seen.length; i++) {
      if (this.#seen[i] === 1) yield this.#old!.bytesOf(i);
    }
    for (const i of this.#hashed) yield this.#fresh.bytesOf(i);
  }

  #write(identity: CacheIdentity): void {
    const directory = this.#directory;
    const name = this.#name(identity);
    const now = this.#now();
    const isSame = this.#old?.count === this.#kept && this.#hashed.length === 0;
    if (isSame) return touchCacheFile(directory, name, now);
    const count = this.#kept + this.#hashed.length;
    const bytes = encodeCache(identity, now, this.#fresh.digestSize, count, this.#entries());
    this.#problem = writeCacheFile(directory, name, bytes) ?? this.#problem;
    trimCaches(directory, now);
  }
}

/** Open addressing, at most half full: each slot has the number of an entry plus one, or 0. */
function indexOf(table: EntryTable): Int32Array {
  const index = new Int32Array(2 ** Math.ceil(Math.log2(2 * table.count + 2)));
  const mask = index.length - 1;
  for (let i = 0; i < table.count; i++) {
    let slot = slotOf(table.inoLow(i), mask);
    while (index[slot] !== 0) slot = (slot + 1) & mask;
    index[slot] = i + 1;
  }
  return index;
}

/** Fibonacci hashing: inode numbers of one directory are neighbours. */
function slotOf(inoLow: number, mask: number): number {
  return (Math.imul(inoLow, 0x9e3779b1) >>> 8) & mask;
}
