/**
 * The bytes of a digest cache: a header, then one entry for each file.
 *
 * The file is read at once and used as it lies there, as an array of 32-bit words: no entry becomes an object. Nothing
 * in it is believed before the checksum over the whole file was right, so whatever a full disk, a killed writer or
 * another version left behind is no cache. Host only, little-endian as everything here; another version begins anew.
 */
import { createHash } from 'node:crypto';
import { VERITY_ALGORITHMS, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { byteArray, i64, magic, struct, u32, u64, zeros } from '../../runtime/format/struct.ts';
import type { FastStat } from '../../runtime/engines/node/xattr.ts';

const VERSION = 1;
/** Entries that a file has at most: beyond it, a cache would cost more memory than it is worth. */
export const ENTRIES_MAX = 4_000_000;

export const CacheHeader = struct('digest cache header', 112, 'docs/cache.md', {
  magic: [0x00, magic(0x43445343, 'identifies a digest cache: CSDC')],
  version: [0x04, u32('layout of this file')],
  digestSize: [0x08, u32('bytes of a digest: 32 for SHA-256, 64 for SHA-512')],
  entryCount: [0x0c, u32('entries that follow')],

  fileSystemType: [0x10, u64('f_type of statfs(2)')],
  fileSystemId: [0x18, u64('f_fsid of statfs(2)')],

  device: [0x20, u64('st_dev of every file')],
  rootIno: [0x28, u64('inode number of the source directory')],

  bootId: [0x30, byteArray(16, 'boot of the machine during which the files were read')],

  writtenMs: [0x40, i64('clock when this was written, milliseconds since 1970')],
  reserved: [0x48, zeros(8)],

  checksum: [0x50, byteArray(32, 'SHA-256 of everything else')],
});

const entry = <const N extends 32 | 64>(digestSize: N) =>
  struct(`DigestCacheEntry${digestSize}`, 40 + digestSize, 'docs/cache.md', {
    ino: [0x00, u64('inode number')],
    size: [0x08, u64('size in bytes')],

    mtimeSec: [0x10, i64('modification time, seconds')],
    ctimeSec: [0x18, i64('change time, seconds')],

    mtimeNsec: [0x20, u32('modification time, nanoseconds')],
    ctimeNsec: [0x24, u32('change time, nanoseconds')],
    digest: [0x28, byteArray(digestSize, 'fs-verity digest of the content')],
  });

export const CacheEntry32 = entry(32);
export const CacheEntry64 = entry(64);

/** What a file of the cache belongs to; any difference makes it another cache. */
export interface CacheIdentity {
  readonly fileSystemType: bigint;
  readonly fileSystemId: bigint;
  readonly device: bigint;
  readonly rootIno: bigint;
  readonly bootId: Uint8Array;
}

/** What of a file's stat must be the same for its content to count as the same. */
export type CachedStat = Pick<
  FastStat,
  'ino' | 'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec'
>;

const { at } = CacheEntry32;
const WORD = 4;
const INO = at.ino / WORD;
const SIZE = at.size / WORD;
const MTIME = at.mtimeSec / WORD;
const CTIME = at.ctimeSec / WORD;
const MTIME_NSEC = at.mtimeNsec / WORD;
const CTIME_NSEC = at.ctimeNsec / WORD;

/** Entries one after the other, seen as words and as bytes. */
export class EntryTable {
  readonly digestSize: number;
  readonly entrySize: number;
  readonly #entryWords: number;
  #bytes: Uint8Array;
  #words: Uint32Array;
  count: number;

  /** Entries that lie in `bytes`, whose offset in its buffer is a multiple of 4; or none, with room for some. */
  constructor(algorithm: VerityAlgorithm, bytes?: Uint8Array) {
    this.digestSize = VERITY_ALGORITHMS[algorithm].digestSize;
    this.entrySize = at.digest + this.digestSize;
    this.#entryWords = this.entrySize / WORD;
    this.#bytes = bytes ?? new Uint8Array(64 * this.entrySize);
    this.#words = wordsOf(this.#bytes);
    this.count = bytes === undefined ? 0 : bytes.length / this.entrySize;
  }

  /** Appends an entry without digest; returns its number. */
  add(stat: CachedStat): number {
    if ((this.count + 1) * this.entrySize > this.#bytes.length) this.#grow();
    const words = this.#words;
    const i = this.count * this.#entryWords;
    words[i + INO] = stat.ino;
    words[i + INO + 1] = high(stat.ino);
    words[i + SIZE] = stat.size;
    words[i + SIZE + 1] = high(stat.size);
    words[i + MTIME] = stat.mtimeSec;
    words[i + MTIME + 1] = high(stat.mtimeSec);
    words[i + CTIME] = stat.ctimeSec;
    words[i + CTIME + 1] = high(stat.ctimeSec);
    words[i + MTIME_NSEC] = stat.mtimeNsec;
    words[i + CTIME_NSEC] = stat.ctimeNsec;
    return this.count++;
  }

  /** Whether an entry is of exactly this file in this state. */
  isOf(index: number, stat: CachedStat): boolean {
    const words = this.#words;
    const i = index * this.#entryWords;
    return (
      this.hasIno(index, stat.ino) &&
      words[i + SIZE] === stat.size >>> 0 &&
      words[i + SIZE + 1] === high(stat.size) &&
      words[i + MTIME] === stat.mtimeSec >>> 0 &&
      words[i + MTIME + 1] === high(stat.mtimeSec) &&
      words[i + CTIME] === stat.ctimeSec >>> 0 &&
      words[i + CTIME + 1] === high(stat.ctimeSec) &&
      words[i + MTIME_NSEC] === stat.mtimeNsec &&
      words[i + CTIME_NSEC] === stat.ctimeNsec
    );
  }

  hasIno(index: number, ino: number): boolean {
    const i = index * this.#entryWords;
    return this.#words[i + INO] === ino >>> 0 && this.#words[i + INO + 1] === high(ino);
  }

  /** The low half of the inode number, which an index hashes. */
  inoLow(index: number): number {
    return this.#words[index * this.#entryWords + INO]!;
  }

  /** The digest of an entry, in place: valid until an entry is added. */
  digest(index: number): Uint8Array {
    const start = index * this.entrySize + at.digest;
    return this.#bytes.subarray(start, start + this.digestSize);
  }

  bytesOf(index: number): Uint8Array {
    return this.#bytes.subarray(index * this.entrySize, (index + 1) * this.entrySize);
  }

  #grow(): void {
    const bytes = new Uint8Array(2 * this.#bytes.length);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#words = wordsOf(bytes);
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / WORD);
}

/** The upper 32 bits of a whole number, negative ones as two's complement. */
function high(value: number): number {
  return Math.floor(value / 2 ** 32) >>> 0;
}

/** The bytes of a cache with so many entries, checksum included. */
export function encodeCache(
  identity: CacheIdentity,
  writtenMs: number,
  digestSize: number,
  count: number,
  entries: Iterable<Uint8Array>,
): Uint8Array {
  const bytes = new Uint8Array(CacheHeader.size + count * (at.digest + digestSize));
  CacheHeader.encode(
    {
      ...identity,
      version: VERSION,
      digestSize,
      entryCount: count,
      writtenMs: BigInt(writtenMs),

      checksum: new Uint8Array(32),
    },
    bytes,
  );
  let offset = CacheHeader.size;
  for (const one of entries) {
    bytes.set(one, offset);
    offset += one.length;
  }
  bytes.set(checksumOf(bytes), CacheHeader.at.checksum);
  return bytes;
}

/** The entries of a cache, or in a few words why it is none for this source now. */
export function decodeCache(
  bytes: Uint8Array,
  identity: CacheIdentity,
  algorithm: VerityAlgorithm,
  nowMs: number,
): EntryTable | string {
  const { digestSize } = VERITY_ALGORITHMS[algorithm];
  if (bytes.length < CacheHeader.size) return 'it is cut off';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const { at: field } = CacheHeader;
  if (view.getUint32(field.version, true) !== VERSION) return 'it is of another version';
  if (bytes.length % WORD !== 0 || !isSame(checksumOf(bytes), checksumIn(bytes)))
    return 'its checksum is wrong';
  const header = CacheHeader.decode(bytes);
  const size = CacheHeader.size + header.entryCount * (at.digest + header.digestSize);
  if (header.digestSize !== digestSize || bytes.length !== size) return 'its size is wrong';
  if (!isSame(header.bootId, identity.bootId)) return 'it is from before the last boot';
  if (!belongsTo(header, identity)) return 'it is of another directory';
  if (header.writtenMs > BigInt(nowMs)) return 'the clock was set back since it was written';
  return new EntryTable(algorithm, bytes.subarray(CacheHeader.size));
}

function belongsTo(header: Omit<CacheIdentity, 'bootId'>, identity: CacheIdentity): boolean {
  return (['fileSystemType', 'fileSystemId', 'device', 'rootIno'] as const).every(
    (key) => header[key] === identity[key],
  );
}

function checksumIn(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(CacheHeader.at.checksum, CacheHeader.at.checksum + 32);
}

function checksumOf(bytes: Uint8Array): Uint8Array {
  return createHash('sha256')
    .update(bytes.subarray(0, CacheHeader.at.checksum))
    .update(bytes.subarray(CacheHeader.at.checksum + 32))
    .digest();
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
