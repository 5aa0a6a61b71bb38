/**
 * The rank test of Mann, Whitney and Wilcoxon: is one of two samples the slower one, by order alone? One stuck boot
 * moves it as much as one slow boot, which is why no mean and no t test is used here.
 *
 * Without ties and for up to `EXACT_PAIRS` pairs the distribution of U is counted exactly; otherwise it is normal with
 * the corrections for ties and continuity (Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 4.1).
 */
import { normalQuantile, normalTail } from './normal.ts';

/** 50 boots in each arm: the count takes milliseconds, and beyond that the normal distribution is as good. */
export const EXACT_PAIRS = 2500;

export interface RankTest {
  /** In how many pairs the candidate is larger; a tie is half a pair. */
  readonly u: number;
  readonly method: 'exact' | 'normal';
  /** That the candidate is larger; that it is smaller; that it is either. */
  readonly pGreater: number;
  readonly pLess: number;
  readonly pTwoSided: number;
}

/** Compares a candidate with a baseline. */
export function mannWhitney(baseline: readonly number[], candidate: readonly number[]): RankTest {
  const [m, n] = [candidate.length, baseline.length];
  const { rankSum, tieCubes } = rankPooled(candidate, baseline);
  const u = rankSum - (m * (m + 1)) / 2;
  const isExact = tieCubes === 0 && m * n <= EXACT_PAIRS;
  const tails = isExact ? exactTails(u, m, n) : normalTails(u, m, n, tieCubes);
  return {
    u,
    method: isExact ? 'exact' : 'normal',
    ...tails,
    pTwoSided: Math.min(1, 2 * Math.min(tails.pGreater, tails.pLess)),
  };
}

type Tails = Pick<RankTest, 'pGreater' | 'pLess'>;

function exactTails(u: number, m: number, n: number): Tails {
  const atMost = uDistribution(m, n);
  // U is symmetric about m n / 2, so the upper tail is a lower one too.
  return { pLess: atMost[u]!, pGreater: atMost[m * n - u]! };
}

function normalTails(u: number, m: number, n: number, tieCubes: number): Tails {
  const deviation = uDeviation(m, n, tieCubes);
  // Everything is tied: nothing speaks for either side.
  if (deviation === 0) return { pGreater: 1, pLess: 1 };
  const distance = u - (m * n) / 2;
  return {
    pGreater: normalTail((distance - 0.5) / deviation),
    pLess: normalTail((-distance - 0.5) / deviation),
  };
}

function uDeviation(m: number, n: number, tieCubes: number): number {
  const all = m + n;
  return Math.sqrt(((m * n) / 12) * (all + 1 - tieCubes / (all * (all - 1))));
}

/** The sum of the mid-ranks of `own` in both samples, and the sum of t^3 - t over groups of t equal values. */
function rankPooled(
  own: readonly number[],
  other: readonly number[],
): { rankSum: number; tieCubes: number } {
  if (own.length === 0 || other.length === 0) throw new RangeError('expected two samples');
  const pooled = [...own.map((value) => ({ value, own: 1 })), ...other.map(asOther)];
  if (pooled.some(({ value }) => Number.isNaN(value))) throw new RangeError('expected numbers');
  // By comparison and not by subtraction, which says nothing of two boots that never got ready.
  pooled.sort((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : 0));
  let rankSum = 0;
  let tieCubes = 0;
  for (let start = 0, end = 0; start < pooled.length; start = end) {
    let owned = 0;
    for (end = start; pooled[end]?.value === pooled[start]!.value; end++) owned += pooled[end]!.own;
    const ties = end - start;
    rankSum += (owned * (start + 1 + end)) / 2;
    tieCubes += ties ** 3 - ties;
  }
  return { rankSum, tieCubes };
}

function asOther(value: number): { value: number; own: number } {
  return { value, own: 0 };
}

/**
 * P(U <= u) for u from 0 to m n, without ties. How many arrangements have each U: the largest value belongs either to
 * the first sample, and is above all n of the other, or to the other, and adds nothing. Only sums of positive numbers,
 * so nothing cancels.
 */
function uDistribution(m: number, n: number): Float64Array {
  const counts = Array.from({ length: m + 1 }, () => {
    const row = new Float64Array(m * n + 1);
    row[0] = 1;
    return row;
  });
  for (let j = 1; j <= n; j++) {
    for (let i = 1; i <= m; i++) {
      const row = counts[i]!;
      const shorter = counts[i - 1]!;
      for (let u = i * j; u >= j; u--) row[u]! += shorter[u - j]!;
    }
  }
  return cumulate(counts[m]!);
}

function cumulate(counts: Float64Array): Float64Array {
  let sum = 0;
  const sums = counts.map((count) => (sum += count));
  return sums.map((each) => each / sum);
}

/**
 * How many pairs from the end of all ordered pair differences a confidence interval for the shift begins: the largest
 * c with P(U <= c - 1) <= tail. Undefined when there are too few pairs for any.
 */
export function intervalRank(m: number, n: number, tail: number): number | undefined {
  const rank =
    m * n <= EXACT_PAIRS
      ? uDistribution(m, n).findIndex((atMost) => atMost > tail)
      : Math.floor((m * n) / 2 + 0.5 - normalQuantile(tail) * uDeviation(m, n, 0));
  return rank >= 1 ? rank : undefined;
}
