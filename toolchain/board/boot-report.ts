/**
 * The boot record as a virtual board hands it out: one line of JSON on a port, from a guest that may be hostile.
 *
 * Every field is checked, unknown ones are refused, and every text and list has a bound, so that nothing after
 * this has to doubt it. Times are on one clock: no stage ends before it starts, and stages start in order.
 */
import { z } from 'zod';
import { BOOT_RECORD_SCHEMA, type BootRecord, STAGES } from '../../runtime/format/boot-record.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { SLOTS } from '../../runtime/format/slot-state.ts';
import { firstProblem } from '../config/explain-issue.ts';

/** Lists of the runtime have at most 64 entries; attempts and stages of three slots are fewer. */
const ENTRIES_MAX = 256;
const TEXT_MAX = 4096;
/** A hundred days; far below what a number holds exactly. */
const NS_MAX = 8.64e15;

const ns = z.int().min(0).max(NS_MAX);
const count = z.int().min(0);
// A control character of the guest would reach the terminal.
const text = z
  .string()
  .max(TEXT_MAX)
  .regex(/^[^\u0000-\u001f\u007f-\u009f]*$/, 'expected one line of text');
const lines = z.string().max(TEXT_MAX);
const code = z.string().regex(/^[A-Z][A-Z0-9_]{2,63}$/, 'expected a reason code');
const list = <T extends z.ZodType>(of: T): z.ZodArray<T> => z.array(of).max(ENTRIES_MAX);

const note = z.strictObject({ code, message: lines });
const io = z.strictObject({
  readRequests: count,
  readBytes: count,
  writeRequests: count,
  writeBytes: count,
});
const stage = z.strictObject({
  name: text.regex(new RegExp(`^(?:${STAGES.join('|')})(?: |$)`), 'expected a stage'),
  startNs: ns,
  endNs: ns.nullable(),
  startIo: io.optional(),
  endIo: io.optional(),
});

const record = z.strictObject({
  kind: z.literal('coldseal-boot-record'),
  schema: z.literal(BOOT_RECORD_SCHEMA),
  outcome: z.enum(['booted', 'recovery', 'restart', 'halt', 'power-off', 'shell']),
  product: text,
  board: text,
  isProduction: z.boolean(),
  engine: z.enum(['quickjs', 'node']),
  kernel: text,
  clock: z.strictObject({
    name: z.literal('CLOCK_BOOTTIME'),
    beforeKernelNs: ns.nullable(),
    counter: z.enum(['CNTVCT_EL0', 'TSC']).nullable(),
  }),
  stages: list(stage),
  slot: z.enum(SLOTS).nullable(),
  attempts: list(z.strictObject({ slot: z.enum(SLOTS), reason: note.nullable() })),
  release: z
    .strictObject({
      id: text,
      version: text,
      role: text,
      manifestSha256: text,
      builtAt: count,
      epochs: z.record(text, count),
    })
    .nullable(),
  images: list(
    z.strictObject({
      name: text,
      role: z.enum(['system', 'container', 'config']),
      digest: text,
      size: count,
      measured: z.enum(['kernel-measured', 'computed', 'not checked']),
      fileVerity: text,
      mountedAt: text,
    }),
  ),
  containers: list(
    z.strictObject({
      name: text,
      start: z.enum(['early', 'normal']),
      startNs: ns,
      startedNs: ns.nullable(),
      firstOutputNs: ns.nullable(),
      reason: note.nullable(),
    }),
  ),
  notes: list(note),
  io: io.optional(),
});

/** Reads what came through the port. Throws FORMAT_BOOT_REPORT; undefined when nothing came. */
export function parseBootReport(bytes: Uint8Array): BootRecord | undefined {
  return bytes.length === 0 ? undefined : checkBootReport(parseLine(bytes));
}

/** Checks a boot record that came as JSON. Throws FORMAT_BOOT_REPORT. */
export function checkBootReport(value: unknown): BootRecord {
  const { kind, schema } = (value ?? {}) as Partial<BootRecord>;
  if (kind === 'coldseal-boot-record' && schema !== BOOT_RECORD_SCHEMA) {
    throw refusal(`it has schema ${String(schema)}, expected ${BOOT_RECORD_SCHEMA}`, {
      hint: 'the release was made by another version of coldseal; boot it with that one',
    });
  }
  const parsed = record.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    throw refusal(firstProblem(parsed.error, record, 'the record'));
  }
  checkTimes(parsed.data);
  checkCounters(parsed.data);
  return parsed.data as BootRecord;
}

function parseLine(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  const end = text.indexOf('\n');
  if (end < 0) throw refusal('it was cut off, expected one whole line');
  if (end !== text.length - 1) throw refusal('it has several lines, expected one');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw refusal('it is not JSON', { cause: error });
  }
}

function checkTimes({ stages, containers }: z.output<typeof record>): void {
  let previous = 0;
  for (const { name, startNs, endNs } of stages) {
    if (startNs < previous) throw refusal(`the stage ${name} starts before the one before it`);
    if (endNs !== null && endNs < startNs) throw refusal(`the stage ${name} ends before it starts`);
    previous = startNs;
  }
  for (const { name, startNs, startedNs, firstOutputNs } of containers) {
    const isBefore = [startedNs, firstOutputNs].some((at) => at !== null && at < startNs);
    if (isBefore) throw refusal(`the container ${name} runs before its start`);
  }
}

/** A disk's counters only grow, and once a disk is counted it stays. */
function checkCounters({ stages, io: last }: z.output<typeof record>): void {
  let previous: z.output<typeof io> | undefined;
  const check = (name: string, counters: z.output<typeof io> | undefined): void => {
    const keys = Object.keys(previous ?? {}) as (keyof z.output<typeof io>)[];
    const isLess = keys.some((key) => counters === undefined || counters[key] < previous![key]);
    if (isLess) throw refusal(`the disk's counters go back at ${name}`);
    previous = counters;
  };
  for (const { name, endNs, startIo, endIo } of stages) {
    check(name, startIo);
    // A stage that did not end was counted at its start only.
    if (endNs !== null) check(name, endIo);
    else if (endIo !== undefined)
      throw refusal(`the stage ${name} did not end, but was counted then`);
  }
  if (stages.length > 0) check('the end', last);
}

function refusal(
  problem: string,
  details?: { readonly hint?: string; readonly cause?: unknown },
): ColdsealError {
  return new ColdsealError(
    'FORMAT_BOOT_REPORT',
    `Cannot use the boot record that the board reported: ${problem}`,
    details,
  );
}
