/**
 * From collected boots to the evidence with its verdicts. Pure, and the same for records and for an evidence file that
 * is judged again: everything a verdict depends on is in its input, and the input is in the evidence.
 */
import { driftCheck, groupChecks } from './checks.ts';
import { type CollectedGroup, conditionWords } from './collect.ts';
import { driftOf } from './drift.ts';
import {
  type Check,
  type Evidence,
  EVIDENCE_KIND,
  EVIDENCE_SCHEMA,
  type EvidenceGroup,
} from './evidence.ts';
import { complianceOf } from './judge-compliance.ts';
import { regressionOf } from './judge-regression.ts';
import { isRealBoard } from './measured-boot.ts';
import { outcomeOf } from './outcome.ts';

/** A group before it is judged. */
export type UnjudgedGroup = Omit<EvidenceGroup, 'label' | 'limitNs' | 'compliance' | 'regression'>;

/** The evidence without its answers. */
export interface JudgeInput extends Pick<
  Evidence,
  'tool' | 'board' | 'budget' | 'settings' | 'storage' | 'sources' | 'builds'
> {
  readonly groups: readonly UnjudgedGroup[];
  readonly hasBaseline: boolean;
  /** Whether a series of builds was asked for. */
  readonly hasHistory: boolean;
}

/** Pairs the groups of both arms. A group of the baseline alone has nothing to judge. */
export function pairGroups(
  candidate: readonly CollectedGroup[],
  baseline: readonly CollectedGroup[],
): UnjudgedGroup[] {
  return candidate.map(({ samples, ...group }) => {
    const other = baseline.find(({ id }) => id === group.id);
    return {
      ...group,
      // A comparison is only as good as the weaker of its arms.
      evidence: other?.evidence === 'virtual-wallclock' ? other.evidence : group.evidence,
      candidate: samples,
      baseline: other?.samples ?? null,
    };
  });
}

/** Judges everything. */
export function judge(input: JudgeInput): Evidence {
  const { budget, settings, hasBaseline, hasHistory, builds } = input;
  const groups = input.groups.map((group) => judgeGroup(group, input));
  const drift = hasHistory ? driftOf(builds, settings) : null;
  const byGroup = new Map(
    groups.map((group) => [group.id, groupChecks({ group, budget, settings, hasBaseline })]),
  );
  const ordered = [...groups].sort(
    (a, b) => rankOf(byGroup.get(a.id)!) - rankOf(byGroup.get(b.id)!),
  );
  const checks = [
    ...ordered.flatMap(({ id }) => byGroup.get(id)!),
    ...(drift === null ? [] : [driftCheck(drift, builds)]),
  ];
  return {
    kind: EVIDENCE_KIND,
    schema: EVIDENCE_SCHEMA,
    tool: input.tool,
    board: input.board,
    budget,
    settings,
    storage: input.storage,
    sources: input.sources,
    groups: ordered,
    builds,
    drift,
    checks,
    outcome: outcomeOf(checks),
  };
}

function judgeGroup(group: UnjudgedGroup, { budget, settings }: JudgeInput): EvidenceGroup {
  const { evidence, start, conditions, candidate, baseline, uncertaintyNs } = group;
  const limitNs = budget.totalNs - (uncertaintyNs ?? 0);
  const isColdBoard = isRealBoard(evidence) && (start === 'cold' || start === null);
  const stretches = budget.stretches.map(({ name }) => name);
  const label = [evidence, start ?? 'start unknown', ...conditionWords(conditions)].join(', ');
  const { constants, id } = group;
  return {
    id,
    label,
    evidence,
    start,
    conditions,
    candidate,
    baseline,
    constants,
    uncertaintyNs,
    limitNs,
    compliance: isColdBoard ? complianceOf(candidate, limitNs, settings.plan) : null,
    regression:
      baseline === null
        ? null
        : regressionOf({ evidence, baseline, candidate, limitNs, stretches }, settings),
  };
}

/** The group that decides comes first; the order is stable otherwise. */
function rankOf(checks: readonly Check[]): number {
  const states: readonly Check['state'][] = ['fail', 'bad-evidence', 'inconclusive', 'pass'];
  const rank = states.findIndex((state) => checks.some((check) => check.state === state));
  return rank < 0 ? states.length : rank;
}
