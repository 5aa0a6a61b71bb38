/**
 * Power cuts in real boots of both virtual boards: whenever the power goes, the next boot works.
 *
 * Two ways of asking. Moments: QEMU is killed at random times of the board's first two seconds, around mark-good,
 * and as a write arrives; then the same disk boots. A killed emulator is kinder than a cut, so of two disks in three
 * what was not flushed is taken away or torn. Every place: one recording of all writes of two boots gives each disk
 * that a cut could have left, whole prefixes and torn writes; the board's own reader judges all of them, and those
 * that differ in kind boot.
 *
 * POWER_CUT_SEED and POWER_CUT_MOMENTS ask for other moments or more; POWER_CUT_REPORT names a file that gets a line
 * for each cut.
 */
import { appendFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { encodeSlotStates, type SlotState } from '../../runtime/format/slot-state.ts';
import type { BoardArchitecture } from '../../toolchain/board/qemu.ts';
import {
  type Cut,
  judgeState,
  MILESTONE,
  type PowerBoard,
  powerBoard,
  type PoweredRun,
} from '../support/power-lab.ts';
import { VectorRng } from '../support/vector-rng.ts';
import { applyWrites, type DiskWrite, tornWrites } from '../support/write-log.ts';

const test = suite('power cuts');

const SEED = Number(process.env['POWER_CUT_SEED'] ?? 1);
/** A boot of the x86 board takes three times as long on the host, and its writes are the same. */
const MOMENTS: Readonly<Record<BoardArchitecture, number>> = {
  aarch64: Number(process.env['POWER_CUT_MOMENTS'] ?? 50),
  x86_64: Math.ceil(Number(process.env['POWER_CUT_MOMENTS'] ?? 50) / 8),
};
const FIRST_MS = 2000;
const TRIES = 3;
/** Of the demo's releases, in domain 1. */
const EPOCH = 1;
/** Two for the try of a release that is new, and mark-good. */
const WRITES_OF_FIRST_BOOT = 3;
/** The boards that the tests share, with what a boot without a cut does. */
const labs = new Map<BoardArchitecture, Promise<Lab>>();

interface Lab {
  readonly board: PowerBoard;
  /** Of a board that never booted and whose state has no epochs yet, so that mark-good has something to raise. */
  readonly newState: Uint8Array;
  readonly reference: PoweredRun;
  /** The state after it: a board in the field. */
  readonly goodState: Uint8Array;
}

function labOf(architecture: BoardArchitecture): Promise<Lab> {
  const known = labs.get(architecture) ?? makeLab(architecture);
  labs.set(architecture, known);
  return known;
}

async function makeLab(architecture: BoardArchitecture): Promise<Lab> {
  const board = await powerBoard(architecture, {
    onPanic: (console) => report({ name: architecture, panic: console }),
  });
  const fresh = { ...judgeState(board.initialState).state!, epochs: new Map() };
  const newState = board.initialState.slice();
  newState.set(encodeSlotStates(fresh, createNodeCrypto().sha256));
  using disk = board.disk(newState);
  const reference = await disk.boot();
  assertBooted(reference, 'the boot without a cut');
  return { board, newState, reference, goodState: disk.readState() };
}

test.after(async () => {
  for (const lab of labs.values()) (await lab.catch(() => undefined))?.board[Symbol.dispose]();
});

// --- what must hold ------------------------------------------------------------------------------------

/** Everything came up: the early container, the later one, and the system said that it is good. */
function assertBooted({ console }: PoweredRun, what: string): void {
  for (const [name, pattern] of Object.entries(MILESTONE)) {
    assert.match(console, pattern, `${what}: ${name}`);
  }
  assert.not.match(console, /slot a refused|HOST_STATE/, what);
}

/** The state that a cut has left: one copy counts, and nothing went back. */
function assertCutState(bytes: Uint8Array, before: SlotState, what: string): SlotState {
  const { state, damage } = judgeState(bytes);
  if (state === undefined) return assert.unreachable(`${what}: no copy counts`) as never;
  assert.ok(damage.length <= 1, what);
  assert.ok(state.sequence >= before.sequence, what);
  assert.ok(state.triesA <= TRIES && state.triesA >= before.triesA - 1, `${what}: ${state.triesA}`);
  assert.equal([state.active, state.latch, state.restarts], [1, 0, 0], what);
  assert.ok(state.goodA >= before.goodA, what);
  // mark-good is done wholly or not at all.
  assert.equal([...state.epochs], state.goodA === 1 ? [[1, EPOCH]] : [], what);
  assertFloors(state, before, what);
  return state;
}

/** The state after a boot that went through. */
function assertGoodState(bytes: Uint8Array, before: SlotState, what: string): void {
  const { state, damage } = judgeState(bytes);
  assert.equal(damage, [], what);
  const { active, latch, restarts, booted, triesA, goodA } = state!;
  const facts = { active, latch, restarts, booted, triesA, goodA };
  const good = { active: 1, latch: 0, restarts: 0, booted: 1, triesA: TRIES, goodA: 1 };
  assert.equal(facts, good, what);
  assert.equal([...state!.epochs], [[1, EPOCH]], what);
  assert.ok(state!.sequence > before.sequence, what);
  assertFloors(state!, before, what);
}

function assertFloors(after: SlotState, before: SlotState, what: string): void {
  for (const [domain, epoch] of before.epochs) {
    assert.ok((after.epochs.get(domain) ?? 0) >= epoch, `${what}: epoch ${domain}`);
  }
  assert.ok(after.timeFloor >= before.timeFloor, what);
  assert.ok(after.denyVersion >= before.denyVersion, what);
}

/** A boot writes into the state partition only, and waits for each write to be durable before the next. */
function assertWrites({ stateOffset, stateSize }: PowerBoard, writes: readonly DiskWrite[]): void {
  for (const { offset, data } of writes) {
    assert.ok(offset >= stateOffset && offset + data.length <= stateOffset + stateSize);
  }
  assert.ok(writes.filter(({ isFlushed }) => !isFlushed).length <= 1);
}

// --- cuts at moments -----------------------------------------------------------------------------------

const WAYS = [
  'as QEMU left it',
  'without what was not flushed',
  'with the last write torn',
] as const;

interface Moment {
  readonly cut: Cut;
  readonly isNew: boolean;
  readonly way: (typeof WAYS)[number];
  /** Which of the torn writes. */
  readonly tear: number;
}

/** In turn, so that few moments have each kind, too. */
const KINDS = 'first first good first write first good first write first'.split(' ');

/** Six in ten in the first two seconds, two around mark-good, two as a write arrives. */
function momentsOf(count: number, { milestones }: PoweredRun): Moment[] {
  const random = new VectorRng(SEED);
  const between = (low: number, high: number): number =>
    low + (random.below(1e6) / 1e6) * (high - low);
  const later = milestones.get('LATER')!;
  const good = milestones.get('GOOD')!;
  return Array.from({ length: count }, (_, index) => {
    const isNew = random.below(2) === 0;
    const writes = isNew ? WRITES_OF_FIRST_BOOT : WRITES_OF_FIRST_BOOT - 1;
    const kind = KINDS[index % KINDS.length]!;
    const [low, high] = kind === 'first' ? [0, FIRST_MS] : [later, good];
    const cut: Cut =
      kind === 'write'
        ? { kind, number: 1 + random.below(writes) }
        : { kind: 'time', boardMs: Math.round(between(low, high) * 1000) / 1000 };
    return { cut, isNew, way: WAYS[random.below(3)]!, tear: random.below(1e6) };
  });
}

/** What is on the disk after the cut, at worst. */
function cutState(
  left: Uint8Array,
  base: Uint8Array,
  at: number,
  run: PoweredRun,
  moment: Moment,
): Uint8Array {
  const { writes } = run;
  const durable = applyWrites(
    base,
    at,
    writes.filter(({ isFlushed }) => isFlushed),
  );
  const all = applyWrites(base, at, writes);
  // QEMU writes log and file side by side; a kill between the two leaves one ahead. Then the file is what there is.
  const isInLog = [durable, all].some((bytes) => Buffer.compare(bytes, left) === 0);
  if (!isInLog) return left;
  const last = writes.find(({ isFlushed }) => !isFlushed);
  if (moment.way === 'as QEMU left it') return left;
  if (moment.way === 'without what was not flushed' || last === undefined) return durable;
  const start = last.offset - at;
  const torn = tornWrites(durable.subarray(start, start + last.data.length), last.data);
  return applyWrites(durable, at, [
    { offset: last.offset, data: torn[moment.tear % torn.length]!.bytes },
  ]);
}

async function cutAndBoot(
  { board, newState, goodState }: Lab,
  moment: Moment,
  name: string,
): Promise<void> {
  const base = moment.isNew ? newState : goodState;
  const before = judgeState(base).state!;
  using disk = board.disk(base);
  const first = await disk.boot(moment.cut);
  const what = `${name}, ${JSON.stringify(moment)}, cut at ${first.boardMs.toFixed(1)} ms`;
  assertWrites(board, first.writes);
  const state = cutState(disk.readState(), base, board.stateOffset, first, moment);
  const cut = assertCutState(state, before, what);
  disk.writeState(state);
  const second = await disk.boot();
  assertBooted(second, what);
  assertWrites(board, second.writes);
  assertGoodState(disk.readState(), cut, what);
  const unflushed = first.writes.filter(({ isFlushed }) => !isFlushed).length;
  const walls = [first.wallMs, second.wallMs].map((ms) => Math.round(ms));
  report({
    name,
    ...moment,
    cutMs: Math.round(first.boardMs),
    writes: first.writes.length,
    unflushed,
    triesA: cut.triesA,
    goodA: cut.goodA,
    walls,
  });
}

for (const architecture of ['aarch64', 'x86_64'] as const) {
  test(`${architecture}: cut at ${MOMENTS[architecture]} moments, it boots the next time`, async () => {
    const lab = await labOf(architecture);
    const moments = momentsOf(MOMENTS[architecture], lab.reference);
    await beside(
      moments.map((moment, index) => () => cutAndBoot(lab, moment, `${architecture} ${index}`)),
    );
  });
}

// --- every place of the recording ----------------------------------------------------------------------

interface CutDisk {
  readonly name: string;
  readonly state: Uint8Array;
  /** The states of which one must count. */
  readonly either: readonly SlotState[];
  readonly doesBoot: boolean;
}

/** One of each kind: what the medium may do to the record is the same for all. */
const BOOTED_TEARS = ['the first 256 bytes', 'all but the first 256 bytes', 'a sector of noise'];

/** Every disk that a cut during these writes could have left. */
function disksOf(base: Uint8Array, at: number, writes: readonly DiskWrite[]): CutDisk[] {
  const disks: CutDisk[] = [];
  let bytes = base;
  let state = judgeState(base).state!;
  for (const [index, write] of writes.entries()) {
    disks.push({
      name: `before write ${index + 1}`,
      state: bytes,
      either: [state],
      doesBoot: true,
    });
    const next = applyWrites(bytes, at, [write]);
    const nextState = judgeState(next).state!;
    const start = write.offset - at;
    const old = bytes.subarray(start, start + write.data.length);
    for (const torn of tornWrites(old, write.data)) {
      disks.push({
        name: `write ${index + 1}, ${torn.name}`,
        state: applyWrites(bytes, at, [{ offset: write.offset, data: torn.bytes }]),
        either: [state, nextState],
        doesBoot: BOOTED_TEARS.includes(torn.name),
      });
    }
    [bytes, state] = [next, nextState];
  }
  disks.push({ name: 'after all writes', state: bytes, either: [state], doesBoot: true });
  return disks;
}

async function bootCutDisk({ board }: Lab, { name, state }: CutDisk): Promise<void> {
  using disk = board.disk(state);
  const run = await disk.boot();
  assertBooted(run, name);
  assertGoodState(disk.readState(), judgeState(state).state!, name);
  report({ name: `${board.architecture} ${name}`, wallMs: Math.round(run.wallMs) });
}

for (const architecture of ['aarch64', 'x86_64'] as const) {
  test(`${architecture}: cut anywhere in the writes of two boots, it boots the next time`, async () => {
    const lab = await labOf(architecture);
    const { board, newState, reference, goodState } = lab;
    using disk = board.disk(goodState);
    const second = await disk.boot();
    assertBooted(second, 'the second boot');
    const writes = [...reference.writes, ...second.writes];
    assertWrites(board, writes);
    assert.is(writes.length, 2 * WRITES_OF_FIRST_BOOT - 1);
    const disks = disksOf(newState, board.stateOffset, writes);
    for (const { name, state, either } of disks) {
      const { state: found, damage } = judgeState(state);
      assert.ok(damage.length <= 1, name);
      assert.ok(
        either.some(({ sequence }) => sequence === found?.sequence),
        name,
      );
      assert.equal(
        found,
        either.find(({ sequence }) => sequence === found?.sequence),
        name,
      );
    }
    // On x86-64 what differs is the kernel, not the writes: one torn disk and the prefixes.
    const isBooted = ({ name, doesBoot }: CutDisk): boolean =>
      doesBoot && (architecture === 'aarch64' || /^(before|write 2, a sector)/.test(name));
    const distinct = new Map(
      disks.filter(isBooted).map((each) => [Buffer.from(each.state).toString('base64'), each]),
    );
    report({ name: architecture, judged: disks.length, booted: distinct.size });
    await beside([...distinct.values()].map((each) => () => bootCutDisk(lab, each)));
  });
}

// --- one cut after the other ---------------------------------------------------------------------------

/** The power goes as soon as the early container has spoken, before anything can be marked good. */
const BEFORE_GOOD: Cut = { kind: 'text', text: MILESTONE.FIRST_OUTPUT };

test('a good slot boots however often the power goes, and is whole again after one boot', async () => {
  const { board, goodState } = await labOf('aarch64');
  using disk = board.disk(goodState);
  const before = judgeState(goodState).state!;
  const tries: number[] = [];
  for (let cut = 1; cut <= 5; cut++) {
    const { console } = await disk.boot(BEFORE_GOOD);
    assert.match(console, MILESTONE.FIRST_OUTPUT, `cut ${cut}`);
    tries.push(assertCutStateAfter(disk.readState(), before));
  }
  assert.equal(tries, [2, 1, 0, 0, 0]);
  assertBooted(await disk.boot(), 'after five cuts');
  assertGoodState(disk.readState(), before, 'after five cuts');
});

function assertCutStateAfter(bytes: Uint8Array, before: SlotState): number {
  const { state, damage } = judgeState(bytes);
  assert.equal(damage, []);
  assert.equal([state!.active, state!.latch, state!.goodA], [1, 0, 1]);
  assertFloors(state!, before, 'one cut after the other');
  return state!.triesA;
}

test('a slot that was never good boots when its tries are used up, rather than none', async () => {
  const { board } = await labOf('aarch64');
  using disk = board.disk();
  for (let cut = 1; cut <= TRIES; cut++) {
    const { console } = await disk.boot(BEFORE_GOOD);
    assert.match(console, MILESTONE.FIRST_OUTPUT, `cut ${cut}`);
    assert.is(judgeState(disk.readState()).state!.triesA, TRIES - cut);
  }
  const before = judgeState(disk.readState()).state!;
  assertBooted(await disk.boot(), 'the boot after the cuts');
  assertGoodState(disk.readState(), before, 'after mark-good');
});

// --- running -------------------------------------------------------------------------------------------

/** Boots side by side: an emulated board keeps one processor busy. */
async function beside(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...jobs];
  const work = async (): Promise<void> => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await job();
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work));
}

function report(line: object): void {
  const path = process.env['POWER_CUT_REPORT'];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(line)}\n`);
}

test.run();
