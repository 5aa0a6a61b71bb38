/** Whether the level of a series of builds has changed, and with which build. Pure. */
import type { DriftResult, EvidenceBuild, EvidenceSettings } from './evidence.ts';
import { changePoints, firstBadBuild, SERIES_MIN } from './statistics/change-points.ts';

/** Looks at the medians, and at the 95th percentiles where every build has enough boots to have one. */
export function driftOf(
  builds: readonly EvidenceBuild[],
  { seed, alpha, totalMarginNs }: EvidenceSettings,
): DriftResult {
  if (builds.length < SERIES_MIN) return { state: 'not-enough', changes: [], firstBad: null };
  const options = { seed, significance: alpha };
  const seriesOf = {
    median: builds.map(({ medianNs }) => medianNs),
    p95: builds.map(({ p95Ns }) => p95Ns),
  };
  const changes = (['median', 'p95'] as const)
    .flatMap((of) =>
      changePoints(seriesOf[of], options).map((point) => ({
        at: point.index,
        of,
        beforeNs: point.beforeMedian,
        afterNs: point.afterMedian,
        p: point.pValue,
      })),
    )
    .sort((a, b) => a.at - b.at);
  const bad = (['median', 'p95'] as const)
    .map((of) =>
      firstBadBuild(
        builds.map((_, index) => ({ build: String(index), value: seriesOf[of][index]! })),
        { ...options, margin: totalMarginNs },
      ),
    )
    .find((found) => found !== undefined);
  if (bad === undefined) return { state: 'none', changes, firstBad: null };
  const firstBad = { from: Number(bad.lastGood) + 1, to: Number(bad.firstBad) };
  return { state: 'drift', changes, firstBad };
}
