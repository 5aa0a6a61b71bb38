/**
 * A measuring run from its directory's first file to its last boot: begun, gone on with, stopped, and handed over.
 *
 * Whatever ends it, the directory holds whole records and a plan, and the same command goes on from there. The power
 * of a board is switched off at the end, also after an error; that this failed is said, and does not hide the error.
 */
import { readdirSync, statSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { Board } from '../board/schema.ts';
import { budgetOfBoard } from '../budget/budget-of-board.ts';
import { makeDirectories } from '../files/make-directories.ts';
import type { Arm, BootDriver } from './driver.ts';
import { shortfall } from './plan-lines.ts';
import type { PreparedRun } from './prepare-run.ts';
import { runBoots } from './run-boots.ts';
import { type JournalBoot, RunJournal } from './run-journal.ts';
import {
  readRunRecord,
  requireSameRun,
  RUN_FILE,
  type RunRecord,
  writeRunRecord,
} from './run-record.ts';
import { judgeBoot } from './summary.ts';

/** A run that is over, for whoever judges it. */
export interface FinishedRun {
  readonly dir: string;
  readonly record: RunRecord;
  readonly board: Board;
  /** In the order they were booted, both arms. */
  readonly boots: readonly JournalBoot[];
}

export interface MeasureSettings {
  /** The run's directory. */
  readonly dir: string;
  readonly signal: AbortSignal;
  /** For people, a line each. */
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly nowMs: () => number;
  /** UTC, as records have it. */
  readonly now: () => string;
}

/** Boots what the run lacks. Rejects with the signal's reason when that aborts. */
export async function measure(
  prepared: PreparedRun,
  settings: MeasureSettings,
): Promise<FinishedRun> {
  try {
    return await measureWith(prepared, settings);
  } finally {
    await putAway(prepared.driver, settings.warn);
  }
}

async function putAway(driver: BootDriver, warn: (text: string) => void): Promise<void> {
  try {
    await driver[Symbol.asyncDispose]();
  } catch (error) {
    warn(`the rig was not put away: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function measureWith(prepared: PreparedRun, settings: MeasureSettings): Promise<FinishedRun> {
  const { driver, schedule, releases, board, record } = prepared;
  const { dir, signal, note, warn, now } = settings;
  signal.throwIfAborted();
  const begun = readRunRecord(dir);
  if (begun === undefined) requireRoom(dir);
  else {
    const remark = requireSameRun(dir, begun, record);
    if (remark !== undefined) note(remark);
  }
  if (begun === undefined) {
    await checkRig(prepared);
    beginRun(dir, record);
  }
  using journal = new RunJournal(dir, schedule);
  journal.remarks.forEach(note);
  const isOver = journal.boots.length === schedule.length;
  if (begun !== undefined && !isOver) await checkRig(prepared);
  if (driver.name !== 'virtual') shortfall(record.boots, record.plan.boots).forEach(note);
  try {
    await runBoots({
      driver,
      journal,
      schedule,
      releases,
      board: board.id,
      specimen: record.arguments.specimen,
      conditions: record.arguments.conditions,
      signal,
      now,
      onBoot: progressOf(prepared, journal.boots.length, settings),
    });
  } catch (error) {
    warn(`the run is not over; go on with: coldseal qa --resume --output ${shellWord(dir)}`);
    throw error;
  }
  return { dir, record: begun ?? record, board, boots: [...journal.boots] };
}

async function checkRig({ driver, releases }: PreparedRun): Promise<void> {
  for (const release of [releases.candidate, releases.baseline]) {
    if (release !== null) await driver.check(release);
  }
}

/** A new run gets a directory of its own. */
function requireRoom(dir: string): void {
  const stat = statSync(dir, { throwIfNoEntry: false });
  if (stat === undefined) return;
  // What a kill left of run.json, before there was a run.
  const isEmpty =
    stat.isDirectory() && readdirSync(dir).every((name) => name.startsWith(`.${RUN_FILE}.`));
  if (isEmpty) return;
  throw new ColdsealError(
    'USAGE_OUTPUT_EXISTS',
    `Cannot begin a run in ${dir}: it is there and has no ${RUN_FILE}, expected an empty directory`,
    { hint: 'give another --output' },
  );
}

function beginRun(dir: string, record: RunRecord): void {
  try {
    makeDirectories(dir);
  } catch (error) {
    throw explainSysError(error, `Cannot make ${dir}`);
  }
  writeRunRecord(dir, record);
}

/** A line for each boot, with the time that is left at the rate of this session. */
function progressOf(
  { schedule, board }: PreparedRun,
  before: number,
  { note, nowMs }: MeasureSettings,
): (boot: JournalBoot) => void {
  const budget = budgetOfBoard(board);
  const startMs = nowMs();
  if (before > 0) note(`${before} of ${schedule.length} boots are recorded`);
  return ({ run, arm, record }) => {
    const { totalNs, isOver } = judgeBoot(record, budget);
    const left = (schedule.length - run) * ((nowMs() - startMs) / (run - before));
    const figure =
      totalNs === null
        ? `failed: ${record.reason ?? 'it lacks an event of the budget'}`
        : `${(totalNs / 1e6).toFixed(1)} ms${isOver ? ', over budget' : ''}`;
    const rest = run === schedule.length ? '' : `; about ${roughTime(left)} left`;
    note(`boot ${run} of ${schedule.length} (${arm}): ${figure}${rest}`);
  };
}

/** `40 s`, `12 min`, `3.5 h`. */
export function roughTime(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

/** A path as a shell takes it. */
function shellWord(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The records of one arm, the ones that decide. */
export function recordsOf(boots: readonly JournalBoot[], arm: Arm): JournalBoot['record'][] {
  return boots.flatMap((boot) => (boot.arm === arm ? [boot.record] : []));
}
