/** What cpio(1), lz4(1) and zstd(1) make of an initramfs, and what in a frame only the kernel would complain about. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  compressArchive,
  type Compression,
  compressorVersion,
  initramfsArchive,
} from '../../toolchain/disk/initramfs.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('initramfs as outside judges read it');

/** Larger than one block of each compressor, and not all zeros. */
const INIT = Buffer.from(Array.from({ length: 200_000 }, (_, i) => `line ${i % 977}\n`).join(''));
const ARCHIVE = initramfsArchive({
  init: INIT,
  policy: Buffer.from('policy'),
  trust: Buffer.from('trust'),
  modules: [{ name: 'erofs', bytes: Buffer.from('module') }],
});

function filter(argv: readonly string[], input: Uint8Array): Buffer {
  const [program, ...args] = argv;
  const { status, stdout, stderr } = spawnSync(program!, args, { input, maxBuffer: 2 ** 28 });
  assert.is(status, 0, stderr.toString());
  return stdout;
}

test('cpio lists everything', () => {
  const names = filter([requireTool('cpio', 'cpio'), '-it', '--quiet'], ARCHIVE).toString();
  assert.equal(names.trim().split('\n'), [
    'coldseal',
    'coldseal/modules',
    'coldseal/modules/erofs.ko',
    'coldseal/policy.cbor',
    'coldseal/trust.cbor',
    'dev',
    'dev/console',
    'init',
    'proc',
    'run',
    'sys',
    'sysroot',
  ]);
});

const TOOLS: readonly (readonly [Compression, tool: string, debian: string])[] = [
  ['lz4', 'lz4', 'lz4'],
  ['zstd', 'zstd', 'zstd'],
];

for (const [compression, tool, debian] of TOOLS) {
  test(`${tool} gives the archive back, and compresses it to the same bytes again`, async () => {
    const path = requireTool(tool, debian);
    const compressed = await compressArchive(ARCHIVE, compression);
    assert.ok(compressed.length < ARCHIVE.length / 4, `${compressed.length}`);
    assert.ok(filter([path, '-dc'], compressed).equals(ARCHIVE));
    assert.ok(Buffer.from(await compressArchive(ARCHIVE, compression)).equals(compressed));
    assert.match((await compressorVersion(compression)) ?? '', /^\d+\.\d+\.\d+$/);
  });
}

test('LZ4 comes in the legacy frame, the only one that the kernel reads', async () => {
  requireTool('lz4', 'lz4');
  const frame = Buffer.from(await compressArchive(ARCHIVE, 'lz4'));
  assert.is(frame.readUInt32LE(0), 0x184c2102);
});

test('a Zstandard frame says its size and needs no window beyond it', async () => {
  requireTool('zstd', 'zstd');
  const frame = Buffer.from(await compressArchive(ARCHIVE, 'zstd'));
  assert.is(frame.readUInt32LE(0), 0xfd2fb528);
  // Frame_Header_Descriptor, RFC 8878 section 3.1.1.1.1: size of the content size, single segment, checksum.
  const descriptor = frame[4]!;
  const sizeBytes = [1, 2, 4, 8][descriptor >> 6]!;
  assert.ok((descriptor & 0x20) !== 0, 'single segment');
  assert.ok((descriptor & 0x04) === 0, 'no checksum');
  assert.is(frame.readUIntLE(5, sizeBytes), ARCHIVE.length);
});

test.run();
