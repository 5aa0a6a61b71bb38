/**
 * The gantt: the typical boot of a group, stage by stage, against the budget. Solid is the typical boot, the pale bar
 * behind a stage reaches as far as it does in 95 of 100 boots; hatched is what was declared and not measured.
 */
import type { EvidenceBudget, EvidenceGroup, StageColumn } from '../evidence.ts';
import { stageOf } from '../measured-boot.ts';
import { escapeHtml, shorten } from './escape.ts';
import { empty } from './html.ts';
import { classBadge, count, derivedTime, limitTime, ms, time } from './page-figures.ts';
import {
  across,
  bar,
  fixed,
  label,
  legend,
  tag,
  textWidth,
  timeScale,
  type Flagpole,
  type LegendItem,
  type TimeScale,
} from './svg.ts';
import { rowsByStage, timelineOf, type PlacedSpan, type Timeline } from './timeline.ts';
import { timeTable, type TimeRow, type TimeSection } from './time-table.ts';

/** So many units of each kind are shown, the largest. A kernel has thousands of initcalls. */
export const UNITS_SHOWN = 40;
/** Longer names would leave no room for the bars. The ledger and the data have them whole. */
const NAME_MAX = 72;
/** The plot area of a desktop; narrower ones hide texts that are made for it. */
const WIDE_PLOT_PX = 520;
/** A budget more than so many boots away would leave no room for the boot. */
const BUDGET_FAR = 8;

/** The chart; a sentence where no boot got to its end. */
export function ganttChart(group: EvidenceGroup, budget: EvidenceBudget, id: string): string {
  const timeline = timelineOf(group, budget);
  if (timeline === null) {
    return empty('No boot got to its end, so there is no typical one to show.');
  }
  const scale = scaleOf(timeline, group, budget);
  const isShown = budget.totalNs <= (scale.domain()[1] ?? 0);
  const poles: Flagpole[] = isShown
    ? [{ at: scale(budget.totalNs), text: `budget ${ms(budget.totalNs)} ms`, class: 'mark-budget' }]
    : [];
  const table = timeTable({
    id,
    caption: captionOf(timeline, group, budget, isShown),
    what: 'Stage',
    heads: ['took', 'median', 'p95'],
    scale,
    poles,
    backdrop: isShown ? backdrop(scale, group, budget) : '',
    sections: [
      totalSection(timeline, group, scale),
      stageSection(timeline, group, scale),
      ...unitSections(timeline, scale),
    ],
  });
  return `${legend(legendOf(timeline, group, budget))}${table}`;
}

function scaleOf(timeline: Timeline, group: EvidenceGroup, budget: EvidenceBudget): TimeScale {
  const ends = [...timeline.stages, ...timeline.tracks.flatMap(({ units }) => units)].map(
    ({ endNs }) => endNs,
  );
  const starts = timeline.stages.map(({ startNs }) => startNs);
  const furthest = [...ends, timeline.totalNs, group.candidate.total?.p95Ns ?? 0];
  const [low, high] = [...starts, ...furthest, 0].reduce(
    ([least, most], at) => [Math.min(least, at), Math.max(most, at)] as [number, number],
    [0, 0] as [number, number],
  );
  const end = budget.totalNs <= BUDGET_FAR * high ? Math.max(high, budget.totalNs) : high;
  return timeScale([low, Math.max(1, end * 1.03)], [0, 100]);
}

/** The reserve, and the part of the budget that uncertainty takes. */
function backdrop(scale: TimeScale, group: EvidenceGroup, budget: EvidenceBudget): string {
  const band = (from: number, to: number, name: string): string =>
    to <= from
      ? ''
      : tag('rect', {
          x: `${fixed(scale(from), 3)}%`,
          y: 0,
          width: `${fixed(scale(to) - scale(from), 3)}%`,
          height: '100%',
          class: name,
        });
  return (
    band(budget.totalNs - budget.reserveNs, budget.totalNs, 'reserve') +
    band(group.limitNs, budget.totalNs, 'guard')
  );
}

function captionOf(
  timeline: Timeline,
  group: EvidenceGroup,
  budget: EvidenceBudget,
  isShown: boolean,
): string {
  const { typical } = group.candidate;
  const leftNs = group.limitNs - timeline.totalNs;
  const left =
    leftNs >= 0
      ? `${derivedTime(leftNs)} ms are left to the limit of ${limitTime(group.limitNs, budget.totalNs)} ms.`
      : `that is ${derivedTime(-leftNs)} ms over the limit of ${limitTime(group.limitNs, budget.totalNs)} ms.`;
  const far = isShown ? '' : ` The budget of ${time(budget.totalNs)} ms lies far to the right.`;
  return (
    `Boot ${typical!.boot} (of ${count(group.candidate.boots, 'boot')}, counted from 0), ` +
    `the one whose total is the median, ` +
    `took ${time(timeline.totalNs)} ms from ${escapeHtml(budget.start)} to ${escapeHtml(budget.stop)}; ` +
    `${left}${far} Times in ms. ${classBadge(group.evidence)}`
  );
}

function legendOf(timeline: Timeline, group: EvidenceGroup, budget: EvidenceBudget): LegendItem[] {
  const items: LegendItem[] = [
    { key: 'time', shape: 'box', text: 'the typical boot' },
    { key: 'ghost', shape: 'box', text: 'as far as 95 of 100 boots (p95)' },
  ];
  if (timeline.constants.length > 0) {
    items.push({
      key: 'declared',
      shape: 'box',
      text: 'declared: no clock of these boots sees it',
    });
  }
  items.push({ key: 'mark-budget', shape: 'line', text: `budget ${time(budget.totalNs)} ms` });
  if (group.limitNs < budget.totalNs) {
    items.push({
      key: 'guard',
      shape: 'box',
      text: `uncertainty: the limit is ${limitTime(group.limitNs, budget.totalNs)} ms`,
    });
  }
  if (budget.reserveNs > 0) {
    items.push({ key: 'reserve', shape: 'box', text: `reserve ${time(budget.reserveNs)} ms` });
  }
  return items;
}

/** A span's bar in a row; rows have their zero in the middle. */
function spanBar(
  span: { startNs: number; endNs: number },
  scale: TimeScale,
  name: string,
  half = 7,
): string {
  return bar(scale(span.startNs), scale(span.endNs), { y: -half, height: 2 * half, class: name });
}

function ghost(fromNs: number, toNs: number, scale: TimeScale): string {
  return toNs <= fromNs ? '' : spanBar({ startNs: fromNs, endNs: toNs }, scale, 'ghost', 5);
}

/** Everything on one line: what the total is made of. */
function totalSection(timeline: Timeline, group: EvidenceGroup, scale: TimeScale): TimeSection {
  const { total } = group.candidate;
  const isOver = timeline.totalNs > group.limitNs;
  const parts = timeline.stages.map((stage, i) =>
    spanBar(stage, scale, i % 2 === 0 ? 'time' : 'time other'),
  );
  const declared = timeline.constants.map((each) => spanBar(each, scale, 'declared'));
  const row: TimeRow = {
    name: `Total${isOver ? ' <strong class="over">over</strong>' : ''}`,
    bars:
      ghost(timeline.totalNs, total?.p95Ns ?? 0, scale) +
      parts.join('') +
      declared.join('') +
      leftText(timeline, group, scale),
    cells: [time(timeline.totalNs), time(total?.medianNs), time(total?.p95Ns)],
    class: 'total',
  };
  const constants = timeline.constants.map((each): TimeRow => ({
    name: `${nameOf(each.name)} <span class="aside">declared (${escapeHtml(each.evidence)})</span>`,
    bars: spanBar(each, scale, 'declared'),
    cells: [time(each.ns), '', ''],
  }));
  return { rows: [row, ...constants] };
}

/** How much is left, in the room that it is; the caption says it wherever there is none. */
function leftText(timeline: Timeline, group: EvidenceGroup, scale: TimeScale): string {
  const text = `${ms(group.limitNs - timeline.totalNs)} ms left`;
  const from = scale(Math.max(timeline.totalNs, group.candidate.total?.p95Ns ?? 0));
  const to = Math.min(97, scale(group.limitNs));
  const roomPx = ((to - from) / 100) * WIDE_PLOT_PX;
  if (roomPx < textWidth(text) + 24) return '';
  return label(text, { x: across((from + to) / 2), y: 4, class: 'tick middle wide' });
}

function nameOf(name: string): string {
  return `<bdi>${escapeHtml(shorten(name, NAME_MAX))}</bdi>`;
}

function stageSection(timeline: Timeline, group: EvidenceGroup, scale: TimeScale): TimeSection {
  const columns = new Map(group.candidate.stages.map((column) => [column.name, column]));
  const byStage = rowsByStage(timeline.stages);
  const rows = timeline.stages.map((span) => {
    const stage = stageOf(span.name);
    const same = byStage.get(stage)!;
    return stageRow(span, same, columns.get(stage), scale);
  });
  return rows.length === 0 ? { rows, note: 'The record has no stages.' } : { rows };
}

/** Median and p95 are of all rows of a stage together; the first row has them, the last one the pale bar. */
function stageRow(
  span: PlacedSpan,
  same: readonly PlacedSpan[],
  column: StageColumn | undefined,
  scale: TimeScale,
): TimeRow {
  const summary = column?.summary ?? null;
  const isFirst = same[0] === span;
  const isLast = same.at(-1) === span;
  const tookNs = same.reduce((total, { startNs, endNs }) => total + endNs - startNs, 0);
  const reach = isLast && summary !== null ? span.endNs + summary.p95Ns - tookNs : span.endNs;
  const isOver = isFirst && summary !== null && summary.medianNs > (column?.budgetNs ?? Infinity);
  const rows = isFirst && same.length > 1 ? ` <span class="aside">${same.length} rows</span>` : '';
  const over = isOver ? ' <strong class="over">over</strong>' : '';
  const open = span.isOpen ? ' <strong class="over">did not end</strong>' : '';
  return {
    name: `${nameOf(span.name)}${rows}${over}${open}`,
    bars:
      ghost(span.endNs, reach, scale) +
      spanBar(span, scale, span.isOpen ? 'time open' : isOver ? 'time is-over' : 'time'),
    cells: [
      span.isOpen ? '–' : derivedTime(span.endNs - span.startNs),
      isFirst ? time(summary?.medianNs) : '',
      isFirst ? time(summary?.p95Ns) : '',
    ],
  };
}

function unitSections({ tracks }: Timeline, scale: TimeScale): TimeSection[] {
  return tracks.map(({ name, units }) => {
    const longest = [...units].sort((a, b) => lengthOf(b) - lengthOf(a)).slice(0, UNITS_SHOWN);
    const shown = new Set(longest);
    const rows = units
      .filter((unit) => shown.has(unit))
      .sort((a, b) => a.startNs - b.startNs)
      .map((unit): TimeRow => ({
        name: nameOf(unit.name) + (unit.isOpen ? ' <strong class="over">did not end</strong>' : ''),
        bars: spanBar(unit, scale, unit.isOpen ? 'time open' : 'time side', 4),
        cells: [unit.isOpen ? '–' : derivedTime(lengthOf(unit)), '', ''],
        class: 'unit',
      }));
    const title = `Side by side: ${nameOf(name)}`;
    const rest = units.length - rows.length;
    if (rest === 0) return { title, rows };
    const restNs = units.reduce(
      (most, unit) => (shown.has(unit) ? most : Math.max(most, lengthOf(unit))),
      0,
    );
    const note =
      `The ${UNITS_SHOWN} longest of ${units.length} are shown; ` +
      `${rest} more took at most ${derivedTime(restNs)} ms each.`;
    return { title, rows, note };
  });
}

function lengthOf({ startNs, endNs, isOpen }: PlacedSpan): number {
  return isOpen ? Infinity : endNs - startNs;
}
