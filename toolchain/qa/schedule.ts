/**
 * Which arm boots when. Pure: the same seed gives the same schedule on every machine.
 *
 * A board warms up, a card wears, a room cools: with one arm after the other such a drift would pass for a
 * difference between releases. Boots are interleaved in blocks of four, each ABBA or BAAB. In either, both arms have
 * the same mean place, so that a drift in a straight line cancels out in every block; ABAB would give A all the
 * earlier places. Which of the two it is decides a seeded coin, so that nothing periodic (a job each few minutes,
 * two slots that take turns) keeps step with an arm. At no point has one arm more than one boot beyond the other, so
 * that a run that was stopped is balanced as well.
 */
import { seededRandom } from '../budget/statistics/random.ts';
import type { Arm } from './driver.ts';

/** The arms in the order of their boots; `boots` of each. Without a baseline all are the candidate's. */
export function scheduleBoots(boots: number, hasBaseline: boolean, seed: number): Arm[] {
  if (!hasBaseline) return Array.from({ length: boots }, () => 'candidate');
  const random = seededRandom(seed);
  const schedule: Arm[] = [];
  while (schedule.length < boots * 2) {
    const [a, b]: [Arm, Arm] =
      random.below(2) === 0 ? ['candidate', 'baseline'] : ['baseline', 'candidate'];
    schedule.push(a, b, b, a);
  }
  // An odd number of boots ends with half a block, which has one of each.
  return schedule.slice(0, boots * 2);
}

/** A schedule in letters: `c` for candidate, `b` for baseline. */
export function scheduleText(schedule: readonly Arm[]): string {
  return schedule.map((arm) => arm[0]).join('');
}

/** The schedule of letters. */
export function parseSchedule(text: string): Arm[] {
  return Array.from(text, (letter) => (letter === 'b' ? 'baseline' : 'candidate'));
}
