/**
 * Booting a virtual board in QEMU: to its end, to a power cut, or with its console on a terminal.
 *
 * The console is the first serial port. A kernel that panics restarts, and a restart ends QEMU, as powering off does.
 * QEMU is killed when the caller's signal aborts, when the time is over, when the kernel has halted, and when the guest
 * says more than any boot does. A kill is a power cut: the file of a disk keeps what the guest had written by then.
 */
import { statSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { lastLines, runTool, runToolToSuccess, type ToolResult } from '../host/run-tool.ts';
import {
  type BoardArchitecture,
  type DiskBackend,
  emulatorOf,
  qemuArguments,
  type VirtualMachine,
} from './qemu.ts';

export interface BootLimits {
  /** Wall time. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Gets the console while the board runs, with plain line ends. */
  readonly onConsole?: ((text: string) => void) | undefined;
  readonly powerCut?: PowerCut;
}

/** When to take the power away: so long after the start, or after the console has shown something. */
export interface PowerCut {
  /** Wall time. */
  readonly afterMs: number;
  readonly fromText?: string;
}

export interface BootResult {
  /** What the guest printed, with plain line ends. */
  readonly console: string;
  /** Wall time, not the board's. */
  readonly ms: number;
  /** Whether the power was taken away before the board switched itself off. */
  readonly wasCut: boolean;
  readonly backend: DiskBackend;
}

/** A chatty kernel prints a hundred kilobytes. */
export const CONSOLE_BYTES_MAX = 16 * 1024 * 1024;
/** A boot record has at most a quarter of this. */
export const REPORT_BYTES_MAX = 1024 * 1024;
/** A request has two lines of at most 100 bytes; a gigabyte in requests of 4 KiB has 50 MB of them. */
export const TRACE_BYTES_MAX = 64 * 1024 * 1024;
const FILE_WATCH_MS = 200;
const STDIN = 0;
/** What Linux says last when it halts; it keeps the processor then, and nothing would end QEMU. */
const HALTED = 'reboot: System halted';

/** Boots a machine until it powers off. Throws HOST_BOARD_TIMEOUT, HOST_BOARD_OUTPUT, HOST_TOOL_FAILED. */
export async function bootMachine(
  machine: VirtualMachine,
  limits: BootLimits,
): Promise<BootResult> {
  const first = await runMachine(machine, limits, diskBackend);
  if (!isUringRefused(first.result)) return judge(limits, first);
  // Containers and hardened kernels refuse io_uring; then reads complete when the host's threads have done them.
  diskBackend = 'threads';
  return judge(limits, await runMachine(machine, limits, diskBackend));
}

/** What the first board of this process found out about io_uring. */
let diskBackend: DiskBackend = 'io_uring';

/**
 * Boots a machine with its console on the terminal of this process; returns QEMU's exit code. A person has as long as
 * they like; where stdin is no terminal nobody might ever end the board, so that the time is limited there.
 */
export async function bootInteractively(
  machine: VirtualMachine,
  { timeoutMs, signal }: Pick<BootLimits, 'timeoutMs' | 'signal'>,
): Promise<number> {
  const { name, debian } = emulatorOf(machine.architecture);
  // On a terminal nothing is measured, so that the slower backend, which always works, will do.
  const args = qemuArguments({ ...machine, isInteractive: true }, 'threads');
  const settings = { debian, signal, isOnTerminal: true };
  const { code, isLate } = await runTool(
    [name, ...args],
    isatty(STDIN) ? settings : { ...settings, timeoutMs },
  );
  if (isLate) throw tooLate(timeoutMs, 'stdin is no terminal, so that nobody can end it');
  return code;
}

/** QEMU's version, such as `7.2.22`. */
export async function emulatorVersion(architecture: BoardArchitecture): Promise<string> {
  const { name, debian } = emulatorOf(architecture);
  const text = await runToolToSuccess([name, '--version'], { debian });
  return /version (\S+)/.exec(text)?.[1] ?? 'unknown';
}

interface MachineRun {
  readonly result: ToolResult;
  readonly ms: number;
  readonly backend: DiskBackend;
  readonly ending: Ending;
}

const EXCESS = {
  console: CONSOLE_BYTES_MAX,
  report: REPORT_BYTES_MAX,
  trace: TRACE_BYTES_MAX,
} as const;

/** Why QEMU was killed, if it was. */
interface Ending {
  cut?: boolean;
  halted?: boolean;
  /** What was too much. */
  excess?: keyof typeof EXCESS;
}

async function runMachine(
  machine: VirtualMachine,
  limits: BootLimits,
  backend: DiskBackend,
): Promise<MachineRun> {
  const { name, debian } = emulatorOf(machine.architecture);
  const { timeoutMs, signal, onConsole, powerCut } = limits;
  const ending: Ending = {};
  const timers: NodeJS.Timeout[] = [];
  let tail = '';
  let size = 0;
  let isArmed = false;
  const watch = (kill: () => void): ((chunk: Buffer) => void) => {
    const end = (how: Ending): void => {
      Object.assign(ending, how);
      kill();
    };
    const arm = (cut: PowerCut): void => {
      isArmed = true;
      timers.push(setTimeout(() => end({ cut: true }), cut.afterMs));
    };
    if (powerCut !== undefined && powerCut.fromText === undefined) arm(powerCut);
    const { report, diskTrace } = machine;
    const check = (): void => {
      if (sizeOf(report?.path) > REPORT_BYTES_MAX) end({ excess: 'report' });
      if (sizeOf(diskTrace) > TRACE_BYTES_MAX) end({ excess: 'trace' });
    };
    timers.push(setInterval(check, FILE_WATCH_MS));
    return (chunk) => {
      const text = chunk.toString('latin1').replaceAll('\r', '');
      onConsole?.(text);
      size += chunk.length;
      if (size > CONSOLE_BYTES_MAX) end({ excess: 'console' });
      tail += text;
      if (tail.includes(HALTED)) end({ halted: true });
      const from = powerCut?.fromText;
      if (from !== undefined && !isArmed && tail.includes(from)) arm(powerCut!);
      tail = tail.slice(-Math.max(HALTED.length, from?.length ?? 0));
    };
  };
  const startMs = performance.now();
  try {
    const settings = { debian, timeoutMs, signal, watch };
    const result = await runTool([name, ...qemuArguments(machine, backend)], settings);
    return { result, ms: performance.now() - startMs, backend, ending };
  } finally {
    // Clears intervals too.
    timers.forEach(clearTimeout);
  }
}

function isUringRefused({ code, stderr }: ToolResult): boolean {
  return code > 0 && /io_uring/.test(stderr);
}

function judge(limits: BootLimits, run: MachineRun): BootResult {
  const { result, ms, backend, ending } = run;
  const console = result.stdout.toString('latin1').replaceAll('\r', '');
  const { excess, cut, halted } = ending;
  if (excess !== undefined) {
    throw new ColdsealError(
      'HOST_BOARD_OUTPUT',
      `Cannot boot the virtual board: it wrote more than ${EXCESS[excess]} bytes to its ${excess}`,
      { hint: consoleEnd(console) },
    );
  }
  if (cut !== true && result.isLate) {
    throw tooLate(limits.timeoutMs, consoleEnd(console));
  }
  if (cut !== true && halted !== true && result.code !== 0) {
    throw new ColdsealError('HOST_TOOL_FAILED', `Cannot run QEMU: it exited with ${result.code}`, {
      hint: lastLines(result.stderr),
    });
  }
  return { console, ms, wasCut: cut === true, backend };
}

function tooLate(timeoutMs: number, hint: string): ColdsealError {
  return new ColdsealError(
    'HOST_BOARD_TIMEOUT',
    `Cannot boot the virtual board: it did not switch itself off within ${timeoutMs} ms`,
    { hint: `--timeout gives it longer; ${hint}` },
  );
}

/** For a hint: what the board said last. */
export function consoleEnd(console: string): string {
  return `the console ends with: ${lastLines(console, 10) ?? 'nothing'}`;
}

function sizeOf(path: string | undefined): number {
  return path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}
