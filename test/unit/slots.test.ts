/** Which slot boots, as a table, and what each event does to the state. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeSlotState,
  encodeSlotState,
  freshSlotState,
  type SlotState,
} from '../../runtime/format/slot-state.ts';
import {
  chooseSlot,
  closeLatch,
  countRestart,
  countTry,
  highestEpochs,
  isNewRelease,
  markGood,
  noteFailure,
  type SlotQuestion,
  slotFacts,
  takeNewRelease,
} from '../../runtime/slots.ts';
import { sha256 } from '../support/manifests.ts';

const test = suite('slots');

const RELEASE = new Uint8Array(16).fill(7);
const OTHER = new Uint8Array(16).fill(8);

/** `a3 b0+ latch`: tries, `+` for good, and what else. */
function stateOf(text: string): SlotState {
  const [a = '', b = '', ...more] = text.split(' ');
  return {
    ...freshSlotState(0, 2),
    triesA: Number(a[1]),
    triesB: Number(b[1]),
    goodA: Number(a.endsWith('+')),
    goodB: Number(b.endsWith('+')),
    releaseA: RELEASE,
    releaseB: OTHER,
    active: more.includes('active=b') ? 2 : 1,
    latch: Number(more.includes('latch')),
  };
}

const TABLE: readonly [state: string, Partial<SlotQuestion>, choice: string, because: RegExp][] = [
  ['a3 b3', {}, 'a', /it is active/],
  ['a3 b3 active=b', {}, 'b', /it is active/],
  ['a1 b3', {}, 'a', /it is active/],
  ['a0 b3', {}, 'b', /a has no tries left/],
  ['a0+ b1', {}, 'b', /a has no tries left/],
  ['a3 b3', { failed: ['a'] }, 'b', /a failed/],
  ['a3 b0 active=b', {}, 'a', /b has no tries left/],
  ['a3 b3', { first: 'b' }, 'b', /the command line/],
  ['a3 b0', { first: 'b' }, 'a', /b has no tries left/],
  ['a3 b3', { first: 'b', failed: ['b'] }, 'a', /b failed/],
  ['a3 b3', { slotCount: 1, first: 'b' }, 'a', /it is active/],
  ['a3 b3 active=b', { slotCount: 1 }, 'a', /it is active/],
  ['a0 b3', { slotCount: 1 }, 'a only new', /no slot has tries/],
  ['a0 b3', { failed: ['b'] }, 'a only new', /no slot has tries/],
  // Both exhausted, and then the latch: only a new release, whoever asks.
  ['a0 b0', {}, 'a only new', /no slot has tries/],
  ['a0 b0', { failed: ['a'] }, 'b only new', /no slot has tries/],
  ['a0 b0', { failed: ['a', 'b'] }, 'none', /^$/],
  ['a3 b3', { failed: ['b', 'a'] }, 'none', /^$/],
  ['a3 b3', { slotCount: 1, failed: ['a'] }, 'none', /^$/],
  ['a0 b0 latch', { first: 'b' }, 'b only new', /the latch is closed/],
  ['a0+ b0+ latch', {}, 'a only new', /the latch is closed/],
  // Without a recovery image one slot is better than none: always the same, a good one if there is any.
  ['a0+ b0+ latch', { keepGood: true }, 'a', /there is no recovery/],
  ['a0 b0+ latch', { keepGood: true }, 'b', /there is no recovery/],
  ['a0 b0+ latch', { keepGood: true, failed: ['b'] }, 'a only new', /the latch is closed/],
  ['a0 b0 latch', { keepGood: true }, 'a', /there is no recovery/],
  ['a0 b0 latch', { keepGood: true, failed: ['a'] }, 'b', /there is no recovery/],
  ['a0+ b1', { keepGood: true }, 'b', /a has no tries left/],
  ['a0+ b0', { keepGood: true, failed: ['a'] }, 'b only new', /no slot has tries/],
];

for (const [state, change, expected, because] of TABLE) {
  test(`${state} ${JSON.stringify(change)}: ${expected}`, () => {
    const question = { slotCount: 2 as const, failed: [], keepGood: false, ...change };
    const choice = chooseSlot(stateOf(state), question);
    const shown = choice && `${choice.slot}${choice.onlyNew ? ' only new' : ''}`;
    assert.is(shown ?? 'none', expected);
    assert.match(choice?.because ?? '', because);
  });
}

test('a try is counted down to zero and not below', () => {
  let state = stateOf('a2 b3');
  const tries = Array.from({ length: 4 }, () => (state = countTry(state, 'a')).triesA);
  assert.equal(tries, [1, 0, 0, 0]);
  assert.equal([state.triesB, state.booted], [3, 1]);
  assert.is(countTry(state, 'b').booted, 2);
  assert.equal([countTry(state, 'recovery').booted, countTry(state, 'recovery').triesB], [3, 3]);
});

test('a new release starts with fresh tries, is not good, and opens the latch', () => {
  const state = closeLatch(stateOf('a2+ b1'));
  assert.equal([state.latch, state.triesA, state.triesB], [1, 0, 0]);
  assert.not.ok(isNewRelease(state, 'a', RELEASE));
  assert.ok(isNewRelease(state, 'b', RELEASE));
  const next = takeNewRelease(state, 'b', RELEASE, 3);
  assert.equal(slotFacts(next, 'b'), { tries: 3, isGood: false, release: RELEASE });
  assert.equal(slotFacts(next, 'a'), slotFacts(state, 'a'));
  assert.is(next.latch, 0);
});

test('mark-good fills the tries and moves everything forward, never back', () => {
  const before = {
    ...closeLatch(stateOf('a0 b0')),
    restarts: 2,
    denyVersion: 4,
    timeFloor: 100n,
    epochs: new Map([
      [1, 5],
      [3, 9],
    ]),
  };
  const good = {
    slot: 'b',
    releaseId: RELEASE,
    epochs: new Map([
      [1, 6],
      [2, 1],
      [3, 8],
    ]),
    builtAt: 200,
    denyVersion: 3,
  } as const;
  const after = markGood(before, good, 3);
  assert.equal([after.active, after.latch, after.restarts], [2, 0, 0]);
  assert.equal(slotFacts(after, 'b'), { tries: 3, isGood: true, release: RELEASE });
  assert.equal([after.denyVersion, after.timeFloor], [4, 200n]);
  assert.equal(
    [...after.epochs].sort(([a], [b]) => a - b),
    [
      [1, 6],
      [2, 1],
      [3, 9],
    ],
  );
  const older = markGood(after, { ...good, builtAt: 1, denyVersion: 9 }, 3);
  assert.equal([older.timeFloor, older.denyVersion], [200n, 9]);
});

test('failures are remembered within their field, restarts up to a byte', () => {
  const state = noteFailure(stateOf('a1 b1'), 'VERIFY_'.repeat(20));
  assert.is(state.failure.length, 56);
  assert.equal(decodeSlotState(encodeSlotState(state, sha256), sha256).failure, state.failure);
  let counted = state;
  for (let i = 0; i < 300; i++) counted = countRestart(counted);
  assert.is(counted.restarts, 255);
});

test('the highest epoch of each domain counts', () => {
  assert.equal(
    [
      ...highestEpochs(
        new Map([[1, 2]]),
        new Map([
          [1, 1],
          [2, 0],
        ]),
      ),
    ],
    [
      [1, 2],
      [2, 0],
    ],
  );
  assert.equal([...highestEpochs()], []);
});

test.run();
