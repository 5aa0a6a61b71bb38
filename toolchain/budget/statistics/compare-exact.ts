/**
 * Comparing runs that count instructions: a virtual board gives the same figures in every run, so there is no noise to
 * test against, and one run can be enough. What still moves, such as a disk, shows as a range in either arm.
 *
 * The difference is taken between the nearest ends of the two ranges: whatever an arm shows by itself counts as its
 * noise. It is outside when it is more than the declared tolerance.
 */

export type NamedDurations = ReadonlyMap<string, number>;

export interface Tolerance {
  readonly absoluteNs: number;
  /** As a part of the baseline's nearest end. The larger of the two holds. */
  readonly relative: number;
}

/** Small enough that 5 % of a stage of 20 ms are found: 1 ms against 0.2 ms. */
export const EXACT_TOLERANCE: Tolerance = { absoluteNs: 200_000, relative: 0.005 };

export interface DurationRange {
  readonly minNs: number;
  readonly maxNs: number;
}

export interface ExactRow {
  readonly name: string;
  readonly baseline: DurationRange;
  readonly candidate: DurationRange;
  /** Above 0 where the candidate is slower; 0 where the ranges meet. */
  readonly differenceNs: number;
  readonly toleranceNs: number;
  readonly isOutside: boolean;
}

export interface ExactComparison {
  /** Names that both arms have, in the order of the baseline. */
  readonly rows: readonly ExactRow[];
  /** Names of the candidate only, and of the baseline only. */
  readonly added: readonly string[];
  readonly vanished: readonly string[];
  /** Names that only some runs of an arm have, though these runs should be the same. */
  readonly unsteady: readonly string[];
  readonly isSlower: boolean;
  readonly isFaster: boolean;
  /** Nothing is outside the tolerance and the names are the same. */
  readonly isSame: boolean;
}

/** Compares the runs of a candidate with those of its baseline, name by name. */
export function compareExact(
  baseline: readonly NamedDurations[],
  candidate: readonly NamedDurations[],
  tolerance: Tolerance,
): ExactComparison {
  requireInput(baseline, candidate, tolerance);
  const [before, after] = [rangesOf(baseline), rangesOf(candidate)];
  const rows = [...before].flatMap(([name, range]) => {
    const other = after.get(name);
    return other === undefined ? [] : [rowOf(name, range, other, tolerance)];
  });
  const added = [...after.keys()].filter((name) => !before.has(name));
  const vanished = [...before.keys()].filter((name) => !after.has(name));
  const unsteady = [...new Set([...unsteadyIn(baseline), ...unsteadyIn(candidate)])];
  const outside = rows.filter(({ isOutside }) => isOutside);
  return {
    rows,
    added,
    vanished,
    unsteady,
    isSlower: outside.some(({ differenceNs }) => differenceNs > 0),
    isFaster: outside.some(({ differenceNs }) => differenceNs < 0),
    isSame: [outside, added, vanished, unsteady].every(({ length }) => length === 0),
  };
}

function rowOf(
  name: string,
  baseline: DurationRange,
  candidate: DurationRange,
  { absoluteNs, relative }: Tolerance,
): ExactRow {
  const slower = candidate.minNs - baseline.maxNs;
  const faster = candidate.maxNs - baseline.minNs;
  const differenceNs = slower > 0 ? slower : faster < 0 ? faster : 0;
  const nearest = differenceNs < 0 ? baseline.minNs : baseline.maxNs;
  const toleranceNs = Math.max(absoluteNs, relative * nearest);
  const isOutside = Math.abs(differenceNs) > toleranceNs;
  return { name, baseline, candidate, differenceNs, toleranceNs, isOutside };
}

function rangesOf(runs: readonly NamedDurations[]): Map<string, DurationRange> {
  const ranges = new Map<string, DurationRange>();
  for (const [name, ns] of runs.flatMap((run) => [...run])) {
    const { minNs, maxNs } = ranges.get(name) ?? { minNs: ns, maxNs: ns };
    ranges.set(name, { minNs: Math.min(minNs, ns), maxNs: Math.max(maxNs, ns) });
  }
  return ranges;
}

function unsteadyIn(runs: readonly NamedDurations[]): string[] {
  const names = new Set(runs.flatMap((run) => [...run.keys()]));
  return [...names].filter((name) => !runs.every((run) => run.has(name)));
}

function requireInput(
  baseline: readonly NamedDurations[],
  candidate: readonly NamedDurations[],
  { absoluteNs, relative }: Tolerance,
): void {
  if (baseline.length === 0 || candidate.length === 0) {
    throw new RangeError('expected at least one run in each arm');
  }
  if (![...baseline, ...candidate].every((run) => [...run.values()].every((ns) => ns >= 0))) {
    throw new RangeError('expected durations from 0 on');
  }
  if (!(absoluteNs >= 0 && relative >= 0)) throw new RangeError('expected tolerances from 0 on');
}
