/**
 * U-Boot's `bootstage report`, as the console shows it, and as the devicetree hands it over. Pure.
 *
 * A mark says what begins: the row of a stage reaches to the next mark. Accumulated times have a duration and no place
 * in time, so they are not in the record. The clock is the board's timer, in microseconds since it was started; on most
 * boards that is the reset of the processor. Format: common/bootstage.c of U-Boot 2023.01 to 2025.10.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { isBinary, type LogInput, logText, rowName, soleFile } from './log-input.ts';
import {
  boundedRows,
  firmwareFlag,
  plausibleNs,
  SELF_CLOCK_NS,
  twoBootsError,
  US,
} from './plausible.ts';

export interface Mark {
  readonly name: string;
  readonly atUs: number;
}

/** The mark with which U-Boot leaves for the kernel. */
const HANDOVER = /^start_kernel$/;
const TITLE = /Timer summary in microseconds/;
const ROW = /^ {0,12}([\d,]{1,30}) {1,12}([\d,]{1,30}|overflow) {2}(\S.{0,200})$/;
const OVERFLOWED = /^Overflowed internal boot id table by (\d{1,9}) entries/;

function recognises(log: LogInput): boolean {
  const bytes = soleFile(log);
  if (bytes === undefined || isBinary(bytes)) return false;
  return Buffer.from(bytes).includes('Timer summary in microseconds');
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  const text = bytes === undefined ? undefined : logText(bytes);
  const titles = (text?.lines ?? []).flatMap((line, index) => (TITLE.test(line) ? [index] : []));
  if (text === undefined || titles.length === 0) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      'it has no bootstage report, expected "Timer summary in microseconds"',
      { hint: 'U-Boot needs CONFIG_BOOTSTAGE_REPORT, or print it with: bootstage report' },
    );
  }
  if (titles.length > 1 && !options.split) throw twoBootsError(titles.map((index) => index + 1));
  return titles.map((from, index) => {
    const { marks, flags } = reportMarks(text.lines, from + 1, titles[index + 1]);
    return bootOfMarks(marks, [...text.flags, ...flags], options);
  });
}

function reportMarks(
  lines: readonly string[],
  from: number,
  to: number | undefined,
): { marks: Mark[]; flags: BootFlag[] } {
  const marks: Mark[] = [];
  const flags: BootFlag[] = [];
  let index = from + 1;
  for (; index < (to ?? lines.length); index++) {
    const line = lines[index]!.trimEnd();
    const row = ROW.exec(line);
    const lost = OVERFLOWED.exec(line);
    if (row !== null) {
      marks.push({ name: row[3]!, atUs: Number(row[1]!.replaceAll(',', '')) });
    } else if (lost !== null) flags.push(lostFlag(lost[1]!));
    else if (!line.startsWith('Please increase')) break;
  }
  // The marks end with an empty line and the accumulated times.
  const isWhole =
    marks.length > 0 &&
    lines
      .slice(index, index + 2)
      .join('')
      .startsWith('Accumulated');
  if (!isWhole) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `the bootstage report ends in line ${index}, expected marks and then "Accumulated time:"`,
    );
  }
  return { marks, flags };
}

function lostFlag(count: string): BootFlag {
  return {
    code: 'BUDGET_FLAG_MARKS_LOST',
    message: `${count} marks had no room in U-Boot's table and are not in the report`,
    isUnusable: false,
  };
}

/** The boot of marks in the order of time. Throws FORMAT_BOOT_LOG_CLOCK for any other order. */
export function bootOfMarks(
  marks: readonly Mark[],
  flags: readonly BootFlag[],
  options: ImportOptions,
): ImportedBoot {
  const rows = marks.map(({ name, atUs }, index) => {
    const atNs = plausibleNs(atUs * US, `the mark ${rowName(name)}`);
    const before = marks[index - 1];
    if (before !== undefined && atUs < before.atUs) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_CLOCK',
        `the mark ${rowName(name)} is at ${atUs} us, before ${rowName(before.name)} at ${before.atUs} us`,
      );
    }
    return { name: rowName(name), atNs };
  });
  const handover = rows.findIndex(({ name }) => HANDOVER.test(name));
  const end = handover < 0 ? rows.length - 1 : handover;
  const stages: MeasuredBoot['stages'] = rows.slice(0, end).map(({ name, atNs }, index) => ({
    name: `loader ${name}`,
    startNs: atNs,
    endNs: rows[index + 1]!.atNs,
  }));
  const long = firmwareFlag(rows[end]!.atNs, options.firmwareLimitNs);
  return boundedRows({
    evidence: 'board-selfclock',
    isEmulated: false,
    clock: {
      name: 'bootstage',
      zero: 'reset',
      uncertaintyNs: options.uncertaintyNs ?? SELF_CLOCK_NS,
    },
    outcome: 'booted',
    reason: null,
    stages,
    units: [],
    events: [
      { name: 'reset', atNs: 0 },
      ...(handover < 0 ? [] : [{ name: 'kernel', atNs: rows[handover]!.atNs }]),
      ...rows,
    ],
    flags: [...flags, ...(long === null ? [] : [long])],
  });
}

export const bootstage: Importer = {
  format: 'bootstage',
  summary: "U-Boot's bootstage report, as text",
  recognisedBy: 'the line "Timer summary in microseconds"',
  recognises,
  read,
};
