/**
 * Collects the bytes of an image in order and hands them on in large pieces whose size is a multiple of the
 * block size (the last one excepted), so that hashing and writing need no copies of their own.
 */
import { EROFS_BLOCK_SIZE } from '../../runtime/format/erofs.ts';
import type { ByteString } from './byte-string.ts';

const BUFFER_SIZE = 1 << 20;
/** Below this length a loop beats the call into the engine. */
const SHORT = 40;

/** Receives a piece of the image. The bytes are valid only during the call; `slice` of a Buffer does not copy them. */
export type ConsumeBytes = (bytes: Uint8Array) => void;

export class ImageSink {
  readonly #consume: ConsumeBytes;
  /** What `record` gives room in. */
  readonly buffer = new Uint8Array(BUFFER_SIZE);
  readonly view = new DataView(this.buffer.buffer);
  readonly #text = Buffer.from(this.buffer.buffer);
  /** Next free byte of the buffer; everything from here on is zero. */
  #at = 0;
  /** Image offset of the buffer's first byte. */
  #base = 0;

  constructor(consume: ConsumeBytes) {
    this.#consume = consume;
  }

  /** Offset of the next byte in the image. */
  get position(): number {
    return this.#base + this.#at;
  }

  /**
   * Room for so many bytes, at most 64 KiB, that the caller fills in himself; they are zero. Returns where they begin
   * in `buffer` and `view`.
   */
  record(size: number): number {
    this.#room(size);
    const at = this.#at;
    this.#at += size;
    return at;
  }

  u8(value: number): void {
    this.#room(1);
    this.buffer[this.#at++] = value;
  }

  u16(value: number): void {
    this.#room(2);
    this.view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#room(4);
    this.view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  /** An unsigned 64-bit integer below 2^53, or a signed one as bigint. */
  u64(value: number | bigint): void {
    this.#room(8);
    if (typeof value === 'number' && value >= 0) {
      this.view.setUint32(this.#at, value >>> 0, true);
      this.view.setUint32(this.#at + 4, Math.floor(value / 2 ** 32), true);
    } else this.view.setBigInt64(this.#at, BigInt(value), true);
    this.#at += 8;
  }

  /** A byte string of at most 64 KiB. */
  string(value: ByteString): void {
    const length = value.length;
    this.#room(length);
    if (length <= SHORT) {
      for (let i = 0; i < length; i++) this.buffer[this.#at + i] = value.charCodeAt(i);
    } else this.#text.write(value, this.#at, 'latin1');
    this.#at += length;
  }

  bytes(value: Uint8Array): void {
    this.range(value, 0, value.length);
  }

  /** `size` bytes of an array. */
  range(bytes: Uint8Array, from: number, size: number): void {
    if (size > SHORT) {
      for (let at = from; at < from + size; at += EROFS_BLOCK_SIZE) {
        const end = Math.min(at + EROFS_BLOCK_SIZE, from + size);
        this.#room(end - at);
        this.buffer.set(bytes.subarray(at, end), this.#at);
        this.#at += end - at;
      }
      return;
    }
    this.#room(size);
    const buffer = this.buffer;
    const to = this.#at;
    for (let i = 0; i < size; i++) buffer[to + i] = bytes[from + i]!;
    this.#at = to + size;
  }

  /** The same byte again and again. */
  fill(value: number, count: number): void {
    for (let left = count; left > 0;) {
      const step = Math.min(left, EROFS_BLOCK_SIZE);
      this.#room(step);
      if (value !== 0) this.buffer.fill(value, this.#at, this.#at + step);
      this.#at += step;
      left -= step;
    }
  }

  /** Zeros up to an offset of the image. */
  padTo(position: number): void {
    const count = position - this.position;
    if (count < 0)
      throw new Error(`image bytes overlap: at ${this.position}, expected ${position}`);
    this.fill(0, count);
  }

  /** Hands on what is left. */
  end(): void {
    if (this.#at > 0) this.#consume(this.buffer.subarray(0, this.#at));
    this.#base += this.#at;
    this.#at = 0;
  }

  #room(count: number): void {
    if (this.#at + count > BUFFER_SIZE) this.#flush();
  }

  #flush(): void {
    const whole = this.#at - (this.#at % EROFS_BLOCK_SIZE);
    this.#consume(this.buffer.subarray(0, whole));
    this.buffer.copyWithin(0, whole, this.#at);
    this.buffer.fill(0, this.#at - whole, this.#at);
    this.#base += whole;
    this.#at -= whole;
  }
}
