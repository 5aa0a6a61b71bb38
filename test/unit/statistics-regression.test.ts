/** Whether a candidate is slower than its baseline: by intervals for boards, exactly for virtual boards. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  compareExact,
  EXACT_TOLERANCE,
  type NamedDurations,
} from '../../toolchain/budget/statistics/compare-exact.ts';
import {
  judgeRegression,
  MORE_BOOTS_MAX,
  moreBootsFor,
  type RegressionInput,
  type RegressionJudgement,
  stageMarginNs,
  totalMarginNs,
} from '../../toolchain/budget/statistics/judge-regression.ts';
import { quantileDifference } from '../../toolchain/budget/statistics/quantile-difference.ts';
import { quantile } from '../../toolchain/budget/statistics/quantiles.ts';
import { seededRandom } from '../../toolchain/budget/statistics/random.ts';
import { assertNear } from '../support/near.ts';

const test = suite('statistics: regression');

const MS = 1e6;

/** Boots about 1.5 s long with a tail to the slow side, in whole nanoseconds. */
function boots(n: number, seed: string, slowerMs = 0): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: n }, () => {
    const tail = -Math.log((random.next() + 0.5) / 2 ** 32);
    return Math.round((1500 + slowerMs + 10 * tail) * MS);
  });
}

function judge(input: Partial<RegressionInput>): RegressionJudgement {
  const base = { baseline: boots(20, 'a'), candidate: boots(20, 'b') };
  return judgeRegression({ ...base, marginNs: 20 * MS, confidence: 0.95, ...input });
}

test('margins are the larger of a time and a part', () => {
  assert.is(totalMarginNs(2000 * MS), 20 * MS);
  assert.is(totalMarginNs(1999 * MS), 20 * MS);
  assert.is(totalMarginNs(3000 * MS), 30 * MS);
  assert.is(stageMarginNs(100 * MS), 5 * MS);
  assert.is(stageMarginNs(500 * MS), 15 * MS);
});

test('the outcome is where the interval lies', () => {
  const rows: readonly [slowerMs: number, outcome: RegressionJudgement['outcome']][] = [
    [-50, 'none'],
    [0, 'none'],
    [5, 'none'],
    [20, 'inconclusive'],
    [40, 'regression'],
    [400, 'regression'],
  ];
  for (const [slowerMs, outcome] of rows) {
    const found = judge({ candidate: boots(20, 'b', slowerMs) });
    assert.is(found.outcome, outcome, `${slowerMs}`);
    assert.is(found.because, outcome === 'regression' ? 'shift' : null);
    assert.is(found.moreBoots > 0, outcome === 'inconclusive');
    const { lowNs, highNs } = found.intervalNs!;
    assert.ok(lowNs <= found.estimateNs! && found.estimateNs! <= highNs);
  }
});

test('an end that lies exactly on the margin decides nothing', () => {
  const { intervalNs } = judge({});
  const onLow = judge({ marginNs: 0, candidate: boots(20, 'b', -intervalNs!.lowNs / MS) });
  const low = onLow.intervalNs!.lowNs;
  assert.ok(Math.abs(low) < 10);
  const slow = judge({ candidate: boots(20, 'b', 40) });
  const at = (marginNs: number): string =>
    judge({ marginNs, candidate: boots(20, 'b', 40) }).outcome;
  assert.is(at(slow.intervalNs!.lowNs - 1), 'regression');
  assert.is(at(slow.intervalNs!.lowNs), 'inconclusive');
  assert.is(at(slow.intervalNs!.highNs), 'inconclusive');
  assert.is(at(slow.intervalNs!.highNs + 1), 'none');
});

test('few boots cannot tell, and it is said how many could', () => {
  const rows: readonly [n: number, m: number, confidence: number, more: number, minimum: number][] =
    [
      [0, 20, 0.95, 5, 5],
      [4, 20, 0.95, 1, 5],
      [4, 4, 0.95, 1, 5],
      [20, 3, 0.95, 2, 5],
      [5, 5, 0.999, 2, 7],
      [6, 6, 0.999, 1, 7],
    ];
  for (const [n, m, confidence, more, minimum] of rows) {
    const found = judge({ baseline: boots(n, 'a'), candidate: boots(m, 'b', 400), confidence });
    assert.equal(
      [found.outcome, found.moreBoots, found.minimumBoots, found.estimateNs, found.intervalNs],
      ['cannot-tell', more, minimum, null, null],
      `${n} ${m}`,
    );
    assert.is(found.pValue, null);
  }
  assert.is(
    judge({ baseline: boots(5, 'a'), candidate: boots(5, 'b', 400) }).outcome,
    'regression',
  );
  const seven = { baseline: boots(7, 'a'), candidate: boots(7, 'b', 400), confidence: 0.999 };
  assert.is(judge(seven).outcome, 'regression');
});

test('more boots are those that take the interval off the margin', () => {
  const rows: readonly [estimate: number, low: number, high: number, more: number][] = [
    // The end is twice as far as the margin: four times the boots, 30 more than 10.
    [10, -10, 30, 30],
    [30, 10, 50, 30],
    [10, -99, 21, 5],
    [20, 10, 30, MORE_BOOTS_MAX],
    [19.9, 0, 40, MORE_BOOTS_MAX],
  ];
  for (const [estimate, low, high, more] of rows) {
    assert.is(moreBootsFor(10, estimate, { low, high }, 20), more, `${estimate}`);
  }
});

test('the tail guard finds more boots over the limit, at half of alpha', () => {
  const limitNs = 2000 * MS;
  const over = (n: number, k: number): number[] =>
    boots(n, 'b').map((ns, i) => (i < k ? limitNs + 1 : ns));
  // Of 59 boots in each arm five over have p = 0.0286, six 0.0137 (R: fisher.test).
  const five = judge({ baseline: boots(59, 'a'), candidate: over(59, 5), limitNs });
  assert.equal([five.outcome, five.because, five.tail!.isWorse], ['none', null, false]);
  assertNear(five.tail!.pValue, 0.028613898179115575, 1e-10);
  const six = judge({ baseline: boots(59, 'a'), candidate: over(59, 6), limitNs });
  assert.equal([six.outcome, six.because, six.moreBoots], ['regression', 'tail', 0]);
  assert.equal(six.tail!.exceedances, { baseline: 0, candidate: 6 });
  const better = judge({ baseline: over(59, 20), candidate: boots(59, 'b'), limitNs });
  assert.is(better.tail!.isWorse, false);
  assert.is(judge({}).tail, null);
  const exact = judge({ baseline: boots(9, 'a'), candidate: Array(9).fill(limitNs), limitNs });
  assert.is(exact.tail!.exceedances.candidate, 0);
});

test('boots that never got ready are over any limit and outside the shift', () => {
  const candidate = [...boots(53, 'b'), ...Array<number>(6).fill(Infinity)];
  const found = judge({ baseline: boots(59, 'a'), candidate, limitNs: 2000 * MS });
  assert.equal([found.outcome, found.because], ['regression', 'tail']);
  assert.equal(found.n, { baseline: 59, candidate: 53 });
  assert.equal(found.neverReady, { baseline: 0, candidate: 6 });
  const dead = judge({ candidate: Array<number>(20).fill(Infinity), limitNs: 2000 * MS });
  assert.equal([dead.outcome, dead.because, dead.shape], ['regression', 'tail', null]);
  assert.is(judge({ candidate: Array<number>(20).fill(Infinity) }).outcome, 'cannot-tell');
});

test('p95 is compared from 59 boots on, and shapes from 5 on', () => {
  assert.is(judge({ baseline: boots(58, 'a'), candidate: boots(59, 'b') }).p95, null);
  const p95 = judge({ baseline: boots(59, 'a'), candidate: boots(59, 'b', 30) }).p95!;
  assert.is(p95.differenceNs, quantile(boots(59, 'b', 30), 0.95) - quantile(boots(59, 'a'), 0.95));
  assert.ok(p95.lowNs < p95.differenceNs && p95.differenceNs < p95.highNs);
  assert.is(judge({}).shape!.isChanged, false);
  const wide = judge({ candidate: boots(20, 'b').map((ns, i) => ns + (i % 2 ? 30 : -30) * MS) });
  assert.is(wide.shape!.isChanged, true);
  // A shift has a verdict of its own, and is no second mode.
  const shifted = judge({ candidate: boots(20, 'b', 100) });
  assert.equal([shifted.outcome, shifted.shape!.isChanged], ['regression', false]);
});

test('the computed bootstrap is where a drawn one goes', () => {
  const random = seededRandom('resamples');
  const [from, to] = [boots(80, 'p'), boots(80, 'q', 5)];
  // Rank 76 of 80 is nearest to the quantile 0.95.
  const draw = (values: readonly number[]): number =>
    values.map(() => values[random.below(80)]!).sort((a, b) => a - b)[75]!;
  const drawn = Array.from({ length: 4000 }, () => draw(to) - draw(from)).sort((a, b) => a - b);
  const { low, high } = quantileDifference(from, to, 0.95, 0.95);
  const below = (limit: number): number => drawn.filter((value) => value < limit).length / 4000;
  const upTo = (limit: number): number => drawn.filter((value) => value <= limit).length / 4000;
  // 0.025 and 0.975 lie on the steps, give or take five standard deviations (0.0025).
  assert.ok(below(low) < 0.0375 && upTo(low) > 0.0125, `${below(low)} ${upTo(low)}`);
  assert.ok(below(high) < 0.9875 && upTo(high) > 0.9625, `${below(high)} ${upTo(high)}`);
  const same = quantileDifference([3], [5], 0.95, 0.95);
  assert.equal(same, { estimate: 2, low: 2, high: 2 });
});

test('a judgement carries what it takes to repeat it, and repeats', () => {
  const found = judge({ marginNs: 7 * MS });
  assert.equal([found.alpha, found.marginNs, found.n.baseline], [0.05, 7 * MS, 20]);
  assert.is(found.estimator, 'Hodges-Lehmann shift, inverted rank test');
  assert.equal(judge({ marginNs: 7 * MS }), found);
  const turned = judge({ marginNs: 7 * MS, baseline: boots(20, 'a').toReversed() });
  assert.equal(turned, found);
});

test('a slowdown of exactly the margin is called a regression at most as often as alpha', () => {
  let [alarms, allClear] = [0, 0];
  for (let run = 0; run < 400; run++) {
    const baseline = boots(15, `base ${run}`);
    const { outcome } = judge({ baseline, candidate: boots(15, `other ${run}`, 20) });
    if (outcome === 'regression') alarms++;
    if (outcome === 'none') allClear++;
  }
  // 10 of 400 at 2.5 % on each side, and four standard deviations (3.1) above.
  assert.ok(alarms <= 22 && allClear <= 22, `${alarms} ${allClear}`);
});

test('nonsense is not judged', () => {
  for (const bad of [
    { baseline: [NaN] },
    { candidate: [-1] },
    { marginNs: -1 },
    { marginNs: NaN },
    { marginNs: Infinity },
    { confidence: 95 },
    { confidence: 0.49 },
    { confidence: 1 },
  ]) {
    assert.throws(() => judge(bad), /expected/, JSON.stringify(bad));
  }
});

const run = (stages: Readonly<Record<string, number>>): NamedDurations =>
  new Map(Object.entries(stages).map(([name, ms]) => [name, ms * MS]));

test('one virtual run is enough to find 5 % of a stage of 20 ms', () => {
  const baseline = [run({ verify: 20, mount: 10, total: 1000 })];
  const slower = compareExact(
    baseline,
    [run({ verify: 21, mount: 10, total: 1001 })],
    EXACT_TOLERANCE,
  );
  assert.equal([slower.isSlower, slower.isFaster, slower.isSame], [true, false, false]);
  assert.equal(
    slower.rows.map(({ name, differenceNs, isOutside }) => [name, differenceNs / MS, isOutside]),
    [
      ['verify', 1, true],
      ['mount', 0, false],
      // Within half a percent of the total.
      ['total', 1, false],
    ],
  );
  const same = compareExact(baseline, baseline, { absoluteNs: 0, relative: 0 });
  assert.equal([same.isSlower, same.isFaster, same.isSame], [false, false, true]);
});

test('noise that an arm shows is noise, and the tolerance is not exceeded by reaching it', () => {
  const tolerance = { absoluteNs: 2 * MS, relative: 0.1 };
  type Row = [
    before: number[],
    after: number[],
    difference: number,
    tolerance: number,
    out: boolean,
  ];
  const rows: readonly Row[] = [
    [[10], [12], 2, 2, false],
    [[10], [12.000001], 2.000001, 2, true],
    [[10], [8], -2, 2, false],
    [[10], [7.999999], -2.000001, 2, true],
    [[10, 14], [16], 2, 2, false],
    [[10, 14], [17, 20], 3, 2, true],
    [[10, 14], [12, 30], 0, 2, false],
    [[14, 10], [5, 7], -3, 2, true],
    [[100], [110], 10, 10, false],
    [[100], [110.000001], 10.000001, 10, true],
    [[100, 200], [85], -15, 10, true],
    [[0], [0], 0, 2, false],
  ];
  for (const [before, after, difference, allowed, out] of rows) {
    const arm = (all: readonly number[]): NamedDurations[] => all.map((ms) => run({ a: ms }));
    const found = compareExact(arm(before), arm(after), tolerance);
    const row = found.rows[0]!;
    assert.equal(
      [Math.round(row.differenceNs), row.toleranceNs, row.isOutside],
      [Math.round(difference * MS), allowed * MS, out],
      `${before.join()} ${after.join()}`,
    );
    assert.equal([found.isSlower, found.isFaster], [out && difference > 0, out && difference < 0]);
  }
  const [row] = compareExact([run({ a: 3 }), run({ a: 2 })], [run({ a: 5 })], tolerance).rows;
  assert.equal([row!.baseline, row!.candidate.minNs], [{ minNs: 2 * MS, maxNs: 3 * MS }, 5 * MS]);
});

test('names that come, go or flicker are reported by name', () => {
  const found = compareExact(
    [run({ a: 1, old: 2 }), run({ a: 1, old: 2, sometimes: 3 })],
    [run({ fresh: 1, a: 1, sometimes: 3 })],
    EXACT_TOLERANCE,
  );
  assert.equal([found.added, found.vanished, found.unsteady], [['fresh'], ['old'], ['sometimes']]);
  assert.equal([found.isSame, found.isSlower], [false, false]);
  assert.equal(
    found.rows.map(({ name }) => name),
    ['a', 'sometimes'],
  );
  const only = compareExact([run({ a: 1 })], [run({ a: 1 }), run({})], EXACT_TOLERANCE);
  assert.equal([only.unsteady, only.isSame], [['a'], false]);
});

test('an arm without runs, and times that are none, are not compared', () => {
  const one = [run({ a: 1 })];
  assert.throws(() => compareExact([], one, EXACT_TOLERANCE), /one run/);
  assert.throws(() => compareExact(one, [], EXACT_TOLERANCE), /one run/);
  assert.throws(() => compareExact(one, [run({ a: -1 })], EXACT_TOLERANCE), /from 0 on/);
  assert.throws(() => compareExact(one, [run({ a: NaN })], EXACT_TOLERANCE), /from 0 on/);
  for (const bad of [
    { absoluteNs: -1, relative: 0 },
    { absoluteNs: 0, relative: NaN },
  ]) {
    assert.throws(() => compareExact(one, one, bad), /tolerances/);
  }
});

test.run();
