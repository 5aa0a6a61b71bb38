/**
 * A disk image or device, open for reading, its partition table proven.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { PARTITION } from '../../runtime/device-paths.ts';
import { readFat } from './fat-reader.ts';
import { type Gpt, type GptPartition, readGpt } from './gpt.ts';

export interface OpenDisk extends Disposable {
  readonly path: string;
  readonly size: number;
  readonly gpt: Gpt;
  /** In the order of the table. */
  readonly partitions: readonly GptPartition[];
  /** Reads exactly `length` bytes; throws FORMAT_DISK_SHORT when the disk ends before. */
  read(offset: number, length: number): Buffer;
}

/** Opens a disk for reading. Throws HOST_*, FORMAT_GPT, FORMAT_DISK_SHORT. */
export function openDisk(path: string): OpenDisk {
  const { fd, size } = openForReading(path);
  const read = (offset: number, length: number): Buffer => readExactly(fd, path, offset, length);
  try {
    const gpt = readGpt(read, size);
    const close = (): void => closeSync(fd);
    return { path, size, gpt, partitions: gpt.partitions, read, [Symbol.dispose]: close };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A partition by name; throws FORMAT_DISK_PARTITION when there is none. */
export function partitionOf(disk: OpenDisk, name: string): GptPartition {
  const found = disk.partitions.find((partition) => partition.name === name);
  if (found !== undefined) return found;
  const others = disk.partitions.map((partition) => partition.name).join(', ') || 'none';
  throw new ColdsealError(
    'FORMAT_DISK_PARTITION',
    `Cannot find partition ${name} on ${disk.path}: its partitions are ${others}`,
    { hint: 'give a disk that coldseal release made' },
  );
}

/** Reads inside one partition; bytes outside it are FORMAT_DISK_SHORT. */
export function readPartition(
  disk: OpenDisk,
  partition: GptPartition,
): (offset: number, length: number) => Buffer {
  return (offset, length) => {
    if (offset < 0 || offset + length > partition.size) {
      throw short(`partition ${partition.name} of ${disk.path}`, offset, length, partition.size);
    }
    return disk.read(partition.offset + offset, length);
  };
}

/** The files of the boot partition by path, whole. Throws FORMAT_FAT. */
export function readBootFiles(disk: OpenDisk): Map<string, Uint8Array> {
  const boot = partitionOf(disk, PARTITION.BOOT);
  return readFat(readPartition(disk, boot), boot.size);
}

function openForReading(path: string): { fd: number; size: number } {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, size: stat.size };
    if (stat.isBlockDevice()) return { fd, size: deviceSize(fd) };
    throw new ColdsealError(
      'USAGE_NOT_A_FILE',
      `Cannot read ${path}: expected an image or a device`,
    );
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw explainSysError(error, `Cannot read ${path}`);
  }
}

/** The size of a block device, which its inode does not say: doubled until a read fails, then halved. */
export function deviceSize(fd: number): number {
  const byte = Buffer.alloc(1);
  const isThere = (at: number): boolean => {
    try {
      return readSync(fd, byte, 0, 1, at) === 1;
    } catch {
      return false;
    }
  };
  let low = 0;
  let high = 1;
  while (isThere(high - 1) && high < 2 ** 52) [low, high] = [high, high * 2];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isThere(middle - 1)) low = middle;
    else high = middle;
  }
  return low;
}

function readExactly(fd: number, path: string, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  try {
    while (done < length) {
      const count = readSync(fd, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path} at byte ${offset + done}`);
  }
  if (done === length) return bytes;
  throw short(path, offset, length, offset + done);
}

function short(what: string, offset: number, length: number, end: number): ColdsealError {
  return new ColdsealError(
    'FORMAT_DISK_SHORT',
    `Cannot read ${what}: it ends at byte ${end}, expected ${length} bytes at ${offset}`,
    { hint: 'the image was cut short' },
  );
}
