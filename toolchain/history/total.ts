/**
 * The total of a boot in the history: as the budget of its board has it, and null for a boot that counts in no figure.
 * Pure.
 */
import { totalOf } from '../budget/events.ts';
import type { EvidenceBudget } from '../budget/evidence.ts';
import type { TimedBoot } from './query.ts';

/** Null: the boot has no total, because it failed, is no evidence, or its events are missing or the wrong way round. */
export type TotalOf = (boot: TimedBoot) => number | null;

/** Whether a boot is evidence: one with a flag that says otherwise counts in no figure. */
export function isUsable({ flags }: Pick<TimedBoot, 'flags'>): boolean {
  return !flags.some(({ isUnusable }) => isUnusable);
}

/** The total that a budget asks for. */
export function totalInBudget(
  budget: Pick<EvidenceBudget, 'start' | 'stop' | 'constants'>,
): TotalOf {
  return (boot) => {
    if (boot.outcome !== 'booted' || !isUsable(boot)) return null;
    return totalOf(boot, budget).totalNs;
  };
}
