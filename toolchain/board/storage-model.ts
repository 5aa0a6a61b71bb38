/**
 * What the board's storage would add to a boot whose requests were counted: a latency for each read, and its bytes at
 * the storage's rate. Modelled, never measured, and in no total. Pure.
 *
 * Writes, queueing, read-ahead and what a storage does meanwhile are not in it; nor is anything that the board file
 * has no figure for. docs/boot-time.md says what follows from that.
 */
import type { BootRecord } from '../../runtime/format/boot-record.ts';
import type { StageIo } from './io-counts.ts';
import type { Board } from './schema.ts';

export interface ModelledStorage {
  readonly kind: string;
  readonly mbPerS: number;
  /** Where the rate is from, as the board file says. */
  readonly evidence: string;
  /** For each read; null where the board file has none: then latency is not modelled. */
  readonly latencyUs: number | null;
  readonly latencyEvidence: string | null;
  /** Kernel and initramfs, which the bootloader reads as one piece: bytes only. */
  readonly loadMs: number;
  /** What was read while the clock ran. */
  readonly readMs: number;
  /** Its parts; empty where nobody counted by stage. */
  readonly stages: readonly { readonly name: string; readonly modelledMs: number }[];
}

/** The rate of a storage that counts, a measured one before a ceiling, and its source. Undefined: none is known. */
export function rateOf({
  measured_mb_s: measured,
  ceiling_mb_s: ceiling,
}: Board['storage'][number]): Pick<ModelledStorage, 'mbPerS' | 'evidence'> | undefined {
  if (measured !== undefined) return { mbPerS: measured.value, evidence: measured.evidence };
  if (ceiling === undefined) return undefined;
  return { mbPerS: ceiling.value, evidence: `ceiling, ${ceiling.evidence}` };
}

/** The modelled time of every storage that the board file has a rate for. */
export function modelStorage(
  storage: Board['storage'],
  bootBytes: number,
  io: Pick<NonNullable<BootRecord['io']>, 'readRequests' | 'readBytes'> | undefined,
  stages: readonly StageIo[] = [],
): ModelledStorage[] {
  return storage.flatMap((each) => {
    const { kind, read_latency_us: latency } = each;
    const rate = rateOf(each);
    if (rate === undefined) return [];
    const readMs = (reads: number, bytes: number): number =>
      (reads * (latency?.value ?? 0)) / 1000 + bytes / 1000 / rate.mbPerS;
    return [
      {
        kind,
        ...rate,
        latencyUs: latency?.value ?? null,
        latencyEvidence: latency?.evidence ?? null,
        loadMs: readMs(0, bootBytes),
        readMs: readMs(io?.readRequests ?? 0, io?.readBytes ?? 0),
        stages: stages.map(({ name, reads, readBytes }) => {
          return { name, modelledMs: readMs(reads, readBytes) };
        }),
      },
    ];
  });
}
