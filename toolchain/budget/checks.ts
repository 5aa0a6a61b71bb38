/**
 * The questions to the evidence and their answers, one check each: what JUnit, the page and the exit code are made of.
 * Pure.
 *
 * Three verdicts are never mixed: compliance is for real boards, with certainty; a virtual board predicts; regression
 * compares with a baseline. Drift and remarks never decide. What cannot be answered is no yes.
 */
import type {
  Check,
  ComplianceResult,
  DriftResult,
  EvidenceBudget,
  EvidenceBuild,
  EvidenceGroup,
  EvidenceSettings,
  Figure,
  StageColumn,
  StageShift,
} from './evidence.ts';
import { isRealBoard } from './measured-boot.ts';
import { judgedTotals } from './judge-compliance.ts';
import { planText } from './statistics/plan.ts';
import { countText, msText, percentOf, shiftText } from './units.ts';

/** What every check of a group is made from. */
interface Frame {
  readonly group: EvidenceGroup;
  readonly budget: EvidenceBudget;
  readonly settings: EvidenceSettings;
  readonly hasBaseline: boolean;
}

type Answer = Pick<Check, 'state' | 'code' | 'sentence'> & { readonly figures?: readonly Figure[] };

/** Every check of a group. */
export function groupChecks(frame: Frame): Check[] {
  const { group, budget, hasBaseline } = frame;
  const evidence = evidenceCheck(frame);
  const isBad = evidence.state === 'bad-evidence';
  return [
    totalCheck(frame, isBad),
    ...group.candidate.stages
      .filter(({ budgetNs }) => budgetNs !== null)
      .map((stage) => stageCheck(group, stage)),
    ...(hasBaseline ? [regressionCheck(frame)] : []),
    ...(group.regression?.guards ?? [])
      .filter(({ name, isRaised }) => isRaised && name !== 'tail')
      .map(({ name, p, sentence }) =>
        check(group, `guard/${name}`, 'regression', `Guard of the ${name}`, {
          state: 'noted',
          code: null,
          sentence,
          figures: p === null ? [] : [{ name: 'p', value: p, unit: 'ratio' }],
        }),
      ),
    ...reserveChecks(group, budget),
    evidence,
  ];
}

function check(
  group: EvidenceGroup | null,
  name: string,
  kind: Check['kind'],
  title: string,
  { figures = [], ...answer }: Answer,
): Check {
  const id = group === null ? name : `${group.id}/${name}`;
  return { id, group: group?.id ?? null, kind, title, ...answer, figures };
}

const ns = (name: string, value: number): Figure => ({ name, value, unit: 'ns' });
const count = (name: string, value: number): Figure => ({ name, value, unit: 'count' });

// --- the total -------------------------------------------------------------------------------------------------

function totalCheck(frame: Frame, isBad: boolean): Check {
  const { group, budget } = frame;
  const isReal = isRealBoard(group.evidence);
  const title = `Total within ${msText(budget.totalNs)}`;
  if (!isReal) return check(group, 'total', 'prediction', title, prediction(group, budget));
  return check(group, 'total', 'compliance', title, complianceAnswer(frame, isBad));
}

/** A virtual board gives one time, and every boot of it has to keep to the budget. */
function prediction(group: EvidenceGroup, { totalNs: budgetNs }: EvidenceBudget): Answer {
  const totals = judgedTotals(group.candidate);
  const over = totals.filter((ns) => ns > group.limitNs).length;
  const never = totals.filter((ns) => ns === Infinity).length;
  const { total } = group.candidate;
  if (total === null && never === 0) return nothing('no boot has a total');
  const what =
    total === null
      ? `none of ${countText(never, 'boot')} got to its end`
      : `${msText(total.medianNs)} of ${msText(budgetNs)} (median of ${countText(total.n, 'boot')})`;
  const how = over === 0 ? '' : `; ${over} of ${countText(totals.length, 'boot')} over`;
  return {
    state: over === 0 ? 'pass' : 'fail',
    code: over === 0 ? null : 'BUDGET_OVER',
    sentence: `${what}${how}; ${group.evidence}, which predicts and does not prove`,
    figures: [
      ...(total === null ? [] : [ns('median', total.medianNs), ns('max', total.maxNs)]),
      ns('limit', group.limitNs),
      count('boots', totals.length),
      count('over', over),
    ],
  };
}

function complianceAnswer({ group, settings }: Frame, isBad: boolean): Answer {
  const { compliance, evidence } = group;
  if (isWarm(group)) return forComparison(group);
  if (compliance === null) return nothing('no boot can be judged');
  const text = complianceText(compliance, settings, group);
  const figures = [
    count('boots', compliance.n),
    count('over', compliance.exceedances),
    count('planned', settings.plan.boots),
    ns('limit', group.limitNs),
    ...(compliance.boundNs === null ? [] : [ns('bound', compliance.boundNs)]),
    { name: 'proven', value: compliance.provenCoverage, unit: 'ratio' as const },
  ];
  const answer = (state: Check['state'], code: string | null): Answer => {
    return { state, code, sentence: `${text}; ${evidence}`, figures };
  };
  // Boots that are over stay over, whatever is wrong with others.
  if (compliance.state === 'over') return answer('fail', 'BUDGET_OVER');
  if (isBad) {
    const { n, exceedances } = compliance;
    const counted = `${countText(n, 'boot')}, ${exceedances} over ${msText(group.limitNs)}`;
    const sentence = `${counted}, and no verdict: the evidence cannot be used; ${evidence}`;
    return { ...answer('bad-evidence', 'BUDGET_EVIDENCE'), sentence };
  }
  return compliance.state === 'within'
    ? answer('pass', null)
    : answer('inconclusive', 'BUDGET_INCONCLUSIVE');
}

function complianceText(
  { state, n, exceedances, moreBoots, provenCoverage, allBoots, allExceedances }: ComplianceResult,
  { plan }: EvidenceSettings,
  { limitNs, candidate }: EvidenceGroup,
): string {
  const coverage = percentOf(plan.coverage, 3);
  const confidence = percentOf(plan.confidence, 3);
  const limit = msText(limitNs);
  const boots = `${countText(n, 'boot')}, ${exceedances} over`;
  const boards =
    candidate.specimens.length === 0 ? '' : `, ${countText(candidate.specimens.length, 'board')}`;
  const { reliability } = planText(plan);
  if (state === 'within') {
    // What comes after the boots of the plan changes nothing, and is not kept quiet either.
    const after = allExceedances - exceedances;
    const noted = after === 0 ? '' : `; ${after} of ${allBoots - n} after these over, not counted`;
    return (
      `${coverage} of cold boots are within ${limit} with ${confidence} confidence ` +
      `(${reliability}: ${boots}${boards}${noted})`
    );
  }
  const proven =
    `all ${countText(allBoots, 'boot')} with ${allExceedances} over prove ` +
    `${percentOf(provenCoverage)} with ${confidence} confidence`;
  if (state === 'over') {
    const allowed = countText(plan.exceedances, 'boot');
    return `${boots} ${limit}${boards}, where ${reliability} allows ${allowed}; ${proven}`;
  }
  const more = countText(moreBoots, 'more boot');
  return `${boots} ${limit}${boards}; ${reliability} needs ${more}; ${proven}`;
}

/** Whether power was on before the boot. */
function isWarm({ start }: EvidenceGroup): boolean {
  return start === 'warm' || start === 'reboot';
}

function forComparison({ start }: EvidenceGroup): Answer {
  const sentence = `the budget is for cold boots; these are ${start} ones, shown for comparison`;
  return { state: 'not-evaluated', code: null, sentence };
}

function nothing(sentence: string): Answer {
  return { state: 'bad-evidence', code: 'BUDGET_EVIDENCE', sentence };
}

// --- stages ----------------------------------------------------------------------------------------------------

/** A stage with a budget of its own has to keep to it in the median; the total has the certainty. */
function stageCheck(group: EvidenceGroup, { name, summary, budgetNs }: StageColumn): Check {
  const title = `${name} within ${msText(budgetNs!)}`;
  const make = (answer: Answer): Check => check(group, `stage/${name}`, 'stage', title, answer);
  if (isWarm(group)) return make(forComparison(group));
  if (summary === null) {
    const sentence = 'is in no record, so that its budget cannot be checked';
    return make({ state: 'bad-evidence', code: 'BUDGET_EVIDENCE', sentence });
  }
  const { medianNs, p95Ns, maxNs, n } = summary;
  const isOver = medianNs > budgetNs!;
  const tail = p95Ns === medianNs ? '' : `, 95th percentile ${msText(p95Ns)}`;
  return make({
    state: isOver ? 'fail' : 'pass',
    code: isOver ? 'BUDGET_STAGE' : null,
    sentence: `${msText(medianNs)} of ${msText(budgetNs!)} (median of ${n}${tail}); ${group.evidence}`,
    figures: [
      ns('median', medianNs),
      ns('p95', p95Ns),
      ns('max', maxNs),
      ns('limit', budgetNs!),
      count('boots', n),
    ],
  });
}

/** A median that eats into the reserve is no failure yet. */
function reserveChecks(group: EvidenceGroup, { totalNs, reserveNs }: EvidenceBudget): Check[] {
  const { total } = group.candidate;
  const leftNs = total === null ? Infinity : totalNs - total.medianNs;
  if (reserveNs === 0 || leftNs >= reserveNs || leftNs < 0) return [];
  const sentence = `${msText(leftNs)} are left of a reserve of ${msText(reserveNs)}`;
  const figures = [ns('left', leftNs), ns('reserve', reserveNs)];
  const answer = { state: 'noted' as const, code: null, sentence, figures };
  return [check(group, 'reserve', 'stage', 'Reserve untouched', answer)];
}

// --- regression ------------------------------------------------------------------------------------------------

function regressionCheck({ group }: Frame): Check {
  const title = 'No regression against the baseline';
  const make = (answer: Answer): Check => check(group, 'regression', 'regression', title, answer);
  if (group.baseline === null) {
    const sentence = `the baseline has no boots of this kind (${group.label})`;
    return make({ state: 'inconclusive', code: 'BUDGET_INCONCLUSIVE', sentence });
  }
  const { regression } = group;
  if (regression === null) return make(nothing('one of the arms has no boot with a total'));
  const { total, state, moreBoots, stages, method } = regression;
  const interval =
    total.lowNs === null ? '' : ` (${shiftText(total.lowNs)} to ${shiftText(total.highNs!)})`;
  const shift = `total ${shiftText(total.shiftNs)}${interval}, margin ${msText(total.marginNs)}`;
  const named = stages.filter(({ isSignificant }) => isSignificant).map(stageText);
  const because = named.length === 0 ? '' : `; ${named.slice(0, 3).join(', ')}`;
  const figures = [
    ns('shift', total.shiftNs),
    ns('margin', total.marginNs),
    ns('baseline', total.baselineMedianNs),
    ns('candidate', total.candidateMedianNs),
    ...stages
      .filter(({ isSignificant }) => isSignificant)
      .slice(0, 3)
      .map(({ name, shiftNs }) => ns(name, shiftNs)),
  ];
  const how = method === 'exact' ? 'compared exactly' : 'Hodges-Lehmann shift';
  const answer = (answered: Check['state'], code: string | null, more: string): Check =>
    make({
      state: answered,
      code,
      sentence: `${shift}${because}${more}; ${how}, ${group.evidence}`,
      figures,
    });
  if (state === 'regression') {
    const tail = regression.guards.find(({ name, isRaised }) => name === 'tail' && isRaised);
    return answer('fail', 'BUDGET_REGRESSION', tail === undefined ? '' : `; ${tail.sentence}`);
  }
  if (state === 'none') return answer('pass', null, '');
  const more = moreBoots === 0 ? '' : `; run ${countText(moreBoots, 'more boot')} of each`;
  return answer('inconclusive', 'BUDGET_INCONCLUSIVE', more);
}

function stageText({ name, shiftNs, baselineMedianNs, change }: StageShift): string {
  if (change === 'new') return `${name} is new: ${msText(shiftNs)}`;
  if (change === 'gone') return `${name} is gone: ${msText(shiftNs)}`;
  const part = baselineMedianNs === 0 ? '' : ` (${signed(percentOf(shiftNs / baselineMedianNs))})`;
  return `${name} ${shiftText(shiftNs)}${part}`;
}

const signed = (text: string): string => (text.startsWith('-') ? text : `+${text}`);

// --- evidence --------------------------------------------------------------------------------------------------

/** Whether the group's boots can carry a verdict at all, and what is remarkable about them. */
function evidenceCheck({ group }: Frame): Check {
  const { candidate, evidence, start, uncertaintyNs, limitNs } = group;
  const title = 'Evidence can be used';
  const unusable = candidate.flags.filter(({ flag }) => flag.isUnusable);
  const boots = new Set(unusable.map(({ boot }) => boot)).size;
  const isReal = isRealBoard(evidence);
  const problems = [
    ...(boots === 0
      ? []
      : [`${boots} of ${countText(candidate.boots, 'boot')}: ${unusable[0]!.flag.message}`]),
    ...(isReal && candidate.releases.length > 1
      ? [
          `the boots are of ${candidate.releases.length} releases, and would prove nothing about any one: ` +
            'give those of each to a report of its own',
        ]
      : []),
    ...(isReal && start === null
      ? ['nobody said whether these were cold boots: import them with --start']
      : []),
    ...(isReal && uncertaintyNs === null
      ? ['nobody said how far the clock may be off: import them with --uncertainty-ms']
      : []),
    ...(limitNs <= 0 ? ['the uncertainty is as large as the budget'] : []),
  ];
  const figures = [count('boots', candidate.boots), count('unusable', boots)];
  if (problems.length > 0) {
    const [first] = unusable;
    const code = first === undefined ? 'BUDGET_EVIDENCE' : first.flag.code;
    const answer = { state: 'bad-evidence' as const, code, sentence: problems.join('; '), figures };
    return check(group, 'evidence', 'evidence', title, answer);
  }
  const harmless = [...new Set(candidate.flags.map(({ flag }) => flag.code))].sort();
  const flagged = new Set(candidate.flags.map(({ boot }) => boot)).size;
  const sentence =
    harmless.length === 0
      ? `${countText(candidate.boots, 'boot')}, none flagged; ${evidence}`
      : `${flagged} of ${countText(candidate.boots, 'boot')} flagged: ${harmless.join(', ')}`;
  const state = harmless.length === 0 ? 'pass' : 'noted';
  return check(group, 'evidence', 'evidence', title, { state, code: null, sentence, figures });
}

// --- drift -----------------------------------------------------------------------------------------------------

/** Drift is for people: a level that changed some builds ago is no fault of this one. */
export function driftCheck(drift: DriftResult, builds: readonly EvidenceBuild[]): Check {
  const title = 'No drift over builds';
  const make = (answer: Answer): Check => check(null, 'drift', 'drift', title, answer);
  const figures = [count('builds', builds.length)];
  if (drift.state === 'not-enough') {
    const sentence = `${countText(builds.length, 'build')}; a change of level needs at least ten`;
    return make({ state: 'not-evaluated', code: null, sentence, figures });
  }
  const name = (index: number): string => builds[index]!.version;
  const { firstBad, changes } = drift;
  // Where nothing is bad, the level may have changed all the same: for the better, or within the margin.
  const change = firstBad === null ? changes.at(-1) : changes[firstBad.change]!;
  if (change === undefined) {
    const sentence = `one level over ${countText(builds.length, 'build')}`;
    return make({ state: 'pass', code: null, sentence, figures });
  }
  const went =
    `the ${change.of === 'p95' ? '95th percentile' : 'median'} went from ` +
    `${msText(change.beforeNs)} to ${msText(change.afterNs)}`;
  const shifts = [ns('before', change.beforeNs), ns('after', change.afterNs)];
  const answer = (state: Check['state'], sentence: string): Check =>
    make({ state, code: null, sentence, figures: [...figures, ...shifts] });
  if (firstBad === null) {
    const over = countText(builds.length, 'build');
    return answer(
      'pass',
      `the last change over ${over} is no slowdown beyond the margin: ${went} with ${name(change.at)}`,
    );
  }
  const { from, to } = firstBad;
  const where = from === to ? name(to) : `${name(from)} to ${name(to)}`;
  return answer('noted', `${went}; first bad build: ${where}`);
}
