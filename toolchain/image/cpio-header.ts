/**
 * The header before every entry of a cpio archive, in the three forms that are text.
 *
 * "newc" (070701) and "crc" (070702) have 13 fields of 8 hexadecimal digits, and align what follows to 4 bytes; the
 * second has the sum of the data's bytes. "odc" (070707) is that of POSIX, octal and not aligned. The old binary form
 * has numbers too small for any file system of today and is refused.
 * Sources: Linux Documentation/driver-api/early-userspace/buffer-format.rst; POSIX.1-2001 pax, "cpio Interchange
 * Format"; libarchive cpio(5).
 */
import { byteString, type ByteString } from './byte-string.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';

/** The fields of newc and crc in their order. */
export const NEWC_FIELDS = [
  'ino',
  'mode',
  'uid',
  'gid',
  'nlink',
  'mtime',
  'size',
  'devMajor',
  'devMinor',
  'rdevMajor',
  'rdevMinor',
  'nameSize',
  'check',
] as const;
type NewcField = (typeof NEWC_FIELDS)[number];

export const CPIO_MAGIC_SIZE = 6;
export const NEWC_MAGIC = '070701';
export const CRC_MAGIC = '070702';
const ODC_MAGIC = '070707';
const NEWC_DIGITS = 8;
/** Bytes of a header of newc, with its magic. */
export const NEWC_HEADER_SIZE = CPIO_MAGIC_SIZE + NEWC_FIELDS.length * NEWC_DIGITS;
/** Header with name, and data, end at multiples of this in newc. */
export const NEWC_ALIGNMENT = 4;
/** The name of the entry that ends an archive. */
export const CPIO_TRAILER = 'TRAILER!!!' as ByteString;

/** Fields of odc and how many octal digits each has. */
const ODC_FIELDS = [
  ['dev', 6],
  ['ino', 6],
  ['mode', 6],
  ['uid', 6],
  ['gid', 6],
  ['nlink', 6],
  ['rdev', 6],
  ['mtime', 11],
  ['nameSize', 6],
  ['size', 11],
] as const;
const ODC_HEADER_SIZE = 76;

export type CpioForm = 'newc' | 'crc' | 'odc';

/** A header as numbers. */
export interface CpioHeader extends Readonly<Record<NewcField, number>> {
  readonly form: CpioForm;
}

/** The form that a magic means. Throws FORMAT_CPIO_MAGIC. */
export function cpioForm(magic: Uint8Array, place: TarPlace): CpioForm {
  const text = byteString(magic);
  if (text === NEWC_MAGIC) return 'newc';
  if (text === CRC_MAGIC) return 'crc';
  if (text === ODC_MAGIC) return 'odc';
  const isBinary = text.startsWith('\xc7\x71') || text.startsWith('\x71\xc7');
  return failTar(
    'FORMAT_CPIO_MAGIC',
    place,
    isBinary
      ? 'it has the old binary form, expected newc, crc or odc'
      : `"${showName(text)}" begins no entry, expected ${NEWC_MAGIC}, ${CRC_MAGIC} or ${ODC_MAGIC}`,
    isBinary
      ? 'make it with cpio --format=newc'
      : place.at === 0
        ? 'this is no cpio archive, or one that is compressed in a way that is not known here'
        : 'the archive is damaged here, or the size of the entry before is wrong',
  );
}

/** Bytes of a header after its magic. */
export function cpioHeaderRest(form: CpioForm): number {
  return (form === 'odc' ? ODC_HEADER_SIZE : NEWC_HEADER_SIZE) - CPIO_MAGIC_SIZE;
}

/** Reads the fields after the magic. Throws FORMAT_CPIO_NUMBER. */
export function decodeCpioHeader(rest: Uint8Array, form: CpioForm, place: TarPlace): CpioHeader {
  return form === 'odc' ? decodeOdc(rest, place) : decodeNewc(rest, form, place);
}

function decodeNewc(rest: Uint8Array, form: 'newc' | 'crc', place: TarPlace): CpioHeader {
  const text = byteString(rest);
  const fields = NEWC_FIELDS.map((name, i) => {
    const digits = text.slice(i * NEWC_DIGITS, (i + 1) * NEWC_DIGITS);
    return [name, numberOf(digits, name, 16, place)] as const;
  });
  return { form, ...(Object.fromEntries(fields) as Record<NewcField, number>) };
}

function decodeOdc(rest: Uint8Array, place: TarPlace): CpioHeader {
  const text = byteString(rest);
  const fields: Record<string, number> = {};
  let at = 0;
  for (const [name, digits] of ODC_FIELDS) {
    fields[name] = numberOf(text.slice(at, at + digits), name, 8, place);
    at += digits;
  }
  const { dev, rdev, ...same } = fields as Record<NewcField | 'dev' | 'rdev', number>;
  // The old packing of device numbers: 8 bits of minor, what is above is major.
  const [devMajor, devMinor] = [dev >> 8, dev & 0xff];
  const [rdevMajor, rdevMinor] = [rdev >> 8, rdev & 0xff];
  return { ...same, form: 'odc', check: 0, devMajor, devMinor, rdevMajor, rdevMinor };
}

function numberOf(digits: string, field: string, radix: 8 | 16, place: TarPlace): number {
  const isNumber = radix === 8 ? /^[0-7]+$/.test(digits) : /^[0-9A-Fa-f]+$/.test(digits);
  if (isNumber) return parseInt(digits, radix);
  const wanted = radix === 8 ? 'octal' : 'hexadecimal';
  const problem = `${field} is "${showName(digits as ByteString)}", expected ${wanted} digits`;
  return failTar('FORMAT_CPIO_NUMBER', place, problem);
}
