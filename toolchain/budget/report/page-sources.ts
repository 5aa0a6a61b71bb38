/** The end of the page: where the figures are from, how to get them again, and what is strange about them. */
import type { Evidence, EvidenceGroup, SampleSet } from '../evidence.ts';
import { escapeHtml, escapeJson } from './escape.ts';
import { empty, facts, headRow, section } from './html.ts';
import { count, groupName, limitTime, percent, smallMs, time } from './page-figures.ts';
import { releases } from './page-verdict.ts';
import { evidenceDigest } from './words.ts';

/** Evidence up to this size travels in the page; a larger one would make it slow, and is named by its digest. */
export const EMBED_BYTES_MAX = 4 << 20;
/** Kinds of flags that are listed; the data has them all. */
const FLAG_ROWS_MAX = 200;
/** Ranges of boots that are listed for one of them. */
const RANGES_MAX = 24;

/** The environment of each group, sources with their digests, and settings. */
export function environmentPart(evidence: Evidence): string {
  const environments = evidence.groups.map(
    (group) => `<h3>${groupName(group)}</h3>${environment(group, evidence.budget.totalNs)}`,
  );
  return section({
    id: 'environment',
    title: 'Environment and sources',
    content: environments.join('') + sourcesTable(evidence),
  });
}

function environment(group: EvidenceGroup, budgetNs: number): string {
  const { candidate, baseline, conditions, start, uncertaintyNs, constants } = group;
  const clock = (candidate.typical ?? baseline?.typical)?.record.clock;
  const names = Object.entries(conditions).map(
    ([name, value]) => `<bdi>${escapeHtml(name)}</bdi> = <bdi>${escapeHtml(value)}</bdi>`,
  );
  const rows: [string, string][] = [
    ['Start', start ?? 'not recorded'],
    ['Conditions', names.join('<br>') || 'none declared'],
    ['Candidate', releases(candidate)],
    ...(baseline === null ? [] : [['Baseline', releases(baseline)] as [string, string]]),
    ['Specimens', specimens(candidate)],
    [
      'Clock',
      clock === undefined
        ? 'not known: no boot ended'
        : `<bdi>${escapeHtml(clock.name)}</bdi>, zero is <bdi>${escapeHtml(clock.zero)}</bdi>`,
    ],
    [
      'Uncertainty',
      uncertaintyNs === null
        ? 'not known, so the limit is the budget itself'
        : `± ${time(uncertaintyNs, smallMs(uncertaintyNs))} ms; the limit is ${limitTime(group.limitNs, budgetNs)} ms`,
    ],
    [
      'Declared constants',
      constants
        .map(
          (each) =>
            `<bdi>${escapeHtml(each.name)}</bdi>: ${time(each.ns)} ± ${time(each.uncertaintyNs)} ms, ` +
            `${escapeHtml(each.evidence)}: ${escapeHtml(each.source)}`,
        )
        .join('<br>') || 'none',
    ],
    ['Measured', measured(candidate)],
  ];
  return facts(rows);
}

function specimens({ specimens: all }: SampleSet): string {
  return all.length === 0
    ? 'not recorded'
    : all.map((name) => `<bdi>${escapeHtml(name)}</bdi>`).join(', ');
}

function measured({ measuredAt }: SampleSet): string {
  const known = measuredAt.filter((at) => at !== null).sort();
  return known.length === 0
    ? 'not recorded'
    : `${escapeHtml(known[0]!)} to ${escapeHtml(known.at(-1)!)}`;
}

function sourcesTable({ sources }: Evidence): string {
  if (sources.length === 0) return empty('No source files were named.');
  const rows = sources.map(
    ({ file, sha256, format, arm, boots }) =>
      `<tr><th scope="row"><bdi>${escapeHtml(file)}</bdi></th><td data-head="arm">${arm}</td>` +
      `<td data-head="format">${escapeHtml(format)}</td>` +
      `<td class="n" data-head="boots"><data value="${boots}">${boots}</data></td>` +
      `<td data-head="SHA-256"><code class="digest">${escapeHtml(sha256) || '–'}</code></td></tr>`,
  );
  return (
    '<h3>Source files</h3><table class="stack sources">' +
    '<caption>The records that everything here was worked out from.</caption>' +
    headRow(['File', 'Arm', 'Format', ['Boots'], 'SHA-256']) +
    `<tbody>${rows.join('\n')}</tbody></table>`
  );
}

/** How somebody else gets the same figures. */
export function recomputePart(evidence: Evidence, json: string): string {
  const { settings, tool } = evidence;
  const { stageMargin, tolerance } = settings;
  const rows: [string, string][] = [
    [
      'Program',
      `${escapeHtml(tool.name)} ${escapeHtml(tool.version)}, evidence schema ${evidence.schema}`,
    ],
    ['Plan', escapeHtml(settings.plan.text)],
    ['Seed', `<data value="${settings.seed}">${settings.seed}</data>`],
    ['Significance', `<data value="${settings.alpha}">${settings.alpha}</data>, stages after Holm`],
    ['Margin of the total', `${time(settings.totalMarginNs)} ms`],
    [
      'Margin of a stage',
      `${time(stageMargin.absoluteNs)} ms or ${percent(stageMargin.relative)}, whichever is more`,
    ],
    ['Tolerance of virtual boots', toleranceText(tolerance)],
    ['Evidence, SHA-256', `<code class="digest">${evidenceDigest(evidence)}</code>`],
  ];
  const where = isEmbedded(json)
    ? 'The whole evidence is in this file, in the data block with the name <code>evidence</code>, with every sample.'
    : `The evidence has ${Buffer.byteLength(json)} bytes and is kept beside this file; the digest says which it is.`;
  const how =
    `<p>${where} <code>coldseal report</code> over the evidence, or over the source files with the ` +
    `same settings, makes the same evidence and this page, byte for byte.</p>`;
  const title = 'How to get these figures again';
  return section({ id: 'again', title, content: how + facts(rows) });
}

function toleranceText({
  absoluteNs,
  relative,
  stages,
}: Evidence['settings']['tolerance']): string {
  const own = stages.map(({ name, ns }) => `<bdi>${escapeHtml(name)}</bdi> ${time(ns)} ms`);
  const instead = own.length === 0 ? '' : `; instead of the first, for ${own.join(', ')}`;
  return `${time(absoluteNs)} ms or ${percent(relative)}, whichever is more${instead}`;
}

/** Whether the evidence travels in the page. */
export function isEmbedded(json: string): boolean {
  return Buffer.byteLength(json) <= EMBED_BYTES_MAX;
}

/** The evidence as a data block: never run, whatever is in it. */
export function dataBlock(json: string): string {
  return isEmbedded(json)
    ? `<script type="application/json" id="evidence">${escapeJson(json)}</script>\n`
    : '';
}

interface FlagRow {
  readonly group: EvidenceGroup;
  readonly arm: string;
  readonly code: string;
  readonly message: string;
  readonly isUnusable: boolean;
  readonly boots: number[];
}

/** What is not plausible about the boots. */
export function flagsPart({ groups }: Evidence): string {
  const rows = flagRows(groups);
  if (rows.length === 0) {
    return section({ id: 'flags', title: 'Flags', content: '<p>No boot has a flag.</p>' });
  }
  const more = rows.length - FLAG_ROWS_MAX;
  const content =
    '<table class="stack"><caption>What is not plausible. A boot that is unusable is no evidence. ' +
    'Boots count from 0, in run order.</caption>' +
    headRow(['Flag', 'What', 'Group', 'Boots']) +
    `<tbody>${rows.slice(0, FLAG_ROWS_MAX).map(flagRow).join('\n')}</tbody></table>` +
    (more > 0 ? `<p>${more} more kinds of flags are in the evidence.</p>` : '');
  return section({ id: 'flags', title: 'Flags', content });
}

function flagRows(groups: readonly EvidenceGroup[]): FlagRow[] {
  const found = new Map<string, FlagRow>();
  for (const group of groups) {
    for (const arm of ['candidate', 'baseline'] as const) {
      for (const { boot, flag } of group[arm]?.flags ?? []) {
        const key = JSON.stringify([group.id, arm, flag.code, flag.message, flag.isUnusable]);
        const row = found.get(key);
        if (row === undefined) found.set(key, { group, arm, ...flag, boots: [boot] });
        else row.boots.push(boot);
      }
    }
  }
  // Unusable ones first; otherwise in the evidence's order.
  return [...found.values()].sort((a, b) => Number(b.isUnusable) - Number(a.isUnusable));
}

function flagRow({ group, arm, code, message, isUnusable, boots }: FlagRow): string {
  const unusable = isUnusable ? ' <strong class="over">unusable</strong>' : '';
  return (
    `<tr><th scope="row"><code>${escapeHtml(code)}</code>${unusable}</th>` +
    `<td data-head="what"><bdi>${escapeHtml(message)}</bdi></td>` +
    `<td data-head="group">${groupName(group)}, ${arm}</td>` +
    `<td data-head="boots">${count(boots.length, 'boot')}: ${rangesOf(boots)}</td></tr>`
  );
}

/** `0, 3–5, 8`. */
export function rangesOf(boots: readonly number[]): string {
  const sorted = [...new Set(boots)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const boot of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === boot - 1) last[1] = boot;
    else ranges.push([boot, boot]);
  }
  const text = ranges
    .slice(0, RANGES_MAX)
    .map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`));
  return text.join(', ') + (ranges.length > RANGES_MAX ? ' …' : '');
}
