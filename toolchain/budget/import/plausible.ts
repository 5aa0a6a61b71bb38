/**
 * The rules of what a boot can be: which times are times, and which figures are a counter's accident. Pure.
 *
 * Most wrong figures in the field are of a few kinds, and each has a code of its own: a counter that was not reset, a
 * negative time in an unsigned number (584,542 years), a log that lost its beginning, two boots in one file, a clock
 * that went back. docs/boot-records.md says what to do about each.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { BOOT_NS_MAX, type BootFlag, type MeasuredBoot } from '../measured-boot.ts';

export const US = 1e3;
export const MS = 1e6;
export const SECOND = 1e9;

/**
 * What a board's own clock may be off by in a boot: oscillators are off by some hundred parts in a million at most,
 * which is a millisecond in ten seconds.
 */
export const SELF_CLOCK_NS = 1 * MS;

/** Processors that log at the same time are out of order by less than this; a clock that jumps is by more. */
export const OUT_OF_ORDER_NS = 10 * MS;

/** As many lines at one time are a clock that stands still, or a console that was held up and then let go. */
const SAME_TIME_LINES = 64;

/** A time that a record can hold. Throws FORMAT_BOOT_LOG_NEGATIVE or FORMAT_BOOT_LOG_RANGE; `what` names it. */
export function plausibleNs(ns: number, what: string): number {
  if (ns < 0) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_NEGATIVE',
      `${what} is ${-ns / SECOND} s before its clock began, expected a time from zero up`,
    );
  }
  if (!(ns <= BOOT_NS_MAX)) {
    const years = Math.floor(ns / (365.25 * 86_400 * SECOND));
    const wrap = 'a negative time in an unsigned counter looks like that';
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_RANGE',
      years > 0
        ? `${what} is ${years} years, expected at most a day: ${wrap}`
        : `${what} is ${Math.floor(ns / SECOND)} s, expected at most a day`,
    );
  }
  return Math.round(ns);
}

/** Seconds in decimal, as `12.345678`, to nanoseconds without rounding. */
export function secondsToNs(whole: string, fraction: string): number {
  return Number(whole) * SECOND + Number(fraction.padEnd(9, '0').slice(0, 9));
}

/** The flag for a time before the kernel that no firmware takes; null within the limit. */
export function firmwareFlag(ns: number, limitNs: number): BootFlag | null {
  if (ns <= limitNs) return null;
  const seconds = Math.round(ns / SECOND);
  return {
    code: 'BUDGET_FLAG_FIRMWARE_LONG',
    message:
      `${seconds} s before the kernel, expected at most ${Math.round(limitNs / SECOND)} s: ` +
      'the counter was probably not reset with the board',
    isUnusable: true,
  };
}

/** The flag for times that stand still; null where they move. `times` are in the order of the log. */
export function sameTimeFlag(times: Iterable<number>): BootFlag | null {
  let [last, run] = [-1, 0];
  for (const ns of times) {
    run = ns === last ? run + 1 : 1;
    last = ns;
    // Before the kernel has a clock every line is at zero.
    if (run < SAME_TIME_LINES || ns === 0) continue;
    return {
      code: 'BUDGET_FLAG_TIMES_REPEAT',
      message:
        `${SAME_TIME_LINES} lines have the same time ${ns / SECOND} s: ` +
        'the clock stood still, or a throttled console was let go',
      isUnusable: false,
    };
  }
  return null;
}

/** The refusal of a log in which time goes back. */
export function clockError(line: number, fromNs: number, toNs: number): ColdsealError {
  return new ColdsealError(
    'FORMAT_BOOT_LOG_CLOCK',
    `time goes back from ${fromNs / SECOND} s to ${toNs / SECOND} s in line ${line}`,
    { hint: 'a clock that was set during the boot measures nothing; use a monotonic one' },
  );
}

/** The refusal of several boots in one log; `lines` are where they begin. */
export function twoBootsError(lines: readonly number[]): ColdsealError {
  const shown = lines.slice(0, 8).join(', ') + (lines.length > 8 ? ', …' : '');
  return new ColdsealError(
    'FORMAT_BOOT_LOG_TWO_BOOTS',
    `${lines.length} boots begin in it, in lines ${shown}; expected one`,
    { hint: 'give --split to make a record of each' },
  );
}

/** Room below the schema's maximum, so that merging and later flags fit. */
const UNITS_KEPT = 16_000;
const EVENTS_KEPT = 2_000;
const STAGES_KEPT = 200;

type Rows = Pick<MeasuredBoot, 'stages' | 'units' | 'events' | 'flags'>;

/** Rows as a record can hold them: an event once, and a flag when some were left out. */
export function boundedRows<T extends Rows>(boot: T): T {
  const seen = new Set<string>();
  const events = boot.events
    .filter(({ name }) => !seen.has(name) && seen.add(name) !== undefined)
    .sort((a, b) => a.atNs - b.atNs);
  const left =
    Math.max(0, boot.units.length - UNITS_KEPT) +
    Math.max(0, events.length - EVENTS_KEPT) +
    Math.max(0, boot.stages.length - STAGES_KEPT);
  const flags = left === 0 ? boot.flags : [...boot.flags, rowsFlag(left)];
  return {
    ...boot,
    stages: boot.stages.slice(0, STAGES_KEPT),
    units: boot.units.slice(0, UNITS_KEPT),
    events: events.slice(0, EVENTS_KEPT),
    flags,
  };
}

function rowsFlag(left: number): BootFlag {
  return {
    code: 'BUDGET_FLAG_ROWS_LEFT_OUT',
    message: `${left} rows are more than a record holds and were left out`,
    isUnusable: false,
  };
}
