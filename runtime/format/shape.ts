/**
 * The shape of decoded CBOR: which keys a map has, and what each value may be.
 *
 * Decoders ask for each key once, with its bounds; `finish` then refuses every key nobody asked for. A
 * problem names the field's path, such as `manifest.images[0].size`.
 */
import { toByteString } from './bytes.ts';
import type { CborKey, CborMap, CborValue } from './cbor.ts';
import { ColdsealError, type ErrorCode } from './errors.ts';

export interface TextRule {
  readonly max: number;
  readonly pattern?: RegExp;
}

/** One map being read. `code` is the error code of the object it belongs to. */
export class MapShape {
  readonly path: string;
  readonly #code: ErrorCode;
  readonly #map: CborMap;
  readonly #asked = new Set<CborKey>();

  constructor(value: CborValue, path: string, code: ErrorCode) {
    this.path = path;
    this.#code = code;
    if (!(value instanceof Map)) throw this.#fail('', 'is not a map');
    this.#map = value as CborMap;
  }

  has(key: number): boolean {
    return this.#map.has(key);
  }

  /** An unsigned integer; `max` is inclusive. */
  uint(key: number, name: string, max: number = Number.MAX_SAFE_INTEGER, min = 0): number {
    const value = this.#take(key, name);
    if (typeof value !== 'number' || value < min || value > max) {
      throw this.#fail(name, `is ${showValue(value)}, expected an integer from ${min} to ${max}`);
    }
    return value;
  }

  /** One of the numbers of an enumeration. */
  oneOf<const T extends number>(key: number, name: string, allowed: readonly T[]): T {
    const value = this.#take(key, name);
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) {
      throw this.#fail(name, `is ${showValue(value)}, expected one of ${allowed.join(', ')}`);
    }
    return found;
  }

  text(key: number, name: string, rule: TextRule): string {
    return this.#text(this.#take(key, name), name, rule);
  }

  bytes(key: number, name: string, length: number): Uint8Array {
    return this.#bytes(this.#take(key, name), name, length);
  }

  /** An array of up to `max` values, each handed on with its path. */
  array<T>(
    key: number,
    name: string,
    max: number,
    read: (value: CborValue, path: string) => T,
  ): T[] {
    const value = this.#take(key, name);
    if (!Array.isArray(value) || value.length > max) {
      throw this.#fail(name, `is ${showValue(value)}, expected an array of at most ${max} items`);
    }
    return value.map((item: CborValue, index) => read(item, `${this.path}.${name}[${index}]`));
  }

  /** An array of texts, strictly ascending, so that a set has one spelling. */
  texts(key: number, name: string, max: number, rule: TextRule): string[] {
    const list = this.array(key, name, max, (value) => this.#text(value, name, rule));
    return this.ascending(name, list, (text) => text);
  }

  /** An array of byte strings of one length, strictly ascending. */
  byteStrings(key: number, name: string, max: number, length: number): Uint8Array[] {
    const list = this.array(key, name, max, (value) => this.#bytes(value, name, length));
    return this.ascending(name, list, (bytes) => toByteString(bytes));
  }

  /** A set of known numbers, strictly ascending, at least one. */
  numbers<const T extends number>(key: number, name: string, known: readonly T[]): T[] {
    const list = this.array(key, name, known.length, (value) => {
      const found = known.find((each) => each === value);
      if (found === undefined) throw this.#fail(name, `has an unknown ${showValue(value)}`);
      return found;
    });
    if (list.length === 0) throw this.#fail(name, 'is empty');
    return this.ascending(name, list, (number) => number);
  }

  /** A list whose items must have strictly ascending ranks. */
  ascending<T>(name: string, list: T[], rankOf: (item: T) => number | string): T[] {
    const ranks = list.map(rankOf);
    if (ranks.every((rank, i) => i === 0 || ranks[i - 1]! < rank)) return list;
    throw this.#fail(name, 'is not sorted or repeats itself');
  }

  /** A nested map. */
  map(key: number, name: string): MapShape {
    return new MapShape(this.#take(key, name), `${this.path}.${name}`, this.#code);
  }

  /** A nested map of unsigned integers to unsigned integers, at most `max` entries. */
  uintMap(key: number, name: string, max: number): Map<number, number> {
    const value = this.#entries(key, name, max);
    for (const [domain, number] of value) {
      if (!isUint(domain) || !isUint(number)) {
        throw this.#fail(name, 'has an entry that is not a pair of unsigned integers');
      }
    }
    return new Map(value as Map<number, number>);
  }

  /** A nested map of text to text. */
  textMap(
    key: number,
    name: string,
    max: number,
    keys: TextRule,
    values: TextRule,
  ): Map<string, string> {
    const value = this.#entries(key, name, max);
    for (const [itemKey, item] of value) {
      this.#text(itemKey, name, keys);
      this.#text(item, name, values);
    }
    return new Map(value as Map<string, string>);
  }

  /** Any value, for the caller to read. */
  value(key: number, name: string): CborValue {
    return this.#take(key, name);
  }

  /** A problem the caller found in a field. */
  problem(name: string, problem: string): ColdsealError {
    return this.#fail(name, problem);
  }

  /** Refuses keys that nobody asked for. */
  finish(): void {
    for (const key of this.#map.keys()) {
      if (!this.#asked.has(key)) throw this.#fail('', `has an unknown key ${String(key)}`);
    }
  }

  #take(key: number, name: string): CborValue {
    const value = this.#map.get(key);
    if (value === undefined) throw this.#fail(name, 'is missing');
    this.#asked.add(key);
    return value;
  }

  #entries(key: number, name: string, max: number): CborMap {
    const value = this.#take(key, name);
    if (value instanceof Map && value.size <= max) return value as CborMap;
    throw this.#fail(name, `is ${showValue(value)}, expected a map of at most ${max} entries`);
  }

  #text(value: CborValue, name: string, rule: TextRule): string {
    const fits = typeof value === 'string' && value.length <= rule.max;
    if (!fits || (rule.pattern !== undefined && !rule.pattern.test(value))) {
      const form = rule.pattern === undefined ? '' : ` matching ${rule.pattern.source}`;
      throw this.#fail(
        name,
        `is ${showValue(value)}, expected text of at most ${rule.max} characters${form}`,
      );
    }
    return value;
  }

  #bytes(value: CborValue, name: string, length: number): Uint8Array {
    if (!(value instanceof Uint8Array) || value.length !== length) {
      throw this.#fail(name, `is ${showValue(value)}, expected ${length} bytes`);
    }
    return value;
  }

  #fail(name: string, problem: string): ColdsealError {
    const path = name === '' ? this.path : `${this.path}.${name}`;
    return new ColdsealError(this.#code, `Cannot read ${path}: it ${problem}`);
  }
}

function isUint(value: CborValue): boolean {
  return typeof value === 'number' && value >= 0;
}

/** A hostile value, short enough for a message. */
export function showValue(value: CborValue): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'a map';
  return String(value);
}
