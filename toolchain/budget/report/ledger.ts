/**
 * The ledger of a budget: what each stage was given, what it uses, what is left. Rows with a budget add up to the
 * total, with the reserve and what nobody was given.
 *
 * Used is the median, as stages are judged; the 95th percentile stands beside it.
 */
import type { EvidenceBudget, EvidenceGroup, StageColumn, Summary } from '../evidence.ts';

export interface LedgerRow {
  readonly name: string;
  /** `stage` rows, constants, `reserve` and `free` add up to `total`; a stretch lies across stages. */
  readonly kind: 'stage' | 'constant' | 'reserve' | 'free' | 'stretch' | 'total';
  readonly allocatedNs: number | null;
  readonly usedNs: number | null;
  readonly p95Ns: number | null;
  /** Below 0: over. */
  readonly leftNs: number | null;
}

/** The ledger of a group's candidate. */
export function ledgerOf(
  { candidate, constants }: EvidenceGroup,
  budget: EvidenceBudget,
): LedgerRow[] {
  const columns = candidate.stages.filter((column) => !isStretch(column, budget));
  const seen = new Set(columns.map(({ name }) => name));
  const absent = budget.stages.filter(({ name }) => !seen.has(name));
  const stages = [
    ...columns.map(({ name, budgetNs, summary }) => row('stage', name, budgetNs, summary)),
    ...absent.map(({ name, ns }) => row('stage', name, ns, null)),
  ];
  const given = stages.reduce((sum, { allocatedNs }) => sum + (allocatedNs ?? 0), 0);
  return [
    ...stages,
    ...constants.map(({ name, ns }) => plain('constant', name, null, ns)),
    ...(budget.reserveNs > 0 ? [plain('reserve', 'reserve', budget.reserveNs, null)] : []),
    plain('free', 'not allocated', budget.totalNs - given - budget.reserveNs, null),
    row('total', 'total', budget.totalNs, candidate.total),
    ...candidate.stages
      .filter((column) => isStretch(column, budget))
      .map(({ name, budgetNs, summary }) => row('stretch', name, budgetNs, summary)),
  ];
}

/** Whether a column is a stretch of the budget: evidence has both in one list. */
export function isStretch({ name, budgetNs }: StageColumn, budget: EvidenceBudget): boolean {
  const isNamed = budget.stretches.some((one) => one.name === name && one.ns === budgetNs);
  return isNamed && !budget.stages.some((one) => one.name === name && one.ns === budgetNs);
}

function row(
  kind: LedgerRow['kind'],
  name: string,
  allocatedNs: number | null,
  summary: Summary | null,
): LedgerRow {
  const usedNs = summary?.medianNs ?? null;
  const leftNs = allocatedNs === null || usedNs === null ? null : allocatedNs - usedNs;
  return { name, kind, allocatedNs, usedNs, p95Ns: summary?.p95Ns ?? null, leftNs };
}

function plain(
  kind: LedgerRow['kind'],
  name: string,
  allocatedNs: number | null,
  usedNs: number | null,
): LedgerRow {
  return { name, kind, allocatedNs, usedNs, p95Ns: usedNs, leftNs: null };
}
