/** From records of the runtime to measured boots, and from their events to the time that a budget asks for. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { EvidenceBudget } from '../../toolchain/budget/evidence.ts';
import { eventAt, stretchOf, totalOf } from '../../toolchain/budget/events.ts';
import { type BootFacts, fromBootRecord } from '../../toolchain/budget/from-boot-record.ts';
import { fromVirtualBoot } from '../../toolchain/budget/from-virtual-boot.ts';
import { MEASURED_BOOT, type MeasuredBoot, stageOf } from '../../toolchain/budget/measured-boot.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('budget events');

const MS = 1e6;
const SOURCE = { format: 'boot-record', file: 'boot.json', sha256: '' };
const FACTS: BootFacts = {
  evidence: 'board-selfclock',
  start: 'cold',
  specimen: 'no. 7',
  conditions: { temperature: '-30C' },
  measuredAt: '2026-11-25T12:00:00Z',
  uncertaintyNs: MS,
  source: SOURCE,
};

const names = (boot: MeasuredBoot): string[] => boot.events.map(({ name }) => name);
const msOf = (boot: MeasuredBoot): (string | number | null)[][] =>
  boot.stages.map(({ name, startNs, endNs }) => [
    name,
    startNs / MS,
    endNs === null ? null : endNs / MS,
  ]);

test('a record becomes rows from the counter on, and what no row covers has one of its own', () => {
  const boot = fromBootRecord(testRecord(), FACTS);
  assert.equal(msOf(boot), [
    ['before-kernel', 0, 12.5],
    ['kernel', 12.5, 792.5],
    ['setup', 792.5, 794.8],
    ['verify a', 812.5, 832.5],
    ['handover', 1002.5, 1012.5],
    ['first-output', 1012.5, 1012.5],
  ]);
  assert.equal(boot.events, [
    { name: 'reset', atNs: 0 },
    { name: 'kernel', atNs: 12.5 * MS },
    { name: 'init', atNs: 792.5 * MS },
    { name: 'started app', atNs: 955.6 * MS },
    { name: 'first-output app', atNs: 963.5 * MS },
    { name: 'containers', atNs: 963.5 * MS },
  ]);
  assert.equal(boot.units, [
    { name: 'app', track: 'container', startNs: 912.5 * MS, endNs: 963.5 * MS },
  ]);
  assert.equal([boot.clock.zero, boot.outcome, boot.specimen], ['reset', 'booted', 'no. 7']);
  assert.ok(MEASURED_BOOT.safeParse(boot).success);
});

test('a container that is heard after the handover has the row first-output', () => {
  const record = testRecord();
  const containers = [{ ...record.containers[0]!, firstOutputNs: 1030 * MS }];
  const boot = fromBootRecord({ ...record, containers }, FACTS);
  assert.equal(msOf(boot).at(-1), ['first-output', 1012.5, 1042.5]);
});

const FIRST_OUTPUT: readonly [name: string, ms: number, endMs: number | null, row: unknown][] = [
  ['with the end of the last stage', 1000, 1000, ['first-output', 1012.5, 1012.5]],
  ['before the end of the last stage', 990, 1000, ['first-output', 1012.5, 1012.5]],
  ['after a last stage that did not end', 1030, null, ['first-output', 1002.5, 1042.5]],
];
for (const [name, ms, endMs, row] of FIRST_OUTPUT) {
  test(`a container that is heard ${name}`, () => {
    const record = testRecord();
    const containers = [{ ...record.containers[0]!, firstOutputNs: ms * MS }];
    const stages = record.stages.map((stage) =>
      stage.name === 'handover' ? { ...stage, endNs: endMs === null ? null : endMs * MS } : stage,
    );
    assert.equal(msOf(fromBootRecord({ ...record, stages, containers }, FACTS)).at(-1), row);
  });
}

test('a counter that is not known leaves the zero at the kernel, and no event before it', () => {
  const clock = { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null } as const;
  const boot = fromBootRecord(testRecord({ clock }), FACTS);
  assert.is(boot.clock.zero, 'kernel');
  assert.equal(names(boot).slice(0, 2), ['kernel', 'init']);
  assert.equal(msOf(boot)[0], ['kernel', 0, 780]);
});

test('only a virtual board starts its counter with its power', () => {
  const virtual = fromBootRecord(testRecord(), { ...FACTS, evidence: 'virtual' });
  assert.equal(names(virtual).slice(0, 2), ['power-on', 'reset']);
  assert.not(names(fromBootRecord(testRecord(), FACTS)).includes('power-on'));
});

const app = testRecord().containers[0]!;
const NEVER: readonly [string, Partial<Parameters<typeof testRecord>[0]>][] = [
  [
    'a container that could not be started',
    {
      containers: [
        app,
        {
          ...app,
          name: 'second',
          startedNs: null,
          firstOutputNs: null,
          reason: { code: 'HOST_CONTAINER_START', message: 'no' },
        },
      ],
    },
  ],
  ['a recovery image', { outcome: 'recovery', slot: null }],
  ['a board that halted', { outcome: 'halt', slot: null }],
];
for (const [name, change] of NEVER) {
  test(`never gets to its containers: ${name}`, () => {
    const boot = fromBootRecord(testRecord(change), FACTS);
    assert.not(names(boot).includes('containers'));
    assert.not(boot.stages.some((stage) => stage.name === 'first-output'));
  });
}

const ENDS: readonly [string, Partial<Parameters<typeof testRecord>[0]>, number][] = [
  ['the last of two', { containers: [app, { ...app, firstOutputNs: 980 * MS }] }, 992.5],
  ['one that prints nothing', { containers: [{ ...app, firstOutputNs: null }] }, 955.6],
  ['one that starts later does not count', { containers: [{ ...app, start: 'normal' }] }, 1012.5],
  ['none: the last stage', { containers: [] }, 1012.5],
  [
    'none, and a last stage that did not end: its start',
    { containers: [], stages: [{ name: 'handover', startNs: 990 * MS, endNs: null }] },
    1002.5,
  ],
];
for (const [name, change, ms] of ENDS) {
  test(`containers are there with ${name}`, () => {
    assert.is(eventAt(fromBootRecord(testRecord(change), FACTS), 'containers'), ms * MS);
  });
}

test('the reason of a failed boot is that of its slot, or what the board did', () => {
  const attempts = [{ slot: 'a' as const, reason: { code: 'VERIFY_SIGNATURE', message: 'x' } }];
  const reasonOf = (change: object): string | null =>
    fromBootRecord(testRecord(change), FACTS).reason;
  assert.is(reasonOf({ outcome: 'halt', slot: null, attempts }), 'VERIFY_SIGNATURE');
  assert.is(reasonOf({ outcome: 'halt', slot: null, attempts: [] }), 'halt');
  assert.is(reasonOf({}), null);
});

test('what is remarkable becomes a flag, in one line', () => {
  const record = testRecord({
    attempts: [
      { slot: 'a', reason: { code: 'VERIFY_SIGNATURE', message: 'x' } },
      { slot: 'b', reason: null },
    ],
    notes: [{ code: 'HOST_CLOCK', message: 'two\nlines\u001b[0m' }],
    containers: [{ ...app, startedNs: null, reason: { code: 'HOST_NO_SPACE', message: 'x' } }],
  });
  const { flags } = fromBootRecord(record, FACTS);
  assert.equal(
    flags.map(({ code }) => code),
    ['BUDGET_FLAG_SLOT_REFUSED', 'BUDGET_FLAG_CONTAINER', 'HOST_CLOCK'],
  );
  assert.is(flags[2]!.message, 'two lines [0m');
  assert.ok(flags.every(({ isUnusable }) => !isUnusable));
});

test('a note of any length and kind becomes one line of a flag', () => {
  const rows: readonly [string, string][] = [
    ['x'.repeat(600), 'x'.repeat(512)],
    ['', '-'],
    ['\n', ' '],
  ];
  for (const [message, expected] of rows) {
    const boot = fromBootRecord(testRecord({ notes: [{ code: 'HOST_X', message }] }), FACTS);
    assert.is(boot.flags[0]!.message, expected);
    assert.ok(MEASURED_BOOT.safeParse(boot).success);
  }
});

test('what has nothing to do with the boot time is no flag', () => {
  const reason = { code: 'HOST_NO_SPACE', message: 'x' };
  const later = { ...app, name: 'later', start: 'normal' as const, startedNs: null, reason };
  assert.equal(fromBootRecord(testRecord({ containers: [app, later] }), FACTS).flags, []);
  // That a slot was refused is the reason of a boot that failed, and needs no flag beside it.
  const attempts = [{ slot: 'a' as const, reason: { code: 'VERIFY_SIGNATURE', message: 'x' } }];
  const halted = testRecord({ outcome: 'halt', slot: null, attempts });
  assert.equal(fromBootRecord(halted, FACTS).flags, []);
});

test('a virtual boot is of the board that was emulated, cold, and exact', () => {
  const release = { id: 'aa', version: '2.0' };
  const boot = {
    evidence: 'virtual',
    board: 'qemu-aarch64',
    release,
    record: testRecord(),
  } as const;
  const measured = fromVirtualBoot(boot, SOURCE);
  assert.equal([measured.board, measured.start], ['qemu-aarch64', 'cold']);
  assert.is(measured.clock.uncertaintyNs, 0);
  // What booted is what the runtime says; a fallback may have another version than the release of the directory.
  assert.is(measured.release?.version, '1.0');
  const refused = testRecord({ release: null, outcome: 'halt', slot: null });
  assert.equal(fromVirtualBoot({ ...boot, record: refused }, SOURCE).release, {
    ...release,
    builtAt: null,
  });
});

// --- totals ----------------------------------------------------------------------------------------------------

const constant = (from: string, to: string, ms: number): EvidenceBudget['constants'][number] => ({
  name: `${from} to ${to}`,
  from,
  to,
  ns: ms * MS,
  uncertaintyNs: MS,
  source: 'data sheet',
  evidence: 'vendor',
});

const boot = fromBootRecord(testRecord(), FACTS);
const kernelClock = { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null } as const;
const fromKernel = fromBootRecord(testRecord({ clock: kernelClock }), FACTS);
const PMIC = constant('power-on', 'reset', 45);
const LOADER = constant('reset', 'kernel', 400);
const PANEL = constant('containers', 'first-light', 16);

type Total = readonly [
  name: string,
  boot: MeasuredBoot,
  start: string,
  stop: string,
  constants: EvidenceBudget['constants'],
  ms: number | null,
  used: number | 'start' | 'stop',
];
const TOTALS: readonly Total[] = [
  ['both events are there', boot, 'reset', 'containers', [PMIC], 963.5, 0],
  ['edges of stages', boot, 'verify:start', 'verify:end', [], 20, 0],
  ['a constant before the clock', boot, 'power-on', 'containers', [PMIC], 1008.5, 1],
  ['two of them in a row', fromKernel, 'power-on', 'containers', [LOADER, PMIC], 1396, 2],
  ['a constant after the last event', boot, 'reset', 'first-light', [PANEL], 979.5, 1],
  ['at both ends', boot, 'power-on', 'first-light', [PMIC, PANEL], 1024.5, 2],
  ['a start that nothing leads to', boot, 'power-on', 'containers', [], null, 'start'],
  ['a chain with a gap', fromKernel, 'power-on', 'containers', [PMIC], null, 'start'],
  ['a stop that nothing leads to', boot, 'reset', 'first-light', [], null, 'stop'],
  ['neither end', boot, 'power-on', 'first-light', [], null, 'start'],
  [
    'constants that go round',
    boot,
    'x',
    'containers',
    [constant('x', 'y', 1), constant('y', 'x', 1)],
    null,
    'start',
  ],
];
for (const [name, record, start, stop, constants, ms, used] of TOTALS) {
  test(`total: ${name}`, () => {
    const total = totalOf(record, { start, stop, constants });
    assert.is(total.totalNs === null ? null : Math.round(total.totalNs) / MS, ms);
    if (typeof used === 'number') assert.is(total.constants.length, used);
    else assert.is(total.missing, used);
  });
}

test('a constant is not added to a clock that sees the time itself', () => {
  const { constants } = totalOf(boot, {
    start: 'reset',
    stop: 'containers',
    constants: [LOADER],
  });
  assert.equal(constants, []);
});

test('a stretch needs both its events, in their order', () => {
  assert.is(stretchOf(boot, 'kernel', 'init'), 780 * MS);
  assert.is(stretchOf(boot, 'init', 'kernel'), null);
  assert.is(stretchOf(boot, 'init', 'init'), 0);
  assert.is(stretchOf(boot, 'kernel', 'nothing'), null);
});

test('an edge is that of the first and the last row of a stage', () => {
  const stages = [
    { name: 'mount a', startNs: 1, endNs: 2 },
    { name: 'mount b', startNs: 3, endNs: 5 },
    { name: 'late', startNs: 6, endNs: null },
  ];
  const record = { ...boot, stages };
  assert.equal([eventAt(record, 'mount:start'), eventAt(record, 'mount:end')], [1, 5]);
  assert.equal([eventAt(record, 'late:start'), eventAt(record, 'late:end')], [6, null]);
  assert.is(eventAt(record, 'moun:start'), null);
  assert.equal(['mount a', 'mount', 'first-output'].map(stageOf), [
    'mount',
    'mount',
    'first-output',
  ]);
});

test.run();
