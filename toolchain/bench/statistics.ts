/** The few statistics that only the bench needs: least values, ratios, growth. Medians are the budget's. */

/** The smallest value. */
export function least(values: readonly number[]): number {
  requireSome(values);
  return Math.min(...values);
}

/** Quotients of values measured side by side: a[i] / b[i]. */
export function pairRatios(a: readonly number[], b: readonly number[]): number[] {
  if (a.length !== b.length) throw new RangeError('expected as many values on both sides');
  return a.map((value, i) => value / b[i]!);
}

/** What each further unit cost, between neighbouring sizes: a fixed start-up cost does not count. */
export function marginalCosts(
  points: readonly { readonly size: number; readonly cost: number }[],
): number[] {
  return points.slice(1).map((point, i) => {
    const before = points[i]!;
    return (point.cost - before.cost) / (point.size - before.size);
  });
}

function requireSome(values: readonly number[]): void {
  if (values.length === 0) throw new RangeError('expected at least one value');
}
