/**
 * The boot record: what one boot did, when, and with which verdicts. /run/coldseal/boot.json on the device.
 *
 * JSON, because people and QA read it and nothing decides by it. Times are integers in nanoseconds on one declared
 * clock whose zero is the kernel's start; `beforeKernelNs` is what the processor's counter says came before, null
 * when that is unknown or not plausible. Unknown is null, never 0.
 */
import type { SlotName } from './slot-state.ts';

export const BOOT_RECORD_SCHEMA = 1;

/** What the kernel has counted of a disk since it found it: requests as the disk saw them, and their bytes. */
export interface DiskCounters {
  readonly readRequests: number;
  readonly readBytes: number;
  readonly writeRequests: number;
  readonly writeBytes: number;
}

/** A step of the boot. `name` is a word of `STAGES`, for one of several followed by a blank and which one. */
export interface BootStage {
  readonly name: string;
  readonly startNs: number;
  /** Null: it did not end. */
  readonly endNs: number | null;
  /** The disk's counters then; absent where nobody counts, and before the kernel has found the disk. */
  readonly startIo?: DiskCounters;
  readonly endIo?: DiskCounters;
}

/** The runtime's stages, in order; docs/boot-time.md says what belongs to each. */
export const STAGES = [
  'setup',
  'policy',
  'modules',
  'find-store',
  'slot-state',
  'mount-store',
  'read-ahead',
  'verify',
  'mount',
  'switch-root',
  'containers',
  'handover',
] as const;
export type StageWord = (typeof STAGES)[number];

/** Something that went wrong or is remarkable; `code` is a reason code. */
export interface BootNote {
  readonly code: string;
  readonly message: string;
}

/** One slot that was tried. `reason` is null for the one that booted. */
export interface BootAttempt {
  readonly slot: SlotName;
  readonly reason: BootNote | null;
}

export interface BootedImage {
  readonly name: string;
  readonly role: 'system' | 'container' | 'config';
  /** Algorithm, colon, digest in hexadecimal. */
  readonly digest: string;
  readonly size: number;
  /** Who measured it. */
  readonly measured: 'kernel-measured' | 'computed' | 'not checked';
  readonly fileVerity: string;
  readonly mountedAt: string;
}

export interface StartedContainer {
  readonly name: string;
  readonly start: 'early' | 'normal';
  readonly startNs: number;
  /** When the engine had started it; null when it could not. */
  readonly startedNs: number | null;
  /** When its first output came; null when there was none yet. */
  readonly firstOutputNs: number | null;
  readonly reason: BootNote | null;
}

export interface BootRecord {
  readonly kind: 'coldseal-boot-record';
  readonly schema: typeof BOOT_RECORD_SCHEMA;
  /** 'booted': a slot; 'recovery': the recovery image; otherwise what the failure policy did. */
  readonly outcome: 'booted' | 'recovery' | 'restart' | 'halt' | 'power-off' | 'shell';
  readonly product: string;
  readonly board: string;
  readonly isProduction: boolean;
  readonly engine: 'quickjs' | 'node';
  readonly kernel: string;
  readonly clock: {
    readonly name: 'CLOCK_BOOTTIME';
    readonly beforeKernelNs: number | null;
    /** What said so. */
    readonly counter: 'CNTVCT_EL0' | 'TSC' | null;
  };
  readonly stages: readonly BootStage[];
  readonly slot: SlotName | null;
  readonly attempts: readonly BootAttempt[];
  readonly release: {
    readonly id: string;
    readonly version: string;
    readonly role: string;
    readonly manifestSha256: string;
    readonly builtAt: number;
    readonly epochs: Readonly<Record<string, number>>;
  } | null;
  readonly images: readonly BootedImage[];
  readonly containers: readonly StartedContainer[];
  readonly notes: readonly BootNote[];
  /** The disk's counters when the record was made, or when the last first output came. Absent: nobody counted. */
  readonly io?: DiskCounters;
}
