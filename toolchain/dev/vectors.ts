/**
 * `npm run vectors`: makes the tables in test/vectors again from a C mkcomposefs and says whether they changed.
 *
 * Needs that tool, in PATH or named by MKCOMPOSEFS, and root for the trees. A changed digest is a change of the
 * format; nothing but this script writes the tables.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { edgeDump } from '../../test/support/edge-dump.ts';
import { SMALL_DUMPS } from '../../test/support/small-dumps.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { vectorDump } from '../../test/support/vector-dump.ts';
import { vectorRows } from '../../test/support/vector-tables.ts';
import { makeVectorTree } from '../../test/support/vector-tree.ts';
import { ROOT } from './root.ts';

const TOOL = process.env['MKCOMPOSEFS'] ?? 'mkcomposefs';

function mkcomposefs(args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(TOOL, args, { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  throw new Error(`${TOOL} ${args.join(' ')}: ${String(error ?? stderr)}`);
}

/** Digest, SHA-256 and size of the image that mkcomposefs writes. */
function facts(args: readonly string[], image: string): string[] {
  const digest = mkcomposefs(['--print-digest', ...args, image]);
  const bytes = readFileSync(image);
  return [digest, createHash('sha256').update(bytes).digest('hex'), String(bytes.length)];
}

function digests(dump: string): string[] {
  return ['--max-version=0', '--min-version=1'].map((version) =>
    mkcomposefs(['--from-file', '--print-digest-only', version, dump]),
  );
}

/** Writes a table with the comment it has; true when it changed. */
function writeTable(name: string, rows: readonly (readonly string[])[]): boolean {
  const path = join(ROOT, 'test/vectors', name);
  const before = readFileSync(path, 'utf8');
  const [comment] = before.split('\n');
  const after = `${[comment, ...rows.map((row) => row.join('\t'))].join('\n')}\n`;
  writeFileSync(path, after);
  console.log(`${name}: ${rows.length} rows, ${after === before ? 'unchanged' : 'CHANGED'}`);
  return after !== before;
}

function dumpRows(dir: string): string[][] {
  const dump = join(dir, 'dump');
  return vectorRows('dumps.tsv').map(([seed, min, max]) => {
    writeFileSync(dump, vectorDump(Number(seed)));
    const versions = [`--min-version=${min}`, `--max-version=${max}`];
    return [seed!, min!, max!, ...facts(['--from-file', ...versions, dump], join(dir, 'image'))];
  });
}

function treeRows(dir: string): string[][] {
  const made = new Set<string>();
  return vectorRows('trees.tsv').map(([seed, files, flags]) => {
    const source = join(dir, `${seed}-${files}`);
    if (!made.has(source)) makeVectorTree(Number(seed), source, Number(files));
    made.add(source);
    const given = flags!.split(' ').filter((flag) => flag !== '');
    return [seed!, files!, flags!, ...facts([...given, source], join(dir, 'image'))];
  });
}

function textRows(dir: string, name: string, textOf: (id: string) => string): string[][] {
  const dump = join(dir, 'dump');
  return vectorRows(name).map(([id]) => {
    writeFileSync(dump, textOf(id!), 'latin1');
    return [id!, ...digests(dump)];
  });
}

/** Exit code 0 when every table is as it was, 1 when one changed. */
export function main(): number {
  using dir = tempDir();
  const small = new Map(SMALL_DUMPS.map(({ id, text }) => [id, text]));
  const changed = [
    writeTable('dumps.tsv', dumpRows(dir.path)),
    writeTable('trees.tsv', treeRows(dir.path)),
    writeTable(
      'small.tsv',
      textRows(dir.path, 'small.tsv', (id) => small.get(id)!),
    ),
    writeTable(
      'edges.tsv',
      textRows(dir.path, 'edges.tsv', (id) => edgeDump(Number(id))),
    ),
  ];
  return changed.includes(true) ? 1 : 0;
}
