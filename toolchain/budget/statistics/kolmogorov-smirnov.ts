/**
 * The two-sample test of Kolmogorov and Smirnov: do two samples come from one distribution at all? It sees a new mode
 * or a wider spread that leaves the median where it was. It says that something changed, not that it got slower.
 */

/** As in R: a table of paths up to this many pairs, the limiting distribution beyond. */
export const EXACT_PAIRS = 10_000;

export interface KsTest {
  /** The largest distance between the two empirical distribution functions. */
  readonly statistic: number;
  readonly pValue: number;
  readonly method: 'exact' | 'asymptotic';
}

/** The two-sided test. Ties are taken into account where it is exact, and make the limiting form conservative. */
export function kolmogorovSmirnov(first: readonly number[], second: readonly number[]): KsTest {
  const [m, n] = [first.length, second.length];
  if (m === 0 || n === 0 || [...first, ...second].some(Number.isNaN)) {
    throw new RangeError('expected two samples of numbers');
  }
  const pooled = Float64Array.from([...first, ...second]).sort();
  // isEnd[s]: the s smallest values are complete, no equal value follows.
  const isEnd = (size: number): boolean => size === m + n || pooled[size] !== pooled[size - 1];
  const steps = largestDistance(first, second);
  const isExact = m * n <= EXACT_PAIRS;
  const statistic = steps / (m * n);
  return {
    statistic,
    pValue: isExact
      ? exactP(m, n, steps, isEnd)
      : limitingP(statistic * Math.sqrt((m * n) / (m + n))),
    method: isExact ? 'exact' : 'asymptotic',
  };
}

/** The largest |i n - j m|, where i and j values are at most the same limit: a whole number. */
function largestDistance(first: readonly number[], second: readonly number[]): number {
  const [a, b] = [Float64Array.from(first).sort(), Float64Array.from(second).sort()];
  let largest = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const value = Math.min(a[i]!, b[j]!);
    while (i < a.length && a[i] === value) i++;
    while (j < b.length && b[j] === value) j++;
    largest = Math.max(largest, Math.abs(i * b.length - j * a.length));
  }
  return largest;
}

/**
 * One minus the part of all orders of m and n values whose distance stays below `steps` everywhere. Orders are paths
 * in a lattice; only the ends of groups of equal values count (Schröer and Trenkler, "Exact and Randomization
 * Distributions of Kolmogorov-Smirnov Tests", 1995). Each row is scaled by i / (i + n), which keeps the counts near 1.
 */
function exactP(m: number, n: number, steps: number, isEnd: (size: number) => boolean): number {
  const isOut = (i: number, j: number): boolean =>
    i + j > 0 && Math.abs(i * n - j * m) >= steps && isEnd(i + j);
  let row = new Float64Array(n + 1);
  for (let i = 0; i <= m; i++) {
    const scale = i / (i + n);
    const next = new Float64Array(n + 1);
    for (let j = 0; j <= n; j++) {
      if (isOut(i, j)) continue;
      if (i === 0) next[j] = j === 0 ? 1 : next[j - 1]!;
      else next[j] = row[j]! * scale + (j === 0 ? 0 : next[j - 1]!);
    }
    row = next;
  }
  return Math.min(1, Math.max(0, 1 - row[n]!));
}

/** The tail of the Kolmogorov distribution. The second form is for small t, where the first converges slowly. */
export function limitingP(t: number): number {
  if (t <= 0) return 1;
  let sum = 0;
  if (t < 1) {
    for (let k = 1; k <= 21; k += 2) sum += Math.exp(-((k * Math.PI) ** 2) / (8 * t * t));
    return 1 - (Math.sqrt(2 * Math.PI) / t) * sum;
  }
  for (let k = 1; k <= 10; k++) sum += (k % 2 === 1 ? 2 : -2) * Math.exp(-2 * (k * t) ** 2);
  return sum;
}
