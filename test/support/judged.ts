/** Boots judged by the budget and the settings of tests: what a report makes of its records, without files. */
import { collectGroups } from '../../toolchain/budget/collect.ts';
import type {
  Check,
  Evidence,
  EvidenceBudget,
  EvidenceSettings,
} from '../../toolchain/budget/evidence.ts';
import { judge, pairGroups } from '../../toolchain/budget/judge.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { parsePlan } from '../../toolchain/budget/statistics/plan.ts';
import { MS } from './measured-boots.ts';

/** For boots of `measuredBoot`, which take 555.6 ms. */
export const BUDGET: EvidenceBudget = {
  start: 'power-on',
  stop: 'containers',
  totalNs: 600 * MS,
  reserveNs: 0,
  stages: [{ name: 'verify', ns: 30 * MS }],
  stretches: [],
  constants: [],
};

export const SETTINGS: EvidenceSettings = {
  plan: { text: '95/95', ...parsePlan('95/95'), origin: 'board' },
  seed: 1,
  alpha: 0.05,
  totalMarginNs: 20 * MS,
  stageMargin: { absoluteNs: 5 * MS, relative: 0.03 },
  tolerance: {
    absoluteNs: 0.1 * MS,
    relative: 0.005,
    stages: [{ name: 'containers', ns: 3 * MS }],
  },
};

/** What a test judges. */
export interface Given {
  readonly candidate: readonly MeasuredBoot[];
  readonly baseline?: readonly MeasuredBoot[];
  readonly budget?: Partial<EvidenceBudget>;
  readonly settings?: Partial<EvidenceSettings>;
  /** Of a history; without it none was asked for. */
  readonly builds?: Evidence['builds'];
}

/** The evidence that both arms are. */
export function judged({ candidate, baseline, budget: change, settings, builds }: Given): Evidence {
  const budget = { ...BUDGET, ...change };
  const source = (arm: 'candidate' | 'baseline', boots: number): Evidence['sources'][number] => {
    return { file: `${arm}.jsonl`, sha256: 'ab'.repeat(32), format: 'test', arm, boots };
  };
  return judge({
    tool: { name: 'coldseal', version: '0' },
    board: { id: 'qemu-aarch64', name: 'A board' },
    budget,
    settings: { ...SETTINGS, ...settings },
    storage: [],
    sources: [
      source('candidate', candidate.length),
      ...(baseline === undefined ? [] : [source('baseline', baseline.length)]),
    ],
    groups: pairGroups(collectGroups(candidate, budget), collectGroups(baseline ?? [], budget)),
    builds: builds ?? [],
    hasBaseline: baseline !== undefined,
    hasHistory: builds !== undefined,
  });
}

/** The state of a check by its identifier. */
export const stateOf = (evidence: Evidence, id: string): string => find(evidence, id).state;

/** A check by its identifier. */
export function find({ checks }: Evidence, id: string): Check {
  const found = checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no ${id} in ${checks.map((each) => each.id).join()}`);
  return found;
}
