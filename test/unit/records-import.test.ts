/** `coldseal records import` as a user runs it: files, refusals, journals, stdout. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LOG_BYTES_MAX } from '../../toolchain/budget/import/log-input.ts';
import { FORMATS } from '../../toolchain/budget/import/registry.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { runMain } from '../../toolchain/cli/main-run.ts';
import type { OutputStream } from '../../toolchain/cli/output.ts';
import { FORMAT_CHOICES, recordsImport } from '../../toolchain/commands/records-import.ts';
import { BOOT_LOGS } from '../support/boot-logs.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('records import');

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command; words with a slash or dot stay as they are, so paths are absolute. */
async function run(...words: readonly string[]): Promise<Run> {
  const said = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr'): OutputStream => ({
    write: (chunk, done) => {
      said[name] += chunk.toString();
      done();
      return true;
    },
    on: () => undefined,
  });
  const { signal } = new AbortController();
  const code = await runMain(
    {
      argv: ['records', 'import', ...words],
      version: '0',
      env: {},
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      nowMs: () => 0,
      interrupted: () => signal,
      wasInterrupted: () => false,
    },
    [recordsImport],
  );
  return { code, ...said };
}

const vector = (path: string): string => join(BOOT_LOGS, path);
const KERNEL = vector('kernel/dmesg.txt');

/** The record of a board that is not `x`. */
const OTHER_BOARD = JSON.stringify({
  kind: 'coldseal-boot-record',
  schema: 1,
  outcome: 'halt',
  product: 'demo',
  board: 'other',
  isProduction: false,
  engine: 'quickjs',
  kernel: '6.12',
  clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null },
  stages: [],
  slot: null,
  attempts: [],
  release: null,
  images: [],
  containers: [],
  notes: [],
});

function recordsIn(path: string): MeasuredBoot[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => MEASURED_BOOT.parse(JSON.parse(line)));
}

/** Nothing but what is expected is in a directory: no temporary file, no half output. */
function holds(dir: TempDir, ...names: readonly string[]): void {
  assert.equal(readdirSync(dir.path).sort(), [...names].sort());
}

test('the choices of --format are the importers', () => {
  assert.equal([...FORMAT_CHOICES], ['auto', ...FORMATS]);
});

test('a log with control characters in its name is imported, and they are in no record', async () => {
  using dir = tempDir();
  const log = join(dir.path, 'e\u001b[31mx\n.txt');
  const out = join(dir.path, 'records.jsonl');
  copyFileSync(KERNEL, log);
  const { code, stderr } = await run(log, '-o', out, '--board', 'demo');
  assert.is(code, 0, stderr);
  assert.is(recordsIn(out)[0]!.source.file, 'e?[31mx?.txt');
});

test('records are no log, and the refusal says what reads them', async () => {
  using dir = tempDir();
  const out = join(dir.path, 'records.jsonl');
  await run(KERNEL, '-o', out, '--board', 'demo');
  const { code, stderr } = await run(out, '-o', join(dir.path, 'b'), '--board', 'demo');
  assert.is(code, 4);
  assert.match(stderr, 'it has boot records already, expected a log');
  assert.match(stderr, 'FORMAT_BOOT_LOG_TYPE');
});

test('a record a line, a summary and the flags for people', async () => {
  using dir = tempDir();
  const out = join(dir.path, 'records.jsonl');
  const options = ['--board', 'demo', '--start', 'cold', '--specimen', 'SN 1'];
  const more = ['--condition', 'temperature=-30C', '--condition', 'supply=9V'];
  const release = ['--release-version', '1.2.3', '--release-id', 'ab'];
  const time = ['--measured-at', '2026-11-25T12:00:00Z', '--uncertainty-ms', '3'];
  const { code, stdout, stderr } = await run(
    KERNEL,
    '-o',
    out,
    ...options,
    ...more,
    ...release,
    ...time,
  );
  assert.is(code, 0, stderr);
  const [boot] = recordsIn(out);
  assert.is(boot!.board, 'demo');
  assert.equal(boot!.conditions, { temperature: '-30C', supply: '9V' });
  assert.equal(boot!.release, { id: 'ab', version: '1.2.3', builtAt: null });
  assert.is(boot!.clock.uncertaintyNs, 3e6);
  assert.is(boot!.source.file, 'dmesg.txt');
  const [summary, flag] = stdout.split('\n');
  assert.is(
    summary,
    'dmesg.txt: kernel-log of demo, virtual-wallclock, 15.652 s since kernel, 3 stages, 0 units, 5 events',
  );
  assert.match(
    flag!,
    /^ {2}flag: the kernel counted ticks for 0.04 s .* \(BUDGET_FLAG_CLOCK_CHANGED\)$/,
  );
  holds(dir, 'records.jsonl');
});

test('stdout takes the records and stderr the summary; --json has both', async () => {
  const plain = await run(KERNEL, '-o', '-', '--board', 'demo');
  assert.is(plain.code, 0);
  assert.ok(MEASURED_BOOT.safeParse(JSON.parse(plain.stdout)).success);
  assert.match(plain.stderr, 'dmesg.txt: kernel-log of demo');
  using dir = tempDir();
  const out = join(dir.path, 'r.jsonl');
  const json = await run(
    vector('systemd/show-manager.txt'),
    KERNEL,
    '-o',
    out,
    '--board',
    'demo',
    '--json',
  );
  const document = JSON.parse(json.stdout) as {
    ok: boolean;
    result: { unusable: number; boots: MeasuredBoot[] };
  };
  assert.is(document.ok, true);
  assert.is(document.result.unusable, 0);
  assert.equal(document.result.boots, recordsIn(out));
  assert.is(recordsIn(out).length, 2);
});

test('a journal grows by whole lines, and other files stay as they are', async () => {
  using dir = tempDir();
  const out = join(dir.path, 'records.jsonl');
  const common = [KERNEL, '-o', out, '--board', 'demo'];
  assert.is((await run(...common, '--append')).code, 0);
  const first = readFileSync(out, 'utf8');
  assert.is((await run(...common, '--append')).code, 0);
  assert.is(readFileSync(out, 'utf8'), first + first);
  const again = await run(...common);
  assert.is(again.code, 2);
  assert.match(again.stderr, 'USAGE_OUTPUT_EXISTS');
  assert.is((await run(...common, '--force')).code, 0);
  assert.is(readFileSync(out, 'utf8'), first);
  for (const broken of [first.slice(0, -5), 'not a record\n', `${first}\n`]) {
    writeFileSync(out, broken);
    const refused = await run(...common, '--append');
    assert.is(refused.code, 4);
    assert.match(refused.stderr, 'FORMAT_BOOT_JOURNAL');
    assert.is(readFileSync(out, 'utf8'), broken);
  }
  // A log that is refused leaves the journal alone.
  writeFileSync(out, first);
  assert.is(
    (await run(vector('kernel/dmesg-T.txt'), '-o', out, '--board', 'x', '--append')).code,
    4,
  );
  assert.is(readFileSync(out, 'utf8'), first);
  holds(dir, 'records.jsonl');
});

test('directories, archives, merged logs and a dictionary', async () => {
  using dir = tempDir();
  const out = join(dir.path, 'r.jsonl');
  const tree = join(dir.path, 'efivars');
  mkdirSync(tree);
  for (const name of readdirSync(vector('efi')))
    copyFileSync(join(vector('efi'), name), join(tree, name));
  const board = ['-o', out, '--board', 'demo', '--append'];
  assert.is((await run(tree, ...board)).code, 0);
  assert.is((await run(vector('bootstage/device-tree.tar'), ...board)).code, 0);
  const merged = await run(
    vector('bootstage/device-tree.tar'),
    KERNEL,
    vector('systemd/show-all.txt'),
    vector('systemd/plot.json'),
    '--merge',
    ...board,
  );
  assert.is(merged.code, 0, merged.stderr);
  const events = join(dir.path, 'events.yaml');
  writeFileSync(events, "events: [{ name: rtc, pattern: '^rtc_cmos' }]\nstop: rtc\n");
  assert.is((await run(KERNEL, '--dictionary', events, ...board)).code, 0);
  assert.equal(
    recordsIn(out).map(({ source, outcome }) => [source.format, source.file, outcome]),
    [
      ['efi-loader', 'efivars', 'booted'],
      ['bootstage-dt', 'device-tree.tar', 'booted'],
      [
        'bootstage-dt+kernel-log+systemd',
        'device-tree.tar dmesg.txt show-all.txt plot.json',
        'booted',
      ],
      ['kernel-log', 'dmesg.txt', 'booted'],
    ],
  );
});

test('input of the wrong kind is refused, and nothing is written', async () => {
  using dir = tempDir();
  const out = join(dir.path, 'r.jsonl');
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(dir.path, name), content);
    return join(dir.path, name);
  };
  mkdirSync(join(dir.path, 'empty'));
  const huge = file('huge', '');
  truncateSync(huge, LOG_BYTES_MAX + 1);
  const cases: readonly (readonly [code: string, exit: number, ...words: string[]])[] = [
    ['HOST_NOT_FOUND', 6, join(dir.path, 'none')],
    ['FORMAT_BOOT_LOG_EMPTY', 4, join(dir.path, 'empty')],
    ['FORMAT_BOOT_LOG_EMPTY', 4, file('nothing', '')],
    ['FORMAT_BOOT_LOG_TYPE', 4, file('text', 'hello\n')],
    [
      'FORMAT_BOOT_LOG_TYPE',
      4,
      file('elf', Buffer.concat([Buffer.from('\u007fELF'), Buffer.alloc(4096)])),
    ],
    ['FORMAT_BOOT_LOG_BINARY', 4, join(dir.path, 'elf'), '--format', 'kernel-log'],
    ['FORMAT_BOOT_LOG_TYPE', 4, KERNEL, '--format', 'cbmem'],
    ['FORMAT_BOOT_LOG_SIZE', 4, huge],
    [
      'FORMAT_BOOT_LOG_TRUNCATED',
      4,
      file('cut.tar', readFileSync(vector('bootstage/device-tree.tar')).subarray(0, 3000)),
    ],
    ['USAGE_NOT_A_FILE', 2, '/dev/null'],
    ['HOST_NOT_FOUND', 6, KERNEL, '--dictionary', join(dir.path, 'no.yaml')],
    ['CONFIG_EVENT_DICTIONARY', 2, KERNEL, '--dictionary', file('bad.yaml', 'events: []\n')],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--condition', 'cold'],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--condition', 'a=1', '--condition', 'a=2'],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--measured-at', 'yesterday'],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--measured-at', '2026-02-31T00:00:00Z'],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--specimen', 'two\nlines'],
    ['USAGE_BAD_VALUE', 2, KERNEL, '--class', 'guess'],
    ['USAGE_MISSING_OPTION', 2, KERNEL, '--release-id', 'ab'],
    ['USAGE_OPTION_CONFLICT', 2, KERNEL, '--append', '--force'],
    ['USAGE_OPTION_CONFLICT', 2, KERNEL, '--merge', '--split'],
    ['USAGE_OPTION_CONFLICT', 2, '-', '-'],
    ['USAGE_OPTION_CONFLICT', 2, file('other.json', OTHER_BOARD)],
  ];
  for (const [code, exit, ...words] of cases) {
    const result = await run(...words, '-o', out, '--board', 'x');
    assert.match(result.stderr, code, `${code} ${words.join(' ')}`);
    assert.is(result.code, exit, code);
    assert.not(existsSync(out), code);
  }
  const others: readonly (readonly [code: string, ...words: string[]])[] = [
    ['USAGE_MISSING_OPTION', KERNEL, '--board', 'x'],
    ['USAGE_MISSING_OPTION', KERNEL, '-o', out],
    ['USAGE_OPTION_CONFLICT', KERNEL, '-o', '-', '--append'],
    ['USAGE_OPTION_CONFLICT', KERNEL, '-o', '-', '--json'],
    ['HOST_NOT_FOUND', KERNEL, '-o', join(dir.path, 'no/r.jsonl'), '--board', 'x'],
  ];
  for (const [code, ...words] of others)
    assert.match((await run(...words)).stderr, code, words.join(' '));
  assert.not(existsSync(out));
});

test('a log without permission is refused for everybody but root', async () => {
  using dir = tempDir();
  const path = join(dir.path, 'secret');
  copyFileSync(KERNEL, path);
  chmodSync(path, 0);
  const result = await run(path, '-o', join(dir.path, 'r'), '--board', 'x');
  if (process.getuid?.() === 0) assert.is(result.code, 0);
  else assert.match(result.stderr, 'HOST_PERMISSION');
});

test.run();
