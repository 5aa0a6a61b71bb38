/** The record of a boot that never got to its end: everything unknown but that, and why. */
import { EVENT } from '../budget/from-boot-record.ts';
import {
  type EvidenceClass,
  MEASURED_BOOT_KIND,
  MEASURED_BOOT_SCHEMA,
  type MeasuredBoot,
  type StartKind,
} from '../budget/measured-boot.ts';

const REASON_MAX = 512;

export interface FailedBoot {
  readonly board: string;
  readonly evidence: EvidenceClass;
  readonly reason: string;
  /** The importer's name. */
  readonly format: string;
  readonly start: StartKind | null;
  readonly clock?: MeasuredBoot['clock'];
}

export function failedBoot(failed: FailedBoot): MeasuredBoot {
  return {
    kind: MEASURED_BOOT_KIND,
    schema: MEASURED_BOOT_SCHEMA,
    evidence: failed.evidence,
    board: failed.board,
    specimen: null,
    start: failed.start,
    conditions: {},
    release: null,
    measuredAt: null,
    // Without a time there is none that could be off; an unknown would make every other boot of the run doubtful.
    clock: failed.clock ?? { name: 'none', zero: EVENT.POWER_ON, uncertaintyNs: 0 },
    outcome: 'failed',
    reason: oneLine(failed.reason),
    stages: [],
    units: [],
    events: [{ name: EVENT.POWER_ON, atNs: 0 }],
    io: null,
    flags: [],
    source: { format: failed.format, file: 'capture', sha256: '' },
  };
}

/** Text from a board as a record may have it: one line, and short. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a board wrote it
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, REASON_MAX) || 'unknown';
}
