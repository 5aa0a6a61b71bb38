/**
 * Deterministic CBOR (RFC 8949 section 4.2.1): what is accepted has exactly one encoding.
 *
 * `decodeCanonical` reads in one pass that bounds depth, items and lengths before it allocates, and refuses whatever
 * is outside the profile (tags, floats, indefinite lengths) or not the one encoding of its value (longer integers
 * than needed, keys that do not ascend). Tests prove over mutations that accepting means `encodeCanonical` gives the
 * same bytes again. On the host cbor-x reads every manifest a second time, as a judge (toolchain/sign/second-reader.ts,
 * docs/decisions/0031).
 */
import { compareBytes, equalBytes } from './bytes.ts';
import { concatBytes } from './concat.ts';
import { ColdsealError } from './errors.ts';
import { decodeUtf8, encodeUtf8 } from './utf8.ts';

export type CborKey = number | bigint | string;

/** Integers are `number` when a double holds them exactly and `bigint` otherwise; keys likewise. */
export type CborValue =
  number | bigint | string | boolean | null | Uint8Array | readonly CborValue[] | CborMap;

export type CborMap = ReadonlyMap<CborKey, CborValue>;

/** Bounds that hold before anything is allocated. Every caller names its own. */
export interface CborLimits {
  readonly maxBytes: number;
  /** Nesting of arrays and maps; a plain value has depth 0. */
  readonly maxDepth: number;
  /** Values and keys in total. */
  readonly maxItems: number;
}

/** Major types of RFC 8949 section 3.1. */
const UNSIGNED = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;

/** Simple values of RFC 8949 section 3.3 that this profile allows. */
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;

/** Decodes bytes that must be the canonical encoding of one value; throws FORMAT_CBOR_*. */
export function decodeCanonical(bytes: Uint8Array, limits: CborLimits): CborValue {
  if (bytes.length > limits.maxBytes) {
    throw new ColdsealError(
      'FORMAT_CBOR_TOO_LARGE',
      `Cannot decode ${bytes.length} bytes of CBOR: expected at most ${limits.maxBytes}`,
    );
  }
  // Nothing in the result is a view of the input.
  return readWhole({ bytes, limits, at: 0, items: 0 });
}

/** Canonical bytes of a map without the entry of one of its first, small keys; the map has at most 23 entries. */
export function withoutEntry(bytes: Uint8Array, key: number, limits: CborLimits): Uint8Array {
  const reader: Reader = { bytes, limits, at: 1, items: 0 };
  for (;;) {
    const from = reader.at;
    const found = readValue(reader, 1);
    readValue(reader, 1);
    if (found !== key) continue;
    return concatBytes(
      Uint8Array.of(bytes[0]! - 1),
      bytes.subarray(1, from),
      bytes.subarray(reader.at),
    );
  }
}

// --- the reader ----------------------------------------------------------------------------------------

interface Reader {
  readonly bytes: Uint8Array;
  readonly limits: CborLimits;
  at: number;
  items: number;
}

function readWhole(reader: Reader): CborValue {
  const value = readValue(reader, 0);
  const left = reader.bytes.length - reader.at;
  if (left !== 0) throw structure(reader.at, `${left} bytes follow the value, expected none`);
  return value;
}

function readValue(reader: Reader, depth: number): CborValue {
  const start = reader.at;
  if (++reader.items > reader.limits.maxItems) {
    throw new ColdsealError(
      'FORMAT_CBOR_TOO_LARGE',
      `Cannot decode CBOR at byte ${start}: expected at most ${reader.limits.maxItems} items`,
    );
  }
  const first = reader.bytes[start];
  if (first === undefined) throw structure(start, 'the bytes end where a value was expected');
  const major = first >> 5;
  if (major === TAG) throw unsupported(start, 'a tag');
  if (major > TAG) {
    reader.at++;
    if (first === NULL) return null;
    if (first !== FALSE && first !== TRUE)
      throw unsupported(start, 'a float or an unassigned simple value');
    return first === TRUE;
  }
  const argument = readArgument(reader, start, first & 0x1f);
  if (major === UNSIGNED) return argument;
  if (major === NEGATIVE) return asInteger(-1n - BigInt(argument));
  if (major === BYTES) return readString(reader, start, argument);
  if (major === TEXT) return readText(reader, start, argument);
  checkItems(reader, start, argument, depth, major === MAP ? 2 : 1);
  return major === MAP
    ? readMap(reader, argument as number, depth)
    : Array.from({ length: argument as number }, () => readValue(reader, depth + 1));
}

/** What a double holds exactly is a number, everything else a bigint. */
function asInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Reads the argument after the initial byte. */
function readArgument(reader: Reader, start: number, info: number): number | bigint {
  reader.at++;
  if (info < 24) return info;
  if (info > 27) throw unsupported(start, 'an indefinite length or a reserved form');
  const size = 1 << (info - 24);
  if (reader.at + size > reader.bytes.length)
    throw structure(start, 'the bytes end inside an integer');
  let [high, low] = [0, 0];
  for (let i = 0; i < size; i++) {
    if (i === 4) [high, low] = [low, 0];
    low = low * 256 + reader.bytes[reader.at++]!;
  }
  const isShortest = size === 8 ? high > 0 : low >= (size === 1 ? 24 : 1 << (4 * size));
  if (!isShortest)
    throw notCanonical(start, 'an integer or a length is longer than it needs to be');
  // Only what is longer than 32 bits pays for a bigint: the device interprets this.
  return high === 0 ? low : asInteger((BigInt(high) << 32n) | BigInt(low));
}

function readString(reader: Reader, start: number, length: number | bigint): Uint8Array {
  const left = reader.bytes.length - reader.at;
  if (length > left) throw structure(start, `a string of ${length} bytes, ${left} are left`);
  const from = reader.at;
  reader.at += Number(length);
  // Not `slice`: of a Node Buffer that would be a view.
  return new Uint8Array(reader.bytes.subarray(from, reader.at));
}

function readText(reader: Reader, start: number, length: number | bigint): string {
  const text = decodeUtf8(readString(reader, start, length));
  if (text !== undefined) return text;
  throw new ColdsealError(
    'FORMAT_CBOR_UTF8',
    `Cannot decode CBOR text at byte ${start}: not UTF-8`,
  );
}

/** Each item takes at least one byte, so a count above what is left is a lie: refused before the loop. */
function checkItems(
  reader: Reader,
  start: number,
  count: number | bigint,
  depth: number,
  itemsEach: number,
): void {
  if (depth >= reader.limits.maxDepth) {
    throw new ColdsealError(
      'FORMAT_CBOR_DEPTH',
      `Cannot decode CBOR at byte ${start}: expected at most ${reader.limits.maxDepth} nested levels`,
    );
  }
  const left = reader.bytes.length - reader.at;
  if (Number(count) * itemsEach > left)
    throw structure(start, `${count} items, ${left} bytes are left`);
}

/** Keys are integers or text: a byte string or an array as a key has no equality in a JavaScript Map. */
function readMap(reader: Reader, count: number, depth: number): CborMap {
  const map = new Map<CborKey, CborValue>();
  let last: Uint8Array | undefined;
  for (let i = 0; i < count; i++) {
    const from = reader.at;
    const major = (reader.bytes[from] ?? 0) >> 5;
    if (major !== UNSIGNED && major !== NEGATIVE && major !== TEXT) {
      throw unsupported(from, 'a map key that is neither an integer nor text');
    }
    const key = readValue(reader, depth + 1) as CborKey;
    const encoded = reader.bytes.subarray(from, reader.at);
    if (last !== undefined && compareBytes(last, encoded) >= 0) {
      throw notCanonical(from, 'a key is not larger than the one before it');
    }
    last = encoded;
    map.set(key, readValue(reader, depth + 1));
  }
  return map;
}

function notCanonical(at: number, problem: string): ColdsealError {
  return new ColdsealError(
    'FORMAT_CBOR_NOT_CANONICAL',
    `Cannot accept CBOR: not canonical at byte ${at}: ${problem}`,
  );
}

function structure(at: number, problem: string): ColdsealError {
  return new ColdsealError('FORMAT_CBOR_STRUCTURE', `Cannot decode CBOR at byte ${at}: ${problem}`);
}

function unsupported(at: number, what: string): ColdsealError {
  return new ColdsealError(
    'FORMAT_CBOR_TYPE',
    `Cannot decode CBOR at byte ${at}: ${what} is not allowed`,
  );
}

// --- the encoder ---------------------------------------------------------------------------------------

/** Bytes that grow at their end. */
interface Writer {
  bytes: Uint8Array;
  at: number;
}

/** Most of what is written is a manifest. */
const WRITER_SIZE = 4096;
const HEAD_SIZE_MAX = 9;

/** The canonical encoding of a value. What has none (a float, two equal keys) is a RangeError. */
export function encodeCanonical(value: CborValue): Uint8Array {
  const writer: Writer = { bytes: new Uint8Array(WRITER_SIZE), at: 0 };
  write(writer, value);
  return writer.bytes.slice(0, writer.at);
}

function write(writer: Writer, value: CborValue): void {
  if (typeof value === 'number' || typeof value === 'bigint') writeInteger(writer, value);
  else if (typeof value === 'string') writeString(writer, TEXT, encodeUtf8(value));
  else if (value instanceof Uint8Array) writeString(writer, BYTES, value);
  else if (value === null) writeHead(writer, 7, NULL & 0x1f);
  else if (typeof value === 'boolean') writeHead(writer, 7, (value ? TRUE : FALSE) & 0x1f);
  else if (value instanceof Map) writeMap(writer, value);
  else {
    const items = value as readonly CborValue[];
    writeHead(writer, ARRAY, items.length);
    for (const item of items) write(writer, item);
  }
}

function writeInteger(writer: Writer, value: number | bigint): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(
      `Cannot encode ${value} as a CBOR integer: expected a safe integer or a bigint`,
    );
  }
  if (value >= 0) writeHead(writer, UNSIGNED, value);
  else writeHead(writer, NEGATIVE, -1n - BigInt(value));
}

function writeString(writer: Writer, major: number, bytes: Uint8Array): void {
  writeHead(writer, major, bytes.length);
  reserve(writer, bytes.length);
  writer.bytes.set(bytes, writer.at);
  writer.at += bytes.length;
}

/** Sorted by the bytes of the encoded keys, as RFC 8949 4.2.1 asks (not the older length-first order). */
function writeMap(writer: Writer, map: CborMap): void {
  writeHead(writer, MAP, map.size);
  const start = writer.at;
  const pairs: { readonly key: Uint8Array; readonly whole: Uint8Array }[] = [];
  let isSorted = true;
  for (const [key, value] of map) {
    const from = writer.at;
    write(writer, key);
    const to = writer.at;
    write(writer, value);
    const pair = { key: writer.bytes.slice(from, to), whole: writer.bytes.slice(from, writer.at) };
    isSorted &&= pairs.length === 0 || compareBytes(pairs.at(-1)!.key, pair.key) < 0;
    pairs.push(pair);
  }
  // What was read from canonical bytes is in order already.
  if (isSorted) return;
  pairs.sort((a, b) => compareBytes(a.key, b.key));
  for (let i = 1; i < pairs.length; i++) {
    if (equalBytes(pairs[i - 1]!.key, pairs[i]!.key)) {
      throw new RangeError('Cannot encode a CBOR map with two equal keys');
    }
  }
  writer.bytes.set(concatBytes(...pairs.map(({ whole }) => whole)), start);
}

function reserve(writer: Writer, size: number): void {
  const needed = writer.at + size;
  if (needed <= writer.bytes.length) return;
  const bytes = new Uint8Array(2 * needed);
  bytes.set(writer.bytes);
  writer.bytes = bytes;
}

/** Initial byte and argument in the shortest form. */
function writeHead(writer: Writer, major: number, argument: number | bigint): void {
  reserve(writer, HEAD_SIZE_MAX);
  const put = (byte: number): void => {
    writer.bytes[writer.at++] = byte;
  };
  if (argument < 24) {
    put((major << 5) | Number(argument));
    return;
  }
  const log = argument < 0x100 ? 0 : argument < 0x10000 ? 1 : argument < 0x1_0000_0000 ? 2 : 3;
  put((major << 5) | (24 + log));
  if (log < 3) {
    for (let i = (1 << log) - 1; i >= 0; i--) put((Number(argument) >>> (8 * i)) & 0xff);
    return;
  }
  const integer = BigInt(argument);
  if (integer >= 1n << 64n)
    throw new RangeError(`Cannot encode ${argument}: expected at most 64 bits`);
  for (let i = 7n; i >= 0n; i--) put(Number((integer >> (8n * i)) & 0xffn));
}

/** A head by itself. Envelope and COSE code use it for their own structures. */
export function encodeHead(major: number, argument: bigint): Uint8Array {
  const writer: Writer = { bytes: new Uint8Array(HEAD_SIZE_MAX), at: 0 };
  writeHead(writer, major, argument);
  return writer.bytes.slice(0, writer.at);
}
