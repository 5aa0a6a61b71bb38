/**
 * As much of the protobuf wire format as a trace needs: numbers as varints, text and messages with their length.
 * https://protobuf.dev/programming-guides/encoding
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const TEXT = new TextEncoder();

/** A message in the making: fields in the order they are added. */
export class Message {
  readonly #bytes: number[] = [];
  readonly #parts: Uint8Array[] = [];

  /** A whole number from 0 to 2^53 - 1; also for booleans and enumerations. */
  number(field: number, value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`no varint: ${value}`);
    this.#varint(field * 8 + VARINT);
    this.#varint(value);
    return this;
  }

  text(field: number, value: string): this {
    // A half of a surrogate pair becomes U+FFFD: protobuf's strings are UTF-8.
    return this.#delimited(field, TEXT.encode(value));
  }

  message(field: number, value: Message): this {
    return this.#delimited(field, value.bytes());
  }

  bytes(): Uint8Array {
    this.#flush();
    const size = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const result = new Uint8Array(size);
    let offset = 0;
    for (const part of this.#parts) {
      result.set(part, offset);
      offset += part.length;
    }
    return result;
  }

  #delimited(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + LENGTH_DELIMITED);
    this.#varint(value.length);
    this.#flush();
    this.#parts.push(value);
    return this;
  }

  /** Seven bits a byte, lowest first. By division, because shifts end at 32 bits. */
  #varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.#bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.#bytes.push(rest);
  }

  #flush(): void {
    if (this.#bytes.length > 0) this.#parts.push(Uint8Array.from(this.#bytes));
    this.#bytes.length = 0;
  }
}
