/**
 * The page of a report: one HTML file that asks nobody for anything, for a customer's mailbox and an archive. It works
 * without scripts, on a phone and on paper. It is made from the evidence alone: the same evidence gives the same bytes.
 *
 * Order is what a reader needs: the verdict first, what was asked, every check; then the charts of each group, the one
 * that decides first; last where the figures are from. docs/report-page.md tells how to read it.
 */
import { createHash } from 'node:crypto';
import type { Evidence } from '../evidence.ts';
import { evidenceText } from '../evidence-file.ts';
import { escapeHtml } from './escape.ts';
import { STATE_WORDS } from './page-figures.ts';
import { groupPart, trendPart } from './page-group.ts';
import { dataBlock, environmentPart, flagsPart, recomputePart } from './page-sources.ts';
import { PAGE_STYLE } from './page-style.ts';
import { checksPart, overviewPart, questionPart, verdictPart } from './page-verdict.ts';

/** Nothing is fetched and nothing runs; the one style sheet is known by its digest. */
function policy(): string {
  const digest = createHash('sha256').update(PAGE_STYLE).digest('base64');
  return `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
}

/** The whole page. */
export function reportPage(evidence: Evidence): string {
  const { board, outcome, groups } = evidence;
  const json = evidenceText(evidence);
  const title = `Boot report: ${board.id}: ${STATE_WORDS[outcome.state]}`;
  const head = [
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy()}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${PAGE_STYLE}</style>`,
  ];
  const body = [
    header(evidence),
    '<main>',
    verdictPart(evidence),
    questionPart(evidence),
    overviewPart(evidence),
    checksPart(evidence),
    ...groups.map((group, i) => groupPart(evidence, group, i)),
    groups.length === 0 ? trendPart(evidence) : '',
    environmentPart(evidence),
    recomputePart(evidence, json),
    flagsPart(evidence),
    '</main>',
    footer(evidence),
  ];
  return (
    `<!doctype html>\n<html lang="en">\n<head>\n${head.join('\n')}\n</head>\n<body>\n${PATTERNS}\n` +
    `${body.join('\n')}\n${dataBlock(json)}</body>\n</html>\n`
  );
}

/** Hatches, once for all charts. */
const PATTERNS =
  '<svg class="defs" width="0" height="0" aria-hidden="true"><defs>' +
  pattern('hatch-declared', 6, 'M0 6L6 0M-1 1L1 -1M5 7L7 5') +
  pattern('hatch-guard', 8, 'M0 0L8 8M-1 7L1 9M7 -1L9 1') +
  pattern('hatch-reserve', 5, 'M2.5 0V5') +
  '</defs></svg>';

function pattern(id: string, size: number, d: string): string {
  return (
    `<pattern id="${id}" width="${size}" height="${size}" patternUnits="userSpaceOnUse">` +
    `<path d="${d}" class="${id}"/></pattern>`
  );
}

function header({ board, groups }: Evidence): string {
  const versions = (groups[0]?.candidate.releases ?? []).map(({ version }) => escapeHtml(version));
  const release = versions.length === 0 ? '' : ` · <bdi>${versions.join(', ')}</bdi>`;
  return (
    `<header><p class="kind">Boot budget report</p><h1><bdi>${escapeHtml(board.name)}</bdi></h1>` +
    `<p class="subject"><code>${escapeHtml(board.id)}</code>${release}</p>${contents(groups)}</header>`
  );
}

function contents(groups: Evidence['groups']): string {
  const links: [string, string][] = [
    ['asked', 'What was asked'],
    ['groups', 'At a glance'],
    ['checks', 'Checks'],
    ...groups.map(({ label }, i): [string, string] => [`g${i + 1}`, label]),
    ['environment', 'Environment and sources'],
    ['again', 'How to get these figures again'],
    ['flags', 'Flags'],
  ];
  const items = links.map(([id, text]) => `<li><a href="#${id}">${escapeHtml(text)}</a></li>`);
  return `<nav aria-label="Contents"><ul>${items.join('')}</ul></nav>`;
}

function footer({ tool }: Evidence): string {
  const program = `${escapeHtml(tool.name)} ${escapeHtml(tool.version)}`;
  return `<footer><p>Made by ${program}. This file fetches nothing and runs nothing.</p></footer>`;
}
