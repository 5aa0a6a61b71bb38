/**
 * Which bytes of an image belong to what: each to one record at most, and those to none are zero.
 *
 * Kept as one bit for each four bytes, since every record begins at a multiple of four. What this finds, no rule
 * about a field can: inodes or blocks that overlap, inodes nobody refers to, data hidden in padding.
 */
import { allZero } from './bytes.ts';

const WORD = 4;

export class ByteCoverage {
  readonly #bytes: Uint8Array;
  readonly #marks: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#marks = new Uint8Array(Math.ceil(bytes.length / WORD / 8));
  }

  /** Whether the word at `offset` belongs to something. */
  isMarked(offset: number): boolean {
    const word = Math.floor(offset / WORD);
    return (this.#marks[Math.floor(word / 8)]! & (1 << (word & 7))) !== 0;
  }

  /** Takes the bytes from `start` (a multiple of 4) to `end`; false when some are taken. */
  mark(start: number, end: number): boolean {
    const last = Math.ceil(end / WORD);
    for (let word = start / WORD; word < last; word++) {
      const at = Math.floor(word / 8);
      const bit = 1 << (word & 7);
      if ((this.#marks[at]! & bit) !== 0) return false;
      this.#marks[at]! |= bit;
    }
    return true;
  }

  /** Whether the bytes that fill up `end` to a word are zero. */
  isPadded(end: number): boolean {
    return allZero(this.#bytes, end, Math.min(Math.ceil(end / WORD) * WORD, this.#bytes.length));
  }

  /** Offset of the first byte from `from` on that belongs to nothing and is not zero, or -1. */
  findUnused(from: number): number {
    const { length } = this.#bytes;
    for (let at = from; at < length; at += WORD) {
      // Eight covered words at once: the usual case in the middle of an image.
      const word = at / WORD;
      if ((word & 7) === 0 && this.#marks[word / 8] === 0xff) {
        at += 7 * WORD;
        continue;
      }
      if (this.isMarked(at)) continue;
      for (let i = at; i < Math.min(at + WORD, length); i++) if (this.#bytes[i] !== 0) return i;
    }
    return -1;
  }
}
