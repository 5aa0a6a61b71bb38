/**
 * The 512 bytes before every member of a tar archive: fields, numbers, checksum.
 *
 * Three dialects share the block. POSIX (`ustar\0`) has a prefix before the name; GNU (`ustar  \0`) has times and a
 * sparse map there; what has no magic is as Unix version 7 wrote it. The bytes of a text field after its NUL mean
 * nothing and are often rubbish.
 * Sources: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format"; libarchive tar(5).
 */
import { byteString, type ByteString } from './byte-string.ts';
import { failTar, type TarPlace } from './tar-error.ts';

export const TAR_BLOCK_SIZE = 512;

/** Offset and size of each field; the sparse fields are GNU's. */
export const TAR_FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
  sparseMap: [386, 96],
  isExtended: [482, 1],
  realSize: [483, 12],
} as const;

type FieldName = keyof typeof TAR_FIELDS;

/** star marks its own archives here, and uses the end of the prefix for two times. */
const STAR_MAGIC_AT = 508;
const STAR_PREFIX_SIZE = 131;

export type TarDialect = 'v7' | 'posix' | 'gnu';

export interface TarHeader {
  readonly dialect: TarDialect;
  /** The type flag as a character; NUL is `0`, its newer spelling. */
  readonly type: string;
  readonly name: ByteString;
  readonly linkName: ByteString;
  /** The 12 permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of the member's data that follow, before padding. */
  readonly size: number;
  readonly mtime: number;
  readonly major: number;
  readonly minor: number;
}

/** Whether a block is all zero: the first half of the end of an archive. */
export function isZeroBlock(block: Uint8Array): boolean {
  for (const byte of block) if (byte !== 0) return false;
  return true;
}

/** Reads a header that is not zero. Throws FORMAT_TAR_CHECKSUM, FORMAT_TAR_NUMBER. */
export function decodeTarHeader(block: Uint8Array, place: TarPlace): TarHeader {
  requireChecksum(block, place);
  const dialect = dialectOf(block);
  const type = textField(block, 'type') || '0';
  const name = fullName(block, dialect);
  const here = { at: place.at, name };
  const isDevice = type === '3' || type === '4';
  return {
    dialect,
    type,
    name,
    linkName: textField(block, 'linkName'),
    // Old writers put the type of the file above the permissions.
    mode: unsignedField(block, 'mode', here) & 0o7777,
    uid: unsignedField(block, 'uid', here),
    gid: unsignedField(block, 'gid', here),
    size: unsignedField(block, 'size', here),
    mtime: numberField(block, 'mtime', here),
    // For anything but a device these may be missing, and were never cleared by some writers.
    major: isDevice ? unsignedField(block, 'major', here) : 0,
    minor: isDevice ? unsignedField(block, 'minor', here) : 0,
  };
}

/** Whether a block can be the header of a member at all. Some old writers added the bytes as signed numbers. */
export function hasTarChecksum(block: Uint8Array): boolean {
  const stored = tarNumber(block, ...TAR_FIELDS.checksum);
  const unsigned = tarChecksum(block);
  if (stored === unsigned) return true;
  return stored === unsigned - 256 * highBytes(block);
}

function requireChecksum(block: Uint8Array, place: TarPlace): void {
  if (hasTarChecksum(block)) return;
  const stored = tarNumber(block, ...TAR_FIELDS.checksum);
  failTar(
    'FORMAT_TAR_CHECKSUM',
    place,
    `the header's checksum is ${stored}, expected ${tarChecksum(block)}`,
    place.at === 0
      ? 'this is no tar archive, or one that is compressed in a way that is not known here'
      : 'the archive is damaged here',
  );
}

/** The sum of all bytes, with the checksum itself as spaces. */
function tarChecksum(block: Uint8Array): number {
  const [from, size] = TAR_FIELDS.checksum;
  let sum = size * 0x20;
  for (let i = 0; i < from; i++) sum += block[i]!;
  for (let i = from + size; i < TAR_BLOCK_SIZE; i++) sum += block[i]!;
  return sum;
}

/** Bytes outside of the checksum that are negative as signed numbers. */
function highBytes(block: Uint8Array): number {
  const [from, size] = TAR_FIELDS.checksum;
  return block.reduce((count, byte, i) => {
    return i >= from && i < from + size ? count : count + (byte >>> 7);
  }, 0);
}

function dialectOf(block: Uint8Array): TarDialect {
  const [at] = TAR_FIELDS.magic;
  const magic = byteString(block, at, at + 6);
  if (magic === 'ustar\0') return 'posix';
  return magic === 'ustar ' ? 'gnu' : 'v7';
}

function fullName(block: Uint8Array, dialect: TarDialect): ByteString {
  const name = textField(block, 'name');
  if (dialect !== 'posix') return name;
  const [at, size] = TAR_FIELDS.prefix;
  const isStar = byteString(block, STAR_MAGIC_AT, STAR_MAGIC_AT + 4) === 'tar\0';
  const prefix = textAt(block, at, isStar ? STAR_PREFIX_SIZE : size);
  return prefix === '' ? name : (`${prefix}/${name}` as ByteString);
}

function textField(block: Uint8Array, field: FieldName): ByteString {
  const [at, size] = TAR_FIELDS[field];
  return textAt(block, at, size);
}

/** Text up to its first NUL, or the whole field. */
function textAt(block: Uint8Array, at: number, size: number): ByteString {
  const end = block.indexOf(0, at);
  return byteString(block, at, end < 0 || end > at + size ? at + size : end);
}

function unsignedField(block: Uint8Array, field: FieldName, place: TarPlace): number {
  const value = numberField(block, field, place);
  if (value >= 0) return value;
  return failTar('FORMAT_TAR_NUMBER', place, `${field} is ${value}, expected at least 0`);
}

function numberField(block: Uint8Array, field: FieldName, place: TarPlace): number {
  const [at, size] = TAR_FIELDS[field];
  return requireTarNumber(block, at, size, field, place);
}

/** A number somewhere in a block. Throws FORMAT_TAR_NUMBER. */
export function requireTarNumber(
  block: Uint8Array,
  at: number,
  size: number,
  label: string,
  place: TarPlace,
): number {
  const value = tarNumber(block, at, size);
  if (typeof value === 'number') return value;
  return failTar('FORMAT_TAR_NUMBER', place, `${label} ${value}`);
}

/**
 * A number in octal digits, or in base 256 when the first bit is set, as GNU writes what does not fit; a string says
 * what is wrong with it. An empty field is 0.
 */
export function tarNumber(block: Uint8Array, at: number, size: number): number | string {
  if ((block[at]! & 0x80) !== 0) return base256Number(block, at, size);
  let from = at;
  const end = at + size;
  while (from < end && block[from] === 0x20) from++;
  let value = 0;
  while (from < end && block[from]! >= 0x30 && block[from]! <= 0x37) {
    value = value * 8 + block[from++]! - 0x30;
  }
  // After the digits only a NUL or a space ends the number; what follows that means nothing.
  if (from < end && block[from] !== 0 && block[from] !== 0x20) return 'is no octal number';
  return value;
}

/** Two's complement, big endian, without the top bit, which is the mark. */
function base256Number(block: Uint8Array, at: number, size: number): number | string {
  const isNegative = (block[at]! & 0x40) !== 0;
  let value = isNegative ? -1n : 0n;
  for (let i = 0; i < size; i++) {
    const byte = i > 0 ? block[at + i]! : isNegative ? block[at]! : block[at]! & 0x7f;
    value = value * 256n + BigInt(byte);
  }
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : `is ${value}, which no field needs`;
}
