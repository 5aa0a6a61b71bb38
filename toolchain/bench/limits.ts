/**
 * The limits that measurements are printed beside, and the figures of C mkcomposefs that they were set by.
 *
 * The figures of C are of version 1.0.8 with two cores and a warm cache, on inputs of the sizes given here. Where they
 * and the limits come from is told in docs/benchmarks.md, which the tests keep equal to this table.
 */

/** Upper limits. Milliseconds of wall time, bytes of resident memory. */
export const LIMITS = {
  startMs: 80,
  dumpMs: 250,
  treeMs: 3300,
  storeMs: 800,
  /** A rebuild with one file in a hundred changed, over a build that reads everything. */
  rebuildShare: 0.1,
  /** Board time from reset to the first output of the last early container. */
  bootMs: 2000,
  /** A report on `REFERENCE_RECORDS`. */
  reportMs: 3000,
  reportPeakBytes: 300e6,
  peakBytes: 256e6,
  /** Cost of a further entry in the largest dumps, over the same in the smaller ones. A square law would give 3.25. */
  growth: 1.5,
  /** A directory of a million entries, and the same as an archive. */
  millionPeakBytes: 512e6,
} as const;

/** What C mkcomposefs took. */
export const MKCOMPOSEFS = {
  dumpMs: 230,
  dumpPeakBytes: 73e6,
  treeMs: 5900,
  treePeakBytes: 172e6,
  storeMs: 930,
} as const;

/** The inputs that limits and figures belong to. */
export const REFERENCE_DUMP = { entries: 64_246 } as const;
export const REFERENCE_TREE = { entries: 141_264, bytes: 6.1e9 } as const;
export const REFERENCE_RECORDS = { boots: 10_000 } as const;
/** Files as large as those of the reference tree. */
export const REFERENCE_REBUILD = { files: 40_000, bytes: 1.72e9, changedShare: 0.01 } as const;
export const REFERENCE_STORE = { files: 4_856, bytes: 143e6 } as const;

/**
 * The limit for another tree than the reference: the start's limit, and the rest half by entries and half by bytes.
 * Halves, because hashing the reference tree's bytes on two cores takes about half of its limit.
 */
export function treeLimitMs(tree: { readonly entries: number; readonly bytes: number }): number {
  const share = (tree.entries / REFERENCE_TREE.entries + tree.bytes / REFERENCE_TREE.bytes) / 2;
  return LIMITS.startMs + (LIMITS.treeMs - LIMITS.startMs) * share;
}

export type Verdict = 'within' | 'over';

/** A value equal to its limit is within it. */
export function verdictOf(value: number, limit: number): Verdict {
  return value <= limit ? 'within' : 'over';
}
