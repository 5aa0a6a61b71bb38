/**
 * coreboot's time stamps: `cbmem -t`, and the tab-separated `cbmem -T`. Pure.
 *
 * Microseconds since the counter was at zero, which is the processor's reset where the counter is reset with it. The
 * numbers are those of coreboot's timestamp_serialized.h; the rows of the stage `firmware` reach from the beginning of
 * one of coreboot's programs to the next.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { type LogInput, logText, rowName, sampleLines, soleFile } from './log-input.ts';
import {
  boundedRows,
  firmwareFlag,
  plausibleNs,
  SELF_CLOCK_NS,
  twoBootsError,
  US,
} from './plausible.ts';

const TITLE = /^ {0,4}(\d{1,4}) entries total:/;
/** `  11:start of bootblock      64,231 (62,002)`; coreboot of 2012 had no names. */
const ROW_HEAD = /^ {0,6}(\d{1,6}):/;
const ROW_TAIL = /(-?[\d,]{1,27})(?: \([\d,]{1,27}\))?$/;
const TAIL_LENGTH = 60;
/** `11<tab>64231<tab>62002<tab>start of bootblock`. */
const TABBED = /^(\d{1,6})\t(-?\d{1,20})\t(-?\d{1,20})\t(.{1,80})$/;

interface Stamp {
  readonly id: number;
  readonly name: string;
  readonly us: number;
}

/** The stamps with which coreboot's programs begin. */
const PROGRAMS: ReadonlyMap<number, string> = new Map([
  [11, 'bootblock'],
  [5, 'verified-boot'],
  [1, 'romstage'],
  [100, 'postcar'],
  [10, 'ramstage'],
  [90, 'load-payload'],
]);
/** "selfboot jump": the firmware is done. */
const PAYLOAD = 99;
/** "jumping to kernel", by depthcharge. */
const KERNEL = 1101;

function recognises(log: LogInput): boolean {
  const lines = sampleLines(log);
  const tabbed = lines.filter((line) => TABBED.test(line)).length;
  return lines.some((line) => TITLE.test(line)) || tabbed > lines.length / 2;
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  const text = bytes === undefined ? undefined : logText(bytes);
  const lines = text?.lines ?? [];
  const titles = lines.flatMap((line, index) => (TITLE.test(line) ? [index] : []));
  if (titles.length > 1 && !options.split) throw twoBootsError(titles.map((index) => index + 1));
  const starts = titles.length === 0 ? [0] : titles;
  return starts.map((from, index) => {
    const part = lines.slice(from, starts[index + 1]);
    return bootOf(readStamps(part), text!.flags, options);
  });
}

function readStamps(lines: readonly string[]): Stamp[] {
  const stamps = lines.flatMap((line) => {
    const tabbed = TABBED.exec(line);
    if (tabbed !== null) {
      return [{ id: Number(tabbed[1]), us: Number(tabbed[2]), name: tabbed[4]!.trim() }];
    }
    return tableRow(line.trimEnd());
  });
  const promised = TITLE.exec(lines[0] ?? '')?.[1];
  if (promised !== undefined && Number(promised) !== stamps.length) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `it has ${stamps.length} time stamps, and says that it has ${promised}`,
    );
  }
  if (stamps.length === 0) {
    throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', 'it has no time stamps of coreboot', {
      hint: 'coreboot needs CONFIG_COLLECT_TIMESTAMPS; print them with cbmem -T',
    });
  }
  return stamps;
}

/** A row of `cbmem -t`, read from both ends: what is between them is the name. */
function tableRow(line: string): Stamp[] {
  const head = ROW_HEAD.exec(line);
  if (head === null) return [];
  const rest = line.slice(head[0].length);
  const tail = ROW_TAIL.exec(rest.slice(-TAIL_LENGTH));
  if (tail === null) return [];
  const name = rest.slice(0, rest.length - tail[0].length).trim();
  return [{ id: Number(head[1]), us: Number(tail[1]!.replaceAll(',', '')), name }];
}

function bootOf(
  stamps: readonly Stamp[],
  logFlags: readonly BootFlag[],
  options: ImportOptions,
): ImportedBoot {
  const events = stamps.map(({ id, name, us }) => ({
    id,
    name: rowName(name === '' ? `${id}` : `${id} ${name}`),
    atNs: plausibleNs(us * US, `time stamp ${id}`),
  }));
  events.sort((a, b) => a.atNs - b.atNs);
  const at = (id: number): number | undefined => events.find((each) => each.id === id)?.atNs;
  const endNs = at(PAYLOAD) ?? events.at(-1)!.atNs;
  const kernelNs = at(KERNEL);
  const long = firmwareFlag(kernelNs ?? endNs, options.firmwareLimitNs);
  return boundedRows({
    evidence: 'board-selfclock',
    isEmulated: false,
    clock: {
      name: 'coreboot timestamps',
      zero: 'reset',
      uncertaintyNs: options.uncertaintyNs ?? SELF_CLOCK_NS,
    },
    outcome: 'booted',
    reason: null,
    stages: [
      ...firmwareRows(events, endNs),
      // What depthcharge does until it jumps.
      ...(kernelNs === undefined || at(PAYLOAD) === undefined
        ? []
        : [{ name: 'loader', startNs: endNs, endNs: kernelNs }]),
    ],
    units: [],
    events: [
      { name: 'reset', atNs: 0 },
      ...(at(PAYLOAD) === undefined ? [] : [{ name: 'payload', atNs: endNs }]),
      ...(kernelNs === undefined ? [] : [{ name: 'kernel', atNs: kernelNs }]),
      ...events.map(({ name, atNs }) => ({ name, atNs })),
    ],
    flags: [...logFlags, ...(long === null ? [] : [long])],
  });
}

function firmwareRows(
  events: readonly { readonly id: number; readonly atNs: number }[],
  endNs: number,
): MeasuredBoot['stages'] {
  const seen = new Set<number>();
  const begins = events.filter(({ id, atNs }) => {
    const isFirst = PROGRAMS.has(id) && !seen.has(id) && atNs <= endNs;
    if (isFirst) seen.add(id);
    return isFirst;
  });
  const first = begins[0]?.atNs ?? endNs;
  const before =
    first === 0 ? [] : [{ name: 'firmware before-coreboot', startNs: 0, endNs: first }];
  return [
    ...before,
    ...begins.map(({ id, atNs }, index) => ({
      name: `firmware ${PROGRAMS.get(id)!}`,
      startNs: atNs,
      endNs: begins[index + 1]?.atNs ?? endNs,
    })),
  ];
}

export const cbmem: Importer = {
  format: 'cbmem',
  summary: "coreboot's time stamps: cbmem -T or cbmem -t",
  recognisedBy: '"N entries total:", or four columns with tabs between them',
  recognises,
  read,
};
