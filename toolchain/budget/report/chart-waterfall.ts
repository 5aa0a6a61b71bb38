/**
 * The waterfall from baseline to candidate: what each stage adds to or takes from the median total. Medians of stages
 * do not add up to the median of totals, so the last step says how much they leave unexplained.
 */
import type { EvidenceBudget, EvidenceGroup, RegressionResult, StageShift } from '../evidence.ts';
import { escapeHtml, shorten } from './escape.ts';
import { chanceText, classBadge, derivedTime, signedMs, time } from './page-figures.ts';
import {
  across,
  bar,
  domainOf,
  legend,
  tag,
  timeScale,
  type LegendItem,
  type TimeScale,
} from './svg.ts';
import { timeTable, type TimeRow, type TimeSection } from './time-table.ts';

/** So many stages are shown, the largest shifts; the rest is one row. */
export const SHIFTS_SHOWN = 40;
const NAME_MAX = 72;

interface Step {
  readonly shift: StageShift;
  readonly fromNs: number;
  readonly toNs: number;
}

/** The chart of a comparison. */
export function waterfallChart(
  group: EvidenceGroup,
  regression: RegressionResult,
  budget: EvidenceBudget,
  id: string,
): string {
  const { total, method, stages } = regression;
  const isStretch = new Set(budget.stretches.map(({ name }) => name));
  const ofStages = stages.filter(({ name }) => !isStretch.has(name));
  const steps = stepsOf(ofStages.slice(0, SHIFTS_SHOWN), total.baselineMedianNs);
  const hidden = ofStages.slice(SHIFTS_SHOWN);
  const at = steps.at(-1)?.toNs ?? total.baselineMedianNs;
  const restNs = at + hidden.reduce((sum, { shiftNs }) => sum + shiftNs, 0);
  // A stretch lies across stages: it explains the same shift once more, so each begins at the baseline.
  const stretches = stages
    .filter(({ name }) => isStretch.has(name))
    .flatMap((shift) => stepsOf([shift], total.baselineMedianNs));
  const ends = [total.baselineMedianNs, total.candidateMedianNs, restNs];
  const scale = timeScale(
    domainOf([...ends, ...[...steps, ...stretches].flatMap(endsOf)], []),
    [0, 100],
  );
  const hasIntervals = method === 'shift';
  const rows = [
    levelRow('baseline, median', total.baselineMedianNs, 'base', scale),
    ...steps.map((step) => stepRow(step, scale, hasIntervals)),
    ...(hidden.length === 0
      ? []
      : [plainRow(`${hidden.length} smaller shifts together`, at, restNs, scale)]),
    plainRow('not explained by stages', restNs, total.candidateMedianNs, scale),
    levelRow('candidate, median', total.candidateMedianNs, 'time', scale),
  ];
  const across: TimeSection = {
    title: 'Stretches, across stages',
    rows: stretches.map((step) => stepRow(step, scale, hasIntervals)),
  };
  const table = timeTable({
    id,
    caption: captionOf(group, regression),
    what: 'Stage',
    heads: ['baseline', 'candidate', 'shift', ...(hasIntervals ? ['interval from … to'] : [])],
    scale,
    poles: [],
    sections: [{ rows }, ...(stretches.length === 0 ? [] : [across])],
  });
  return legend(legendOf(regression)) + table + guards(regression);
}

/** One after the other, from a level. */
function stepsOf(shifts: readonly StageShift[], levelNs: number): Step[] {
  let at = levelNs;
  return shifts.map((shift) => {
    const fromNs = at;
    at += shift.shiftNs;
    return { shift, fromNs, toNs: at };
  });
}

/** Everything of a step that has to be in the picture. */
function endsOf({ shift: { lowNs, highNs }, fromNs, toNs }: Step): number[] {
  return lowNs === null || highNs === null ? [toNs] : [toNs, fromNs + lowNs, fromNs + highNs];
}

function captionOf(group: EvidenceGroup, { total, method }: RegressionResult): string {
  const { lowNs, highNs } = total;
  const interval =
    lowNs === null || highNs === null
      ? ''
      : ` (from ${time(lowNs, signedMs(lowNs))} to ${time(highNs, signedMs(highNs))} ms)`;
  const how =
    method === 'exact'
      ? 'Exact comparison: the distance of the nearest ends of both ranges.'
      : 'Hodges-Lehmann estimate with its interval.';
  return (
    `The total shifts by ${time(total.shiftNs, signedMs(total.shiftNs))} ms${interval}; ` +
    `up to ${time(total.marginNs)} ms count as none. ${how} The axis does not begin at 0. ` +
    `Times in ms. ${classBadge(group.evidence)}`
  );
}

function legendOf({ method }: RegressionResult): LegendItem[] {
  const items: LegendItem[] = [
    { key: 'slower', shape: 'box', text: 'slower (+)' },
    { key: 'faster', shape: 'box', text: 'faster (−)' },
    { key: 'rest', shape: 'box', text: 'too small to count, or not explained' },
  ];
  if (method === 'shift')
    items.push({ key: 'whisker', shape: 'line', text: 'interval of the shift' });
  return items;
}

function levelRow(name: string, ns: number, key: string, scale: TimeScale): TimeRow {
  const from = scale.domain()[0]!;
  return {
    name,
    bars: bar(scale(from), scale(ns), { y: -7, height: 14, class: key }),
    cells: key === 'base' ? [time(ns), '', ''] : ['', time(ns), ''],
    class: 'total',
  };
}

function plainRow(name: string, fromNs: number, toNs: number, scale: TimeScale): TimeRow {
  return {
    name,
    bars: stepBar(fromNs, toNs, 'rest', scale),
    cells: ['', '', derivedTime(toNs - fromNs, signedMs(toNs - fromNs))],
  };
}

function stepBar(fromNs: number, toNs: number, key: string, scale: TimeScale): string {
  const [low, high] = fromNs < toNs ? [fromNs, toNs] : [toNs, fromNs];
  return bar(scale(low), scale(high), { y: -7, height: 14, class: key });
}

function stepRow({ shift, fromNs, toNs }: Step, scale: TimeScale, hasIntervals: boolean): TimeRow {
  const { name, lowNs, highNs, isSignificant, change, p } = shift;
  const key = isSignificant ? (shift.shiftNs > 0 ? 'slower' : 'faster') : 'rest';
  const isKnown = lowNs !== null && highNs !== null;
  const whisker = isKnown
    ? tag('line', {
        x1: across(scale(fromNs + lowNs)),
        x2: across(scale(fromNs + highNs)),
        y1: 0,
        y2: 0,
        class: 'whisker',
      })
    : '';
  const mark = isSignificant ? ` <strong>${shift.shiftNs > 0 ? 'slower' : 'faster'}</strong>` : '';
  const aside = [change === null ? '' : `${change} stage`, p === null ? '' : chanceText(p)]
    .filter((text) => text !== '')
    .join(', ');
  return {
    name:
      `<bdi>${escapeHtml(shorten(name, NAME_MAX))}</bdi>${mark}` +
      (aside === '' ? '' : ` <span class="aside">${aside}</span>`),
    bars: stepBar(fromNs, toNs, key, scale) + whisker,
    cells: [
      change === 'new' ? '–' : time(shift.baselineMedianNs),
      change === 'gone' ? '–' : time(shift.candidateMedianNs),
      time(shift.shiftNs, signedMs(shift.shiftNs)),
      ...(hasIntervals
        ? [isKnown ? `${time(lowNs, signedMs(lowNs))} … ${time(highNs, signedMs(highNs))}` : '–']
        : []),
    ],
  };
}

const GUARD_NAMES = { tail: 'Tail', p95: 'p95', shape: 'Shape' } as const;

/** Remarks that do not decide. */
function guards({ guards: all, moreBoots }: RegressionResult): string {
  const items = all.map(
    ({ name, isRaised, p, sentence }) =>
      `<li>${isRaised ? '<strong>Raised</strong>' : 'Not raised'}: ${GUARD_NAMES[name]}: ${escapeHtml(sentence)}` +
      `${p === null ? '' : ` (${chanceText(p)})`}.</li>`,
  );
  const list =
    items.length === 0
      ? ''
      : `<p>Beside the shift, deciding nothing:</p><ul>${items.join('')}</ul>`;
  const more =
    moreBoots === 0
      ? ''
      : `<p>About ${moreBoots} more boots of each arm would probably decide.</p>`;
  return list + more;
}
