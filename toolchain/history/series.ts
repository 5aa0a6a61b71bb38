/**
 * Boots by series and build, with their figures. Pure.
 *
 * A series is what may be compared: one board, class of evidence, kind of start and set of conditions. Figures of two
 * series are never mixed. A build is a release: its identifier, or its version where nobody knows that. Figures
 * are those of reports, in whole nanoseconds.
 */
import type { EvidenceBuild, Summary } from '../budget/evidence.ts';
import { type EvidenceClass, type StartKind, stageOf } from '../budget/measured-boot.ts';
import { summarize } from '../budget/statistics/quantiles.ts';
import type { TimedBoot } from './query.ts';
import { isUsable, type TotalOf } from './total.ts';

export interface Series {
  /** `qemu-aarch64, virtual, cold` and the conditions. */
  readonly label: string;
  readonly board: string;
  readonly evidence: EvidenceClass;
  readonly start: StartKind | null;
  readonly conditions: Readonly<Record<string, string>>;
  /** Oldest first. */
  readonly builds: readonly Build[];
}

export interface Build {
  /** Null: boots that do not say what they booted. They are in no trend. */
  readonly release: { readonly id: string | null; readonly version: string } | null;
  readonly builtAt: number | null;
  readonly firstMeasuredAt: string | null;
  readonly lastMeasuredAt: string | null;
  /** In order; empty where nobody said which board it was. */
  readonly specimens: readonly string[];
  readonly boots: number;
  readonly failed: number;
  /** Boots that are no evidence. */
  readonly unusable: number;
  /** Null: no boot has a total. */
  readonly total: Summary | null;
  readonly stages: readonly { readonly name: string; readonly medianNs: number }[];
}

/** Groups boots; series are in the order of their labels, builds from the oldest. */
export function seriesOf(boots: readonly TimedBoot[], totalOf: TotalOf): Series[] {
  const groups = groupBy(boots, ({ board, evidence, start, conditions }) =>
    JSON.stringify([board, evidence, start, conditions]),
  );
  return groups
    .map((group): Series => {
      const { board, evidence, start, conditions } = group[0]!;
      const builds = groupBy(group, releaseKey).map((each) => buildOf(each, totalOf));
      builds.sort(compareBuilds);
      return { label: labelOf(group[0]!), board, evidence, start, conditions, builds };
    })
    .sort((a, b) => compareText(a.label, b.label) || compareText(keyOf(a), keyOf(b)));
}

/** The builds of a series that have a release and a total, for the detection of drift. */
export function trendBuilds({ builds }: Series): EvidenceBuild[] {
  return builds.flatMap(({ release, total, builtAt, stages }) => {
    if (release === null || total === null) return [];
    const { n: boots, medianNs, p95Ns, maxNs } = total;
    return [{ ...release, builtAt, boots, medianNs, p95Ns, maxNs, stages }];
  });
}

/** The figures of a sample, which may be empty. */
export function summaryOf(values: readonly number[]): Summary | null {
  if (values.length === 0) return null;
  const { n, min, median, p95, max } = summarize(values);
  return { n, minNs: min, medianNs: Math.round(median), p95Ns: Math.round(p95), maxNs: max };
}

function labelOf({ board, evidence, start, conditions }: TimedBoot): string {
  const names = Object.entries(conditions).map(([name, value]) => `${name}=${value}`);
  return [board, evidence, start ?? 'unknown start', ...names].join(', ');
}

const keyOf = ({ board, evidence, start, conditions }: Series): string =>
  JSON.stringify([board, evidence, start, conditions]);

function releaseKey({ release }: TimedBoot): string {
  if (release === null) return '';
  return release.id === null ? `version ${release.version}` : `id ${release.id}`;
}

function buildOf(boots: readonly TimedBoot[], totalOf: TotalOf): Build {
  const releases = boots.flatMap(({ release }) => (release === null ? [] : [release]));
  const [id] = releases.map((release) => release.id);
  // One release says one version and one time; where two importers disagree, the answer is the same every time.
  const [version] = releases.map((release) => release.version).sort(compareText);
  const builtAts = releases.flatMap(({ builtAt }) => (builtAt === null ? [] : [builtAt]));
  const measuredAts = boots.flatMap(({ measuredAt }) => (measuredAt === null ? [] : [measuredAt]));
  measuredAts.sort(compareText);
  const specimens = boots.flatMap(({ specimen }) => (specimen === null ? [] : [specimen]));
  const totals = boots.map(totalOf).filter((total) => total !== null);
  return {
    release: version === undefined ? null : { id: id ?? null, version },
    builtAt: builtAts.length === 0 ? null : Math.min(...builtAts),
    firstMeasuredAt: measuredAts[0] ?? null,
    lastMeasuredAt: measuredAts.at(-1) ?? null,
    specimens: [...new Set(specimens)].sort(compareText),
    boots: boots.length,
    failed: boots.filter(({ outcome }) => outcome === 'failed').length,
    unusable: boots.filter((boot) => !isUsable(boot)).length,
    total: summaryOf(totals),
    stages: stageMedians(boots.filter((boot) => totalOf(boot) !== null)),
  };
}

/** The median of each stage over the boots that have it, all its rows together, in the order of the boot. */
function stageMedians(boots: readonly TimedBoot[]): Build['stages'] {
  const durations = new Map<string, number[]>();
  const firstStarts = new Map<string, number>();
  for (const { stages } of boots) {
    const ofBoot = new Map<string, number>();
    for (const { name, startNs, endNs } of stages) {
      const stage = stageOf(name);
      ofBoot.set(stage, (ofBoot.get(stage) ?? 0) + ((endNs ?? Number.NaN) - startNs));
      firstStarts.set(stage, Math.min(firstStarts.get(stage) ?? Infinity, startNs));
    }
    for (const [stage, ns] of ofBoot) {
      // A stage that did not end has no duration.
      if (Number.isNaN(ns)) continue;
      const known = durations.get(stage);
      if (known === undefined) durations.set(stage, [ns]);
      else known.push(ns);
    }
  }
  return [...durations]
    .map(([name, values]) => ({ name, medianNs: summaryOf(values)!.medianNs }))
    .sort(
      (a, b) => firstStarts.get(a.name)! - firstStarts.get(b.name)! || compareText(a.name, b.name),
    );
}

/** As in reports: by when it was built, where nobody knows that last, then by when it was first measured. */
function compareBuilds(a: Build, b: Build): number {
  return (
    (a.builtAt ?? Number.MAX_SAFE_INTEGER) - (b.builtAt ?? Number.MAX_SAFE_INTEGER) ||
    compareText(a.firstMeasuredAt ?? '', b.firstMeasuredAt ?? '') ||
    compareText(a.release?.version ?? '', b.release?.version ?? '') ||
    compareText(a.release?.id ?? '', b.release?.id ?? '')
  );
}

/** By UTF-16 unit: the same on every machine, whatever its language. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function groupBy<T>(all: readonly T[], keyOfEach: (each: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    const key = keyOfEach(each);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return [...groups.values()];
}
