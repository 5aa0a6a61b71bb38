/**
 * Booting a kernel in QEMU so that the same inputs give the same run.
 *
 * Always software emulation on one processor, whose clock counts instructions (`-icount shift=0`: one is one
 * nanosecond) and starts at a fixed date; never KVM, which would bring in the time of this machine. The console is
 * the first serial port. A kernel that panics restarts, and a restart ends QEMU, as powering off does.
 *
 * Source: QEMU docs/devel/tcg-icount.rst, qemu-system(1).
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { lastLines, runTool } from '../host/run-tool.ts';

export type BoardArchitecture = 'x86_64' | 'aarch64';

export interface BoardDisk {
  readonly path: string;
  readonly readOnly: boolean;
}

export interface VirtualMachine {
  readonly architecture: BoardArchitecture;
  readonly kernel: string;
  readonly initramfs: string;
  /** In this order the disks are /dev/vda, /dev/vdb and so on. Raw images. */
  readonly disks?: readonly BoardDisk[];
  /** Added to the command line that names the console. */
  readonly commandLine?: string;
  readonly memoryMiB?: number;
  /** What the clock shows at the start, `YYYY-MM-DD`. */
  readonly date?: string;
}

export interface BootLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface BootResult {
  /** What the guest printed, with plain line ends. */
  readonly console: string;
  /** Wall time, not the board's. */
  readonly ms: number;
}

const MACHINES: Readonly<
  Record<BoardArchitecture, { args: readonly string[]; console: string; debian: string }>
> = {
  x86_64: { args: ['-M', 'q35', '-cpu', 'max'], console: 'ttyS0', debian: 'qemu-system-x86' },
  aarch64: {
    args: ['-M', 'virt,dtb-randomness=off', '-cpu', 'cortex-a53'],
    console: 'ttyAMA0',
    debian: 'qemu-system-arm',
  },
};

/** The arguments of QEMU for a machine. */
export function qemuArguments(machine: VirtualMachine): string[] {
  const { args, console } = MACHINES[machine.architecture];
  const commandLine = [`console=${console}`, 'quiet', 'panic=-1', machine.commandLine ?? ''];
  const options: readonly (readonly string[])[] = [
    ['-accel', 'tcg'],
    ['-icount', 'shift=0,sleep=off'],
    ['-seed', '1'],
    ['-m', String(machine.memoryMiB ?? 1024)],
    ['-rtc', `base=${machine.date ?? '2026-01-01'},clock=vm`],
    ['-nodefaults'],
    ['-nographic'],
    ['-no-reboot'],
    ['-serial', 'stdio'],
    ['-kernel', machine.kernel],
    ['-initrd', machine.initramfs],
    ['-append', commandLine.join(' ').trim()],
    ...(machine.disks ?? []).map((disk) => ['-drive', driveOption(disk)]),
  ];
  return [...args, ...options.flat()];
}

/** Boots a machine until it powers off; throws HOST_BOARD_TIMEOUT with the console's end when it does not. */
export async function bootMachine(
  machine: VirtualMachine,
  limits: BootLimits,
): Promise<BootResult> {
  const { debian } = MACHINES[machine.architecture];
  const startMs = performance.now();
  const { code, stdout, stderr, isLate } = await runTool(
    [`qemu-system-${machine.architecture}`, ...qemuArguments(machine)],
    { debian, ...limits },
  );
  const text = stdout.toString('latin1').replaceAll('\r', '');
  if (isLate) {
    throw new ColdsealError(
      'HOST_BOARD_TIMEOUT',
      `Cannot boot ${machine.kernel}: it did not power off within ${limits.timeoutMs} ms`,
      { hint: `the console ends with: ${lastLines(text, 10) ?? 'nothing'}` },
    );
  }
  if (code !== 0) {
    throw new ColdsealError('HOST_TOOL_FAILED', `Cannot run QEMU: it exited with ${code}`, {
      hint: lastLines(stderr),
    });
  }
  return { console: text, ms: performance.now() - startMs };
}

/** A comma inside a value is written twice. The host's disk need not be synced for a run that can be repeated. */
function driveOption({ path, readOnly }: BoardDisk): string {
  const file = path.replaceAll(',', ',,');
  return `file=${file},format=raw,if=virtio,cache=unsafe,readonly=${readOnly ? 'on' : 'off'}`;
}
