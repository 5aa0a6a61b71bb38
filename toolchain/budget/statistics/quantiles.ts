/**
 * Quantiles of samples, always of all samples: the slow boot is the finding, so nothing is trimmed as an outlier.
 *
 * Quantiles are type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (The American Statistician 50,
 * 1996): linear between the order statistics, what R, NumPy and spreadsheets give without an option. They describe the
 * boots that were run; a statement about all boots is a tolerance bound (tolerance.ts).
 */

/** The middle value; of an even count the mean of the middle two. */
export function median(values: readonly number[]): number {
  return quantileOfSorted(sorted(values), 0.5);
}

/** The quantile of a part between 0 and 1. */
export function quantile(values: readonly number[], part: number): number {
  return quantileOfSorted(sorted(values), part);
}

export interface Summary {
  readonly n: number;
  readonly min: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

/** The figures that go beside the dots of every sample. */
export function summarize(values: readonly number[]): Summary {
  const order = sorted(values);
  return {
    n: order.length,
    min: order[0]!,
    median: quantileOfSorted(order, 0.5),
    p95: quantileOfSorted(order, 0.95),
    max: order.at(-1)!,
  };
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** The smallest and the largest value. */
export function rangeOf(values: readonly number[]): Range {
  const order = sorted(values);
  return { min: order[0]!, max: order.at(-1)! };
}

/** The values in ascending order; the caller's stay as they are. */
export function sorted(values: readonly number[]): Float64Array {
  if (values.length === 0) throw new RangeError('expected at least one value');
  if (values.some(Number.isNaN)) throw new RangeError('expected numbers, got NaN');
  return Float64Array.from(values).sort();
}

/** The same of values in ascending order. */
export function quantileOfSorted(order: Float64Array, part: number): number {
  if (!(part >= 0 && part <= 1)) throw new RangeError(`expected a part from 0 to 1, got ${part}`);
  const place = (order.length - 1) * part;
  const below = order[Math.floor(place)]!;
  const above = order[Math.ceil(place)]!;
  if (below === above) return below;
  return below + (place - Math.floor(place)) * (above - below);
}
