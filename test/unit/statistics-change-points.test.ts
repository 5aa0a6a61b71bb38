/**
 * Where a series changes: the distance by its definition, the Nile, built series, and how often noise is taken for
 * change.
 */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bestSplit,
  changePoints,
  firstBadBuild,
  SEGMENT_MIN,
  SERIES_MIN,
} from '../../toolchain/budget/statistics/change-points.ts';
import { seededRandom } from '../../toolchain/budget/statistics/random.ts';
import { assertNear } from '../support/near.ts';

const test = suite('statistics: change points');

/** The definition of Matteson and James 2014, equations 5 to 7, every pair and every end anew. */
function splitByDefinition(values: readonly number[]): { index: number; distance: number } {
  let best = { index: 0, distance: 0 };
  const mean = (a: readonly number[], b: readonly number[], pairs: number): number =>
    a.reduce((sum, x) => sum + b.reduce((inner, y) => inner + Math.abs(x - y), 0), 0) / pairs;
  for (let index = SEGMENT_MIN; index <= values.length - SEGMENT_MIN; index++) {
    for (let end = index + SEGMENT_MIN; end <= values.length; end++) {
      const [left, right] = [values.slice(0, index), values.slice(index, end)];
      const [m, n] = [left.length, right.length];
      const energy =
        2 * mean(left, right, m * n) -
        mean(left, left, m * (m - 1)) -
        mean(right, right, n * (n - 1));
      const distance = ((m * n) / (m + n)) * energy;
      if (distance > best.distance + 1e-9) best = { index, distance };
    }
  }
  return best;
}

test('the best split is that of the definition', () => {
  const value = fc.integer({ min: 0, max: 50 });
  fc.assert(
    fc.property(fc.array(value, { maxLength: 24 }), (values) => {
      const own = bestSplit(Float64Array.from(values), { start: 0, end: values.length });
      assertNear(own.distance, splitByDefinition(values).distance, 1e-9);
    }),
    { numRuns: 60 },
  );
  const step = [...Array<number>(9).fill(1), ...Array<number>(7).fill(4)];
  assert.is(splitByDefinition(step).index, 9);
  assert.is(bestSplit(Float64Array.from(step), { start: 0, end: 16 }).index, 9);
  // Within its segment, counted from the series's beginning.
  const longer = Float64Array.from([50, 60, 70, ...step, 99, 99]);
  assert.is(bestSplit(longer, { start: 3, end: 19 }).index, 12);
});

/**
 * Yearly flow of the Nile at Aswan from 1871 to 1970, R's data set Nile. Cobb, "The Problem of the Nile" (Biometrika
 * 65, 1978), puts its one change after 1898.
 */
const NILE = [
  1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
  799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701,
  916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862,
  698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812,
  742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906,
  901, 1170, 912, 746, 919, 718, 714, 740,
];

test('the Nile changed after 1898, whatever the seed', () => {
  for (const seed of [1, 2, 3, 'nile']) {
    const found = changePoints(NILE, { seed });
    assert.equal(
      found.map(({ index }) => 1871 + index),
      [1899],
    );
    assert.equal(
      [found[0]!.beforeMedian, found[0]!.afterMedian, found[0]!.pValue],
      [1130, 842.5, 0.005],
    );
  }
});

test('the year of the Nile is found as a range of builds', () => {
  // A low flow stands for a slow boot.
  const series = NILE.map((flow, i) => ({ build: `${1871 + i}`, value: -flow }));
  const found = firstBadBuild(series, { seed: 1 })!;
  assert.is(found.likely, '1899');
  assert.ok(Number(found.lastGood) < 1899 && Number(found.lastGood) >= 1890, found.lastGood);
  assert.ok(Number(found.firstBad) >= 1899 && Number(found.firstBad) <= 1906, found.firstBad);
  assert.equal(firstBadBuild(series, { seed: 1, margin: 287 }), found);
  assert.is(firstBadBuild(series, { seed: 1, margin: 287.5 }), undefined);
  const faster = series.map(({ build, value }) => ({ build, value: -value }));
  assert.is(firstBadBuild(faster, { seed: 1 }), undefined);
});

/** Levels with noise of one unit about them. */
function levels(seed: string, ...parts: readonly [count: number, level: number][]): number[] {
  const random = seededRandom(seed);
  return parts.flatMap(([count, level]) =>
    Array.from({ length: count }, () => level + (random.below(2001) - 1000) / 1000),
  );
}

test('known changes are found where they are', () => {
  const rows: readonly [name: string, parts: [number, number][], expected: number[]][] = [
    [
      'a step',
      [
        [20, 100],
        [20, 110],
      ],
      [20],
    ],
    [
      'down',
      [
        [20, 110],
        [20, 100],
      ],
      [20],
    ],
    [
      'two steps',
      [
        [15, 100],
        [15, 110],
        [15, 130],
      ],
      [15, 30],
    ],
    [
      'a bump',
      [
        [20, 100],
        [8, 110],
        [20, 100],
      ],
      [20, 28],
    ],
    [
      'at the least lengths',
      [
        [5, 100],
        [5, 120],
      ],
      [5],
    ],
    ['none', [[40, 100]], []],
  ];
  for (const [name, parts, expected] of rows) {
    const series = levels(name, ...parts);
    const found = changePoints(series, { seed: 5 });
    assert.equal(
      found.map(({ index }) => index),
      expected,
      name,
    );
    found.forEach(({ beforeMedian, afterMedian, pValue }, i) => {
      assert.ok(Math.abs(beforeMedian - parts[i]![1]) < 1, name);
      assert.ok(Math.abs(afterMedian - parts[i + 1]![1]) < 1, name);
      assert.ok(pValue <= 0.05);
    });
  }
});

test('short and constant series have no change, and odd values are refused', () => {
  const step = levels('short', [5, 0], [5, 100]);
  assert.is(SERIES_MIN, 10);
  assert.is(changePoints(step, { seed: 1 }).length, 1);
  for (const n of [0, 1, 9]) assert.equal(changePoints(step.slice(0, n), { seed: 1 }), []);
  // The second of ten values is where one of two points used to be declared: nothing before index 5.
  assert.equal(changePoints([1, 90, ...Array<number>(8).fill(90)], { seed: 1 }), []);
  assert.equal(changePoints(Array<number>(30).fill(7), { seed: 1 }), []);
  for (const bad of [NaN, Infinity]) {
    assert.throws(() => changePoints([...step, bad], { seed: 1 }), /finite/);
  }
});

test('the same seed gives the same answer, and p values have their least', () => {
  const series = levels('again', [20, 100], [20, 101]);
  assert.equal(changePoints(series, { seed: 9 }), changePoints(series, { seed: 9 }));
  const clear = levels('clear', [20, 100], [20, 200]);
  assert.is(changePoints(clear, { seed: 1 })[0]!.pValue, 1 / 200);
  assert.is(changePoints(clear, { seed: 1, permutations: 19 })[0]!.pValue, 1 / 20);
  // Eighteen permutations cannot reach 0.05.
  assert.equal(changePoints(clear, { seed: 1, permutations: 18 }), []);
  assert.equal(changePoints(clear, { seed: 1, significance: 0.004 }), []);
});

test('noise is taken for a change about as seldom as the significance says', () => {
  let alarms = 0;
  for (let run = 0; run < 300; run++) {
    const random = seededRandom(`noise ${run}`);
    const skewed = (): number => -Math.log((random.next() + 0.5) / 2 ** 32);
    const series = Array.from({ length: 20 }, skewed);
    if (changePoints(series, { seed: run, permutations: 99 }).length > 0) alarms++;
  }
  // 15 of 300, and four standard deviations (3.8) on either side.
  assert.ok(alarms >= 1 && alarms <= 30, `${alarms}`);
});

test('the first bad build is of the last slowdown that was not taken back', () => {
  const named = (values: readonly number[]): { build: string; value: number }[] =>
    values.map((value, i) => ({ build: `b${i}`, value }));
  const rows: readonly [name: string, parts: [number, number][], range: string | undefined][] = [
    [
      'a step',
      [
        [12, 100],
        [12, 150],
      ],
      'b11 b12',
    ],
    [
      'two steps',
      [
        [12, 100],
        [12, 150],
        [12, 200],
      ],
      'b23 b24',
    ],
    [
      'taken back',
      [
        [12, 100],
        [12, 150],
        [12, 100],
      ],
      undefined,
    ],
    [
      'faster then slower',
      [
        [12, 100],
        [12, 50],
        [12, 90],
      ],
      'b23 b24',
    ],
    [
      'a small step after it',
      [
        [12, 100],
        [12, 150],
        [12, 160],
      ],
      'b11 b12',
    ],
    ['nothing', [[30, 100]], undefined],
  ];
  for (const [name, parts, range] of rows) {
    const found = firstBadBuild(named(levels(name, ...parts)), { seed: 3, margin: 20 });
    assert.is(found && `${found.lastGood} ${found.firstBad}`, range, name);
    assert.is(found?.likely, range?.split(' ')[1], name);
  }
  assert.is(firstBadBuild([], { seed: 1 }), undefined);
});

test('where the noise is large the range of builds is wide and holds the true one', () => {
  let held = 0;
  let wide = 0;
  for (let run = 0; run < 60; run++) {
    const values = levels(`vague ${run}`, [20, 100], [20, 101.5]);
    const series = values.map((value, i) => ({ build: `${i}`, value }));
    const found = firstBadBuild(series, { seed: run });
    if (found === undefined) continue;
    if (Number(found.lastGood) < 20 && Number(found.firstBad) >= 20) held++;
    if (Number(found.firstBad) - Number(found.lastGood) > 1) wide++;
  }
  assert.ok(held >= 50 && wide >= 30, `${held} ${wide}`);
});

test.run();
