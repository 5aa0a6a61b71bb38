/**
 * The flashable disk before outside judges: sgdisk, fsck.fat, mtools, e2fsck, debugfs, fsverity. Then the same disk
 * with one byte changed in every kind of region. Flashing it is flash.test.ts.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PARTITION, slotDenyList, slotManifest } from '../../runtime/device-paths.ts';
import { checkDisk, diskExitCode } from '../../toolchain/disk/check-disk.ts';
import { checkFileSystem } from '../../toolchain/disk/check-file-system.ts';
import { buildDisk, type StoreFile } from '../../toolchain/disk/disk.ts';
import { planExt4 } from '../../toolchain/disk/ext4-layout.ts';
import { writeMetadata } from '../../toolchain/disk/ext4-metadata.ts';
import { openDisk, partitionOf } from '../../toolchain/disk/open-disk.ts';
import { loadTrust } from '../../toolchain/sign/trust-file.ts';
import {
  type DiskLab,
  diskLab,
  EDGE_SIZES,
  flip,
  placeInStore,
  sealedObject,
  TEST_STATE,
} from '../support/disk-lab.ts';
import { codeOf, codeOfRejection } from '../support/expect-code.ts';
import { runTool } from '../support/file-systems.ts';
import { testPolicy } from '../support/manifests.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('disk');
const MIB = 1024 * 1024;
const base = tempDir();
let lab: DiskLab;

test.before(async () => {
  requireTool('e2fsck', 'e2fsprogs');
  lab = await diskLab(base.path);
});

const offsetOf = (name: string): number =>
  lab.summary.partitions.find((partition) => partition.name === name)!.offset;

function policy(): ReturnType<typeof testPolicy> {
  return testPolicy({
    anchors: loadTrust(lab.trust),
    roles: [1, 2, 3, 4],
    product: undefined,
    board: undefined,
  });
}

/** A partition as a file of its own, for tools that know no offsets. */
function cutOut(name: string, to: string): string {
  const { offset, size } = lab.summary.partitions.find((partition) => partition.name === name)!;
  writeFileSync(to, readFileSync(lab.disk).subarray(offset, offset + size));
  return to;
}

test('sgdisk finds nothing wrong with the partition table', () => {
  const said = runTool(requireTool('sgdisk', 'gdisk'), ['--verify', '--print', lab.disk]);
  assert.match(said, /No problems found/);
  assert.match(said, /EF00 {2}coldseal-boot/);
  assert.match(said, /8300 {2}coldseal-store/);
  assert.match(said, /coldseal-state/);
});

test('fsck.fat finds the boot partition sound, and mtools reads its files', () => {
  const fat = cutOut(PARTITION.BOOT, join(base.path, 'boot.fat'));
  const { status, stdout } = spawnSync(requireTool('fsck.fat', 'dosfstools'), ['-n', fat]);
  assert.is(status, 0, stdout.toString());
  for (const { name, ...content } of lab.boot) {
    const args = ['-i', fat, `::${name}`];
    const read = spawnSync(requireTool('mtype', 'mtools'), args).stdout;
    assert.ok('bytes' in content && read.equals(Buffer.from(content.bytes)), name);
  }
});

test('debugfs reads every file of the store, and fsverity gives it the digest of its name', () => {
  const debugfs = requireTool('debugfs', 'e2fsprogs');
  const fsverity = requireTool('fsverity', 'fsverity');
  const image = `${lab.disk}?offset=${offsetOf(PARTITION.STORE)}`;
  const out = join(base.path, 'dumped');
  mkdirSync(out);
  const script = join(base.path, 'script');
  writeFileSync(
    script,
    lab.store.map(({ name }, i) => `dump /${name} ${out}/${i}\nstat /${name}\n`).join(''),
  );
  const said = runTool(debugfs, ['-f', script, image]);
  assert.is(said.match(/Flags: 0x180000/g)?.length, lab.store.length - 1);
  for (const [i, file] of lab.store.entries()) {
    if (file.digest === undefined) continue;
    const algorithm = file.digest.length === 64 ? 'sha256' : 'sha512';
    const digest = runTool(fsverity, [
      'digest',
      '--compact',
      `--hash-alg=${algorithm}`,
      `${out}/${i}`,
    ]);
    assert.is(digest.trim(), file.digest, file.name);
  }
});

test('an order of boot: e2fsck is content, and debugfs finds the files side by side, each as it was', async () => {
  const debugfs = requireTool('debugfs', 'e2fsprogs');
  const fsverity = requireTool('fsverity', 'fsverity');
  const disk = join(base.path, 'ordered.img');
  const largest = sealedObject(1_000_000);
  const order = [largest.name, slotManifest('a'), sealedObject(1).name, sealedObject(4097).name];
  const { boot, store } = lab;
  const { partitions } = await buildDisk({ output: disk, boot, store, order, state: TEST_STATE });
  const { offset } = partitions.find(({ name }) => name === PARTITION.STORE)!;
  await checkFileSystem(disk, offset);
  assert.equal((await checkDisk(disk, { policy: policy() })).findings, []);
  const image = `${disk}?offset=${offset}`;
  const blocks = order.flatMap((name) =>
    runTool(debugfs, ['-R', `blocks /${name}`, image])
      .trim()
      .split(/\s+/)
      .map(Number),
  );
  assert.ok(blocks.length > 250, String(blocks.length));
  assert.equal(
    blocks,
    blocks.map((_, index) => blocks[0]! + index),
  );
  const out = join(base.path, 'ordered-file');
  runTool(debugfs, ['-R', `dump /${largest.name} ${out}`, image]);
  const digest = runTool(fsverity, ['digest', '--compact', '--hash-alg=sha256', out]);
  assert.is(digest.trim(), largest.digest);
});

test('the disk is good, signatures and boot files included', async () => {
  const report = await checkDisk(lab.disk, { policy: policy() });
  assert.equal(report.findings, []);
  assert.is(diskExitCode(report), 0);
  assert.is(report.sealed.files, 2 * EDGE_SIZES.length + 3);
  assert.equal(
    report.slots.map(({ slot, ok, signature, objects }) => [slot, ok, signature, objects]),
    [['a', true, 'verified', 2]],
  );
  const unsigned = await checkDisk(lab.disk, { policy: undefined });
  assert.is(unsigned.slots[0]!.signature, 'not evaluated');
  assert.ok(unsigned.notEvaluated.includes('signatures (no --trust)'));
});

test('the same bytes whatever directory, time, order, umask, zone and locale', async () => {
  const first = readFileSync(lab.disk);
  const dir = join(base.path, 'elsewhere');
  mkdirSync(dir);
  const copies = lab.store.map((file, i) => {
    if ('bytes' in file) return file;
    const path = join(dir, `${1000 - i}`);
    copyFileSync(file.path, path);
    utimesSync(path, i, i);
    return { ...file, path };
  });
  const before = {
    umask: process.umask(0o077),
    zone: process.env['TZ'],
    locale: process.env['LC_ALL'],
  };
  process.env['TZ'] = 'Asia/Kathmandu';
  process.env['LC_ALL'] = 'tr_TR.UTF-8';
  try {
    const output = join(dir, 'again.img');
    await buildDisk({
      output,
      boot: lab.boot.toReversed(),
      store: copies.toReversed(),
      state: TEST_STATE,
    });
    assert.ok(readFileSync(output).equals(first));
  } finally {
    process.umask(before.umask);
    for (const [key, value] of [
      ['TZ', before.zone],
      ['LC_ALL', before.locale],
    ] as const) {
      if (value === undefined) delete process.env[key];
      else process.env[key] = value;
    }
  }
});

test('a file whose content is not its digest is not sealed, and nothing is left', async () => {
  const output = join(base.path, 'never.img');
  const wrong = { ...sealedObject(5000), bytes: Buffer.alloc(5000, 'x') };
  const plan = { output, boot: [], store: [wrong], state: TEST_STATE };
  assert.is(await codeOfRejection(() => buildDisk(plan)), 'VERIFY_SEALED_DIGEST');
  assert.is(statSync(output, { throwIfNoEntry: false }), undefined);
  const small = { ...plan, store: [sealedObject(2 * MIB)], sizes: { store: MIB } };
  assert.is(await codeOfRejection(() => buildDisk(small)), 'CONFIG_STORE_SIZE');
  const crowded = {
    ...plan,
    boot: [{ name: 'kernel', bytes: Buffer.alloc(50 * MIB) }],
    sizes: { boot: 40 * MIB },
  };
  assert.is(await codeOfRejection(() => buildDisk(crowded)), 'CONFIG_BOOT_SIZE');
  const noState = { ...plan, sizes: { state: 100 } };
  assert.is(await codeOfRejection(() => buildDisk(noState)), 'CONFIG_DISK_SIZE');
});

test('e2fsck accepts files of more extents than an inode holds, and many groups', async () => {
  const GIB = 1024 ** 3;
  const files = [
    { name: 'objects/big', digest: undefined, size: 3 * GIB },
    { name: 'objects/sealed', digest: 'ab'.repeat(32), size: GIB + 1 },
    { name: 'objects/wide', digest: 'ab'.repeat(64), size: 600 * MIB },
    ...Array.from({ length: 3000 }, (_, i) => {
      return { name: `many/${String(i).padStart(60, 'n')}`, digest: undefined, size: i };
    }),
  ];
  const path = join(base.path, 'large.ext4');
  const fd = openSync(path, 'w+');
  const plan = planExt4(files, 6 * GIB);
  assert.is(plan.files.filter(({ indexBlocks }) => indexBlocks.length > 0).length, 3);
  ftruncateSync(fd, 6 * GIB);
  writeMetadata(fd, 0, plan, { uuid: new Uint8Array(16).fill(3), label: 'large' });
  closeSync(fd);
  await checkFileSystem(path, 0);
});

// --- one byte changed ----------------------------------------------------------------------------------

const store = (): number => offsetOf(PARTITION.STORE);
const objectOf = (size: number): string => sealedObject(size).name;
const REGIONS: readonly (readonly [
  name: string,
  at: () => number,
  codes: readonly string[],
  exit: number,
])[] = [
  ['protective MBR', () => 0x1c2, ['FORMAT_GPT'], 4],
  ['first GPT header', () => 512 + 0x38, ['FORMAT_GPT'], 4],
  ['first GPT entries', () => 1024 + 40, ['FORMAT_GPT'], 4],
  ['second GPT header', () => lab.summary.size - 512 + 0x18, ['FORMAT_GPT'], 4],
  ['second GPT entries', () => lab.summary.size - 33 * 512 + 3, ['FORMAT_GPT'], 4],
  ['boot sector', () => offsetOf(PARTITION.BOOT) + 0x0d, ['FORMAT_FAT'], 4],
  ['second boot sector', () => offsetOf(PARTITION.BOOT) + 6 * 512 + 0x20, ['FORMAT_FAT'], 4],
  ['table of the boot partition', () => offsetOf(PARTITION.BOOT) + 32 * 512 + 9, ['FORMAT_FAT'], 4],
  ['kernel', () => find('a kernel'), ['VERIFY_BOOT_FILE'], 3],
  ['ext4 superblock', () => store() + 1024 + 0x70, ['FORMAT_EXT4'], 4],
  ['ext4 group descriptor', () => store() + 4096 + 12, ['FORMAT_EXT4'], 4],
  ['ext4 block bitmap', () => store() + 2 * 4096 + 5, ['FORMAT_EXT4_FSCK'], 4],
  ['ext4 inode', () => store() + 4 * 4096 + 15 * 256 + 4, ['FORMAT_EXT4'], 4],
  ['ext4 directory', () => find('objects', store()), ['FORMAT_EXT4'], 4],
  [
    'object data',
    () => placeInStore(lab.disk, objectOf(1_000_000), 100) + 7,
    ['VERIFY_SEALED_DIGEST'],
    3,
  ],
  [
    'behind the data',
    () => placeInStore(lab.disk, objectOf(4097), 1) + 9,
    ['VERIFY_SEALED_DIGEST'],
    3,
  ],
  [
    'Merkle block',
    () => placeInStore(lab.disk, objectOf(1_000_000), 256) + 1,
    ['VERIFY_SEALED_TREE'],
    3,
  ],
  [
    'Merkle leaf',
    () => placeInStore(lab.disk, objectOf(1_000_000), 258) + 1,
    ['VERIFY_SEALED_TREE'],
    3,
  ],
  [
    'descriptor',
    () => placeInStore(lab.disk, objectOf(10), 16) + 16,
    ['VERIFY_SEALED_DESCRIPTOR'],
    3,
  ],
  [
    'size of the descriptor',
    () => placeInStore(lab.disk, objectOf(0), 0) + 4092,
    ['VERIFY_SEALED_DESCRIPTOR'],
    3,
  ],
  [
    'image',
    () => placeInStore(lab.disk, lab.release.image, 0) + 100,
    ['VERIFY_SEALED_DIGEST', 'VERIFY_IMAGE_MISSING'],
    3,
  ],
  [
    'object of the image',
    () => placeInStore(lab.disk, lab.release.objects[0]!, 0),
    ['VERIFY_SEALED_DIGEST', 'VERIFY_OBJECT_MISSING'],
    3,
  ],
  ['manifest', () => placeInStore(lab.disk, slotManifest('a'), 0) + 400, ['any'], 3],
  ['first slot state', () => offsetOf(PARTITION.STATE) + 0x10, ['FORMAT_SLOT_STATE'], 3],
  ['second slot state', () => offsetOf(PARTITION.STATE) + 4096 + 0x100, ['FORMAT_SLOT_STATE'], 3],
];

/** Where some text is first on the disk. */
function find(text: string, from = 0): number {
  return readFileSync(lab.disk).indexOf(text, from);
}

test('one byte changed in any kind of region is found', async () => {
  const copy = join(base.path, 'flipped.img');
  copyFileSync(lab.disk, copy);
  for (const [name, place, codes, exit] of REGIONS) {
    const at = place();
    assert.ok(at > 0 && at < lab.summary.size, name);
    flip(copy, at);
    const report = await checkDisk(copy, { policy: policy() });
    const found = [...new Set(report.findings.map(({ code }) => code))];
    if (codes[0] !== 'any')
      assert.equal(found, codes, `${name}: ${JSON.stringify(report.findings)}`);
    assert.ok(found.length > 0, name);
    assert.is(diskExitCode(report), exit, name);
    flip(copy, at);
  }
  assert.is(diskExitCode(await checkDisk(copy, { policy: policy() })), 0);
});

test('a file system that would keep e2fsck busy for hours is refused before it is asked', async () => {
  const copy = join(base.path, 'endless.img');
  copyFileSync(lab.disk, copy);
  const fd = openSync(copy, 'r+');
  writeSync(fd, Buffer.alloc(64), 0, 64, store() + 4096);
  closeSync(fd);
  const { findings, notEvaluated } = await checkDisk(copy, { policy: policy() });
  assert.equal([...new Set(findings.map(({ code }) => code))], ['FORMAT_EXT4']);
  assert.ok(notEvaluated.some((what) => what.includes('e2fsck')));
});

test('files that are not sealed, not there or not part of a store are found', async () => {
  const output = join(base.path, 'strange.img');
  const object = sealedObject(3000);
  const without = lab.store.filter(({ name }) => name !== lab.release.objects[0]);
  const cases = [
    [[{ ...object, digest: undefined }], ['VERIFY_NOT_SEALED', 'VERIFY_MANIFEST_MISSING']],
    [
      [...lab.store, { name: 'etc/passwd', digest: undefined, bytes: Buffer.from('x') }],
      ['VERIFY_STORE_FILE'],
    ],
    [without, ['VERIFY_OBJECT_MISSING']],
  ] as const;
  for (const [files, codes] of cases) {
    await buildDisk({ output, force: true, boot: lab.boot, store: files, state: TEST_STATE });
    const report = await checkDisk(output, { policy: policy() });
    assert.equal(
      report.findings.map(({ code }) => code),
      codes,
    );
    assert.is(diskExitCode(report), 3);
  }
  await buildDisk({ output, force: true, boot: [], store: lab.store, state: TEST_STATE });
  const { findings } = await checkDisk(output, { policy: policy() });
  assert.ok(
    findings.length > 0 && findings.every(({ code }) => code === 'VERIFY_BOOT_FILE_MISSING'),
  );
});

test("each slot is judged on its own, and a stranger's signature is refused", async () => {
  const output = join(base.path, 'slots.img');
  const manifest = lab.store.find(({ name }) => name === slotManifest('a'))!;
  const others = (['b', 'recovery'] as const).map((slot) => ({
    ...manifest,
    name: slotManifest(slot),
  }));
  const build = (store: readonly StoreFile[]): Promise<unknown> =>
    buildDisk({ output, force: true, boot: lab.boot, store, state: TEST_STATE });
  await build([...lab.store, ...others]);
  const { slots, findings } = await checkDisk(output, { policy: policy() });
  assert.equal(
    [slots.map(({ slot, ok }) => [slot, ok]), findings],
    [
      [
        ['a', true],
        ['b', true],
        ['recovery', true],
      ],
      [],
    ],
  );
  const stranger = await checkDisk(output, { policy: { ...policy(), anchors: [] } });
  assert.equal(
    stranger.slots.map(({ ok, signature }) => [ok, signature]),
    Array.from({ length: 3 }, () => [false, 'refused']),
  );
  assert.is(diskExitCode(stranger), 3);
  const noise = { name: slotManifest('b'), digest: undefined, bytes: Buffer.from('noise') };
  const deny = { name: slotDenyList('recovery'), digest: undefined, bytes: Buffer.from('noise') };
  await build([...lab.store, noise, deny]);
  const noisy = await checkDisk(output, { policy: policy() });
  assert.equal(
    noisy.findings.map(({ where }) => where),
    ['slot b', 'slot recovery'],
  );
  assert.is(noisy.findings[1]!.code, 'VERIFY_MANIFEST_MISSING');
});

test('a disk cut short and a file that is no disk are malformed', async () => {
  const path = join(base.path, 'short.img');
  copyFileSync(lab.disk, path);
  truncateSync(path, lab.summary.size - MIB);
  assert.is(
    codeOf(() => openDisk(path)),
    'FORMAT_GPT',
  );
  assert.is(diskExitCode(await checkDisk(path, { policy: undefined })), 4);
  using whole = openDisk(lab.disk);
  assert.is(
    codeOf(() => whole.read(whole.size - 10, 20)),
    'FORMAT_DISK_SHORT',
  );
  assert.is(
    codeOf(() => partitionOf(whole, 'data')),
    'FORMAT_DISK_PARTITION',
  );
  writeFileSync(path, 'no disk');
  assert.is(
    codeOf(() => openDisk(path)),
    'FORMAT_GPT',
  );
});

test.run();
