/**
 * One answer from all checks: the worst of them, with its reason code and a sentence. Pure.
 *
 * What nobody could answer is no pass: with nothing but remarks the outcome is inconclusive.
 */
import type { Check, Outcome } from './evidence.ts';
import { countText } from './units.ts';

type Deciding = Outcome['state'];

/** Worst first. */
const ORDER: readonly Deciding[] = ['fail', 'bad-evidence', 'inconclusive', 'pass'];
/** Among failures: a budget that is not kept weighs more than one that was kept better before. */
const KINDS: readonly Check['kind'][] = [
  'compliance',
  'prediction',
  'stage',
  'regression',
  'evidence',
  'drift',
];

const WORDS: Readonly<Record<Deciding, string>> = {
  fail: 'Over budget',
  'bad-evidence': 'Bad evidence',
  inconclusive: 'Inconclusive',
  pass: 'Within budget',
};

/** The outcome of a report. Exit code 0 is for a pass alone. */
export function outcomeOf(checks: readonly Check[]): Outcome {
  const state = ORDER.find((each) => checks.some((check) => check.state === each));
  if (state === undefined) {
    return {
      state: 'inconclusive',
      code: 'BUDGET_INCONCLUSIVE',
      exitCode: 5,
      sentence: 'Inconclusive: nothing here can be judged, no boot is a cold one',
    };
  }
  // What is wrong with evidence is said best by the check of the evidence.
  const order = state === 'bad-evidence' ? [...KINDS].reverse() : KINDS;
  const deciding = checks
    .filter((check) => check.state === state)
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  if (state === 'pass') return passed(deciding);
  const [first] = deciding;
  const isRegression = state === 'fail' && first!.kind === 'regression';
  const word = isRegression ? 'Regression' : WORDS[state];
  const others = deciding.length - 1;
  const more = others === 0 ? '' : ` (and ${others} more)`;
  return {
    state,
    code: first!.code,
    exitCode: 5,
    sentence: `${word}: ${subject(first!)}${first!.sentence}${more}`,
  };
}

/** A stage is named; the total goes without saying. */
function subject({ kind, title }: Check): string {
  return kind === 'stage' ? `${title.replace(/ within .*/, '')} ` : '';
}

function passed(checks: readonly Check[]): Outcome {
  const total = checks.find(({ kind }) => kind === 'compliance' || kind === 'prediction');
  const regression = checks.find(({ kind }) => kind === 'regression');
  const totals = checks.filter(({ kind }) => kind === 'compliance' || kind === 'prediction').length;
  if (total !== undefined) {
    const parts = [
      total.sentence,
      ...(totals > 1 ? [`the same holds for ${countText(totals - 1, 'other group')}`] : []),
      ...(regression === undefined ? [] : ['no regression against the baseline']),
    ];
    const sentence = `${WORDS.pass}: ${parts.join('; ')}`;
    return { state: 'pass', code: null, exitCode: 0, sentence };
  }
  if (regression !== undefined) {
    // Warm boots and reboots are compared, and no budget is for them.
    const sentence = 'No regression against the baseline; no total was judged';
    return { state: 'pass', code: null, exitCode: 0, sentence };
  }
  return {
    state: 'inconclusive',
    code: 'BUDGET_INCONCLUSIVE',
    exitCode: 5,
    sentence: 'Inconclusive: no total was judged, no boot is a cold one',
  };
}
