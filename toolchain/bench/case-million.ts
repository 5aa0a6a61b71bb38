/**
 * The case `million`: real directory trees up to a million entries, and the largest as an archive.
 *
 * The files are names of a few inodes of 100 bytes, because a million inodes would take minutes and a gigabyte to make.
 * To a build without --hardlinks each name is a file of its own: it is described, opened, read and hashed.
 */
import { linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import { type BenchCase, type CaseFindings, coldseal } from './context.ts';
import { LIMITS } from './limits.ts';
import { availableMemory } from './machine.ts';
import type { Sample } from './measure.ts';
import { marginalCosts } from './statistics.ts';
import { formatValue, type Row } from './table.ts';

/** Each tree holds the one before it. */
const ENTRIES = [100_000, 300_000, 1_000_000] as const;
const FILE_SIZE = 100;
const NAMES_PER_DIRECTORY = 100;
/** ext4 gives an inode 65,000 names. */
const NAMES_PER_INODE = 50_000;
const MEMORY_MIN = 2e9;

export const millionCase: BenchCase = {
  name: 'million',
  title: 'cost per entry of directories up to a million entries',
  async run(context): Promise<CaseFindings | string> {
    if (availableMemory() < MEMORY_MIN) {
      const [free, needed] = [availableMemory(), MEMORY_MIN];
      return `${formatValue(free, 'bytes')} of memory are available, expected ${formatValue(needed, 'bytes')}`;
    }
    const root = join(context.dir, 'million');
    context.progress(`million: making ${ENTRIES.at(-1)} names`);
    const start = performance.now();
    const trees = makeTrees(root, ENTRIES);
    const madeMs = performance.now() - start;
    const archive = join(context.dir, 'million.tar');
    const isArchived = makeArchive(trees.at(-1)!, archive);
    context.progress('million: building images');
    const commands = [
      ...trees.map((tree) =>
        coldseal(['image', 'build', '--no-cache', '--print-digest-only', tree]),
      ),
      ...(isArchived
        ? [coldseal(['image', 'build', '--from-tar', '--print-digest-only', archive])]
        : []),
    ];
    const series = await context.meter.alternate(commands, { runs: context.runs, isWarm: false });
    const archived = isArchived ? series.pop()! : undefined;
    rmSync(root, { recursive: true, force: true });
    rmSync(archive, { force: true });
    return {
      rows: [...millionRows(series), ...(archived === undefined ? [] : tarRows(archived))],
      notes: [
        `names of files of ${FILE_SIZE} bytes, ${NAMES_PER_DIRECTORY} in a directory; ` +
          `made in ${formatValue(madeMs, 'ms')}`,
        ...(isArchived ? [] : ['no archive: GNU tar was not found']),
      ],
      samples: {
        ...Object.fromEntries(ENTRIES.map((entries, i) => [String(entries), series[i]!])),
        ...(archived === undefined ? {} : { tar: archived }),
      },
    };
  },
};

/** Directories of so many entries each, themselves included, each inside the next; returns them, smallest first. */
export function makeTrees(root: string, sizes: readonly number[]): string[] {
  const trees = sizes.map((_, i) =>
    sizes.slice(i).reduceRight((path, size) => join(path, String(size)), root),
  );
  mkdirSync(trees[0]!, { recursive: true });
  let made = 0;
  let names = 0;
  let inode = '';
  for (const [i, tree] of trees.entries()) {
    made++;
    for (let directory = 0; made < sizes[i]!; directory++) {
      const path = join(tree, `d${directory}`);
      mkdirSync(path);
      made++;
      for (let n = 0; n < NAMES_PER_DIRECTORY && made < sizes[i]!; n++, made++) {
        const name = join(path, `f${n}`);
        if (names++ % NAMES_PER_INODE !== 0) linkSync(inode, name);
        else writeFileSync((inode = name), Buffer.alloc(FILE_SIZE, names));
      }
    }
  }
  return trees;
}

function makeArchive(tree: string, archive: string): boolean {
  const args = ['--create', '--hard-dereference', '--file', archive, '--directory', tree, '.'];
  return spawnSync('tar', args, { stdio: 'ignore' }).status === 0 && statSync(archive).size > 0;
}

/** Time and memory at each size, and what a further entry costs late and early. */
export function millionRows(series: readonly (readonly Sample[])[]): Row[] {
  const costs = (pick: (sample: Sample) => number): { size: number; cost: number }[] =>
    ENTRIES.map((size, i) => ({ size, cost: median(series[i]!.map(pick)) }));
  const wall = costs(({ wallMs }) => wallMs);
  const cpu = costs(({ userMs, sysMs }) => (userMs + sysMs) * 1000);
  const peak = costs(({ peakBytes }) => peakBytes);
  const [early, late] = marginalCosts(cpu) as [number, number];
  return [
    ...ENTRIES.flatMap((size, i): Row[] => [
      { what: `${size}: wall`, unit: 'ms', value: wall[i]!.cost },
      { what: `${size}: cpu per entry`, unit: 'us/entry', value: cpu[i]!.cost / size },
      {
        what: `${size}: peak memory`,
        unit: 'bytes',
        value: peak[i]!.cost,
        ...(size === ENTRIES.at(-1) ? { limit: LIMITS.millionPeakBytes } : {}),
      },
    ]),
    {
      what: 'cpu of a further entry, late / early',
      unit: 'ratio',
      value: late / early,
      limit: LIMITS.growth,
    },
  ];
}

function tarRows(samples: readonly Sample[]): Row[] {
  return [
    { what: 'tar: wall', unit: 'ms', value: median(samples.map(({ wallMs }) => wallMs)) },
    {
      what: 'tar: peak memory',
      unit: 'bytes',
      value: median(samples.map(({ peakBytes }) => peakBytes)),
      limit: LIMITS.millionPeakBytes,
    },
  ];
}
