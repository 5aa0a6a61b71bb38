/** Indexes of archives: chunks, places, what is read back, what is refused, and the commands. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import {
  EROFS_SUPER_OFFSET,
  ErofsDeviceSlot,
  ErofsInodeExtended,
  ErofsSuperblock,
} from '../../runtime/format/erofs.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import {
  chunkingOf,
  chunkOffsets,
  extentsOf,
  extentsOfMap,
  payloadOf,
  type Extent,
} from '../../toolchain/image/tar-extents.ts';
import { checkIndexedTar } from '../../toolchain/image/tar-index-check.ts';
import {
  DEVICE_SLOT_OFFSET,
  INDEX_INODES_START,
  TarIndexHeader,
} from '../../toolchain/image/tar-index-format.ts';
import { TarIndexImage } from '../../toolchain/image/tar-index-open.ts';
import { checkIndex, readIndexTree } from '../../toolchain/image/tar-index-read.ts';
import { readIndexedTar } from '../../toolchain/image/tar-index.ts';
import { treeText } from '../support/arbitrary-tree.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { runCli } from '../support/run-cli.ts';
import { indexOfBytes, type TestIndex } from '../support/tar-index-lab.ts';
import { tarMember, TAR_END, tarOf, type TarMember } from '../support/tar-writer.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('index of an archive');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
});
test.after.each(() => dir.remove());

const readBack = (index: TestIndex): string =>
  treeText(readIndexTree(new TarIndexImage(index.bytes)));

// --- chunks ----------------------------------------------------------------------------------------------

const CHUNKINGS: readonly (readonly [
  label: string,
  size: number,
  extents: readonly Extent[],
  expected: { bits: number; count: number } | undefined,
])[] = [
  ['one byte', 1, [{ at: 0, size: 1, offset: 512 }], { bits: 9, count: 1 }],
  ['a block', 512, [{ at: 0, size: 512, offset: 512 }], { bits: 9, count: 1 }],
  ['one more', 513, [{ at: 0, size: 513, offset: 512 }], { bits: 10, count: 1 }],
  ['the largest chunk', 2 ** 30, [{ at: 0, size: 2 ** 30, offset: 0 }], { bits: 30, count: 1 }],
  ['one more', 2 ** 30 + 1, [{ at: 0, size: 2 ** 30 + 1, offset: 0 }], { bits: 30, count: 2 }],
  ['a hole', 5000, [], { bits: 13, count: 1 }],
  ['data at the end', 8192, [{ at: 4096, size: 4096, offset: 512 }], { bits: 12, count: 2 }],
  ['a cut end', 8000, [{ at: 4096, size: 3904, offset: 512 }], { bits: 12, count: 2 }],
  ['a hole at the end', 9000, [{ at: 0, size: 512, offset: 512 }], { bits: 9, count: 18 }],
  ['data from inside of a block', 8192, [{ at: 100, size: 8092, offset: 512 }], undefined],
  ['data to inside of a block', 8192, [{ at: 0, size: 100, offset: 512 }], undefined],
  ['data at no block of the archive', 512, [{ at: 0, size: 512, offset: 100 }], undefined],
  ['too many chunks', 2 ** 30, [{ at: 512, size: 512, offset: 512 }], undefined],
];
for (const [label, size, extents, expected] of CHUNKINGS) {
  test(`chunks of ${size} bytes: ${label}`, () => {
    assert.equal(chunkingOf(extents, size), expected);
  });
}

test('chunks say every byte of random sparse files', () => {
  const sparse = fc.record({
    blocks: fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
    cut: fc.integer({ min: 0, max: 511 }),
    first: fc.integer({ min: 0, max: 1000 }),
  });
  fc.assert(
    fc.property(sparse, ({ blocks, cut, first }) => {
      const size = blocks.length * 512 - cut;
      const map = blocks.flatMap((isData, i) =>
        isData ? [i * 512, Math.min(512, size - i * 512)] : [],
      );
      const extents = extentsOfMap(map, first * 512);
      assert.equal(extentsOf(payloadOf(extents, size), size), extents);
      const chunking = chunkingOf(extents, size)!;
      const perChunk = 2 ** (chunking.bits - 9);
      let next = first * 512;
      const expected = blocks.map((isData) => (isData ? (next += 512) - 512 : -1));
      const found = [...chunkOffsets(extents, chunking)].flatMap((offset) =>
        Array.from({ length: perChunk }, (_, i) => (offset < 0 ? -1 : offset + i * 512)),
      );
      assert.equal(found.slice(0, blocks.length), expected);
    }),
  );
});

// --- places ----------------------------------------------------------------------------------------------

/** Directories whose entries end around a block, symlinks around what fits behind an inode. */
for (const length of [1, 13, 100, 255]) {
  test(`directories of names with ${length} bytes`, async () => {
    for (const count of [0, 1, 2, 18, 19, 20, 38, 39, 40, 100]) {
      const members = Array.from({ length: count }, (_, i) => ({
        name: `d/${String(i).padStart(3, '0')}${'x'.repeat(252)}`.slice(
          0,
          length < 3 ? 5 : length + 2,
        ),
        content: 'c',
      }));
      const index = await indexOfBytes(dir.path, tarOf(...members.map(withLongName)));
      assert.is(readBack(index), treeText(index.tar.root), `${count} names`);
      assert.equal(checkIndex(index.bytes).broken, []);
    }
  });
}

function withLongName(member: TarMember): TarMember {
  return { ...member, pax: [['path', member.name], ...(member.pax ?? [])] };
}

test('symlinks and attributes of every length', async () => {
  const lengths = [1, 300, 415, 416, 417, 447, 448, 449, 480, 481, 511, 512, 513, 1024, 4095];
  const members = lengths.flatMap((length) => [
    { name: `l${length}`, type: '2', pax: [['linkpath', 't'.repeat(length)]] as const },
    { name: `x${length}`, pax: [['SCHILY.xattr.user.x', 'v'.repeat(length)]] as const },
    { name: `d${length}/`, type: '5', pax: [['SCHILY.xattr.user.x', 'v'.repeat(length)]] as const },
  ]);
  const index = await indexOfBytes(dir.path, tarOf(...members));
  assert.is(readBack(index), treeText(index.tar.root));
});

test('an inode is small when its time is the least and its numbers fit', async () => {
  const small = { name: 'a', mtime: 5, content: 'x' };
  const sizes = [];
  for (const member of [small, { ...small, mtime: 6 }, { ...small, uid: 65_536 }]) {
    const root = { name: './', type: '5', mode: 0o755, mtime: 5 };
    const { bytes } = await indexOfBytes(dir.path, tarOf(root, member));
    const format = bytes.readUInt16LE(INDEX_INODES_START + 96);
    sizes.push(format & 1);
  }
  assert.equal(sizes, [0, 1, 1]);
});

test('names, links, owners, times, devices and holes come back', async () => {
  const index = await indexOfBytes(dir.path, SAMPLE);
  assert.is(readBack(index), treeText(index.tar.root));
  const again = await indexOfBytes(dir.path, SAMPLE);
  assert.ok(index.bytes.equals(again.bytes), 'the same bytes');
});

const NAME = 'n\xff\xfe';
const SPARSE_PAX = [
  ['GNU.sparse.major', '0'],
  ['GNU.sparse.minor', '1'],
  ['GNU.sparse.name', 'sparse'],
  ['GNU.sparse.size', '10000'],
  ['GNU.sparse.map', '4096,4096'],
] as const;
const SAMPLE = tarOf(
  { name: './', type: '5', mode: 0o750, mtime: 3 },
  { name: 'a', content: 'a'.repeat(700), uid: 70_000, mode: 0o4755, mtime: -5 },
  { name: 'b', type: '1', linkName: 'a' },
  { name: 'sparse', content: 'd'.repeat(4096), pax: SPARSE_PAX },
  { name: `dir/${NAME}`, content: 'x', pax: [['SCHILY.xattr.user.shared', 'v']] },
  { name: 'dir/two', content: 'y', pax: [['SCHILY.xattr.user.shared', 'v']] },
  { name: 'dir/null', type: '3', major: 1, minor: 3 },
  { name: 'dir/zero', type: '3', major: 0, minor: 0 },
  { name: 'dir/pipe', type: '6' },
  { name: 'dir/link', type: '2', linkName: '../a' },
  { name: 'empty' },
);

test('the image names the archive by both digests', async () => {
  const { bytes, tar } = await indexOfBytes(dir.path, SAMPLE);
  const { archive } = new TarIndexImage(bytes);
  const sha256 = createHash('sha256').update(SAMPLE).digest('hex');
  const verity = toHex(fsVerityDigest(SAMPLE, 'sha256', hashFunction('sha256')));
  assert.equal(
    [archive.bytes, archive.sha256, archive.fsVerityDigest],
    [SAMPLE.length, sha256, verity],
  );
  assert.equal([tar.bytes, tar.sha256, tar.fsVerityDigest], [SAMPLE.length, sha256, verity]);
  const slot = ErofsDeviceSlot.decode(bytes, DEVICE_SLOT_OFFSET);
  assert.is(Buffer.from(slot.tag).toString('latin1'), sha256);
});

// --- refusals --------------------------------------------------------------------------------------------

test('what is no plain file is refused', async () => {
  const refuses = (path: string, code: string): Promise<unknown> =>
    expectCodeAsync(() => readIndexedTar(path, { algorithm: 'sha256' }), code);
  await refuses('-', 'USAGE_TAR_INDEX_SOURCE');
  await refuses('/dev/null', 'USAGE_TAR_INDEX_SOURCE');
  writeFileSync(at('a.gz'), gzipSync(SAMPLE));
  await refuses(at('a.gz'), 'USAGE_TAR_INDEX_SOURCE');
  await refuses(dir.path, 'USAGE_NOT_A_FILE');
  await refuses(at('none'), 'HOST_NOT_FOUND');
});

test('holes that no block can tell are refused, with the place', async () => {
  const sparse = (size: number, map: string, bytes: number): Buffer =>
    tarOf({
      name: 'f',
      content: 'd'.repeat(bytes),
      pax: [
        ['GNU.sparse.size', String(size)],
        ['GNU.sparse.map', map],
      ],
    });
  for (const archive of [
    sparse(9000, '100,50', 50),
    sparse(9000, '512,50', 50),
    sparse(2 ** 40, '512,512', 512),
  ]) {
    const error = await expectCodeAsync(
      () => indexOfBytes(dir.path, archive),
      'FORMAT_TAR_INDEX_SPARSE',
    );
    assert.match(error.message, /at byte 0, f: /);
  }
});

test('many sparse files with many pieces are refused', async () => {
  const one = tarMember({
    name: 'f',
    content: 'd'.repeat(512),
    pax: [
      ['GNU.sparse.size', String(2 ** 29)],
      ['GNU.sparse.map', '512,512'],
    ],
  });
  await indexOfBytes(dir.path, tarOf(one, one, one, one));
  const refused = (): Promise<unknown> => indexOfBytes(dir.path, tarOf(one, one, one, one, one));
  await expectCodeAsync(refused, 'FORMAT_TAR_INDEX_SPARSE');
});

/** Where a field of a record is damaged, with what, and the code of the refusal. */
const SUPER = EROFS_SUPER_OFFSET;
const DAMAGES: readonly (readonly [
  label: string,
  code: string,
  damage: (bytes: Buffer) => unknown,
])[] = [
  ['version', 'FORMAT_TAR_INDEX_HEADER', (b) => b.writeUInt32LE(2, TarIndexHeader.at.version)],
  ['recipe', 'FORMAT_TAR_INDEX_HEADER', (b) => b.writeUInt32LE(16, TarIndexHeader.at.recipe)],
  [
    'algorithm',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(7, TarIndexHeader.at.verity_algorithm),
  ],
  ['unused', 'FORMAT_RECORD_FIELD', (b) => b.writeUInt32LE(1, TarIndexHeader.at.unused)],
  [
    'size of the archive',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(512, TarIndexHeader.at.tar_size),
  ],
  [
    'digest of the archive',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => (b[TarIndexHeader.at.tar_sha256]! ^= 1),
  ],
  ['magic of EROFS', 'FORMAT_RECORD_FIELD', (b) => b.writeUInt32LE(1, SUPER)],
  [
    'blkszbits',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt8(12, SUPER + ErofsSuperblock.at.blkszbits),
  ],
  [
    'features',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(4, SUPER + ErofsSuperblock.at.feature_incompat),
  ],
  [
    'devices',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt16LE(2, SUPER + ErofsSuperblock.at.extra_devices),
  ],
  [
    'device table',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt16LE(8, SUPER + ErofsSuperblock.at.devt_slotoff),
  ],
  [
    'blocks',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(1, SUPER + ErofsSuperblock.at.blocks),
  ],
  ['inodes', 'FORMAT_TAR_INDEX_TREE', (b) => b.writeUInt32LE(99, SUPER + ErofsSuperblock.at.inos)],
  [
    'root',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt16LE(65_535, SUPER + ErofsSuperblock.at.root_nid),
  ],
  ['tag', 'FORMAT_TAR_INDEX_HEADER', (b) => b.write('x', DEVICE_SLOT_OFFSET)],
  [
    'blocks of the device',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(1, DEVICE_SLOT_OFFSET + ErofsDeviceSlot.at.blocks_lo),
  ],
  [
    'place of the device',
    'FORMAT_TAR_INDEX_HEADER',
    (b) => b.writeUInt32LE(0, DEVICE_SLOT_OFFSET + ErofsDeviceSlot.at.uniaddr_lo),
  ],
  [
    'the root is a file',
    'FORMAT_TAR_INDEX_TREE',
    (b) => b.writeUInt16LE(0o100644, inodeAt(b, '') + 4),
  ],
  ['a socket', 'FORMAT_TAR_INDEX_TREE', (b) => b.writeUInt16LE(0o140644, inodeAt(b, 'empty') + 4)],
  ['a compressed inode', 'FORMAT_TAR_INDEX_TREE', (b) => b.writeUInt16LE(7, inodeAt(b, 'a'))],
  ['a file without chunks', 'FORMAT_TAR_INDEX_TREE', (b) => b.writeUInt16LE(1, inodeAt(b, 'a'))],
  ['chunks without devices', 'FORMAT_TAR_INDEX_TREE', (b) => b.writeUInt32LE(1, unionAt(b, 'a'))],
  ['a larger file', 'FORMAT_TAR_INDEX_RANGE', (b) => b.writeUInt32LE(1 << 30, inodeAt(b, 'a') + 8)],
  [
    'a huge file',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt32LE(0x7fffffff, inodeAt(b, 'a') + 12),
  ],
  [
    'a chunk beyond the archive',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt32LE(1 << 20, chunkAt(b, 'a') + 4),
  ],
  [
    'a chunk of the image',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt16LE(0, chunkAt(b, 'a') + 2),
  ],
  [
    'a chunk of another device',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt16LE(2, chunkAt(b, 'a') + 2),
  ],
  ['high bits of a chunk', 'FORMAT_RECORD_FIELD', (b) => b.writeUInt16LE(1, chunkAt(b, 'a'))],
  [
    'too few links',
    'FORMAT_TAR_INDEX_TREE',
    (b) => b.writeUInt32LE(1, inodeAt(b, 'a') + ErofsInodeExtended.at.i_nlink),
  ],
  [
    'too many links',
    'FORMAT_TAR_INDEX_TREE',
    (b) => b.writeUInt32LE(3, inodeAt(b, 'a') + ErofsInodeExtended.at.i_nlink),
  ],
  [
    'links of the root',
    'FORMAT_TAR_INDEX_TREE',
    (b) => b.writeUInt32LE(9, inodeAt(b, '') + ErofsInodeExtended.at.i_nlink),
  ],
  [
    'attributes beyond the image',
    'FORMAT_TAR_INDEX_RANGE',
    (b) => b.writeUInt16LE(65_535, inodeAt(b, '') + 2),
  ],
  ['a name with a slash', 'FORMAT_DIRENT_NAME', (b) => b.write('/', b.indexOf('empty'))],
  ['names out of order', 'FORMAT_TAR_INDEX_TREE', (b) => b.write('A', b.indexOf('sparse'))],
  ['cut short', 'FORMAT_TAR_INDEX_HEADER', () => undefined],
];
for (const [label, code, damage] of DAMAGES) {
  test(`damaged: ${label}`, async () => {
    const { bytes } = await indexOfBytes(dir.path, SAMPLE);
    damage(bytes);
    const { broken } = checkIndex(label === 'cut short' ? bytes.subarray(0, -512) : bytes);
    assert.is(broken[0]?.code, code, broken[0]?.message);
  });
}

/** Byte of the inode that a name of the root directory has. */
function inodeAt(bytes: Buffer, name: string): number {
  const image = new TarIndexImage(bytes);
  if (name === '') return image.superblock.root_nid * 32;
  const { tail } = image.inode(image.superblock.root_nid);
  const count = bytes.readUInt16LE(tail.start + 8) / 12;
  for (let i = 0; i < count; i++) {
    const from = tail.start + bytes.readUInt16LE(tail.start + i * 12 + 8);
    if (bytes.toString('latin1', from, from + name.length) !== name) continue;
    return bytes.readUInt32LE(tail.start + i * 12) * 32;
  }
  throw new Error(`${name} is not there`);
}

const unionAt = (bytes: Buffer, name: string): number => inodeAt(bytes, name) + 16;
const chunkAt = (bytes: Buffer, name: string): number =>
  inodeAt(bytes, name) + ErofsInodeExtended.size;

test('a directory that is in itself is refused', async () => {
  const { bytes } = await indexOfBytes(dir.path, SAMPLE);
  const { tail } = new TarIndexImage(bytes).inode(bytes.readUInt16LE(SUPER + 0x0e));
  // The entry of `dir` leads to the root.
  for (let i = 0; i < bytes.readUInt16LE(tail.start + 8) / 12; i++) {
    const entry = tail.start + i * 12;
    if (bytes.readUInt32LE(entry) * 32 === inodeAt(bytes, 'dir')) bytes.writeUInt32LE(40, entry);
  }
  assert.is(checkIndex(bytes).broken[0]?.code, 'FORMAT_TAR_INDEX_TREE');
});

test('any changed byte is noticed or harmless, and never a crash', async () => {
  const { bytes } = await indexOfBytes(dir.path, SAMPLE);
  for (let i = 0; i < bytes.length; i++) {
    for (const value of [0, 0xff, bytes[i]! ^ 1]) {
      const changed = Buffer.from(bytes);
      changed[i] = value;
      // Throws for anything but a refusal.
      checkIndex(changed);
    }
  }
});

// --- index and archive -----------------------------------------------------------------------------------

test('an index and its archive belong together, or not', async () => {
  const { bytes } = await indexOfBytes(dir.path, SAMPLE, { useEpoch: true, xattrs: 'none' });
  const tar = at('archive.tar');
  const check = (imageBytes = bytes): Promise<unknown> =>
    checkIndexedTar({ image: 'i', imageBytes, tar });
  await check();
  const owner = Buffer.from(bytes);
  owner.writeUInt16LE(7, inodeAt(owner, 'empty') + 0x18);
  await expectCodeAsync(() => check(owner), 'VERIFY_TAR_INDEX');
  await expectCodeAsync(() => check(Buffer.concat([bytes, bytes])), 'FORMAT_TAR_INDEX_HEADER');

  const changed = Buffer.from(SAMPLE);
  changed[512 * 3]! ^= 1;
  writeFileSync(tar, changed);
  await expectCodeAsync(check, 'VERIFY_TAR_INDEX_BLOB', 'content');
  changed[0]! ^= 1;
  writeFileSync(tar, changed);
  await expectCodeAsync(check, 'VERIFY_TAR_INDEX_BLOB', 'a header');
  truncateSync(tar, SAMPLE.length - 512);
  await expectCodeAsync(check, 'VERIFY_TAR_INDEX_BLOB', 'its size');
});

// --- commands --------------------------------------------------------------------------------------------

test('the commands', async () => {
  writeFileSync(at('a.tar'), SAMPLE);
  const run = (...args: string[]): ReturnType<typeof runCli> => runCli(args, { cwd: dir.path });
  const built = await run(
    'image',
    'build',
    '--tar-index',
    '--digest-store=objects',
    '--json',
    'a.tar',
    'a.index',
  );
  assert.is(built.code, 0, built.stderr);
  const { result } = JSON.parse(built.stdout) as {
    result: {
      digest: string;
      kind: string;
      tar: { sha256: string; diffId: string; fsVerityDigest: string };
    };
  };
  const sha256 = createHash('sha256').update(SAMPLE).digest('hex');
  assert.equal(
    [result.kind, result.tar.sha256, result.tar.diffId],
    ['tar-index', sha256, `sha256:${sha256}`],
  );
  const object = result.tar.fsVerityDigest;
  assert.ok(readFileSync(at('objects', object.slice(0, 2), object.slice(2))).equals(SAMPLE));
  const digest = await run('image', 'build', '--tar-index', '--print-digest-only', 'a.tar');
  assert.is(digest.stdout.trim(), result.digest);
  const toStdout = await run('image', 'build', '--tar-index', 'a.tar', '-');
  assert.ok(readFileSync(at('a.index')).equals(toStdout.stdoutBytes));

  const listed = await run('image', 'ls', 'a.index');
  assert.match(listed.stdout, /^\/a\t@ 1024$/m);
  assert.match(listed.stdout, /^\/sparse\t@ 4096:4096@\d+$/m);
  const json = await run('image', 'ls', '--json', 'a.index');
  assert.match(json.stdout, /"kind": "tar-index"[^]*"inArchive": "1024"/);
  assert.match(
    (await run('image', 'check', 'a.index')).stdout,
    /ok, 11 inodes, index of the archive/,
  );
  assert.is((await run('image', 'check', '--tar=a.tar', 'a.index')).code, 0);
  writeFileSync(at('b.tar'), Buffer.concat([SAMPLE, TAR_END]));
  assert.is((await run('image', 'check', '--tar=b.tar', 'a.index')).code, 3);
  const dump = await run('image', 'dump', 'a.index');
  assert.is(dump.code, 2);
  assert.match(dump.stderr, /USAGE_TAR_INDEX\n/);
});

test('options that an index leaves without effect are refused', async () => {
  writeFileSync(at('a.tar'), SAMPLE);
  for (const option of [
    '--hardlinks',
    '--inline-max=0',
    '--min-version=1',
    '--max-version=1',
    '--from-tar',
    '--ref=x',
  ]) {
    const { code, stderr } = await runCli([
      'image',
      'build',
      '--tar-index',
      option,
      at('a.tar'),
      at('i'),
    ]);
    assert.is(code, 2, option);
    assert.match(stderr, /USAGE_OPTION_CONFLICT\n/, option);
  }
  const { stderr } = await runCli(['image', 'check', '--tar=x', 'a', 'b']);
  assert.match(stderr, /USAGE_OPTION_CONFLICT\n/);
});

test('names of whiteouts are told', async () => {
  writeFileSync(at('a.tar'), tarOf({ name: 'd/.wh.gone' }));
  const { stderr } = await runCli(['image', 'build', '--tar-index', at('a.tar'), at('i')]);
  assert.match(stderr, /1 names begin with \.wh\./);
});

test.run();
