/**
 * The slot state on its raw partition: read once at boot, written in place, one copy at a time.
 *
 * A write goes to the copy that does not count, with the next sequence. If power fails or the medium refuses, the
 * copy that counts is untouched. A state that cannot be read or written never stops a boot: it is a note.
 */
import type { Crypto } from './crypto.ts';
import { ColdsealError } from './format/errors.ts';
import {
  readSlotState,
  encodeSlotState,
  SLOT_STATE_COPIES,
  SLOT_STATE_SPACING,
  type SlotState,
  SlotStateRecord,
} from './format/slot-state.ts';
import { errnoOf, explainSysError, stepError } from './sys-error.ts';
import type { Sys, SysWrites } from './sys.ts';

/** The partition, and what is on it. */
export interface StatePartition {
  /** Absent: the board has none, or it did not appear; then the state lasts for this boot only. */
  readonly path: string | undefined;
  state: SlotState;
  /** The copy that is written next. */
  next: number;
}

/** Reads the partition. Without a valid copy the state is `fresh`; `notes` says what was wrong. */
export function loadState(
  sys: Sys,
  crypto: Crypto,
  path: string | undefined,
  fresh: SlotState,
): { partition: StatePartition; notes: ColdsealError[] } {
  if (path === undefined) {
    const missing = new ColdsealError(
      'HOST_STATE_MISSING',
      'Cannot keep the slot state: its partition did not appear',
    );
    return { partition: { path, state: fresh, next: 0 }, notes: [missing] };
  }
  const notes: ColdsealError[] = [];
  let copies: (Uint8Array | undefined)[] = [];
  try {
    copies = readCopies(sys, path);
  } catch (error) {
    const explained = explainSysError(error, `Cannot read the slot state from ${path}`);
    if (!(explained instanceof ColdsealError)) throw error;
    notes.push(explained);
  }
  const { state = fresh, next, damage } = readSlotState(copies, (bytes) => crypto.sha256(bytes));
  return { partition: { path, state, next }, notes: [...notes, ...damage] };
}

function readCopies(sys: Sys, path: string): (Uint8Array | undefined)[] {
  const fd = sys.open(path);
  try {
    return Array.from({ length: SLOT_STATE_COPIES }, (_, index) => {
      const bytes = new Uint8Array(SlotStateRecord.size);
      try {
        return bytes.subarray(0, sys.read(fd, bytes, index * SLOT_STATE_SPACING));
      } catch (error) {
        // One unreadable sector must not cost the other copy.
        if (errnoOf(error) === undefined) throw error;
        return undefined;
      }
    });
  } finally {
    sys.close(fd);
  }
}

/** Writes the next state, which then counts. Throws HOST_STATE_WRITE and leaves the old one in force. */
export function saveState(
  sys: SysWrites,
  crypto: Crypto,
  partition: StatePartition,
  next: SlotState,
): void {
  const state = { ...next, sequence: partition.state.sequence + 1n };
  const bytes = encodeSlotState(state, (input) => crypto.sha256(input));
  if (partition.path !== undefined) {
    try {
      sys.writeInPlace(partition.path, bytes, partition.next * SLOT_STATE_SPACING);
    } catch (cause) {
      const doing = `Cannot write the slot state to ${partition.path}`;
      throw stepError('HOST_STATE_WRITE', doing, cause);
    }
    partition.next = (partition.next + 1) % SLOT_STATE_COPIES;
  }
  partition.state = state;
}
