/**
 * Deterministic CBOR (RFC 8949 section 4.2.1): what is accepted has exactly one encoding.
 *
 * `decodeCanonical` (1) copies the input; (2) reads it in one pass that bounds depth, items and lengths before it
 * allocates, and refuses tags, floats, indefinite lengths and everything else outside the profile; (3) encodes
 * the result again with the encoder below and refuses any difference, which catches duplicate and unsorted keys and
 * over-long integers at once. On the host cbor-x reads every signed object a second time, as a judge
 * (toolchain/sign/second-reader.ts); it would be a quarter of the device bundle (docs/decisions/0031).
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
  const copy = Uint8Array.from(bytes);
  const value = readWhole({ bytes: copy, limits, at: 0, items: 0 });
  const again = encodeCanonical(value);
  if (!equalBytes(again, copy)) {
    throw new ColdsealError(
      'FORMAT_CBOR_NOT_CANONICAL',
      `Cannot accept ${copy.length} bytes of CBOR: not canonical at byte ${firstDifference(again, copy)}`,
      { hint: 'keys must be unique and sorted, integers and lengths as short as possible' },
    );
  }
  return value;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
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
  let value = 0n;
  for (let i = 0; i < size; i++) value = value * 256n + BigInt(reader.bytes[reader.at++]!);
  return asInteger(value);
}

function readString(reader: Reader, start: number, length: number | bigint): Uint8Array {
  const left = reader.bytes.length - reader.at;
  if (length > left) throw structure(start, `a string of ${length} bytes, ${left} are left`);
  const from = reader.at;
  reader.at += Number(length);
  return reader.bytes.slice(from, reader.at);
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
  for (let i = 0; i < count; i++) {
    const major = (reader.bytes[reader.at] ?? 0) >> 5;
    if (major !== UNSIGNED && major !== NEGATIVE && major !== TEXT) {
      throw unsupported(reader.at, 'a map key that is neither an integer nor text');
    }
    map.set(readValue(reader, depth + 1) as CborKey, readValue(reader, depth + 1));
  }
  return map;
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

/** The canonical encoding of a value. What has none (a float, two equal keys) is a RangeError. */
export function encodeCanonical(value: CborValue): Uint8Array {
  if (typeof value === 'number' || typeof value === 'bigint') return encodeInteger(value);
  if (typeof value === 'boolean') return Uint8Array.of(value ? TRUE : FALSE);
  if (value === null) return Uint8Array.of(NULL);
  if (typeof value === 'string') {
    const bytes = encodeUtf8(value);
    return concatBytes(encodeHead(TEXT, BigInt(bytes.length)), bytes);
  }
  if (value instanceof Uint8Array)
    return concatBytes(encodeHead(BYTES, BigInt(value.length)), value);
  if (value instanceof Map) return encodeMap(value);
  const items = (value as readonly CborValue[]).map(encodeCanonical);
  return concatBytes(encodeHead(ARRAY, BigInt(items.length)), ...items);
}

function encodeInteger(value: number | bigint): Uint8Array {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(
      `Cannot encode ${value} as a CBOR integer: expected a safe integer or a bigint`,
    );
  }
  const integer = BigInt(value);
  return integer >= 0n ? encodeHead(UNSIGNED, integer) : encodeHead(NEGATIVE, -1n - integer);
}

/** Sorted by the bytes of the encoded keys, as RFC 8949 4.2.1 asks (not the older length-first order). */
function encodeMap(map: CborMap): Uint8Array {
  const pairs = [...map].map(
    ([key, value]) => [encodeCanonical(key), encodeCanonical(value)] as const,
  );
  pairs.sort((a, b) => compareBytes(a[0], b[0]));
  for (let i = 1; i < pairs.length; i++) {
    if (equalBytes(pairs[i - 1]![0], pairs[i]![0])) {
      throw new RangeError('Cannot encode a CBOR map with two equal keys');
    }
  }
  return concatBytes(encodeHead(MAP, BigInt(pairs.length)), ...pairs.flat());
}

/** Initial byte and argument in the shortest form. Envelope and COSE code use it for their own structures. */
export function encodeHead(major: number, argument: bigint): Uint8Array {
  const top = major << 5;
  if (argument < 24n) return Uint8Array.of(top | Number(argument));
  if (argument < 0x100n) return Uint8Array.of(top | 24, Number(argument));
  const size = argument < 0x10000n ? 2 : argument < 0x1_0000_0000n ? 4 : 8;
  if (argument >= 1n << 64n)
    throw new RangeError(`Cannot encode ${argument}: expected at most 64 bits`);
  const bytes = new Uint8Array(1 + size);
  bytes[0] = top | (size === 2 ? 25 : size === 4 ? 26 : 27);
  let rest = argument;
  for (let i = size; i >= 1; i--) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
