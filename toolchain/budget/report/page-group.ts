/** One group of the page: its charts, its ledger, its plan. */
import type { Evidence, EvidenceGroup } from '../evidence.ts';
import { isRealBoard } from '../measured-boot.ts';
import { cdfChart } from './chart-cdf.ts';
import { dotChart } from './chart-dots.ts';
import { ganttChart } from './chart-gantt.ts';
import { trendChart } from './chart-trend.ts';
import { waterfallChart } from './chart-waterfall.ts';
import { escapeHtml } from './escape.ts';
import { empty, headRow, section } from './html.ts';
import { ledgerOf, type LedgerRow } from './ledger.ts';
import {
  classBadge,
  count,
  derivedTime,
  groupName,
  msBeside,
  percent,
  time,
  smallMs,
} from './page-figures.ts';
import { across, fixed, tag } from './svg.ts';
import { storageTable } from './page-storage.ts';
import { virtualNotice } from './page-verdict.ts';

/** The section of a group; the trend of builds belongs to the one that decides. */
export function groupPart(evidence: Evidence, group: EvidenceGroup, i: number): string {
  const id = `g${i + 1}`;
  const { budget, settings } = evidence;
  const part = (name: string, title: string, content: string): string =>
    content === '' ? '' : section({ id: `${id}-${name}`, title, content, level: 3, kind: 'part' });
  const isEmpty = group.candidate.boots === 0;
  const charts = isEmpty
    ? empty('There are no boots in this group.')
    : part('stages', 'Stages against the budget', ganttChart(group, budget, `${id}-gantt`)) +
      part(
        'totals',
        'Distribution of totals',
        cdfChart(group, settings, budget.totalNs, `${id}-cdf`),
      ) +
      part('boots', 'Every boot in run order', dotChart(group, budget.totalNs, `${id}-dots`));
  const trend = i === 0 && evidence.builds.length > 0 ? trendOf(evidence, `${id}-trend-chart`) : '';
  const { regression } = group;
  return (
    `<section class="group" aria-labelledby="${id}"><h2 id="${id}">${groupName(group)}</h2>${groupLine(group, i)}` +
    (isVirtualAmongReal(evidence, group) ? virtualNotice() : '') +
    charts +
    part('trend', 'Trend over builds', trend) +
    part(
      'shift',
      'From baseline to candidate',
      regression === null ? '' : waterfallChart(group, regression, budget, `${id}-waterfall`),
    ) +
    part('ledger', 'Ledger of the budget', ledgerTable(evidence, group)) +
    part('storage', 'Reads from the storage', storageTable(group, evidence.storage)) +
    part('plan', 'What the plan can tell', planTable(evidence, group)) +
    `</section>`
  );
}

function trendOf({ builds, drift, budget }: Evidence, id: string): string {
  return trendChart(builds, drift, budget.totalNs, id);
}

/** The trend on its own, where there is a history and nothing else. */
export function trendPart(evidence: Evidence): string {
  return evidence.builds.length === 0
    ? ''
    : section({
        id: 'trend',
        title: 'Trend over builds',
        content: trendOf(evidence, 'trend-chart'),
      });
}

function isVirtualAmongReal({ groups }: Evidence, group: EvidenceGroup): boolean {
  return !isRealBoard(group.evidence) && groups.some((each) => isRealBoard(each.evidence));
}

function groupLine({ candidate, baseline, compliance }: EvidenceGroup, i: number): string {
  const { specimens } = candidate;
  const boards =
    specimens.length === 0 ? '' : `, on ${count(specimens.length, 'specimen')} of the board`;
  const against =
    baseline === null ? '' : `, against ${count(baseline.boots, 'boot')} of the baseline`;
  const proven =
    compliance === null
      ? ''
      : ` ${compliance.allExceedances} of ${compliance.allBoots} boots did not keep to the limit; ` +
        `exploratory, all of them prove that ${percent(compliance.provenCoverage)} of boots do.` +
        (compliance.moreBoots > 0
          ? ` ${count(compliance.moreBoots, 'more boot')} would decide, if all keep to it.`
          : '');
  return (
    `<p class="lead">${i === 0 ? 'This group decides. ' : ''}${count(candidate.boots, 'boot')}` +
    `${boards}${against}.${proven}</p>`
  );
}

const LEDGER_HEADS = ['allocated', 'median', 'left', 'p95'];
const LEDGER_COLUMNS = LEDGER_HEADS.length + 2;
/** The axis of the ledger's bars: beyond, a bar goes to the edge. */
const USED_MAX = 1.25;
/** Rows by what they are, in the order of the ledger; the titles stand above a part. */
const LEDGER_PARTS: readonly (readonly [LedgerRow['kind'][], title: string | null])[] = [
  [['stage', 'constant'], null],
  [['reserve', 'free', 'total'], null],
  [['stretch'], 'Stretches, across stages and in no sum'],
];

function ledgerTable({ budget }: Evidence, group: EvidenceGroup): string {
  const rows = ledgerOf(group, budget);
  const parts = LEDGER_PARTS.map(([kinds, title]) => {
    const own = rows.filter(({ kind }) => kinds.includes(kind));
    if (own.length === 0) return '';
    const head =
      title === null
        ? ''
        : `<tr class="section"><th colspan="${LEDGER_COLUMNS}" scope="colgroup">${title}</th></tr>`;
    const kind = kinds.includes('total') ? ' class="sums"' : '';
    return `<tbody${kind}>${head}${own.map((row) => ledgerRow(row, group)).join('\n')}</tbody>`;
  });
  return (
    `<table class="ledger"><caption>Left is what was allocated minus the median, by which stages ` +
    `are judged. Medians of stages need not add up to the median of totals. Times in ms. ` +
    `${classBadge(group.evidence)}</caption>` +
    headRow([
      'Stage',
      ...LEDGER_HEADS.map((head) => [head] as const),
      'used of what was allocated',
    ]) +
    `${parts.join('')}</table>`
  );
}

function ledgerRow(row: LedgerRow, group: EvidenceGroup): string {
  const { kind, allocatedNs, usedNs, p95Ns, leftNs } = row;
  const isOver = (leftNs ?? 0) < 0 || (kind === 'free' && (allocatedNs ?? 0) < 0);
  const over = isOver ? ' <strong class="over">over</strong>' : '';
  const isMeasured = kind === 'stage' || kind === 'stretch' || kind === 'total';
  const blank = (text: string): string => (isMeasured ? text : '');
  const beside = (ns: number | null): string =>
    ns === null ? '–' : time(ns, msBeside(ns, allocatedNs ?? ns));
  const left = derivedTime(leftNs);
  const cells = [
    kind === 'constant' ? '' : kind === 'free' ? derivedTime(allocatedNs) : time(allocatedNs),
    kind === 'constant' ? time(usedNs) : blank(usedNs === null ? 'not measured' : beside(usedNs)),
    blank(isOver ? `<strong class="over">${left}</strong>` : left),
    blank(beside(p95Ns)),
  ];
  const figures = cells.map(
    (cell, i) => `<td class="n" data-head="${LEDGER_HEADS[i]!}">${cell}</td>`,
  );
  return (
    `<tr${kind === 'total' ? ' class="total"' : ''}><th scope="row"><bdi>${escapeHtml(nameOf(row))}</bdi>${over}` +
    `${kind === 'constant' ? constantText(row, group) : ''}</th>${figures.join('')}` +
    `<td class="axis">${isMeasured ? usedBar(row) : ''}</td></tr>`
  );
}

function nameOf({ kind, name }: LedgerRow): string {
  const isOurs = kind === 'reserve' || kind === 'free' || kind === 'total';
  return isOurs ? name.slice(0, 1).toUpperCase() + name.slice(1) : name;
}

/** How a constant came to its figure. */
function constantText({ name }: LedgerRow, { constants }: EvidenceGroup): string {
  const constant = constants.find((each) => each.name === name)!;
  const { uncertaintyNs, evidence, source, from, to } = constant;
  return (
    `<span class="aside">declared (${escapeHtml(evidence)}): ± ${time(uncertaintyNs, smallMs(uncertaintyNs))} ms, ` +
    `${escapeHtml(source)}; from ${escapeHtml(from)} to ${escapeHtml(to)}</span>`
  );
}

function usedBar({ allocatedNs, usedNs, p95Ns }: LedgerRow): string {
  if (allocatedNs === null || allocatedNs === 0 || usedNs === null || p95Ns === null) return '';
  const place = (ns: number): string =>
    across((Math.min(ns / allocatedNs, USED_MAX) / USED_MAX) * 100);
  const over = usedNs > allocatedNs ? ' is-over' : '';
  const full = across(100 / USED_MAX);
  const part = (width: string, y: number, name: string): string =>
    tag('rect', { x: '0%', y, width, height: 16 - 2 * y, class: name });
  return tag(
    'svg',
    { width: '100%', height: 16, 'aria-hidden': 'true', class: 'bars' },
    part(full, 1, 'room') +
      part(place(p95Ns), 4, `ghost${over}`) +
      part(place(usedNs), 3, `time${over}`) +
      tag('line', { x1: full, x2: full, y1: 0, y2: 16, class: 'mark-budget' }),
  );
}

/** The chance to pass, by how good the board really is: the operating characteristic. */
function planTable({ settings }: Evidence, { compliance }: EvidenceGroup): string {
  if (compliance === null) return '';
  const { plan } = settings;
  const rows = compliance.characteristic.map(({ trueCoverage, passes }) => {
    const width = across(Math.max(0.3, passes * 100));
    const svg = tag(
      'svg',
      { width: '100%', height: 14, 'aria-hidden': 'true', class: 'bars' },
      tag('rect', { x: '0%', y: 1, width: '100%', height: 12, class: 'room' }) +
        tag('rect', { x: '0%', y: 1, width, height: 12, class: 'time' }),
    );
    return (
      `<tr><th scope="row"><data value="${trueCoverage}">${percent(trueCoverage)}</data></th>` +
      `<td class="n"><data value="${passes}">${chance(passes)}</data></td><td class="axis">${svg}</td></tr>`
    );
  });
  return (
    `<table class="plan"><caption>${count(plan.boots, 'boot')}, ` +
    `${count(plan.exceedances, 'exceedance')} allowed. A board passes 95 times in 100 when ` +
    `<data value="${compliance.coverageToPass}">${percent(compliance.coverageToPass)}</data> of all its ` +
    `boots keep to the limit.</caption>` +
    headRow([
      'Boots that really keep to the limit',
      ['passes'],
      '<span class="quiet">as a bar</span>',
    ]) +
    `<tbody>${rows.join('')}</tbody></table>`
  );
}

/** A probability, as markup: never rounded to none or to certain. */
function chance(part: number): string {
  if (part > 0 && part < 0.0005) return escapeHtml('< 0.1%');
  if (part < 1 && part > 0.9995) return escapeHtml('> 99.9%');
  return `${fixed(part * 100, 1)}%`;
}
