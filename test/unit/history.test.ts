/** What a history makes of boots, without a database: identity, totals, series, charts, places and exports' lines. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  EVIDENCE_CLASSES,
  type MeasuredBoot,
  START_KINDS,
} from '../../toolchain/budget/measured-boot.ts';
import { totalByBoard } from '../../toolchain/history/board-total.ts';
import { csvLine } from '../../toolchain/history/csv.ts';
import { describeBoot } from '../../toolchain/history/describe-boot.ts';
import { describeSeries } from '../../toolchain/history/describe-series.ts';
import { identifyBoots } from '../../toolchain/history/identity.ts';
import { FILTER_OPTIONS, filterOf } from '../../toolchain/history/options.ts';
import { historyPlace } from '../../toolchain/history/place.ts';
import type { TimedBoot } from '../../toolchain/history/query.ts';
import { seriesOf, summaryOf, trendBuilds } from '../../toolchain/history/series.ts';
import { isAsciiOnly, textChart } from '../../toolchain/history/text-chart.ts';
import { totalInBudget } from '../../toolchain/history/total.ts';
import { describeTrend, trendOf } from '../../toolchain/history/trend.ts';
import { expectCode } from '../support/expect-code.ts';
import { bootOf, measuredBoot, releaseOf } from '../support/history-lab.ts';

const test = suite('history');

const MS = 1e6;
const BUDGET = { start: 'power-on', stop: 'containers', constants: [] };
const TOTAL = totalInBudget(BUDGET);

function timed(record: MeasuredBoot): TimedBoot {
  return { ...record, id: identifyBoots([record])[0]!.id };
}

function shuffledKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffledKeys);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).reverse();
  return Object.fromEntries(entries.map(([key, inner]) => [key, shuffledKeys(inner)]));
}

test('a record is one text, however its fields are ordered', () => {
  const record = measuredBoot({ conditions: { b: '2', a: '1' }, measuredAt: null });
  const [boot] = identifyBoots([record]);
  const [other] = identifyBoots([shuffledKeys(record) as MeasuredBoot]);
  assert.equal(other, boot);
  assert.match(boot!.text, /^\{"kind":"coldseal-measured-boot","schema":1,.*"a":"1","b":"2"/);
});

test('a record in the order of the schema is kept byte for byte', () => {
  const record = measuredBoot({ conditions: { a: '1', b: '2' } });
  assert.is(identifyBoots([record])[0]!.text, JSON.stringify(record));
});

const source = (file: string, sha256 = ''): MeasuredBoot['source'] => {
  return { format: 'virtual-boot', file, sha256 };
};
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const same = (change: Partial<MeasuredBoot>): MeasuredBoot => measuredBoot(change);

// How many boots a file of these records holds.
const COUNTED: readonly [label: string, records: MeasuredBoot[], boots: number][] = [
  ['one', [same({})], 1],
  ['twice the same, measured at one time', [same({}), same({})], 1],
  [
    'the same from two logs',
    [same({ source: source('x', A) }), same({ source: source('y', B) })],
    1,
  ],
  ['twice the same at no known time', [same({ measuredAt: null }), same({ measuredAt: null })], 2],
  [
    "twice a device's own record",
    [0, 1].map(() =>
      same({ measuredAt: null, source: { format: 'boot-record', file: 'x', sha256: '' } }),
    ),
    1,
  ],
  [
    'equal times in two logs at no known time',
    [A, B].map((sha256) => same({ measuredAt: null, source: source('x', sha256) })),
    2,
  ],
  ['another specimen', [same({ specimen: '1' }), same({ specimen: '2' })], 2],
  ['another class', [same({}), same({ evidence: 'virtual-wallclock' })], 2],
  ['none', [], 0],
];

test('which records are the same boot', () => {
  for (const [label, records, count] of COUNTED) {
    const ids = identifyBoots(records).map(({ id }) => id);
    assert.is(ids.length, count, label);
    assert.is(new Set(ids).size, count, label);
    const reversed = identifyBoots([...records].reverse()).map(({ id }) => id);
    assert.equal([...reversed].sort(), [...ids].sort(), label);
  }
});

test('a journal that grew or was renamed has the old boots in it', () => {
  const record = (file: string): MeasuredBoot => same({ measuredAt: null, source: source(file) });
  const before = identifyBoots([record('a'), record('a')]).map(({ id }) => id);
  const after = identifyBoots([record('b'), record('b'), record('b')]).map(({ id }) => id);
  assert.equal(after.slice(0, 2), before);
  assert.not.ok(before.includes(after[2]!));
});

test('logs and importers tell boots at no known time apart, and names of files do not', () => {
  const idOf = (format: string, sha256: string, file = 'x'): string =>
    identifyBoots([same({ measuredAt: null, source: { format, file, sha256 } })])[0]!.id;
  assert.is.not(idOf('serial', A), idOf('serial', B));
  assert.is.not(idOf('serial', A), idOf('systemd', A));
  assert.is(idOf('serial', A), idOf('serial', A, 'y'));
  // Which of equal boots is the second is the same in any order.
  const twins = ['x', 'y'].map((file) => same({ measuredAt: null, source: source(file) }));
  assert.equal(identifyBoots([...twins].reverse()), identifyBoots(twins));
});

test('the identifier can be checked with sha256sum', () => {
  const record = measuredBoot();
  const { source: _, ...measured } = record;
  const sum = createHash('sha256').update(JSON.stringify(measured)).digest('hex');
  assert.is(identifyBoots([record])[0]!.id, sum);
});

const flag = (isUnusable: boolean): MeasuredBoot['flags'] => [
  { code: 'X', message: 'x', isUnusable },
];
const PMIC = { name: 'PMIC', uncertaintyNs: 0, source: '-', evidence: 'vendor' };

const TOTALS: readonly [change: Partial<MeasuredBoot>, budget: object, total: number | null][] = [
  [{}, {}, 900 * MS],
  [{}, { start: 'verify:start', stop: 'verify:end' }, 30 * MS],
  [{ flags: flag(false) }, {}, 900 * MS],
  [
    {},
    { start: 'key', constants: [{ ...PMIC, from: 'key', to: 'power-on', ns: 20 * MS }] },
    920 * MS,
  ],
  [{ flags: flag(true) }, {}, null],
  [{ outcome: 'failed', reason: 'hung' }, {}, null],
  [{ events: [{ name: 'power-on', atNs: 0 }] }, {}, null],
  [{}, { start: 'containers', stop: 'power-on' }, null],
];

test('a total is between two events, and a boot that counts in no figure has none', () => {
  TOTALS.forEach(([change, budget, total], i) => {
    const boot = timed(measuredBoot(change));
    assert.is(totalInBudget({ ...BUDGET, ...budget })(boot), total, `row ${i}`);
  });
});

test('a board that is not known here has the default budget, and its name opens no file', () => {
  const total = totalByBoard({ from: undefined, to: undefined }, process.cwd());
  for (const board of ['demo-board', '../../etc/passwd', 'x.yaml', 'qemu-aarch64']) {
    assert.is(total(timed(measuredBoot({ board }))), 900 * MS, board);
  }
  const own = totalByBoard({ from: 'verify:start', to: undefined }, process.cwd());
  assert.is(own(timed(measuredBoot())), 500 * MS);
});

// Quantiles as R's quantile() and NumPy's percentile() give them by default.
const SUMMARIES: readonly [values: number[], median: number, p95: number][] = [
  [[7], 7, 7],
  [[3, 1], 2, 3],
  [[1, 2, 3, 4, 5], 3, 5],
  [Array.from({ length: 101 }, (_, i) => i), 50, 95],
  [Array.from({ length: 20 }, (_, i) => i * 10), 95, 181],
];

test('figures are of the raw totals', () => {
  for (const [values, medianNs, p95Ns] of SUMMARIES) {
    const found = summaryOf(values)!;
    const { n, maxNs } = found;
    assert.equal([found.medianNs, found.p95Ns], [medianNs, p95Ns]);
    assert.equal([n, maxNs], [values.length, Math.max(...values)]);
  }
  assert.is(summaryOf([]), null);
});

test('series are never mixed', () => {
  const records = [
    same({}),
    same({ evidence: 'board-gpio' }),
    same({ evidence: 'board-serial' }),
    same({ start: 'warm' }),
    same({ start: null }),
    same({ board: 'other' }),
    same({ conditions: { a: 'b, c=d' } }),
    same({ conditions: { a: 'b', c: 'd' } }),
  ];
  const series = seriesOf(records.map(timed), TOTAL);
  assert.is(series.length, records.length);
  for (const { builds } of series)
    assert.equal(
      builds.map(({ boots }) => boots),
      [1],
    );
});

test('series with one label are told apart in any order', () => {
  const records = [same({ conditions: { a: 'b, c=d' } }), same({ conditions: { a: 'b', c: 'd' } })];
  const order = (all: readonly MeasuredBoot[]): object[] =>
    seriesOf(all.map(timed), TOTAL).map(({ conditions }) => conditions);
  assert.equal(order([...records].reverse()), order(records));
});

test('where importers disagree about a release, the answer is the same in any order', () => {
  const release = releaseOf(1)!;
  const records = [
    same({
      release: { ...release, version: '2', builtAt: 300 },
      measuredAt: '2026-01-02T00:00:00Z',
    }),
    same({
      release: { ...release, version: '1', builtAt: 200 },
      measuredAt: '2026-01-03T00:00:00Z',
    }),
    same({
      release: { ...release, version: '3', builtAt: null },
      measuredAt: '2026-01-01T00:00:00Z',
    }),
  ];
  for (const all of [records, [...records].reverse()]) {
    const [build, ...others] = seriesOf(all.map(timed), TOTAL)[0]!.builds;
    assert.is(others.length, 0);
    assert.equal(
      [build!.release!.version, build!.builtAt, build!.firstMeasuredAt, build!.lastMeasuredAt],
      ['1', 200, '2026-01-01T00:00:00Z', '2026-01-03T00:00:00Z'],
    );
  }
  // One version that was built twice is two builds, one without an identifier is one.
  const twice = ['a', 'b'].map((id) => same({ release: { ...release, id } }));
  assert.is(seriesOf(twice.map(timed), TOTAL)[0]!.builds.length, 2);
  const unnamed = [200, 300].map((builtAt) =>
    same({ release: { id: null, version: '1', builtAt } }),
  );
  assert.is(seriesOf(unnamed.map(timed), TOTAL)[0]!.builds.length, 1);
});

test('stages of a build are in the order of the boot, whatever their names', () => {
  const stages = [
    { name: 'z', startNs: 0, endNs: 5 },
    { name: 'a', startNs: 5, endNs: 12 },
  ];
  const late = [
    { name: 'first', startNs: 0, endNs: null },
    { name: 'a', startNs: 7, endNs: 13 },
  ];
  const [series] = seriesOf([timed(same({ stages: late })), timed(same({ stages }))], TOTAL);
  // Half a nanosecond is rounded up.
  assert.equal(series!.builds[0]!.stages, [
    { name: 'z', medianNs: 5 },
    { name: 'a', medianNs: 7 },
  ]);
});

test('builds are in the order of their time, whoever added first', () => {
  const releases: readonly MeasuredBoot['release'][] = [
    { id: 'b'.repeat(64), version: '2.0', builtAt: 100 },
    { id: 'a'.repeat(64), version: '1.0', builtAt: 200 },
    { id: 'c'.repeat(64), version: '0.9', builtAt: 200 },
    // Nobody knows when these were built.
    { id: null, version: '9.0', builtAt: null },
    { id: null, version: '8.0', builtAt: null },
    null,
  ];
  const days = [null, '2026-01-03', '2026-01-04', '2026-01-01', '2026-01-02', '2026-01-05'];
  const records = releases.map((release, i) => {
    const day = days[i]!;
    return same({ release, measuredAt: day === null ? null : `${day}T00:00:00Z` });
  });
  const versions = (all: readonly MeasuredBoot[]): (string | undefined)[] =>
    seriesOf(all.map(timed), TOTAL)[0]!.builds.map(({ release }) => release?.version);
  const expected = ['2.0', '1.0', '0.9', '9.0', '8.0', undefined];
  assert.equal(versions(records), expected);
  assert.equal(versions([...records].reverse()), expected);
});

test('a build is its identifier; failed and unusable boots are counted apart', () => {
  const release = releaseOf(1)!;
  const records = [
    bootOf(100 * MS, { release, specimen: 'b' }),
    bootOf(300 * MS, { release: { ...release, builtAt: null }, specimen: 'a' }),
    bootOf(200 * MS, { release, specimen: 'a', outcome: 'failed', reason: 'hung' }),
    bootOf(1 * MS, { release, flags: flag(true) }),
  ];
  const [series] = seriesOf(records.map(timed), TOTAL);
  const [build, ...others] = series!.builds;
  assert.is(others.length, 0);
  assert.equal(
    [build!.boots, build!.failed, build!.unusable, build!.specimens, build!.builtAt],
    [4, 1, 1, ['a', 'b'], release.builtAt],
  );
  assert.equal(build!.total, {
    n: 2,
    minNs: 100 * MS,
    medianNs: 200 * MS,
    p95Ns: 290 * MS,
    maxNs: 300 * MS,
  });
  assert.equal(build!.stages, [
    { name: 'kernel', medianNs: 100 * MS },
    { name: 'verify', medianNs: 100 * MS },
  ]);
  assert.match(
    describeSeries(series!)[2]!,
    /1\.0\.1 .* 2 .* 4 .* 2 .*200\.000 .*1 failed, 1 unusable$/,
  );
});

test('rows of one stage are one figure, and a stage that did not end is none', () => {
  const stages = [
    { name: 'modules a', startNs: 0, endNs: 5 },
    { name: 'modules b', startNs: 5, endNs: 12 },
    { name: 'handover', startNs: 12, endNs: null },
  ];
  const [series] = seriesOf([timed(same({ stages }))], TOTAL);
  assert.equal(series!.builds[0]!.stages, [{ name: 'modules', medianNs: 12 }]);
});

test('a trend has the builds with a release and a total, and marks where the level changes', () => {
  const records = [
    ...Array.from({ length: 6 }, (_, i) =>
      bootOf((i < 3 ? 900 : 960) * MS + i, { release: releaseOf(i) }),
    ),
    same({ release: null }),
    same({ release: releaseOf(9), outcome: 'failed', reason: 'hung' }),
  ];
  const [series] = seriesOf(records.map(timed), TOTAL);
  assert.equal(
    trendBuilds(series!).map(({ version }) => version),
    ['1.0.0', '1.0.1', '1.0.2', '1.0.3', '1.0.4', '1.0.5'],
  );
  const seen: number[][] = [];
  const trend = trendOf(series!, (medians) => (seen.push([...medians]), [3]));
  assert.is(seen[0]!.length, 6);
  const lines = describeTrend(trend, true);
  assert.is(lines[0], 'demo-board, virtual, cold');
  assert.match(lines[5]!, /1\.0\.3 .*\+60\.000 +change$/);
  assert.is(lines.at(-1), '2 boots are in no figure: failed, unusable, or no total');
  assert.equal(lines.slice(9, -1), [
    '960.000 |   ***',
    '        |',
    '        |',
    '        |',
    '        |',
    '        |',
    '900.000 |***',
    '            ^',
  ]);
  assert.match(describeTrend(trend, false).join('\n'), /•••[^]*▲/);
});

const chartOf = (totals: readonly number[], changes: readonly number[] = []): string[] => {
  const records = totals.map((ns, i) => bootOf(ns, { release: releaseOf(i) }));
  const [series] = seriesOf(records.map(timed), TOTAL);
  return textChart(series === undefined ? [] : trendBuilds(series), { changes, isAscii: true });
};

test('a chart of many builds has a step long ago in it; of equal ones a line; of one build none', () => {
  const many = chartOf(
    Array.from({ length: 200 }, (_, i) => (i < 30 ? 100 : 200) * MS),
    [30],
  );
  // 200 builds are 67 columns of three, and build 30 begins the eleventh.
  assert.is(many[0], `200.000 |${' '.repeat(10)}${'*'.repeat(57)}`);
  assert.is(many[6], `100.000 |${'*'.repeat(10)}`);
  assert.is(many[7], `${' '.repeat(9)}${' '.repeat(10)}^`);
  assert.is(many[8], 'a column is the median of 3 builds');
  assert.is(chartOf([5 * MS, 5 * MS])[3], '      |**');
  assert.equal(chartOf([5 * MS]), []);
  assert.equal(chartOf([]), []);
});

test('a terminal that says nothing of UTF-8 gets ASCII', () => {
  const rows: readonly [env: Record<string, string>, isAscii: boolean][] = [
    [{ LANG: 'de_DE.UTF-8' }, false],
    [{ LANG: 'C.utf8' }, false],
    [{ LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, true],
    [{ LC_ALL: '', LC_CTYPE: 'C.UTF-8', LANG: 'C' }, false],
    [{ LANG: 'C.UTF-8', TERM: 'dumb' }, true],
    [{}, true],
  ];
  for (const [env, isAscii] of rows) assert.is(isAsciiOnly(env), isAscii, JSON.stringify(env));
});

test('one boot is shown with its stages and what is unknown', () => {
  const id = 'f'.repeat(64);
  const lines = describeBoot(
    id,
    measuredBoot({
      conditions: { temperature: '-30C' },
      stages: [{ name: 'kernel', startNs: 0, endNs: null }],
      events: [],
      units: [{ name: 'x', track: 'initcall', startNs: 0, endNs: 1 }],
      release: null,
      start: null,
      measuredAt: null,
      outcome: 'failed',
      reason: 'hung',
      flags: flag(true),
    }),
  );
  assert.equal(lines, [
    `boot       ${id}`,
    'board      demo-board',
    'evidence   virtual',
    'start      unknown',
    'conditions temperature=-30C',
    'release    unknown',
    'measured   at an unknown time',
    'clock      CLOCK_BOOTTIME, 0 is power-on, ± 0.000 ms',
    'outcome    failed: hung',
    'source     sample, sample.log',
    'unusable   X: x',
    '',
    'stage   start ms  end ms  took ms',
    'kernel     0.000       -        -',
    '1 units are in the record',
  ]);
});

test('cells are quoted where they must be', () => {
  assert.is(csvLine(['a', 1, null, 'b,c', 'd"e', '']), 'a,1,,"b,c","d""e",\n');
});

const PLACES: readonly [option: string | undefined, variable: string | undefined, shown: string][] =
  [
    ['x.db', 'y.db', 'x.db'],
    [undefined, 'y.db', 'y.db'],
    [undefined, '', 'boot-history.db'],
    [undefined, undefined, 'boot-history.db'],
    ['postgres://rig:secret@lab:5433/boots', undefined, 'postgres://rig@lab:5433/boots'],
    ['postgresql://lab/boots?password=secret', undefined, 'postgres://lab/boots'],
    ['postgres://rig@/boots?host=/run/pg', undefined, 'postgres://rig@/boots?host=/run/pg'],
    ['a:b', undefined, 'a:b'],
  ];

test('where the history is, and never its password', () => {
  for (const [option, variable, shown] of PLACES) {
    const place = historyPlace(option, { COLDSEAL_HISTORY: variable });
    assert.is(place.shown, shown);
  }
  for (const text of [
    'mysql://rig:secret@lab/boots',
    'libsql://secret',
    'postgres://rig:secret@lab:x/boots',
    'postgres://rig:secret@lab',
  ]) {
    const { message, hint } = expectCode(() => historyPlace(text, {}), 'USAGE_HISTORY_PLACE', text);
    assert.not.match(`${message}${hint}`, 'secret');
  }
});

test('the filters', () => {
  const none = {
    board: undefined,
    class: undefined,
    start: undefined,
    specimen: undefined,
    condition: [],
    since: undefined,
  };
  const filter = filterOf({ ...none, condition: ['a=b=c', 'd='], since: '1970-01-02' });
  assert.equal(filter.conditions, { a: 'b=c', d: '' });
  assert.is(filter.sinceMs, 86_400_000);
  assert.is(filterOf({ ...none, since: '1970-01-01T00:00:01Z' }).sinceMs, 1000);
  for (const since of ['yesterday', '2026-02-31', '2026-1-1']) {
    expectCode(() => filterOf({ ...none, since }), 'USAGE_BAD_VALUE', since);
  }
  for (const condition of ['a', '=b']) {
    expectCode(() => filterOf({ ...none, condition: [condition] }), 'USAGE_BAD_VALUE', condition);
  }
  assert.equal([...FILTER_OPTIONS.class.choices], [...EVIDENCE_CLASSES]);
  assert.equal([...FILTER_OPTIONS.start.choices], [...START_KINDS]);
});

test.run();
