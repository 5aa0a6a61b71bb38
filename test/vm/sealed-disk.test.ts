/**
 * The sealed ext4 of a flashable disk before the one judge that counts: Debian 13's kernel, which mounts it, measures
 * every file and refuses a changed byte.
 */
import { closeSync, openSync, readFileSync, realpathSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  cpioArchive,
  cpioDirectory,
  type CpioEntry,
  cpioFile,
  cpioSymlink,
} from '../../toolchain/disk/cpio.ts';
import { buildDisk } from '../../toolchain/disk/disk.ts';
import { kernelIn, loadKernelModules } from '../../toolchain/disk/kernel-modules.ts';
import { placeInStore, sealedObject, TEST_STATE } from '../support/disk-lab.ts';
import { runTool } from '../support/file-systems.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool, skipTest } from '../support/tools.ts';
import { debianKernel } from '../support/vm-lab.ts';

const test = suite('sealed disk in a virtual board');

const SIZES = [0, 10, 4096, 4097, 65536, 65537, 524_289, 1_000_000, 3_000_000];
const SEALED = (['sha256', 'sha512'] as const).flatMap((algorithm) =>
  SIZES.map((size) => ({ ...sealedObject(size, algorithm), size, algorithm })),
);
/** One byte of each is changed after the disk was made: of the data, the tree and the descriptor. */
const DAMAGED = [
  { ...sealedObject(20_000), size: 20_000, block: 2 },
  { ...sealedObject(40_000), size: 40_000, block: 16 },
  { ...sealedObject(50_000), size: 50_000, block: 17 },
];
const APPLETS = 'cat dmesg find grep insmod mount poweroff sh tail wc'.split(' ');

let console: string;

/** A program and its libraries, at the places where the loader looks. */
function programEntries(path: string, name: string): CpioEntry[] {
  const libraries = [...runTool('ldd', [path]).matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)];
  return [
    cpioFile(`bin/${name}`, readFileSync(path), 0o755),
    ...libraries.map(([, library]) => {
      return cpioFile(library!.slice(1), readFileSync(realpathSync(library!)), 0o755);
    }),
  ];
}

/** Adds the directories of some entries. */
function withDirectories(entries: readonly CpioEntry[]): CpioEntry[] {
  const paths = new Set<string>();
  for (const { name } of entries) {
    for (let path = dirname(name); path !== '.'; path = dirname(path)) paths.add(path);
  }
  return [...[...paths].map((path) => cpioDirectory(path)), ...entries];
}

test.before(async () => {
  if (process.arch !== 'x64') skipTest('the guest is made of programs of an x86-64 machine');
  requireTool('qemu-system-x86_64', 'qemu-system-x86');
  requireTool('e2fsck', 'e2fsprogs');
  const { directory } = await debianKernel();
  const kernel = kernelIn(directory);
  using dir = tempDir();
  const disk = join(dir.path, 'disk.img');
  await buildDisk({ output: disk, boot: [], store: [...SEALED, ...DAMAGED], state: TEST_STATE });
  for (const { name, block } of DAMAGED) {
    const fd = openSync(disk, 'r+');
    writeSync(fd, Uint8Array.of(0xee), 0, 1, placeInStore(disk, name, block) + 20);
    closeSync(fd);
  }
  const modules = await loadKernelModules(kernel, ['virtio_blk']);
  const initramfs = join(dir.path, 'initramfs.cpio');
  writeFileSync(
    initramfs,
    cpioArchive([
      ...['dev', 'proc', 'store', 'tmp'].map((name) => cpioDirectory(name)),
      ...withDirectories([
        cpioFile('init', readFileSync(join(ROOT, 'test/vm/sealed-init.sh')), 0o755),
        cpioFile('bin/busybox', readFileSync(requireTool('busybox', 'busybox-static')), 0o755),
        ...APPLETS.map((applet) => cpioSymlink(`bin/${applet}`, 'busybox')),
        ...programEntries(requireTool('fsverity', 'fsverity'), 'fsverity'),
        cpioFile('modules/order', Buffer.from(modules.map(({ name }) => `${name}\n`).join(''))),
        ...modules.map(({ name, bytes }) => cpioFile(`modules/${name}.ko`, bytes)),
      ]),
    ]),
  );
  const result = await bootMachine(
    {
      architecture: 'x86_64',
      kernel: kernel.image,
      initramfs,
      disks: [{ path: disk, readOnly: true }],
    },
    { timeoutMs: 5 * 60 * 1000 },
  );
  console = result.console;
  if (!console.includes('@@end'))
    throw new Error(`the guest did not end:\n${console.slice(-3000)}`);
});

/** What the guest said about a file after a marker. */
function said(marker: string, name: string): string {
  const line = console.split('\n').find((each) => each.startsWith(`@@${marker} ./${name} `));
  if (line === undefined) throw new Error(`nothing was ${marker} of ${name}:\n${console}`);
  return line.slice(`@@${marker} ./${name} `.length);
}

test('the kernel mounts the store and has nothing to say about it', () => {
  assert.not.match(console, /@@fault/);
  assert.match(console, /EXT4-fs \(vda2\): mounted filesystem .* ro without journal/);
  assert.not.match(console, /EXT4-fs (error|warning)/i);
});

test('the kernel measures the digest that every file is named by, and reads it whole', () => {
  for (const { name, digest, algorithm, size } of SEALED) {
    assert.is(said('measured', name).split(' ')[0], `${algorithm}:${digest}`, name);
    assert.is(said('read', name).trim(), String(size), name);
  }
});

test('a changed byte of data, tree or descriptor is an I/O error and never wrong data', () => {
  const [data, tree, descriptor] = DAMAGED as [
    (typeof DAMAGED)[0],
    (typeof DAMAGED)[0],
    (typeof DAMAGED)[0],
  ];
  assert.match(said('read', data.name), /^8192 .*Input\/output error/);
  assert.match(said('read', tree.name), /^0 .*Input\/output error/);
  // The digest of a changed descriptor is another one, so whoever asks for the right one is refused.
  const measured = said('measured', descriptor.name);
  assert.not.match(measured, new RegExp(descriptor.digest!));
  assert.match(console, /fs-verity \(vda2, inode \d+\): FILE CORRUPTED/);
});

test.run();
