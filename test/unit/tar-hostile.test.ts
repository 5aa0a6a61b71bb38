/**
 * Archives that lie, overreach, or mean different things to different readers: each is refused with its own code, or
 * gives a result that is safe.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PAX_SIZE_MAX, TAR_LIMITS } from '../../toolchain/image/tar-limits.ts';
import { readTar, type ReadTarOptions } from '../../toolchain/image/tar.ts';
import { codeOfRejection, expectCodeAsync } from '../support/expect-code.ts';
import { entriesOfBytes, TAR_OPTIONS, treeOfBytes } from '../support/tar-lab.ts';
import {
  GNU_MAGIC,
  longName,
  paxHeader,
  paxRecord,
  putNumber,
  TAR_END,
  tarMember,
  tarOf,
  type Pax,
  type TarMember,
} from '../support/tar-writer.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('hostile tar');

type Members = readonly (TarMember | Buffer)[];
type Row = readonly [label: string, code: string, ...members: Members];

/** Runs every row: the code it is refused with. */
async function refuseAll(
  rows: readonly Row[],
  options: Partial<ReadTarOptions> = {},
): Promise<void> {
  for (const [label, code, ...members] of rows) {
    await expectCodeAsync(() => treeOfBytes(tarOf(...members), options), code, label);
  }
}

const withPax = (...pax: Pax): TarMember => ({ name: 'f', pax });
const rawPax = (text: string): [Buffer, TarMember] => [paxHeader('x', text), { name: 'f' }];
const symlink = (name: string, linkName: string): TarMember => ({ name, type: '2', linkName });
const hardlink = (name: string, linkName: string): TarMember => ({ name, type: '1', linkName });
const change =
  (at: number, bytes: string) =>
  (block: Buffer): void =>
    void block.write(bytes, at, 'latin1');

test('names that lead out of the tree', async () => {
  await refuseAll([
    ['up', 'FORMAT_TAR_TRAVERSAL', { name: '../etc/passwd' }],
    ['up and down', 'FORMAT_TAR_TRAVERSAL', { name: 'a/../b' }],
    ['up at the end', 'FORMAT_TAR_TRAVERSAL', { name: 'a/..', type: '5' }],
    ['up behind a slash', 'FORMAT_TAR_TRAVERSAL', { name: '/../x' }],
    ['up behind a dot', 'FORMAT_TAR_TRAVERSAL', { name: './../x' }],
    ['up in PAX', 'FORMAT_TAR_TRAVERSAL', withPax(['path', '../x'])],
    ['up in a long name', 'FORMAT_TAR_TRAVERSAL', longName('../x'), { name: 'x' }],
    ['up in a sparse name', 'FORMAT_TAR_TRAVERSAL', withPax(['GNU.sparse.name', '../x'])],
    ['a hardlink up', 'FORMAT_TAR_TRAVERSAL', hardlink('f', '../../etc/shadow')],
  ]);
  // What only looks like it is a name like any other.
  const found = await entriesOfBytes(tarOf({ name: '..a/...' }, { name: '/etc/passwd' }));
  assert.equal([...found.keys()], ['/', '/..a', '/..a/...', '/etc', '/etc/passwd']);
});

test('entries below a symlink or a file', async () => {
  await refuseAll([
    ['below', 'FORMAT_TAR_SYMLINK', symlink('a', '/etc'), { name: 'a/passwd' }],
    ['below a link inside', 'FORMAT_TAR_SYMLINK', symlink('a', 'b'), { name: 'a/x' }],
    ['deep below', 'FORMAT_TAR_SYMLINK', symlink('d/a', '..'), { name: 'd/a/b/c', type: '5' }],
    [
      'a hardlink below',
      'FORMAT_TAR_SYMLINK',
      { name: 'f' },
      symlink('a', '/'),
      hardlink('a/x', 'f'),
    ],
    [
      'below a second name of a symlink',
      'FORMAT_TAR_SYMLINK',
      symlink('a', '/'),
      hardlink('b', 'a'),
      { name: 'b/x' },
    ],
    ['below a file', 'FORMAT_TAR_PARENT', { name: 'a' }, { name: 'a/b' }],
    ['below a pipe', 'FORMAT_TAR_PARENT', { name: 'a', type: '6' }, { name: 'a/b' }],
    ['a file for a full directory', 'FORMAT_TAR_REPLACE', { name: 'a/b' }, { name: 'a' }],
    ['a symlink for one', 'FORMAT_TAR_REPLACE', { name: 'a/b' }, symlink('a', '/')],
    [
      'a hardlink for one',
      'FORMAT_TAR_REPLACE',
      { name: 'f' },
      { name: 'a/b' },
      hardlink('a', 'f'),
    ],
  ]);
  await expectCodeAsync(
    () =>
      treeOfBytes(tarOf(symlink('a', '/'), hardlink('b', 'a'), { name: 'b/x' }), {
        hardlinks: true,
      }),
    'FORMAT_TAR_SYMLINK',
  );
});

test('names and targets that nothing can have', async () => {
  const name256 = 'x'.repeat(256);
  const deep = 'd/'.repeat(2048);
  await refuseAll([
    ['no name', 'FORMAT_TAR_NAME', { name: '' }],
    ['NUL in PAX', 'FORMAT_TAR_NAME', withPax(['path', 'a\0b'])],
    ['a part of 256 bytes', 'FORMAT_TAR_NAME', withPax(['path', name256])],
    ['such a parent', 'FORMAT_TAR_NAME', withPax(['path', `${name256}/x`])],
    ['a path of 4097 bytes', 'FORMAT_TAR_NAME', withPax(['path', `${deep}x`])],
    ['the root as a file', 'FORMAT_TAR_NAME', { name: '.', content: 'x' }],
    ['the root as a symlink', 'FORMAT_TAR_NAME', symlink('./', '/')],
    ['a symlink with a slash', 'FORMAT_TAR_NAME', symlink('a/', 'b')],
    ['a file with a slash', 'FORMAT_TAR_NAME', { name: 'a/', content: 'x' }],
    ['a symlink to nothing', 'FORMAT_TAR_TARGET', symlink('a', '')],
    [
      'a target with NUL',
      'FORMAT_TAR_TARGET',
      { ...symlink('a', 'b'), pax: [['linkpath', 'a\0']] },
    ],
    [
      'a target of 4096 bytes',
      'FORMAT_TAR_TARGET',
      { ...symlink('a', 'b'), pax: [['linkpath', 'x'.repeat(4096)]] },
    ],
    ['a hardlink without target', 'FORMAT_TAR_NAME', hardlink('a', '')],
  ]);
  const longest = 'd/'.repeat(2047);
  const found = await entriesOfBytes(tarOf(withPax(['path', `${longest}x`])));
  assert.is(found.size, 2049, 'a path of 4095 bytes is taken');
});

test('hardlinks that lead nowhere', async () => {
  await refuseAll([
    ['missing', 'FORMAT_TAR_HARDLINK', hardlink('a', 'b')],
    ['itself', 'FORMAT_TAR_HARDLINK', hardlink('a', 'a')],
    ['a later entry', 'FORMAT_TAR_HARDLINK', hardlink('a', 'b'), { name: 'b' }],
    ['a directory', 'FORMAT_TAR_HARDLINK', { name: 'd/', type: '5' }, hardlink('a', 'd')],
    ['the root', 'FORMAT_TAR_HARDLINK', hardlink('a', '.')],
    ['the root to a file', 'FORMAT_TAR_HARDLINK', { name: 'f' }, hardlink('./', 'f')],
    [
      'through a symlink',
      'FORMAT_TAR_HARDLINK',
      { name: 'd/f' },
      symlink('l', 'd'),
      hardlink('a', 'l/f'),
    ],
  ]);
});

test('types and what they may carry', async () => {
  const directory = { name: 'd/', type: '5' };
  await refuseAll([
    ['a socket', 'FORMAT_TAR_TYPE', { name: 's', type: 's' }],
    ['of another volume', 'FORMAT_TAR_TYPE', { name: 'm', type: 'M' }],
    ['of an incremental dump', 'FORMAT_TAR_TYPE', { name: 'd', type: 'D' }],
    ['the record of one', 'FORMAT_TAR_TYPE', withPax(['GNU.dumpdir', 'Yx\0\0'])],
    ["star's sparse files", 'FORMAT_TAR_TYPE', { name: 's', type: 'S' }],
    ['a directory with content', 'FORMAT_TAR_SIZE', { ...directory, content: 'x' }],
    ['a directory with a size', 'FORMAT_TAR_SIZE', { ...directory, size: 4096 }],
    ['a symlink with content', 'FORMAT_TAR_SIZE', { ...symlink('a', 'b'), content: 'x' }],
    [
      'a hardlink with content',
      'FORMAT_TAR_SIZE',
      { name: 'f' },
      { ...hardlink('a', 'f'), size: 1 },
    ],
    ['a device with content', 'FORMAT_TAR_SIZE', { name: 'c', type: '3', pax: [['size', '1']] }],
    ['major 4096', 'FORMAT_TAR_DEVICE', { name: 'c', type: '3', major: 4096 }],
    ['minor 2^20', 'FORMAT_TAR_DEVICE', { name: 'b', type: '4', minor: 2 ** 20 }],
  ]);
});

test('numbers out of their range', async () => {
  const number = (at: number, value: number) => (block: Buffer) => putNumber(block, at, 12, value);
  await refuseAll([
    ['a negative size', 'FORMAT_TAR_NUMBER', { name: 'f', change: number(124, -512) }],
    ['a negative owner', 'FORMAT_TAR_NUMBER', { name: 'f', uid: -1 }],
    ['an owner of 33 bits', 'FORMAT_TAR_NUMBER', { name: 'f', gid: 2 ** 32 }],
    ['the same in PAX', 'FORMAT_TAR_NUMBER', withPax(['uid', '4294967296'])],
    [
      'a size beyond 96 bits',
      'FORMAT_TAR_NUMBER',
      { name: 'f', change: change(124, '\xbf'.padEnd(12, '\xff')) },
    ],
    ['a size in words', 'FORMAT_TAR_NUMBER', { name: 'f', change: change(124, 'many') }],
    ['a mode in decimal', 'FORMAT_TAR_NUMBER', { name: 'f', change: change(100, '0000689\0') }],
    ['a time in words', 'FORMAT_TAR_NUMBER', { name: 'f', change: change(136, 'today') }],
    ['a size in PAX', 'FORMAT_TAR_PAX', withPax(['size', '-1'])],
    ['one of 17 digits', 'FORMAT_TAR_PAX', withPax(['size', '10000000000000000'])],
    ['a time in PAX', 'FORMAT_TAR_PAX', withPax(['mtime', '1e9'])],
    ['a time of 16 digits', 'FORMAT_TAR_PAX', withPax(['mtime', '1000000000000000'])],
    ['an owner in PAX', 'FORMAT_TAR_PAX', withPax(['uid', '0x0'])],
  ]);
  // The largest number that a header holds is taken as a size, and then the archive is too short.
  await refuseAll([
    ['a size of 2^53 - 1', 'FORMAT_TAR_TRUNCATED', { name: 'f', change: number(124, 2 ** 53 - 1) }],
  ]);
});

test('headers with a wrong checksum, and files that are no archive', async () => {
  const tar = tarOf({ name: 'a', content: 'x'.repeat(600) }, { name: 'b' });
  for (const at of [0, 99, 124, 148, 156, 257, 345, 511]) {
    for (const header of [0, 3 * 512]) {
      const bytes = Buffer.from(tar);
      bytes[header + at]! ^= 0x01;
      await expectCodeAsync(() => treeOfBytes(bytes), 'FORMAT_TAR_CHECKSUM', `${header} + ${at}`);
    }
  }
  for (const content of ['hello\n'.repeat(200), '\x7fELF'.padEnd(600, 'x')]) {
    await expectCodeAsync(() => treeOfBytes(Buffer.from(content)), 'FORMAT_TAR_CHECKSUM', content);
  }
});

test('PAX headers that are malformed', async () => {
  const [key, value] = ['comment', 'x'];
  const good = paxRecord(key, value);
  await refuseAll(
    [
      ['no newline', good.slice(0, -1)],
      ['another byte for it', `${good.slice(0, -1)}x`],
      ['too long', good.replace('13 ', '14 ')],
      ['too short', good.replace('13 ', '12 ')],
      ['no length', good.slice(3)],
      ['length zero', '0 a=b\n'],
      ['only its length', '3 \n'],
      ['a length that ends before its key', '2 a=b\n'],
      ['a negative length', '-13 comment=x\n'],
      ['a hexadecimal length', '0xd comment=x\n'],
      ['a length of 8 digits', '00000019 comment=x\n'],
      ['a length beyond the header', '999999 comment=x\n'],
      ['no =', '9 hello\n\n'.slice(0, 9)],
      ['an empty key', '6 =xx\n'],
      ['a second record without bytes', `${good}0 comment=x\n`],
      ['a second record that is cut', `${good}20 comment=cut\n`],
      ['zeros behind', `${good}\0\0\0`],
    ].map(([label, text]) => [label!, 'FORMAT_TAR_PAX', ...rawPax(text!)]),
  );
  await refuseAll([
    ['two of them', 'FORMAT_TAR_PAX', paxHeader('x', good), ...rawPax(good)],
    ['a path for all', 'FORMAT_TAR_PAX', paxHeader('g', [['path', 'x']]), { name: 'f' }],
    ['a size for all', 'FORMAT_TAR_PAX', paxHeader('g', [['size', '1']]), { name: 'f' }],
    ['a hole for all', 'FORMAT_TAR_PAX', paxHeader('g', [['GNU.sparse.size', '1']]), { name: 'f' }],
    ['none follows', 'FORMAT_TAR_TRUNCATED', paxHeader('x', good)],
  ]);
});

test('headers without end', async () => {
  const huge = (type: string): TarMember => ({ name: 'h', type, size: 2 ** 33 - 1 });
  const big = 'x'.repeat(PAX_SIZE_MAX / 2);
  const global = (key: string): Buffer => paxHeader('g', [[`SCHILY.xattr.user.${key}`, big]]);
  await refuseAll([
    ['a PAX header of 8 GB', 'FORMAT_TAR_SIZE', huge('x')],
    ['a global one', 'FORMAT_TAR_SIZE', huge('g')],
    ['a long name of 8 GB', 'FORMAT_TAR_SIZE', huge('L')],
    ['a long link name', 'FORMAT_TAR_SIZE', huge('K')],
    ['a label', 'FORMAT_TAR_SIZE', huge('V')],
    [
      'a long name of 64 KB and a byte',
      'FORMAT_TAR_SIZE',
      longName('x'.repeat(65_536)),
      { name: 'f' },
    ],
    [
      'a long name after another',
      'FORMAT_TAR_LONG_NAME',
      longName('a'),
      longName('b'),
      { name: 'f' },
    ],
    [
      'a long link name after another',
      'FORMAT_TAR_LONG_NAME',
      longName('a', 'K'),
      longName('b', 'K'),
      { name: 'f' },
    ],
    ['an empty long name', 'FORMAT_TAR_LONG_NAME', longName(''), { name: 'f' }],
    ['a long name behind its NUL', 'FORMAT_TAR_LONG_NAME', longName('a\0b'), { name: 'f' }],
    ['a long name and PAX', 'FORMAT_TAR_LONG_NAME', longName('a'), withPax(['path', 'b'])],
    [
      'a long link name and PAX',
      'FORMAT_TAR_LONG_NAME',
      longName('a', 'K'),
      { ...symlink('f', 'x'), pax: [['linkpath', 'b']] },
    ],
    ['a long name and nothing', 'FORMAT_TAR_TRUNCATED', longName('a')],
    ['global headers that add up', 'FORMAT_TAR_SIZE', global('a'), global('b')],
  ]);
  const label = tarMember({ name: 'label', type: 'V' });
  assert.equal([...(await entriesOfBytes(tarOf(label, { name: 'f' }))).keys()], ['/', '/f']);
});

test('extended attributes that no image can hold', async () => {
  const xattr = (key: string, value: string): TarMember => withPax([`SCHILY.xattr.${key}`, value]);
  await refuseAll([
    ['no name', 'FORMAT_TAR_XATTR', xattr('', 'x')],
    ['a name of 256 bytes', 'FORMAT_TAR_XATTR', xattr('x'.repeat(256), '')],
    ['a name with NUL', 'FORMAT_TAR_XATTR', xattr('user.a%00b', '')],
    ['a value of 64 KB', 'FORMAT_TAR_XATTR', xattr('user.a', 'x'.repeat(65_536))],
    ['32 KB in all', 'FORMAT_TAR_XATTR', xattr('user.a', 'x'.repeat(32_768))],
    ['no base64', 'FORMAT_TAR_XATTR', withPax(['LIBARCHIVE.xattr.user.a', 'a b'])],
    [
      'two values',
      'FORMAT_TAR_XATTR',
      withPax(['LIBARCHIVE.xattr.user.a', 'aGk='], ['SCHILY.xattr.user.a', 'ho']),
    ],
    ['a named user', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.access', 'user::rwx,user:joe:r--'])],
    ['a kind of list', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.ace', 'owner@:r:allow'])],
    ['an unknown tag', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.access', 'nobody::rwx'])],
    ['odd permissions', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.access', 'user::rwX'])],
    ['too many parts', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.access', 'user:1:rwx:1:1'])],
    ['a mask of someone', 'FORMAT_TAR_ACL', withPax(['SCHILY.acl.access', 'mask:1:rwx'])],
  ]);
});

test('sparse maps that contradict themselves', async () => {
  const map = (text: string, size = '6000', content = 'abcdefg'): TarMember => ({
    name: 'f',
    content,
    pax: [
      ['GNU.sparse.size', size],
      ['GNU.sparse.map', text],
    ],
  });
  const lines = (text: string, padding = '\0'): TarMember => ({
    name: 'f',
    content: `${text.padEnd(512, padding)}abcdefg`,
    pax: [
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '6000'],
    ],
  });
  const old = (values: readonly number[], realSize = 6000): TarMember => ({
    name: 'f',
    type: 'S',
    magic: GNU_MAGIC,
    content: 'abcdefg',
    change: (block) => {
      values.forEach((value, i) => putNumber(block, 386 + 12 * i, 12, value));
      putNumber(block, 483, 12, realSize);
    },
  });
  const rows: [label: string, member: TarMember][] = [
    ['regions that overlap', map('1000,4,1003,3')],
    ['the same region twice', map('1000,3,1000,4')],
    ['regions out of order', map('5000,4,1000,3')],
    ['a region beyond the end', map('1000,3,5997,4')],
    ['less data than follow', map('1000,3,5000,3')],
    ['more data than follow', map('1000,3,5000,5')],
    ['an odd count', map('1000,3,5000')],
    ['no size', { ...map('0,7'), pax: [['GNU.sparse.map', '0,7']] }],
    ['offsets out of turn', withPax(['GNU.sparse.size', '9'], ['GNU.sparse.numbytes', '1'])],
    ['version 2.0', withPax(['GNU.sparse.major', '2'], ['GNU.sparse.minor', '0'])],
    ['version 1.1', withPax(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '1'])],
    ['version 1.0 without data', { ...lines(''), content: '' }],
    ['no count', lines('\n0\n7\n')],
    ['a count of words', lines('two\n0\n7\n')],
    ['a negative number', lines('1\n-1\n7\n')],
    ['a number beyond 2^53', lines('1\n99999999999999999\n7\n')],
    ['a count that never ends', lines('9'.repeat(512))],
    ['two million regions', lines('2000000\n')],
    ['more lines than data', lines('100000\n', '1\n')],
    ['bytes behind the lines', lines('1\n0\n7\n', 'x')],
    ['a symlink with holes', { ...symlink('f', 'x'), pax: [['GNU.sparse.size', '9']] }],
    ['a type S with records', { ...old([0, 7]), pax: [['GNU.sparse.map', '0,7']] }],
    ['old regions that overlap', old([0, 4, 3, 3])],
    ['an old region beyond the end', old([5990, 7], 5996)],
    ['an old negative region', old([-7, 7])],
    ['an old region of negative size', old([10, -3, 7, 10])],
    ['an old negative size', old([0, 7], -1)],
  ];
  await refuseAll(rows.map(([label, member]) => [label, 'FORMAT_TAR_SPARSE', member]));
  await refuseAll([
    ['a number in words', 'FORMAT_TAR_PAX', map('1000,three')],
    ['a size of 2^54', 'FORMAT_TAR_PAX', map('0,7', '18014398509481984')],
    [
      'an old number in words',
      'FORMAT_TAR_NUMBER',
      { ...old([]), change: change(386, '000000000000many') },
    ],
  ]);
  // Blocks that say there are more, without end.
  const block = Buffer.alloc(512, 0);
  block[504] = 1;
  putNumber(block, 0, 12, 0);
  putNumber(block, 12, 12, 0);
  const endless = tarMember({
    ...old([0, 7]),
    content: '',
    size: 7,
    change: (head) => (head[482] = 1),
  });
  await expectCodeAsync(
    () => treeOfBytes(Buffer.concat([endless, ...Array<Buffer>(100).fill(block)])),
    'FORMAT_TAR_TRUNCATED',
  );
});

test('an archive that ends too early, at every byte', async () => {
  const tar = tarOf(
    { name: 'a', content: 'x'.repeat(600), pax: [['mtime', '1.5']] },
    longName('n'.repeat(150)),
    { name: 'n', magic: GNU_MAGIC, content: 'y' },
    { name: 'd/', type: '5' },
  );
  assert.is((await treeOfBytes(tar)).children!.length, 3);
  for (let size = 0; size < tar.length; size += size % 512 < 2 || size % 512 > 509 ? 1 : 50) {
    const code = await codeOfRejection(() => treeOfBytes(tar.subarray(0, size)));
    assert.is(code, 'FORMAT_TAR_TRUNCATED', `${size} of ${tar.length} bytes`);
  }
});

test('anything after the end', async () => {
  const tar = tarOf({ name: 'a' });
  const rows: [string, Buffer][] = [
    ['another archive', Buffer.concat([tar, tarOf({ name: 'b' })])],
    ['an entry', Buffer.concat([tar, tarMember({ name: 'b' })])],
    ['an entry after one block of zeros', Buffer.concat([tar.subarray(0, -512), tar])],
    ['a byte', Buffer.concat([tar, Buffer.from('x')])],
    ['a byte after many zeros', Buffer.concat([tar, Buffer.alloc(100_000), Buffer.from('x')])],
  ];
  for (const [label, bytes] of rows) {
    await expectCodeAsync(() => treeOfBytes(bytes), 'FORMAT_TAR_TRAILING', label);
  }
});

// --- what an archive may cost --------------------------------------------------------------------------

test('entries beyond the limit, and directories that paths imply', async () => {
  const limits = { ...TAR_LIMITS, entries: 100 };
  const many = Array.from({ length: 100 }, (_, i) => ({ name: `f${i}` }));
  await refuseAll(
    [
      ['entries', 'FORMAT_TAR_ENTRIES', ...many],
      ['parts of a path', 'FORMAT_TAR_ENTRIES', withPax(['path', 'd/'.repeat(100) + 'f'])],
    ],
    { limits },
  );
  const most = await treeOfBytes(tarOf(...many.slice(1)), { limits });
  assert.is(most.children!.length, 99, 'with the root, these are as many as the limit');
  const again = Array.from({ length: 500 }, () => ({ name: 'f' }));
  assert.is((await treeOfBytes(tarOf(...again), { limits })).children!.length, 1);
});

test('entries that replace others, beyond the limit of these', async () => {
  const limits = { ...TAR_LIMITS, replaced: 10 };
  const again = Array.from({ length: 11 }, () => ({ name: 'f' }));
  const most = await treeOfBytes(tarOf(...again), { limits });
  assert.is(most.children!.length, 1, 'one, and ten that it replaced');
  await refuseAll([['one more', 'FORMAT_TAR_ENTRIES', ...again, { name: 'f' }]], { limits });
});

test('more bytes than the limit, also when they are holes', async () => {
  const limits = { ...TAR_LIMITS, totalBytes: 100_000 };
  const hole: TarMember = withPax(['GNU.sparse.size', '8000000000000000']);
  await refuseAll(
    [
      ['bytes', 'FORMAT_TAR_TOTAL', { name: 'f', content: Buffer.alloc(100_000) }],
      ['a hole', 'FORMAT_TAR_TOTAL', hole],
    ],
    { limits },
  );
  await refuseAll([['a hole of 8 PB, by the default', 'FORMAT_TAR_TOTAL', hole]]);
});

test('an archive that grows more than any honest one', async () => {
  const limits = { ...TAR_LIMITS, ratioFromBytes: 100_000 };
  using dir = tempDir();
  const path = join(dir.path, 'bomb.tar.gz');
  const store = join(dir.path, 'objects');
  const read = (): Promise<unknown> => readTar(path, { ...TAR_OPTIONS, store, limits });
  // gzip makes a thousandth of zeros.
  writeFileSync(path, gzipSync(tarOf({ name: 'zeros', content: Buffer.alloc(3_000_000) })));
  await expectCodeAsync(read, 'FORMAT_TAR_RATIO');
  assert.equal(readdirSync(store), [], 'nothing is left in the store');
  const small = gzipSync(tarOf({ name: 'zeros', content: Buffer.alloc(90_000) }));
  writeFileSync(path, small);
  await read();
  // A sparse file needs no compression to be large.
  const hole = withPax(['GNU.sparse.size', '90000000']);
  await refuseAll([['a hole', 'FORMAT_TAR_RATIO', hole]], { limits });
});

test('compressed data that are damaged, cut off or unknown', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.tar.gz');
  const tar = tarOf({ name: 'a', content: 'some content '.repeat(100) });
  const gz = gzipSync(tar);
  const damaged = Buffer.from(gz);
  damaged[damaged.length - 6]! ^= 1;
  const rows: [label: string, bytes: Buffer, code: string][] = [
    ['cut off', gz.subarray(0, -9), 'FORMAT_TAR_COMPRESSION'],
    ['only its magic', gz.subarray(0, 3), 'FORMAT_TAR_COMPRESSION'],
    ['a wrong checksum', damaged, 'FORMAT_TAR_COMPRESSION'],
    ['something behind', Buffer.concat([gz, Buffer.from('junk')]), 'FORMAT_TAR_COMPRESSION'],
    [
      'something behind zeros',
      Buffer.concat([gz, Buffer.from('\0\0\0junk')]),
      'FORMAT_TAR_COMPRESSION',
    ],
    ['compressed twice', gzipSync(gz), 'FORMAT_TAR_TRUNCATED'],
    ['bzip2', Buffer.from('BZh91AY&SY'), 'FORMAT_TAR_COMPRESSION'],
    ['zip', Buffer.from('PK\x03\x04'.padEnd(600, 'x')), 'FORMAT_TAR_COMPRESSION'],
    ['empty', Buffer.alloc(0), 'FORMAT_TAR_TRUNCATED'],
  ];
  for (const [label, bytes, code] of rows) {
    writeFileSync(path, bytes);
    await expectCodeAsync(() => readTar(path, TAR_OPTIONS), code, label);
  }
});

test('files that cannot be read', async () => {
  using dir = tempDir();
  const options = { ...TAR_OPTIONS, store: join(dir.path, 'objects') };
  await expectCodeAsync(() => readTar(dir.path, options), 'USAGE_NOT_A_FILE');
  const missing = join(dir.path, 'none');
  const error = await expectCodeAsync(() => readTar(missing, options), 'HOST_NOT_FOUND');
  assert.ok(error.message.includes(missing), 'it is named');
  assert.not.ok(existsSync(options.store), 'no store is made for nothing');
});

test('an archive that is refused leaves no staged content', async () => {
  using dir = tempDir();
  const store = join(dir.path, 'objects');
  const big: TarMember = { name: 'big', content: Buffer.alloc(2 << 20, 'x') };
  const cut = tarMember(big).subarray(0, 1 << 20);
  for (const bytes of [cut, tarOf(big, { name: '../x' }), Buffer.concat([TAR_END, cut])]) {
    await codeOfRejection(() => treeOfBytes(bytes, { store }));
    assert.equal(
      readdirSync(store),
      [],
      'no staging directory, and no object of a refused archive',
    );
  }
});

test('an interruption ends the reading', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.tar');
  writeFileSync(path, tarOf({ name: 'f', content: Buffer.alloc(4 << 20) }));
  const controller = new AbortController();
  controller.abort(new Error('stopped'));
  const read = readTar(path, { ...TAR_OPTIONS, interrupted: controller.signal });
  await read.then(
    () => assert.unreachable('it was not interrupted'),
    (error: Error) => assert.is(error.message, 'stopped'),
  );
});

test.run();
