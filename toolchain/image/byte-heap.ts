/**
 * Many short runs of bytes in few large arrays: the names, targets and contents of a tree.
 *
 * A million JavaScript strings are a million objects for the garbage collector to copy and to mark; here they are a
 * place, which is a number, and a size that the owner keeps.
 */
import type { ByteString } from './byte-string.ts';

/** More than nearly every run, and so little that a small tree costs little. */
const CHUNK_SIZE = 128 * 1024;

export class ByteHeap {
  readonly #chunks: Buffer[] = [];
  /** Next free byte of the last chunk. */
  #at = CHUNK_SIZE;

  /** Room for so many bytes; returns its place. */
  reserve(size: number): number {
    if (size > CHUNK_SIZE) return this.#reserveLarge(size);
    if (this.#at + size > CHUNK_SIZE) {
      this.#chunks.push(Buffer.alloc(CHUNK_SIZE));
      this.#at = 0;
    }
    const place = (this.#chunks.length - 1) * CHUNK_SIZE + this.#at;
    this.#at += size;
    return place;
  }

  /** An array of its own, which takes the places of as many chunks as it is long. */
  #reserveLarge(size: number): number {
    const place = this.#chunks.length * CHUNK_SIZE;
    const large = Buffer.alloc(size);
    for (let at = 0; at < size; at += CHUNK_SIZE) this.#chunks.push(large);
    this.#at = CHUNK_SIZE;
    return place;
  }

  addBytes(bytes: Uint8Array, from: number, to: number): number {
    const place = this.reserve(to - from);
    const chunk = this.chunkOf(place);
    let at = place % CHUNK_SIZE;
    for (let i = from; i < to; i++) chunk[at++] = bytes[i]!;
    return place;
  }

  addString(text: ByteString): number {
    const place = this.reserve(text.length);
    const chunk = this.chunkOf(place);
    const at = place % CHUNK_SIZE;
    for (let i = 0; i < text.length; i++) chunk[at + i] = text.charCodeAt(i);
    return place;
  }

  /** The array that a place lies in. */
  chunkOf(place: number): Buffer {
    return this.#chunks[Math.floor(place / CHUNK_SIZE)]!;
  }

  /** Where in that array it begins. */
  offsetOf(place: number): number {
    return place % CHUNK_SIZE;
  }

  /** A view of the bytes. */
  bytes(place: number, size: number): Uint8Array {
    const at = place % CHUNK_SIZE;
    return this.chunkOf(place).subarray(at, at + size);
  }

  string(place: number, size: number): ByteString {
    if (size === 0) return '' as ByteString;
    const at = place % CHUNK_SIZE;
    return this.chunkOf(place).toString('latin1', at, at + size) as ByteString;
  }
}
