/**
 * Which slot boots: decisions over the slot state, without effects. The rules are those of docs/decisions/0030.
 *
 * Each boot of a slot uses up a try, counted before anything of it is mounted; `markGood` fills them up again. A slot
 * without tries is only looked at for a release that the state does not know, which starts with fresh ones. When no
 * slot has tries the latch closes: two bad slots never take turns. On a board without a recovery image one slot still
 * boots then, always the same: one that was good, or where none ever was, the active one. All functions return values.
 */
import { equalBytes } from './format/bytes.ts';
import { SLOTS, type SlotName, type SlotState } from './format/slot-state.ts';

/** The slots that take turns. */
export type Slot = Exclude<SlotName, 'recovery'>;

export interface SlotChoice {
  readonly slot: Slot;
  /** Why this one: a clause for people. */
  readonly because: string;
  /** It has no tries left: it may boot only with a release that the state does not know. */
  readonly onlyNew: boolean;
}

export interface SlotQuestion {
  readonly slotCount: 1 | 2;
  /** Slots that have failed in this boot. */
  readonly failed: readonly Slot[];
  /** What the command line asks for: tried first, not more often. */
  readonly first?: Slot | undefined;
  /** The board has no recovery image: rather than nothing, always the same slot is booted without tries. */
  readonly keepGood: boolean;
}

/** What the state says about one slot. */
export interface SlotFacts {
  readonly tries: number;
  readonly isGood: boolean;
  readonly release: Uint8Array;
}

export function slotFacts(state: SlotState, slot: Slot): SlotFacts {
  return slot === 'a'
    ? { tries: state.triesA, isGood: state.goodA === 1, release: state.releaseA }
    : { tries: state.triesB, isGood: state.goodB === 1, release: state.releaseB };
}

function withFacts(state: SlotState, slot: Slot, change: Partial<SlotFacts>): SlotState {
  const { tries, isGood, release } = { ...slotFacts(state, slot), ...change };
  const good = isGood ? 1 : 0;
  return slot === 'a'
    ? { ...state, triesA: tries, goodA: good, releaseA: release }
    : { ...state, triesB: tries, goodB: good, releaseB: release };
}

/** The next slot to try in this boot; undefined when none is left. */
export function chooseSlot(state: SlotState, question: SlotQuestion): SlotChoice | undefined {
  const { slotCount, failed, first, keepGood } = question;
  const active: Slot = state.active === 2 ? 'b' : 'a';
  const preferred = slotCount === 1 ? 'a' : (first ?? active);
  const order: Slot[] = slotCount === 1 ? ['a'] : [preferred, preferred === 'a' ? 'b' : 'a'];
  const left = order.filter((slot) => !failed.includes(slot));
  const mayTry = (slot: Slot): boolean => state.latch === 0 && slotFacts(state, slot).tries > 0;
  const slot = left.find(mayTry);
  if (slot === undefined) {
    // Power that failed in every boot looks the same as a slot that hangs. Always the same slot: no taking turns.
    const isGood = (each: Slot): boolean => slotFacts(state, each).isGood;
    // Where nothing was ever good, as on a new board, it is the first one: dark for ever would be worse.
    const kept = keepGood ? left.find(order.some(isGood) ? isGood : () => true) : undefined;
    if (kept !== undefined) {
      return {
        slot: kept,
        because: 'no slot has tries left, and there is no recovery',
        onlyNew: false,
      };
    }
    const because = state.latch === 1 ? 'the latch is closed' : 'no slot has tries left';
    return left[0] && { slot: left[0], because: `${because}: only a new release`, onlyNew: true };
  }
  let because = slot === first ? 'the command line asks for it' : 'it is active';
  if (slot !== preferred) {
    because = `${preferred} ${failed.includes(preferred) ? 'failed' : 'has no tries left'}`;
  }
  return { slot, because, onlyNew: false };
}

/** Whether the slot holds another release than the one its tries are about. */
export function isNewRelease(state: SlotState, slot: Slot, releaseId: Uint8Array): boolean {
  return !equalBytes(slotFacts(state, slot).release, releaseId);
}

/** A new release starts with fresh tries, and opens the latch. */
export function takeNewRelease(
  state: SlotState,
  slot: Slot,
  releaseId: Uint8Array,
  tries: number,
): SlotState {
  return withFacts({ ...state, latch: 0 }, slot, { tries, isGood: false, release: releaseId });
}

/** Uses up one try; recovery has none to count. */
export function countTry(state: SlotState, slot: SlotName): SlotState {
  const booted = SLOTS.indexOf(slot) + 1;
  if (slot === 'recovery') return { ...state, booted };
  const tries = Math.max(0, slotFacts(state, slot).tries - 1);
  return withFacts({ ...state, booted }, slot, { tries });
}

/** Closes the latch. */
export function closeLatch(state: SlotState): SlotState {
  return { ...state, latch: 1, triesA: 0, triesB: 0 };
}

/** Remembers the latest failure; reason codes are far shorter than the field. */
export function noteFailure(state: SlotState, code: string): SlotState {
  return { ...state, failure: code.slice(0, 56) };
}

export function countRestart(state: SlotState): SlotState {
  return { ...state, restarts: Math.min(255, state.restarts + 1) };
}

/** What is known of a release that has proven itself. */
export interface GoodRelease {
  readonly slot: Slot;
  readonly releaseId: Uint8Array;
  readonly epochs: ReadonlyMap<number, number>;
  readonly builtAt: number;
  /** Version of the deny list it was verified with; 0: none. */
  readonly denyVersion: number;
}

/** Fills the slot's tries, makes it the active one, and moves every floor forward, never back. */
export function markGood(state: SlotState, good: GoodRelease, tries: number): SlotState {
  const builtAt = BigInt(good.builtAt);
  const next = {
    ...state,
    active: good.slot === 'b' ? 2 : 1,
    latch: 0,
    restarts: 0,
    epochs: highestEpochs(state.epochs, good.epochs),
    denyVersion: Math.max(state.denyVersion, good.denyVersion),
    timeFloor: builtAt > state.timeFloor ? builtAt : state.timeFloor,
  };
  return withFacts(next, good.slot, { tries, isGood: true, release: good.releaseId });
}

/** The higher epoch of each domain. */
export function highestEpochs(
  ...sources: readonly ReadonlyMap<number, number>[]
): Map<number, number> {
  const highest = new Map<number, number>();
  for (const [domain, epoch] of sources.flatMap((source) => [...source])) {
    highest.set(domain, Math.max(epoch, highest.get(domain) ?? 0));
  }
  return highest;
}
