/**
 * The system that was booted, as a command finds it: the record, what was sealed, the slot state, and the slot's
 * manifest, verified again. A command never acts on a manifest that this boot did not accept.
 */
import {
  PARTITION,
  RUN_RECORD,
  RUN_SEALED,
  SEALED,
  SEALED_POLICY,
  SEALED_TRUST,
} from '../device-paths.ts';
import type { Engine } from '../engine.ts';
import { listPartitions } from '../find-store.ts';
import type { BootRecord } from '../format/boot-record.ts';
import { toHex } from '../format/bytes.ts';
import { decodeDevicePolicy } from '../format/device-policy.ts';
import { ColdsealError } from '../format/errors.ts';
import { freshSlotState, type SlotName } from '../format/slot-state.ts';
import { decodeTrustBundle } from '../format/trust.ts';
import { readSmallFile } from '../read-file.ts';
import { readRecord } from '../record-file.ts';
import { loadState, type StatePartition } from '../state-partition.ts';
import { type SealedTrust, verifySlot } from '../verify-slot.ts';
import type { AcceptedManifest } from '../verify.ts';

export interface BootedSlot {
  readonly record: BootRecord;
  readonly slot: SlotName;
  readonly sealed: SealedTrust;
  readonly partition: StatePartition;
  /** What is wrong with the slot state. */
  readonly problems: readonly ColdsealError[];
  readonly accepted: AcceptedManifest;
}

const SEALED_MAX = 16 * 1024;

/** The record of this boot; throws HOST_NOT_BOOTED. */
export function requireRecord({ sys }: Engine): BootRecord {
  const record = readRecord(sys);
  if (record !== undefined) return record;
  throw new ColdsealError(
    'HOST_NOT_BOOTED',
    `Cannot find ${RUN_RECORD}: coldseal did not boot this system`,
  );
}

/** The booted slot, verified again; throws the first no. */
export function requireSlot(engine: Engine): BootedSlot {
  const { sys, crypto } = engine;
  const record = requireRecord(engine);
  const { slot, release } = record;
  if (slot === null || release === null) {
    throw new ColdsealError(
      'HOST_NOT_BOOTED',
      `Cannot find a slot: this boot ended with ${record.outcome}`,
    );
  }
  const read = (path: string): Uint8Array =>
    readSmallFile(sys, path.replace(SEALED, RUN_SEALED), SEALED_MAX);
  const policy = decodeDevicePolicy(read(SEALED_POLICY));
  const sealed = { policy, trust: decodeTrustBundle(read(SEALED_TRUST)) };
  const fresh = freshSlotState(policy.triesMax, policy.slotCount, policy.epochs);
  const device = listPartitions(sys).get(PARTITION.STATE);
  const { partition, notes } = loadState(sys, crypto, device, fresh);
  const accepted = verifySlot(engine, slot, sealed, partition.state);
  const digest = toHex(accepted.manifestSha256);
  if (digest !== release.manifestSha256) {
    throw new ColdsealError(
      'VERIFY_SLOT_CHANGED',
      `Cannot accept slot ${slot}: its manifest is ${digest}, ${release.manifestSha256} was booted`,
      { hint: 'restart, so that the new release is the one that runs' },
    );
  }
  return { record, slot, sealed, partition, problems: notes, accepted };
}
