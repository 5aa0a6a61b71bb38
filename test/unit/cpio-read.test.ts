/** cpio archives to trees: three forms, names of one file, and archives that lie, each refused with its own code. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpioArchive } from '../../toolchain/disk/cpio.ts';
import { readCpio, tableOfCpio } from '../../toolchain/image/cpio.ts';
import { TAR_LIMITS, type TarLimits } from '../../toolchain/image/tar-limits.ts';
import { TarStream } from '../../toolchain/image/tar-stream.ts';
import type { ReadTarOptions } from '../../toolchain/image/tar.ts';
import { treeOfTable } from '../../toolchain/image/tree-table.ts';
import { type TreeNode, walkTree } from '../../toolchain/image/tree.ts';
import { ENTRIES } from '../support/cpio-entries.ts';
import { cpioMember, type CpioMember, cpioOf } from '../support/cpio-writer.ts';
import { codeOfRejection, expectCodeAsync } from '../support/expect-code.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('cpio as a source');

const DIRECTORY = 0o040755;
const SYMLINK = 0o120777;

function read(
  bytes: Uint8Array,
  options: Partial<ReadTarOptions> = {},
  pieceSize = bytes.length,
): Promise<TreeNode> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceSize) yield bytes.subarray(at, at + pieceSize);
  }
  const limits = options.limits ?? TAR_LIMITS;
  const stream = new TarStream(pieces(), limits, () => bytes.length, 'cpio');
  return tableOfCpio(stream, { ...TAR_OPTIONS, ...options }).then(({ table }) =>
    treeOfTable(table),
  );
}

/** Each path with its mode and what it holds. */
function shown(root: TreeNode): string[] {
  return [...walkTree(root)].slice(1).map(({ path, node }) => {
    const { hardlink, content, payload, mode, rdev, nlink } = node;
    if (hardlink !== undefined) return `${path} = ${hardlink.name}`;
    const data = content === undefined ? (payload ?? rdev) : Buffer.from(content).toString();
    return `${path} ${mode.toString(8)} ${nlink} ${data}`;
  });
}

const symlink = (name: string, target: string): CpioMember => ({
  name,
  mode: SYMLINK,
  content: target,
});

test('each form, in pieces of any size', async () => {
  for (const form of ['newc', 'crc', 'odc'] as const) {
    const archive = cpioOf(
      { name: '.', mode: 0o040700, uid: 5, mtime: 7, form },
      { name: 'd', mode: DIRECTORY, form },
      { name: 'd/f', content: 'hello', gid: 6, mtime: 0o17777777777, form },
      { ...symlink('d/l', '../x'), form },
      { name: '/c', mode: 0o020600, rdevMajor: 5, rdevMinor: 1, form },
      { name: './pipe', mode: 0o010644, form },
      { name: 's', mode: 0o140755, form },
      { name: 'implied/e', form },
    );
    for (const size of [1, 3, 100, archive.length]) {
      const root = await read(archive, {}, size);
      assert.equal([root.mode, root.uid, root.mtimeSec], [0o040700, 5, 7], form);
      assert.equal(shown(root), [
        '/c 20600 1 1281',
        '/d 40755 1 0',
        '/d/f 100644 1 hello',
        '/d/l 120777 1 ../x',
        '/implied 40755 1 0',
        '/implied/e 100644 1 0',
        '/pipe 10644 1 0',
        '/s 140755 1 0',
      ]);
      const file = root.children!.find(({ name }) => name === 'd')!.children![0]!;
      assert.equal([file.gid, file.mtimeSec, file.mtimeNsec], [6, 0o17777777777, 0]);
    }
  }
});

test('what is written for an initramfs is read back', async () => {
  assert.equal(shown(await read(cpioArchive(ENTRIES))), [
    '/bin 40755 1 0',
    '/bin/sh 120777 1 busybox',
    '/bin/\xff name 100644 1 0',
    '/dev 40755 1 0',
    '/dev/console 20600 1 1281',
    '/init 100755 1 #!/bin/sh\n',
  ]);
});

test('gen_init_cpio counts the NUL of a target, cpio does not', async () => {
  assert.equal(shown(await read(cpioOf(symlink('l', 'x\0'), symlink('m', 'x')))), [
    '/l 120777 1 x',
    '/m 120777 1 x',
  ]);
});

const name = (path: string, content = ''): CpioMember => ({
  name: path,
  content,
  ino: 9,
  nlink: 3,
});

/** Where data come with one name, or with all. */
const LINKED: readonly (readonly [label: string, ...members: CpioMember[]])[] = [
  ['data last', name('a'), name('b'), name('c', 'data')],
  ['data first', name('a', 'data'), name('b'), name('c')],
  ['data with each', name('a', 'data'), name('b', 'data'), name('c', 'data')],
  ['something between', name('a'), { name: 'z', content: 'z' }, name('b'), name('c', 'data')],
];

test('names of one file have its data', async () => {
  for (const [label, ...members] of LINKED) {
    const split = (await shownOf(members)).filter((line) => !line.startsWith('/z'));
    assert.equal(
      split,
      ['a', 'b', 'c'].map((each) => `/${each} 100644 1 data`),
      label,
    );
    const kept = (await shownOf(members, true)).filter((line) => !line.startsWith('/z'));
    assert.equal(kept, ['/a 100644 3 data', '/b = a', '/c = a'], label);
  }
  const big = 'big '.repeat(100);
  for (const line of await shownOf([name('a'), name('b', big)])) {
    assert.match(line, /^\/. 100644 1 [0-9a-f]{2}\/[0-9a-f]{62}$/, 'an object');
  }
  const apart = [
    name('a', 'A'),
    { ...name('b', 'B'), devMinor: 1 },
    { ...name('c', 'C'), nlink: 1 },
  ];
  assert.equal(await shownOf(apart), ['/a 100644 1 A', '/b 100644 1 B', '/c 100644 1 C']);
  assert.equal(await shownOf([name('a'), name('b')]), ['/a 100644 1 0', '/b 100644 1 0'], 'empty');
});

async function shownOf(members: readonly CpioMember[], hardlinks = false): Promise<string[]> {
  return shown(await read(cpioOf(...members), { hardlinks }));
}

test('the later of two entries with one path counts, and a directory keeps what is in it', async () => {
  const archive = cpioOf(
    { name: 'd', mode: DIRECTORY },
    { name: 'd/f', content: 'old' },
    { name: 'd/f', content: 'new' },
    { name: 'd', mode: 0o040711 },
  );
  assert.equal(shown(await read(archive)), ['/d 40711 1 0', '/d/f 100644 1 new']);
});

type Row = readonly [label: string, code: string, ...members: CpioMember[]];

const HOSTILE: readonly Row[] = [
  ['up', 'FORMAT_CPIO_TRAVERSAL', { name: '../etc/passwd' }],
  ['up and down', 'FORMAT_CPIO_TRAVERSAL', { name: 'a/../b' }],
  ['below a symlink', 'FORMAT_CPIO_SYMLINK', symlink('l', '/'), { name: 'l/f' }],
  ['below a file', 'FORMAT_CPIO_PARENT', { name: 'f' }, { name: 'f/g' }],
  ['over a full directory', 'FORMAT_CPIO_REPLACE', { name: 'd/f' }, { name: 'd' }],
  ['no name', 'FORMAT_CPIO_NAME', { name: '' }],
  ['a name without a size', 'FORMAT_CPIO_NAME', { name: 'f', nameSize: 0 }],
  ['a name of 4097 bytes', 'FORMAT_CPIO_NAME', { name: 'd/'.repeat(2048) }],
  ['a part of 256 bytes', 'FORMAT_CPIO_NAME', { name: 'n'.repeat(256) }],
  ['a name without its NUL', 'FORMAT_CPIO_NAME', { name: 'f', nameBytes: 'ff' }],
  ['a name that goes on', 'FORMAT_CPIO_NAME', { name: 'f', nameBytes: 'f\0g\0' }],
  ['a file for the root', 'FORMAT_CPIO_NAME', { name: '.' }],
  ['a slash behind a file', 'FORMAT_CPIO_NAME', { name: 'f/' }],
  ['a target of nothing', 'FORMAT_CPIO_TARGET', symlink('l', '')],
  ['a target of NUL', 'FORMAT_CPIO_TARGET', symlink('l', '\0')],
  ['a target with NUL', 'FORMAT_CPIO_TARGET', symlink('l', 'a\0b')],
  ['a target of 4097 bytes', 'FORMAT_CPIO_TARGET', symlink('l', 't'.repeat(4097))],
  ['a directory with content', 'FORMAT_CPIO_SIZE', { name: 'd', mode: DIRECTORY, content: 'x' }],
  ['a device with content', 'FORMAT_CPIO_SIZE', { name: 'c', mode: 0o020600, content: 'x' }],
  ['a trailer with content', 'FORMAT_CPIO_SIZE', { name: 'TRAILER!!!', content: 'x' }],
  ['no type', 'FORMAT_CPIO_TYPE', { name: 'f', mode: 0o644 }],
  ['an unknown type', 'FORMAT_CPIO_TYPE', { name: 'f', mode: 0o170644 }],
  ['bits above the type', 'FORMAT_CPIO_TYPE', { name: 'f', mode: 0o1100644 }],
  ['a device major', 'FORMAT_CPIO_DEVICE', { name: 'c', mode: 0o020600, rdevMajor: 4096 }],
  ['a device minor', 'FORMAT_CPIO_DEVICE', { name: 'c', mode: 0o060600, rdevMinor: 1 << 20 }],
  [
    'a device above odc',
    'FORMAT_CPIO_DEVICE',
    { name: 'c', mode: 0o020600, rdevMajor: 0x3ff, rdevMinor: 0xff, form: 'odc' },
  ],
  [
    'no digits',
    'FORMAT_CPIO_NUMBER',
    { name: 'f', change: (header) => header.replace('000081a4', '0000 1a4') },
  ],
  [
    'a sign',
    'FORMAT_CPIO_NUMBER',
    { name: 'f', change: (header) => header.replace('000081a4', '-00081a4') },
  ],
  [
    'no octal digits',
    'FORMAT_CPIO_NUMBER',
    { name: 'f', form: 'odc', change: (header) => header.replace('100644', '100648') },
  ],
  ['another magic', 'FORMAT_CPIO_MAGIC', { name: 'f', change: (h) => `070703${h.slice(6)}` }],
  ['the old form', 'FORMAT_CPIO_MAGIC', { name: 'f', change: (h) => `\xc7\x71${h.slice(2)}` }],
  ['a wrong size', 'FORMAT_CPIO_MAGIC', { name: 'f', content: 'longer than said', size: 3 }],
  ['a wrong sum', 'FORMAT_CPIO_CHECKSUM', { name: 'f', content: 'x', check: 1, form: 'crc' }],
  ['a name of another file', 'FORMAT_CPIO_HARDLINK', name('a', 'A'), name('b', 'B')],
  ['an owner for each name', 'FORMAT_CPIO_HARDLINK', name('a'), { ...name('b'), uid: 1 }],
  ['a mode for each name', 'FORMAT_CPIO_HARDLINK', name('a'), { ...name('b'), mode: 0o104755 }],
  ['a time for each name', 'FORMAT_CPIO_HARDLINK', name('a'), { ...name('b'), mtime: 1 }],
];

test('hostile archives', async () => {
  for (const [label, code, ...members] of HOSTILE) {
    const error = await expectCodeAsync(() => read(cpioOf(...members)), code, label);
    assert.match(error.message, /^Cannot read cpio archive at byte \d+/, label);
  }
});

test('the end has to be there, and nothing behind it', async () => {
  const file = { name: 'f', content: 'content' };
  const whole = cpioOf(file);
  for (let size = 0; size < whole.length; size++) {
    await expectCodeAsync(() => read(whole.subarray(0, size)), 'FORMAT_CPIO_TRUNCATED', `${size}`);
  }
  assert.equal(
    shown(await read(Buffer.concat([whole, Buffer.alloc(700)]))),
    shown(await read(whole)),
  );
  for (const more of [whole, Buffer.from('x'), cpioMember(file), gzipSync(whole)]) {
    const joined = Buffer.concat([whole, Buffer.alloc(512), more]);
    const error = await expectCodeAsync(() => read(joined), 'FORMAT_CPIO_TRAILING');
    assert.match(error.message, new RegExp(`at byte ${whole.length + 512}:`));
  }
});

const LIMITS: readonly (readonly [code: string, limits: Partial<TarLimits>, archive: Buffer])[] = [
  ['FORMAT_CPIO_ENTRIES', { entries: 4 }, cpioOf({ name: 'a/b/c/d' })],
  ['FORMAT_CPIO_TOTAL', { totalBytes: 200 }, cpioOf({ name: 'f', content: 'x'.repeat(200) })],
];

test('limits', async () => {
  for (const [code, limits, archive] of LIMITS) {
    await read(archive);
    await expectCodeAsync(() => read(archive, { limits: { ...TAR_LIMITS, ...limits } }), code);
  }
});

test('compressed archives', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.cpio');
  const archive = cpioOf({ name: 'f', content: 'x'.repeat(100_000) });
  const file = (bytes: Buffer): Promise<unknown> => {
    writeFileSync(path, bytes);
    return readCpio(path, TAR_OPTIONS);
  };
  await file(gzipSync(archive));
  await expectCodeAsync(() => file(gzipSync(archive).subarray(0, 100)), 'FORMAT_CPIO_COMPRESSION');
  await expectCodeAsync(() => file(Buffer.from('BZh91AY')), 'FORMAT_CPIO_COMPRESSION', 'bzip2');
  const limits = { ...TAR_LIMITS, ratio: 2, ratioFromBytes: 10 };
  writeFileSync(path, gzipSync(archive));
  await expectCodeAsync(() => readCpio(path, { ...TAR_OPTIONS, limits }), 'FORMAT_CPIO_RATIO');
  await expectCodeAsync(() => readCpio(join(dir.path, 'none'), TAR_OPTIONS), 'HOST_NOT_FOUND');
  await expectCodeAsync(() => readCpio(dir.path, TAR_OPTIONS), 'USAGE_NOT_A_FILE');
});

test('contents are objects in the store, by their digest', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'a.cpio');
  writeFileSync(path, cpioOf(name('a'), name('b', 'content '.repeat(20))));
  const store = join(dir.path, 'objects');
  const { root, archive } = await readCpio(path, { ...TAR_OPTIONS, store });
  const [a, b] = root.children!;
  assert.is(a!.payload, b!.payload);
  assert.is(readFileSync(join(store, a!.payload!), 'latin1'), 'content '.repeat(20));
  assert.is(readdirSync(store).filter((each) => /^[0-9a-f]{2}$/.test(each)).length, 1);
  assert.is(archive.bytes, readFileSync(path).length);
});

test('any damage to a byte is read as something, or refused with a code', async () => {
  const archive = cpioOf(
    { name: 'd', mode: DIRECTORY },
    name('d/a'),
    name('d/b', 'data'),
    symlink('l', 'd'),
  );
  const damage = fc.tuple(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }));
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = Buffer.from(archive);
      for (const [at, bits] of changes) bytes[at]! ^= bits;
      // Anything but a ColdsealError is thrown on.
      const code = await codeOfRejection(() => read(bytes));
      assert.ok(code === 'nothing was thrown' || code.startsWith('FORMAT_CPIO_'), code);
    }),
    { numRuns: 500 },
  );
});

test.run();
