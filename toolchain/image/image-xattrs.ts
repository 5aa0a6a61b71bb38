/**
 * The extended attributes an image stores: the source's, escaped, plus what overlayfs needs.
 *
 * Equal (name, value) pairs are one `ImageXattr`, which counts its uses: more than one makes it shared.
 * Rules: docs/format.md, "Extended attributes"; libcomposefs lcfs-writer-erofs.c, add_overlayfs_xattrs.
 */
import {
  OverlayMetacopy,
  SHARED_XATTRS_PER_INODE_MAX,
  XATTR_ACL_ACCESS,
  XATTR_ACL_DEFAULT,
  XATTR_ESCAPED_OPAQUE,
  XATTR_ESCAPED_WHITEOUT,
  XATTR_ESCAPED_WHITEOUTS,
  XATTR_OPAQUE,
  XATTR_OVERLAY_ESCAPE_PREFIX,
  XATTR_OVERLAY_PREFIX,
  XATTR_USER_OPAQUE,
  XATTR_USER_WHITEOUT,
  XATTR_USER_WHITEOUTS,
} from '../../runtime/format/composefs.ts';
import { EROFS_XATTR_FILTER_DEFAULT, ErofsXattrIbodyHeader } from '../../runtime/format/erofs.ts';

import { type ByteString } from './byte-string.ts';
import type { ImageSink } from './image-sink.ts';
import { NO_DIGEST, SLOT_SIZE } from './digest-pool.ts';
import {
  compareForSharedTable,
  type ImageXattr,
  METACOPY,
  METACOPY_BIT,
  METACOPY_HEAD_SIZE,
  METACOPY_HEADS,
  MetacopyXattr,
  PlainXattr,
  REDIRECT,
  REDIRECT_BIT,
  REDIRECT_HEAD_SIZE,
  REDIRECT_HEADS,
  RedirectXattr,
} from './image-xattr.ts';
import { NO_PAYLOAD, type EntryTable } from './entry-table.ts';

const HEX_DIGITS = Buffer.from('0123456789abcdef');

/** The attributes of some inodes but for those that name an object, in order of their names. */
export class ImageXattrList {
  readonly xattrs: readonly ImageXattr[];
  /** How many come before `trusted.overlay.metacopy`, and before `trusted.overlay.redirect`. */
  readonly metacopyAt: number;
  readonly redirectAt: number;
  uses = 0;
  /** Bits of the name filter that are left. */
  filter = 0;
  /** Places of the shared attributes, and how many of them come before the two. */
  shared: number[] = [];
  sharedBeforeMetacopy = 0;
  sharedBeforeRedirect = 0;
  /** Whether all of them and the two are few enough to be referred to. */
  isShort = true;
  /** Bytes of the references and of the attributes that are not shared. */
  size = 0;

  constructor(xattrs: readonly ImageXattr[]) {
    this.xattrs = xattrs;
    this.metacopyAt = xattrs.filter(({ name }) => name < METACOPY).length;
    this.redirectAt = xattrs.filter(({ name }) => name < REDIRECT).length;
  }

  /** Works out what follows from where the shared attributes are. */
  settle(): void {
    const sharedUpTo = (end: number): number[] =>
      this.xattrs.slice(0, end).flatMap(({ sharedAt }) => (sharedAt < 0 ? [] : [sharedAt]));
    this.shared = sharedUpTo(this.xattrs.length);
    this.sharedBeforeMetacopy = sharedUpTo(this.metacopyAt).length;
    this.sharedBeforeRedirect = sharedUpTo(this.redirectAt).length;
    this.isShort = this.shared.length + 2 <= SHARED_XATTRS_PER_INODE_MAX;
    this.filter = filterOf(this.xattrs);
    this.size = this.xattrs.reduce((sum, { sharedAt, size }) => sum + (sharedAt < 0 ? size : 4), 0);
  }
}

function filterOf(xattrs: readonly ImageXattr[]): number {
  return xattrs.reduce((filter, { filterBit }) => filter & ~filterBit, EROFS_XATTR_FILTER_DEFAULT);
}

/** Makes and counts the attributes of one image. */
export class ImageXattrs {
  readonly #table: EntryTable;
  readonly #lists: ImageXattrList[] = [];
  readonly #bySource = new Map<number, number>();
  readonly #byName = new Map<ByteString, Map<ByteString, ImageXattr>>();
  /** Lists that whiteouts made of others. */
  readonly #derived = new Map<string, number>();
  /** Uses of each digest, NO_DIGEST first, and once they are placed where the shared ones are; -1 for the others. */
  readonly #metacopies: Int32Array;
  /** The same for redirects: those to the objects of digests, then the others. */
  readonly #redirects: Int32Array;
  readonly #metacopy: MetacopyXattr;
  readonly #redirect: RedirectXattr;

  constructor(table: EntryTable) {
    this.#table = table;
    this.#metacopies = new Int32Array(table.digests.count + 1);
    this.#redirects = new Int32Array(table.digests.count + table.payloads.length);
    this.#metacopy = new MetacopyXattr(table.digests);
    this.#redirect = new RedirectXattr(table);
  }

  /** The list that a list of the source becomes, by its number. */
  listOf(source: number): number {
    let list = this.#bySource.get(source);
    if (list === undefined) {
      const xattrs = this.#table.xattrLists.lists[source]!;
      const own = xattrs.map(({ name, value }) => this.#intern(escapeName(name), value));
      list = this.#lists.push(new ImageXattrList(own)) - 1;
      this.#bySource.set(source, list);
    }
    return list;
  }

  /** The list with an attribute set, replacing one of the same name. */
  withXattr(list: number, name: string, value: string): number {
    const key = `${list} ${name} ${value}`;
    let result = this.#derived.get(key);
    if (result === undefined) {
      const added = this.#intern(name as ByteString, value as ByteString);
      const others = this.#lists[list]!.xattrs.filter((xattr) => xattr.name !== name);
      const xattrs = [...others, added].sort(compareNames);
      result = this.#lists.push(new ImageXattrList(xattrs)) - 1;
      this.#derived.set(key, result);
    }
    return result;
  }

  /** A whiteout inside an image is a regular file with these attributes. */
  withWhiteout(list: number): number {
    return this.withXattr(
      this.withXattr(list, XATTR_ESCAPED_WHITEOUT, ''),
      XATTR_USER_WHITEOUT,
      '',
    );
  }

  /** A directory that holds whiteouts says so; from format version 1 as an opaque directory of kind `x` too. */
  withWhiteouts(list: number, version: number): number {
    let result = this.withXattr(list, XATTR_ESCAPED_WHITEOUTS, '');
    result = this.withXattr(result, XATTR_USER_WHITEOUTS, '');
    if (version < 1) return result;
    result = this.withXattr(result, XATTR_ESCAPED_OPAQUE, 'x');
    return this.withXattr(result, XATTR_USER_OPAQUE, 'x');
  }

  /** The root hides whatever lies below it. */
  withRootOpaque(list: number): number {
    return this.withXattr(list, XATTR_OPAQUE, 'y');
  }

  /** Counts the attributes of an inode: its list, and what a file in the object store needs. */
  count(list: number, entry: number): void {
    this.#lists[list]!.uses++;
    if (!this.#table.isExternal(entry)) return;
    this.#metacopies[this.#table.digest[entry]! + 1]!++;
    const redirect = this.#table.redirect[entry]!;
    if (redirect !== NO_PAYLOAD) this.#redirects[this.#redirectIndex(redirect)]!++;
  }

  #redirectIndex(redirect: number): number {
    return redirect >= 0 ? redirect : this.#table.digests.count + NO_PAYLOAD - 1 - redirect;
  }

  /**
   * Gives every attribute that was counted more than once its place in the shared table, and returns them in order.
   */
  placeShared(): ImageXattr[] {
    const shared = this.#sharedPlain();
    const { digests } = this.#table;
    for (let index = 0; index < this.#metacopies.length; index++) {
      if (this.#metacopies[index]! < 2) continue;
      shared.push(new MetacopyXattr(digests).set(index - 1, -1));
    }
    for (let index = 0; index < this.#redirects.length; index++) {
      if (this.#redirects[index]! < 2) continue;
      const isObject = index < digests.count;
      const redirect = isObject ? index : digests.count + NO_PAYLOAD - 1 - index;
      shared.push(new RedirectXattr(this.#table).set(redirect, -1));
    }
    shared.sort((a, b) => compareForSharedTable(a, b, digests));
    this.#metacopies.fill(-1);
    this.#redirects.fill(-1);
    let at = 0;
    for (const xattr of shared) {
      xattr.sharedAt = at;
      if (xattr instanceof MetacopyXattr) this.#metacopies[xattr.digest + 1] = at;
      if (xattr instanceof RedirectXattr) this.#redirects[this.#redirectIndex(xattr.digest)] = at;
      at += xattr.size;
    }
    for (const list of this.#lists) list.settle();
    return shared;
  }

  #sharedPlain(): ImageXattr[] {
    for (const list of this.#lists) for (const xattr of list.xattrs) xattr.uses += list.uses;
    const plain = [...this.#byName.values()].flatMap((byValue) => [...byValue.values()]);
    return plain.filter(({ uses }) => uses > 1);
  }

  /** Bytes of an inode's attributes with their header. */
  areaSize(list: number, entry: number): number {
    const own = this.#lists[list]!;
    if (!own.isShort) return longAreaSize(this.#ofInode(own, entry));
    if (!this.#table.isExternal(entry)) {
      return own.size === 0 ? 0 : ErofsXattrIbodyHeader.size + own.size;
    }
    const { digest, redirect } = this.#table;
    const metacopy = digest[entry]!;
    const size = ErofsXattrIbodyHeader.size + own.size + this.#metacopySize(metacopy);
    const target = redirect[entry]!;
    return target === NO_PAYLOAD ? size : size + this.#redirectSize(target);
  }

  #metacopySize(digest: number): number {
    if (this.#metacopies[digest + 1]! >= 0) return 4;
    if (digest === NO_DIGEST) return METACOPY_HEAD_SIZE;
    return METACOPY_HEAD_SIZE + OverlayMetacopy.size + this.#table.digests.sizeOf(digest);
  }

  #redirectSize(redirect: number): number {
    if (this.#redirects[this.#redirectIndex(redirect)]! >= 0) return 4;
    if (redirect < 0) return this.#redirect.set(redirect, -1).size;
    return (REDIRECT_HEAD_SIZE + 2 * this.#table.digests.sizeOf(redirect) + 2 + 3) & ~3;
  }

  /** Writes the attributes of an inode with their header; shared ones are counted from `base`. */
  write(sink: ImageSink, list: number, entry: number, base: number): void {
    const own = this.#lists[list]!;
    if (!own.isShort) return writeLongArea(sink, this.#ofInode(own, entry), base);
    const isExternal = this.#table.isExternal(entry);
    const { shared } = own;
    const redirect = isExternal ? this.#table.redirect[entry]! : NO_PAYLOAD;
    const digest = this.#table.digest[entry]!;
    let filter = own.filter;
    let metacopyAt = -1;
    let redirectAt = -1;
    if (isExternal) {
      filter &= ~METACOPY_BIT;
      metacopyAt = this.#metacopies[digest + 1]!;
      if (redirect !== NO_PAYLOAD) {
        filter &= ~REDIRECT_BIT;
        redirectAt = this.#redirects[this.#redirectIndex(redirect)]!;
      }
    }
    const count = shared.length + (metacopyAt < 0 ? 0 : 1) + (redirectAt < 0 ? 0 : 1);
    let at = sink.record(ErofsXattrIbodyHeader.size + 4 * count);
    const { view } = sink;
    view.setUint32(at, filter >>> 0, true);
    view.setUint8(at + 4, count);
    at += ErofsXattrIbodyHeader.size;
    for (let i = 0; i <= shared.length; i++) {
      if (i === own.sharedBeforeMetacopy && metacopyAt >= 0) {
        view.setUint32(at, (base + metacopyAt) / 4, true);
        at += 4;
      }
      if (i === own.sharedBeforeRedirect && redirectAt >= 0) {
        view.setUint32(at, (base + redirectAt) / 4, true);
        at += 4;
      }
      if (i === shared.length) break;
      view.setUint32(at, (base + shared[i]!) / 4, true);
      at += 4;
    }
    const { xattrs } = own;
    if (!isExternal && xattrs.length === shared.length) return;
    for (let i = 0; i <= xattrs.length; i++) {
      if (isExternal && i === own.metacopyAt && metacopyAt < 0) this.#writeMetacopy(sink, digest);
      if (redirect !== NO_PAYLOAD && i === own.redirectAt && redirectAt < 0) {
        this.#writeRedirect(sink, redirect);
      }
      if (i < xattrs.length && xattrs[i]!.sharedAt < 0) xattrs[i]!.write(sink);
    }
  }

  #writeMetacopy(sink: ImageSink, digest: number): void {
    if (digest === NO_DIGEST) return this.#metacopy.set(digest, -1).write(sink);
    const { bytes } = this.#table.digests;
    const digestSize = this.#table.digests.sizeOf(digest);
    const head = METACOPY_HEADS[digestSize === 64 ? 64 : 32];
    const at = sink.record(head.length + digestSize);
    const { buffer } = sink;
    for (let i = 0; i < head.length; i++) buffer[at + i] = head[i]!;
    const from = digest * SLOT_SIZE;
    const to = at + head.length;
    for (let i = 0; i < digestSize; i++) buffer[to + i] = bytes[from + i]!;
  }

  #writeRedirect(sink: ImageSink, redirect: number): void {
    if (redirect < 0) return this.#redirect.set(redirect, -1).write(sink);
    const { bytes } = this.#table.digests;
    const digestSize = this.#table.digests.sizeOf(redirect);
    const head = REDIRECT_HEADS[digestSize === 64 ? 64 : 32];
    const size = (head.length + 2 * digestSize + 1 + 3) & ~3;
    let at = sink.record(size);
    const { buffer } = sink;
    for (let i = 0; i < head.length; i++) buffer[at++] = head[i]!;
    const from = redirect * SLOT_SIZE;
    for (let i = 0; i < digestSize; i++) {
      const byte = bytes[from + i]!;
      if (i === 1) buffer[at++] = 0x2f;
      buffer[at++] = HEX_DIGITS[byte >> 4]!;
      buffer[at++] = HEX_DIGITS[byte & 15]!;
    }
  }

  /** The attributes of an inode in order; the array and some of its elements change with the next call. */
  #ofInode(list: ImageXattrList, entry: number): readonly ImageXattr[] {
    const { xattrs, metacopyAt, redirectAt } = list;
    if (!this.#table.isExternal(entry)) return xattrs;
    const digest = this.#table.digest[entry]!;
    const items = xattrs.slice(0, metacopyAt);
    items.push(this.#metacopy.set(digest, this.#metacopies[digest + 1]!));
    items.push(...xattrs.slice(metacopyAt, redirectAt));
    const redirect = this.#table.redirect[entry]!;
    if (redirect !== NO_PAYLOAD) {
      items.push(this.#redirect.set(redirect, this.#redirects[this.#redirectIndex(redirect)]!));
    }
    items.push(...xattrs.slice(redirectAt));
    return items;
  }

  /** Whether any inode has a POSIX ACL. */
  get hasAcl(): boolean {
    const names = [XATTR_ACL_ACCESS, XATTR_ACL_DEFAULT] as string[] as ByteString[];
    return names.some((name) => this.#byName.has(name));
  }

  #intern(name: ByteString, value: ByteString): ImageXattr {
    let byValue = this.#byName.get(name);
    if (byValue === undefined) this.#byName.set(name, (byValue = new Map()));
    let result = byValue.get(value);
    if (result === undefined) byValue.set(value, (result = new PlainXattr(name, value)));
    return result;
  }
}

function escapeName(name: ByteString): ByteString {
  if (!name.startsWith(XATTR_OVERLAY_PREFIX)) return name;
  return (XATTR_OVERLAY_ESCAPE_PREFIX + name.slice(XATTR_OVERLAY_PREFIX.length)) as ByteString;
}

function compareNames(a: ImageXattr, b: ImageXattr): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The size of a list with so many shared attributes that not all are referred to. */
function longAreaSize(list: readonly ImageXattr[]): number {
  let size = ErofsXattrIbodyHeader.size;
  let shared = 0;
  for (const xattr of list) {
    if (xattr.sharedAt >= 0 && shared < SHARED_XATTRS_PER_INODE_MAX) {
      shared++;
      size += 4;
    } else size += xattr.size;
  }
  return size;
}

function writeLongArea(sink: ImageSink, list: readonly ImageXattr[], base: number): void {
  const shared = list.filter(({ sharedAt }) => sharedAt >= 0);
  const referred = shared.slice(0, SHARED_XATTRS_PER_INODE_MAX);
  sink.u32(filterOf(list) >>> 0);
  sink.u32(referred.length);
  sink.u32(0);
  for (const { sharedAt } of referred) sink.u32((base + sharedAt) / 4);
  let left = referred.length;
  for (const xattr of list) {
    if (xattr.sharedAt >= 0 && left > 0) left--;
    else xattr.write(sink);
  }
}
