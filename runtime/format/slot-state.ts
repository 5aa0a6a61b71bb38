/**
 * The slot state: which slot boots next, how often it may still try, and the epochs that must not go back.
 *
 * The state partition is raw and holds two copies, 4096 bytes apart, so that one torn write never hits both; the valid
 * copy with the higher sequence counts, and the other one is written next. Nothing is allocated to write it: a full
 * disk cannot stop a boot (docs/decisions/0030). It is a file without protection against whoever holds the disk:
 * its epochs keep off accidental downgrades only, the floors sealed into the initramfs stand beside them.
 */
import { allZero, ascii, equalBytes, toByteString } from './bytes.ts';
import { ColdsealError } from './errors.ts';
import {
  byteArray,
  magic,
  struct,
  type StructValue,
  u32,
  u64,
  u8,
  always16,
  zeros,
} from './struct.ts';

/** The slots a board may have, and the recovery image, which is tried when no slot is left. */
export const SLOTS = ['a', 'b', 'recovery'] as const;
export type SlotName = (typeof SLOTS)[number];

export const SLOT_STATE_COPIES = 2;
/** Copies lie in blocks of their own. */
export const SLOT_STATE_SPACING = 4096;
/** Boots that a slot may try without being marked good. */
export const TRIES_MAX = 15;
export const EPOCHS_MAX = 16;
const HASH_SIZE = 32;

export const SlotStateRecord = struct('slot state', 512, 'docs/decisions/0030', {
  magic: [0x00, magic(0x54535343, 'the letters CSST')],
  layout: [0x04, always16(1, 'layout of this record')],
  active: [0x06, u8('slot tried first: 1 a, 2 b')],
  latch: [
    0x07,
    u8('1: every slot has used up its tries; only recovery or a new release is booted'),
  ],
  sequence: [0x08, u64('rises with each write; the copy with the higher one counts')],

  triesA: [0x10, u8('boots that slot a may still try')],
  goodA: [0x11, u8('1: slot a was marked good since it was installed')],
  triesB: [0x12, u8('boots that slot b may still try')],
  goodB: [0x13, u8('1: slot b was marked good since it was installed')],
  restarts: [0x14, u8('restarts by the failure policy since a slot last booted')],
  booted: [0x15, u8('slot of the latest boot: 0 none, 1 a, 2 b, 3 recovery')],
  reserved1: [0x16, zeros(2)],
  denyVersion: [0x18, u32('highest version of a deny list that was accepted')],
  reserved2: [0x1c, zeros(4)],

  releaseA: [0x20, byteArray(16, 'release id that triesA and goodA are about; zeros: none yet')],
  releaseB: [0x30, byteArray(16, 'release id that triesB and goodB are about; zeros: none yet')],
  timeFloor: [0x40, u64('latest built_at of a release marked good, seconds since 1970')],
  failure: [
    0x48,
    byteArray(56, 'reason code of the latest failure in ASCII, filled up with zeros'),
  ],

  epochs: [
    0x80,
    byteArray(128, '16 pairs of u32, rollback domain and epoch, ascending; unused pairs are zero'),
  ],
  reserved3: [0x100, zeros(224)],
  sha256: [0x1e0, byteArray(HASH_SIZE, 'SHA-256 of the bytes before it')],
});

export type SlotState = Omit<
  StructValue<typeof SlotStateRecord>,
  'epochs' | 'sha256' | 'failure'
> & {
  readonly epochs: ReadonlyMap<number, number>;
  /** A reason code, or empty. */
  readonly failure: string;
};

/** Both copies, as the state partition begins with them. */
export const SLOT_STATE_BYTES = SLOT_STATE_SPACING * (SLOT_STATE_COPIES - 1) + SlotStateRecord.size;

type Sha256 = (bytes: Uint8Array) => Uint8Array;

const NONE = new Uint8Array(16);
const EPOCH_SIZE = 8;
const U32_MAX = 0xffff_ffff;
/** Fits a JavaScript number, so that whoever prints it needs no bigint. */
const COUNTER_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const REASON_CODE = /^[A-Z0-9_]{0,56}$/;

/** The state of a board that has never booted, and of one that lost its state. */
export function freshSlotState(
  tries: number,
  slotCount: 1 | 2,
  epochs: ReadonlyMap<number, number> = new Map(),
): SlotState {
  return {
    active: 1,
    latch: 0,
    sequence: 1n,
    triesA: tries,
    goodA: 0,
    triesB: slotCount === 1 ? 0 : tries,
    goodB: 0,
    restarts: 0,
    booted: 0,
    denyVersion: 0,
    releaseA: NONE,
    releaseB: NONE,
    timeFloor: 0n,
    failure: '',
    epochs,
  };
}

/** One copy. Throws FORMAT_SLOT_STATE for a state that no reader would take back. */
export function encodeSlotState(state: SlotState, sha256: Sha256): Uint8Array {
  const { epochs, failure, ...rest } = state;
  const problem = problemOf(state);
  if (problem !== undefined) throw refuse('write', problem);
  const pairs = new Uint8Array(EPOCHS_MAX * EPOCH_SIZE);
  const view = new DataView(pairs.buffer);
  // Domain 0 at epoch 0 would look like an unused pair, and asks for next to nothing.
  const used = [...epochs].filter(([domain, epoch]) => domain + epoch > 0);
  const ascending = used.sort(([a], [b]) => a - b);
  for (const [index, [domain, epoch]] of ascending.entries()) {
    view.setUint32(index * EPOCH_SIZE, domain, true);
    view.setUint32(index * EPOCH_SIZE + 4, epoch, true);
  }
  const text = new Uint8Array(56);
  text.set(ascii(failure));
  const bytes = SlotStateRecord.encode({
    ...rest,
    epochs: pairs,
    failure: text,
    sha256: new Uint8Array(HASH_SIZE),
  });
  bytes.set(sha256(bytes.subarray(0, SlotStateRecord.at.sha256)), SlotStateRecord.at.sha256);
  return bytes;
}

/** What a new state partition begins with: both copies, one step apart. */
export function encodeSlotStates(state: SlotState, sha256: Sha256): Uint8Array {
  const bytes = new Uint8Array(SLOT_STATE_BYTES);
  bytes.set(encodeSlotState(state, sha256));
  const next = { ...state, sequence: state.sequence + 1n };
  bytes.set(encodeSlotState(next, sha256), SLOT_STATE_SPACING);
  return bytes;
}

/** Reads one copy; throws FORMAT_SLOT_STATE. Nothing in it is believed before its hash and every bound. */
export function decodeSlotState(bytes: Uint8Array, sha256: Sha256): SlotState {
  const end = SlotStateRecord.at.sha256;
  if (bytes.length !== SlotStateRecord.size) throw refuse('read', `it has ${bytes.length} bytes`);
  if (!equalBytes(sha256(bytes.subarray(0, end)), bytes.subarray(end))) {
    throw refuse('read', 'its SHA-256 does not match');
  }
  let value: StructValue<typeof SlotStateRecord>;
  try {
    value = SlotStateRecord.decode(bytes);
  } catch (cause) {
    throw refuse('read', (cause as Error).message, cause);
  }
  const { sha256: _, epochs, failure, ...rest } = value;
  const state = { ...rest, epochs: decodeEpochs(epochs), failure: decodeText(failure) };
  const problem = problemOf(state);
  if (problem !== undefined) throw refuse('read', problem);
  return state;
}

export interface SlotStateCopies {
  /** The copy that counts; undefined when none is valid. */
  readonly state: SlotState | undefined;
  /** Index of the copy that is written next: never the one that counts. */
  readonly next: number;
  /** What is wrong with each damaged copy. */
  readonly damage: readonly ColdsealError[];
}

/** Judges all copies; undefined stands for one that could not be read at all. */
export function readSlotState(
  copies: readonly (Uint8Array | undefined)[],
  sha256: Sha256,
): SlotStateCopies {
  let best = -1;
  let state: SlotState | undefined;
  const damage: ColdsealError[] = [];
  for (const [index, bytes] of copies.entries()) {
    try {
      const copy = decodeSlotState(bytes ?? NONE, sha256);
      if (state !== undefined && copy.sequence <= state.sequence) continue;
      state = copy;
      best = index;
    } catch (error) {
      if (!(error instanceof ColdsealError)) throw error;
      damage.push(error);
    }
  }
  return { state, next: best === 0 ? 1 : 0, damage };
}

function decodeEpochs(pairs: Uint8Array): Map<number, number> {
  const view = new DataView(pairs.buffer, pairs.byteOffset, pairs.length);
  const epochs = new Map<number, number>();
  let previous = -1;
  for (let at = 0; at < pairs.length; at += EPOCH_SIZE) {
    const domain = view.getUint32(at, true);
    const epoch = view.getUint32(at + 4, true);
    if (domain === 0 && epoch === 0) {
      if (allZero(pairs, at)) break;
      throw refuse('read', 'an unused epoch is followed by a used one');
    }
    if (domain <= previous) throw refuse('read', 'its epochs are not ascending');
    epochs.set(domain, epoch);
    previous = domain;
  }
  return epochs;
}

function decodeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const length = end < 0 ? bytes.length : end;
  if (!allZero(bytes, length)) throw refuse('read', 'its failure goes on after its end');
  return toByteString(bytes, 0, length);
}

/** The first bound or rule between fields that a state breaks. */
function problemOf(state: SlotState): string | undefined {
  const bounds = [
    ['active', state.active, 1, 2],
    ['latch', state.latch, 0, 1],
    ['triesA', state.triesA, 0, TRIES_MAX],
    ['goodA', state.goodA, 0, 1],
    ['triesB', state.triesB, 0, TRIES_MAX],
    ['goodB', state.goodB, 0, 1],
    ['booted', state.booted, 0, SLOTS.length],
    ['sequence', state.sequence, 1, COUNTER_MAX],
    ['timeFloor', state.timeFloor, 0, COUNTER_MAX],
  ] as const;
  for (const [name, value, min, max] of bounds) {
    if (value < min || value > max) return `${name} is ${value}, expected ${min} to ${max}`;
  }
  if (state.latch === 1 && state.triesA + state.triesB > 0) return 'it is latched and has tries';
  for (const [good, release] of [
    [state.goodA, state.releaseA],
    [state.goodB, state.releaseB],
  ] as const) {
    if (good === 1 && allZero(release)) return 'a slot without a release is good';
  }
  if (!REASON_CODE.test(state.failure)) return 'its failure is not a reason code';
  if (state.epochs.size > EPOCHS_MAX) return `it has more than ${EPOCHS_MAX} epochs`;
  for (const pair of state.epochs) {
    if (!pair.every((n) => Number.isInteger(n) && n >= 0 && n <= U32_MAX)) {
      return `epoch ${pair.join('=')} does not fit 32 bits`;
    }
  }
  return undefined;
}

function refuse(verb: string, problem: string, cause?: unknown): ColdsealError {
  return new ColdsealError('FORMAT_SLOT_STATE', `Cannot ${verb} the slot state: ${problem}`, {
    cause,
  });
}
