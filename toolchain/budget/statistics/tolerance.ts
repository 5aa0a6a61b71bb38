/**
 * What a number of boots can prove about all boots, without a word about the shape of their distribution.
 *
 * n independent boots of which k were over the limit support the claim "a part `coverage` of all boots is within it",
 * with confidence `confidence`, when P(Binomial(n, 1 - coverage) <= k) <= 1 - confidence: were the claim false, so few
 * would have been over in less than 1 - confidence of such runs. With k = 0 this is the success-run form of reliability
 * tests, n = ln(1 - C) / ln(R), and Wilks's sample size ("Determination of Sample Sizes for Setting Tolerance Limits",
 * Annals of Mathematical Statistics 12, 1941). Coverage and confidence are parts of 1 here.
 */
import { binomialTail, lowerBound } from './binomial.ts';
import { sorted } from './quantiles.ts';

/**
 * Whether n boots with k over prove the claim. 0.5^2 is exactly 1 - 0.75, but 0.95 as a double is not exactly 95/100:
 * a billionth of slack keeps such a tie from asking for one boot more.
 */
function proves(n: number, k: number, coverage: number, confidence: number): boolean {
  return binomialTail(n, 1 - coverage, k) <= (1 - confidence) * (1 + 1e-9);
}

/** The smallest number of boots that proves a claim when up to `exceedancesAllowed` of them are over. */
export function bootsNeeded(
  coverage: number,
  confidence: number,
  exceedancesAllowed: number,
): number {
  requireClaim(coverage, confidence);
  let low = exceedancesAllowed;
  let high = low + 1;
  while (!proves(high, exceedancesAllowed, coverage, confidence)) {
    low = high;
    high *= 2;
  }
  // `low` does not prove it, `high` does; more boots with as few over prove more.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (proves(middle, exceedancesAllowed, coverage, confidence)) high = middle;
    else low = middle;
  }
  return high;
}

/** The coverage that n boots with k over prove: the exact one-sided lower bound of Clopper and Pearson. */
export function provenCoverage(n: number, k: number, confidence: number): number {
  requirePart(confidence);
  return lowerBound(n, n - k, 1 - confidence);
}

/**
 * Which of n ordered boots, counted from the slowest, is an upper bound for the claim: 1 is the slowest, 2 the one
 * before it. Undefined when even the slowest proves too little.
 */
export function toleranceRank(n: number, coverage: number, confidence: number): number | undefined {
  requireClaim(coverage, confidence);
  if (!proves(n, 0, coverage, confidence)) return undefined;
  // Rank r holds when r - 1 boots above it would still prove the claim.
  let low = 1;
  let high = n + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (proves(n, middle - 1, coverage, confidence)) low = middle;
    else high = middle;
  }
  return low;
}

/** The time that a part `coverage` of all boots does not exceed, with this confidence; undefined of too few boots. */
export function toleranceBound(
  samples: readonly number[],
  coverage: number,
  confidence: number,
): number | undefined {
  const rank = toleranceRank(samples.length, coverage, confidence);
  return rank === undefined ? undefined : sorted(samples).at(-rank);
}

function requireClaim(coverage: number, confidence: number): void {
  requirePart(coverage);
  requirePart(confidence);
}

function requirePart(part: number): void {
  if (!(part > 0 && part < 1)) throw new RangeError(`expected a part within 0 and 1, got ${part}`);
}
