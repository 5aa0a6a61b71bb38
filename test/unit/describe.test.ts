/** The text of a tree: dump lines, listing lines, JSON entries, and what looking for objects says. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { dumpEntries, listEntries } from '../../toolchain/image/describe-json.ts';
import { printDump, printListing } from '../../toolchain/image/describe.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { parseFilter } from '../../toolchain/image/filter.ts';
import { findObject } from '../../toolchain/image/find-objects.ts';
import { readTree } from '../../toolchain/image/read-tree.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { expectCode } from '../support/expect-code.ts';
import { ROOT_LINE, imageOf } from '../support/image-lab.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('describe');

// Each line is what composefs-info prints for an image of it.
const LINES = [
  '/!x 1 100644 1 0 0 0 0.0 - a -',
  '/-d 40 40755 2 0 0 0 0.0 - - -',
  '/-d/- 3 100644 1 0 0 0 0.0 - --- -',
  '/a\\x20b 100 100644 2 1 2 0 -5.7 ab/c\\xff - 4f1d2c3b00000000000000000000000000000000000000000000000000000abc',
  '/c\\\\\\n\\r\\t=\\x7f 0 100644 1 0 0 0 0.0 - - -',
  '/e 0 60644 1 0 0 4294967295 0.0 - - -',
  '/l 1 120777 1 0 0 0 0.0 \\x2d - -',
  '/m 1 100644 1 0 0 0 0.0 - \\x2d - trusted.overlay.metacopy=z user.a\\x3db=c\\x3dd user.d=- user.e= user.n=\\x00\\n',
  '/z 100 @100644 2 1 2 0 -5.7 /a\\x20b - 4f1d2c3b00000000000000000000000000000000000000000000000000000abc',
];
const LISTING = [
  '/!x',
  '/-d/\t',
  '/-d/-',
  '/a b\t@ ab/c\\xff',
  '/c\\\\\\n\\r\\t=\\x7f',
  '/e',
  '/l\t-> -',
  '/m',
  '/z',
];

test('dump text is escaped as composefs-dump(5) says, and reads back', () => {
  const tree = readTree(openImage(imageOf(0, LINES)));
  const text = [...printDump(tree)].join('');
  assert.equal(text.split('\n').slice(1, -1), LINES);
  const again = imageBytes(parseDump(Buffer.from(text)), { min: 0, max: 0 });
  assert.is([...printDump(readTree(openImage(again)))].join(''), text);
});

test('the listing shows spaces and what entries refer to', () => {
  const tree = readTree(openImage(imageOf(0, LINES)));
  assert.equal([...printListing(tree)].join('').split('\n').slice(0, -1), LISTING);
});

test('text comes in pieces, none of them huge', () => {
  const lines = Array.from({ length: 5000 }, (_, i) => `/file-${i} 0 100644 1 0 0 0 0.0 - - -`);
  const pieces = [...printDump(parseDump(Buffer.from([ROOT_LINE, ...lines, ''].join('\n'))))];
  assert.ok(pieces.length > 2);
  for (const piece of pieces) assert.ok(piece.length < 70_000);
});

test('JSON entries say the same', () => {
  const tree = readTree(openImage(imageOf(0, LINES)));
  const listed = listEntries(tree);
  assert.equal(listed[1], { path: '/-d', type: 'directory' });
  assert.equal(listed[3], { path: '/a b', type: 'file', object: 'ab/c\\xff' });
  assert.equal(listed[5], { path: '/e', type: 'block-device' });
  assert.equal(listed[6], { path: '/l', type: 'symlink', target: '-' });
  assert.is(listed[8]!.hardlink, '/a b');
  const dumped = dumpEntries(tree);
  assert.is(dumped.length, LINES.length + 1);
  assert.is(dumped[4]!.mtime, '-5.7');
  assert.is(dumped[1]!.contentBase64, Buffer.from('a').toString('base64'));
  assert.equal(dumped[8]!.xattrs[0], {
    name: 'trusted.overlay.metacopy',
    valueBase64: Buffer.from('z').toString('base64'),
  });
});

test('a filter is one name of the root', () => {
  assert.is(parseFilter([]), undefined);
  assert.equal([...parseFilter(['a', 'ä'])!], ['a', Buffer.from('ä').toString('latin1')]);
  for (const name of ['', 'a/b', '/']) expectCode(() => parseFilter([name]), 'USAGE_FILTER', name);
});

test('an object is looked for in the first directory that has its path', () => {
  using dir = tempDir();
  const one = join(dir.path, 'one');
  const two = join(dir.path, 'two');
  const content = Buffer.from('content');
  const digest = toHex(fsVerityDigest(content, 'sha256', hashFunction('sha256')));
  for (const [base, name, bytes] of [
    [one, 'short', 'x'],
    [two, 'short', content],
    [two, 'right', content],
    [two, 'changed', 'CONTENT'],
  ] as const) {
    mkdirSync(join(base, 'ab'), { recursive: true });
    writeFileSync(join(base, 'ab', name), bytes);
  }
  symlinkSync('right', join(two, 'ab/link'));
  mkdirSync(join(two, 'ab/directory'));
  const rows: readonly (readonly [
    name: string,
    problem: string | undefined,
    verified: string | undefined,
  ])[] = [
    ['right', undefined, undefined],
    ['changed', undefined, 'wrong-digest'],
    ['short', 'wrong-size', 'wrong-size'],
    ['link', 'not-a-file', 'not-a-file'],
    ['directory', 'not-a-file', 'not-a-file'],
    ['nothing', 'missing', 'missing'],
    ['right/nothing', 'missing', 'missing'],
  ];
  for (const [name, problem, verified] of rows) {
    const object = { path: `ab/${name}` as ByteString, digest, size: content.length };
    assert.is(findObject(object, [one, two], false)?.problem, problem, name);
    assert.is(findObject(object, [one, two], true)?.problem, verified, name);
    const unknown = { ...object, digest: undefined };
    assert.is(findObject(unknown, [one, two], true)?.problem, problem, `${name} without digest`);
  }
});

test.run();
