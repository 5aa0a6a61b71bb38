/**
 * The records of a FAT32 volume, as fat.ts writes and fat-reader.ts reads them.
 *
 * Source: Microsoft Extensible Firmware Initiative FAT32 File System Specification 1.03, sections 3, 5, 6, 7.
 */
import {
  always16,
  always32,
  always8,
  byteArray,
  struct,
  u16,
  u32,
  u8,
  zeros,
} from '../../runtime/format/struct.ts';

export const SECTOR = 512;
export const RESERVED_SECTORS = 32;
export const FIRST_CLUSTER = 2;
/** Below this many clusters a volume would be taken for FAT16. */
export const CLUSTERS_MIN = 65_525;
export const END_OF_CHAIN = 0x0fff_ffff;
export const DIRENT_SIZE = 32;
export const ATTRIBUTE = { LABEL: 8, DIRECTORY: 16, ARCHIVE: 32, LONG_NAME: 15 } as const;
/** Characters in one entry of a long name. */
export const LONG_NAME_PART = 13;

export const BootSector = struct('FAT32 boot sector', SECTOR, 'FAT32 1.03, section 3', {
  jump: [0x000, always8(0xeb, 'jump over the numbers')],
  jump2: [0x001, always16(0x9058, 'the rest of it')],
  maker: [0x003, always32(0x646c6f63, 'the letters cold')],
  maker2: [0x007, always32(0x6c616573, 'the letters seal')],
  sectorSize: [0x00b, always16(SECTOR, 'bytes of a sector')],
  perCluster: [0x00d, u8('sectors of a cluster')],
  reserved: [0x00e, always16(RESERVED_SECTORS, 'sectors before the tables')],

  tables: [0x010, always8(2, 'tables')],
  rootEntries: [0x011, always16(0, 'the root is a chain of clusters')],
  sectors16: [0x013, always16(0, 'see sectors')],
  media: [0x015, always8(0xf8, 'no removable disk')],
  fatSectors16: [0x016, always16(0, 'see fatSectors')],
  perTrack: [0x018, always16(63, 'for the old way of counting')],
  heads: [0x01a, always16(255, 'for the old way of counting')],
  hidden: [0x01c, u32('sector at which the partition begins')],

  sectors: [0x020, u32('sectors of the volume')],
  fatSectors: [0x024, u32('sectors of one table')],
  mirroring: [0x028, always16(0, 'both tables are in use')],
  version: [0x02a, always16(0, 'version')],
  root: [0x02c, always32(FIRST_CLUSTER, 'first cluster of the root')],

  info: [0x030, always16(1, 'sector of the counts of free clusters')],
  backup: [0x032, always16(6, 'sector of the second boot sector')],
  unused: [0x034, zeros(12)],
  drive: [0x040, always8(0x80, 'for BIOS')],
  unused2: [0x041, zeros(1)],
  extended: [0x042, always8(0x29, 'the next three fields are there')],
  volumeId: [0x043, u32('number of the volume')],
  label: [0x047, byteArray(11, 'label, filled up with spaces')],
  kind: [0x052, always32(0x33544146, 'the letters FAT3')],
  kind2: [0x056, always32(0x20202032, 'a 2 and spaces')],
  code: [0x05a, zeros(420, 'no boot code')],
  signature: [0x1fe, always16(0xaa55, 'boot sector')],
});

export const FsInfo = struct('FAT32 FSInfo', SECTOR, 'FAT32 1.03, section 5', {
  lead: [0x000, always32(0x41615252, 'FSInfo')],
  unused: [0x004, zeros(480)],
  signature: [0x1e4, always32(0x61417272, 'FSInfo')],
  free: [0x1e8, u32('free clusters')],
  next: [0x1ec, u32('where to look for free clusters')],
  unused2: [0x1f0, zeros(12)],
  trail: [0x1fc, always32(0xaa550000, 'FSInfo')],
});

export const FatDirent = struct('FAT directory entry', DIRENT_SIZE, 'FAT32 1.03, section 6', {
  name: [0x00, byteArray(11, 'name and extension, filled up with spaces')],
  attributes: [0x0b, u8('8 label, 16 directory, 32 file')],
  case: [0x0c, zeros(1)],
  createdTime: [0x0d, zeros(3, 'midnight')],
  created: [0x10, u16('day of creation')],
  accessed: [0x12, u16('day of last access')],
  clusterHigh: [0x14, u16('first cluster, upper half')],
  writtenTime: [0x16, zeros(2, 'midnight')],
  written: [0x18, u16('day of last change')],
  cluster: [0x1a, u16('first cluster, lower half')],
  size: [0x1c, u32('bytes')],
});

export const LongName = struct('FAT long name', DIRENT_SIZE, 'FAT32 1.03, section 7', {
  order: [0x00, u8('number of this part from 1; 0x40 added to the last, which comes first')],
  first: [0x01, byteArray(10, 'five characters in UTF-16')],
  attributes: [0x0b, always8(ATTRIBUTE.LONG_NAME, 'a part of a long name')],
  type: [0x0c, zeros(1)],
  sum: [0x0d, u8('sum over the short name')],
  second: [0x0e, byteArray(12, 'six characters')],
  cluster: [0x1a, zeros(2)],
  third: [0x1c, byteArray(4, 'two characters')],
});

/** The sum that ties the parts of a long name to the entry behind them. */
export function shortNameSum(name: Uint8Array): number {
  return name.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}
