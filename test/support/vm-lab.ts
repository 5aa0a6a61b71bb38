/**
 * The virtual board behind test/vm: Debian 13's cloud kernel, a disk with this machine's node and the built CLI, and
 * an empty disk with fs-verity. One boot runs a script of steps and prints what each printed.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import type { VirtualMachine } from '../../toolchain/board/qemu.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  cpioArchive,
  cpioCharacterDevice,
  cpioDirectory,
  cpioFile,
} from '../../toolchain/disk/cpio.ts';
import { kernelIn, loadKernelModules } from '../../toolchain/disk/kernel-modules.ts';
import { type DebianPackage, fetchNewest } from '../../toolchain/host/debian-packages.ts';
import { runTool } from './file-systems.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';

/** What one step of the guest printed. */
export interface Step {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Guest {
  readonly init: string;
  readonly modules: readonly string[];
  /** Programs of this machine that the guest needs, with the Debian package of each. */
  readonly programs: Readonly<Record<string, string>>;
  /** Applets of busybox that the steps use. */
  readonly applets: readonly string[];
  /** Puts the inputs into /guest of the system disk. */
  readonly addInputs: (guest: string) => void;
}

const TIMEOUT_MS = 10 * 60 * 1000;
const DATE = '2026-01-01';

/** Debian 13's cloud kernel from the cache or the network; without a network the test is skipped, or fails in CI. */
export async function debianKernel(): Promise<DebianPackage> {
  try {
    return await fetchNewest({ suite: 'trixie', architecture: 'amd64' }, 'linux-image-cloud-amd64');
  } catch (error) {
    const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}

/** Boots a guest in files below `dir`; returns what its steps printed, by name. */
export async function bootGuest(dir: string, guest: Guest): Promise<Map<string, Step>> {
  if (process.arch !== 'x64') skipTest('the guest is made of programs of an x86-64 machine');
  requireTool('qemu-system-x86_64', 'qemu-system-x86');
  const { directory } = await debianKernel();
  const kernel = kernelIn(directory);
  const initramfs = join(dir, 'initramfs.cpio');
  const busybox = readFileSync(requireTool('busybox', 'busybox-static'));
  requireTool('xz', 'xz-utils');
  const modules = await loadKernelModules(kernel, guest.modules);
  writeFileSync(
    initramfs,
    cpioArchive([
      ...['bin', 'dev', 'modules', 'root'].map((name) => cpioDirectory(name)),
      cpioCharacterDevice('dev/console', [5, 1]),
      cpioFile('init', readFileSync(guest.init), 0o755),
      cpioFile('bin/busybox', busybox, 0o755),
      cpioFile('modules/order', Buffer.from(modules.map(({ name }) => `${name}\n`).join(''))),
      ...modules.map(({ name, bytes }) => cpioFile(`modules/${name}.ko`, bytes)),
    ]),
  );
  const machine: VirtualMachine = {
    architecture: 'x86_64',
    kernel: kernel.image,
    initramfs,
    disks: [
      { path: makeSystemDisk(dir, guest), readOnly: true },
      { path: makeStoreDisk(dir), readOnly: false },
    ],
    date: DATE,
  };
  const { console } = await bootMachine(machine, { timeoutMs: TIMEOUT_MS });
  return parseSteps(console);
}

/** What the steps printed between their markers; throws when the guest did not reach the end. */
export function parseSteps(console: string): Map<string, Step> {
  const end = console.slice(-3000);
  if (console.includes('@@fault')) throw new Error(`the guest could not start:\n${end}`);
  if (!/^@@end$/m.test(console)) throw new Error(`the guest did not reach its end:\n${end}`);
  const pattern = /^@@step (\S+)\n(.*?)\n@@stderr\n(.*?)\n@@exit (\d+)$/gms;
  return new Map(
    [...console.matchAll(pattern)].map(([, name, stdout, stderr, code]) => [
      name!,
      { code: Number(code), stdout: stdout!, stderr: stderr! },
    ]),
  );
}

/** Blocks smaller than those of fs-verity's tree, which mke2fs chooses for a small disk, would rule fs-verity out. */
function makeStoreDisk(dir: string): string {
  const path = join(dir, 'store.img');
  writeFileSync(path, '');
  truncateSync(path, 64 * 1024 * 1024);
  runTool(requireTool('mke2fs', 'e2fsprogs'), [
    '-q',
    '-t',
    'ext4',
    '-b',
    '4096',
    '-O',
    'verity',
    path,
  ]);
  return path;
}

/** A root file system with busybox, the programs with their libraries, the CLI and the inputs. */
function makeSystemDisk(dir: string, guest: Guest): string {
  const root = join(dir, 'system');
  for (const name of ['app', 'bin', 'dev', 'guest', 'proc', 'store', 'sys', 'tmp']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  copyFileSync(requireTool('busybox', 'busybox-static'), join(root, 'bin/busybox'));
  for (const applet of guest.applets) symlinkSync('busybox', join(root, 'bin', applet));
  for (const [name, debian] of Object.entries(guest.programs)) {
    addProgram(root, requireTool(name, debian), name);
  }
  addProgram(root, process.execPath, 'node');
  addCli(root);
  guest.addInputs(join(root, 'guest'));
  const path = join(dir, 'system.img');
  writeFileSync(path, '');
  truncateSync(path, 512 * 1024 * 1024);
  const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-E', 'root_owner=0:0', '-d', root];
  runTool(requireTool('mke2fs', 'e2fsprogs'), [...options, path]);
  return path;
}

function addCli(root: string): void {
  const app = join(root, 'app');
  for (const path of ['dist', 'board-configs', 'package.json', 'node_modules/koffi']) {
    cpSync(join(ROOT, path), join(app, path), { recursive: true });
  }
  const native = 'node_modules/@koromix/koffi-linux-x64';
  cpSync(join(ROOT, native), join(app, native), { recursive: true });
}

/** A program of this machine and the libraries that the loader would find for it, at their paths. */
function addProgram(root: string, path: string, name: string): void {
  const target = join(root, 'bin', name);
  copyFileSync(realpathSync(path), target);
  chmodSync(target, 0o755);
  for (const [, library] of runTool('ldd', [path]).matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) {
    const place = join(root, library!);
    if (existsSync(place)) continue;
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(realpathSync(library!), place);
  }
}
