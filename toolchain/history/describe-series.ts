/** A series as lines of text: its name, and a row for each build. Pure. */
import { formatMs } from './text-chart.ts';
import type { Build, Series } from './series.ts';
import { textTable } from './text-table.ts';

/** The lines of a series. */
export function describeSeries({ label, builds }: Series): string[] {
  const head = [
    'version',
    'release',
    'measured',
    'boards',
    'boots',
    'n',
    'median ms',
    'p95 ms',
    'max ms',
    '',
  ];
  const rows = builds.map((build) => [
    build.release?.version ?? '-',
    build.release?.id?.slice(0, 12) ?? '-',
    build.firstMeasuredAt?.slice(0, 10) ?? '-',
    build.specimens.length === 0 ? '-' : String(build.specimens.length),
    String(build.boots),
    String(build.total?.n ?? 0),
    ...figures(build),
    remarks(build),
  ]);
  return [label, ...textTable(head, rows, [3, 4, 5, 6, 7, 8])];
}

function figures({ total }: Build): string[] {
  if (total === null) return ['-', '-', '-'];
  return [formatMs(total.medianNs), formatMs(total.p95Ns), formatMs(total.maxNs)];
}

function remarks({ failed, unusable }: Build): string {
  return [
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(unusable === 0 ? [] : [`${unusable} unusable`]),
  ].join(', ');
}
