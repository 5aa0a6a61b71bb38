/**
 * The difference between a quantile of two samples, with the percentile interval of the bootstrap (Efron and
 * Tibshirani, "An Introduction to the Bootstrap", 13.3). It is for the 95th percentile, whose difference has no rank
 * interval. It is approximate, and too short for few samples, so it never decides.
 *
 * The bootstrap's distribution is computed and not drawn, as if resampled without end, so it needs no seed: a
 * resample's r-th value is at most the i-th of the sample when r or more of n draws are, which is P(Binomial(n, i/n)
 * >= r) (Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979, section 3). r is the rank nearest to the
 * quantile.
 */
import { binomialTail } from './binomial.ts';
import { quantileOfSorted, sorted } from './quantiles.ts';

export interface Difference {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

interface Weighted {
  readonly value: number;
  readonly weight: number;
}

/** Less than this is left out at either end of a distribution. */
const WEIGHT_MIN = 1e-12;

/** The candidate's quantile minus the baseline's. */
export function quantileDifference(
  baseline: readonly number[],
  candidate: readonly number[],
  part: number,
  confidence: number,
): Difference {
  const [from, to] = [sorted(baseline), sorted(candidate)];
  const others = resampledQuantile(from, part);
  const differences = resampledQuantile(to, part)
    .flatMap((own) =>
      others.map((other) => ({
        value: own.value - other.value,
        weight: own.weight * other.weight,
      })),
    )
    .sort((a, b) => a.value - b.value);
  return {
    estimate: quantileOfSorted(to, part) - quantileOfSorted(from, part),
    low: weightedQuantile(differences, (1 - confidence) / 2),
    high: weightedQuantile(differences, (1 + confidence) / 2),
  };
}

/** All values that a resample's quantile can have, with their probabilities. */
function resampledQuantile(order: Float64Array, part: number): Weighted[] {
  const n = order.length;
  const rank = Math.round((n - 1) * part) + 1;
  const atMost = (i: number): number => 1 - binomialTail(n, i / n, rank - 1);
  const found: Weighted[] = [];
  // From the rank itself outwards, because far from it nothing is left.
  const add = (i: number): boolean => {
    const weight = atMost(i) - atMost(i - 1);
    if (weight > WEIGHT_MIN) found.push({ value: order[i - 1]!, weight });
    return weight > WEIGHT_MIN;
  };
  for (let i = rank; i >= 1 && add(i);) i--;
  for (let i = rank + 1; i <= n && add(i);) i++;
  return found;
}

function weightedQuantile(values: readonly Weighted[], part: number): number {
  let sum = 0;
  for (const { value, weight } of values) {
    sum += weight;
    if (sum >= part) return value;
  }
  return values.at(-1)!.value;
}
