/**
 * Plans and verdicts about a budget. The tables are those of the literature on tolerance limits and success runs:
 * Wilks 1941, and for 59, 93, 124, 153 of 95/95 the sample sizes of "Wilks's formula" in reactor safety, first to
 * fourth order.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { binomialTail } from '../../toolchain/budget/statistics/binomial.ts';
import { type Compliance, judgeCompliance } from '../../toolchain/budget/statistics/compliance.ts';
import {
  operatingCharacteristic,
  parsePlan,
  passProbability,
  percentText,
  planText,
} from '../../toolchain/budget/statistics/plan.ts';
import { median } from '../../toolchain/budget/statistics/quantiles.ts';
import { seededRandom } from '../../toolchain/budget/statistics/random.ts';
import {
  bootsNeeded,
  provenCoverage,
  toleranceBound,
  toleranceRank,
} from '../../toolchain/budget/statistics/tolerance.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { expectCode } from '../support/expect-code.ts';
import { assertNear } from '../support/near.ts';

const test = suite('statistics: compliance');

const NEEDED: readonly [coverage: number, confidence: number, boots: readonly number[]][] = [
  [0.9, 0.9, [22, 38, 52, 65]],
  [0.9, 0.95, [29, 46, 61, 76]],
  [0.95, 0.9, [45, 77, 105, 132]],
  [0.95, 0.95, [59, 93, 124, 153]],
  [0.99, 0.9, [230, 388, 531, 667]],
  [0.99, 0.95, [299, 473, 628, 773]],
  [0.999, 0.95, [2995, 4742, 6294, 7752]],
];

test('a claim takes as many boots as the published tables say, and one boot less does not do', () => {
  for (const [coverage, confidence, boots] of NEEDED) {
    boots.forEach((n, k) => {
      const label = `${coverage}/${confidence}/${k}`;
      assert.is(bootsNeeded(coverage, confidence, k), n, label);
      assert.ok(provenCoverage(n, k, confidence) >= coverage, label);
      assert.ok(provenCoverage(n - 1, k, confidence) < coverage, label);
      assert.ok(provenCoverage(n, k + 1, confidence) < coverage, label);
    });
  }
});

test('the success-run form gives the same: ln(1 - C) / ln(R)', () => {
  const rows: readonly [r: number, c: number, n: number][] = [
    [0.9, 0.9, 22],
    [0.95, 0.9, 45],
    [0.97, 0.5, 23],
    [0.99, 0.5, 69],
    [0.99, 0.9, 230],
  ];
  for (const [r, c, n] of rows) {
    assert.is(bootsNeeded(r, c, 0), n);
    assert.is(Math.ceil(Math.log(1 - c) / Math.log(r)), n);
  }
  // Exact ties, which the last binary digit must not push up: (1/2)^1 and (1/2)^2.
  assert.is(bootsNeeded(0.5, 0.5, 0), 1);
  assert.is(bootsNeeded(0.5, 0.75, 0), 2);
});

test('a clean run proves what the table says', () => {
  const rows: readonly [n: number, percent: string][] = [
    [10, '74.1'],
    [20, '86.1'],
    [30, '90.5'],
    [41, '93.0'],
    [50, '94.2'],
    [59, '95.0'],
    [100, '97.0'],
    [299, '99.0'],
  ];
  for (const [n, percent] of rows) {
    const proven = provenCoverage(n, 0, 0.95);
    assert.is((proven * 100).toFixed(1), percent, `${n}`);
    assertNear(proven, 0.05 ** (1 / n));
  }
  assert.is(provenCoverage(0, 0, 0.95), 0);
  assert.is(provenCoverage(7, 7, 0.95), 0);
});

test('the tolerance bound has its rank from the slowest', () => {
  const rows: readonly [n: number, rank: number | undefined][] = [
    [0, undefined],
    [58, undefined],
    [59, 1],
    [92, 1],
    [93, 2],
    [123, 2],
    [124, 3],
    [152, 3],
    [153, 4],
    [180, 4],
    [181, 5],
    [200, 5],
    [300, 9],
  ];
  for (const [n, rank] of rows) assert.is(toleranceRank(n, 0.95, 0.95), rank, `${n}`);
  const times = (n: number): number[] => Array.from({ length: n }, (_, i) => (i * 7919) % n);
  assert.is(toleranceBound(times(58), 0.95, 0.95), undefined);
  assert.is(toleranceBound(times(59), 0.95, 0.95), 58);
  assert.is(toleranceBound(times(93), 0.95, 0.95), 91);
  assert.is(toleranceBound(times(124), 0.95, 0.95), 121);
});

test('rank and boots are one rule: the bound of a plan is its first boot that is not over', () => {
  const half = fc.double({ min: 0.5, max: 0.995, noNaN: true });
  fc.assert(
    fc.property(half, half, fc.nat({ max: 20 }), (coverage, confidence, k) => {
      const n = bootsNeeded(coverage, confidence, k);
      assert.ok((toleranceRank(n, coverage, confidence) ?? 0) >= k + 1);
      assert.ok((toleranceRank(n - 1, coverage, confidence) ?? 0) < k + 1);
      assert.ok(n > k);
    }),
  );
});

test('the producer sees what a plan asks of good boards', () => {
  assert.is(passProbability(59, 0, 0.99).toFixed(2), '0.55');
  assert.is(passProbability(59, 0, 0.999).toFixed(2), '0.94');
  const rows: readonly [text: string, percent: string][] = [
    ['95/95', '99.913'],
    ['95/95/1', '99.62'],
    ['95/95/2', '99.34'],
    ['95/95/4', '98.9'],
  ];
  for (const [text, percent] of rows) {
    const plan = parsePlan(text);
    const { coverageToPass95, rows: found } = operatingCharacteristic(plan);
    const digits = percent.length - 3;
    assert.is((coverageToPass95 * 100).toFixed(digits), percent, text);
    assertNear(passProbability(plan.boots, plan.exceedances, coverageToPass95), 0.95);
    // In the row of the claim itself stands the consumer's risk.
    const own = found.find(({ trueCoverage }) => trueCoverage === 0.95)!;
    assert.ok(own.passes <= 0.05, text);
    assert.equal(
      found.map(({ trueCoverage }) => trueCoverage),
      [0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999],
    );
    for (const { trueCoverage, passes } of found) {
      assertNear(passes, binomialTail(plan.boots, 1 - trueCoverage, plan.exceedances));
    }
  }
  const odd = operatingCharacteristic(parsePlan('97/50'));
  assert.ok(odd.rows.some(({ trueCoverage }) => trueCoverage === 0.97));
  assert.ok(odd.rows.every(({ passes }, i) => i === 0 || passes > odd.rows[i - 1]!.passes));
});

test('plans are read in both dialects', () => {
  const rows: readonly [
    text: string,
    coverage: number,
    confidence: number,
    k: number,
    n: number,
  ][] = [
    ['95/95', 0.95, 0.95, 0, 59],
    [' 95/95/0 ', 0.95, 0.95, 0, 59],
    ['95/95/2', 0.95, 0.95, 2, 124],
    ['99/95', 0.99, 0.95, 0, 299],
    ['99.9/95', 0.999, 0.95, 0, 2995],
    ['R95C90', 0.95, 0.9, 0, 45],
    ['r97c50', 0.97, 0.5, 0, 23],
    ['50/50', 0.5, 0.5, 0, 1],
    ['50/99.99', 0.5, 0.9999, 0, 14],
    ['99.99/99.99', 0.9999, 0.9999, 0, 92_099],
    ['95/95/1000', 0.95, 0.95, 1000, bootsNeeded(0.95, 0.95, 1000)],
  ];
  for (const [text, coverage, confidence, exceedances, boots] of rows) {
    assert.equal(parsePlan(text), { coverage, confidence, exceedances, boots }, text);
  }
});

test('what is no plan is refused with the reason', () => {
  const rows: readonly [text: string, problem: RegExp][] = [
    ['', /expected COVERAGE/],
    ['95', /expected COVERAGE/],
    ['95/', /expected COVERAGE/],
    ['95/95/', /expected COVERAGE/],
    ['95/95/-1', /expected COVERAGE/],
    ['95/95/1.5', /expected COVERAGE/],
    ['95/95/1/1', /expected COVERAGE/],
    ['1e1/95', /expected COVERAGE/],
    ['100/95', /expected COVERAGE/],
    ['95,5/95', /expected COVERAGE/],
    ['R95', /expected COVERAGE/],
    ['R95C95/1', /expected COVERAGE/],
    ['0.95/0.95', /coverage is 0\.95, expected 50 to 99\.999/],
    ['49.9/95', /coverage is 49\.9/],
    ['95/49.999', /confidence is 49\.999, expected 50 to 99\.99/],
    ['95/99.991', /confidence is 99\.991/],
    ['95/95/1001', /exceedances is 1001, expected 0 to 1000/],
    ['99.999/95', /it takes 299572 boots, expected at most 100000/],
    ['99/95/1000', /it takes 105334 boots/],
    ['9'.repeat(5000), /…": expected COVERAGE/],
  ];
  for (const [text, problem] of rows) {
    const { message, hint } = expectCode(() => parsePlan(text), 'USAGE_PLAN', text.slice(0, 20));
    assert.match(message, problem);
    assert.ok(message.length < 200);
    assert.match(hint!, /95\/95 takes 59 boots/);
  }
});

test('a plan is said in both dialects', () => {
  const rows: readonly [text: string, sentence: string, reliability: string][] = [
    [
      '95/95',
      '95 % of cold boots within the budget with 95 % confidence: 59 boots, none over',
      'R95C95',
    ],
    [
      '99.9/99.5/1',
      '99.9 % of cold boots within the budget with 99.5 % confidence: 7427 boots, at most 1 over',
      'R99.9C99.5 with at most 1 failure',
    ],
    [
      '95/95/2',
      '95 % of cold boots within the budget with 95 % confidence: 124 boots, at most 2 over',
      'R95C95 with at most 2 failures',
    ],
    [
      '50/50',
      '50 % of cold boots within the budget with 50 % confidence: 1 boot, none over',
      'R50C50',
    ],
  ];
  for (const [text, sentence, reliability] of rows) {
    assert.equal(planText(parsePlan(text)), { sentence, reliability }, text);
  }
  assert.is(percentText(0.99999), '99.999');
  assert.is(percentText(0.07), '7');
});

const LIMIT = 2000;
const PLAN = parsePlan('95/95/1');
const boots = (n: number, ...over: number[]): number[] =>
  Array.from({ length: n }, (_, i) => (over.includes(i + 1) ? LIMIT + 1 : LIMIT));
const judge = (samplesNs: readonly number[], plan = PLAN): Compliance =>
  judgeCompliance({ plan, samplesNs, limitNs: LIMIT });

test('a verdict is that of the plan, and known as early as it can be', () => {
  type Row = [
    name: string,
    samples: number[],
    outcome: Compliance['outcome'],
    counted: number,
    over: number,
    decidedAt: number | null,
    more: number,
  ];
  const rows: readonly Row[] = [
    ['no boot', [], 'inconclusive', 0, 0, null, 93],
    ['one boot', boots(1), 'inconclusive', 1, 0, null, 92],
    ['one missing', boots(92), 'inconclusive', 92, 0, null, 1],
    ['complete', boots(93), 'within', 93, 0, 93, 0],
    ['one over is allowed', boots(93, 93), 'within', 93, 1, 93, 0],
    ['two over are not', boots(93, 1, 93), 'over', 93, 2, 93, 0],
    ['known early', boots(7, 3, 5), 'over', 7, 2, 5, 0],
    ['one over, not complete', boots(92, 1), 'inconclusive', 92, 1, null, 1],
    ['beyond the plan, over', boots(100, 1, 94, 95), 'within', 93, 1, 93, 0],
    ['beyond the plan, within', boots(1000, 1, 2), 'over', 93, 2, 2, 0],
    ['never ready', [...boots(92), Infinity], 'within', 93, 1, 93, 0],
    ['never ready twice', [Infinity, Infinity], 'over', 2, 2, 2, 0],
  ];
  for (const [name, samples, outcome, counted, over, decidedAt, more] of rows) {
    const found = judge(samples);
    assert.equal(
      [
        found.outcome,
        found.counted,
        found.countedExceedances,
        found.decidedAt,
        found.moreBoots,
        found.n,
      ],
      [outcome, counted, over, decidedAt, more, samples.length],
      name,
    );
  }
});

test('the exploratory figures are of all boots', () => {
  const found = judge(boots(100, 1, 94, 95));
  assert.is(found.exceedances, 3);
  assert.is(found.provenCoverage, provenCoverage(100, 3, 0.95));
  assert.is(found.toleranceBoundNs, LIMIT + 1);
  assert.is(judge(boots(100, 1)).toleranceBoundNs, LIMIT);
  assert.is(judge(boots(58)).toleranceBoundNs, null);
  assert.is(judge(boots(59)).toleranceBoundNs, LIMIT);
  assert.is(judge([...boots(58), Infinity]).toleranceBoundNs, null);
});

test('nonsense is not judged', () => {
  for (const bad of [[NaN], [-1]]) assert.throws(() => judge(bad), /from 0 on/);
  for (const limitNs of [0, -1, NaN, Infinity]) {
    assert.throws(() => judgeCompliance({ plan: PLAN, samplesNs: [], limitNs }), /limit/);
  }
});

test('a board just below its claim passes about as seldom as the plan says', () => {
  // True coverage 0.95 exactly: P(pass) is 0.04998 for 93/1. Of 2,000 seeded runs 100 pass, give or take 5 x 9.7.
  const random = seededRandom('consumer risk');
  let passed = 0;
  for (let run = 0; run < 2000; run++) {
    const samples = Array.from({ length: 93 }, () => (random.below(20) === 0 ? LIMIT + 1 : 1));
    if (judge(samples).outcome === 'within') passed++;
  }
  assert.ok(passed > 50 && passed < 150, `${passed}`);
});

/** The rows of a table of the document whose first cell matches, split into cells. */
function documentRows(first: RegExp): string[][] {
  const text = readFileSync(join(ROOT, 'docs/statistics.md'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells) => cells.slice(1, -1))
    .filter(([cell]) => first.test(cell!));
}

test('the tables of docs/statistics.md are what the code computes', () => {
  const needed = documentRows(/^\d[\d.]*\/\d+$/);
  assert.is(needed.length, 7);
  for (const [text, ...cells] of needed) {
    const found = [0, 1, 2, 3].map((k) => `${parsePlan(`${text}/${k}`).boots}`);
    assert.equal(found, cells, text);
  }
  const [counts, proven] = [documentRows(/^boots$/)[0]!, documentRows(/^proven$/)[0]!];
  assert.is(counts.length, 9);
  counts.slice(1).forEach((n, i) => {
    assert.is((provenCoverage(Number(n), 0, 0.95) * 100).toFixed(1), proven[i + 1], n);
  });
  const risks = documentRows(/^`.*over\)$/);
  assert.is(risks.length, 4);
  const coverages = documentRows(/^true coverage$/)[0]!
    .slice(1, -1)
    .map((cell) => Number(cell) / 100);
  for (const [text, ...cells] of risks) {
    const { boots: n, exceedances } = parsePlan(/`(.*)`/.exec(text!)![1]!);
    assert.ok(text!.includes(`(${n}, `), text);
    const found = coverages.map((coverage) => passProbability(n, exceedances, coverage).toFixed(3));
    assert.equal(found, cells.slice(0, -1), text);
    const { coverageToPass95 } = operatingCharacteristic(parsePlan(/`(.*)`/.exec(text!)![1]!));
    const percent = cells.at(-1)!.replace(' %', '');
    assert.is((coverageToPass95 * 100).toFixed(percent.split('.')[1]!.length), percent, text);
  }
});

test('the median of a plan never decides', () => {
  const samples = boots(93, 1, 2);
  assert.ok(median(samples) <= LIMIT);
  assert.is(judge(samples).outcome, 'over');
});

test.run();
