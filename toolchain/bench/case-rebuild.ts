/** The case `rebuild`: a tree of which one file in a hundred has changed, with the digests of the build before. */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../budget/statistics/quantiles.ts';
import { type BenchCase, coldseal, usageRows } from './context.ts';
import { LIMITS, REFERENCE_REBUILD } from './limits.ts';
import { machineNotes } from './machine-limits.ts';
import type { Command, Sample } from './measure.ts';
import { least, pairRatios } from './statistics.ts';
import { syntheticPaths, writeSyntheticTree } from './synthetic-tree.ts';
import { formatValue, type Row } from './table.ts';
import { describeTree } from './tree-facts.ts';

export const rebuildCase: BenchCase = {
  name: 'rebuild',
  title: 'a tree that was built before, one file in a hundred changed',
  async run(context) {
    const { files, bytes, changedShare } = REFERENCE_REBUILD;
    const tree = join(context.dir, 'rebuild-tree');
    const [store, empty] = ['rebuild-objects', 'rebuild-empty'].map((name) =>
      join(context.dir, name),
    ) as [string, string];
    context.progress(`rebuild: making ${files} files, ${formatValue(bytes, 'bytes')}`);
    writeSyntheticTree(tree, files, bytes);
    const facts = describeTree(tree);
    let round = 0;
    // Another hundredth each time; a file that was changed just now is read by the next build, too.
    const change = (): void => {
      const paths = syntheticPaths(tree, files).filter((_, i) => i % 100 === round % 100);
      round++;
      for (const path of paths.slice(0, files * changedShare)) appendFileSync(path, 'changed');
    };
    const clear = (): void => rmSync(empty, { recursive: true, force: true });
    const commands: Command[] = [
      build(context.dir, ['--no-cache', tree]),
      build(context.dir, [tree], change),
      build(context.dir, ['--no-cache', `--digest-store=${empty}`, tree], clear),
      build(context.dir, [`--digest-store=${store}`, tree], change),
    ];
    const series = (await context.meter.alternate(commands, { runs: context.runs })) as [
      Sample[],
      Sample[],
      Sample[],
      Sample[],
    ];
    const [full, rebuilt, fullStore, rebuiltStore] = series;
    for (const made of [tree, store, empty, cacheHome(context.dir)]) {
      rmSync(made, { recursive: true, force: true });
    }
    return {
      rows: [
        ...usageRows(full, {}, 'everything: '),
        ...usageRows(rebuilt, {}, 'rebuild: '),
        shareRow('rebuild / everything, wall', rebuilt, full),
        ...usageRows(fullStore, {}, 'everything, empty store: '),
        ...usageRows(rebuiltStore, {}, 'rebuild, store: '),
        shareRow('rebuild / everything with a store, wall', rebuiltStore, fullStore),
      ],
      notes: [
        `${facts.entries} entries, ${formatValue(facts.bytes, 'bytes')}; ` +
          `${files * changedShare} files change each time`,
        ...machineNotes(facts, least(full.map(({ wallMs }) => wallMs)), context.rates()),
      ],
      samples: { full, rebuilt, fullStore, rebuiltStore },
    };
  },
};

/** The cache of this case is its own. */
function cacheHome(dir: string): string {
  return join(dir, 'rebuild-cache');
}

function build(dir: string, args: readonly string[], prepare?: () => void): Command {
  const home = cacheHome(dir);
  mkdirSync(home, { recursive: true });
  const { label, argv } = coldseal(['image', 'build', '--print-digest-only', ...args]);
  const environment = ['env', `XDG_CACHE_HOME=${home}`];
  return {
    label,
    argv: [...environment, ...argv],
    ...(prepare === undefined ? {} : { prepare }),
  };
}

/** Pair by pair, because both sides of a pair had the same disturbance. */
function shareRow(what: string, rebuilt: readonly Sample[], full: readonly Sample[]): Row {
  const wall = (samples: readonly Sample[]): number[] => samples.map(({ wallMs }) => wallMs);
  const ratios = pairRatios(wall(rebuilt), wall(full));
  return {
    what,
    unit: 'ratio',
    value: median(ratios),
    least: least(ratios),
    limit: LIMITS.rebuildShare,
  };
}
