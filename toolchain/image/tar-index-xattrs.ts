/**
 * Extended attributes of an index: as the archive has them, each one that is used more than once stored once.
 *
 * Nothing is escaped or added here, unlike in a composefs image (image-xattrs.ts): an index is mounted by itself.
 */
import { SHARED_XATTRS_PER_INODE_MAX } from '../../runtime/format/composefs.ts';
import {
  EROFS_XATTR_FILTER_DEFAULT,
  EROFS_XATTR_FILTER_SEED,
  EROFS_XATTR_PREFIXES,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from '../../runtime/format/erofs.ts';
import { xxh32 } from '../../runtime/format/xxh32.ts';
import { bytesOf, type ByteString } from './byte-string.ts';
import type { ImageSink } from './image-sink.ts';
import type { Xattr } from './tree.ts';

/** An attribute as its entry stores it. */
interface Stored {
  readonly prefix: number;
  readonly suffix: ByteString;
  readonly value: ByteString;
  readonly size: number;
  readonly filterBit: number;
  uses: number;
  /** Byte offset in the table of shared attributes, or -1. */
  sharedAt: number;
}

export class IndexXattrs {
  /** In the order of their first use. Equal pairs of a tree are one object (XattrPool). */
  readonly #stored = new Map<Xattr, Stored>();

  /** Counts the attributes of one inode. */
  count(xattrs: readonly Xattr[]): void {
    for (const xattr of xattrs) {
      let stored = this.#stored.get(xattr);
      if (stored === undefined) this.#stored.set(xattr, (stored = storedOf(xattr)));
      stored.uses++;
    }
  }

  /** Gives the shared ones their places, once all are counted; returns the size of their table. */
  placeShared(): number {
    let size = 0;
    for (const stored of this.#stored.values()) {
      if (stored.uses < 2) continue;
      stored.sharedAt = size;
      size += stored.size;
    }
    return size;
  }

  /** Bytes of an inode's area. */
  areaSize(xattrs: readonly Xattr[]): number {
    if (xattrs.length === 0) return 0;
    const { shared, own } = this.#split(xattrs);
    const sizes = own.reduce((sum, { size }) => sum + size, 0);
    return ErofsXattrIbodyHeader.size + 4 * shared.length + sizes;
  }

  /** Writes an inode's area; `base` is where the shared table stands from the start of its block. */
  writeArea(sink: ImageSink, xattrs: readonly Xattr[], base: number): void {
    const { shared, own } = this.#split(xattrs);
    let filter = EROFS_XATTR_FILTER_DEFAULT;
    for (const { filterBit } of [...shared, ...own]) filter &= ~filterBit;
    sink.u32(filter >>> 0);
    sink.u8(shared.length);
    sink.fill(0, 7);
    for (const { sharedAt } of shared) sink.u32((base + sharedAt) / 4);
    for (const stored of own) writeEntry(sink, stored);
  }

  writeShared(sink: ImageSink): void {
    for (const stored of this.#stored.values()) if (stored.sharedAt >= 0) writeEntry(sink, stored);
  }

  #split(xattrs: readonly Xattr[]): { shared: Stored[]; own: Stored[] } {
    const shared: Stored[] = [];
    const own: Stored[] = [];
    for (const xattr of xattrs) {
      const stored = this.#stored.get(xattr)!;
      const isShared = stored.sharedAt >= 0 && shared.length < SHARED_XATTRS_PER_INODE_MAX;
      (isShared ? shared : own).push(stored);
    }
    return { shared, own };
  }
}

function storedOf({ name, value }: Xattr): Stored {
  const found = EROFS_XATTR_PREFIXES.find(([, text]) => name.startsWith(text));
  const [prefix, text] = found ?? [0, ''];
  const suffix = name.slice(text.length) as ByteString;
  return {
    prefix,
    suffix,
    value,
    size: Math.ceil((ErofsXattrEntry.size + suffix.length + value.length) / 4) * 4,
    filterBit: 1 << (xxh32(bytesOf(suffix), EROFS_XATTR_FILTER_SEED + prefix) % 32),
    uses: 0,
    sharedAt: -1,
  };
}

function writeEntry(sink: ImageSink, { prefix, suffix, value, size }: Stored): void {
  sink.u8(suffix.length);
  sink.u8(prefix);
  sink.u16(value.length);
  sink.string(suffix);
  sink.string(value);
  sink.fill(0, size - ErofsXattrEntry.size - suffix.length - value.length);
}
