/**
 * A plan of boots: the claim, its confidence, how many boots may be over, and so how many boots it takes. It is fixed
 * before the first boot, because a plan that is chosen after a failure proves less than it says.
 *
 * Two dialects say the same: `95/95` (coverage and confidence in percent, as in a tolerance bound) and `R95C95`
 * (reliability and confidence of a success run). `95/95/2` allows two boots over the budget and asks for more boots.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { binomialTail, inverseIncompleteBeta } from './binomial.ts';
import { bootsNeeded } from './tolerance.ts';

export interface Plan {
  /** The part of all boots that is claimed to be within the budget, below 1. */
  readonly coverage: number;
  readonly confidence: number;
  /** How many of the boots may be over. */
  readonly exceedances: number;
  /** How many boots the verdict takes. */
  readonly boots: number;
}

/** Beyond this nobody boots a board for one verdict: at a minute each it is 69 days. */
export const BOOTS_MAX = 100_000;

const PERCENT = String.raw`(\d{1,2}(?:\.\d{1,3})?)`;
const FORMS = [
  new RegExp(`^${PERCENT}/${PERCENT}(?:/(\\d{1,4}))?$`),
  new RegExp(`^R${PERCENT}C${PERCENT}$`, 'i'),
];

/** The plan of `95/95`, `95/95/2`, `99.9/95` or `R95C90`. */
export function parsePlan(text: string): Plan {
  const match = FORMS.map((form) => form.exec(text.trim())).find((found) => found !== null);
  if (match === undefined) {
    throw refusal(text, 'expected COVERAGE/CONFIDENCE, COVERAGE/CONFIDENCE/EXCEEDANCES or RxCy');
  }
  const [, coverage, confidence, exceedances = '0'] = match as unknown as [
    string,
    string,
    string,
    string?,
  ];
  requireWithin(text, 'coverage', coverage, 50, 99.999);
  requireWithin(text, 'confidence', confidence, 50, 99.99);
  requireWithin(text, 'exceedances', exceedances, 0, 1000);
  const plan = makePlan(partOf(coverage), partOf(confidence), Number(exceedances));
  if (plan.boots > BOOTS_MAX) {
    throw refusal(text, `it takes ${plan.boots} boots, expected at most ${BOOTS_MAX}`);
  }
  return plan;
}

/** The plan of a claim in parts of 1. */
export function makePlan(coverage: number, confidence: number, exceedances: number): Plan {
  const boots = bootsNeeded(coverage, confidence, exceedances);
  return { coverage, confidence, exceedances, boots };
}

/** A percentage as a part of 1; by its decimal point, because 99.9 / 100 is not the double nearest to 0.999. */
function partOf(percent: string): number {
  return Number(`${percent}e-2`);
}

function requireWithin(text: string, what: string, found: string, min: number, max: number): void {
  if (Number(found) >= min && Number(found) <= max) return;
  throw refusal(text, `${what} is ${found}, expected ${min} to ${max}`);
}

function refusal(text: string, problem: string): ColdsealError {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return new ColdsealError(
    'USAGE_PLAN',
    `Cannot plan boots by ${JSON.stringify(shown)}: ${problem}`,
    {
      hint: '95/95 takes 59 boots of which none may be over; 95/95/2 takes 124 of which two may; R95C90 takes 45',
    },
  );
}

export interface PlanText {
  readonly sentence: string;
  /** The same in the words of reliability tests: `R95C95`. */
  readonly reliability: string;
}

/** A plan in both dialects. */
export function planText({ coverage, confidence, exceedances, boots }: Plan): PlanText {
  const [r, c] = [percentText(coverage), percentText(confidence)];
  const over = exceedances === 0 ? 'none over' : `at most ${exceedances} over`;
  const noun = exceedances === 1 ? 'failure' : 'failures';
  return {
    sentence:
      `${r} % of cold boots within the budget with ${c} % confidence: ` +
      `${boots} ${boots === 1 ? 'boot' : 'boots'}, ${over}`,
    reliability: `R${r}C${c}${exceedances === 0 ? '' : ` with at most ${exceedances} ${noun}`}`,
  };
}

/** A part of 1 in percent, without the digits that only binary fractions have. */
export function percentText(part: number): string {
  return String(Number((part * 100).toFixed(6)));
}

/** The probability that a plan of n boots with k allowed over passes, when this part of all boots is within. */
export function passProbability(n: number, k: number, trueCoverage: number): number {
  return binomialTail(n, 1 - trueCoverage, k);
}

export interface OperatingCharacteristic {
  readonly rows: readonly { readonly trueCoverage: number; readonly passes: number }[];
  /** The true coverage that it takes to pass 19 times of 20: the producer's side of the plan. */
  readonly coverageToPass95: number;
}

const TRUE_COVERAGES = [0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999];

/**
 * How a plan judges boards that are better or worse than its claim. In the row of the claim itself it passes with at
 * most 1 - confidence; rows above show what good boards risk.
 */
export function operatingCharacteristic(plan: Plan): OperatingCharacteristic {
  const { boots, exceedances, coverage } = plan;
  const coverages = [...new Set([...TRUE_COVERAGES, coverage])].sort((a, b) => a - b);
  return {
    rows: coverages.map((trueCoverage) => ({
      trueCoverage,
      passes: passProbability(boots, exceedances, trueCoverage),
    })),
    coverageToPass95: inverseIncompleteBeta(boots - exceedances, exceedances + 1, 0.95),
  };
}
