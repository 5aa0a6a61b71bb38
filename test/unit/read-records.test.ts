/** Files of boot records: every kind is read, and one wrong line refuses the file by its number. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { readLines, readRecords } from '../../toolchain/budget/read-records.ts';
import { expectCode } from '../support/expect-code.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('boot record files');

const MEASURED: MeasuredBoot = {
  kind: 'coldseal-measured-boot',
  schema: 1,
  evidence: 'board-gpio',
  board: 'bench',
  specimen: null,
  start: 'cold',
  conditions: {},
  release: { id: null, version: '3', builtAt: null },
  measuredAt: null,
  clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: 1000 },
  outcome: 'booted',
  reason: null,
  stages: [],
  units: [],
  events: [{ name: 'power-on', atNs: 0 }],
  io: null,
  flags: [],
  source: { format: 'logic-analyser', file: 'a.csv', sha256: 'ab'.repeat(32) },
};
const VIRTUAL = {
  kind: 'coldseal-virtual-boot',
  schema: 1,
  evidence: 'virtual',
  board: 'qemu-aarch64',
  release: { id: 'aa', version: '1' },
  run: 1,
  record: testRecord(),
};

const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`;

function put(dir: TempDir, text: string | Uint8Array): string {
  const path = join(dir.path, 'records.jsonl');
  writeFileSync(path, text);
  return path;
}

test('every kind is read, in the order of the file', () => {
  using dir = tempDir();
  const text = `${lineOf(MEASURED)}\n${lineOf(VIRTUAL)}${lineOf(testRecord())}`;
  const { boots, format, sha256, file } = readRecords(put(dir, text));
  assert.equal(
    boots.map(({ evidence, board, start }) => [evidence, board, start]),
    [
      ['board-gpio', 'bench', 'cold'],
      ['virtual', 'qemu-aarch64', 'cold'],
      ['board-selfclock', 'linux,dummy-virt', null],
    ],
  );
  assert.is(format, 'boot-record+logic-analyser+virtual-boot');
  assert.is(sha256, createHash('sha256').update(text).digest('hex'));
  // What an importer read is named by its own source, everything else by this file.
  assert.equal(
    boots.map(({ source }) => source.file),
    ['a.csv', file, file],
  );
  assert.is(boots[1]!.source.sha256, sha256);
  assert.ok(boots.every((boot) => MEASURED_BOOT.safeParse(boot).success));
});

test('counted reads come along: of a virtual board from its other boot, of a device from its record', () => {
  using dir = tempDir();
  const row = { name: 'verify a', reads: 3, readBytes: 16_384, writes: 0, writeBytes: 0 };
  const storage = {
    stages: [{ ...row, name: 'setup', reads: 0, readBytes: 0 }, row],
    bootBytes: 1,
  };
  const io = { readRequests: 7, readBytes: 4096, writeRequests: 0, writeBytes: 0 };
  const text = [{ ...VIRTUAL, storage }, VIRTUAL, testRecord({ io })].map(lineOf).join('');
  assert.equal(
    readRecords(put(dir, text)).boots.map((boot) => boot.io),
    [
      [{ stage: 'verify a', reads: 3, readBytes: 16_384 }],
      null,
      [{ stage: 'first-output', reads: 7, readBytes: 4096 }],
    ],
  );
  const wrong = lineOf({ ...VIRTUAL, storage: { stages: [{ ...row, reads: -1 }] } });
  expectCode(() => readRecords(put(dir, wrong)), 'FORMAT_BOOT_RECORDS');
});

test('a device says nothing about how it was started, and something about its clock', () => {
  using dir = tempDir();
  const [boot] = readRecords(put(dir, lineOf(testRecord()))).boots;
  assert.equal([boot!.start, boot!.clock.uncertaintyNs], [null, 1e6]);
});

const REFUSED: readonly [name: string, text: string, problem: string][] = [
  ['an empty file', '', 'line 1 is not there'],
  ['blank lines alone', '\n\n', 'line 1 is not there'],
  ['a log', '[    0.000000] Booting Linux\n', 'line 1 is not JSON'],
  ['another document', lineOf({ schema: 1, ok: true }), 'line 1 has the kind null'],
  ['a list', lineOf([MEASURED]), 'line 1 has the kind null'],
  ['null', lineOf(null), 'line 1 has the kind null'],
  [
    'a line that was cut off',
    lineOf(VIRTUAL) + lineOf(VIRTUAL).slice(0, 500),
    'line 2 was cut off',
  ],
  [
    'a time below zero',
    lineOf(change({ events: [{ name: 'x', atNs: -1 }] })),
    'events.0.atNs is -1',
  ],
  [
    'half a nanosecond',
    lineOf(change({ events: [{ name: 'x', atNs: 0.5 }] })),
    'events.0.atNs is 0.5',
  ],
  [
    '584,542 years',
    lineOf(change({ events: [{ name: 'x', atNs: Number('18446744073709551615') }] })),
    'events.0.atNs is 18446744073709552000',
  ],
  ['a control character', lineOf(change({ board: 'a\u001b[2J' })), 'board is'],
  ['an unknown field', lineOf({ ...MEASURED, total: 1 }), 'total is not a known setting'],
  [
    'a class that is none',
    lineOf(change({ evidence: 'board' as 'virtual' })),
    'evidence is "board"',
  ],
  ['a later schema', lineOf({ ...MEASURED, schema: 2 }), 'schema is 2'],
  ['a later schema of the device', lineOf({ ...testRecord(), schema: 9 }), 'it has schema 9'],
  [
    'a device whose stage ends before it starts',
    lineOf(testRecord({ stages: [{ name: 'setup', startNs: 5, endNs: 4 }] })),
    'the stage setup ends before it starts',
  ],
  ['a line that is whole and no JSON', '{"kind":}\n', 'line 1 is not JSON'],
  ['a later schema of a virtual boot', lineOf({ ...VIRTUAL, schema: 2 }), 'schema is 2'],
  [
    'a virtual boot of a real board',
    lineOf({ ...VIRTUAL, evidence: 'board-gpio' }),
    'evidence is "board-gpio"',
  ],
  ['a virtual boot without its record', lineOf({ ...VIRTUAL, record: undefined }), 'line 1'],
];

function change(fields: Partial<MeasuredBoot>): MeasuredBoot {
  return { ...MEASURED, ...fields };
}

for (const [name, text, problem] of REFUSED) {
  test(`refused: ${name}`, () => {
    using dir = tempDir();
    const path = put(dir, text);
    const { message } = expectCode(() => readRecords(path), 'FORMAT_BOOT_RECORDS');
    assert.ok(message.includes(problem), message);
  });
}

test('the last line may lack its end, and other ends of lines do no harm', () => {
  using dir = tempDir();
  assert.is(readRecords(put(dir, JSON.stringify(MEASURED))).boots.length, 1);
  assert.is(readRecords(put(dir, `${JSON.stringify(MEASURED)}\r\n`)).boots.length, 1);
});

test('a path that cannot be read is named', () => {
  using dir = tempDir();
  expectCode(() => readRecords(join(dir.path, 'no')), 'HOST_NOT_FOUND');
  mkdirSync(join(dir.path, 'd'));
  const { hint } = expectCode(() => readRecords(join(dir.path, 'd')), 'USAGE_NOT_A_FILE');
  assert.match(hint!, 'boot-records.jsonl');
  const path = put(dir, lineOf(MEASURED));
  chmodSync(path, 0);
  if (process.getuid?.() !== 0) expectCode(() => readRecords(path), 'HOST_PERMISSION');
});

test('lines are the same however they fall into pieces', () => {
  using dir = tempDir();
  // Longer than a piece of the reader, so that one line spans several.
  const lines = ['', 'a', 'b'.repeat(3_000_000), 'ü'.repeat(700_000), '', 'end'];
  const found: string[] = [];
  readLines(put(dir, `${lines.join('\n')}\n`), (line, number) => {
    assert.is(number, found.length + 1);
    found.push(line);
  });
  assert.ok(found.length === lines.length && found.every((line, i) => line === lines[i]));
});

test('a line without an end is refused before it is held', () => {
  using dir = tempDir();
  const path = put(dir, lineOf(MEASURED));
  // A file with a hole: nothing of it is on the disk.
  truncateSync(path, 66 * 1024 * 1024);
  const { message } = expectCode(() => readRecords(path), 'FORMAT_BOOT_RECORDS');
  assert.match(message, 'line 2 has more than 67108864 bytes');
});

test('files are closed, those that are refused too', () => {
  if (!existsSync('/proc/self/fd')) return;
  using dir = tempDir();
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  readRecords(put(dir, lineOf(MEASURED)));
  expectCode(() => readRecords(put(dir, 'x')), 'FORMAT_BOOT_RECORDS');
  assert.is(open(), before);
});

test('any bytes are records or a refusal, and nothing else', () => {
  using dir = tempDir();
  const json = fc.json().map((text) => Buffer.from(text));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), json), (bytes) => {
      try {
        readRecords(put(dir, bytes));
      } catch (error) {
        if (!(error instanceof ColdsealError)) throw error;
        assert.is(error.code, 'FORMAT_BOOT_RECORDS');
      }
    }),
    { numRuns: 300 },
  );
});

test.run();
