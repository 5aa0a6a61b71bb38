/**
 * The loop of a measuring run: each boot of the schedule that is not recorded yet, one after the other, each on the
 * disk before the next begins.
 *
 * Nothing is retried and nothing is left out. A boot that failed is recorded and the run goes on; a rig that failed,
 * and an interruption, end the run between two records.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { BootFlag, EvidenceClass, MeasuredBoot } from '../budget/measured-boot.ts';
import type { Arm, ArmRelease, BootDriver, DrivenBoot } from './driver.ts';
import type { JournalBoot, RunJournal } from './run-journal.ts';

export interface RunSettings {
  readonly driver: BootDriver;
  readonly journal: RunJournal;
  readonly schedule: readonly Arm[];
  readonly releases: Readonly<Record<Arm, ArmRelease | null>>;
  /** The board's identifier: a record of another board is not one of this run. */
  readonly board: string;
  readonly specimen: string | null;
  readonly conditions: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** UTC, as records have it. */
  readonly now: () => string;
  readonly onBoot: (boot: JournalBoot) => void;
}

/** Boots what is left of the schedule. Rejects with what the driver throws, and with the signal's reason. */
export async function runBoots(settings: RunSettings): Promise<void> {
  const { driver, journal, schedule, releases, signal, onBoot, now } = settings;
  for (let run = journal.boots.length + 1; run <= schedule.length; run++) {
    signal.throwIfAborted();
    const arm = schedule[run - 1]!;
    const release = releases[arm]!;
    const measuredAt = now();
    const driven = await driver.boot({ arm, release, run, signal });
    const complete = (record: MeasuredBoot): MeasuredBoot =>
      completeRecord(record, { ...settings, run, release, measuredAt });
    const boot: DrivenBoot = {
      ...driven,
      record: flagFirst(complete(driven.record), isFirst(journal.boots, arm), arm),
      others: driven.others.map(complete),
    };
    requireClass(driver.evidence, boot.record, run);
    onBoot(journal.append(run, arm, boot));
  }
}

/** What the run knows about every boot. What a record says itself stays, unless it is of something else. */
function completeRecord(
  record: MeasuredBoot,
  {
    board,
    specimen,
    conditions,
    release: { id, version, builtAt },
    measuredAt,
    run,
  }: Pick<RunSettings, 'board' | 'specimen' | 'conditions'> & {
    readonly run: number;
    readonly release: ArmRelease;
    readonly measuredAt: string;
  },
): MeasuredBoot {
  if (record.board !== board) {
    throw new ColdsealError(
      'HOST_RIG_RECORD',
      `Cannot use the record of boot ${run}: it is of board ${record.board}, expected ${board}`,
      { hint: 'the rig measured another board, or --board-file should name that one' },
    );
  }
  const found = record.release?.id ?? id;
  return {
    ...record,
    ...(found === id ? {} : failedAsOther(found, id)),
    specimen: record.specimen ?? specimen,
    conditions: { ...record.conditions, ...conditions },
    release: record.release ?? { id, version, builtAt },
    measuredAt: record.measuredAt ?? measuredAt,
  };
}

/** A board that fell back to another slot did not boot the release, however quick it was. */
function failedAsOther(found: string, expected: string): Pick<MeasuredBoot, 'outcome' | 'reason'> {
  const code = 'HOST_BOARD_OTHER_RELEASE';
  return { outcome: 'failed', reason: `${code}: it booted release ${found}, expected ${expected}` };
}

const isFirst = (boots: readonly JournalBoot[], arm: Arm): boolean =>
  !boots.some((boot) => boot.arm === arm);

/** The first boot after flashing may do what no later one does. It counts, and is pointed at. */
function flagFirst(record: MeasuredBoot, isFirstOfArm: boolean, arm: Arm): MeasuredBoot {
  if (!isFirstOfArm) return record;
  const flag: BootFlag = {
    code: 'BUDGET_FLAG_FIRST_BOOT',
    message: `the first boot of the ${arm} in its run`,
    isUnusable: false,
  };
  return { ...record, flags: [...record.flags, flag] };
}

function requireClass(expected: EvidenceClass, { evidence }: MeasuredBoot, run: number): void {
  if (evidence === expected) return;
  throw new ColdsealError(
    'HOST_RIG_RECORD',
    `Cannot use the record of boot ${run}: it is ${evidence} evidence, expected ${expected}`,
    { hint: 'figures of different clocks are never mixed; --evidence says which class it is' },
  );
}
