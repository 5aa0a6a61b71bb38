/**
 * The verdict of a plan about the boots of one stratum: one board revision, temperature, supply and power-off time.
 *
 * Only the first `plan.boots` boots, in the order they were run, decide. Boots beyond the plan never change the
 * verdict: whoever boots on until the count of slow ones looks right passes far more often than 1 - confidence allows.
 * They do count in the figures that are marked as exploratory, which are true of the boots at hand but are no verdict.
 */
import type { Plan } from './plan.ts';
import { provenCoverage, toleranceBound } from './tolerance.ts';

export type ComplianceOutcome = 'within' | 'over' | 'inconclusive';

export interface Compliance {
  readonly outcome: ComplianceOutcome;
  /** The boots that the verdict looks at, at most those of the plan, and how many of them are over. */
  readonly counted: number;
  readonly countedExceedances: number;
  /** After which boot the verdict was certain; null: it is not. */
  readonly decidedAt: number | null;
  /** How many boots are missing; 0 when there is a verdict. */
  readonly moreBoots: number;
  /** All boots, and how many of them are over. Exploratory, like the two that follow. */
  readonly n: number;
  readonly exceedances: number;
  readonly provenCoverage: number;
  /** Null: too few boots for the plan's claim, or the bound is a boot that never got ready. */
  readonly toleranceBoundNs: number | null;
}

export interface ComplianceInput {
  readonly plan: Plan;
  /** In the order they were run. Infinity is a boot that never got ready; it is over any limit. */
  readonly samplesNs: readonly number[];
  /** A boot of exactly the limit is within. The caller has taken the measurement's uncertainty off the budget. */
  readonly limitNs: number;
}

/** Judges boots by a plan that was fixed before the first of them. */
export function judgeCompliance({ plan, samplesNs, limitNs }: ComplianceInput): Compliance {
  if (!(limitNs > 0 && limitNs < Infinity)) {
    throw new RangeError(`expected a limit above 0, got ${limitNs}`);
  }
  if (!samplesNs.every((ns) => ns >= 0)) {
    throw new RangeError('expected times from 0 on; a boot that never got ready is Infinity');
  }
  const over = samplesNs.flatMap((ns, index) => (ns > limitNs ? [index + 1] : []));
  const n = samplesNs.length;
  const counted = Math.min(n, plan.boots);
  const countedOver = over.filter((boot) => boot <= counted);
  // One more than allowed: nothing that could follow would make the plan pass. So a run may stop here.
  const failedAt = countedOver[plan.exceedances];
  const passedAt = n >= plan.boots ? plan.boots : undefined;
  const decidedAt = failedAt ?? passedAt ?? null;
  const bound = toleranceBound(samplesNs, plan.coverage, plan.confidence);
  return {
    outcome: failedAt !== undefined ? 'over' : passedAt !== undefined ? 'within' : 'inconclusive',
    counted,
    countedExceedances: countedOver.length,
    decidedAt,
    moreBoots: decidedAt === null ? plan.boots - n : 0,
    n,
    exceedances: over.length,
    provenCoverage: provenCoverage(n, over.length, plan.confidence),
    toleranceBoundNs: bound === undefined || bound === Infinity ? null : bound,
  };
}
