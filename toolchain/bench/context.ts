/** What every case is handed: where to work, how often to run, what to compare with; and the rows that samples make. */
import { join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import { ROOT } from '../dev/root.ts';
import type { MachineRates } from './machine.ts';
import type { Command, Meter, Sample } from './measure.ts';
import { least, pairRatios } from './statistics.ts';
import { formatValue, type Row } from './table.ts';

export interface BenchContext {
  /** Directory for inputs and outputs. */
  readonly dir: string;
  readonly runs: number;
  /** Directory that the case `tree` builds the image of. */
  readonly tree: string;
  /** A mkcomposefs to compare with. */
  readonly mkcomposefs: string | undefined;
  readonly meter: Meter;
  /** Says on stderr what is going on. */
  readonly progress: (text: string) => void;
  /** Measured on first use, then the same for all cases. */
  readonly rates: () => MachineRates;
}

/** What a case found; its name is added by whoever runs it. */
export interface CaseFindings {
  readonly rows: readonly Row[];
  readonly notes: readonly string[];
  /** Every run, by command. */
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** Measures, or says in a sentence why it cannot here. */
  readonly run: (context: BenchContext) => Promise<CaseFindings | string>;
}

/** Less is what any busy machine rereads. */
const COLD_BYTES = 10e6;

const CLI = [process.execPath, join(ROOT, 'dist/coldseal.mjs')];

/** A command of the built CLI. */
export function coldseal(args: readonly string[], extra: Partial<Command> = {}): Command {
  return { label: `coldseal ${args.join(' ')}`, argv: [...CLI, ...args], ...extra };
}

/** Limits and figures of C that belong to the samples of one command. */
export interface Against {
  readonly wallLimitMs?: number;
  readonly wallReferenceMs?: number;
  readonly peakLimitBytes?: number;
  readonly peakReferenceBytes?: number;
}

/** Wall time, processor time and peak memory as rows. */
export function usageRows(samples: readonly Sample[], against: Against = {}, prefix = ''): Row[] {
  const row = (what: string, unit: Row['unit'], pick: (sample: Sample) => number): Row => {
    const values = samples.map(pick);
    return { what: `${prefix}${what}`, unit, value: median(values), least: least(values) };
  };
  return [
    {
      ...row('wall', 'ms', (sample) => sample.wallMs),
      ...(against.wallLimitMs === undefined ? {} : { limit: against.wallLimitMs }),
      ...(against.wallReferenceMs === undefined ? {} : { reference: against.wallReferenceMs }),
    },
    row('user + system', 'ms', (sample) => sample.userMs + sample.sysMs),
    {
      ...row('peak memory', 'bytes', (sample) => sample.peakBytes),
      ...(against.peakLimitBytes === undefined ? {} : { limit: against.peakLimitBytes }),
      ...(against.peakReferenceBytes === undefined
        ? {}
        : { reference: against.peakReferenceBytes }),
    },
  ];
}

/** A note when something came from a disk, so that a cold cache is not taken for slow code. */
export function diskNotes(samples: readonly Sample[]): string[] {
  const bytes = median(samples.map((sample) => sample.diskBytes));
  if (bytes < COLD_BYTES) return [];
  return [`the cache was not warm: ${formatValue(bytes, 'bytes')} came from the disk in each run`];
}

/**
 * Measures coldseal, and in turn with it mkcomposefs if there is one; both must print the same digest.
 * `cFlags` are the flags that mkcomposefs knows for the same work.
 */
export async function besideMkcomposefs(
  context: BenchContext,
  ours: Command,
  theirs: Omit<Command, 'label' | 'argv'> & { readonly args: readonly string[] },
): Promise<{ ours: Sample[]; notes: string[]; samples: Record<string, Sample[]> }> {
  const { meter, runs, mkcomposefs } = context;
  if (mkcomposefs === undefined) {
    const [samples] = await meter.alternate([ours], { runs });
    return { ours: samples!, notes: [], samples: { coldseal: samples! } };
  }
  const { args, ...extra } = theirs;
  const other: Command = {
    ...extra,
    label: `mkcomposefs ${args.join(' ')}`,
    argv: [mkcomposefs, ...args],
  };
  const [a, b] = (await meter.alternate([ours, other], { runs })) as [Sample[], Sample[]];
  requireSameDigests([...a, ...b]);
  return { ours: a, notes: comparisonNotes(a, b), samples: { coldseal: a, mkcomposefs: b } };
}

function requireSameDigests(samples: readonly Sample[]): void {
  const digests = [...new Set(samples.map(({ stdout }) => stdout.trim()))];
  if (digests.length === 1) return;
  throw new Error(
    `the digests differ: ${digests.join(', ')}; expected one, unless something wrote to the input meanwhile`,
  );
}

/** How two series that took turns compare. */
export function comparisonNotes(ours: readonly Sample[], theirs: readonly Sample[]): string[] {
  const pick = (samples: readonly Sample[], key: 'wallMs' | 'peakBytes'): number[] =>
    samples.map((sample) => sample[key]);
  const ratios = pairRatios(pick(ours, 'wallMs'), pick(theirs, 'wallMs'));
  const wall = formatValue(median(pick(theirs, 'wallMs')), 'ms');
  const peak = formatValue(median(pick(theirs, 'peakBytes')), 'bytes');
  return [
    `mkcomposefs here: ${wall}, ${peak}; the digests are equal`,
    `coldseal / mkcomposefs, pair by pair: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`,
  ];
}
