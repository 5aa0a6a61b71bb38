/**
 * The probe's report out of a board's console, and the disk's requests by step.
 *
 * A console is not to be trusted with figures: lines of the kernel may stand between those of the report, and a board
 * may end early. So every line is counted, each of them must be of a known form, each name comes once, and what the
 * board counted of its disk must be what QEMU saw at the same moment.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { DiskCounters } from '../../runtime/format/boot-record.ts';
import { consoleEnd } from '../board/boot-machine.ts';
import { type IoCount, judgeCounters } from '../board/io-counts.ts';
import type { DiskTrace } from '../board/io-trace.ts';
import type { TreeSums } from './tree.ts';

export interface StepReport {
  readonly ns: number;
  readonly from: DiskCounters;
  readonly to: DiskCounters;
  /** Files or entries that were met, and their bytes. */
  readonly entries: number;
  readonly bytes: number;
}

/** What the page cache holds, in bytes. */
export interface CacheReport {
  /** Of files. */
  readonly cached: number;
  /** Of block devices: the metadata of most file systems. */
  readonly buffers: number;
}

export interface GuestReport {
  readonly steps: ReadonlyMap<string, StepReport>;
  readonly caches: ReadonlyMap<string, CacheReport>;
  /** By the directory that was summed. */
  readonly sums: ReadonlyMap<string, TreeSums>;
}

const COUNTERS = '(\\d+),(\\d+),(\\d+),(\\d+)';
const STEP_LINE = new RegExp(`^step (\\S+) (\\d+) ${COUNTERS} ${COUNTERS} (\\d+) (\\d+)$`);
const CACHE_LINE = /^cache (\S+) (\d+) (\d+)$/;
const CHECK_LINE = /^check (\S+) (\d+) ([0-9a-f]{16}) ([0-9a-f]{16})$/;
const END_LINE = /^end (\d+)$/;
const KIB = 1024;

/** Reads a report. Throws HOST_LAYOUT_REPORT where the board could not do what it was told, or lines are damaged. */
export function parseGuestReport(console: string, what: string): GuestReport {
  const refuse = (problem: string): ColdsealError => refusal(what, problem, consoleEnd(console));
  const lines = console.split('\n').filter((line) => line.startsWith('@@'));
  const fault = lines.find((line) => line.startsWith('@@fault '));
  if (fault !== undefined) throw refuse(`the board ${fault.slice('@@fault '.length)}`);
  const steps = new Map<string, StepReport>();
  const caches = new Map<string, CacheReport>();
  const sums = new Map<string, TreeSums>();
  const put = <T>(map: Map<string, T>, name: string, value: T): void => {
    if (map.has(name)) throw refuse(`the report has ${name} twice`);
    map.set(name, value);
  };
  let counted: number | undefined;
  for (const line of lines.map((each) => each.slice(2))) {
    if (counted !== undefined) throw refuse('the report goes on after its end');
    const step = STEP_LINE.exec(line);
    const cache = CACHE_LINE.exec(line);
    const check = CHECK_LINE.exec(line);
    const end = END_LINE.exec(line);
    if (step !== null) put(steps, step[1]!, readStep(step.slice(2).map(Number)));
    else if (cache !== null) {
      const [, name, cached, buffers] = cache;
      put(caches, name!, { cached: Number(cached) * KIB, buffers: Number(buffers) * KIB });
    } else if (check !== null) {
      const [, root, entries, content, metadata] = check;
      put(sums, root!, { entries: Number(entries), content: content!, metadata: metadata! });
    } else if (end !== null) counted = Number(end[1]);
    else throw refuse(`the report has the line "${line.slice(0, 200)}"`);
  }
  if (counted === undefined) throw refuse('the board did not reach the end of its plan');
  if (counted !== lines.length - 1) {
    throw refuse(`the report has ${lines.length - 1} lines, and the board wrote ${counted}`);
  }
  return { steps, caches, sums };
}

function readStep(figures: readonly number[]): StepReport {
  const counters = (at: number): DiskCounters => ({
    readRequests: figures[at]!,
    readBytes: figures[at + 1]!,
    writeRequests: figures[at + 2]!,
    writeBytes: figures[at + 3]!,
  });
  return {
    ns: figures[0]!,
    from: counters(1),
    to: counters(5),
    entries: figures[9]!,
    bytes: figures[10]!,
  };
}

/** A step or a moment that the plan has. Throws HOST_LAYOUT_REPORT when the report lacks it. */
export function reported<T>(map: ReadonlyMap<string, T>, name: string, what: string): T {
  const found = map.get(name);
  if (found === undefined) throw refusal(what, `the report lacks ${name}`, undefined);
  return found;
}

/** What each step read, with QEMU as the judge of every counter. Throws HOST_IO_COUNT. */
export function countSteps(report: GuestReport, trace: DiskTrace): Map<string, IoCount> {
  const judge = judgeCounters(trace.kernel);
  return new Map(
    [...report.steps].map(([name, { from, to }]) => {
      const [before, after] = [judge(`the start of ${name}`, from), judge(name, to)];
      return [
        name,
        {
          reads: after.reads - before.reads,
          readBytes: after.readBytes - before.readBytes,
          writes: after.writes - before.writes,
          writeBytes: after.writeBytes - before.writeBytes,
        },
      ];
    }),
  );
}

function refusal(what: string, problem: string, hint: string | undefined): ColdsealError {
  return new ColdsealError('HOST_LAYOUT_REPORT', `Cannot measure ${what}: ${problem}`, { hint });
}
