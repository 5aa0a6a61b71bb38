/**
 * The budget's ledger of a group: what each stage was given, what it used, what is left. Pure, and exact to the
 * nanosecond: allocations, reserve and the unallocated rest are the total.
 */
import type { EvidenceBudget, EvidenceGroup, Summary } from '../evidence.ts';

export interface LedgerRow {
  readonly name: string;
  readonly allocatedNs: number | null;
  readonly summary: Summary | null;
  /** What was given minus p95; null where one of them is not known. */
  readonly leftNs: number | null;
}

export interface Ledger {
  readonly stages: readonly LedgerRow[];
  /** Stretches lie across stages, so they are in no sum. */
  readonly stretches: readonly LedgerRow[];
  readonly allocatedNs: number;
  readonly reserveNs: number;
  /** Of the total, given to no stage; negative where the stages were given more than there is. */
  readonly unallocatedNs: number;
  readonly total: LedgerRow;
}

/** Balances the budget of a group. */
export function ledgerOf(group: EvidenceGroup, budget: EvidenceBudget): Ledger {
  const { candidate } = group;
  const isStretch = new Set(budget.stretches.map(({ name }) => name));
  const given = new Map(budget.stages.map(({ name, ns }) => [name, ns]));
  const columns = new Map(candidate.stages.map((column) => [column.name, column]));
  const measured = candidate.stages.map(({ name }) => name);
  // A stage with a budget that no boot had is a finding, so it has a row too.
  const names = [...new Set([...measured.filter((name) => !isStretch.has(name)), ...given.keys()])];
  const row = (name: string, allocatedNs: number | null): LedgerRow =>
    rowOf(name, allocatedNs, columns.get(name)?.summary ?? null);
  const allocatedNs = budget.stages.reduce((sum, { ns }) => sum + ns, 0);
  return {
    stages: names.map((name) => row(name, given.get(name) ?? null)),
    stretches: budget.stretches.map(({ name, ns }) => row(name, ns)),
    allocatedNs,
    reserveNs: budget.reserveNs,
    unallocatedNs: budget.totalNs - budget.reserveNs - allocatedNs,
    total: rowOf('Total', budget.totalNs, candidate.total),
  };
}

function rowOf(name: string, allocatedNs: number | null, summary: Summary | null): LedgerRow {
  const leftNs = allocatedNs === null || summary === null ? null : allocatedNs - summary.p95Ns;
  return { name, allocatedNs, summary, leftNs };
}
