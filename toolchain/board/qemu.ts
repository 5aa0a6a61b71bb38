/**
 * The command line of QEMU for a virtual board whose runs repeat.
 *
 * Always software emulation on one processor, whose clock counts instructions (`-icount shift=0`: one is one
 * nanosecond) and starts at a fixed date; never KVM, which would bring in the time of this machine. What would answer
 * at a moment of this machine's choosing is made to answer at once: notifications of virtio devices without
 * ioeventfd, reads of the disk through io_uring, which completes within the call what the page cache holds. With both,
 * runs with a disk are equal to the microsecond (docs/decisions/0043-virtual-boards.md).
 *
 * Source: QEMU docs/devel/tcg-icount.rst, qemu-system(1), hw/virtio of QEMU 7.2.
 */
export type BoardArchitecture = 'x86_64' | 'aarch64';
export type BoardMachine = 'virt' | 'q35' | 'microvm';
/** How QEMU reads disks; io_uring is not allowed everywhere. */
export type DiskBackend = 'io_uring' | 'threads';

export interface BoardDisk {
  readonly path: string;
  readonly readOnly: boolean;
  /** What the guest writes is dropped at the end; the file stays as it is. */
  readonly discardWrites?: boolean;
}

export interface VirtualMachine {
  readonly architecture: BoardArchitecture;
  /** Default: virt for aarch64, q35 for x86_64. */
  readonly machine?: BoardMachine;
  /** Default: cortex-a53, or everything that QEMU can emulate of x86. */
  readonly cpu?: string;
  readonly memoryMiB?: number;
  readonly kernel: string;
  readonly initramfs: string;
  readonly dtb?: string | undefined;
  /** In this order the disks are /dev/vda, /dev/vdb and so on. Raw images. */
  readonly disks?: readonly BoardDisk[];
  /** The whole command line. Default: names the console. */
  readonly commandLine?: string;
  /** A port for one report: what the guest writes to it goes to the file. */
  readonly report?: { readonly port: string; readonly path: string };
  /** A file that gets a line for every request of a disk, in the order in which QEMU deals with them. */
  readonly diskTrace?: string;
  /** What the clock shows at the start, `YYYY-MM-DD`. */
  readonly date?: string;
  /** The console is this process's terminal, and the clock this machine's: for people, not for measuring. */
  readonly isInteractive?: boolean;
}

interface Platform {
  readonly machine: BoardMachine;
  readonly cpu: string;
  readonly console: string;
  readonly debian: string;
}

const PLATFORMS: Readonly<Record<BoardArchitecture, Platform>> = {
  x86_64: { machine: 'q35', cpu: 'max', console: 'ttyS0', debian: 'qemu-system-x86' },
  aarch64: { machine: 'virt', cpu: 'cortex-a53', console: 'ttyAMA0', debian: 'qemu-system-arm' },
};

/**
 * A device tree gets fresh random seeds otherwise. A microvm has no PCI of its own; with it, the drivers that kernels
 * have built in find the devices, and virtio over MMIO, most often a module, is not needed.
 */
const MACHINE_OPTIONS: Readonly<Record<BoardMachine, string>> = {
  virt: 'virt,dtb-randomness=off',
  // With an HPET the kernel counts its first 0.2 s by interrupts, and counts too many.
  q35: 'q35,hpet=off',
  microvm: 'microvm,pcie=on,rtc=on',
};

const MEMORY_MIB = 1024;
export const DEFAULT_DATE = '2026-01-01';
/** As the boot record's evidence names it. */
export const ICOUNT = 'shift=0,align=off,sleep=off';

/** The program that emulates an architecture, and the Debian package that has it. */
export function emulatorOf(architecture: BoardArchitecture): { name: string; debian: string } {
  return { name: `qemu-system-${architecture}`, debian: PLATFORMS[architecture].debian };
}

/** What a machine is made of, defaults included. */
export function hardwareOf({ architecture, machine, cpu, memoryMiB }: VirtualMachine): {
  readonly machine: BoardMachine;
  readonly cpu: string;
  readonly memoryMiB: number;
} {
  const platform = PLATFORMS[architecture];
  return {
    machine: machine ?? platform.machine,
    cpu: cpu ?? platform.cpu,
    memoryMiB: memoryMiB ?? MEMORY_MIB,
  };
}

/**
 * A word of the command line with which a kernel that waits goes on executing instructions. While its processor sleeps,
 * the virtual clock jumps to the next timer, so that a wait for an answer of this machine would be as long as the
 * kernel happens to have timers for. A second of waiting takes 10 to 30 s of this machine.
 */
export const idlePolling = (architecture: BoardArchitecture): string =>
  ({ aarch64: 'nohlt', x86_64: 'idle=poll' })[architecture];

/** The device that the first serial port is on. */
export const consoleOf = (architecture: BoardArchitecture): string =>
  PLATFORMS[architecture].console;

/** The arguments of QEMU for a machine. */
export function qemuArguments(
  machine: VirtualMachine,
  backend: DiskBackend = 'io_uring',
): string[] {
  const { architecture, dtb, disks = [] } = machine;
  const hardware = hardwareOf(machine);
  const commandLine = machine.commandLine ?? `console=${consoleOf(architecture)} quiet panic=-1`;
  const options: readonly (readonly string[])[] = [
    ['-M', MACHINE_OPTIONS[hardware.machine]],
    ['-cpu', hardware.cpu],
    ['-accel', 'tcg,thread=single'],
    ['-smp', '1'],
    ...(machine.isInteractive === true ? [] : [['-icount', ICOUNT]]),
    ['-seed', '1'],
    ['-m', String(hardware.memoryMiB)],
    ['-rtc', `base=${machine.date ?? DEFAULT_DATE},clock=vm`],
    ['-nodefaults'],
    ['-no-user-config'],
    ['-display', 'none'],
    ['-no-reboot'],
    ['-serial', machine.isInteractive === true ? 'mon:stdio' : 'stdio'],
    ['-kernel', machine.kernel],
    ['-initrd', machine.initramfs],
    ...(dtb === undefined ? [] : [['-dtb', dtb]]),
    ['-append', commandLine],
    ...disks.flatMap((disk, index) => diskOptions(disk, `disk${index}`, backend)),
    ...reportOptions(machine.report),
    ...traceOptions(machine.diskTrace),
  ];
  return options.flat();
}

/** The host's file need not be synced for a run that can be repeated; what the guest wrote is in the page cache. */
function diskOptions(disk: BoardDisk, id: string, backend: DiskBackend): string[][] {
  const { path, readOnly, discardWrites } = disk;
  const drive = [
    'if=none',
    `id=${id}`,
    'format=raw',
    `file=${escaped(path)}`,
    'cache=unsafe',
    `aio=${backend}`,
    discardWrites === true ? 'snapshot=on' : `readonly=${readOnly ? 'on' : 'off'}`,
  ];
  return [
    ['-drive', drive.join(',')],
    ['-device', `virtio-blk-pci,drive=${id},ioeventfd=off`],
  ];
}

function reportOptions(report: VirtualMachine['report']): string[][] {
  if (report === undefined) return [];
  return [
    ['-device', 'virtio-serial-pci,id=ports,ioeventfd=off'],
    ['-chardev', `file,id=report,path=${escaped(report.path)}`],
    ['-device', `virtserialport,bus=ports.0,chardev=report,name=${escaped(report.port)}`],
  ];
}

/** What io-trace.ts reads: requests as the guest makes them and as they are done, and when a driver takes the disk. */
export const DISK_TRACE_EVENTS = [
  'virtio_blk_handle_read',
  'virtio_blk_handle_write',
  'virtio_blk_req_complete',
  'virtio_set_status',
] as const;

/** The log is the trace's file: nothing else is logged. */
function traceOptions(path: string | undefined): string[][] {
  if (path === undefined) return [];
  return [['-D', path], ...DISK_TRACE_EVENTS.map((event) => ['-trace', `enable=${event}`])];
}

/** A comma inside a value is written twice. */
const escaped = (value: string): string => value.replaceAll(',', ',,');
