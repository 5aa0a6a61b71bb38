/**
 * A release to boot without the runtime: a disk of the real kind whose initramfs holds busybox and a script that
 * reports a boot record (stand-in-init.sh). What it measures is real; what it claims about slots and containers is not.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BoardArchitecture } from '../../toolchain/board/qemu.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  cpioArchive,
  cpioCharacterDevice,
  cpioDirectory,
  cpioFile,
} from '../../toolchain/disk/cpio.ts';
import { BOOT_FILE, buildDisk } from '../../toolchain/disk/disk.ts';
import { kernelIn, loadKernelModules } from '../../toolchain/disk/kernel-modules.ts';
import {
  type DebianPackage,
  fetchNewest,
  fetchPackage,
} from '../../toolchain/host/debian-packages.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';

export interface StandIn {
  readonly architecture: BoardArchitecture;
  /** What the init does instead of booting well. */
  readonly fault?: 'panic' | 'silent' | 'sleep' | 'refused' | 'garbage' | 'flood';
}

const DEBIAN = { x86_64: 'amd64', aarch64: 'arm64' } as const;
const CONSOLE = { x86_64: 'ttyS0', aarch64: 'ttyAMA0' } as const;
const STORE_BYTES = 4 * 1024 * 1024;

/** Makes the release in `dir`: disk.img and release.json, for the board that comes with coldseal. */
export async function makeStandInRelease(dir: string, standIn: StandIn): Promise<string> {
  const { architecture, fault } = standIn;
  const emulator = architecture === 'x86_64' ? 'qemu-system-x86' : 'qemu-system-arm';
  requireTool(`qemu-system-${architecture}`, emulator);
  requireTool('xz', 'xz-utils');
  const source = { suite: 'trixie', architecture: DEBIAN[architecture] };
  const [linux, busybox] = await orSkip(async () => [
    await fetchNewest(source, `linux-image-cloud-${source.architecture}`),
    await fetchPackage(source, 'busybox-static'),
  ]);
  const kernel = kernelIn(linux!.directory);
  const modules = await loadKernelModules(kernel, ['virtio_blk']);
  const initramfs = cpioArchive([
    ...['bin', 'dev', 'modules', 'proc', 'sys'].map((name) => cpioDirectory(name)),
    cpioCharacterDevice('dev/console', [5, 1]),
    cpioFile('init', readFileSync(join(ROOT, 'test/support/stand-in-init.sh')), 0o755),
    cpioFile('bin/busybox', readFileSync(join(busybox!.directory, 'usr/bin/busybox')), 0o755),
    cpioFile('modules/order', Buffer.from(modules.map(({ name }) => `${name}\n`).join(''))),
    ...modules.map(({ name, bytes }) => cpioFile(`modules/${name}.ko`, bytes)),
  ]);
  const words = [`console=${CONSOLE[architecture]} quiet panic=-1`];
  if (fault !== undefined) words.push(`stand-in=${fault}`);
  const release = join(dir, 'release');
  mkdirSync(release);
  await buildDisk({
    output: join(release, 'disk.img'),
    boot: [
      { name: BOOT_FILE.kernel, path: kernel.image },
      { name: BOOT_FILE.initramfs, bytes: initramfs },
      { name: BOOT_FILE.cmdline, bytes: Buffer.from(`${words.join(' ')}\n`) },
    ],
    store: [{ name: 'filler', digest: undefined, bytes: Buffer.alloc(STORE_BYTES, 7) }],
    state: new Uint8Array(),
  });
  const json = {
    releaseId: '00112233445566778899aabbccddeeff',
    version: '1.0.0',
    boot: { board: `qemu-${architecture}` },
  };
  writeFileSync(join(release, 'release.json'), JSON.stringify(json));
  return release;
}

async function orSkip(fetch: () => Promise<DebianPackage[]>): Promise<DebianPackage[]> {
  try {
    return await fetch();
  } catch (error) {
    const isMissing = error instanceof ColdsealError && error.code === 'HOST_NO_NETWORK';
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest(error.message);
  }
}
