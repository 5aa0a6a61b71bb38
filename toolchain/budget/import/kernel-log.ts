/**
 * The kernel's own log: `dmesg`, `journalctl -k -o short-monotonic`, or the console with printk times. Pure.
 *
 * Its zero is where the kernel's clock begins, not power-on, and what the loader and the first moments of the kernel
 * took is not in it. Times are when a message was written, not when a slow console printed it.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import { applyDictionary, findEvents, type TimedLine, withEvents } from './dictionary.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { initcallUnits } from './initcalls.ts';
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
  SELF_CLOCK_NS,
  twoBootsError,
  US,
} from './plausible.ts';

/** `[    1.234567] text`, with a level in front, or the task or processor behind. */
const STAMP = /^(?:<\d{1,3}>)?\[ {0,11}(-?\d{1,12})\.(\d{6,9})\](?:\[ {0,8}[TC]\d{1,8}\])?(?: |$)/;

/** Times of other kinds, with the command that prints them. */
const OTHER_STAMPS: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] /, 'wall-clock times (dmesg -T)'],
  [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.,]\d{1,9}\S{0,6} /, 'wall-clock times (--time-format iso)'],
  [/^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,64} kernel: /, 'wall-clock times (journalctl)'],
  [/^\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\] /, 'relative times (dmesg -H or -e)'],
  [/^\[ {0,8}<? {0,8}[+-]? {0,8}\d{1,8}\.\d{6}>?\] /, 'relative times (dmesg -d)'],
];

interface StampedLine extends TimedLine {
  readonly number: number;
}

/** The time and the text of a line; undefined for one that has no stamp. */
export function readStamp(line: string): { ns: number; text: string } | undefined {
  const match = STAMP.exec(line);
  if (match === null) return undefined;
  const [stamp, whole, fraction] = match;
  const sign = whole!.startsWith('-') ? -1 : 1;
  const ns = sign * secondsToNs(whole!.replace('-', ''), fraction!);
  return { ns, text: line.slice(stamp.length) };
}

function recognises(log: LogInput): boolean {
  const lines = sampleLines(log);
  const stamped = lines.filter((line) => {
    return STAMP.test(line) || OTHER_STAMPS.some(([pattern]) => pattern.test(line));
  });
  return stamped.length > lines.length / 2;
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  if (bytes === undefined) {
    throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', 'it has several files, expected one log');
  }
  const { lines, flags } = logText(bytes);
  const stamped = stampedLines(lines);
  const starts = bootStarts(stamped);
  if (starts.length > 1 && !options.split) {
    throw twoBootsError(starts.map((index) => stamped[index]!.number));
  }
  return starts.map((from, index) =>
    oneBoot(stamped.slice(from, starts[index + 1]), flags, options),
  );
}

function stampedLines(lines: readonly string[]): StampedLine[] {
  const stamped: StampedLine[] = [];
  lines.forEach((line, index) => {
    const stamp = readStamp(line);
    if (stamp === undefined) return;
    const atNs = plausibleNs(stamp.ns, `the time of line ${index + 1}`);
    stamped.push({ number: index + 1, atNs, text: stamp.text });
  });
  if (stamped.length > 0) return withoutHost(stamped);
  const other = OTHER_STAMPS.find(([pattern]) => lines.some((line) => pattern.test(line)));
  if (other === undefined) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      'no line begins with a time, as [    1.234567] does',
      { hint: 'the kernel needs printk.time=1, which is the default of most' },
    );
  }
  throw new ColdsealError(
    'FORMAT_BOOT_LOG_WALL_CLOCK',
    `it has ${other[1]}, expected those since the kernel's start`,
    { hint: 'use dmesg without options for times, or journalctl -k -o short-monotonic' },
  );
}

/** Lines of journalctl without the host's name, and those of the kernel without its own. */
function withoutHost(stamped: StampedLine[]): StampedLine[] {
  const sample = stamped.slice(0, 20).find(({ text }) => / kernel: /.test(text.slice(0, 80)));
  const host = sample === undefined ? undefined : /^(\S{1,64}) kernel: /.exec(sample.text)?.[1];
  if (host === undefined) return stamped;
  // The name may change when the system sets it.
  return stamped.map((line) => ({
    ...line,
    text: line.text.replace(/^\S{1,64} (?:kernel: )?/, ''),
  }));
}

/** The lines with which a kernel begins its log, on x86 and on ARM. */
const BANNER = /^(?:Linux version \d|Booting Linux on physical CPU)/;

/**
 * On x86 the kernel counts timer ticks until it knows how fast its counter runs, and then begins anew at zero: on the
 * machines that need it, some ten milliseconds after the start.
 */
function isClockChange(fromNs: number, toNs: number): boolean {
  return fromNs < SECOND && toNs < fromNs;
}

/** Where boots begin. Throws FORMAT_BOOT_LOG_CLOCK where time goes back and none does. */
function bootStarts(lines: readonly StampedLine[]): number[] {
  const starts = [0];
  let latest = lines[0]!.atNs;
  for (let index = 1; index < lines.length; index++) {
    const { atNs, text, number } = lines[index]!;
    if (atNs < latest - OUT_OF_ORDER_NS) {
      // The banner of a second boot may be missing; that its clock begins at zero is enough.
      const isBoot = BANNER.test(text) || (atNs === 0 && latest >= SECOND);
      if (!isBoot && !isClockChange(latest, atNs)) throw clockError(number, latest, atNs);
      if (isBoot) starts.push(index);
      latest = atNs;
    }
    latest = Math.max(latest, atNs);
  }
  return starts;
}

/** What was stamped with the clock of ticks is before the zero of the other, and is put there. */
function onOneClock(stamped: readonly StampedLine[]): { lines: StampedLine[]; lostNs: number } {
  let [latest, changed] = [0, 0];
  stamped.forEach(({ atNs }, index) => {
    if (atNs >= latest - OUT_OF_ORDER_NS) latest = Math.max(latest, atNs);
    else [latest, changed] = [atNs, index];
  });
  const before = stamped.slice(0, changed);
  const lines = [
    ...before.map((line) => ({ ...line, atNs: 0 })),
    ...(changed === 0 ? stamped : stamped.slice(changed)),
  ];
  return { lines, lostNs: before.reduce((most, { atNs }) => Math.max(most, atNs), 0) };
}

function clockFlag(lostNs: number): BootFlag[] {
  if (lostNs === 0) return [];
  return [
    {
      code: 'BUDGET_FLAG_CLOCK_CHANGED',
      message:
        `the kernel counted ticks for ${lostNs / SECOND} s before it began to count with its counter: ` +
        'that time is not in the record',
      isUnusable: false,
    },
  ];
}

function oneBoot(
  stamped: readonly StampedLine[],
  logFlags: readonly BootFlag[],
  options: ImportOptions,
): ImportedBoot {
  const { dictionary } = options;
  const { lines, lostNs } = onOneClock(stamped);
  const found = dictionary === null ? [] : findEvents(lines, dictionary);
  const events = withEvents(kernelEvents(lines), found);
  const boot: ImportedBoot = {
    evidence: isEmulated(lines) ? 'virtual-wallclock' : 'board-selfclock',
    isEmulated: isEmulated(lines),
    clock: {
      name: 'printk',
      zero: 'kernel',
      uncertaintyNs: options.uncertaintyNs ?? resolution(lines),
    },
    outcome: 'booted',
    reason: null,
    stages: kernelStages(events),
    units: initcallUnits(lines),
    events,
    flags: [...logFlags, ...clockFlag(lostNs), ...kernelFlags(lines, events)],
  };
  return boundedRows(dictionary === null ? boot : applyDictionary(boot, dictionary));
}

/** Machines that are no board say so in the first lines. */
const EMULATED = /^(?:DMI: .{0,80}(?:QEMU|VirtualBox|VMware)|Machine model: linux,dummy-virt)/;

function isEmulated(lines: readonly StampedLine[]): boolean {
  return lines.slice(0, 500).some(({ text }) => EMULATED.test(text));
}

/** Of the oscillator, or of ticks: a kernel without a finer clock counts them, and all stamps are multiples of one. */
function resolution(lines: readonly StampedLine[]): number {
  let step = 0;
  for (const { atNs } of lines) {
    let [a, b] = [atNs, step];
    while (b > 0) [a, b] = [b, a % b];
    step = a;
    if (step === US) break;
  }
  return Math.max(SELF_CLOCK_NS, Math.min(step, TICK_NS_MAX));
}

/** Of a kernel with 100 ticks a second, the fewest there are. */
const TICK_NS_MAX = 10 * MS;

/** What the kernel and systemd say themselves. The name is that of the event; the first line counts. */
const LANDMARKS: readonly (readonly [event: string, pattern: RegExp])[] = [
  ['init', /^Run \/\S{1,200} as init process/],
  ['initrd', /^systemd\[1\]: Running in (?:initrd|initial RAM disk)\b/],
  ['switch-root', /^systemd\[1\]: Switching root\b/],
  ['userspace-finished', /^systemd\[1\]: Startup finished in /],
];

/** The second time that systemd says its version is after the initrd. */
const SYSTEMD = /^systemd\[1\]: systemd \S{1,60} running in system mode/;

export function kernelEvents(lines: readonly TimedLine[]): MeasuredBoot['events'] {
  const found = new Map<string, number>([['kernel', 0]]);
  const put = (name: string, atNs: number): void => {
    if (!found.has(name)) found.set(name, atNs);
  };
  for (const { atNs, text } of lines) {
    for (const [name, pattern] of LANDMARKS) {
      if (pattern.test(text)) put(name, atNs);
    }
    // Without an initrd, or after it.
    if (SYSTEMD.test(text)) put(found.has('systemd') ? 'userspace' : 'systemd', atNs);
  }
  return [...found].map(([name, atNs]) => ({ name, atNs }));
}

/** Kernel until init; then the initrd until it is left, or the system from the beginning. */
function kernelStages(events: MeasuredBoot['events']): MeasuredBoot['stages'] {
  const at = (name: string): number | null =>
    events.find((each) => each.name === name)?.atNs ?? null;
  const init = at('init');
  const rows: MeasuredBoot['stages'] = [{ name: 'kernel', startNs: 0, endNs: init }];
  if (init === null) return rows;
  const finished = at('userspace-finished');
  const userspace = at('userspace') ?? at('switch-root');
  const hasInitrd = at('initrd') !== null || userspace !== null;
  if (hasInitrd) rows.push({ name: 'initrd', startNs: init, endNs: userspace });
  const begun = hasInitrd ? userspace : init;
  if (begun !== null) rows.push({ name: 'userspace', startNs: begun, endNs: finished });
  return rows;
}

function kernelFlags(lines: readonly StampedLine[], events: MeasuredBoot['events']): BootFlag[] {
  const flags: BootFlag[] = [];
  const banner = lines.find(({ text }) => BANNER.test(text));
  if (banner === undefined) {
    flags.push({
      code: 'BUDGET_FLAG_LOG_BEGINNING',
      message: "the log has lost its beginning, so what it says first may not be the boot's first",
      isUnusable: true,
    });
  } else if (banner.atNs > SECOND) {
    flags.push({
      code: 'BUDGET_FLAG_RECEIVED_TIMES',
      message:
        `the kernel says its version at ${banner.atNs / SECOND} s: ` +
        'these are the times when the journal received the lines',
      isUnusable: true,
    });
  }
  if (!events.some(({ name }) => name === 'init')) {
    flags.push({
      code: 'BUDGET_FLAG_NO_INIT',
      message: 'the log does not say when the kernel started init, so its end is unknown',
      isUnusable: false,
    });
  }
  const same = sameTimeFlag(lines.map(({ atNs }) => atNs));
  return same === null ? flags : [...flags, same];
}

export const kernelLog: Importer = {
  format: 'kernel-log',
  summary:
    'the kernel log with its own times: dmesg, journalctl -k -o short-monotonic, the console',
  recognisedBy: 'lines that begin with [    1.234567]',
  recognises,
  read,
};
