/**
 * Globals that test files use and QuickJS does not have. The runtime itself uses none of them.
 *
 * Buffer is the part of Node's that pure tests need: bytes, with the usual encodings.
 */
import { encodeUtf8 } from '../../../runtime/format/utf8.ts';

type Encoding = 'utf8' | 'latin1' | 'hex' | 'binary' | 'base64';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

class TestBuffer extends Uint8Array {
  static override from(source: unknown, second?: unknown, length?: number): TestBuffer {
    if (source instanceof ArrayBuffer) {
      return new TestBuffer(source, second as number | undefined, length);
    }
    if (typeof source !== 'string') return new TestBuffer(source as ArrayLike<number>);
    return new TestBuffer(decode(source, (second ?? 'utf8') as Encoding));
  }

  static alloc(size: number, fill: number | string = 0): TestBuffer {
    if (typeof fill === 'number') return new TestBuffer(size).fill(fill);
    const pattern = decode(fill, 'utf8');
    return new TestBuffer(size).map((_, i) => pattern[i % pattern.length]!) as TestBuffer;
  }

  static concat(parts: readonly Uint8Array[]): TestBuffer {
    const all = new TestBuffer(parts.reduce((size, part) => size + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  static compare(a: Uint8Array, b: Uint8Array): number {
    const at = a.findIndex((byte, i) => byte !== b[i]);
    if (at < 0 || at >= b.length) return Math.sign(a.length - b.length);
    return a[at]! < b[at]! ? -1 : 1;
  }

  static isBuffer(value: unknown): boolean {
    return value instanceof TestBuffer;
  }

  static byteLength(text: string): number {
    return encodeUtf8(text).length;
  }

  equals(other: Uint8Array): boolean {
    return TestBuffer.compare(this, other) === 0;
  }

  override toString(encoding: Encoding = 'utf8', from = 0, to = this.length): string {
    const bytes = this.subarray(from, to);
    if (encoding === 'hex') {
      return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    }
    if (encoding === 'base64') return encodeBase64(bytes);
    return encoding === 'utf8' ? decodeUtf8(bytes) : latin1(bytes);
  }

  readUInt16LE(at = 0): number {
    return viewOf(this).getUint16(at, true);
  }

  readUInt32LE(at = 0): number {
    return viewOf(this).getUint32(at, true);
  }

  writeUInt8(value: number, at = 0): number {
    this[at] = value;
    return at + 1;
  }

  writeUInt16LE(value: number, at = 0): number {
    viewOf(this).setUint16(at, value, true);
    return at + 2;
  }

  writeUInt32LE(value: number, at = 0): number {
    viewOf(this).setUint32(at, value, true);
    return at + 4;
  }

  writeBigUInt64LE(value: bigint, at = 0): number {
    viewOf(this).setBigUint64(at, value, true);
    return at + 8;
  }

  write(text: string, at: number, encoding: Encoding): number {
    const bytes = new TestBuffer(decode(text, encoding));
    return bytes.copy(this, at);
  }

  override indexOf(what: unknown, from = 0): number {
    if (typeof what === 'number') return super.indexOf(what, from);
    const bytes = typeof what === 'string' ? decode(what, 'utf8') : (what as Uint8Array);
    for (let at = from; at + bytes.length <= this.length; at++) {
      if (Array.from(bytes).every((byte, i) => this[at + i] === byte)) return at;
    }
    return -1;
  }

  copy(target: Uint8Array, at = 0, from = 0, to = this.length): number {
    const part = this.subarray(from, Math.min(to, from + target.length - at));
    target.set(part, at);
    return part.length;
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

function decode(text: string, encoding: Encoding): ArrayLike<number> {
  if (encoding === 'utf8') return encodeUtf8(text.replace(/[\ud800-\udfff]/gu, '\ufffd'));
  if (encoding === 'hex') return (text.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  if (encoding === 'base64') return decodeBase64(text);
  return Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let j = 0; j < 4; j++) {
      text += i * 8 + j * 6 < bytes.length * 8 ? BASE64[(word >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return text.length % 4 === 0 ? text : text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

function decodeBase64(text: string): number[] {
  const bytes: number[] = [];
  let word = 0;
  let bits = 0;
  for (const character of text.replace(/=+$/, '')) {
    word = ((word << 6) | BASE64.indexOf(character)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((word >> bits) & 0xff);
  }
  return bytes;
}

/** As the Encoding standard decodes: what is wrong becomes U+FFFD, one for each longest part that began well. */
function decodeUtf8(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at++]!;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
    let point = first & (0x3f >> more);
    let done = 0;
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    while (done < more && bytes[at]! >= low && bytes[at]! <= high) {
      point = (point << 6) | (bytes[at++]! & 0x3f);
      [low, high] = [0x80, 0xbf];
      done++;
    }
    text += more > 0 && done === more ? String.fromCodePoint(point) : '\ufffd';
  }
  return text;
}

const silent = (): void => undefined;

Object.assign(globalThis, {
  Buffer: TestBuffer,
  process: { env: { COLDSEAL_PROPERTY_RUNS: '10' }, pid: 1, stdout: {}, platform: 'linux' },
  // fast-check takes hold of these two and only calls them for a time-out.
  setTimeout: silent,
  clearTimeout: silent,
  console: { log: silent, warn: silent, error: silent, info: silent },
});
