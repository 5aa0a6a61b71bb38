/**
 * What the outputs of a report have in common: how figures and states are written, and who a group is. The same words
 * on the terminal, in a job's summary and in a test result, so that they can be searched for.
 */
import { createHash } from 'node:crypto';
import { evidenceText } from '../evidence-file.ts';
import { judgedTotals } from '../judge-compliance.ts';
import type { EvidenceClass } from '../measured-boot.ts';
import { countText, msText, percentOf, shiftText } from '../units.ts';
import type {
  Check,
  CheckState,
  Evidence,
  EvidenceGroup,
  EvidenceSettings,
  Figure,
  SampleSet,
} from '../evidence.ts';

export const STATE_WORDS: Readonly<Record<CheckState, string>> = {
  pass: 'pass',
  fail: 'FAIL',
  inconclusive: 'inconclusive',
  'bad-evidence': 'bad evidence',
  noted: 'noted',
  'not-evaluated': 'not evaluated',
};

/** Worst first, as the outcome ranks them. */
export const STATES: readonly CheckState[] = [
  'fail',
  'bad-evidence',
  'inconclusive',
  'noted',
  'not-evaluated',
  'pass',
];

/** What a class lets one say, for people who see the figure and not the board. */
export const CLASS_WORDS: Readonly<Record<EvidenceClass, string>> = {
  'virtual-wallclock': 'an emulator on a wall clock: says nothing about boards',
  virtual: 'an emulator that counts instructions: predicts, proves nothing about boards',
  'board-selfclock': 'a real board that timed itself',
  'board-serial': 'a real board, timed by its serial lines',
  'board-gpio': 'a real board, timed at its pins',
};

/** SHA-256 of the evidence file: what other outputs name it by. */
export function evidenceDigest(evidence: Evidence): string {
  return createHash('sha256').update(evidenceText(evidence)).digest('hex');
}

/** A difference with its sign, for tables whose head has the unit. */
export function shiftNumber(ns: number): string {
  return shiftText(ns).replace(' ms', '');
}

/** Every digit of a count of nanoseconds, shifted: rounding is for people. Estimates may have halves. */
export function exactText(ns: number, digits: 6 | 9): string {
  const text = String(Math.round(Math.abs(ns))).padStart(digits + 1, '0');
  return `${ns < 0 ? '-' : ''}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

export function figureText({ name, value, unit }: Figure): string {
  if (unit === 'ns') return `${name} ${msText(value)}`;
  return `${name} ${unit === 'ratio' ? percentOf(value) : String(value)}`;
}

export type Arm = 'candidate' | 'baseline';

/** The boots that are judged, then those they are compared with. */
export function armsOf({ candidate, baseline }: EvidenceGroup): (readonly [Arm, SampleSet])[] {
  const arms = [['candidate', candidate] as const];
  return baseline === null ? arms : [...arms, ['baseline', baseline] as const];
}

/** Checks of a group, or of the whole, in their order. */
export function checksOf(evidence: Evidence, group: string | null): Check[] {
  return evidence.checks.filter((check) => check.group === group);
}

/** Which boots a group is about: `59 boots of 1.5.0, 3 boards; baseline: 59 boots of 1.4.1`. */
export function bootsText({ candidate, baseline }: EvidenceGroup): string {
  const text = armText(candidate);
  return baseline === null ? text : `${text}; baseline: ${armText(baseline)}`;
}

/** What the group's totals are held against, and what was taken off for what the clock does not know. */
export function limitText({ limitNs, uncertaintyNs, constants }: EvidenceGroup): string {
  const limit = `limit ${msText(limitNs)}`;
  const off =
    uncertaintyNs === null
      ? ', uncertainty of the clock not known'
      : uncertaintyNs === 0
        ? ''
        : ` after ${msText(uncertaintyNs, uncertaintyNs < 1e6 ? 3 : 1)} for uncertainty`;
  const declared = constants.map(({ name, ns }) => `${name} ${msText(ns)}`).join(', ');
  return `${limit}${off}${declared === '' ? '' : `; declared: ${declared}`}`;
}

export function planText({ plan, seed, alpha }: EvidenceSettings): string {
  return `plan ${plan.text} (${ORIGINS[plan.origin]}), alpha ${alpha}, seed ${seed}`;
}

const ORIGINS: Readonly<Record<EvidenceSettings['plan']['origin'], string>> = {
  option: 'asked for with this report',
  run: 'fixed before the run',
  board: "the board's",
};

function armText(set: SampleSet): string {
  const { boots, releases, specimens } = set;
  const what = releases.map(({ version }) => version).join(', ');
  const boards = specimens.length > 1 ? `, ${specimens.length} boards` : '';
  const judged = judgedTotals(set);
  const unended = judged.filter((ns) => ns === Infinity).length;
  const never = unended === 0 ? '' : `, ${unended} never ended`;
  const unusable = boots - judged.length;
  const none = unusable === 0 ? '' : `, ${unusable} no evidence`;
  const of = what === '' ? '' : ` of ${what}`;
  return `${countText(boots, 'boot')}${of}${boards}${never}${none}`;
}
