/** One group of the page: its charts, its ledger, its plan. */
import type { Evidence, EvidenceGroup } from '../evidence.ts';
import { isRealBoard } from '../measured-boot.ts';
import { cdfChart } from './chart-cdf.ts';
import { dotChart } from './chart-dots.ts';
import { ganttChart } from './chart-gantt.ts';
import { trendChart } from './chart-trend.ts';
import { waterfallChart } from './chart-waterfall.ts';
import { escapeHtml } from './escape.ts';
import { ledgerOf, type LedgerRow } from './page-ledger.ts';
import {
  classBadge,
  count,
  derivedTime,
  groupName,
  msBeside,
  percent,
  time,
} from './page-figures.ts';
import { across, fixed, tag } from './svg.ts';
import { virtualNotice } from './page-verdict.ts';

/** The section of a group; the trend of builds belongs to the one that decides. */
export function groupPart(evidence: Evidence, group: EvidenceGroup, i: number): string {
  const id = `g${i + 1}`;
  const { budget, settings } = evidence;
  const part = (name: string, title: string, content: string): string =>
    content === ''
      ? ''
      : `<section class="part" aria-labelledby="${id}-${name}"><h3 id="${id}-${name}">${title}</h3>${content}</section>\n`;
  const isEmpty = group.candidate.boots === 0;
  const charts = isEmpty
    ? '<p class="empty">There are no boots in this group.</p>'
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
    : `<section aria-labelledby="trend"><h2 id="trend">Trend over builds</h2>${trendOf(evidence, 'trend-chart')}</section>`;
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
      : ` ${compliance.allExceedances} of ${compliance.allBoots} boots did not keep to the limit; exploratory, all of ` +
        `them prove that ${percent(compliance.provenCoverage)} of boots do.` +
        (compliance.moreBoots > 0
          ? ` ${count(compliance.moreBoots, 'more boot')} would decide, if all keep to it.`
          : '');
  return (
    `<p class="lead">${i === 0 ? 'This group decides. ' : ''}${count(candidate.boots, 'boot')}` +
    `${boards}${against}.${proven}</p>`
  );
}

const LEDGER_HEADS = ['allocated', 'median', 'p95', 'left', 'used of what was allocated'];
/** The axis of the ledger's bars: beyond, a bar goes to the edge. */
const USED_MAX = 1.25;

function ledgerTable({ budget }: Evidence, group: EvidenceGroup): string {
  const ledger = ledgerOf(group, budget);
  const heads = LEDGER_HEADS.map((head) => `<th scope="col" class="n">${head}</th>`);
  const sum = (name: string, ns: number, kind: string): string =>
    `<tr class="${kind}"><th scope="row">${name}</th>${cell(0, derivedTime(ns))}<td></td><td></td><td></td><td></td></tr>`;
  const constants = group.constants.map(
    (each) =>
      `<tr><th scope="row"><bdi>${escapeHtml(each.name)}</bdi><span class="aside">declared (${escapeHtml(each.evidence)}): ` +
      `${escapeHtml(each.source)}; from ${escapeHtml(each.from)} to ${escapeHtml(each.to)}</span></th>` +
      `<td></td>${cell(1, `${time(each.ns)} ± ${time(each.uncertaintyNs)}`)}<td></td><td></td><td></td></tr>`,
  );
  const stretches =
    ledger.stretches.length === 0
      ? ''
      : `<tbody><tr class="section"><th colspan="6" scope="colgroup">Stretches, across stages and in no sum</th></tr>` +
        `${ledger.stretches.map(ledgerRow).join('')}</tbody>`;
  return (
    `<table class="ledger"><caption>Left is what was allocated minus p95. Medians of stages need not add up to the ` +
    `median of totals. Times in ms. ${classBadge(group.evidence)}</caption>` +
    `<thead><tr><th scope="col">Stage</th>${heads.join('')}</tr></thead>` +
    `<tbody>${ledger.stages.map(ledgerRow).join('\n')}${constants.join('')}</tbody>` +
    `<tbody class="sums">${sum('All stages', ledger.allocatedNs, 'sum')}` +
    `${sum('Reserve', ledger.reserveNs, '')}${sum('Unallocated', ledger.unallocatedNs, '')}` +
    `${ledgerRow(ledger.total)}</tbody>${stretches}</table>`
  );
}

function cell(column: number, content: string): string {
  return `<td class="n" data-head="${LEDGER_HEADS[column]!}">${content}</td>`;
}

function ledgerRow(row: LedgerRow): string {
  const { name, allocatedNs, summary, leftNs } = row;
  const isOver = leftNs !== null && leftNs < 0;
  const over = isOver ? ' <strong class="over">over</strong>' : '';
  const p95 =
    summary === null || allocatedNs === null
      ? time(summary?.p95Ns)
      : time(summary.p95Ns, msBeside(summary.p95Ns, allocatedNs));
  const kind = name === 'Total' ? ' class="total"' : '';
  return (
    `<tr${kind}><th scope="row"><bdi>${escapeHtml(name)}</bdi>${over}</th>` +
    cell(0, time(allocatedNs)) +
    cell(1, summary === null ? 'not measured' : time(summary.medianNs)) +
    cell(2, p95) +
    cell(3, isOver ? `<strong class="over">${derivedTime(leftNs)}</strong>` : derivedTime(leftNs)) +
    `<td class="axis">${usedBar(row)}</td></tr>`
  );
}

function usedBar({ allocatedNs, summary }: LedgerRow): string {
  if (allocatedNs === null || allocatedNs === 0 || summary === null) return '';
  const place = (ns: number): string =>
    across((Math.min(ns / allocatedNs, USED_MAX) / USED_MAX) * 100);
  const over = summary.p95Ns > allocatedNs ? ' is-over' : '';
  const full = across(100 / USED_MAX);
  const part = (width: string, y: number, name: string): string =>
    tag('rect', { x: '0%', y, width, height: 16 - 2 * y, class: name });
  return tag(
    'svg',
    { width: '100%', height: 16, 'aria-hidden': 'true', class: 'bars' },
    part(full, 1, 'room') +
      part(place(summary.p95Ns), 4, `ghost${over}`) +
      part(place(summary.medianNs), 3, `time${over}`) +
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
    `<table class="plan"><caption>${count(plan.boots, 'boot')}, ${count(plan.exceedances, 'exceedance')} allowed. A board passes ` +
    `95 times in 100 when <data value="${compliance.coverageToPass}">${percent(compliance.coverageToPass)}</data> of ` +
    `all its boots keep to the limit.</caption><thead><tr><th scope="col">Boots that really keep to the limit</th>` +
    `<th scope="col" class="n">passes</th><th scope="col"><span class="quiet">as a bar</span></th></tr></thead>` +
    `<tbody>${rows.join('')}</tbody></table>`
  );
}

/** A probability: never rounded to none or to certain. */
function chance(part: number): string {
  if (part > 0 && part < 0.0005) return '< 0.1%';
  if (part < 1 && part > 0.9995) return '> 99.9%';
  return `${fixed(part * 100, 1)}%`;
}
