/** QEMU's command line, and how a run of it ends; with scripts in the place of QEMU. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bootInteractively,
  bootMachine,
  emulatorVersion,
  REPORT_BYTES_MAX,
  TRACE_BYTES_MAX,
} from '../../toolchain/board/boot-machine.ts';
import {
  hardwareOf,
  idlePolling,
  qemuArguments,
  type VirtualMachine,
} from '../../toolchain/board/qemu.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('qemu');

let dir: TempDir;
const path = process.env['PATH']!;

test.before.each(() => {
  dir = tempDir();
  mkdirSync(join(dir.path, 'bin'));
  process.env['PATH'] = `${join(dir.path, 'bin')}:${path}`;
});
test.after.each(() => {
  process.env['PATH'] = path;
  dir.remove();
});

/** Puts a shell script in the place of QEMU. */
function fake(script: string, architecture = 'x86_64'): void {
  const program = join(dir.path, 'bin', `qemu-system-${architecture}`);
  writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

const MACHINE: VirtualMachine = {
  architecture: 'x86_64',
  kernel: 'vmlinuz',
  initramfs: 'initramfs',
  disks: [{ path: 'a,b', readOnly: true }],
};
const LIMITS = { timeoutMs: 30_000 };

const line = (machine: Partial<VirtualMachine> = {}): string =>
  qemuArguments({ ...MACHINE, ...machine }).join(' ');

test('QEMU emulates by instruction count, on one processor, without KVM, network or randomness', () => {
  assert.match(
    line(),
    /-accel tcg,thread=single -smp 1 -icount shift=0,align=off,sleep=off -seed 1/,
  );
  assert.match(line(), /-rtc base=2026-01-01,clock=vm -nodefaults -no-user-config -display none/);
  assert.match(line({ date: '2027-02-03' }), /-rtc base=2027-02-03,clock=vm/);
  assert.not.match(line(), /kvm|-nic|-netdev/);
  for (const [given, expected] of [
    [{}, '-M q35,hpet=off -cpu max'],
    [{ architecture: 'aarch64' }, '-M virt,dtb-randomness=off -cpu cortex-a53'],
    [{ machine: 'microvm', cpu: 'qemu64' }, '-M microvm,pcie=on,rtc=on -cpu qemu64'],
    [{ memoryMiB: 256 }, '-m 256'],
    [{}, '-append console=ttyS0 quiet panic=-1'],
    [{ architecture: 'aarch64' }, '-append console=ttyAMA0 quiet panic=-1'],
    [{ commandLine: 'console=x, y' }, '-append console=x, y'],
    [{ dtb: 'board.dtb' }, '-dtb board.dtb'],
    [{ isInteractive: true }, '-serial mon:stdio'],
    [
      { diskTrace: 'a,b' },
      '-D a,b -trace enable=virtio_blk_handle_read -trace enable=virtio_blk_handle_write ' +
        '-trace enable=virtio_blk_req_complete -trace enable=virtio_set_status',
    ],
  ] as [Partial<VirtualMachine>, string][]) {
    assert.ok(line(given).includes(expected), `${line(given)}: ${expected}`);
  }
  assert.not.match(line({ isInteractive: true }), /icount/);
  assert.not.match(line(), /trace|-D/);
  assert.equal((['aarch64', 'x86_64'] as const).map(idlePolling), ['nohlt', 'idle=poll']);
  assert.equal(hardwareOf(MACHINE), { machine: 'q35', cpu: 'max', memoryMiB: 1024 });
});

test('disks and the report port answer at once, and a comma in a path is no option', () => {
  const disk = 'if=none,id=disk0,format=raw,file=a,,b,cache=unsafe,aio=io_uring,readonly=on';
  assert.ok(line().includes(`-drive ${disk} -device virtio-blk-pci,drive=disk0,ioeventfd=off`));
  assert.match(qemuArguments(MACHINE, 'threads').join(' '), /aio=threads/);
  assert.match(line({ disks: [{ path: 'a', readOnly: false }] }), /,readonly=off -device/);
  const dropped = { path: 'a', readOnly: false, discardWrites: true };
  assert.match(line({ disks: [dropped] }), /aio=io_uring,snapshot=on -device/);
  const report = { port: 'coldseal.report', path: '/tmp/a,b' };
  assert.match(
    line({ report }),
    /-device virtio-serial-pci,id=ports,ioeventfd=off -chardev file,id=report,path=\/tmp\/a,,b/,
  );
  assert.match(line({ report }), /virtserialport,bus=ports.0,chardev=report,name=coldseal.report$/);
});

test('the console comes as it is printed, with plain line ends', async () => {
  fake("printf 'one\\r\\n'; sleep 0.2; printf 'two\\r\\n'");
  const heard: string[] = [];
  const { console, wasCut, backend } = await bootMachine(MACHINE, {
    ...LIMITS,
    onConsole: (text) => heard.push(text),
  });
  assert.equal([console, wasCut, backend], ['one\ntwo\n', false, 'io_uring']);
  assert.is(heard.join(''), console);
  assert.ok(heard.length > 1);
});

test('a power cut after a time, or a time after some text', async () => {
  fake('echo before; exec sleep 60');
  const early = await bootMachine(MACHINE, { ...LIMITS, powerCut: { afterMs: 300 } });
  assert.equal([early.wasCut, early.console], [true, 'before\n']);
  fake("sleep 0.3; printf 'mark'; sleep 0.3; printf 'ing good'; exec sleep 60");
  const cut = { afterMs: 100, fromText: 'marking' };
  const late = await bootMachine(MACHINE, { ...LIMITS, powerCut: cut });
  assert.equal([late.wasCut, late.console], [true, 'marking good']);
  fake('echo over before that');
  const never = await bootMachine(MACHINE, { ...LIMITS, powerCut: { afterMs: 20_000 } });
  assert.is(never.wasCut, false);
});

test('a guest that floods its report or its console is stopped', async () => {
  const report = { port: 'p', path: join(dir.path, 'report') };
  fake(`head -c ${REPORT_BYTES_MAX + 1} /dev/zero > ${report.path}; exec sleep 60`);
  const flooded = await expectCodeAsync(
    () => bootMachine({ ...MACHINE, report }, LIMITS),
    'HOST_BOARD_OUTPUT',
  );
  assert.match(flooded.message, /to its report/);
  const diskTrace = join(dir.path, 'trace');
  fake(`truncate -s ${TRACE_BYTES_MAX + 1} ${diskTrace}; exec sleep 60`);
  const traced = await expectCodeAsync(
    () => bootMachine({ ...MACHINE, diskTrace }, LIMITS),
    'HOST_BOARD_OUTPUT',
  );
  assert.match(traced.message, /to its trace/);
  fake('exec yes');
  const chatty = await expectCodeAsync(() => bootMachine(MACHINE, LIMITS), 'HOST_BOARD_OUTPUT');
  assert.match(chatty.message, /to its console/);
});

test('an interruption kills QEMU', async () => {
  fake('exec sleep 60');
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  try {
    await bootMachine(MACHINE, { ...LIMITS, signal: abort.signal });
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, 'AbortError');
  }
});

test('the version of QEMU, and a console on the terminal', async () => {
  fake('echo "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"');
  assert.is(await emulatorVersion('x86_64'), '7.2.22');
  fake('echo nonsense', 'aarch64');
  assert.is(await emulatorVersion('aarch64'), 'unknown');
  fake(`echo "$@" > ${join(dir.path, 'arguments')}; exit 3`);
  assert.is(await bootInteractively(MACHINE, { timeoutMs: 60_000 }), 3);
  assert.match(readFileSync(join(dir.path, 'arguments'), 'utf8'), /mon:stdio/);
});

// Last: what the process found out about io_uring holds for the boards after it.
test('without io_uring the boot is tried again with threads', async () => {
  fake(`case "$*" in *io_uring*) echo 'Unable to use io_uring' >&2; exit 1;; esac; echo ok`);
  const { backend, console } = await bootMachine(MACHINE, LIMITS);
  assert.equal([backend, console], ['threads', 'ok\n']);
});

test.run();
