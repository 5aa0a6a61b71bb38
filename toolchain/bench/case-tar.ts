/** The case `tar`: the tree of the case `store` as an archive, plain and compressed, beside its directory. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchCase, coldseal, usageRows } from './context.ts';
import { REFERENCE_STORE } from './limits.ts';
import { machineNotes } from './machine-limits.ts';
import { least } from './statistics.ts';
import { writeSyntheticTree } from './synthetic-tree.ts';
import { formatValue } from './table.ts';
import { describeTree } from './tree-facts.ts';

/** How an archive is made of the plain one; the tools are those of the demo. */
const COMPRESSORS = [
  { name: 'tar.gz', argv: ['gzip', '--keep', '-6'] },
  { name: 'tar.zst', argv: ['zstd', '--quiet', '--keep', '-3'] },
] as const;

export const tarCase: BenchCase = {
  name: 'tar',
  title: 'the digest of the image of an archive',
  async run(context) {
    const { files, bytes } = REFERENCE_STORE;
    const tree = join(context.dir, 'tar-tree');
    const plain = join(context.dir, 'tree.tar');
    writeSyntheticTree(tree, files, bytes);
    const facts = describeTree(tree);
    if (!works(['tar', '--create', '--file', plain, '--directory', tree, '.'])) {
      return 'tar was not found, which makes the archives';
    }
    const made = COMPRESSORS.filter(({ argv }) => works([...argv, plain]));
    const archives = [
      { name: 'tar', path: plain },
      ...made.map(({ name }) => ({ name, path: `${plain}${name.slice('tar'.length)}` })),
    ];
    const print = ['image', 'build', '--print-digest-only'];
    const commands = [
      coldseal([...print, '--no-cache', tree]),
      ...archives.map(({ path }) => coldseal([...print, '--from-tar', path])),
    ];
    const series = await context.meter.alternate(commands, { runs: context.runs });
    for (const path of [tree, ...archives.map((each) => each.path)]) {
      rmSync(path, { recursive: true, force: true });
    }
    const names = ['directory', ...archives.map(({ name }) => name)];
    const wall = least(series[1]!.map(({ wallMs }) => wallMs));
    return {
      rows: series.flatMap((samples, i) => usageRows(samples, {}, `${names[i]}: `)),
      notes: [
        `${files} files, ${formatValue(bytes, 'bytes')}`,
        ...machineNotes(facts, wall, context.rates()).map((note) => `tar: ${note}`),
      ],
      samples: Object.fromEntries(names.map((name, i) => [name, series[i]!])),
    };
  },
};

function works(argv: readonly string[]): boolean {
  return spawnSync(argv[0]!, argv.slice(1), { stdio: 'ignore' }).status === 0;
}
