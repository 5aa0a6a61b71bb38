/**
 * Reads the FAT32 of the boot partition without mounting it: every file, whole.
 *
 * Accepts what fat.ts writes. Made for hostile bytes: no cluster is used twice, so chains end and the work is bounded
 * by the size of the partition; both tables and both boot sectors must be the same.
 */
import { equalBytes, toByteString } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { StructValue } from '../../runtime/format/struct.ts';
import {
  ATTRIBUTE,
  BootSector,
  CLUSTERS_MIN,
  DIRENT_SIZE,
  END_OF_CHAIN,
  FatDirent,
  FIRST_CLUSTER,
  FsInfo,
  LongName,
  RESERVED_SECTORS,
  SECTOR,
  shortNameSum,
} from './fat-records.ts';

type ReadBytes = (offset: number, length: number) => Uint8Array;

const DEPTH_MAX = 8;
const FILE_BYTES_MAX = 1024 ** 3;
/** 268 million clusters would be the most that FAT32 has. */
const TABLE_SECTORS_MAX = 128 * 1024;
const LAST_PART = 0x40;
const FREE = 0;
const DELETED = 0xe5;

function malformed(problem: string): ColdsealError {
  return new ColdsealError('FORMAT_FAT', `Cannot read the boot partition: ${problem}`);
}

/** The files of a volume by path; throws FORMAT_FAT or FORMAT_RECORD_*. */
export function readFat(read: ReadBytes, sizeBytes: number): Map<string, Uint8Array> {
  const volume = new Volume(read, sizeBytes);
  const files = new Map<string, Uint8Array>();
  const walk = (directory: Uint8Array, path: string, depth: number): void => {
    if (depth > DEPTH_MAX) throw malformed('its directories are too deep');
    for (const { name, isDirectory, cluster, size } of entriesOf(directory)) {
      const below = `${path}${name}`;
      if (files.has(below)) throw malformed(`${below} is there twice`);
      if (isDirectory) walk(volume.chain(cluster, undefined), `${below}/`, depth + 1);
      else files.set(below, size === 0 ? new Uint8Array() : volume.chain(cluster, size));
    }
  };
  walk(volume.chain(FIRST_CLUSTER, undefined), '', 0);
  return files;
}

class Volume {
  readonly #read: ReadBytes;
  readonly #boot: StructValue<typeof BootSector>;
  readonly #table: DataView;
  readonly #clusters: number;
  readonly #dataSector: number;
  readonly #used: Uint8Array;

  constructor(read: ReadBytes, sizeBytes: number) {
    this.#read = read;
    const sectors = read(0, RESERVED_SECTORS * SECTOR);
    const boot = BootSector.decode(sectors);
    FsInfo.decode(sectors, SECTOR);
    if (!equalBytes(sectors.subarray(0, 2 * SECTOR), sectors.subarray(6 * SECTOR, 8 * SECTOR))) {
      throw malformed('its two boot sectors differ');
    }
    const { perCluster, fatSectors } = boot;
    this.#boot = boot;
    this.#dataSector = RESERVED_SECTORS + 2 * fatSectors;
    this.#clusters = Math.floor((boot.sectors - this.#dataSector) / perCluster);
    const isSound =
      [1, 2, 4, 8, 16, 32, 64].includes(perCluster) &&
      boot.sectors * SECTOR <= sizeBytes &&
      fatSectors <= TABLE_SECTORS_MAX &&
      this.#clusters >= CLUSTERS_MIN &&
      (this.#clusters + FIRST_CLUSTER) * 4 <= fatSectors * SECTOR;
    if (!isSound) throw malformed('the numbers of its boot sector cannot be');
    const [first, second] = [0, 1].map((copy) => {
      const at = (RESERVED_SECTORS + copy * fatSectors) * SECTOR;
      return Uint8Array.from(read(at, fatSectors * SECTOR));
    }) as [Uint8Array, Uint8Array];
    if (Buffer.compare(first, second) !== 0) throw malformed('its two tables differ');
    this.#table = new DataView(first.buffer);
    this.#used = new Uint8Array(this.#clusters);
  }

  /** The bytes of a chain: all of it, or the first `size` of a chain that is exactly as long as that needs. */
  chain(first: number, size: number | undefined): Uint8Array {
    const clusterSize = this.#boot.perCluster * SECTOR;
    if (size !== undefined && size > Math.min(this.#clusters * clusterSize, FILE_BYTES_MAX)) {
      throw malformed(`a file has ${size} bytes`);
    }
    const clusters: number[] = [];
    for (let cluster = first; cluster !== END_OF_CHAIN; cluster = this.#next(cluster)) {
      const index = cluster - FIRST_CLUSTER;
      if (index < 0 || index >= this.#clusters) throw malformed(`it has no cluster ${cluster}`);
      if (this.#used[index] === 1) throw malformed(`cluster ${cluster} belongs to two files`);
      this.#used[index] = 1;
      clusters.push(cluster);
    }
    const length = size ?? clusters.length * clusterSize;
    if (Math.ceil(length / clusterSize) !== clusters.length) {
      throw malformed(`a file of ${length} bytes has ${clusters.length} clusters`);
    }
    return this.#bytes(clusters, clusterSize).subarray(0, length);
  }

  #next(cluster: number): number {
    return this.#table.getUint32(cluster * 4, true);
  }

  /** Neighbours are read at once. */
  #bytes(clusters: readonly number[], clusterSize: number): Uint8Array {
    const bytes = new Uint8Array(clusters.length * clusterSize);
    for (let from = 0; from < clusters.length;) {
      let to = from + 1;
      while (to < clusters.length && clusters[to] === clusters[to - 1]! + 1) to++;
      const at = this.#dataSector * SECTOR + (clusters[from]! - FIRST_CLUSTER) * clusterSize;
      bytes.set(this.#read(at, (to - from) * clusterSize), from * clusterSize);
      from = to;
    }
    return bytes;
  }
}

interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
  readonly cluster: number;
  readonly size: number;
}

function entriesOf(directory: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  let long = new LongNameReader();
  for (let at = 0; at < directory.length && directory[at] !== FREE; at += DIRENT_SIZE) {
    if (directory[at] === DELETED) continue;
    if (directory[at + 11] === ATTRIBUTE.LONG_NAME) {
      long.add(LongName.decode(directory, at));
      continue;
    }
    const { name: short, attributes, clusterHigh, cluster, size } = FatDirent.decode(directory, at);
    const isDirectory = (attributes & ATTRIBUTE.DIRECTORY) !== 0;
    if ((attributes & ATTRIBUTE.LABEL) === 0 && short[0] !== 0x2e) {
      const name = long.name(short) ?? nameOf(short);
      if (!/^[\x20-\x7e]+$/.test(name) || name.includes('/'))
        throw malformed('a name is not ASCII');
      entries.push({ name, isDirectory, cluster: clusterHigh * 65536 + cluster, size });
    }
    long = new LongNameReader();
  }
  return entries;
}

function nameOf(short: Uint8Array): string {
  const stem = toByteString(short, 0, 8).trimEnd();
  const extension = toByteString(short, 8, 11).trimEnd();
  return extension === '' ? stem : `${stem}.${extension}`;
}

/** Puts a long name together from its parts, which come last part first. */
class LongNameReader {
  #text = '';
  #next: number | undefined;
  #sum = 0;

  add({ order, first, second, third, sum }: StructValue<typeof LongName>): void {
    const part = order & ~LAST_PART;
    const isLast = (order & LAST_PART) !== 0;
    const isExpected = isLast ? this.#next === undefined : part === this.#next && sum === this.#sum;
    if (!isExpected || part < 1 || part > 20)
      throw malformed('the parts of a long name are mixed up');
    const text = Buffer.concat([first, second, third]).toString('utf16le');
    const end = text.indexOf('\0');
    this.#text = (end < 0 ? text : text.slice(0, end)) + this.#text;
    this.#next = part - 1;
    this.#sum = sum;
  }

  name(short: Uint8Array): string | undefined {
    if (this.#next === undefined) return undefined;
    if (this.#next !== 0 || this.#sum !== shortNameSum(short)) {
      throw malformed('a long name belongs to another file');
    }
    return this.#text;
  }
}
