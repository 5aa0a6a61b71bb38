/**
 * The case `boot`: the demo's system on both virtual boards, with the kernel as it comes and as the shipped boards tune
 * it, and where the time goes. All times are the board's, so another machine prints the same ones.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import { boardBootset, demoBoardSystem } from '../dev/demo-board.ts';
import {
  type BootVariant,
  bootVariants,
  BOARDS,
  variantBoard,
  variantId,
} from './boot-variants.ts';
import { type BenchCase, type BenchContext, type CaseFindings, coldseal } from './context.ts';
import { LIMITS } from './limits.ts';
import type { Sample } from './measure.ts';

/** What `boot --json` prints, as far as it is read here. */
export interface BootDocument {
  readonly result: {
    readonly boots: readonly {
      readonly times: {
        readonly rows: readonly {
          readonly name: string;
          readonly startNs: number;
          readonly endNs: number | null;
        }[];
        readonly totalNs: number;
      };
      readonly agreement?: { readonly maxDeviation: number; readonly at: string };
    }[];
  };
}

/** Milliseconds of a boot; together they are its total. */
export interface BootParts {
  readonly total: number;
  readonly before: number;
  readonly kernel: number;
  readonly modules: number;
  /** From the first instruction of /init to the switch of the root, modules aside. */
  readonly runtime: number;
  /** From there to the first output of the last early container. */
  readonly containers: number;
}

const PARTS = ['before', 'kernel', 'modules', 'runtime', 'containers'] as const;

/** The parts of one boot of a document, in milliseconds. */
export function bootParts({
  rows,
  totalNs,
}: BootDocument['result']['boots'][number]['times']): BootParts {
  const lengthOf = (pattern: RegExp): number =>
    rows
      .filter(({ name }) => pattern.test(name))
      .reduce((sum, { startNs, endNs }) => sum + (endNs ?? startNs) - startNs, 0);
  const before = lengthOf(/^before the kernel$/);
  const kernel = lengthOf(/^kernel$/);
  const modules = lengthOf(/^modules /);
  const switched = rows.find(({ name }) => name === 'switch-root')?.endNs;
  if (switched === undefined || switched === null)
    throw new Error('the boot ended before the switch of the root');
  const ms = (ns: number): number => ns / 1e6;
  return {
    total: ms(totalNs),
    before: ms(before),
    kernel: ms(kernel),
    modules: ms(modules),
    runtime: ms(switched - before - kernel - modules),
    containers: ms(totalNs - switched),
  };
}

/** The table of all variants: a line each, aligned. */
export function partsTable(
  boots: readonly {
    readonly variant: BootVariant;
    readonly parts: BootParts;
    readonly spread: number;
  }[],
): string[] {
  const cells = [
    [
      'board',
      'variant',
      'total ms',
      'before',
      'kernel',
      'modules',
      'runtime',
      'containers',
      'spread',
      'what',
    ],
    ...boots.map(({ variant, parts, spread }) => [
      BOARDS[variant.board],
      variant.name,
      ...[parts.total, ...PARTS.map((part) => parts[part])].map((ms) => ms.toFixed(1)),
      `${(spread * 100).toFixed(2)}%`,
      variant.what,
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const isText = (column: number): boolean => column < 2 || column === widths.length - 1;
  return cells.map((row) =>
    row
      .map((cell, i) => (isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

export const bootCase: BenchCase = {
  name: 'boot',
  title: 'cold boots of the demo system on the virtual boards',
  async run(context): Promise<CaseFindings> {
    const keys = join(context.dir, 'boot-keys');
    await context.meter.once(coldseal(['keys', 'init', keys]));
    const measured = [];
    const samples: Record<string, Sample[]> = {};
    for (const variant of bootVariants()) {
      context.progress(`  ${variantId(variant)}: ${variant.what}`);
      const sample = await bootVariant(context, variant, keys);
      const { boots } = (JSON.parse(sample.stdout) as BootDocument).result;
      const all = boots.map(({ times }) => bootParts(times));
      const totals = all.map(({ total }) => total);
      const middle = median(totals);
      const parts = all.reduce((a, b) =>
        Math.abs(b.total - middle) < Math.abs(a.total - middle) ? b : a,
      );
      const spread = (Math.max(...totals) - Math.min(...totals)) / middle;
      measured.push({ variant, parts, totals, spread });
      samples[variantId(variant)] = [sample];
    }
    rmSync(keys, { recursive: true });
    return {
      rows: measured.map(({ variant, parts, totals }) => ({
        what: `${BOARDS[variant.board]} ${variant.name}`,
        unit: 'ms' as const,
        value: parts.total,
        least: Math.min(...totals),
        limit: LIMITS.bootMs,
      })),
      notes: [
        ...partsTable(measured),
        'board time, of instructions counted by QEMU: see docs/boot-time.md',
      ],
      samples,
    };
  },
};

/** Builds the release of a variant and boots it as often as the bench runs things. */
async function bootVariant(
  context: BenchContext,
  variant: BootVariant,
  keys: string,
): Promise<Sample> {
  const work = join(context.dir, variantId(variant));
  mkdirSync(join(work, 'board-configs'), { recursive: true });
  const architecture = BOARDS[variant.board];
  await demoBoardSystem(work, { architecture });
  const board = join(work, 'board-configs', `${variantId(variant)}.yaml`);
  writeFileSync(board, variantBoard(variant));
  const bootset = join(work, 'BOOTSET.yaml');
  writeFileSync(bootset, boardBootset(variantId(variant)));
  const release = join(work, 'release');
  const { meter, runs } = context;
  await meter.once(coldseal(['release', bootset, '--keys', keys, '-o', release]));
  const sample = await meter.once(
    coldseal(['boot', release, '--board', board, '--runs', String(runs), '--json']),
  );
  rmSync(work, { recursive: true });
  return sample;
}
