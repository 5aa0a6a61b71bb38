/** The builds of a history as a trend: one point each, oldest first. Pure. */
import type { EvidenceBudget, EvidenceBuild } from './evidence.ts';
import { collectGroups } from './collect.ts';
import type { MeasuredBoot } from './measured-boot.ts';

/**
 * One point for each release of a group, by when it was built, then when it was first measured, then version. Releases
 * that nobody booted to the end have no point.
 */
export function buildsOf(boots: readonly MeasuredBoot[], budget: EvidenceBudget): EvidenceBuild[] {
  const byRelease = new Map<string, MeasuredBoot[]>();
  for (const boot of boots) {
    if (boot.release === null) continue;
    const key = JSON.stringify([boot.release.id, boot.release.version]);
    const same = byRelease.get(key);
    if (same === undefined) byRelease.set(key, [boot]);
    else same.push(boot);
  }
  return [...byRelease.values()]
    .flatMap((same) => {
      const build = buildOf(same, budget);
      return build === undefined ? [] : [{ build, measuredAt: firstMeasured(same) }];
    })
    .sort(
      (a, b) =>
        compare(a.build.builtAt ?? Infinity, b.build.builtAt ?? Infinity) ||
        compare(a.measuredAt, b.measuredAt) ||
        compare(a.build.version, b.build.version) ||
        compare(a.build.id ?? '', b.build.id ?? ''),
    )
    .map(({ build }) => build);
}

function buildOf(
  boots: readonly MeasuredBoot[],
  budget: EvidenceBudget,
): EvidenceBuild | undefined {
  const [group] = collectGroups(boots, budget);
  const { total, stages } = group!.samples;
  if (total === null) return undefined;
  const { id, version, builtAt } = boots[0]!.release!;
  return {
    id,
    version,
    builtAt,
    boots: total.n,
    medianNs: total.medianNs,
    p95Ns: total.p95Ns,
    maxNs: total.maxNs,
    stages: stages.flatMap(({ name, summary }) =>
      summary === null ? [] : [{ name, medianNs: summary.medianNs }],
    ),
  };
}

function firstMeasured(boots: readonly MeasuredBoot[]): string {
  const times = boots.flatMap(({ measuredAt }) => (measuredAt === null ? [] : [measuredAt]));
  return times.sort()[0] ?? '';
}

function compare<T extends string | number>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
