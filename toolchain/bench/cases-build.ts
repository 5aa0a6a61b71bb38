/** The cases that build: start, dumps of three sizes and more, a directory tree, an object store. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import {
  besideMkcomposefs,
  coldseal,
  diskNotes,
  usageRows,
  type BenchCase,
  type CaseFindings,
} from './context.ts';
import {
  LIMITS,
  MKCOMPOSEFS,
  REFERENCE_DUMP,
  REFERENCE_STORE,
  REFERENCE_TREE,
  treeLimitMs,
} from './limits.ts';
import { machineNotes } from './machine-limits.ts';
import { availableMemory } from './machine.ts';
import type { Sample } from './measure.ts';
import { least, marginalCosts } from './statistics.ts';
import { writeSyntheticDump } from './synthetic-dump.ts';
import { writeSyntheticTree } from './synthetic-tree.ts';
import { formatValue, type Row } from './table.ts';
import { describeTree, type TreeFacts } from './tree-facts.ts';

/** A start is so short that a few runs say little. */
const START_RUNS_MIN = 11;

export const startCase: BenchCase = {
  name: 'start',
  title: 'coldseal --help',
  async run({ meter, runs }) {
    const empty = { label: 'node -e 0', argv: [process.execPath, '-e', '0'] };
    const rounds = { runs: Math.max(runs, START_RUNS_MIN) };
    const [help, node] = (await meter.alternate([coldseal(['--help']), empty], rounds)) as [
      Sample[],
      Sample[],
    ];
    return {
      rows: [
        ...usageRows(help, { wallLimitMs: LIMITS.startMs }),
        usageRows(node, {}, 'node -e 0: ')[0]!,
      ],
      notes: [],
      samples: { help, node },
    };
  },
};

export const dumpCase: BenchCase = {
  name: 'dump',
  title: `an image of a dump with ${REFERENCE_DUMP.entries} entries`,
  async run(context) {
    const dump = join(context.dir, 'workstation.dump');
    const bytes = writeSyntheticDump(dump, REFERENCE_DUMP.entries);
    const args = ['--from-file', '--print-digest-only', dump];
    const { ours, notes, samples } = await besideMkcomposefs(
      context,
      coldseal(['image', 'build', ...args]),
      { args },
    );
    rmSync(dump);
    const rows = usageRows(ours, { wallLimitMs: LIMITS.dumpMs, peakLimitBytes: LIMITS.peakBytes });
    const size = formatValue(bytes, 'bytes');
    return {
      rows,
      notes: [`${REFERENCE_DUMP.entries} lines, ${size}`, ...cFigures('dump'), ...notes],
      samples,
    };
  },
};

export const treeCase: BenchCase = {
  name: 'tree',
  title: 'the digest of the image of a directory',
  async run(context) {
    const facts = describeTree(context.tree);
    if (facts.unreadable !== undefined) {
      return `${facts.unreadable} is not readable; --tree DIR chooses another directory, or run it as root`;
    }
    const args = ['--print-digest-only', context.tree];
    const { ours, notes, samples } = await besideMkcomposefs(
      context,
      coldseal(['image', 'build', '--no-cache', ...args]),
      { args },
    );
    const wallLimitMs = treeLimitMs(facts);
    const rows = usageRows(ours, { wallLimitMs, peakLimitBytes: LIMITS.peakBytes });
    const best = least(ours.map(({ wallMs }) => wallMs));
    return {
      rows,
      notes: [
        `${context.tree}: ${facts.entries} entries, ${formatValue(facts.bytes, 'bytes')}`,
        scalingNote(facts, wallLimitMs),
        ...machineNotes(facts, best, context.rates()),
        ...cFigures('tree'),
        ...diskNotes(ours),
        ...notes,
      ],
      samples,
    };
  },
};

/** The formula with its numbers, so that the limit in the table can be checked by hand. */
function scalingNote(facts: TreeFacts, limitMs: number): string {
  const rest = LIMITS.treeMs - LIMITS.startMs;
  const { entries, bytes } = REFERENCE_TREE;
  return (
    `limit: ${LIMITS.startMs} ms + ${rest} ms x (${facts.entries} / ${entries} entries + ` +
    `${formatValue(facts.bytes, 'bytes')} / ${formatValue(bytes, 'bytes')}) / 2 = ${formatValue(limitMs, 'ms')}`
  );
}

export const storeCase: BenchCase = {
  name: 'store',
  title: 'an image and its object store',
  async run(context) {
    const { files, bytes } = REFERENCE_STORE;
    const tree = join(context.dir, 'store-tree');
    const store = join(context.dir, 'objects');
    writeSyntheticTree(tree, files, bytes);
    const facts = describeTree(tree);
    const args = ['--print-digest-only', `--digest-store=${store}`, tree];
    // Every run fills an empty store.
    const prepare = (): void => rmSync(store, { recursive: true, force: true });
    const { ours, notes, samples } = await besideMkcomposefs(
      context,
      coldseal(['image', 'build', '--no-cache', ...args], { prepare }),
      { args, prepare },
    );
    for (const made of [store, tree]) rmSync(made, { recursive: true, force: true });
    return {
      rows: usageRows(ours, { wallLimitMs: LIMITS.storeMs }),
      notes: [
        `${files} files, ${formatValue(bytes, 'bytes')}, into an empty store; they are on the disk at the end`,
        `figure of C mkcomposefs, which leaves them in memory: ${formatValue(MKCOMPOSEFS.storeMs, 'ms')}`,
        ...machineNotes(facts, least(ours.map(({ wallMs }) => wallMs)), context.rates()),
        ...diskNotes(ours),
        ...notes,
      ],
      samples,
    };
  },
};

const GROWTH_ENTRIES = [100_000, 300_000, 1_000_000];
/** The largest takes 1.5 GB, and its text as much of the page cache as it is long. */
const GROWTH_MEMORY_MIN = 3e9;

export const growthCase: BenchCase = {
  name: 'growth',
  title: 'cost per entry of dumps up to a million entries',
  async run(context): Promise<CaseFindings | string> {
    if (availableMemory() < GROWTH_MEMORY_MIN) {
      const [free, needed] = [availableMemory(), GROWTH_MEMORY_MIN];
      return `${formatValue(free, 'bytes')} of memory are available, expected ${formatValue(needed, 'bytes')}`;
    }
    const dumps = GROWTH_ENTRIES.map((entries) => {
      context.progress(`growth: making a dump with ${entries} entries`);
      const file = join(context.dir, `${entries}.dump`);
      return { entries, file, bytes: writeSyntheticDump(file, entries) };
    });
    const commands = dumps.map(({ file }) =>
      coldseal(['image', 'build', '--from-file', '--print-digest-only', file]),
    );
    context.progress('growth: building images');
    // The dumps have just been written, so they are in the cache; only the code is run once before.
    await context.meter.once(commands[0]!);
    const series = await context.meter.alternate(commands, { runs: context.runs, isWarm: false });
    for (const { file } of dumps) rmSync(file);
    return {
      rows: growthRows(series),
      notes: dumps.map(
        ({ entries, bytes }) =>
          `${entries} entries: ${formatValue(bytes, 'bytes')}, ${Math.round(bytes / entries)} B each`,
      ),
      samples: Object.fromEntries(
        GROWTH_ENTRIES.map((entries, i) => [String(entries), series[i]!]),
      ),
    };
  },
};

/**
 * Time and memory of each entry at each size, and what a further entry costs late and early. Growth is judged by
 * processor time, which other work on the machine disturbs less than wall time.
 */
export function growthRows(series: readonly (readonly Sample[])[]): Row[] {
  const rows: Row[] = [];
  const costs = (pick: (sample: Sample) => number): { size: number; cost: number }[] =>
    GROWTH_ENTRIES.map((size, i) => ({ size, cost: median(series[i]!.map(pick)) }));
  const wall = costs((sample) => sample.wallMs);
  const cpu = costs((sample) => (sample.userMs + sample.sysMs) * 1000);
  const peak = costs((sample) => sample.peakBytes);
  GROWTH_ENTRIES.forEach((size, i) => {
    rows.push({ what: `${size}: wall`, unit: 'ms', value: wall[i]!.cost });
    rows.push({ what: `${size}: cpu per entry`, unit: 'us/entry', value: cpu[i]!.cost / size });
    rows.push({ what: `${size}: peak memory`, unit: 'bytes', value: peak[i]!.cost });
    rows.push({
      what: `${size}: peak per entry`,
      unit: 'bytes/entry',
      value: peak[i]!.cost / size,
    });
  });
  for (const [name, points] of [
    ['cpu', cpu],
    ['peak', peak],
  ] as const) {
    const [early, late] = marginalCosts(points) as [number, number];
    const what = `${name} of a further entry, late / early`;
    rows.push({ what, unit: 'ratio', value: late / early, limit: LIMITS.growth });
  }
  return rows;
}

function cFigures(of: 'dump' | 'tree'): string[] {
  const wall = formatValue(of === 'dump' ? MKCOMPOSEFS.dumpMs : MKCOMPOSEFS.treeMs, 'ms');
  const peak = formatValue(
    of === 'dump' ? MKCOMPOSEFS.dumpPeakBytes : MKCOMPOSEFS.treePeakBytes,
    'bytes',
  );
  const { entries, bytes } = REFERENCE_TREE;
  const what = of === 'dump' ? '' : ` for ${entries} entries and ${formatValue(bytes, 'bytes')}`;
  return [`figure of C mkcomposefs${what}: ${wall}, ${peak}`];
}
