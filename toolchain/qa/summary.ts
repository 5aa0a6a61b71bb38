/**
 * What a measuring run found, in a few figures for each arm. Pure.
 *
 * A boot that failed, or that lacks an event of the budget, has no total and is over the budget. The limit is the
 * budget less the uncertainty of the record, so that what may be over is.
 */
import { budgetOfBoard, toleranceOfBoard } from '../budget/budget-of-board.ts';
import type { EvidenceBudget } from '../budget/evidence.ts';
import { totalOf } from '../budget/events.ts';
import type { MeasuredBoot } from '../budget/measured-boot.ts';
import { summarize } from '../budget/statistics/quantiles.ts';
import type { Board } from '../board/schema.ts';
import type { Arm } from './driver.ts';
import type { JournalBoot } from './run-journal.ts';

export interface ArmSummary {
  readonly arm: Arm;
  readonly boots: number;
  readonly failed: number;
  /** Over the budget, failed ones included. */
  readonly over: number;
  /** Of the boots that have a total; null where none has. */
  readonly total: {
    readonly medianNs: number;
    readonly p95Ns: number;
    readonly maxNs: number;
  } | null;
}

export interface RunSummary {
  readonly arms: readonly ArmSummary[];
  /** Of a virtual board: whether the boots of each arm are the same within the board's tolerance. */
  readonly isRepeatable: boolean | null;
}

/** The total of a boot, and whether it is over. */
export function judgeBoot(
  record: MeasuredBoot,
  budget: EvidenceBudget,
): { readonly totalNs: number | null; readonly isOver: boolean } {
  const { totalNs: sum, constants } = totalOf(record, budget);
  const isEvidence =
    record.outcome === 'booted' && !record.flags.some(({ isUnusable }) => isUnusable);
  const totalNs = isEvidence ? sum : null;
  const declared = constants.reduce((ns, { uncertaintyNs }) => ns + uncertaintyNs, 0);
  const limitNs = budget.totalNs - declared - (record.clock.uncertaintyNs ?? 0);
  return { totalNs, isOver: totalNs === null || totalNs > limitNs };
}

/** The figures of a run. */
export function summarizeRun(boots: readonly JournalBoot[], board: Board): RunSummary {
  const budget = budgetOfBoard(board);
  const judged = boots.map(({ arm, record }) => ({ arm, record, ...judgeBoot(record, budget) }));
  const arms = (['candidate', 'baseline'] as const).flatMap((arm): ArmSummary[] => {
    const own = judged.filter((boot) => boot.arm === arm);
    if (own.length === 0) return [];
    const totals = own.flatMap(({ totalNs }) => (totalNs === null ? [] : [totalNs]));
    return [
      {
        arm,
        boots: own.length,
        failed: own.filter(({ record }) => record.outcome === 'failed').length,
        over: own.filter(({ isOver }) => isOver).length,
        total: totals.length === 0 ? null : figuresOf(totals),
      },
    ];
  });
  const isVirtual = boots.some(({ record }) => record.evidence.startsWith('virtual'));
  return { arms, isRepeatable: isVirtual ? areRepeatable(judged, board) : null };
}

function figuresOf(totals: readonly number[]): NonNullable<ArmSummary['total']> {
  const { median, p95, max } = summarize(totals);
  return { medianNs: Math.round(median), p95Ns: Math.round(p95), maxNs: max };
}

function areRepeatable(
  judged: readonly { readonly arm: Arm; readonly totalNs: number | null }[],
  board: Board,
): boolean {
  const { absoluteNs, relative } = toleranceOfBoard(board);
  return (['candidate', 'baseline'] as const).every((arm) => {
    const totals = judged.flatMap((boot) => (boot.arm === arm ? [boot.totalNs ?? -1] : []));
    if (totals.length === 0) return true;
    const [low, high] = [Math.min(...totals), Math.max(...totals)];
    return low === high || (low >= 0 && high - low <= Math.max(absoluteNs, high * relative));
  });
}

const ms = (ns: number): string => (ns / 1e6).toFixed(1);

/** The figures as a table. */
export function summaryTable({ arms }: RunSummary): string[] {
  const head = ['', 'boots', 'failed', 'median ms', 'p95 ms', 'max ms', 'over budget'];
  const rows = arms.map(({ arm, boots, failed, over, total }) => [
    arm,
    String(boots),
    String(failed),
    ...(total === null ? ['-', '-', '-'] : [ms(total.medianNs), ms(total.p95Ns), ms(total.maxNs)]),
    String(over),
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
