/**
 * The demo's virtual board with a power switch: boots whose power goes at a moment of the board's own time, at a
 * write, or at a line of the console, and the disks that such cuts leave.
 *
 * Killing QEMU alone is kinder than a cut: what the guest wrote is in the host's page cache and survives. So every
 * write and flush is recorded (blklogwrites), and the disk can be put together again as the log says, without what was
 * not flushed, or with the last write torn.
 *
 * The board's time is read from outside, so that the guest is the one that ships. On aarch64 QEMU traces every
 * deadline of the timer, and one that has passed is a lower bound of the time, within a tick (4 ms). On x86-64 the ACPI
 * timer is read through the monitor.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { PARTITION } from '../../runtime/device-paths.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  readSlotState,
  SLOT_STATE_BYTES,
  SLOT_STATE_SPACING,
  type SlotStateCopies,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { type BootInputs, readBootInputs } from '../../toolchain/board/boot-inputs.ts';
import { type BoardArchitecture, emulatorOf, qemuArguments } from '../../toolchain/board/qemu.ts';
import { machineOf } from '../../toolchain/board/virtual.ts';
import { boardBootset, demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { openDisk, partitionOf } from '../../toolchain/disk/open-disk.ts';
import { bootsetLab } from './bootset-lab.ts';
import { againAfterPanic, hasPanicked, KernelPanic } from './kernel-panic.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';
import { type DiskWrite, readWriteLog } from './write-log.ts';

/** What the console shows, in this order, of a boot in which everything works. */
export const MILESTONE = {
  /** The early container's first output: within the first 2 s. */
  FIRST_OUTPUT: /^hello: hello from the container.*$/m,
  LATER: /^later: .*$/m,
  GOOD: /^slot a +good$/m,
} as const;

export type Cut =
  | { readonly kind: 'time'; readonly boardMs: number }
  /** When QEMU is handed this write, counted from 1. */
  | { readonly kind: 'write'; readonly number: number }
  | { readonly kind: 'text'; readonly text: RegExp };

export interface PoweredRun {
  readonly console: string;
  /** A lower bound of the board's time at the cut. */
  readonly boardMs: number;
  /** Board time at which each milestone was seen. */
  readonly milestones: ReadonlyMap<keyof typeof MILESTONE, number>;
  readonly writes: readonly DiskWrite[];
  /** Whether the board switched itself off, or restarted, before the cut. */
  readonly hasEnded: boolean;
  readonly wallMs: number;
}

/** A board whose disk is in a file of its own. */
export interface PowerBoard extends Disposable {
  readonly architecture: BoardArchitecture;
  /** Where the state partition begins, in bytes. */
  readonly stateOffset: number;
  readonly stateSize: number;
  /** The beginning of the state partition, as the release made it. */
  readonly initialState: Uint8Array;
  /** A new copy of the release's disk, with a state of slots. */
  disk(state?: Uint8Array): PowerDisk;
}

export interface PowerDisk extends Disposable {
  readonly path: string;
  /** Switches the board on until the power is cut; without a cut, until the slot is good. */
  boot(cut?: Cut): Promise<PoweredRun>;
  readState(): Uint8Array;
  writeState(state: Uint8Array): void;
}

/** As much of the state partition as both copies and the pages around them take. */
const STATE_BYTES = 2 * SLOT_STATE_SPACING;
const WALL_MS_MAX = 180_000;
const PM_TIMER_HZ = 3_579_545;
const PM_TIMER_PORT = '0x608';
const ARM_COUNTER_HZ = 62_500_000;

export interface PowerBoardOptions {
  /** Gets the console of a boot whose kernel died by itself; the boot is made once more. */
  readonly onPanic?: (console: string) => void;
  /** A board file, instead of the shipped one. */
  readonly board?: string;
  /** What the system runs when it has started, instead of the demo's script. */
  readonly rc?: string;
}

/** Builds the demo's system and a release of it. */
export async function powerBoard(
  architecture: BoardArchitecture,
  { onPanic = () => undefined, board = `qemu-${architecture}`, rc }: PowerBoardOptions = {},
): Promise<PowerBoard> {
  const { name, debian } = emulatorOf(architecture);
  requireTool(name, debian);
  requireTool('setpriv', 'util-linux');
  const lab = bootsetLab();
  const out = join(lab.path, 'out');
  await orSkip(async () => {
    const { rootfs } = await demoBoardSystem(join(lab.path, 'demo'), { architecture });
    if (rc !== undefined) writeFileSync(join(rootfs, 'etc/rc'), rc);
    const bootset = lab.write('demo/BOOTSET.yaml', boardBootset(board));
    await lab.release({ bootset, noDisk: false });
  });
  const inputs = readBootInputs(out, { from: lab.path, board });
  using open = openDisk(join(out, 'disk.img'));
  const partition = partitionOf(open, PARTITION.STATE);
  const initialState = new Uint8Array(open.read(partition.offset, STATE_BYTES));
  let count = 0;
  return {
    architecture,
    stateOffset: partition.offset,
    stateSize: partition.size,
    initialState,
    disk(state) {
      const copy = inputs.copyDisk(`disk-${++count}.img`);
      const disk = powerDisk(inputs, copy, partition.offset, onPanic);
      if (state !== undefined) disk.writeState(state);
      return disk;
    },
    [Symbol.dispose]() {
      inputs[Symbol.dispose]();
      lab[Symbol.dispose]();
    },
  };
}

/** What the board would make of the beginning of its state partition. */
export function judgeState(bytes: Uint8Array): SlotStateCopies {
  const copies = [0, SLOT_STATE_SPACING].map((at) => bytes.slice(at, at + SlotStateRecord.size));
  return readSlotState(copies, createNodeCrypto().sha256);
}

async function orSkip(make: () => Promise<void>): Promise<void> {
  try {
    await make();
  } catch (error) {
    const isMissing =
      error instanceof ColdsealError &&
      ['HOST_NO_NETWORK', 'HOST_TOOL_MISSING'].includes(error.code);
    if (!isMissing || areToolsRequired()) throw error;
    skipTest(error.message);
  }
}

function powerDisk(
  inputs: BootInputs,
  copy: Disposable & { readonly path: string },
  stateOffset: number,
  onPanic: (console: string) => void,
): PowerDisk {
  const { path } = copy;
  const powered: PowerDisk = {
    path,
    boot(cut) {
      const before = powered.readState();
      return againAfterPanic(
        () => runPowered(inputs, path, cut),
        (console) => {
          // The same disk again: what the dead kernel had written is taken back.
          powered.writeState(before);
          onPanic(console);
        },
      );
    },
    readState() {
      using disk = openDisk(path);
      return new Uint8Array(disk.read(stateOffset, STATE_BYTES));
    },
    writeState(state) {
      if (state.length < SLOT_STATE_BYTES) throw new Error('expected both copies of the state');
      const fd = openSync(path, 'r+');
      writeSync(fd, state, 0, state.length, stateOffset);
      closeSync(fd);
    },
    [Symbol.dispose]: () => copy[Symbol.dispose](),
  };
  return powered;
}

// --- one boot ------------------------------------------------------------------------------------------

/** The board's arguments, its disk behind a log of writes that says what was flushed. */
function powerArguments(inputs: BootInputs, disk: string, log: string, monitor: string): string[] {
  const { board, commandLine } = inputs;
  const args = qemuArguments(machineOf(inputs, disk, commandLine));
  const at = args.indexOf('-drive');
  const file = (filename: string): object => ({ driver: 'file', filename });
  const node = {
    driver: 'blklogwrites',
    'node-name': 'disk0',
    file: { driver: 'raw', file: file(disk) },
    log: file(log),
  };
  args.splice(at, 2, '-blockdev', JSON.stringify(node));
  const device = args.findIndex((argument) => argument.includes('drive=disk0'));
  args[device] += ',write-cache=on';
  // A board that waits for the disk waits as long as this machine takes, and not, as when nothing else is to be
  // measured, until its next timer: on a busy machine that adds up to minutes.
  args[args.indexOf('-icount') + 1] = 'shift=0,align=off,sleep=on';
  const clock =
    board.arch === 'aarch64'
      ? ['-trace', 'arm_gt_recalc']
      : ['-qmp', `unix:${monitor},server=on,wait=off`];
  return [...args, '-trace', 'virtio_blk_handle_write', ...clock];
}

async function runPowered(
  inputs: BootInputs,
  disk: string,
  cut: Cut = { kind: 'text', text: MILESTONE.GOOD },
): Promise<PoweredRun> {
  const [log, monitor] = [`${disk}.log`, `${disk}.monitor`];
  writeFileSync(log, '');
  const startMs = performance.now();
  const { name } = emulatorOf(inputs.board.arch);
  const args = powerArguments(inputs, disk, log, monitor);
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', name, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const board = new BoardWatch(cut, () => void child.kill('SIGKILL'));
  child.stdout.on('data', (chunk: Buffer) => board.onConsole(chunk.toString('latin1')));
  createInterface(child.stderr).on('line', (line) => board.onTrace(line));
  if (inputs.board.arch === 'x86_64') pollTimer(monitor, board);
  const late = setTimeout(() => child.kill('SIGKILL'), WALL_MS_MAX);
  const signal = await new Promise<string | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_, how) => resolve(how));
  });
  clearTimeout(late);
  board.isOver = true;
  if (hasPanicked(board.console)) throw new KernelPanic(board.console);
  if (signal !== null && !board.isCut) {
    throw new Error(
      `the board came to nothing in ${WALL_MS_MAX} ms:\n${board.console.slice(-2000)}`,
    );
  }
  if (signal === null && !/reboot: /.test(board.console)) {
    throw new Error(`QEMU ended:\n${board.noise}\n${board.console.slice(-2000)}`);
  }
  return {
    console: board.console,
    boardMs: board.boardMs,
    milestones: board.milestones,
    writes: readWriteLog(readFileSync(log)),
    hasEnded: signal === null,
    wallMs: performance.now() - startMs,
  };
}

/** Watches a board from outside and pulls the plug. */
class BoardWatch {
  console = '';
  /** What QEMU itself said. */
  noise = '';
  boardMs = 0;
  isCut = false;
  isOver = false;
  readonly milestones = new Map<keyof typeof MILESTONE, number>();
  readonly #cut: Cut;
  readonly #kill: () => void;
  #armedMs = 0;
  #writes = 0;

  constructor(cut: Cut, kill: () => void) {
    this.#cut = cut;
    this.#kill = kill;
  }

  onConsole(text: string): void {
    this.console += text.replaceAll('\r', '');
    for (const [name, pattern] of Object.entries(MILESTONE)) {
      const milestone = name as keyof typeof MILESTONE;
      if (this.milestones.has(milestone) || !pattern.test(this.console)) continue;
      this.milestones.set(milestone, this.boardMs);
    }
    if (this.#cut.kind === 'text' && this.#cut.text.test(this.console)) this.#pull();
  }

  onTrace(line: string): void {
    if (line.startsWith('virtio_blk_handle_write')) {
      this.#writes++;
      if (this.#cut.kind === 'write' && this.#cut.number === this.#writes) this.#pull();
      return;
    }
    const [, isDue, tick] = /irqstate (\d) next tick 0x([0-9a-f]+)/.exec(line) ?? [];
    if (tick === undefined) {
      this.noise += `${line}\n`;
    } else if (isDue === '1') {
      this.onTime(this.#armedMs);
    } else {
      this.#armedMs = Number(BigInt(`0x${tick}`)) / (ARM_COUNTER_HZ / 1000);
    }
  }

  /** The board's time is at least this. */
  onTime(ms: number): void {
    this.boardMs = Math.max(this.boardMs, ms);
    if (this.#cut.kind === 'time' && this.boardMs >= this.#cut.boardMs) this.#pull();
  }

  #pull(): void {
    this.isCut = true;
    this.#kill();
  }
}

/** Asks QEMU's monitor for the ACPI timer, over and over; it turns over after 4.7 s of board time. */
function pollTimer(path: string, board: BoardWatch): void {
  const retry = (): void => {
    if (!board.isOver) setTimeout(() => pollTimer(path, board), 5);
  };
  const socket = connect(path);
  // At the end the connection breaks; at the start it may not be there yet.
  socket.on('error', () => undefined);
  socket.on('close', retry);
  const send = (execute: string, line?: string): void => {
    const args = line === undefined ? {} : { arguments: { 'command-line': line } };
    socket.write(`${JSON.stringify({ execute, ...args })}\n`);
  };
  const ask = (): void => send('human-monitor-command', `i /w ${PM_TIMER_PORT}`);
  createInterface(socket)
    .on('line', (line) => {
      const [, value] = /\] = 0x([0-9a-f]{8})/.exec(line) ?? [];
      // All ones before the firmware has switched the timer on.
      if (value !== undefined && value !== 'ffffffff') {
        board.onTime((Number.parseInt(value, 16) * 1000) / PM_TIMER_HZ);
      }
      if (line.includes('"QMP"')) send('qmp_capabilities');
      else if (!line.includes('"event"')) setTimeout(ask, 2);
    })
    .on('error', () => undefined);
}
