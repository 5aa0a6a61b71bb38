/** Partition table and boot partition: written, read again, and refused when a byte is changed. */
import { ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { checkDisk, diskExitCode } from '../../toolchain/disk/check-disk.ts';
import { BOOT_BYTES_MIN, type FatVolume, writeFat } from '../../toolchain/disk/fat.ts';
import type { BootFile } from '../../toolchain/disk/disk.ts';
import { readFat } from '../../toolchain/disk/fat-reader.ts';
import {
  diskSizeFor,
  encodeGpt,
  GPT_BACK,
  GPT_FRONT,
  type Gpt,
  guidOf,
  readGpt,
} from '../../toolchain/disk/gpt.ts';
import { codeOf } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('disk: partition table and boot partition');
const MIB = 1024 * 1024;

const readerOf =
  (bytes: Uint8Array) =>
  (offset: number, length: number): Uint8Array => {
    if (offset + length > bytes.length) throw new ColdsealError('FORMAT_DISK_SHORT', 'test');
    return bytes.subarray(offset, offset + length);
  };

// --- GPT -----------------------------------------------------------------------------------------------

const GPT: Gpt = {
  guid: new Uint8Array(16).fill(1),
  partitions: ['coldseal-boot', 'coldseal-store'].map((name, i) => ({
    name,
    type: guidOf('0fc63daf-8483-4772-8e79-3d69d8477de4'),
    guid: new Uint8Array(16).fill(2 + i),
    offset: (1 + i) * MIB,
    size: MIB,
    attributes: BigInt(4 * i),
  })),
};

function diskOf(gpt: Gpt, size = diskSizeFor(3 * MIB)): Uint8Array {
  const disk = new Uint8Array(size);
  const { front, back } = encodeGpt(gpt, size);
  disk.set(front);
  disk.set(back, size - back.length);
  return disk;
}

test('a GUID in text has its first three parts turned round on the disk', () => {
  const bytes = Buffer.from(guidOf('00112233-4455-6677-8899-aabbccddeeff'));
  assert.is(bytes.toString('hex'), '33221100554477668899aabbccddeeff');
});

test('the table is read as it was written', () => {
  const disk = diskOf(GPT);
  assert.is(disk.length, 4 * MIB);
  assert.equal(readGpt(readerOf(disk), disk.length), GPT);
});

test('a byte of both copies, when changed, is refused', () => {
  const disk = diskOf(GPT);
  const isTested = (at: number): boolean => at < 1300 || at % 61 === 0;
  const places = [
    ...Array.from({ length: GPT_FRONT }, (_, i) => i).filter(isTested),
    ...Array.from({ length: GPT_BACK }, (_, i) => i)
      .filter(isTested)
      .map((i) => disk.length - 1 - i),
  ];
  for (const at of places) {
    disk[at]! ^= 0x20;
    const code = codeOf(() => readGpt(readerOf(disk), disk.length));
    assert.is(code, 'FORMAT_GPT', `byte ${at}`);
    disk[at]! ^= 0x20;
  }
});

test('tables that are sound and cannot be are refused', () => {
  const [boot, store] = GPT.partitions as [Gpt['partitions'][0], Gpt['partitions'][0]];
  const cases = [
    ['overlap', [boot, { ...store, offset: MIB + 512 }]],
    ['one name twice', [boot, { ...store, name: boot.name }]],
    ['behind the end', [{ ...boot, size: 100 * MIB }]],
    ['over the table', [{ ...boot, offset: 512 }]],
  ] as const;
  for (const [name, partitions] of cases) {
    const disk = diskOf({ ...GPT, partitions });
    assert.is(
      codeOf(() => readGpt(readerOf(disk), disk.length)),
      'FORMAT_GPT',
      name,
    );
  }
  assert.is(
    codeOf(() => readGpt(readerOf(new Uint8Array(1000)), 1000)),
    'FORMAT_GPT',
  );
});

test('two copies that are sound and differ are refused', () => {
  const disk = diskOf(GPT);
  const other = diskOf({ ...GPT, guid: new Uint8Array(16).fill(9) });
  disk.set(other.subarray(-GPT_BACK), disk.length - GPT_BACK);
  assert.is(
    codeOf(() => readGpt(readerOf(disk), disk.length)),
    'FORMAT_GPT',
  );
});

test('an image that was cut short is told from one that is damaged', async () => {
  const whole = diskOf(GPT);
  const cut = whole.subarray(0, 2 * MIB + 100);
  assert.throws(
    () => readGpt(readerOf(cut), cut.length),
    /the disk has 2097152 bytes, expected at least 4194304/,
  );
  using dir = tempDir();
  const path = join(dir.path, 'cut.img');
  writeFileSync(path, cut);
  const report = await checkDisk(path, { policy: undefined });
  assert.equal([report.size, diskExitCode(report)], [cut.length, 4]);
  assert.match(report.findings[0]!.hint!, /cut short/);
});

test('an image on a larger medium is read by its own second copy', () => {
  const disk = diskOf(GPT);
  const medium = new Uint8Array(6 * MIB);
  medium.set(disk);
  assert.equal(readGpt(readerOf(medium), medium.length), GPT);
});

// --- FAT -----------------------------------------------------------------------------------------------

const FILES: readonly BootFile[] = [
  { name: 'kernel', bytes: Buffer.alloc(100_000, 'kernel ') },
  { name: 'initramfs.cpio.lz4', bytes: Buffer.alloc(513, 'i') },
  { name: 'cmdline.txt', bytes: Buffer.from('quiet') },
  { name: 'EMPTY', bytes: new Uint8Array() },
  { name: 'EFI/BOOT/BOOTX64.EFI', bytes: Buffer.alloc(512, 'e') },
  { name: 'exactly-13-ch', bytes: Buffer.from('13') },
  { name: `a-name-of-one-hundred-characters-${'n'.repeat(67)}`, bytes: Buffer.from('long') },
];

function volumeOf(files: readonly BootFile[], change: Partial<FatVolume> = {}): Buffer {
  using dir = tempDir();
  const path = join(dir.path, 'fat');
  const fd = openSync(path, 'w+');
  const volume = {
    files,
    sizeBytes: 64 * MIB,
    startSector: 2048,
    volumeId: 7,
    label: 'TEST',
    ...change,
  };
  ftruncateSync(fd, volume.sizeBytes);
  writeFat(fd, 0, volume);
  return readFileSync(path);
}

test('boot files are read as they were written, whatever the size of the volume', () => {
  for (const sizeBytes of [BOOT_BYTES_MIN, 64 * MIB, 200 * MIB]) {
    const volume = volumeOf(FILES, { sizeBytes });
    const files = readFat(readerOf(volume), volume.length);
    assert.is(files.size, FILES.length);
    for (const { name, ...content } of FILES) {
      assert.ok('bytes' in content && Buffer.from(files.get(name)!).equals(content.bytes), name);
    }
  }
});

test('a directory of more than a cluster', () => {
  const files = Array.from({ length: 90 }, (_, i) => {
    return { name: `dtbs/board-number-${i}.dtb`, bytes: Buffer.from(`${i}`) };
  });
  const volume = volumeOf(files);
  assert.is(readFat(readerOf(volume), volume.length).size, 90);
});

test('too little room, and names that cannot be', () => {
  assert.is(
    codeOf(() => volumeOf(FILES, { sizeBytes: 20 * MIB })),
    'CONFIG_BOOT_SIZE',
  );
  const large = [{ name: 'kernel', bytes: Buffer.alloc(BOOT_BYTES_MIN - 1000) }];
  assert.is(
    codeOf(() => volumeOf(large, { sizeBytes: BOOT_BYTES_MIN })),
    'CONFIG_BOOT_SIZE',
  );
  const bytes = new Uint8Array();
  for (const names of [['a', 'A'], ['a', 'a/b'], ['../a'], ['ä'], ['.hidden'], ['']]) {
    const files = names.map((name) => ({ name, bytes }));
    assert.throws(() => volumeOf(files), /boot partition/);
  }
});

test('changed boot sectors, tables and names give the right files or FORMAT_*', () => {
  const volume = volumeOf(FILES);
  const good = readFat(readerOf(volume), volume.length);
  const data = (32 + 2 * volume.readUInt32LE(0x24)) * 512;
  const tables = Array.from({ length: 300 }, (_, i) => 32 * 512 + 4 * i + (i % 4));
  const sectors = Array.from({ length: 1024 }, (_, i) => i);
  const names = Array.from({ length: 1024 }, (_, i) => data + i);
  const accepted = new Set<number>();
  for (const at of [...sectors, ...tables, ...names]) {
    volume[at]! ^= 0x11;
    try {
      const files = readFat(readerOf(volume), volume.length);
      accepted.add(at);
      if (at < data)
        for (const [name, bytes] of good) assert.equal(files.get(name), bytes, `${at}`);
    } catch (error) {
      if (!(error instanceof ColdsealError)) throw error;
      assert.match(error.code, /^FORMAT_(FAT|RECORD_FIELD|DISK_SHORT)$/);
    }
    volume[at]! ^= 0x11;
  }
  // Nothing of the first sectors and the tables can change unnoticed: there are two of each.
  assert.equal(
    [...accepted].filter((at) => at < data),
    [],
  );
});

test('chains without an end, into other files and out of the volume are refused', () => {
  const volume = volumeOf(FILES);
  const set = (cluster: number, next: number): void => {
    for (let copy = 0; copy < 2; copy++) {
      volume.writeUInt32LE(next, (32 + copy * volume.readUInt32LE(0x24)) * 512 + cluster * 4);
    }
  };
  for (const next of [2, 1, 0, 40, 0x0ffffff0]) {
    set(2, next);
    const code = codeOf(() => readFat(readerOf(volume), volume.length));
    assert.match(code, /^FORMAT_(FAT|RECORD_FIELD)$/, `${next}`);
  }
});

test.run();
