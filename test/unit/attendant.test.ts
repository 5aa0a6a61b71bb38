/** The attendant: which bytes go where, when a first output is stamped, and what a report is. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attend, type AttendantSettings } from '../../runtime/attendant.ts';
import { Attendance, KEEP_BYTES_MAX, LINE_BYTES_MAX } from '../../runtime/attendance.ts';
import { startEarlyContainers } from '../../runtime/containers.ts';
import { RUN_RECORD } from '../../runtime/device-paths.ts';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { readRecord, recordLine, writeRecord } from '../../runtime/record-file.ts';
import type { DeviceSys } from '../../runtime/sys.ts';
import { expectCode } from '../support/expect-code.ts';
import { type ContainerScript, FakeContainers, MachineEnded } from '../support/fake-containers.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('attendant');

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const text = (value: Uint8Array): string => Buffer.from(value).toString('latin1');

// --- the decisions ---

/** Chunks of two containers, and what is written for each; `end` closes. */
const CONSOLE: readonly [string, readonly (readonly [string, string])[], readonly string[]][] = [
  ['a whole line', [['a', 'hello\n']], ['a: hello\n']],
  ['two lines at once', [['a', 'x\ny\n']], ['a: x\na: y\n']],
  ['an empty line', [['a', '\n']], ['a: \n']],
  [
    'half a line waits',
    [
      ['a', 'hel'],
      ['b', 'other\n'],
      ['a', 'lo\n'],
    ],
    ['', 'b: other\n', 'a: hello\n'],
  ],
  [
    'half a line at the end',
    [
      ['a', 'hel'],
      ['a', 'end'],
    ],
    ['', 'a: hel\n'],
  ],
  [
    'the end after a whole line',
    [
      ['a', 'x\n'],
      ['a', 'end'],
    ],
    ['a: x\n', ''],
  ],
];

for (const [name, events, expected] of CONSOLE) {
  test(`console: ${name}`, () => {
    const attendance = new Attendance(['a', 'b'], 'console');
    const written = events.map(([from, chunk]) =>
      chunk === 'end' ? attendance.end(from) : attendance.output(from, bytes(chunk), 1),
    );
    assert.equal(written.map(text), expected);
  });
}

test('console: a line without an end is cut, and nothing is lost', () => {
  const attendance = new Attendance(['a'], 'console');
  const written = text(attendance.output('a', bytes('x'.repeat(2 * LINE_BYTES_MAX + 5)), 1));
  assert.equal(
    written.split('\n').map((line) => line.length),
    [LINE_BYTES_MAX + 3, LINE_BYTES_MAX + 3, 0],
  );
  assert.is(text(attendance.end('a')), 'a: xxxxx\n');
  const exact = text(attendance.output('a', bytes(`${'y'.repeat(LINE_BYTES_MAX)}\n`), 1));
  assert.is(exact.replaceAll('\n', '').length, LINE_BYTES_MAX + 6, 'cut, then an empty line');
});

test('file: bytes as they are, then one line that says it is enough', () => {
  const attendance = new Attendance(['a'], 'file');
  const half = KEEP_BYTES_MAX / 2;
  const sizes = [half, half - 1, 1, 1, 5].map(
    (size) => attendance.output('a', new Uint8Array(size).fill(0x78), 1).length,
  );
  const notice = `\ncoldseal: only ${KEEP_BYTES_MAX} bytes are kept\n`.length;
  assert.equal(sizes, [half, half - 1, 1, notice, 0]);
  const across = new Attendance(['a'], 'file');
  across.output('a', new Uint8Array(KEEP_BYTES_MAX - 3), 1);
  assert.is(text(across.output('a', bytes('abcdef'), 1)).slice(0, 13), 'abc\ncoldseal:');
  assert.is(across.output('a', bytes('more'), 1).length, 0);
});

test('what has been heard, and when it is over', () => {
  const attendance = new Attendance(['a', 'b'], 'file');
  const facts = (): unknown[] => [
    attendance.allHeard,
    attendance.isOver,
    [...attendance.firstOutputs()],
  ];
  assert.equal(facts(), [false, false, []]);
  attendance.output('a', bytes('x'), 5);
  attendance.output('a', bytes('y'), 9);
  assert.equal(facts(), [false, false, [['a', 5]]]);
  attendance.end('b');
  assert.equal(facts(), [true, false, [['a', 5]]]);
  attendance.end('a');
  assert.equal(facts(), [true, true, [['a', 5]]]);
  const none = new Attendance([], 'file');
  assert.equal([none.allHeard, none.isOver], [true, true]);
});

// --- the loop ---

interface Attended {
  readonly device: FakeContainers;
  readonly code: number | string;
  readonly file: (path: string) => string | undefined;
  readonly record: BootRecord;
}

function run(
  scripts: Readonly<Record<string, ContainerScript>>,
  settings: Partial<AttendantSettings> = {},
  prepare: (device: FakeContainers) => void = () => undefined,
): Attended {
  const device = new FakeContainers(scripts);
  const engine = device.engine();
  const policy = { containerEngine: '/usr/bin/crun', containerDeadlineMs: 500 };
  const { containers, pipes } = startEarlyContainers(engine, Object.keys(scripts), policy);
  const record = testRecord({ containers });
  writeRecord(engine.sys, record);
  prepare(device);
  let code: number | string;
  try {
    code = attend(engine, record, pipes, { output: 'file', ...settings });
  } catch (error) {
    if (!(error instanceof MachineEnded)) throw error;
    code = device.end!;
  }
  const file = (path: string): string | undefined => device.files.get(path);
  const now = JSON.parse(file(RUN_RECORD) ?? 'null') as BootRecord;
  return { device, code, file, record: now };
}

const firstOutputs = ({ containers }: BootRecord): (number | null)[] =>
  containers.map(({ firstOutputNs }) => firstOutputNs && firstOutputNs / 1e6);

test('output goes to files, first outputs into the record, and the last pipe ends it', () => {
  const { device, code, file, record } = run({
    a: {
      engineMs: 10,
      output: [
        [5, 'early '],
        [700, 'late'],
      ],
      endMs: 900,
    },
    b: { engineMs: 10, output: [[600, 'b\n']], endMs: 800 },
    c: { engineMs: 10, endMs: 20 },
  });
  assert.is(code, 0);
  assert.is(file('/run/coldseal/output/a'), 'early late');
  assert.is(file('/run/coldseal/output/b'), 'b\n');
  assert.is(file('/run/coldseal/output/c'), '');
  assert.equal(firstOutputs(record), [1010, 1600, null]);
  assert.equal([device.openHandles, device.log, device.nowMs], [[], [], 1900]);
});

test('output goes to the console by lines', () => {
  const { file } = run(
    { a: { engineMs: 1, output: [[5, 'x\n']], endMs: 9 } },
    { output: 'console' },
  );
  assert.is(file('/dev/console'), 'a: x\n');
  assert.is(file('/run/coldseal/output/a'), undefined);
});

test('a container that failed keeps its complaint in its file and gets no first output', () => {
  const { file, record } = run({ a: { engineMs: 9, code: 1, output: [[1, 'no\n']], endMs: 9 } });
  assert.is(file('/run/coldseal/output/a'), 'no\n');
  assert.equal(firstOutputs(record), [null]);
});

test('containers that another process added to the record stay in it', () => {
  const { record } = run({ a: { engineMs: 1, output: [[50, 'x']], endMs: 60 } }, {}, (device) => {
    const [a] = testRecord().containers;
    const old = readRecord(device as unknown as DeviceSys)!;
    const line = recordLine({ ...old, containers: [...old.containers, { ...a!, name: 'later' }] });
    device.files.set(RUN_RECORD, line);
  });
  assert.equal(
    record.containers.map(({ name }) => name),
    ['a', 'later'],
  );
  assert.is(firstOutputs(record)[0], 1050);
});

test('where a disk is counted, its counters go into the record with each first output', () => {
  const stat = '/sys/class/block/vda/stat';
  const scripts = { a: { engineMs: 1, output: [[50, 'x']], endMs: 60 } } as const;
  const put = (device: FakeContainers): void => void device.files.set(stat, '7 0 8 0 1 0 2 0 0\n');
  const io = { readRequests: 7, readBytes: 4096, writeRequests: 1, writeBytes: 1024 };
  assert.equal(run(scripts, { disk: 'vda' }, put).record.io, io);
  assert.is(run(scripts, {}, put).record.io, undefined);
  assert.is(run(scripts, { disk: 'vda' }).record.io, undefined, 'no such disk');
  const { file } = run(scripts, { disk: 'vda', report }, (device) => {
    put(device);
    device.ports = PORTS;
  });
  assert.equal((JSON.parse(file('/dev/vport0p2')!) as BootRecord).io, io);
});

test('a world that fails is told and does not end it', () => {
  const scripts = { a: { engineMs: 1, output: [[50, 'x']], endMs: 60 } } as const;
  for (const call of ['openWrite', 'write', 'writeFile', 'makeDirectory']) {
    const { code } = run(scripts, {}, (device) => device.failures.set(call, 'ENOSPC'));
    assert.is(code, 0, call);
  }
  const { device } = run(scripts, {}, (device) => device.failures.set('openWrite', 'ENOSPC'));
  assert.match(device.log[0]!, /^coldseal: attendant: ENOSPC: openWrite: ENOSPC$/);
  const { code } = run(scripts, {}, (device) => device.files.set(RUN_RECORD, 'null'));
  assert.is(code, 0, 'a record that is none');
});

// --- the report ---

const PORTS = { vport0p1: 'other', vport0p2: 'coldseal.report' };
const report = 'coldseal.report';

test('a report is one line of JSON, after every container was heard, and then the power goes', () => {
  const { device, code, file } = run(
    {
      a: { engineMs: 1, output: [[300, 'é\n'.repeat(3)]] },
      b: { engineMs: 1, endMs: 200 },
    },
    { report },
    (device) => (device.ports = PORTS),
  );
  assert.is(code, 'power-off');
  const sent = file('/dev/vport0p2')!;
  assert.match(sent, /^\{[\x20-\x7e]*\}\n$/);
  assert.equal(firstOutputs(JSON.parse(sent) as BootRecord), [1300, null]);
  assert.is(device.nowMs, 1320, 'and the port has had time');
  assert.is(file('/dev/vport0p1'), undefined);
});

test('a container that stays silent delays a report by ten seconds', () => {
  const { device, file } = run(
    { a: { engineMs: 1 } },
    { report },
    (device) => (device.ports = PORTS),
  );
  assert.is(device.nowMs, 11_021);
  assert.equal(firstOutputs(JSON.parse(file('/dev/vport0p2')!) as BootRecord), [null]);
});

test('without containers a report goes at once', () => {
  const { device, file } = run({}, { report }, (device) => (device.ports = PORTS));
  assert.equal([device.nowMs, device.end], [1020, 'power-off']);
  assert.ok(file('/dev/vport0p2'));
});

test('a report without its port, or without a record file, still ends the machine', () => {
  const missing = run({}, { report });
  assert.is(missing.code, 'power-off');
  assert.match(
    missing.device.log[0]!,
    /HOST_REPORT_PORT: .*: no virtio-serial port is named coldseal\.report/,
  );
  const unread = run({}, { report }, (device) => {
    device.ports = PORTS;
    device.files.set(RUN_RECORD, '{"kind":"something else"}');
  });
  assert.is(unread.code, 'power-off');
  const sent = JSON.parse(unread.file('/dev/vport0p2')!) as BootRecord;
  assert.is(sent.kind, 'coldseal-boot-record', 'the one it was handed');
});

// --- the record's file ---

test('the record is read as it was written, and nothing else is taken for one', () => {
  const device = new FakeContainers({});
  const sys = device as unknown as DeviceSys;
  assert.is(readRecord(sys), undefined);
  const record = testRecord({ notes: [{ code: 'X', message: 'é € \u{1f600} "\n' }] });
  writeRecord(sys, record);
  assert.equal(readRecord(sys), record);
  assert.match(device.files.get(RUN_RECORD)!, /^[\x20-\x7e]*\n$/);
  for (const wrong of ['', '{', 'null', '[]', '7', '{"kind":"coldseal-boot-record","schema":2}']) {
    device.files.set(RUN_RECORD, wrong);
    expectCode(() => readRecord(sys), 'FORMAT_BOOT_RECORD', wrong);
  }
  device.files.set(RUN_RECORD, ' '.repeat(300_000));
  expectCode(() => readRecord(sys), 'FORMAT_FILE_KIND');
  device.failures.set('open', 'EIO');
  expectCode(() => readRecord(sys), 'HOST_READ_FAILED');
});

test.run();
