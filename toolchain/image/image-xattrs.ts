/**
 * The extended attributes an image stores: the source's, escaped, plus what overlayfs needs.
 *
 * Equal (name, value) pairs are one `ImageXattr`, which counts its uses: more than one makes it shared.
 * Rules: docs/format.md, "Extended attributes"; libcomposefs lcfs-writer-erofs.c, add_overlayfs_xattrs.
 */
import {
  OverlayMetacopy,
  XATTR_ESCAPED_OPAQUE,
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
import { EROFS_XATTR_FILTER_SEED, EROFS_XATTR_PREFIXES } from '../../runtime/format/erofs.ts';
import { VERITY_ALGORITHMS } from '../../runtime/format/fsverity.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';
import { bytesOf, byteString, type ByteString } from './byte-string.ts';
import { isRegular, type TreeNode, type Xattr } from './tree.ts';

/** One distinct attribute of an image, with how often it is used and where it ended up. */
export class ImageXattr {
  readonly name: ByteString;
  readonly value: ByteString;
  /** Prefix index and the rest of the name, as the entry stores them. */
  readonly index: number;
  readonly suffix: ByteString;
  /** Bytes of the entry with its padding. */
  readonly size: number;
  uses = 0;
  /** Byte offset in the table of shared attributes, or -1. */
  sharedAt = -1;

  constructor(name: ByteString, value: ByteString) {
    this.name = name;
    this.value = value;
    const [index, prefixLength] = splitPrefix(name);
    this.index = index;
    this.suffix = prefixLength === 0 ? name : (name.slice(prefixLength) as ByteString);
    this.size = (4 + this.suffix.length + value.length + 3) & ~3;
  }
}

function splitPrefix(name: ByteString): [index: number, prefixLength: number] {
  for (const [index, prefix] of EROFS_XATTR_PREFIXES) {
    if (name.startsWith(prefix)) return [index, prefix.length];
  }
  return [0, 0];
}

const EMPTY = '' as ByteString;
const METACOPY = XATTR_METACOPY as ByteString;
const REDIRECT = XATTR_REDIRECT as ByteString;
const NONE: readonly ImageXattr[] = [];

/** Makes and counts the attributes of one image. */
export class ImageXattrs {
  readonly #byName = new Map<ByteString, Map<ByteString, ImageXattr>>();
  /** The same, keyed by what the source handed over, so that most look-ups cost one probe. */
  readonly #bySource = new Map<Xattr, ImageXattr>();
  readonly #byDigest = new Map<string, ImageXattr>();
  readonly #byPayload = new Map<ByteString, ImageXattr>();
  readonly #filterBits = new Map<ByteString, number>();

  /** The attributes of an entry in order of their names, each counted once. */
  ofNode(node: TreeNode): readonly ImageXattr[] {
    const source = node.xattrs;
    const external = isRegular(node) && node.content === undefined && node.size > 0;
    if (source.length === 0 && !external) return NONE;
    const result: ImageXattr[] = [];
    for (const xattr of source) result.push(this.#ofSource(xattr));
    if (external) {
      result.push(this.#metacopy(node.digest));
      if (node.payload !== undefined) result.push(this.#redirect(node.payload));
      if (source.length > 0) result.sort(compareNames);
    }
    for (const xattr of result) xattr.uses++;
    return result;
  }

  /** `base` with an attribute set, replacing one of the same name; in order and counted. */
  withXattr(base: readonly ImageXattr[], name: string, value: string): readonly ImageXattr[] {
    const added = this.#intern(name as ByteString, value as ByteString);
    added.uses++;
    const result = base.filter((xattr) => {
      if (xattr.name !== name) return true;
      xattr.uses--;
      return false;
    });
    result.push(added);
    return result.sort(compareNames);
  }

  /** A whiteout inside an image is a regular file with these attributes. */
  withWhiteout(base: readonly ImageXattr[]): readonly ImageXattr[] {
    return this.withXattr(this.withXattr(base, XATTR_ESCAPED_WHITEOUT, ''), XATTR_USER_WHITEOUT, '');
  }

  /** A directory that holds whiteouts says so; from format version 1 as an opaque directory of kind `x` too. */
  withWhiteouts(base: readonly ImageXattr[], version: number): readonly ImageXattr[] {
    let result = this.withXattr(base, XATTR_ESCAPED_WHITEOUTS, '');
    result = this.withXattr(result, XATTR_USER_WHITEOUTS, '');
    if (version < 1) return result;
    result = this.withXattr(result, XATTR_ESCAPED_OPAQUE, 'x');
    return this.withXattr(result, XATTR_USER_OPAQUE, 'x');
  }

  /** The root hides whatever lies below it. */
  withRootOpaque(base: readonly ImageXattr[]): readonly ImageXattr[] {
    return this.withXattr(base, XATTR_OPAQUE, 'y');
  }

  /** Every attribute used more than once, in the order of the shared table. */
  shared(): ImageXattr[] {
    const result: ImageXattr[] = [];
    for (const byValue of this.#byName.values()) collectShared(byValue.values(), result);
    collectShared(this.#byDigest.values(), result);
    collectShared(this.#byPayload.values(), result);
    return result.sort(compareForSharedTable);
  }

  /** The bit of an inode's name filter that a name clears. */
  filterBit(xattr: ImageXattr): number {
    let bit = this.#filterBits.get(xattr.name);
    if (bit === undefined) {
      bit = 1 << xxh32(bytesOf(xattr.suffix), EROFS_XATTR_FILTER_SEED + xattr.index) % 32;
      this.#filterBits.set(xattr.name, bit);
    }
    return bit;
  }

  #ofSource(xattr: Xattr): ImageXattr {
    let result = this.#bySource.get(xattr);
    if (result === undefined) {
      result = this.#intern(escapeName(xattr.name), xattr.value);
      this.#bySource.set(xattr, result);
    }
    return result;
  }

  #intern(name: ByteString, value: ByteString): ImageXattr {
    let byValue = this.#byName.get(name);
    if (byValue === undefined) this.#byName.set(name, (byValue = new Map()));
    let result = byValue.get(value);
    if (result === undefined) byValue.set(value, (result = new ImageXattr(name, value)));
    return result;
  }

  // No source attribute can have these two names: #ofSource escapes them. So they need no common table.
  #metacopy(digest: string | undefined): ImageXattr {
    const key = digest ?? '';
    let result = this.#byDigest.get(key);
    if (result === undefined) {
      result = new ImageXattr(METACOPY, digest === undefined ? EMPTY : metacopyValue(digest));
      this.#byDigest.set(key, result);
    }
    return result;
  }

  #redirect(payload: ByteString): ImageXattr {
    let result = this.#byPayload.get(payload);
    if (result === undefined) {
      result = new ImageXattr(REDIRECT, `/${payload}` as ByteString);
      this.#byPayload.set(payload, result);
    }
    return result;
  }
}

function collectShared(xattrs: Iterable<ImageXattr>, into: ImageXattr[]): void {
  for (const xattr of xattrs) if (xattr.uses > 1) into.push(xattr);
}

function escapeName(name: ByteString): ByteString {
  if (!name.startsWith(XATTR_OVERLAY_PREFIX)) return name;
  return (XATTR_OVERLAY_ESCAPE_PREFIX + name.slice(XATTR_OVERLAY_PREFIX.length)) as ByteString;
}

/** The metacopy record with its digest: 36 bytes for SHA-256, 68 for SHA-512. */
function metacopyValue(digest: string): ByteString {
  const bytes = Buffer.from(digest, 'hex');
  const algorithm = bytes.length === 64 ? VERITY_ALGORITHMS.sha512 : VERITY_ALGORITHMS.sha256;
  const len = OverlayMetacopy.size + bytes.length;
  const value = new Uint8Array(len);
  OverlayMetacopy.encode({ len, digest_algo: algorithm.id }, value);
  value.set(bytes, OverlayMetacopy.size);
  return byteString(value);
}

function compareNames(a: ImageXattr, b: ImageXattr): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Descending by name, then by length of the value, then by value: the order mkcomposefs's table has. */
function compareForSharedTable(a: ImageXattr, b: ImageXattr): number {
  if (a.name !== b.name) return a.name < b.name ? 1 : -1;
  if (a.value.length !== b.value.length) return b.value.length - a.value.length;
  return a.value < b.value ? 1 : a.value > b.value ? -1 : 0;
}
