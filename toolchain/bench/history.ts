/**
 * Results of earlier runs of the bench: one line of JSON each, appended and never changed.
 *
 * A result is compared with those of the same machine and Node only. What counts as a change: the shift of Hodges and
 * Lehmann from the earlier runs to this one (budget/statistics/shift.ts), when its 99 % interval leaves out zero and it
 * is larger than the medians of the earlier results differ among themselves. The runs of one evening are more alike
 * than those of two days, so the interval alone would cry at every difference of the weather.
 */
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import { shiftOf } from '../budget/statistics/shift.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import { cacheDirectory } from '../files/cache-directory.ts';
import type { MeasuredCase } from './bench.ts';
import type { Machine } from './machine.ts';
import { formatValue } from './table.ts';

/** What is kept of the runs of one command. */
interface Series {
  readonly wallMs: readonly number[];
  readonly cpuMs: readonly number[];
  readonly peakBytes: readonly number[];
}

const METRICS = [
  { key: 'wallMs', what: 'wall', unit: 'ms' },
  { key: 'cpuMs', what: 'user + system', unit: 'ms' },
  { key: 'peakBytes', what: 'peak memory', unit: 'bytes' },
] as const;

/** One run of the bench. */
export interface HistoryEntry {
  readonly schema: 1;
  /** When, in UTC. */
  readonly at: string;
  readonly version: string;
  /** What was measured; ends with + when files differed from it. */
  readonly commit: string;
  readonly machine: Machine;
  /** By case, then by command. */
  readonly cases: Readonly<Record<string, Readonly<Record<string, Series>>>>;
}

/** Earlier results are compared when there are so many: two say nothing about how much they differ. */
const EARLIER_MIN = 3;
const CONFIDENCE = 0.99;
/** Less is not worth a line, whatever the interval says. */
const SHARE_MIN = 0.03;

/** Where results are kept when no file is named. */
export function historyFile(): string {
  return join(cacheDirectory(), 'bench-history.jsonl');
}

/** The entry of one run; cases without a measured command are left out. */
export function historyEntry(
  about: Pick<HistoryEntry, 'at' | 'version' | 'commit' | 'machine'>,
  cases: readonly Pick<MeasuredCase, 'name' | 'samples'>[],
): HistoryEntry {
  const kept = cases
    .filter(({ samples }) => Object.keys(samples).length > 0)
    .map(({ name, samples }) => {
      const series = Object.entries(samples).map(([command, all]): [string, Series] => [
        command,
        {
          wallMs: all.map(({ wallMs }) => wallMs),
          cpuMs: all.map(({ userMs, sysMs }) => userMs + sysMs),
          peakBytes: all.map(({ peakBytes }) => peakBytes),
        },
      ]);
      return [name, Object.fromEntries(series)];
    });
  return { schema: 1, ...about, cases: Object.fromEntries(kept) as HistoryEntry['cases'] };
}

/** Appends a result; the file and its directory are made when there are none. */
export function appendHistory(file: string, entry: HistoryEntry): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(entry)}\n`);
}

/** Earlier results, oldest first; lines that are none, as a full disk leaves them, are counted and left out. */
export function readHistory(file: string): { entries: HistoryEntry[]; broken: number } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { entries: [], broken: 0 };
    throw error;
  }
  const lines = text.split('\n').filter((line) => line !== '');
  const entries = lines.flatMap((line) => parseEntry(line) ?? []);
  return { entries, broken: lines.length - entries.length };
}

function parseEntry(line: string): HistoryEntry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<HistoryEntry> | null;
    return entry?.schema === 1 && entry.cases !== undefined && entry.machine !== undefined
      ? (entry as HistoryEntry)
      : undefined;
  } catch {
    return undefined;
  }
}

/** This result beside the earlier ones of the same machine: a line for each measure. */
export function compareWithHistory(now: HistoryEntry, earlier: readonly HistoryEntry[]): string[] {
  const same = earlier.filter(({ machine }) => machineKey(machine) === machineKey(now.machine));
  const last = same.at(-1);
  if (last === undefined) return ['no earlier result of this machine and Node'];
  const lines = [
    `${same.length} earlier results of this machine, the last of ${last.at} at ${last.commit}`,
  ];
  for (const [name, commands] of Object.entries(now.cases)) {
    for (const [command, series] of Object.entries(commands)) {
      for (const { key, what, unit } of METRICS) {
        const before = same.flatMap(({ cases }) => {
          const values = cases[name]?.[command]?.[key];
          return values === undefined || values.length === 0 ? [] : [values];
        });
        if (before.length === 0) continue;
        const { verdict, medianBefore } = judgeChange(before, series[key]);
        const [from, to] = [medianBefore, median(series[key])].map((value) =>
          formatValue(value, unit),
        );
        lines.push(`  ${name}, ${command}, ${what}: ${from} before, now ${to}${verdict}`);
      }
    }
  }
  return lines;
}

/** Whether runs differ from earlier ones by more than those do among themselves, as words to append. */
export function judgeChange(
  earlier: readonly (readonly number[])[],
  now: readonly number[],
): { verdict: string; medianBefore: number } {
  const medians = earlier.map(median);
  const medianBefore = median(medians);
  if (earlier.length < EARLIER_MIN) return { verdict: '', medianBefore };
  const { estimate, interval } = shiftOf(earlier.flat(), now, CONFIDENCE);
  const spread = Math.max(...medians) - Math.min(...medians);
  const isChange =
    interval !== null &&
    (interval.low > 0 || interval.high < 0) &&
    Math.abs(estimate) > spread &&
    Math.abs(estimate) > SHARE_MIN * medianBefore;
  if (!isChange) return { verdict: '', medianBefore };
  const percent = ((100 * Math.abs(estimate)) / medianBefore).toFixed(0);
  const direction = estimate > 0 ? 'WORSE' : 'better';
  return { verdict: `, ${direction} by ${percent} %, beyond the noise`, medianBefore };
}

/** Load and kernel may differ; another processor or Node is another machine. */
function machineKey({ cpu, cores, node }: Machine): string {
  return `${cpu}/${cores}/${node}`;
}
