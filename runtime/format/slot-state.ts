/**
 * The slot state: which slot boots next, how often it may still try, and the epochs that must not go back.
 *
 * The state partition is raw and holds two copies, 4096 bytes apart, so that one torn write never hits both; the valid
 * copy with the higher sequence counts, and the other one is written next. Nothing is allocated to write it: a full
 * disk cannot stop a boot (docs/decisions/0030). It is a file without protection against whoever holds the disk:
 * its epochs keep off accidental downgrades only, the floors sealed into the initramfs stand beside them.
 */
import { equalBytes } from './bytes.ts';
import { ColdsealError } from './errors.ts';
import { byteArray, magic, struct, type StructValue, u32, u64, u8, always16, zeros } from './struct.ts';

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

export const SlotStateRecord = struct('SlotState', 512, 'docs/format.md, slot state', {
  magic: [0x00, magic(0x54535343, 'the letters CSST')],
  layout: [0x04, always16(1, 'layout of this record')],
  active: [0x06, u8('slot tried first: 1 a, 2 b')],
  latch: [0x07, u8('1: every slot has used up its tries; only recovery or a new release is booted')],
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
  failure: [0x48, byteArray(56, 'reason code of the latest failure in ASCII, filled up with zeros')],

  epochs: [0x80, byteArray(128, '16 pairs of u32, rollback domain and epoch, ascending; unused pairs are zero')],
  reserved3: [0x100, zeros(224)],
  sha256: [0x1e0, byteArray(HASH_SIZE, 'SHA-256 of the bytes before it')],
});

export type SlotState = Omit<StructValue<typeof SlotStateRecord>, 'epochs' | 'sha256' | 'failure'> & {
  readonly epochs: ReadonlyMap<number, number>;
  readonly failure: string;
};
