/** A boot on a whole fake board: the order, the record, the slots, and what the failure policy does. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  SEALED_POLICY,
  SEALED_READ_AHEAD,
  SEALED_TRUST,
  sealedModule,
} from '../../runtime/device-paths.ts';
import { STAGES } from '../../runtime/format/boot-record.ts';
import type { DevicePolicy } from '../../runtime/format/device-policy.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import {
  imagePath,
  makeBoard,
  OBJECT_PATH,
  PARTS,
  POLICY,
  powerOn,
  putManifest,
  setPolicy,
  setState,
  signed,
  slotManifest,
  stateOf,
} from '../support/board-lab.ts';
import type { FakeBoard } from '../support/fake-board.ts';

const test = suite('boot');

/** Recovery is tried even where there is none. */
const NO_RECOVERY = 'recovery HOST_NOT_FOUND';
const MOUNTED = ['/', '/run/coldseal/config/settings', '/run/coldseal/containers/app'];

test('a good board boots its active slot, and the record says everything', () => {
  const board = makeBoard();
  const { end, record, device, log } = powerOn(board);
  assert.is(end, 'exec');
  assert.equal(device.execArgv, ['/sbin/init']);
  assert.equal(device.imageMounts, MOUNTED);
  assert.equal(device.openHandles, []);
  assert.equal(
    device.imagesMounted,
    [0, 1, 2].map((index) => imagePath('a', index)),
  );
  const { kind, schema, outcome, product, engine, kernel, clock, slot, attempts, release, notes } =
    record!;
  assert.equal([kind, schema, outcome], ['coldseal-boot-record', 1, 'booted']);
  assert.equal([product, record!.board, record!.isProduction], ['demo', 'linux,dummy-virt', false]);
  assert.equal([engine, kernel, slot], ['node', '6.12.48+deb13-arm64', 'a']);
  assert.is(clock.counter, 'CNTVCT_EL0');
  assert.ok(Math.abs(clock.beforeKernelNs! - 400_000_000) < 100, String(clock.beforeKernelNs));
  assert.equal(attempts, [{ slot: 'a', reason: null }]);
  assert.equal(release!.id, toHex(slotManifest('a').releaseId));
  assert.equal([release!.version, release!.role], ['1.0-a', 'production']);
  assert.equal(release!.epochs, { 1: 7, 2: 1 });
  assert.equal(
    record!.images.map(({ name, mountedAt, measured, fileVerity }) =>
      [name, mountedAt, measured, fileVerity].join(' '),
    ),
    [
      'system / kernel-measured required',
      'app /run/coldseal/containers/app kernel-measured required',
      'settings /run/coldseal/config/settings kernel-measured required',
    ],
  );
  assert.equal(
    record!.containers.map(({ name }) => name),
    ['app'],
  );
  assert.equal(notes, []);
  assert.match(log, /coldseal: booted slot a, release 1\.0-a, at \d+ ms/);
});

test('every stage has its word, its order and an end', () => {
  const board = makeBoard();
  board.initramfs.set(SEALED_READ_AHEAD, Buffer.from(' 4096 4096'));
  const { record } = powerOn(board);
  const words = record!.stages.map(({ name }) => name.split(' ')[0]!);
  assert.equal([...new Set(words)].sort(), [...STAGES].sort());
  let last = 0;
  for (const { name, startNs, endNs } of record!.stages) {
    assert.ok(startNs >= last && endNs !== null && endNs >= startNs, name);
    last = endNs;
  }
});

test('the order is the order of the design', () => {
  const { calls } = powerOn(makeBoard()).device;
  const order = [
    'mount devtmpfs /dev',
    'mount tmpfs /run',
    `open ${SEALED_POLICY}`,
    `open ${SEALED_TRUST}`,
    'open /proc/cmdline',
    'open /sys/firmware/devicetree/base/compatible',
    `open ${sealedModule('virtio_blk')}`,
    `open ${sealedModule('overlay')}`,
    'openUevents',
    'list /sys/class/block',
    'open /dev/vda3',
    'writeInPlace /dev/vda3 0',
    'mount ext4 /run/coldseal/store',
    'open /run/coldseal/store/slots/a/manifest.cose',
    'open /run/coldseal/store/slots/a/deny.cose',
    `open /run/coldseal/store/${imagePath('a')}`,
    'moveMount /sysroot',
    'moveMount /run/coldseal/containers/app',
    'bindMount /init /run/coldseal/bin/coldseal',
    'bindMount /coldseal /run/coldseal/sealed',
    'moveTree /run /sysroot/run',
    'switchRoot /sysroot',
    'writeFile /run/coldseal/boot.json',
    'exec /sbin/init',
  ];
  const places = order.map((call) => calls.indexOf(call));
  assert.not.ok(places.includes(-1), order[places.indexOf(-1)]);
  assert.equal(
    places,
    [...places].sort((a, b) => a - b),
  );
});

// --- reading ahead ---

const OBJECT_AHEAD = `+${OBJECT_PATH} 0 8192 8192 808`;
const LIST = [' 16384 8192', 'slots/a/manifest.cose 0 4096', OBJECT_AHEAD].join('\n');

function readAheadCalls(list: string, commandLine = ''): string[] {
  const board = makeBoard();
  board.initramfs.set(SEALED_READ_AHEAD, Buffer.from(list, 'latin1'));
  board.commandLine += commandLine;
  const { device, end } = powerOn(board);
  assert.is(end, 'exec', list);
  assert.equal(device.openHandles, []);
  const { calls } = device;
  const from = calls.indexOf('mount ext4 /run/coldseal/store');
  const to = calls.indexOf('open /run/coldseal/store/slots/a/deny.cose');
  const made = calls.filter((call) => /^read(Ahead|Tree) /.test(call));
  assert.equal(
    calls.slice(from, to).filter((call) => made.includes(call)),
    made,
    'between the mount of the store and the first decision about it',
  );
  return made;
}

test('what the list names is read ahead, as soon as the store is mounted', () => {
  const object = `/run/coldseal/store/${OBJECT_PATH}`;
  assert.equal(readAheadCalls(LIST), [
    'readAhead /dev/vda2 16384 8192',
    'readAhead /run/coldseal/store/slots/a/manifest.cose 0 4096',
    `readTree ${object}`,
    `readAhead ${object} 0 8192`,
    `readAhead ${object} 8192 808`,
  ]);
  assert.equal(readAheadCalls(LIST, ' coldseal.read-ahead=off'), []);
});

test('no list can stop a boot: what is wrong with it is left out', () => {
  const good = 'slots/a/manifest.cose 0 4096';
  const call = 'readAhead /run/coldseal/store/slots/a/manifest.cose 0 4096';
  for (const bad of [
    '',
    'objects/00/none 0 1',
    '+objects/00/none',
    'slots',
    '\xff\0 1',
    '../../x 0 1',
  ]) {
    assert.ok(readAheadCalls(`${bad}\n${good}`).includes(call), bad);
  }
  readAheadCalls('x'.repeat(70_000));
  const board = makeBoard();
  board.initramfs.set(SEALED_READ_AHEAD, Buffer.from(LIST));
  for (const failCall of ['readAhead', 'readTree', `open ${SEALED_READ_AHEAD}`]) {
    assert.is(powerOn(board, { failCall }).end, 'exec', failCall);
  }
});

test("the manifest's flags become attributes of each mount", () => {
  const { mounts } = powerOn(makeBoard()).device;
  const shown = (path: string): string => {
    const { readOnly, nosuid, nodev, noexec } = mounts.get(path)!.attributes;
    return [readOnly, nosuid, nodev, noexec].map(Number).join('');
  };
  assert.equal(MOUNTED.map(shown), ['1000', '1111', '1110']);
  assert.is(shown('/run/coldseal/store'), '111NaN');
});

test('a board boots the same on a kernel whose layers need no place', () => {
  const { end, device } = powerOn(makeBoard(), { detachedLayers: true });
  assert.equal([end, device.imageMounts.length, device.openHandles], ['exec', 3, []]);
});

test('without a processor counter the time before the kernel is unknown, not zero', () => {
  const { clock } = powerOn(makeBoard(), { counter: false }).record!;
  assert.equal([clock.beforeKernelNs, clock.counter], [null, null]);
});

/** What happens before the boot, and what is expected: end, attempts, notes. */
const TABLE: readonly [
  name: string,
  prepare: (board: FakeBoard) => void,
  end: string,
  attempts: readonly string[],
  notes: readonly string[],
][] = [
  ['b is active', (board) => setState(board, { active: 2 }), 'exec', ['b ok'], []],
  ['a has no tries left', (board) => setState(board, known({ triesA: 0 })), 'exec', ['b ok'], []],
  [
    'the command line asks for b',
    (board) => (board.commandLine = 'quiet coldseal.slot=b\n'),
    'exec',
    ['b ok'],
    [],
  ],
  [
    'the command line asks for b, which has no tries left',
    (board) => {
      board.commandLine = 'coldseal.slot=b';
      setState(board, known({ triesB: 0 }));
    },
    'exec',
    ['a ok'],
    [],
  ],
  [
    'a is empty',
    (board) => board.store.delete('slots/a/manifest.cose'),
    'exec',
    ['a HOST_NOT_FOUND', 'b ok'],
    [],
  ],
  [
    'b has no tries but a new release, a is empty',
    (board) => {
      board.store.delete('slots/a/manifest.cose');
      setState(board, { triesB: 0, releaseB: new Uint8Array(16).fill(1) });
    },
    'exec',
    ['a HOST_NOT_FOUND', 'b ok'],
    [],
  ],
  [
    'a module is missing',
    (board) => board.initramfs.delete(sealedModule('erofs')),
    'exec',
    ['a ok'],
    ['HOST_MODULE_MISSING'],
  ],
  ['modules are loaded already', (board) => board.modulesLoaded.add('ext4'), 'exec', ['a ok'], []],
  [
    'the store appears late',
    (board) => (board.partitions = board.partitions.map((part) => ({ ...part, atMs: 1500 }))),
    'exec',
    ['a ok'],
    [],
  ],
  [
    'the state partition appears after the store',
    (board) => {
      board.partitions = board.partitions.map((part) => {
        return { ...part, atMs: part.name === 'coldseal-state' ? 900 : 800 };
      });
    },
    'exec',
    ['a ok'],
    [],
  ],
  [
    'there is no state partition',
    (board) => (board.partitions = board.partitions.slice(0, 2)),
    'exec',
    ['a ok'],
    ['HOST_STATE_MISSING'],
  ],
  [
    'the state was never written',
    (board) => board.state.fill(0),
    'exec',
    ['a ok'],
    ['FORMAT_SLOT_STATE', 'FORMAT_SLOT_STATE'],
  ],
  [
    'one copy of the state is damaged',
    (board) => (board.state[4096 + 9]! ^= 1),
    'exec',
    ['a ok'],
    ['FORMAT_SLOT_STATE'],
  ],
  [
    'an SMBIOS board',
    (board) => {
      board.smbios = { vendor: 'QEMU', product: 'Standard PC' };
      setPolicy(board, {
        identity: { kind: 'smbios', vendor: 'QEMU', product: 'Standard PC' },
      });
    },
    'exec',
    ['a ok'],
    [],
  ],
];

function known<T>(change: T): T & { releaseA: Uint8Array; releaseB: Uint8Array } {
  const [releaseA, releaseB] = [slotManifest('a').releaseId, slotManifest('b').releaseId];
  return { releaseA, releaseB, ...change };
}

for (const [name, prepare, end, attempts, notes] of TABLE) {
  test(name, () => {
    const board = makeBoard();
    prepare(board);
    const result = powerOn(board);
    assert.equal([result.end, result.attempts, result.notes], [end, attempts, notes], result.log);
    assert.equal(result.device.imageMounts, MOUNTED);
  });
}

/** Failures before any slot: no slot and no recovery image may be tried. */
const BEFORE_SLOTS: readonly [string, (board: FakeBoard) => void, code: string, end: string][] = [
  [
    'the store is missing',
    (board) => (board.partitions = board.partitions.slice(2)),
    'HOST_STORE_MISSING',
    'restart',
  ],
  [
    'the whole disk is missing, so no restart could be counted',
    (board) => (board.partitions = []),
    'HOST_STORE_MISSING',
    'power-off',
  ],
  [
    'the store comes too late',
    (board) => (board.partitions = board.partitions.map((part) => ({ ...part, atMs: 9000 }))),
    'HOST_STORE_MISSING',
    'power-off',
  ],
  [
    'another board',
    (board) => (board.compatible = 'fsl,imx8mp-evk'),
    'VERIFY_BOARD_IDENTITY',
    'power-off',
  ],
  [
    'a board that does not say what it is',
    (board) => setPolicy(board, { identity: { kind: 'smbios', vendor: 'a', product: 'b' } }),
    'VERIFY_BOARD_IDENTITY',
    'power-off',
  ],
  [
    'an unknown key on the command line',
    (board) => (board.commandLine = 'coldseal.verity=off'),
    'CONFIG_COMMAND_LINE',
    'power-off',
  ],
  [
    'the command line says how to stop',
    (board) => {
      board.commandLine = 'coldseal.on-failure=halt';
      board.partitions = [];
    },
    'HOST_STORE_MISSING',
    'halt',
  ],
  ['no policy', (board) => board.initramfs.delete(SEALED_POLICY), 'HOST_NOT_FOUND', 'halt'],
  [
    'a damaged policy',
    (board) => board.initramfs.set(SEALED_POLICY, new Uint8Array(5)),
    'FORMAT_CBOR_STRUCTURE',
    'halt',
  ],
  ['no trust bundle', (board) => board.initramfs.delete(SEALED_TRUST), 'HOST_NOT_FOUND', 'halt'],
];

for (const [name, prepare, code, end] of BEFORE_SLOTS) {
  test(`${name}: ${code}, ${end}`, () => {
    const board = makeBoard({ recovery: true });
    prepare(board);
    const result = powerOn(board);
    assert.equal([result.end, result.attempts], [end, []], result.log);
    assert.is(result.notes.at(-1), code, result.log);
    assert.is(result.record!.outcome, end);
    assert.match(result.log, new RegExp(`${end}: ${code}: `));
    assert.equal([result.device.imageMounts, result.device.openHandles], [[], []]);
  });
}

function spoil(board: FakeBoard, ...slots: ('a' | 'b' | 'recovery')[]): void {
  for (const slot of slots) board.store.delete(`slots/${slot}/manifest.cose`);
}

test('two bad slots: the policy is followed action by action', () => {
  const board = makeBoard();
  spoil(board, 'a', 'b');
  const ends = Array.from({ length: 4 }, () => powerOn(board).end);
  assert.equal(ends, ['restart', 'restart', 'power-off', 'power-off']);
  assert.is(stateOf(board)!.restarts, 2);
  assert.is(stateOf(board)!.failure, 'HOST_NOT_FOUND');
});

test('recovery boots when both slots are bad, and is not a slot that can be good', () => {
  const board = makeBoard({ recovery: true });
  spoil(board, 'a', 'b');
  const { end, record, attempts, device } = powerOn(board);
  assert.is(end, 'exec');
  assert.equal([record!.outcome, record!.slot], ['recovery', 'recovery']);
  assert.equal(attempts, ['a HOST_NOT_FOUND', 'b HOST_NOT_FOUND', 'recovery ok']);
  assert.equal(device.imageMounts, MOUNTED);
  assert.is(stateOf(board)!.booted, 3);
});

test('recovery is verified as a slot is', () => {
  const board = makeBoard({ recovery: true });
  spoil(board, 'a', 'b');
  board.store.get('slots/recovery/manifest.cose')!.bytes[3000]! ^= 1;
  const { end, attempts } = powerOn(board);
  assert.is(end, 'restart');
  assert.is(attempts[2], 'recovery HOST_READ_FAILED');
});

test('a latch: two slots that boot but never prove themselves do not take turns', () => {
  const board = makeBoard();
  const slots = Array.from({ length: 12 }, () => {
    const { record } = powerOn(board);
    return record!.outcome === 'booted' ? record!.slot : record!.outcome;
  });
  assert.equal(slots.slice(0, 6), ['a', 'a', 'a', 'b', 'b', 'b']);
  assert.equal([...new Set(slots.slice(6))], ['restart', 'power-off']);
  assert.is(stateOf(board)!.latch, 1);
  // The command line does not open it, a new release does.
  board.commandLine = 'coldseal.slot=b';
  assert.equal(powerOn(board).attempts, ['b HOST_SLOT_LATCH', 'a HOST_SLOT_LATCH', NO_RECOVERY]);
  putManifest(board, 'b', signed(slotManifest('b', { version: '2.0' })));
  assert.equal(powerOn(board).attempts, ['b ok']);
  assert.equal([stateOf(board)!.latch, stateOf(board)!.triesB], [0, 2]);
});

test('the boot that closes the latch says so', () => {
  const board = makeBoard();
  setState(board, known({ triesA: 0, triesB: 0 }));
  const { end, notes, attempts } = powerOn(board);
  assert.equal([end, notes], ['restart', ['HOST_SLOT_LATCH']]);
  assert.equal(attempts, ['a HOST_SLOT_TRIES', 'b HOST_SLOT_TRIES', NO_RECOVERY]);
});

test('one slot only: the other one is never looked at', () => {
  const board = makeBoard();
  setPolicy(board, { slotCount: 1 });
  setState(board, { active: 2 });
  assert.equal(powerOn(board).attempts, ['a ok']);
  spoil(board, 'a');
  assert.equal(powerOn(board).attempts, ['a HOST_NOT_FOUND', NO_RECOVERY]);
});

test('a state that cannot be written is noted, and the boot goes on', () => {
  const { end, notes } = powerOn(makeBoard(), { failWrites: true });
  assert.equal([end, [...new Set(notes)]], ['exec', ['HOST_STATE_WRITE']]);
});

test('init that is not there uses up a try, and the next one is taken at once', () => {
  const board = makeBoard();
  board.systemPaths = ['/dev', '/proc', '/sys', '/run'];
  const { end, record, attempts } = powerOn(board);
  assert.is(end, 'restart');
  assert.equal([record!.outcome, record!.slot], ['restart', null]);
  assert.equal(attempts, ['a HOST_INIT']);
  assert.is(stateOf(board)!.restarts, 0);
  const ends = Array.from({ length: 8 }, () => powerOn(board).attempts.join());
  assert.equal(
    ends.slice(0, 5),
    ['a', 'a', 'b', 'b', 'b'].map((slot) => `${slot} HOST_INIT`),
  );
  assert.is(ends[6], `a HOST_SLOT_LATCH,b HOST_SLOT_LATCH,${NO_RECOVERY}`);
});

test('a system image without a place for /run: undone, and the other slot boots', () => {
  const board = makeBoard();
  board.systemPaths = ['/dev', '/proc', '/sys', '/sbin/init'];
  const { end, attempts, device } = powerOn(board);
  assert.is(end, 'restart');
  assert.equal(attempts.slice(0, 2), ['a HOST_SWITCH_ROOT', 'b HOST_SWITCH_ROOT']);
  assert.equal(device.imageMounts, []);
  assert.equal([...device.mounts.keys()].filter((path) => !path.startsWith('/sys/')).sort(), [
    '/dev',
    '/proc',
    '/run',
    '/run/coldseal/store',
    '/sys',
  ]);
});

test('an error that is a bug ends in the failure policy with a reason code', () => {
  const parts = {
    ...PARTS,
    startEarlyContainers: (): never => {
      throw new TypeError('x is undefined');
    },
  };
  const started = powerOn(makeBoard(), {}, parts);
  assert.equal([started.end, started.notes], ['exec', ['INTERNAL_BOOT']]);
  const board = makeBoard();
  const { end, attempts } = powerOn(board, {
    measure: () => {
      throw new RangeError('a bug');
    },
  });
  assert.equal([end, attempts], ['restart', ['a INTERNAL_BOOT', 'b INTERNAL_BOOT', NO_RECOVERY]]);
});

test('a report sends the record of a failed boot too', () => {
  const board = makeBoard();
  board.commandLine = 'coldseal.report=record';
  const reports: string[] = [];
  const parts = {
    ...PARTS,
    attend: (
      _: unknown,
      record: { outcome: string },
      __: unknown,
      options: { report?: string },
    ) => {
      reports.push(`${record.outcome} ${options.report}`);
      return 0;
    },
  } as typeof PARTS;
  spoil(board, 'a', 'b');
  assert.is(powerOn(board, {}, parts).end, 'restart');
  assert.is(reports[0], 'restart record');
});

test('a disk is counted where the command line names one, and nowhere else', () => {
  let reads = 0;
  const diskStat = (): string => `${++reads} 0 8 0 1 0 8 0 0 0 0`;
  const without = powerOn({ ...makeBoard(), diskStat });
  assert.is(reads, 0);
  assert.not.ok(JSON.stringify(without.record).includes('Io"'));
  assert.is(without.record!.io, undefined);

  const { end, record, notes, device } = powerOn({
    ...makeBoard(),
    diskStat,
    commandLine: 'coldseal.io=vda',
  });
  assert.equal([end, notes, device.openHandles], ['exec', [], []]);
  const stages = record!.stages;
  const [setup, policy] = stages;
  assert.equal([setup!.startIo, setup!.endIo, policy!.startIo], [undefined, undefined, undefined]);
  const counters = [
    policy!.endIo,
    ...stages.slice(2).flatMap((each) => [each.startIo, each.endIo]),
  ];
  assert.equal(
    [...counters, record!.io].map((each) => each?.readRequests),
    Array.from({ length: counters.length + 1 }, (_, i) => i + 1),
  );
  assert.equal(record!.io, {
    readRequests: reads,
    readBytes: 4096,
    writeRequests: 1,
    writeBytes: 4096,
  });
  // Times aside, it is the same boot.
  assert.equal(
    stages.map(({ name }) => name),
    without.record!.stages.map(({ name }) => name),
  );
});

test('a disk that is not there, or cannot be read, does not stop a boot that counts', () => {
  for (const commandLine of ['coldseal.io=sdz', 'coldseal.io=vda']) {
    const board = makeBoard();
    board.diskStat = () => 'no numbers';
    board.commandLine = commandLine;
    const { end, record, notes } = powerOn(board);
    assert.equal([end, notes, record!.io], ['exec', [], undefined], commandLine);
  }
});

test('a production board takes no report and no shell', () => {
  const board = makeBoard();
  const policy: Partial<DevicePolicy> = { isProduction: true, onFailure: [{ action: 'halt' }] };
  setPolicy(board, policy);
  board.commandLine = 'coldseal.report=record';
  const { end, notes } = powerOn(board);
  assert.equal([end, notes], ['halt', ['CONFIG_COMMAND_LINE']]);
});

test('the epochs of the state count beside those of the policy', () => {
  const board = makeBoard();
  setState(board, { epochs: new Map([[1, 8]]) });
  assert.equal(powerOn(board).attempts.slice(0, 2), ['a VERIFY_EPOCH', 'b VERIFY_EPOCH']);
  assert.equal([...POLICY.epochs], [[1, 7]]);
});

test.run();
