/**
 * Settings about the boot itself: slots, store, what is started, what happens on failure, and the budget.
 *
 * The device policy (runtime/format/device-policy.ts) is made from these, so the bounds here are the ones there.
 */
import { z } from 'zod';
import { STAGES, type StageWord } from '../../runtime/format/boot-record.ts';
import type { FailureAction } from '../../runtime/format/device-policy.ts';
import { TRIES_MAX } from '../../runtime/format/slot-state.ts';
import { fact, source } from './figures.ts';

const MINUTE_MS = 60_000;

/** Nothing that a shell or the kernel's command line would take apart, and no way out by `..`. */
const programPath = z
  .string()
  .max(255)
  .regex(
    /^(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._+-]+)+$/,
    'expected an absolute path such as /sbin/init',
  );

export const slots = z.strictObject({
  count: z.literal([1, 2]).default(2).describe('slots for releases; with one there is no way back'),
  tries: z
    .int()
    .min(1)
    .max(TRIES_MAX)
    .default(3)
    .describe('boots a release gets before it is marked good'),
});

export const store = z.strictObject({
  deadline_ms: z
    .int()
    .min(1)
    .max(MINUTE_MS)
    .default(2000)
    .describe('how long the store partition may take to appear'),
  size_mb: z
    .int()
    .min(8)
    .max(1_048_576)
    .optional()
    .describe('size of the store partition in MiB (default: what it holds, and the spare room)'),
  spare_percent: z
    .int()
    .min(0)
    .max(1000)
    .default(50)
    .describe('room for later releases, in percent of what the store holds; without size_mb only'),
});

export const system = z.strictObject({
  init: programPath.default('/sbin/init').describe('what the runtime hands over to'),
  container_engine: programPath
    .default('/usr/bin/crun')
    .describe('what starts containers; both are programs of the system image'),
});

export const containers = z.strictObject({
  output: z
    .enum(['console', 'file'])
    .default('file')
    .describe('where early containers print: the console, or files below /run/coldseal'),
  deadline_ms: z
    .int()
    .min(1)
    .max(MINUTE_MS)
    .default(2000)
    .describe('how long an early container may take to start'),
});

const failureStep = z
  .strictObject({
    recovery: z.literal(true).optional().describe('boots the recovery image'),
    restart: z
      .strictObject({
        delay_s: z.int().min(0).max(3600).default(5).describe('seconds before the restart'),
        max: z.int().min(1).max(TRIES_MAX).default(3).describe('restarts in a row'),
      })
      .optional()
      .describe('restarts the board, so many times in a row'),
    halt: z.literal(true).optional().describe('stops'),
    power_off: z.literal(true).optional().describe('switches off'),
    shell: z.literal(true).optional().describe('a shell on the console; development boards only'),
  })
  .superRefine((step, context) => {
    const count = Object.values(step).filter((value) => value !== undefined).length;
    if (count === 1) return;
    const message = `has ${count} actions, expected one of recovery, restart, halt, power_off or shell`;
    context.addIssue({ code: 'custom', path: [], message, input: step });
  });

export type FailureStep = z.output<typeof failureStep>;

export const onFailure = z
  .array(failureStep)
  .min(1)
  .max(4)
  .default([{ restart: { delay_s: 5, max: 3 } }, { halt: true }])
  .describe('what happens when no slot boots, in order; the last one must be halt or power_off');

/** A step of `on_failure` as the device policy says it. */
export function failureAction(step: FailureStep): FailureAction {
  if (step.restart !== undefined) {
    return { action: 'restart', delayS: step.restart.delay_s, max: step.restart.max };
  }
  if (step.recovery === true) return { action: 'recovery' };
  if (step.halt === true) return { action: 'halt' };
  return { action: step.power_off === true ? 'power-off' : 'shell' };
}

export const rollback = z.strictObject({
  backend: z
    .enum(['state-partition', 'rpmb', 'tpm', 'fuse'])
    .default('state-partition')
    .describe('what holds the epochs; the state partition keeps off accidental downgrades only'),
  source: source
    .default('not stated; every board has a state partition')
    .describe('where that is from'),
});

/** Stages outside the runtime, as importers name them. */
const OUTER_STAGES = [
  'firmware',
  'loader',
  'before-kernel',
  'kernel',
  'initrd',
  'userspace',
  'first-output',
] as const;

/** Every stage that may have a budget, roughly in the order of a boot. */
export const BUDGET_STAGES = [...OUTER_STAGES, ...STAGES] as const;
export type BudgetStage = (typeof OUTER_STAGES)[number] | StageWord;

const stageTime = z.number().positive().max(MINUTE_MS).optional();

/** A time for any of the stages. */
function stageTimes(
  help: (word: BudgetStage) => string,
): z.ZodPrefault<z.ZodObject<Record<BudgetStage, typeof stageTime>, z.core.$strict>> {
  const entries = BUDGET_STAGES.map((word) => [word, stageTime.describe(help(word))]);
  return z
    .strictObject(Object.fromEntries(entries) as Record<BudgetStage, typeof stageTime>)
    .prefault({});
}

/** Start and stop of the budget, of a stretch or of a constant. */
const eventName = z
  .string()
  .max(128)
  .regex(
    /^[a-z0-9][A-Za-z0-9 ._:@-]*$/,
    'expected the name of an event, such as power-on, containers or verify:end',
  );

const stretch = z.strictObject({
  name: z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9-]*$/, 'expected lower-case letters, digits and dashes')
    .describe('name in reports'),
  from: eventName.describe('event where it begins'),
  to: eventName.describe('event where it ends'),
  ms: z
    .number()
    .positive()
    .max(10 * MINUTE_MS)
    .describe('at most, in milliseconds'),
});

const constant = z.strictObject({
  name: z.string().min(1).max(64).describe('what takes the time, such as PMIC and boot ROM'),
  from: eventName.describe('event before it; power-on in most cases'),
  to: eventName.describe('event after it, which the clock of a record has'),
  ms: fact(
    z
      .number()
      .min(0)
      .max(10 * MINUTE_MS),
    'how long it takes, in milliseconds',
  ),
  uncertainty_ms: z
    .number()
    .min(0)
    .max(MINUTE_MS)
    .describe('how far that may be off; the limit of the budget is lowered by it'),
});

export const budget = z.strictObject({
  total_ms: z
    .number()
    .positive()
    .max(10 * MINUTE_MS)
    .default(2000)
    .describe('from the start event to the stop event, in milliseconds'),
  start: eventName.default('power-on').describe('event where the budget begins'),
  stop: eventName
    .default('containers')
    .describe('event where it ends; containers is when the last early one was heard'),
  reserve_ms: z
    .number()
    .min(0)
    .max(10 * MINUTE_MS)
    .default(0)
    .describe('part of the total that no stage may use yet; reports show when it is touched'),
  plan: z
    .string()
    .max(32)
    .default('95/95')
    .describe('how compliance is tested: coverage/confidence, or with the boots that may be over'),
  stages: stageTimes((word) => `at most for ${word}, in milliseconds`).describe(
    'budgets of stages',
  ),
  stretches: z
    .array(stretch)
    .max(64)
    .default([])
    .describe('budgets between any two events, such as those of an event dictionary'),
  constants: z
    .array(constant)
    .max(16)
    .default([])
    .describe('times that no clock of the board sees, declared with their source'),
  tolerance: z
    .strictObject({
      ms: z
        .number()
        .min(0)
        .max(MINUTE_MS)
        .default(0.1)
        .describe('by so many milliseconds runs of one release may differ in a stage'),
      percent: z
        .number()
        .min(0)
        .max(100)
        .default(0.5)
        .describe('or by so much of the stage, or of the total, whichever is more'),
      stages: stageTimes((word) => `instead of ms for ${word}, in milliseconds`),
    })
    .prefault({})
    .describe('when runs of a virtual board are the same'),
});
