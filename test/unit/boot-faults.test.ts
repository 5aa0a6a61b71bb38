/** Every call of a boot failing in turn, and power failing after every effect: never an accept, always an end. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { freshSlotState } from '../../runtime/format/slot-state.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { markGood } from '../../runtime/slots.ts';
import { loadState, saveState } from '../../runtime/state-partition.ts';
import {
  type BootResult,
  imagePath,
  makeBoard,
  POLICY,
  powerOn,
  setPolicy,
  setState,
  slotManifest,
  stateOf,
} from '../support/board-lab.ts';
import { Ended, type FakeBoard, type FakeRun } from '../support/fake-board.ts';
import { FakeDevice } from '../support/fake-device.ts';

const test = suite('boot faults');

/** What must hold however a boot ends. */
function checkEnd(result: BootResult, label: string): void {
  const { end, record, device, log } = result;
  assert.ok(end, `${label}: it ended`);
  assert.equal(device.openHandles, [], label);
  for (const path of device.imageMounts) {
    assert.ok(device.mounts.get(path)!.isVerityRequired, `${label}: ${path} requires fs-verity`);
  }
  const images = device.imageMounts.map((path) => device.mounts.get(path)!.image!);
  if (end === 'exec') {
    const slot = record?.slot ?? (/booted slot (a|b|recovery)/.exec(log)?.[1] as 'a' | undefined);
    assert.ok(slot, label);
    const own = [0, 1, 2].map((index) => imagePath(slot, index)).sort();
    assert.equal([...images].sort(), own, label);
    assert.is(device.mounts.get('/')!.image, imagePath(slot), label);
  } else if (!device.mounts.has('/')) {
    assert.equal(images, [], label);
  }
  const codes = [...log.matchAll(/\b[A-Z]+_[A-Z_]+\b/g)].map(([code]) => code);
  const isPlain = end === 'exec' && record !== undefined;
  assert.ok(isPlain || codes.length > 0, `${label}: a reason in the log`);
  for (const code of codes) assert.ok(code in RUNTIME_REASONS || code === 'CLOCK_BOOTTIME', code);
}

/** Up to here all boots make the same calls: the store is not mounted yet. */
const COMMON_CALLS = 60;

/** Fails each call of one kind of boot in turn. */
function failEach(
  prepare: () => FakeBoard,
  run: FakeRun,
  expected: string,
  from = COMMON_CALLS,
): number {
  const { device, end } = powerOn(prepare(), run);
  assert.is(end, expected);
  let booted = 0;
  for (let failAt = from; failAt <= device.callCount; failAt++) {
    const board = prepare();
    const result = powerOn(board, { ...run, failAt });
    checkEnd(result, `call ${failAt} of ${device.callCount}`);
    if (result.end === 'exec') booted++;
    // Whatever it was, it is over: the next boot works, unless nothing can.
    if (expected === 'exec' && failAt % 5 === 0)
      assert.is(powerOn(board).end, 'exec', `the boot after call ${failAt}`);
  }
  return booted;
}

test('a good boot: every call fails once', () => {
  const booted = failEach(() => makeBoard(), {}, 'exec', 1);
  // Most calls of slot a can fail, because slot b is there.
  assert.ok(booted > 100, `${booted} boots`);
});

test('a good boot on a kernel whose layers need no place: every call fails once', () => {
  failEach(() => makeBoard(), { detachedLayers: true }, 'exec');
});

test('a boot that falls back: every call fails once', () => {
  const prepare = (): FakeBoard => {
    const board = makeBoard();
    board.store.get(imagePath('a'))!.sealed = '0'.repeat(64);
    return board;
  };
  failEach(prepare, {}, 'exec');
});

test('a boot into recovery: every call fails once', () => {
  const prepare = (): FakeBoard => {
    const board = makeBoard({ recovery: true });
    board.store.delete('slots/a/manifest.cose');
    board.store.delete('slots/b/manifest.cose');
    return board;
  };
  failEach(prepare, {}, 'exec');
});

test('a boot that ends in the failure policy: every call fails once, and none boots', () => {
  const prepare = (): FakeBoard => {
    const board = makeBoard();
    board.store.delete('slots/a/manifest.cose');
    board.store.delete('slots/b/manifest.cose');
    return board;
  };
  assert.is(failEach(prepare, {}, 'restart'), 0);
});

const CODES: readonly [call: string, code: string, end: string][] = [
  ['mount proc', 'HOST_BOOT_STEP', 'halt'],
  ['mount cgroup2', 'HOST_BOOT_STEP', 'halt'],
  ['makeDirectory /run/coldseal', 'HOST_BOOT_STEP', 'halt'],
  ['open /proc/cmdline', 'HOST_READ_FAILED', 'power-off'],
  ['loadModule', 'HOST_MODULE_LOAD', 'exec'],
  ['open /dev/vda3', 'HOST_SYSTEM_CALL', 'exec'],
  ['writeInPlace', 'HOST_STATE_WRITE', 'exec'],
  ['mount ext4', 'HOST_STORE_MOUNT', 'restart'],
  ['open /run/coldseal/store/slots', 'HOST_READ_FAILED', 'restart'],
  ['open /run/coldseal/store/images', 'HOST_READ_FAILED', 'restart'],
  ['fsmount', 'HOST_MOUNT_FAILED', 'restart'],
  ['bindMount', 'HOST_SWITCH_ROOT', 'restart'],
  ['moveTree /dev /sysroot', 'HOST_SWITCH_ROOT', 'restart'],
  ['switchRoot', 'HOST_SWITCH_ROOT', 'restart'],
  ['writeFile /run/coldseal/boot.json', 'HOST_SYSTEM_CALL', 'exec'],
  ['exec', 'HOST_INIT', 'restart'],
];

for (const [failCall, code, end] of CODES) {
  test(`every "${failCall}" fails: ${code}, ${end}`, () => {
    const result = powerOn(makeBoard(), { failCall });
    checkEnd(result, failCall);
    assert.is(result.end, end, result.log);
    assert.ok(`${result.log} ${result.notes.join(' ')}`.includes(code), result.log);
  });
}

test('a clock that fails once is told and does not matter', () => {
  const { end, notes } = powerOn(makeBoard(), { failAt: 1 });
  assert.equal([end, notes], ['exec', ['HOST_CLOCK']]);
});

/** How much of a torn write reaches the medium. */
const TORN = [0, 1, 16, 33, 256, 511, 512];

test('power fails after every effect of a boot: the next boot works and has lost at most one try', () => {
  const effects = powerOn(makeBoard()).device.effectCount;
  for (let cutAt = 1; cutAt <= effects; cutAt++) {
    for (const cutBytes of TORN) {
      const board = makeBoard();
      const cut = powerOn(board, { cutAt, cutBytes });
      assert.is(cut.end, 'power cut');
      // Only a write to the medium can be torn.
      if (cutBytes > 0 && !cut.device.calls.at(-1)!.startsWith('writeInPlace')) break;
      const after = stateOf(board)!;
      assert.ok(after.triesA >= 2, `effect ${cutAt}, ${cutBytes} bytes: ${after.triesA} tries`);
      const { end, attempts } = powerOn(board);
      assert.equal([end, attempts], ['exec', ['a ok']], `effect ${cutAt}, ${cutBytes} bytes`);
      assert.ok(stateOf(board)!.triesA >= 1);
      assert.equal([...stateOf(board)!.epochs], [[1, 7]]);
    }
  }
});

/** What the command does in the booted system. */
function runMarkGood(board: FakeBoard, run: FakeRun = {}): FakeDevice {
  const device = new FakeDevice(board, run);
  const crypto = createNodeCrypto();
  try {
    device.mount('devtmpfs', '/dev', 'devtmpfs', { readOnly: false, data: '' });
    const fresh = freshSlotState(POLICY.triesMax, 2, POLICY.epochs);
    const { partition } = loadState(device, crypto, '/dev/vda3', fresh);
    const { releaseId, builtAt } = slotManifest('a');
    const good = {
      slot: 'a',
      releaseId,
      builtAt,
      denyVersion: 0,
      epochs: new Map([[1, 8]]),
    } as const;
    saveState(device, crypto, partition, markGood(partition.state, good, POLICY.triesMax));
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
  }
  return device;
}

test('power fails at every byte of mark-good: it happened or it did not, and the next boot works', () => {
  for (let cutBytes = 0; cutBytes <= 512; cutBytes++) {
    const board = makeBoard();
    powerOn(board);
    const before = stateOf(board)!;
    assert.is(runMarkGood(board, { cutAt: 2, cutBytes }).end, 'power cut');
    const after = stateOf(board)!;
    const isMarked = after.goodA === 1;
    // The last bytes of the hash may happen to be those of the state before.
    assert.ok(isMarked ? cutBytes >= 500 : cutBytes < 512, `${cutBytes} bytes`);
    assert.is(after.triesA, isMarked ? 3 : before.triesA);
    assert.equal([...after.epochs], [[1, isMarked ? 8 : 7]]);
    setPolicy(board, { epochs: new Map([[2, 1]]) });
    if (!isMarked && cutBytes % 16 === 0)
      assert.is(powerOn(board).end, 'exec', `${cutBytes} bytes`);
  }
});

test('mark-good after every boot keeps a board on its slot for ever', () => {
  const board = makeBoard();
  setPolicy(board, { epochs: new Map([[2, 1]]) });
  for (let boots = 0; boots < 20; boots++) {
    assert.equal(powerOn(board).attempts, ['a ok']);
    const device = new FakeDevice(board);
    device.mount('devtmpfs', '/dev', 'devtmpfs', { readOnly: false, data: '' });
    const crypto = createNodeCrypto();
    const { partition } = loadState(device, crypto, '/dev/vda3', freshSlotState(3, 2));
    const { releaseId, builtAt, epochs } = slotManifest('a');
    const good = { slot: 'a', releaseId, builtAt, epochs, denyVersion: 0 } as const;
    saveState(device, crypto, partition, markGood(partition.state, good, 3));
  }
  assert.equal([stateOf(board)!.triesA, stateOf(board)!.goodA], [3, 1]);
});

test('power that fails in every boot never leaves a board dark that has no recovery image', () => {
  const board = makeBoard();
  setPolicy(board, { onFailure: [{ action: 'halt' }] });
  setState(board, { releaseA: slotManifest('a').releaseId, goodA: 1 });
  const effects = powerOn(makeBoard()).device.effectCount;
  for (let i = 0; i < 40; i++) powerOn(board, { cutAt: 1 + ((i * 7) % effects), cutBytes: 100 });
  const { end, attempts } = powerOn(board);
  assert.equal([end, attempts], ['exec', ['a ok']]);
});

test('a state partition that is too small or full of other things is noted, and the boot goes on', () => {
  const board = makeBoard();
  board.state.fill(0xff);
  const { end, notes } = powerOn(board);
  assert.equal([end, notes], ['exec', ['FORMAT_SLOT_STATE', 'FORMAT_SLOT_STATE']]);
  const small = { ...makeBoard(), state: new Uint8Array(100) };
  const second = powerOn(small);
  assert.is(second.end, 'exec');
  assert.ok(second.notes.includes('HOST_STATE_WRITE'));
});

test.run();
