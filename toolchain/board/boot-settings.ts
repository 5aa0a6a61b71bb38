/**
 * Settings about the boot itself: slots, store, what is started, what happens on failure, and the budget.
 *
 * The device policy (runtime/format/device-policy.ts) is made from these, so the bounds here are the ones there.
 */
import { z } from 'zod';
import { STAGES, type StageWord } from '../../runtime/format/boot-record.ts';
import type { FailureAction } from '../../runtime/format/device-policy.ts';
import { TRIES_MAX } from '../../runtime/format/slot-state.ts';
import { source } from './figures.ts';

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

const stageBudget = z.number().positive().max(MINUTE_MS).optional();

export const budget = z.strictObject({
  total_ms: z
    .number()
    .positive()
    .max(10 * MINUTE_MS)
    .default(2000)
    .describe('from power-on to the containers, in milliseconds'),
  stages: z
    .strictObject(
      Object.fromEntries(
        STAGES.map((word) => [word, stageBudget.describe(`at most for ${word}, in milliseconds`)]),
      ) as Record<StageWord, typeof stageBudget>,
    )
    .prefault({})
    .describe("budgets of the runtime's stages"),
});
