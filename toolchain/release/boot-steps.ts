/**
 * The steps of `coldseal release` that have to do with booting, with their progress and their times: which board, its
 * boot files, the releases for its other slots, its disk.
 */
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Board } from '../board/schema.ts';
import type { Progress } from '../cli/progress.ts';
import type { ConfigFile } from '../config/config-file.ts';
import { checkDisk } from '../disk/check-disk.ts';
import type { DiskSummary } from '../disk/disk.ts';
import { DISK_FILE } from '../sign/release-files.ts';
import type { Signer } from '../sign/signer.ts';
import { bootBoard, type BootFiles, makeBootFiles, slotPolicy } from './boot-files.ts';
import type { Bootset } from './bootset.ts';
import { bootPolicy, openSlotRelease, type SlotRelease, writeReleaseDisk } from './release-disk.ts';
import type { StageTimes } from './timings.ts';

/** What of the release's options the steps read. */
export interface BootStepOptions {
  /** Make neither boot files nor a disk. */
  readonly noDisk?: boolean | undefined;
  /** Directory of an earlier release for slot b. */
  readonly fallback?: string | undefined;
  /** Directory of a release for recovery. */
  readonly recovery?: string | undefined;
  /** Path of a profile of the boot. */
  readonly profile?: string | undefined;
  /** Order the disk by the profile and leave the initramfs as it is. */
  readonly noReadAhead?: boolean | undefined;
  /** Stands for the runtime that would be built; for tests. */
  readonly init?: Uint8Array | undefined;
  /** Begins a stage that counts bytes, or nothing. */
  readonly startProgress: (label: string, unit?: 'bytes' | 'step') => Progress;
  readonly onWarning: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The board whose disk is made. Throws USAGE_OPTION_CONFLICT for what has no effect without a disk or a slot. */
export function bootBoardOf(
  bootset: Bootset,
  options: BootStepOptions,
): ConfigFile<Board> | undefined {
  const { noDisk, fallback, recovery, profile, noReadAhead, onWarning } = options;
  if (noReadAhead === true && profile === undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      'Cannot use --no-read-ahead: without --profile nothing is read ahead',
    );
  }
  const board = noDisk === true ? undefined : bootBoard(bootset, onWarning);
  const [given] = Object.entries({ fallback, recovery, profile }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`],
  );
  const refuse = (problem: string): never => {
    throw new ColdsealError('USAGE_OPTION_CONFLICT', `Cannot use ${given}: ${problem}`);
  };
  if (given === undefined) return board;
  if (board === undefined) {
    return refuse(noDisk === true ? '--no-disk makes no disk' : 'no board here has a disk made');
  }
  const { id, slots, on_failure: steps } = board.value;
  if (fallback !== undefined && slots.count === 1) refuse(`board ${id} has one slot`);
  if (recovery !== undefined && !steps.some((step) => step.recovery === true)) {
    onWarning(
      `board ${id} never boots what --recovery puts on the disk: its on_failure has no recovery`,
    );
  }
  return board;
}

/** Makes the boot files, each step timed. */
export async function bootFilesOf(
  board: ConfigFile<Board>,
  bootset: Bootset,
  signer: Signer,
  options: BootStepOptions,
  times: StageTimes,
  readAhead?: Uint8Array,
): Promise<BootFiles> {
  const { init, onWarning, signal } = options;
  let progress: Progress | undefined;
  return makeBootFiles(board, bootset, signer.describe(), {
    init,
    readAhead,
    onWarning,
    signal,
    onStep: (label) => {
      progress?.done();
      progress = options.startProgress(label, 'step');
      progress.update(0);
    },
    onStepEnd: (stage) => {
      progress?.done();
      times.end(stage);
    },
  }).finally(() => progress?.done());
}

/** Verifies the releases for the other slots as the board will, before the work that a wrong one makes useless. */
export async function openSlots(
  board: ConfigFile<Board>,
  bootset: Bootset,
  signer: Signer,
  options: BootStepOptions,
  times: StageTimes,
): Promise<SlotRelease[]> {
  const slots: SlotRelease[] = [];
  if (options.fallback === undefined && options.recovery === undefined) return slots;
  const policy = slotPolicy(board, bootset, signer.describe());
  for (const [slot, path] of [
    ['b', options.fallback],
    ['recovery', options.recovery],
  ] as const) {
    if (path === undefined) continue;
    const progress = options.startProgress(`verifying ${path}`);
    const { signal } = options;
    const onProgress = (done: number, total: number): void => progress.update(done, total);
    slots.push(
      await openSlotRelease(slot, path, policy, { onProgress, signal }).finally(() =>
        progress.done(),
      ),
    );
    times.end(`verify ${slot === 'b' ? 'fallback' : slot}`);
  }
  return slots;
}

/** Writes the disk beside the boot files, and reads it back as `coldseal disk check` does. */
export async function makeDisk(
  files: BootFiles,
  slots: readonly SlotRelease[],
  directory: string,
  options: BootStepOptions,
  times: StageTimes,
  order?: readonly string[],
): Promise<DiskSummary> {
  const output = join(directory, DISK_FILE);
  const { signal } = options;
  const writing = options.startProgress('writing the disk');
  const disk = await writeReleaseDisk(files, slots, {
    output,
    order,
    onProgress: (done, total) => writing.update(done, total),
    signal,
  }).finally(() => writing.done());
  times.end('disk');
  const checking = options.startProgress('reading back the disk');
  const { findings } = await checkDisk(output, {
    policy: bootPolicy(files),
    onProgress: (done, total) => checking.update(done, total),
    ...(signal === undefined ? {} : { signal }),
  }).finally(() => checking.done());
  times.end('check disk');
  const [finding] = findings;
  if (finding === undefined) return disk;
  const { code, message, where } = finding;
  throw new ColdsealError(
    code,
    `Cannot publish the release, reading back its disk says: ${where}: ${message}`,
    {
      hint: 'something changed what had been written; check the disk and the memory of this machine',
    },
  );
}
