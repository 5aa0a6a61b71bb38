/**
 * The GUID partition table: written and read, pure.
 *
 * A protective MBR, a header and 128 entries at the front, the same entries and a header at the end. Sectors have 512
 * bytes and partitions begin at multiples of 1 MiB. Reading believes neither copy alone: both must be sound and say
 * the same. Source: UEFI Specification 2.10, chapter 5.
 */
import { allZero, alignUp, equalBytes } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  always16,
  always32,
  always8,
  byteArray,
  struct,
  type StructValue,
  u32,
  u64,
  zeros,
} from '../../runtime/format/struct.ts';
import { crc32 } from './crc32.ts';

export const SECTOR = 512;
export const ALIGNMENT = 1024 * 1024;
const ENTRIES = 128;
const ENTRY_SIZE = 128;
const ENTRY_SECTORS = (ENTRIES * ENTRY_SIZE) / SECTOR;
const HEADER_SIZE = 92;
const NAME_MAX = 36;
/** The second sector, and the last one that the old way of counting can name. */
const CHS_FIRST = Uint8Array.of(0, 2, 0);
const CHS_LAST = Uint8Array.of(0xff, 0xff, 0xff);
/** From the start of the disk to the end of the first entries. */
export const GPT_FRONT = (2 + ENTRY_SECTORS) * SECTOR;
/** Second entries and header at the end of the disk. */
export const GPT_BACK = (1 + ENTRY_SECTORS) * SECTOR;

export const ProtectiveMbr = struct('protective MBR', SECTOR, 'UEFI 2.10, 5.2.3', {
  code: [0x000, zeros(446, 'no boot code, no signature')],
  flags: [0x1be, always8(0, 'not active')],
  first: [0x1bf, byteArray(3, 'first sector in the old way of counting')],
  type: [0x1c2, always8(0xee, 'the rest is a GPT')],
  last: [0x1c3, byteArray(3, 'last sector in the old way of counting')],
  start: [0x1c6, always32(1, 'the GPT header')],
  sectors: [0x1ca, u32('sectors of the disk less one, or as many as fit')],
  others: [0x1ce, zeros(48, 'no other partitions')],
  signature: [0x1fe, always16(0xaa55, 'MBR')],
});

export const GptHeader = struct('GPT header', SECTOR, 'UEFI 2.10, 5.3.2', {
  signature: [0x00, always32(0x20494645, 'the letters EFI and a space')],
  signature2: [0x04, always32(0x54524150, 'the letters PART')],
  revision: [0x08, always32(0x00010000, 'revision 1.0')],
  headerSize: [0x0c, always32(HEADER_SIZE, 'bytes that the checksum covers')],
  checksum: [0x10, u32('CRC-32 of the header with zeros here')],
  reserved: [0x14, zeros(4)],
  own: [0x18, u64('sector of this header')],
  other: [0x20, u64('sector of the other header')],
  firstUsable: [0x28, u64('first sector for partitions')],
  lastUsable: [0x30, u64('last sector for partitions')],
  guid: [0x38, byteArray(16, 'GUID of the disk')],
  entries: [0x48, u64('first sector of the entries')],
  count: [0x50, always32(ENTRIES, 'entries')],
  entrySize: [0x54, always32(ENTRY_SIZE, 'bytes of an entry')],
  entriesChecksum: [0x58, u32('CRC-32 of all entries')],
  rest: [0x5c, zeros(420)],
});

export const GptEntry = struct('GPT entry', ENTRY_SIZE, 'UEFI 2.10, 5.3.3', {
  type: [0x00, byteArray(16, 'GUID of the kind of partition')],
  guid: [0x10, byteArray(16, 'GUID of this partition')],
  first: [0x20, u64('first sector')],
  last: [0x28, u64('last sector')],
  attributes: [0x30, u64('bit 2: for a bootloader that looks for one')],
  name: [0x38, byteArray(2 * NAME_MAX, 'name in UTF-16, filled up with zeros')],
});

export interface GptPartition {
  /** ASCII. */
  readonly name: string;
  /** GUIDs are 16 bytes, as they are on the disk. */
  readonly type: Uint8Array;
  readonly guid: Uint8Array;
  /** Bytes from the start of the disk. */
  readonly offset: number;
  readonly size: number;
  readonly attributes: bigint;
}

export interface Gpt {
  readonly guid: Uint8Array;
  readonly partitions: readonly GptPartition[];
}

/** The bytes of a GUID as text shows it; the first three parts are little-endian. */
export function guidOf(text: string): Uint8Array {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return new Uint8Array(bytes);
}

/** What belongs at the start and at the end of a disk of `diskSize` bytes. */
export function encodeGpt(gpt: Gpt, diskSize: number): { front: Uint8Array; back: Uint8Array } {
  const sectors = Math.floor(diskSize / SECTOR);
  const entries = new Uint8Array(ENTRIES * ENTRY_SIZE);
  gpt.partitions.forEach((partition, index) => {
    const { type, guid, attributes, offset, size } = partition;
    const record = {
      type,
      guid,
      attributes,
      first: BigInt(offset / SECTOR),
      last: BigInt((offset + size) / SECTOR - 1),
      name: encodeName(partition.name),
    };
    GptEntry.encode(record, entries, index * ENTRY_SIZE);
  });
  const header = (own: number, other: number, at: number): Uint8Array => {
    const record = {
      checksum: 0,
      own: BigInt(own),
      other: BigInt(other),
      firstUsable: BigInt(GPT_FRONT / SECTOR),
      lastUsable: BigInt(sectors - 1 - GPT_BACK / SECTOR),
      guid: gpt.guid,
      entries: BigInt(at),
      entriesChecksum: crc32(entries),
    };
    const checksum = crc32(GptHeader.encode(record).subarray(0, HEADER_SIZE));
    return GptHeader.encode({ ...record, checksum });
  };
  const mbr = ProtectiveMbr.encode({
    first: CHS_FIRST,
    last: CHS_LAST,
    sectors: Math.min(sectors - 1, 0xffff_ffff),
  });
  const last = sectors - 1;
  return {
    front: Buffer.concat([mbr, header(1, last, 2), entries]),
    back: Buffer.concat([entries, header(last, 1, last - ENTRY_SECTORS)]),
  };
}

// --- reading -------------------------------------------------------------------------------------------

type Copy = 'first' | 'second';

function malformed(problem: string): ColdsealError {
  return new ColdsealError('FORMAT_GPT', `Cannot read the partition table: ${problem}`);
}

/** A download or copy that stopped half-way, the usual reason for a table that cannot be. */
function cutShort(last: bigint, sectors: number): ColdsealError {
  const [has, expected] = [BigInt(sectors), last + 1n].map((count) => count * BigInt(SECTOR));
  return new ColdsealError(
    'FORMAT_GPT',
    `Cannot read the partition table: the disk has ${has} bytes, expected at least ${expected}`,
    { hint: 'the image was cut short, or the medium is too small for it' },
  );
}

/** Reads the table of a disk of `diskSize` bytes; throws FORMAT_GPT. */
export function readGpt(
  read: (offset: number, length: number) => Uint8Array,
  diskSize: number,
): Gpt {
  const sectors = Math.floor(diskSize / SECTOR);
  if (diskSize < GPT_FRONT + GPT_BACK) throw malformed(`the disk has only ${diskSize} bytes`);
  const mbr = checkRecord('MBR', () => ProtectiveMbr.decode(read(0, SECTOR)));
  const first = readCopy(read, 'first', 1, sectors);
  // On a medium larger than the image, the second copy may still be where the image ended.
  const second = readCopy(read, 'second', Number(first.header.other), sectors);
  const covered = Math.min(Number(first.header.other), 0xffff_ffff);
  if (
    mbr.sectors !== covered ||
    !equalBytes(mbr.first, CHS_FIRST) ||
    !equalBytes(mbr.last, CHS_LAST)
  ) {
    throw malformed('the MBR says something else');
  }
  const isSame =
    equalBytes(first.entries, second.entries) &&
    equalBytes(first.header.guid, second.header.guid) &&
    first.header.firstUsable === second.header.firstUsable &&
    first.header.lastUsable === second.header.lastUsable;
  if (!isSame) throw malformed('its two copies differ');
  return { guid: first.header.guid, partitions: readEntries(first) };
}

interface CopyOfGpt {
  readonly header: StructValue<typeof GptHeader>;
  readonly entries: Uint8Array;
}

function readCopy(
  read: (offset: number, length: number) => Uint8Array,
  copy: Copy,
  own: number,
  sectors: number,
): CopyOfGpt {
  const bytes = read(own * SECTOR, SECTOR);
  const header = checkRecord(`${copy} header`, () => GptHeader.decode(bytes));
  const zeroed = Uint8Array.from(bytes.subarray(0, HEADER_SIZE));
  zeroed.fill(0, GptHeader.at.checksum, GptHeader.at.checksum + 4);
  if (crc32(zeroed) !== header.checksum) {
    throw malformed(`the checksum of the ${copy} header is wrong`);
  }
  const { other, entries, firstUsable, lastUsable } = header;
  if (copy === 'first' && other >= BigInt(sectors)) throw cutShort(other, sectors);
  const back = copy === 'first' ? other : BigInt(own);
  const isSound =
    header.own === BigInt(own) &&
    (copy === 'first' ? other > lastUsable + BigInt(ENTRY_SECTORS) : other === 1n) &&
    back < BigInt(sectors) &&
    entries === (copy === 'first' ? 2n : back - BigInt(ENTRY_SECTORS)) &&
    firstUsable >= BigInt(GPT_FRONT / SECTOR) &&
    lastUsable >= firstUsable;
  if (!isSound) throw malformed(`the numbers of the ${copy} header cannot be`);
  const table = read(Number(entries) * SECTOR, ENTRIES * ENTRY_SIZE);
  if (crc32(table) !== header.entriesChecksum) {
    throw malformed(`the checksum of the ${copy} entries is wrong`);
  }
  return { header, entries: Uint8Array.from(table) };
}

function checkRecord<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    throw new ColdsealError('FORMAT_GPT', `Cannot read the ${what}: ${error.message}`, {
      hint: 'the file is no disk image, or its partition table is damaged',
      cause: error,
    });
  }
}

function readEntries({ header, entries }: CopyOfGpt): GptPartition[] {
  const partitions: GptPartition[] = [];
  for (let at = 0; at < entries.length; at += ENTRY_SIZE) {
    const entry = GptEntry.decode(entries, at);
    if (allZero(entry.type)) continue;
    const { first, last, type, guid, attributes } = entry;
    const name = decodeName(entry.name);
    if (first < header.firstUsable || last > header.lastUsable || last < first) {
      throw malformed(`partition ${name} is outside the disk`);
    }
    const offset = Number(first) * SECTOR;
    const size = Number(last - first + 1n) * SECTOR;
    const hit = partitions.find((p) => p.offset < offset + size && offset < p.offset + p.size);
    if (hit !== undefined) throw malformed(`partitions ${hit.name} and ${name} overlap`);
    if (partitions.some((p) => p.name === name))
      throw malformed(`partition ${name} is there twice`);
    partitions.push({ name, type, guid, attributes, offset, size });
  }
  return partitions;
}

function encodeName(name: string): Uint8Array {
  if (name.length > NAME_MAX || !/^[\x20-\x7e]*$/.test(name)) throw new Error(`no name: ${name}`);
  const bytes = new Uint8Array(2 * NAME_MAX);
  for (let i = 0; i < name.length; i++) bytes[2 * i] = name.charCodeAt(i);
  return bytes;
}

function decodeName(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf16le');
  const end = text.indexOf('\0');
  const name = end < 0 ? text : text.slice(0, end);
  if (!/^[\x20-\x7e]*$/.test(name)) throw malformed('the name of a partition is not ASCII');
  return name;
}

/** The size of a disk whose last partition ends at `end`: room for the second copy, in whole MiB. */
export function diskSizeFor(end: number): number {
  return alignUp(end + GPT_BACK, ALIGNMENT);
}
