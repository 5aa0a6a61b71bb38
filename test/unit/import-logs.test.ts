/**
 * Each importer on logs that boards and tools wrote: every figure is in the log itself, or another tool says it too.
 * Where the logs are from is in test/vectors/boot-logs/README.md.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import {
  at,
  fileLog,
  filesLog,
  flagWords,
  importAll,
  importMerged,
  importOne,
  rows,
  vectorLog,
  vectorText,
} from '../support/boot-logs.ts';

const test = suite('boot logs');

const US = 1e3;
const MS = 1e6;

test('every vector is recognised, and its record passes the schema', () => {
  const expected: readonly (readonly [path: string, format: string, evidence: string])[] = [
    ['kernel/dmesg.txt', 'kernel-log', 'virtual-wallclock'],
    ['kernel/dmesg-initcall.txt', 'kernel-log', 'virtual-wallclock'],
    ['kernel/journal-received.txt', 'kernel-log', 'virtual-wallclock'],
    ['serial/grabserial-kernel.log', 'serial', 'board-serial'],
    ['serial/grabserial-u-boot.log', 'serial', 'board-serial'],
    ['serial/grabserial-u-boot-clock.log', 'serial', 'board-serial'],
    ['systemd/show-manager.txt', 'systemd', 'board-selfclock'],
    ['systemd/show-all.txt', 'systemd', 'virtual-wallclock'],
    ['systemd/time.txt', 'systemd', 'board-selfclock'],
    ['systemd/time-firmware.txt', 'systemd', 'board-selfclock'],
    ['systemd/time-minutes.txt', 'systemd', 'board-selfclock'],
    ['bootstage/u-boot-x86.log', 'bootstage', 'board-selfclock'],
    ['bootstage/stm32mp157c-ev1.txt', 'bootstage', 'board-selfclock'],
    ['bootstage/device-tree.dts', 'bootstage-dt', 'board-selfclock'],
    ['bootstage/device-tree.tar', 'bootstage-dt', 'board-selfclock'],
    ['cbmem/ids-2012.txt', 'cbmem', 'board-selfclock'],
    ['cbmem/x230-tabs.txt', 'cbmem', 'board-selfclock'],
    ['fpdt/published.txt', 'fpdt', 'board-selfclock'],
    ['efi', 'efi-loader', 'board-selfclock'],
    ['logic/sigrok-24mhz.csv', 'logic-analyser', 'board-gpio'],
    ['logic/sigrok-24mhz-samples.csv', 'logic-analyser', 'board-gpio'],
    ['logic/sigrok-1mhz-channels.csv', 'logic-analyser', 'board-gpio'],
    ['logic/logic2-meter.csv', 'logic-analyser', 'board-gpio'],
  ];
  for (const [path, format, evidence] of expected) {
    const boot = importOne(vectorLog(path));
    assert.is(boot.source.format, format, path);
    assert.is(boot.evidence, evidence, path);
    assert.ok(MEASURED_BOOT.safeParse(boot).success, path);
    assert.is(boot.source.sha256.length, 64, path);
    // The same log and the same options give the same record.
    assert.equal(importOne(vectorLog(path)), boot, path);
  }
});

test('boot-record: the runtime’s own record, with what the board does not know', () => {
  const record = bootRecordOf('demo-board', 400 * MS);
  const boot = importOne(fileLog(JSON.stringify(record)), {
    facts: { board: undefined, start: 'cold', specimen: 'SN 3' },
  });
  assert.equal([boot.board, boot.start, boot.specimen], ['demo-board', 'cold', 'SN 3']);
  assert.is(boot.evidence, 'board-selfclock');
  assert.is(boot.source.format, 'boot-record');
  // 400 ms before the kernel, and setup from 806 to 810 ms after it.
  assert.is(at(boot, 'kernel'), 400 * MS);
  assert.is(at(boot, 'init'), 1206 * MS);
  assert.ok(rows(boot).includes('setup 1206000000 1210000000'));
  const pretty = JSON.stringify(bootRecordOf('qemu-x86_64', null), undefined, 2);
  assert.is(
    importOne(fileLog(pretty), { facts: { board: undefined } }).evidence,
    'virtual-wallclock',
  );
  const late = importOne(fileLog(JSON.stringify(bootRecordOf('demo-board', 1700e9))), {
    facts: { board: 'demo-board' },
  });
  assert.ok(flagWords(late).includes('BUDGET_FLAG_FIRMWARE_LONG!'));
});

function bootRecordOf(board: string, beforeKernelNs: number | null): BootRecord {
  return {
    kind: 'coldseal-boot-record',
    schema: 1,
    outcome: 'booted',
    product: 'demo',
    board,
    isProduction: false,
    engine: 'quickjs',
    kernel: '6.12',
    clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs, counter: null },
    stages: [{ name: 'setup', startNs: 806 * MS, endNs: 810 * MS }],
    slot: 'a',
    attempts: [{ slot: 'a', reason: null }],
    release: null,
    images: [],
    containers: [],
    notes: [],
  };
}

test('the kernel log has kernel, initrd and userspace at the lines that say so', () => {
  const boot = importOne(vectorLog('kernel/dmesg.txt'));
  // "Run /init" at 3.929099; the second systemd says its version at 15.651509.
  assert.equal(rows(boot), [
    'kernel 0 3929099000',
    'initrd 3929099000 15651509000',
    'userspace 15651509000 -',
  ]);
  assert.is(at(boot, 'kernel'), 0);
  assert.is(at(boot, 'init'), 3_929_099 * US);
  assert.equal(boot.clock, { name: 'printk', zero: 'kernel', uncertaintyNs: MS });
  // Its kernel could not calibrate its counter at once: 0.040000 is followed by 0.000496.
  assert.equal(flagWords(boot), ['BUDGET_FLAG_CLOCK_CHANGED']);
});

test('the kernel log of a busybox initramfs ends with its init', () => {
  const boot = importOne(
    fileLog(
      '[    0.000000] Booting Linux on physical CPU 0x0\n' +
        '[    0.000000] Linux version 6.12.0\n' +
        '[    0.912345][    T1] Run /init as init process\n',
    ),
  );
  assert.equal(rows(boot), ['kernel 0 912345000', 'userspace 912345000 -']);
  assert.is(boot.evidence, 'board-selfclock');
  assert.equal(boot.flags, []);
});

/** What the kernel itself says, read in another way than the importer does. */
function kernelsDurations(text: string): number[] {
  return text
    .split('\n')
    .filter((line) => line.includes('] initcall ') && line.includes(' returned '))
    .map((line) => Number(line.split(' ').at(-2)));
}

test('initcall_debug: the durations are those that the kernel prints', () => {
  const boot = importOne(vectorLog('kernel/dmesg-initcall.txt'));
  const initcalls = boot.units.filter(({ track }) => track === 'initcall');
  const ended = initcalls.filter(({ endNs }) => endNs !== null);
  const durations = kernelsDurations(vectorText('kernel/dmesg-initcall.txt'));
  // grep -c 'initcall .* returned', and the sum of the figures behind "after" with awk.
  assert.is(ended.length, 676);
  assert.is(durations.length, 676);
  assert.is(
    durations.reduce((sum, us) => sum + us, 0),
    4_676_672,
  );
  // A start before the kernel's clock is cut off at zero, which happens for none that took its time.
  const shorter = ended.filter(
    ({ startNs, endNs }, i) => endNs! - startNs !== durations[i]! * US && startNs > 0,
  );
  assert.equal(shorter, []);
  assert.is(boot.units.filter(({ track }) => track === 'probe').length, 27);
  const encrypted = initcalls.find(({ name }) => name === 'init_encrypted')!;
  assert.equal([encrypted.startNs, encrypted.endNs], [4_403_514 * US, 4_586_170 * US]);
  assert.ok(initcalls.some(({ name }) => name === 'virtio_blk_init [virtio_blk]'));
});

test('initcalls that are asynchronous, deferred, running or from another kernel', () => {
  const boot = importOne(
    fileLog(
      [
        '[    0.000000] Linux version 6.12.0',
        '[    0.100000] calling  1_do_scan+0x0/0x10 @ 7',
        '[    0.150000] initcall 1_do_scan+0x0/0x10 returned after 50000 usecs',
        '[    0.200000] probe of 1c20000.gpu returned 517 after 12 usecs',
        '[    0.210000] probe of 1c20000.gpu returned 0 after 500 usecs',
        '[    0.300000] calling  stuck_init+0x0/0x10 @ 1',
        '[    0.400000] initcall garbled+0x0/0x10 returned 0 after 99999999999999 usecs',
        '[    0.410000] initcall lost returned',
        '[    0.500000] Run /init as init process',
        '',
      ].join('\n'),
    ),
  );
  assert.equal(
    boot.units.map(({ name, track, startNs, endNs }) => [name, track, startNs / MS, endNs]),
    [
      ['1_do_scan', 'initcall', 100, 150 * MS],
      ['1c20000.gpu (deferred)', 'probe', 199.988, 200 * MS],
      ['1c20000.gpu', 'probe', 209.5, 210 * MS],
      ['stuck_init', 'initcall', 300, null],
    ],
  );
});

test('journalctl -k says when the journal received a line, which is flagged', () => {
  const boot = importOne(vectorLog('kernel/journal-received.txt'));
  assert.equal(flagWords(boot), ['BUDGET_FLAG_RECEIVED_TIMES!', 'BUDGET_FLAG_NO_INIT']);
  const right = importOne(
    fileLog(
      '[    0.000000] board kernel: Linux version 6.12.0\n' +
        '[    0.800000] board kernel: Run /sbin/init as init process\n' +
        '[    0.900000] board systemd[1]: systemd 257 running in system mode (+PAM)\n' +
        '[    1.500000] tuner systemd[1]: Startup finished in 800ms (kernel) + 700ms (userspace) = 1.5s.\n',
    ),
  );
  assert.equal(rows(right), ['kernel 0 800000000', 'userspace 800000000 1500000000']);
});

test('serial: grabserial with relative times and with those of the clock', () => {
  const relative = importOne(vectorLog('serial/grabserial-u-boot.log'));
  // The banner's line begins with [0.003538 0.000017].
  assert.is(at(relative, 'u-boot'), 3_538 * US);
  assert.is(at(relative, 'first-character'), 0);
  assert.equal(relative.clock.uncertaintyNs, 10 * MS);
  const clock = importOne(vectorLog('serial/grabserial-u-boot-clock.log'));
  // 15:00:48.131451 after 15:00:48.131204.
  assert.is(at(clock, 'u-boot'), 247 * US);
});

test('serial: where the kernel was there before the first character, nobody saw its start', () => {
  const boot = importOne(vectorLog('serial/grabserial-kernel.log'));
  // Run /init: the host says 1.752545, the kernel 1.926949, so its clock began before the capture.
  // The first line is stamped 0.000001, which is this record's zero.
  assert.is(at(boot, 'init'), 1_752_544 * US);
  assert.is(at(boot, 'login'), 2_933_067 * US);
  assert.is(at(boot, 'kernel'), undefined);
  assert.equal(boot.stages, []);
  assert.ok(flagWords(boot).includes('BUDGET_FLAG_CONSOLE_BEHIND'));
});

test('serial: loader and kernel on the host’s clock, and a console that lags behind', () => {
  const line = (host: number, kernel: number | null, text: string): string =>
    `[${host.toFixed(6)} 0.000000] ${kernel === null ? '' : `[${kernel.toFixed(6).padStart(12)}] `}${text}\n`;
  const log = [
    line(0, null, 'U-Boot SPL 2024.01'),
    line(0.4, null, 'U-Boot 2024.01'),
    line(1.9, 0, 'Linux version 6.12.0'),
    line(1.95, 0.1, 'printk: legacy console enabled'),
    line(2.0, 0.5, 'Run /init as init process'),
    line(2.5, null, 'board login: '),
  ].join('');
  const boot = importOne(fileLog(log));
  // Least distance of both clocks: 2.0 - 0.5.
  assert.equal(rows(boot), [
    'loader 0 1500000000',
    'kernel 1500000000 2000000000',
    'userspace 2000000000 2500000000',
  ]);
  assert.is(at(boot, 'spl'), 0);
  assert.is(at(boot, 'u-boot'), 400 * MS);
  // 1.95 - 0.1 is 350 ms more than 1.5.
  assert.equal(flagWords(boot), ['BUDGET_FLAG_CONSOLE_BEHIND']);
});

test('serial: tio, ts, midnight', () => {
  const formats: readonly (readonly [name: string, text: string])[] = [
    ['tio', '[23:59:59.900] first\n[00:00:00.150] U-Boot 2024.01\n'],
    ['ts', '0.000012 first\n0.250012 U-Boot 2024.01\n'],
    ['iso', '[2026-11-25T23:59:59.900Z] first\n[2026-11-26T00:00:00.150Z] U-Boot 2024.01\n'],
  ];
  for (const [name, text] of formats) {
    assert.is(at(importOne(fileLog(text)), 'u-boot'), 250 * MS, name);
  }
});

test('systemd: the stages are those of systemd-analyze time, of the same boot', () => {
  const boot = importOne(vectorLog('systemd/show-all.txt'));
  assert.equal(rows(boot), [
    'kernel 0 4052643000',
    'initrd 4052643000 15463218000',
    'userspace 15463218000 31301760000',
  ]);
  // "4.052s (kernel) + 11.410s (initrd) + 15.838s (userspace) = 31.301s", each cut off after milliseconds.
  const judged = boot.stages.map(({ startNs, endNs }) => Math.floor((endNs! - startNs) / MS));
  assert.equal(judged, [4052, 11_410, 15_838]);
  assert.is(Math.floor(at(boot, 'userspace-finished')! / MS), 31_301);
  assert.match(
    vectorText('systemd/time.txt'),
    '4.052s (kernel) + 11.410s (initrd) + 15.838s (userspace) = 31.301s',
  );
  assert.equal(boot.flags, []);
});

test('systemd: each unit takes as long as systemd-analyze plot says', () => {
  const log = filesLog({
    'show.txt': vectorText('systemd/show-manager.txt'),
    'plot.json': vectorText('systemd/plot.json'),
  });
  const boot = importOne(log);
  const [json] = vectorText('systemd/plot.json').split('\n');
  const plot = JSON.parse(json!) as { name: string; activating: number; time: number }[];
  const finishNs = 31_301_760 * US;
  // systemd-analyze itself had systemd-hostnamed started, after the boot.
  const within = plot.filter(({ activating }) => activating * US <= finishNs);
  assert.is(plot.length, 132);
  assert.equal([within.length, boot.units.length], [131, 131]);
  for (const [index, { name, time }] of within.entries()) {
    const unit = boot.units[index]!;
    assert.is(unit.name, name);
    assert.is(unit.track, 'unit');
    assert.is(unit.endNs! - unit.startNs, time * US, name);
  }
  assert.is(
    at(boot, 'multi-user.target'),
    boot.units.find(({ name }) => name === 'multi-user.target')!.endNs!,
  );
  assert.equal(boot.flags, []);
});

test('systemd: units of systemctl show begin when the plot says', () => {
  const shown = importMerged([
    vectorLog('systemd/show-manager.txt'),
    vectorLog('systemd/show-units.txt'),
  ]);
  const plotted = importMerged([
    vectorLog('systemd/show-manager.txt'),
    vectorLog('systemd/plot.json'),
  ]);
  const starts = new Map(plotted.units.map(({ name, startNs }) => [name, startNs]));
  const both = shown.units.filter(({ name }) => starts.has(name));
  assert.ok(both.length > 60, String(both.length));
  for (const { name, startNs } of both) assert.is(startNs, starts.get(name), name);
});

test('systemd: firmware and loader from the properties and from the sentence', () => {
  const manager = vectorText('systemd/show-manager.txt')
    .replace('FirmwareTimestampMonotonic=0', 'FirmwareTimestampMonotonic=14325507')
    .replace('LoaderTimestampMonotonic=0', 'LoaderTimestampMonotonic=8469533');
  const boot = importOne(fileLog(manager));
  assert.equal(rows(boot).slice(0, 3), [
    'firmware 0 5855974000',
    'loader 5855974000 14325507000',
    'kernel 14325507000 18378150000',
  ]);
  assert.is(boot.clock.zero, 'reset');
  // Published with the sentence: bootloader_launch_ns 5855973785 and exitbootservice_end_ns 14325507185.
  const sentence = importOne(vectorLog('systemd/time-firmware.txt'));
  assert.equal(rows(sentence), [
    'firmware 0 5855000000',
    'loader 5855000000 14324000000',
    'kernel 14324000000 17430000000',
    'userspace 17430000000 29611000000',
  ]);
  assert.is(sentence.clock.uncertaintyNs, 4 * MS);
  assert.equal(sentence.flags, []);
  const minutes = importOne(vectorLog('systemd/time-minutes.txt'));
  assert.equal(rows(minutes).at(-1), 'userspace 21760000000 69607000000');
});

test('systemd: what is not known is null or absent, not 0', () => {
  const manager = vectorText('systemd/show-manager.txt');
  const firmwareOnly = importOne(
    fileLog(manager.replace('FirmwareTimestampMonotonic=0', 'FirmwareTimestampMonotonic=5000000')),
  );
  assert.equal(rows(firmwareOnly)[0], 'firmware 0 -');
  assert.equal(rows(firmwareOnly)[1], 'kernel 5000000000 9052643000');
  const loaderOnly = importOne(
    fileLog(manager.replace('LoaderTimestampMonotonic=0', 'LoaderTimestampMonotonic=2000000')),
  );
  assert.equal(rows(loaderOnly)[0], 'loader 0 2000000000');
  assert.is(loaderOnly.clock.zero, 'os-loader');
  const unfinished = importOne(
    fileLog(manager.replace(/FinishTimestampMonotonic=\d+/, 'FinishTimestampMonotonic=0')),
  );
  assert.equal(rows(unfinished).at(-1), 'userspace 15463218000 -');
  assert.equal(flagWords(unfinished), ['BUDGET_FLAG_NOT_FINISHED!']);
});

test('bootstage: every mark and what it took, as U-Boot prints them', () => {
  const boot = importOne(vectorLog('bootstage/u-boot-x86.log'));
  const printed = [
    ...vectorText('bootstage/u-boot-x86.log').matchAll(/^ *([\d,]+) +([\d,]+) {2}(\S.*?)\r?$/gm),
  ];
  assert.ok(printed.length === 10, String(printed.length));
  const number = (text: string): number => Number(text.replaceAll(',', ''));
  printed.slice(1).forEach(([, mark, elapsed], index) => {
    const { startNs, endNs } = boot.stages[index]!;
    assert.is(endNs, number(mark!) * US);
    assert.is(endNs! - startNs, number(elapsed!) * US);
  });
  assert.is(boot.stages[0]!.name, 'loader reset');
  assert.is(boot.clock.zero, 'reset');
});

test('bootstage: the same records as text, as devicetree source and as its files', () => {
  const text = importOne(vectorLog('bootstage/kernel-handover.txt'));
  assert.equal(rows(text).slice(0, 2), [
    'loader reset 0 141734000',
    'loader SPL 141734000 539142000',
  ]);
  assert.is(at(text, 'kernel'), 2_113_584 * US);
  assert.is(rows(text).at(-1), 'loader boot_jump_linux 2113582000 2113584000');
  for (const path of ['bootstage/device-tree.dts', 'bootstage/device-tree.tar']) {
    const boot = importOne(vectorLog(path));
    assert.equal(rows(boot), rows(text), path);
    assert.equal(boot.events, text.events, path);
  }
  assert.is(
    rows(importOne(vectorLog('bootstage/stm32mp157c-ev1.txt'))).at(-1),
    'loader main_loop 1675164000 4025806000',
  );
});

test('cbmem: programs of coreboot follow each other', () => {
  const old = importOne(vectorLog('cbmem/ids-2012.txt'));
  assert.equal(rows(old), [
    'firmware before-coreboot 0 62080000',
    'firmware romstage 62080000 131821000',
    'firmware ramstage 131821000 370018000',
    'firmware load-payload 370018000 488217000',
  ]);
  assert.is(at(old, 'payload'), 488_217 * US);
  const tabs = importOne(vectorLog('cbmem/x230-tabs.txt'));
  assert.equal(rows(tabs), [
    'firmware before-coreboot 0 64231000',
    'firmware bootblock 64231000 83266000',
    'firmware romstage 83266000 112289000',
    'firmware postcar 112289000 159527000',
    'firmware ramstage 159527000 159533000',
  ]);
  const jumped = importOne(
    fileLog('99\t500000\t10\tselfboot jump\n1101\t900000\t400000\tjumping to kernel\n'),
  );
  assert.equal(rows(jumped), [
    'firmware before-coreboot 0 500000000',
    'loader 500000000 900000000',
  ]);
  assert.is(at(jumped, 'kernel'), 900 * MS);
});

test('fpdt: firmware and loader, as systemd-analyze prints them of the same machine', () => {
  const boot = importOne(vectorLog('fpdt/published.txt'));
  assert.equal(rows(boot), ['firmware 0 5855973785', 'loader 5855973785 14325507185']);
  const judged = boot.stages.map(
    ({ startNs, endNs }) => `${Math.floor((endNs! - startNs) / MS) / 1000}s`,
  );
  // From the sentence: 5.855s (firmware) + 8.469s (loader).
  assert.equal(judged, ['5.855s', '8.469s']);
  const values = {
    firmware_start_ns: '1200',
    bootloader_launch_ns: '5855973785',
    exitbootservice_end_ns: '0',
  };
  const files = importOne(
    filesLog(
      Object.fromEntries(Object.entries(values).map(([name, ns]) => [`boot/${name}`, `${ns}\n`])),
    ),
  );
  assert.equal(rows(files), ['firmware 0 5855973785', 'loader 5855973785 -']);
  assert.is(at(files, 'firmware-start'), 1200);
});

test('efi-loader: microseconds in UTF-16 behind the attributes', () => {
  const boot = importOne(vectorLog('efi'));
  assert.equal(rows(boot), ['firmware 0 3219000000', 'loader 3219000000 6019000000']);
  assert.is(at(boot, 'kernel'), 6019 * MS);
  const name = 'LoaderTimeInitUSec-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
  const init = vectorLog('efi').files.get(name)!;
  // The loader does not say when it ended: null, not 0.
  assert.equal(rows(importOne(fileLog(init, name))), [
    'firmware 0 3219000000',
    'loader 3219000000 -',
  ]);
});

/** Edges of a VCD that libsigrok wrote of the same samples, in tenths of nanoseconds. */
function vcdEdges(text: string): string[] {
  const names = new Map(
    [...text.matchAll(/\$var wire 1 (.) (\w+) \$end/g)].map((m) => [m[1]!, m[2]!]),
  );
  const edges: string[] = [];
  const seen = new Set<string>();
  for (const [, time, changes] of text.matchAll(/^#(\d+) (.+)$/gm)) {
    for (const change of changes!.trim().split(' ')) {
      const [level, mark] = [change[0]!, change.slice(1)];
      const kind = level === '1' ? 'rising' : 'falling';
      const name = `${names.get(mark)!} ${kind}`;
      if (time !== '0' && !seen.has(name)) edges.push(`${name} ${Math.round(Number(time) / 10)}`);
      if (time !== '0') seen.add(name);
    }
  }
  return edges.sort();
}

test('logic analyser: edges are where libsigrok’s VCD of the same signals has them', () => {
  const judged = vcdEdges(vectorText('logic/sigrok-24mhz.vcd'));
  assert.is(judged.length, 6);
  for (const path of ['logic/sigrok-24mhz.csv', 'logic/sigrok-24mhz-samples.csv']) {
    const boot = importOne(vectorLog(path));
    const edges = boot.events.filter(({ name }) => name !== 'capture');
    assert.equal(edges.map(({ name, atNs }) => `${name} ${atNs}`).sort(), judged, path);
    // One sample at 24 MHz is 41.7 ns.
    assert.is(boot.clock.uncertaintyNs, 42, path);
  }
});

test('logic analyser: columns with the names of channels, and Logic 2', () => {
  const named = importOne(vectorLog('logic/sigrok-1mhz-channels.csv'));
  // The second row is one microsecond after the first: D0 falls, D1 rises.
  assert.is(at(named, 'D0 falling'), 1000);
  assert.is(at(named, 'D1 rising'), 1000);
  const logic2 = importOne(vectorLog('logic/logic2-meter.csv'));
  assert.is(at(logic2, 'Channel 3 rising'), 695_667_880);
  assert.is(at(logic2, 'Channel 7 rising'), 695_672_280);
  // The smallest step in the file: 4.4 us.
  assert.is(logic2.clock.uncertaintyNs, 4400);
  const early = importOne(
    fileLog('Time [s],Power,Frame\n-0.500000000,0,0\n0.000000000,1,0\n1.250000000,1,1\n'),
  );
  assert.is(at(early, 'Power rising'), 500 * MS);
  assert.is(at(early, 'Frame rising'), 1750 * MS);
});

test('merge: loader, kernel and system on one clock', () => {
  const boot = importMerged([
    vectorLog('kernel/dmesg.txt'),
    vectorLog('bootstage/kernel-handover.txt'),
    vectorLog('systemd/show-all.txt'),
    vectorLog('systemd/plot.json'),
  ]);
  assert.is(boot.source.format, 'kernel-log+bootstage+systemd');
  assert.is(boot.clock.zero, 'reset');
  const kernelNs = 2_113_584 * US;
  assert.is(at(boot, 'kernel'), kernelNs);
  assert.is(at(boot, 'init'), kernelNs + 3_929_099 * US);
  assert.is(at(boot, 'userspace-finished'), kernelNs + 31_301_760 * US);
  const names = boot.stages.map(({ name }) => name);
  assert.equal(names.slice(-4), ['loader boot_jump_linux', 'kernel', 'initrd', 'userspace']);
  assert.ok(boot.units.length > 100);
  assert.equal(flagWords(boot), ['BUDGET_FLAG_CLOCK_CHANGED', 'BUDGET_FLAG_KERNEL_GAP']);
});

test('merge: what two sources say about the same stage stays as the first has it', () => {
  const logs = ['kernel/dmesg.txt', 'systemd/show-all.txt'].map(vectorLog);
  const merged = rows(importMerged(logs));
  assert.equal(merged.slice(0, 2), rows(importOne(logs[0]!)).slice(0, 2));
  // The kernel's log does not have the end of userspace, which systemd has.
  assert.is(merged[2], 'userspace 15651509000 31301760000');
  const turned = importMerged(logs.toReversed());
  assert.equal(rows(turned), rows(importOne(logs[1]!)));
  assert.is(turned.evidence, 'virtual-wallclock');
});

test('merge: the record is worth what its weakest source is', () => {
  const kernel = fileLog(
    '[    0.000000] Linux version 6.12.0\n[    1.000000] Run /init as init process\n',
  );
  const captured = fileLog('[0.000000 0.000000] U-Boot\n[1.500000 0.100000] [    0.500000] a\n');
  const boot = importMerged([captured, kernel]);
  assert.is(boot.evidence, 'board-selfclock');
  // The kernel's zero is at 1.5 - 0.5 on the host's clock, and only the kernel's log has the end of its stage.
  assert.equal(rows(boot), [
    'loader 0 1000000000',
    'kernel 1000000000 2000000000',
    'userspace 2000000000 -',
  ]);
  assert.is(at(boot, 'init'), 2000 * MS);
  // The serial line, and a kernel whose few stamps could be those of ticks.
  assert.is(boot.clock.uncertaintyNs, 20 * MS);
});

test('what the user knows is in the record', () => {
  const facts = {
    board: 'head-unit',
    evidence: 'virtual' as const,
    start: 'cold' as const,
    specimen: 'SN 17',
    conditions: { temperature: '-30C' },
    release: { id: 'ab', version: '1.2.0', builtAt: null },
    measuredAt: '2026-11-25T12:00:00Z',
  };
  const boot: MeasuredBoot = importOne(vectorLog('kernel/dmesg.txt'), {
    facts,
    uncertaintyNs: 5 * MS,
  });
  const { board, evidence, start, specimen, conditions, release, measuredAt } = boot;
  assert.equal({ board, evidence, start, specimen, conditions, release, measuredAt }, facts);
  assert.is(boot.clock.uncertaintyNs, 5 * MS);
});

test('two boots in one log are two records when asked for', () => {
  const kernel = '[    0.000000] Linux version 6.12.0\n[    1.000000] Run /init as init process\n';
  const second = kernel.replace('1.000000', '1.500000');
  const boots = importAll(fileLog(kernel + second), { split: true });
  assert.equal(
    boots.map((boot) => rows(boot)[0]),
    ['kernel 0 1000000000', 'kernel 0 1500000000'],
  );
  const serial =
    '[0.000000 0.000000] U-Boot SPL 2024.01\n[0.500000 0.500000] U-Boot 2024.01\n' +
    '[9.000000 8.500000] U-Boot SPL 2024.01\n[9.700000 0.700000] U-Boot 2024.01\n';
  const captured = importAll(fileLog(serial), { split: true });
  assert.equal(
    captured.map((boot) => at(boot, 'u-boot')),
    [500 * MS, 700 * MS],
  );
});

test.run();
