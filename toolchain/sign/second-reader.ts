/**
 * A second opinion on signed CBOR: cbor-x reads what our own reader accepted, and both must mean the same.
 *
 * Two readers that disagree about authentic bytes are how one program checks something else than another uses, so
 * a release with such bytes is neither signed nor accepted on the host. cbor-x is a convenience codec: it takes
 * duplicate keys, over-long integers and active tags, so it is never the one that decides what is well-formed.
 */
import { Decoder } from 'cbor-x/decode-no-eval';
import { equalBytes } from '../../runtime/format/bytes.ts';
import { type CborKey, type CborValue, encodeCanonical } from '../../runtime/format/cbor.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';

/** `mapsAsObjects: false` keeps `1` and `"1"` apart and makes `__proto__` an ordinary key. */
const decoder = new Decoder({
  useRecords: false,
  mapsAsObjects: false,
  variableMapSize: true,
  tagUint8Array: false,
});

/** Throws VERIFY_SECOND_READER unless cbor-x reads canonical bytes as the same value; `what` names them. */
export function agreeWithSecondReader(bytes: Uint8Array, what: string): void {
  const again = readAgain(bytes);
  if (again !== undefined && equalBytes(again, bytes)) return;
  throw new ColdsealError(
    'VERIFY_SECOND_READER',
    `Cannot trust ${what}: a second CBOR reader understands its bytes differently`,
    { hint: 'this is a defect of one of the two readers; please report it with the file' },
  );
}

/** The canonical encoding of what cbor-x reads; undefined when it reads nothing that has one. */
function readAgain(bytes: Uint8Array): Uint8Array | undefined {
  try {
    // Decoded byte strings are views of the input, so it gets a copy.
    return encodeCanonical(normalise(decoder.decode(Uint8Array.from(bytes))));
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** cbor-x gives integers above 32 bits as bigint, and Buffers for byte strings. */
function normalise(value: unknown): CborValue {
  if (Array.isArray(value)) return value.map(normalise);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (value instanceof Map) {
    const map = new Map<CborKey, CborValue>();
    for (const [key, item] of value) map.set(normalise(key) as CborKey, normalise(item));
    return map;
  }
  return value as CborValue;
}
