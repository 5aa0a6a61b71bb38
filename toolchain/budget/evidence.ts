/**
 * The evidence file: what `coldseal report` found, with everything it was found from. Page, JUnit, CSV and the other
 * outputs are made from this value alone, and `report` over an evidence file makes the same evidence again.
 *
 * Samples are columns in run order, so that ten thousand boots stay small. Times are nanoseconds; null is unknown.
 */
import type { BootFlag, EvidenceClass, MeasuredBoot, StartKind } from './measured-boot.ts';

export const EVIDENCE_KIND = 'coldseal-boot-evidence';
export const EVIDENCE_SCHEMA = 1;

export interface Evidence {
  readonly kind: typeof EVIDENCE_KIND;
  readonly schema: typeof EVIDENCE_SCHEMA;
  readonly tool: { readonly name: 'coldseal'; readonly version: string };
  readonly board: { readonly id: string; readonly name: string };
  readonly budget: EvidenceBudget;
  readonly settings: EvidenceSettings;
  /** What the board file knows of its storage, for what counted reads would take. */
  readonly storage: readonly EvidenceStorage[];
  /** Files that the records came from. */
  readonly sources: readonly EvidenceSource[];
  /** Boots of one class, kind of start and set of conditions; never mixed. The one that decides comes first. */
  readonly groups: readonly EvidenceGroup[];
  /** Earlier builds and this one, oldest first; empty without a history. */
  readonly builds: readonly EvidenceBuild[];
  readonly drift: DriftResult | null;
  /** Every question and its answer. The outcome is the worst of them. */
  readonly checks: readonly Check[];
  readonly outcome: Outcome;
}

/** The board's budget, as the board file had it. */
export interface EvidenceBudget {
  readonly start: string;
  readonly stop: string;
  readonly totalNs: number;
  /** Part of the total that is kept for what is not known yet. */
  readonly reserveNs: number;
  /** At most for all rows of a stage. */
  readonly stages: readonly { readonly name: string; readonly ns: number }[];
  /** Stretches between two events, with a budget of their own. */
  readonly stretches: readonly {
    readonly name: string;
    readonly from: string;
    readonly to: string;
    readonly ns: number;
  }[];
  /** What no clock sees, declared: added to a time that cannot contain it. */
  readonly constants: readonly DeclaredConstant[];
}

export interface DeclaredConstant {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly ns: number;
  readonly uncertaintyNs: number;
  readonly source: string;
  /** measured, vendor, estimated … as in board files. */
  readonly evidence: string;
}

export interface EvidenceSettings {
  readonly plan: {
    readonly text: string;
    /** Parts of one. */
    readonly coverage: number;
    readonly confidence: number;
    readonly exceedances: number;
    readonly boots: number;
    /** Whether somebody asked for it before these boots; otherwise it is the default. */
    readonly origin: 'option' | 'run' | 'board';
  };
  readonly seed: number;
  readonly alpha: number;
  /** A shift up to here is none. */
  readonly totalMarginNs: number;
  readonly stageMargin: { readonly absoluteNs: number; readonly relative: number };
  /** Within this, runs of a virtual board are the same. */
  readonly tolerance: {
    readonly absoluteNs: number;
    readonly relative: number;
    /** Instead of `absoluteNs`, for stages in which the host's answers show. */
    readonly stages: readonly { readonly name: string; readonly ns: number }[];
  };
}

/** A storage of the board with a known rate. What is made of it is modelled, never measured, and in no total. */
export interface EvidenceStorage {
  readonly kind: string;
  readonly bytesPerS: number;
  /** Where the rate is from. */
  readonly evidence: string;
  /** For each read. Null: not known, and not modelled. */
  readonly latencyNs: number | null;
}

export interface EvidenceSource {
  readonly file: string;
  readonly sha256: string;
  readonly format: string;
  readonly arm: 'candidate' | 'baseline' | 'history';
  readonly boots: number;
}

export interface EvidenceGroup {
  /** Short and unique: `virtual-cold`, `board-gpio-cold-temperature=-30C`. */
  readonly id: string;
  /** For people: `virtual, cold`. */
  readonly label: string;
  readonly evidence: EvidenceClass;
  readonly start: StartKind | null;
  readonly conditions: Readonly<Record<string, string>>;
  readonly candidate: SampleSet;
  readonly baseline: SampleSet | null;
  /** Added to each measured total, because its clock cannot see them. */
  readonly constants: readonly DeclaredConstant[];
  /** Clock and constants; what the limit is lowered by. Null: the clock's is not known. */
  readonly uncertaintyNs: number | null;
  /** The total minus the uncertainty. */
  readonly limitNs: number;
  readonly compliance: ComplianceResult | null;
  readonly regression: RegressionResult | null;
}

/** The boots of one arm in a group, in run order. */
export interface SampleSet {
  readonly releases: readonly { readonly id: string | null; readonly version: string }[];
  /** Boards that were measured; empty where nobody said which. */
  readonly specimens: readonly string[];
  readonly boots: number;
  /** Index into `releases`, by boot; -1 for unknown. */
  readonly releaseOf: readonly number[];
  /** Index into `specimens`, by boot; -1 for unknown. */
  readonly specimenOf: readonly number[];
  readonly measuredAt: readonly (string | null)[];
  /** From the start event to the stop event, declared constants included. Null: it never got there. */
  readonly totalsNs: readonly (number | null)[];
  readonly stages: readonly StageColumn[];
  readonly total: Summary | null;
  readonly flags: readonly { readonly boot: number; readonly flag: BootFlag }[];
  /** The boot whose total is the median: what the gantt shows. */
  readonly typical: { readonly boot: number; readonly record: MeasuredBoot } | null;
}

export interface StageColumn {
  /** A stage (all its rows together), or a stretch of the budget. */
  readonly name: string;
  readonly durationsNs: readonly (number | null)[];
  readonly summary: Summary | null;
  readonly budgetNs: number | null;
}

export interface Summary {
  readonly n: number;
  readonly minNs: number;
  readonly medianNs: number;
  readonly p95Ns: number;
  readonly maxNs: number;
}

export interface ComplianceResult {
  readonly state: 'within' | 'over' | 'inconclusive';
  /** Boots that counted, the first ones of the plan. */
  readonly n: number;
  readonly exceedances: number;
  /** How many more boots would decide, when everything keeps to the budget. */
  readonly moreBoots: number;
  /** Of all boots: the share that is proven to keep to the limit with the plan's confidence. Exploratory. */
  readonly provenCoverage: number;
  readonly allBoots: number;
  readonly allExceedances: number;
  /** With the plan's confidence the plan's share of boots is at most this. Null: too few boots. */
  readonly boundNs: number | null;
  /** Chance to pass, by the true share of boots within the limit. */
  readonly characteristic: readonly { readonly trueCoverage: number; readonly passes: number }[];
  /** The true share at which the plan passes 95 times in 100. */
  readonly coverageToPass: number;
}

export interface RegressionResult {
  readonly method: 'exact' | 'shift';
  readonly state: 'regression' | 'none' | 'inconclusive';
  readonly total: Shift;
  /** Stages that explain the shift, largest first; `isSignificant` after Holm, or outside the tolerance. */
  readonly stages: readonly StageShift[];
  /** How many more boots of each arm would probably decide. */
  readonly moreBoots: number;
  /** Remarks that do not decide: tail and shape. */
  readonly guards: readonly {
    readonly name: 'tail' | 'p95' | 'shape';
    readonly isRaised: boolean;
    readonly p: number | null;
    readonly sentence: string;
  }[];
}

export interface Shift {
  readonly baselineMedianNs: number;
  readonly candidateMedianNs: number;
  /** Hodges-Lehmann, or the distance of the nearest ends of both ranges for exact comparison. */
  readonly shiftNs: number;
  /** Interval of the shift; null where nothing is estimated. */
  readonly lowNs: number | null;
  readonly highNs: number | null;
  readonly marginNs: number;
}

export interface StageShift extends Shift {
  readonly name: string;
  /** Holm-adjusted; null for exact comparison. */
  readonly p: number | null;
  readonly isSignificant: boolean;
  /** In one arm only. */
  readonly change: 'new' | 'gone' | null;
}

export interface EvidenceBuild {
  readonly id: string | null;
  readonly version: string;
  readonly builtAt: number | null;
  readonly boots: number;
  readonly medianNs: number;
  readonly p95Ns: number;
  readonly maxNs: number;
  /** Stages with their medians, for the trend of each. */
  readonly stages: readonly { readonly name: string; readonly medianNs: number }[];
}

export interface DriftResult {
  readonly state: 'drift' | 'none' | 'not-enough';
  /** Indices into `builds`: the level changes with this build. */
  readonly changes: readonly {
    readonly at: number;
    readonly of: 'median' | 'p95';
    readonly beforeNs: number;
    readonly afterNs: number;
    readonly p: number;
  }[];
  /** The build, or the range of builds, with which the last level above the margin began; index of its change. */
  readonly firstBad: {
    readonly from: number;
    readonly to: number;
    readonly change: number;
  } | null;
}

/** `noted`: found, and worth a look, but it does not decide. */
export type CheckState =
  'pass' | 'fail' | 'inconclusive' | 'bad-evidence' | 'noted' | 'not-evaluated';

/** One question to the evidence. */
export interface Check {
  /** Unique within the evidence: `virtual-cold/stage/verify`. */
  readonly id: string;
  /** Identifier of a group; null for the whole. */
  readonly group: string | null;
  readonly kind: 'compliance' | 'prediction' | 'stage' | 'regression' | 'drift' | 'evidence';
  readonly state: CheckState;
  /** Reason code of anything but a pass. */
  readonly code: string | null;
  /** The question: `Total within 2000 ms`. */
  readonly title: string;
  /** The answer with its figures. */
  readonly sentence: string;
  readonly figures: readonly Figure[];
}

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: 'ns' | 'count' | 'ratio';
}

export interface Outcome {
  /** `bad-evidence` and `inconclusive` are never `pass`. */
  readonly state: Exclude<CheckState, 'noted' | 'not-evaluated'>;
  readonly code: string | null;
  readonly exitCode: 0 | 5;
  /** The verdict, first line of every output. */
  readonly sentence: string;
}
