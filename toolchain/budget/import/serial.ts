/**
 * A capture of the serial console with the host's times: grabserial, tio, or `ts` of moreutils. Pure.
 *
 * The host stamps when a piece of USB data arrived, so a time is off by some milliseconds, and it is the time of the
 * printing: a console that is slower than the boot stamps later and later. Where lines carry the kernel's own times
 * too, the distance of both clocks shows that. Nobody sees power-on: the zero is the first character.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import { applyDictionary, findEvents, type TimedLine, withEvents } from './dictionary.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { readStamp } from './kernel-log.ts';
import { type LogInput, logText, sampleLines, soleFile } from './log-input.ts';
import {
  boundedRows,
  clockError,
  MS,
  OUT_OF_ORDER_NS,
  plausibleNs,
  SECOND,
  sameTimeFlag,
  secondsToNs,
  twoBootsError,
} from './plausible.ts';

/** Half of what USB converters are seen to be off by at 115,200 baud without special settings. */
const USB_UNCERTAINTY_NS = 10 * MS;
/** A console that lags behind the kernel by more than this shows its own speed, not the boot's. */
const LAG_NS = 100 * MS;
const DAY_NS = 86_400 * SECOND;

interface SerialLine extends TimedLine {
  readonly number: number;
}

interface HostTime {
  readonly ns: number;
  readonly text: string;
  /** Hours of a day, which begin anew at midnight. */
  readonly isClock: boolean;
}

/** grabserial -t: `[12.345678 0.001234] text`. */
const RELATIVE = /^\[ {0,8}(\d{1,12})\.(\d{6}) \d{1,12}\.\d{6}\] ?/;
/** grabserial -T and tio: `[12:34:56.789012 0.001234] text`, `[12:34:56.789] text`. */
const CLOCK =
  /^\[(?:\d{4}-\d\d-\d\d[ T])?(\d\d):(\d\d):(\d\d)\.(\d{3,9})Z?(?: \d{1,12}\.\d{6})?\] ?/;
/** ts -s %.s: `12.345678 text`. */
const PLAIN = /^(\d{1,12})\.(\d{6})(?: |$)/;

function hostTime(line: string): HostTime | undefined {
  const clock = CLOCK.exec(line);
  if (clock !== null) {
    const [stamp, hours, minutes, seconds, fraction] = clock;
    const whole = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    return {
      ns: secondsToNs(String(whole), fraction!),
      text: line.slice(stamp.length),
      isClock: true,
    };
  }
  const relative = RELATIVE.exec(line) ?? PLAIN.exec(line);
  if (relative === null) return undefined;
  const [stamp, whole, fraction] = relative;
  return { ns: secondsToNs(whole!, fraction!), text: line.slice(stamp.length), isClock: false };
}

function recognises(log: LogInput): boolean {
  const lines = sampleLines(log);
  const stamped = lines.filter((line) => hostTime(line) !== undefined);
  return stamped.length > lines.length / 2;
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  const text = bytes === undefined ? undefined : logText(bytes);
  const lines = text === undefined ? [] : serialLines(text.lines);
  if (text === undefined || lines.length === 0) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      'no line begins with a time of the host, as [0.003521 0.000017] does',
      { hint: 'capture with grabserial -t, grabserial -T, tio -t, or through ts -s %.s' },
    );
  }
  const starts = bootStarts(lines);
  if (starts.length > 1 && !options.split) {
    throw twoBootsError(starts.map((index) => lines[index]!.number));
  }
  return starts.map((from, index) =>
    oneBoot(lines.slice(from, starts[index + 1]), text.flags, options),
  );
}

/** Lines with times that go on after midnight. Throws FORMAT_BOOT_LOG_CLOCK where they go back. */
function serialLines(lines: readonly string[]): SerialLine[] {
  const stamped: SerialLine[] = [];
  let days = 0;
  lines.forEach((line, index) => {
    const time = hostTime(line);
    if (time === undefined) return;
    const last = stamped.at(-1)?.atNs ?? 0;
    let atNs = time.ns + days * DAY_NS;
    if (time.isClock && atNs < last - DAY_NS / 2) {
      days++;
      atNs += DAY_NS;
    }
    if (atNs < last - OUT_OF_ORDER_NS) throw clockError(index + 1, last, atNs);
    stamped.push({ number: index + 1, atNs, text: time.text });
  });
  return stamped;
}

/** Who speaks when, from the first instruction on: a board that is at a lower step than before has begun anew. */
const STEPS: readonly (readonly [step: number, event: string, pattern: RegExp])[] = [
  [1, 'spl', /^U-Boot (?:TPL|SPL|VPL) 20\d\d/],
  [2, 'u-boot', /^U-Boot 20\d\d/],
  [3, 'kernel-output', /^(?:\[[ \d.]{8,20}\] )?Linux version \d/],
];

/** Where boots begin: the first line, and each that says who speaks and should be over. */
function bootStarts(lines: readonly SerialLine[]): number[] {
  const starts = [0];
  let reached = 0;
  lines.forEach(({ text }, index) => {
    const step = STEPS.find(([, , pattern]) => pattern.test(text))?.[0];
    if (step === undefined) return;
    // U-Boot may have several loaders before itself.
    if (reached > 0 && (step < reached || (step === reached && step > 1))) starts.push(index);
    reached = step;
  });
  return starts;
}

function oneBoot(
  captured: readonly SerialLine[],
  logFlags: readonly BootFlag[],
  options: ImportOptions,
): ImportedBoot {
  const { dictionary } = options;
  const firstNs = captured[0]!.atNs;
  const lines = captured.map(({ atNs, text, number }) => ({
    number,
    atNs: plausibleNs(atNs - firstNs, `the time of line ${number}`),
    text,
  }));
  const clocks = kernelClock(lines);
  const found = dictionary === null ? [] : findEvents(lines, dictionary);
  const events = withEvents(serialEvents(lines, clocks), found);
  const same = sameTimeFlag(lines.map(({ atNs }) => atNs));
  const boot: ImportedBoot = {
    evidence: 'board-serial',
    isEmulated: false,
    clock: {
      name: 'host of the serial line',
      zero: 'first-character',
      uncertaintyNs: options.uncertaintyNs ?? USB_UNCERTAINTY_NS,
    },
    outcome: 'booted',
    reason: null,
    stages: serialStages(events),
    units: [],
    events,
    flags: [...logFlags, ...lagFlags(clocks), ...(same === null ? [] : [same])],
  };
  return boundedRows(dictionary === null ? boot : applyDictionary(boot, dictionary));
}

/** How far the host's clock is ahead of the kernel's, least and most, over all lines that have both times. */
interface Clocks {
  readonly leastNs: number;
  readonly mostNs: number;
}

function kernelClock(lines: readonly TimedLine[]): Clocks | null {
  let [least, most] = [Infinity, -Infinity];
  for (const { atNs, text } of lines) {
    const kernel = readStamp(text);
    // Before the kernel has a clock it says zero, for what may be a second.
    if (kernel === undefined || kernel.ns <= 0) continue;
    least = Math.min(least, atNs - kernel.ns);
    most = Math.max(most, atNs - kernel.ns);
  }
  return least === Infinity ? null : { leastNs: least, mostNs: most };
}

/**
 * A line lags most right after the console has begun, when all earlier lines are printed at once. So the least distance
 * is when printing kept up, and the kernel's zero is there.
 */
function lagFlags(clocks: Clocks | null): BootFlag[] {
  if (clocks === null || clocks.mostNs - clocks.leastNs <= LAG_NS) return [];
  const ms = Math.round((clocks.mostNs - clocks.leastNs) / MS);
  return [
    {
      code: 'BUDGET_FLAG_CONSOLE_BEHIND',
      message:
        `the console was up to ${ms} ms behind the kernel, ` +
        'so host times of kernel lines are when they were printed',
      isUnusable: false,
    },
  ];
}

const SPOKEN: readonly (readonly [event: string, pattern: RegExp])[] = [
  ['init', /^(?:\[[ \d.]{8,20}\] )?Run \/\S{1,200} as init process/],
  ['login', /^\S{0,100} ?login: ?$/],
];

function serialEvents(lines: readonly TimedLine[], clocks: Clocks | null): MeasuredBoot['events'] {
  const found = new Map<string, number>([['first-character', 0]]);
  for (const { atNs, text } of lines) {
    for (const [, name, pattern] of STEPS) {
      if (!found.has(name) && pattern.test(text)) found.set(name, atNs);
    }
    for (const [name, pattern] of SPOKEN) {
      if (!found.has(name) && pattern.test(text)) found.set(name, atNs);
    }
  }
  // A kernel that began before the first character was seen has no place on this clock.
  if (clocks !== null && clocks.leastNs >= 0) found.set('kernel', clocks.leastNs);
  return [...found].map(([name, atNs]) => ({ name, atNs }));
}

function serialStages(events: MeasuredBoot['events']): MeasuredBoot['stages'] {
  const at = (name: string): number | null =>
    events.find((each) => each.name === name)?.atNs ?? null;
  const kernel = at('kernel');
  if (kernel === null) return [];
  const init = at('init');
  const rows: MeasuredBoot['stages'] = [
    { name: 'loader', startNs: 0, endNs: kernel },
    { name: 'kernel', startNs: kernel, endNs: init },
  ];
  if (init !== null) rows.push({ name: 'userspace', startNs: init, endNs: at('login') });
  return rows;
}

export const serial: Importer = {
  format: 'serial',
  summary: 'the serial console with times of the host: grabserial, tio, ts',
  recognisedBy: 'lines that begin with [0.003521 0.000017], [12:34:56.789] or 0.003521',
  recognises,
  read,
};
