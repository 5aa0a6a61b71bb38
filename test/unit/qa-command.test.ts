/** `coldseal qa` as a whole: small programs in the place of a bench, and a script in the place of QEMU. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import { runMain } from '../../toolchain/cli/main-run.ts';
import type { OutputStream } from '../../toolchain/cli/output.ts';
import { qa } from '../../toolchain/commands/qa.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { BOOT_FILE, buildDisk } from '../../toolchain/disk/disk.ts';
import { failedBoot } from '../../toolchain/qa/failed-boot.ts';
import { runCommand } from '../../toolchain/qa/run-command.ts';
import { DISCONNECT, makePtyBoard, type PtyBoard } from '../support/pty-board.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('qa command');

const MIB = 1024 * 1024;
let dir: TempDir;
const saved = { path: process.env['PATH']!, cache: process.env['XDG_CACHE_HOME'] };

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('bin'));
  process.env['PATH'] = `${at('bin')}:${saved.path}`;
  process.env['XDG_CACHE_HOME'] = at('cache');
  // Without budgets for stages, which the records here do not have.
  const board = readFileSync(join(ROOT, 'board-configs/qemu-x86_64.yaml'), 'utf8')
    .replace(/^id: .*/m, 'id: bench')
    .replace(/^ {2}stages:\n(?: {4}.*\n)+/m, '');
  writeFileSync(at('bench.yaml'), board);
  writeRelease('new', '2.0');
  writeRelease('old', '1.0');
  writeFileSync(at('good.json'), `${JSON.stringify(bootOf(1234))}\n`);
});
test.after.each(() => {
  process.env['PATH'] = saved.path;
  if (saved.cache === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = saved.cache;
  dir.remove();
});

const at = (name: string): string => join(dir.path, name);

function writeRelease(name: string, version: string): void {
  mkdirSync(at(name));
  const json = { releaseId: `id-${name}`, version, builtAt: 7, boot: { board: 'qemu-x86_64' } };
  writeFileSync(join(at(name), 'release.json'), JSON.stringify(json));
}

function bootOf(totalMs: number): MeasuredBoot {
  const failed = failedBoot({
    board: 'bench',
    evidence: 'board-gpio',
    reason: '-',
    format: 'bench',
    start: 'cold',
    clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: 1000 },
  });
  const events = [...failed.events, { name: 'containers', atNs: totalMs * 1e6 }];
  return { ...failed, outcome: 'booted', reason: null, events };
}

/** A program of the bench. */
function script(name: string, text: string): string {
  writeFileSync(at(name), `#!/bin/sh\ncd '${dir.path}'\n${text}\n`, { mode: 0o755 });
  return at(name);
}

interface Ending {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], interruption = new AbortController()): Promise<Ending> {
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
  const world = {
    argv: ['qa', ...args],
    version: '0',
    env: {},
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    nowMs: () => 0,
    interrupted: () => interruption.signal,
    wasInterrupted: () => interruption.signal.aborted,
  };
  const code = await runMain(world, [qa]);
  return { code, ...text };
}

const bench = (command: string, ...more: string[]): string[] => [
  at('new'),
  '--board',
  `command:${command}`,
  '--evidence',
  'board-gpio',
  '--board-file',
  at('bench.yaml'),
  '-o',
  at('run'),
  ...more,
];

/** A plan of three boots of which none may be over. */
const THREE = ['--plan', '50/80'];

const recordsIn = (file: string): MeasuredBoot[] =>
  readFileSync(join(at('run'), file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => MEASURED_BOOT.parse(JSON.parse(line)));

test('a bench boots both releases, and is told which', async () => {
  const command = script(
    'one-boot',
    'echo "$COLDSEAL_RUN $COLDSEAL_ARM $COLDSEAL_RELEASE" >>log; echo chatter; cat good.json',
  );
  const select = script('select', 'echo "select $COLDSEAL_ARM" >>log');
  const args = bench(command, '--baseline', at('old'), '--boots', '2', '--select', select);
  const { code, stdout, stderr } = await run([...args, '--condition', 'temperature=-30C']);
  // Two boots prove nothing, and that is the answer.
  assert.is(code, 5, stderr);
  assert.match(stdout, /^Inconclusive: /m);
  assert.match(stdout, /^candidate +2 +0 +1234\.0 +1234\.0 +1234\.0 +0$/m);
  assert.match(stdout, /^baseline +2 +0 /m);
  assert.match(stderr, /^boot 4 of 4 \((candidate|baseline)\): 1234\.0 ms$/m);
  const log = readFileSync(at('log'), 'utf8').trimEnd().split('\n');
  assert.is(log.length, 8);
  const boots = log.filter((_, index) => index % 2 === 1);
  boots.forEach((line, index) => {
    const [number, arm, path] = line.split(' ');
    assert.equal([number, path], [String(index + 1), at(arm === 'candidate' ? 'new' : 'old')]);
    assert.is(log[index * 2], `select ${arm}`);
  });
  const [first] = recordsIn('boot-records.jsonl');
  assert.equal(first!.release, { id: 'id-new', version: '2.0', builtAt: 7 });
  assert.equal([first!.evidence, first!.conditions], ['board-gpio', { temperature: '-30C' }]);
  assert.is(recordsIn('baseline-records.jsonl').length, 2);
  assert.match(readFileSync(join(at('run'), 'capture-1.log'), 'utf8'), /^chatter$/m);
});

test('--json is one document with the plan and the figures', async () => {
  const { code, stdout } = await run(bench(`cat '${at('good.json')}'`, ...THREE, '--json', '-'));
  assert.is(code, 0);
  const { ok, result } = JSON.parse(stdout) as {
    ok: boolean;
    result: { plan: { text: string }; boots: number; arms: { over: number }[]; schedule: string };
  };
  assert.equal([ok, result.plan.text, result.boots, result.schedule], [true, '50/80', 3, 'ccc']);
  assert.is(result.arms[0]!.over, 0);
});

test('outputs of the report are asked for with the run, and refused before it', async () => {
  const outputs = ['--html', at('a.html'), '--junit', at('a.xml'), '--json', at('a.json')];
  const args = bench(`cat '${at('good.json')}'`, ...THREE, ...outputs);
  writeFileSync(at('a.xml'), 'mine');
  const refused = await run(args);
  assert.match(refused.stderr, /USAGE_OUTPUT_EXISTS/);
  assert.not(existsSync(at('run')));
  rmSync(at('a.xml'));
  const { code, stderr } = await run(args);
  assert.is(code, 0, stderr);
  assert.match(readFileSync(at('a.xml'), 'utf8'), /<testsuite/);
  const evidence = JSON.parse(readFileSync(at('a.json'), 'utf8')) as Evidence;
  assert.equal([evidence.settings.plan.origin, evidence.outcome.state], ['run', 'pass']);
  assert.equal(
    evidence.sources.map(({ file }) => file),
    ['boot-records.jsonl'],
  );
  // And again from the records alone, without a board.
  rmSync(at('a.html'));
  const again = await run(['--resume', '-o', at('run'), '--html', at('a.html')]);
  assert.is(again.code, 0, again.stderr);
  assert.match(readFileSync(at('a.html'), 'utf8'), /<html/);
});

test('as many boots as the plan takes; one over its budget is one too many', async () => {
  writeFileSync(at('slow.json'), JSON.stringify(bootOf(2001)));
  const command = script(
    'one',
    'if [ $COLDSEAL_RUN = 9 ]; then cat slow.json; else cat good.json; fi',
  );
  const { code, stdout } = await run(bench(command, '--plan', '90/90'));
  assert.is(code, 5);
  // 22 boots without one over are 90/90 (Wilks).
  assert.match(stdout, /^candidate +22 +0 .* 1$/m);
  rmSync(at('run'), { recursive: true });
  const two = await run(bench(command, '--plan', '90/90/1'));
  assert.is(two.code, 0);
  assert.match(two.stdout, /^candidate +38 +0 .* 1$/m);
});

test('what a command says about a boot', async () => {
  const own = JSON.stringify({
    kind: 'coldseal-boot-record',
    schema: 1,
    outcome: 'booted',
    product: 'demo',
    board: 'bench',
    isProduction: false,
    engine: 'quickjs',
    kernel: '6.12',
    clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null },
    stages: [{ name: 'setup', startNs: 800e6, endNs: 810e6 }],
    slot: 'a',
    attempts: [{ slot: 'a', reason: null }],
    release: null,
    images: [],
    containers: [],
    notes: [],
  });
  writeFileSync(at('own.json'), own);
  const cases: readonly [name: string, text: string, outcome: string, reason: RegExp | null][] = [
    ['a measured boot on stdout', 'cat good.json', 'booted', null],
    ['a record in the file', 'cp good.json "$COLDSEAL_OUT"; echo not json', 'booted', null],
    ['did not come up', 'echo one >&2; echo "no answer" >&2; exit 10', 'failed', /^no answer$/],
    ['did not come up, silently', 'exit 10', 'failed', /did not come up$/],
    ['too late', 'sleep 60', 'failed', /^HOST_BOARD_TIMEOUT: it took longer than 1000 ms$/],
  ];
  for (const [name, text, outcome, reason] of cases) {
    rmSync(at('run'), { recursive: true, force: true });
    const { code } = await run(bench(script('one', text), '--plan', '50/50', '--timeout', '1'));
    const [record] = recordsIn('boot-records.jsonl');
    assert.equal([record!.outcome, code], [outcome, outcome === 'booted' ? 0 : 5], name);
    if (reason !== null) assert.match(record!.reason!, reason, name);
  }
  rmSync(at('run'), { recursive: true });
  const command = `command:cat '${at('own.json')}'`;
  const args = [at('new'), '--board', command, '--boots', '1', '-o', at('run')];
  await run([...args, '--board-file', at('bench.yaml')]);
  const [record] = recordsIn('boot-records.jsonl');
  assert.equal([record!.evidence, record!.stages.at(-1)!.endNs], ['board-selfclock', 810e6]);
});

test('a bench that is broken ends the run, and keeps what was measured', async () => {
  const good = 'if [ $COLDSEAL_RUN = 1 ]; then cat good.json; exit; fi\n';
  const cases: readonly [name: string, code: string, text: string][] = [
    ['exits with another code', 'HOST_RIG_COMMAND', 'exit 3'],
    ['is killed', 'HOST_RIG_COMMAND', 'kill -9 $$'],
    ['does not exist', 'HOST_RIG_COMMAND', 'exec /no/such/program'],
    ['floods', 'HOST_RIG_COMMAND', 'exec yes'],
    ['says nothing', 'HOST_RIG_RECORD', 'exit 0'],
    ['says it twice', 'HOST_RIG_RECORD', 'cat good.json good.json'],
    ['is no record', 'HOST_RIG_RECORD', `echo '{"kind":"coldseal-measured-boot"}'`],
    ['is cut off', 'HOST_RIG_RECORD', 'head -c 100 good.json'],
    ['has negative times', 'HOST_RIG_RECORD', 'sed s/1234000000/-5/ good.json'],
    ['has another class', 'HOST_RIG_RECORD', 'sed s/board-gpio/board-serial/ good.json'],
    ['has another board', 'HOST_RIG_RECORD', 'sed s/bench/toaster/ good.json'],
  ];
  for (const [name, expected, text] of cases) {
    rmSync(at('run'), { recursive: true, force: true });
    const { code, stderr } = await run(bench(script('one', good + text), ...THREE));
    assert.equal([code, stderr.includes(expected)], [6, true], `${name}: ${stderr}`);
    assert.match(stderr, /warning: the run is not over; go on with: coldseal qa --resume --output/);
    assert.is(recordsIn('boot-records.jsonl').length, 1, name);
  }
  script('one', 'cat good.json');
  const { code, stderr } = await run(['--resume', '-o', at('run')]);
  assert.is(code, 0, stderr);
  assert.match(stderr, /^1 of 3 boots are recorded$/m);
  assert.is(recordsIn('boot-records.jsonl').length, 3);
});

test('an interruption kills what the command started, exits 130, and the run goes on', async () => {
  const command = script(
    'one',
    'if [ $COLDSEAL_RUN = 2 ] && [ ! -f again ]; then touch again; sleep 300 & echo $! >pid; wait; fi\n' +
      'cat good.json',
  );
  const interruption = new AbortController();
  const ending = run(bench(command, ...THREE), interruption);
  while (!existsSync(at('pid')) || readFileSync(at('pid'), 'utf8') === '') {
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
  interruption.abort();
  const { code, stderr } = await ending;
  assert.is(code, 130);
  assert.match(stderr, /go on with: coldseal qa --resume --output .*run\n/);
  const pid = Number(readFileSync(at('pid'), 'utf8'));
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
  assert.is((await run(['--resume', '-o', at('run')])).code, 0);
  // The same command again finds the run that is over.
  const again = await run(bench(command, ...THREE));
  assert.is(again.code, 0);
  assert.not.match(again.stderr, /^boot /m);
});

test('a group that does not listen is killed', async () => {
  const start = performance.now();
  const result = await runCommand(`trap '' TERM; sleep 300`, {
    cwd: dir.path,
    env: {},
    timeoutMs: 100,
  });
  assert.equal([result.stopped, result.code], ['late', null]);
  assert.ok(performance.now() - start < 60_000);
});

test('a run does not go on with other files, and the message says which', async () => {
  const args = bench(`cat '${at('good.json')}'; exit $(($COLDSEAL_RUN - 1))`, '--boots', '2');
  assert.is((await run(args)).code, 6);
  const release = readFileSync(join(at('new'), 'release.json'), 'utf8');
  writeFileSync(join(at('new'), 'release.json'), release.replace('2.0', '2.1'));
  for (const again of [args, ['--resume', '-o', at('run')]]) {
    const { code, stderr } = await run(again);
    assert.is(code, 2);
    assert.match(stderr, /inputs\.candidate\.version was "2\.0" and is "2\.1" \(and 1 more\)/);
    assert.match(stderr, /CONFIG_QA_CHANGED/);
  }
  writeFileSync(join(at('new'), 'release.json'), release);
  const seeded = await run([...args, '--seed', '2']);
  assert.match(seeded.stderr, /seed was 1 and is 2/);
});

test('what cannot be a run is refused before anything is written', async () => {
  const serial = ['--board', 'serial:/dev/null'];
  const relay = ['--power-on', 'true', '--power-off', 'true'];
  writeFileSync(at('file'), '');
  cpSync(at('new'), at('homeless'), { recursive: true });
  writeFileSync(join(at('homeless'), 'release.json'), '{"releaseId":"1","version":"1"}');
  cpSync(at('new'), at('damaged'), { recursive: true });
  writeFileSync(join(at('damaged'), 'release.json'), '{');
  const command = ['--board', 'command:true'];
  const cases: readonly [code: string, args: readonly string[]][] = [
    ['USAGE_MISSING_ARGUMENT', []],
    ['USAGE_MISSING_OPTION', [at('homeless'), ...command]],
    ['FORMAT_RELEASE_JSON', [at('damaged'), ...command]],
    ['HOST_NOT_FOUND', [at('nothing'), ...command]],
    ['USAGE_NOT_A_DIRECTORY', [at('file'), ...command]],
    ['HOST_NOT_FOUND', [at('new'), ...command, '--baseline', at('nothing')]],
    ['CONFIG_BOARD_UNKNOWN', [at('new'), ...command, '--board-file', 'nonesuch']],
    ['USAGE_PLAN', [at('new'), ...command, '--plan', 'often']],
    ['USAGE_BAD_VALUE', [at('new'), '--board', 'toaster']],
    ['USAGE_BAD_VALUE', [at('new'), '--board', 'command:']],
    ['USAGE_BAD_VALUE', [at('new'), '--board', 'serial:/dev/null,42', ...relay]],
    ['USAGE_BAD_VALUE', [at('new'), ...command, '--boots', '0']],
    ['USAGE_BAD_VALUE', [at('new'), ...command, '--condition', 'cold']],
    ['USAGE_BAD_VALUE', [at('new'), ...command, '--condition', 'a=1', '--condition', 'a=2']],
    ['USAGE_BAD_VALUE', [at('new'), ...command, '--evidence', 'hearsay']],
    ['USAGE_MISSING_OPTION', [at('new'), ...serial, '--power-on', 'true']],
    ['USAGE_MISSING_OPTION', [at('new'), ...serial, ...relay, '--baseline', at('old')]],
    ['USAGE_OPTION_CONFLICT', [at('new'), ...command, ...relay]],
    ['USAGE_OPTION_CONFLICT', [at('new'), '--select', 'true']],
    ['USAGE_OPTION_CONFLICT', [at('new'), ...serial, ...relay, '--evidence', 'board-gpio']],
    ['HOST_RIG_SERIAL', [at('new'), ...serial, ...relay]],
    ['USAGE_NO_DISK', [at('new')]],
    ['USAGE_NO_RUN', ['--resume']],
    ['USAGE_OPTION_CONFLICT', ['--resume', '--seed', '3']],
    ['USAGE_OPTION_CONFLICT', ['--resume', at('new')]],
  ];
  writeFileSync(at('bin/qemu-system-x86_64'), '#!/bin/sh\necho version 7.2\n', { mode: 0o755 });
  for (const [code, args] of cases) {
    const { stderr, code: exit } = await run([...args, '-o', at('run')]);
    assert.ok(stderr.includes(`  ${code}\n`), `${args.join(' ')}: ${stderr}`);
    assert.ok(exit > 1);
    assert.not(existsSync(at('run')), args.join(' '));
  }
  const nowhere = await run([at('new'), ...command]);
  assert.match(nowhere.stderr, /Cannot measure without --output DIR[^]*USAGE_MISSING_OPTION/);
  assert.match((await run(['--resume'])).stderr, /USAGE_MISSING_OPTION/);
});

test('a directory where nothing can be written is told at once', async () => {
  const { code, stderr } = await run([
    at('new'),
    '--board',
    'command:true',
    '--boots',
    '1',
    '-o',
    '/proc/no-such',
  ]);
  assert.is(code, 6);
  assert.match(stderr, /Cannot make \/proc\/no-such/);
});

test('boards on a serial line: one that goes away in the middle, and one that keeps its budget', async () => {
  const events = at('events.yaml');
  writeFileSync(events, "events:\n  - { name: containers, pattern: 'app: ready' }\n");
  const good = [[5, 'U-Boot 2026.01\n'] as const, [5, 'app: ready\n'] as const];
  const args = (board: PtyBoard): string[] => [
    at('new'),
    '--board',
    `serial:${board.device},921600`,
    '--board-file',
    at('bench.yaml'),
    '--power-on',
    board.powerOn,
    '--power-off',
    board.powerOff,
    '--off-time',
    '1',
    '--settle',
    '0',
    '--dictionary',
    events,
    '--plan',
    '50/70',
    '-o',
    at('run'),
  ];
  using first = makePtyBoard(dir.path);
  first.play(good, [[5, DISCONNECT]]);
  const gone = await run(args(first));
  assert.equal([gone.code, /HOST_RIG_SERIAL/.test(gone.stderr)], [6, true], gone.stderr);
  assert.is(recordsIn('boot-records.jsonl').length, 1);
  assert.is(first.relay().at(-1), 'off');
  // Another speed is another rig.
  const slower = args(first).map((word) => word.replace('921600', '115200'));
  assert.match((await run(slower)).stderr, /arguments\.board was "serial:.* and is "serial:/);
  writeFileSync(events, "events:\n  - { name: containers, pattern: 'app: r' }\n");
  assert.match((await run(args(first))).stderr, /inputs\.dictionary was/);
  writeFileSync(events, "events:\n  - { name: containers, pattern: 'app: ready' }\n");
  rmSync(at('run'), { recursive: true });
  mkdirSync(at('bench'));
  using second = makePtyBoard(at('bench'));
  second.play(good);
  const { code, stdout, stderr } = await run(args(second));
  assert.is(code, 0, stderr);
  assert.match(stdout, /^Within budget: .*; board-serial$/m);
  const [record] = recordsIn('boot-records.jsonl');
  assert.equal([record!.evidence, record!.start], ['board-serial', 'cold']);
  assert.match(readFileSync(join(at('run'), 'capture-2.log'), 'utf8'), /\] app: ready$/m);
});

test('--dry-run shows the order and the commands, and does nothing', async () => {
  const args = [
    at('new'),
    '--baseline',
    at('old'),
    '--boots',
    '40',
    '--dry-run',
    '--board',
    'serial:/dev/ttyUSB9,921600',
    '--power-on',
    'relay on',
    '--power-off',
    'relay off',
    '--select',
    'mux $COLDSEAL_ARM',
    '--off-time',
    '12',
  ];
  const { code, stdout, stderr } = await run(args);
  assert.equal([code, stderr], [0, '']);
  assert.match(stdout, /^plan 95\/95: 95 % of cold boots .* 59 boots, none over$/m);
  assert.match(stdout, /^40 boots of a release cannot confirm this plan, which takes 59$/m);
  const order = [...stdout.matchAll(/^ {2}([cb]+)$/gm)].map(([, line]) => line!);
  assert.equal(
    order.map((line) => line.length),
    [64, 16],
  );
  assert.ok(
    stdout.endsWith(
      'one boot:\n  power off: relay off\n  select: mux $COLDSEAL_ARM\n  wait 12 s\n  power on: relay on\n' +
        '  listen on /dev/ttyUSB9 at 921600 baud until the boot record\n',
    ),
    stdout,
  );
  assert.equal(readdirSync(dir.path).sort(), ['bench.yaml', 'bin', 'good.json', 'new', 'old']);
  const json = await run([...args, '--json', '-']);
  const { result } = JSON.parse(json.stdout) as { result: { schedule: string; seed: number } };
  assert.equal([result.schedule, result.seed], [order.join(''), 1]);
});

const RECORD: BootRecord = {
  kind: 'coldseal-boot-record',
  schema: 1,
  outcome: 'booted',
  product: 'demo',
  board: 'bench',
  isProduction: false,
  engine: 'quickjs',
  kernel: '6.12',
  clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: 1e6, counter: 'TSC' },
  stages: [{ name: 'setup', startNs: 800e6, endNs: 810e6 }],
  slot: 'a',
  attempts: [{ slot: 'a', reason: null }],
  release: null,
  images: [],
  containers: [],
  notes: [],
};

/** In the place of QEMU: prints, and reports what `answer` says. */
async function makeVirtual(answer: string): Promise<void> {
  const files = [
    { name: BOOT_FILE.kernel, bytes: Buffer.from('kernel') },
    { name: BOOT_FILE.initramfs, bytes: Buffer.from('initramfs') },
    { name: BOOT_FILE.cmdline, bytes: Buffer.from('quiet\n') },
  ];
  const output = join(at('new'), 'disk.img');
  const sizes = { boot: 40 * MIB, store: 8 * MIB };
  if (!existsSync(output)) {
    await buildDisk({ output, boot: files, sizes, store: [], state: new Uint8Array() });
  }
  writeFileSync(at('record'), `${JSON.stringify(RECORD)}\n`);
  const program = `#!/bin/sh
case "$1" in --version) echo 'QEMU emulator version 7.2.22'; exit;; esac
for each in "$@"; do
  case "$each" in file,id=report,path=*) report=\${each#*path=} ;; esac
done
echo booting
cd '${dir.path}'
echo x >>count
${answer}
`;
  writeFileSync(at('bin/qemu-system-x86_64'), program, { mode: 0o755 });
}

test('a virtual board boots twice unless told otherwise, and failures are records', async () => {
  await makeVirtual('cp record "$report"');
  const { code, stderr } = await run([
    at('new'),
    '--board-file',
    at('bench.yaml'),
    '-o',
    at('run'),
  ]);
  assert.is(code, 0, stderr);
  const records = recordsIn('boot-records.jsonl');
  assert.equal(
    records.map(({ evidence, start, clock }) => [evidence, start, clock.uncertaintyNs]),
    [
      ['virtual', 'cold', 0],
      ['virtual', 'cold', 0],
    ],
  );
  assert.is(readFileSync(join(at('run'), 'capture-2.log'), 'utf8'), 'booting\n');
  const faults: readonly [answer: string, reason: RegExp][] = [
    ["echo 'Kernel panic - not syncing: oh'", /^HOST_BOARD_SILENT: /],
    ['echo nonsense >"$report"', /^FORMAT_BOOT_REPORT: /],
    ['exec sleep 60', /^HOST_BOARD_TIMEOUT: /],
  ];
  for (const [answer, reason] of faults) {
    rmSync(at('run'), { recursive: true });
    await makeVirtual(answer);
    const failed = await run([at('new'), '--boots', '1', '--timeout', '1', '-o', at('run')]);
    assert.is(failed.code, 5, failed.stderr);
    const [record] = recordsIn('boot-records.jsonl');
    assert.is(record!.outcome, 'failed');
    assert.match(record!.reason!, reason);
  }
  rmSync(at('run'), { recursive: true });
  await makeVirtual('echo no such machine >&2; exit 1');
  const broken = await run([at('new'), '--board-file', at('bench.yaml'), '-o', at('run')]);
  assert.equal([broken.code, /HOST_TOOL_FAILED/.test(broken.stderr)], [6, true]);
});

test('boots of a virtual board that are not the same are told, and a disk that changes ends the run', async () => {
  await makeVirtual(
    `[ $(wc -l <count) = 1 ] || sed -i s/810000000/890000000/ record; cp record "$report"`,
  );
  const apart = await run([at('new'), '--board-file', at('bench.yaml'), '-o', at('run')]);
  assert.match(apart.stdout, /boots of one release differ by more than the board file tolerates/);
  rmSync(at('run'), { recursive: true });
  await makeVirtual(`printf x >>new/disk.img; cp record "$report"`);
  const changed = await run([at('new'), '--board-file', at('bench.yaml'), '-o', at('run')]);
  assert.equal([changed.code, /CONFIG_QA_CHANGED/.test(changed.stderr)], [2, true]);
});

test.run();
