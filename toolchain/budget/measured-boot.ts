/**
 * The measured boot: what one boot of one board took, whoever measured it. Importers make it, `report` and `history`
 * read it; a file of records has one a line.
 *
 * Times are whole nanoseconds on the one clock of the record, whose zero is named. Unknown is null, never 0: a figure
 * that nobody measured must not look like a fast one. Names are text from outside, so they have one line and an end.
 */
import { z } from 'zod';

export const MEASURED_BOOT_KIND = 'coldseal-measured-boot';
export const MEASURED_BOOT_SCHEMA = 1;

/**
 * What kind of clock and observer stands behind a figure, weakest first. Figures of different classes are never mixed.
 *
 * `virtual`: an emulated board whose clock counts instructions, and runs agree; `virtual-wallclock`: they do not;
 * `board-selfclock`: a real board timed itself; `board-serial`: a host stamped its serial lines; `board-gpio`: a logic
 * analyser watched its pins.
 */
export const EVIDENCE_CLASSES = [
  'virtual-wallclock',
  'virtual',
  'board-selfclock',
  'board-serial',
  'board-gpio',
] as const;
export type EvidenceClass = (typeof EVIDENCE_CLASSES)[number];

/** How the board came to boot: after its power was off, after a reset with power on, after a reboot by software. */
export const START_KINDS = ['cold', 'warm', 'reboot'] as const;
export type StartKind = (typeof START_KINDS)[number];

/** Whether a class says anything about a real board. */
export function isRealBoard(evidence: EvidenceClass): boolean {
  return evidence.startsWith('board-');
}

/** The longest boot that is one: a day. Far below what a number holds exactly. */
export const BOOT_NS_MAX = 86_400e9;
const TEXT_MAX = 512;
const STAGES_MAX = 256;
/** A kernel with initcall_debug has some thousand initcalls. */
const UNITS_MAX = 20_000;

const ns = z.int().min(0).max(BOOT_NS_MAX);
const text = z
  .string()
  .min(1)
  .max(TEXT_MAX)
  // oxlint-disable-next-line no-control-regex -- a board wrote it
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, 'expected one line of text');

const span = { name: text, startNs: ns, endNs: ns.nullable() };
const isForward = (each: Span): boolean => each.endNs === null || each.endNs >= each.startNs;
const FORWARD = 'ends before it starts';

const measuredBoot = z.strictObject({
  kind: z.literal(MEASURED_BOOT_KIND),
  schema: z.literal(MEASURED_BOOT_SCHEMA),
  evidence: z.enum(EVIDENCE_CLASSES),
  board: text,
  /** Which one of several boards of this kind, such as a serial number. */
  specimen: text.nullable(),
  start: z.enum(START_KINDS).nullable(),
  /** What is judged apart, such as `{ temperature: '-30C' }`. */
  conditions: z.record(text, text),
  release: z
    .strictObject({
      id: text.nullable(),
      version: text,
      /** Seconds since 1970. */
      builtAt: z.int().min(0).nullable(),
    })
    .nullable(),
  /** UTC, as `2026-11-25T12:00:00Z`; order in a file counts where it is unknown. */
  measuredAt: z.iso.datetime('expected a time as 2026-11-25T12:00:00Z').nullable(),
  clock: z.strictObject({
    name: text,
    /** The event that time counts from; `power-on` and `kernel` are the usual ones. */
    zero: text,
    /** Half width of what a time may be off. */
    uncertaintyNs: ns.nullable(),
  }),
  /** `failed`: it never got to its end, with the reason code or the sentence of whoever saw it. */
  outcome: z.enum(['booted', 'failed']),
  reason: text.nullable(),
  /** One after the other, in order; together they are the boot. The first word of a name is the stage's. */
  stages: z
    .array(
      z
        .strictObject({ ...span, name: text.regex(/^[^ ]/, 'expected a stage') })
        .refine(isForward, FORWARD),
    )
    .max(STAGES_MAX),
  /** Side by side: units, initcalls, containers. `track` says of which kind. */
  units: z
    .array(z.strictObject({ ...span, track: text }).refine(isForward, FORWARD))
    .max(UNITS_MAX),
  /** Instants by name. */
  events: z.array(z.strictObject({ name: text, atNs: ns })).max(UNITS_MAX),
  /** Requests to the boot storage, by stage; null where nobody counted. */
  io: z
    .array(z.strictObject({ stage: text, reads: z.int().min(0), readBytes: z.int().min(0) }))
    .max(STAGES_MAX)
    .nullable(),
  /** What is not plausible. A record with one that is unusable is no evidence, and is not left out silently either. */
  flags: z
    .array(z.strictObject({ code: text, message: text, isUnusable: z.boolean() }))
    .max(STAGES_MAX),
  source: z.strictObject({
    /** The importer, such as `kernel-log`. */
    format: text,
    /** File name without its directory. */
    file: text,
    /** Of the file, lower-case hexadecimal; empty for records that were never in one. */
    sha256: z.string().regex(/^(?:[0-9a-f]{64})?$/, 'expected a SHA-256 in hexadecimal'),
  }),
});

export type MeasuredBoot = z.output<typeof measuredBoot>;
export type Span = Readonly<{ name: string; startNs: number; endNs: number | null }>;
export type BootFlag = MeasuredBoot['flags'][number];

/** Checks a record from outside, for `read-records.ts`. */
export const MEASURED_BOOT = measuredBoot;

/** The stage that a row belongs to: the first word of its name. */
export function stageOf(name: string): string {
  const end = name.indexOf(' ');
  return end < 0 ? name : name.slice(0, end);
}
