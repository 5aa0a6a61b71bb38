/** A run that is over as evidence: its records judged by the plan that was fixed before them. */
import { join } from 'node:path';
import type { Evidence } from '../budget/evidence.ts';
import { makeReport, type ReportOptions } from '../budget/make-report.ts';
import type { FinishedRun } from './measure.ts';
import { RECORD_FILES } from './run-journal.ts';

/** Judges a run, as `coldseal report` would with its files. */
export function evidenceOfRun(
  { dir, record }: FinishedRun,
  { marginMs, history }: Pick<ReportOptions, 'marginMs' | 'history'>,
): Evidence {
  const { arguments: args, directory, inputs, plan, seed } = record;
  const baseline = inputs.baseline === null ? [] : [join(dir, RECORD_FILES.baseline)];
  return makeReport({
    records: [join(dir, RECORD_FILES.candidate)],
    baseline,
    board: args.boardFile ?? undefined,
    from: directory,
    plan: undefined,
    runPlan: plan.text,
    seed,
    marginMs,
    history,
  });
}
