/** Scanning directories against mkcomposefs's results: every vector tree with every flag, through the command line. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';
import { makeVectorTree } from '../support/vector-tree.ts';
import { vectorRows } from '../support/vector-tables.ts';

const test = suite('vector trees');

const byTree = new Map<string, string[][]>();
for (const row of vectorRows('trees.tsv')) {
  const key = `${row[0]} ${row[1]}`;
  byTree.set(key, [...(byTree.get(key) ?? []), row]);
}

for (const [key, rows] of byTree) {
  const [seed, files] = key.split(' ').map(Number) as [number, number];
  test(`tree ${seed} with ${files} entries and every flag`, async () => {
    requireRoot();
    using dir = tempDir();
    const source = join(dir.path, 'source');
    makeVectorTree(seed, source, files);
    for (const [, , flags, digest, sha256, size] of rows) {
      const image = join(dir.path, 'image.cfs');
      const given = flags!.split(' ').filter((flag) => flag !== '');
      const args = ['image', 'build', '--force', '--print-digest', ...given, source, image];
      const result = await runCli(args);
      assert.is(result.code, 0, result.stderr);
      const bytes = readFileSync(image);
      assert.is(result.stdout, `${digest}\n`, `digest with ${flags}`);
      assert.is(createHash('sha256').update(bytes).digest('hex'), sha256, `bytes with ${flags}`);
      assert.is(bytes.length, Number(size), `size with ${flags}`);
    }
  });
}

test.run();
