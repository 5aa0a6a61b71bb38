/**
 * Every tree of CBOR values that differs from a good one in one place, for tamper tests: values near the good one and
 * of every other type, entries removed, added and repeated.
 */
import type { CborKey, CborValue } from '../../runtime/format/cbor.ts';

/** Other values for a value: near ones of the same type and one of each other type. */
function replacements(value: CborValue): CborValue[] {
  const others: CborValue[] = [null, true, -1, 'x', new Uint8Array(3), [], new Map(), 2n ** 63n];
  if (typeof value === 'number') return [value + 1, value - 1, value + 2 ** 32, ...others];
  if (typeof value === 'string')
    return [`${value}x`, value.slice(1), value.toUpperCase(), ...others];
  if (value instanceof Uint8Array) {
    return [value.map((byte, i) => (i === 0 ? byte ^ 1 : byte)), value.subarray(1), ...others];
  }
  return others;
}

/** Every tree that differs from `value` in one place: a value replaced, an entry removed, one added. */
export function* mutations(
  value: CborValue,
  path: string,
): Generator<readonly [string, CborValue]> {
  for (const other of replacements(value)) yield [path, other];
  if (value instanceof Map) {
    const map = value as ReadonlyMap<CborKey, CborValue>;
    for (const [key, item] of map) {
      const without = new Map(map);
      without.delete(key);
      yield [`${path}.${key} removed`, without];
      for (const [where, changed] of mutations(item, `${path}.${key}`)) {
        yield [where, new Map(map).set(key, changed)];
      }
    }
    for (const key of [0, 63, 'x']) yield [`${path} with ${key}`, new Map(map).set(key, 0)];
  } else if (Array.isArray(value)) {
    const list = value as readonly CborValue[];
    yield [`${path} longer`, [...list, 0]];
    for (const [index, item] of list.entries()) {
      yield [`${path}[${index}] removed`, list.toSpliced(index, 1)];
      yield [`${path}[${index}] twice`, list.toSpliced(index, 0, item)];
      for (const [where, changed] of mutations(item, `${path}[${index}]`)) {
        yield [where, list.with(index, changed)];
      }
    }
  }
}
