/**
 * What mutations start from: small images and dump texts that between them use every record and every rule.
 *
 * Positions of all records are collected once, so that a mutation can aim at a field.
 */
import {
  ComposefsHeader,
  OverlayMetacopy,
  XATTR_METACOPY,
} from '../../../runtime/format/composefs.ts';
import { openImage, type ErofsImage } from '../../../runtime/format/erofs-image.ts';
import type { ErofsInode } from '../../../runtime/format/erofs-inode.ts';
import { walkImage } from '../../../runtime/format/erofs-walk.ts';
import {
  EROFS_SUPER_OFFSET,
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
  ErofsXattrEntry,
  ErofsXattrIbodyHeader,
} from '../../../runtime/format/erofs.ts';
import { type FieldInfo, fieldsOf, type FieldTable } from '../../../runtime/format/struct.ts';
import { v2Image } from '../../../test/support/v2-image.ts';
import { imageBytes } from '../../image/build.ts';
import { parseDump } from '../../image/dumpfile.ts';

/** One field of one record of an image. */
export interface FieldAt {
  readonly record: string;
  readonly field: FieldInfo;
  /** Position of the field. */
  readonly offset: number;
}

export interface SeedImage {
  readonly bytes: Uint8Array;
  readonly fields: readonly FieldAt[];
}

interface RecordTable {
  readonly name: string;
  readonly table: FieldTable;
}

/** Every field of every record that is reached from the root, each once. */
export function fieldsOfImage(image: ErofsImage): FieldAt[] {
  const result: FieldAt[] = [];
  const seen = new Set<number>();
  const add = (table: RecordTable, at: number): void => {
    if (seen.has(at)) return;
    seen.add(at);
    for (const field of fieldsOf(table)) {
      result.push({ record: table.name, field, offset: at + field.offset });
    }
  };
  const addInode = (inode: ErofsInode): void => {
    add(inode.isExtended ? ErofsInodeExtended : ErofsInodeCompact, inode.offset);
    if (inode.xattrSize > 0) add(ErofsXattrIbodyHeader, inode.xattrStart);
    for (const xattr of image.xattrs(inode)) {
      add(ErofsXattrEntry, xattr.offset);
      const isRecord = image.xattrName(xattr) === XATTR_METACOPY && xattr.end > xattr.valueStart;
      if (isRecord) add(OverlayMetacopy, xattr.valueStart);
    }
  };
  add(ComposefsHeader, 0);
  add(ErofsSuperblock, EROFS_SUPER_OFFSET);
  addInode(image.root());
  walkImage(image, {
    dots: (entry) => add(ErofsDirent, entry.offset),
    entry: (entry, inode) => {
      add(ErofsDirent, entry.offset);
      addInode(inode);
    },
  });
  return result;
}

const ROOT = '/ 4096 40755 2 0 0 0 5.5 - - - security.selinux=ctx\\x00';
const MANY = Array.from({ length: 130 }, (_, i) => `user.x${100 + i}=1`).join(' ');

/** Dump texts; each line of each is a case of its own. */
export const SEED_DUMPS: readonly string[] = [
  [
    ROOT,
    '/a 5 100644 1 0 0 0 5.5 - hello - user.k=v',
    `/b 100000 100644 1 70000 0 0 9.9 ab/cdef - ${'4f1d2c3b'.repeat(8)} security.selinux=ctx\\x00`,
    '/c 0 @120000 - - - - 0.0 /b - -',
    '/d 4096 40755 2 0 0 0 5.5 - - - trusted.overlay.opaque=y',
    '/d/w 0 20600 1 0 0 0 7.0 - - - user.k=v',
    '/d/e 4096 40755 2 0 0 0 5.5 - - -',
    '/d/e/f 0 100644 1 0 0 0 5.5 - - - lustre.lov=z system.posix_acl_access=acl',
    '/l 3 120777 1 0 0 0 5.5 b/c - -',
    '/p 0 10644 1 0 0 0 5.5 - - -',
    '/s 0 140644 1 0 0 0 5.5 - - -',
    '/t 0 20644 1 0 0 1281 5.5 - - -',
    '/u 0 60644 1 0 0 2048 5.5 - - -',
  ],
  [
    ROOT,
    `/big 5000 100644 1 0 0 0 5.5 - ${'c'.repeat(5000)} -`,
    '/huge 9007199254740992 100644 1 0 0 0 -5.1 x - -',
    `/moved 9007199254740992 100644 1 0 0 0 5.5 y - - user.v=${'v'.repeat(2000)}`,
    `/link 4095 120777 1 0 0 0 5.5 ${'t'.repeat(4095)} - -`,
    `/m 0 100644 1 0 0 0 5.5 - - - ${MANY}`,
    `/n 0 100644 1 0 0 0 5.5 - - - ${MANY}`,
  ],
  [
    ROOT,
    '/dir 4096 40755 2 0 0 0 5.5 - - -',
    ...Array.from(
      { length: 250 },
      (_, i) => `/dir/${i % 2 === 0 ? '!' : 'name-that-is-long-'}${i} 0 100644 1 0 0 0 5.5 - - -`,
    ),
  ],
].map((lines) => `${lines.join('\n')}\n`);

/** The images of the dumps in both versions, and one in version 2. */
export function seedImages(): SeedImage[] {
  const images = SEED_DUMPS.flatMap((text) => {
    return [0, 1].map((version) => {
      return imageBytes(parseDump(Buffer.from(text, 'latin1')), { min: version, max: version });
    });
  });
  return [...images, v2Image()].map((bytes) => ({
    bytes,
    fields: fieldsOfImage(openImage(bytes)),
  }));
}
