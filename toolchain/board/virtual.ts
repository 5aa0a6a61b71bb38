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
  readTrace,
} from './boot-inputs.ts';
import {
  bootInteractively,
  bootMachine,
  type BootResult,
  consoleEnd,
  emulatorVersion,
} from './boot-machine.ts';
import { parseBootReport } from './boot-report.ts';
import { type Agreement, agreementOf, bootTimes, type BootTimes } from './boot-times.ts';
import { countIo, type IoCounts, requireCounted, type StageIo } from './io-counts.ts';
import { type DiskTrace, parseDiskTrace } from './io-trace.ts';
import { type ModelledStorage, modelStorage } from './storage-model.ts';
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

/** What was read and written, of a boot of its own that was not timed; absent where none was made. */
export interface BootStorage {
  /** Until the last first output. */
  readonly io?: NonNullable<BootRecord['io']>;
  readonly stages?: readonly StageIo[];
  readonly outside?: IoCounts['outside'];
  readonly modelled: readonly ModelledStorage[];
  /** Kernel, initramfs and devicetree, which a bootloader reads. */
  readonly bootBytes: number;
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
  readonly storage: BootStorage;
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
  /** One boot more, of which only the requests of the disk are taken. Default: false. */
  readonly countIo?: boolean | undefined;
  /** Called before that boot. */
  readonly onCount?: (() => void) | undefined;
  /** Called with the timed boots when that boot fails, so that they are not lost; then the failure is thrown. */
  readonly onCountFailed?: ((timed: readonly VirtualBoot[]) => void) | undefined;
}

/**
 * Boots a release as often as asked. Throws HOST_BOARD_SILENT, FORMAT_BOOT_REPORT, what booting throws, and where
 * requests are counted HOST_IO_TRACE and HOST_IO_COUNT.
 */
export async function bootRelease(
  dir: string,
  options: BootReleaseOptions,
): Promise<readonly VirtualBoot[]> {
  using read = readBootInputs(dir, options);
  const inputs = { ...read, kernel: await kernelOf(read, options.signal) };
  const timed: VirtualBoot[] = [];
  for (let run = 1; run <= (options.runs ?? 1); run++) {
    options.onRun?.(run);
    timed.push(await bootOnce(inputs, run, options));
  }
  // A board that refuses the release says why in the timed boots; there is nothing to count.
  const isBooted = timed.every(({ record }) => record.outcome === 'booted');
  const isCounted = options.countIo === true && isBooted;
  const uncounted = judgeAgreement(timed);
  if (!isCounted) return uncounted;
  try {
    const storage = storageOf(inputs, await countRequests(inputs, options));
    return uncounted.map((boot) => ({ ...boot, storage }));
  } catch (error) {
    options.onCountFailed?.(uncounted);
    throw error;
  }
}

/** Whether the runs agree, which decides the class of their evidence. */
function judgeAgreement(boots: readonly VirtualBoot[]): readonly VirtualBoot[] {
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

interface Reported {
  readonly machine: VirtualMachine;
  readonly commandLine: string;
  readonly result: BootResult;
  readonly record: BootRecord;
}

/** One boot from a fresh copy of the disk, to its report. */
async function bootToReport(
  inputs: BootInputs,
  name: string,
  options: BootReleaseOptions,
  count?: { readonly words: readonly string[]; readonly diskTrace: string },
): Promise<Reported> {
  const { idle = 'poll' } = options;
  const commandLine = [
    withConsole(inputs),
    ...(idle === 'poll' ? [idlePolling(inputs.board.arch)] : []),
    `coldseal.report=${REPORT_PORT}`,
    ...(count?.words ?? []),
  ].join(' ');
  const reportPath = join(inputs.workDir, `report-${name}`);
  using disk = inputs.copyDisk(`disk-${name}.img`);
  const machine: VirtualMachine = {
    ...machineOf(inputs, disk.path, commandLine),
    report: { port: REPORT_PORT, path: reportPath },
    ...(count && { diskTrace: count.diskTrace }),
  };
  const result = await bootMachine(machine, {
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    signal: options.signal,
    onConsole: options.onConsole,
  });
  const record = parseBootReport(readReport(reportPath));
  if (record === undefined) throw silent(inputs.board.id, result.console);
  return { machine, commandLine, result, record };
}

/** Counts in a boot of its own: noting the counters takes time, and writing the trace takes more. */
async function countRequests(
  inputs: BootInputs,
  options: BootReleaseOptions,
): Promise<Pick<BootStorage, 'io' | 'stages' | 'outside'>> {
  options.onCount?.();
  const { record, counts } = await traceInputs(inputs, options, []);
  return { io: record.io!, stages: counts.stages, outside: counts.outside };
}

/** A boot whose requests are known, each with its place on the disk. */
export interface TracedBoot {
  readonly record: BootRecord;
  readonly trace: DiskTrace;
  readonly counts: IoCounts;
}

export interface TracedRelease extends TracedBoot {
  readonly board: BootInputs['board'];
  readonly release: BootInputs['release'];
}

/** Boots a release once for its requests, with more words on the command line. Throws as bootRelease does. */
export async function traceRelease(
  dir: string,
  options: BootReleaseOptions,
  words: readonly string[],
): Promise<TracedRelease> {
  using read = readBootInputs(dir, options);
  const inputs = { ...read, kernel: await kernelOf(read, options.signal) };
  const traced = await traceInputs(inputs, options, words);
  return { ...traced, board: inputs.board, release: inputs.release };
}

async function traceInputs(
  inputs: BootInputs,
  options: BootReleaseOptions,
  words: readonly string[],
): Promise<TracedBoot> {
  const diskTrace = join(inputs.workDir, 'disk-trace');
  // Virtual boards have one disk.
  const { record } = await bootToReport(inputs, 'count', options, {
    words: ['coldseal.io=vda', ...words],
    diskTrace,
  });
  requireCounted(record);
  const trace = parseDiskTrace(readTrace(diskTrace));
  return { record, trace, counts: countIo(record, trace) };
}

function storageOf(
  { board, bootBytes }: BootInputs,
  counted: Pick<BootStorage, 'io' | 'stages' | 'outside'>,
): BootStorage {
  const { io, stages } = counted;
  return { ...counted, modelled: modelStorage(board.storage, bootBytes, io, stages), bootBytes };
}

async function bootOnce(
  inputs: BootInputs,
  run: number,
  options: BootReleaseOptions,
): Promise<VirtualBoot> {
  const { machine, commandLine, result, record } = await bootToReport(inputs, `${run}`, options);
  const { console, ms, backend } = result;
  const { board, release, digests } = inputs;
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
      idle: options.idle ?? 'poll',
    },
    inputs: digests,
    wallMs: Math.round(ms),
    times: bootTimes(record, board.budget),
    storage: storageOf(inputs, {}),
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
