/**
 * The extended attributes an image stores: the source's, escaped, plus what overlayfs needs.
 *
 * Equal (name, value) pairs are one `ImageXattr`, which counts its uses: more than one makes it shared.
 * Rules: docs/format.md, "Extended attributes"; libcomposefs lcfs-writer-erofs.c, add_overlayfs_xattrs.
 */
import {
  OverlayMetacopy,
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
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
import {
  EROFS_XATTR_FILTER_SEED,
  EROFS_XATTR_PREFIXES,
  ErofsXattrEntry,
} from '../../runtime/format/erofs.ts';
import { VERITY_ALGORITHMS, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';
import { bytesOf, byteString, type ByteString } from './byte-string.ts';
import type { ImageSink } from './image-sink.ts';
import { isRegular, type TreeNode, type Xattr } from './tree.ts';

/** One distinct attribute of an image, with how often it is used and where it ended up. */
export abstract class ImageXattr {
  readonly name: ByteString;
  /** Prefix index and the rest of the name, as the entry stores them. */
  readonly index: number;
  readonly suffix: ByteString;
  readonly valueSize: number;
  uses = 0;
  /** Byte offset in the table of shared attributes, or -1. */
  sharedAt = -1;
  #filterBit = 0;

  constructor(name: ByteString, index: number, suffix: ByteString, valueSize: number) {
    this.name = name;
    this.index = index;
    this.suffix = suffix;
    this.valueSize = valueSize;
  }

  /** Bytes of the entry with its padding. */
  get size(): number {
    return (ErofsXattrEntry.size + this.suffix.length + this.valueSize + 3) & ~3;
  }

  /** The bit of an inode's name filter that this name clears. */
  get filterBit(): number {
    if (this.#filterBit === 0) {
      const hash = xxh32(bytesOf(this.suffix), EROFS_XATTR_FILTER_SEED + this.index);
      this.#filterBit = 1 << (hash % 32);
    }
    return this.#filterBit;
  }

  abstract get value(): ByteString;
  abstract writeValue(sink: ImageSink): void;
}

/** An attribute that came from the source, or one of the few that mark whiteouts and the root. */
class PlainXattr extends ImageXattr {
  readonly value: ByteString;

  constructor(name: ByteString, value: ByteString) {
    const [index, prefixLength] = splitPrefix(name);
    super(name, index, name.slice(prefixLength) as ByteString, value.length);
    this.value = value;
  }

  writeValue(sink: ImageSink): void {
    sink.string(this.value);
  }
}

const METACOPY = XATTR_METACOPY as ByteString;
const REDIRECT = XATTR_REDIRECT as ByteString;
const TRUSTED_INDEX = 4;
const METACOPY_SUFFIX = METACOPY.slice('trusted.'.length) as ByteString;
const REDIRECT_SUFFIX = REDIRECT.slice('trusted.'.length) as ByteString;
const METACOPY_HEADS = {
  sha256: metacopyHead('sha256'),
  sha512: metacopyHead('sha512'),
} as const;

function metacopyHead(algorithm: VerityAlgorithm): ByteString {
  const { id, digestSize } = VERITY_ALGORITHMS[algorithm];
  return byteString(
    OverlayMetacopy.encode({ len: OverlayMetacopy.size + digestSize, digest_algo: id }),
  );
}

// Every file has one of each of these two; their filter bits are known once.
const METACOPY_BIT =
  1 << (xxh32(bytesOf(METACOPY_SUFFIX), EROFS_XATTR_FILTER_SEED + TRUSTED_INDEX) % 32);
const REDIRECT_BIT =
  1 << (xxh32(bytesOf(REDIRECT_SUFFIX), EROFS_XATTR_FILTER_SEED + TRUSTED_INDEX) % 32);

/** `trusted.overlay.metacopy`: the record with the digest the object must have, or nothing. */
class MetacopyXattr extends ImageXattr {
  readonly #digest: string;
  /** The redirect to the object of that digest in a plain object store, which nearly every user of this one has. */
  redirect: RedirectXattr | undefined;

  constructor(digest: string) {
    const size = digest === '' ? 0 : OverlayMetacopy.size + digest.length / 2;
    super(METACOPY, TRUSTED_INDEX, METACOPY_SUFFIX, size);
    this.#digest = digest;
  }

  override get filterBit(): number {
    return METACOPY_BIT;
  }

  get #head(): ByteString {
    return METACOPY_HEADS[this.#digest.length === 128 ? 'sha512' : 'sha256'];
  }

  get value(): ByteString {
    if (this.#digest === '') return '' as ByteString;
    return `${this.#head}${byteString(Buffer.from(this.#digest, 'hex'))}` as ByteString;
  }

  writeValue(sink: ImageSink): void {
    if (this.#digest === '') return;
    sink.string(this.#head);
    sink.hex(this.#digest);
  }
}

/** `trusted.overlay.redirect`: where the object is below the object store. */
class RedirectXattr extends ImageXattr {
  readonly #payload: ByteString;

  constructor(payload: ByteString) {
    super(REDIRECT, TRUSTED_INDEX, REDIRECT_SUFFIX, 1 + payload.length);
    this.#payload = payload;
  }

  override get filterBit(): number {
    return REDIRECT_BIT;
  }

  get value(): ByteString {
    return `/${this.#payload}` as ByteString;
  }

  writeValue(sink: ImageSink): void {
    sink.u8(0x2f);
    sink.string(this.#payload);
  }
}

function splitPrefix(name: ByteString): [index: number, prefixLength: number] {
  for (const [index, prefix] of EROFS_XATTR_PREFIXES) {
    if (name.startsWith(prefix)) return [index, prefix.length];
  }
  return [0, 0];
}

const NONE: readonly ImageXattr[] = [];

/** Makes and counts the attributes of one image. */
export class ImageXattrs {
  readonly #byName = new Map<ByteString, Map<ByteString, ImageXattr>>();
  /** The same, keyed by what the source handed over, so that most look-ups cost one probe. */
  readonly #bySource = new Map<Xattr, ImageXattr>();
  readonly #byDigest = new Map<string, MetacopyXattr>();
  /** Redirects to anything but an object by its digest. */
  readonly #byPayload = new Map<ByteString, RedirectXattr>();

  /** The attributes of an entry in order of their names, each counted once. */
  ofNode(node: TreeNode): readonly ImageXattr[] {
    const source = node.xattrs;
    const external = isRegular(node) && node.content === undefined && node.size > 0;
    if (source.length === 0 && !external) return NONE;
    const result: ImageXattr[] = [];
    for (const xattr of source) result.push(this.#ofSource(xattr));
    if (external) {
      const metacopy = this.#metacopy(node.digest ?? '');
      result.push(metacopy);
      if (node.payload !== undefined)
        result.push(this.#redirect(node.payload, metacopy, node.digest));
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
    return this.withXattr(
      this.withXattr(base, XATTR_ESCAPED_WHITEOUT, ''),
      XATTR_USER_WHITEOUT,
      '',
    );
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
    for (const metacopy of this.#byDigest.values()) {
      if (metacopy.uses > 1) result.push(metacopy);
      if (metacopy.redirect !== undefined && metacopy.redirect.uses > 1)
        result.push(metacopy.redirect);
    }
    collectShared(this.#byPayload.values(), result);
    return result.sort(compareForSharedTable);
  }

  /** Whether any inode has a POSIX ACL. */
  get hasAcl(): boolean {
    const names = [XATTR_ACL_ACCESS, XATTR_ACL_DEFAULT] as string[] as ByteString[];
    return names.some((name) => this.#byName.has(name));
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
    if (result === undefined) byValue.set(value, (result = new PlainXattr(name, value)));
    return result;
  }

  // No source attribute can have these two names: #ofSource escapes them. So they need no common table.
  #metacopy(digest: string): MetacopyXattr {
    let result = this.#byDigest.get(digest);
    if (result === undefined) this.#byDigest.set(digest, (result = new MetacopyXattr(digest)));
    return result;
  }

  /** `metacopy` and `digest` are of the same file; mostly the payload is that digest's object path. */
  #redirect(
    payload: ByteString,
    metacopy: MetacopyXattr,
    digest: string | undefined,
  ): RedirectXattr {
    if (digest !== undefined && isObjectPath(payload, digest)) {
      return (metacopy.redirect ??= new RedirectXattr(payload));
    }
    const other = digestOfPayload(payload);
    if (other !== undefined) return (this.#metacopy(other).redirect ??= new RedirectXattr(payload));
    let result = this.#byPayload.get(payload);
    if (result === undefined) this.#byPayload.set(payload, (result = new RedirectXattr(payload)));
    return result;
  }
}

/** Whether a payload is `ab/cdef…` of the digest `abcdef…`. */
function isObjectPath(payload: ByteString, digest: string): boolean {
  return (
    payload.length === digest.length + 1 &&
    payload.charCodeAt(2) === 0x2f &&
    payload.slice(0, 2) === digest.slice(0, 2) &&
    payload.slice(3) === digest.slice(2)
  );
}

/** The digest whose object path a payload is, if it is one. */
function digestOfPayload(payload: ByteString): string | undefined {
  const match = /^([0-9a-f]{2})\/([0-9a-f]{62}|[0-9a-f]{126})$/.exec(payload);
  return match === null ? undefined : `${match[1]}${match[2]}`;
}

function collectShared(xattrs: Iterable<ImageXattr>, into: ImageXattr[]): void {
  for (const xattr of xattrs) if (xattr.uses > 1) into.push(xattr);
}

function escapeName(name: ByteString): ByteString {
  if (!name.startsWith(XATTR_OVERLAY_PREFIX)) return name;
  return (XATTR_OVERLAY_ESCAPE_PREFIX + name.slice(XATTR_OVERLAY_PREFIX.length)) as ByteString;
}

function compareNames(a: ImageXattr, b: ImageXattr): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Descending by name, then by length of the value, then by value: the order mkcomposefs's table has. */
function compareForSharedTable(a: ImageXattr, b: ImageXattr): number {
  if (a.name !== b.name) return a.name < b.name ? 1 : -1;
  if (a.valueSize !== b.valueSize) return b.valueSize - a.valueSize;
  const left = a.value;
  const right = b.value;
  return left < right ? 1 : left > right ? -1 : 0;
}
