/**
 * The history for other programs: its records, which `history add` takes back; a row for each stage and event; a row
 * for each build, as Apache Otava reads it.
 *
 * Times are whole nanoseconds in all of them, so that no language's decimal point gets in the way.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../budget/measured-boot.ts';
import { csvLine } from './csv.ts';
import type { History } from './open.ts';
import { type BootFilter, eachRecord, readBoots } from './query.ts';
import { type Build, type Series, seriesOf } from './series.ts';
import type { TotalOf } from './total.ts';

/** Takes the text of an export piece by piece. */
export type Write = (text: string) => void;

/** Records, one a line, byte for byte as they are kept. Returns how many. */
export function exportRecords(history: History, filter: BootFilter, write: Write): Promise<number> {
  return eachRecord(history, filter, (_, text) => write(`${text}\n`));
}

const LONG_HEAD = [
  'boot',
  'board',
  'specimen',
  'class',
  'start',
  'conditions',
  'release',
  'version',
  'built_at',
  'measured_at',
  'row',
  'name',
  'start_ns',
  'end_ns',
];

/** A row for each boot (with its outcome), stage, unit and event. Returns the number of boots. */
export function exportRows(history: History, filter: BootFilter, write: Write): Promise<number> {
  write(csvLine(LONG_HEAD));
  return eachRecord(history, filter, (id, text) => {
    const record = MEASURED_BOOT.parse(JSON.parse(text));
    write(longRows(id, record));
  });
}

function longRows(id: string, record: MeasuredBoot): string {
  const { board, specimen, evidence, start, conditions, release, measuredAt } = record;
  const named = Object.entries(conditions).map(([name, value]) => `${name}=${value}`);
  const key = [
    id,
    board,
    specimen,
    evidence,
    start,
    named.join(' '),
    release?.id ?? null,
    release?.version ?? null,
    release?.builtAt ?? null,
    measuredAt,
  ];
  const row = (kind: string, name: string, startNs: number | null, endNs: number | null): string =>
    csvLine([...key, kind, name, startNs, endNs]);
  return [
    row('boot', record.outcome, null, null),
    ...record.stages.map(({ name, startNs, endNs }) => row('stage', name, startNs, endNs)),
    ...record.units.map(({ track, name, startNs, endNs }) => row(track, name, startNs, endNs)),
    ...record.events.map(({ name, atNs }) => row('event', name, atNs, null)),
  ].join('');
}

export interface OtavaExport {
  readonly builds: number;
  /** Builds that Otava could not place: nobody knows when they were built or measured, or they have no total. */
  readonly leftOut: number;
}

/** A row for each build of one series, oldest first. Throws USAGE_HISTORY_SERIES when there is not exactly one. */
export async function exportOtava(
  history: History,
  filter: BootFilter,
  totalOf: TotalOf,
  write: Write,
): Promise<OtavaExport> {
  const all = seriesOf(await readBoots(history, filter), totalOf);
  const [series] = all;
  if (series === undefined || all.length > 1) throw notOneSeries(all);
  const rows = series.builds.flatMap((build) => {
    const time = timeOf(build);
    return time === null || build.total === null || build.release === null ? [] : [{ build, time }];
  });
  const names = [...new Set(rows.flatMap(({ build }) => build.stages.map(({ name }) => name)))];
  // A metric without a value in some build is none that Otava reads.
  const stages = names
    .filter((name) => rows.every(({ build }) => build.stages.some((each) => each.name === name)))
    .sort();
  const metrics = ['total_median_ns', 'total_p95_ns', 'total_max_ns'];
  const columns = stages.map((name) => `${name.replaceAll(/[^\w-]/g, '_')}_median_ns`);
  write(csvLine(['time', 'version', 'release', 'boots', ...metrics, ...columns]));
  for (const { build, time } of rows) {
    const { total, release } = build;
    const medians = stages.map((name) => build.stages.find((each) => each.name === name)!.medianNs);
    const figures = [total!.medianNs, total!.p95Ns, total!.maxNs, ...medians];
    write(csvLine([time, release!.version, release!.id, total!.n, ...figures]));
  }
  return { builds: rows.length, leftOut: series.builds.length - rows.length };
}

function timeOf({ builtAt, firstMeasuredAt }: Build): string | null {
  return builtAt === null ? firstMeasuredAt : new Date(builtAt * 1000).toISOString();
}

function notOneSeries(all: readonly Series[]): ColdsealError {
  const SHOWN_MAX = 5;
  const labels = all.slice(0, SHOWN_MAX).map(({ label }) => label);
  const more = all.length > SHOWN_MAX ? `; and ${all.length - SHOWN_MAX} more` : '';
  const found = all.length === 0 ? 'no boots' : `${all.length}: ${labels.join('; ')}${more}`;
  return new ColdsealError(
    'USAGE_HISTORY_SERIES',
    `Cannot export builds: expected boots of one series, found ${found}`,
    { hint: 'choose one with --board, --class, --start and --condition' },
  );
}
