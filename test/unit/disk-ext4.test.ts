/** The sealed ext4: arithmetic, what is written is read again, and whatever the bytes, the reader answers. */
import { ftruncateSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fsVerityDigest, VerityHasher } from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { SealedChecker } from '../../toolchain/disk/check-sealed.ts';
import { readStoreFile } from '../../toolchain/disk/check-store-files.ts';
import { crc32, crc32c } from '../../toolchain/disk/crc32.ts';
import type { StoreFile } from '../../toolchain/disk/disk.ts';
import { neededBytes, planExt4 } from '../../toolchain/disk/ext4-layout.ts';
import { Ext4Reader } from '../../toolchain/disk/ext4-reader.ts';
import { Superblock } from '../../toolchain/disk/ext4-records.ts';
import { withSizes, writeSealedExt4 } from '../../toolchain/disk/ext4-verity.ts';
import { sealedLayout } from '../../toolchain/disk/sealed-layout.ts';
import { Sealer } from '../../toolchain/disk/sealer.ts';
import { EDGE_SIZES, sealedObject } from '../support/disk-lab.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('disk: ext4');
const MIB = 1024 * 1024;
const UUID = Uint8Array.from({ length: 16 }, (_, i) => i);
const FILES: readonly StoreFile[] = [
  ...EDGE_SIZES.map((size) => sealedObject(size)),
  ...EDGE_SIZES.map((size) => sealedObject(size, 'sha512')),
  { name: 'slots/a/manifest.cose', digest: undefined, bytes: Buffer.from('signed') },
  ...Array.from({ length: 200 }, (_, i) => {
    return {
      name: `wide/${String(i).padStart(62, 'w')}`,
      digest: undefined,
      bytes: Buffer.from(`${i}`),
    };
  }),
];

async function imageOf(
  files: readonly StoreFile[],
  sizeBytes?: number,
  order?: readonly string[],
): Promise<Buffer> {
  using dir = tempDir();
  const path = join(dir.path, 'ext4');
  const size = sizeBytes ?? neededBytes(withSizes(files), 50, MIB);
  const fd = openSync(path, 'w+');
  ftruncateSync(fd, size);
  await writeSealedExt4(fd, 0, { files, order, sizeBytes: size, uuid: UUID, label: 'test' });
  return readFileSync(path);
}

function readerOf(image: Uint8Array): Ext4Reader {
  return new Ext4Reader((offset, length) => {
    if (offset + length > image.length) throw new ColdsealError('FORMAT_DISK_SHORT', 'test');
    return image.subarray(offset, offset + length);
  }, image.length);
}

/** Reads and proves everything, as `disk check` does; returns contents by path. */
function readAll(image: Uint8Array, files: readonly StoreFile[]): Map<string, Uint8Array> {
  const reader = readerOf(image);
  const checker = new SealedChecker(reader);
  const digests = new Map(files.map(({ name, digest }) => [name, digest]));
  const contents = new Map<string, Uint8Array>();
  for (const file of reader.files()) {
    const digest = digests.get(file.path);
    if (digest !== undefined) checker.check(file, digest);
    contents.set(file.path, readStoreFile(reader, file));
  }
  return contents;
}

const bytesOf = (file: StoreFile): Uint8Array => ('bytes' in file ? file.bytes : new Uint8Array());

test('CRCs of the check string are the published ones', () => {
  const check = Buffer.from('123456789');
  assert.is(crc32(check), 0xcbf43926);
  assert.is((crc32c(0xffffffff, check) ^ 0xffffffff) >>> 0, 0xe3069283);
});

test('blocks of a sealed file: data, gap, tree, descriptor', () => {
  const cases = [
    // size, algorithm, data blocks, start of the tree, levels, block of the descriptor
    [0, 'sha256', 0, 0, [], 0],
    [1, 'sha256', 1, 16, [], 16],
    [4096, 'sha512', 1, 16, [], 16],
    [4097, 'sha256', 2, 16, [1], 17],
    [65536, 'sha256', 16, 16, [1], 17],
    [65537, 'sha256', 17, 32, [1], 33],
    [128 * 4096, 'sha256', 128, 128, [1], 129],
    [128 * 4096 + 1, 'sha256', 129, 144, [2, 1], 147],
    [128 * 4096, 'sha512', 128, 128, [2, 1], 131],
    [128 * 128 * 4096 + 1, 'sha256', 16385, 16400, [129, 2, 1], 16532],
  ] as const;
  for (const [size, algorithm, dataBlocks, treeStart, levels, descriptorBlock] of cases) {
    const blocks = dataBlocks + levels.reduce<number>((sum, n) => sum + n, 0) + 1;
    const expected = { dataBlocks, treeStart, levels: [...levels], descriptorBlock, blocks };
    assert.equal(sealedLayout(size, algorithm), expected, `${size} ${algorithm}`);
  }
});

test('the tree that is written is the one that is hashed, root level first', () => {
  const content = Buffer.alloc(200 * 4096, 'content ');
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const blocks: string[][] = [];
    const hasher = new VerityHasher(algorithm, hashFunction(algorithm), (level, block) => {
      (blocks[level] ??= []).push(toHex(block));
    });
    hasher.update(content);
    const digest = toHex(hasher.digest());
    const sealer = new Sealer(algorithm);
    sealer.begin();
    sealer.update(content);
    const sealed = sealer.finish();
    assert.is(sealed.digest, digest);
    const tree = blocks.toReversed().flat().join('');
    assert.is(toHex(sealed.blocks.subarray(0, tree.length / 2)), tree);
    const descriptor = sealed.blocks.subarray(-4096).subarray(0, 256);
    assert.is(toHex(hashFunction(algorithm)(descriptor)), digest);
    assert.is(toHex(fsVerityDigest(content, algorithm, hashFunction(algorithm))), digest);
  }
});

test('what is written is read again, from directories of several blocks too', async () => {
  const image = await imageOf(FILES);
  const contents = readAll(image, FILES);
  assert.equal([...contents.keys()].sort(), FILES.map(({ name }) => name).sort());
  for (const file of FILES)
    assert.ok(Buffer.from(contents.get(file.name)!).equals(bytesOf(file)), file.name);
  assert.equal(readerOf(image).uuid, UUID);
});

test('the order in which files are given does not matter', async () => {
  assert.ok((await imageOf(FILES)).equals(await imageOf(FILES.toReversed())));
});

test('runs follow each other, and a file of many extents gets blocks for them', () => {
  const GIB = 1024 ** 3;
  const files = [
    { name: 'a', digest: 'ab'.repeat(32), size: 3 * GIB },
    { name: 'b', digest: undefined, size: 10 },
  ];
  const { files: planned, geometry, usedBlocks } = planExt4(files, 8 * GIB);
  const [a, b] = planned;
  assert.is(a!.indexBlocks.length, 1);
  assert.is(b!.indexBlocks.length, 0);
  // 24 extents of 128 MiB hold the data; without a gap the tree continues them.
  assert.is(a!.runs.length, 25);
  let next = geometry.contentStart + 2 + 1;
  for (const { physical, count } of [...a!.runs, ...b!.runs]) {
    assert.is(physical, next);
    next += count;
  }
  assert.is(usedBlocks, next);
  assert.is(
    codeOf(() => planExt4(files, 2 * GIB)),
    'CONFIG_STORE_SIZE',
  );
  assert.is(
    codeOf(() => planExt4([{ ...files[0]!, size: 2 ** 38 }], 2 ** 40)),
    'CONFIG_STORE_SIZE',
  );
});

test('the size computed is enough, and the spare is', () => {
  for (const count of [0, 1, 1000, 20_000]) {
    const files = Array.from({ length: count }, (_, i) => {
      return { name: `d${i % 256}/${i}`, digest: 'ab'.repeat(32), size: (i * 7919) % 100_000 };
    });
    for (const spare of [0, 50]) {
      const size = neededBytes(files, spare, MIB);
      const { usedBlocks, geometry } = planExt4(files, size);
      const content = usedBlocks - geometry.contentStart;
      assert.ok((geometry.blocks - usedBlocks) * 100 >= content * spare, `${count} ${spare}`);
    }
  }
});

test('names that are no paths, twice there or file and directory are mistakes of the caller', () => {
  const file = (name: string): { name: string; digest: undefined; size: number } => {
    return { name, digest: undefined, size: 1 };
  };
  for (const names of [['../a'], ['/a'], ['a//b'], ['a', 'a'], ['a', 'a/b'], ['ä'], ['']]) {
    assert.throws(() => planExt4(names.map(file), MIB), /store|file and directory/);
  }
});

test('a file that changes while it is read is not stored', async () => {
  const size = 10_000;
  let asked = 0;
  const file = {
    ...sealedObject(size),
    get bytes(): Uint8Array {
      return Buffer.alloc(asked++ === 0 ? size : size + 1);
    },
  };
  assert.is(await codeOfRejection(() => imageOf([file], MIB)), 'HOST_FILE_CHANGED');
});

test('each byte of the superblock, when changed, is refused', async () => {
  const image = await imageOf([sealedObject(5000)]);
  for (let at = 0; at < Superblock.size; at++) {
    image[1024 + at]! ^= 1;
    assert.match(
      codeOf(() => readerOf(image)),
      /^FORMAT_(EXT4|RECORD_FIELD)$/,
      `byte ${at}`,
    );
    image[1024 + at]! ^= 1;
  }
});

test('bytes of metadata and content in use, when changed, is refused', async () => {
  const files = [sealedObject(5000), sealedObject(0)];
  const image = await imageOf(files);
  const { geometry, usedBlocks, directories } = planExt4(withSizes(files), image.length);
  const ranges = [
    ['group descriptor', 4096, 64, 1],
    ['root inode', geometry.inodeTables * 4096 + 256, 256, 1],
    ['inode of a file', geometry.inodeTables * 4096 + 15 * 256, 256, 1],
    ['directory', directories[0]!.run.physical * 4096, 200, 1],
    ['rest of a directory', directories[0]!.run.physical * 4096, 4096, 17],
    ['end of a directory', directories[0]!.run.physical * 4096 + 4080, 16, 1],
    ['files', (usedBlocks - 5) * 4096, 5 * 4096, 19],
    ['descriptor', (usedBlocks - 1) * 4096, 256, 1],
    ['size of the descriptor', (usedBlocks - 1) * 4096 + 4090, 6, 1],
  ] as const;
  for (const [name, start, length, step] of ranges) {
    for (let at = start; at < start + length; at += step) {
      image[at]! ^= 0x40;
      const code = codeOf(() => readAll(image, files));
      assert.match(code, /^(FORMAT|VERIFY)_/, `${name} at ${at - start}`);
      image[at]! ^= 0x40;
    }
  }
  assert.is(readAll(image, files).size, 2);
});

/** Bytes that look random and are the same in every run. */
function* numbers(seed: number): Generator<number, never> {
  for (let x = seed; ;) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x >>> 0;
  }
}

test('random damage gives the right content or a ColdsealError, and ends', async () => {
  const files = FILES.slice(0, 8);
  const image = await imageOf(files);
  const { usedBlocks } = planExt4(withSizes(files), image.length);
  const random = numbers(7);
  let refused = 0;
  for (let round = 0; round < 300; round++) {
    const copy = Buffer.from(image);
    for (let i = 0; i < 3; i++) {
      const at = random.next().value % (round % 2 === 0 ? usedBlocks * 4096 : 8 * 4096);
      copy[at] = random.next().value & 0xff;
    }
    try {
      const contents = readAll(copy, files);
      for (const file of files) {
        const content = contents.get(file.name);
        if (content !== undefined) assert.ok(Buffer.from(content).equals(bytesOf(file)));
      }
    } catch (error) {
      if (!(error instanceof ColdsealError)) throw error;
      refused++;
    }
  }
  assert.ok(refused > 30, `${refused}`);
});

// --- the order of a boot ---

/** Not by name: a large file, the manifest, a small one, one that is not there, an empty one. */
const ORDER = [
  sealedObject(1_000_000).name,
  'slots/a/manifest.cose',
  sealedObject(10).name,
  'objects/00/none',
  sealedObject(0).name,
];

test('files of an order come first, side by side, with the inodes that lead to them', () => {
  const sized = withSizes(FILES);
  const plan = planExt4(sized, neededBytes(sized, 50, MIB), ORDER);
  const there = ORDER.filter((name) => name !== 'objects/00/none');
  assert.equal(
    plan.files.slice(0, there.length).map(({ file }) => file.name),
    there,
  );
  const blocks = plan.files
    .slice(0, there.length)
    .flatMap(({ runs }) =>
      runs.flatMap(({ physical, count }) => Array.from({ length: count }, (_, i) => physical + i)),
    );
  assert.equal(
    blocks,
    blocks.map((_, index) => blocks[0]! + index),
  );
  // The root, lost+found, then what is above the first file, and so on.
  const [first] = there;
  assert.equal(
    plan.directories.slice(2, 6).map(({ path }) => path),
    ['objects', first!.slice(0, 10), 'slots', 'slots/a'],
  );
  const inodes = [...plan.directories, ...plan.files].map(({ inode }) => inode);
  assert.equal(
    inodes,
    [...inodes].sort((a, b) => a - b),
  );
});

test('an order changes where things are, and neither contents nor names nor sizes', async () => {
  const plain = await imageOf(FILES);
  const ordered = await imageOf(FILES, plain.length, ORDER);
  assert.not.ok(plain.equals(ordered));
  assert.ok(ordered.equals(await imageOf(FILES.toReversed(), plain.length, ORDER)));
  assert.ok(plain.equals(await imageOf(FILES, plain.length, [])));
  assert.equal(readAll(ordered, FILES), readAll(plain, FILES));
  const paths = (image: Uint8Array): string[] =>
    [...readerOf(image).files()].map(({ path }) => path);
  assert.equal(paths(ordered), paths(plain));
});

test.run();
