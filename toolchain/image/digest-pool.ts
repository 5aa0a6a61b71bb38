/**
 * The distinct fs-verity digests of a tree, as bytes: each once, known by a number.
 *
 * As hexadecimal text in strings, a digest takes 80 bytes and the path of its object another 88; here both are
 * these 32.
 */
import type { ByteString } from './byte-string.ts';

/** A SHA-256 digest takes one slot of this size, a SHA-512 digest two. */
export const SLOT_SIZE = 32;
const SLOT_WORDS = SLOT_SIZE / 4;
const DIGEST_SIZE_MAX = 64;
const SLOTS_MIN = 64;
const HASH_FACTOR = 0x9e3779b1;
/** In a table that is at most half full, random digests need a handful. */
const PROBES_MAX = 64;

/** Values of the digits by character code; 255 for what is no lower-case hexadecimal digit. */
export const HEX_VALUES = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value++) HEX_VALUES[value.toString(16).charCodeAt(0)] = value;

/** What slot numbers of absent digests are. */
export const NO_DIGEST = -1;

export class DigestPool {
  /** The digest that `add` takes. */
  readonly scratch = new Uint8Array(DIGEST_SIZE_MAX);
  readonly #scratchWords = new Uint32Array(this.scratch.buffer);
  /** The digests, slot after slot. */
  bytes = Buffer.alloc(SLOTS_MIN * SLOT_SIZE);
  #words = new Uint32Array(this.bytes.buffer);
  /** By slot: 32 or 64, and 0 for the second slot of a digest. */
  #sizes = new Uint8Array(SLOTS_MIN);
  /** Slots in use. */
  count = 0;
  #distinct = 0;
  /** Open addressing: slot + 1, or 0. */
  #table = new Int32Array(4 * SLOTS_MIN);
  /** Slots by their digest in hexadecimal, of those for which so many places were taken. */
  #crowded = new Map<string, number>();

  /** The slot of the first `size` bytes (32 or 64) of `scratch`; new only when it was not there before. */
  add(size: number): number {
    const mask = this.#table.length - 1;
    let at = hashWords(this.#scratchWords, 0, size / 4) & mask;
    let left = PROBES_MAX;
    for (; this.#table[at] !== 0 && left > 0; at = (at + 1) & mask) {
      const slot = this.#table[at]! - 1;
      if (this.#isScratch(slot, size)) return slot;
      left--;
    }
    if (left === 0) return this.#addCrowded(size);
    const slot = this.#append(size);
    this.#table[at] = slot + 1;
    if (++this.#distinct * 2 > mask) this.#rehash();
    return slot;
  }

  /** Somebody may make digests that all meet in one place; those are kept where that costs nothing. */
  #addCrowded(size: number): number {
    const hex = Buffer.from(this.scratch.buffer, 0, size).toString('hex');
    let slot = this.#crowded.get(hex);
    if (slot === undefined) this.#crowded.set(hex, (slot = this.#append(size)));
    return slot;
  }

  /**
   * The slot of hexadecimal digits in lower case, or NO_DIGEST when `text[from, …)` has others among `size` bytes.
   */
  addHex(text: string, size: number): number {
    return this.#decode(text, 0, size, 0) ? this.add(size) : NO_DIGEST;
  }

  /** The slot of the digest whose object a path names, `ab/cdef…`, or NO_DIGEST when it is no such path. */
  addObjectPath(path: ByteString): number {
    const size = (path.length - 1) / 2;
    if ((size !== 32 && size !== 64) || path.charCodeAt(2) !== 0x2f) return NO_DIGEST;
    const isPath = this.#decode(path, 0, 1, 0) && this.#decode(path, 3, size - 1, 1);
    return isPath ? this.add(size) : NO_DIGEST;
  }

  /** 32 or 64. */
  sizeOf(slot: number): number {
    return this.#sizes[slot]!;
  }

  /** The digest in lower-case hexadecimal. */
  hex(slot: number): string {
    const at = slot * SLOT_SIZE;
    return this.bytes.toString('hex', at, at + this.#sizes[slot]!);
  }

  objectPath(slot: number): ByteString {
    const hex = this.hex(slot);
    return `${hex.slice(0, 2)}/${hex.slice(2)}` as ByteString;
  }

  /** Byte order; both digests have the same size. */
  compare(a: number, b: number): number {
    const { bytes } = this;
    for (let i = 0; i < this.#sizes[a]!; i++) {
      const difference = bytes[a * SLOT_SIZE + i]! - bytes[b * SLOT_SIZE + i]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #decode(text: string, from: number, count: number, into: number): boolean {
    for (let i = 0; i < count; i++) {
      const high = HEX_VALUES[text.charCodeAt(from + 2 * i)]!;
      const low = HEX_VALUES[text.charCodeAt(from + 2 * i + 1)]!;
      if (!(high <= 15 && low <= 15)) return false;
      this.scratch[into + i] = high * 16 + low;
    }
    return true;
  }

  #isScratch(slot: number, size: number): boolean {
    if (this.#sizes[slot] !== size) return false;
    for (let i = 0; i < size / 4; i++) {
      if (this.#words[slot * SLOT_WORDS + i] !== this.#scratchWords[i]) return false;
    }
    return true;
  }

  #append(size: number): number {
    const slot = this.count;
    if (slot + 2 > this.#sizes.length) this.#grow();
    this.#sizes[slot] = size;
    for (let i = 0; i < size / 4; i++) {
      this.#words[slot * SLOT_WORDS + i] = this.#scratchWords[i]!;
    }
    this.count += size / SLOT_SIZE;
    return slot;
  }

  #grow(): void {
    const bytes = Buffer.alloc(2 * this.bytes.length);
    bytes.set(this.bytes);
    const sizes = new Uint8Array(2 * this.#sizes.length);
    sizes.set(this.#sizes);
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer);
    this.#sizes = sizes;
  }

  #rehash(): void {
    const mask = 2 * this.#table.length - 1;
    const table = new Int32Array(mask + 1);
    const crowded = new Map<string, number>();
    for (let slot = 0; slot < this.count; slot++) {
      const size = this.#sizes[slot]!;
      if (size === 0) continue;
      let at = hashWords(this.#words, slot * SLOT_WORDS, size / 4) & mask;
      let left = PROBES_MAX;
      for (; table[at] !== 0 && left > 0; at = (at + 1) & mask) left--;
      if (left === 0) crowded.set(this.hex(slot), slot);
      else table[at] = slot + 1;
    }
    this.#table = table;
    this.#crowded = crowded;
  }
}

/** The hash of `count` words; 32 bits that say little of each other for what is as random as digests. */
export function hashWords(words: Uint32Array, from: number, count: number, seed = count): number {
  let hash = seed;
  for (let i = 0; i < count; i++) {
    hash = Math.imul(hash ^ words[from + i]!, HASH_FACTOR);
    hash ^= hash >>> 15;
  }
  return hash;
}
