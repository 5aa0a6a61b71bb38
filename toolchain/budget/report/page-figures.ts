/**
 * Figures of the report as text. Times are milliseconds with one digit, in the same form everywhere and in every
 * locale; the whole nanoseconds stand beside them in a `data` element, so that a program reads what was measured.
 */
import type { EvidenceClass } from '../measured-boot.ts';
import { escapeHtml } from './escape.ts';
import type { CheckState, Figure, Summary } from '../evidence.ts';

const NS_PER_MS = 1e6;
const DIGITS = 1;
/** A nanosecond is the sixth digit of a millisecond. */
const DIGITS_MAX = 6;

/** `1088.9`. */
export function ms(ns: number, digits = DIGITS): string {
  const text = (ns / NS_PER_MS).toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** With as many digits as show on which side of the limit it lies. */
export function msBeside(ns: number, limitNs: number): string {
  let digits = DIGITS;
  while (ns !== limitNs && digits < DIGITS_MAX && ms(ns, digits) === ms(limitNs, digits)) digits++;
  return ms(ns, digits);
}

/** With as many digits as show that it is more than nothing. */
export function smallMs(ns: number): string {
  return msBeside(ns, 0);
}

/** A group's limit, with as many digits as show that it is not the budget itself. */
export function limitTime(limitNs: number, budgetNs: number): string {
  return time(limitNs, msBeside(limitNs, budgetNs));
}

/** `+3.2`, `−3.2`, `0.0`. */
export function signedMs(ns: number): string {
  const text = ms(ns);
  return Number(text.replace('−', '-')) > 0 ? `+${text}` : text;
}

/** A time of the evidence, with its nanoseconds; a dash where it is not known. */
export function time(ns: number | null | undefined, text?: string): string {
  return ns === null || ns === undefined ? '–' : `<data value="${ns}">${text ?? ms(ns)}</data>`;
}

/** A time that this page worked out from the evidence. */
export function derivedTime(ns: number | null, text?: string): string {
  return ns === null ? '–' : `<data class="derived" value="${ns}">${text ?? ms(ns)}</data>`;
}

/** `95%`, `99.913%`; rounded down, so that a share is never said to be larger than it is. */
export function percent(part: number, digits = 3): string {
  const scale = 10 ** digits;
  // What binary fractions lack: 0.29 * 100 is a little below 29.
  return `${String(Math.floor(part * 100 * scale + 1e-6) / scale)}%`;
}

/** `1 boot`, `59 boots`. */
export function count(n: number, word: string): string {
  return `${n} ${word}${n === 1 ? '' : 's'}`;
}

/** `p = 0.0412`, `p < 0.0001`, as markup: nothing that was tested is impossible. */
export function chanceText(p: number): string {
  return p < 0.0001 ? escapeHtml('p < 0.0001') : `p = ${String(Number(p.toFixed(4)))}`;
}

/** A figure of a check, which may be near the budget. */
export function checkFigure({ value, unit }: Figure, budgetNs: number): string {
  switch (unit) {
    case 'ns':
      return `${time(value, msBeside(value, budgetNs))} ms`;
    case 'count':
      return `<data value="${value}">${value}</data>`;
    case 'ratio':
      return `<data value="${value}">${String(Number(value.toPrecision(6)))}</data>`;
  }
}

/** `median 1.0, p95 2.0, slowest 3.0 ms of 4 boots`, for descriptions. */
export function summaryText({ n, medianNs, p95Ns, maxNs }: Summary): string {
  return `median ${ms(medianNs)} ms, p95 ${ms(p95Ns)} ms, slowest ${ms(maxNs)} ms of ${count(n, 'boot')}`;
}

export const STATE_WORDS: Readonly<Record<CheckState, string>> = {
  pass: 'Pass',
  fail: 'Fail',
  inconclusive: 'Inconclusive',
  'bad-evidence': 'Bad evidence',
  noted: 'Noted',
  'not-evaluated': 'Not evaluated',
};

/** What a group is called, with its class of evidence where the name does not say it. */
export function groupName(group: {
  readonly label: string;
  readonly evidence: EvidenceClass;
}): string {
  const badge = group.label.includes(group.evidence) ? '' : ` ${classBadge(group.evidence)}`;
  return `<bdi>${escapeHtml(group.label)}</bdi>${badge}`;
}

/** The class of evidence, as it stands beside every figure. */
export function classBadge(evidence: EvidenceClass): string {
  return `<span class="badge">${evidence}</span>`;
}
