/**
 * Whether the candidate of a group is slower than its baseline. Pure.
 *
 * A virtual board whose runs agree is compared exactly: what differs by more than the declared tolerance is a
 * difference, and one run is enough. Everything else has noise, and the shift of the total is estimated with its
 * interval. The total decides; stages say where it comes from.
 */
import type {
  EvidenceSettings,
  RegressionResult,
  SampleSet,
  Shift,
  StageColumn,
  StageShift,
} from './evidence.ts';
import type { EvidenceClass } from './measured-boot.ts';
import { judgedTotals } from './judge-compliance.ts';
import { compareExact, type ExactRow, type Tolerance } from './statistics/compare-exact.ts';
import {
  judgeRegression,
  type RegressionJudgement,
  stageMarginNs,
} from './statistics/judge-regression.ts';
import { holm } from './statistics/multiplicity.ts';
import { median } from './statistics/quantiles.ts';
import { mannWhitney } from './statistics/ranks.ts';
import { countText, msText, shiftText } from './units.ts';

export interface Arms {
  readonly evidence: EvidenceClass;
  readonly baseline: SampleSet;
  readonly candidate: SampleSet;
  readonly limitNs: number;
  /** Stages that are stretches of the budget: they lie over others, and are no part of a sum. */
  readonly stretches: readonly string[];
}

/** Compares the arms of a group. Null where one of them has no boot with a total. */
export function regressionOf(arms: Arms, settings: EvidenceSettings): RegressionResult | null {
  const { baseline, candidate } = arms;
  if (baseline.total === null || candidate.total === null) return null;
  return arms.evidence === 'virtual'
    ? compareArms(arms, settings.tolerance)
    : estimateShift(arms, settings);
}

const known = (values: readonly (number | null)[]): number[] => values.filter((ns) => ns !== null);

/** The durations of one stage in both arms. */
interface Pair {
  readonly name: string;
  readonly before: number[];
  readonly after: number[];
  readonly change: StageShift['change'];
}

function pairsOf(baseline: SampleSet, candidate: SampleSet): Pair[] {
  const named = (set: SampleSet): Map<string, StageColumn> =>
    new Map(set.stages.filter(({ summary }) => summary !== null).map((each) => [each.name, each]));
  const [before, after] = [named(baseline), named(candidate)];
  return [...new Set([...before.keys(), ...after.keys()])].map((name) => {
    const [a, b] = [before.get(name), after.get(name)];
    return {
      name,
      before: known(a?.durationsNs ?? []),
      after: known(b?.durationsNs ?? []),
      change: a === undefined ? 'new' : b === undefined ? 'gone' : null,
    };
  });
}

// --- runs that count instructions ------------------------------------------------------------------------------

function compareArms(
  { baseline, candidate, stretches }: Arms,
  tolerance: EvidenceSettings['tolerance'],
): RegressionResult {
  // A total may differ by what all of its parts together may.
  const parts = tolerance.stages.reduce((sum, { ns }) => sum + ns, tolerance.absoluteNs);
  const totalRow = compareOne(known(baseline.totalsNs), known(candidate.totalsNs), {
    absoluteNs: parts,
    relative: tolerance.relative,
  });
  const stages = pairsOf(baseline, candidate)
    .map((pair) => exactStage(pair, toleranceFor(pair.name, tolerance)))
    .sort((a, b) => Math.abs(b.shiftNs) - Math.abs(a.shiftNs) || (a.name < b.name ? -1 : 1));
  const hosts = tolerance.stages.map(({ name }) => name);
  const net = (isCounted: (name: string) => boolean): number =>
    stages
      .filter(({ name, isSignificant }) => isSignificant && !stretches.includes(name))
      .filter(({ name }) => isCounted(name))
      .reduce((sum, { shiftNs }) => sum + shiftNs, 0);
  // The noise of one stage can hide in the total what others show exactly, and so can the host's moods take it back.
  const netNs = Math.max(
    net(() => true),
    net((name) => !hosts.includes(name)),
  );
  const isSlower = totalRow.isOutside ? totalRow.differenceNs > 0 : netNs > 0;
  return {
    method: 'exact',
    state: isSlower ? 'regression' : 'none',
    total: exactShift(totalRow, known(baseline.totalsNs), known(candidate.totalsNs)),
    stages,
    moreBoots: 0,
    guards: [],
  };
}

function toleranceFor(name: string, tolerance: EvidenceSettings['tolerance']): Tolerance {
  const own = tolerance.stages.find((stage) => stage.name === name);
  return { absoluteNs: own?.ns ?? tolerance.absoluteNs, relative: tolerance.relative };
}

function compareOne(
  before: readonly number[],
  after: readonly number[],
  tolerance: Tolerance,
): ExactRow {
  const runs = (values: readonly number[]): Map<string, number>[] =>
    values.map((ns) => new Map([['it', ns]]));
  return compareExact(runs(before), runs(after), tolerance).rows[0]!;
}

function exactShift(row: ExactRow, before: readonly number[], after: readonly number[]): Shift {
  return {
    baselineMedianNs: median(before),
    candidateMedianNs: median(after),
    shiftNs: row.differenceNs,
    lowNs: null,
    highNs: null,
    marginNs: row.toleranceNs,
  };
}

function exactStage({ name, before, after, change }: Pair, tolerance: Tolerance): StageShift {
  if (change !== null) return changedStage(name, before, after, change, tolerance.absoluteNs);
  const row = compareOne(before, after, tolerance);
  return {
    name,
    ...exactShift(row, before, after),
    p: null,
    isSignificant: row.isOutside,
    change,
  };
}

/** A stage of one arm only: all of it is the shift. */
function changedStage(
  name: string,
  before: readonly number[],
  after: readonly number[],
  change: 'new' | 'gone',
  marginNs: number,
): StageShift {
  const [baselineMedianNs, candidateMedianNs] = [before, after].map((values) =>
    values.length === 0 ? 0 : median(values),
  ) as [number, number];
  const shiftNs = candidateMedianNs - baselineMedianNs;
  return {
    name,
    baselineMedianNs,
    candidateMedianNs,
    shiftNs,
    lowNs: null,
    highNs: null,
    marginNs,
    p: null,
    isSignificant: Math.abs(shiftNs) > marginNs,
    change,
  };
}

// --- samples with noise ----------------------------------------------------------------------------------------

function estimateShift(
  { baseline, candidate, limitNs }: Arms,
  settings: EvidenceSettings,
): RegressionResult {
  const { alpha, totalMarginNs } = settings;
  const arms = { baseline: judgedTotals(baseline), candidate: judgedTotals(candidate) };
  const judged = judgeRegression({
    ...arms,
    marginNs: totalMarginNs,
    confidence: 1 - alpha,
    ...(limitNs > 0 ? { limitNs } : {}),
  });
  return {
    method: 'shift',
    state: judged.outcome === 'cannot-tell' ? 'inconclusive' : judged.outcome,
    total: {
      baselineMedianNs: baseline.total!.medianNs,
      candidateMedianNs: candidate.total!.medianNs,
      shiftNs: judged.estimateNs ?? candidate.total!.medianNs - baseline.total!.medianNs,
      lowNs: judged.intervalNs?.lowNs ?? null,
      highNs: judged.intervalNs?.highNs ?? null,
      marginNs: totalMarginNs,
    },
    stages: stageShifts(baseline, candidate, settings),
    moreBoots: judged.moreBoots,
    guards: guardsOf(judged),
  };
}

/** What stages have to say, adjusted for their number (Holm): they explain, so their margins do not gate. */
function stageShifts(
  baseline: SampleSet,
  candidate: SampleSet,
  { alpha, stageMargin }: EvidenceSettings,
): StageShift[] {
  const pairs = pairsOf(baseline, candidate);
  const tested = pairs.filter(({ change }) => change === null);
  const adjusted = holm(tested.map(({ before, after }) => mannWhitney(before, after).pTwoSided));
  const pOf = new Map(tested.map(({ name }, index) => [name, adjusted[index]!]));
  return pairs
    .map(({ name, before, after, change }): StageShift => {
      const marginNs = before.length === 0 ? stageMargin.absoluteNs : stageMarginNs(median(before));
      if (change !== null) return changedStage(name, before, after, change, marginNs);
      const confidence = 1 - alpha;
      const judged = judgeRegression({
        baseline: before,
        candidate: after,
        marginNs,
        confidence,
      });
      const p = pOf.get(name)!;
      return {
        name,
        baselineMedianNs: median(before),
        candidateMedianNs: median(after),
        shiftNs: judged.estimateNs ?? median(after) - median(before),
        lowNs: judged.intervalNs?.lowNs ?? null,
        highNs: judged.intervalNs?.highNs ?? null,
        marginNs,
        p,
        isSignificant: p <= alpha,
        change,
      };
    })
    .sort((a, b) => Math.abs(b.shiftNs) - Math.abs(a.shiftNs) || (a.name < b.name ? -1 : 1));
}

function guardsOf({ tail, p95, shape }: RegressionJudgement): RegressionResult['guards'] {
  return [
    ...(tail === null
      ? []
      : [
          {
            name: 'tail' as const,
            isRaised: tail.isWorse,
            p: tail.pValue,
            sentence:
              `${countText(tail.exceedances.candidate, 'boot')} over the limit, ` +
              `${tail.exceedances.baseline} in the baseline`,
          },
        ]),
    ...(p95 === null
      ? []
      : [
          {
            name: 'p95' as const,
            isRaised: p95.lowNs > 0,
            p: null,
            sentence:
              `the 95th percentile moved by ${shiftText(p95.differenceNs)} ` +
              `(${msText(p95.lowNs)} to ${msText(p95.highNs)})`,
          },
        ]),
    ...(shape === null
      ? []
      : [
          {
            name: 'shape' as const,
            isRaised: shape.isChanged,
            p: shape.pValue,
            sentence: shape.isChanged
              ? 'the distribution has changed: look at the dots for a second mode'
              : 'the distribution has the same shape',
          },
        ]),
  ];
}
