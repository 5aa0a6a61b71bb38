/** Whether the level of a series of builds has changed, and with which build. Pure. */
import type { DriftResult, EvidenceBuild, EvidenceSettings } from './evidence.ts';
import { changePoints, firstBadBuild, SERIES_MIN } from './statistics/change-points.ts';

/** Of each build; with few boots in it the 95th percentile is nearly the slowest of them. */
const FIGURES = ['median', 'p95'] as const;

/** Looks at the medians, and at the 95th percentiles: a tail that grows leaves the median where it is. */
export function driftOf(
  builds: readonly EvidenceBuild[],
  { seed, alpha, totalMarginNs }: EvidenceSettings,
): DriftResult {
  if (builds.length < SERIES_MIN) return { state: 'not-enough', changes: [], firstBad: null };
  // Each figure is a chance to be wrong, so each has its part of the level (Bonferroni).
  const options = { seed, significance: alpha / FIGURES.length };
  const seriesOf = {
    median: builds.map(({ medianNs }) => medianNs),
    p95: builds.map(({ p95Ns }) => p95Ns),
  };
  const changes = FIGURES.flatMap((of) =>
    changePoints(seriesOf[of], options).map((point) => ({
      at: point.index,
      of,
      beforeNs: point.beforeMedian,
      afterNs: point.afterMedian,
      p: point.pValue,
    })),
  ).sort((a, b) => a.at - b.at);
  for (const of of FIGURES) {
    const bad = firstBadBuild(
      seriesOf[of].map((value, index) => ({ build: String(index), value })),
      { ...options, margin: totalMarginNs },
    );
    if (bad === undefined) continue;
    // Later changes may be of the other figure, or within the margin.
    const change = changes.findIndex((each) => each.of === of && each.at === bad.change.index);
    const firstBad = { from: Number(bad.lastGood) + 1, to: Number(bad.firstBad), change };
    return { state: 'drift', changes, firstBad };
  }
  return { state: 'none', changes, firstBad: null };
}
