/**
 * Rank test, shift, Fisher's, Kolmogorov's and Smirnov's tests and adjusted p values, against published examples and R.
 *
 * Numbers marked R are from R 4.2.2 (Debian 12's r-base-core), printed with `options(digits = 17)` by the call beside.
 */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fisherExact } from '../../toolchain/budget/statistics/fisher.ts';
import {
  kolmogorovSmirnov,
  limitingP,
} from '../../toolchain/budget/statistics/kolmogorov-smirnov.ts';
import { benjaminiHochberg, holm } from '../../toolchain/budget/statistics/multiplicity.ts';
import { median } from '../../toolchain/budget/statistics/quantiles.ts';
import { seededRandom } from '../../toolchain/budget/statistics/random.ts';
import { intervalRank, mannWhitney } from '../../toolchain/budget/statistics/ranks.ts';
import { shiftOf } from '../../toolchain/budget/statistics/shift.ts';
import { assertNear } from '../support/near.ts';

const test = suite('statistics: two samples');

// Hollander and Wolfe, "Nonparametric Statistical Methods" (1973), page 69: permeability of the human chorioamnion at
// term (x) and at 12 to 26 weeks (y); the example of R's wilcox.test, which gives W = 35, p = 0.1272 one-sided.
const TERM = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
const EARLIER = [1.15, 0.88, 0.9, 0.74, 1.21];

// Ozone in New York in May and August 1973 (R's airquality): many ties. R's example: W = 127.5, p = 0.0001208.
const MAY = [
  41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115,
  37,
];
const AUGUST = [
  39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118,
  84, 85,
];

const I60 = Array.from({ length: 60 }, (_, i) => (((i + 1) * 37) % 101) + (i + 1) / 1000);
const J70 = Array.from({ length: 70 }, (_, i) => (((i + 1) * 53) % 103) + 5 + (i + 1) / 997);

test('Mann and Whitney agree with Hollander and Wolfe, and with R', () => {
  const exact = mannWhitney(EARLIER, TERM);
  assert.equal([exact.u, exact.method], [35, 'exact']);
  // R: wilcox.test(x, y, alternative = "greater"), "less", "two.sided"
  assertNear(exact.pGreater, 0.1272061272061272);
  assertNear(exact.pLess, 0.8967698967698967);
  assertNear(exact.pTwoSided, 0.2544122544122544);
  // R: wilcox.test(aug, may, exact = FALSE, alternative = ...): ties and continuity corrected.
  const tied = mannWhitney(MAY, AUGUST);
  assert.equal([tied.u, tied.method], [26 * 26 - 127.5, 'normal']);
  assertNear(tied.pGreater, 6.040391538438721e-5);
  assertNear(tied.pLess, 0.9999439498752809);
  assertNear(tied.pTwoSided, 0.00012080783076877442);
  // R: wilcox.test(j, i, exact = FALSE)
  const large = mannWhitney(I60, J70);
  assert.equal([large.u, large.method], [2297, 'normal']);
  assertNear(large.pTwoSided, 0.35878463095623481);
});

test('the exact distribution is that of R, up to its limit', () => {
  // R: wilcox.test(j[1:45], i[1:40], exact = TRUE)
  const found = mannWhitney(I60.slice(0, 40), J70.slice(0, 45));
  assert.equal([found.u, found.method], [908, 'exact']);
  assertNear(found.pTwoSided, 0.94763178532759407);
  // 50 by 50 pairs are counted, one more is not; a tie is never counted.
  const up = (n: number, from: number): number[] => Array.from({ length: n }, (_, i) => from + i);
  assert.is(mannWhitney(up(50, 0), up(50, 0.5)).method, 'exact');
  assert.is(mannWhitney(up(50, 0), up(51, 0.5)).method, 'normal');
  assert.is(mannWhitney([1, 2, 3], [3, 4, 5]).method, 'normal');
  // Of five against five in full order: 1 of 252 arrangements on each side.
  assertNear(mannWhitney(up(5, 0), up(5, 10)).pTwoSided, 2 / 252);
  assertNear(mannWhitney(up(3, 0), up(3, 10)).pTwoSided, 0.1);
  assertNear(mannWhitney(up(4, 0), up(4, 10)).pTwoSided, 2 / 70);
});

test('all values tied say nothing, and boots that never got ready are the slowest', () => {
  assert.equal(mannWhitney([5, 5, 5], [5, 5]), {
    u: 3,
    method: 'normal',
    pGreater: 1,
    pLess: 1,
    pTwoSided: 1,
  });
  assert.is(mannWhitney([1, 2, 3], [4, Infinity, 5]).u, 9);
  assert.is(mannWhitney([Infinity], [Infinity]).u, 0.5);
  for (const bad of [[], [NaN]]) assert.throws(() => mannWhitney(bad, [1]), /expected/);
});

test('the interval begins at the rank that R gives', () => {
  // R: qwilcox(tail, m, n)
  const rows: readonly [m: number, n: number, tail: number, rank: number][] = [
    [5, 5, 0.025, 3],
    [10, 10, 0.005, 17],
    [50, 50, 0.025, 966],
    [8, 312, 0.025, 744],
  ];
  for (const [m, n, tail, rank] of rows) assert.is(intervalRank(m, n, tail), rank, `${m} ${n}`);
  // Beyond the exact ones the normal rank is at most a thousandth lower, so the interval is a little longer.
  const large: readonly [m: number, n: number, tail: number, exact: number][] = [
    [51, 50, 0.025, 987],
    [60, 70, 0.025, 1681],
    [100, 100, 0.005, 3949],
    [300, 300, 0.025, 40_840],
  ];
  for (const [m, n, tail, exact] of large) {
    const rank = intervalRank(m, n, tail)!;
    assert.ok(rank <= exact && rank >= exact - Math.ceil(exact / 1000), `${m} ${n}: ${rank}`);
  }
  // Of 3 by 3 the least tail is 1/20, of 4 by 4 it is 1/70.
  assert.is(intervalRank(3, 3, 0.025), undefined);
  assert.is(intervalRank(3, 3, 0.05), 1);
  assert.is(intervalRank(4, 4, 0.025), 1);
  assert.is(intervalRank(1, 3000, 0.0001), undefined);
});

test('Hodges and Lehmann agree with Hollander and Wolfe, and with R', () => {
  // R: wilcox.test(x, y, conf.int = TRUE)
  const found = shiftOf(EARLIER, TERM, 0.95);
  assertNear(found.estimate, 0.305);
  assertNear(found.interval!.low, -0.15);
  assertNear(found.interval!.high, 0.76);
  // R: wilcox.test(j[1:45], i[1:40], conf.int = TRUE, exact = TRUE, conf.level = 0.9)
  const ninety = shiftOf(I60.slice(0, 40), J70.slice(0, 45), 0.9);
  assertNear(ninety.estimate, 0.49555265797392067);
  assertNear(ninety.interval!.low, -10.99388565697025);
  assertNear(ninety.interval!.high, 11.026132397191574);
  // R: d <- sort(outer(j, i, "-")); median(d), d[1680], d[4201 - 1680]; 1680 is the normal rank, 1681 the exact one.
  const large = shiftOf(I60, J70, 0.95);
  assertNear(large.estimate, 4.994105315947845);
  assertNear(large.interval!.low, -5.988921765295885);
  assertNear(large.interval!.high, 15.97705115346038);
  // R: d <- sort(outer(aug, may, "-")); q <- qwilcox(0.025, 26, 26); median(d), d[q], d[677 - q]
  assert.equal(shiftOf(MAY, AUGUST, 0.95), { estimate: 32, interval: { low: 15, high: 53 } });
  assert.is(shiftOf([1, 2, 3], [4, 5, 6], 0.95).interval, null);
  assert.throws(() => shiftOf([1, Infinity], [1], 0.95), /finite/);
  assert.throws(() => shiftOf([], [1], 0.95), /at least one/);
});

const ns = fc.integer({ min: 0, max: 4000 });
const arm = fc.array(ns, { minLength: 1, maxLength: 40 });

test('the shift is the median of all pair differences, and its ends are two of them', () => {
  fc.assert(
    fc.property(arm, arm, (from, to) => {
      const all = to.flatMap((b) => from.map((a) => b - a)).sort((a, b) => a - b);
      const { estimate, interval } = shiftOf(from, to, 0.95);
      assert.is(estimate, median(all));
      const rank = intervalRank(to.length, from.length, 0.025);
      const ends = rank === undefined ? null : { low: all[rank - 1], high: all.at(-rank) };
      assert.ok(interval === null ? ends === null : interval.low === ends!.low);
      assert.ok(interval === null || interval.high === ends!.high);
    }),
  );
});

test('fractions, negative and huge values are selected exactly too', () => {
  const value = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  const values = fc.array(value, { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(values, values, (from, to) => {
      const all = to.flatMap((b) => from.map((a) => b - a));
      const { estimate } = shiftOf(from, to, 0.95);
      // Of an even number the mean of the middle two may cancel to the last digits of 10^12.
      const tolerance = all.length % 2 === 1 ? 0 : 1e-3;
      assert.ok(Math.abs(estimate - median(all)) <= tolerance);
    }),
  );
});

test('the shift moves with the candidate, turns with the arms, and ignores order', () => {
  fc.assert(
    fc.property(arm, arm, fc.integer({ min: -3000, max: 3000 }), (from, to, by) => {
      const { estimate, interval } = shiftOf(from, to, 0.9);
      const moved = shiftOf(
        from,
        to.map((value) => value + by),
        0.9,
      );
      assert.is(moved.estimate, estimate + by);
      assert.is(moved.interval?.low, interval === null ? undefined : interval.low + by);
      const turned = shiftOf(to, from, 0.9);
      assert.is(turned.estimate + estimate, 0);
      assert.is((turned.interval?.low ?? 0) + (interval?.high ?? 0), 0);
      assert.equal(shiftOf(from.toReversed(), to.toReversed(), 0.9), { estimate, interval });
      assert.is(mannWhitney(from, to).u + mannWhitney(to, from).u, from.length * to.length);
      assertNear(mannWhitney(from, to).pLess, mannWhitney(to, from).pGreater);
    }),
  );
});

/** Values with a long tail to the slow side, like boots. */
function skewed(seed: string): () => number {
  const random = seededRandom(seed);
  return () => -Math.log((random.next() + 0.5) / 2 ** 32);
}

test('the interval holds the true shift as often as it says, also of 5 and 10 skewed boots', () => {
  for (const n of [5, 10, 20, 60]) {
    const draw = skewed(`coverage of ${n}`);
    let held = 0;
    for (let run = 0; run < 400; run++) {
      const from = Array.from({ length: n }, draw);
      const to = Array.from({ length: n }, () => draw() + 3);
      const { low, high } = shiftOf(from, to, 0.95).interval!;
      if (low <= 3 && high >= 3) held++;
    }
    // 380 of 400, and three standard deviations (4.4) below.
    assert.ok(held >= 367, `${n}: ${held}`);
  }
});

test('10,000 boots in each arm need no 10^8 differences', () => {
  const draw = skewed('many');
  const from = Array.from({ length: 10_000 }, () => Math.round(1e9 + 1e8 * draw()));
  const { estimate, interval } = shiftOf(
    from,
    from.map((value) => value + 12_345_678),
    0.95,
  );
  assert.is(estimate, 12_345_678);
  assert.ok(interval!.low < estimate && interval!.high > estimate);
});

test('Fisher agrees with the tea tasting, with Fisher 1962, and with R', () => {
  type Row = [table: [number, number, number, number], more: number, fewer: number, both: number];
  // R: fisher.test(matrix(c(a, c, b, d), 2), alternative = "greater"), "less", "two.sided"
  const rows: readonly Row[] = [
    // "The Design of Experiments" (1935): published as 0.2429 and 0.4857.
    [[3, 1, 1, 3], 0.24285714285714288, 0.98571428571428577, 0.48571428571428582],
    // Convictions of twins, Fisher 1962: published as 0.0004652 and 0.0005367.
    [[2, 10, 15, 3], 0.99998451901868612, 0.00046518094336290585, 0.00053672411914343593],
    [[7, 117, 0, 124], 0.0071617790916036527, 1, 0.0143235581832073192],
    [[5, 54, 0, 59], 0.028613898179115575, 1, 0.057227796358231144],
    [[6, 53, 0, 59], 0.013673898244887095, 1, 0.02734779648977417],
    [[100, 9900, 60, 9940], 0.00093688778869581424, 0.99946371276661594, 0.00187377557739163954],
    [[3, 2, 0, 5], 0.083333333333333315, 1, 0.166666666666666574],
    [[10, 0, 0, 10], 5.4125441122345148e-6, 1, 1.0825088224469028e-5],
    [[0, 10, 0, 10], 1, 1, 1],
    [[0, 0, 0, 0], 1, 1, 1],
    [[0, 0, 3, 4], 1, 1, 1],
  ];
  for (const [table, more, fewer, both] of rows) {
    const found = fisherExact(...table);
    assertNear(found.pGreater, more, 1e-10, `${table.join()} more`);
    assertNear(found.pLess, fewer, 1e-10, `${table.join()} fewer`);
    assertNear(found.pTwoSided, both, 1e-10, `${table.join()} both`);
  }
  for (const bad of [-1, 0.5, NaN]) assert.throws(() => fisherExact(bad, 1, 1, 1), /counts/);
});

test('a table turned over has its tails exchanged', () => {
  const count = fc.nat({ max: 40 });
  fc.assert(
    fc.property(count, count, count, count, (a, b, c, d) => {
      const [own, turned] = [fisherExact(a, b, c, d), fisherExact(c, d, a, b)];
      assertNear(own.pGreater, turned.pLess, 1e-10);
      assertNear(own.pTwoSided, turned.pTwoSided, 1e-10);
    }),
  );
});

test('Kolmogorov and Smirnov agree with R, with ties too', () => {
  // R: ks.test(x, y, exact = TRUE) or FALSE
  const rows: readonly [string, number[], number[], statistic: number, p: number][] = [
    ['Hollander and Wolfe', TERM, EARLIER, 0.6, 0.16583416583416366],
    ['ozone', MAY, AUGUST, 0.53846153846153844, 0.00069188504870532075],
    ['apart', [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 1, 2 / 252],
    ['the same', [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 0, 1],
    ['ties', [1, 1, 2, 2, 3, 3, 3], [2, 3, 3, 4, 4, 4, 5, 5], 0.625, 0.048174048174049355],
  ];
  for (const [name, x, y, statistic, p] of rows) {
    const found = kolmogorovSmirnov(x, y);
    assert.is(found.method, 'exact', name);
    assertNear(found.statistic, statistic, 1e-14, name);
    assertNear(found.pValue, p, 1e-10, name);
    assertNear(kolmogorovSmirnov(y, x).pValue, p, 1e-10, name);
  }
  const x = Array.from({ length: 150 }, (_, i) => ((i + 1) * 37) % 151);
  const y = Array.from({ length: 150 }, (_, i) => (((i + 1) * 53) % 157) + 12);
  const large = kolmogorovSmirnov(x, y);
  assert.is(large.method, 'asymptotic');
  assertNear(large.statistic, 0.10666666666666667);
  // The sum of 29 terms of Kolmogorov's series; R stops after one, at 0.360777.
  assertNear(large.pValue, 0.36077086189968327);
  assert.is(kolmogorovSmirnov(x.slice(0, 100), y.slice(0, 100)).method, 'exact');
  assert.is(kolmogorovSmirnov(x.slice(0, 100), y.slice(0, 101)).method, 'asymptotic');
  for (const bad of [[], [NaN]]) assert.throws(() => kolmogorovSmirnov(bad, [1]), /expected/);
});

test('the limiting distribution has its published critical values, and its two forms meet', () => {
  // Smirnov, "Table for Estimating the Goodness of Fit of Empirical Distributions" (1948): 1.36 and 1.63.
  assert.ok(Math.abs(limitingP(1.3581) - 0.05) < 1e-5);
  assert.ok(Math.abs(limitingP(1.6276) - 0.01) < 1e-5);
  assertNear(limitingP(1 - 1e-12), limitingP(1), 1e-10);
  assert.is(limitingP(0), 1);
});

test('a new mode that leaves the median alone is seen by the shape and not by the shift', () => {
  const from = Array.from({ length: 60 }, (_, i) => 1000 + i);
  const to = from.map((value, i) => (i < 25 ? value - 300 : i >= 35 ? value + 300 : value));
  assert.ok(kolmogorovSmirnov(from, to).pValue < 0.001);
  assert.ok(mannWhitney(from, to).pTwoSided > 0.5);
});

test('adjusted p values agree with R and with Benjamini and Hochberg', () => {
  // R: p.adjust(p, "holm") and "BH"; the first row is the example of Wikipedia's "Holm-Bonferroni method".
  const p = [0.01, 0.04, 0.03, 0.005];
  [0.03, 0.06, 0.06, 0.02].forEach((value, i) => assertNear(holm(p)[i]!, value));
  [0.02, 0.04, 0.04, 0.02].forEach((value, i) => assertNear(benjaminiHochberg(p)[i]!, value));
  // The 15 values of Benjamini and Hochberg 1995, section 4.1, where four are rejected at 0.05, and three by Holm.
  const published = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719,
    0.6528, 0.759, 1,
  ];
  const count = (values: readonly number[]): number => values.filter((each) => each <= 0.05).length;
  assert.is(count(benjaminiHochberg(published)), 4);
  assert.is(count(holm(published)), 3);
  assertNear(benjaminiHochberg(published)[5]!, 0.0638571428571428623);
  assertNear(holm(published)[6]!, 0.278);
  assert.equal([holm([]), benjaminiHochberg([])], [[], []]);
  assert.equal([holm([0.2]), benjaminiHochberg([0.2])], [[0.2], [0.2]]);
  assert.equal(holm([0.9, 0.8]), [1, 1]);
  for (const bad of [-0.1, 1.1, NaN]) {
    assert.throws(() => holm([bad]), /probabilities/);
    assert.throws(() => benjaminiHochberg([bad]), /probabilities/);
  }
});

test('adjusting keeps the order and lowers nothing; Holm is never below Benjamini-Hochberg', () => {
  const p = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.array(p, { maxLength: 30 }), (values) => {
      const [strict, loose] = [holm(values), benjaminiHochberg(values)];
      values.forEach((value, i) => {
        assert.ok(strict[i]! >= loose[i]! - 1e-15 && loose[i]! >= value - 1e-15);
        values.forEach((other, j) => assert.ok(other > value || strict[j]! <= strict[i]!));
      });
    }),
  );
});

test.run();
