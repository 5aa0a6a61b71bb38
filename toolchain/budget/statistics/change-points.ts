/**
 * Where a series of builds changed its level: E-divisive of Matteson and James, "A Nonparametric Approach for Multiple
 * Change Point Analysis of Multivariate Data" (Journal of the American Statistical Association 109, 2014).
 *
 * The split that makes the energy distance between its sides largest is kept when permutations of the series seldom
 * reach it; then each side is searched again. The distance is that of the paper with exponent 1: over all splits, and
 * over all ends of the right side, so that a bump in the middle is found too. Permutations are seeded, and kept instead
 * of the t test that others use for speed: builds are not normal either.
 *
 * Time grows with the square of the builds and with the permutations; 1,000 builds take about a second. No windows.
 */
import { median } from './quantiles.ts';
import { type Random, type Seed, seededRandom, shuffle } from './random.ts';

/** Fewer builds on one side of a change say little about its level. */
export const SEGMENT_MIN = 5;

/** In a shorter series a change is not even looked for. */
export const SERIES_MIN = 2 * SEGMENT_MIN;

export interface ChangePointOptions {
  readonly seed: Seed;
  /** The chance of finding a change where there is none. */
  readonly significance?: number;
  readonly permutations?: number;
}

const DEFAULTS = { significance: 0.05, permutations: 199 };

export interface ChangePoint {
  /** The first value after the change. */
  readonly index: number;
  /** Of the values between the neighbouring changes. */
  readonly beforeMedian: number;
  readonly afterMedian: number;
  readonly pValue: number;
}

/** The changes of a series, in its order; none for fewer than `SERIES_MIN` values. */
export function changePoints(
  series: readonly number[],
  options: ChangePointOptions,
): ChangePoint[] {
  if (!series.every(Number.isFinite)) throw new RangeError('expected finite values');
  const { significance, permutations } = { ...DEFAULTS, ...options };
  const random = seededRandom(options.seed);
  const values = Float64Array.from(series);
  let segments: readonly Segment[] = [{ start: 0, end: values.length }];
  const found: { index: number; pValue: number }[] = [];
  for (;;) {
    const splits = segments.map((segment) => bestSplit(values, segment));
    const best = splits.reduce((a, b) => (b.distance > a.distance ? b : a));
    if (best.distance <= 0) break;
    const limit = { distance: best.distance, significance, permutations };
    const pValue = permutationP(random, values, segments, limit);
    if (pValue === undefined) break;
    found.push({ index: best.index, pValue });
    segments = segments.flatMap((segment) => cut(segment, best.index));
  }
  found.sort((a, b) => a.index - b.index);
  return found.map((point, i) => ({
    ...point,
    beforeMedian: median(series.slice(found[i - 1]?.index ?? 0, point.index)),
    afterMedian: median(series.slice(point.index, found[i + 1]?.index)),
  }));
}

export interface Segment {
  readonly start: number;
  /** Behind the last value. */
  readonly end: number;
}

function cut({ start, end }: Segment, index: number): Segment[] {
  if (index <= start || index >= end) return [{ start, end }];
  return [
    { start, end: index },
    { start: index, end },
  ];
}

export interface Split {
  readonly index: number;
  readonly distance: number;
}

/**
 * How often the best split of values that were shuffled within their segments is as good; undefined when that is too
 * often to be significant, which ends the shuffling early and changes no answer.
 */
function permutationP(
  random: Random,
  values: Float64Array,
  segments: readonly Segment[],
  limit: { distance: number; significance: number; permutations: number },
): number | undefined {
  const shuffled = values.slice();
  let asGood = 0;
  for (let done = 0; done < limit.permutations; done++) {
    for (const { start, end } of segments) shuffle(random, shuffled, start, end);
    const reaches = segments.some(
      (segment) => bestSplit(shuffled, segment).distance >= limit.distance,
    );
    if (reaches) asGood++;
    if ((asGood + 1) / (limit.permutations + 1) > limit.significance) return undefined;
  }
  return (asGood + 1) / (limit.permutations + 1);
}

/**
 * The best split of a segment: the largest of a b / (a + b) times the energy distance between the a values on the left
 * and the b on the right, which need not reach the segment's end.
 *
 * `fromLeft[y]` is the sum of distances from value y to all values on the left, and grows with the split. The sums
 * between and within the sides then follow from it by adding one value of the right side at a time.
 */
export function bestSplit(values: Float64Array, { start, end }: Segment): Split {
  const own = values.subarray(start, end);
  const fromBefore = distancesToEarlier(own);
  const fromLeft = new Float64Array(own.length);
  let best = { index: start, distance: 0 };
  let withinLeft = 0;
  for (let left = 1; left <= own.length - SEGMENT_MIN; left++) {
    const added = own[left - 1]!;
    withinLeft += fromBefore[left - 1]!;
    for (let y = left; y < own.length; y++) fromLeft[y]! += Math.abs(own[y]! - added);
    if (left < SEGMENT_MIN) continue;
    const meanWithinLeft = (2 * withinLeft) / (left * (left - 1));
    let between = 0;
    let withinRight = 0;
    for (let y = left; y < own.length; y++) {
      const toLeft = fromLeft[y]!;
      between += toLeft;
      withinRight += fromBefore[y]! - toLeft;
      const right = y + 1 - left;
      if (right < SEGMENT_MIN) continue;
      const meanWithin = meanWithinLeft + (2 * withinRight) / (right * (right - 1));
      const distance = (2 * between - left * right * meanWithin) / (left + right);
      if (distance > best.distance) best = { index: start + left, distance };
    }
  }
  return best;
}

/** For each value the sum of its distances to the values before it. */
function distancesToEarlier(values: Float64Array): Float64Array {
  return values.map((value, y) => {
    let sum = 0;
    for (let x = 0; x < y; x++) sum += Math.abs(value - values[x]!);
    return sum;
  });
}

export interface BuildValue {
  readonly build: string;
  readonly value: number;
}

export interface BadBuilds {
  /** The change came after `lastGood`, and not after `firstBad`. */
  readonly lastGood: string;
  readonly firstBad: string;
  /** The most likely build within that range. */
  readonly likely: string;
  readonly change: ChangePoint;
}

/**
 * Which builds may have made the series slower by more than the margin: of the last such change that no later one took
 * back. Undefined: there is none. The range holds the place of the split in 95 % of series that are drawn anew from the
 * values on its two sides.
 */
export function firstBadBuild(
  series: readonly BuildValue[],
  options: ChangePointOptions & { readonly margin?: number },
): BadBuilds | undefined {
  const { margin = 0 } = options;
  const values = series.map(({ value }) => value);
  const points = changePoints(values, options);
  const growth = (point: ChangePoint): number => point.afterMedian - point.beforeMedian;
  const at = points.findLastIndex((point) => Math.abs(growth(point)) > margin);
  const change = points[at];
  if (change === undefined || growth(change) <= 0) return undefined;
  const start = points[at - 1]?.index ?? 0;
  const end = points[at + 1]?.index ?? values.length;
  const left = values.slice(start, change.index);
  const right = values.slice(change.index, end);
  const places = resampledSplits(seededRandom(options.seed), left, right);
  const tail = Math.floor(places.length * 0.025);
  const first = start + Math.min(left.length, places[tail]!);
  const last = start + Math.max(left.length, places.at(-1 - tail)!);
  return {
    lastGood: series[first - 1]!.build,
    firstBad: series[last]!.build,
    likely: series[change.index]!.build,
    change,
  };
}

/** Where the best split lies when both sides are drawn anew from themselves, in ascending order. */
function resampledSplits(
  random: Random,
  left: readonly number[],
  right: readonly number[],
): number[] {
  const draw = (side: readonly number[]): number[] =>
    side.map(() => side[random.below(side.length)]!);
  return Array.from({ length: DEFAULTS.permutations }, () => {
    const values = Float64Array.from([...draw(left), ...draw(right)]);
    return bestSplit(values, { start: 0, end: values.length }).index;
  }).sort((a, b) => a - b);
}
