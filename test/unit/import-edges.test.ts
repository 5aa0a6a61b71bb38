/** The edges of what importers believe: times that are just times, clocks that just agree, rows that just fit. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { applyDictionary, withEvents } from '../../toolchain/budget/import/dictionary.ts';
import type { ImportedBoot } from '../../toolchain/budget/import/importer.ts';
import { mergeBoots } from '../../toolchain/budget/import/merge.ts';
import {
  boundedRows,
  firmwareFlag,
  MS,
  plausibleNs,
  sameTimeFlag,
  SECOND,
  twoBootsError,
} from '../../toolchain/budget/import/plausible.ts';
import { BOOT_NS_MAX } from '../../toolchain/budget/measured-boot.ts';
import { at, fileLog, flagWords, importOne, rows } from '../support/boot-logs.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';

const test = suite('edges of boot logs');

// --- what is plausible -----------------------------------------------------------------------------------------

const TIMES: readonly [ns: number, answer: number | string][] = [
  [0, 0],
  [0.4, 0],
  [0.5, 1],
  [BOOT_NS_MAX, BOOT_NS_MAX],
  [BOOT_NS_MAX + 1, 'FORMAT_BOOT_LOG_RANGE'],
  [2 ** 64 * 1000, 'FORMAT_BOOT_LOG_RANGE'],
  [-0.5, 'FORMAT_BOOT_LOG_NEGATIVE'],
  [-1, 'FORMAT_BOOT_LOG_NEGATIVE'],
  [Number.NaN, 'FORMAT_BOOT_LOG_RANGE'],
];
test('a time is from zero to a day', () => {
  for (const [ns, answer] of TIMES) {
    if (typeof answer === 'number') assert.is(plausibleNs(ns, 'it'), answer, `${ns}`);
    else expectCode(() => plausibleNs(ns, 'it'), answer, `${ns}`);
  }
});

test('a firmware may take what is allowed, and no nanosecond more', () => {
  assert.is(firmwareFlag(60 * SECOND, 60 * SECOND), null);
  const flag = firmwareFlag(60 * SECOND + 1, 60 * SECOND);
  assert.equal([flag!.code, flag!.isUnusable], ['BUDGET_FLAG_FIRMWARE_LONG', true]);
});

const times = (count: number, ns: number): number[] => Array<number>(count).fill(ns);
const REPEATED: readonly [times: readonly number[], isFlagged: boolean][] = [
  [times(63, 5), false],
  [times(64, 5), true],
  [[...times(63, 5), 6, ...times(63, 5)], false],
  // Before the kernel has a clock.
  [[...times(200, 0), 5], false],
  [[...times(200, 0), ...times(64, 5)], true],
  [[], false],
];
test('64 lines at one time are a clock that stands still', () => {
  REPEATED.forEach(([all, isFlagged], index) =>
    assert.is(sameTimeFlag(all) !== null, isFlagged, `row ${index}`),
  );
});

test('of many boots in one log the first eight are named', () => {
  const lines = Array.from({ length: 9 }, (_, index) => index + 1);
  assert.match(twoBootsError(lines.slice(0, 8)).message, '1, 2, 3, 4, 5, 6, 7, 8; expected one');
  assert.match(twoBootsError(lines).message, '1, 2, 3, 4, 5, 6, 7, 8, …; expected one');
});

/** A boot of a log; the changes go over it. */
function imported(change: Partial<ImportedBoot> = {}): ImportedBoot {
  return {
    evidence: 'board-selfclock',
    isEmulated: false,
    clock: { name: 'clock', zero: 'reset', uncertaintyNs: MS },
    outcome: 'booted',
    reason: null,
    stages: [],
    units: [],
    events: [],
    flags: [],
    ...change,
  };
}

const rowsOf = (count: number): ImportedBoot['stages'] =>
  Array.from({ length: count }, (_, index) => ({ name: `s${index}`, startNs: index, endNs: null }));

test('rows of a boot are those that fit, events once and in their order, and what is left is said', () => {
  const fits = boundedRows(
    imported({
      stages: rowsOf(200),
      events: [
        { name: 'late', atNs: 7 },
        { name: 'early', atNs: 5 },
        { name: 'late', atNs: 3 },
      ],
    }),
  );
  assert.equal(fits.events, [
    { name: 'early', atNs: 5 },
    { name: 'late', atNs: 7 },
  ]);
  assert.equal([fits.stages.length, fits.flags], [200, []]);
  const events = rowsOf(2003).map(({ name, startNs }) => ({ name, atNs: startNs }));
  const units = rowsOf(16_001).map((row) => ({ ...row, track: 'unit' }));
  const { stages, ...cut } = boundedRows(imported({ stages: rowsOf(202), events, units }));
  assert.equal([stages.length, cut.events.length, cut.units.length], [200, 2000, 16_000]);
  assert.match(cut.flags[0]!.message, /^6 rows are more/);
});

// --- clocks that are tied --------------------------------------------------------------------------------------

type Part = Partial<ImportedBoot>;
const events = (all: Readonly<Record<string, number>>): Part => ({
  events: Object.entries(all).map(([name, ms]) => ({ name, atNs: ms * MS })),
});
const clock = (zero: string, uncertaintyNs: number | null = 0): Part => {
  return { clock: { name: zero, zero, uncertaintyNs } };
};
const merged = (first: Part, second: Part): ImportedBoot =>
  mergeBoots([
    { format: 'one', boot: imported(first) },
    { format: 'two', boot: imported(second) },
  ]);

const AGREEMENTS: readonly [name: string, first: Part, second: Part, isRefused: boolean][] = [
  [
    'as far apart as clocks may be',
    { ...events({ kernel: 0, payload: 100 }), ...clock('a') },
    { ...events({ kernel: 0, payload: 120 }), ...clock('b') },
    false,
  ],
  [
    'a little more',
    { ...events({ kernel: 0, payload: 100 }), ...clock('a') },
    { ...events({ kernel: 0, payload: 120.001 }), ...clock('b') },
    true,
  ],
  [
    'within what both clocks may be off by',
    { ...events({ kernel: 0, payload: 100 }), ...clock('a', 3 * MS) },
    { ...events({ kernel: 0, payload: 125 }), ...clock('b', 2 * MS) },
    false,
  ],
  [
    'a clock that does not say',
    { ...events({ kernel: 0, payload: 100 }), ...clock('a', null) },
    { ...events({ kernel: 0, payload: 121 }), ...clock('b', null) },
    true,
  ],
  [
    'who runs first, where the kernel ties',
    { ...events({ kernel: 0, init: 100 }), ...clock('a') },
    { ...events({ kernel: 0, init: 900 }), ...clock('b') },
    false,
  ],
  [
    'who runs first, where it ties itself',
    { ...events({ init: 100, payload: 200 }), ...clock('a') },
    { ...events({ init: 100, payload: 300 }), ...clock('b') },
    true,
  ],
  ['names that are the same by accident', events({ login: 1 }), events({ login: 1 }), true],
];
test('clocks that are tied have to agree about everything else', () => {
  for (const [name, first, second, isRefused] of AGREEMENTS) {
    const code = codeOf(() => merged(first, second));
    assert.is(code, isRefused ? 'FORMAT_BOOT_LOG_MERGE' : 'nothing was thrown', name);
  }
});

const KERNEL = events({ kernel: 100 });
const WORSE: readonly [name: string, change: Part, of: (boot: ImportedBoot) => unknown, unknown][] =
  [
    ['an emulator', { isEmulated: true }, ({ isEmulated }) => isEmulated, true],
    [
      'a failure',
      { outcome: 'failed', reason: 'hung' },
      (boot) => [boot.outcome, boot.reason],
      ['failed', 'hung'],
    ],
    ['a clock that does not say', clock('x', null), (boot) => boot.clock.uncertaintyNs, null],
    ['a clock that may be off', clock('x', 3 * MS), (boot) => boot.clock.uncertaintyNs, 4 * MS],
    [
      'a flag',
      { flags: [{ code: 'X', message: 'x', isUnusable: true }] },
      ({ flags }) => flags.map(({ code }) => code),
      ['X'],
    ],
    [
      'a weaker class',
      { evidence: 'virtual-wallclock' },
      ({ evidence }) => evidence,
      'virtual-wallclock',
    ],
  ];
test('what is wrong with one source is wrong with both, whichever was first', () => {
  for (const [name, change, of, expected] of WORSE) {
    const worse = { ...KERNEL, ...change };
    assert.equal(of(merged(worse, KERNEL)), expected, `${name}, first`);
    assert.equal(of(merged(KERNEL, worse)), expected, `${name}, second`);
  }
  const reasons = merged(
    { ...KERNEL, outcome: 'failed', reason: 'first' },
    { ...KERNEL, outcome: 'failed', reason: 'second' },
  );
  assert.is(reasons.reason, 'first');
});

test('a board and a release are those of the source that names them, and never two boards', () => {
  const release = { id: 'ab', version: '1', builtAt: null };
  const named = { ...KERNEL, board: 'demo', release };
  for (const boot of [merged(named, KERNEL), merged(KERNEL, named), merged(named, named)]) {
    assert.equal([boot.board, boot.release], ['demo', release]);
  }
  assert.is(merged(KERNEL, KERNEL).board, undefined);
  expectCode(() => merged(named, { ...KERNEL, board: 'other' }), 'FORMAT_BOOT_LOG_MERGE');
});

test('the clock that begins earlier is that of the record, whichever was first', () => {
  const early = { ...events({ reset: 0, kernel: 100 }), ...clock('reset') };
  const late = { ...events({ kernel: 0, init: 50 }), ...clock('kernel') };
  for (const boot of [merged(early, late), merged(late, early)]) {
    assert.is(boot.clock.zero, 'reset');
    assert.equal(
      boot.events.map(({ name, atNs }) => `${name} ${atNs / MS}`),
      ['reset 0', 'kernel 100', 'init 150'],
    );
    assert.equal(
      boot.flags.map(({ code }) => code),
      ['BUDGET_FLAG_KERNEL_GAP'],
    );
  }
  // Two of the kernel, or none: nothing is between them.
  assert.equal(merged(late, late).flags, []);
  assert.equal(merged(early, early).flags, []);
});

const span = (name: string, startNs: number, endNs: number | null): ImportedBoot['stages'][0] => {
  return { name, startNs, endNs };
};
type Stages = ImportedBoot['stages'];
const STAGES: readonly [name: string, first: Stages, second: Stages, expected: readonly string[]][] = [
  ['an end that the other knows', [span('a', 1, null)], [span('a', 2, 9)], ['a 1 9']],
  ['an end before the start', [span('a', 5, null)], [span('a', 1, 4)], ['a 5 -']],
  ['an end at the start', [span('a', 5, null)], [span('a', 1, 5)], ['a 5 5']],
  ['an end of its own', [span('a', 1, 7)], [span('a', 2, 9)], ['a 1 7']],
  ['in order', [span('b', 5, 6)], [span('a', 1, 4)], ['a 1 4', 'b 5 6']],
  ['one that begins before the other is over', [span('a', 0, 5)], [span('b', 3, 9)], ['a 0 5', 'b 5 9']],
  ['one that is over before that', [span('a', 0, 9)], [span('b', 3, 5)], ['a 0 9', 'b 5 5']],
  ['one without an end', [span('a', 0, 9)], [span('b', 3, null)], ['a 0 9', 'b 9 -']],
]; // prettier-ignore
test('stages of two sources are one after the other', () => {
  for (const [name, first, second, expected] of STAGES) {
    const boot = merged({ ...KERNEL, stages: first }, { ...KERNEL, stages: second });
    const found = boot.stages.map((row) => `${row.name} ${row.startNs} ${row.endNs ?? '-'}`);
    assert.equal(found, expected, name);
  }
});

// --- kernel logs -----------------------------------------------------------------------------------------------

const stamp = (seconds: number): string => `[${seconds.toFixed(6).padStart(12)}]`;
const kernelLog = (...lines: readonly (readonly [seconds: number, text: string])[]): string =>
  [[0, 'Linux version 6.12.0'] as const, ...lines]
    .map(([seconds, text]) => `${stamp(seconds)} ${text}\n`)
    .join('');
const RUN = 'Run /init as init process';
const VERSION = 'systemd[1]: systemd 257 running in system mode';

type Lines = readonly (readonly [seconds: number, text: string])[];
type Log = readonly [name: string, lines: Lines, stages: readonly string[]];
const LOGS: readonly Log[] = [
  ['no init', [[1, 'x']], ['kernel 0 -']],
  [
    'no initrd',
    [[1, RUN], [2, VERSION]],
    ['kernel 0 1000000000', 'userspace 1000000000 -'],
  ],
  [
    'init twice: the first counts',
    [[1, RUN], [2, RUN]],
    ['kernel 0 1000000000', 'userspace 1000000000 -'],
  ],
  [
    'an initrd whose system says its version',
    [[1, RUN], [2, VERSION], [3, 'systemd[1]: Switching root.'], [4, VERSION]],
    ['kernel 0 1000000000', 'initrd 1000000000 4000000000', 'userspace 4000000000 -'],
  ],
  [
    'an initrd that is left, and a system that says nothing',
    [[1, RUN], [2, VERSION], [3, 'systemd[1]: Switching root.']],
    ['kernel 0 1000000000', 'initrd 1000000000 3000000000', 'userspace 3000000000 -'],
  ],
  [
    'an initrd that says so, and is never left',
    [[1, RUN], [2, 'systemd[1]: Running in initrd.']],
    ['kernel 0 1000000000', 'initrd 1000000000 -'],
  ],
]; // prettier-ignore
for (const [name, lines, stages] of LOGS) {
  test(`stages of a kernel log: ${name}`, () => {
    const boot = importOne(fileLog(kernelLog(...lines)));
    assert.equal(rows(boot), stages);
  });
}

test('a machine says what it is in its first lines, and others may say it later', () => {
  const dmi = 'DMI: QEMU Standard PC';
  const late = Array.from({ length: 500 }, (_, index): [number, string] => [1 + index / 1e3, 'x']);
  assert.is(importOne(fileLog(kernelLog([0.1, dmi]))).evidence, 'virtual-wallclock');
  assert.is(importOne(fileLog(kernelLog(...late, [9, dmi]))).evidence, 'board-selfclock');
});

// --- serial logs -----------------------------------------------------------------------------------------------

const relative = (...lines: readonly (readonly [seconds: number, text: string])[]): string =>
  lines.map(([seconds, text]) => `[${seconds.toFixed(6)} 0.000001] ${text}\n`).join('');

test('only a clock of the day begins anew at midnight', () => {
  const day = '[23:59:59.900] a\n[00:00:00.100] b\n[00:00:00.300] Linux version 6.12.0\n';
  assert.is(at(importOne(fileLog(day), { format: 'serial' }), 'kernel-output'), 400 * MS);
  const back = relative([50_000, 'a'], [1, 'b']);
  expectCode(() => importOne(fileLog(back), { format: 'serial' }), 'FORMAT_BOOT_LOG_CLOCK');
});

test('lines that overtake each other a little are no clock that goes back', () => {
  const log = (ms: number): string => relative([1, 'a'], [2, 'b'], [2 - ms / 1000, 'c'], [3, 'd']);
  assert.equal(flagWords(importOne(fileLog(log(10)), { format: 'serial' })), []);
  expectCode(() => importOne(fileLog(log(10.001)), { format: 'serial' }), 'FORMAT_BOOT_LOG_CLOCK');
});

test('U-Boot may have several loaders before itself, and be there once', () => {
  const spl = 'U-Boot SPL 2025.01';
  const log = relative([0, 'U-Boot TPL 2025.01'], [1, spl], [2, 'U-Boot 2025.01']);
  assert.is(at(importOne(fileLog(log), { format: 'serial' }), 'u-boot'), 2 * SECOND);
  const twice = relative([0, spl], [1, 'U-Boot 2025.01'], [2, 'U-Boot 2025.01']);
  expectCode(() => importOne(fileLog(twice), { format: 'serial' }), 'FORMAT_BOOT_LOG_TWO_BOOTS');
});

test('a kernel begins where its own clock moves, not where it still says zero', () => {
  const log = relative(
    [0, 'U-Boot 2025.01'],
    [0.1, `${stamp(0)} Linux version 6.12.0`],
    [0.5, `${stamp(0.1)} a`],
    [0.9, `${stamp(0.5)} b`],
  );
  assert.is(at(importOne(fileLog(log), { format: 'serial' }), 'kernel'), 400 * MS);
});

// --- systemd ---------------------------------------------------------------------------------------------------

const sentence = (text: string): ReturnType<typeof importOne> =>
  importOne(fileLog(`Startup finished in ${text}.\n`));

test('a sentence has minutes, and a total that its parts make', () => {
  const minutes = sentence('2.000s (kernel) + 1min 9.608s (userspace) = 1min 11.608s');
  assert.equal(rows(minutes), ['kernel 0 2000000000', 'userspace 2000000000 71608000000']);
  assert.equal(flagWords(minutes), []);
  // Each part is cut off after milliseconds, and so is the total.
  const total = (text: string): string[] =>
    flagWords(sentence(`1.000s (kernel) + 2.000s (userspace) = ${text}`));
  assert.equal(total('3.003s'), []);
  assert.equal(total('3.004s'), ['BUDGET_FLAG_TOTAL_DIFFERS!']);
  assert.equal(total('2.996s'), ['BUDGET_FLAG_TOTAL_DIFFERS!']);
});

test('a firmware that took no time is one, and one that took less is none', () => {
  const show = (firmware: number, loader: number): string =>
    `FirmwareTimestampMonotonic=${firmware}\nLoaderTimestampMonotonic=${loader}\n` +
    'UserspaceTimestampMonotonic=3\nFinishTimestampMonotonic=9\n';
  assert.equal(rows(importOne(fileLog(show(5, 5)))).slice(0, 2), ['firmware 0 0', 'loader 0 5000']);
  expectCode(() => importOne(fileLog(show(5, 6))), 'FORMAT_BOOT_LOG_NEGATIVE');
});

test('init is what runs first, and what is said first of the manager counts', () => {
  const stamps = (initrd: number): string =>
    `InitRDTimestampMonotonic=${initrd}\nUserspaceTimestampMonotonic=3\n` +
    'FinishTimestampMonotonic=9\nUserspaceTimestampMonotonic=7\n';
  const withInitrd = importOne(fileLog(stamps(2)));
  assert.equal([at(withInitrd, 'init'), at(withInitrd, 'userspace')], [2000, 3000]);
  assert.is(at(importOne(fileLog(stamps(0))), 'init'), 3000);
});

// --- logic analysers -------------------------------------------------------------------------------------------

const SALEAE = 'Time [s],D0\n0.0,1\n0.1,0\n0.2,1\n0.3,0\n0.4,1\n';

test('an event of a channel is an edge of its kind, the first or the last', () => {
  const rows = [
    ['rising', 'first', 200],
    ['falling', 'first', 100],
    ['rising', 'last', 400],
    ['falling', 'last', 300],
  ] as const;
  for (const [edge, which, ms] of rows) {
    const dictionary = { events: [{ name: 'up', channel: 'D0', edge, which }], stages: [] };
    assert.is(at(importOne(fileLog(SALEAE), { dictionary }), 'up'), ms * MS, `${which} ${edge}`);
  }
  for (const level of ['', '2', 'x']) {
    const log = SALEAE.replace('0.2,1', `0.2,${level}`);
    expectCode(() => importOne(fileLog(log)), 'FORMAT_BOOT_LOG_TRUNCATED', level);
  }
});

test('two edges of one time are two channels, and a rate of nothing is none', () => {
  assert.is(
    at(importOne(fileLog('Time [s],A,B\n0.0,0,0\n0.1,1,0\n0.1,1,1\n')), 'B rising'),
    100 * MS,
  );
  const sigrok = (rate: string): string =>
    `; CSV generated by libsigrok\n; Samplerate: ${rate}\n; Channels (1/1): D0\n0\n1\n`;
  assert.is(at(importOne(fileLog(sigrok('1 kHz'))), 'D0 rising'), MS);
  expectCode(() => importOne(fileLog(sigrok('0 Hz'))), 'FORMAT_BOOT_LOG_TRUNCATED');
});

// --- dictionaries ----------------------------------------------------------------------------------------------

test('a stage of no time, a stop at the start and an event at the zero are what they are', () => {
  const boot = imported({ ...events({ a: 5, b: 5, c: 4 }), stages: [span('x', 5 * MS, null)] });
  const names = { start: 'a', stop: 'b', zero: 'a' };
  const dictionary = { events: [], stages: [], ...names };
  const moved = applyDictionary(boot, dictionary);
  assert.equal([moved.outcome, moved.flags], ['booted', []]);
  assert.equal(moved.stages, [span('x', 0, null)]);
  assert.equal(
    moved.events.map(({ name, atNs }) => `${name} ${atNs}`),
    ['a 0', 'b 0'],
  );
  const stages = [{ name: 'none', from: 'a', to: 'b' }];
  const staged = applyDictionary(boot, { ...dictionary, zero: undefined, stages });
  assert.equal([staged.stages, staged.flags], [[span('none', 5 * MS, 5 * MS)], []]);
});

test('an event of the product stands for that of the importer with its name', () => {
  const found = [{ name: 'init', atNs: 2 }];
  const own = [
    { name: 'kernel', atNs: 0 },
    { name: 'init', atNs: 1 },
  ];
  assert.equal(withEvents(own, found), [
    { name: 'init', atNs: 2 },
    { name: 'kernel', atNs: 0 },
  ]);
});

test.run();
