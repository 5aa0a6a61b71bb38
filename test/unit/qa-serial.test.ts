/** The serial driver against boards that a pseudo-terminal plays, and the lines and events behind it as tables. */
import { join } from 'node:path';
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { libc } from '../../runtime/engines/node/libc.ts';
import { MEASURED_BOOT, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import type { BootDriver, DrivenBoot } from '../../toolchain/qa/driver.ts';
import { loadEvents } from '../../toolchain/qa/load-events.ts';
import { type EventFinder, SerialBoot } from '../../toolchain/qa/serial-boot.ts';
import { type SerialDriverOptions, serialDriver } from '../../toolchain/qa/serial-driver.ts';
import { grabserialText, LineSplitter, type SerialLine } from '../../toolchain/qa/serial-lines.ts';
import { SerialPort } from '../../toolchain/qa/serial-port.ts';
import { codeOf, expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { DISCONNECT, makePtyBoard, type PlayedStep, type PtyBoard } from '../support/pty-board.ts';
import { requireRoot } from '../support/tools.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('qa serial');

const DICTIONARY = `events:
  - { name: loader, pattern: '^U-Boot 20' }
  - { name: starting, pattern: 'Starting kernel' }
  - { name: ready, pattern: 'app: ready|login: $' }
stages:
  - { name: load, from: loader, to: starting }
  - { name: start, from: starting, to: ready }
`;

let dir: TempDir;
let board: PtyBoard;

test.before.each(() => {
  dir = tempDir();
  writeFileSync(join(dir.path, 'events.yaml'), DICTIONARY);
  board = makePtyBoard(dir.path);
});
test.after.each(() => {
  board[Symbol.dispose]();
  dir.remove();
});

function driverOf(changes: Partial<SerialDriverOptions> = {}): BootDriver {
  return serialDriver({
    device: board.device,
    baud: 115_200,
    powerOn: board.powerOn,
    powerOff: board.powerOff,
    select: undefined,
    cwd: dir.path,
    offTimeMs: 60,
    settleMs: 20,
    timeoutMs: 20_000,
    board: 'bench',
    events: loadEvents(join(dir.path, 'events.yaml'), 'ready'),
    ...changes,
  });
}

const release = { given: 'r', dir: '/r', id: '00', version: '1', builtAt: null };

async function bootOnce(
  changes: Partial<SerialDriverOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<DrivenBoot> {
  await using driver = driverOf(changes);
  const boot = await driver.boot({ arm: 'candidate', release, run: 1, signal });
  [boot.record, ...boot.others].forEach((record) => MEASURED_BOOT.parse(record));
  return boot;
}

async function putAway(driver: BootDriver): Promise<void> {
  try {
    await driver[Symbol.asyncDispose]();
  } catch {
    // Its relay is broken.
  }
}

/** The events that the dictionary has, and power-on. */
const names = ({ events }: MeasuredBoot): string[] =>
  events
    .map(({ name }) => name)
    .filter((name) => /^(?:power-on|loader|starting|ready)$/.test(name));
const GOOD: readonly PlayedStep[] = [
  [5, 'U-Boot 2026.01\r\n'],
  [10, 'Starting kernel ...\r\n'],
  [20, 'app: ready\r\n'],
];

test('a boot is its events, from the moment that the power is on', async () => {
  board.play(GOOD);
  const { record, others, capture } = await bootOnce();
  assert.equal([record.outcome, record.reason, others], ['booted', null, []]);
  assert.equal(names(record), ['power-on', 'loader', 'starting', 'ready']);
  // Beside them what the importer of captures knows, and the dictionary's stages between events.
  const at = new Map(record.events.map(({ name, atNs }) => [name, atNs]));
  assert.equal([at.get('first-character'), at.get('u-boot')], [at.get('loader'), at.get('loader')]);
  assert.equal(record.stages, [
    { name: 'load', startNs: at.get('loader')!, endNs: at.get('starting')! },
    { name: 'start', startNs: at.get('starting')!, endNs: at.get('ready')! },
  ]);
  const times = record.events.map(({ atNs }) => atNs);
  assert.equal(
    times,
    [...times].sort((a, b) => a - b),
  );
  assert.equal(
    [record.evidence, record.start, record.clock.zero],
    ['board-serial', 'cold', 'power-on'],
  );
  // The converter's latency, and the time that the relay's command took.
  assert.ok(record.clock.uncertaintyNs! > 35e6);
  assert.match(
    capture.toString(),
    /^\[\d+\.\d{6} \d+\.\d{6}\] U-Boot 2026\.01\n\[.*\] Starting kernel \.\.\.\n\[.*\] app: ready\n$/,
  );
  // Off before, on, and off again when the driver is put away.
  assert.equal(board.relay(), ['off', 'on', 'off']);
});

test('a prompt is an event without the end of its line', async () => {
  board.play([
    [5, 'U-Boot 2026.01\n'],
    [5, 'bench log'],
    [5, 'in: '],
  ]);
  const { record, capture } = await bootOnce();
  assert.equal(names(record), ['power-on', 'loader', 'ready']);
  assert.match(capture.toString(), /\] bench login: \n$/);
});

test('a board that hangs, prints garbage, or nothing, has failed', async () => {
  const garbage = Buffer.from([0xff, 0x00, 0x1b, 0x5b, 0x0a, 0x80, 0x03, 0x04, 0x11, 0x13, 0x0a]);
  const cases: readonly [readonly PlayedStep[], RegExp, readonly string[]][] = [
    [GOOD.slice(0, 2), /it last printed Starting kernel/, ['power-on', 'loader', 'starting']],
    [[[1, garbage]], /^HOST_BOARD_TIMEOUT: it was not up within 400 ms; it last/, ['power-on']],
    [[], /it printed nothing$/, ['power-on']],
  ];
  for (const [script, reason, events] of cases) {
    board.play(script);
    const { record } = await bootOnce({ timeoutMs: 400 });
    assert.is(record.outcome, 'failed');
    assert.match(record.reason!, reason);
    assert.equal(names(record), events);
  }
});

test('a board that floods its console has failed', async () => {
  board.play(Array.from({ length: 50 }, () => [1, `${'x'.repeat(99)}\n`] as const));
  const { record, capture } = await bootOnce({ captureBytesMax: 1000 });
  assert.equal(
    [record.outcome, record.reason],
    ['failed', 'HOST_BOARD_OUTPUT: it printed more than 1000 bytes'],
  );
  assert.ok(capture.length < 3000);
});

test('without stages of its own a dictionary leaves those of the importer, from power-on', async () => {
  writeFileSync(
    join(dir.path, 'events.yaml'),
    "events:\n  - { name: ready, pattern: 'app: ready' }\n",
  );
  board.play([
    [20, 'U-Boot 2026.01\n'],
    [20, '[    0.000000] Linux version 6.12\n[    0.001000] Memory: 1G\n'],
    [20, '[    0.021000] Run /init as init process\n'],
    [5, 'app: ready\n'],
  ]);
  const { record } = await bootOnce();
  const at = new Map(record.events.map(({ name, atNs }) => [name, atNs]));
  const rows = record.stages.map(({ name, startNs, endNs }) => [name, startNs, endNs]);
  assert.equal(rows.slice(0, 3), [
    ['firmware', 0, at.get('first-character')],
    ['loader', at.get('first-character'), at.get('kernel')],
    ['kernel', at.get('kernel'), at.get('init')],
  ]);
});

test('a dictionary that cannot end a boot is refused', () => {
  const path = join(dir.path, 'events.yaml');
  const cases = [
    "events:\n  - { name: loader, pattern: 'U-Boot' }\n",
    'events:\n  - { name: ready, channel: D1, edge: rising }\n',
    "events:\n  - { name: ready, pattern: '(?=a)' }\n",
  ];
  for (const text of cases) {
    writeFileSync(path, text);
    expectCode(() => loadEvents(path, 'ready'), 'CONFIG_EVENT_DICTIONARY');
  }
});

test('raw means raw: nothing is swallowed, changed or sent back', async () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const heard: Buffer[] = [];
  await using port = new SerialPort(board.device, 115_200);
  const isWhole = new Promise<void>((resolve) => {
    port.listen(
      (bytes) => {
        heard.push(bytes);
        if (Buffer.concat(heard).length >= all.length) resolve();
      },
      () => undefined,
    );
  });
  board.print(all);
  await isWhole;
  assert.ok(Buffer.concat(heard).equals(all));
});

test('a device has one reader', async () => {
  await using _port = new SerialPort(board.device, 115_200);
  expectCode(() => new SerialPort(board.device, 115_200), 'HOST_RIG_SERIAL');
});

test('a board that starts again half-way is one long boot with a flag', async () => {
  board.play([...GOOD.slice(0, 2), ...GOOD]);
  const { record } = await bootOnce();
  assert.equal(
    [record.outcome, names(record)],
    ['booted', ['power-on', 'loader', 'starting', 'ready']],
  );
  const [flag] = record.flags;
  assert.equal([flag!.code, flag!.isUnusable], ['BUDGET_FLAG_RESTARTED', false]);
});

test('the record that a board prints stands beside, and decides where there is no dictionary', async () => {
  const line = JSON.stringify({
    kind: 'coldseal-boot-record',
    schema: 1,
    outcome: 'booted',
    product: 'demo',
    board: 'bench',
    isProduction: false,
    engine: 'quickjs',
    kernel: '6.12',
    clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: 40e6, counter: 'CNTVCT_EL0' },
    stages: [{ name: 'setup', startNs: 800e6, endNs: 810e6 }],
    slot: 'a',
    attempts: [{ slot: 'a', reason: null }],
    release: null,
    images: [],
    containers: [],
    notes: [],
  });
  board.play([...GOOD, [5, `${line}\r\n`]]);
  const both = await bootOnce({ settleMs: 20_000 });
  assert.is(both.record.evidence, 'board-serial');
  const [own] = both.others;
  assert.equal([own!.evidence, own!.start, own!.outcome], ['board-selfclock', 'cold', 'booted']);
  const setup = own!.stages.find(({ name }) => name === 'setup');
  assert.equal(setup, { name: 'setup', startNs: 840e6, endNs: 850e6 });

  const alone = await bootOnce({ events: undefined });
  assert.equal([alone.record.evidence, alone.others], ['board-selfclock', []]);
  assert.equal(alone.record.stages, own!.stages);

  // What was printed before the board started again is not about this boot.
  board.play([...GOOD.slice(0, 2), [5, `${line}\n`], ...GOOD]);
  const again = await bootOnce();
  assert.equal([again.record.flags[0]!.code, again.others], ['BUDGET_FLAG_RESTARTED', []]);

  // A kernel message in the middle of it.
  board.play([[5, line.replace('"stages"', '[ 2.0] usb: hub "stages"') + '\n'], ...GOOD]);
  const damaged = await bootOnce();
  assert.equal(damaged.others, []);
  assert.equal(
    damaged.record.flags.map(({ code }) => code),
    ['BUDGET_FLAG_CONSOLE_RECORD'],
  );
  const silent = await bootOnce({ events: undefined, timeoutMs: 400 });
  assert.equal([silent.record.outcome, silent.record.evidence], ['failed', 'board-selfclock']);
});

test('the release is selected while the power is off, before every boot', async () => {
  board.play(GOOD);
  const log = join(dir.path, 'relay');
  const select = `echo "$COLDSEAL_ARM $COLDSEAL_RUN $COLDSEAL_RELEASE" >>'${log}'`;
  await bootOnce({ select });
  assert.equal(board.relay(), ['off', 'candidate 1 /r', 'on', 'off']);
});

test('a rig that is broken stops, and is no boot', async () => {
  board.play(GOOD);
  const bad: readonly [Partial<SerialDriverOptions>, string, RegExp?][] = [
    [{ powerOn: 'echo no such relay >&2; exit 3' }, 'HOST_RIG_COMMAND', /no such relay/],
    [{ powerOff: 'exit 1' }, 'HOST_RIG_COMMAND'],
    [{ select: 'kill -9 $$' }, 'HOST_RIG_COMMAND'],
    [{ device: join(dir.path, 'nothing') }, 'HOST_RIG_SERIAL'],
    [{ device: '/dev/null' }, 'HOST_RIG_SERIAL'],
    [{ device: dir.path }, 'HOST_RIG_SERIAL'],
  ];
  for (const [changes, code, hint] of bad) {
    const driver = driverOf(changes);
    const { signal } = new AbortController();
    const error = await expectCodeAsync(
      () => driver.boot({ arm: 'candidate', release, run: 1, signal }),
      code,
      JSON.stringify(changes),
    );
    if (hint !== undefined) assert.match(error.hint!, hint);
    await putAway(driver);
  }
});

test('a board that talks while its power should be off has power', async () => {
  const chatter = setInterval(() => board.print('still running here\n'), 2);
  try {
    await expectCodeAsync(() => bootOnce(), 'HOST_RIG_POWER');
  } finally {
    clearInterval(chatter);
  }
});

test('a device that goes away ends the run', async () => {
  board.play([
    [5, 'U-Boot 2026.01\n'],
    [5, DISCONNECT],
  ]);
  await expectCodeAsync(() => bootOnce(), 'HOST_RIG_SERIAL');
});

test('a device that was unplugged reads as nothing, and is gone all the same', async () => {
  requireRoot();
  await using port = new SerialPort(board.device, 115_200);
  const gone = new Promise<string>((resolve) => {
    port.listen(
      () => undefined,
      ({ code }) => resolve(code),
    );
  });
  // What the kernel does to a converter that is pulled out.
  const TIOCVHANGUP = 0x5437;
  const fd = openSync(board.device, constants.O_RDWR | constants.O_NOCTTY);
  try {
    assert.is(libc().ioctl(fd, TIOCVHANGUP, 0), 0);
  } finally {
    closeSync(fd);
  }
  assert.is(await gone, 'HOST_RIG_SERIAL');
});

test('an interruption ends a boot in every phase, and the power goes off', async () => {
  board.play(GOOD.slice(0, 1));
  const phases: readonly [string, Partial<SerialDriverOptions>][] = [
    ['dwell', { offTimeMs: 60_000 }],
    ['select', { select: 'sleep 60' }],
    ['power-on', { powerOn: 'sleep 60' }],
    ['boot', {}],
  ];
  for (const [phase, changes] of phases) {
    const interruption = new AbortController();
    const boot = bootOnce(changes, interruption.signal).then(
      () => 'booted',
      (error: unknown) => (error as Error).name,
    );
    setTimeout(() => interruption.abort(), 300);
    assert.is(await boot, 'AbortError', phase);
    assert.is(board.relay().at(-1), 'off', phase);
  }
});

test('lines are cut out of pieces, with the time of their first byte', () => {
  const seen: [string, number, boolean][] = [];
  const splitter = new LineSplitter(({ text, atNs }, isWhole) => seen.push([text, atNs, isWhole]));
  splitter.push(Buffer.from('ab'), 1);
  splitter.push(Buffer.from('c\r\nd\n\0e'), 2);
  splitter.push(Buffer.from('\n'), 3);
  assert.equal(seen, [
    ['ab', 1, false],
    ['abc', 1, true],
    ['d', 2, true],
    ['e', 2, false],
    ['e', 2, true],
  ]);
  splitter.push(Buffer.alloc(600_000, 'x'), 4);
  assert.equal([seen.at(-1)![2], splitter.isWithin], [true, false]);
});

test('a capture has the form of grabserial', () => {
  const lines: SerialLine[] = [
    { text: 'a', atNs: 1_500_000 },
    { text: 'b \u00ff', atNs: 2_000_001_000 },
  ];
  assert.is(
    grabserialText(lines).toString('latin1'),
    '[0.001500 0.001500] a\n[2.000001 1.998501] b \u00ff\n',
  );
});

test('events of lines: once each, from zero up, and again after a restart', () => {
  const words: EventFinder = (text) => text.split(' ').filter((word) => /^[a-z]$/.test(word));
  const cases: readonly [string, readonly string[], readonly string[], boolean, number][] = [
    ['nothing', [], [], false, 0],
    ['in order', ['a', 'b', 's'], ['a', 'b', 's'], true, 0],
    ['several in a line', ['a b', 's'], ['a', 'b', 's'], true, 0],
    ['the same again', ['a', 'b', 'b', 's'], ['a', 'b', 's'], true, 0],
    ['the first again at once', ['a', 'a', 's'], ['a', 's'], true, 0],
    ['a restart', ['a', 'b', 'c', 'a', 'b', 's'], ['a', 'b', 's'], true, 1],
    ['a restart after the stop event', ['a', 's', 'a'], ['a'], false, 1],
    ['two restarts', ['a', 'b', 'a', 'b', 'a', 'b', 's'], ['a', 'b', 's'], true, 2],
  ];
  for (const [name, lines, events, isOver, restarts] of cases) {
    const boot = new SerialBoot(words, 's');
    lines.forEach((text, index) => boot.line({ text, atNs: index }, true));
    assert.equal(
      [boot.events.map((event) => event.name), boot.isOver, boot.restarts],
      [events, isOver, restarts],
      name,
    );
  }
  // A line that comes in pieces announces its events once.
  const pieces = new SerialBoot(words, 's');
  for (const text of ['a', 'a b']) pieces.line({ text, atNs: 1 }, false);
  pieces.line({ text: 'a b', atNs: 1 }, true);
  assert.is(pieces.restarts, 0);
  const early = new SerialBoot(words, 's');
  early.line({ text: 'a', atNs: -5 }, true);
  assert.equal(early.events, [{ name: 'a', atNs: 0 }]);
  assert.equal(
    early.flags.map(({ code }) => code),
    ['BUDGET_FLAG_BEFORE_POWER_ON'],
  );
});

test('a speed that no device has is refused', () => {
  writeFileSync(join(dir.path, 'file'), '');
  assert.is(
    codeOf(() => new SerialPort(join(dir.path, 'file'), 115_200)),
    'HOST_RIG_SERIAL',
  );
  assert.is(readFileSync(join(dir.path, 'file'), 'utf8'), '');
});

test.run();
