/**
 * The virtual board that layouts are measured on: kernel and modules of the board file, and the probe as its one
 * program. Every layout gets the same kernel, the same modules in the same order and the same memory.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readTrace } from '../board/boot-inputs.ts';
import { bootMachine, emulatorVersion } from '../board/boot-machine.ts';
import { type DiskTrace, parseDiskTrace } from '../board/io-trace.ts';
import { loadBoard } from '../board/load.ts';
import {
  consoleOf,
  emulatorOf,
  hardwareOf,
  idlePolling,
  type VirtualMachine,
} from '../board/qemu.ts';
import type { Board } from '../board/schema.ts';
import { cpioArchive, cpioCharacterDevice, cpioDirectory, cpioFile } from '../disk/cpio.ts';
import { type KernelModule, loadKernelModules } from '../disk/kernel-modules.ts';
import { findKernel, hasKernel } from '../disk/kernel.ts';
import { unpackKernel } from '../disk/unpack-kernel.ts';
import { buildProbe } from './probe-program.ts';
import type { LayoutsDocument } from './result.ts';

/** For every layout, whether it needs them or not; the board's own come first, such as its quickest SHA-256. */
const MODULES = ['virtio_blk', 'ext4', 'overlay', 'erofs', 'squashfs', 'dm_verity'];
/** Where the probe mounts: on these, or in them. */
const DIRECTORIES = ['dev', 'proc', 'sys', 'modules', 'lower', 'upper'];

export interface LabBoard {
  readonly facts: LayoutsDocument['board'];
  /** Paths in the initramfs. */
  readonly modules: readonly string[];
  /** Boots a plan from a disk; returns the console and what QEMU saw of the disk. */
  boot(job: BootJob): Promise<{ readonly console: string; readonly trace: DiskTrace }>;
}

export interface BootJob {
  /** Names the boot's files; no two boots at one time have the same. */
  readonly name: string;
  readonly disk: string;
  /** Files of the initramfs beside probe and modules, such as the plan. */
  readonly files: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Fetches and compiles what the board needs. Throws CONFIG_BOARD_NOT_VIRTUAL, HOST_*. */
export async function prepareLabBoard(
  reference: string,
  from: string,
  work: string,
  signal: AbortSignal | undefined,
): Promise<LabBoard> {
  const file = loadBoard(reference, from);
  const board = file.value;
  refuseUnfit(board);
  const found = await findKernel(file, { signal });
  const kernel = board.virtual!.unpack_kernel ? join(work, 'vmlinux') : found.image;
  if (kernel !== found.image) {
    writeFileSync(kernel, await unpackKernel(readFileSync(found.image), work, signal));
  }
  const names = [...board.kernel.load, ...MODULES];
  const directory = found.modules;
  const modules =
    directory === undefined
      ? []
      : await loadKernelModules(
          { release: found.release ?? 'of the board', modules: directory },
          names,
          signal,
        );
  const probe = await buildProbe(board.arch, signal);
  const machine = machineOf(board, kernel);
  const { name } = emulatorOf(board.arch);
  return {
    facts: {
      id: board.id,
      architecture: board.arch,
      ...hardwareOf({ ...machine, initramfs: '' }),
      emulator: `${name} ${await emulatorVersion(board.arch)}`,
      kernel: found.release ?? 'unknown',
    },
    modules: modules.map(modulePath),
    boot: (job) => bootPlan(job, { machine, modules, probe, work }),
  };
}

const modulePath = ({ name }: KernelModule): string => `/modules/${name}.ko`;

function refuseUnfit(board: Board): void {
  const problem =
    board.virtual === undefined
      ? 'its file has no settings `virtual`, expected a board that QEMU plays'
      : hasKernel(board)
        ? undefined
        : 'its file names no kernel';
  if (problem === undefined) return;
  throw new ColdsealError(
    'CONFIG_BOARD_NOT_VIRTUAL',
    `Cannot measure on board ${board.id}: ${problem}`,
    { hint: 'coldseal board list shows the boards; --board names another one' },
  );
}

function machineOf(board: Board, kernel: string): Omit<VirtualMachine, 'initramfs'> {
  const { arch, virtual } = board;
  const given = board.kernel.command_line ?? '';
  const console = /(?:^| )console=/.test(given) ? [] : [`console=${consoleOf(arch)}`];
  return {
    architecture: arch,
    machine: virtual!.machine,
    cpu: virtual!.cpu,
    memoryMiB: virtual!.memory_mb,
    kernel,
    commandLine: [...console, given, 'quiet loglevel=0 panic=-1', idlePolling(arch)].join(' '),
  };
}

interface Parts {
  readonly machine: Omit<VirtualMachine, 'initramfs'>;
  readonly modules: readonly KernelModule[];
  readonly probe: Uint8Array;
  readonly work: string;
}

async function bootPlan(
  { name, disk, files, timeoutMs, signal }: BootJob,
  { machine, modules, probe, work }: Parts,
): Promise<{ console: string; trace: DiskTrace }> {
  const initramfs = join(work, `${name}.cpio`);
  const diskTrace = join(work, `${name}.trace`);
  writeFileSync(
    initramfs,
    cpioArchive([
      ...DIRECTORIES.map((each) => cpioDirectory(each)),
      cpioCharacterDevice('dev/console', [5, 1]),
      cpioFile('init', probe, 0o755),
      ...modules.map((module) => cpioFile(modulePath(module).slice(1), module.bytes)),
      ...Object.entries(files).map(([path, content]) =>
        cpioFile(path.slice(1), Buffer.from(content, 'latin1')),
      ),
    ]),
  );
  try {
    const { console } = await bootMachine(
      { ...machine, initramfs, disks: [{ path: disk, readOnly: true }], diskTrace },
      { timeoutMs, signal },
    );
    return { console, trace: parseDiskTrace(readTrace(diskTrace)) };
  } finally {
    for (const path of [initramfs, diskTrace]) rmSync(path, { force: true });
  }
}
