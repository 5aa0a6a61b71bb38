/** The first gate: what opens, what is refused and with which code, and that every look-up ends. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ascii, toByteString } from '../../runtime/format/bytes.ts';
import { openImage, type ErofsImage } from '../../runtime/format/erofs-image.ts';
import { walkImage } from '../../runtime/format/erofs-walk.ts';
import { ErofsInodeCompact } from '../../runtime/format/erofs.ts';
import { expectCode } from '../support/expect-code.ts';
import { ImageLab, imageOf } from '../support/image-lab.ts';

const test = suite('erofs-image');

const LINES = [
  '/a 5 100644 3 4 5 0 0.0 - hello - user.k=v',
  '/b 100000 100644 1 70000 0 0 -9.7 ab/cd - -',
  '/d 4096 40755 2 0 0 0 0.0 - - -',
  '/d/e 4096 40755 2 0 0 0 0.0 - - -',
  `/i 5000 100644 1 0 0 0 0.0 - ${'c'.repeat(5000)} -`,
  '/l 3 120777 1 0 0 0 0.0 b/c - -',
  `/m 4095 120777 1 0 0 0 0.0 ${'t'.repeat(4095)} - -`,
  '/t 0 20644 1 0 0 1281 0.0 - - -',
];
const IMAGE = imageOf(0, LINES);

test('an inode shows what was written', () => {
  const image = openImage(IMAGE);
  const a = image.lookupPath(['a'])!;
  assert.equal([a.mode, a.size, a.nlink, a.uid, a.gid, a.rdev], [0o100644, 5, 3, 4, 5, 0]);
  assert.equal([a.mtimeSec, a.mtimeNsec, a.isExtended], [0, 0, true]);
  assert.is(toByteString(image.inlineContent(a)!), 'hello');
  assert.is(toByteString(image.xattr(a, 'user.k')!), 'v');
  assert.is(image.xattr(a, 'user.kk'), undefined);
  const b = image.lookupPath(['b'])!;
  assert.equal([b.uid, b.mtimeSec, b.mtimeNsec, b.chunkBits], [70000, -9, 7, 17]);
  assert.is(image.inlineContent(b), undefined);
  assert.is(image.lookupPath(['t'])!.rdev, 1281);
  assert.is(image.inlineContent(image.lookupPath(['i'])!)!.length, 5000);
  assert.is(toByteString(image.readlink(image.lookupPath(['l'])!)), 'b/c');
  assert.is(image.readlink(image.lookupPath(['m'])!).length, 4095);
  assert.is(image.lookupPath(['d', 'e'])!.isDirectory, true);
  assert.is(image.lookupPath(['d', 'x']), undefined);
  assert.is(image.lookupPath(['a', 'x']), undefined);
});

test('a view into a larger buffer reads the same', () => {
  const larger = new Uint8Array(IMAGE.length + 9);
  larger.set(IMAGE, 5);
  const image = openImage(larger.subarray(5, 5 + IMAGE.length));
  assert.is(toByteString(image.inlineContent(image.lookupPath(['a'])!)!), 'hello');
});

// Names that stand first, last, and at the ends of blocks; `!` and `-` sort before the dots.
const NAMES = Array.from(
  { length: 900 },
  (_, i) => `${'!-0am'[i % 5]}${String(i).padStart(3, '0')}`,
);
const WIDE = imageOf(0, [
  '/d 4096 40755 2 0 0 0 0.0 - - -',
  ...NAMES.map((name) => `/d/${name} 0 100644 1 0 0 0 0.0 - - -`),
]);

test('every name of a directory of several blocks is found', () => {
  const image = openImage(WIDE);
  const directory = image.lookupPath(['d'])!;
  assert.ok(image.direntBlockCount(directory) > 3);
  for (const name of [...NAMES, '.', '..']) {
    const found = image.lookup(directory, ascii(name));
    assert.ok(found, name);
    assert.is(toByteString(WIDE, found.nameStart, found.nameEnd), name);
  }
});

test('the look-up of a name that sorts before "." in a directory of several blocks ends', () => {
  // composefs-fuse loops for ever on it: its search over blocks never moves when the first block is greater.
  const files = Array.from({ length: 900 }, (_, i) => `/n${i} 0 100644 1 0 0 0 0.0 - - -`);
  const image = openImage(imageOf(0, files));
  for (const name of ['!x', '!', '-', '\x01', '', '+']) {
    assert.is(image.lookup(image.root(), ascii(name)), undefined, JSON.stringify(name));
  }
});

test('names that are not there are not found, wherever they would stand', () => {
  const image = openImage(WIDE);
  const directory = image.lookupPath(['d'])!;
  for (const name of NAMES) {
    for (const absent of [`${name}x`, name.slice(0, -1)]) {
      assert.is(image.lookup(directory, ascii(absent)), undefined, absent);
    }
  }
  for (const absent of ['\xff', 'zzz', '...'])
    assert.is(image.lookup(directory, ascii(absent)), undefined);
});

const REFUSED: readonly (readonly [
  code: string,
  what: string,
  damage: (lab: ImageLab) => unknown,
])[] = [
  ['FORMAT_RECORD_FIELD', 'another magic', (lab) => lab.header('magic', 1)],
  ['FORMAT_HEADER_VERSION', 'another header', (lab) => lab.header('version', 2)],
  ['FORMAT_RECORD_FIELD', 'another superblock magic', (lab) => lab.superblock('magic', 1)],
  [
    'FORMAT_RECORD_FIELD',
    'reserved bytes of the superblock',
    (lab) => lab.superblock('reserved2', 1),
  ],
  ['FORMAT_SUPER_BLKSZBITS', 'blocks of 2^9 bytes', (lab) => lab.superblock('blkszbits', 9)],
  ['FORMAT_ROOT_TYPE', 'a file as root', (lab) => lab.inode('/', 'i_mode', 0o100644)],
  ['FORMAT_NID_RANGE', 'a root outside', (lab) => lab.superblock('root_nid', 0xffff)],
  ['FORMAT_NID_RANGE', 'an entry far outside', (lab) => lab.dirent('/a', 'nid', 2n ** 63n)],
  [
    'FORMAT_NID_RANGE',
    'an entry just outside',
    (lab) => lab.dirent('/a', 'nid', IMAGE.length / 32),
  ],
  [
    'FORMAT_NID_RANGE',
    'an extended inode cut off',
    (lab) => {
      lab.dirent('/a', 'nid', IMAGE.length / 32 - 1);
      lab.bytes.fill(1, IMAGE.length - 32, IMAGE.length - 31);
    },
  ],
  ['FORMAT_INODE_FORMAT', 'a compressed inode', (lab) => lab.inode('/a', 'i_format', 3)],
  ['FORMAT_INODE_FORMAT', 'an unknown format bit', (lab) => lab.inode('/a', 'i_format', 0x105)],
  ['FORMAT_INODE_FORMAT', 'a directory in chunks', (lab) => lab.inode('/d', 'i_format', 9)],
  ['FORMAT_INODE_FORMAT', 'flat inline without a tail', (lab) => lab.inode('/a', 'i_size', 4096)],
  ['FORMAT_INODE_MODE', 'no type', (lab) => lab.inode('/a', 'i_mode', 0o644)],
  ['FORMAT_INODE_SIZE', 'more than 2^53 bytes', (lab) => lab.inode('/b', 'i_size', 2n ** 53n + 1n)],
  [
    'FORMAT_INODE_RANGE',
    'content beyond the end',
    (lab) => {
      lab.inode('/i', 'i_u', IMAGE.length / 4096);
    },
  ],
  [
    'FORMAT_INODE_RANGE',
    'content that ends one byte beyond the end',
    (lab) => {
      lab.inode('/i', 'i_format', lab.find('/i').isExtended ? 1 : 0);
      lab.inode('/i', 'i_size', 4097);
      lab.inode('/i', 'i_u', IMAGE.length / 4096 - 1);
    },
  ],
  [
    'FORMAT_INODE_RANGE',
    'a tail of one byte behind the end',
    (lab) => {
      const at = IMAGE.length - 32;
      lab.dirent('/a', 'nid', at / 32);
      lab.bytes.fill(0, at);
      lab.set(ErofsInodeCompact, at, 'i_format', 4);
      lab.set(ErofsInodeCompact, at, 'i_mode', 0o100644);
      lab.set(ErofsInodeCompact, at, 'i_size', 1);
    },
  ],
  [
    'FORMAT_INODE_RANGE',
    'a directory larger than the image',
    (lab) => lab.inode('/d', 'i_size', 2 ** 31 + 1),
  ],
  [
    'FORMAT_INODE_RANGE',
    'attributes beyond the end',
    (lab) => lab.inode('/a', 'i_xattr_icount', 0xffff),
  ],
  [
    'FORMAT_XATTR_RANGE',
    'more shared ids than fit',
    (lab) => {
      lab.bytes[lab.find('/a').xattrStart + 4] = 200;
    },
  ],
  [
    'FORMAT_XATTR_RANGE',
    'a value behind its area',
    (lab) => {
      lab.bytes[lab.xattr('/a', 'user.k').offset + 2] = 200;
    },
  ],
  [
    'FORMAT_XATTR_INDEX',
    'a long prefix',
    (lab) => {
      lab.bytes[lab.xattr('/a', 'user.k').offset + 1] = 0x80;
    },
  ],
  ['FORMAT_DIRENT_TABLE', 'no first name', (lab) => lab.dirent('/d/.', 'nameoff', 0)],
  [
    'FORMAT_DIRENT_TABLE',
    'a table that is no multiple of entries',
    (lab) => lab.dirent('/d/.', 'nameoff', 37),
  ],
  [
    'FORMAT_DIRENT_TABLE',
    'a table behind its block',
    (lab) => lab.dirent('/d/.', 'nameoff', 12 * 300),
  ],
  [
    'FORMAT_DIRENT_TABLE',
    'a directory of four bytes at the very end',
    (lab) => {
      const at = IMAGE.length - 64;
      lab.dirent('/m', 'nid', at / 32);
      lab.bytes.fill(0, at);
      lab.set(ErofsInodeCompact, at, 'i_format', 4);
      lab.set(ErofsInodeCompact, at, 'i_xattr_icount', 5);
      lab.set(ErofsInodeCompact, at, 'i_mode', 0o40755);
      lab.set(ErofsInodeCompact, at, 'i_size', 4);
    },
  ],
  ['FORMAT_DIRENT_TABLE', 'an empty directory file', (lab) => lab.inode('/d', 'i_size', 4)],
  [
    'FORMAT_DIRENT_NAME',
    'a name before the one before',
    (lab) => lab.dirent('/d/e', 'nameoff', 30),
  ],
  ['FORMAT_DIRENT_NAME', 'an empty name', (lab) => lab.dirent('/d/..', 'nameoff', 36)],
  [
    'FORMAT_DIRENT_NAME',
    'a slash',
    (lab) => lab.bytes.fill(0x2f, lab.entry('/d/e').nameStart, lab.entry('/d/e').nameEnd),
  ],
  [
    'FORMAT_DIRENT_NAME',
    'a NUL',
    (lab) => lab.bytes.fill(0, lab.entry('/d/..').nameStart, lab.entry('/d/..').nameEnd),
  ],
  [
    'FORMAT_DIRENT_NAME',
    'a NUL inside a name before the last',
    (lab) => lab.bytes.fill(0, lab.entry('/d/..').nameStart + 1, lab.entry('/d/..').nameEnd),
  ],
  [
    'FORMAT_DIRECTORY_SHARED',
    'a directory in itself',
    (lab) => lab.dirent('/d/e', 'nid', lab.find('/d').nid),
  ],
  [
    'FORMAT_DIRECTORY_SHARED',
    'the root in a directory',
    (lab) => lab.dirent('/d/e', 'nid', lab.find('/').nid),
  ],
  ['FORMAT_SYMLINK_TARGET', 'an empty target', (lab) => lab.inode('/l', 'i_size', 0)],
  [
    'FORMAT_SYMLINK_TARGET',
    'a NUL in a target',
    (lab) => {
      lab.bytes[lab.find('/l').tailStart] = 0;
    },
  ],
  ['FORMAT_INODE_RANGE', 'a target of 4 GiB', (lab) => lab.inode('/m', 'i_size', 0xffffffff)],
];

/** Reads everything there is to read. */
function readAll(image: ErofsImage): void {
  image.xattrs(image.root());
  walkImage(image, {
    entry: (_, inode) => {
      image.xattrs(inode);
      if (inode.isSymlink) image.readlink(inode);
      else image.inlineContent(inode);
    },
  });
}

for (const [code, what, damage] of REFUSED) {
  test(`refuses ${what}: ${code}`, () => {
    const lab = new ImageLab(IMAGE);
    damage(lab);
    expectCode(() => readAll(openImage(lab.bytes)), code);
  });
}

test('a truncated image is refused at every length', () => {
  expectCode(() => openImage(new Uint8Array(0)), 'FORMAT_IMAGE_TRUNCATED');
  for (let length = 0; length < IMAGE.length; length += 97) {
    const cut = IMAGE.slice(0, length);
    assert.throws(
      () => readAll(openImage(cut)),
      (error: unknown) => (error as { code: string }).code.startsWith('FORMAT_'),
    );
  }
});

test('a symlink has at most 4095 bytes, and a name at most 255', () => {
  const target = new ImageLab(imageOf(0, [`/l 0 120777 1 0 0 0 0.0 ${'t'.repeat(4095)} - -`]));
  assert.is(openImage(target.bytes).readlink(target.find('/l')).length, 4095);
  target.inode('/l', 'i_size', 4096);
  target.bytes[target.find('/l').blocksStart + 4095] = 0x74;
  expectCode(() => readAll(openImage(target.bytes)), 'FORMAT_SYMLINK_TARGET');

  const name = 'n'.repeat(255);
  const named = new ImageLab(
    imageOf(0, ['/d 4096 40755 2 0 0 0 0.0 - - -', `/d/${name} 0 100644 1 0 0 0 0.0 - - -`]),
  );
  assert.ok(openImage(named.bytes).lookup(named.find('/d'), ascii(name)));
  const { size, tailStart } = named.find('/d');
  named.inode('/d', 'i_size', size + 1);
  named.bytes[tailStart + size] = 0x6e;
  expectCode(() => readAll(openImage(named.bytes)), 'FORMAT_DIRENT_NAME');
});

test('an inode is only read as what it is', () => {
  const image = openImage(IMAGE);
  expectCode(() => image.readlink(image.lookupPath(['a'])!), 'FORMAT_INODE_TYPE');
  expectCode(() => image.lookup(image.lookupPath(['a'])!, ascii('x')), 'FORMAT_INODE_TYPE');
});

test('directories nested deeper than a path can be are refused', () => {
  const lines: string[] = [];
  for (let depth = 1, path = ''; depth <= 2049; depth++)
    lines.push(`${(path += '/d')} 4096 40755 2 0 0 0 0.0 - - -`);
  expectCode(() => readAll(openImage(imageOf(0, lines))), 'FORMAT_DIRECTORY_DEPTH');
  readAll(openImage(imageOf(0, lines.slice(0, -1))));
});

test('directories that share their blocks cannot make a walk longer than the image is large', () => {
  // Each of the directories claims the blocks of the one that has 3000 names.
  const wide = Array.from({ length: 3000 }, (_, i) => `/w/${i} 0 100644 1 0 0 0 0.0 - - -`);
  const copies = Array.from({ length: 60 }, (_, i) => `/c${i} 4096 40755 2 0 0 0 0.0 - - -`);
  const lab = new ImageLab(imageOf(0, [...copies, '/w 4096 40755 2 0 0 0 0.0 - - -', ...wide]));
  const source = lab.find('/w');
  for (let i = 0; i < 60; i++) {
    lab.inode(`/c${i}`, 'i_format', 0);
    lab.inode(`/c${i}`, 'i_size', source.blocksSize);
    lab.inode(`/c${i}`, 'i_u', source.i_u);
  }
  expectCode(() => readAll(openImage(lab.bytes)), 'FORMAT_TREE_SIZE');
});

test.run();
