/**
 * Tables for spreadsheets and for programs that find changes over builds. RFC 4180: commas, quotes doubled, lines end
 * in CR and LF. A decimal point whatever the locale is; every digit that was measured; an empty cell is unknown.
 *
 * It is long: a row for each boot and stage. A row for each build, for Apache Otava, is an export of the history.
 */
import type { Evidence, EvidenceGroup, SampleSet } from '../evidence.ts';
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
