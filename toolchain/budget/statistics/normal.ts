/**
 * The normal distribution, for the approximations of rank tests with many samples. The samples themselves are never
 * taken to be normal.
 */

/** P(Z > z), with small relative error far into the tail too. */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z);
  // Beyond this the smallest double is larger than the tail.
  if (z > 39) return 0;
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  return z < 3 ? 0.5 - density * seriesTo(z) : density * fractionOf(z);
}

/** z + z^3/3 + z^5/(3*5) + ...: Abramowitz and Stegun 26.2.11. All terms are positive. */
function seriesTo(z: number): number {
  let sum = z;
  for (let term = z, odd = 3; term > sum * 1e-17; odd += 2) {
    term *= (z * z) / odd;
    sum += term;
  }
  return sum;
}

/** 1/(z + 1/(z + 2/(z + 3/(z + ...: Abramowitz and Stegun 26.2.14; 200 levels are enough from z = 3 on. */
function fractionOf(z: number): number {
  let rest = z;
  for (let level = 200; level > 0; level--) rest = z + level / rest;
  return 1 / rest;
}

/** The z with P(Z > z) = tail. Halving the interval is slow and cannot go astray. */
export function normalQuantile(tail: number): number {
  if (!(tail > 0 && tail < 1)) {
    throw new RangeError(`expected a probability within 0 and 1, got ${tail}`);
  }
  if (tail > 0.5) return -normalQuantile(1 - tail);
  let low = 0;
  let high = 39;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (normalTail(middle) > tail) low = middle;
    else high = middle;
  }
}
