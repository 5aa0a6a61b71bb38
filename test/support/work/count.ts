/**
 * Counts of the workloads beside the recorded ones: bundling, running, comparing, and writing the record anew.
 *
 * A count is compared only with one that was made under the same conditions, which its key names. What is recorded is
 * in test/vectors/work.json; `RECORD_WORK=1 npm test -- work` writes it.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { writeFileAtomically } from '../../../toolchain/files/atomic-file.ts';
import { ROOT } from '../../../toolchain/dev/root.ts';
import { tempDir } from '../temp-dir.ts';

const RECORD = join(ROOT, 'test/vectors/work.json');
const COUNTER = join(ROOT, 'test/support/work/count-work.mjs');

/**
 * How much a count may differ from the recorded one. Counts of one program differ by less than 0.01 % between runs
 * (docs/benchmarks.md), so this is for changes too small to matter: a fifth more in a function that is a tenth of its
 * workload is twice as much. `rebuild` differs by 1 % with the inode numbers that it hashes.
 */
export const TOLERANCE = 0.01;
export const TOLERANCES: Readonly<Record<string, number>> = { rebuild: 0.02 };

export interface Work {
  readonly executed: number;
  readonly calls: Readonly<Record<string, number>>;
}

export interface WorkRecord {
  /** By major version of Node, then by workload. */
  readonly executed: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By workload. */
  readonly calls: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By the key of machine and tools. */
  readonly instructions: Readonly<Record<string, number>>;
}

export const isRecording = process.env['RECORD_WORK'] === '1';

export function readRecord(): WorkRecord {
  return JSON.parse(readFileSync(RECORD, 'utf8')) as WorkRecord;
}

/** Replaces a part of the record. */
export function record(part: Partial<WorkRecord>): void {
  const text = JSON.stringify({ ...readRecord(), ...part }, undefined, 2);
  writeFileAtomically(RECORD, Buffer.from(`${text}\n`), { force: true });
}

export interface WorkBundle extends Disposable {
  /** Runs the counter on a workload, below other words such as those of valgrind. */
  run(
    workload: string,
    before?: readonly string[],
    env?: object,
  ): { stdout: string; stderr: string };
}

/** Bundles the workloads into a directory inside the repository, so that packages resolve. */
export async function bundleWork(): Promise<WorkBundle> {
  const outdir = join(ROOT, 'out', `work-${process.pid}`);
  mkdirSync(outdir, { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: [join(ROOT, 'test/support/work/workloads.ts')],
    outfile: join(outdir, 'workloads.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
  });
  return {
    run(workload, before = [process.execPath], env = {}) {
      using dir = tempDir();
      const argv = [...before, COUNTER, join(outdir, 'workloads.mjs'), workload, dir.path];
      const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), {
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '', ...env },
      });
      if (status !== 0) throw new Error(`${workload}: exit code ${status}\n${stderr}`);
      return { stdout, stderr };
    },
    [Symbol.dispose]: () => rmSync(outdir, { recursive: true, force: true }),
  };
}

/** In a sentence how a count differs from the recorded one by more than may be; undefined when it does not. */
export function difference(
  what: string,
  found: number,
  recorded: number,
  tolerance = TOLERANCE,
): string | undefined {
  const change = found / recorded - 1;
  if (Math.abs(change) <= tolerance) return undefined;
  const percent = `${Math.abs(100 * change).toFixed(1)} % ${change > 0 ? 'more' : 'less'}`;
  return `${what}: ${found}, ${percent} than the recorded ${recorded}`;
}

export const HOW_TO_RECORD =
  'if the change is meant, record it: RECORD_WORK=1 npm test -- work, and say in the commit what it buys';
