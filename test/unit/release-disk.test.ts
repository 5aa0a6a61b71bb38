/** Releases that boot: what is written, what is bound, what goes into which slot, and what is refused beforehand. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { decodeDevicePolicy } from '../../runtime/format/device-policy.ts';
import {
  readSlotState,
  SLOT_STATE_SPACING,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { checkDisk } from '../../toolchain/disk/check-disk.ts';
import type { BuiltBoot } from '../../toolchain/release/build-release.ts';
import {
  bootPolicy,
  initialState,
  openSlotRelease,
  type SlotRelease,
  storeFiles,
  writeReleaseDisk,
} from '../../toolchain/release/release-disk.ts';
import { textReport } from '../../toolchain/release/report.ts';
import { BOOT_BOOTSET, bootLab, BUNDLE_CONFIG, LAB_INIT } from '../support/boot-lab.ts';
import type { BootsetLab } from '../support/bootset-lab.ts';
import { codeOfRejection } from '../support/expect-code.ts';
import { KERNEL_BOARD } from '../support/fake-kernel.ts';

const test = suite('release with a disk');

const BOOT_NAMES = ['cmdline.txt', 'disk.img', 'initramfs.cpio', 'kernel'];

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** The release of a lab as the other slots take it. */
function slotRelease(boot: BuiltBoot, lab: BootsetLab, name = 'out'): Promise<SlotRelease> {
  return openSlotRelease('b', join(lab.path, name), boot.files);
}

test('a release has what boots, and the manifest binds it', async () => {
  using lab = bootLab();
  const { boot, manifest, ...built } = await lab.release();
  const out = join(lab.path, 'out');
  const names = readdirSync(out).sort();
  for (const name of BOOT_NAMES) assert.ok(names.includes(name), name);
  const binding = manifest.bootBinding!;
  assert.equal(Object.keys(binding).sort(), ['cmdline', 'initramfs', 'kernel']);
  assert.is(toHex(binding.kernel!), sha256(join(out, 'kernel')));
  assert.is(toHex(binding.cmdline!), sha256(join(out, 'cmdline.txt')));
  assert.is(toHex(binding.initramfs!), sha256(join(out, 'initramfs.cpio')));
  assert.is(readFileSync(join(out, 'cmdline.txt'), 'utf8'), 'console=ttyS0 quiet\n');
  assert.ok(readFileSync(join(out, 'initramfs.cpio')).includes(LAB_INIT));
  const stages = built.timings.stages.map(({ stage }) => stage);
  for (const stage of ['kernel', 'runtime', 'initramfs', 'disk', 'check disk']) {
    assert.ok(stages.includes(stage), stage);
  }
  const text = textReport({ ...built, boot, manifest }, 'out').join('\n');
  assert.match(text, /^kernel {8}Linux 6\.12\.9-test/m);
  assert.match(text, /^initramfs {5}none, .* loads virtio_blk, libcrc32c, erofs$/m);
  assert.match(text, /which is fastest cannot be told: the board file has no decompress_mb_s\.lz4/);
  assert.match(text, /^disk {10}/m);
});

test('the record says what boots, and nothing that another run would say otherwise', async () => {
  using lab = bootLab();
  await lab.release();
  await lab.release({ output: join(lab.path, 'again') });
  const [first, second] = ['out', 'again'].map((name) => join(lab.path, name));
  for (const name of ['release.json', 'kernel', 'initramfs.cpio', 'cmdline.txt']) {
    assert.is(sha256(join(first!, name)), sha256(join(second!, name)), name);
  }
  const { boot } = JSON.parse(readFileSync(join(first!, 'release.json'), 'utf8')) as {
    boot: Record<string, unknown>;
  };
  assert.is(boot['board'], 'test-board');
  assert.is(boot['arch'], 'x86_64');
  assert.equal(boot['kernel'], { release: '6.12.9-test', kind: 'file', given: 'vmlinuz' });
  assert.equal(boot['modules'], ['virtio_blk', 'libcrc32c', 'erofs']);
  assert.equal(
    (boot['disk'] as { partitions: { name: string }[] }).partitions.map(({ name }) => name),
    ['coldseal-boot', 'coldseal-store', 'coldseal-state'],
  );
});

test('two releases differ in the signature only; one release gives one disk, byte for byte', async () => {
  using lab = bootLab();
  const { boot } = await lab.release();
  const slot = { ...(await slotRelease(boot!, lab)), slot: 'a' } as const;
  for (const name of ['one.img', 'two.img']) {
    await writeReleaseDisk(boot!.files, [slot], { output: join(lab.path, name) });
  }
  const disk = sha256(join(lab.path, 'out/disk.img'));
  assert.is(sha256(join(lab.path, 'one.img')), disk);
  assert.is(sha256(join(lab.path, 'two.img')), disk);
  await lab.release({ output: join(lab.path, 'again') });
  cpSync(join(lab.path, 'out/manifest.cose'), join(lab.path, 'again/manifest.cose'));
  const signed = { ...(await slotRelease(boot!, lab, 'again')), slot: 'a' } as const;
  await writeReleaseDisk(boot!.files, [signed], { output: join(lab.path, 'three.img') });
  assert.is(sha256(join(lab.path, 'three.img')), disk);
});

test('an earlier release goes into slot b, and what both have is there once', async () => {
  using lab = bootLab();
  const old = await lab.release({ output: join(lab.path, 'old') });
  lab.write('rootfs/usr/news', 'new '.repeat(3000));
  const [fallback, recovery] = [join(lab.path, 'old'), join(lab.path, 'old')];
  const warnings: string[] = [];
  const { boot, images } = await lab.release({
    fallback,
    recovery,
    onWarning: (text) => warnings.push(text),
  });
  assert.equal(
    boot!.slots.map(({ slot }) => slot),
    ['b', 'recovery'],
  );
  assert.match(warnings.join('\n'), /never boots what --recovery puts on the disk/);
  const own = { ...(await slotRelease(boot!, lab)), slot: 'a' } as const;
  const names = storeFiles([own, ...boot!.slots]).map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  const digests = new Set([...own.objects, ...boot!.slots[0]!.objects].map(({ digest }) => digest));
  assert.is(names.filter((name) => name.startsWith('objects/')).length, digests.size);
  // The root image changed, the container did not.
  assert.is(names.filter((name) => name.startsWith('images/')).length, images.length + 1);
  assert.equal(
    names.filter((name) => name.startsWith('slots/')),
    ['slots/a/manifest.cose', 'slots/b/manifest.cose', 'slots/recovery/manifest.cose'],
  );
  const report = await checkDisk(join(lab.path, 'out/disk.img'), {
    policy: bootPolicy(boot!.files),
  });
  assert.equal(report.findings, []);
  assert.is(report.slots.length, 3);
  assert.is(old.boot!.slots.length, 0);
});

test('what the board would refuse does not get into a slot', async () => {
  using lab = bootLab();
  await lab.release({ output: join(lab.path, 'old') });
  const fallback = join(lab.path, 'old');
  const newer = BOOT_BOOTSET.replace('{ 1: 7 }', '{ 1: 8 }');
  lab.write('BOOTSET.yaml', newer);
  assert.is(await codeOfRejection(() => lab.release({ fallback })), 'VERIFY_EPOCH');
  lab.write('BOOTSET.yaml', BOOT_BOOTSET.replace('product: demo', 'product: other'));
  assert.is(await codeOfRejection(() => lab.release({ fallback })), 'VERIFY_PRODUCT');
  lab.write('BOOTSET.yaml', BOOT_BOOTSET);
  writeFileSync(join(fallback, 'kernel'), 'changed');
  const steps: string[] = [];
  const startProgress = (label: string): { update(): void; done(): void } => {
    steps.push(label);
    return { update: () => undefined, done: () => undefined };
  };
  const refused = await codeOfRejection(() => lab.release({ fallback, startProgress }));
  assert.is(refused, 'VERIFY_BOOT_FILE');
  assert.equal(steps, [`verifying ${fallback}`], 'before any work on kernel and images');
  assert.is(
    await codeOfRejection(() => lab.release({ recovery: join(lab.path, 'none') })),
    'VERIFY_MANIFEST_MISSING',
  );
});

test('options that need a disk, or a slot, are refused without it', async () => {
  using lab = bootLab();
  for (const change of [
    { fallback: 'x', noDisk: true },
    { recovery: 'x', noDisk: true },
  ]) {
    assert.is(await codeOfRejection(() => lab.release(change)), 'USAGE_OPTION_CONFLICT');
  }
  lab.write('test-board.yaml', `${KERNEL_BOARD}slots: { count: 1 }\n`);
  assert.is(await codeOfRejection(() => lab.release({ fallback: 'x' })), 'USAGE_OPTION_CONFLICT');
});

test('--no-disk leaves out what boots, and says what would not', async () => {
  using lab = bootLab();
  rmSync(join(lab.path, 'rootfs/sbin/init'));
  const warnings: string[] = [];
  const { boot, manifest } = await lab.release({
    noDisk: true,
    onWarning: (text) => warnings.push(text),
  });
  assert.is(boot, undefined);
  assert.is(manifest.bootBinding, undefined);
  const names = readdirSync(join(lab.path, 'out'));
  assert.equal(
    names.filter((name) => BOOT_NAMES.includes(name)),
    [],
  );
  assert.match(warnings.join('\n'), /image root has no \/sbin\/init, the board's system\.init/);
});

test('a release for several boards has no disk, and says so', async () => {
  using lab = bootLab(
    BOOT_BOOTSET.replace('./test-board.yaml', '[./test-board.yaml, ./other.yaml]'),
  );
  lab.write('other.yaml', KERNEL_BOARD.replace('id: test-board', 'id: other'));
  const warnings: string[] = [];
  const { boot } = await lab.release({ onWarning: (text) => warnings.push(text) });
  assert.is(boot, undefined);
  assert.match(warnings.join('\n'), /no disk is made: the release is for test-board, other/);
  const one = await lab.release({ force: true, board: join(lab.path, 'other.yaml') });
  assert.is(one.boot?.files.policy.board, 'other');
});

const UNBOOTABLE: readonly (readonly [
  what: string,
  change: (lab: BootsetLab) => void,
  problem: RegExp,
])[] = [
  [
    'no init',
    (lab) => rmSync(join(lab.path, 'rootfs/sbin/init')),
    /image root has no \/sbin\/init/,
  ],
  [
    'an init that is not executable',
    (lab) => chmodSync(join(lab.path, 'rootfs/sbin/init'), 0o644),
    /image root has \/sbin\/init, the board's system\.init, which is not executable/,
  ],
  [
    'an init that is a directory',
    (lab) => {
      rmSync(join(lab.path, 'rootfs/sbin/init'));
      lab.write('rootfs/sbin/init/x', '');
    },
    /which is no file/,
  ],
  [
    'an init that is a link to itself',
    (lab) => {
      rmSync(join(lab.path, 'rootfs/sbin/init'));
      symlinkSync('init', join(lab.path, 'rootfs/sbin/init'));
    },
    /image root has no \/sbin\/init/,
  ],
  [
    'no container engine',
    (lab) => rmSync(join(lab.path, 'rootfs/usr/bin/crun')),
    /image root has no \/usr\/bin\/crun, the board's system\.container_engine/,
  ],
  [
    'no directory to mount on',
    (lab) => rmSync(join(lab.path, 'rootfs/proc'), { recursive: true }),
    /image root has no directory \/proc/,
  ],
  [
    'a container that is no bundle',
    (lab) => rmSync(join(lab.path, 'bundle/config.json')),
    /image app has no config\.json at its root; it starts early, which takes an OCI bundle/,
  ],
  ['a config that is no JSON', (lab) => lab.write('bundle/config.json', '{'), /no JSON object/],
  ['a config that is a list', (lab) => lab.write('bundle/config.json', '[]'), /no JSON object/],
  [
    'a config that says nothing',
    (lab) => lab.write('bundle/config.json', '{}'),
    /no ociVersion.*\n.*no process\.args.*\n.*no root\.path/,
  ],
  [
    'a config that wants a terminal',
    (lab) => {
      const process = { ...BUNDLE_CONFIG.process, terminal: true };
      lab.write('bundle/config.json', JSON.stringify({ ...BUNDLE_CONFIG, process }));
    },
    /process\.terminal/,
  ],
  [
    'a root outside the bundle',
    (lab) => {
      lab.write('bundle/config.json', JSON.stringify({ ...BUNDLE_CONFIG, root: { path: '/srv' } }));
    },
    /expected a path within the bundle/,
  ],
  [
    'a root that is not there',
    (lab) => rmSync(join(lab.path, 'bundle/rootfs'), { recursive: true }),
    /has no directory rootfs, the root\.path of config\.json/,
  ],
  [
    'no system image',
    (lab) => lab.write('BOOTSET.yaml', BOOT_BOOTSET.replace(/^.*name: root.*\n/m, '')),
    /no image has mount root/,
  ],
];

for (const [what, change, problem] of UNBOOTABLE) {
  test(`refused: ${what}`, async () => {
    using lab = bootLab();
    change(lab);
    try {
      await lab.release();
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, problem);
      assert.is((error as { code?: string }).code, 'CONFIG_UNBOOTABLE');
    }
    assert.not(readdirSync(lab.path).includes('out'));
  });
}

test('init may be a link within the image, and a container that nobody starts need not be a bundle', async () => {
  using lab = bootLab(BOOT_BOOTSET.replace('start: early', 'start: none'));
  rmSync(join(lab.path, 'rootfs/sbin'), { recursive: true });
  symlinkSync('/usr/sbin', join(lab.path, 'rootfs/sbin'));
  rmSync(join(lab.path, 'rootfs/usr/bin/crun'));
  lab.write('bundle/config.json', '{}');
  assert.ok((await lab.release()).boot !== undefined);
});

test('the state of a new board has full tries and the epochs of its release', async () => {
  using lab = bootLab();
  const { boot } = await lab.release();
  const bytes = initialState(boot!.files);
  const copies = [0, SLOT_STATE_SPACING].map((at) => bytes.subarray(at, at + SlotStateRecord.size));
  const { state, damage } = readSlotState(copies, createNodeCrypto().sha256);
  assert.equal(damage, []);
  assert.is(state!.active, 1);
  assert.is(state!.triesA, 3);
  assert.equal(state!.epochs, new Map([[1, 7]]));
});

test('a devicetree is bound, verified and on the disk', async () => {
  using lab = bootLab(BOOT_BOOTSET, KERNEL_BOARD.replace('  load:', '  dtb: board.dtb\n  load:'));
  lab.write('board.dtb', 'a devicetree');
  const { boot, manifest } = await lab.release();
  assert.is(toHex(manifest.bootBinding!.dtb!), sha256(join(lab.path, 'board.dtb')));
  const { bootFiles } = await checkDisk(join(lab.path, 'out/disk.img'), {
    policy: bootPolicy(boot!.files),
  });
  assert.equal(bootFiles.map(({ name }) => name).sort(), [
    'cmdline.txt',
    'dtb',
    'initramfs',
    'kernel',
  ]);
});

test('where the host lacks something, the way without a disk is pointed out', async () => {
  using lab = bootLab();
  rmSync(join(lab.path, 'modules/6.12.9-test/kernel/libcrc32c.ko'));
  try {
    await lab.release();
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, 'HOST_NOT_FOUND');
    assert.match((error as { hint?: string }).hint ?? '', /--no-disk makes a release without/);
  }
});

test('the sealed policy is that of the board', async () => {
  using lab = bootLab();
  const { boot } = await lab.release();
  const archive = readFileSync(join(lab.path, 'out/initramfs.cpio'));
  const at = archive.indexOf('coldseal/policy.cbor\0');
  const size = Number.parseInt(archive.toString('latin1', at - 110 + 54, at - 110 + 62), 16);
  const start = Math.ceil((at + 'coldseal/policy.cbor\0'.length) / 4) * 4;
  assert.equal(decodeDevicePolicy(archive.subarray(start, start + size)), boot!.files.policy);
});

test('a board with the other engine, and one with packed boot files', async () => {
  using lab = bootLab(BOOT_BOOTSET, `${KERNEL_BOARD}engine: node\n`);
  assert.is(await codeOfRejection(() => lab.release()), 'CONFIG_BOARD');
  lab.write('test-board.yaml', `${KERNEL_BOARD}boot_image: { container: fit }\n`);
  const warnings: string[] = [];
  await lab.release({ onWarning: (text) => warnings.push(text) });
  assert.match(warnings.join('\n'), /packing them as fit is up to you/);
});

test.run();
