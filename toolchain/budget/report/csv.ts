/**
 * Tables for spreadsheets and for programs that find changes over builds. RFC 4180: commas, quotes doubled, lines end
 * in CR and LF. A decimal point whatever the locale is; every digit that was measured; an empty cell is unknown.
 *
 * `samplesCsv` is long: a row for each boot and stage. `otavaCsv` has a row for each build, for Apache Otava.
 */
import type { Evidence, EvidenceBuild, EvidenceGroup, SampleSet } from '../evidence.ts';
import type { MeasuredBoot } from '../measured-boot.ts';
import { isStretch } from './ledger.ts';
import { plainText } from './plain-text.ts';
import { armsOf, exactText } from './words.ts';

/** A cell; text is guarded, numbers are written by this file and are not. */
type Cell = string | { readonly figure: string };

/** Columns of `samplesCsv`; docs/report-formats.md says what is in them. */
export const SAMPLE_COLUMNS = [
  'board',
  'group',
  'arm',
  'evidence',
  'start',
  'conditions',
  'boot',
  'release_version',
  'release_id',
  'specimen',
  'measured_at',
  'kind',
  'name',
  'start_ms',
  'duration_ms',
  'budget_ms',
  'text',
] as const;

/** Every boot of every group, then units and events of the boots in the middle. */
export function samplesCsv(evidence: Evidence): string {
  return csvText(SAMPLE_COLUMNS, sampleRows(evidence));
}

/** A row at a time: ten thousand boots have two hundred thousand. */
function* sampleRows(evidence: Evidence): Generator<readonly Cell[]> {
  for (const group of evidence.groups) {
    for (const [arm, set] of armsOf(group)) {
      const common: Cell[] = [
        evidence.board.id,
        group.id,
        arm,
        group.evidence,
        group.start ?? '',
        Object.entries(group.conditions)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ];
      const boots = bootCells(set).map((boot) => [...common, ...boot]);
      yield* figureRows(set, group, evidence, boots);
      yield* flagRows(set, boots, common);
      yield* typicalRows(set, boots, common);
    }
  }
}

/**
 * One row for each build with a time, oldest first. A stage has a column if every one of these builds has it, because
 * Otava refuses an empty figure. Names of columns are words, so that they need no quotes in its configuration.
 */
export function otavaCsv(builds: readonly EvidenceBuild[]): string {
  const timed = builds.flatMap((build) => {
    const time = isoTime(build.builtAt);
    return time === null ? [] : [{ ...build, time }];
  });
  const names = (timed[0]?.stages ?? [])
    .map(({ name }) => name)
    .filter((name) => timed.every(({ stages }) => stages.some((stage) => stage.name === name)));
  const columns = [
    'time',
    'version',
    'release_id',
    'boots',
    'total_median_ms',
    'total_p95_ms',
    'total_max_ms',
    ...uniqueWords(names).map((word) => `stage_${word}_median_ms`),
  ];
  const rows = timed.map(({ time, version, id, boots, medianNs, p95Ns, maxNs, stages }) => [
    time,
    version,
    id ?? '',
    count(boots),
    ...[medianNs, p95Ns, maxNs].map(ms),
    ...names.map((name) => ms(stages.find((stage) => stage.name === name)!.medianNs)),
  ]);
  return csvText(columns, rows);
}

/** Rows of cells as CSV. */
export function csvText(columns: readonly string[], rows: Iterable<readonly Cell[]>): string {
  let text = `${columns.map(cellText).join(',')}\r\n`;
  for (const row of rows) text += `${row.map(cellText).join(',')}\r\n`;
  return text;
}

function cellText(cell: Cell): string {
  if (typeof cell !== 'string') return cell.figure;
  const text = guarded(plainText(cell));
  return /[",;\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * A spreadsheet takes a cell with one of these in front, in either width, for a formula (OWASP, CSV injection). Names
 * that already look guarded get one more, so that taking the first apostrophe off gives every name back.
 */
function guarded(text: string): string {
  return /^'*\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
}

/** The cells that say which boot it is, by boot. */
function bootCells(set: SampleSet): Cell[][] {
  return set.totalsNs.map((_, boot) => {
    const release = set.releases[set.releaseOf[boot] ?? -1];
    const specimen = set.specimens[set.specimenOf[boot] ?? -1];
    return [
      count(boot),
      release?.version ?? '',
      release?.id ?? '',
      specimen ?? '',
      set.measuredAt[boot] ?? '',
    ];
  });
}

function* figureRows(
  set: SampleSet,
  group: EvidenceGroup,
  { budget }: Evidence,
  boots: readonly Cell[][],
): Generator<Cell[]> {
  const limit = ms(group.limitNs);
  const columns = set.stages.map((column) => ({
    kind: isStretch(column, budget) ? 'stretch' : 'stage',
    name: column.name,
    durationsNs: column.durationsNs,
    budget: ms(column.budgetNs),
  }));
  for (const [i, boot] of boots.entries()) {
    yield [...boot, 'total', 'total', '', ms(set.totalsNs[i]), limit, ''];
    for (const { kind, name, durationsNs, budget: given } of columns) {
      yield [...boot, kind, name, '', ms(durationsNs[i]), given, ''];
    }
  }
}

function* flagRows(
  { flags }: SampleSet,
  boots: readonly Cell[][],
  common: readonly Cell[],
): Generator<Cell[]> {
  for (const { boot, flag } of flags) {
    const kind = flag.isUnusable ? 'unusable' : 'flag';
    yield [...bootOf(boots, boot, common), kind, flag.code, '', '', '', flag.message];
  }
}

function* typicalRows(
  { typical }: SampleSet,
  boots: readonly Cell[][],
  common: readonly Cell[],
): Generator<Cell[]> {
  if (typical === null) return;
  const { units, events }: MeasuredBoot = typical.record;
  const boot = bootOf(boots, typical.boot, common);
  for (const { name, track, startNs, endNs } of units) {
    const duration = ms(endNs === null ? null : endNs - startNs);
    yield [...boot, 'unit', name, ms(startNs), duration, '', track];
  }
  for (const { name, atNs } of events) yield [...boot, 'event', name, ms(atNs), '', '', ''];
}

/** The cells of a boot, or what is known of one that is not in the set. */
function bootOf(boots: readonly Cell[][], boot: number, common: readonly Cell[]): Cell[] {
  return boots[boot] ?? [...common, count(boot), '', '', '', ''];
}

function ms(ns: number | null | undefined): Cell {
  return { figure: ns === null || ns === undefined ? '' : exactText(ns, 6) };
}

function count(value: number): Cell {
  return { figure: String(value) };
}

/** The last second that has four digits for its year. */
const SECONDS_MAX = 253_402_300_799;

function isoTime(seconds: number | null): string | null {
  if (seconds === null || seconds > SECONDS_MAX) return null;
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}

/** Letters, digits and underscores; the same word twice gets a number. */
function uniqueWords(names: readonly string[]): string[] {
  const used = new Set<string>();
  return names.map((name) => {
    const word = name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_|_$/g, '') || 'stage';
    let unique = word;
    for (let n = 2; used.has(unique); n++) unique = `${word}_${n}`;
    used.add(unique);
    return unique;
  });
}
