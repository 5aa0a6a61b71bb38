/**
 * PAX extended headers: records of the form `LENGTH KEY=VALUE\n`, in bytes.
 *
 * The length counts the whole record, itself and the newline among it, and is checked to the byte: two readers that
 * disagree about where a record ends would disagree about the files of an archive.
 * Source: POSIX.1-2017 pax, "pax Extended Header".
 */
import { byteString, type ByteString } from './byte-string.ts';
import { failTar, type TarPlace } from './tar-error.ts';

export type PaxRecord = readonly [key: ByteString, value: ByteString];

/** Digits of the largest length; a header is limited to 1 MiB (tar-limits.ts). */
const LENGTH_DIGITS_MAX = 7;
const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;

/** The records of a header in their order, which matters for sparse maps. Throws FORMAT_TAR_PAX. */
export function parsePaxRecords(bytes: Uint8Array, place: TarPlace): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const { start, length } = recordLength(bytes, at, place);
    const end = at + length;
    if (end > bytes.length) fail(place, at, `has ${length} bytes, ${bytes.length - at} are left`);
    if (end <= start || bytes[end - 1] !== NEWLINE) {
      fail(place, at, `of ${length} bytes does not end in a newline`);
    }
    const equals = bytes.indexOf(EQUALS, start);
    if (equals < 0 || equals >= end) fail(place, at, 'has no =, expected KEY=VALUE');
    if (equals === start) fail(place, at, 'has an empty key');
    records.push([byteString(bytes, start, equals), byteString(bytes, equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

function recordLength(
  bytes: Uint8Array,
  at: number,
  place: TarPlace,
): { start: number; length: number } {
  let length = 0;
  let next = at;
  for (; next < bytes.length && bytes[next]! >= 0x30 && bytes[next]! <= 0x39; next++) {
    length = length * 10 + bytes[next]! - 0x30;
    if (next - at >= LENGTH_DIGITS_MAX) fail(place, at, 'has a length that no record has');
  }
  if (next === at || bytes[next] !== SPACE) {
    fail(place, at, 'does not begin with its length and a space');
  }
  return { start: next + 1, length };
}

function fail(place: TarPlace, at: number, problem: string): never {
  return failTar('FORMAT_TAR_PAX', place, `the PAX record at byte ${at} of its header ${problem}`);
}
