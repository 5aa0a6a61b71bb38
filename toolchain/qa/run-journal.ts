/**
 * The records of a measuring run on disk, and what each boot printed as `capture-N.log`.
 *
 * Each file holds measured boots of one arm and one clock, one a line and nothing else, so that whatever reads
 * records reads them, and nothing in them can be mixed up. N is the boot's place in the schedule; a line names its
 * capture, and so its place. A boot counts when its line in the arm's main file is whole and on the disk; what
 * another clock said of it was written before that. What a kill or a full disk left of a line, or without its main
 * record, is cut off when the run goes on; such a boot is repeated, because nothing is known about it.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
} from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../budget/measured-boot.ts';
import { writeAll } from '../disk/write-all.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import { readInput } from '../files/read-input.ts';
import { syncPath } from '../files/sync-path.ts';
import type { Arm, DrivenBoot } from './driver.ts';

/** What decides. */
export const RECORD_FILES: Readonly<Record<Arm, string>> = {
  candidate: 'boot-records.jsonl',
  baseline: 'baseline-records.jsonl',
};
/** The same boots by another clock, such as the board's own beside the host's. */
export const ASIDE_FILES: Readonly<Record<Arm, string>> = {
  candidate: 'aside-records.jsonl',
  baseline: 'baseline-aside-records.jsonl',
};

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
  readonly #files = new Map<string, number>();
  readonly #boots: JournalBoot[] = [];
  /** What was found half-written and cut off, for people. */
  readonly remarks: readonly string[];

  /** Opens the journal of a run's directory. Throws HOST_QA_BUSY, FORMAT_BOOT_JOURNAL, HOST_*. */
  constructor(dir: string, schedule: readonly Arm[]) {
    this.#dir = dir;
    this.#lock = lock(dir);
    const remarks: string[] = [];
    try {
      for (const arm of new Set(schedule)) remarks.push(...this.#openArm(arm));
      syncPath(dir);
      this.#boots.sort((a, b) => a.run - b.run);
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
    const file = captureName(run);
    writeFileAtomically(join(this.#dir, file), capture, { force: true });
    const digest = createHash('sha256').update(capture).digest('hex');
    const place = (each: MeasuredBoot): MeasuredBoot =>
      MEASURED_BOOT.parse({ ...each, source: { ...each.source, file, sha256: digest } });
    const boot = { run, arm, record: place(record), others: others.map(place) };
    if (others.length > 0) this.#write(ASIDE_FILES[arm], boot.others);
    this.#write(RECORD_FILES[arm], [boot.record]);
    this.#boots.push(boot);
    return boot;
  }

  [Symbol.dispose](): void {
    this.#files.forEach((fd) => closeSync(fd));
    this.#files.clear();
    closeSync(this.#lock);
  }

  /** Reads both files of an arm; returns what was cut off. */
  #openArm(arm: Arm): string[] {
    const [name, asideName] = [RECORD_FILES[arm], ASIDE_FILES[arm]];
    const main = this.#read(name, () => true);
    const runs = new Set(main.records.map(({ run }) => run));
    // Only the last boot can be without its main record; any other is refused by the schedule.
    const asides = existsSync(join(this.#dir, asideName))
      ? this.#read(asideName, (run) => runs.has(run))
      : { records: [], remarks: [] };
    for (const { run, record } of main.records) {
      const others = asides.records.filter((aside) => aside.run === run);
      this.#boots.push({ run, arm, record, others: others.map((aside) => aside.record) });
    }
    return [...main.remarks, ...asides.remarks];
  }

  /** The records of a file up to the first that does not count; the rest is cut off. */
  #read(name: string, counts: (run: number) => boolean): ReadFile {
    const path = join(this.#dir, name);
    const fd = this.#open(name);
    const bytes = readInput(path);
    const records: PlacedRecord[] = [];
    let size = 0;
    for (let end; (end = bytes.indexOf('\n', size)) >= 0; size = end + 1) {
      const line = bytes.subarray(size, end).toString('utf8');
      const placed = parseRecord(path, line, records.length + 1);
      if (!counts(placed.run)) break;
      records.push(placed);
    }
    if (size === bytes.length) return { records, remarks: [] };
    ftruncateSync(fd, size);
    fsyncSync(fd);
    const remark = `${bytes.length - size} bytes at the end of ${path} are no whole boot and were cut off`;
    return { records, remarks: [remark] };
  }

  #open(name: string): number {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
    const fd = openSync(join(this.#dir, name), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o644);
    this.#files.set(name, fd);
    return fd;
  }

  /** All or nothing: what a full disk took of a line is taken back. */
  #write(name: string, records: readonly MeasuredBoot[]): void {
    const isNew = !this.#files.has(name);
    const fd = this.#open(name);
    const before = fstatSync(fd).size;
    try {
      const lines = records.map((each) => `${JSON.stringify(each)}\n`).join('');
      writeAll(fd, Buffer.from(lines), before);
      fsyncSync(fd);
      if (isNew) syncPath(this.#dir);
    } catch (error) {
      ftruncateSync(fd, before);
      throw explainSysError(error, `Cannot write ${join(this.#dir, name)}`);
    }
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

interface PlacedRecord {
  readonly run: number;
  readonly record: MeasuredBoot;
}

interface ReadFile {
  readonly records: readonly PlacedRecord[];
  readonly remarks: readonly string[];
}

const captureName = (run: number): string => `capture-${run}.log`;

function parseRecord(path: string, line: string, number: number): PlacedRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw refusal(path, `line ${number} is not JSON`);
  }
  const parsed = MEASURED_BOOT.safeParse(value);
  if (!parsed.success) throw refusal(path, `line ${number} is not a measured boot`);
  const { file } = parsed.data.source;
  const run = Number(/^capture-([1-9]\d{0,6})\.log$/.exec(file)?.[1]);
  if (run > 0) return { run, record: parsed.data };
  throw refusal(path, `line ${number} is from ${file}, expected a capture of this run`);
}

function refusal(path: string, problem: string): ColdsealError {
  return new ColdsealError('FORMAT_BOOT_JOURNAL', `Cannot go on with ${path}: ${problem}`, {
    hint: 'the records of a run are only ever appended to; give another --output for a new run',
  });
}
