/** What a board's storage would take for reads that were counted: modelled, never measured, and in no total. Pure. */
import type { EvidenceStorage } from './evidence.ts';

export interface Reads {
  readonly reads: number;
  readonly readBytes: number;
}

/** A latency for each read, one after the other, and their bytes at the storage's rate. */
export function modelledNs(storage: EvidenceStorage, { reads, readBytes }: Reads): number {
  return Math.round(reads * (storage.latencyNs ?? 0) + (readBytes / storage.bytesPerS) * 1e9);
}

/** All reads together. */
export function readsOf(rows: readonly Reads[]): Reads {
  const sum = (of: keyof Reads): number => rows.reduce((total, row) => total + row[of], 0);
  return { reads: sum('reads'), readBytes: sum('readBytes') };
}
