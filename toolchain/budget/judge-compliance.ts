/**
 * Whether a group of boots keeps to the budget, with the certainty that was asked for. Real boards only. Pure.
 *
 * A boot that never got to its end is over any limit. A boot whose record is no evidence is neither over nor within: it
 * is left out of the count here, and the check of the evidence keeps the whole from passing.
 */
import type { ComplianceResult, EvidenceSettings, SampleSet } from './evidence.ts';
import { judgeCompliance } from './statistics/compliance.ts';
import { operatingCharacteristic } from './statistics/plan.ts';

/** Totals in run order: Infinity for a boot that never ended, none for one that is no evidence. */
export function judgedTotals({ totalsNs, flags }: SampleSet): number[] {
  const unusable = new Set(flags.flatMap(({ boot, flag }) => (flag.isUnusable ? [boot] : [])));
  return totalsNs.flatMap((ns, boot) => (unusable.has(boot) ? [] : [ns ?? Infinity]));
}

/** Judges the candidate of a group against its limit, by the plan. Null where no boot can be judged. */
export function complianceOf(
  samples: SampleSet,
  limitNs: number,
  plan: EvidenceSettings['plan'],
): ComplianceResult | null {
  const samplesNs = judgedTotals(samples);
  if (samplesNs.length === 0 || limitNs <= 0) return null;
  const judged = judgeCompliance({ plan, samplesNs, limitNs });
  const { rows, coverageToPass95 } = operatingCharacteristic(plan);
  return {
    state: judged.outcome,
    n: judged.counted,
    exceedances: judged.countedExceedances,
    moreBoots: judged.moreBoots,
    provenCoverage: judged.provenCoverage,
    allBoots: judged.n,
    allExceedances: judged.exceedances,
    boundNs: judged.toleranceBoundNs,
    characteristic: rows,
    coverageToPass: coverageToPass95,
  };
}
