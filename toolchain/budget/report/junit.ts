/**
 * A report as JUnit XML, the form that CI systems read: a suite for each group, a case for each question.
 *
 * GitLab shows neither properties nor the attribute `message`, and keeps one of several cases of the same name, so
 * names differ and the figures are in the text of an element. Attributes and their order are those that the xUnit
 * plugin of Jenkins checks (junit-10.xsd). A case that measures nothing has no `time`: 0 would be a fast one.
 */
import type { Check, Evidence, EvidenceGroup } from '../evidence.ts';
import { plainText } from './plain-text.ts';
import { bootsText, checksOf, evidenceDigest, exactText, figureText, limitText } from './words.ts';

/** Suite of the checks that belong to no group. */
const WHOLE = 'all';

interface Suite {
  readonly id: string;
  readonly group: EvidenceGroup | null;
  readonly checks: readonly Check[];
}

export function junitXml(evidence: Evidence): string {
  const suites = suitesOf(evidence);
  const counts = countsText(suites.flatMap(({ checks }) => checks));
  const body = suites.map((suite) => suiteXml(suite, evidence)).join('');
  const open = `<testsuites name="coldseal report" ${counts}>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${open}\n${body}</testsuites>\n`;
}

/** Escapes text for elements and attributes. What XML 1.0 cannot hold is replaced; it has no escape for it either. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function suitesOf(evidence: Evidence): Suite[] {
  const groups = evidence.groups.map((group): Suite => {
    return { id: group.id, group, checks: checksOf(evidence, group.id) };
  });
  const whole = checksOf(evidence, null);
  return whole.length === 0 ? groups : [...groups, { id: WHOLE, group: null, checks: whole }];
}

function suiteXml(suite: Suite, evidence: Evidence): string {
  const { id, group, checks } = suite;
  const className = ['coldseal', evidence.board.id, id].map(segment).join('.');
  const names = new Set<string>();
  const cases = checks.map((check) => {
    const name = names.has(check.title) ? `${check.title} (${check.id})` : check.title;
    names.add(name);
    return caseXml(check, name, className, group);
  });
  const properties = propertiesOf(suite, evidence).map(([name, value]) => {
    return `      <property name="${escapeXml(name)}" value="${attribute(value)}"/>\n`;
  });
  return [
    `  <testsuite name="${attribute(`${evidence.board.id} ${id}`)}" ${countsText(checks)}`,
    ` skipped="${checks.filter(({ state }) => state === 'not-evaluated').length}">\n`,
    `    <properties>\n${properties.join('')}    </properties>\n`,
    ...cases,
    '  </testsuite>\n',
  ].join('');
}

function propertiesOf({ group }: Suite, evidence: Evidence): [string, string][] {
  const { board, settings, tool, outcome } = evidence;
  const ofGroup: [string, string][] =
    group === null
      ? []
      : [
          ['group', group.label],
          ['evidence', group.evidence],
          ['boots', bootsText(group)],
          ['limit', limitText(group)],
        ];
  return [
    ['board', board.id],
    ['board_name', board.name],
    ...ofGroup,
    ['plan', settings.plan.text],
    ['plan_origin', settings.plan.origin],
    ['alpha', String(settings.alpha)],
    ['seed', String(settings.seed)],
    ['outcome', outcome.sentence],
    ['evidence_sha256', evidenceDigest(evidence)],
    ['tool', `${tool.name} ${tool.version}`],
  ];
}

function caseXml(
  check: Check,
  name: string,
  className: string,
  group: EvidenceGroup | null,
): string {
  const ns = measuredNs(check, group);
  const time = ns === null ? '' : ` time="${exactText(ns, 9)}"`;
  const open = `    <testcase classname="${attribute(className)}" name="${attribute(name)}"${time}>\n`;
  return `${open}      ${answerXml(check, group)}\n    </testcase>\n`;
}

function answerXml(check: Check, group: EvidenceGroup | null): string {
  const lines = [
    check.sentence,
    check.figures.map(figureText).join(', '),
    group === null ? '' : `${group.label} (${group.evidence}): ${bootsText(group)}`,
  ];
  const text = lines
    .filter((line) => line !== '')
    .map((line) => escapeXml(withoutAttachments(plainText(line))))
    .join('\n');
  const attributes = `message="${attribute(check.sentence)}" type="${attribute(check.code ?? check.kind)}"`;
  switch (check.state) {
    // JUnit has no word for a remark: what does not decide must not fail a job.
    case 'pass':
    case 'noted':
      return `<system-out>${text}</system-out>`;
    case 'not-evaluated':
      return `<skipped ${attributes}>${text}</skipped>`;
    // Whoever has to act differs: broken evidence is the lab's, everything else the release's.
    case 'bad-evidence':
      return `<error ${attributes}>${text}</error>`;
    case 'fail':
    case 'inconclusive':
      return `<failure ${attributes}>${text}</failure>`;
  }
}

/** The median of what the question is about. */
function measuredNs({ kind, id }: Check, group: EvidenceGroup | null): number | null {
  if (group === null) return null;
  switch (kind) {
    case 'compliance':
    case 'prediction':
      return group.candidate.total?.medianNs ?? null;
    case 'regression':
      return group.regression?.total.candidateMedianNs ?? null;
    case 'stage': {
      // The identifier ends in the name, which may have a slash of its own: the longest that fits is meant.
      const fitting = group.candidate.stages.filter(({ name }) => id.endsWith(`/${name}`));
      const [column] = fitting.sort((a, b) => b.name.length - a.name.length);
      return column?.summary?.medianNs ?? null;
    }
    case 'drift':
    case 'evidence':
      return null;
  }
}

function countsText(checks: readonly Check[]): string {
  const count = (...states: readonly Check['state'][]): number =>
    checks.filter(({ state }) => states.includes(state)).length;
  return `tests="${checks.length}" failures="${count('fail', 'inconclusive')}" errors="${count('bad-evidence')}"`;
}

/** Jenkins takes what is before the last point of a class name for its package. */
function segment(text: string): string {
  return text.replaceAll('.', '_');
}

function attribute(text: string): string {
  return escapeXml(plainText(text));
}

/** GitLab and Jenkins take `[[ATTACHMENT|file]]` in a text for a file that belongs to the case. */
function withoutAttachments(text: string): string {
  return text.replaceAll('[[', '[ [');
}
