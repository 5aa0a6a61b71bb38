/**
 * The entries of a directory, block by block.
 *
 * A block is an array of 12-byte records, then the names without terminators. Every record and name that is
 * handed out lies in its block, and every name is one a file system can show.
 * Source: Linux fs/erofs/erofs_fs.h (struct erofs_dirent) and dir.c.
 */
import { EROFS_NAME_LEN_MAX, ErofsDirent } from './erofs.ts';
import type { ImageBytes } from './erofs-inode.ts';
import { refuse } from './refuse.ts';

const DIRENT = ErofsDirent.at;

/** One name of a directory: where it stands and what it refers to. */
export interface DirentView {
  /** Position of the record. */
  readonly offset: number;
  readonly nid: number;
  /** EROFS_FT_*, as the entry says; the inode's mode decides. */
  readonly fileType: number;
  readonly nameStart: number;
  readonly nameEnd: number;
}

/** One block of directory entries: an array of records, then their names. */
export class DirentBlock {
  readonly image: ImageBytes;
  readonly start: number;
  readonly size: number;
  readonly count: number;
  readonly #directory: number;

  constructor(image: ImageBytes, directory: number, start: number, size: number) {
    this.image = image;
    this.start = start;
    this.size = size;
    this.#directory = directory;
    const namesAt =
      size < ErofsDirent.size ? 0 : image.view.getUint16(start + DIRENT.nameoff, true);
    if (namesAt === 0 || namesAt % ErofsDirent.size !== 0 || namesAt > size) {
      refuse(
        'FORMAT_DIRENT_TABLE',
        `Cannot read the entries of directory ${directory} at offset ${start} with first name offset ${namesAt}`,
        `a multiple of ${ErofsDirent.size} up to ${size}`,
      );
    }
    this.count = namesAt / ErofsDirent.size;
  }

  /** Entry `i`; its name is 1 to 255 bytes without NUL or slash, inside the block. */
  entry(i: number): DirentView {
    const { view } = this.image;
    const at = this.start + i * ErofsDirent.size;
    const nid = view.getUint32(at + DIRENT.nid, true);
    if (view.getUint32(at + DIRENT.nid + 4, true) !== 0) {
      refuse(
        'FORMAT_NID_RANGE',
        `Cannot use the nid 0x${view.getBigUint64(at, true).toString(16)} of the entry at offset ${at}`,
        'at most 32 bits',
      );
    }
    const nameStart = this.#nameStart(i);
    const nameEnd = this.#nameEnd(i, nameStart);
    const fileType = this.image.bytes[at + DIRENT.file_type]!;
    return { offset: at, nid, fileType, nameStart, nameEnd };
  }

  /** Order of the name of entry `i` against `name`: negative when the entry sorts first. */
  compare(i: number, name: Uint8Array): number {
    const { bytes } = this.image;
    const start = this.#nameStart(i);
    const size = this.#nameEnd(i, start) - start;
    const length = Math.min(size, name.length);
    for (let k = 0; k < length; k++) {
      const difference = bytes[start + k]! - name[k]!;
      if (difference !== 0) return difference;
    }
    return size - name.length;
  }

  #nameStart(i: number): number {
    const at = this.start + i * ErofsDirent.size;
    const nameoff = this.image.view.getUint16(at + DIRENT.nameoff, true);
    if (nameoff < this.count * ErofsDirent.size || nameoff >= this.size) {
      refuse(
        'FORMAT_DIRENT_NAME',
        `Cannot read the name at ${nameoff} of the entry at offset ${at} in directory ${this.#directory}`,
        `${this.count * ErofsDirent.size} to ${this.size - 1}`,
      );
    }
    return this.start + nameoff;
  }

  /** Names have no terminator: the next one ends them, and the last one runs to a NUL or the block's end. */
  #nameEnd(i: number, nameStart: number): number {
    const { bytes } = this.image;
    const isLast = i + 1 === this.count;
    const limit = isLast ? this.start + this.size : this.#nameStart(i + 1);
    if (limit <= nameStart) this.#refuseName(nameStart, 'has no bytes');
    let end = nameStart;
    for (; end < limit; end++) {
      const byte = bytes[end]!;
      if (byte === 0x2f) this.#refuseName(nameStart, 'has a slash');
      if (byte !== 0) continue;
      if (isLast && end > nameStart) break;
      this.#refuseName(nameStart, 'has a NUL');
    }
    if (end - nameStart > EROFS_NAME_LEN_MAX)
      this.#refuseName(nameStart, `has ${end - nameStart} bytes`);
    return end;
  }

  #refuseName(at: number, problem: string): never {
    return refuse(
      'FORMAT_DIRENT_NAME',
      `Cannot use the name at offset ${at} in directory ${this.#directory}, which ${problem}`,
      `1 to ${EROFS_NAME_LEN_MAX} bytes without NUL or slash`,
    );
  }
}
