/**
 * The directory entries of an image: their order, the dots among them, and where a directory is cut into blocks.
 */
import { EROFS_BLOCK_SIZE, ErofsDirent } from '../../runtime/format/erofs.ts';
import type { EntryTable } from './entry-table.ts';

/** What stands for `.` and `..` among the entries of a directory. */
export const DOT = -1;
export const DOT_DOT = -2;

/** The entries of a directory in name order, with the dots in their places; kept for one directory at a time. */
export class Dirents {
  readonly #table: EntryTable;
  /** Entries, or DOT or DOT_DOT. */
  entries = new Int32Array(64);
  count = 0;
  /** Where each block begins, and then the count. */
  blockStarts = new Int32Array(16);
  blockCount = 0;
  /** Bytes of the last block. */
  lastSize = 0;

  constructor(table: EntryTable) {
    this.#table = table;
  }

  /** Loads the entries of a directory and cuts them into blocks; blocks are cut here and nowhere else. */
  load(directory: number): void {
    const { start, entries: children } = this.#table.index;
    const from = start[directory]!;
    const to = start[directory + 1]!;
    if (to - from + 2 > this.entries.length) this.entries = new Int32Array(2 * (to - from + 2));
    this.count = 0;
    this.blockCount = 1;
    this.lastSize = 0;
    let dots = 0;
    for (let i = from; i < to; i++) {
      const child = children[i]!;
      if (dots < 2) {
        const above = this.#dotsBefore(child);
        if (dots === 0 && above > 0) this.#push(DOT, 1);
        if (above === 2) this.#push(DOT_DOT, 2);
        dots = above;
      }
      this.#push(child, this.#table.nameSize[child]!);
    }
    if (dots === 0) this.#push(DOT, 1);
    if (dots < 2) this.#push(DOT_DOT, 2);
    this.blockStarts[this.blockCount] = this.count;
  }

  #push(entry: number, nameSize: number): void {
    const size = ErofsDirent.size + nameSize;
    if (this.lastSize + size > EROFS_BLOCK_SIZE) {
      if (this.blockCount + 1 >= this.blockStarts.length) {
        const starts = new Int32Array(2 * this.blockStarts.length);
        starts.set(this.blockStarts);
        this.blockStarts = starts;
      }
      this.blockStarts[this.blockCount++] = this.count;
      this.lastSize = 0;
    }
    this.lastSize += size;
    this.entries[this.count++] = entry;
  }

  /** How many of `.` and `..` come before a name; it is neither of them. */
  #dotsBefore(entry: number): number {
    const { heap, nameAt, nameSize } = this.#table;
    const place = nameAt[entry]!;
    const chunk = heap.chunkOf(place);
    const at = heap.offsetOf(place);
    if (chunk[at]! !== 0x2e) return chunk[at]! > 0x2e ? 2 : 0;
    return nameSize[entry]! > 1 && chunk[at + 1]! >= 0x2e ? 2 : 1;
  }
}
