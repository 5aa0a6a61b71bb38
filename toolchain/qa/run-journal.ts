/**
 * The records of a measuring run on disk: `boot-records.jsonl` for the candidate, `baseline-records.jsonl` for the
 * baseline, and what each boot printed as `capture-N.log`.
 *
 * Both files hold measured boots, one a line and nothing else, so that whatever reads records reads them, and boots of
 * one arm cannot pass for the other's. N is the boot's place in the schedule; the line names its capture, and so its
 * place. A boot counts when its last line, the one of the driver's class, is whole and on the disk; lines of the same boot
 * by another clock stand before it, with a format that ends in -aside. What a kill or a
 * full disk left of a line is cut off when the run goes on; such a boot is repeated, because nothing is known about it.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../budget/measured-boot.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import { readInput } from '../files/read-input.ts';
import { syncPath } from '../files/sync-path.ts';
import type { Arm, DrivenBoot } from './driver.ts';

export const RECORD_FILES: Readonly<Record<Arm, string>> = {
  candidate: 'boot-records.jsonl',
  baseline: 'baseline-records.jsonl',
};

/** How the format ends of a record that another one of the same boot stands beside. */
const ASIDE = '-aside';

/** A boot that was recorded. */
export interface JournalBoot {
  readonly run: number;
  readonly arm: Arm;
  readonly record: MeasuredBoot;
  readonly others: readonly MeasuredBoot[];
}

export class RunJournal implements Disposable {
  readonly #dir: string;
  readonly #lock: number;
  readonly #files = new Map<Arm, number>();
  readonly #boots: JournalBoot[];
  /** What was found half-written and cut off, for people. */
  readonly remarks: readonly string[];

  /** Opens the journal of a run's directory. Throws HOST_QA_BUSY, FORMAT_BOOT_JOURNAL, HOST_*. */
  constructor(dir: string, schedule: readonly Arm[]) {
    this.#dir = dir;
    this.#lock = lock(dir);
    const remarks: string[] = [];
    try {
      const boots: JournalBoot[] = [];
      for (const arm of new Set(schedule)) {
        const path = join(dir, RECORD_FILES[arm]);
        const fd = openForAppending(path);
        this.#files.set(arm, fd);
        const { kept, remark } = readRecords(path, fd, arm);
        boots.push(...kept);
        if (remark !== undefined) remarks.push(remark);
      }
      syncPath(dir);
      this.#boots = boots.sort((a, b) => a.run - b.run);
      this.#requireSchedule(schedule);
    } catch (error) {
      this[Symbol.dispose]();
      throw explainSysError(error, `Cannot use ${dir}`);
    }
    this.remarks = remarks;
  }

  /** In the order they were booted. */
  get boots(): readonly JournalBoot[] {
    return this.#boots;
  }

  /** Keeps a boot: when this returns, it is on the disk. */
  append(run: number, arm: Arm, { record, others, capture }: DrivenBoot): JournalBoot {
    const file = `capture-${run}.log`;
    writeFileAtomically(join(this.#dir, file), capture, { force: true });
    const digest = createHash('sha256').update(capture).digest('hex');
    const place = (each: MeasuredBoot, suffix: string): MeasuredBoot => {
      const source = { format: `${each.source.format}${suffix}`, file, sha256: digest };
      return MEASURED_BOOT.parse({ ...each, source });
    };
    const placed = [...others.map((each) => place(each, ASIDE)), place(record, '')];
    const lines = placed.map((each) => `${JSON.stringify(each)}\n`).join('');
    appendDurably(join(this.#dir, RECORD_FILES[arm]), this.#files.get(arm)!, Buffer.from(lines));
    const boot = { run, arm, record: placed.at(-1)!, others: placed.slice(0, -1) };
    this.#boots.push(boot);
    return boot;
  }

  [Symbol.dispose](): void {
    this.#files.forEach((fd) => closeSync(fd));
    this.#files.clear();
    closeSync(this.#lock);
  }

  /** Records are those of the first boots of the schedule, each of its arm. */
  #requireSchedule(schedule: readonly Arm[]): void {
    this.#boots.forEach(({ run, arm }, index) => {
      if (run === index + 1 && schedule[index] === arm) return;
      throw new ColdsealError(
        'FORMAT_BOOT_JOURNAL',
        `Cannot go on with the run in ${this.#dir}: ${RECORD_FILES[arm]} has a record of boot ` +
          `${run}, expected boot ${index + 1} of the ${schedule[index] ?? 'schedule, which is over'}`,
        { hint: 'records were changed or are of another run' },
      );
    });
  }
}

/** Two runs at once would share one board. The kernel drops the lock when the process ends, however it ends. */
function lock(dir: string): number {
  const LOCK_EX_NB = 2 | 4;
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  if (libc().flock(fd, LOCK_EX_NB) === 0 || libc().errnoName() !== 'EAGAIN') return fd;
  closeSync(fd);
  throw new ColdsealError(
    'HOST_QA_BUSY',
    `Cannot use ${dir}: another coldseal qa is at work there`,
  );
}

function openForAppending(path: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
  return openSync(path, flags, 0o644);
}

/** All or nothing: what a full disk took of a line is taken back. */
function appendDurably(path: string, fd: number, bytes: Buffer): void {
  const before = fstatSync(fd).size;
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    ftruncateSync(fd, before);
    throw explainSysError(error, `Cannot write ${path}`);
  }
}

/** The records of a file; an end that is no whole boot is cut off. */
function readRecords(path: string, fd: number, arm: Arm): { kept: JournalBoot[]; remark?: string } {
  const bytes = readInput(path);
  const end = bytes.lastIndexOf('\n') + 1;
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
  const records = lines.map((line, index) => parseRecord(path, line, index + 1));
  const kept: JournalBoot[] = [];
  let waiting: MeasuredBoot[] = [];
  for (const record of records) {
    const run = runOf(path, record);
    if (waiting.length > 0 && runOf(path, waiting[0]!) !== run) throw refusal(path, 'mixed boots');
    if (isAside(record)) waiting.push(record);
    else {
      kept.push({ run, arm, record, others: waiting });
      waiting = [];
    }
  }
  if (end === bytes.length && waiting.length === 0) return { kept };
  const whole = lines.slice(0, lines.length - waiting.length);
  const size = Buffer.byteLength(whole.map((line) => `${line}\n`).join(''));
  ftruncateSync(fd, size);
  fsyncSync(fd);
  const cut = bytes.length - size;
  return {
    kept,
    remark: `${path} ended within a record: ${cut} bytes were cut off, and that boot is repeated`,
  };
}

function parseRecord(path: string, line: string, number: number): MeasuredBoot {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw refusal(path, `line ${number} is not JSON`);
  }
  const parsed = MEASURED_BOOT.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refusal(path, `line ${number} is not a measured boot`);
}

const isAside = ({ source }: MeasuredBoot): boolean => source.format.endsWith(ASIDE);

function runOf(path: string, { source }: MeasuredBoot): number {
  const run = /^capture-([1-9]\d{0,6})\.log$/.exec(source.file)?.[1];
  if (run !== undefined) return Number(run);
  throw refusal(path, `a record is from ${source.file}, expected a capture of this run`);
}

function refusal(path: string, problem: string): ColdsealError {
  return new ColdsealError('FORMAT_BOOT_JOURNAL', `Cannot go on with ${path}: ${problem}`, {
    hint: 'the records of a run are only ever appended to; give another --output for a new run',
  });
}
