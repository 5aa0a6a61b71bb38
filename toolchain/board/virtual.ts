/**
 * `coldseal boot`: a release on its virtual board, and the boot record with what only the host knows.
 *
 * The guest measures; the host adds evidence: which emulator, which inputs, how well several runs agree. A figure of a
 * virtual board is never a verdict about a real one. It is `virtual` evidence while the clock counts instructions
 * and runs agree, and `virtual-wallclock` when this machine's time has shown through.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  type BootInputOptions,
  type BootInputs,
  type InputDigests,
  readBootInputs,
  readReport,
} from './boot-inputs.ts';
import { bootInteractively, bootMachine, consoleEnd, emulatorVersion } from './boot-machine.ts';
import { parseBootReport } from './boot-report.ts';
import {
  type Agreement,
  agreementOf,
  bootTimes,
  type BootTimes,
  type ModelledStorage,
  modelStorage,
} from './boot-times.ts';
import { unpackKernel } from '../disk/unpack-kernel.ts';
import {
  consoleOf,
  type DiskBackend,
  emulatorOf,
  hardwareOf,
  ICOUNT,
  idlePolling,
  type VirtualMachine,
} from './qemu.ts';

export const REPORT_PORT = 'coldseal.report';
const DEFAULT_TIMEOUT_MS = 5 * 60 * 1000;

export type EvidenceClass = 'virtual' | 'virtual-wallclock';

export interface Emulator {
  readonly name: string;
  readonly version: string;
  readonly machine: string;
  readonly cpu: string;
  readonly memoryMiB: number;
  readonly icount: string;
  readonly storage: DiskBackend;
  /** The kernel's, with what the virtual board adds. */
  readonly commandLine: string;
  /** Whether the kernel was unpacked before QEMU got it. */
  readonly isKernelUnpacked: boolean;
  /** What the kernel does while it waits: poll for repeatable waits, sleep for short ones of this machine. */
  readonly idle: 'poll' | 'sleep';
}

/** One boot: a line of boot-records.jsonl, its console aside. */
export interface VirtualBoot {
  readonly kind: 'coldseal-virtual-boot';
  readonly schema: 1;
  readonly evidence: EvidenceClass;
  readonly board: string;
  readonly release: BootInputs['release'];
  /** From 1. */
  readonly run: number;
  readonly emulator: Emulator;
  readonly inputs: InputDigests;
  readonly wallMs: number;
  readonly times: BootTimes;
  readonly storage: {
    readonly io: BootRecord['io'];
    readonly modelled: readonly ModelledStorage[];
  };
  readonly record: BootRecord;
  /** What the guest printed. */
  readonly console: string;
  /** Between the runs; absent when there was one. */
  readonly agreement?: Agreement;
}

export interface BootReleaseOptions extends BootInputOptions {
  /** Default: 1. */
  readonly runs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onConsole?: ((text: string) => void) | undefined;
  /** Called before each run; the number counts from 1. */
  readonly onRun?: ((run: number) => void) | undefined;
  /** Wall time of one run. */
  readonly timeoutMs?: number | undefined;
  /** Default: poll, which repeats best. A boot that is to wait for seconds is over much sooner with sleep. */
  readonly idle?: Emulator['idle'] | undefined;
}

/** Boots a release as often as asked. Throws HOST_BOARD_SILENT, FORMAT_BOOT_REPORT and what booting throws. */
export async function bootRelease(
  dir: string,
  options: BootReleaseOptions,
): Promise<readonly VirtualBoot[]> {
  using inputs = readBootInputs(dir, options);
  const kernel = await kernelOf(inputs, options.signal);
  const boots: VirtualBoot[] = [];
  for (let run = 1; run <= (options.runs ?? 1); run++) {
    options.onRun?.(run);
    boots.push(await bootOnce({ ...inputs, kernel }, run, options));
  }
  const agreement = agreementOf(boots.map(({ times }) => times));
  if (agreement === undefined) return boots;
  const evidence: EvidenceClass = agreement.isWithin ? 'virtual' : 'virtual-wallclock';
  return boots.map((boot) => ({ ...boot, evidence, agreement }));
}

/** Boots a release with its console on the terminal of this process; returns QEMU's exit code. */
export async function bootShell(dir: string, options: BootReleaseOptions): Promise<number> {
  using inputs = readBootInputs(dir, options);
  using disk = inputs.copyDisk('shell.img');
  const kernel = await kernelOf(inputs, options.signal);
  const machine = machineOf({ ...inputs, kernel }, disk.path, withConsole(inputs));
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  return await bootInteractively(machine, { signal, timeoutMs });
}

/** The kernel as it is on the disk, or what is packed in it where the board file asks for that. */
async function kernelOf(inputs: BootInputs, signal: AbortSignal | undefined): Promise<string> {
  const { virtual, kernel, workDir } = inputs;
  if (!virtual.unpack_kernel) return kernel;
  const path = join(workDir, 'vmlinux');
  writeFileSync(path, await unpackKernel(readFileSync(kernel), workDir, signal));
  return path;
}

async function bootOnce(
  inputs: BootInputs,
  run: number,
  options: BootReleaseOptions,
): Promise<VirtualBoot> {
  const { idle = 'poll' } = options;
  const commandLine = [
    withConsole(inputs),
    ...(idle === 'poll' ? [idlePolling(inputs.board.arch)] : []),
    `coldseal.report=${REPORT_PORT}`,
  ].join(' ');
  const reportPath = join(inputs.workDir, `report-${run}`);
  using disk = inputs.copyDisk(`disk-${run}.img`);
  const machine: VirtualMachine = {
    ...machineOf(inputs, disk.path, commandLine),
    report: { port: REPORT_PORT, path: reportPath },
  };
  const { console, ms, backend } = await bootMachine(machine, {
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    signal: options.signal,
    onConsole: options.onConsole,
  });
  const record = parseBootReport(readReport(reportPath));
  if (record === undefined) throw silent(inputs.board.id, console);
  const { board, release, digests, bootBytes } = inputs;
  const { architecture } = machine;
  return {
    kind: 'coldseal-virtual-boot',
    schema: 1,
    evidence: 'virtual',
    board: board.id,
    release,
    run,
    emulator: {
      name: emulatorOf(architecture).name,
      version: await emulatorVersion(architecture),
      ...hardwareOf(machine),
      icount: ICOUNT,
      storage: backend,
      commandLine,
      isKernelUnpacked: inputs.virtual.unpack_kernel,
      idle,
    },
    inputs: digests,
    wallMs: Math.round(ms),
    times: bootTimes(record, board.budget),
    storage: { io: record.io, modelled: modelStorage(board.storage, record.io, bootBytes) },
    record,
    console,
  };
}

/** The machine that the board file describes, with the release's disk; tests add to it what they watch. */
export function machineOf(
  { board, virtual, kernel, initramfs, dtb }: BootInputs,
  disk: string,
  commandLine: string,
): VirtualMachine {
  return {
    architecture: board.arch,
    machine: virtual.machine,
    cpu: virtual.cpu,
    memoryMiB: virtual.memory_mb,
    kernel,
    initramfs,
    dtb,
    disks: [{ path: disk, readOnly: false }],
    commandLine,
  };
}

/** The board's own command line; a console is added only where it names none. */
function withConsole({ board, commandLine }: BootInputs): string {
  const hasConsole = /(?:^| )console=/.test(commandLine);
  return hasConsole ? commandLine : `console=${consoleOf(board.arch)} ${commandLine}`.trim();
}

function silent(board: string, console: string): ColdsealError {
  return new ColdsealError(
    'HOST_BOARD_SILENT',
    `Cannot measure the boot of ${board}: it switched itself off without a boot record`,
    { hint: `${likelyCause(console)}; ${consoleEnd(console)}` },
  );
}

const REASON_CODE = /\b(?:VERIFY|FORMAT|CONFIG|HOST|BUDGET|INTERNAL)_[A-Z0-9_]+\b/;

/** Why a board may not have reported, from its console. */
export function likelyCause(console: string): string {
  if (console.trim() === '') {
    return 'nothing was printed: the kernel may be for another machine, or its console elsewhere';
  }
  const [, panic] = /Kernel panic - not syncing: (.*)/.exec(console) ?? [];
  if (panic !== undefined) return `the kernel panicked: ${panic}`;
  const code = console
    .split('\n')
    .filter((line) => line.includes('coldseal'))
    .map((line) => REASON_CODE.exec(line)?.[0])
    .find((found) => found !== undefined);
  if (code !== undefined) return `the runtime said ${code}`;
  return 'the system may have switched the board off before its containers were heard';
}
