/** The parts of a boot alone: clock, command line, partitions, identity, failure policy, modules, small files. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCommandLine } from '../../runtime/command-line.ts';
import { noteOf, planFailure } from '../../runtime/failure.ts';
import { readDiskCounters } from '../../runtime/disk-counters.ts';
import { findPartitions, listPartitions, requireStore } from '../../runtime/find-store.ts';
import type { DiskCounters } from '../../runtime/format/boot-record.ts';
import type { FailureAction } from '../../runtime/format/device-policy.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readSmallFile } from '../../runtime/read-file.ts';
import { beforeKernelNs, createStageTimer } from '../../runtime/stages.ts';
import { SysError } from '../../runtime/sys-error.ts';
import type { ClockReading } from '../../runtime/sys.ts';
import { makeBoard } from '../support/board-lab.ts';
import type { FakeBoard } from '../support/fake-board.ts';
import { FakeSys } from '../support/fake-sys.ts';
import { FakeDevice } from '../support/fake-device.ts';
import { expectCode } from '../support/expect-code.ts';

const test = suite('boot steps');

// --- the disk's counters ---

/** Documentation/block/stat.rst: I/Os, merges, sectors and ticks of reads and of writes, and nine numbers more. */
const STATS: readonly [name: string, text: string | undefined, DiskCounters | undefined][] = [
  [
    'as Linux 6.12 prints it',
    '     157       20    12580       80        4        0       16        9        0       70 ' +
      '      89        0        0        0        0        2        6\n',
    { readRequests: 157, readBytes: 12580 * 512, writeRequests: 4, writeBytes: 8192 },
  ],
  [
    'as Linux 2.6 printed it',
    '1 2 3 4 5 6 7 8 9 10 11\n',
    { readRequests: 1, readBytes: 1536, writeRequests: 5, writeBytes: 3584 },
  ],
  ['none yet', '0 0 0 0 0 0 0 0 0 0 0', zeros()],
  ['no disk', undefined, undefined],
  ['an empty file', '', undefined],
  ['longer than any', ' '.repeat(600), undefined],
];

function zeros(): DiskCounters {
  return { readRequests: 0, readBytes: 0, writeRequests: 0, writeBytes: 0 };
}

for (const [name, text, expected] of STATS) {
  test(`the disk's counters: ${name}`, () => {
    const path = '/sys/class/block/vda/stat';
    const sys = new FakeSys({ files: text === undefined ? {} : { [path]: Buffer.from(text) } });
    assert.equal(readDiskCounters(sys, 'vda'), expected);
    assert.is(readDiskCounters(sys, undefined), undefined);
  });
}

// --- the time before the kernel ---

const MS = 1e6;
type Counter = NonNullable<ClockReading['counter']>;

/** A reading of a counter that ran `beforeMs` before the clock, at `hz`, which it says or not. */
function reading(bootMs: number, hz: number, beforeMs: number, says?: number): ClockReading {
  const counter: Counter = {
    name: 'TSC',
    ticks: Math.round(((bootMs + beforeMs) / 1000) * hz),
    ...(says === undefined ? {} : { hz: says }),
  };
  return { bootNs: bootMs * MS, counter };
}

const CLOCKS: readonly [name: string, ClockReading, ClockReading, ms: number | null][] = [
  ['known frequency', reading(900, 62.5e6, 400, 62.5e6), reading(1400, 62.5e6, 400, 62.5e6), 400],
  ['known, readings close', reading(9, 62.5e6, 40, 62.5e6), reading(9.1, 62.5e6, 40, 62.5e6), 40],
  ['found out from two readings', reading(900, 2.4e9, 350), reading(1400, 2.4e9, 350), 350],
  ['none', { bootNs: 0 }, { bootNs: 1e9 }, null],
  ['lost on the way', reading(900, 1e9, 400), { bootNs: 1e9 }, null],
  ['unknown, readings too close', reading(900, 1e9, 400), reading(901, 1e9, 400), null],
  ['firmware says another one', reading(900, 1e9, 400, 2e9), reading(1400, 1e9, 400, 2e9), null],
  ['firmware says nonsense', reading(900, 1e9, 400, 1), reading(905, 1e9, 400, 1), null],
  ['too slow', reading(900, 1e5, 400), reading(1400, 1e5, 400), null],
  ['too fast', reading(900, 2e10, 400), reading(1400, 2e10, 400), null],
  ['stands still', reading(900, 1e9, 400), { ...reading(900, 1e9, 400), bootNs: 2e9 }, null],
  ['ran for days', reading(900, 1e9, 9e8), reading(1400, 1e9, 9e8), null],
  ['began after the kernel', reading(900, 1e9, -300), reading(1400, 1e9, -300), null],
  [
    'another counter',
    reading(900, 1e9, 400),
    { bootNs: 1.4e9, counter: { name: 'CNTVCT_EL0', ticks: 1.8e9 } },
    null,
  ],
];

for (const [name, first, last, expected] of CLOCKS) {
  test(`the time before the kernel, ${name}: ${expected ?? 'unknown'}`, () => {
    const before = beforeKernelNs(first, last);
    if (expected === null) assert.is(before, null);
    else assert.ok(Math.abs(before! - expected * MS) < 100, String(before));
  });
}

test('a stage that throws has no end, and a clock that fails is told', () => {
  let reads = 0;
  const clock = (): ClockReading => {
    if (++reads === 4) throw new SysError('clock_gettime', 'EINVAL');
    return { bootNs: reads * 10 };
  };
  const timer = createStageTimer(Object.assign(device([]), { clock }));
  const fail = (): never => {
    throw new TypeError('x');
  };
  assert.throws(() => timer.run('setup', fail));
  assert.is(
    timer.run('policy', () => 7),
    7,
  );
  assert.equal(timer.stages, [
    { name: 'setup', startNs: 20, endNs: null },
    { name: 'policy', startNs: 30, endNs: 30 },
  ]);
  assert.ok(timer.failed());
});

// --- the command line ---

const BOARD = { isProduction: false, slotCount: 2 } as const;
const LINES: readonly [text: string, expected: object, refused: boolean][] = [
  ['', {}, false],
  ['console=ttyS0 root=/dev/x coldsealed=1 xcoldseal.slot=b\n', {}, false],
  ['coldseal.slot=b', { slot: 'b' }, false],
  ['quiet coldseal.on-failure=halt coldseal.slot=a', { slot: 'a', onFailure: 'halt' }, false],
  ['coldseal.on-failure=power-off', { onFailure: 'power-off' }, false],
  ['coldseal.report=org.coldseal.record', { report: 'org.coldseal.record' }, false],
  ['coldseal.io=mmcblk0', { io: 'mmcblk0' }, false],
  ['coldseal.read-ahead=off', { readAhead: 'off' }, false],
  ['coldseal.read-ahead=on', {}, true],
  ['"coldseal.slot=b"', { slot: 'b' }, false],
  ['dyndbg="file a.c coldseal.slot=b"', {}, false],
  ['coldseal.slot=c', {}, true],
  ['coldseal.slot=recovery', {}, true],
  ['coldseal.slot', {}, true],
  ['coldseal.slot=', {}, true],
  ['coldseal.slot=a coldseal.slot=b', { slot: 'a' }, true],
  ['coldseal.on-failure=shell', {}, true],
  ['coldseal.on-failure=restart', {}, true],
  ['coldseal.verity=off', {}, true],
  ['coldseal.toString=1', {}, true],
  ['coldseal.report=../../vda', {}, true],
  ['coldseal.io=../vda', {}, true],
  ['coldseal.io=', {}, true],
  ['coldseal.io', {}, true],
  ['coldseal.', {}, true],
  // What is understood beside a mistake still counts: a report is how a test hears of the mistake.
  ['coldseal.x=1 coldseal.report=r', { report: 'r' }, true],
];

for (const [text, expected, refused] of LINES) {
  test(`command line ${JSON.stringify(text)}`, () => {
    const { commandLine, problem } = parseCommandLine(text, BOARD);
    assert.equal(commandLine, expected);
    assert.is(problem?.code, refused ? 'CONFIG_COMMAND_LINE' : undefined);
  });
}

test('what the board does not have cannot be asked for', () => {
  const refused = (text: string, board: Partial<typeof BOARD> | object): boolean =>
    parseCommandLine(text, { ...BOARD, ...board }).problem !== undefined;
  assert.ok(refused('coldseal.slot=b', { slotCount: 1 }));
  assert.not.ok(refused('coldseal.slot=a', { slotCount: 1 }));
  assert.ok(refused('coldseal.report=r', { isProduction: true }));
  assert.ok(refused('coldseal.io=vda', { isProduction: true }));
  assert.ok(refused('coldseal.read-ahead=off', { isProduction: true }));
});

// --- partitions ---

function device(partitions: FakeBoard['partitions'], failAt = 0): FakeDevice {
  const fake = new FakeDevice({ ...makeBoard(), partitions }, { failAt });
  fake.mount('sysfs', '/sys', 'sysfs', { readOnly: false, data: '' });
  return fake;
}

const at = (name: string, device: string, atMs: number | undefined) => ({ name, device, atMs });
const STORE = 'coldseal-store';
const STATE = 'coldseal-state';

const FOUND: readonly [
  string,
  FakeBoard['partitions'],
  store: string | undefined,
  state: string | undefined,
  ms: number,
][] = [
  ['both are there', [at(STORE, 'vda2', 1), at(STATE, 'vda3', 1)], '/dev/vda2', '/dev/vda3', 0],
  [
    'both come late',
    [at(STORE, 'vda2', 900), at(STATE, 'vda3', 901)],
    '/dev/vda2',
    '/dev/vda3',
    801,
  ],
  [
    'others come first',
    [at('x', 'sda1', 300), at(STORE, 'sdb1', 400), at(STATE, 'sdb2', 400)],
    '/dev/sdb1',
    '/dev/sdb2',
    300,
  ],
  [
    'the state comes soon after',
    [at(STORE, 'vda2', 1), at(STATE, 'vda3', 250)],
    '/dev/vda2',
    '/dev/vda3',
    150,
  ],
  [
    'the state comes too long after',
    [at(STORE, 'vda2', 1), at(STATE, 'vda3', 500)],
    '/dev/vda2',
    undefined,
    200,
  ],
  ['the state never comes', [at(STORE, 'vda2', 1)], '/dev/vda2', undefined, 200],
  ['the store never comes', [at(STATE, 'vda3', 1)], undefined, '/dev/vda3', 1000],
  ['the store comes after the deadline', [at(STORE, 'vda2', 1200)], undefined, undefined, 1000],
  ['nothing comes', [], undefined, undefined, 1000],
  [
    'two stores: the first in byte order',
    [at(STORE, 'sda2', 1), at(STORE, 'mmcblk0p2', 1), at(STATE, 'mmcblk0p3', 1)],
    '/dev/mmcblk0p2',
    '/dev/mmcblk0p3',
    0,
  ],
];

for (const [name, partitions, store, state, ms] of FOUND) {
  test(`partitions, ${name}`, () => {
    const fake = device(partitions);
    const startNs = fake.clock().bootNs;
    const found = findPartitions(fake, 1000);
    assert.equal([found.get(STORE), found.get(STATE)], [store, state]);
    const tookMs = (fake.clock().bootNs - startNs) / MS;
    assert.ok(tookMs >= ms && tookMs < ms + 2, `${tookMs} ms`);
    assert.equal(fake.openHandles, []);
    // The socket is open before the first look, and waiting is one call per announcement.
    const calls = fake.calls.map((call) => call.split(' ')[0]);
    assert.ok(calls.indexOf('openUevents') < calls.indexOf('list'));
    assert.ok(calls.filter((call) => call === 'readUevent').length <= partitions.length + 2);
    if (store === undefined) {
      const error = expectCode(() => requireStore(found, 1000), 'HOST_STORE_MISSING');
      assert.match(error.message, partitions.length > 1 ? /there are/ : /./);
    } else assert.is(requireStore(found, 1000), store);
  });
}

test('announcements that overflow mean looking again', () => {
  const fake = device([at(STORE, 'vda2', 150), at(STATE, 'vda3', 150)]);
  let isFirst = true;
  const read = fake.readUevent.bind(fake);
  fake.readUevent = (events, timeoutMs) => {
    if (!isFirst) return read(events, timeoutMs);
    isFirst = false;
    fake.sleep(100);
    throw new SysError('recv', 'ENOBUFS');
  };
  assert.equal([...findPartitions(fake, 1000).values()].sort(), ['/dev/vda2', '/dev/vda3']);
});

test('a device that is gone again is passed over', () => {
  const fake = device([at(STORE, 'vda2', 1)]);
  const list = fake.list.bind(fake);
  fake.list = (path) => [...list(path), 'vdz9'];
  assert.equal([...listPartitions(fake)], [[STORE, '/dev/vda2']]);
});

// --- the failure policy ---

const ALL: readonly FailureAction[] = [
  { action: 'recovery' },
  { action: 'restart', delayS: 5, max: 3 },
  { action: 'shell' },
  { action: 'power-off' },
];
const FACTS = {
  canRecover: true,
  restarts: 0,
  isProduction: false,
  canTryAgain: false,
  override: undefined,
};

const PLANS: readonly [string, Partial<Parameters<typeof planFailure>[1]>, string][] = [
  ['everything', {}, 'recovery restart shell power-off halt'],
  ['no store', { canRecover: false }, 'restart shell power-off halt'],
  ['restarts left', { restarts: 2 }, 'recovery restart shell power-off halt'],
  ['restarts used up', { restarts: 3 }, 'recovery shell power-off halt'],
  ['a production board', { isProduction: true }, 'recovery restart power-off halt'],
  [
    'tries left after the change of the root',
    { canTryAgain: true, canRecover: false, restarts: 9 },
    'restart shell power-off halt',
  ],
  ['the command line', { override: 'power-off' }, 'power-off halt'],
  ['the command line over another try', { override: 'halt', canTryAgain: true }, 'halt halt'],
];

for (const [name, facts, expected] of PLANS) {
  test(`failure policy, ${name}: ${expected}`, () => {
    const plan = planFailure(ALL, { ...FACTS, ...facts });
    assert.is(plan.map(({ action }) => action).join(' '), expected);
  });
}

test('an empty policy still ends in a halt', () => {
  assert.equal(planFailure([], FACTS), [{ action: 'halt' }]);
});

test('every error becomes a reason code', () => {
  const codes: readonly [unknown, string][] = [
    [new ColdsealError('VERIFY_BOARD', 'x'), 'VERIFY_BOARD'],
    [new SysError('mount', 'ENOSPC'), 'HOST_NO_SPACE'],
    [new SysError('mount', 'EXDEV'), 'HOST_SYSTEM_CALL'],
    [new TypeError('x'), 'INTERNAL_BOOT'],
    ['a string', 'INTERNAL_BOOT'],
    [undefined, 'INTERNAL_BOOT'],
  ];
  for (const [error, code] of codes) assert.is(noteOf(error).code, code, String(error));
});

test('a small file is a regular file of at most its size', () => {
  const fake = new FakeDevice(makeBoard());
  fake.board.initramfs.set('/x', new Uint8Array(10));
  assert.is(readSmallFile(fake, '/x', 10).length, 10);
  expectCode(() => readSmallFile(fake, '/x', 9), 'FORMAT_FILE_KIND');
  expectCode(() => readSmallFile(fake, '/y', 9), 'HOST_NOT_FOUND');
  assert.equal(fake.openHandles, []);
});

test.run();
