/** What importers refuse or flag, each by its own code; and that no bytes at all give anything else. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import fc from 'fast-check';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { IMPORTERS } from '../../toolchain/budget/import/registry.ts';
import { LOG_BYTES_MAX, type LogInput } from '../../toolchain/budget/import/log-input.ts';
import { isTar, tarFiles } from '../../toolchain/budget/import/tar.ts';
import {
  fileLog,
  filesLog,
  flagWords,
  type ImportSettings,
  importAll,
  importMerged,
  importOne,
  rows,
  vectorLog,
  vectorText,
} from '../support/boot-logs.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';

const test = suite('boot log refusals');

const KERNEL = '[    0.000000] Linux version 6.12.0\n[    1.000000] Run /init as init process\n';
const MANAGER = vectorText('systemd/show-manager.txt');
const EFI = 'LoaderTimeInitUSec-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
const EXEC = EFI.replace('Init', 'Exec');

/** The manager's properties with one of them changed. */
function manager(name: string, value: string): string {
  const pattern = new RegExp(`${name}TimestampMonotonic=.*`);
  return MANAGER.replace(pattern, `${name}TimestampMonotonic=${value}`);
}

/** A variable as efivarfs has it. */
function variable(text: string): Uint8Array {
  return Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from(text, 'utf16le')]);
}

const REPORT = vectorText('bootstage/kernel-handover.txt');
const INCREASE = 'Please increase CONFIG_(SPL_TPL_)BOOTSTAGE_RECORD_COUNT';
const LOGIC = vectorText('logic/sigrok-24mhz.csv');

test('a log that is not to be believed is refused by name', () => {
  const cases: readonly (readonly [code: string, content: string | LogInput, format?: string])[] = [
    ['FORMAT_BOOT_LOG_EMPTY', ''],
    ['FORMAT_BOOT_LOG_EMPTY', filesLog({})],
    ['FORMAT_BOOT_LOG_EMPTY', '\n \n\r\n', 'kernel-log'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'kernel-log'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'serial'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'systemd'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'bootstage'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'bootstage-dt'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'cbmem'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'fpdt'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'efi-loader'],
    ['FORMAT_BOOT_LOG_TYPE', 'hello\nworld\n', 'logic-analyser'],
    ['FORMAT_BOOT_LOG_TYPE', filesLog({ a: KERNEL, b: KERNEL }), 'kernel-log'],
    ['FORMAT_BOOT_LOG_BINARY', fileLog(Buffer.alloc(4096)), 'kernel-log'],
    ['FORMAT_BOOT_LOG_AMBIGUOUS', REPORT + KERNEL.repeat(20)],

    ['FORMAT_BOOT_LOG_TRUNCATED', '{"kind":"coldseal-boot-record","schema":1,"outc'],
    ['FORMAT_BOOT_LOG_TRUNCATED', 'hello\nworld\n', 'boot-record'],
    ['FORMAT_BOOT_LOG_EMPTY', '\n', 'boot-record'],
    ['FORMAT_BOOT_REPORT', '{"kind":"coldseal-boot-record","schema":1}\n'],

    ['FORMAT_BOOT_LOG_WALL_CLOCK', vectorLog('kernel/dmesg-T.txt')],
    ['FORMAT_BOOT_LOG_WALL_CLOCK', vectorLog('kernel/dmesg-iso.txt')],
    ['FORMAT_BOOT_LOG_WALL_CLOCK', vectorLog('kernel/dmesg-delta.txt')],
    ['FORMAT_BOOT_LOG_WALL_CLOCK', 'Nov 25 14:54:40 vm kernel: Linux version 6.12.0\n'],
    ['FORMAT_BOOT_LOG_WALL_CLOCK', '[Nov25 14:54] Linux version 6.12.0\n'],
    ['FORMAT_BOOT_LOG_NEGATIVE', '[   -1.000000] Linux version 6.12.0\n'],
    ['FORMAT_BOOT_LOG_RANGE', '[18446744073.709551] Linux version 6.12.0\n'],
    ['FORMAT_BOOT_LOG_TWO_BOOTS', KERNEL + KERNEL],
    ['FORMAT_BOOT_LOG_TWO_BOOTS', `${KERNEL}[    0.000000] Command line: quiet\n`],
    [
      'FORMAT_BOOT_LOG_TWO_BOOTS',
      `[    0.000000] Linux version 6\n[    0.300000] panic\n${KERNEL}`,
    ],
    ['FORMAT_BOOT_LOG_CLOCK', `${KERNEL}[    9.000000] a\n[    3.000000] b\n`],

    ['FORMAT_BOOT_LOG_TWO_BOOTS', '0.000000 U-Boot 2024.01\n5.000000 U-Boot 2024.01\n'],
    ['FORMAT_BOOT_LOG_CLOCK', '[1.000000 0.000000] a\n[0.500000 0.500000] b\n'],
    ['FORMAT_BOOT_LOG_CLOCK', '[10:00:00.000] a\n[09:59:59.000] b\n'],

    ['FORMAT_BOOT_LOG_INCOMPLETE', vectorLog('systemd/plot.json')],
    ['FORMAT_BOOT_LOG_INCOMPLETE', vectorLog('systemd/show-units.txt')],
    ['FORMAT_BOOT_LOG_RANGE', manager('Firmware', '18446744073709551615')],
    [
      'FORMAT_BOOT_LOG_NEGATIVE',
      manager('Firmware', '1000').replace(
        'LoaderTimestampMonotonic=0',
        'LoaderTimestampMonotonic=2000',
      ),
    ],
    ['FORMAT_BOOT_LOG_CLOCK', manager('Userspace', '1')],
    ['FORMAT_BOOT_LOG_TYPE', manager('Finish', '12 min')],
    [
      'FORMAT_BOOT_LOG_RANGE',
      'Startup finished in 584542y 2w 2d 20h 1min 49.551s (kernel) + 1s (userspace) = 2s\n',
    ],
    ['FORMAT_BOOT_LOG_TYPE', 'Startup finished in a while (kernel) + 1s (userspace) = 2s\n'],
    [
      'FORMAT_BOOT_LOG_TRUNCATED',
      filesLog({ a: MANAGER, b: vectorText('systemd/plot.json').slice(0, 4000) }),
    ],
    [
      'FORMAT_BOOT_LOG_TRUNCATED',
      filesLog({
        a: MANAGER,
        b: vectorText('systemd/plot.json').replace('132 Units', '133 Units'),
      }),
    ],
    [
      'FORMAT_BOOT_LOG_TYPE',
      filesLog({ a: MANAGER, b: '[{"name":"a.service","activating":"1"}]' }),
    ],

    ['FORMAT_BOOT_LOG_TRUNCATED', REPORT.slice(0, 400)],
    ['FORMAT_BOOT_LOG_CLOCK', REPORT.replace('141,734    141,734', '941,734    141,734')],
    ['FORMAT_BOOT_LOG_RANGE', REPORT.replace('2,113,584 ', '18,446,744,073,709,551,615 ')],
    ['FORMAT_BOOT_LOG_TWO_BOOTS', REPORT + REPORT],
    ['FORMAT_BOOT_LOG_TRUNCATED', vectorText('bootstage/device-tree.dts').slice(0, 300)],
    [
      'FORMAT_BOOT_LOG_TRUNCATED',
      filesLog({ 'bootstage/0/name': 'reset\0', 'bootstage/0/mark': 'abc' }),
    ],
    [
      'FORMAT_BOOT_LOG_TRUNCATED',
      filesLog({ 'bootstage/0/name': 'reset\0', 'bootstage/1/name': 'x\0' }),
    ],

    ['FORMAT_BOOT_LOG_TRUNCATED', vectorLog('cbmem/x230-cut.txt')],
    ['FORMAT_BOOT_LOG_RANGE', '1\t18446744073709551000\t0\tstart of romstage\n'],
    ['FORMAT_BOOT_LOG_NEGATIVE', '1\t-5\t0\tstart of romstage\n'],
    ['FORMAT_BOOT_LOG_TWO_BOOTS', vectorText('cbmem/ids-2012.txt').repeat(2)],

    ['FORMAT_BOOT_LOG_CLOCK', 'bootloader_launch_ns 9\nexitbootservice_end_ns 5\n'],
    ['FORMAT_BOOT_LOG_INCOMPLETE', 'firmware_start_ns 9\nexitbootservice_end_ns 0\n'],
    ['FORMAT_BOOT_LOG_TYPE', 'bootloader_launch_ns many\n'],
    ['FORMAT_BOOT_LOG_RANGE', 'bootloader_launch_ns 18446744073709551615\n'],

    ['FORMAT_BOOT_LOG_INCOMPLETE', fileLog(variable('100\0'), EXEC)],
    ['FORMAT_BOOT_LOG_CLOCK', filesLog({ [EFI]: variable('200\0'), [EXEC]: variable('100\0') })],
    ['FORMAT_BOOT_LOG_TRUNCATED', fileLog(variable('12').subarray(0, 7), EFI)],
    ['FORMAT_BOOT_LOG_TRUNCATED', fileLog(variable('soon'), EFI)],
    ['FORMAT_BOOT_LOG_RANGE', fileLog(variable('18446744073709551615'), EFI)],

    ['FORMAT_BOOT_LOG_TRUNCATED', LOGIC.replace('; Samplerate: 24 MHz\n', '')],
    ['FORMAT_BOOT_LOG_TRUNCATED', LOGIC.replace('41,1,0,0', '41,1,0')],
    ['FORMAT_BOOT_LOG_TRUNCATED', 'Time [s],a\n0.000000000,1\n0.1\n'],
    ['FORMAT_BOOT_LOG_TRUNCATED', 'Time [s],a\nsoon,1\n'],
    ['FORMAT_BOOT_LOG_TYPE', `Time [s],${'a,'.repeat(64)}b\n`],
    ['FORMAT_BOOT_LOG_CLOCK', 'Time [s],a\n0.500000000,1\n0.100000000,0\n'],
  ];
  for (const [code, content, format] of cases) {
    const log = typeof content === 'string' ? fileLog(content) : content;
    const label = typeof content === 'string' ? content.slice(0, 60) : log.name;
    assert.is(
      codeOf(() => importAll(log, { format: format ?? 'auto' })),
      code,
      `${code} ${label}`,
    );
  }
});

test('the refusal names the log, the lines and what to do', () => {
  const two = expectCode(
    () => importAll(fileLog(KERNEL + KERNEL, 'a.log')),
    'FORMAT_BOOT_LOG_TWO_BOOTS',
  );
  assert.is(two.message, 'Cannot import a.log: 2 boots begin in it, in lines 1, 3; expected one');
  assert.is(two.hint, 'give --split to make a record of each');
  const years = expectCode(
    () => importAll(fileLog(manager('Firmware', '18446744073709551615'))),
    'FORMAT_BOOT_LOG_RANGE',
  );
  assert.match(years.message, 'FirmwareTimestampMonotonic is 584542 years, expected at most a day');
  const missing = expectCode(
    () => importAll(fileLog(KERNEL), { facts: { board: undefined } }),
    'USAGE_MISSING_OPTION',
  );
  assert.match(missing.message, 'the log does not name its board');
});

test('a boot that cannot be true, or not wholly, keeps its record and says so', () => {
  const lines = Array.from({ length: 70 }, (_, i) => `[    2.500000] line ${i}\n`).join('');
  const cases: readonly (readonly [
    flags: string,
    content: string | LogInput,
    settings?: ImportSettings,
  ])[] = [
    ['', KERNEL],
    ['', KERNEL.replaceAll('\n', '\r\n')],
    ['', KERNEL.replaceAll('\n', '\r\r\n')],
    ['', `\u001b[0;32m${KERNEL}`],
    ['BUDGET_FLAG_LOG_CUT', KERNEL.trimEnd()],
    [
      'BUDGET_FLAG_LOG_BYTES',
      fileLog(Buffer.concat([Buffer.from(KERNEL), Buffer.from([0xff, 0xfe, 10])])),
    ],
    ['BUDGET_FLAG_LOG_BEGINNING!', '[    1.000000] Run /init as init process\n'],
    ['BUDGET_FLAG_NO_INIT', '[    0.000000] Linux version 6.12.0\n'],
    [
      'BUDGET_FLAG_RECEIVED_TIMES!',
      KERNEL.replace('0.000000', '7.100000').replace('1.000000', '7.200000'),
    ],
    [
      'BUDGET_FLAG_CLOCK_CHANGED',
      KERNEL.replace('[    1.', '[    0.040000] a\n[    0.000000] b\n[    1.'),
    ],
    [
      'BUDGET_FLAG_CLOCK_CHANGED',
      KERNEL.replace('[    1.', '[    0.040000] a\n[    0.000500] b\n[    1.'),
    ],
    ['BUDGET_FLAG_TIMES_REPEAT', KERNEL + lines],
    [
      'BUDGET_FLAG_EMULATED!',
      vectorText('kernel/dmesg.txt')
        .replace('[    0.040000]', '[    0.000000]')
        .replace('[    0.008000]', '[    0.000000]')
        .replaceAll('[    0.040000]', '[    0.000000]'),
      { facts: { evidence: 'board-selfclock' } },
    ],
    [
      'BUDGET_FLAG_FIRMWARE_LONG!',
      manager('Firmware', '1680000000').replace(
        'LoaderTimestampMonotonic=0',
        'LoaderTimestampMonotonic=1000000',
      ),
    ],
    [
      '',
      manager('Firmware', '1680000000').replace(
        'LoaderTimestampMonotonic=0',
        'LoaderTimestampMonotonic=1000000',
      ),
      { firmwareLimitNs: 2000e9 },
    ],
    ['BUDGET_FLAG_FIRMWARE_LONG!', 'bootloader_launch_ns 61000000000\n'],
    ['BUDGET_FLAG_FIRMWARE_LONG!', fileLog(variable('61000000'), EFI)],
    ['BUDGET_FLAG_FIRMWARE_LONG!', REPORT.replace('2,113,584 ', '82,113,584 ')],
    ['BUDGET_FLAG_FIRMWARE_LONG!', '99\t61000000\t0\tselfboot jump\n'],
    ['BUDGET_FLAG_NOT_FINISHED!', manager('Finish', '0')],
    ['BUDGET_FLAG_IN_CONTAINER!', `${MANAGER}SecurityStartTimestampMonotonic=0\n`],
    ['BUDGET_FLAG_IN_CONTAINER!', 'Startup finished in 296ms (userspace)\n'],
    ['BUDGET_FLAG_SOFT_REBOOT!', `${MANAGER}SoftRebootStartTimestampMonotonic=5000000\n`],
    [
      'BUDGET_FLAG_TOTAL_DIFFERS!',
      vectorText('systemd/time.txt').replace('= 31.301s', '= 51.301s'),
    ],
    [
      'BUDGET_FLAG_UNIT_TIME',
      `${MANAGER}\nId=a.service\nInactiveExitTimestampMonotonic=18446744073709551615\n`,
    ],
    [
      'BUDGET_FLAG_MARKS_LOST',
      REPORT.replace(
        '\n\nAccumulated',
        `\nOverflowed internal boot id table by 3 entries\n${INCREASE}\n\nAccumulated`,
      ),
    ],
  ];
  for (const [flags, content, settings] of cases) {
    const log = typeof content === 'string' ? fileLog(content) : content;
    const label = `${flags} ${typeof content === 'string' ? content.slice(0, 80) : ''}`;
    assert.is(flagWords(importOne(log, settings)).join(' '), flags, label);
  }
});

test('times of units that cannot be cost the unit, not the boot', () => {
  const plot = JSON.stringify([
    { name: 'good.service', activating: 5e6, activated: 6e6, time: 1e6 },
    { name: 'never.service', activating: 0, activated: 0, time: 0 },
    { name: 'starting.service', activating: 5e6, activated: 31301760, time: 0 },
    { name: 'wrapped.service', activating: 5e6, activated: 6e6, time: 2 ** 64 },
    { name: 'late.service', activating: 4e12, activated: 5e12, time: 1e12 },
    { name: 'timer.service', activating: 5e9, activated: 5e9, time: 0 },
    { name: 'a\nb', activating: 7e6, activated: 7e6, time: 0 },
  ]);
  const boot = importOne(filesLog({ a: MANAGER, b: plot }));
  assert.equal(
    boot.units.map(({ name, startNs, endNs }) => [name, startNs, endNs]),
    [
      ['good.service', 5e9, 6e9],
      ['starting.service', 5e9, null],
      ['a b', 7e9, 7e9],
    ],
  );
  assert.equal(flagWords(boot), ['BUDGET_FLAG_UNIT_TIME']);
  const shown = [
    'Id=again.service\nInactiveExitTimestampMonotonic=9000\nActiveEnterTimestampMonotonic=8000',
    'Id=oneshot.service\nInactiveExitTimestampMonotonic=9000\n' +
      'ActiveEnterTimestampMonotonic=0\nInactiveEnterTimestampMonotonic=9500',
    'Id=wrapped.service\nInactiveExitTimestampMonotonic=18446744073709551615',
    'Id=words.service\nInactiveExitTimestampMonotonic=soon',
  ].join('\n\n');
  const again = importOne(fileLog(`${MANAGER}\n${shown}\n`));
  assert.equal(
    again.units.map(({ name, startNs, endNs }) => [name, startNs, endNs]),
    [
      ['again.service', 9e6, null],
      ['oneshot.service', 9e6, 9.5e6],
    ],
  );
  assert.match(again.flags[0]!.message, '2 units have times that cannot be');
});

test('merge refuses sources of different boots, or without anything in common', () => {
  const refused = (logs: readonly LogInput[]): string => codeOf(() => importMerged(logs));
  const logic = vectorLog('logic/sigrok-24mhz.csv');
  assert.is(refused([vectorLog('kernel/dmesg.txt'), logic]), 'FORMAT_BOOT_LOG_MERGE');
  const loader = fileLog(vectorText('bootstage/kernel-handover.txt'));
  const other = filesLog({ [EFI]: variable('1000\0'), [EXEC]: variable('2000\0') });
  const error = expectCode(() => importMerged([loader, logic]), 'FORMAT_BOOT_LOG_MERGE');
  assert.match(error.message, 'bootstage and logic-analyser have no event in common');
  assert.match(error.message, 'the first has kernel, the second none');
  // Both have the kernel's start; the loader's is at another time for each, which ties them and nothing contradicts.
  assert.is(refused([loader, other]), 'nothing was thrown');
  const fpdt = fileLog('bootloader_launch_ns 9000000\nexitbootservice_end_ns 500000000\n');
  const far = filesLog({ [EFI]: variable('300000\0'), [EXEC]: variable('500000\0') });
  // The kernel ties them, and then the loader began 291 ms apart.
  assert.is(refused([fpdt, far]), 'FORMAT_BOOT_LOG_MERGE');
  // Systemd takes a while to stamp its start, and no three seconds after the kernel started init.
  const show = fileLog(MANAGER, 'show.txt');
  assert.is(refused([vectorLog('kernel/dmesg.txt'), show]), 'nothing was thrown');
  assert.is(refused([fileLog(KERNEL), show]), 'FORMAT_BOOT_LOG_MERGE');
  // Two of a kind are one log in two files, and two kernel logs are not.
  assert.is(refused([fileLog(KERNEL, 'a'), fileLog(KERNEL, 'b')]), 'FORMAT_BOOT_LOG_TYPE');
});

test('large logs are bounded: bytes, lines, the length of a line, rows', () => {
  assert.is(
    codeOf(() =>
      importAll(fileLog(Buffer.alloc(LOG_BYTES_MAX + 1, 'a')), { format: 'kernel-log' }),
    ),
    'FORMAT_BOOT_LOG_SIZE',
  );
  assert.is(
    codeOf(() => importAll(fileLog('\n'.repeat(2_000_001)), { format: 'kernel-log' })),
    'FORMAT_BOOT_LOG_SIZE',
  );
  const nested = '['.repeat(9 * 1024 * 1024);
  for (const [json, format] of [
    [nested, 'boot-record'],
    [`[{"name":${nested}`, 'systemd'],
  ] as const) {
    assert.is(
      codeOf(() => importAll(fileLog(json), { format })),
      'FORMAT_BOOT_LOG_SIZE',
      format,
    );
  }
  const million = importOne(
    fileLog(KERNEL + '[    2.000001] x\n[    2.000002] y\n'.repeat(500_000)),
  );
  assert.equal(rows(million)[0], 'kernel 0 1000000000');
  const long = importOne(fileLog(`${KERNEL}[    2.000000] ${'x'.repeat(1_000_000)}\n`));
  assert.equal(flagWords(long), []);
  const call = '[    0.500000] initcall a+0x0/0x10 returned 0 after 1 usecs\n';
  const many = importOne(fileLog(KERNEL.replace('[    1.', `${call.repeat(16_005)}[    1.`)));
  assert.is(many.units.length, 16_000);
  assert.ok(flagWords(many).includes('BUDGET_FLAG_ROWS_LEFT_OUT'));
});

test('archives: POSIX, GNU and pax names, and what is cut off', () => {
  const { files } = vectorLog('bootstage/device-tree.tar');
  assert.ok([...files.keys()].includes('device-tree/bootstage/0/name'));
  const header = (name: string, type: string, content: string): Buffer => {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write(content.length.toString(8).padStart(11, '0'), 124);
    block.write(type, 156);
    block.write('ustar\u000000', 257);
    const padded = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    padded.write(content);
    return Buffer.concat([block, padded]);
  };
  const archive = Buffer.concat([
    header('././@LongLink', 'L', 'a/long/name\0'),
    header('a/lo', '0', 'one'),
    header('pax', 'x', '19 path=b/pax/name\n'),
    header('b/pa', '0', 'two'),
    header('directory', '5', ''),
    header('plain', '0', ''),
    Buffer.alloc(1024),
  ]);
  assert.ok(isTar(archive));
  const read = [...tarFiles(archive, 'x')].map(
    ([path, bytes]) => `${path}=${Buffer.from(bytes).toString()}`,
  );
  assert.equal(read, ['a/long/name=one', 'b/pax/name=two', 'plain=']);
  for (const cut of [512, 700, 1024, 1600, archive.length - 1024]) {
    assert.is(
      codeOf(() => tarFiles(archive.subarray(0, cut), 'x')),
      'FORMAT_BOOT_LOG_TRUNCATED',
      String(cut),
    );
  }
});

/** Any bytes give records, which have passed the schema, or a refusal that is one. */
function survives(log: LogInput): void {
  for (const format of ['auto', ...IMPORTERS.map((each) => each.format)]) {
    for (const split of [false, true]) {
      try {
        importAll(log, { format, split });
      } catch (error) {
        if (!(error instanceof ColdsealError)) throw error;
      }
    }
  }
}

const SEEDS: readonly LogInput[] = [
  'kernel/dmesg-initcall.txt',
  'serial/grabserial-kernel.log',
  'serial/grabserial-u-boot-clock.log',
  'systemd/show-all.txt',
  'systemd/show-units.txt',
  'systemd/time-firmware.txt',
  'systemd/plot.json',
  'bootstage/u-boot-x86.log',
  'bootstage/device-tree.dts',
  'cbmem/ids-2012.txt',
  'cbmem/x230-tabs.txt',
  'fpdt/published.txt',
  'efi',
  'logic/sigrok-24mhz.csv',
  'logic/logic2-meter.csv',
].map(vectorLog);

test('any bytes give records or a refusal', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ maxLength: 300 }).map((text) => Buffer.from(text)),
  );
  const name = fc.constantFrom('log', EFI, EXEC, 'bootloader_launch_ns', 'bootstage/0/mark');
  fc.assert(
    fc.property(bytes, name, (content, file) => survives(fileLog(content, file))),
    { numRuns: 200 },
  );
});

test('damaged logs give records or a refusal', () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(30),
    put: fc.constantFrom(
      '',
      '\0',
      '9',
      '-',
      ',',
      '.',
      '18446744073709551615',
      '\n',
      '\r',
      '[',
      ']',
      '{',
      '"',
      '\t',
      'é',
      '0x',
      'Linux version 6',
      '[    0.000000] ',
      '1e999',
    ),
  });
  const damaged = fc.record({
    seed: fc.nat(SEEDS.length - 1),
    size: fc.nat(6000),
    edits: fc.array(edit, { maxLength: 8 }),
  });
  fc.assert(
    fc.property(damaged, ({ seed, size, edits }) => {
      const files = new Map(
        [...SEEDS[seed]!.files].map(([path, bytes]) => {
          let text = Buffer.from(bytes.subarray(0, Math.max(1, size))).toString('latin1');
          for (const { at, cut, put } of edits) {
            const index = Math.floor(at * text.length);
            text = text.slice(0, index) + put + text.slice(index + cut);
          }
          return [path, Buffer.from(text, 'latin1')] as const;
        }),
      );
      survives({ name: 'damaged', files });
    }),
    { numRuns: 300 },
  );
});

test.run();
