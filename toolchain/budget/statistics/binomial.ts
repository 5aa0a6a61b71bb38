/**
 * Binomial probabilities and the incomplete beta function, for a million trials still right to 1e-11 of their value.
 *
 * A density from log-gamma would lose eight digits there: log(1e6!) is 1.3e7. So it is Loader's saddle-point form
 * ("Fast and Accurate Computation of Binomial Probabilities", 2000, what R uses), in which only small terms are added.
 * The tail is the incomplete beta function by its continued fraction (DLMF 8.17.22) with the modified Lentz method.
 */

/** P(X = k) of n trials that each succeed with probability p. */
export function binomialDensity(n: number, p: number, k: number): number {
  requireCounts(n, k);
  requireProbability(p);
  return k > n ? 0 : rawDensity(n, p, k);
}

/** P(X <= k) of n trials that each succeed with probability p. */
export function binomialTail(n: number, p: number, k: number): number {
  requireCounts(n, k);
  requireProbability(p);
  return k >= n ? 1 : betaAt(n - k, k + 1, 1 - p, p);
}

/** The regularised incomplete beta function I_x(a, b), for a, b > 0. */
export function incompleteBeta(a: number, b: number, x: number): number {
  if (!(a > 0 && b > 0)) throw new RangeError(`expected parameters above 0, got ${a} and ${b}`);
  requireProbability(x);
  return betaAt(a, b, x, 1 - x);
}

/** The x with I_x(a, b) = part. Halving the interval is slow and cannot go astray. */
export function inverseIncompleteBeta(a: number, b: number, part: number): number {
  requireProbability(part);
  if (part === 0 || part === 1) return part;
  let low = 0;
  let high = 1;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (incompleteBeta(a, b, middle) < part) low = middle;
    else high = middle;
  }
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * The two-sided interval of Clopper and Pearson ("The Use of Confidence or Fiducial Limits", Biometrika 26, 1934) for
 * the probability behind k successes of n: exact, so never shorter than it should be.
 */
export function clopperPearson(n: number, k: number, confidence: number): Interval {
  const tail = (1 - confidence) / 2;
  return { low: lowerBound(n, k, tail), high: 1 - lowerBound(n, n - k, tail) };
}

/** The one-sided lower bound: the probability at which k successes or more would have probability `tail`. */
export function lowerBound(n: number, k: number, tail: number): number {
  requireCounts(n, k);
  if (k > n) throw new RangeError(`expected at most ${n} successes, got ${k}`);
  return k === 0 ? 0 : inverseIncompleteBeta(k, n - k + 1, tail);
}

/** I_x(a, b) where y is 1 - x, which the caller may know more exactly. */
function betaAt(a: number, b: number, x: number, y: number): number {
  if (x === 0 || y === 0) return x === 0 ? 0 : 1;
  // The fraction converges quickly on the near side of the mean only; the other side is the complement.
  if (x < (a + 1) / (a + b + 2)) return lowerBeta(a, b, x, y);
  return 1 - lowerBeta(b, a, y, x);
}

function lowerBeta(a: number, b: number, x: number, y: number): number {
  const front = (rawDensity(a + b, x, a, y) * b) / (a + b);
  return front / betaFraction(a, b, x);
}

function betaFraction(a: number, b: number, x: number): number {
  let value = 1;
  let c = 1;
  let d = 0;
  for (let m = 0; m < 1e6; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const step of m === 0 ? [odd] : [even, odd]) {
      d = 1 / (1 + step * d);
      c = 1 + step / c;
      change *= c * d;
      value *= c * d;
    }
    if (Math.abs(change - 1) < 1e-15) return value;
  }
  throw new Error(`the incomplete beta function did not converge at ${a}, ${b}, ${x}`);
}

/** The density for real n and k, 0 <= k <= n. */
function rawDensity(n: number, p: number, k: number, q = 1 - p): number {
  if (p === 0) return k === 0 ? 1 : 0;
  if (q === 0) return k === n ? 1 : 0;
  if (k === 0) return Math.exp(n * (p < 0.5 ? Math.log1p(-p) : Math.log(q)));
  if (k === n) return Math.exp(n * (p < 0.5 ? Math.log(p) : Math.log1p(-q)));
  const rest = n - k;
  const exponent =
    stirlingError(n) -
    stirlingError(k) -
    stirlingError(rest) -
    deviance(k, n * p) -
    deviance(rest, n * q);
  return Math.exp(exponent) * Math.sqrt(n / (2 * Math.PI * k * rest));
}

/** log(n!) minus Stirling's formula for it; for small n from the next larger one. */
function stirlingError(n: number): number {
  if (n < 16) return stirlingError(n + 1) + (n + 0.5) * Math.log1p(1 / n) - 1;
  const square = n * n;
  return (
    (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) /
    n
  );
}

/** x log(x/m) + m - x without cancellation where x is near m. */
function deviance(x: number, m: number): number {
  const difference = x - m;
  if (Math.abs(difference) >= 0.1 * (x + m)) return x * Math.log(x / m) - difference;
  const v = difference / (x + m);
  let sum = difference * v;
  let term = 2 * x * v;
  for (let odd = 3; ; odd += 2) {
    term *= v * v;
    const next = sum + term / odd;
    if (next === sum) return sum;
    sum = next;
  }
}

function requireCounts(n: number, k: number): void {
  if (Number.isSafeInteger(n) && Number.isSafeInteger(k) && n >= 0 && k >= 0) return;
  throw new RangeError(`expected counts, got ${n} and ${k}`);
}

function requireProbability(p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`expected a probability, got ${p}`);
}
