/**
 * UTF-8 without TextEncoder or TextDecoder, which the device engine does not have (RFC 3629).
 *
 * Strict in both directions: over-long forms, surrogates and values above U+10FFFF are refused, so that one
 * text has one encoding. Almost every text here is ASCII, so that comes first: the device interprets this.
 */
import { toByteString } from './bytes.ts';

/** The UTF-8 bytes of text; a lone surrogate is a RangeError, because it has no encoding. */
export function encodeUtf8(text: string): Uint8Array {
  const ascii = new Uint8Array(text.length);
  let at = 0;
  while (at < text.length && text.charCodeAt(at) < 0x80) ascii[at] = text.charCodeAt(at++);
  return at === text.length ? ascii : encodeWide(text);
}

function encodeWide(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    if (point >= 0xd800 && point <= 0xdfff) {
      throw new RangeError(`Cannot encode text as UTF-8: lone surrogate U+${point.toString(16)}`);
    }
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x10000) {
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    } else {
      bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f));
      bytes.push(0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}

/** The text of well-formed bytes (Unicode 15, table 3-7); undefined when they are not. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte < 0x80)) return toByteString(bytes);
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at, bytes.length);
    if (length === 0) return undefined;
    let point = length === 1 ? bytes[at]! : bytes[at]! & (0x7f >> length);
    for (let i = 1; i < length; i++) point = (point << 6) | (bytes[at + i]! & 0x3f);
    text += String.fromCodePoint(point);
    at += length;
  }
  return text;
}

/** Length of the well-formed sequence at `at`, or 0. */
function sequenceLength(bytes: Uint8Array, at: number, to: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > to) return 0;
  for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1]!;
  if (first === 0xe0 && second < 0xa0) return 0; // over-long
  if (first === 0xed && second > 0x9f) return 0; // surrogate
  if (first === 0xf0 && second < 0x90) return 0; // over-long
  if (first === 0xf4 && second > 0x8f) return 0; // above U+10FFFF
  return length;
}
