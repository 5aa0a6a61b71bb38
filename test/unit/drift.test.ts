/** Builds of a history as a series, whether its level changed, and what is said of it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildsOf } from '../../toolchain/budget/builds.ts';
import { driftCheck } from '../../toolchain/budget/checks.ts';
import { driftOf } from '../../toolchain/budget/drift.ts';
import type { EvidenceBuild } from '../../toolchain/budget/evidence.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { BUDGET, SETTINGS } from '../support/judged.ts';
import { type BootChange, measuredBoot, MS } from '../support/measured-boots.ts';

const test = suite('drift');

// --- builds ----------------------------------------------------------------------------------------------------

/** Milliseconds of a boot of `measuredBoot`. */
const USUAL = 555.6;

function bootOf(
  release: MeasuredBoot['release'],
  measuredAt: string | null = null,
  change: BootChange = {},
): MeasuredBoot {
  return measuredBoot({ release, measuredAt, ...change });
}

const idsOf = (builds: readonly EvidenceBuild[]): string[] =>
  builds.map(({ id, version }) => `${version} ${id ?? '-'}`);

const day = (number: number): string => `2026-10-0${number}T12:00:00Z`;

test('builds stand by when they were built, then first measured, then by version and identifier', () => {
  const boots = [
    bootOf({ id: 'a', version: '9', builtAt: null }, day(2)),
    bootOf({ id: 'a', version: '8', builtAt: null }, day(3)),
    // First measured before the one above, and second after it.
    bootOf({ id: 'a', version: '7', builtAt: null }, day(4)),
    bootOf({ id: 'a', version: '7', builtAt: null }, day(1)),
    bootOf({ id: 'b', version: '6', builtAt: 200 }, day(9)),
    bootOf({ id: 'b', version: '10', builtAt: 200 }, day(8)),
    bootOf({ id: 'd', version: '5', builtAt: 300 }, day(5)),
    bootOf({ id: 'c', version: '5', builtAt: 300 }, day(5)),
    bootOf({ id: null, version: '5', builtAt: 300 }, day(5)),
    bootOf({ id: 'c', version: '4', builtAt: 300 }, day(5)),
    // Nobody knows when: before those that say it.
    bootOf({ id: 'e', version: '3', builtAt: 300 }),
    bootOf({ id: 'f', version: '2', builtAt: 100 }, day(9)),
    bootOf({ id: 'g', version: '1', builtAt: 0 }, day(9)),
  ];
  const expected = [
    '1 g',
    '2 f',
    '10 b',
    '6 b',
    '3 e',
    '4 c',
    '5 -',
    '5 c',
    '5 d',
    '7 a',
    '9 a',
    '8 a',
  ];
  assert.equal(idsOf(buildsOf(boots, BUDGET)), expected);
  assert.equal(idsOf(buildsOf(boots.toReversed(), BUDGET)), expected);
});

test('a build has the figures of its boots; who does not say, or never ended, has no point', () => {
  const release = { id: 'a', version: '1', builtAt: 1 };
  const boots = [
    bootOf(release),
    bootOf(release, null, { stageMs: { kernel: 370 } }),
    bootOf(release, null, { stageMs: { kernel: 360 } }),
    bootOf(release, null, { isCut: true }),
    bootOf({ ...release, version: '2' }, null, { isCut: true }),
    bootOf(null),
  ];
  const [build, ...others] = buildsOf(boots, { ...BUDGET, stages: [{ name: 'none', ns: 1 }] });
  assert.is(others.length, 0);
  const { stages, ...figures } = build!;
  assert.equal(figures, {
    id: 'a',
    version: '1',
    builtAt: 1,
    boots: 3,
    medianNs: (USUAL + 10) * MS,
    p95Ns: (USUAL + 19) * MS,
    maxNs: (USUAL + 20) * MS,
  });
  assert.equal(
    stages.slice(0, 3).map(({ name, medianNs }) => [name, medianNs / MS]),
    [
      ['before-kernel', 130],
      // The one that was cut has a kernel, too.
      ['kernel', 355],
      ['setup', 2.6],
    ],
  );
  assert.not(stages.some(({ name }) => name === 'none'));
  assert.equal(buildsOf([], BUDGET), []);
});

// --- drift -----------------------------------------------------------------------------------------------------

/** Builds with medians in milliseconds, and the distance of their 95th percentiles. */
function series(medians: readonly number[], tails: readonly number[] = []): EvidenceBuild[] {
  return medians.map((ms, index) => {
    // A spread that is no trend: 7919 is a prime.
    const medianNs = (ms + ((index * 7919) % 11) / 10) * MS;
    const p95Ns = medianNs + (tails[index] ?? 5) * MS;
    return {
      id: null,
      version: `1.${index}`,
      builtAt: index,
      boots: 20,
      medianNs,
      p95Ns,
      maxNs: p95Ns,
      stages: [],
    };
  });
}

const times = (count: number, ms: number): number[] => Array<number>(count).fill(ms);

type Row = readonly [
  name: string,
  builds: readonly EvidenceBuild[],
  state: 'drift' | 'none' | 'not-enough',
  check: 'noted' | 'pass' | 'not-evaluated',
  sentence: RegExp,
];

/** The margin is 20 ms. */
const ROWS: readonly Row[] = [
  ['no builds', [], 'not-enough', 'not-evaluated', /^0 builds; a change of level needs at least/],
  [
    'nine builds and a step of a second',
    series([...times(4, 500), ...times(5, 1500)]),
    'not-enough',
    'not-evaluated',
    /^9 builds; .* at least ten$/,
  ],
  [
    'ten builds and a step',
    series([...times(5, 500), ...times(5, 1500)]),
    'drift',
    'noted',
    /^the median went from 500\.\d ms to 1500\.\d ms; first bad build: 1\.5$/,
  ],
  ['one level', series(times(20, 500)), 'none', 'pass', /^one level over 20 builds$/],
  [
    'a step for the better',
    series([...times(10, 560), ...times(10, 500)]),
    'none',
    'pass',
    /^the last change over 20 builds is no slowdown .*: the .* from 56\d\.\d ms to 50\d\.\d ms with 1\.10$/,
  ],
  [
    'a step within the margin',
    series([...times(10, 500), ...times(10, 515)]),
    'none',
    'pass',
    /is no slowdown beyond the margin: the .* went from 50\d\.\d ms to 5[12]\d\.\d ms with 1\.10$/,
  ],
  [
    'a step of a little more than the margin',
    series([...times(10, 500), ...times(10, 523)]),
    'drift',
    'noted',
    /first bad build: 1\.10$/,
  ],
  [
    'a slowdown that was taken back',
    series([...times(10, 500), ...times(10, 600), ...times(10, 500)]),
    'none',
    'pass',
    /is no slowdown beyond the margin: the .* went from 60\d\.\d ms to 50\d\.\d ms with 1\.20$/,
  ],
  [
    'a tail that grows under a median that stays',
    series(times(20, 500), [...times(10, 5), ...times(10, 80)]),
    'drift',
    'noted',
    /^the 95th percentile went from 505\.\d ms to 580\.\d ms; first bad build: 1\.10$/,
  ],
  [
    // What is said has to be of the change that is bad, not of the last one.
    'a slowdown, and a change within the margin after it',
    series([...times(10, 500), ...times(10, 600), ...times(10, 605)]),
    'drift',
    'noted',
    /^the median went from 50\d\.\d ms to 60\d\.\d ms; first bad build: 1\.10$/,
  ],
  [
    'a slowdown, and a tail that shrinks after it',
    series([...times(10, 500), ...times(20, 600)], [...times(20, 300), ...times(10, 5)]),
    'drift',
    'noted',
    /^the median went from 50\d\.\d ms to 60\d\.\d ms; first bad build: 1\.10$/,
  ],
  [
    'a build that is faster, and a later one that is slower',
    series([...times(10, 600), ...times(10, 500), ...times(10, 580)]),
    'drift',
    'noted',
    /^the median went from 50\d\.\d ms to 58\d\.\d ms; first bad build: 1\.20$/,
  ],
  [
    'a build with a median within the margin and a tail beyond it',
    series([...times(10, 500), ...times(10, 510)], [...times(10, 5), ...times(10, 60)]),
    'drift',
    'noted',
    /^the 95th percentile went from 50\d\.\d ms to 57\d\.\d ms; first bad build: 1\.10$/,
  ],
];

for (const [name, builds, state, answer, sentence] of ROWS) {
  test(`drift: ${name}`, () => {
    const drift = driftOf(builds, SETTINGS);
    assert.is(drift.state, state);
    assert.is(drift.firstBad === null, state !== 'drift');
    const check = driftCheck(drift, builds);
    assert.equal([check.id, check.group, check.kind, check.code], ['drift', null, 'drift', null]);
    assert.is(check.state, answer);
    assert.match(check.sentence, sentence);
    assert.is(check.figures[0]!.value, builds.length);
    assert.equal(
      drift.changes.map(({ at }) => at),
      drift.changes.map(({ at }) => at).sort((a, b) => a - b),
    );
  });
}

test('the margin, the seed and the significance are those of the settings', () => {
  const builds = series([...times(10, 500), ...times(10, 523)]);
  const withMargin = (ms: number): string =>
    driftOf(builds, { ...SETTINGS, totalMarginNs: ms * MS }).state;
  assert.equal([22, 24].map(withMargin), ['drift', 'none']);
  // 199 permutations cannot give less than a two-hundredth.
  assert.equal(driftOf(builds, { ...SETTINGS, alpha: 0.001 }).changes, []);
  // A change that noise nearly hides is found with other chances by other seeds, and the same by the same.
  const faint = series(times(20, 500)).map((build, index) => {
    const medianNs = build.medianNs + (index < 10 ? 0 : 0.6 * MS);
    return { ...build, medianNs };
  });
  const chances = [1, 1, 2, 3].map((seed) =>
    driftOf(faint, { ...SETTINGS, seed, alpha: 0.5 }).changes.map(({ p }) => p),
  );
  assert.equal(chances[0], chances[1]);
  assert.ok(chances.slice(2).some((each) => each.join() !== chances[0]!.join()));
});

test('a first bad build that may be one of several is a range', () => {
  const builds = series(times(10, 500));
  const change = { at: 5, of: 'median', beforeNs: 1, afterNs: 2, p: 0.01 } as const;
  const firstBad = { from: 4, to: 6, change: 0 };
  const { sentence } = driftCheck({ state: 'drift', changes: [change], firstBad }, builds);
  assert.match(sentence, /first bad build: 1\.4 to 1\.6$/);
});

test.run();
