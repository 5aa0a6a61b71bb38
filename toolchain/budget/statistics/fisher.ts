/**
 * Fisher's exact test of a table of counts: are more of the candidate's boots over the limit than of the baseline's? It
 * is exact for the few exceedances that boots have, where a chi-squared test is not.
 */
import { binomialDensity } from './binomial.ts';

export interface FisherTest {
  /** That the first row has more of the first column than chance gives; that it has fewer; that it is either. */
  readonly pGreater: number;
  readonly pLess: number;
  readonly pTwoSided: number;
}

/**
 * The test of the rows (a, b) and (c, d), all sums of the table being given. Two-sided is the sum of all tables that
 * are not likelier than this one, as R's fisher.test has it.
 */
export function fisherExact(a: number, b: number, c: number, d: number): FisherTest {
  if (![a, b, c, d].every((count) => Number.isSafeInteger(count) && count >= 0)) {
    throw new RangeError(`expected four counts, got ${[a, b, c, d].join(', ')}`);
  }
  const first = Math.max(0, a - d);
  const last = Math.min(a + b, a + c);
  const density = hypergeometric(a + b, c + d, a + c);
  const own = density(a);
  const sums = { pGreater: 0, pLess: 0, pTwoSided: 0 };
  for (let count = first; count <= last; count++) {
    const probability = density(count);
    if (count >= a) sums.pGreater += probability;
    if (count <= a) sums.pLess += probability;
    // Tables of the same probability may differ in the last digits.
    if (probability <= own * (1 + 1e-7)) sums.pTwoSided += probability;
  }
  return {
    pGreater: Math.min(1, sums.pGreater),
    pLess: Math.min(1, sums.pLess),
    pTwoSided: Math.min(1, sums.pTwoSided),
  };
}

/** The probability of a count in the first row, from binomial ones, which keep their digits (Loader, section 5). */
function hypergeometric(row1: number, row2: number, column: number): (count: number) => number {
  const p = row1 + row2 === 0 ? 0 : column / (row1 + row2);
  const given = binomialDensity(row1 + row2, p, column);
  return (count) =>
    (binomialDensity(row1, p, count) * binomialDensity(row2, p, column - count)) / given;
}
