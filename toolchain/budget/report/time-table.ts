/**
 * A table whose rows have a bar on one common time axis: gantt, waterfall and overview are such tables. The figures
 * are the table, for people, screen readers and spreadsheets; the bars only show them, so they are hidden from readers.
 *
 * Bars fill the height of their row, so that gridlines and the budget's line go through all rows unbroken.
 */
import { escapeHtml } from './escape.ts';
import {
  across,
  label,
  PLOT_WIDTH_MIN,
  tag,
  textWidth,
  timeTicks,
  upright,
  type Flagpole,
  type TimeScale,
  flagpoles,
} from './svg.ts';

const AXIS_PX = 20;
/** A longer head is one of a column with two figures. */
const HEAD_MAX = 9;

export interface TimeTable {
  /** Unique in the page. */
  readonly id: string;
  /** Markup. */
  readonly caption: string;
  /** Of the first column. */
  readonly what: string;
  /** Heads of the columns of figures, all in milliseconds unless they say otherwise. */
  readonly heads: readonly string[];
  readonly scale: TimeScale;
  /** Lines through all rows, with labels above. */
  readonly poles: readonly Flagpole[];
  /** Drawn behind every row, such as a band. */
  readonly backdrop?: string;
  readonly sections: readonly TimeSection[];
}

export interface TimeSection {
  /** Markup of a row that names the section. */
  readonly title?: string;
  readonly rows: readonly TimeRow[];
  /** Markup of a row at the end. */
  readonly note?: string;
}

export interface TimeRow {
  /** Markup. */
  readonly name: string;
  readonly bars: string;
  /** Markup for each head; what is missing at the end is empty. */
  readonly cells: readonly string[];
  readonly class?: string;
}

/** The table. */
export function timeTable(table: TimeTable): string {
  const grid = `${table.id}-grid`;
  const columns = table.heads.length + 2;
  const body = table.sections.map(({ title, rows, note }) => {
    const head =
      title === undefined
        ? ''
        : `<tr class="section"><th colspan="${columns}" scope="colgroup">${title}</th></tr>`;
    const foot =
      note === undefined ? '' : `<tr class="note"><td colspan="${columns}">${note}</td></tr>`;
    return `<tbody>${head}${rows.map((row) => rowOf(row, table.heads, grid)).join('\n')}${foot}</tbody>`;
  });
  const heads = table.heads.map(
    (head) =>
      `<th scope="col" class="n${head.length > HEAD_MAX ? ' two' : ''}">${escapeHtml(head)}</th>`,
  );
  return (
    gridSymbol(grid, table) +
    `<table class="time" id="${table.id}"><caption>${table.caption}</caption>\n` +
    `<thead><tr><th scope="col">${escapeHtml(table.what)}</th>` +
    `<td class="axis">${axis(table)}</td>${heads.join('')}</tr></thead>\n` +
    `${body.join('\n')}\n</table>`
  );
}

function rowOf(
  { name, bars, cells, class: kind }: TimeRow,
  heads: readonly string[],
  grid: string,
): string {
  const use = tag('use', { href: `#${grid}`, width: '100%', height: '100%' });
  const svg = tag(
    'svg',
    { width: '100%', height: '100%', 'aria-hidden': 'true', class: 'bars' },
    use + tag('svg', { y: '50%', overflow: 'visible' }, bars),
  );
  const figures = heads.map(
    (head, i) => `<td class="n" data-head="${escapeHtml(head)}">${cells[i] ?? ''}</td>`,
  );
  return (
    `<tr${kind === undefined ? '' : ` class="${kind}"`}><th scope="row">${name}</th>` +
    `<td class="axis">${svg}</td>${figures.join('')}</tr>`
  );
}

/** What stands behind every row, once. */
function gridSymbol(id: string, { scale, poles, backdrop, heads }: TimeTable): string {
  const lines = timeTicks(scale, axisWidth(heads)).map(({ at }) => upright(at, 0, '100%', 'grid'));
  const marks = poles.map(({ at, class: name }) => upright(at, 0, '100%', name));
  const symbol = tag(
    'symbol',
    { id, overflow: 'visible' },
    (backdrop ?? '') + lines.join('') + marks.join(''),
  );
  return `<svg class="defs" width="0" height="0" aria-hidden="true"><defs>${symbol}</defs></svg>`;
}

/** How wide the axis is on paper, where columns take most: the widths of the style sheet, of A4 without its margins. */
function axisWidth(heads: readonly string[]): number {
  const columns = heads.reduce((sum, head) => sum + (head.length > HEAD_MAX ? 128 : 70), 0);
  return Math.min(PLOT_WIDTH_MIN, 0.75 * 690 - columns);
}

function axis({ scale, poles, heads }: TimeTable): string {
  const widthPx = axisWidth(heads);
  const flags = flagpoles(poles, AXIS_PX, widthPx);
  const ticks = timeTicks(scale, widthPx).flatMap(({ at, text }) => {
    const side = at < 6 ? '' : at > 94 ? ' end' : ' middle';
    const width = (textWidth(text) / widthPx) * 100;
    const from = at - (side === '' ? 0 : side === ' end' ? width : width / 2);
    // A line of its own with a label says more than the tick that it would strike out.
    const isStruck = poles.some((pole) => pole.at > from - 1 && pole.at < from + width + 1);
    if (isStruck) return [];
    return label(text, { x: across(at), y: flags.heightPx + 14, class: `tick${side}` });
  });
  const heightPx = flags.heightPx + AXIS_PX;
  return tag(
    'svg',
    { width: '100%', height: heightPx, 'aria-hidden': 'true', class: 'bars' },
    flags.svg + tag('g', { class: 'labels' }, ticks.join('')),
  );
}
