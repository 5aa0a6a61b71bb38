/** The device's commands on a fake board that has booted: every output and every refusal. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeviceSys } from '../../runtime/sys.ts';
import type { Engine } from '../../runtime/engine.ts';
import { RUN_RECORD } from '../../runtime/device-paths.ts';
import { describeRecord } from '../../runtime/commands/status.ts';
import { main } from '../../runtime/main.ts';
import { writeRecord } from '../../runtime/record-file.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { SysError } from '../../runtime/sys-error.ts';
import {
  imagePath,
  makeBoard,
  powerOn,
  putManifest,
  seal,
  setState,
  signed,
  slotManifest,
  stateOf,
} from '../support/board-lab.ts';
import { type ContainerScript, FakeContainers } from '../support/fake-containers.ts';
import { Ended, type FakeBoard, type FakeRun } from '../support/fake-board.ts';
import { FakeDevice } from '../support/fake-device.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('device commands');

interface Said {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: readonly string[];
}

/** Runs a command on a device and takes what it says. */
function say(device: FakeDevice, args: readonly string[], change: Partial<Engine> = {}): Said {
  const lines: string[] = [];
  const errors: string[] = [];
  const engine: Engine = {
    ...device.engine(),
    print: (line) => void lines.push(line),
    printError: (line) => void errors.push(line),
    reasons: () => RUNTIME_REASONS,
    ...change,
  };
  return { code: main(engine, args), lines, errors };
}

/** The exit code and the reason code of a refusal. */
function refusal(device: FakeDevice, ...args: string[]): string {
  const { code, lines, errors } = say(device, args);
  assert.equal(lines, [], 'a refusal says nothing on standard output');
  return `${code} ${errors.at(-1)!.trim()}`;
}

/** A board that has booted, as the programs of its system see it. */
function booted(board: FakeBoard = makeBoard(), run: FakeRun = {}): FakeDevice {
  const { device } = powerOn(board, run);
  device.end = undefined;
  device.pid = () => 42;
  return device;
}

/** The same disk at a later power-on, in a system that coldseal did not boot. */
const unbooted = (): FakeDevice => {
  const device = new FakeDevice(makeBoard());
  device.pid = () => 42;
  return device;
};

// --- the frame ---

test('arguments that are no command are refused with the way to the list', () => {
  const device = unbooted();
  const cases: readonly (readonly [string[], string])[] = [
    [[], 'no command'],
    [['--json'], 'no command'],
    [['nonsense'], 'no command nonsense'],
    [['status', 'x'], 'status takes no x'],
    [['status', '--all'], 'status takes no --all'],
    [['reasons', 'A', 'B'], 'reasons takes no B'],
    [['reasons', '-x'], 'reasons takes no -x'],
    [['--help', 'status'], '--help takes no status'],
  ];
  for (const [args, problem] of cases) {
    const { code, errors } = say(device, args);
    assert.equal(
      [code, ...errors],
      [
        2,
        `coldseal: Cannot run coldseal: ${problem}`,
        '  coldseal --help lists the commands',
        '  USAGE_DEVICE_COMMAND',
      ],
    );
  }
});

test('help and version', () => {
  const { code, lines } = say(unbooted(), ['--help']);
  assert.is(code, 0);
  assert.match(lines[0]!, /^usage: coldseal COMMAND/);
  for (const name of ['status', 'mark-good', 'verify', 'reasons [CODE]', 'run-containers']) {
    assert.ok(
      lines.some((line) => line.startsWith(`  ${name} `)),
      name,
    );
  }
  assert.ok(lines.every((line) => line.length <= 100));
  assert.match(say(unbooted(), ['--version']).lines.join(), /^coldseal runtime \S+, level \d+$/);
});

test('with --json standard output is one document, on failure too', () => {
  const parse = (args: string[]): unknown => {
    const { lines } = say(booted(), args);
    assert.is(lines.length, 1);
    return JSON.parse(lines[0]!);
  };
  const version = parse(['--version', '--json']) as { result: { level: number } };
  assert.ok(version.result.level >= 2);
  assert.equal(parse(['--json', 'nonsense']), {
    schema: 1,
    ok: false,
    error: {
      code: 'USAGE_DEVICE_COMMAND',
      message: 'Cannot run coldseal: no command nonsense',
      hint: 'coldseal --help lists the commands',
    },
  });
  const document = parse(['status', '--json']) as { ok: boolean; result: { kind: string } };
  assert.equal([document.ok, document.result.kind], [true, 'coldseal-boot-record']);
});

test('PID 1 boots, whatever words the kernel hands on; a command it answers', () => {
  for (const words of [[], ['splash'], ['--verbose', '3']]) {
    const device = new FakeDevice(makeBoard());
    assert.throws(
      () => main(device.engine(), words),
      (error: unknown) => error instanceof Ended,
    );
    assert.is(device.end, 'exec', words.join());
  }
  const device = booted();
  device.pid = () => 1;
  assert.is(say(device, ['status']).code, 0);
});

test('a failure nobody foresaw is told, with the exit code for it', () => {
  const device = booted();
  const failing = (error: unknown): Partial<Engine> => ({
    sys: new Proxy<DeviceSys>(device, {
      get: (target, name) => {
        if (name === 'open') throw error;
        return target[name as keyof DeviceSys];
      },
    }),
  });
  const bug = say(device, ['status'], failing(new TypeError('x is not a function')));
  assert.equal([bug.code, bug.errors.at(-1)], [1, '  INTERNAL_DEVICE']);
  const system = say(device, ['status'], failing(new SysError('open', 'EIO')));
  assert.equal([system.code, system.errors.at(-1)], [6, '  HOST_READ_FAILED']);
});

test('a system that coldseal did not boot is told apart', () => {
  for (const name of ['status', 'mark-good', 'verify', 'run-containers']) {
    assert.is(refusal(unbooted(), name), '6 HOST_NOT_BOOTED');
  }
});

// --- status ---

test('status tells the record, one fact a line', () => {
  assert.equal(describeRecord(testRecord()), [
    'outcome          booted',
    'slot             a',
    `release          1.0 ${'0f'.repeat(16)}`,
    'role             production',
    'product          demo',
    'board            linux,dummy-virt (development)',
    'kernel           6.12.48',
    'engine           quickjs',
    'before kernel    12.5 ms (CNTVCT_EL0)',
    'setup            at 780.0 ms took 2.3 ms',
    'verify a         at 800.0 ms took 20.0 ms',
    'handover         at 990.0 ms took 10.0 ms',
    'kernel to init   1000.0 ms',
    'total            1012.5 ms',
    `image system     system, kernel-measured sha256:${'cd'.repeat(32)}, files required, at /`,
    'container app    early, started in 43.1 ms, first output at 951.0 ms',
  ]);
});

test('status tells what went wrong, and never a number for what is unknown', () => {
  const [container] = testRecord().containers;
  const lines = describeRecord(
    testRecord({
      outcome: 'halt',
      isProduction: true,
      clock: { name: 'CLOCK_BOOTTIME', beforeKernelNs: null, counter: null },
      stages: [{ name: 'mount', startNs: 1e6, endNs: null }],
      slot: null,
      release: null,
      images: [],
      attempts: [{ slot: 'b', reason: { code: 'VERIFY_BOARD', message: 'another board' } }],
      containers: [
        { ...container!, startedNs: null, firstOutputNs: null },
        { ...container!, firstOutputNs: null },
        { ...container!, reason: { code: 'HOST_CONTAINER_START', message: 'no' } },
      ],
      notes: [{ code: 'FORMAT_SLOT_STATE', message: 'both copies' }],
    }),
  );
  assert.equal(lines, [
    'outcome          halt',
    'slot             none',
    'release          none',
    'product          demo',
    'board            linux,dummy-virt (production)',
    'kernel           6.12.48',
    'engine           quickjs',
    'refused b        VERIFY_BOARD: another board',
    'before kernel    unknown',
    'mount            at 1.0 ms did not end',
    'container app    early, not started, no output yet',
    'container app    early, started in 43.1 ms, no output yet',
    'container app    early, HOST_CONTAINER_START: no',
    'note             FORMAT_SLOT_STATE: both copies',
  ]);
});

// --- mark-good ---

test('mark-good fills the tries, moves the floors, and the second time changes nothing', () => {
  const board = makeBoard();
  setState(board, { epochs: new Map([[1, 7]]), timeFloor: 5n });
  const device = booted(board);
  const tries = stateOf(board)!.triesA;
  const { code, lines } = say(device, ['mark-good']);
  assert.is(code, 0);
  const { builtAt, epochs } = slotManifest('a');
  assert.equal(lines, [
    'slot a           good',
    'good             no -> yes',
    `tries            ${tries} -> ${tries + 1}`,
    `time floor       5 -> ${builtAt}`,
    'epoch 2          none -> 1',
  ]);
  const state = stateOf(board)!;
  assert.equal([state.goodA, state.active, state.timeFloor], [1, 1, BigInt(builtAt)]);
  assert.equal(state.epochs, epochs);
  const writes = (): number =>
    device.calls.filter((call) => call.startsWith('writeInPlace')).length;
  const before = writes();
  assert.equal(say(device, ['mark-good']).lines, ['slot a           good', 'nothing changed']);
  assert.is(writes(), before, 'and nothing is written');
});

test('mark-good makes the slot that booted the active one, and opens the latch', () => {
  const board = makeBoard();
  setState(board, { active: 1, triesA: 0, restarts: 0 });
  const { lines } = say(booted(board), ['mark-good', '--json']);
  const { result } = JSON.parse(lines[0]!) as {
    result: { slot: string; changes: { name: string; from: string; to: string }[] };
  };
  assert.is(result.slot, 'b');
  assert.equal(result.changes[0], { name: 'active slot', from: 'a', to: 'b' });
  assert.is(stateOf(board)!.active, 2);
});

test('mark-good refuses what it must not mark', () => {
  const recovery = makeBoard({ recovery: true });
  for (const slot of ['a', 'b'] as const) recovery.store.delete(`slots/${slot}/manifest.cose`);
  assert.is(refusal(booted(recovery), 'mark-good'), '2 USAGE_MARK_GOOD');

  const noState = makeBoard();
  noState.partitions = noState.partitions.filter(({ device }) => device !== 'vda3');
  assert.is(refusal(booted(noState), 'mark-good'), '6 HOST_STATE_MISSING');

  const changed = makeBoard();
  const device = booted(changed);
  putManifest(changed, 'a', signed(slotManifest('a', { version: '2.0' })));
  assert.is(refusal(device, 'mark-good'), '3 VERIFY_SLOT_CHANGED');

  const halted = makeBoard();
  for (const slot of ['a', 'b'] as const) halted.store.delete(`slots/${slot}/manifest.cose`);
  assert.is(refusal(booted(halted), 'mark-good'), '6 HOST_NOT_BOOTED');

  const broken = booted(makeBoard(), { failWrites: true });
  assert.is(refusal(broken, 'mark-good'), '6 HOST_STATE_WRITE');
});

test('mark-good on a damaged slot state says so and makes a good one', () => {
  const board = makeBoard();
  const device = booted(board);
  board.state.fill(0xff);
  const { code, lines } = say(device, ['mark-good']);
  assert.is(code, 0);
  assert.match(lines[0]!, /^note {13}FORMAT_SLOT_STATE: /);
  assert.is(stateOf(board)!.goodA, 1);
});

test('a power cut in mark-good leaves the old state or the new one', () => {
  const outcomes = new Set<string>();
  for (let cutBytes = 0; cutBytes <= 512; cutBytes += 64) {
    const board = makeBoard();
    const probe = powerOn(board).device;
    const before = stateOf(board)!;
    // The same disk, cut in the first effect after the boot's own ones.
    const again = makeBoard();
    const device = booted(again, { cutAt: probe.effectCount + 1, cutBytes });
    say(device, ['mark-good']);
    assert.is(device.end, 'power cut');
    const after = stateOf(again)!;
    assert.ok(after.goodA === 1 || after.sequence === before.sequence, `${cutBytes} bytes`);
    outcomes.add(after.goodA === 1 ? 'new' : 'old');
  }
  assert.equal([...outcomes].sort(), ['new', 'old']);
});

// --- verify ---

test('verify says yes to what was booted', () => {
  const { code, lines } = say(booted(), ['verify']);
  assert.is(code, 0);
  assert.match(lines[0]!, /^slot a {11}manifest [0-9a-f]{64} verified$/);
  assert.equal(lines.slice(1), [
    'image system     verified',
    'image app        verified',
    'image settings   verified',
    'verdict          yes',
  ]);
});

/** What happens to the disk after the boot, and what the image's line says. */
const IMAGES: readonly [string, (board: FakeBoard) => void, string][] = [
  [
    'a byte changed',
    (board) => {
      const file = board.store.get(imagePath('a', 1))!;
      file.bytes = file.bytes.with(100, 0xff);
    },
    'VERIFY_IMAGE_READ',
  ],
  [
    'another sealed image in its place',
    (board) => {
      const { length } = board.store.get(imagePath('a', 1))!.bytes;
      seal(board, imagePath('a', 1), new Uint8Array(length));
    },
    'VERIFY_IMAGE_DIGEST',
  ],
  [
    'another length',
    (board) => seal(board, imagePath('a', 1), new Uint8Array(4096)),
    'VERIFY_IMAGE_SIZE',
  ],
  [
    'not sealed',
    (board) => delete board.store.get(imagePath('a', 1))!.sealed,
    'VERIFY_IMAGE_NO_VERITY',
  ],
  ['gone', (board) => board.store.delete(imagePath('a', 1)), 'HOST_NOT_FOUND'],
  [
    'a link in its place',
    (board) => (board.store.get(imagePath('a', 1))!.kind = 'symlink'),
    'VERIFY_IMAGE_READ',
  ],
];

for (const [name, change, expected] of IMAGES) {
  test(`verify says no: ${name}`, () => {
    const board = makeBoard();
    const device = booted(board);
    change(board);
    const { code, lines } = say(device, ['verify']);
    assert.is(code, 3);
    assert.match(lines[1]!, /^image system {5}verified$/);
    assert.ok(lines[2]!.startsWith(`image app        ${expected}: `), lines[2]);
    assert.is(lines.at(-1), 'verdict          no');
    const { ok } = JSON.parse(say(device, ['verify', '--json']).lines[0]!) as { ok: boolean };
    assert.is(ok, false);
  });
}

test('verify says no to a manifest that changed, in the words of the boot', () => {
  const changed = makeBoard();
  const device = booted(changed);
  const { bytes } = changed.store.get('slots/a/manifest.cose')!;
  putManifest(changed, 'a', bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1));
  assert.is(refusal(device, 'verify'), '3 VERIFY_SIGNATURE');
  putManifest(changed, 'a', signed(slotManifest('a', { version: '2.0' })));
  assert.is(refusal(device, 'verify'), '3 VERIFY_SLOT_CHANGED');
});

test('verify judges by the floors that are stored now', () => {
  const board = makeBoard();
  const device = booted(board);
  setState(board, { epochs: new Map([[1, 8]]) });
  assert.is(refusal(device, 'verify'), '3 VERIFY_EPOCH');
});

test('verify names a damaged slot state and goes on', () => {
  const board = makeBoard();
  const device = booted(board);
  board.state.fill(0xff);
  const { code, lines } = say(device, ['verify']);
  assert.is(code, 0);
  assert.ok(lines.some((line) => /^note {13}FORMAT_SLOT_STATE: /.test(line)));
});

// --- reasons ---

test('reasons lists all codes, explains one, and refuses what is none', () => {
  const device = unbooted();
  const { lines } = say(device, ['reasons']);
  assert.is(lines.length, Object.keys(RUNTIME_REASONS).length);
  assert.ok(lines.includes(`VERIFY_SIGNATURE: ${RUNTIME_REASONS['VERIFY_SIGNATURE']}`));
  assert.equal(say(device, ['reasons', 'VERIFY_SIGNATURE']).lines, [
    'code             VERIFY_SIGNATURE',
    `meaning          ${RUNTIME_REASONS['VERIFY_SIGNATURE']}`,
    'exit code        3',
  ]);
  for (const none of ['NONSENSE', 'toString', '__proto__']) {
    assert.is(refusal(device, 'reasons', none), '2 USAGE_REASON_CODE');
  }
  const { code, errors } = say(device, ['reasons'], { reasons: () => ({}) });
  assert.equal([code, errors], [0, []]);
  const { reasons: _, ...without } = device.engine();
  const errorsOf: string[] = [];
  const engine = { ...without, printError: (line: string): void => void errorsOf.push(line) };
  assert.equal([main(engine, ['reasons']), errorsOf.at(-1)], [6, '  HOST_NO_REASONS']);
});

// --- run-containers ---

/** A booted board with an early and two normal containers, and a container engine. */
function withContainers(scripts: Readonly<Record<string, ContainerScript>>): {
  device: FakeDevice;
  containers: FakeContainers;
} {
  const board = makeBoard();
  const images = slotManifest('a').images.map((image) =>
    image.role === 3 ? { ...image, role: 2 as const, mount: 2 as const, start: 2 as const } : image,
  );
  putManifest(board, 'a', signed(slotManifest('a', { images })));
  const device = booted(board);
  const containers = new FakeContainers(scripts, 5000, 1000);
  const own = {
    open: device.open.bind(device),
    openWrite: device.openWrite.bind(device),
    write: device.write.bind(device),
    close: device.close.bind(device),
  };
  const calls = [
    'pipe',
    'spawn',
    'waitChild',
    'waitReadable',
    'readStream',
    'fork',
    'clock',
    'sleep',
  ] as const;
  for (const name of calls) {
    Object.assign(device, { [name]: (containers[name] as () => unknown).bind(containers) });
  }
  Object.assign(device, {
    open: (path: string, options = {}) =>
      path.endsWith('/config.json') || path === '/dev/null'
        ? containers.open(path)
        : own.open(path, options),
    openWrite: (path: string) => containers.openWrite(path),
    write: (fd: number, bytes: Uint8Array) => containers.write(fd, bytes),
    close: (fd: number) => (fd >= 1000 || fd <= 2 ? containers.close(fd) : own.close(fd)),
  });
  return { device, containers };
}

test('run-containers starts the normal ones, and the record tells', () => {
  const { device, containers } = withContainers({
    // The engine is asked first, which takes it a millisecond.
    settings: { engineMs: 29, output: [[39, 'hi\n']], endMs: 49 },
  });
  const { code, lines } = say(device, ['run-containers']);
  assert.equal([code, containers.spawned.length], [0, 1]);
  assert.equal(lines, ['container settings normal, started in 30.0 ms, no output yet']);
  const record = device.record!;
  assert.equal(
    record.containers.map(({ name, start, firstOutputNs }) => [name, start, firstOutputNs]),
    [
      ['app', 'early', null],
      ['settings', 'normal', 5_040_000_000],
    ],
    'the copy has stamped it',
  );
  assert.is(containers.files.get('/run/coldseal/output/settings'), 'hi\n');
  assert.equal(say(device, ['run-containers']).lines, ['all containers are started']);
  assert.is(containers.spawned.length, 1);
});

test('run-containers tries again what failed, and says how it ended', () => {
  const { device, containers } = withContainers({
    settings: { engineMs: 9, code: 1, output: [[1, 'error: no\n']], endMs: 9 },
  });
  const { code, lines } = say(device, ['run-containers', '--json']);
  assert.is(code, 6);
  const document = JSON.parse(lines[0]!) as { ok: boolean; result: { reason: { code: string } }[] };
  assert.equal([document.ok, document.result[0]!.reason.code], [false, 'HOST_CONTAINER_START']);
  say(device, ['run-containers']);
  assert.is(containers.spawned.length, 2);
  assert.is(device.record!.containers.length, 2);
});

test('run-containers: one that was late in the boot and runs by now is started', () => {
  const { device, containers } = withContainers({
    app: {
      before: [
        [0, 'starting'],
        [5200, 'running'],
      ],
    },
    settings: { engineMs: 30, endMs: 40 },
  });
  const late = { code: 'BUDGET_CONTAINER_START', message: 'late' } as const;
  const { containers: seen } = device.record!;
  const app = { ...seen.find(({ name }) => name === 'app')!, startedNs: null, reason: late };
  writeRecord(device.engine().sys, { ...device.record!, containers: [app] });
  const { code, lines } = say(device, ['run-containers']);
  assert.is(code, 0, lines.join('\n'));
  assert.equal(
    device.record!.containers.map(({ name, startedNs, reason }) => [
      name,
      startedNs !== null,
      reason,
    ]),
    [
      ['app', true, null],
      ['settings', true, null],
    ],
  );
  assert.is(containers.spawned.length, 2);
  assert.equal(say(device, ['run-containers']).lines, ['all containers are started']);
});

test('run-containers: the caller ends at once, an engine without copies stays', () => {
  const script = { engineMs: 1, output: [[90, 'x']], endMs: 100 } as const;
  const parent = withContainers({ settings: script });
  parent.containers.forkResult = 77;
  assert.is(say(parent.device, ['run-containers']).code, 0);
  assert.is(parent.containers.nowMs, 5002);
  const alone = withContainers({ settings: script });
  alone.containers.forkResult = undefined;
  assert.is(say(alone.device, ['run-containers']).code, 0);
  assert.is(alone.containers.nowMs, 5101);
});

test('run-containers starts nothing from a release that does not verify', () => {
  const { device, containers } = withContainers({ settings: { engineMs: 1 } });
  const { bytes } = device.board.store.get('slots/a/manifest.cose')!;
  putManifest(device.board, 'a', bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1));
  assert.is(refusal(device, 'run-containers'), '3 VERIFY_SIGNATURE');
  assert.equal(containers.spawned, []);
});

// --- the page ---

test('docs/runtime.md shows what the commands really print', () => {
  const page = readFileSync(join(ROOT, 'docs/runtime.md'), 'utf8');
  const shown = (text: string): string[] => {
    const from = page.indexOf(`# coldseal ${text}\n`);
    const end = page.indexOf('```', from);
    return page.slice(from, end).trimEnd().split('\n').slice(1);
  };
  assert.equal(shown('status'), describeRecord(testRecord()));
  const board = makeBoard();
  setState(board, { epochs: new Map([[1, 7]]), timeFloor: 5n });
  const device = booted(board);
  const twice = [say(device, ['mark-good']).lines, ['# coldseal mark-good']];
  assert.equal(shown('mark-good'), [...twice, say(device, ['mark-good']).lines].flat());
  const file = board.store.get(imagePath('a', 1))!;
  file.bytes = file.bytes.with(100, 0xff);
  assert.equal(shown('verify'), say(device, ['verify']).lines);
  const reasons = ['reasons', 'VERIFY_EPOCH'];
  assert.equal(shown(reasons.join(' ')), say(device, reasons).lines);
  const { device: other } = withContainers({ settings: { engineMs: 29, endMs: 40 } });
  assert.equal(shown('run-containers'), say(other, ['run-containers']).lines);
});

test('a record that is none is refused as such', () => {
  const device = booted();
  device.writeFile(RUN_RECORD, Buffer.from('{}'));
  assert.is(refusal(device, 'status'), '4 FORMAT_BOOT_RECORD');
});

test.run();
