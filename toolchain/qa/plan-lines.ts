/** What a run is going to do, for --dry-run: the plan in words, the order of boots, the steps of one. Pure. */
import { planText } from '../budget/statistics/plan.ts';
import type { PreparedRun } from './prepare-run.ts';

const LINE_LETTERS = 64;

export function planLines({ record, board, releases, description }: PreparedRun): string[] {
  const { plan, boots, seed, schedule } = record;
  const { candidate, baseline } = releases;
  const compared =
    baseline === null ? '' : `, interleaved with ${baseline.version} (${baseline.given})`;
  return [
    `${candidate!.version} (${candidate!.given}) on ${board.id}${compared}`,
    `plan ${plan.text}: ${planText(plan).sentence}`,
    ...shortfall(boots, plan.boots),
    baseline === null
      ? `${boots} boots`
      : `${boots} boots of each, c for the candidate, b for the baseline, seed ${seed}:`,
    ...(baseline === null ? [] : wrap(schedule)),
    'one boot:',
    ...description.steps.map((step) => `  ${step}`),
  ];
}

/** Fewer boots than the plan takes can show that it failed, and never that it was kept. */
export function shortfall(boots: number, planned: number): string[] {
  if (boots >= planned) return [];
  return [`${boots} boots of a release cannot confirm this plan, which takes ${planned}`];
}

function wrap(letters: string): string[] {
  const count = Math.ceil(letters.length / LINE_LETTERS);
  return Array.from({ length: count }, (_, line) => {
    return `  ${letters.slice(line * LINE_LETTERS, (line + 1) * LINE_LETTERS)}`;
  });
}
