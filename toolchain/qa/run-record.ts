/**
 * run.json: what a measuring run was going to do, written before its first boot and never changed.
 *
 * The plan is in it, because a plan that is chosen after the first slow boot proves less than it says; and digests
 * of everything that the figures depend on, because a run that goes on another day must measure the same. Nothing of
 * the results is in it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { EVIDENCE_CLASSES } from '../budget/measured-boot.ts';
import { BOOTS_MAX } from '../budget/statistics/plan.ts';
import { firstProblem } from '../config/explain-issue.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import { readInput } from '../files/read-input.ts';

export const RUN_FILE = 'run.json';
export const RUN_KIND = 'coldseal-qa-run';
export const RUN_SCHEMA = 1;

const text = z.string().max(4096);
/** As records have it. */
const oneLine = z
  .string()
  .max(512)
  // oxlint-disable-next-line no-control-regex -- what must not be in it
  .regex(/^[^\u0000-\u001f\u007f-\u009f]+$/, 'expected one line of text');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in hexadecimal');
const arm = z.strictObject({ id: text, version: text, sha256 });
const seconds = z.int().min(0).max(86_400);

/** Arguments, as far as they were given; what is null has its default. */
const runArguments = z.strictObject({
  release: text,
  baseline: text.nullable(),
  board: text,
  boardFile: text.nullable(),
  select: text.nullable(),
  powerOn: text.nullable(),
  powerOff: text.nullable(),
  offTimeS: seconds,
  settleS: seconds,
  timeoutS: seconds,
  dictionary: text.nullable(),
  evidence: z.enum(EVIDENCE_CLASSES),
  specimen: oneLine.nullable(),
  conditions: z.record(text, text),
});

const runRecord = z.strictObject({
  kind: z.literal(RUN_KIND),
  schema: z.literal(RUN_SCHEMA),
  tool: z.strictObject({ name: z.literal('coldseal'), version: text }),
  /** What relative paths and the commands of the rig count from. */
  directory: text,
  arguments: runArguments,
  plan: z.strictObject({
    text,
    coverage: z.number(),
    confidence: z.number(),
    exceedances: z.int(),
    boots: z.int(),
    /** Whether somebody asked for it, or the board's file has it. */
    origin: z.enum(['option', 'board']),
  }),
  /** Of each arm. */
  boots: z.int().min(1).max(BOOTS_MAX),
  seed: z.int().min(0),
  /** The arms in order: c for candidate, b for baseline. */
  schedule: z
    .string()
    .regex(/^[cb]+$/)
    .max(2 * BOOTS_MAX),
  inputs: z.strictObject({
    board: z.strictObject({ id: text, sha256 }),
    candidate: arm,
    baseline: arm.nullable(),
    dictionary: sha256.nullable(),
  }),
  driver: z.strictObject({
    name: z.enum(['virtual', 'serial', 'command']),
    settings: z.record(text, z.union([text, z.number(), z.boolean(), z.null()])),
  }),
});

export type RunRecord = z.output<typeof runRecord>;
export type RunArguments = RunRecord['arguments'];

/** The record of a run's directory; undefined where there is none. Throws FORMAT_QA_RUN. */
export function readRunRecord(dir: string): RunRecord | undefined {
  const path = join(dir, RUN_FILE);
  if (!existsSync(path)) return undefined;
  const refuse = (problem: string): ColdsealError =>
    new ColdsealError('FORMAT_QA_RUN', `Cannot use ${path}: ${problem}`, {
      hint: 'a run that another version of coldseal began is for that version to end',
    });
  let value: unknown;
  try {
    value = JSON.parse(readInput(path).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse('it is not JSON');
    throw error;
  }
  const parsed = runRecord.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    throw refuse(firstProblem(parsed.error, runRecord, 'the record'));
  }
  if (parsed.data.schedule.length === bootsOf(parsed.data)) return parsed.data;
  throw refuse(`its schedule has ${parsed.data.schedule.length} boots`);
}

function bootsOf({ boots, inputs }: RunRecord): number {
  return inputs.baseline === null ? boots : boots * 2;
}

/** Writes the record of a new run into its directory. Throws USAGE_BAD_VALUE for what could not be read again. */
export function writeRunRecord(dir: string, record: RunRecord): void {
  const parsed = runRecord.safeParse(record, { reportInput: true });
  if (!parsed.success) {
    const what = firstProblem(parsed.error, runRecord, '');
    throw new ColdsealError('USAGE_BAD_VALUE', `Cannot begin a run: ${what}`);
  }
  writeFileAtomically(join(dir, RUN_FILE), Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
}

/**
 * Refuses to go on with other inputs than a run began with. The version of coldseal may differ, which is returned as a
 * remark: figures come from the board, and their records say who made them. Throws CONFIG_QA_CHANGED.
 */
export function requireSameRun(dir: string, begun: RunRecord, now: RunRecord): string | undefined {
  const changed = changesBetween({ ...begun, tool: undefined }, { ...now, tool: undefined });
  const [first, ...others] = changed;
  if (first !== undefined) {
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    throw new ColdsealError(
      'CONFIG_QA_CHANGED',
      `Cannot go on with the run in ${dir}: ${first}${more}`,
      { hint: 'boots of different things are not one sample; give another --output for a new run' },
    );
  }
  if (begun.tool.version === now.tool.version) return undefined;
  return `the run was begun by coldseal ${begun.tool.version}, this is ${now.tool.version}`;
}

/** What differs, as `inputs.candidate.sha256 was …, is …`. */
function changesBetween(before: unknown, after: unknown, path = ''): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isRecord(before) || !isRecord(after)) {
    return [`${path} was ${shown(before)} and is ${shown(after)}`];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) =>
    changesBetween(before[key], after[key], path === '' ? key : `${path}.${key}`),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  const given = JSON.stringify(value) ?? 'absent';
  return given.length > 80 ? `${given.slice(0, 79)}…` : given;
}
