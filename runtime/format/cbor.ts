/**
 * Deterministic CBOR (RFC 8949 section 4.2.1), the only door to cbor-x.
 *
 * cbor-x is a convenience codec: it accepts duplicate keys, unsorted keys, over-long integers, invalid UTF-8
 * and active tags. So `decodeCanonical` (1) copies the input, because decoded byte strings are views of it;
 * (2) walks the bytes with its own scanner, which bounds depth, items and lengths and refuses tags, floats
 * and indefinite lengths before cbor-x sees anything; (3) decodes; (4) encodes the result again with the
 * encoder below and refuses any difference. What is accepted has exactly one encoding.
 */
import { Decoder } from 'cbor-x/decode-no-eval';
import { compareBytes, equalBytes } from './bytes.ts';
import { concatBytes } from './concat.ts';
import { ColdsealError } from './errors.ts';
import { encodeUtf8, isUtf8 } from './utf8.ts';

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

/** The decoder keeps its state in module variables, so one instance serves all. `mapsAsObjects: false`
 *  keeps `1` and `"1"` apart and makes `__proto__` an ordinary key. */
const decoder = new Decoder({
  useRecords: false,
  mapsAsObjects: false,
  variableMapSize: true,
  tagUint8Array: false,
});

/** Decodes bytes that must be the canonical encoding of one value; throws FORMAT_CBOR_*. */
export function decodeCanonical(bytes: Uint8Array, limits: CborLimits): CborValue {
  if (bytes.length > limits.maxBytes) {
    throw new ColdsealError(
      'FORMAT_CBOR_TOO_LARGE',
      `Cannot decode ${bytes.length} bytes of CBOR: expected at most ${limits.maxBytes}`,
    );
  }
  const copy = Uint8Array.from(bytes);
  scanAll(copy, limits);
  const value = normalise(decodeScanned(copy));
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

function decodeScanned(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes) as unknown;
  } catch (cause) {
    // The scanner accepted it, so this is a disagreement between two readers: refuse, never guess.
    throw new ColdsealError('FORMAT_CBOR_STRUCTURE', 'Cannot decode CBOR: the decoder refused it', {
      cause,
    });
  }
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

/** Safe integers become numbers, byte strings get their own memory; anything unexpected is refused. */
function normalise(value: unknown): CborValue {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(normalise);
  if (value instanceof Map) {
    const map = new Map<CborKey, CborValue>();
    for (const [key, item] of value) map.set(normalise(key) as CborKey, normalise(item));
    return map;
  }
  throw new ColdsealError('FORMAT_CBOR_TYPE', `Cannot decode CBOR: unexpected ${typeof value}`);
}

// --- the scanner ---------------------------------------------------------------------------------------

interface Scan {
  readonly bytes: Uint8Array;
  readonly limits: CborLimits;
  at: number;
  items: number;
}

function scanAll(bytes: Uint8Array, limits: CborLimits): void {
  const scan: Scan = { bytes, limits, at: 0, items: 0 };
  scanValue(scan, 0);
  if (scan.at !== bytes.length) {
    throw structure(scan.at, `${bytes.length - scan.at} bytes follow the value, expected none`);
  }
}

function scanValue(scan: Scan, depth: number): void {
  const start = scan.at;
  if (++scan.items > scan.limits.maxItems) {
    throw new ColdsealError(
      'FORMAT_CBOR_TOO_LARGE',
      `Cannot decode CBOR at byte ${start}: expected at most ${scan.limits.maxItems} items`,
    );
  }
  const first = scan.bytes[scan.at];
  if (first === undefined) throw structure(start, 'the bytes end where a value was expected');
  const major = first >> 5;
  if (major === TAG) throw unsupported(start, 'a tag');
  if (major > TAG) {
    if (first !== FALSE && first !== TRUE && first !== NULL) {
      throw unsupported(start, 'a float or an unassigned simple value');
    }
    scan.at++;
    return;
  }
  const argument = scanArgument(scan, start, first & 0x1f);
  if (major === BYTES || major === TEXT) scanString(scan, start, argument, major === TEXT);
  else if (major === ARRAY || major === MAP) scanItems(scan, start, argument, depth, major === MAP);
}

/** Reads the argument after the initial byte. Values above 2^53 come back as Infinity: never a length. */
function scanArgument(scan: Scan, start: number, info: number): number {
  scan.at++;
  if (info < 24) return info;
  if (info > 27) throw unsupported(start, 'an indefinite length or a reserved form');
  const size = 1 << (info - 24);
  if (scan.at + size > scan.bytes.length) throw structure(start, 'the bytes end inside an integer');
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + scan.bytes[scan.at++]!;
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}

function scanString(scan: Scan, start: number, length: number, isText: boolean): void {
  const left = scan.bytes.length - scan.at;
  if (length > left) throw structure(start, `a string of ${length} bytes, ${left} are left`);
  if (isText && !isUtf8(scan.bytes, scan.at, scan.at + length)) {
    throw new ColdsealError(
      'FORMAT_CBOR_UTF8',
      `Cannot decode CBOR text at byte ${start}: not UTF-8`,
    );
  }
  scan.at += length;
}

function scanItems(scan: Scan, start: number, count: number, depth: number, isMap: boolean): void {
  if (depth >= scan.limits.maxDepth) {
    throw new ColdsealError(
      'FORMAT_CBOR_DEPTH',
      `Cannot decode CBOR at byte ${start}: expected at most ${scan.limits.maxDepth} nested levels`,
    );
  }
  // Each item takes at least one byte, so a count above what is left is a lie: refused before the loop.
  const left = scan.bytes.length - scan.at;
  if (count * (isMap ? 2 : 1) > left)
    throw structure(start, `${count} items, ${left} bytes are left`);
  for (let i = 0; i < count; i++) {
    if (isMap) scanKey(scan, depth + 1);
    scanValue(scan, depth + 1);
  }
}

/** Keys are integers or text: a byte string or an array as a key has no equality in a JavaScript Map. */
function scanKey(scan: Scan, depth: number): void {
  const major = (scan.bytes[scan.at] ?? 0) >> 5;
  if (major !== UNSIGNED && major !== NEGATIVE && major !== TEXT) {
    throw unsupported(scan.at, 'a map key that is neither an integer nor text');
  }
  scanValue(scan, depth);
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
