/**
 * What PAX records say of an entry, in place of its header's fields.
 *
 * Records for people (comments, owners' names) and for a file system's bookkeeping (access times, inode numbers) say
 * nothing that an image holds, and are passed over; so are keys that nobody here knows, as POSIX asks. An empty value
 * takes a setting back, except for an extended attribute, which may be empty.
 * Sources: POSIX.1-2017 pax; GNU tar manual, "Storing Sparse Files"; libarchive tar(5), "Pax Interchange Format".
 */
import type { ByteString } from './byte-string.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import { PAX_SIZE_MAX } from './tar-limits.ts';
import type { PaxRecord } from './tar-pax.ts';
import { parseSparseMap, type SparseMap } from './tar-sparse.ts';
import { isXattrKey } from './tar-xattrs.ts';

/** Attributes that PAX records set; undefined ones are as the header says. */
export interface TarAttributes {
  path?: ByteString;
  linkPath?: ByteString;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: TarTime;
  /** Records that say extended attributes, as they stand. */
  readonly xattrs: PaxRecord[];
  readonly sparse: PaxSparse;
}

export interface TarTime {
  readonly sec: number;
  readonly nsec: number;
}

/** The records of GNU's three ways to write a sparse file. */
export interface PaxSparse {
  major?: string;
  minor?: string;
  name?: ByteString;
  /** Bytes of the whole file, holes and all. */
  realSize?: number;
  /** The map of 0.0 and 0.1; in 1.0 it is before the data. */
  map?: SparseMap;
}

const SAFE_DIGITS_MAX = 16;

/** Attributes of an entry. Throws FORMAT_TAR_PAX, FORMAT_TAR_SPARSE. */
export function attributesOf(records: readonly PaxRecord[], place: TarPlace): TarAttributes {
  const result: TarAttributes = { xattrs: [], sparse: {} };
  const mapNumbers: number[] = [];
  for (const record of records) {
    const [key, value] = record;
    if (isXattrKey(key)) result.xattrs.push(record);
    else if (key.startsWith('GNU.')) readGnuRecord(result, record, mapNumbers, place);
    else if (value !== '') readRecord(result, record, place);
    else takeBack(result, key);
  }
  if (mapNumbers.length > 0) result.sparse.map = parseSparseMap(mapNumbers, place);
  return result;
}

function readRecord(result: TarAttributes, record: PaxRecord, place: TarPlace): void {
  const [key, value] = record;
  if (key === 'path') result.path = value;
  else if (key === 'linkpath') result.linkPath = value;
  else if (key === 'size') result.size = unsigned(record, place);
  else if (key === 'uid') result.uid = unsigned(record, place);
  else if (key === 'gid') result.gid = unsigned(record, place);
  else if (key === 'mtime') result.mtime = paxTime(value, place);
}

function takeBack(result: TarAttributes, key: string): void {
  if (key === 'path') delete result.path;
  else if (key === 'linkpath') delete result.linkPath;
  else if (key === 'size' || key === 'uid' || key === 'gid' || key === 'mtime') delete result[key];
}

function readGnuRecord(
  result: TarAttributes,
  record: PaxRecord,
  mapNumbers: number[],
  place: TarPlace,
): void {
  const [key, value] = record;
  const { sparse } = result;
  if (key === 'GNU.sparse.major') sparse.major = value;
  else if (key === 'GNU.sparse.minor') sparse.minor = value;
  else if (key === 'GNU.sparse.name') sparse.name = value;
  else if (key === 'GNU.sparse.size' || key === 'GNU.sparse.realsize') {
    sparse.realSize = unsigned(record, place);
  } else if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
    if ((key === 'GNU.sparse.offset') !== (mapNumbers.length % 2 === 0)) {
      failTar('FORMAT_TAR_SPARSE', place, `${key} is not in turn with its counterpart`);
    }
    mapNumbers.push(unsigned(record, place));
  } else if (key === 'GNU.sparse.map') {
    const texts = value === '' ? [] : value.split(',');
    for (const text of texts) mapNumbers.push(unsigned([key, text as ByteString], place));
  } else if (key.startsWith('GNU.volume.') || key === 'GNU.dumpdir') {
    failTar(
      'FORMAT_TAR_TYPE',
      place,
      `it has the record ${showName(key)}, which is of incremental and multi-volume archives`,
      'expected a whole archive in one file',
    );
  }
}

function unsigned([key, value]: PaxRecord, place: TarPlace): number {
  const number = /^\d+$/.test(value) && value.length <= SAFE_DIGITS_MAX ? Number(value) : NaN;
  if (Number.isSafeInteger(number)) return number;
  const problem = `the PAX record ${key} is "${showName(value)}", expected a decimal number`;
  return failTar('FORMAT_TAR_PAX', place, problem);
}

/** Seconds with a fraction of any length; what is finer than a nanosecond is rounded down. */
function paxTime(value: ByteString, place: TarPlace): TarTime {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value);
  if (match === null) {
    const problem = `the PAX record mtime is "${showName(value)}", expected seconds`;
    return failTar('FORMAT_TAR_PAX', place, problem);
  }
  const [, sign, whole, fraction = ''] = match;
  const sec = Number(whole);
  const nsec = Number(fraction.slice(0, 9).padEnd(9, '0'));
  if (sign === '') return { sec, nsec };
  const isFiner = /[1-9]/.test(fraction.slice(9));
  const down = nsec + (isFiner ? 1 : 0);
  return down === 0 ? { sec: sec === 0 ? 0 : -sec, nsec: 0 } : { sec: -sec - 1, nsec: 1e9 - down };
}

/** Settings that make no sense for every entry of an archive. */
const NOT_GLOBAL = new Set(['path', 'linkpath', 'size']);

/** Records of global headers, which count for every entry that does not say otherwise. */
export class GlobalRecords {
  #records = new Map<ByteString, PaxRecord>();

  get all(): Iterable<PaxRecord> {
    return this.#records.values();
  }

  /** Throws FORMAT_TAR_PAX for records that cannot be meant for every entry, and for more than are believable. */
  add(records: readonly PaxRecord[], place: TarPlace): void {
    for (const record of records) {
      const [key, value] = record;
      if (NOT_GLOBAL.has(key) || key.startsWith('GNU.sparse.')) {
        const problem = `a global header sets ${key}, which is different for each entry`;
        failTar('FORMAT_TAR_PAX', place, problem);
      }
      this.#records.delete(key);
      if (value !== '' || isXattrKey(key)) this.#records.set(key, record);
    }
    let total = 0;
    for (const [key, value] of this.#records.values()) total += key.length + value.length;
    if (total > PAX_SIZE_MAX) {
      const problem = `global headers have set ${total} bytes, expected at most ${PAX_SIZE_MAX}`;
      failTar('FORMAT_TAR_SIZE', place, problem);
    }
  }
}
