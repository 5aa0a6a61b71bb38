/**
 * Byte strings: names, xattrs and payloads as JavaScript strings with one character per byte (Latin-1).
 *
 * File names are bytes, not text, and must keep their unsigned byte order. A Latin-1 string keeps both: `<`
 * compares code units, which here are bytes, and V8 stores it in one byte a character, hashes it once and
 * interns it. Sixty thousand `Uint8Array` names cost a hundred bytes of header each
 * (docs/decisions/0002-byte-strings.md). The brand keeps decoded text out.
 */

export type ByteString = string & { readonly __bytes: unique symbol };

/** The byte string of some bytes. */
export function byteString(bytes: Uint8Array, from = 0, to: number = bytes.length): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString(
    'latin1',
  ) as ByteString;
}

/** The byte string of text: its UTF-8 bytes. */
export function byteStringOfText(text: string): ByteString {
  return Buffer.from(text, 'utf8').toString('latin1') as ByteString;
}

/** The bytes of a byte string. */
export function bytesOf(value: ByteString): Buffer {
  return Buffer.from(value, 'latin1');
}

/** A byte string for people: decoded as UTF-8 where it is valid, with other bytes and controls as `\xHH`. */
export function showBytes(value: ByteString): string {
  const bytes = bytesOf(value);
  const text = bytes.toString('utf8');
  const shown = text.includes('\ufffd') ? value.replace(/[\x80-\xff]/g, escapeChar) : text;
  // oxlint-disable-next-line no-control-regex -- control characters are what is being escaped
  return shown.replace(/[\x00-\x1f\x7f]/g, escapeChar);
}

function escapeChar(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** A path for Node's file functions, which take text as UTF-8: a string if it is ASCII, else bytes. */
export function nodePath(path: ByteString): string | Buffer {
  // oxlint-disable-next-line no-control-regex -- the whole of ASCII, control characters included
  return /^[\x01-\x7f]*$/.test(path) ? path : bytesOf(path);
}

/** Longer than any name of a file, or than the path of an object. */
const flatten = Buffer.alloc(256);

/**
 * A copy of a name of at most 256 bytes without what it was made of: the pieces that were put together, which take four
 * times the memory, or the path that it was cut from, which would stay with it.
 */
export function flat(text: string): ByteString {
  return flatten.toString('latin1', 0, flatten.write(text, 0, 'latin1')) as ByteString;
}
