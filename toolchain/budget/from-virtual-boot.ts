/**
 * A boot of a virtual board, as `coldseal boot --out` keeps it, as a measured boot. Pure.
 *
 * Every boot of a virtual board is a cold one: the emulator starts anew with a fresh copy of the disk.
 */
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import type { StageIo } from '../board/io-counts.ts';
import { type BootFacts, fromBootRecord, ioOf } from './from-boot-record.ts';
import type { MeasuredBoot } from './measured-boot.ts';

/** What a line of boot-records.jsonl says beside the runtime's record. */
export interface VirtualBootFacts {
  readonly evidence: 'virtual' | 'virtual-wallclock';
  readonly board: string;
  readonly release: { readonly id: string; readonly version: string } | null;
  readonly record: BootRecord;
  /** What a boot of its own counted; absent where none was made. */
  readonly storage?: { readonly stages?: readonly StageIo[] | undefined } | undefined;
}

/** Converts a line. The board is the one that QEMU played; a slot of another version keeps the version that booted. */
export function fromVirtualBoot(boot: VirtualBootFacts, source: BootFacts['source']): MeasuredBoot {
  const measured = fromBootRecord(boot.record, {
    evidence: boot.evidence,
    start: 'cold',
    specimen: null,
    conditions: {},
    measuredAt: null,
    // Instructions are counted; what the count cannot say about a board is no uncertainty of the count.
    uncertaintyNs: 0,
    source,
  });
  const { release } = boot;
  return {
    ...measured,
    board: boot.board,
    io: ioOf(boot.storage?.stages),
    release: measured.release ?? (release === null ? null : { ...release, builtAt: null }),
  };
}
