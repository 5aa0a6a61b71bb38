/**
 * What an importer is: a pure function from a log to the boots in it, and how to know its kind of log.
 *
 * A log that cannot be read as what it is given for is refused. A boot that can be read and cannot be true is kept,
 * with a flag that makes it no evidence: leaving it out in silence would be the same as not having measured it.
 */
import type { EvidenceClass, MeasuredBoot } from '../measured-boot.ts';
import type { Dictionary } from './dictionary.ts';
import type { LogInput } from './log-input.ts';

export interface ImportOptions {
  /** Events, stages and edges of the product; null without a dictionary. */
  readonly dictionary: Dictionary | null;
  /** Half width of what a time may be off; null leaves it to the importer. */
  readonly uncertaintyNs: number | null;
  /** What comes before the kernel takes no longer than this. */
  readonly firmwareLimitNs: number;
  /** Several boots in one log are several records, instead of a refusal. */
  readonly split: boolean;
}

/** A time before the kernel that is longer is that of a counter which survived a reset. */
export const FIRMWARE_LIMIT_NS = 60e9;

export const IMPORT_DEFAULTS: ImportOptions = {
  dictionary: null,
  uncertaintyNs: null,
  firmwareLimitNs: FIRMWARE_LIMIT_NS,
  split: false,
};

/** What a log says about one boot; who measured what on which board is added by `import-boots.ts`. */
export interface ImportedBoot extends Pick<
  MeasuredBoot,
  'clock' | 'outcome' | 'reason' | 'stages' | 'units' | 'events' | 'flags'
> {
  /** What kind of observer writes such logs, unless the user knows better. */
  readonly evidence: EvidenceClass;
  /** Whether the log itself says that its board is an emulator. */
  readonly isEmulated: boolean;
  /** The board, where the log names it. */
  readonly board?: string;
  /** What booted, where the log names it. */
  readonly release?: MeasuredBoot['release'];
}

export interface Importer {
  /** The word for `--format`, and `source.format` of its records. */
  readonly format: string;
  /** A line for help and documents: what it reads. */
  readonly summary: string;
  /** By what it is recognised, continuing "recognised by". */
  readonly recognisedBy: string;
  /** Whether the content is this kind of log. Says no to anything damaged, and never throws. */
  readonly recognises: (log: LogInput) => boolean;
  /** Throws FORMAT_BOOT_LOG_* for a log that is not to be believed as a whole. */
  readonly read: (log: LogInput, options: ImportOptions) => ImportedBoot[];
}
