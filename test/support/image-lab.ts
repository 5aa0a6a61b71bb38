/**
 * An image to damage at a named place: by the path of an entry, the record and the field.
 */
import { ascii } from '../../runtime/format/bytes.ts';
import type { DirentView } from '../../runtime/format/erofs-dirents.ts';
import { openImage, type ErofsImage, type XattrView } from '../../runtime/format/erofs-image.ts';
import type { ErofsInode } from '../../runtime/format/erofs-inode.ts';
import {
  EROFS_SUPER_OFFSET,
  ErofsDirent,
  ErofsInodeCompact,
  ErofsInodeExtended,
  ErofsSuperblock,
} from '../../runtime/format/erofs.ts';
import { ComposefsHeader } from '../../runtime/format/composefs.ts';
import { fieldsOf, type FieldTable } from '../../runtime/format/struct.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';

/** The root line that most dumps of the tests begin with. */
export const ROOT_LINE = '/ 4096 40755 2 0 0 0 0.0 - - -';

/** The image of some dump lines behind a root line. */
export function imageOf(version: number, lines: readonly string[], root = ROOT_LINE): Uint8Array {
  const text = [root, ...lines, ''].join('\n');
  return imageBytes(parseDump(Buffer.from(text, 'latin1')), { min: version, max: version });
}

interface RecordLike {
  readonly table: FieldTable;
}

export class ImageLab {
  /** The damaged copy. */
  readonly bytes: Uint8Array;
  readonly #whole: ErofsImage;

  constructor(bytes: Uint8Array) {
    this.#whole = openImage(bytes);
    this.bytes = new Uint8Array(bytes);
  }

  /** Writes a little-endian value into a field of a record. */
  set(record: RecordLike, at: number, name: string, value: number | bigint): void {
    const field = fieldsOf(record).find((candidate) => candidate.name === name)!;
    for (let i = 0, rest = BigInt(value); i < field.size; i++, rest >>= 8n) {
      this.bytes[at + field.offset + i] = Number(rest & 0xffn);
    }
  }

  header(name: string, value: number): void {
    this.set(ComposefsHeader, 0, name, value);
  }

  superblock(name: string, value: number | bigint): void {
    this.set(ErofsSuperblock, EROFS_SUPER_OFFSET, name, value);
  }

  /** Sets a field of the inode at a path such as `/a/b`. */
  inode(path: string, name: string, value: number | bigint): void {
    const inode = this.find(path);
    this.set(inode.isExtended ? ErofsInodeExtended : ErofsInodeCompact, inode.offset, name, value);
  }

  /** Sets a field of the directory entry with a path. */
  dirent(path: string, name: string, value: number | bigint): void {
    this.set(ErofsDirent, this.entry(path).offset, name, value);
  }

  /** The inode at a path in the undamaged image. */
  find(path: string): ErofsInode {
    const inode = this.#whole.lookupPath(path.split('/').filter((name) => name !== ''));
    if (inode === undefined) throw new Error(`no ${path}`);
    return inode;
  }

  /** The directory entry with a path; a last part `.` or `..` names that entry. */
  entry(path: string): DirentView {
    const slash = path.lastIndexOf('/');
    const directory = this.find(path.slice(0, slash));
    const entry = this.#whole.lookup(directory, ascii(path.slice(slash + 1)));
    if (entry === undefined) throw new Error(`no entry ${path}`);
    return entry;
  }

  /** An extended attribute of the undamaged image. */
  xattr(path: string, name: string): XattrView {
    const xattrs = this.#whole.xattrs(this.find(path));
    return xattrs.find((xattr) => this.#whole.xattrName(xattr) === name)!;
  }
}
