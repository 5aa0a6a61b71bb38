/**
 * Writes a disk image to a block device or a file, reads it back, and lets it boot only then.
 *
 * On a device the partition table goes first and comes last: both copies are wiped before anything else is written, and
 * the first header is written after everything was read back and found equal. So a medium that was pulled out half-way
 * does not look like a disk. Zeros are only written where the medium has something else. On a medium larger than the
 * image the second table is made for its real end.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { allZero } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { refuseExisting } from '../files/atomic-file.ts';
import { syncPath } from '../files/sync-path.ts';
import { type DeviceFacts, inspectDevice } from './block-device.ts';
import { encodeGpt, GPT_BACK, GPT_FRONT, readGpt, SECTOR } from './gpt.ts';
import { deviceSize, openDisk, type OpenDisk } from './open-disk.ts';
import { writeAll } from './write-all.ts';

const STEP = 1 << 20;
/** `_IO(0x12, 97)`: forget what is cached of a device, so that reading back reads the medium (linux/fs.h). */
const BLKFLSBUF = 0x1261;

export type FlashTarget =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'device'; readonly path: string; readonly facts: DeviceFacts };

export interface FlashOptions {
  readonly onProgress?: (stage: 'write' | 'verify', doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface FlashReport {
  readonly imageBytes: number;
  readonly targetBytes: number;
  /** Bytes that were written; the others were there already. */
  readonly written: number;
}

/** Looks at a target and refuses what must not be overwritten. `force`: replace a file, write into a partition. */
export function chooseTarget(
  path: string,
  imageSize: number,
  force: boolean,
  inspect: (device: number) => DeviceFacts = inspectDevice,
): FlashTarget {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isBlockDevice() !== true) {
    if (stat !== undefined && !stat.isFile()) {
      throw new ColdsealError(
        'USAGE_FLASH_TARGET',
        `Cannot flash ${path}: expected a block device or a file`,
      );
    }
    if (!force) refuseExisting(path);
    return { kind: 'file', path };
  }
  const facts = inspect(stat.rdev);
  if (facts.uses.length > 0) {
    throw new ColdsealError(
      'USAGE_DEVICE_IN_USE',
      `Cannot flash ${path}: ${facts.uses.join(', ')}`,
      {
        hint: 'unmount it first, and look twice whether it is the right device',
      },
    );
  }
  if (facts.isReadOnly) {
    throw new ColdsealError('USAGE_FLASH_TARGET', `Cannot flash ${path}: it is read-only`, {
      hint: 'a memory card may have a switch on its side',
    });
  }
  if (facts.sectorSize !== SECTOR) {
    throw new ColdsealError(
      'USAGE_FLASH_TARGET',
      `Cannot flash ${path}: its sectors have ${facts.sectorSize} bytes, the partition table is for ${SECTOR}`,
      { hint: 'no board would find a partition on it' },
    );
  }
  if (facts.partitionOf !== undefined && !force) {
    throw new ColdsealError(
      'USAGE_FLASH_TARGET',
      `Cannot flash ${path}: it is a partition of ${facts.partitionOf}, expected a whole disk`,
    );
  }
  if (facts.size < imageSize) throw tooSmall(path, facts.size, imageSize);
  return { kind: 'device', path, facts };
}

/** Writes the image to the target and proves it. Throws HOST_FLASH_COMPARE when the medium gives back other bytes. */
export async function flashDisk(
  image: string,
  target: FlashTarget,
  options: FlashOptions = {},
): Promise<FlashReport> {
  using disk = openDisk(image);
  if (target.kind === 'device') return await flashDevice(disk, target.path, options);
  const temporary = join(dirname(target.path), `.${basename(target.path)}.${process.pid}.tmp`);
  try {
    rmSync(temporary, { force: true });
    const report = await flashFile(disk, temporary, options);
    renameSync(temporary, target.path);
    syncPath(dirname(target.path));
    return report;
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explainSysError(error, `Cannot flash ${target.path}`);
  }
}

async function flashFile(
  disk: OpenDisk,
  path: string,
  options: FlashOptions,
): Promise<FlashReport> {
  const fd = openSync(path, 'wx+');
  try {
    ftruncateSync(fd, disk.size);
    const written = await copyDisk(disk, { fd, path, size: disk.size }, options);
    return { imageBytes: disk.size, targetBytes: disk.size, written };
  } finally {
    closeSync(fd);
  }
}

async function flashDevice(
  disk: OpenDisk,
  path: string,
  options: FlashOptions,
): Promise<FlashReport> {
  const fd = openExclusively(path);
  try {
    if (!fstatSync(fd).isBlockDevice()) {
      throw new ColdsealError('USAGE_FLASH_TARGET', `Cannot flash ${path}: it changed meanwhile`);
    }
    const size = deviceSize(fd);
    if (size < disk.size) throw tooSmall(path, size, disk.size);
    const written = await copyDisk(disk, { fd, path, size }, options);
    return { imageBytes: disk.size, targetBytes: size, written };
  } catch (error) {
    throw explainSysError(error, `Cannot flash ${path}`);
  } finally {
    closeSync(fd);
  }
}

/** For a block device, O_EXCL asks the kernel that nobody else has it: no mount, no RAID, no other flashing. */
function openExclusively(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_EXCL);
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw explainSysError(error, `Cannot flash ${path}`);
    throw new ColdsealError(
      'USAGE_DEVICE_IN_USE',
      `Cannot flash ${path}: the kernel says it is in use`,
      {
        cause: error,
      },
    );
  }
}

interface Medium {
  readonly fd: number;
  readonly path: string;
  readonly size: number;
}

async function copyDisk(disk: OpenDisk, medium: Medium, options: FlashOptions): Promise<number> {
  const { fd } = medium;
  const [from, to] = [GPT_FRONT, disk.size - GPT_BACK];
  const { front, back } = encodeGpt(disk.gpt, medium.size);
  const backAt = medium.size - (medium.size % SECTOR) - back.length;
  let written = front.length + back.length;
  writeAll(fd, new Uint8Array(front.length), 0);
  writeAll(fd, new Uint8Array(back.length), backAt);
  fsyncSync(fd);
  await eachPiece(from, to, 'write', options, (at, length) => {
    const bytes = disk.read(at, length);
    if (allZero(bytes) && allZero(readBack(medium, at, length))) return;
    writeAll(fd, bytes, at);
    written += length;
  });
  fsyncSync(fd);
  // A file, or a caller without the right, keeps its cache: then the comparison proves less, and nothing is lost.
  libc().ioctl(fd, BLKFLSBUF, 0);
  await eachPiece(from, to, 'verify', options, (at, length) => {
    if (!readBack(medium, at, length).equals(disk.read(at, length))) throw differs(medium, at);
  });
  writeAll(fd, back, backAt);
  fsyncSync(fd);
  writeAll(fd, front, 0);
  fsyncSync(fd);
  libc().ioctl(fd, BLKFLSBUF, 0);
  readGpt((at, length) => readBack(medium, at, length), medium.size);
  return written;
}

async function eachPiece(
  from: number,
  to: number,
  stage: 'write' | 'verify',
  options: FlashOptions,
  use: (at: number, length: number) => void,
): Promise<void> {
  for (let at = from; at < to;) {
    // Pieces end at multiples of their size, as flash memory likes it.
    const length = Math.min(STEP - (at % STEP), to - at);
    use(at, length);
    at += length;
    options.onProgress?.(stage, at, to);
    await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
  }
}

function readBack({ fd, path }: Medium, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const count = readSync(fd, bytes, done, length - done, at + done);
    if (count === 0) throw differs({ path }, at + done);
    done += count;
  }
  return bytes;
}

function differs({ path }: Pick<Medium, 'path'>, at: number): ColdsealError {
  return new ColdsealError(
    'HOST_FLASH_COMPARE',
    `Cannot trust ${path}: what it gives back within the MiB at byte ${at} is not what was written`,
    { hint: 'the medium is worn out or fake; it was left without a partition table' },
  );
}

function tooSmall(path: string, size: number, wanted: number): ColdsealError {
  return new ColdsealError(
    'USAGE_TARGET_TOO_SMALL',
    `Cannot flash ${path}: it has ${size} bytes, the image has ${wanted}`,
  );
}
