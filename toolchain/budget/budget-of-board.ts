/** The budget of a board file in the units of evidence: nanoseconds, and lists in a fixed order. Pure. */
import { BUDGET_STAGES } from '../board/boot-settings.ts';
import type { Board } from '../board/schema.ts';
import { rateOf } from '../board/storage-model.ts';
import type { EvidenceBudget, EvidenceSettings, EvidenceStorage } from './evidence.ts';

const ns = (ms: number): number => Math.round(ms * 1e6);

/** What the board's boots may take. */
export function budgetOfBoard({ budget }: Pick<Board, 'budget'>): EvidenceBudget {
  return {
    start: budget.start,
    stop: budget.stop,
    totalNs: ns(budget.total_ms),
    reserveNs: ns(budget.reserve_ms),
    stages: stageList(budget.stages),
    stretches: budget.stretches.map(({ name, from, to, ms }) => ({ name, from, to, ns: ns(ms) })),
    constants: budget.constants.map(({ name, from, to, ms, uncertainty_ms: uncertainty }) => ({
      name,
      from,
      to,
      ns: ns(ms.value),
      uncertaintyNs: ns(uncertainty),
      source: ms.source,
      evidence: ms.evidence,
    })),
  };
}

/** Every storage that the board file has a rate for; a measured one counts before a ceiling. */
export function storageOfBoard({ storage }: Pick<Board, 'storage'>): EvidenceStorage[] {
  return storage.flatMap((each) => {
    const { kind, read_latency_us: latency } = each;
    const rate = rateOf(each);
    if (rate === undefined) return [];
    return [
      {
        kind,
        bytesPerS: rate.mbPerS * 1e6,
        evidence: rate.evidence,
        latencyNs: latency === undefined ? null : Math.round(latency.value * 1000),
      },
    ];
  });
}

/** Within what runs of the board, where it is a virtual one, are the same. */
export function toleranceOfBoard({ budget }: Pick<Board, 'budget'>): EvidenceSettings['tolerance'] {
  const { ms, percent, stages } = budget.tolerance;
  return { absoluteNs: ns(ms), relative: percent / 100, stages: stageList(stages) };
}

function stageList(stages: Board['budget']['stages']): EvidenceBudget['stages'] {
  return BUDGET_STAGES.flatMap((name) => {
    const ms = stages[name];
    return ms === undefined ? [] : [{ name, ns: ns(ms) }];
  });
}
