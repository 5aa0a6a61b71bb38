/**
 * Writes the FAT32 of the boot partition: for firmware and bootloaders, which all read it.
 *
 * Files lie one behind the other, directories first; every name that is not upper-case 8.3 has a long name too. Times
 * are those of 1 January 1980, FAT's zero. Nothing but names, contents, size and ids gets in. fat-reader.ts reads it.
 * Source: Microsoft Extensible Firmware Initiative FAT32 File System Specification 1.03.
 */
import { ascii } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { contentSize, readContent } from './content.ts';
import type { BootFile } from './disk.ts';
import {
  ATTRIBUTE,
  BootSector,
  CLUSTERS_MIN,
  DIRENT_SIZE,
  END_OF_CHAIN,
  FatDirent,
  FIRST_CLUSTER,
  FsInfo,
  LONG_NAME_PART,
  LongName,
  RESERVED_SECTORS,
  SECTOR,
  shortNameSum,
} from './fat-records.ts';
import { writeAll } from './write-all.ts';

const MIB = 1024 * 1024;
const SECTORS_PER_CLUSTER_MAX = 64;
/** Bits 15–9 year since 1980, 8–5 month, 4–0 day. */
const FIRST_DAY = (1 << 5) | 1;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
/** FAT32 has at least 65,525 clusters, so a volume cannot be smaller than this. */
export const BOOT_BYTES_MIN = 40 * MIB;

export interface FatVolume {
  readonly files: readonly BootFile[];
  readonly sizeBytes: number;
  /** Sector at which the partition begins. */
  readonly startSector: number;
  readonly volumeId: number;
  /** At most 11 characters. */
  readonly label: string;
}

interface Node {
  readonly name: string;
  readonly file: BootFile | undefined;
  readonly children: Node[];
  size: number;
  cluster: number;
}

interface Geometry {
  readonly perCluster: number;
  readonly fatSectors: number;
  readonly clusters: number;
  readonly dataSector: number;
}

/** Writes at `base` of an open file whose bytes there are zero. Throws CONFIG_BOOT_SIZE when the files do not fit. */
export function writeFat(fd: number, base: number, volume: FatVolume): void {
  const geometry = geometryOf(volume.sizeBytes / SECTOR);
  const clusterSize = geometry.perCluster * SECTOR;
  const root = treeOf(volume.files);
  const used = place(root, clusterSize);
  if (used > geometry.clusters) {
    throw new ColdsealError(
      'CONFIG_BOOT_SIZE',
      `Cannot make a boot partition of ${volume.sizeBytes} bytes: its files take ${used * clusterSize}`,
      { hint: 'give the boot partition more room' },
    );
  }
  const clusterAt = (cluster: number): number => {
    return base + geometry.dataSector * SECTOR + (cluster - FIRST_CLUSTER) * clusterSize;
  };
  const fat = new Uint32Array(((used + FIRST_CLUSTER + 127) >> 7) << 7);
  fat.set([0x0fff_fff8, END_OF_CHAIN]);
  const write = (node: Node, parent: Node): void => {
    const clusters = Math.ceil(node.size / clusterSize);
    for (let i = 0; i < clusters; i++) {
      fat[node.cluster + i] = i === clusters - 1 ? END_OF_CHAIN : node.cluster + i + 1;
    }
    if (node.file === undefined) {
      const label = node === root ? volume.label : undefined;
      writeAll(fd, directoryBytes(node, parent, root, label), clusterAt(node.cluster));
    } else {
      const { file, size } = node;
      const copied = readContent(file, (piece, at) => {
        if (at + piece.length > size) throw changed(file.name);
        writeAll(fd, piece, clusterAt(node.cluster) + at);
      });
      if (copied !== size) throw changed(file.name);
    }
    for (const child of node.children) write(child, node);
  };
  write(root, root);
  const table = Buffer.from(fat.buffer); // Little-endian, as every machine that Node runs on.
  for (let copy = 0; copy < 2; copy++) {
    writeAll(fd, table, base + (RESERVED_SECTORS + copy * geometry.fatSectors) * SECTOR);
  }
  writeBootSectors(fd, base, volume, geometry, used);
}

function writeBootSectors(
  fd: number,
  base: number,
  volume: FatVolume,
  geometry: Geometry,
  used: number,
): void {
  const boot = BootSector.encode({
    perCluster: geometry.perCluster,
    hidden: volume.startSector,
    sectors: volume.sizeBytes / SECTOR,
    fatSectors: geometry.fatSectors,
    volumeId: volume.volumeId,
    label: ascii(volume.label.padEnd(11)),
  });
  const next = FIRST_CLUSTER + used;
  const info = FsInfo.encode({ free: geometry.clusters - used, next });
  // The second pair is at sector 6, where every implementation looks.
  for (const sector of [0, 6]) {
    writeAll(fd, boot, base + sector * SECTOR);
    writeAll(fd, info, base + (sector + 1) * SECTOR);
  }
}

/** Clusters as large as FAT32's least number of them allows. */
function geometryOf(sectors: number): Geometry {
  for (let perCluster = SECTORS_PER_CLUSTER_MAX; perCluster >= 1; perCluster /= 2) {
    // Each cluster takes its sectors and four bytes in each of two tables.
    const entries = Math.ceil((sectors - RESERVED_SECTORS) / perCluster) + FIRST_CLUSTER;
    const fatSectors = Math.ceil((entries * 4) / SECTOR);
    const dataSector = RESERVED_SECTORS + 2 * fatSectors;
    const clusters = Math.floor((sectors - dataSector) / perCluster);
    // A margin, since some readers count a little differently near the limit.
    if (clusters >= CLUSTERS_MIN + 16) return { perCluster, fatSectors, clusters, dataSector };
  }
  throw new ColdsealError(
    'CONFIG_BOOT_SIZE',
    `Cannot make a boot partition of ${sectors * SECTOR} bytes: expected at least ${BOOT_BYTES_MIN}`,
  );
}

// --- tree ----------------------------------------------------------------------------------------------

function treeOf(files: readonly BootFile[]): Node {
  const node = (name: string, file?: BootFile): Node => {
    return { name, file, children: [], size: 0, cluster: 0 };
  };
  const root = node('');
  for (const file of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const parts = file.name.split('/');
    let at = root;
    for (const [index, part] of parts.entries()) {
      if (!NAME.test(part)) throw new Error(`not a name on a boot partition: ${file.name}`);
      const isLast = index === parts.length - 1;
      const same = at.children.find((child) => child.name.toUpperCase() === part.toUpperCase());
      if (same !== undefined && (isLast || same.file !== undefined || same.name !== part)) {
        throw new Error(`two files of one name on a boot partition: ${file.name}`);
      }
      const child = same ?? node(part, isLast ? file : undefined);
      if (same === undefined) at.children.push(child);
      at = child;
    }
  }
  return root;
}

/** Gives sizes and clusters, directories before their files; returns how many clusters are taken. */
function place(root: Node, clusterSize: number): number {
  let next = FIRST_CLUSTER;
  const take = (node: Node): void => {
    if (node.size > 0) node.cluster = next;
    next += Math.ceil(node.size / clusterSize);
  };
  const directories = (node: Node): void => {
    const names = node.children.reduce((sum, child) => sum + longParts(child.name) + 1, 0);
    // The root begins with the label, others with . and their parent; and a free entry ends the list.
    node.size = (names + (node === root ? 2 : 3)) * DIRENT_SIZE;
    take(node);
    for (const child of node.children) if (child.file === undefined) directories(child);
  };
  const files = (node: Node): void => {
    for (const child of node.children) {
      if (child.file === undefined) files(child);
      else {
        child.size = contentSize(child.file);
        take(child);
      }
    }
  };
  directories(root);
  files(root);
  return next - FIRST_CLUSTER;
}

/** Entries that a long name takes; none when the short name says it all. */
function longParts(name: string): number {
  return isShort(name) ? 0 : Math.ceil(name.length / LONG_NAME_PART);
}

function isShort(name: string): boolean {
  return /^[A-Z0-9_-]{1,8}(\.[A-Z0-9_-]{1,3})?$/.test(name);
}

// --- directories ---------------------------------------------------------------------------------------

function directoryBytes(
  node: Node,
  parent: Node,
  root: Node,
  label: string | undefined,
): Uint8Array {
  const bytes = new Uint8Array(node.size);
  let at = 0;
  const add = (name: string, attributes: number, cluster: number, size: number): void => {
    const record = { attributes, size, clusterHigh: cluster >>> 16, cluster: cluster & 0xffff };
    const day = { created: FIRST_DAY, accessed: FIRST_DAY, written: FIRST_DAY };
    FatDirent.encode({ name: ascii(name), ...record, ...day }, bytes, at);
    at += DIRENT_SIZE;
  };
  if (label !== undefined) add(label.padEnd(11), ATTRIBUTE.LABEL, 0, 0);
  else {
    add('.'.padEnd(11), ATTRIBUTE.DIRECTORY, node.cluster, 0);
    // The root has no cluster when it is a parent.
    add('..'.padEnd(11), ATTRIBUTE.DIRECTORY, parent === root ? 0 : parent.cluster, 0);
  }
  node.children.forEach((child, index) => {
    const short = isShort(child.name) ? splitShort(child.name) : numberedShort(child.name, index);
    const parts = longParts(child.name);
    for (let part = parts; part >= 1; part--) {
      addLongPart(bytes, at, child.name, part, part === parts, shortNameSum(ascii(short)));
      at += DIRENT_SIZE;
    }
    const attributes = child.file === undefined ? ATTRIBUTE.DIRECTORY : ATTRIBUTE.ARCHIVE;
    add(short, attributes, child.cluster, child.file === undefined ? 0 : child.size);
  });
  return bytes;
}

function addLongPart(
  bytes: Uint8Array,
  at: number,
  name: string,
  part: number,
  isLast: boolean,
  sum: number,
): void {
  const characters = new Uint8Array(2 * LONG_NAME_PART).fill(0xff);
  const from = (part - 1) * LONG_NAME_PART;
  for (let i = 0; i < LONG_NAME_PART && from + i <= name.length; i++) {
    // A zero ends a name that does not fill its last part; what follows is all ones.
    characters[2 * i] = from + i < name.length ? name.charCodeAt(from + i) : 0;
    characters[2 * i + 1] = 0;
  }
  LongName.encode(
    {
      order: part | (isLast ? 0x40 : 0),
      first: characters.slice(0, 10),
      second: characters.slice(10, 22),
      third: characters.slice(22, 26),
      sum,
    },
    bytes,
    at,
  );
}

function splitShort(name: string): string {
  const [stem = '', extension = ''] = name.split('.');
  return stem.padEnd(8) + extension.padEnd(3);
}

/** `cmdline.txt` as the third file becomes `CMDLI~03TXT`: nobody types it, it only has to be the only one. */
function numberedShort(name: string, index: number): string {
  const upper = name.toUpperCase().split('.');
  const extension = upper.length > 1 ? upper.pop()! : '';
  const clean = upper.join('').replace(/[^A-Z0-9_-]/g, '_');
  const number = `~${String(index + 1).padStart(2, '0')}`;
  return (clean.slice(0, 8 - number.length) + number).padEnd(8) + extension.slice(0, 3).padEnd(3);
}

function changed(name: string): ColdsealError {
  return new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot store ${name}: it changed while it was read`,
  );
}
