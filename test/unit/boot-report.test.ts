/** What a virtual board reports is hostile until checked; and what times, agreement and the table make of it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { parseCommandLineFile } from '../../toolchain/board/boot-inputs.ts';
import { JOURNAL_FILE, writeJournal } from '../../toolchain/board/boot-journal.ts';
import { parseBootReport } from '../../toolchain/board/boot-report.ts';
import { agreementText, bootTable } from '../../toolchain/board/boot-table.ts';
import { agreementOf, bootTimes, type BootTimes } from '../../toolchain/board/boot-times.ts';
import { likelyCause, type VirtualBoot } from '../../toolchain/board/virtual.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('boot reports');

const MS = 1e6;
const RECORD: BootRecord = {
  kind: 'coldseal-boot-record',
  schema: 1,
  outcome: 'booted',
  product: 'demo',
  board: 'qemu-aarch64',
  isProduction: false,
  engine: 'quickjs',
  kernel: '6.12.107',
  clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: 10 * MS, counter: 'CNTVCT_EL0' },
  stages: [
    { name: 'setup', startNs: 800 * MS, endNs: 810 * MS },
    { name: 'verify a', startNs: 810 * MS, endNs: 830 * MS },
    { name: 'containers', startNs: 830 * MS, endNs: 930 * MS },
    { name: 'handover', startNs: 930 * MS, endNs: null },
  ],
  slot: 'a',
  attempts: [{ slot: 'a', reason: null }],
  release: {
    id: '00ff',
    version: '1.2.3',
    role: 'development',
    manifestSha256: 'ab',
    builtAt: 5,
    epochs: { 1: 1 },
  },
  images: [
    {
      name: 'root',
      role: 'system',
      digest: 'sha256:00',
      size: 4096,
      measured: 'kernel-measured',
      fileVerity: 'required',
      mountedAt: '/',
    },
  ],
  containers: [
    {
      name: 'app',
      start: 'early',
      startNs: 831 * MS,
      startedNs: 900 * MS,
      firstOutputNs: 940 * MS,
      reason: null,
    },
    {
      name: 'later',
      start: 'normal',
      startNs: 3000 * MS,
      startedNs: null,
      firstOutputNs: null,
      reason: null,
    },
  ],
  notes: [],
  io: { readRequests: 80, readBytes: 20_000_000, writeRequests: 1, writeBytes: 512 },
};

const IO = RECORD.io!;
const NONE = { readRequests: 0, readBytes: 0, writeRequests: 0, writeBytes: 0 };
const BUDGET = { total_ms: 2000, stages: { setup: 15, verify: 15 } };
const bytesOf = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value)}\n`);
const changed = (change: object): Uint8Array => bytesOf({ ...RECORD, ...change });

test('a record comes through whole, also without the optional count of reads', () => {
  assert.equal(parseBootReport(bytesOf(RECORD)), RECORD);
  const { io: _, ...without } = RECORD;
  assert.equal(parseBootReport(bytesOf(without)), without);
  const [setup, verify] = RECORD.stages;
  const counted = {
    ...RECORD,
    stages: [
      { ...setup!, endIo: NONE },
      { ...verify!, startIo: NONE, endIo: NONE },
      { ...verify!, endNs: null, startIo: IO },
    ],
  };
  assert.equal(parseBootReport(bytesOf(counted)), counted);
  assert.is(parseBootReport(new Uint8Array()), undefined);
});

test('garbage, and every hostile field, is refused', () => {
  const stage = { name: 'setup', startNs: 2, endNs: 3 };
  const container = RECORD.containers[0]!;
  const cases: [string, Uint8Array][] = [
    ['random bytes', Buffer.from([0xff, 0, 0x80, 10])],
    ['zeros', new Uint8Array(5000)],
    ['no end of line', Buffer.from(JSON.stringify(RECORD))],
    ['two lines', Buffer.concat([bytesOf(RECORD), bytesOf(RECORD)])],
    ['an empty line', Buffer.from('\n')],
    ['null', bytesOf(null)],
    ['a list', bytesOf([RECORD])],
    ['another kind', changed({ kind: 'other' })],
    ['another schema', changed({ schema: 2 })],
    ['an unknown field', changed({ extra: 1 })],
    ['a prototype', Buffer.from('{"__proto__":{"kind":"coldseal-boot-record"}}\n')],
    ['an outcome', changed({ outcome: 'fine' })],
    ['an engine', changed({ engine: 'v8' })],
    ['an escape sequence', changed({ product: '\u001b[2J' })],
    ['a long text', changed({ board: 'b'.repeat(5000) })],
    ['a slot', changed({ slot: 'c' })],
    ['a negative time', changed({ stages: [{ ...stage, startNs: -1 }] })],
    ['a time with a fraction', changed({ stages: [{ ...stage, endNs: 3.5 }] })],
    ['a time beyond exact numbers', changed({ stages: [{ ...stage, endNs: 1e300 }] })],
    ['an end before the start', changed({ stages: [{ ...stage, endNs: 1 }] })],
    ['stages out of order', changed({ stages: [stage, { ...stage, startNs: 1 }] })],
    ['a stage nobody knows', changed({ stages: [{ ...stage, name: 'coffee' }] })],
    ['too many stages', changed({ stages: Array.from({ length: 257 }, () => stage) })],
    ['a reason that is no code', changed({ notes: [{ code: 'oh no', message: '' }] })],
    ['a started container', changed({ containers: [{ ...container, startedNs: 1 }] })],
    ['an early output', changed({ containers: [{ ...container, firstOutputNs: 1 }] })],
    ['reads', changed({ io: { ...RECORD.io, readBytes: -1 } })],
    ['a count that is not whole', changed({ io: { ...RECORD.io, readRequests: null } })],
    ['half a count', changed({ io: { readBytes: 1, readRequests: 0 } })],
    ['counters that go back', changed({ stages: [{ ...stage, startIo: IO, endIo: NONE }] })],
    ['counters that go back at the end', changed({ stages: [{ ...stage, endIo: IO }], io: NONE })],
    ['counters that go away', changed({ stages: [{ ...stage, startIo: NONE }] })],
    ['no counters at the end', changed({ stages: [{ ...stage, endIo: NONE }], io: undefined })],
    ['an end that was not', changed({ stages: [{ ...stage, endNs: null, endIo: NONE }] })],
    ['a missing field', changed({ clock: undefined })],
    ['a clock', changed({ clock: { ...RECORD.clock, name: 'CLOCK_REALTIME' } })],
  ];
  for (const [name, bytes] of cases) {
    assert.is(
      codeOf(() => parseBootReport(bytes)),
      'FORMAT_BOOT_REPORT',
      name,
    );
  }
  const { hint } = expectCode(() => parseBootReport(changed({ schema: 2 })), 'FORMAT_BOOT_REPORT');
  assert.match(hint!, /another version/);
  const { message } = expectCode(() => parseBootReport(changed({ slot: 9 })), 'FORMAT_BOOT_REPORT');
  assert.match(message, /: slot is 9, expected/);
});

test('any bytes give a record, nothing or a refusal', () => {
  const bytes = Uint8Array.from(bytesOf(RECORD));
  for (let at = 0; at < bytes.length; at += 7) {
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << (at % 8);
    try {
      parseBootReport(flipped);
    } catch (error) {
      assert.is((error as { code?: string }).code, 'FORMAT_BOOT_REPORT', `byte ${at}`);
    }
  }
});

test('times count from power-on to the first output of the last early container', () => {
  const times = bootTimes(RECORD, BUDGET);
  assert.equal(
    times.rows.map(({ name, startNs, endNs, isOver }) => [name, startNs / MS, endNs! / MS, isOver]),
    [
      ['before the kernel', 0, 10, false],
      ['kernel', 10, 810, false],
      ['setup', 810, 820, false],
      ['verify a', 820, 840, true],
      ['containers', 840, 940, false],
      ['handover', 940, 0, false],
    ],
  );
  assert.equal([times.totalNs / MS, times.totalUntil], [950, 'first output of app']);
  assert.is(times.isOver, true);
  assert.equal(
    times.containers.map(({ name }) => name),
    ['app'],
  );
  const within = bootTimes(RECORD, { total_ms: 950, stages: {} });
  assert.is(within.isOver, false);
  assert.is(bootTimes(RECORD, { total_ms: 949.9, stages: {} }).isOver, true);
});

test('a budget is for all stages of one word', () => {
  const { rows } = timesOf({ 'verify a': 10, setup: 1, 'verify b': 6 });
  assert.equal(
    rows.map(({ name, budgetNs, isOver }) => [name, budgetNs, isOver]),
    [
      ['kernel', null, false],
      ['verify a', 15 * MS, true],
      ['setup', 15 * MS, false],
      ['verify b', null, true],
    ],
  );
});

test('without output, without containers, without stages, and without a counter', () => {
  const [app] = RECORD.containers;
  const clock = { ...RECORD.clock, beforeKernelNs: null, counter: null };
  for (const [change, totalMs, until] of [
    [{ containers: [{ ...app!, firstOutputNs: null }] }, 900, 'start of app'],
    [{ containers: [{ ...app!, firstOutputNs: null, startedNs: null }] }, 930, 'the last stage'],
    [{ containers: [] }, 930, 'the last stage'],
    [{ containers: [], stages: [] }, 0, 'the last stage'],
  ] as [Partial<BootRecord>, number, string][]) {
    const times = bootTimes({ ...RECORD, clock, ...change }, BUDGET);
    assert.equal([times.totalNs / MS, times.totalUntil], [totalMs, until]);
  }
});

/** Times of a boot whose stages took this many milliseconds. */
function timesOf(stages: Record<string, number>): BootTimes {
  let at = 0;
  const list = Object.entries(stages).map(([name, ms]) => {
    const startNs = at;
    at += ms * MS;
    return { name, startNs, endNs: at };
  });
  const clock = { ...RECORD.clock, beforeKernelNs: null };
  return bootTimes({ ...RECORD, clock, stages: list, containers: [] }, BUDGET);
}

test('runs agree when nothing in them differs by more than 0.5 % of the total', () => {
  assert.is(agreementOf([]), undefined);
  assert.is(agreementOf([timesOf({ setup: 10 })]), undefined);
  const base = { setup: 100, mount: 0.1, verify: 200 };
  const TOTAL = 300.1;
  for (const [others, maxDeviation, at, isWithin] of [
    [[base], 0, 'total', true],
    [[{ ...base, setup: 101.4 }], 1.4 / TOTAL, 'setup', true],
    [[{ ...base, setup: 101.6 }], 1.6 / TOTAL, 'setup', false],
    [[base, { ...base, verify: 210 }, base], 10 / TOTAL, 'verify', false],
    [[{ ...base, mount: 1 }], 0.9 / TOTAL, 'mount', true],
    [[{ ...base, mount: 0.2, setup: 98, verify: 201.9 }], 2 / TOTAL, 'setup', false],
    [[{ setup: 100, verify: 200 }], 1, 'the stages, which are not the same', false],
  ] as [Record<string, number>[], number, string, boolean][]) {
    const found = agreementOf([base, ...others].map(timesOf))!;
    assert.equal([found.at, found.isWithin, found.runs], [at, isWithin, others.length + 1]);
    assert.ok(Math.abs(found.maxDeviation - maxDeviation) < 2e-4, `${at}: ${found.maxDeviation}`);
  }
});

function bootOf(record: BootRecord, console = ''): VirtualBoot {
  return {
    kind: 'coldseal-virtual-boot',
    schema: 1,
    evidence: 'virtual',
    board: 'qemu-aarch64',
    release: { id: '00ff', version: '1.2.3' },
    run: 1,
    emulator: {
      name: 'qemu-system-aarch64',
      version: '7.2.22',
      machine: 'virt',
      cpu: 'cortex-a53',
      memoryMiB: 1024,
      icount: 'shift=0',
      storage: 'io_uring',
      commandLine: 'console=ttyAMA0',
      isKernelUnpacked: false,
      idle: 'poll',
    },
    inputs: { kernel: '0', initramfs: '1', commandLine: '2', disk: '3' },
    wallMs: 2000,
    times: bootTimes(record, BUDGET),
    storage: {
      io: RECORD.io!,
      stages: [
        { name: 'setup', reads: 0, readBytes: 0, writes: 0, writeBytes: 0 },
        { name: 'verify a', reads: 20, readBytes: 4_000_000, writes: 1, writeBytes: 512 },
        {
          name: 'first-output',
          reads: 60,
          readBytes: 16_000_000,
          writes: 0,
          writeBytes: 0,
        },
      ],
      outside: {
        firmware: { reads: 1, readBytes: 512, writes: 0, writeBytes: 0 },
        afterwards: { reads: 5, readBytes: 4096, writes: 0, writeBytes: 0 },
      },
      modelled: [
        {
          kind: 'emmc',
          mbPerS: 200,
          evidence: 'measured',
          latencyUs: 150,
          latencyEvidence: 'vendor',
          loadMs: 200,
          readMs: 112,
          stages: [
            { name: 'setup', modelledMs: 0 },
            { name: 'verify a', modelledMs: 23 },
            { name: 'first-output', modelledMs: 89 },
          ],
        },
      ],
      bootBytes: 40_000_000,
    },
    record,
    console,
  };
}

const mark = (name: string) => (text: string) => `<${name}>${text}</${name}>`;
const STYLE = { bold: mark('b'), red: mark('r'), yellow: mark('y') };
const PLAIN = { bold: String, red: String, yellow: String };

test('the table shows stages, share, budget, total, containers, storage and output', () => {
  const said = 'app: hello\napp: \u001b[2Jworld\nother: x\n';
  assert.equal(bootTable(bootOf(RECORD, said), PLAIN), [
    'demo 1.2.3 on qemu-aarch64 (qemu-system-aarch64 7.2.22, virt, cortex-a53): slot a',
    '',
    'stage              start ms         ms  share  end ms  budget',
    'before the kernel       0.0       10.0   1.1%    10.0          #',
    'kernel                 10.0      800.0  84.2%   810.0          #################',
    'setup                 810.0       10.0   1.1%   820.0    15.0                  #',
    'verify a              820.0       20.0   2.1%   840.0    15.0                  #',
    'containers            840.0      100.0  10.5%   940.0                          ###',
    'handover              940.0  not ended                                           ?',
    '',
    `total 950.0 of 2000.0 ms [${'#'.repeat(19)}${'.'.repeat(21)}] 47.5%, 1050.0 left; ` +
      'until the first output of app',
    'container app: asked for at 841.0 ms, started at 910.0 ms, first output at 950.0 ms',
    '',
    'requests of the disk  reads      KiB  writes  KiB  emmc, modelled ms',
    'verify a                 20   3906.3       1  0.5               23.0',
    'first-output             60  15625.0       0  0.0               89.0',
    'read from the disk: 20000000 bytes in 80 requests, counted in a boot of its own; ' +
      "QEMU's trace agrees at every stage, 5 more came later",
    'modelled, not measured: emmc at 200 MB/s (measured; 150 us for each read, vendor) adds ' +
      '200.0 ms for kernel and initramfs and 112.0 ms for these reads',
    '| app: hello',
    '| app:  [2Jworld',
  ]);
});

test('the table shows what went wrong', () => {
  const reason = { code: 'VERIFY_SIGNATURE', message: 'two\nlines' };
  const refused: BootRecord = {
    ...RECORD,
    outcome: 'halt',
    slot: null,
    release: null,
    attempts: [{ slot: 'a', reason }],
    stages: [{ name: 'setup', startNs: 0, endNs: 3e9 }],
    containers: [{ ...RECORD.containers[0]!, startedNs: null, firstOutputNs: null, reason }],
    notes: [{ code: 'HOST_CLOCK', message: 'late' }],
  };
  const many = 'app: again\n'.repeat(25);
  const boot = bootOf(refused, many);
  const modelled = boot.storage.modelled.map((each) => ({
    ...each,
    latencyUs: null,
    latencyEvidence: null,
    stages: [],
  }));
  const storage = { modelled, bootBytes: 40_000_000 };
  const text = bootTable({ ...boot, storage }, STYLE).join('\n');
  for (const expected of [
    '<b>no release on qemu-aarch64',
    ': halt</b>',
    '<y>slot a refused: VERIFY_SIGNATURE: two lines</y>',
    /<r>setup .*<\/r>/,
    /<r>total 3010.0 of 2000.0 ms \[#{40}\] 150.5%, 1010.0 over; until the last stage<\/r>/,
    'started at never, first output at never',
    '<y>note: HOST_CLOCK: late</y>',
    '<r>container app failed: VERIFY_SIGNATURE: two lines</r>',
    'emmc at 200 MB/s (measured; its latency is not known) adds 200.0 ms for kernel and initramfs\n',
    '| app: and 5 lines more',
  ]) {
    assert.ok(typeof expected === 'string' ? text.includes(expected) : expected.test(text), text);
  }
  assert.not.match(text, /read from the disk|for these reads/);
});

test('the last line says which evidence the runs are', () => {
  const boot = bootOf(RECORD);
  const agreement = { runs: 2, maxDeviation: 0, at: 'total', limit: 0.005, isWithin: true };
  for (const [given, text] of [
    [boot, 'evidence: virtual; one run, so that none could disagree'],
    [{ ...boot, agreement }, 'evidence: virtual; 2 runs are equal, within 0.5%'],
    [
      {
        ...boot,
        evidence: 'virtual-wallclock',
        agreement: { ...agreement, maxDeviation: 0.0123, at: 'mount', isWithin: false },
      },
      'evidence: virtual-wallclock; 2 runs differ by 1.23% of the total (mount), more than 0.5%',
    ],
  ] as [VirtualBoot, string][]) {
    assert.is(agreementText([given]), text);
  }
});

test('the journal grows by whole lines, and refuses a file that is none', () => {
  using dir = tempDir();
  const out = join(dir.path, 'new', 'records');
  const [path] = writeJournal(out, [bootOf(RECORD, 'first'), bootOf(RECORD, 'second')]);
  writeJournal(out, [bootOf(RECORD, 'third')]);
  const lines = readFileSync(path!, 'utf8').trimEnd().split('\n');
  assert.is(lines.length, 3);
  assert.equal((JSON.parse(lines[2]!) as VirtualBoot).record, RECORD);
  assert.not.match(lines[2]!, /third/);
  assert.is(readFileSync(join(out, 'console-3.log'), 'utf8'), 'third');
  assert.equal(readdirSync(out), [JOURNAL_FILE, ...[1, 2, 3].map((n) => `console-${n}.log`)]);
  for (const content of ['{"cut":', '{}\nnonsense\n', '\n']) {
    writeFileSync(path!, content);
    const refuse = (): unknown => writeJournal(out, [bootOf(RECORD)]);
    assert.is(codeOf(refuse), 'FORMAT_BOOT_JOURNAL', content);
    assert.is(readFileSync(path!, 'utf8'), content);
  }
});

test('a command line file is one line of printable characters', () => {
  const parse = (text: string): string => parseCommandLineFile(Buffer.from(text, 'latin1'));
  assert.is(parse('console=x quiet\n'), 'console=x quiet');
  assert.is(parse(''), '');
  for (const text of ['a\nb', 'a\0b', 'caf\u00e9', 'x'.repeat(3000)]) {
    assert.is(
      codeOf(() => parse(text)),
      'FORMAT_BOOT_PARTITION',
    );
  }
});

test('the console says why nothing was reported', () => {
  for (const [console, cause] of [
    ['', /kernel may be for another machine/],
    ['x\nKernel panic - not syncing: No working init found.\n', /panicked: No working init/],
    ['[1.0] coldseal: halt: HOST_REPORT_PORT: none\n', /the runtime said HOST_REPORT_PORT/],
    ['just text HOST_NOT_OURS\n', /switched the board off/],
  ] as [string, RegExp][]) {
    assert.match(likelyCause(console), cause);
  }
});

test.run();
