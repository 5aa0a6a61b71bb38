/**
 * The dot strip: every boot, in the order in which it was measured. It shows what a summary hides: drift while
 * measuring, two levels, a slow first boot.
 *
 * Marks at one place of a grid finer than a mark are drawn once. So ten thousand boots stay small, and no boot that
 * stands apart is ever left out. A boot without a total, because it never ended or its record is no evidence,
 * stands at the top edge with a cross.
 */
import type { EvidenceGroup, SampleSet } from '../evidence.ts';
import { count, limitTime, ms, time } from './page-figures.ts';
import {
  across,
  CURVE_WIDTH,
  domainOf,
  extent,
  fixed,
  heightTicks,
  label,
  legend,
  markShapes,
  picture,
  stretched,
  tag,
  timeScale,
  yAxis,
  type LegendItem,
  type TimeScale,
} from './svg.ts';

const TITLE_PX = 18;
/** The lane of boots that never ended. */
const EDGE_PX = 16;
const HEIGHT_PX = 180;
const BELOW_PX = 22;
/** No arm is narrower, however few boots it has, or its labels would not fit. */
const ARM_WIDTH_MIN = 28;
/** Squares of the baseline are hollow, told from dots by more than colour; more of them would only be their edges. */
const HOLLOW_MAX = 400;
const MANY = 1000;
/** Between two arms. */
const GAP = 4;
/** Limits further than so many ranges from the boots would press the boots flat. */
const LIMIT_FAR = 2;

interface Arm {
  readonly name: 'baseline' | 'candidate';
  readonly set: SampleSet;
  /** Per cent across. */
  readonly from: number;
  readonly to: number;
}

/** The chart, for any number of boots but none. */
export function dotChart(group: EvidenceGroup, budgetNs: number, id: string): string {
  const arms = armsOf(group);
  const totals = arms.flatMap(({ set }) => set.totalsNs.filter((ns) => ns !== null));
  const top = TITLE_PX + EDGE_PX;
  const bottom = top + HEIGHT_PX;
  const y = timeScale(domainOf(totals, [group.limitNs, budgetNs], LIMIT_FAR), [bottom, top]);
  const content =
    markShapes(id) +
    yAxis(heightTicks(y)) +
    limitLines(group, budgetNs, y) +
    arms.map((arm) => armOf(arm, y, id, bottom)).join('');
  const chart = picture({
    id,
    title: `Every boot in run order, ${group.label}`,
    description: describe(arms, group.limitNs),
    heightPx: bottom + BELOW_PX,
    content,
  });
  return legend(legendOf(arms, group, budgetNs, y)) + chart;
}

function armsOf({ candidate, baseline }: EvidenceGroup): Arm[] {
  if (baseline === null || baseline.boots === 0) {
    return [{ name: 'candidate', set: candidate, from: 0, to: 100 }];
  }
  const room = 100 - GAP;
  const share = (room * baseline.boots) / Math.max(1, baseline.boots + candidate.boots);
  const width = Math.min(room - ARM_WIDTH_MIN, Math.max(ARM_WIDTH_MIN, share));
  return [
    { name: 'baseline', set: baseline, from: 0, to: width },
    { name: 'candidate', set: candidate, from: width + GAP, to: 100 },
  ];
}

function isInside(ns: number, y: TimeScale): boolean {
  const [from, to] = y.domain() as [number, number];
  return ns >= from && ns <= to;
}

function limitLines({ limitNs }: EvidenceGroup, budgetNs: number, y: TimeScale): string {
  const lines: [number, string][] = [[budgetNs, 'mark-budget']];
  if (limitNs !== budgetNs) lines.push([limitNs, 'mark-limit']);
  return lines
    .filter(([ns]) => isInside(ns, y))
    .map(([ns, name]) => tag('line', { x1: '0%', x2: '100%', y1: y(ns), y2: y(ns), class: name }))
    .join('');
}

/** Where a boot stands across: in the middle of its share of the arm. */
function placeOf(boot: number, { set, from, to }: Arm): number {
  return from + ((boot + 0.5) / set.boots) * (to - from);
}

function armOf(arm: Arm, y: TimeScale, id: string, bottom: number): string {
  const { name, set, from, to } = arm;
  const title = label(name, { x: across(from), y: TITLE_PX - 6, class: 'label strong' });
  const ends =
    label('0', { x: across(from), y: bottom + 16, class: 'tick' }) +
    (set.boots > 1
      ? label(String(set.boots - 1), { x: across(to), y: bottom + 16, class: 'tick end' })
      : '');
  const frame = tag('line', {
    x1: across(from),
    x2: across(to),
    y1: bottom,
    y2: bottom,
    class: 'axis-line',
  });
  return (
    frame +
    stretched(0, bottom, dots(arm, y)) +
    singles(arm, y, id) +
    tag('g', { class: 'labels' }, title + ends)
  );
}

/** All boots as one path: strokes of no length with round or square ends. */
function dots(arm: Arm, y: TimeScale): string {
  const seen = new Set<string>();
  arm.set.totalsNs.forEach((ns, boot) => {
    if (ns === null) return;
    const x = Math.round((placeOf(boot, arm) / 100) * CURVE_WIDTH * 2) / 2;
    seen.add(`M${fixed(x, 1)} ${fixed(Math.round(y(ns)), 0)}h0`);
  });
  const d = [...seen].join('');
  if (d === '') return '';
  const outline = tag('path', { d, class: `dot ${arm.name}` });
  return arm.name === 'candidate' || arm.set.boots > HOLLOW_MAX
    ? outline
    : outline + tag('path', { d, class: 'dot hole' });
}

/** Marks of single boots: never ended, flagged. */
function singles(arm: Arm, y: TimeScale, id: string): string {
  const marks = new Set<string>();
  // A two-hundredth of the width is finer than a mark, and enough where there are very many.
  const grid = arm.set.boots > MANY ? 2 : 20;
  const put = (shape: 'cross' | 'ring', boot: number, at: number): void => {
    const x = across(Math.round(placeOf(boot, arm) * grid) / grid);
    marks.add(tag('use', { href: `#${id}-${shape}`, x, y: fixed(Math.round(at), 0) }));
  };
  const edge = TITLE_PX + EDGE_PX / 2;
  arm.set.totalsNs.forEach((ns, boot) => {
    if (ns === null) put('cross', boot, edge);
  });
  for (const { boot } of arm.set.flags) {
    const ns = arm.set.totalsNs[boot] ?? null;
    put('ring', boot, ns === null ? edge : y(ns));
  }
  return [...marks].join('');
}

/** Why boots have no total. */
function withoutTotal({ totalsNs, flags }: SampleSet): { never: number; unusable: number } {
  const unusable = new Set(flags.flatMap(({ boot, flag }) => (flag.isUnusable ? [boot] : [])));
  const without = totalsNs.flatMap((ns, boot) => (ns === null ? [boot] : []));
  const bad = without.filter((boot) => unusable.has(boot)).length;
  return { never: without.length - bad, unusable: bad };
}

function missingText(set: SampleSet): string {
  const { never, unusable } = withoutTotal(set);
  return `${never} never ended${unusable === 0 ? '' : `, ${unusable} unusable`}`;
}

function describe(arms: readonly Arm[], limitNs: number): string {
  const sentences = arms.map(({ name, set }) => {
    const totals = set.totalsNs.filter((ns) => ns !== null);
    const over = totals.filter((ns) => ns > limitNs).length;
    const [low, high] = extent(totals);
    const range = totals.length === 0 ? '' : ` from ${ms(low)} to ${ms(high)} ms`;
    return `${name}: ${count(set.boots, 'boot')}${range}, ${over} over the limit, ${missingText(set)}.`;
  });
  return sentences.join(' ');
}

function legendOf(
  arms: readonly Arm[],
  group: EvidenceGroup,
  budgetNs: number,
  y: TimeScale,
): LegendItem[] {
  const where = (ns: number): string => {
    const [from, to] = y.domain() as [number, number];
    return ns > to ? ' (above the picture)' : ns < from ? ' (below the picture)' : '';
  };
  const items = arms.map(({ name, set }): LegendItem => ({
    key: `dot ${name}`,
    shape: name === 'candidate' ? 'dot' : set.boots > HOLLOW_MAX ? 'square' : 'hollow',
    text: `${name}, ${count(set.boots, 'boot')}`,
  }));
  items.push({
    key: 'mark-budget',
    shape: 'line',
    text: `budget ${time(budgetNs)} ms${where(budgetNs)}`,
  });
  if (group.limitNs !== budgetNs) {
    const text = `limit ${limitTime(group.limitNs, budgetNs)} ms${where(group.limitNs)}`;
    items.push({ key: 'mark-limit', shape: 'line', text });
  }
  for (const { name, set } of arms) {
    const { never, unusable } = withoutTotal(set);
    if (never + unusable === 0) continue;
    items.push({ key: 'cross', shape: 'cross', text: `${name}, ${missingText(set)}` });
  }
  const flagged = arms.reduce(
    (sum, { set }) => sum + new Set(set.flags.map(({ boot }) => boot)).size,
    0,
  );
  if (flagged > 0) items.push({ key: 'ring', shape: 'ring', text: `flagged: ${flagged}` });
  return items;
}
