/** The cases that read images and releases, and the machine's own limits. None of them has a limit of ours. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { coldseal, usageRows, type BenchCase, type CaseFindings } from './context.ts';
import { REFERENCE_DUMP } from './limits.ts';
import { formatValue, type Row } from './table.ts';
import { writeSyntheticDump } from './synthetic-dump.ts';
import { writeSyntheticTree } from './synthetic-tree.ts';

export const machineCase: BenchCase = {
  name: 'machine',
  title: 'what this machine can do',
  run({ rates }) {
    const { oneCore, allCores, openssl, pageCache } = rates();
    const row = (what: string, value: number): Row => ({ what, unit: 'bytes/s', value });
    const rows = [
      row('SHA-256 of 4 KiB blocks, one core', oneCore),
      row('SHA-256 of 4 KiB blocks, all cores', allCores),
      ...(openssl === undefined ? [] : [row('openssl speed, one core', openssl)]),
      row('reading from the page cache, one core', pageCache),
    ];
    return Promise.resolve({ rows, notes: [], samples: {} });
  },
};

/** Reads the image of the dump that the case `dump` measures. */
export const readCase: BenchCase = {
  name: 'read',
  title: `reading the image of a dump with ${REFERENCE_DUMP.entries} entries`,
  async run(context) {
    const dump = join(context.dir, 'read.dump');
    const image = join(context.dir, 'read.cfs');
    writeSyntheticDump(dump, REFERENCE_DUMP.entries);
    await context.meter.once(coldseal(['image', 'build', '--force', '--from-file', dump, image]));
    const verbs = ['dump', 'ls', 'check'];
    const commands = verbs.map((verb) =>
      coldseal(['image', verb, image], { discardOutput: verb !== 'check' }),
    );
    const series = await context.meter.alternate(commands, { runs: context.runs });
    for (const made of [dump, image]) rmSync(made);
    return {
      rows: verbs.flatMap((verb, i) => usageRows(series[i]!, {}, `image ${verb}: `)),
      notes: [],
      samples: Object.fromEntries(verbs.map((verb, i) => [verb, series[i]!])),
    };
  },
};

const RELEASE_FILES = 500;
const RELEASE_BYTES = 20e6;

export const verifyCase: BenchCase = {
  name: 'verify',
  title: 'verify of a small release',
  async run(context): Promise<CaseFindings | string> {
    const { meter, dir } = context;
    if (!hasCommand('release')) return 'this build has no command "release"';
    const work = join(dir, 'release-work');
    mkdirSync(work);
    writeSyntheticTree(join(work, 'rootfs'), RELEASE_FILES, RELEASE_BYTES);
    const bootset = join(work, 'BOOTSET.yaml');
    writeFileSync(bootset, BOOTSET);
    const keys = join(work, 'keys');
    const made = join(work, 'release');
    await meter.once(coldseal(['keys', 'init', keys]));
    await meter.once(coldseal(['release', bootset, '--no-disk', '--keys', keys, '--output', made]));
    const trust = join(keys, 'root.cert.pem');
    const [samples] = await meter.alternate([coldseal(['verify', made, '--trust', trust])], {
      runs: context.runs,
    });
    rmSync(work, { recursive: true });
    return {
      rows: usageRows(samples!),
      notes: [`1 image, ${RELEASE_FILES} files, ${formatValue(RELEASE_BYTES, 'bytes')}`],
      samples: { verify: samples! },
    };
  },
};

const BOOTSET = `product: bench
version: 1.0.0
board: qemu-x86_64
epochs: { 1: 1 }
images:
  - { name: root, role: system, source: { directory: rootfs } }
`;

function hasCommand(name: string): boolean {
  const [program, ...args] = coldseal([name, '--help']).argv;
  return spawnSync(program!, args, { stdio: 'ignore' }).status === 0;
}
