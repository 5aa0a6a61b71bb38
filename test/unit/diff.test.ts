/** Differences between trees and images: each kind with its cause and its advice. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { diffSides, type Diff, type DiffSide } from '../../toolchain/image/diff-groups.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { readTree } from '../../toolchain/image/read-tree.ts';

const test = suite('diff');

const D = 'ab'.repeat(32);
const E = 'cd'.repeat(32);

const LINES = {
  root: '/ 4096 40755 2 0 0 0 9.5 - - -',
  c: '/c 0 20644 1 0 0 1281 7.5 - - -',
  d: '/d 4096 40755 2 0 0 0 8.5 - - -',
  da: `/d/a 100 100644 1 0 0 0 5.5 ab/cd - ${D} security.selinux=x user.k=v`,
  i: '/i 5 100644 1 0 0 0 6.5 - hello -',
  s: '/s 5 120777 1 0 0 0 6.5 there - -',
} as const;

type Name = keyof typeof LINES;

/** The text of the tree, with some lines in another form; an empty one leaves the entry out. */
function text(changed: Partial<Record<Name, string>> = {}): string {
  const lines = { ...LINES, ...changed };
  return Object.values(lines)
    .filter((line) => line !== '')
    .map((line) => `${line}\n`)
    .join('');
}

/** Every line through `change`. */
function all(change: (line: string) => string): string {
  return Object.values(LINES)
    .map((line) => `${change(line)}\n`)
    .join('');
}

function dump(source: string): DiffSide {
  return { root: parseDump(Buffer.from(source, 'latin1')) };
}

function image(source: string, version = 0): DiffSide {
  const bytes = imageBytes(dump(source).root, { min: version, max: version });
  const opened = openImage(bytes);
  return { root: readTree(opened), image: opened };
}

/** `cause entries: advice`, and every difference below it. */
function show({ groups }: Diff): string[] {
  return groups.flatMap(({ cause, entries, align, differences }) => [
    `${cause} ${entries}${align === undefined ? '' : `: ${align}`}`,
    ...differences.map(({ path, attribute, a, b }) => `  ${path} ${attribute}: ${a} -> ${b}`),
  ]);
}

const BASE = text();

const CASES: readonly (readonly [label: string, b: string, expected: readonly string[]])[] = [
  ['nothing', BASE, []],
  [
    'epoch',
    all((line) => line.replace(/ \d+\.5 /, ' 0.0 ')),
    [
      'mtime 6: build A with --use-epoch',
      '  / mtime: 9.5 -> 0.0',
      '  /c mtime: 7.5 -> 0.0',
      '  /d mtime: 8.5 -> 0.0',
      '  /d/a mtime: 5.5 -> 0.0',
      '  /i mtime: 6.5 -> 0.0',
      '  /s mtime: 6.5 -> 0.0',
    ],
  ],
  [
    'the time of one entry',
    text({ s: LINES.s.replace('6.5', '7.5') }),
    ['mtime 1: build both with --use-epoch', '  /s mtime: 6.5 -> 7.5'],
  ],
  [
    'root time and permissions',
    text({ root: '/ 4096 40700 2 0 0 0 8.5 - - -' }),
    [
      'root 1: build both with --root-metadata=fixed, or set permissions, mtime of the source directory itself',
      '  / permissions: 0755 -> 0700',
      '  / mtime: 9.5 -> 8.5',
    ],
  ],
  [
    'root time',
    text({ root: LINES.root.replace('9.5', '8.5') }),
    [
      'root 1: build both with --root-metadata=fixed, or set mtime of the source directory itself',
      '  / mtime: 9.5 -> 8.5',
    ],
  ],
  [
    'no xattrs',
    text({ da: LINES.da.replace(/ security.*/, '') }),
    [
      'selinux 1: build B with --selinux and the policy of A, or A with --skip-xattrs',
      '  /d/a xattr security.selinux: "x" -> absent',
      'xattrs 1: build A with --skip-xattrs',
      '  /d/a xattr user.k: "v" -> absent',
    ],
  ],
  [
    'only user.* xattrs',
    text({ da: LINES.da.replace(' security.selinux=x', '') }),
    [
      'selinux 1: build B with --selinux and the policy of A, or A with --user-xattrs',
      '  /d/a xattr security.selinux: "x" -> absent',
    ],
  ],
  [
    'a root that was fixed',
    text({ root: '/ 4096 40755 2 0 0 0 0.0 - - -' }),
    ['root 1: build A with --root-metadata=fixed', '  / mtime: 9.5 -> 0.0'],
  ],
  [
    'whole seconds',
    all((line) => line.replace(/ (\d+)\.5 /, ' $1.0 ')),
    [
      'mtime 6: build A with --mtime=seconds',
      '  / mtime: 9.5 -> 9.0',
      '  /c mtime: 7.5 -> 7.0',
      '  /d mtime: 8.5 -> 8.0',
      '  /d/a mtime: 5.5 -> 5.0',
      '  /i mtime: 6.5 -> 6.0',
      '  /s mtime: 6.5 -> 6.0',
    ],
  ],
  [
    'times that were clamped',
    all((line) => line.replace(/ [789]\.5 /, ' 7.0 ')),
    [
      'mtime 3: build A with --mtime=clamp and SOURCE_DATE_EPOCH=7',
      '  / mtime: 9.5 -> 7.0',
      '  /c mtime: 7.5 -> 7.0',
      '  /d mtime: 8.5 -> 7.0',
    ],
  ],
  [
    'another value of an xattr',
    text({ da: LINES.da.replace('user.k=v', 'user.k=\\x00') }),
    ['xattrs 1: build both with --skip-xattrs', '  /d/a xattr user.k: "v" -> "\\x00"'],
  ],
  [
    'another label',
    text({ da: LINES.da.replace('linux=x', 'linux=y') }),
    [
      'selinux 1: build both with --selinux and the same policy',
      '  /d/a xattr security.selinux: "x" -> "y"',
    ],
  ],
  [
    'no devices',
    text({ c: '' }),
    ['devices 1: build A with --skip-devices', '  /c entry: character device -> absent'],
  ],
  [
    'entries of one side',
    text({ d: '', da: '', s: `/t 5 120777 1 0 0 0 6.5 there - -` }),
    [
      'only-a 3',
      '  /d entry: directory -> absent',
      '  /d/a entry: file -> absent',
      '  /s entry: symlink -> absent',
      'only-b 1',
      '  /t entry: absent -> symlink',
    ],
  ],
  [
    'owner, permissions, link count, device number',
    text({
      c: '/c 0 20644 1 0 0 1282 7.5 - - -',
      i: '/i 5 104755 3 7 8 0 6.5 - hello -',
    }),
    [
      'nlink 1',
      '  /i nlink: 1 -> 3',
      'permissions 1',
      '  /i permissions: 0644 -> 4755',
      'owner 1',
      '  /i owner: 0:0 -> 7:8',
      'device-number 1',
      '  /c device number: 5:1 -> 5:2',
    ],
  ],
  ['type', text({ s: '/s 0 10644 1 0 0 0 6.5 - - -' }), ['type 1', '  /s type: symlink -> fifo']],
  [
    'content',
    text({
      da: LINES.da.replace(D, E),
      i: '/i 6 100644 1 0 0 0 6.5 - hello! -',
      s: LINES.s.replace('there', 'other'),
    }),
    [
      'content 3',
      `  /d/a content: ${D} -> ${E}`,
      '  /i size: 5 -> 6',
      '  /s target: there -> other',
    ],
  ],
  [
    'no digest',
    text({ da: LINES.da.replace(D, '-') }),
    [
      'digest 1: build both from the directory: a digest is then known for every object',
      `  /d/a digest: ${D} -> none`,
    ],
  ],
  [
    'another algorithm',
    text({ da: LINES.da.replace(D, D + D) }),
    [
      'algorithm 1: build A with --hash=sha512, or B with --hash=sha256',
      '  /d/a digest algorithm: sha256 -> sha512',
    ],
  ],
  [
    'another object path',
    text({ da: LINES.da.replace('ab/cd', 'ab/cd.file') }),
    ['object-path 1', '  /d/a object path: object ab/cd -> object ab/cd.file'],
  ],
];

test('every kind of difference has its cause and its advice', () => {
  for (const [label, b, expected] of CASES) {
    assert.equal(show(diffSides(dump(BASE), dump(b))), expected, label);
    assert.equal(show(diffSides(image(BASE), image(b))), expected, `${label}, images`);
    const back = diffSides(dump(b), dump(BASE)).groups;
    assert.is(back.length > 0, expected.length > 0, `${label}, the other way round`);
  }
});

test('a file in the image and as an object is the same file when the digest says so', () => {
  const [group] = diffSides(
    dump(text()),
    dump(text({ i: `/i 5 100644 1 0 0 0 6.5 x/y - ${D}` })),
  ).groups;
  assert.is(group!.cause, 'content');
  const real = group!.differences[0]!.a;
  assert.match(real, /^[0-9a-f]{64}$/);
  for (const digest of [real, '-']) {
    const external = text({ i: `/i 5 100644 1 0 0 0 6.5 x/y - ${digest}` });
    assert.equal(show(diffSides(dump(BASE), dump(external))), [
      'inline 1: build B with --inline-max=5, or A with --inline-max=0',
      '  /i stored: in the image -> object x/y',
    ]);
  }
});

test('rules about attributes and the root are told from what one side is like', () => {
  const tree = (root: string, usr: string, file: string): DiffSide =>
    dump(`/ 0 ${root} - - -\n/f 0 100644 1 0 0 0 1.0 - - - ${file}\n/usr 0 ${usr} - - -\n`);
  const advice = (a: DiffSide, b: DiffSide): string[] =>
    diffSides(a, b).groups.map(({ cause, setting, align }) => `${cause} ${setting}: ${align}`);
  const usr = '40711 2 3 4 0 5.6';
  const both = 'security.capability=c user.k=v';
  assert.equal(advice(tree('40755 2 0 0 0 1.2', usr, both), tree(usr, usr, both)), [
    'root root_metadata: build A with --root-metadata=usr',
  ]);
  assert.equal(advice(tree('40755 2 0 0 0 0.0', usr, both), tree(usr, usr, both)), [
    'root root_metadata: build B with --root-metadata=fixed',
  ]);
  assert.equal(advice(tree(usr, usr, 'security.capability=c'), tree(usr, usr, both)), [
    'xattrs xattrs: build B with --xattrs=capability',
  ]);
  assert.equal(
    advice(
      tree(usr, usr, 'security.selinux=c user.k=v security.ima=1'),
      tree(usr, usr, 'user.k=v security.ima=1'),
    ),
    ['selinux selinux: build B with --selinux and the policy of A'],
  );
});

test('hardlinks kept on one side explain the link counts', () => {
  const file = (name: string, nlink: number): string =>
    `${name} 100 100644 ${nlink} 0 0 0 6.5 ab/cd - ${D}\n`;
  const separate = `${BASE}${file('/x', 1)}${file('/y', 1)}`;
  const linked = `${BASE}${file('/x', 2)}/y 0 @100644 - - - - - /x - -\n`;
  const other = `${BASE}${file('/y', 2)}/x 0 @100644 - - - - - /y - -\n`;
  assert.equal(show(diffSides(dump(separate), image(linked))), [
    'hardlinks 2: build A with --hardlinks, or B without',
    '  /x inode: its own -> shared with other names',
    '  /x nlink: 1 -> 2',
    '  /y inode: its own -> that of /x',
    '  /y nlink: 1 -> 2',
  ]);
  assert.equal(show(diffSides(dump(linked), dump(other))), [
    'hardlinks 2: build both from directories with --hardlinks, or both without',
    '  /x inode: shared with other names -> that of /y',
    '  /y inode: that of /x -> shared with other names',
  ]);
  assert.equal(show(diffSides(dump(linked), image(linked))), []);
});

test('format versions', () => {
  assert.equal(show(diffSides(image(BASE, 1), image(BASE, 0))), [
    'version 1: build B with --min-version=1, or A with --max-version=0',
    '   format version: 1 -> 0',
  ]);
});

test('the same tree in other bytes', () => {
  const a = image(BASE);
  const change = (at: number): DiffSide => {
    const bytes = Uint8Array.from(a.image!.bytes);
    bytes[at]! ^= 1;
    return { root: a.root, image: openImage(bytes) };
  };
  const advice = 'bytes 1: write both anew: image dump, then image build --from-file';
  assert.equal(show(diffSides(a, change(8))), [advice, '   header flags: 0 -> 1']);
  const build = show(diffSides(a, change(1024 + 24)));
  assert.match(build[1]!, /^ {3}superblock build_time: /);
  const last = a.image!.bytes.length - 1;
  assert.equal(show(diffSides(a, change(last))), [advice, `   byte ${last}: 0x00 -> 0x01`]);
  const longer = {
    root: a.root,
    image: openImage(Buffer.concat([a.image!.bytes, Buffer.alloc(1)])),
  };
  assert.equal(show(diffSides(a, longer)), [advice, `   size: ${last + 1} -> ${last + 2}`]);
});

test('counts: entries that differ, not differences', () => {
  const b = all((line) => line.replace(/ \d+\.5 /, ' 1.0 ').replace(' 0 0 ', ' 1 0 '));
  const { differing, entriesA, entriesB } = diffSides(dump(BASE), dump(b));
  assert.equal([differing, entriesA, entriesB], [6, 6, 6]);
});

test.run();
