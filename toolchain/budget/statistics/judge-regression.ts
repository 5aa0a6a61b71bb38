/**
 * Whether a candidate boots slower than its baseline by more than a margin: a regression, none, or not to be told yet.
 *
 * The verdict is where the confidence interval of the Hodges-Lehmann shift lies. All of it above the margin:
 * regression. All of it below: none. Otherwise: inconclusive, and how many more boots would help. A p value alone is
 * no verdict: with many boots it finds a difference of a microsecond, with few it finds nothing, and neither is "no
 * regression".
 *
 * Two guards look at what a shift does not show. The tail guard (Fisher) makes a regression of significantly more boots
 * over the limit, each side having half of alpha like the interval. The shape guard (Kolmogorov and Smirnov) is a note.
 *
 * Nothing here is drawn by chance, so there is no seed: the same samples give the same judgement.
 */
import { fisherExact } from './fisher.ts';
import { kolmogorovSmirnov, type KsTest } from './kolmogorov-smirnov.ts';
import { quantileDifference } from './quantile-difference.ts';
import { intervalRank, mannWhitney } from './ranks.ts';
import { shiftOf } from './shift.ts';

/** Of 3 against 3 boots the smallest two-sided p value is 0.1, of 4 it is 0.029, of 5 it is 0.008. */
export const ARM_MIN = 5;

/** A 95th percentile of fewer boots is their maximum, or next to it: 0.95^59 is the first below 0.05. */
export const P95_MIN = 59;

/**
 * What is asked for at once; a difference that needs more is so near the margin that the margin should be discussed.
 */
export const MORE_BOOTS_MAX = 300;

const MS = 1e6;

/** The margin of the total: 20 ms or 1 % of its budget, whichever is more. */
export function totalMarginNs(budgetNs: number): number {
  return Math.max(20 * MS, budgetNs * 0.01);
}

/** The margin of a stage: 5 ms or 3 % of its median in the baseline, whichever is more. */
export function stageMarginNs(baselineMedianNs: number): number {
  return Math.max(5 * MS, baselineMedianNs * 0.03);
}

export interface RegressionInput {
  /** Boots of one board in one session. Infinity is a boot that never got ready. */
  readonly baseline: readonly number[];
  readonly candidate: readonly number[];
  readonly marginNs: number;
  /** Two-sided, such as 0.95. */
  readonly confidence: number;
  /** For the tail guard: a boot above it is an exceedance. */
  readonly limitNs?: number;
}

export interface Arms {
  readonly baseline: number;
  readonly candidate: number;
}

export interface TailGuard {
  readonly exceedances: Arms;
  /** One-sided: the candidate has more. */
  readonly pValue: number;
  readonly isWorse: boolean;
}

export interface Span {
  readonly lowNs: number;
  readonly highNs: number;
}

export interface RegressionJudgement {
  readonly outcome: 'regression' | 'none' | 'inconclusive' | 'cannot-tell';
  /** What made it a regression. */
  readonly because: 'shift' | 'tail' | null;
  /** Boots that got ready, which the shift is about, and boots that did not. */
  readonly n: Arms;
  readonly neverReady: Arms;
  readonly estimator: 'Hodges-Lehmann shift, inverted rank test';
  /** Null where no interval of this confidence exists. */
  readonly estimateNs: number | null;
  readonly intervalNs: Span | null;
  /** Two-sided Mann-Whitney, for the reader; the verdict does not use it. */
  readonly pValue: number | null;
  readonly alpha: number;
  readonly marginNs: number;
  /** For each arm, by the rule at `moreBootsFor`; 0 where there is a verdict. */
  readonly moreBoots: number;
  /** How many boots in each arm could tell at all, at this confidence. */
  readonly minimumBoots: number;
  /** Null: no limit was given. */
  readonly tail: TailGuard | null;
  /** Null: fewer than `P95_MIN` boots in an arm. */
  readonly p95: (Span & { readonly differenceNs: number }) | null;
  readonly shape: (KsTest & { readonly isChanged: boolean }) | null;
}

/** Judges a candidate by its baseline. */
export function judgeRegression(input: RegressionInput): RegressionJudgement {
  requireInput(input);
  const { marginNs, confidence, limitNs } = input;
  const alpha = alphaOf(confidence);
  const baseline = input.baseline.filter(Number.isFinite);
  const candidate = input.candidate.filter(Number.isFinite);
  const n = { baseline: baseline.length, candidate: candidate.length };
  const smaller = Math.min(n.baseline, n.candidate);
  const minimumBoots = minimumFor(alpha);
  const shift = smaller < ARM_MIN ? null : shiftOf(baseline, candidate, 1 - alpha);
  const interval = shift?.interval ?? null;
  const tail = limitNs === undefined ? null : tailGuard(input, limitNs, alpha);
  const verdict = verdictOf(interval, marginNs, tail);
  return {
    ...verdict,
    n,
    neverReady: {
      baseline: input.baseline.length - n.baseline,
      candidate: input.candidate.length - n.candidate,
    },
    estimator: 'Hodges-Lehmann shift, inverted rank test',
    estimateNs: interval === null ? null : shift!.estimate,
    intervalNs: interval === null ? null : { lowNs: interval.low, highNs: interval.high },
    pValue: interval === null ? null : mannWhitney(baseline, candidate).pTwoSided,
    alpha,
    marginNs,
    moreBoots:
      verdict.outcome === 'cannot-tell'
        ? Math.max(1, minimumBoots - smaller)
        : verdict.outcome === 'inconclusive'
          ? moreBootsFor(smaller, shift!.estimate, interval!, marginNs)
          : 0,
    minimumBoots,
    tail,
    p95: smaller < P95_MIN ? null : p95Of(baseline, candidate, confidence),
    shape: shift === null ? null : shapeGuard(baseline, candidate, shift.estimate, alpha),
  };
}

/** Without the digits that only binary fractions have: 1 - 0.95 is printed in the evidence. */
function alphaOf(confidence: number): number {
  return Number((1 - confidence).toPrecision(12));
}

type Ends = { readonly low: number; readonly high: number };

function verdictOf(
  interval: Ends | null,
  marginNs: number,
  tail: TailGuard | null,
): Pick<RegressionJudgement, 'outcome' | 'because'> {
  if (interval !== null && interval.low > marginNs) {
    return { outcome: 'regression', because: 'shift' };
  }
  if (tail?.isWorse === true) return { outcome: 'regression', because: 'tail' };
  if (interval === null) return { outcome: 'cannot-tell', because: null };
  return { outcome: interval.high < marginNs ? 'none' : 'inconclusive', because: null };
}

/**
 * An interval shrinks with the square root of the boots. It has to become so short that its end on the margin's side
 * keeps off the margin, the estimate staying where it is: n (side / distance)^2 boots in each arm. At least 5 more,
 * because fewer hardly move it, and at most `MORE_BOOTS_MAX`.
 */
export function moreBootsFor(n: number, estimate: number, ends: Ends, marginNs: number): number {
  const distance = Math.abs(estimate - marginNs);
  const side = estimate > marginNs ? estimate - ends.low : ends.high - estimate;
  const needed = distance === 0 ? Infinity : n * (side / distance) ** 2;
  return Math.min(MORE_BOOTS_MAX, Math.max(5, Math.ceil(needed - n)));
}

/** The smallest equal arms that have an interval. */
function minimumFor(alpha: number): number {
  let n = ARM_MIN;
  while (intervalRank(n, n, alpha / 2) === undefined) n++;
  return n;
}

function tailGuard(input: RegressionInput, limitNs: number, alpha: number): TailGuard {
  const over = (samples: readonly number[]): number => samples.filter((ns) => ns > limitNs).length;
  const { baseline, candidate } = input;
  const exceedances = { baseline: over(baseline), candidate: over(candidate) };
  const { pGreater } = fisherExact(
    exceedances.candidate,
    candidate.length - exceedances.candidate,
    exceedances.baseline,
    baseline.length - exceedances.baseline,
  );
  return { exceedances, pValue: pGreater, isWorse: pGreater <= alpha / 2 };
}

function p95Of(
  baseline: readonly number[],
  candidate: readonly number[],
  confidence: number,
): RegressionJudgement['p95'] {
  const { estimate, low, high } = quantileDifference(baseline, candidate, 0.95, confidence);
  return { differenceNs: estimate, lowNs: low, highNs: high };
}

/**
 * Whether the distribution has another form. The shift is taken off first, because it has a verdict of its own, and a
 * shift alone is no second mode. Aligned samples are nearer than independent ones, so that p is too large: a guard
 * that is raised means what it says.
 */
function shapeGuard(
  baseline: readonly number[],
  candidate: readonly number[],
  shiftNs: number,
  alpha: number,
): RegressionJudgement['shape'] {
  const test = kolmogorovSmirnov(
    baseline,
    candidate.map((ns) => ns - shiftNs),
  );
  return { ...test, isChanged: test.pValue <= alpha };
}

function requireInput({ baseline, candidate, marginNs, confidence }: RegressionInput): void {
  if (![...baseline, ...candidate].every((ns) => ns >= 0)) {
    throw new RangeError('expected times from 0 on; a boot that never got ready is Infinity');
  }
  if (!(marginNs >= 0 && marginNs < Infinity)) {
    throw new RangeError(`expected a margin from 0 on, got ${marginNs}`);
  }
  if (!(confidence >= 0.5 && confidence <= 0.9999)) {
    throw new RangeError(`expected a confidence from 0.5 to 0.9999, got ${confidence}`);
  }
}
