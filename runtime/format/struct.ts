/**
 * Records described once.
 *
 * A record is a name, a size, a citation and a table `field: [offset, codec]`. From that one value come the
 * type, the decoder, the encoder, the offset tables in docs/format.md and the list that tamper tests walk.
 * Importing a record proves its layout: a gap, an overlap or a wrong total throws and names the field.
 * All integers are little-endian; 64-bit fields are `bigint`.
 */
import { ColdsealError } from './errors.ts';

/** How one field is read, written and described. `T` is `undefined` for fields that carry no value. */
export interface Codec<T> {
  readonly size: number;
  /** The field's type as documentation shows it, such as `u32` or `zero[8]`. */
  readonly type: string;
  readonly doc: string;
  /** Returns the value, or the problem as a sentence fragment such as `is 7, expected 0`. */
  readonly read: (
    view: DataView,
    at: number,
  ) => { readonly value: T; readonly problem?: undefined } | { readonly problem: string };
  readonly write: (view: DataView, at: number, value: T) => void;
  /** Constants and reserved bytes are checked and filled in, but are not part of the value. */
  readonly implicit?: true;
}

// oxlint-disable-next-line no-explicit-any -- a table of fields of different types; the values are typed below
type AnyCodec = Codec<any>;
/** What describes a record: field to offset and codec. */
export type FieldTable = Readonly<Record<string, readonly [offset: number, codec: AnyCodec]>>;
type ValueOf<C> = C extends Codec<infer T> ? T : never;
type ExplicitKeys<F extends FieldTable> = {
  [K in keyof F]: ValueOf<F[K][1]> extends undefined ? never : K;
}[keyof F];

/** The value a record decodes to: its fields without constants and reserved bytes. */
export type RecordValue<F extends FieldTable> = { [K in ExplicitKeys<F>]: ValueOf<F[K][1]> };

/** One field of a record, for documentation, hexdumps and tamper tests. */
export interface FieldInfo {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly type: string;
  readonly doc: string;
}

export interface Struct<F extends FieldTable> {
  readonly name: string;
  readonly size: number;
  /** Where the layout is defined: source file and struct name. */
  readonly source: string;
  readonly table: F;
  /** Byte offset of each field, for hot paths that read single fields. */
  readonly at: { readonly [K in keyof F]: number };
  /** Decodes the record at `offset`; throws FORMAT_RECORD_TRUNCATED or FORMAT_RECORD_FIELD. */
  decode(bytes: Uint8Array, offset?: number): RecordValue<F>;
  /** Encodes into `into` at `offset` (a new zeroed array by default) and returns the array written to. */
  encode(value: RecordValue<F>, into?: Uint8Array, offset?: number): Uint8Array;
}

/** The value type of a struct: `type Header = StructValue<typeof ComposefsHeader>`. */
export type StructValue<S> = S extends Struct<infer F> ? RecordValue<F> : never;

/** Defines a record and proves that its fields cover it exactly. */
/* @__NO_SIDE_EFFECTS__ */
export function struct<const F extends FieldTable>(
  name: string,
  size: number,
  source: string,
  table: F,
): Struct<F> {
  const entries = Object.entries(table);
  proveLayout(name, size, entries);
  const at = Object.fromEntries(entries.map(([field, [offset]]) => [field, offset]));
  return {
    name,
    size,
    source,
    table,
    at: at as Struct<F>['at'],
    decode: (bytes, offset = 0) =>
      decodeRecord(name, size, entries, bytes, offset) as RecordValue<F>,
    encode: (value, into = new Uint8Array(size), offset = 0) => {
      encodeRecord(name, size, entries, value, into, offset);
      return into;
    },
  };
}

/** The fields of a record in the order of their offsets. */
export function fieldsOf({ table }: { readonly table: FieldTable }): FieldInfo[] {
  return Object.entries(table).map(([name, [offset, { size, type, doc }]]) => {
    return { name, offset, size, type, doc };
  });
}

function proveLayout(
  name: string,
  size: number,
  entries: [string, readonly [number, AnyCodec]][],
): void {
  let expected = 0;
  for (const [field, [offset, codec]] of entries) {
    if (offset !== expected)
      throw new Error(`${name}.${field}: at ${offset}, expected ${expected}`);
    expected += codec.size;
  }
  if (expected !== size)
    throw new Error(`${name}: fields cover ${expected} bytes, expected ${size}`);
}

function decodeRecord(
  name: string,
  size: number,
  entries: [string, readonly [number, AnyCodec]][],
  bytes: Uint8Array,
  offset: number,
): Record<string, unknown> {
  if (offset < 0 || offset + size > bytes.length) {
    throw new ColdsealError(
      'FORMAT_RECORD_TRUNCATED',
      `Cannot read ${name} at offset ${offset}: expected ${size} bytes, ${Math.max(0, bytes.length - offset)} are left`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, size);
  const value: Record<string, unknown> = {};
  for (const [field, [at, codec]] of entries) {
    const result = codec.read(view, at);
    if (result.problem !== undefined) {
      throw new ColdsealError(
        'FORMAT_RECORD_FIELD',
        `Cannot read ${name} at offset ${offset}: field ${field} (byte ${at}) ${result.problem}`,
      );
    }
    if (codec.implicit !== true) value[field] = result.value;
  }
  return value;
}

function encodeRecord(
  name: string,
  size: number,
  entries: [string, readonly [number, AnyCodec]][],
  value: Record<string, unknown>,
  into: Uint8Array,
  offset: number,
): void {
  if (offset < 0 || offset + size > into.length)
    throw new RangeError(`${name} does not fit at ${offset}`);
  const view = new DataView(into.buffer, into.byteOffset + offset, size);
  for (const [field, [at, codec]] of entries) {
    const input = codec.implicit === true ? undefined : value[field];
    try {
      codec.write(view, at, input);
    } catch (error) {
      throw new RangeError(`Cannot write ${name}.${field}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

function unsigned(bits: 8 | 16 | 32, doc: string): Codec<number> {
  const max = 2 ** bits - 1;
  const size = bits / 8;
  return {
    size,
    type: `u${bits}`,
    doc,
    read: (view, at) => ({ value: readUnsigned(view, at, size) }),
    write: (view, at, value) => {
      if (!Number.isInteger(value) || value < 0 || value > max) {
        throw new RangeError(`expected an integer from 0 to ${max}, got ${value}`);
      }
      writeUnsigned(view, at, size, value);
    },
  };
}

function readUnsigned(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at);
  return size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
}

function writeUnsigned(view: DataView, at: number, size: number, value: number): void {
  if (size === 1) view.setUint8(at, value);
  else if (size === 2) view.setUint16(at, value, true);
  else view.setUint32(at, value, true);
}

/** An unsigned 8-bit integer. */
export const u8 = /* @__NO_SIDE_EFFECTS__ */ (doc: string): Codec<number> => unsigned(8, doc);
/** An unsigned 16-bit integer. */
export const u16 = /* @__NO_SIDE_EFFECTS__ */ (doc: string): Codec<number> => unsigned(16, doc);
/** An unsigned 32-bit integer. */
export const u32 = /* @__NO_SIDE_EFFECTS__ */ (doc: string): Codec<number> => unsigned(32, doc);

/** An unsigned 64-bit integer, as `bigint`. */
/* @__NO_SIDE_EFFECTS__ */
export function u64(doc: string): Codec<bigint> {
  return {
    size: 8,
    type: 'u64',
    doc,
    read: (view, at) => ({ value: view.getBigUint64(at, true) }),
    write: (view, at, value) => {
      if (BigInt.asUintN(64, value) !== value)
        throw new RangeError(`expected 64 unsigned bits, got ${value}`);
      view.setBigUint64(at, value, true);
    },
  };
}

/** A signed 64-bit integer, as `bigint`. */
/* @__NO_SIDE_EFFECTS__ */
export function i64(doc: string): Codec<bigint> {
  return {
    size: 8,
    type: 'i64',
    doc,
    read: (view, at) => ({ value: view.getBigInt64(at, true) }),
    write: (view, at, value) => {
      if (BigInt.asIntN(64, value) !== value)
        throw new RangeError(`expected 64 signed bits, got ${value}`);
      view.setBigInt64(at, value, true);
    },
  };
}

/** A fixed run of bytes, copied on reading. */
/* @__NO_SIDE_EFFECTS__ */
export function byteArray(size: number, doc: string): Codec<Uint8Array> {
  return {
    size,
    type: `bytes[${size}]`,
    doc,
    read: (view, at) => ({
      value: new Uint8Array(view.buffer, view.byteOffset + at, size).slice(),
    }),
    write: (view, at, value) => {
      if (value.length !== size)
        throw new RangeError(`expected ${size} bytes, got ${value.length}`);
      new Uint8Array(view.buffer, view.byteOffset + at, size).set(value);
    },
  };
}

function constantInteger(size: 1 | 2 | 4, expected: number, doc: string): Codec<undefined> {
  return {
    size,
    type: `u${size * 8} = 0x${expected.toString(16)}`,
    doc,
    implicit: true,
    read: (view, at) => {
      const value = readUnsigned(view, at, size);
      if (value === expected) return { value: undefined };
      return { problem: `is 0x${value.toString(16)}, expected 0x${expected.toString(16)}` };
    },
    write: (view, at) => writeUnsigned(view, at, size, expected),
  };
}

/** A 32-bit magic number: checked on reading, written by itself. */
export const magic = /* @__NO_SIDE_EFFECTS__ */ (expected: number, doc: string): Codec<undefined> =>
  constantInteger(4, expected, doc);
/** An 8-bit field with one legal value. */
export const always8 = /* @__NO_SIDE_EFFECTS__ */ (
  expected: number,
  doc: string,
): Codec<undefined> => constantInteger(1, expected, doc);
/** A 16-bit field with one legal value. */
export const always16 = /* @__NO_SIDE_EFFECTS__ */ (
  expected: number,
  doc: string,
): Codec<undefined> => constantInteger(2, expected, doc);
/** A 32-bit field with one legal value. */
export const always32 = /* @__NO_SIDE_EFFECTS__ */ (
  expected: number,
  doc: string,
): Codec<undefined> => constantInteger(4, expected, doc);

/** Reserved bytes: written as zero, refused when they are not, so that they stay usable later. */
/* @__NO_SIDE_EFFECTS__ */
export function zeros(size: number, doc = 'reserved, zero'): Codec<undefined> {
  return {
    size,
    type: `zero[${size}]`,
    doc,
    implicit: true,
    read: (view, at) => {
      for (let i = 0; i < size; i++) {
        const byte = view.getUint8(at + i);
        if (byte !== 0)
          return { problem: `has 0x${byte.toString(16)} at byte ${at + i}, expected zero` };
      }
      return { value: undefined };
    },
    write: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, size).fill(0),
  };
}
