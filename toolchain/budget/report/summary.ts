/**
 * A report as Markdown for the summary of a CI job, and the few lines that a job annotates its run with. The verdict
 * comes first, then what is not a pass, then the figures.
 *
 * GitHub refuses a summary of more than 1 MiB, and drops annotations beyond a few without a word; so both have an end
 * here. Names become entities wherever Markdown or HTML would see more than a name in them.
 */
import type { Check, CheckState, Evidence, EvidenceGroup } from '../evidence.ts';
import { msNumber } from '../units.ts';
import { ledgerOf, type LedgerRow } from './ledger.ts';
import { clip, plainText } from './plain-text.ts';
import {
  bootsText,
  CLASS_WORDS,
  evidenceDigest,
  limitText,
  planText,
  shiftNumber,
  STATE_WORDS,
  STATES,
} from './words.ts';

/** Of GitHub, for each step. */
export const SUMMARY_BYTES_MAX = 1024 * 1024;
const ANNOTATIONS_MAX = 3;

/** Rows of a table; the evidence has all of them. */
const ROWS_MAX = 100;
const SHIFTS_MAX = 5;
const NAME_COLUMNS_MAX = 120;
const SENTENCE_COLUMNS_MAX = 400;

const ICONS: Readonly<Record<CheckState, string>> = {
  pass: '✅',
  fail: '❌',
  inconclusive: '⚠️',
  'bad-evidence': '⛔',
  noted: 'ℹ️',
  'not-evaluated': '➖',
};

/** What keeps an outcome from being a pass. */
const BAD: ReadonlySet<CheckState> = new Set(['fail', 'bad-evidence', 'inconclusive']);

const CUT = '\n\n*The rest did not fit into a summary; the evidence file has it.*\n';

export function markdownSummary(evidence: Evidence): string {
  const { outcome, board, settings, tool } = evidence;
  const sections = [
    `## ${ICONS[outcome.state]} ${markdown(outcome.sentence, SENTENCE_COLUMNS_MAX)}`,
    `Board **${markdown(board.id)}** (${markdown(board.name)}); ${markdown(planText(settings))}`,
    checksTable(evidence),
    ...evidence.groups.flatMap((group) => groupSections(group, evidence)),
    ...driftSection(evidence),
    `${tool.name} ${markdown(tool.version)}, evidence SHA-256 \`${evidenceDigest(evidence)}\``,
  ];
  return withinLimit(`${sections.filter((section) => section !== '').join('\n\n')}\n`);
}

/**
 * Workflow commands of GitHub for what is not a pass, worst first; at most three. Printed on a line each, they show up
 * at the run; elsewhere they are lines of a log.
 */
export function annotations(evidence: Evidence): string[] {
  const bad = worstFirst(evidence.checks).filter(({ state }) => BAD.has(state));
  return bad.slice(0, ANNOTATIONS_MAX).map((check, i) => {
    const more = bad.length - ANNOTATIONS_MAX;
    const rest = i === ANNOTATIONS_MAX - 1 && more > 0 ? ` (and ${more} more in the report)` : '';
    const level = check.state === 'inconclusive' ? 'warning' : 'error';
    const title = clip(plainText(`${evidence.board.id}: ${check.title}`), NAME_COLUMNS_MAX);
    const text = clip(plainText(check.sentence), SENTENCE_COLUMNS_MAX) + rest;
    return `::${level} title=${commandProperty(title)}::${commandData(text)}`;
  });
}

/**
 * Text that Markdown and HTML print as it is, in a table too. After a character that names people, issues or addresses
 * goes a word joiner, which nobody sees: those are looked for when entities are characters again.
 */
export function markdown(text: string, columnsMax = NAME_COLUMNS_MAX): string {
  return (
    clip(plainText(text), columnsMax)
      .replace(/[@#!~%$&](?=\w)/g, '$&\u2060')
      // A colon makes addresses and emoji of what follows it; a point after www an address.
      .replace(
        /[&<>"'`*_{}[\]()#!|~@\\$\u2060]|:(?=\S)|(?<=www)\.|^\s|\s$/giu,
        (character) => `&#${character.codePointAt(0)};`,
      )
  );
}

function worstFirst(checks: readonly Check[]): Check[] {
  return checks.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
}

function checksTable({ checks, groups }: Evidence): string {
  if (checks.length === 0) return '';
  const rows = worstFirst(checks).map(({ state, title, sentence, group }) => {
    const label = groups.find(({ id }) => id === group)?.label ?? 'all';
    return [
      `${ICONS[state]} ${STATE_WORDS[state]}`,
      markdown(title),
      markdown(sentence, SENTENCE_COLUMNS_MAX),
      markdown(label),
    ];
  });
  return table(['', 'Question', 'Answer', 'Evidence'], rows);
}

function groupSections(group: EvidenceGroup, { budget }: Evidence): string[] {
  const rows = ledgerOf(group, budget).map(ledgerCells);
  return [
    `### ${markdown(group.label)}`,
    [
      `Evidence class \`${group.evidence}\` (${CLASS_WORDS[group.evidence]})`,
      markdown(bootsText(group), SENTENCE_COLUMNS_MAX),
      markdown(limitText(group), SENTENCE_COLUMNS_MAX),
    ].join('; '),
    table(['Stage', 'Allocated ms', 'Used ms (median)', 'p95 ms', 'Left ms'], rows, 1),
    changesTable(group),
  ];
}

function ledgerCells({ name, kind, allocatedNs, usedNs, p95Ns, leftNs }: LedgerRow): string[] {
  const isOver = (leftNs ?? 0) < 0 || (kind === 'free' && (allocatedNs ?? 0) < 0);
  const cell = (ns: number | null): string => (ns === null ? '' : msNumber(ns));
  const cells = [
    kind === 'stretch' ? `${markdown(name)} *(stretch)*` : markdown(name),
    cell(allocatedNs),
    cell(usedNs),
    cell(p95Ns),
    cell(leftNs),
  ];
  return isOver || kind === 'total' ? cells.map(bold) : cells;
}

function changesTable({ regression }: EvidenceGroup): string {
  if (regression === null) return '';
  const { total, stages } = regression;
  const rows = [
    { ...total, name: 'total', isSignificant: regression.state === 'regression', change: null },
    ...stages.filter(({ isSignificant }) => isSignificant).slice(0, SHIFTS_MAX),
  ].map(({ name, baselineMedianNs, candidateMedianNs, shiftNs, lowNs, highNs, change }) => [
    markdown(change === null ? name : `${name} (${change})`),
    msNumber(baselineMedianNs),
    msNumber(candidateMedianNs),
    shiftNumber(shiftNs),
    lowNs === null || highNs === null ? '' : `${shiftNumber(lowNs)} to ${shiftNumber(highNs)}`,
  ]);
  const head = ['Changed', 'Baseline ms', 'Candidate ms', 'Shift ms', 'Interval ms'];
  return table(head, rows, 1);
}

function driftSection({ drift, builds }: Evidence): string[] {
  if (drift === null) return [];
  const rows = drift.changes.map(({ at, of, beforeNs, afterNs }) => [
    markdown(builds[at]?.version ?? `build ${at}`),
    of,
    msNumber(beforeNs),
    msNumber(afterNs),
  ]);
  const states = {
    drift: 'the level changed',
    none: 'the level is the same',
    'not-enough': 'too few builds to say',
  } as const;
  const text = `### Builds\n\n${builds.length} builds: ${states[drift.state]}`;
  if (rows.length === 0) return [text];
  return [text, table(['Since build', 'Of', 'Before ms', 'After ms'], rows, 2)];
}

/** A table of GitHub-flavoured Markdown; figures stand to the right. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  leftColumns = head.length,
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rules = head.map((_, i) => (i < leftColumns ? '---' : '---:'));
  const more = rows.length - ROWS_MAX;
  return [
    line(head),
    line(rules),
    ...rows.slice(0, ROWS_MAX).map(line),
    ...(more > 0 ? ['', `*and ${more} more*`] : []),
  ].join('\n');
}

function bold(cell: string): string {
  return cell === '' ? '' : `**${cell}**`;
}

/** Cuts at the end of a line; half a table is still one. */
function withinLimit(text: string): string {
  if (Buffer.byteLength(text) <= SUMMARY_BYTES_MAX) return text;
  let bytes = Buffer.byteLength(CUT);
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > SUMMARY_BYTES_MAX) break;
    lines.push(line);
  }
  return lines.join('\n') + CUT;
}

function commandData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function commandProperty(text: string): string {
  return commandData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
