/**
 * A small chart of builds in text: a column for each, a dot at its median, and a mark below where the level changes.
 * Many builds share columns, so that a step long ago is seen too.
 * Pure; with plain characters for terminals that have no others.
 */
import type { EvidenceBuild } from '../budget/evidence.ts';
import { summaryOf } from './series.ts';

/** Lines of the chart; the value of a dot is read from the table, the chart shows where to look. */
const HEIGHT = 7;
const WIDTH_MAX = 72;

export interface ChartOptions {
  /** Positions of builds with which the level changes. */
  readonly changes: readonly number[];
  readonly isAscii: boolean;
}

/** The lines of the chart; none for fewer than two builds. */
export function textChart(builds: readonly EvidenceBuild[], options: ChartOptions): string[] {
  if (builds.length < 2) return [];
  const perColumn = Math.ceil(builds.length / WIDTH_MAX);
  const medians = columnsOf(builds, perColumn);
  const lowest = Math.min(...medians);
  const highest = Math.max(...medians);
  const dot = options.isAscii ? '*' : '•';
  const edge = options.isAscii ? '|' : '│';
  const rows = medians.map((ns) => rowOf(ns, lowest, highest));
  const labels = [formatMs(highest), formatMs(lowest)];
  const width = Math.max(...labels.map((label) => label.length));
  const lines = Array.from({ length: HEIGHT }, (_, line) => {
    const row = HEIGHT - 1 - line;
    const label = line === 0 ? labels[0]! : row === 0 ? labels[1]! : '';
    const dots = rows.map((each) => (each === row ? dot : ' ')).join('');
    return `${label.padStart(width)} ${edge}${dots}`.trimEnd();
  });
  const marks = changeMarks(medians.length, perColumn, options);
  if (marks !== '') lines.push(`${' '.repeat(width)}  ${marks}`);
  if (perColumn > 1) lines.push(`a column is the median of ${perColumn} builds`);
  return lines;
}

/** A level in the middle when all are the same. */
function rowOf(ns: number, lowest: number, highest: number): number {
  if (highest === lowest) return Math.floor(HEIGHT / 2);
  return Math.round(((ns - lowest) / (highest - lowest)) * (HEIGHT - 1));
}

/** The medians of the builds; of several builds that share a column the middle one. */
function columnsOf(builds: readonly EvidenceBuild[], perColumn: number): number[] {
  return Array.from({ length: Math.ceil(builds.length / perColumn) }, (_, column) => {
    const some = builds.slice(column * perColumn, (column + 1) * perColumn);
    return summaryOf(some.map(({ medianNs }) => medianNs))!.medianNs;
  });
}

function changeMarks(
  length: number,
  perColumn: number,
  { changes, isAscii }: ChartOptions,
): string {
  const mark = isAscii ? '^' : '▲';
  const columns = changes.map((at) => Math.floor(at / perColumn));
  const line = Array.from({ length }, (_, i) => (columns.includes(i) ? mark : ' '));
  return line.join('').trimEnd();
}

/** Nanoseconds as milliseconds with three digits behind the point. */
export function formatMs(ns: number): string {
  return (ns / 1e6).toFixed(3);
}

/** Whether a terminal of this environment shows more than ASCII; POSIX says which variable counts first. */
export function isAsciiOnly(env: Readonly<Record<string, string | undefined>>): boolean {
  const names = ['LC_ALL', 'LC_CTYPE', 'LANG'] as const;
  const locale = names.map((name) => env[name] ?? '').find((value) => value !== '') ?? '';
  return env['TERM'] === 'dumb' || !/utf-?8/i.test(locale);
}
