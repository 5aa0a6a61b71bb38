/** Tar archives to trees: every way to write a name, a number, an attribute, a link, a sparse file. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';
import { tarNumber } from '../../toolchain/image/tar-header.ts';
import { readTar, type ReadTarOptions } from '../../toolchain/image/tar.ts';
import { walkTree, type TreeNode } from '../../toolchain/image/tree.ts';
import {
  GNU_MAGIC,
  longName,
  paxHeader,
  putNumber,
  TAR_END,
  tarMember,
  tarOf,
  type TarMember,
} from '../support/tar-writer.ts';
import { entriesOfBytes, TAR_OPTIONS, treeOfBytes } from '../support/tar-lab.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('tar');

/** An entry in one line: type and mode, owner, time, then what is particular to the type. */
function show(node: TreeNode): string {
  const { uid, gid, mtimeSec, mtimeNsec, rdev, payload, content } = node;
  const parts = [node.mode.toString(8), `${uid}:${gid}`, `${mtimeSec}.${mtimeNsec}`];
  if (rdev !== 0) parts.push(`rdev ${rdev.toString(16)}`);
  if (content !== undefined) parts.push(JSON.stringify(Buffer.from(content).toString('latin1')));
  else if (payload !== undefined) parts.push(payload);
  for (const { name, value } of node.xattrs) parts.push(`${name}=${value}`);
  if (node.hardlink !== undefined) return `hardlink to ${node.hardlink.name}`;
  return parts.join(' ');
}

/** What each path of an archive became. */
async function shown(
  members: readonly (TarMember | Buffer)[],
  options: Partial<ReadTarOptions> = {},
): Promise<Record<string, string>> {
  const entries = await entriesOfBytes(tarOf(...members), options);
  return Object.fromEntries([...entries].map(([path, node]) => [path, show(node)]));
}

/** The one entry `/f` of an archive. */
async function showF(
  ...members: readonly (Partial<TarMember> | Buffer)[]
): Promise<string | undefined> {
  const named = members.map((each) => (Buffer.isBuffer(each) ? each : { name: 'f', ...each }));
  return (await shown(named))['/f'];
}

const IMPLIED = '40755 0:0 0.0';
const FILE = '100644 0:0 0.0';

test('every type of entry', async () => {
  const found = await shown([
    { name: './', type: '5', mode: 0o1777, uid: 1, gid: 2, mtime: 3 },
    { name: './dir/', type: '5', mode: 0o750 },
    { name: './dir/file', mode: 0o4755, uid: 1000, gid: 100, mtime: 1_700_000_000, content: 'hi' },
    { name: 'link', type: '2', linkName: '../out/of/here', mode: 0 },
    { name: 'char', type: '3', major: 1, minor: 3 },
    { name: 'block', type: '4', major: 0xfff, minor: 0xfffff },
    { name: 'whiteout', type: '3' },
    { name: 'pipe', type: '6' },
    { name: 'contiguous', type: '7', content: 'x' },
  ]);
  assert.equal(found, {
    '/': '41777 1:2 3.0',
    '/block': '60644 0:0 0.0 rdev ffffffff',
    '/char': '20644 0:0 0.0 rdev 103',
    '/contiguous': `${FILE} "x"`,
    '/dir': '40750 0:0 0.0',
    '/dir/file': '104755 1000:100 1700000000.0 "hi"',
    // Linux gives every symlink these permissions.
    '/link': '120777 0:0 0.0 ../out/of/here',
    '/pipe': '10644 0:0 0.0',
    '/whiteout': '20644 0:0 0.0',
  });
});

test('an archive of nothing is an empty root', async () => {
  assert.equal(await shown([]), { '/': IMPLIED });
});

test('names mean the same however they are written', async () => {
  const rows = ['a/b', './a/b', '/a/b', 'a//b', './/a/./b', '././a/b', '///a/b'];
  for (const name of rows) {
    const found = await shown([{ name, content: 'x' }]);
    assert.equal(found, { '/': IMPLIED, '/a': IMPLIED, '/a/b': `${FILE} "x"` }, name);
  }
  for (const name of ['.', './', '/', '//', './.']) {
    const found = await shown([{ name, type: '5', mode: 0o700 }]);
    assert.equal(found, { '/': '40700 0:0 0.0' }, name);
  }
  // Before there was a type for directories.
  for (const type of ['0', '\0']) {
    assert.is((await shown([{ name: 'd/', type, mode: 0o711 }]))['/d'], '40711 0:0 0.0');
  }
});

test('names are bytes, of any length that Linux takes', async () => {
  const name = Buffer.from([0x61, 0xff, 0x0a, 0x20, 0xc3, 0xa9]).toString('latin1');
  const long = `${'d'.repeat(255)}/${'e'.repeat(255)}`;
  const split = `${'p'.repeat(99)}/${'n'.repeat(100)}`;
  const found = await shown([
    { name },
    longName(long),
    { name: 'cut', magic: GNU_MAGIC },
    { name: 'cut', pax: [['path', long.slice(1)]] },
    { name: 'n'.repeat(100), change: (block) => block.write('p'.repeat(99), 345, 'latin1') },
    {
      name: 'star',
      change: (block) => {
        block.write('in', 345);
        block.write('12345670123', 476);
        block.write('tar\0', 508);
      },
    },
  ]);
  for (const path of [name, long, long.slice(1), split, 'in/star']) {
    assert.is(found[`/${path}`], FILE, path);
  }
});

test('numbers: octal with spaces, base 256, negative times', () => {
  const rows: [field: string, value: number | string][] = [
    ['0000644\0', 0o644],
    ['   644 \0', 0o644],
    ['        ', 0],
    ['\0\0\0\0\0\0\0\0', 0],
    ['12345670', 0o12345670],
    ['644\0junk', 0o644],
    ['\x80\0\0\0\0\0\x01\0', 256],
    ['\xff\xff\xff\xff\xff\xff\xff\xfe', -2],
    ['\x80\x1f\xff\xff\xff\xff\xff\xff', 2 ** 53 - 1],
    ['\x80\x20\0\0\0\0\0\0', 'is 9007199254740992, which no field needs'],
    ['\xbf\xff\xff\xff\xff\xff\xff\xff', 'is 4611686018427387903, which no field needs'],
    ['\xc0\0\0\0\0\0\0\0', 'is -4611686018427387904, which no field needs'],
    ['0000648\0', 'is no octal number'],
    ['-1\0\0\0\0\0\0', 'is no octal number'],
    ['0x1\0\0\0\0\0', 'is no octal number'],
  ];
  for (const [field, value] of rows) {
    assert.is(tarNumber(Buffer.from(field, 'latin1'), 0, 8), value, JSON.stringify(field));
  }
});

test('a checksum of signed bytes, as old writers made it', async () => {
  const tar = tarOf({ name: '\xe9\xe9' });
  const sum = parseInt(tar.toString('latin1', 148, 154), 8) - 2 * 256;
  tar.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
  assert.equal([...(await entriesOfBytes(tar)).keys()], ['/', '/\xe9\xe9']);
});

test('owners and times from the header, and from PAX before it', async () => {
  const max = 0xffffffff;
  assert.is(await showF({ uid: max, gid: 2 ** 21, mtime: -1 }), `100644 ${max}:${2 ** 21} -1.0`);
  const rows: [mtime: string, shown: string][] = [
    ['1', '1.0'],
    ['1.', '1.0'],
    ['1.5', '1.500000000'],
    ['1700000000.123456789', '1700000000.123456789'],
    ['1.1234567899', '1.123456789'],
    ['0.000000001', '0.1'],
    ['-1', '-1.0'],
    ['-0', '0.0'],
    ['-0.5', '-1.500000000'],
    ['-1.5', '-2.500000000'],
    ['-1.0000000001', '-2.999999999'],
    ['999999999999999', '999999999999999.0'],
  ];
  for (const [mtime, expected] of rows) {
    assert.is(await showF({ mtime: 7, pax: [['mtime', mtime]] }), `100644 0:0 ${expected}`, mtime);
  }
  const pax = [
    ['uid', '4294967295'],
    ['gid', '70000'],
    ['uname', 'nobody'],
    ['atime', 'rubbish is nobody’s business'.replace('’', "'")],
    ['VENDOR.key', 'anything'],
    ['comment', 'has = and\nnewlines'],
  ] as const;
  assert.is(await showF({ uid: 1, gid: 1, pax }), `100644 ${max}:70000 0.0`);
});

test('global headers count until they are taken back', async () => {
  const found = await shown([
    paxHeader('g', [
      ['comment', 'a commit'],
      ['uid', '7'],
      ['mtime', '5.5'],
    ]),
    { name: 'a' },
    { name: 'b', pax: [['uid', '8']] },
    { name: 'c', pax: [['uid', '']], uid: 9 },
    paxHeader('g', [['uid', '']]),
    { name: 'd' },
  ]);
  assert.is(found['/a'], '100644 7:0 5.500000000');
  assert.is(found['/b'], '100644 8:0 5.500000000');
  assert.is(found['/c'], '100644 9:0 5.500000000', 'an empty value means the header');
  assert.is(found['/d'], '100644 0:0 5.500000000');
});

test('extended attributes in all their spellings', async () => {
  const rows: [pax: [string, string][], shown: string][] = [
    [[['SCHILY.xattr.user.a', 'x\n=\0y']], 'user.a=x\n=\0y'],
    [[['SCHILY.xattr.user.empty', '']], 'user.empty='],
    [[['SCHILY.xattr.user.a%3Db%25', '1']], 'user.a=b%=1'],
    [[['LIBARCHIVE.xattr.user.a%20b', 'aGk']], 'user.a b=hi'],
    [[['LIBARCHIVE.xattr.user.a', 'aGk=']], 'user.a=hi'],
    [
      [
        ['LIBARCHIVE.xattr.user.a', 'aGk='],
        ['SCHILY.xattr.user.a', 'hi'],
      ],
      'user.a=hi',
    ],
    [
      [
        ['SCHILY.xattr.user.b', '1'],
        ['SCHILY.xattr.user.a', '2'],
        ['SCHILY.xattr.user.b', '3'],
      ],
      'user.a=2 user.b=3',
    ],
    [[['RHT.security.selinux', 'u:r:t:s0']], 'security.selinux=u:r:t:s0\0'],
    [[['SCHILY.acl.access', 'user::rwx,group::r-x,other::r--']], ''],
    [[['SCHILY.acl.access', '']], ''],
    [[['SCHILY.acl.default', '']], ''],
  ];
  for (const [pax, expected] of rows) {
    assert.is(await showF({ pax }), `${FILE} ${expected}`.trim(), JSON.stringify(pax));
  }
  const pax = [
    ['SCHILY.xattr.user.a', '1'],
    ['SCHILY.xattr.trusted.b', '2'],
  ] as const;
  const kept = { all: ' trusted.b=2 user.a=1', user: ' user.a=1', none: '' };
  for (const [xattrs, expected] of Object.entries(kept)) {
    const options = { xattrs: xattrs as 'all' };
    assert.is((await shown([{ name: 'f', pax }], options))['/f'], `${FILE}${expected}`, xattrs);
  }
});

test('access control lists become what the kernel keeps', async () => {
  const text = 'user::rw-,user:1000:r--,group::r--,group:builders:rwx:70000,mask::rwx,other::---';
  const entries = await entriesOfBytes(tarOf({ name: 'f', pax: [['SCHILY.acl.access', text]] }));
  const [xattr] = entries.get('/f')!.xattrs;
  assert.is(xattr!.name, 'system.posix_acl_access');
  // bsdtar writes the header as if there were no list; the kernel shows its mask as the group's permissions.
  assert.is(entries.get('/f')!.mode.toString(8), '100670');
  // Version 2, then tag, permissions and identifier of each entry (posix_acl_xattr.h).
  const expected = [
    '02000000',
    '0100 0600 ffffffff',
    '0200 0400 e8030000',
    '0400 0400 ffffffff',
    '0800 0700 70110100',
    '1000 0700 ffffffff',
    '2000 0000 ffffffff',
  ];
  assert.is(
    Buffer.from(xattr!.value, 'latin1').toString('hex'),
    expected.join('').replaceAll(' ', ''),
  );
  const minimal = 'user::rwx\ngroup::r-x\nother::r-x\n';
  const found = await entriesOfBytes(
    tarOf({ name: 'd/', type: '5', pax: [['SCHILY.acl.default', minimal]] }),
  );
  assert.is(found.get('/d')!.xattrs[0]!.value.length, 4 + 3 * 8, 'a default list says something');
});

test('of two entries with one path the later one counts', async () => {
  const found = await shown([
    { name: 'f', content: 'old', pax: [['SCHILY.xattr.user.a', '1']] },
    { name: './f', content: 'new' },
    { name: 'd/child' },
    { name: 'd/', type: '5', mode: 0o700 },
    { name: 'd', type: '5', mode: 0o711, uid: 5 },
    { name: 'file-then-dir', content: 'x' },
    { name: 'file-then-dir/', type: '5' },
    { name: 'file-then-dir/x' },
    { name: 'empty/', type: '5' },
    { name: 'empty', content: 'y' },
    { name: 'symlink', type: '2', linkName: 'd' },
    { name: 'symlink/', type: '5', mode: 0o700 },
    { name: 'symlink/below' },
  ]);
  assert.is(found['/f'], `${FILE} "new"`, 'nothing of the first is left');
  assert.is(found['/d'], '40711 5:0 0.0');
  assert.is(found['/d/child'], FILE);
  assert.is(found['/file-then-dir/x'], FILE);
  assert.is(found['/empty'], `${FILE} "y"`);
  assert.is(found['/symlink/below'], FILE);
  assert.is(Object.keys(found).length, 9);
});

const LINKED: readonly TarMember[] = [
  { name: 'b', content: 'old', mode: 0o600 },
  { name: 'c', type: '1', linkName: './b' },
  { name: 'a', type: '1', linkName: '/c', mode: 0o777 },
  { name: 's', type: '2', linkName: 't' },
  { name: 's2', type: '1', linkName: 's' },
  { name: 'n', type: '3', major: 1, minor: 3 },
  { name: 'n2', type: '1', linkName: 'n' },
  { name: 'b', content: 'new' },
  { name: 'd', type: '1', linkName: 'b' },
  { name: 'd', type: '1', linkName: 'd' },
];

test('a hardlink is what its target was when it came', async () => {
  const split = await shown(LINKED);
  assert.equal(split, {
    '/': IMPLIED,
    '/a': '100600 0:0 0.0 "old"',
    '/b': `${FILE} "new"`,
    '/c': '100600 0:0 0.0 "old"',
    '/d': `${FILE} "new"`,
    '/n': '20644 0:0 0.0 rdev 103',
    '/n2': '20644 0:0 0.0 rdev 103',
    '/s': '120777 0:0 0.0 t',
    '/s2': '120777 0:0 0.0 t',
  });
  const kept = await entriesOfBytes(tarOf(...LINKED), { hardlinks: true });
  const names = [...kept].map(([path, node]) => `${path} ${show(node)} ${node.nlink}`);
  assert.equal(names, [
    `/ ${IMPLIED} 1`,
    // The first name in depth-first order owns the inode, also when the target was replaced.
    '/a 100600 0:0 0.0 "old" 2',
    `/b ${FILE} "new" 2`,
    '/c hardlink to a 1',
    '/d hardlink to b 1',
    '/n 20644 0:0 0.0 rdev 103 2',
    '/n2 hardlink to n 1',
    '/s 120777 0:0 0.0 t 2',
    '/s2 hardlink to s 1',
  ]);
});

test('the recipe: times, devices and what is stored in the image', async () => {
  const members: TarMember[] = [
    { name: 'f', mtime: 5, content: 'x'.repeat(10), pax: [['mtime', '5.5']] },
    { name: 'c', type: '3', major: 1, minor: 2 },
    { name: 'c2', type: '1', linkName: 'c' },
    { name: 'p', type: '6' },
  ];
  const found = await shown(members, { useEpoch: true, skipDevices: true, inlineMax: 9 });
  assert.equal(Object.keys(found), ['/', '/f', '/p']);
  assert.match(found['/f']!, /^100644 0:0 0\.0 [0-9a-f]{2}\/[0-9a-f]{62}$/);
});

// --- sparse files --------------------------------------------------------------------------------------

const REGIONS = [1000, 'abc', 5000, 'defg'] as const;
const SPARSE_SIZE = 6000;
const DATA = 'abcdefg';

function sparseContent(): Buffer {
  const content = Buffer.alloc(SPARSE_SIZE);
  content.write(REGIONS[1], REGIONS[0]);
  content.write(REGIONS[3], REGIONS[2]);
  return content;
}

const LINES = '2\n1000\n3\n5000\n4\n';
const NUMBERS = ['1000', '3', '5000', '4'] as const;
const size = String(SPARSE_SIZE);

const SPARSE: readonly (readonly [label: string, member: TarMember])[] = [
  [
    '0.0',
    {
      name: 'f',
      content: DATA,
      pax: [
        ['GNU.sparse.size', size],
        ['GNU.sparse.numblocks', '2'],
        ['GNU.sparse.offset', NUMBERS[0]],
        ['GNU.sparse.numbytes', NUMBERS[1]],
        ['GNU.sparse.offset', NUMBERS[2]],
        ['GNU.sparse.numbytes', NUMBERS[3]],
      ],
    },
  ],
  [
    '0.1',
    {
      name: 'GNUSparseFile.7/f',
      content: DATA,
      pax: [
        ['GNU.sparse.size', size],
        ['GNU.sparse.map', NUMBERS.join(',')],
        ['GNU.sparse.name', 'f'],
      ],
    },
  ],
  [
    '1.0',
    {
      name: 'GNUSparseFile.7/f',
      content: `${LINES.padEnd(512, '\0')}${DATA}`,
      pax: [
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 'f'],
        ['GNU.sparse.realsize', size],
      ],
    },
  ],
  [
    'old',
    {
      name: 'f',
      type: 'S',
      magic: GNU_MAGIC,
      content: DATA,
      change: (block) => {
        NUMBERS.forEach((value, i) => putNumber(block, 386 + 12 * i, 12, Number(value)));
        putNumber(block, 483, 12, SPARSE_SIZE);
      },
    },
  ],
];

test('sparse files in all four forms have the content of the whole file', async () => {
  const whole = await entriesOfBytes(tarOf({ name: 'f', content: sparseContent() }));
  for (const [label, member] of SPARSE) {
    const found = await entriesOfBytes(tarOf(member, { name: 'next' }));
    assert.is(found.get('/f')!.digest, whole.get('/f')!.digest, label);
    assert.is(found.get('/f')!.size, SPARSE_SIZE, label);
    assert.equal([...found.keys()], ['/', '/f', '/next'], label);
  }
});

test('a sparse file of nothing but a hole', async () => {
  const whole = await entriesOfBytes(tarOf({ name: 'f', content: Buffer.alloc(SPARSE_SIZE) }));
  const rows: [string, string][][] = [
    [['GNU.sparse.size', size]],
    [
      ['GNU.sparse.size', size],
      ['GNU.sparse.map', ''],
    ],
    [
      ['GNU.sparse.size', size],
      ['GNU.sparse.map', `${size},0`],
    ],
  ];
  for (const pax of rows) {
    const found = await entriesOfBytes(tarOf({ name: 'f', pax }));
    assert.is(found.get('/f')!.digest, whole.get('/f')!.digest, JSON.stringify(pax));
  }
});

test('an old sparse map goes on in further blocks', async () => {
  const count = 4 + 21 + 3;
  const block = Buffer.alloc(2 * 512);
  for (let i = 4; i < count; i++) {
    const at = (i < 25 ? 24 * (i - 4) : 512 + 24 * (i - 25)) | 0;
    putNumber(block, at, 12, 100 * i);
    putNumber(block, at + 12, 12, 1);
  }
  block[504] = 1;
  const first = tarMember({
    name: 'f',
    type: 'S',
    magic: GNU_MAGIC,
    size: count,
    change: (head) => {
      for (let i = 0; i < 4; i++) {
        putNumber(head, 386 + 24 * i, 12, 100 * i);
        putNumber(head, 386 + 24 * i + 12, 12, 1);
      }
      head[482] = 1;
      putNumber(head, 483, 12, 100 * count);
    },
  });
  const data = Buffer.alloc(512);
  data.fill('x', 0, count);
  const whole = Buffer.alloc(100 * count);
  for (let i = 0; i < count; i++) whole.write('x', 100 * i);
  const found = await entriesOfBytes(tarOf(first, block, data, { name: 'next' }));
  const expected = await entriesOfBytes(tarOf({ name: 'f', content: whole }));
  assert.is(found.get('/f')!.digest, expected.get('/f')!.digest);
  assert.ok(found.has('/next'));
});

// --- stream and store ----------------------------------------------------------------------------------

test('pieces of any size give the same tree', async () => {
  const bytes = tarOf(
    { name: 'a', content: 'x'.repeat(2000), pax: [['path', 'b']] },
    { name: 'c', content: 'y' },
  );
  const digests = (root: TreeNode): string => root.children!.map(show).join();
  const expected = digests(await treeOfBytes(bytes));
  for (const pieceSize of [1, 7, 511, 512, 513, 4096]) {
    assert.is(digests(await treeOfBytes(bytes, {}, pieceSize)), expected, `${pieceSize}`);
  }
});

const BIG = 3 << 20;

/** Large ones are staged while they are read, small ones are hashed first; holes stay holes. */
test('contents go into the store as they are, once', async () => {
  using dir = tempDir();
  const store = join(dir.path, 'objects');
  const big = Buffer.alloc(BIG, 'big content ');
  const path = join(dir.path, 'a.tar');
  const members: TarMember[] = [
    { name: 'big', content: big },
    { name: 'big2', content: big },
    { name: 'small', content: 'x'.repeat(65) },
    { name: 'inline', content: 'x'.repeat(64) },
    {
      name: 'sparse',
      content: 'end',
      pax: [
        ['GNU.sparse.size', String(BIG)],
        ['GNU.sparse.map', `${BIG - 4096},3`],
      ],
    },
  ];
  writeFileSync(path, tarOf(...members));
  const first = await readTar(path, { ...TAR_OPTIONS, store });
  assert.is(first.store!.copied, 3);
  assert.is(first.store!.copiedBytes, 2 * BIG + 65);
  for (const node of first.root.children!) {
    if (node.payload === undefined) continue;
    const object = join(store, node.payload);
    const fd = openSync(object, 'r');
    assert.is(computeDigest(fd, 'sha256'), node.digest, node.name);
    closeSync(fd);
    assert.is(statSync(object).size, node.size);
    assert.is(statSync(object).mode & 0o7777, 0o644);
    if (node.name === 'sparse') assert.ok(statSync(object).blocks * 512 < BIG / 2);
  }
  assert.equal(readFileSync(join(store, first.root.children![0]!.payload!)).compare(big), 0);
  const again = await readTar(path, { ...TAR_OPTIONS, store });
  assert.is(again.store!.copied, 0);
  assert.is(again.store!.present, 3);
  assert.equal(
    readdirSync(store).filter((name) => name.startsWith('.')),
    [],
  );
});

test('around the size up to which contents are hashed in memory', async () => {
  using dir = tempDir();
  const store = join(dir.path, 'objects');
  for (const length of [(1 << 20) - 1, 1 << 20, (1 << 20) + 1]) {
    const content = Buffer.alloc(length);
    content.write('x', 5000);
    const pax = [
      ['GNU.sparse.size', String(length)],
      ['GNU.sparse.map', '5000,1'],
    ] as const;
    const members: TarMember[] = [
      { name: 'sparse', content: 'x', pax },
      { name: 'whole', content },
    ];
    const { children } = await treeOfBytes(tarOf(...members), { store });
    assert.is(children![0]!.digest, children![1]!.digest, `${length}`);
    assert.is(readFileSync(join(store, children![0]!.payload!)).compare(content), 0);
  }
});

test('the record of an archive: what it was, and what was inside', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.tar.gz');
  const tar = tarOf({ name: 'a', content: 'x'.repeat(3000) });
  // Members one after the other, and zeros after them, as gzip takes them.
  const file = Buffer.concat([
    gzipSync(tar.subarray(0, 700)),
    gzipSync(tar.subarray(700)),
    Buffer.alloc(100),
  ]);
  writeFileSync(path, file);
  const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  assert.equal((await readTar(path, TAR_OPTIONS)).archive, {
    compression: 'gzip',
    bytes: file.length,
    sha256: sha256(file),
    tarBytes: tar.length,
    tarSha256: sha256(tar),
  });
  writeFileSync(path, tar);
  const { archive } = await readTar(path, TAR_OPTIONS);
  assert.is(archive.compression, 'none');
  assert.is(archive.sha256, archive.tarSha256);
});

test('a file whose name looks like a compressed archive is a file', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.tar');
  for (const name of ['BZh9', '\x1f\x8b', '(\xb5/\xfd']) {
    writeFileSync(path, tarOf({ name }));
    const { root } = await readTar(path, TAR_OPTIONS);
    assert.is(`/${name}`, [...walkTree(root)].at(-1)!.path);
  }
});

test('an archive may be padded with any number of zeros', async () => {
  const tar = tarOf({ name: 'a' });
  for (const zeros of [0, 1, 511, 512, 10_240]) {
    const root = await treeOfBytes(Buffer.concat([tar, Buffer.alloc(zeros)]));
    assert.is(root.children!.length, 1, `${zeros}`);
  }
  assert.is((await treeOfBytes(TAR_END)).children!.length, 0);
});

test.run();
