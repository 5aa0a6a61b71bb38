/**
 * A report on a terminal: the verdict, a line for each question, where the budget went, what changed. At most 100
 * columns wide, whatever the names are; colour is the caller's.
 */
import type { TableStyle } from '../../board/boot-table.ts';
import type { Check, Evidence, EvidenceGroup, StageShift } from '../evidence.ts';
import { modelledNs, readsOf } from '../modelled-storage.ts';
import { msNumber, msText, percentOf } from '../units.ts';
import { ledgerOf, type LedgerRow } from './ledger.ts';
import { alignedTable, clip, plainText, wrap } from './plain-text.ts';
import {
  bootsText,
  checksOf,
  CLASS_WORDS,
  evidenceDigest,
  limitText,
  planText,
  shiftNumber,
  STATE_WORDS,
} from './words.ts';

const COLUMNS = 100;
const NAME_COLUMNS_MAX = 32;
const SHIFTS_MAX = 5;
const FLAGS_MAX = 3;
/** The longest of the words that a line begins with. */
/** Of the operating characteristic; the page has all. */
const PLAN_ROWS_MAX = 5;
const STATE_COLUMNS = Math.max(...Object.values(STATE_WORDS).map((word) => word.length));

/** The report, line by line. */
export function reportText(evidence: Evidence, style: TableStyle): string[] {
  const { outcome, board, settings, tool } = evidence;
  const isPassed = outcome.state === 'pass';
  const whole = checksOf(evidence, null);
  return [
    ...wrap(plainText(outcome.sentence), COLUMNS).map(isPassed ? style.bold : style.red),
    ...paragraph(`board ${board.id} (${board.name}); ${planText(settings)}`),
    ...evidence.groups.flatMap((group) => groupLines(group, evidence, style)),
    ...(whole.length === 0 ? [] : ['', style.bold('all builds')]),
    ...whole.flatMap((check) => checkLines(check, style)),
    ...driftLines(evidence),
    '',
    ...paragraph(`${tool.name} ${tool.version}, evidence sha256 ${evidenceDigest(evidence)}`),
  ];
}

function groupLines(group: EvidenceGroup, evidence: Evidence, style: TableStyle): string[] {
  const { label } = group;
  return [
    '',
    ...wrap(plainText(label), COLUMNS).map(style.bold),
    ...paragraph(`evidence: ${group.evidence}, ${CLASS_WORDS[group.evidence]}`),
    ...paragraph(`${bootsText(group)}; ${limitText(group)}`),
    ...flagLines(group, style),
    ...foldStages(checksOf(evidence, group.id)).flatMap((check) => checkLines(check, style)),
    ...planLines(group, evidence),
    '',
    ...ledgerLines(ledgerOf(group, evidence.budget), style),
    ...shiftLines(group),
    ...storageLines(group, evidence),
  ];
}

/** What the typical boot read, and what the board's storage would take for it: in no total. */
function storageLines({ candidate }: EvidenceGroup, { storage }: Evidence): string[] {
  const io = candidate.typical?.record.io ?? [];
  if (io.length === 0) return [];
  const all = readsOf(io);
  const modelled = storage.map((each) => {
    const took = msText(modelledNs(each, all));
    return `${each.kind} at ${each.bytesPerS / 1e6} MB/s (${each.evidence}) would take ${took}`;
  });
  const counted = `${all.reads} reads of ${all.readBytes} bytes in the typical boot`;
  const taken = modelled.length === 0 ? '' : `; modelled, not measured: ${modelled.join('; ')}`;
  return ['', ...paragraph(`${counted}${taken}`)];
}

/** What the plan can tell apart, and the bound that its boots give; real boards have one. */
function planLines({ compliance }: EvidenceGroup, { settings: { plan } }: Evidence): string[] {
  if (compliance === null) return [];
  const { characteristic, coverageToPass, boundNs } = compliance;
  const rows = characteristic
    .filter(({ trueCoverage }) => trueCoverage >= plan.coverage)
    .slice(0, PLAN_ROWS_MAX)
    .map(({ trueCoverage, passes }) => `${percentOf(trueCoverage, 3)}: ${percentOf(passes)}`);
  const bound =
    boundNs === null
      ? []
      : paragraph(
          `${percentOf(plan.coverage, 3)} of boots take at most ${msText(boundNs)}, ` +
            `with ${percentOf(plan.confidence, 3)} confidence`,
        );
  return [
    ...bound,
    ...paragraph(
      `chance to pass the plan, by the true share of boots within the limit: ${rows.join(', ')}; ` +
        `95 in 100 takes ${percentOf(coverageToPass, 3)}`,
    ),
  ];
}

/** Those that make a record unusable first; the page and the tables have all. */
function flagLines({ candidate: { flags } }: EvidenceGroup, style: TableStyle): string[] {
  const worst = flags.toSorted((a, b) => Number(b.flag.isUnusable) - Number(a.flag.isUnusable));
  const more = flags.length - FLAGS_MAX;
  const lines = worst
    .slice(0, FLAGS_MAX)
    .flatMap(({ boot, flag: { code, message, isUnusable } }) =>
      paragraph(`boot ${boot}: ${code}: ${message}${isUnusable ? ' (unusable)' : ''}`),
    );
  return [...lines, ...(more > 0 ? [`and ${more} remarks more`] : [])].map(style.yellow);
}

/** Stages that keep to their budgets are one line: the ledger below has each of them. */
function foldStages(checks: readonly Check[]): Check[] {
  const isKept = ({ kind, state }: Check): boolean => kind === 'stage' && state === 'pass';
  const kept = checks.filter(isKept);
  const [first] = kept;
  if (first === undefined || kept.length === 1) return [...checks];
  const sentence = `${kept.length} of them, listed below`;
  const folded = { ...first, title: 'Stages within their budgets', sentence };
  return checks.flatMap((check) => (isKept(check) ? (check === first ? [folded] : []) : [check]));
}

function checkLines({ state, title, sentence }: Check, style: TableStyle): string[] {
  const indent = ' '.repeat(STATE_COLUMNS + 2);
  const text = wrap(plainText(`${title}: ${sentence}`), COLUMNS - indent.length);
  const lines = text.map((line, i) => {
    return i === 0 ? `${STATE_WORDS[state].padEnd(STATE_COLUMNS)}  ${line}` : indent + line;
  });
  switch (state) {
    case 'fail':
    case 'bad-evidence':
      return lines.map(style.red);
    case 'inconclusive':
    case 'noted':
      return lines.map(style.yellow);
    case 'pass':
    case 'not-evaluated':
      return lines;
  }
}

function ledgerLines(rows: readonly LedgerRow[], style: TableStyle): string[] {
  const cell = (ns: number | null): string => (ns === null ? '' : msNumber(ns));
  const [head, ...lines] = alignedTable([
    ['budget', 'allocated ms', 'used ms (median)', 'p95 ms', 'left ms'],
    ...rows.map(({ name, kind, allocatedNs, usedNs, p95Ns, leftNs }) => [
      kind === 'stretch' ? `${nameText(name)} (stretch)` : nameText(name),
      ...[allocatedNs, usedNs, p95Ns, leftNs].map(cell),
    ]),
  ]);
  return [
    head!,
    ...lines.map((line, i) => {
      const { kind, leftNs, allocatedNs } = rows[i]!;
      const isOver = (leftNs ?? 0) < 0 || (kind === 'free' && (allocatedNs ?? 0) < 0);
      if (isOver) return style.red(line);
      return kind === 'total' ? style.bold(line) : line;
    }),
  ];
}

/** The stages that explain the shift; without one, nothing. */
function shiftLines({ regression }: EvidenceGroup): string[] {
  const stages = regression?.stages.filter(({ isSignificant }) => isSignificant) ?? [];
  if (regression === null || stages.length === 0) return [];
  return [
    '',
    ...alignedTable([
      ['changed', 'baseline ms', 'candidate ms', 'shift ms', 'interval ms'],
      ...stages.slice(0, SHIFTS_MAX).map(shiftCells),
    ]),
  ];
}

function shiftCells(shift: StageShift): string[] {
  const { name, change, baselineMedianNs, candidateMedianNs, shiftNs, lowNs, highNs } = shift;
  return [
    change === null ? nameText(name) : `${nameText(name)} (${change})`,
    msNumber(baselineMedianNs),
    msNumber(candidateMedianNs),
    shiftNumber(shiftNs),
    lowNs === null || highNs === null ? '' : `${shiftNumber(lowNs)} to ${shiftNumber(highNs)}`,
  ];
}

function driftLines({ drift, builds }: Evidence): string[] {
  return (drift?.changes ?? []).flatMap(({ at, of, beforeNs, afterNs }) => {
    const version = builds[at]?.version ?? `build ${at}`;
    return paragraph(`since ${version}: ${of} ${msText(beforeNs)} to ${msText(afterNs)}`);
  });
}

function nameText(name: string): string {
  return clip(plainText(name), NAME_COLUMNS_MAX);
}

function paragraph(text: string): string[] {
  return wrap(plainText(text), COLUMNS);
}
