/** Measuring runs with a driver that plays boots: schedules, records, stopping anywhere and going on. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadBoard } from '../../toolchain/board/load.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import type {
  ArmRelease,
  BootDriver,
  BootRequest,
  DriverDescription,
} from '../../toolchain/qa/driver.ts';
import { failedBoot } from '../../toolchain/qa/failed-boot.ts';
import { type FinishedRun, measure, recordsOf, roughTime } from '../../toolchain/qa/measure.ts';
import type { PreparedRun } from '../../toolchain/qa/prepare-run.ts';
import { ASIDE_FILES, RECORD_FILES, RunJournal } from '../../toolchain/qa/run-journal.ts';
import type { RunRecord } from '../../toolchain/qa/run-record.ts';
import { parseSchedule, scheduleBoots, scheduleText } from '../../toolchain/qa/schedule.ts';
import { summarizeRun, summaryTable } from '../../toolchain/qa/summary.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('qa runs');

const BOARD = loadBoard('qemu-x86_64', ROOT).value;
const MS = 1e6;
const SHA = '0'.repeat(64);

const releaseOf = (id: string): ArmRelease => ({
  given: id,
  dir: `/${id}`,
  id,
  version: '1.0',
  builtAt: null,
});

/** A boot that ended after so many milliseconds. */
function bootOf(totalMs: number, changes: Partial<MeasuredBoot> = {}): MeasuredBoot {
  const failed = failedBoot({
    board: BOARD.id,
    evidence: 'board-gpio',
    reason: '-',
    format: 'qa-command',
    start: 'cold',
    clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: 0 },
  });
  const events = [...failed.events, { name: 'containers', atNs: totalMs * MS }];
  return { ...failed, outcome: 'booted', reason: null, events, ...changes };
}

type Play = (request: BootRequest) => MeasuredBoot | Error | Promise<MeasuredBoot>;

class FakeDriver implements BootDriver {
  readonly name = 'command';
  readonly evidence = 'board-gpio';
  readonly booted: string[] = [];
  isPutAway = false;
  readonly #play: Play;

  constructor(play: Play) {
    this.#play = play;
  }

  describe = async (): Promise<DriverDescription> => ({
    settings: {},
    steps: [],
  });
  check = async (): Promise<void> => undefined;

  async boot(request: BootRequest): ReturnType<BootDriver['boot']> {
    this.booted.push(`${request.run} ${request.arm}`);
    const record = await this.#play(request);
    if (record instanceof Error) throw record;
    return { record, others: [], capture: Buffer.from(`boot ${request.run}\n`) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isPutAway = true;
  }
}

function prepared(driver: BootDriver, changes: Partial<RunRecord> = {}): PreparedRun {
  const arm = { id: 'new', version: '1.0', sha256: SHA };
  const record: RunRecord = {
    kind: 'coldseal-qa-run',
    schema: 1,
    tool: { name: 'coldseal', version: '1' },
    directory: '/',
    arguments: {
      release: 'new',
      baseline: 'old',
      board: 'command:x',
      boardFile: null,
      select: null,
      powerOn: null,
      powerOff: null,
      offTimeS: 5,
      settleS: 2,
      timeoutS: 300,
      dictionary: null,
      evidence: 'board-gpio',
      specimen: 'board 7',
      conditions: { temperature: '-30C' },
    },
    plan: {
      text: '95/95',
      coverage: 0.95,
      confidence: 0.95,
      exceedances: 0,
      boots: 59,
      origin: 'board',
    },
    boots: 3,
    seed: 1,
    schedule: 'cbbccb',
    inputs: {
      board: { id: BOARD.id, sha256: SHA },
      candidate: arm,
      baseline: { ...arm, id: 'old' },
      dictionary: null,
    },
    driver: { name: 'command', settings: {} },
    ...changes,
  };
  return {
    record,
    board: BOARD,
    releases: { candidate: releaseOf('new'), baseline: releaseOf('old') },
    schedule: parseSchedule(record.schedule),
    driver,
    description: { settings: {}, steps: [] },
  };
}

let dir: TempDir;
let run: string;
let notes: string[];

test.before.each(() => {
  dir = tempDir();
  run = join(dir.path, 'run');
  notes = [];
});
test.after.each(() => dir.remove());

const start = (
  driver: BootDriver,
  changes: Partial<RunRecord> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<FinishedRun> =>
  measure(prepared(driver, changes), {
    dir: run,
    signal,
    note: (text) => void notes.push(text),
    warn: (text) => void notes.push(`warning: ${text}`),
    nowMs: () => 0,
    now: () => '2026-11-25T12:00:00Z',
  });

const linesOf = (file: string): string[] => {
  const path = join(run, file);
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
};
const recorded = (): number[] =>
  Object.values(RECORD_FILES)
    .flatMap(linesOf)
    .filter((line) => line !== '')
    .map((line) => MEASURED_BOOT.parse(JSON.parse(line)))
    .map(({ source }) => Number(/\d+/.exec(source.file)![0]))
    .sort((a, b) => a - b);

const ALL = ['1 candidate', '2 baseline', '3 baseline', '4 candidate', '5 candidate', '6 baseline'];

test('a schedule is balanced at every point, repeats, and differs by seed', () => {
  const counts = fc.tuple(
    fc.integer({ min: 1, max: 200 }),
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  );
  fc.assert(
    fc.property(counts, ([boots, seed]) => {
      const schedule = scheduleBoots(boots, true, seed);
      assert.equal(schedule, scheduleBoots(boots, true, seed));
      assert.equal(parseSchedule(scheduleText(schedule)), schedule);
      assert.is(schedule.filter((arm) => arm === 'candidate').length, boots);
      assert.is(schedule.length, boots * 2);
      let ahead = 0;
      let placesOfBlock = 0;
      schedule.forEach((arm, index) => {
        ahead += arm === 'candidate' ? 1 : -1;
        assert.ok(Math.abs(ahead) <= 1);
        placesOfBlock += (arm === 'candidate' ? 1 : -1) * index;
        // A drift in a straight line is the same in both arms after every whole block.
        if (index % 4 === 3) assert.is(placesOfBlock, 0);
      });
    }),
  );
  const seeds = Array.from({ length: 20 }, (_, seed) => scheduleText(scheduleBoots(8, true, seed)));
  assert.ok(new Set(seeds).size > 5);
  assert.ok(
    seeds.some((text) => text.startsWith('c')) && seeds.some((text) => text.startsWith('b')),
  );
  assert.is(scheduleText(scheduleBoots(3, false, 9)), 'ccc');
});

test('a run keeps the plan, each boot by its arm, and what was printed', async () => {
  const driver = new FakeDriver(({ run: number }) => bootOf(1000 + number));
  const { boots } = await start(driver);
  assert.equal(driver.booted, ALL);
  assert.ok(driver.isPutAway);
  assert.equal(
    [linesOf(RECORD_FILES.candidate).length, linesOf(RECORD_FILES.baseline).length],
    [3, 3],
  );
  assert.equal(recorded(), [1, 2, 3, 4, 5, 6]);
  assert.is(readFileSync(join(run, 'capture-4.log'), 'utf8'), 'boot 4\n');
  const written = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8')) as RunRecord;
  assert.equal(written, prepared(driver).record);
  const [first, second] = recordsOf(boots, 'candidate');
  assert.equal(
    [first!.specimen, first!.conditions, first!.release, first!.measuredAt],
    [
      'board 7',
      { temperature: '-30C' },
      { id: 'new', version: '1.0', builtAt: null },
      '2026-11-25T12:00:00Z',
    ],
  );
  // The first boot of each arm is pointed at, and counts.
  assert.equal(
    boots.map(({ record }) => record.flags.map(({ code, isUnusable }) => [code, isUnusable])),
    [[['BUDGET_FLAG_FIRST_BOOT', false]], [['BUDGET_FLAG_FIRST_BOOT', false]], [], [], [], []],
  );
  assert.is(second!.flags.length, 0);
  assert.match(notes[0]!, /3 boots of a release cannot confirm this plan, which takes 59/);
  assert.match(notes[1]!, /^boot 1 of 6 \(candidate\): 1001\.0 ms; about 0 s left$/);
  // Once more: there is nothing left to do, and the result is the same.
  const again = new FakeDriver(() => new Error('booted again'));
  assert.equal((await start(again)).boots, boots);
  assert.equal(again.booted, []);
});

test('an interruption at every point leaves whole records, and the run goes on', async () => {
  for (let stopAt = 1; stopAt <= 6; stopAt++) {
    for (const moment of ['before', 'during'] as const) {
      run = join(dir.path, `${moment}-${stopAt}`);
      const interruption = new AbortController();
      const stopping = new FakeDriver(({ run: number, signal }) => {
        if (number === stopAt) {
          interruption.abort();
          if (moment === 'during') signal.throwIfAborted();
        }
        return bootOf(1000);
      });
      const end = await start(stopping, {}, interruption.signal).then(
        () => 'over',
        (error: unknown) => (error as Error).name,
      );
      // A boot that ended before the interruption was looked at is kept.
      const kept = moment === 'during' ? stopAt - 1 : stopAt;
      assert.is(end, kept === 6 ? 'over' : 'AbortError');
      assert.is(recorded().length, kept);
      assert.ok(stopping.isPutAway);
      if (kept < 6) assert.match(notes.at(-1)!, /go on with: coldseal qa --resume --output/);
      const going = new FakeDriver(() => bootOf(1000));
      const { boots } = await start(going);
      assert.equal(going.booted, ALL.slice(kept));
      assert.equal(recorded(), [1, 2, 3, 4, 5, 6]);
      assert.is(boots.filter(({ record }) => record.flags.length > 0).length, 2);
    }
  }
});

test('a boot that fails is a record, a rig that fails is an end', async () => {
  const failing = new FakeDriver(({ run: number }) => {
    if (number === 4) return new ColdsealError('HOST_RIG_COMMAND', 'the relay is on fire');
    return number === 2 ? { ...bootOf(1000), outcome: 'failed', reason: 'it hung' } : bootOf(1000);
  });
  await expectCodeAsync(() => start(failing), 'HOST_RIG_COMMAND');
  assert.equal(recorded(), [1, 2, 3]);
  assert.match(notes.join('\n'), /boot 2 of 6 \(baseline\): failed: it hung/);
  const { boots } = await start(new FakeDriver(() => bootOf(3000)));
  const { arms } = summarizeRun(boots, BOARD);
  assert.equal(
    arms.map(({ arm, boots: count, failed, over }) => [arm, count, failed, over]),
    [
      ['candidate', 3, 0, 2],
      ['baseline', 3, 1, 2],
    ],
  );
});

test('a rig that cannot be put away is told, and hides nothing', async () => {
  const driver = new FakeDriver(() => new ColdsealError('HOST_RIG_COMMAND', 'no'));
  driver[Symbol.asyncDispose] = async () => {
    throw new Error('the relay is stuck');
  };
  await expectCodeAsync(() => start(driver), 'HOST_RIG_COMMAND');
  assert.ok(notes.includes('warning: the rig was not put away: the relay is stuck'));
});

test('a kill at any byte of a record leaves a run that goes on', async () => {
  await start(new FakeDriver(() => bootOf(1000)));
  const path = join(run, RECORD_FILES.baseline);
  const whole = readFileSync(path);
  // The last boot of the schedule is the last line of this file.
  const from = whole.lastIndexOf('\n', whole.length - 2) + 1;
  const points = [from + 1, from + 100, whole.length - 1];
  for (const size of points) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    notes = [];
    const going = new FakeDriver(() => bootOf(1000));
    await start(going);
    assert.equal(going.booted, ['6 baseline']);
    assert.match(
      notes.join('\n'),
      /^\d+ bytes at the end of .* are no whole boot and were cut off$/m,
    );
    assert.equal(readFileSync(path), whole);
  }
});

test('a full disk takes nothing of what was measured', async () => {
  // A limit on the size of files is a disk that is full in the middle of a line.
  const limit = (bytes: bigint): void => {
    const RLIMIT_FSIZE = 1;
    const set = libc().bind<(kind: number, limits: Buffer) => number>('setrlimit', 'int', [
      'int',
      'void *',
    ]);
    const limits = Buffer.alloc(16);
    limits.writeBigUInt64LE(bytes, 0);
    limits.writeBigUInt64LE(UNLIMITED, 8);
    assert.is(set(RLIMIT_FSIZE, limits), 0);
  };
  const inputs = { ...prepared(new FakeDriver(() => bootOf(1))).record.inputs, baseline: null };
  const long = { boots: 12, schedule: 'c'.repeat(12), inputs };
  limit(4000n);
  try {
    await expectCodeAsync(() => start(new FakeDriver(() => bootOf(1000)), long), 'HOST_NO_SPACE');
  } finally {
    limit(UNLIMITED);
  }
  const kept = recorded().length;
  assert.ok(kept > 0 && kept < 12, String(kept));
  const going = new FakeDriver(() => bootOf(1000));
  await start(going, long);
  assert.is(going.booted.length, 12 - kept);
  assert.not.match(notes.join('\n'), /cut off/);
});

const UNLIMITED = 2n ** 64n - 1n;

test('what another clock said of a boot has a file of its own, and counts with the boot alone', async () => {
  const others = [bootOf(900, { evidence: 'board-selfclock' })];
  const driver = new FakeDriver(() => bootOf(1000));
  const boot = driver.boot.bind(driver);
  driver.boot = async (request) => ({ ...(await boot(request)), others });
  await start(driver);
  assert.equal(recorded(), [1, 2, 3, 4, 5, 6]);
  assert.is(linesOf(ASIDE_FILES.candidate).length, 3);
  // Killed between both.
  const path = join(run, RECORD_FILES.baseline);
  writeFileSync(path, `${linesOf(RECORD_FILES.baseline).slice(0, 2).join('\n')}\n`);
  const going = new FakeDriver(() => bootOf(1000));
  const { boots } = await start(going);
  assert.equal(going.booted, ['6 baseline']);
  assert.is(linesOf(ASIDE_FILES.baseline).length, 2);
  assert.equal(
    boots.map((each) => each.others.map(({ evidence }) => evidence)),
    [...Array.from({ length: 5 }, () => ['board-selfclock']), []],
  );
});

test('a run does not go on with anything else', async () => {
  const stop = (): Error => new ColdsealError('HOST_RIG_COMMAND', 'stop');
  await expectCodeAsync(() => start(new FakeDriver(stop)), 'HOST_RIG_COMMAND');
  const { inputs, plan, driver } = prepared(new FakeDriver(stop)).record;
  const other = { id: 'new', version: '1.0', sha256: '1'.repeat(64) };
  const changes: readonly [RegExp, Partial<RunRecord>][] = [
    [/inputs\.candidate\.sha256 was/, { inputs: { ...inputs, candidate: other } }],
    [/inputs\.baseline was/, { inputs: { ...inputs, baseline: null } }],
    [/inputs\.board\.sha256/, { inputs: { ...inputs, board: { ...inputs.board, sha256: 'x' } } }],
    [/plan\.text was "95\/95" and is "90\/90"/, { plan: { ...plan, text: '90/90' } }],
    [/boots was 3 and is 4/, { boots: 4 }],
    [/seed was 1 and is 2/, { seed: 2 }],
    [/driver\.settings\.version was absent/, { driver: { ...driver, settings: { version: '9' } } }],
  ];
  for (const [message, change] of changes) {
    const never = new FakeDriver(stop);
    notes = [];
    const error = await expectCodeAsync(() => start(never, change), 'CONFIG_QA_CHANGED');
    assert.match(error.message, message);
    assert.equal(never.booted, []);
    // Nothing is left to go on with.
    assert.equal(notes, []);
  }
  await start(new FakeDriver(() => bootOf(1)), { tool: { name: 'coldseal', version: '2' } });
  assert.ok(notes.includes('the run was begun by coldseal 1, this is 2'));
});

test('records that are not of this run are refused', async () => {
  await start(new FakeDriver(() => bootOf(1000)));
  const path = join(run, RECORD_FILES.candidate);
  const good = readFileSync(path, 'utf8');
  const lines = good.trimEnd().split('\n');
  const bad: readonly [string, string][] = [
    ['not JSON', `${good}oh\n`],
    ['no record', `${good}{}\n`],
    ['one too many', `${good}${lines[2]!.replace('capture-5', 'capture-7')}\n`],
    ['one missing', `${lines.slice(1).join('\n')}\n`],
    ['one twice', `${good}${lines[2]}\n`],
    ['of the other arm', good.replace('capture-4', 'capture-3')],
    ['from elsewhere', good.replace('capture-4.log', 'dmesg.txt')],
  ];
  for (const [name, text] of bad) {
    writeFileSync(path, text);
    const never = new FakeDriver(() => bootOf(1));
    await expectCodeAsync(() => start(never), 'FORMAT_BOOT_JOURNAL', name);
    assert.equal([never.booted, readFileSync(path, 'utf8')], [[], text]);
  }
});

test('run.json that is damaged, or of another version, is refused', async () => {
  await start(new FakeDriver(() => bootOf(1000)));
  const path = join(run, 'run.json');
  const good = readFileSync(path, 'utf8');
  const bad = [
    good.slice(0, 40),
    '[]',
    good.replace('"schema": 1', '"schema": 2'),
    good.replace('cbbccb', 'cbbcc'),
    good.replace('"seed"', '"seeds"'),
  ];
  for (const text of bad) {
    writeFileSync(path, text);
    await expectCodeAsync(() => start(new FakeDriver(() => bootOf(1))), 'FORMAT_QA_RUN');
  }
});

test('a run that could not be read again is not begun', async () => {
  const { record } = prepared(new FakeDriver(() => bootOf(1)));
  const changes: Partial<RunRecord['arguments']>[] = [
    { specimen: 'two\nlines' },
    { specimen: '' },
    { board: `command:${'x'.repeat(5000)}` },
  ];
  for (const change of changes) {
    const driver = new FakeDriver(() => bootOf(1));
    const given = { arguments: { ...record.arguments, ...change } };
    await expectCodeAsync(() => start(driver, given), 'USAGE_BAD_VALUE');
    assert.equal(driver.booted, []);
  }
});

test('one run at a time, in a directory of its own', async () => {
  mkdirSync(run);
  writeFileSync(join(run, 'letters.txt'), 'dear');
  await expectCodeAsync(() => start(new FakeDriver(() => bootOf(1))), 'USAGE_OUTPUT_EXISTS');
  assert.equal(readdirSync(run), ['letters.txt']);
  // What a kill leaves before run.json has its name is no letter.
  run = join(dir.path, 'killed');
  mkdirSync(run);
  appendFileSync(join(run, '.run.json.1.tmp'), '{');
  await start(new FakeDriver(() => bootOf(1)));
  using _held = new RunJournal(run, parseSchedule('cbbccb'));
  expectCode(() => new RunJournal(run, parseSchedule('cbbccb')), 'HOST_QA_BUSY');
});

test('a record of another board or class ends the run; of another release it has failed', async () => {
  const cases: readonly [Partial<MeasuredBoot>, RegExp][] = [
    [{ board: 'another' }, /it is of board another, expected qemu-x86_64/],
    [{ evidence: 'virtual' }, /it is virtual evidence, expected board-gpio/],
  ];
  for (const [changes, message] of cases) {
    const driver = new FakeDriver(() => bootOf(1, changes));
    assert.match((await expectCodeAsync(() => start(driver), 'HOST_RIG_RECORD')).message, message);
  }
  assert.equal(recorded(), []);
  const other = { id: 'old', version: '0.9', builtAt: 7 };
  const { boots } = await start(new FakeDriver(() => bootOf(1, { release: other })));
  const [fallen] = recordsOf(boots, 'candidate');
  assert.equal([fallen!.outcome, fallen!.release], ['failed', other]);
  assert.match(fallen!.reason!, /^HOST_BOARD_OTHER_RELEASE: it booted release old, expected new$/);
  assert.is(recordsOf(boots, 'baseline')[0]!.outcome, 'booted');
});

test('the summary: failed and flagged boots have no total, and what may be over is', () => {
  const flag = { code: 'X', message: 'x', isUnusable: true };
  const clock = { name: 'c', zero: 'power-on', uncertaintyNs: 50 * MS };
  const boots = [
    bootOf(1000),
    bootOf(1990, { clock }),
    bootOf(2001),
    bootOf(10, { flags: [flag] }),
    bootOf(10, { outcome: 'failed', reason: 'no' }),
    bootOf(10, { events: [] }),
  ].map((record, index) => ({ run: index + 1, arm: 'candidate' as const, record, others: [] }));
  const summary = summarizeRun(boots, BOARD);
  const [arm] = summary.arms;
  assert.equal(arm, {
    arm: 'candidate',
    boots: 6,
    failed: 1,
    over: 5,
    total: { medianNs: 1990 * MS, p95Ns: Math.round(1999.9 * MS), maxNs: 2001 * MS },
  });
  assert.is(summary.isRepeatable, null);
  assert.equal(summaryTable(summary), [
    '           boots  failed  median ms  p95 ms  max ms  over budget',
    'candidate      6       1     1990.0  1999.9  2001.0            5',
  ]);
  const virtual = (...totals: number[]): boolean | null =>
    summarizeRun(
      totals.map((ms, index) => ({
        run: index + 1,
        arm: 'candidate' as const,
        record: bootOf(ms, { evidence: 'virtual' }),
        others: [],
      })),
      BOARD,
    ).isRepeatable;
  assert.equal(
    [virtual(1000, 1000), virtual(1000, 1004), virtual(1000, 1100)],
    [true, true, false],
  );
});

test('times for people', () => {
  const cases: readonly [number, string][] = [
    [0, '0 s'],
    [99_000, '99 s'],
    [100_000, '2 min'],
    [5_940_000, '99 min'],
    [6_000_001, '1.7 h'],
  ];
  for (const [ms, text] of cases) assert.is(roughTime(ms), text);
});

test.run();
