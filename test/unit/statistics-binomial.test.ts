/**
 * Chance, the normal and the binomial distribution, and quantiles, against published vectors and R.
 *
 * Numbers marked R are from R 4.2.2 (Debian 12's r-base-core), printed with `options(digits = 17)` by the call beside.
 */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  binomialDensity,
  binomialTail,
  clopperPearson,
  incompleteBeta,
  inverseIncompleteBeta,
  lowerBound,
} from '../../toolchain/budget/statistics/binomial.ts';
import { normalQuantile, normalTail } from '../../toolchain/budget/statistics/normal.ts';
import {
  median,
  quantile,
  rangeOf,
  summarize,
} from '../../toolchain/budget/statistics/quantiles.ts';
import {
  fnv1a64,
  seededRandom,
  shuffle,
  splitMix64,
  xoshiro128,
} from '../../toolchain/budget/statistics/random.ts';
import { assertNear } from '../support/near.ts';

const test = suite('statistics: distributions');

test('the generator and its seeds give the published numbers', () => {
  // xoshiro128starstar.c 1.1 at the state 1, 2, 3, 4, as the tests of several libraries have it.
  const random = xoshiro128([1, 2, 3, 4]);
  assert.equal(
    Array.from({ length: 10 }, () => random.next()),
    [
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597,
      4258142804,
    ],
  );
  // Rosetta Code, "Pseudo-random numbers/Splitmix64".
  const mix = splitMix64(1234567n);
  assert.equal(
    Array.from({ length: 5 }, () => mix()),
    [
      6457827717110365317n,
      3203168211198807973n,
      9817491932198370423n,
      4593380528125082431n,
      16408922859458223821n,
    ],
  );
  // The test vectors of the FNV draft (draft-eastlake-fnv).
  const texts: readonly [string, bigint][] = [
    ['', 0xcbf29ce484222325n],
    ['a', 0xaf63dc4c8601ec8cn],
    ['foobar', 0x85944171f73967e8n],
  ];
  for (const [text, hash] of texts) assert.is(fnv1a64(text), hash);
});

test('one seed gives one sequence, another seed another; bad seeds are refused', () => {
  const first = (seed: number | string): number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 4 }, () => random.below(1000));
  };
  assert.equal(first(7), first(7));
  assert.equal(first('build 7'), first('build 7'));
  const seeds = [0, 1, 2 ** 32 - 1, '', '0', '1'];
  assert.is(new Set(seeds.map((seed) => first(seed).join())).size, seeds.length);
  for (const seed of [-1, 0.5, 2 ** 32, NaN]) assert.throws(() => seededRandom(seed), /seed/);
  assert.throws(() => xoshiro128([0, 0, 0, 0]), /not all zero/);
  assert.throws(() => xoshiro128([1, 2, 3]), /four words/);
});

test('below draws again where a part round would favour small numbers', () => {
  const [a, b] = [seededRandom(3), seededRandom(3)];
  // Three quarters of 2^32: every word of the last quarter is drawn again.
  const bound = 3 * 2 ** 30;
  for (let i = 0; i < 200; i++) {
    let word = b.next();
    while (word >= bound) word = b.next();
    assert.is(a.below(bound), word);
  }
  const counts = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < 6000; i++) counts[a.below(6)]!++;
  // Within five standard deviations (29) of 1,000.
  for (const count of counts) assert.ok(Math.abs(count - 1000) < 145, counts.join());
  assert.is(a.below(1), 0);
  assert.is(typeof a.below(2 ** 32), 'number');
  for (const bad of [0, -1, 1.5, 2 ** 32 + 1]) assert.throws(() => a.below(bad), /bound/);
});

test('a shuffle keeps the values, reaches every order, and stays within its part', () => {
  const random = seededRandom(11);
  const seen = new Map<string, number>();
  for (let i = 0; i < 2400; i++) {
    const values = [1, 2, 3, 4];
    shuffle(random, values);
    seen.set(values.join(''), (seen.get(values.join('')) ?? 0) + 1);
  }
  assert.is(seen.size, 24);
  // Within five standard deviations (9.8) of 100.
  for (const count of seen.values()) assert.ok(Math.abs(count - 100) < 49, `${count}`);
  const part = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  shuffle(random, part, 3, 7);
  assert.equal([...part.slice(0, 3), ...part.slice(7)], [0, 1, 2, 7, 8, 9]);
  assert.equal(
    part.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test('the normal distribution agrees with R', () => {
  // R: pnorm(z, lower.tail = FALSE)
  const tails: readonly [z: number, tail: number][] = [
    [0, 0.5],
    [1, 0.15865525393145705],
    [1.96, 0.024997895148220428],
    [2.999, 0.0013543365337271064],
    [3, 0.00134989803163009],
    [3.001, 0.0013454728250849666],
    [6, 9.86587645037698e-10],
    [10, 7.619853024160527e-24],
    [37, 5.725571222524577e-300],
  ];
  for (const [z, tail] of tails) {
    assertNear(normalTail(z), tail, 1e-13, `${z}`);
    assertNear(normalTail(-z), 1 - tail, 1e-13, `${-z}`);
  }
  assert.is(normalTail(40), 0);
  // R: qnorm(tail, lower.tail = FALSE)
  const quantiles: readonly [tail: number, z: number][] = [
    [0.5, 0],
    [0.025, 1.9599639845400538],
    [0.005, 2.5758293035488999],
    [1e-6, 4.7534243088228987],
    [1e-12, 7.0344838253011321],
    [0.9, -1.2815515655446008],
  ];
  for (const [tail, z] of quantiles) assertNear(normalQuantile(tail), z, 1e-12, `${tail}`);
  for (const bad of [0, 1, NaN]) assert.throws(() => normalQuantile(bad), /probability/);
});

test('binomial probabilities agree with R, up to a million trials', () => {
  // R: pbinom(k, n, p)
  const tails: readonly [n: number, p: number, k: number, tail: number][] = [
    [93, 0.05, 1, 0.049975795242616486],
    [1e6, 0.5, 499000, 0.022804149932691052],
    [1e6, 5e-5, 20, 1.2346202910418875e-6],
    [1e6, 1e-4, 0, 3.7015207857526244e-44],
    [1e6, 0.99, 990000, 0.50134987256370445],
    [1000, 0.5, 400, 1.3642320780330136e-10],
  ];
  for (const [n, p, k, tail] of tails) assertNear(binomialTail(n, p, k), tail, 1e-11, `${n} ${k}`);
  // R: dbinom(k, n, p)
  assertNear(binomialDensity(1e6, 0.5, 500000), 0.0007978843613317499, 1e-13);
  assertNear(binomialDensity(300, 0.05, 9), 0.030903867342283179, 1e-13);
});

test('the tail is the sum of exact densities of small counts, and has its edges', () => {
  // By paper: Binomial(4, 1/2) has 1, 4, 6, 4, 1 of 16.
  [1, 5, 11, 15, 16].forEach((sum, k) => assertNear(binomialTail(4, 0.5, k), sum / 16, 1e-15));
  assert.is(binomialDensity(4, 0.5, 5), 0);
  assert.is(binomialTail(4, 0.5, 9), 1);
  assert.is(binomialTail(0, 0.3, 0), 1);
  assert.is(binomialTail(5, 0, 0), 1);
  assert.is(binomialTail(5, 1, 4), 0);
  assert.is(binomialTail(5, 1, 5), 1);
  for (const [n, p, k] of [
    [-1, 0.5, 0],
    [1.5, 0.5, 0],
    [5, 1.1, 0],
    [5, NaN, 0],
    [5, 0.5, -1],
  ] as const) {
    assert.throws(() => binomialTail(n, p, k), /expected/);
  }
});

const part = fc.double({ min: 0.001, max: 0.999, noNaN: true });
const trials = fc.integer({ min: 1, max: 400 });

test('the tail grows with k, falls with p, and is the sum of densities', () => {
  fc.assert(
    fc.property(trials, part, part, fc.nat(), (n, p, other, pick) => {
      const k = pick % n;
      let sum = 0;
      for (let i = 0; i <= k; i++) sum += binomialDensity(n, p, i);
      const tail = binomialTail(n, p, k);
      assert.ok(Math.abs(tail - sum) <= 1e-12, `${n} ${p} ${k}: ${tail} and ${sum}`);
      assert.ok(binomialTail(n, p, k + 1) >= tail);
      const [low, high] = [Math.min(p, other), Math.max(p, other)];
      assert.ok(binomialTail(n, high, k) <= binomialTail(n, low, k) + 1e-14);
    }),
  );
});

test('the incomplete beta function agrees with R and inverts', () => {
  // R: pbeta(x, a, b)
  const values: readonly [a: number, b: number, x: number, value: number][] = [
    [2.5, 0.7, 0.3, 0.029814024845250447],
    [0.5, 0.5, 0.01, 0.06376856085851984],
    [1e5, 30, 0.999, 5.62784664915045e-17],
    [0.1, 3, 1e-20, 0.011549999999999998],
  ];
  for (const [a, b, x, value] of values) assertNear(incompleteBeta(a, b, x), value, 1e-11, `${a}`);
  // R: qbeta(0.05, 117, 3)
  assertNear(inverseIncompleteBeta(117, 3, 0.05), 0.94804105459411125);
  assert.equal([inverseIncompleteBeta(2, 3, 0), inverseIncompleteBeta(2, 3, 1)], [0, 1]);
  assert.throws(() => incompleteBeta(0, 1, 0.5), /above 0/);
  assert.throws(() => incompleteBeta(1, 1, 1.5), /probability/);
  const parameter = fc.double({ min: 0.5, max: 500, noNaN: true });
  fc.assert(
    fc.property(parameter, parameter, part, (a, b, p) => {
      assertNear(incompleteBeta(a, b, inverseIncompleteBeta(a, b, p)), p, 1e-9);
      assert.ok(Math.abs(incompleteBeta(a, b, p) + incompleteBeta(b, a, 1 - p) - 1) < 1e-12);
    }),
  );
});

test('intervals of Clopper and Pearson agree with binom.test', () => {
  // R, documentation of binom.test: Mendel's peas (Conover 1971), 682 of 925.
  const mendel = clopperPearson(925, 682, 0.95);
  assertNear(mendel.low, 0.7076682640790389);
  assertNear(mendel.high, 0.7654065582415253);
  assert.equal(clopperPearson(59, 0, 0.95).low, 0);
  assertNear(clopperPearson(59, 0, 0.95).high, 0.060608900950339883);
  assert.is(clopperPearson(59, 59, 0.95).high, 1);
  // R: binom.test(59, 59, alternative = "greater"), binom.test(122, 124, alternative = "greater")
  assertNear(lowerBound(59, 59, 0.05), 0.95049239011177311);
  assertNear(lowerBound(124, 122, 0.05), 0.95009982877168797);
  assert.throws(() => lowerBound(5, 6, 0.05), /at most 5/);
});

test('quantiles are type 7, of all values, in any order', () => {
  // R: quantile(c(15, 20, 35, 40, 50), ...), the values of Wikipedia's article "Percentile".
  const values = [40, 15, 50, 20, 35];
  const expected: readonly [part: number, value: number][] = [
    [0, 15],
    [0.05, 16],
    [0.3, 23],
    [0.4, 29],
    [0.5, 35],
    [0.95, 48],
    [1, 50],
  ];
  for (const [part_, value] of expected) assertNear(quantile(values, part_), value, 1e-14);
  assert.equal(values, [40, 15, 50, 20, 35]);
  assert.equal(rangeOf([3, 1, 2]), { min: 1, max: 3 });
  assert.equal(summarize([10, 2]), { n: 2, min: 2, median: 6, p95: 9.6, max: 10 });
  assert.equal(summarize([4]), { n: 1, min: 4, median: 4, p95: 4, max: 4 });
  // A boot that never got ready is the slowest, and does not make NaN of the others.
  assert.equal(summarize([1, Infinity, Infinity]).p95, Infinity);
  assert.is(median([1, 2, Infinity]), 2);
  // By number, not by text, and beyond what can be arguments of one call.
  assert.is(median([10, 9, 100]), 10);
  assert.equal(rangeOf(Array.from({ length: 200_000 }, (_, i) => i)), { min: 0, max: 199_999 });
  for (const bad of [[], [1, NaN]]) assert.throws(() => median(bad), /expected/);
  assert.throws(() => quantile([1], 1.1), /part/);
});

test.run();
