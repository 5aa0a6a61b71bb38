/**
 * A board whose disk is attacked: two releases of one small system in slots a and b, and real boots of changed copies.
 *
 * What the board runs is made to be watched: the container `probe` reads two files to their ends and says in one line
 * how many bytes it got, their SHA-256 and the error. Every object that a release reads differs between the two
 * releases, so that damage to one leaves the other whole. Nothing marks a slot good; the board reports and switches
 * itself off.
 */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { PARTITION } from '../../runtime/device-paths.ts';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  readSlotState,
  SLOT_STATE_SPACING,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import type { SlotState } from '../../runtime/format/slot-state.ts';
import { parseBootReport } from '../../toolchain/board/boot-report.ts';
import { type BootInputs, readBootInputs, readReport } from '../../toolchain/board/boot-inputs.ts';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import { type BoardArchitecture, emulatorOf } from '../../toolchain/board/qemu.ts';
import { bundleConfig, demoBoardSystem } from '../../toolchain/dev/demo-board.ts';
import { openDisk, partitionOf } from '../../toolchain/disk/open-disk.ts';
import type { BuiltRelease } from '../../toolchain/release/build-release.ts';
import { type SlotRelease, storeFiles } from '../../toolchain/release/release-disk.ts';
import type { StoreFile } from '../../toolchain/disk/disk.ts';
import { type BoardPki, boardPki } from './board-pki.ts';
import { type BootsetLab, bootsetLab } from './bootset-lab.ts';
import { hasPanicked, KernelPanic } from './kernel-panic.ts';
import { areToolsRequired, requireTool, skipTest } from './tools.ts';
import { machineOf, REPORT_PORT } from '../../toolchain/board/virtual.ts';

/** Both files are objects with a Merkle tree of one block. */
export const PROBE_BYTES = 300_000;
export const PROBE_FILES = ['data', 'other'] as const;
export type ProbeFile = (typeof PROBE_FILES)[number];

/** What differs between the two releases, by file. */
export type Content = Readonly<Record<ProbeFile | 'crun' | 'busybox', Uint8Array>>;

/** A release in one of the slots. */
export interface LabRelease extends SlotRelease {
  readonly slot: 'a' | 'b';
  readonly content: Content;
}

/** What the container read of one file. */
export interface Reading {
  readonly bytes: number;
  readonly sha256: string;
  /** The kernel's words, or empty. */
  readonly error: string;
}

export interface LabBoot {
  readonly record: BootRecord;
  /** Undefined when the container said nothing. */
  readonly readings: Readonly<Record<ProbeFile, Reading>> | undefined;
  readonly console: string;
}

export interface BoardBoots extends Disposable {
  readonly architecture: BoardArchitecture;
  readonly pki: BoardPki;
  readonly releases: Readonly<Record<'a' | 'b', LabRelease>>;
  /** As the release made it. */
  readonly disk: string;
  readonly store: readonly StoreFile[];
  readonly built: BuiltRelease;
  /** A new path for a disk of a boot. */
  newPath(): string;
  /** A copy of the disk of the release. */
  copyDisk(): string;
  /** Boots a disk, which keeps what the boot writes, until the board has reported and switched itself off. */
  boot(disk: string): Promise<LabBoot>;
}

const TIMEOUT_MS = 180_000;
const LATEST_EPOCH = 2;
const LINE = 32;

/** Builds both releases and the disk. Without QEMU or the Debian packages the test is skipped. */
export async function boardBoots(architecture: BoardArchitecture): Promise<BoardBoots> {
  const { name, debian } = emulatorOf(architecture);
  requireTool(name, debian);
  const lab = bootsetLab();
  try {
    return await orSkip(() => makeLab(lab, architecture));
  } catch (error) {
    lab.remove();
    throw error;
  }
}

async function makeLab(lab: BootsetLab, architecture: BoardArchitecture): Promise<BoardBoots> {
  const pki = boardPki(lab.path);
  const system = await demoBoardSystem(join(lab.path, 'demo'), { architecture });
  writeFileSync(join(system.rootfs, 'etc/rc'), '#!/bin/sh\n');
  makeProbe(join(lab.path, 'demo/probe'), join(system.rootfs, 'usr/bin/busybox'));
  const common = { keys: pki.directory } as const;
  const bootset = (version: string): string =>
    lab.write('demo/BOOTSET.yaml', bootsetOf(architecture, version));
  const oldContent = changeContent(join(lab.path, 'demo'), 'old');
  const [oldPath, newPath] = [join(lab.path, 'old'), join(lab.path, 'new')];
  const old = await lab.release({ ...common, bootset: bootset('1.0'), output: oldPath });
  const newContent = changeContent(join(lab.path, 'demo'), 'new');
  const built = await lab.release({
    ...common,
    bootset: bootset('2.0'),
    output: newPath,
    fallback: oldPath,
    noDisk: false,
  });
  const fallback = built.boot!.slots[0]!;
  const releases = {
    a: { ...slotA(built, newPath), content: newContent },
    b: { ...fallback, slot: 'b', content: oldContent },
  } as const;
  if (old.manifestSha256 !== fallback.manifestSha256)
    throw new Error('slot b holds another release');
  const inputs = readBootInputs(newPath, { from: lab.path });
  let count = 0;
  const path = (): string => join(inputs.workDir, `tampered-${++count}.img`);
  return {
    architecture,
    pki,
    releases,
    built,
    disk: join(newPath, 'disk.img'),
    store: storeFiles([releases.a, releases.b]),
    newPath: path,
    copyDisk: () => inputs.copyDisk(`tampered-${++count}.img`).path,
    boot: (disk) => bootDisk(inputs, disk),
    [Symbol.dispose]() {
      inputs[Symbol.dispose]();
      lab.remove();
    },
  };
}

/** The release itself as what is in slot a: objects are known from its images' lists. */
function slotA(built: BuiltRelease, path: string): Omit<LabRelease, 'content'> {
  const objects = built.images.flatMap(({ source }) => source.objects);
  const { manifest, manifestSha256 } = built;
  return { slot: 'a', path, manifest, manifestSha256, objects, hasDenyList: false };
}

async function orSkip<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    const code = error instanceof ColdsealError ? error.code : '';
    const isMissing = ['HOST_NO_NETWORK', 'HOST_TOOL_MISSING'].includes(code);
    if (!isMissing || areToolsRequired()) throw error;
    return skipTest((error as Error).message);
  }
}

// --- the system ----------------------------------------------------------------------------------------

function bootsetOf(architecture: BoardArchitecture, version: string): string {
  return `product: coldseal-demo
version: '${version}'
board: qemu-${architecture}
epochs: { 1: ${LATEST_EPOCH} }
images:
  - { name: debian, role: system, source: { directory: rootfs } }
  - { name: probe, role: container, start: early, source: { directory: probe } }
`;
}

/** One line, and only when everything is read: the board is switched off at the first output. */
const PROBE_SCRIPT = `for f in ${PROBE_FILES.join(' ')}; do
  error=$(cat /$f 2>&1 >/dev/copy)
  bytes=$(wc -c < /dev/copy)
  sum=$(sha256sum < /dev/copy)
  line="$line $f: $bytes \${sum%% *} (\${error##*: })"
done
echo "read$line"`;
const READING = new RegExp(
  `^probe: read${PROBE_FILES.map((file) => ` ${file}: (\\d+) ([0-9a-f]{64}) \\((.*?)\\)`).join('')}$`,
  'm',
);

function makeProbe(bundle: string, busybox: string): void {
  const rootfs = join(bundle, 'rootfs');
  for (const path of ['bin', 'dev', 'proc']) mkdirSync(join(rootfs, path), { recursive: true });
  writeFileSync(join(rootfs, 'bin/busybox'), readFileSync(busybox));
  chmodSync(join(rootfs, 'bin/busybox'), 0o755);
  for (const name of ['cat', 'sh', 'sha256sum', 'wc']) {
    symlinkSync('busybox', join(rootfs, 'bin', name));
  }
  const config = JSON.parse(JSON.stringify(bundleConfig('hello'))) as {
    process: { args: string[] };
    mounts: { destination: string; options?: string[] }[];
  };
  config.process.args = ['/bin/sh', '-c', PROBE_SCRIPT];
  // The copy of a file has to fit.
  const dev = config.mounts.find(({ destination }) => destination === '/dev')!;
  dev.options = ['nosuid', 'mode=755', 'size=2m'];
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
}

/** The programs that the system starts first, and what the container reads: objects of their own in each release. */
function changeContent(dir: string, release: string): Content {
  const program = (name: string): Uint8Array => {
    const path = join(dir, 'rootfs/usr/bin', name);
    // An ELF file may go on after its end.
    const bytes = Buffer.concat([readFileSync(path), Buffer.from(`\n${release}`)]);
    writeFileSync(path, bytes);
    return bytes;
  };
  const file = (name: ProbeFile): Uint8Array => {
    const bytes = Buffer.alloc(PROBE_BYTES);
    for (let at = 0; at < PROBE_BYTES; at += LINE) {
      bytes.write(`${release} ${name} ${at}`.padEnd(LINE - 1).concat('\n'), at, 'latin1');
    }
    writeFileSync(join(dir, 'probe/rootfs', name), bytes);
    return bytes;
  };
  return {
    data: file('data'),
    other: file('other'),
    crun: program('crun'),
    busybox: program('busybox'),
  };
}

// --- boots ---------------------------------------------------------------------------------------------

let reports = 0;

async function bootDisk(inputs: BootInputs, path: string): Promise<LabBoot> {
  const report = { port: REPORT_PORT, path: join(inputs.workDir, `report-${++reports}`) };
  const { console } = await bootMachine(
    {
      ...machineOf(inputs, path, `${inputs.commandLine} coldseal.report=${REPORT_PORT}`),
      report,
    },
    { timeoutMs: TIMEOUT_MS },
  );
  const record = parseBootReport(readReport(report.path));
  if (record === undefined) {
    throw hasPanicked(console)
      ? new KernelPanic(console)
      : new Error(`the board reported nothing:\n${console}`);
  }
  return { record, readings: readingsIn(console), console };
}

function readingsIn(console: string): LabBoot['readings'] {
  const found = READING.exec(console);
  if (found === null) return undefined;
  const reading = (index: number): Reading => {
    const [bytes, sha256, error] = found.slice(1 + index * 3, 4 + index * 3);
    return { bytes: Number(bytes), sha256: sha256!, error: error! };
  };
  return { data: reading(0), other: reading(1) };
}

/** The state that a disk has now, and how many copies are damaged. */
export function readState(path: string): { state: SlotState | undefined; damaged: number } {
  using disk = openDisk(path);
  const { offset } = partitionOf(disk, PARTITION.STATE);
  const copies = [0, SLOT_STATE_SPACING].map((at) => disk.read(offset + at, SlotStateRecord.size));
  const { state, damage } = readSlotState(copies, createNodeCrypto().sha256);
  return { state, damaged: damage.length };
}

/** Hexadecimal SHA-256, as the container prints it. */
export const sha256Hex = (bytes: Uint8Array): string => toHex(createNodeCrypto().sha256(bytes));
