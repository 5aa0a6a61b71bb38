/**
 * What a virtual board boots from: the part of ROM and bootloader. Kernel, initramfs and command line come out of the
 * boot partition of the release's disk, the hardware from the board file.
 *
 * Nothing is verified here: whether a changed disk boots is for the device to say. Everything is put into a directory
 * of its own, and every run gets a fresh copy of the disk there, so that the release stays as it is.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { BOOT_FILE } from '../disk/disk.ts';
import { describeKernel } from '../disk/kernel.ts';
import { openDisk, readBootFiles } from '../disk/open-disk.ts';
import { writeAll } from '../disk/write-all.ts';
import { makeWorkDirectory } from '../files/work-directory.ts';
import { DISK_FILE } from '../sign/release-files.ts';
import { readReleaseRecord } from '../sign/release-record.ts';
import { loadBoard } from './load.ts';
import type { Board } from './schema.ts';

/** SHA-256 of what was booted, lower-case hexadecimal. */
export interface InputDigests {
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
  readonly dtb?: string;
  readonly disk: string;
}

export interface BootInputs extends Disposable {
  readonly board: Board;
  readonly virtual: NonNullable<Board['virtual']>;
  /** What release.json says; null where there is none. */
  readonly release: { readonly id: string; readonly version: string } | null;
  readonly kernel: string;
  readonly initramfs: string;
  readonly dtb?: string;
  /** As the boot partition has it. */
  readonly commandLine: string;
  /** Bytes that a bootloader reads. */
  readonly bootBytes: number;
  readonly digests: InputDigests;
  /** Where runs put their files; removed at the end. */
  readonly workDir: string;
  /** A new copy of the disk that may be written to; holes stay holes. */
  copyDisk(name: string): Disposable & { readonly path: string };
}

export interface BootInputOptions {
  /** Instead of the board that the release was made for: identifier, or path of a board file. */
  readonly board?: string | undefined;
  /** Where a relative path of a board file counts from. */
  readonly from: string;
}

const releaseJson = z.object({
  releaseId: z.string(),
  version: z.string(),
  boot: z.object({ board: z.string() }).nullable().optional(),
});

const COPY_STEP = 4 * 1024 * 1024;
const COMMAND_LINE_MAX = 2048;

/** Reads a release for booting. Throws USAGE_NO_DISK, CONFIG_BOARD_NOT_VIRTUAL, FORMAT_*… */
export function readBootInputs(dir: string, options: BootInputOptions): BootInputs {
  const source = join(dir, DISK_FILE);
  if (!existsSync(source)) {
    throw new ColdsealError(
      'USAGE_NO_DISK',
      `Cannot boot ${dir}: expected a release with ${DISK_FILE}`,
      { hint: 'release makes a disk for a board whose file has a kernel' },
    );
  }
  const release = readReleaseJson(dir);
  const board = loadVirtualBoard(dir, options, release?.boot?.board);
  using disk = openDisk(source);
  const files = readBootFiles(disk);
  const read = (name: string): Uint8Array => {
    const bytes = files.get(name);
    if (bytes !== undefined) return bytes;
    throw new ColdsealError(
      'FORMAT_BOOT_PARTITION',
      `Cannot boot ${source}: its boot partition has no file ${name}`,
    );
  };
  const kernel = read(BOOT_FILE.kernel);
  refuseOtherArchitecture(board, kernel);
  const initramfs = read(BOOT_FILE.initramfs);
  const commandLineBytes = read(BOOT_FILE.cmdline);
  const commandLine = parseCommandLineFile(commandLineBytes);
  const dtb = files.get(BOOT_FILE.dtb);
  const work = makeWorkDirectory('boot-');
  const workDir = work.path;
  const put = (name: string, bytes: Uint8Array): string => {
    const path = join(workDir, name);
    writeFileSync(path, bytes);
    return path;
  };
  const copyDisk: BootInputs['copyDisk'] = (name) => {
    const path = join(workDir, name);
    copySparse(source, path);
    return { path, [Symbol.dispose]: () => rmSync(path, { force: true }) };
  };
  try {
    return {
      board,
      virtual: board.virtual!,
      release: release === undefined ? null : { id: release.releaseId, version: release.version },
      kernel: put('kernel', kernel),
      initramfs: put('initramfs', initramfs),
      ...(dtb === undefined ? {} : { dtb: put('dtb', dtb) }),
      commandLine,
      bootBytes: kernel.length + initramfs.length + (dtb?.length ?? 0),
      digests: {
        kernel: sha256(kernel),
        initramfs: sha256(initramfs),
        commandLine: sha256(commandLineBytes),
        ...(dtb === undefined ? {} : { dtb: sha256(dtb) }),
        disk: copySparse(source, undefined),
      },
      workDir,
      copyDisk,
      [Symbol.dispose]: () => work[Symbol.dispose](),
    };
  } catch (error) {
    work[Symbol.dispose]();
    throw explainSysError(error, `Cannot write ${workDir}`);
  }
}

function readReleaseJson(dir: string): z.output<typeof releaseJson> | undefined {
  return existsSync(join(dir, 'release.json')) ? readReleaseRecord(dir, releaseJson) : undefined;
}

function loadVirtualBoard(
  dir: string,
  { board: given, from }: BootInputOptions,
  recorded: string | undefined,
): Board {
  const reference = given ?? recorded;
  if (reference === undefined) {
    throw new ColdsealError(
      'USAGE_MISSING_OPTION',
      `Cannot boot ${dir}: its release.json names no board, expected --board ID`,
    );
  }
  const board = loadBoard(reference, from).value;
  const problem =
    board.virtual === undefined
      ? 'its file has no settings `virtual`, expected a board that QEMU plays'
      : board.production
        ? 'it is a production board, which hands its boot record to nobody'
        : undefined;
  if (problem === undefined) return board;
  throw new ColdsealError('CONFIG_BOARD_NOT_VIRTUAL', `Cannot boot board ${board.id}: ${problem}`, {
    hint: 'coldseal board list shows the boards; --board names another one',
  });
}

/** QEMU would blame the kernel's age. What is no kernel known here is left for the machine to refuse. */
function refuseOtherArchitecture(board: Board, kernel: Uint8Array): void {
  const arch = describeKernel(kernel)?.arch;
  if (arch === undefined || arch === board.arch) return;
  throw new ColdsealError(
    'CONFIG_BOARD_MISMATCH',
    `Cannot boot board ${board.id}, which is ${board.arch}: the kernel of the release is for ${arch}`,
    { hint: 'leave --board out for the board that the release was made for' },
  );
}

/** One line of printable ASCII, as bootloaders hand it on. Throws FORMAT_BOOT_PARTITION. */
export function parseCommandLineFile(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const line = text.replace(/\n$/, '');
  if (line.length <= COMMAND_LINE_MAX && /^[\x20-\x7e]*$/.test(line)) return line.trim();
  throw new ColdsealError(
    'FORMAT_BOOT_PARTITION',
    `Cannot use ${BOOT_FILE.cmdline} of the boot partition: expected one line of at most ` +
      `${COMMAND_LINE_MAX} printable characters`,
  );
}

/** Copies what is not zeros, where there is a target; returns the SHA-256 of everything. */
function copySparse(source: string, target: string | undefined): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(COPY_STEP);
  const zeros = Buffer.alloc(COPY_STEP);
  const from = openSync(source, 'r');
  let to: number | undefined;
  try {
    to = target === undefined ? undefined : openSync(target, 'wx', 0o600);
    let at = 0;
    for (;;) {
      const count = readSync(from, buffer, 0, COPY_STEP, at);
      if (count === 0) break;
      const piece = buffer.subarray(0, count);
      if (to === undefined) hash.update(piece);
      else if (!piece.equals(zeros.subarray(0, count))) writeAll(to, piece, at);
      at += count;
    }
    if (to !== undefined) ftruncateSync(to, at);
    return to === undefined ? hash.digest('hex') : '';
  } catch (error) {
    throw explainSysError(error, `Cannot copy ${source}`);
  } finally {
    closeSync(from);
    if (to !== undefined) closeSync(to);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a run's report port received; empty when the guest never wrote to it. */
export function readReport(path: string): Uint8Array {
  return existsSync(path) ? readFileSync(path) : new Uint8Array();
}

/** The trace of a run's disk; empty when QEMU wrote none. */
export function readTrace(path: string): string {
  return existsSync(path) ? readFileSync(path, 'latin1') : '';
}
