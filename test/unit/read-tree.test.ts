/** Reading an image undoes writing it, for every tree; and what the tree looks like in particular cases. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { findBrokenRules } from '../../runtime/format/restrict.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { checkImage } from '../../toolchain/image/check-image.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { objectPaths, objectsOfImage, mergeObjects } from '../../toolchain/image/objects.ts';
import { readTree, type ReadOptions } from '../../toolchain/image/read-tree.ts';
import type { TreeNode } from '../../toolchain/image/tree.ts';
import { arbitraryTree, treeText } from '../support/arbitrary-tree.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { v2Image } from '../support/v2-image.ts';

const ROOT = '/ 4096 40755 2 0 0 0 0.0 - - -';
const RUNS = Number(process.env['COLDSEAL_PROPERTY_RUNS'] ?? 150);

const test = suite('read-tree');

function image(version: number, ...lines: string[]): Uint8Array {
  const root = parseDump(Buffer.from([ROOT, ...lines, ''].join('\n'), 'latin1'));
  return imageBytes(root, { min: version, max: version });
}

function dump(bytes: Uint8Array, options: ReadOptions = {}): string[] {
  return printTree(readTree(openImage(bytes), options));
}

function printTree(root: TreeNode): string[] {
  return [...printDump(root)].join('').split('\n').slice(1, -1);
}

for (const version of [0, 1]) {
  test(`write, then read is identity for every tree in version ${version}`, () => {
    fc.assert(
      fc.property(arbitraryTree, (tree) => {
        const versions = { min: version, max: version };
        const bytes = imageBytes(tree, versions);
        const opened = openImage(bytes);
        assert.equal(findBrokenRules(opened), []);
        const read = readTree(opened);
        assert.is(treeText(read), treeText(tree));
        assertBytes(imageBytes(read, versions), bytes, 'the image written again');
      }),
      { numRuns: RUNS },
    );
  });

  test(`the dump of every image makes the same image in version ${version}`, () => {
    fc.assert(
      fc.property(arbitraryTree, (tree) => {
        const versions = { min: version, max: version };
        const bytes = imageBytes(tree, versions);
        const text = [...printDump(readTree(openImage(bytes)))].join('');
        assertBytes(imageBytes(parseDump(Buffer.from(text, 'latin1')), versions), bytes, 'image');
      }),
      { numRuns: RUNS },
    );
  });
}

test('a payload of any length comes back as it was', () => {
  // composefs-info prints two bytes more when the length modulo 4 is 3.
  for (let length = 1; length <= 70; length++) {
    const payload = 'q'.repeat(length);
    const [line] = dump(image(0, `/a 100 100644 1 0 0 0 0.0 ${payload} - -`));
    assert.is(line, `/a 100 100644 1 0 0 0 0.0 ${payload} - -`);
  }
});

const SAME: readonly (readonly [what: string, ...lines: string[]])[] = [
  ['a negative time', '/a 1 100644 1 0 0 0 -5.7 - x -'],
  ['2^53 bytes', '/a 9007199254740992 100644 1 0 0 0 0.0 x - -'],
  [
    '2^53 bytes with a moved chunk table',
    `/a 9007199254740992 100644 1 0 0 0 0.0 x - - user.v=${'v'.repeat(2000)}`,
  ],
  ['a symlink in a data block', `/a 4095 120777 1 0 0 0 0.0 ${'t'.repeat(4095)} - -`],
  ['a literal dash', '/a 1 120777 1 0 0 0 0.0 \\x2d - -', '/b 1 100644 1 0 0 0 0.0 - \\x2d -'],
  ['a wrong link count', '/a 100 100644 7 0 0 0 0.0 x - -'],
  ['a fifo of a size that only its extended inode shows', '/a 4294967296 10644 1 0 0 0 0.0 - - -'],
  ['a name that a stub would have', '/ab 0 100644 1 0 0 0 0.0 - - -'],
  ['a whiteout where a stub would be', '/ab 0 20600 1 0 0 0 0.0 - - -'],
  [
    'escaped overlay names',
    '/a 0 100644 1 0 0 0 0.0 - - - trusted.overlay.metacopy=1 trusted.overlay.overlay.x=2',
  ],
  [
    'a file that looks like a whiteout',
    '/a 0 100644 1 0 0 0 0.0 - - - trusted.overlay.whiteout= user.overlay.whiteout=',
  ],
  [
    'marks without a whiteout',
    '/d 0 40755 2 0 0 0 0.0 - - - trusted.overlay.whiteouts= user.overlay.whiteouts=',
  ],
  [
    'users own marks',
    '/d 0 40755 2 0 0 0 0.0 - - - user.overlay.whiteouts=1',
    '/d/a 0 100644 1 0 0 0 0.0 - - - user.overlay.whiteout=',
  ],
];

for (const [what, ...lines] of SAME) {
  for (const version of [0, 1]) {
    test(`reads ${what} back, version ${version}`, () => {
      const found = dump(image(version, ...lines)).map((line) =>
        line.replace(/^(\/d) 27 /, '$1 0 '),
      );
      assert.equal(found.map(fixDirectorySize), lines.map(fixDirectorySize));
    });
  }
}

function fixDirectorySize(line: string): string {
  return line.replace(/^(\S+) \d+ (4\d{4} )/, '$1 - $2');
}

const SIZES = '100 100644 2 0 0 0 0.0';

test('the original of a hardlink is the name whose place its inode has', () => {
  // composefs-info takes /d/a, and mkcomposefs then makes another image of its dump.
  const lines = [
    '/b 100 100644 2 0 0 0 0.0 x - -',
    '/c 4096 40755 2 0 0 0 0.0 - - -',
    '/c/a 0 @120000 - - - - 0.0 /b - -',
  ];
  assert.equal(dump(image(0, ...lines)), [
    `/b ${SIZES} x - -`,
    '/c 40 40755 2 0 0 0 0.0 - - -',
    `/c/a ${SIZES.replace('100644', '@100644')} /b - -`,
  ]);
  const bytes = image(
    0,
    '/a 4096 40755 2 0 0 0 0.0 - - -',
    '/a/x 0 @120000 - - - - 0.0 /b - -',
    `/b ${SIZES} x - -`,
  );
  assert.equal(dump(bytes)[1], `/a/x ${SIZES.replace('100644', '@100644')} /b - -`);
  assert.is(checkImage(bytes).canonical, true);
});

test('a whiteout with two names keeps its marks', () => {
  const lines = [
    '/d 4096 40755 2 0 0 0 0.0 - - -',
    '/d/w 0 20600 2 0 0 0 0.0 - - -',
    '/z 0 @120000 - - - - 0.0 /d/w - -',
  ];
  for (const version of [0, 1]) {
    const bytes = image(version, ...lines);
    assert.equal(dump(bytes).map(fixDirectorySize), [
      '/d - 40755 2 0 0 0 0.0 - - -',
      '/d/w 0 20600 2 0 0 0 0.0 - - -',
      '/z 0 @20600 2 0 0 0 0.0 /d/w - -',
    ]);
    assert.is(checkImage(bytes).canonical, true);
  }
});

test('the filter keeps names of the root, and a link without its original becomes one', () => {
  const bytes = image(
    0,
    '/a 4096 40755 2 0 0 0 0.0 - - -',
    '/a/f 7 100644 2 0 0 0 0.0 x - -',
    '/b 0 @120000 - - - - 0.0 /a/f - -',
    '/c 0 @120000 - - - - 0.0 /a/f - -',
    '/d 0 100644 1 0 0 0 0.0 - - -',
  );
  const filter = new Set(['b', 'c', 'nothing']);
  assert.equal(dump(bytes, { filter }), [
    '/b 7 100644 2 0 0 0 0.0 x - -',
    '/c 7 @100644 2 0 0 0 0.0 /b - -',
  ]);
});

test('like composefs-info: own attributes before shared ones, and marks of whiteouts as it shows them', () => {
  const bytes = image(
    1,
    '/a 0 100644 1 0 0 0 0.0 - - - user.a=1 user.b=2',
    '/b 0 100644 1 0 0 0 0.0 - - - user.a=1',
    '/d 4096 40755 2 0 0 0 0.0 - - -',
    '/d/w 0 20600 1 0 0 0 0.0 - - -',
  );
  assert.equal(dump(bytes, { likeComposefsInfo: true }).map(fixDirectorySize), [
    '/a 0 100644 1 0 0 0 0.0 - - - user.b=2 user.a=1',
    '/b 0 100644 1 0 0 0 0.0 - - - user.a=1',
    '/d - 40755 2 0 0 0 0.0 - - - trusted.overlay.opaque=x user.overlay.opaque=x',
    '/d/w 0 20600 1 0 0 0 0.0 - - -',
  ]);
});

test('reads format version 2', () => {
  const bytes = v2Image();
  assert.equal(findBrokenRules(openImage(bytes)), []);
  assert.equal(dump(bytes), [
    `/f 5000 100644 2 1 2 0 7.0 ab/cd - ${'5a'.repeat(32)} lustre.lov=v user.k=1`,
    `/g 5000 @100644 2 1 2 0 7.0 /f - ${'5a'.repeat(32)} lustre.lov=v user.k=1`,
    '/l 3 120777 1 0 0 0 7.0 a/b - - user.k=1',
    '/w 0 20600 1 0 0 0 7.0 - - -',
  ]);
});

test('objects are sorted, each once, and merged over images', () => {
  const digest = '12'.repeat(32);
  const first = image(
    0,
    '/a 9 100644 1 0 0 0 0.0 b/2 - -',
    `/b 5 100644 1 0 0 0 0.0 a/1 - ${digest}`,
    `/c 5 100644 1 0 0 0 0.0 a/1 - ${digest}`,
    '/d 0 @120000 - - - - 0.0 /b - -',
  );
  const objects = objectsOfImage(first);
  const one = { path: 'a/1' as ByteString, digest, size: 5 };
  const two = { path: 'b/2' as ByteString, digest: undefined, size: 9 };
  assert.equal(objects, [one, two]);
  const other = objectsOfImage(
    image(1, '/z 6 100644 1 0 0 0 0.0 a/1 - -', '/y 9 100644 1 0 0 0 0.0 b/2 - -'),
  );
  const merged = mergeObjects([objects, other]);
  assert.equal(merged, [{ ...one, digest: undefined, size: 6 }, one, two]);
  assert.equal(objectPaths(merged), ['a/1', 'b/2']);
});

test.run();
