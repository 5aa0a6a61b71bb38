/**
 * One boot while it happens: what is known so far, and how it becomes the boot record and lines of the kernel's log.
 *
 * Whatever goes wrong here must not end the boot: a log or a record that cannot be written is done without.
 */
import type { attend } from './attendant.ts';
import type { CommandLine } from './command-line.ts';
import type { startEarlyContainers } from './containers.ts';
import { readDiskCounters } from './disk-counters.ts';
import type { Engine } from './engine.ts';
import { noteOf } from './failure.ts';
import {
  BOOT_RECORD_SCHEMA,
  type BootAttempt,
  type BootedImage,
  type BootNote,
  type BootRecord,
  type StartedContainer,
} from './format/boot-record.ts';
import { toHex } from './format/bytes.ts';
import { purposeName } from './format/oids.ts';
import type { SlotName, SlotState } from './format/slot-state.ts';
import type { MountCapabilities } from './mount-capabilities.ts';
import { writeRecord } from './record-file.ts';
import type { SlotChoice } from './slots.ts';
import { createStageTimer, type StageTimer } from './stages.ts';
import { saveState, type StatePartition } from './state-partition.ts';
import type { LogLevel } from './sys.ts';
import type { SealedTrust } from './verify-slot.ts';
import type { AcceptedManifest } from './verify.ts';

/** What starts and minds containers; tests hand in their own. */
export interface BootParts {
  readonly startEarlyContainers: typeof startEarlyContainers;
  readonly attend: typeof attend;
}

/** Fields are filled in as the boot gets on. */
export interface BootRun {
  readonly engine: Engine;
  readonly parts: BootParts;
  readonly timer: StageTimer;
  readonly notes: BootNote[];
  readonly attempts: BootAttempt[];
  sealed: SealedTrust | undefined;
  commandLine: CommandLine;
  kernel: MountCapabilities | undefined;
  partition: StatePartition | undefined;
  /** Chosen and counted before the store was mounted. */
  choice: SlotChoice | undefined;
  isStoreMounted: boolean;
  /** The root is the system image of `slot`: there is no way back to another one. */
  isSwitched: boolean;
  slot: SlotName | undefined;
  accepted: AcceptedManifest | undefined;
  images: readonly BootedImage[];
  containers: readonly StartedContainer[];
}

export function startRun(engine: Engine, parts: BootParts): BootRun {
  return {
    engine,
    parts,
    timer: createStageTimer(engine.sys),
    notes: [],
    attempts: [],
    sealed: undefined,
    commandLine: {},
    kernel: undefined,
    partition: undefined,
    choice: undefined,
    isStoreMounted: false,
    isSwitched: false,
    slot: undefined,
    accepted: undefined,
    images: [],
    containers: [],
  };
}

/** The value of an action, or undefined when it fails: for what a boot can do without. */
export function quietly<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

export function log(run: BootRun, level: LogLevel, text: string): void {
  quietly(() => run.engine.sys.logKernel(level, `coldseal: ${text}`));
}

/** Puts something remarkable into the record and the kernel's log. */
export function addNote(run: BootRun, error: unknown): BootNote {
  const note = noteOf(error);
  run.notes.push(note);
  log(run, 'warning', `${note.code}: ${note.message}`);
  return note;
}

/** Writes the slot state; false when it could not be kept. Then it counts at least for the rest of this boot. */
export function save(run: BootRun, state: SlotState): boolean {
  const { partition } = run;
  if (partition === undefined) return false;
  try {
    saveState(run.engine.sys, run.engine.crypto, partition, state);
    return partition.path !== undefined;
  } catch (error) {
    partition.state = state;
    addNote(run, error);
    return false;
  }
}

/** The record as of now. */
export function recordOf(run: BootRun, outcome: BootRecord['outcome']): BootRecord {
  const { engine, timer, sealed, accepted } = run;
  const io = readDiskCounters(engine.sys, timer.disk);
  return {
    kind: 'coldseal-boot-record',
    schema: BOOT_RECORD_SCHEMA,
    outcome,
    product: sealed?.policy.product ?? '',
    board: sealed?.policy.board ?? '',
    isProduction: sealed?.policy.isProduction ?? true,
    engine: engine.name,
    kernel: quietly(() => engine.sys.kernelRelease()) ?? '',
    clock: timer.describe(),
    stages: [...timer.stages],
    slot: run.slot ?? null,
    attempts: run.attempts,
    release: accepted === undefined ? null : releaseOf(accepted),
    images: run.images,
    containers: run.containers,
    notes: timer.failed()
      ? [...run.notes, { code: 'HOST_CLOCK', message: 'Cannot read the clock: some times repeat' }]
      : run.notes,
    ...(io && { io }),
  };
}

function releaseOf({ manifest, manifestSha256 }: AcceptedManifest): BootRecord['release'] {
  const { version, role, builtAt, releaseId, epochs } = manifest;
  return {
    id: toHex(releaseId),
    version,
    role: purposeName(role),
    manifestSha256: toHex(manifestSha256),
    builtAt,
    epochs: Object.fromEntries(epochs),
  };
}

/** Writes the record to its place, if there is one. */
export function keepRecord(run: BootRun, record: BootRecord): void {
  try {
    writeRecord(run.engine.sys, record);
  } catch (error) {
    addNote(run, error);
  }
}
