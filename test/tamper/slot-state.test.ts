/** Attacks on the slot state: every byte, every field, torn copies. A damaged copy is never taken for a good one. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeSlotState,
  encodeSlotState,
  encodeSlotStates,
  EPOCHS_MAX,
  freshSlotState,
  readSlotState,
  SLOT_STATE_BYTES,
  SLOT_STATE_SPACING,
  type SlotState,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { sha256 } from '../support/manifests.ts';

const test = suite('tamper: slot state');

const STATE: SlotState = {
  ...freshSlotState(3, 2),
  sequence: 41n,
  goodA: 1,
  releaseA: new Uint8Array(16).fill(1),
  releaseB: new Uint8Array(16).fill(2),
  restarts: 1,
  booted: 1,
  denyVersion: 5,
  timeFloor: 1_790_000_000n,
  failure: 'VERIFY_IMAGE_DIGEST',
  epochs: new Map([
    [1, 7],
    [4, 0],
    [9, 4_000_000_000],
  ]),
};
const GOOD = encodeSlotState(STATE, sha256);
const OLDER = encodeSlotState({ ...STATE, sequence: 40n, triesA: 1 }, sha256);

/** The bytes with some replaced and the hash made right again: only the bounds are left to refuse it. */
function forged(at: number, ...bytes: readonly number[]): Uint8Array {
  const copy = GOOD.slice();
  copy.set(bytes, at);
  copy.set(sha256(copy.subarray(0, SlotStateRecord.at.sha256)), SlotStateRecord.at.sha256);
  return copy;
}

test('a state survives being written and read', () => {
  assert.equal(decodeSlotState(GOOD, sha256), STATE);
  const fresh = freshSlotState(3, 1, new Map([[0, 0]]));
  assert.equal(decodeSlotState(encodeSlotState(fresh, sha256), sha256).epochs, new Map());
  assert.equal([fresh.triesA, fresh.triesB], [3, 0]);
});

test('a new partition begins with two copies, the second of which counts', () => {
  const bytes = encodeSlotStates(STATE, sha256);
  assert.is(bytes.length, SLOT_STATE_BYTES);
  const copies = [bytes.subarray(0, 512), bytes.subarray(SLOT_STATE_SPACING)];
  const { state, next, damage } = readSlotState(copies, sha256);
  assert.equal([state!.sequence, next, damage], [42n, 0, []]);
});

test('every bit of every byte of a copy, 0 false accepts', () => {
  let accepted = 0;
  for (let at = 0; at < GOOD.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = GOOD.slice();
      bytes[at]! ^= 1 << bit;
      const code = codeOf(() => decodeSlotState(bytes, sha256));
      if (code !== 'FORMAT_SLOT_STATE') accepted++;
    }
  }
  assert.is(accepted, 0);
});

test('every byte of either copy: the other one counts and the damaged one is written next', () => {
  for (const index of [0, 1]) {
    for (let at = 0; at < GOOD.length; at++) {
      const copies = [GOOD.slice(), OLDER.slice()];
      copies[index]![at]! ^= 0x80;
      const { state, next, damage } = readSlotState(copies, sha256);
      assert.equal([state!.sequence, next, damage.length], [index === 0 ? 40n : 41n, index, 1]);
    }
  }
});

test('torn anywhere between old and new, either way round', () => {
  for (let length = 0; length <= GOOD.length; length++) {
    const torn = OLDER.slice();
    torn.set(GOOD.subarray(0, length));
    const code = codeOf(() => decodeSlotState(torn, sha256));
    const isWhole = length === GOOD.length || length <= 8;
    assert.is(code, isWhole ? 'nothing was thrown' : 'FORMAT_SLOT_STATE', `${length} bytes`);
  }
});

const at = SlotStateRecord.at;
const FORGED: readonly [field: string, bytes: Uint8Array][] = [
  ['magic', forged(at.magic, 0)],
  ['layout', forged(at.layout, 2)],
  ['active 0', forged(at.active, 0)],
  ['active 3', forged(at.active, 3)],
  ['latch 2', forged(at.latch, 2)],
  ['latch with tries', forged(at.latch, 1)],
  ['sequence 0', forged(at.sequence, 0, 0, 0, 0, 0, 0, 0, 0)],
  ['sequence beyond 2^53', forged(at.sequence + 6, 0x20)],
  ['triesA 16', forged(at.triesA, 16)],
  ['goodA 2', forged(at.goodA, 2)],
  ['triesB 255', forged(at.triesB, 255)],
  ['goodB 2', forged(at.goodB, 2)],
  ['goodA without a release', forged(at.releaseA, ...new Uint8Array(16))],
  ['booted 4', forged(at.booted, 4)],
  ['reserved1', forged(at.reserved1, 0, 1)],
  ['reserved2', forged(at.reserved2, 0, 0, 0, 1)],
  ['reserved3', forged(at.reserved3 + 223, 1)],
  ['timeFloor beyond 2^53', forged(at.timeFloor + 7, 1)],
  ['failure in small letters', forged(at.failure, 0x76)],
  ['failure that goes on after its end', forged(at.failure + 40, 0x41)],
  ['epochs that are not ascending', forged(at.epochs + 8, 1)],
  ['epochs of one domain twice', forged(at.epochs + 16, 4)],
  ['an epoch after an unused one', forged(at.epochs + 40, 1)],
];

for (const [name, bytes] of FORGED) {
  test(`${name} is refused although the hash is right`, () => {
    expectCode(() => decodeSlotState(bytes, sha256), 'FORMAT_SLOT_STATE', name);
  });
}

test('fields that carry any value are taken as they are', () => {
  assert.is(decodeSlotState(forged(at.restarts, 200), sha256).restarts, 200);
  assert.is(decodeSlotState(forged(at.denyVersion, 9), sha256).denyVersion, 9);
});

test('lengths, missing copies, and two copies of one sequence', () => {
  for (const length of [0, 1, 511, 513]) {
    const bytes = new Uint8Array(length);
    bytes.set(GOOD.subarray(0, length));
    expectCode(() => decodeSlotState(bytes, sha256), 'FORMAT_SLOT_STATE', String(length));
  }
  assert.equal(readSlotState([], sha256), { state: undefined, next: 0, damage: [] });
  const none = readSlotState([undefined, undefined], sha256);
  assert.equal([none.state, none.next, none.damage.length], [undefined, 0, 2]);
  const same = readSlotState([GOOD, GOOD], sha256);
  assert.equal([same.state!.sequence, same.next], [41n, 1]);
});

const UNWRITABLE: readonly [string, Partial<SlotState>][] = [
  ['tries beyond the maximum', { triesB: 16 }],
  ['a latch with tries', { latch: 1 }],
  ['a failure that is a sentence', { failure: 'it failed' }],
  ['a sequence at its end', { sequence: BigInt(Number.MAX_SAFE_INTEGER) + 1n }],
  ['an epoch of more than 32 bits', { epochs: new Map([[1, 2 ** 32]]) }],
  [
    'too many epochs',
    { epochs: new Map(Array.from({ length: EPOCHS_MAX + 1 }, (_, i) => [i + 1, 1])) },
  ],
];

test('what no reader would take back is not written', () => {
  for (const [name, change] of UNWRITABLE) {
    expectCode(() => encodeSlotState({ ...STATE, ...change }, sha256), 'FORMAT_SLOT_STATE', name);
  }
});

test.run();
