/**
 * The options that the history's commands share. Light: it is read before any command runs.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { EvidenceClass, StartKind } from '../budget/measured-boot.ts';
import { parseTime } from '../config/utc-time.ts';
import type { BootFilter } from './query.ts';

export const DB_OPTION = {
  db: {
    flag: '--db <place>',
    help: 'SQLite file or postgres:// URL (COLDSEAL_HISTORY, else boot-history.db)',
  },
} as const;

/** Classes and starts are written out, so that reading them loads no schema; a test compares them with it. */
export const FILTER_OPTIONS = {
  ...DB_OPTION,
  board: { flag: '--board <id>', help: 'boots of this board only' },
  class: {
    flag: '--class <class>',
    help: 'of this class of evidence',
    choices: [
      'virtual-wallclock',
      'virtual',
      'board-selfclock',
      'board-serial',
      'board-gpio',
    ] satisfies EvidenceClass[],
  },
  start: {
    flag: '--start <kind>',
    help: 'of this kind of start',
    choices: ['cold', 'warm', 'reboot'] satisfies StartKind[],
  },
  specimen: { flag: '--specimen <name>', help: 'of this one board of several' },
  condition: {
    flag: '--condition <name=value>',
    help: 'measured under this condition',
    repeat: true,
  },
  since: {
    flag: '--since <date>',
    help: 'measured since this day or time in UTC, such as 2026-03-01',
  },
} as const;

/** The events of the total, where the board's budget is not to decide. */
export const TOTAL_OPTIONS = {
  from: { flag: '--from <event>', help: "where the total begins, instead of the board's budget" },
  to: { flag: '--to <event>', help: 'where the total ends' },
} as const;

export interface FilterValues {
  readonly board: string | undefined;
  readonly class: EvidenceClass | undefined;
  readonly start: StartKind | undefined;
  readonly specimen: string | undefined;
  readonly condition: readonly string[];
  readonly since: string | undefined;
}

/** What the filter options ask for. Throws USAGE_BAD_VALUE. */
export function filterOf(options: FilterValues): BootFilter {
  const { board, start, specimen, since } = options;
  return {
    board,
    evidence: options.class,
    start,
    specimen,
    conditions: Object.fromEntries(options.condition.map(conditionOf)),
    sinceMs: since === undefined ? undefined : timeMsOf(since),
  };
}

function conditionOf(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw badValue('--condition', text, 'expected NAME=VALUE');
}

function timeMsOf(text: string): number {
  const seconds = parseTime(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
  if (seconds !== undefined) return seconds * 1000;
  throw badValue('--since', text, 'expected a date such as 2026-01-31 or 2026-01-31T12:00:00Z');
}

function badValue(option: string, text: string, expected: string): ColdsealError {
  return new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot read the command line: ${option} is "${text}", ${expected}`,
  );
}
