/**
 * Least squares whose answers are not negative: no time of a boot is. Pure.
 *
 * Lawson and Hanson's active-set method: terms enter one by one, the one that helps most first, and one that would go
 * below zero is left at it. The unconstrained part is solved by Householder's QR, which loses half as many digits as
 * the normal equations would.
 *
 * Source: C. L. Lawson, R. J. Hanson, Solving Least Squares Problems, 1974 (SIAM 1995), chapters 11 and 23.
 */

export type Matrix = readonly (readonly number[])[];

export interface NnlsResult {
  readonly x: readonly number[];
  /** b - A x. */
  readonly residuals: readonly number[];
  /** Its Euclidean length. */
  readonly norm: number;
}

/** Every term enters and leaves a few times at most; a wrong rounding could make two of them take turns for ever. */
const ROUNDS_PER_COLUMN = 10;
const EPSILON = 2 ** -52;

/** Minimises |A x - b| with x >= 0. Throws RangeError for shapes that do not fit and numbers that are none. */
export function nnls(a: Matrix, b: readonly number[]): NnlsResult {
  const columns = checkShape(a, b);
  const x = Array<number>(columns).fill(0);
  const passive = new Set<number>();
  const scale = Math.max(...a.flat().map(Math.abs), 0) * Math.max(...b.map(Math.abs), 0);
  const tolerance = 10 * EPSILON * scale * a.length * columns;
  for (let round = 0; round < ROUNDS_PER_COLUMN * columns; round++) {
    const gradient = gradientOf(a, residualsOf(a, b, x));
    const free = gradient.map((w, j) => (passive.has(j) ? -Infinity : w));
    const entering = free.indexOf(Math.max(...free));
    if (!(free[entering]! > tolerance)) break;
    passive.add(entering);
    if (!settle(a, b, x, passive)) passive.delete(entering);
  }
  const residuals = residualsOf(a, b, x);
  return { x, residuals, norm: Math.hypot(...residuals) };
}

/** Solves for the terms that are in, and puts out those that would be negative; false when none of it can be solved. */
function settle(a: Matrix, b: readonly number[], x: number[], passive: Set<number>): boolean {
  for (;;) {
    const chosen = [...passive].sort((i, j) => i - j);
    const solved = leastSquares(
      a.map((row) => chosen.map((j) => row[j]!)),
      b,
    );
    if (solved === undefined) return false;
    if (solved.every((value) => value > 0)) {
      x.fill(0);
      chosen.forEach((j, i) => (x[j] = solved[i]!));
      return true;
    }
    // As far from the old point to the new one as no term goes below zero.
    const steps = chosen.map((j, i) => {
      const [from, to] = [x[j]!, solved[i]!];
      return to > 0 ? Infinity : from === to ? 0 : from / (from - to);
    });
    const step = Math.min(1, ...steps);
    chosen.forEach((j, i) => {
      x[j] = steps[i]! <= step ? 0 : x[j]! + step * (solved[i]! - x[j]!);
      if (x[j] === 0) passive.delete(j);
    });
    if (passive.size === 0) return true;
  }
}

/** Unconstrained least squares by Householder's QR; undefined when columns depend on each other. */
export function leastSquares(a: Matrix, b: readonly number[]): number[] | undefined {
  const columns = checkShape(a, b);
  if (a.length < columns) return undefined;
  const r = a.map((row) => [...row]);
  const y = [...b];
  for (let k = 0; k < columns; k++) {
    const column = r.slice(k).map((row) => row[k]!);
    const length = Math.hypot(...column);
    const whole = Math.hypot(...a.map((row) => row[k]!));
    if (!(length > whole * EPSILON * a.length * 8)) return undefined;
    const alpha = column[0]! > 0 ? -length : length;
    const v = [column[0]! - alpha, ...column.slice(1)];
    const vv = v.reduce((sum, value) => sum + value * value, 0);
    const reflect = (get: (i: number) => number, put: (i: number, to: number) => void): void => {
      const factor = (2 * v.reduce((sum, value, i) => sum + value * get(k + i), 0)) / vv;
      v.forEach((value, i) => put(k + i, get(k + i) - factor * value));
    };
    for (let j = k; j < columns; j++) {
      reflect(
        (i) => r[i]![j]!,
        (i, to) => (r[i]![j] = to),
      );
    }
    reflect(
      (i) => y[i]!,
      (i, to) => (y[i] = to),
    );
  }
  const x = Array<number>(columns).fill(0);
  for (let k = columns - 1; k >= 0; k--) {
    const known = x.reduce((sum, value, j) => (j > k ? sum + r[k]![j]! * value : sum), 0);
    x[k] = (y[k]! - known) / r[k]![k]!;
  }
  return x;
}

function residualsOf(a: Matrix, b: readonly number[], x: readonly number[]): number[] {
  return a.map((row, i) => b[i]! - row.reduce((sum, value, j) => sum + value * x[j]!, 0));
}

/** How much the error falls with each term, from where it is. */
function gradientOf(a: Matrix, residuals: readonly number[]): number[] {
  return a[0]!.map((_, j) => a.reduce((sum, row, i) => sum + row[j]! * residuals[i]!, 0));
}

function checkShape(a: Matrix, b: readonly number[]): number {
  const columns = a[0]?.length ?? 0;
  const isWhole = columns > 0 && a.length === b.length && a.every((row) => row.length === columns);
  if (!isWhole) throw new RangeError('expected a matrix and as many values as it has rows');
  if (![...a.flat(), ...b].every(Number.isFinite)) throw new RangeError('expected finite numbers');
  return columns;
}
