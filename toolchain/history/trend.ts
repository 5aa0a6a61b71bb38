/**
 * The builds of a series one after the other: a table, a chart, and where the level changes. Pure.
 *
 * Which changes are real is statistics (budget/statistics/change-points.ts), and is handed in.
 */
import type { EvidenceBuild } from '../budget/evidence.ts';
import { type Series, trendBuilds } from './series.ts';
import { textTable } from './text-table.ts';
import { formatMs, textChart } from './text-chart.ts';

/** Positions of builds with which the level of the values changes. */
export type FindChanges = (medians: readonly number[]) => readonly number[];

export interface Trend {
  readonly label: string;
  readonly board: string;
  readonly evidence: Series['evidence'];
  readonly start: Series['start'];
  readonly conditions: Series['conditions'];
  /** Oldest first. */
  readonly builds: readonly EvidenceBuild[];
  /** Indices into `builds`. */
  readonly changes: readonly number[];
  /** Builds that have no total, and boots without a release, by how many boots. */
  readonly leftOut: number;
}

/** The trend of a series. */
export function trendOf(series: Series, findChanges: FindChanges): Trend {
  const builds = trendBuilds(series);
  const { label, board, evidence, start, conditions } = series;
  const all = series.builds.reduce((sum, build) => sum + build.boots, 0);
  const shown = builds.reduce((sum, build) => sum + build.boots, 0);
  return {
    label,
    board,
    evidence,
    start,
    conditions,
    builds,
    changes: findChanges(builds.map(({ medianNs }) => medianNs)),
    leftOut: all - shown,
  };
}

/** A trend as lines of text. */
export function describeTrend(trend: Trend, isAscii: boolean): string[] {
  const { label, builds, changes, leftOut } = trend;
  const rows = builds.map((build, i) => [
    build.version,
    build.id === null ? '-' : build.id.slice(0, 12),
    String(build.boots),
    formatMs(build.medianNs),
    formatMs(build.p95Ns),
    formatMs(build.maxNs),
    i === 0 ? '' : formatStep(build.medianNs - builds[i - 1]!.medianNs),
    changes.includes(i) ? 'change' : '',
  ]);
  const head = ['version', 'release', 'n', 'median ms', 'p95 ms', 'max ms', 'step ms', ''];
  const chart = textChart(builds, { changes, isAscii });
  return [
    label,
    ...textTable(head, rows, [2, 3, 4, 5, 6]),
    ...(chart.length === 0 ? [] : ['', ...chart]),
    ...(leftOut === 0 ? [] : [`${leftOut} boots are in no figure: failed, unusable, or no total`]),
  ];
}

function formatStep(ns: number): string {
  return ns > 0 ? `+${formatMs(ns)}` : formatMs(ns);
}
