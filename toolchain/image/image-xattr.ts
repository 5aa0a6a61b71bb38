/**
 * One extended attribute of an image: its bytes, its name's bit in the filter, and its place in the table of shared
 * ones.
 *
 * The two that name an object, metacopy and redirect, are made from the columns of the tree when they are asked for.
 */
import { OverlayMetacopy, XATTR_METACOPY, XATTR_REDIRECT } from '../../runtime/format/composefs.ts';
import {
  EROFS_XATTR_FILTER_SEED,
  EROFS_XATTR_PREFIXES,
  ErofsXattrEntry,
} from '../../runtime/format/erofs.ts';
import { VERITY_ALGORITHMS, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';
import { bytesOf, byteString, type ByteString } from './byte-string.ts';
import type { ImageSink } from './image-sink.ts';
import { type DigestPool, NO_DIGEST } from './digest-pool.ts';
import { NO_PAYLOAD, type EntryTable } from './entry-table.ts';

/** One distinct attribute of an image, with how often it is used and where it ended up. */
export abstract class ImageXattr {
  readonly name: ByteString;
  /** Prefix index and the rest of the name, as the entry stores them. */
  readonly index: number;
  readonly suffix: ByteString;
  valueSize = 0;
  uses = 0;
  /** Byte offset in the table of shared attributes, or -1. */
  sharedAt = -1;
  #filterBit = 0;

  constructor(name: ByteString, index: number, suffix: ByteString) {
    this.name = name;
    this.index = index;
    this.suffix = suffix;
  }

  /** Bytes of the entry with its padding. */
  get size(): number {
    return (ErofsXattrEntry.size + this.suffix.length + this.valueSize + 3) & ~3;
  }

  /** The bit of an inode's name filter that this name clears. */
  get filterBit(): number {
    if (this.#filterBit === 0) this.#filterBit = filterBitOf(this.index, this.suffix);
    return this.#filterBit;
  }

  write(sink: ImageSink): void {
    const { value } = this;
    sink.bytes(entryHead(this.index, this.suffix, value.length));
    sink.string(value);
    sink.fill(0, this.size - ErofsXattrEntry.size - this.suffix.length - value.length);
  }

  abstract get value(): ByteString;
}

function filterBitOf(index: number, suffix: ByteString): number {
  return 1 << (xxh32(bytesOf(suffix), EROFS_XATTR_FILTER_SEED + index) % 32);
}

/** An attribute that came from the source, or one of the few that mark whiteouts and the root. */
export class PlainXattr extends ImageXattr {
  readonly value: ByteString;

  constructor(name: ByteString, value: ByteString) {
    const [index, prefixLength] = splitPrefix(name);
    super(name, index, name.slice(prefixLength) as ByteString);
    this.value = value;
    this.valueSize = value.length;
  }
}

export const METACOPY = XATTR_METACOPY as ByteString;
export const REDIRECT = XATTR_REDIRECT as ByteString;
const TRUSTED_INDEX = 4;
const METACOPY_SUFFIX = METACOPY.slice('trusted.'.length) as ByteString;
const REDIRECT_SUFFIX = REDIRECT.slice('trusted.'.length) as ByteString;
/** What comes before the digest of a metacopy, and before the path of a redirect, by the size of the digest. */
export const METACOPY_HEADS = { 32: metacopyHead('sha256'), 64: metacopyHead('sha512') } as const;
export const REDIRECT_HEADS = { 32: redirectHead(32), 64: redirectHead(64) } as const;
export const METACOPY_HEAD_SIZE = ErofsXattrEntry.size + METACOPY_SUFFIX.length;
export const REDIRECT_HEAD_SIZE = ErofsXattrEntry.size + REDIRECT_SUFFIX.length;
export const METACOPY_BIT = filterBitOf(TRUSTED_INDEX, METACOPY_SUFFIX);
export const REDIRECT_BIT = filterBitOf(TRUSTED_INDEX, REDIRECT_SUFFIX);

function metacopyHead(algorithm: VerityAlgorithm): Uint8Array {
  const { id, digestSize } = VERITY_ALGORITHMS[algorithm];
  const record = OverlayMetacopy.encode({
    len: OverlayMetacopy.size + digestSize,
    digest_algo: id,
  });
  return Buffer.concat([
    entryHead(TRUSTED_INDEX, METACOPY_SUFFIX, OverlayMetacopy.size + digestSize),
    record,
  ]);
}

function redirectHead(digestSize: number): Uint8Array {
  // A slash before the path, and one in it.
  return Buffer.concat([
    entryHead(TRUSTED_INDEX, REDIRECT_SUFFIX, 2 * digestSize + 2),
    Buffer.from('/'),
  ]);
}

function entryHead(index: number, suffix: ByteString, valueSize: number): Buffer {
  const head = Buffer.alloc(ErofsXattrEntry.size);
  head[0] = suffix.length;
  head[1] = index;
  head.writeUInt16LE(valueSize, 2);
  return Buffer.concat([head, bytesOf(suffix)]);
}

/** `trusted.overlay.metacopy`: the record with the digest the object must have, or nothing. */
export class MetacopyXattr extends ImageXattr {
  readonly #digests: DigestPool;
  digest = NO_DIGEST;

  constructor(digests: DigestPool) {
    super(METACOPY, TRUSTED_INDEX, METACOPY_SUFFIX);
    this.#digests = digests;
  }

  /** Makes it that of a digest, or of NO_DIGEST. */
  set(digest: number, sharedAt: number): this {
    this.digest = digest;
    this.sharedAt = sharedAt;
    this.valueSize = digest === NO_DIGEST ? 0 : OverlayMetacopy.size + this.#digests.sizeOf(digest);
    return this;
  }

  get value(): ByteString {
    if (this.digest === NO_DIGEST) return '' as ByteString;
    const head = METACOPY_HEADS[this.#digests.sizeOf(this.digest) === 64 ? 64 : 32];
    const digest = Buffer.from(this.#digests.hex(this.digest), 'hex');
    return byteString(Buffer.concat([head.subarray(METACOPY_HEAD_SIZE), digest]));
  }
}

/** `trusted.overlay.redirect`: where the object is below the object store. */
export class RedirectXattr extends ImageXattr {
  readonly #table: EntryTable;
  /** A number in the column `redirect`: the digest whose object it names, or below 0 another payload. */
  digest = NO_PAYLOAD;

  constructor(table: EntryTable) {
    super(REDIRECT, TRUSTED_INDEX, REDIRECT_SUFFIX);
    this.#table = table;
  }

  /** Makes it that of a number in the column `redirect`. */
  set(redirect: number, sharedAt: number): this {
    this.digest = redirect;
    this.sharedAt = sharedAt;
    const { digests } = this.#table;
    this.valueSize =
      redirect >= 0
        ? 2 * digests.sizeOf(redirect) + 2
        : this.#table.otherPayload(redirect).length + 1;
    return this;
  }

  get value(): ByteString {
    return `/${this.#table.payload(this.digest)}` as ByteString;
  }
}

function splitPrefix(name: ByteString): [index: number, prefixLength: number] {
  for (const [index, prefix] of EROFS_XATTR_PREFIXES) {
    if (name.startsWith(prefix)) return [index, prefix.length];
  }
  return [0, 0];
}

/** Descending by name, then by length of the value, then by value: the order mkcomposefs's table has. */
export function compareForSharedTable(a: ImageXattr, b: ImageXattr, digests: DigestPool): number {
  if (a.name !== b.name) return a.name < b.name ? 1 : -1;
  if (a.valueSize !== b.valueSize) return b.valueSize - a.valueSize;
  // Digests are in the order of their hexadecimal texts, and there may be hundreds of thousands.
  const left = digestOf(a);
  const right = digestOf(b);
  if (left >= 0 && right >= 0) return digests.compare(right, left);
  return a.value < b.value ? 1 : a.value > b.value ? -1 : 0;
}

function digestOf(xattr: ImageXattr): number {
  return xattr instanceof MetacopyXattr || xattr instanceof RedirectXattr ? xattr.digest : -1;
}
