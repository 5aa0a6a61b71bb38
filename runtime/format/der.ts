/**
 * A strict DER reader (ITU-T X.690 section 10): the part of ASN.1 that certificates need, and no more.
 *
 * Invariants: definite, minimal lengths only; single-byte tags only; an element never reaches past its
 * parent; `finish` refuses anything left over. There is no recursion here: the caller opens each level, so
 * the depth is that of the caller's code. OIDs are compared as bytes, never as numbers, so a large arc
 * cannot alias another one.
 */
import { allZero, toHex } from './bytes.ts';
import { ColdsealError } from './errors.ts';

/** Universal tags (X.680 table 1) and the context tags that X.509 uses. */
export const DER_TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  SEQUENCE: 0x30,
  SET: 0x31,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
} as const;

/** Longest element: well above the largest certificate that fits an envelope. */
const DER_LENGTH_MAX = 0xffff;

/** One tag-length-value; the arrays are views of the caller's bytes. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Header and content: what is hashed, signed or compared byte for byte. */
  readonly whole: Uint8Array;
}

/** Reads the elements of one level, in order. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #label: string;
  #at = 0;

  constructor(bytes: Uint8Array, label: string) {
    this.#bytes = bytes;
    this.#label = label;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The tag of the next element, or -1 at the end. */
  peek(): number {
    return this.#bytes[this.#at] ?? -1;
  }

  /** The next element, of any tag. */
  any(): DerElement {
    const start = this.#at;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw this.#problem(start, 'a multi-byte tag');
    const length = this.#length();
    if (length > this.#bytes.length - this.#at) {
      throw this.#problem(
        start,
        `a length of ${length}, ${this.#bytes.length - this.#at} bytes are left`,
      );
    }
    const contentAt = this.#at;
    this.#at += length;
    return {
      tag,
      content: this.#bytes.subarray(contentAt, this.#at),
      whole: this.#bytes.subarray(start, this.#at),
    };
  }

  /** The next element, which must have this tag. */
  element(tag: number): DerElement {
    const start = this.#at;
    const element = this.any();
    if (element.tag !== tag) {
      throw this.#problem(
        start,
        `tag 0x${element.tag.toString(16)}, expected 0x${tag.toString(16)}`,
      );
    }
    return element;
  }

  /** The next element if it has this tag. */
  optional(tag: number): DerElement | undefined {
    return this.peek() === tag ? this.any() : undefined;
  }

  /** A reader for the content of the next element, which must have this tag. */
  open(tag: number, label: string): DerReader {
    return new DerReader(this.element(tag).content, label);
  }

  /** An OID as the hexadecimal text of its content. */
  oid(): string {
    return readOid(this.element(DER_TAG.OID).content);
  }

  /** Refuses bytes after the last expected element. */
  finish(): void {
    if (!this.done) {
      throw this.#problem(
        this.#at,
        `${this.#bytes.length - this.#at} more bytes, expected the end`,
      );
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw this.#problem(this.#at, 'the end, expected an element');
    this.#at++;
    return byte;
  }

  #length(): number {
    const start = this.#at;
    const first = this.#byte();
    if (first < 0x80) return first;
    const size = first & 0x7f;
    if (size === 0) throw this.#problem(start, 'an indefinite length');
    if (size > 2) throw this.#problem(start, `a length above ${DER_LENGTH_MAX}`);
    let length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + this.#byte();
    const minimal = size === 1 ? length >= 0x80 : length >= 0x100;
    if (!minimal) throw this.#problem(start, 'a length that is not minimal');
    return length;
  }

  #problem(at: number, found: string): ColdsealError {
    return derProblem(this.#label, `found ${found} at byte ${at}`);
  }
}

/** Reads bytes that must be exactly one element with this tag and returns a reader of its content. */
export function openDer(bytes: Uint8Array, tag: number, label: string): DerReader {
  const outer = new DerReader(bytes, label);
  const inner = outer.open(tag, label);
  outer.finish();
  return inner;
}

/** The error for DER that is not what it should be. */
function derProblem(label: string, problem: string): ColdsealError {
  return new ColdsealError('FORMAT_DER', `Cannot read ${label}: ${problem}`);
}

/** BOOLEAN: 00 or FF, nothing else (X.690 11.1). */
export function readBoolean(content: Uint8Array, label: string): boolean {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw derProblem(label, `a boolean is ${toHex(content)}, expected 00 or ff`);
  }
  return content[0] === 0xff;
}

/** INTEGER content, proven minimal (X.690 8.3.2). The bytes stay two's complement, big-endian. */
export function checkInteger(content: Uint8Array, label: string): Uint8Array {
  const [first, second] = content;
  if (first === undefined) throw derProblem(label, 'an integer is empty');
  if (
    second !== undefined &&
    ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
  ) {
    throw derProblem(label, 'an integer has a leading byte it does not need');
  }
  return content;
}

/** A non-negative INTEGER that fits 31 bits, such as a version or a path length. */
export function readSmallInteger(content: Uint8Array, label: string): number {
  checkInteger(content, label);
  if (content[0]! >= 0x80 || content.length > 4) {
    throw derProblem(label, `an integer is 0x${toHex(content)}, expected 0 to 2^31 - 1`);
  }
  return content.reduce((value, byte) => value * 256 + byte, 0);
}

/** The bytes of a positive INTEGER, big-endian, without leading zeros. */
export function readPositiveInteger(content: Uint8Array, label: string): Uint8Array {
  checkInteger(content, label);
  if (content[0]! >= 0x80 || allZero(content))
    throw derProblem(label, 'an integer is not positive');
  return content.subarray(content[0] === 0 ? 1 : 0);
}

/** BIT STRING that holds whole bytes, such as a key or a signature. */
export function readWholeBits(content: Uint8Array, label: string): Uint8Array {
  if (content.length < 1 || content[0] !== 0) {
    throw derProblem(label, 'a bit string has unused bits or no content');
  }
  return content.subarray(1);
}

/** BIT STRING of named bits: bit 0 is the first. Trailing zero bits must be absent (X.690 11.2.2). */
export function readNamedBits(content: Uint8Array, label: string): ReadonlySet<number> {
  const unused = content[0];
  const last = content[content.length - 1];
  if (unused === undefined || unused > 7 || (content.length === 1 && unused !== 0)) {
    throw derProblem(label, 'a bit string has an impossible count of unused bits');
  }
  if (content.length > 1 && (last! & ((2 << unused) - 1)) !== 1 << unused) {
    throw derProblem(
      label,
      'a list of named bits ends in a zero bit or has padding that is not zero',
    );
  }
  const bits = new Set<number>();
  for (let i = 8; i < content.length * 8; i++) {
    if ((content[i >> 3]! & (0x80 >> (i & 7))) !== 0) bits.add(i - 8);
  }
  return bits;
}

/** OID content as hexadecimal text, proven minimal and complete (X.690 8.19.2). */
export function readOid(content: Uint8Array): string {
  const last = content[content.length - 1];
  let atStart = true;
  for (const byte of content) {
    if (atStart && byte === 0x80) throw derProblem('an object identifier', 'an arc is not minimal');
    atStart = byte < 0x80;
  }
  if (last === undefined || last >= 0x80 || content.length > 64) {
    throw derProblem('an object identifier', 'it is empty, unfinished or longer than 64 bytes');
  }
  return toHex(content);
}

/** UTCTime or GeneralizedTime as seconds since 1970, in the forms RFC 5280 4.1.2.5 allows. */
export function readTime(element: DerElement, label: string): number {
  const text = String.fromCharCode(...element.content);
  const isUtc = element.tag === DER_TAG.UTC_TIME;
  if (!isUtc && element.tag !== DER_TAG.GENERALIZED_TIME)
    throw derProblem(label, 'it is not a time');
  const match = (isUtc ? /^(\d\d)(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/).exec(text);
  if (match === null) throw derProblem(label, 'a time is not of the form [YY]YYMMDDHHMMSSZ');
  const short = Number(match[1]);
  const year = isUtc ? short + (short >= 50 ? 1900 : 2000) : short;
  if (!isUtc && year < 2050)
    throw derProblem(label, 'a year before 2050 is not written as UTCTime');
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) => {
    return Number(match[2]!.slice(at, at + 2));
  }) as [number, number, number, number, number];
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) {
    throw derProblem(label, `a date is ${text}, expected one that exists`);
  }
  if (hour > 23 || minute > 59 || second > 59) throw derProblem(label, `a time is ${text}`);
  return daysSinceEpoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
}

function daysInMonth(year: number, month: number): number {
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
}

/** Days from 1970-01-01 in the Gregorian calendar; written out because `format` knows no Date. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year; // years start in March, so the leap day is the last day
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leaps = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  return shifted * 365 + leaps + dayOfYear - 719_468;
}
