/** Non-negative least squares: published examples, Lawson and Hanson's conditions, and every subset tried by hand. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { leastSquares, type Matrix, nnls } from '../../toolchain/budget/nnls.ts';

const test = suite('nnls');

const isNear = (a: number, b: number, tolerance = 1e-9): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));

function assertNear(found: readonly number[], expected: readonly number[], tolerance = 1e-9): void {
  assert.is(found.length, expected.length);
  found.forEach((value, i) =>
    assert.ok(isNear(value, expected[i]!, tolerance), `${i}: ${value}, expected ${expected[i]}`),
  );
}

/** Matrix, values, answer, length of what is left, and with how many digits that was printed. */
const PUBLISHED: readonly [string, Matrix, number[], number[], number | undefined, number][] = [
  // scipy.optimize.nnls, reference page: both examples.
  [
    'scipy, inside',
    [
      [1, 0],
      [1, 0],
      [0, 1],
    ],
    [2, 1, 1],
    [1.5, 1],
    0.7071067811865475,
    1e-12,
  ],
  [
    'scipy, at the corner',
    [
      [1, 0],
      [1, 0],
      [0, 1],
    ],
    [-1, -1, -1],
    [0, 0],
    1.7320508075688772,
    1e-12,
  ],
  // MATLAB, lsqnonneg: "Compute nonnegative solution", beside the unconstrained -2.5627, 3.1108.
  [
    'lsqnonneg',
    [
      [0.0372, 0.2869],
      // oxlint-disable-next-line approx-constant -- it is the example's
      [0.6861, 0.7071],
      [0.6233, 0.6245],
      [0.6344, 0.617],
    ],
    [0.8587, 0.1781, 0.0747, 0.8405],
    [0, 0.6929],
    // "Compare the norms": 0.9118 of the constrained answer.
    0.9118,
    1e-4,
  ],
];

for (const [name, a, b, x, norm, tolerance] of PUBLISHED) {
  test(`published: ${name}`, () => {
    const found = nnls(a, b);
    assertNear(found.x, x, tolerance);
    if (norm !== undefined) assert.ok(isNear(found.norm, norm, tolerance), String(found.norm));
  });
}

test('published: the unconstrained answer of the same example', () => {
  const [, a, b] = PUBLISHED[2]!.slice(0) as [string, Matrix, number[]];
  assertNear(leastSquares(a, b)!, [-2.5627, 3.1108], 1e-4);
});

/**
 * NIST's Longley data set, of higher difficulty: columns of very different size that nearly depend on each other.
 * https://www.itl.nist.gov/div898/strd/lls/data/Longley.shtml, certified values.
 */
test('published: the certified values of Longley, nine digits', () => {
  const rows: readonly (readonly number[])[] = [
    [60323, 83.0, 234289, 2356, 1590, 107608, 1947],
    [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
    [60171, 88.2, 258054, 3682, 1616, 109773, 1949],
    [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
    [63221, 96.2, 328975, 2099, 3099, 112075, 1951],
    [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
    [64989, 99.0, 365385, 1870, 3547, 115094, 1953],
    [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
    [66019, 101.2, 397469, 2904, 3048, 117388, 1955],
    [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
    [68169, 108.4, 442769, 2936, 2798, 120445, 1957],
    [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
    [68655, 112.6, 482704, 3813, 2552, 123366, 1959],
    [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
    [69331, 115.7, 518173, 4806, 2572, 127852, 1961],
    [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
  ];
  const found = leastSquares(
    rows.map(([, ...x]) => [1, ...x]),
    rows.map(([y]) => y!),
  )!;
  assertNear(
    found,
    [
      -3482258.63459582, 15.0618722713733, -0.035819179292591, -2.02022980381683, -1.03322686717359,
      -0.0511041056535807, 1829.15146461355,
    ],
    1e-9,
  );
});

const systems = fc
  .record({ rows: fc.integer({ min: 2, max: 8 }), columns: fc.integer({ min: 1, max: 4 }) })
  .chain(({ rows, columns }) => {
    const value = fc.integer({ min: -50, max: 50 }).map((n) => n / 8);
    return fc.record({
      a: fc.array(fc.array(value, { minLength: columns, maxLength: columns }), {
        minLength: rows,
        maxLength: rows,
      }),
      b: fc.array(value, { minLength: rows, maxLength: rows }),
    });
  });

test('for any system: nothing is negative, and no term that is out would help', () => {
  fc.assert(
    fc.property(systems, ({ a, b }) => {
      const { x, residuals, norm } = nnls(a, b);
      assert.ok(x.every((value) => value >= 0 && Number.isFinite(value)));
      assert.ok(isNear(norm, Math.hypot(...residuals)));
      a[0]!.forEach((_, j) => {
        const gradient = a.reduce((sum, row, i) => sum + row[j]! * residuals[i]!, 0);
        assert.ok(gradient <= 1e-6, `term ${j} would help: ${gradient}`);
        if (x[j]! > 0) assert.ok(Math.abs(gradient) <= 1e-6, `term ${j}: ${gradient}`);
      });
    }),
    { numRuns: 300 },
  );
});

test('for any system: no subset of the terms does better', () => {
  fc.assert(
    fc.property(systems, ({ a, b }) => {
      const { norm } = nnls(a, b);
      const columns = a[0]!.length;
      for (let set = 1; set < 1 << columns; set++) {
        const chosen = [...Array(columns).keys()].filter((j) => (set & (1 << j)) !== 0);
        const part = a.map((row) => chosen.map((j) => row[j]!));
        const solved = leastSquares(part, b);
        if (solved === undefined || solved.some((value) => value < 0)) continue;
        const rest = part.map((row, i) => b[i]! - row.reduce((s, v, j) => s + v * solved[j]!, 0));
        assert.ok(norm <= Math.hypot(...rest) + 1e-7, `terms ${chosen.join(', ')} do better`);
      }
    }),
    { numRuns: 200 },
  );
});

test('columns that depend on each other, and shapes and numbers that are none', () => {
  assert.is(
    leastSquares(
      [
        [1, 2],
        [2, 4],
        [3, 6],
      ],
      [1, 2, 3],
    ),
    undefined,
  );
  assert.is(leastSquares([[1, 2]], [1]), undefined);
  assert.is(leastSquares([[0], [0]], [1, 2]), undefined);
  const { x, norm } = nnls(
    [
      [1, 2],
      [2, 4],
      [3, 6],
    ],
    [1, 2, 3],
  );
  assert.ok(isNear(x[0]! + 2 * x[1]!, 1) && norm < 1e-9);
  for (const [a, b] of [
    [[], []],
    [[[]], [1]],
    [[[1]], [1, 2]],
    [
      [[1], [1, 2]],
      [1, 2],
    ],
    [[[Number.NaN]], [1]],
    [[[1]], [Infinity]],
  ] as [Matrix, number[]][]) {
    assert.throws(() => nnls(a, b), /expected/);
  }
});

test.run();
