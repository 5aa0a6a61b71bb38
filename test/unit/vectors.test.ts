/** The writer against mkcomposefs's results for dumps: digest, bytes and size. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildImage, imageBytes } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { DEFAULT_VERSIONS } from '../../toolchain/image/layout.ts';
import { edgeDump } from '../support/edge-dump.ts';
import { SMALL_DUMPS } from '../support/small-dumps.ts';
import { vectorDump } from '../support/vector-dump.ts';
import { vectorRows } from '../support/vector-tables.ts';

const test = suite('vectors');

function digestOf(text: string, min: number, max: number, lenient = false): string {
  const root = parseDump(Buffer.from(text, 'latin1'), { lenient });
  return buildImage(root, { versions: { min, max } }).digest;
}

test('the tables are complete', () => {
  assert.is(vectorRows('dumps.tsv').length, 48);
  assert.is(vectorRows('trees.tsv').length, 45);
  assert.is(vectorRows('small.tsv').length, 21);
});

const bySeed = new Map<string, string[][]>();
for (const row of vectorRows('dumps.tsv')) {
  bySeed.set(row[0]!, [...(bySeed.get(row[0]!) ?? []), row]);
}
for (const [seed, rows] of bySeed) {
  test(`dump ${seed} in every format range`, () => {
    const text = vectorDump(Number(seed));
    for (const [, min, max, digest, sha256, size] of rows) {
      const hash = createHash('sha256');
      const built = buildImage(parseDump(text), {
        versions: { min: Number(min), max: Number(max) },
        consume: (bytes) => void hash.update(bytes),
      });
      assert.is(built.digest, digest, `${min}..${max}`);
      assert.is(hash.digest('hex'), sha256, `${min}..${max}`);
      assert.is(built.size, Number(size), `${min}..${max}`);
    }
  });
}

for (const [id, version0, version1] of vectorRows('small.tsv')) {
  const small = SMALL_DUMPS.find((dump) => dump.id === id)!;
  test(`small dump ${id}: ${small.what}`, () => {
    assert.is(digestOf(small.text, 0, 0), version0, 'format version 0');
    assert.is(digestOf(small.text, 1, 1), version1, 'format version 1');
    const byDefault = digestOf(small.text, DEFAULT_VERSIONS.min, DEFAULT_VERSIONS.max);
    assert.is(byDefault, small.defaultVersion === 1 ? version1 : version0, 'default');
  });
}

test('edge dumps in both versions', () => {
  const rows = vectorRows('edges.tsv');
  assert.is(rows.length, 60);
  for (const [seed, version0, version1] of rows) {
    // Some payloads are absolute paths, which the strict reading refuses.
    const text = edgeDump(Number(seed));
    assert.is(digestOf(text, 0, 0, true), version0, `seed ${seed}, format version 0`);
    assert.is(digestOf(text, 1, 1, true), version1, `seed ${seed}, format version 1`);
  }
});

test('building twice from one tree gives the same bytes: the tree is not changed', () => {
  const root = parseDump(vectorDump(2));
  const first = imageBytes(root);
  assert.is(Buffer.compare(first, imageBytes(root)), 0);
});

test.run();
