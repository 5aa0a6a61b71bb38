/**
 * Virtual boards for real: kernels of Debian 13 in QEMU, with a stand-in for the runtime that reports a boot record.
 *
 * What depends on QEMU and the kernels is proven here: the report port on every machine, that a report arrives whole
 * before the power goes, that runs repeat with a disk, that requests are counted by both sides alike, and what a power
 * cut leaves on it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PARTITION } from '../../runtime/device-paths.ts';
import { readBootInputs } from '../../toolchain/board/boot-inputs.ts';
import { bootMachine } from '../../toolchain/board/boot-machine.ts';
import { bootRelease, type VirtualBoot } from '../../toolchain/board/virtual.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { openDisk, partitionOf } from '../../toolchain/disk/open-disk.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { makeStandInRelease, type StandIn } from '../support/stand-in-release.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('virtual boards');

/** The writes of a boot end when this machine has done them, and it is busy with other tests. */
const BUSY_DEVIATION = 0.02;

async function release(standIn: StandIn): Promise<{ path: string; [Symbol.dispose](): void }> {
  const dir = tempDir();
  const path = await makeStandInRelease(dir.path, standIn);
  return { path, [Symbol.dispose]: () => dir.remove() };
}

function assertBooted({ record, times, console, emulator }: VirtualBoot): void {
  assert.is(record.outcome, 'booted');
  assert.match(console, /^app: hello from the stand-in$/m);
  assert.ok(record.io!.readBytes > 2_000_000, String(record.io!.readBytes));
  assert.ok(times.totalNs > 0.5e9 && times.totalNs < 5e9, String(times.totalNs));
  assert.match(emulator.version, /^\d+\.\d+/);
}

for (const architecture of ['aarch64', 'x86_64'] as const) {
  test(`two runs on ${architecture} agree, and leave the disk as it was`, async () => {
    using made = await release({ architecture });
    const disk = join(made.path, 'disk.img');
    const before = readFileSync(disk);
    const boots = await bootRelease(made.path, { from: made.path, runs: 2 });
    boots.forEach(assertBooted);
    assert.ok(readFileSync(disk).equals(before));
    const [first, second] = boots.map(({ times }) => times);
    // What comes before the first write repeats exactly, reads of the disk included.
    const exact = ['kernel', 'setup', 'modules', 'find-store'];
    for (const name of exact) {
      const rows = [first, second].map((times) => times!.rows.find((row) => row.name === name));
      assert.equal(rows[0], rows[1], name);
    }
    const apart = Math.abs(first!.totalNs - second!.totalNs) / first!.totalNs;
    assert.ok(apart <= BUSY_DEVIATION, `the totals differ by ${(apart * 100).toFixed(2)}%`);
  });
}

for (const architecture of ['aarch64', 'x86_64'] as const) {
  test(`what a board on ${architecture} counts is what QEMU traces, twice the same`, async () => {
    using made = await release({ architecture });
    const counted = [];
    for (let run = 0; run < 2; run++) {
      const [boot] = await bootRelease(made.path, { from: made.path, countIo: true });
      counted.push(boot!.storage);
    }
    const [first, second] = counted;
    assert.ok(first!.io!.readBytes > 2_000_000, String(first!.io!.readBytes));
    assert.is(first!.io!.readBytes, first!.stages!.at(-1)!.readBytes, 'it notes its end only');
    // The stand-in writes five bytes into one block; SeaBIOS reads the disk's first sector.
    assert.is(first!.stages!.at(-1)!.writes, 1);
    assert.is(first!.outside!.firmware.reads, architecture === 'x86_64' ? 1 : 0);
    assert.equal(second!.stages, first!.stages);
  });
}

test('a microvm finds its disk and its report port without another driver', async () => {
  using made = await release({ architecture: 'x86_64' });
  const board = join(made.path, 'micro.yaml');
  const text = readFileSync(join(ROOT, 'board-configs/qemu-x86_64.yaml'), 'utf8')
    .replace(/^id: .*/m, 'id: micro')
    .replace(/machine: q35/, 'machine: microvm');
  writeFileSync(board, text);
  const [boot] = await bootRelease(made.path, { from: made.path, board });
  assertBooted(boot!);
  assert.is(boot!.emulator.machine, 'microvm');
});

test('a kernel that was unpacked beforehand starts on the same board', async () => {
  using made = await release({ architecture: 'x86_64' });
  const board = join(made.path, 'unpacked.yaml');
  const text = readFileSync(join(ROOT, 'board-configs/qemu-x86_64.yaml'), 'utf8')
    .replace(/^id: .*/m, 'id: unpacked')
    .replace(/machine: q35,/, 'machine: q35, unpack_kernel: true,');
  writeFileSync(board, text);
  const [boot] = await bootRelease(made.path, { from: made.path, board });
  assertBooted(boot!);
  assert.is(boot!.emulator.isKernelUnpacked, true);
});

test('a board that refuses, panics, lies or floods', async () => {
  const boot = async (fault: NonNullable<StandIn['fault']>): Promise<readonly VirtualBoot[]> => {
    using made = await release({ architecture: 'aarch64', fault });
    return await bootRelease(made.path, { from: made.path });
  };
  const [refused] = await boot('refused');
  assert.equal([refused!.record.outcome, refused!.record.slot], ['halt', null]);
  for (const [fault, code, hint] of [
    ['panic', 'HOST_BOARD_SILENT', /the kernel panicked: Attempted to kill init/],
    ['silent', 'HOST_BOARD_SILENT', /the runtime said VERIFY_STAND_IN/],
    ['garbage', 'FORMAT_BOOT_REPORT', undefined],
    ['flood', 'HOST_BOARD_OUTPUT', undefined],
  ] as const) {
    const error = await expectCodeAsync(() => boot(fault), code, fault);
    if (hint !== undefined) assert.match(error.hint!, hint);
  }
});

test('a power cut leaves on the disk what was written before it', async () => {
  using made = await release({ architecture: 'aarch64' });
  using inputs = readBootInputs(made.path, { from: made.path });
  using disk = inputs.copyDisk('cut.img');
  const { kernel, initramfs, commandLine } = inputs;
  const machine = {
    architecture: 'aarch64',
    kernel,
    initramfs,
    commandLine,
    disks: [{ path: disk.path, readOnly: false }],
  } as const;
  const state = (): string => {
    using open = openDisk(disk.path);
    return open.read(partitionOf(open, PARTITION.STATE).offset, 5).toString('latin1');
  };
  const early = { afterMs: 300 };
  const first = await bootMachine(machine, { timeoutMs: 60_000, powerCut: early });
  assert.equal([first.wasCut, state()], [true, '\0\0\0\0\0']);
  const late = { afterMs: 0, fromText: 'app: hello' };
  const second = await bootMachine(machine, { timeoutMs: 60_000, powerCut: late });
  assert.equal([second.wasCut, state()], [true, 'tried']);
});

test.run();
