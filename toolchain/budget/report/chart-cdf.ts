/**
 * The empirical distribution of totals: how many boots were done by when. A boot that never ended is in the number of
 * boots but never in the curve, so a curve with such boots stays below 100%.
 *
 * Curves are thinned to a thousandth of the width. The last step of any run of steps is kept, so no slow boot is lost.
 */
import { curveStepAfter, line } from 'd3-shape';
import type { EvidenceGroup, EvidenceSettings, SampleSet } from '../evidence.ts';
import { judgedTotals } from '../judge-compliance.ts';
import { empty } from './html.ts';
import { count, limitTime, ms, msBeside, percent, time } from './page-figures.ts';
import {
  across,
  CURVE_WIDTH,
  domainOf,
  extent,
  flagpoles,
  legend,
  picture,
  stretched,
  tag,
  timeScale,
  timeTicks,
  xAxis,
  yAxis,
  type Flagpole,
  type LegendItem,
  type TimeScale,
} from './svg.ts';

/** Fewer boots make no distribution. */
export const CDF_BOOTS_MIN = 5;
const HEIGHT_PX = 200;
const BELOW_PX = 24;
/** The limit is shown unless it is so many ranges of the boots away: how far it is, is the question. */
const LIMIT_FAR = 40;

/** The chart; a sentence where there are too few boots. */
export function cdfChart(
  group: EvidenceGroup,
  settings: EvidenceSettings,
  budgetNs: number,
  id: string,
): string {
  const ended = endedNs(group.candidate);
  if (ended.length < CDF_BOOTS_MIN) {
    return empty(
      `Too few boots for a distribution: it takes ${CDF_BOOTS_MIN} that got to their end.`,
    );
  }
  const boundNs = group.compliance?.boundNs ?? null;
  const marks = [budgetNs, group.limitNs, ...(boundNs === null ? [] : [boundNs])];
  const all = [...ended, ...(group.baseline === null ? [] : endedNs(group.baseline))];
  const scale = timeScale(domainOf(all, marks, LIMIT_FAR), [0, 100]);
  const flags = flagpoles(polesOf(group, settings, budgetNs, scale), HEIGHT_PX);
  const top = flags.heightPx + 4;
  const bottom = flags.heightPx + HEIGHT_PX;
  const y = (part: number): number => bottom - part * (bottom - top);
  const shares = [0, 0.25, 0.5, 0.75, 1].map((part) => ({ at: y(part), text: percent(part) }));
  const content =
    guardBand(group, budgetNs, scale, top, bottom) +
    yAxis(shares) +
    xAxis(timeTicks(scale), top, bottom) +
    flags.svg +
    coverageLine(group, settings, y) +
    stretched(
      top,
      bottom - top,
      (group.baseline === null ? '' : curve(group.baseline, scale, bottom - top, 'curve base')) +
        curve(group.candidate, scale, bottom - top, 'curve'),
    );
  const title = `Distribution of totals, ${group.label}`;
  const chart = picture({
    id,
    title,
    description: describe(group, budgetNs),
    heightPx: bottom + BELOW_PX,
    content,
  });
  return legend(legendOf(group, settings, budgetNs, scale)) + chart;
}

/** Boots that are no evidence are in neither number: nobody knows whether they ended. */
function endedNs(set: SampleSet): number[] {
  return judgedTotals(set).filter((ns) => ns !== Infinity);
}

/** Lines for what lies within the picture. */
function polesOf(
  group: EvidenceGroup,
  settings: EvidenceSettings,
  budgetNs: number,
  scale: TimeScale,
): Flagpole[] {
  const boundNs = group.compliance?.boundNs ?? null;
  const poles = [
    { ns: budgetNs, text: `budget ${ms(budgetNs)} ms`, class: 'mark-budget' },
    ...(group.limitNs === budgetNs
      ? []
      : [
          {
            ns: group.limitNs,
            text: `limit ${msBeside(group.limitNs, budgetNs)} ms`,
            class: 'mark-limit',
          },
        ]),
    ...(boundNs === null
      ? []
      : [
          {
            ns: boundNs,
            text: `bound ${planName(settings)}: ${ms(boundNs)} ms`,
            class: 'mark-bound',
          },
        ]),
  ];
  return poles
    .filter(({ ns }) => isInside(ns, scale))
    .map(({ ns, ...pole }) => ({ ...pole, at: scale(ns) }));
}

function isInside(ns: number, scale: TimeScale): boolean {
  const [from, to] = scale.domain() as [number, number];
  return ns >= from && ns <= to;
}

/** `95/95`: coverage and confidence. */
export function planName({ plan }: EvidenceSettings): string {
  return `${percent(plan.coverage).slice(0, -1)}/${percent(plan.confidence).slice(0, -1)}`;
}

function guardBand(
  { limitNs }: EvidenceGroup,
  budgetNs: number,
  scale: TimeScale,
  top: number,
  bottom: number,
): string {
  const [from, to] = extent([scale(limitNs), scale(budgetNs)]);
  if (to <= from || from > 100 || to < 0) return '';
  const shape = { y: top, height: bottom - top, class: 'guard' };
  return tag('rect', { x: across(from), width: across(to - from), ...shape });
}

/** The share of boots that the plan asks for. */
function coverageLine(
  group: EvidenceGroup,
  { plan }: EvidenceSettings,
  y: (part: number) => number,
): string {
  if (group.compliance === null) return '';
  const at = y(plan.coverage);
  return tag('line', { x1: '0%', x2: '100%', y1: at, y2: at, class: 'mark-coverage' });
}

function curve(set: SampleSet, scale: TimeScale, heightPx: number, name: string): string {
  const n = judgedTotals(set).length;
  const sorted = endedNs(set).sort((a, b) => a - b);
  // Rounded to the picture's units; of several steps at one place the highest counts.
  const steps = new Map<number, number>();
  sorted.forEach((ns, i) => {
    steps.set(Math.round((scale(ns) / 100) * CURVE_WIDTH), (i + 1) / n);
  });
  const points: [number, number][] = [...steps].map(([x, part]) => [x, (1 - part) * heightPx]);
  const first = points[0]?.[0] ?? 0;
  const isComplete = sorted.length === n;
  const path = line().curve(curveStepAfter).digits(1)([
    [0, heightPx],
    [first, heightPx],
    ...points,
    // Where every boot ended the curve stays at 100%; otherwise it stops with its last boot.
    ...(isComplete ? [[CURVE_WIDTH, 0] as [number, number]] : []),
  ]);
  return tag('path', { d: path ?? '', class: name });
}

function describe(group: EvidenceGroup, budgetNs: number): string {
  const total = group.candidate.total!;
  const never = judgedTotals(group.candidate).filter((ns) => ns === Infinity).length;
  return (
    `Half of the boots were done by ${ms(total.medianNs)} ms, 95 of 100 by ${ms(total.p95Ns)} ms, ` +
    `the slowest by ${ms(total.maxNs)} ms; the limit is ${msBeside(group.limitNs, budgetNs)} ms, ` +
    `the budget ${ms(budgetNs)} ms.` +
    (never === 0 ? '' : ` ${never} never ended.`)
  );
}

function legendOf(
  group: EvidenceGroup,
  settings: EvidenceSettings,
  budgetNs: number,
  scale: TimeScale,
): LegendItem[] {
  const arm = (set: SampleSet): string => {
    const judged = judgedTotals(set).length;
    const never = judged - endedNs(set).length;
    const share = percent((judged - never) / judged, 1);
    return `${count(judged, 'boot')}${never === 0 ? '' : `, ${never} never ended: ends at ${share}`}`;
  };
  const items: LegendItem[] = [
    { key: 'curve', shape: 'line', text: `candidate, ${arm(group.candidate)}` },
  ];
  if (group.baseline !== null) {
    items.push({ key: 'curve base', shape: 'line', text: `baseline, ${arm(group.baseline)}` });
  }
  const where = (ns: number): string => (isInside(ns, scale) ? '' : ' (outside the picture)');
  items.push({
    key: 'mark-budget',
    shape: 'line',
    text: `budget ${time(budgetNs)} ms${where(budgetNs)}`,
  });
  if (group.limitNs !== budgetNs) {
    items.push({
      key: 'guard',
      shape: 'box',
      text: `uncertainty: the limit is ${limitTime(group.limitNs, budgetNs)} ms${where(group.limitNs)}`,
    });
  }
  if (group.compliance !== null) {
    const { boundNs } = group.compliance;
    const share = percent(settings.plan.coverage);
    items.push({ key: 'mark-coverage', shape: 'line', text: `${share} of boots` });
    items.push({
      key: 'mark-bound',
      shape: 'line',
      text:
        boundNs === null
          ? 'no bound can be given'
          : `at most this in ${share} of boots, with ${percent(settings.plan.confidence)} confidence: ` +
            `${time(boundNs)} ms${where(boundNs)}`,
    });
  }
  return items;
}
