/** `coldseal boot` as a whole, with a script in the place of QEMU that reports what a board would. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { runMain } from '../../toolchain/cli/main-run.ts';
import type { OutputStream } from '../../toolchain/cli/output.ts';
import type { Calibration, Prediction } from '../../toolchain/budget/calibration.ts';
import type { VirtualBoot } from '../../toolchain/board/virtual.ts';
import { boot } from '../../toolchain/commands/boot.ts';
import { BOOT_FILE, buildDisk } from '../../toolchain/disk/disk.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('boot command');

const MS = 1e6;
const MIB = 1024 * 1024;
const RECORD: BootRecord = {
  kind: 'coldseal-boot-record',
  schema: 1,
  outcome: 'booted',
  product: 'demo',
  board: 'qemu-x86_64',
  isProduction: false,
  engine: 'quickjs',
  kernel: '6.12',
  clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null },
  stages: [{ name: 'setup', startNs: 606 * MS, endNs: 610 * MS }],
  slot: 'a',
  attempts: [{ slot: 'a', reason: null }],
  release: null,
  images: [],
  containers: [],
  notes: [],
};
const REASON = { code: 'VERIFY_SIGNATURE', message: 'not signed' };
const REFUSED: BootRecord = {
  ...RECORD,
  outcome: 'halt',
  slot: null,
  attempts: [{ slot: 'a', reason: REASON }],
};
const LATE: BootRecord = {
  ...RECORD,
  stages: [{ name: 'setup', startNs: 3e9, endNs: 3e9 + 1 }],
};

/** As far as it is looked at: the letters in the header of an arm64 Image. */
const ARM_KERNEL = Buffer.alloc(0x400);
ARM_KERNEL.write('ARM\x64', 0x38, 'latin1');

let dir: TempDir;
let cache: string;
const saved = { path: process.env['PATH']!, cache: process.env['XDG_CACHE_HOME'] };

test.before.each(async () => {
  dir = tempDir();
  cache = join(dir.path, 'cache');
  mkdirSync(join(dir.path, 'bin'));
  process.env['PATH'] = `${join(dir.path, 'bin')}:${saved.path}`;
  process.env['XDG_CACHE_HOME'] = cache;
  await makeRelease({});
});
test.after.each(() => {
  process.env['PATH'] = saved.path;
  if (saved.cache === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = saved.cache;
  dir.remove();
});

/** A release whose disk has a boot partition with these files. */
async function makeRelease(changes: {
  readonly board?: string | null;
  readonly commandLine?: string;
  readonly kernel?: Uint8Array;
  readonly without?: string;
}): Promise<void> {
  const release = join(dir.path, 'release');
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release);
  const { board = 'qemu-x86_64', commandLine = 'console=ttyS0 quiet\n', without } = changes;
  const { kernel = Buffer.from('kernel') } = changes;
  const files = [
    { name: BOOT_FILE.kernel, bytes: kernel },
    { name: BOOT_FILE.initramfs, bytes: Buffer.from('initramfs') },
    { name: BOOT_FILE.cmdline, bytes: Buffer.from(commandLine) },
  ];
  await buildDisk({
    output: join(release, 'disk.img'),
    boot: files.filter(({ name }) => name !== without),
    sizes: { boot: 40 * MIB, store: 8 * MIB },
    store: [],
    state: new Uint8Array(),
  });
  const json = { releaseId: '00', version: '1.0', boot: board === null ? null : { board } };
  writeFileSync(join(release, 'release.json'), JSON.stringify(json));
}

/** In the place of QEMU: keeps its arguments, changes the disk, prints, reports. */
function fakeQemu(report: string | undefined, script = ''): void {
  if (report !== undefined) writeFileSync(join(dir.path, 'to-report'), report);
  const program = `#!/bin/sh
case "$1" in --version) echo 'QEMU emulator version 7.2.22'; exit;; esac
previous=
for each in "$@"; do
  [ "$previous" != -D ] || trace=$each
  previous=$each
  case "$each" in
    file,id=report,path=*) report=\${each#*path=} ;;
    if=none,*) disk=\${each#*,file=}; printf changed > "\${disk%%,*}" ;;
  esac
done
echo "$@" >> ${join(dir.path, 'arguments')}
case "$*" in *mon:stdio*) ;; *) printf 'booting\\r\\napp: hello\\r\\n' ;; esac
${script}
[ ! -f ${join(dir.path, 'to-report')} ] || cp ${join(dir.path, 'to-report')} "$report"
if [ -n "$trace" ]; then
  cp ${join(dir.path, 'counted')} "$report"
  cp ${join(dir.path, 'to-trace')} "$trace"
fi
`;
  writeFileSync(join(dir.path, 'bin/qemu-system-x86_64'), program, { mode: 0o755 });
}

const line = (record: BootRecord): string => `${JSON.stringify(record)}\n`;

async function run(
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string; interruption: AbortController }> {
  return start(new AbortController(), args);
}

async function start(
  interruption: AbortController,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string; interruption: AbortController }> {
  const text = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr'): OutputStream => ({
    isTTY: false,
    on: () => undefined,
    write(chunk, done) {
      text[name] += chunk.toString();
      done();
      return true;
    },
  });
  const code = await runMain(
    {
      argv: ['boot', ...args],
      version: '0',
      env: {},
      stdout: stream('stdout'),
      stderr: stream('stderr'),
      nowMs: () => 0,
      interrupted: () => interruption.signal,
      wasInterrupted: () => interruption.signal.aborted,
    },
    [boot],
  );
  return { code, ...text, interruption };
}

const release = (): string => join(dir.path, 'release');

test('a boot is printed, and its exit code says what it was', async () => {
  for (const [record, code, text] of [
    [RECORD, 0, /^total 610\.0 of 2000\.0 ms/m],
    [LATE, 5, /1000\.0 over/],
    [REFUSED, 3, /^slot a refused: VERIFY_SIGNATURE: not signed$/m],
    [{ ...RECORD, outcome: 'recovery', slot: 'recovery' }, 3, /: recovery$/m],
  ] as [BootRecord, number, RegExp][]) {
    fakeQemu(line(record));
    const result = await run(release());
    assert.is(result.code, code, result.stderr);
    assert.match(result.stdout, text);
    assert.match(result.stdout, /^evidence: virtual; one run/m);
  }
});

test('the board gets the boot partition, and a copy of the disk', async () => {
  fakeQemu(line(RECORD));
  const before = readFileSync(join(release(), 'disk.img'));
  assert.is((await run(release())).code, 0);
  assert.ok(readFileSync(join(release(), 'disk.img')).equals(before));
  const given = readFileSync(join(dir.path, 'arguments'), 'utf8');
  assert.match(
    given,
    /-append console=ttyS0 quiet idle=poll coldseal\.report=coldseal\.report -drive/,
  );
  assert.match(given, /-M q35,hpet=off .*-m 1024/);
  assert.equal(readdirSync(join(cache, 'coldseal')), []);
  await makeRelease({ commandLine: 'quiet' });
  assert.is((await run(release())).code, 0);
  assert.match(
    readFileSync(join(dir.path, 'arguments'), 'utf8'),
    /-append console=ttyS0 quiet idle=poll coldseal/,
  );
});

test('--json and --out say the same, with digests and the emulator', async () => {
  fakeQemu(line(RECORD));
  const out = join(dir.path, 'records');
  const { code, stdout } = await run(release(), '--runs', '2', '--out', out, '--json');
  assert.is(code, 0);
  const { ok, result } = JSON.parse(stdout) as {
    ok: boolean;
    result: { boots: Record<string, unknown>[]; written: string[] };
  };
  assert.is(ok, true);
  const lines = readFileSync(join(out, 'boot-records.jsonl'), 'utf8').trimEnd().split('\n');
  assert.equal(
    lines.map((text) => JSON.parse(text) as unknown),
    result.boots,
  );
  assert.is(result.written.length, 3);
  const [first, second] = result.boots;
  assert.equal([first!['run'], second!['run']], [1, 2]);
  assert.equal(first!['agreement'], {
    runs: 2,
    maxDeviation: 0,
    at: 'total',
    limit: 0.005,
    isWithin: true,
  });
  assert.equal(first!['record'], RECORD);
  const { kernel } = first!['inputs'] as { kernel: string };
  assert.is(kernel, createHash('sha256').update('kernel').digest('hex'));
  assert.match(JSON.stringify(first!['emulator']), /"version":"7.2.22".*shift=0,align=off/);
  assert.is(readFileSync(join(out, 'console-1.log'), 'utf8'), 'booting\napp: hello\n');
});

/** What the board reports and QEMU traces in the boot that counts. */
function fakeCounts(record: BootRecord, trace: readonly string[]): void {
  writeFileSync(join(dir.path, 'counted'), line(record));
  writeFileSync(join(dir.path, 'to-trace'), `${trace.join('\n')}\n`);
}

const TRACE = [
  'virtio_set_status vdev 0x1 val 15',
  'virtio_blk_handle_read vdev 0x1 req 0x2 sector 0 nsectors 8',
  'virtio_blk_req_complete vdev 0x1 req 0x2 status 0',
];
const COUNTED: BootRecord = {
  ...RECORD,
  // As late as nothing in the other run.
  stages: [{ name: 'setup', startNs: 9e9, endNs: 9e9 + 1 }],
  io: { readRequests: 1, readBytes: 4096, writeRequests: 0, writeBytes: 0 },
};

test('--io boots once more, for the requests only', async () => {
  fakeQemu(line(RECORD));
  fakeCounts(COUNTED, TRACE);
  const { code, stdout, stderr } = await run(release(), '--runs', '2', '--io');
  assert.is(code, 0, stderr);
  assert.match(stdout, /^total 610\.0 of 2000\.0 ms/m);
  assert.match(stdout, /^first-output +1 +4\.0 +0 +0\.0$/m);
  assert.match(
    stdout,
    /^read from the disk: 4096 bytes in 1 requests, counted in a boot of its own/m,
  );
  const given = readFileSync(join(dir.path, 'arguments'), 'utf8').trimEnd().split('\n');
  assert.equal(
    given.map((text) => / coldseal\.io=vda .*-D \S+\/disk-trace -trace/.test(text)),
    [false, false, true],
  );
  const { stdout: json } = await run(release(), '--io', '--json');
  const { boots } = (JSON.parse(json) as { result: { boots: VirtualBoot[] } }).result;
  assert.is(boots.length, 1);
  assert.equal(boots[0]!.record, RECORD);
  assert.equal(boots[0]!.storage.io, COUNTED.io);
  assert.equal(boots[0]!.storage.outside, {
    firmware: { reads: 0, readBytes: 0, writes: 0, writeBytes: 0 },
    afterwards: { reads: 0, readBytes: 0, writes: 0, writeBytes: 0 },
  });
  assert.equal(readdirSync(join(cache, 'coldseal')), []);
});

test('--io that cannot count says so, and shows no half of a result', async () => {
  const { io: _, ...silent } = COUNTED;
  const notes = [{ code: 'CONFIG_COMMAND_LINE', message: 'Cannot use "coldseal.io=vda"' }];
  for (const [record, trace, reason] of [
    [silent, TRACE, 'HOST_IO_COUNT'],
    [silent, [], 'HOST_IO_COUNT'],
    [{ ...silent, outcome: 'halt', notes }, [], 'asked to count: Cannot use "coldseal.io=vda"'],
    [{ ...COUNTED, io: { ...COUNTED.io!, readBytes: 512 } }, TRACE, 'HOST_IO_COUNT'],
    [COUNTED, [], 'HOST_IO_TRACE'],
  ] as [BootRecord, string[], string][]) {
    fakeQemu(line(RECORD));
    fakeCounts(record, trace);
    const { code, stdout, stderr } = await run(release(), '--io');
    assert.equal([code, stderr.includes(reason), stdout], [6, true, ''], stderr);
  }
});

test('--io that cannot count keeps the timed boots', async () => {
  fakeQemu(line(RECORD));
  fakeCounts(COUNTED, []);
  const out = join(dir.path, 'kept');
  const { code, stdout, stderr } = await run(release(), '--runs', '2', '--io', '--out', out);
  assert.equal([code, stdout], [6, '']);
  assert.match(stderr, /HOST_IO_TRACE/);
  assert.match(stderr, `The timed boots are in ${join(out, 'boot-records.jsonl')}, without counts`);
  const lines = readFileSync(join(out, 'boot-records.jsonl'), 'utf8').trimEnd().split('\n');
  const boots = lines.map((text) => JSON.parse(text) as VirtualBoot);
  assert.equal(
    boots.map(({ run: number, storage, agreement }) => [number, storage.io, agreement!.runs]),
    [
      [1, undefined, 2],
      [2, undefined, 2],
    ],
  );
});

test('--io does not count where the board refuses the release, and that is the answer', async () => {
  fakeQemu(line(REFUSED));
  const { code, stdout, stderr } = await run(release(), '--io');
  assert.is(code, 3, stderr);
  assert.match(stdout, 'slot a refused: VERIFY_SIGNATURE');
  assert.not.match(readFileSync(join(dir.path, 'arguments'), 'utf8'), 'coldseal.io');
});

/** Terms for the board of these tests, as qa calibrate would write them. */
const CALIBRATION: Calibration = {
  kind: 'coldseal-calibration',
  schema: 1,
  board: 'bench',
  evidence: 'board-gpio',
  virtualBoard: 'qemu-x86_64',
  emulator: {
    name: 'qemu-system-x86_64',
    version: '7.2.22',
    machine: 'q35',
    cpu: 'max',
    icount: 'shift=0,align=off,sleep=off',
  },
  kernels: [/^\d+\.\d+/.exec(RECORD.kernel)![0]],
  span: { from: 'kernel', to: 'containers' },
  units: { fixed: 'ms', cpu: 'ns', latency: 'us', transfer: 'ns' },
  total: {
    terms: { fixed: 100, cpu: 2, latency: 500, transfer: 1000 },
    residual: { relative: 0.1, ms: 20 },
    heldOut: [],
    leftOut: [],
  },
  stages: [],
  range: { virtualNs: [0, 2e9], reads: [0, 10], readBytes: [0, 1e6] },
  images: [],
  leftOut: { failed: 0, unmatched: 0 },
  inputs: [],
  expires: ['another board'],
};

test('--calibration predicts a real board, apart and called modelled', async () => {
  const path = join(dir.path, 'calibration.json');
  writeFileSync(path, JSON.stringify(CALIBRATION));
  fakeQemu(line(RECORD));
  fakeCounts(COUNTED, TRACE);
  const { code, stdout, stderr } = await run(release(), '--calibration', path);
  assert.is(code, 0, stderr);
  // From the kernel 610 ms, one read of 4096 bytes: 100 + 1220 + 0.5 + 4.1.
  assert.match(
    stdout,
    /^predicted for the real board: 1324\.6 ms ± 132\.5 \(modelled\), bench from kernel/m,
  );
  assert.match(stdout, /^total 610\.0 of 2000\.0 ms/m);
  const { stdout: json } = await run(release(), '--calibration', path, '--json');
  const { prediction } = (JSON.parse(json) as { result: { prediction: Prediction } }).result;
  assert.equal([Math.round(prediction.ms), prediction.outside], [1325, []]);

  fakeQemu(line(REFUSED));
  const refused = await run(release(), '--calibration', path);
  assert.equal([refused.code, /predicted/.test(refused.stdout)], [3, false]);
  writeFileSync(path, JSON.stringify({ ...CALIBRATION, virtualBoard: 'qemu-aarch64' }));
  fakeQemu(line(RECORD));
  const expired = await run(release(), '--calibration', path, '--out', join(dir.path, 'kept'));
  assert.equal([expired.code, expired.stdout], [2, '']);
  assert.match(expired.stderr, /USAGE_CALIBRATION_EXPIRED/);
  assert.is(existsSync(join(dir.path, 'kept')), false);
  rmSync(join(dir.path, 'arguments'));
  writeFileSync(path, '{');
  const none = await run(release(), '--calibration', path);
  assert.equal([none.code, /FORMAT_CALIBRATION/.test(none.stderr)], [4, true]);
  assert.is(existsSync(join(dir.path, 'arguments')), false, 'nothing was booted');
});

test('runs that differ are evidence of another class', async () => {
  fakeQemu(
    line(RECORD),
    "[ ! -f $0.again ] || sed -i 's/606000000/600000000/; s/610000000/604000000/' " +
      `${join(dir.path, 'to-report')}; touch $0.again`,
  );
  const { code, stdout } = await run(release(), '--runs', '2');
  assert.is(code, 0);
  assert.match(
    stdout,
    /evidence: virtual-wallclock; 2 runs differ by 0\.98% of the total \(kernel\)/,
  );
});

test('--console shows the console beside the result', async () => {
  fakeQemu(line(RECORD));
  const { stdout, stderr } = await run(release(), '--console');
  assert.match(stderr, /^booting\napp: hello$/m);
  assert.not.match(stdout, /^booting/m);
});

test('a board that is silent, talks nonsense or never ends', async () => {
  fakeQemu(undefined, "echo 'Kernel panic - not syncing: oh'");
  const silent = await run(release());
  assert.equal([silent.code, /HOST_BOARD_SILENT/.test(silent.stderr)], [6, true]);
  assert.match(silent.stderr, /the kernel panicked: oh; the console ends with: booting/);
  fakeQemu('nonsense\n');
  const nonsense = await run(release(), '--json');
  assert.is(nonsense.code, 4);
  assert.match(nonsense.stdout, /"FORMAT_BOOT_REPORT"/);
  fakeQemu(undefined, "echo '[1.0] reboot: System halted'; exec sleep 60");
  const halted = await run(release());
  assert.equal([halted.code, /HOST_BOARD_SILENT/.test(halted.stderr)], [6, true]);
  fakeQemu(undefined, 'exec sleep 60');
  const late = await run(release(), '--timeout', '1');
  assert.equal([late.code, /HOST_BOARD_TIMEOUT/.test(late.stderr)], [6, true]);
});

test('an interruption ends QEMU and removes the copies', async () => {
  fakeQemu(undefined, `touch ${join(dir.path, 'started')}; exec sleep 60`);
  const interruption = new AbortController();
  const result = start(interruption, [release()]);
  while (!existsSync(join(dir.path, 'started'))) {
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  interruption.abort();
  assert.is((await result).code, 130);
  assert.equal(readdirSync(join(cache, 'coldseal')), []);
});

test('a cache where nothing can be made is told at once', async () => {
  process.env['XDG_CACHE_HOME'] = '/proc/no-such';
  const { code, stderr } = await run(release());
  assert.is(code, 6);
  assert.match(stderr, /Cannot make a directory in \/proc\/no-such\/coldseal/);
});

test('what cannot be booted is refused before QEMU runs', async () => {
  const production = join(dir.path, 'locked.yaml');
  const text = readFileSync('board-configs/qemu-x86_64.yaml', 'utf8')
    .replace(/^id: .*/m, 'id: locked')
    .replace(/^production: .*/m, 'production: true')
    .replace('roles: [development]', 'roles: [production]');
  writeFileSync(production, text);
  const cases: [string, string, () => Promise<void> | void, string[]?][] = [
    ['USAGE_NO_DISK', 'no disk', () => rmSync(join(release(), 'disk.img'))],
    ['USAGE_MISSING_OPTION', 'no board', () => makeRelease({ board: null })],
    ['CONFIG_BOARD_UNKNOWN', 'an unknown board', () => makeRelease({ board: 'nonesuch' })],
    ['CONFIG_BOARD_NOT_VIRTUAL', 'a real board', () => makeRelease({ board: 'ti-am62x-sk' })],
    ['CONFIG_BOARD_NOT_VIRTUAL', 'production', () => undefined, ['--board', production]],
    ['CONFIG_BOARD_MISMATCH', 'a kernel for ARM', () => makeRelease({ kernel: ARM_KERNEL })],
    ['FORMAT_BOOT_PARTITION', 'no kernel', () => makeRelease({ without: BOOT_FILE.kernel })],
    ['FORMAT_BOOT_PARTITION', 'two lines', () => makeRelease({ commandLine: 'a\nb\n' })],
    ['FORMAT_RELEASE_JSON', 'no JSON', () => writeFileSync(join(release(), 'release.json'), '{')],
    [
      'FORMAT_RELEASE_JSON',
      'other JSON',
      () => writeFileSync(join(release(), 'release.json'), '[]'),
    ],
    ['FORMAT_GPT', 'no disk image', () => writeFileSync(join(release(), 'disk.img'), 'x')],
    ['USAGE_OPTION_CONFLICT', '--shell', () => undefined, ['--shell', '--runs', '2']],
    ['USAGE_OPTION_CONFLICT', '--shell', () => undefined, ['--shell', '--json']],
    ['USAGE_OPTION_CONFLICT', '--shell', () => undefined, ['--shell', '--io']],
    ['USAGE_OPTION_CONFLICT', '--shell', () => undefined, ['--shell', '--calibration', 'c']],
    ['USAGE_BAD_VALUE', '--runs', () => undefined, ['--runs', '0']],
  ];
  for (const [code, name, prepare, args = []] of cases) {
    await makeRelease({});
    await prepare();
    fakeQemu(line(RECORD));
    const result = await run(release(), ...args);
    assert.ok(`${result.stderr}${result.stdout}`.includes(code), `${name}: ${result.stderr}`);
    assert.not.equal(result.code, 0);
    assert.is(existsSync(join(dir.path, 'arguments')), false, name);
  }
});

test('--shell boots to the terminal, without a report', async () => {
  fakeQemu(undefined);
  assert.is((await run(release(), '--shell')).code, 0);
  const given = readFileSync(join(dir.path, 'arguments'), 'utf8');
  assert.match(given, /-serial mon:stdio/);
  assert.not.match(given, /coldseal\.report|icount/);
  fakeQemu(undefined, 'exit 1');
  assert.is((await run(release(), '--shell')).code, 6);
});

test('--shell does not wait for ever where nobody can end it', async () => {
  // Somebody runs the tests on a terminal: there it would.
  if (isatty(0)) return;
  fakeQemu(undefined, 'exec sleep 60');
  const { code, stderr } = await run(release(), '--shell', '--timeout', '1');
  assert.equal([code, /HOST_BOARD_TIMEOUT/.test(stderr)], [6, true]);
});

test.run();
