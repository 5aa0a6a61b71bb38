/**
 * Which total a boot is judged by: between the start and the stop event of its board's budget, or those that were asked
 * for. A board that has no file here has the default budget of board files.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { loadBoard } from '../board/load.ts';
import { budgetOfBoard } from '../budget/budget-of-board.ts';
import { reach } from '../budget/events.ts';
import type { EvidenceBudget } from '../budget/evidence.ts';
import { stageOf } from '../budget/measured-boot.ts';
import { nearestWord } from '../config/nearest.ts';
import type { TimedBoot } from './query.ts';
import { type TotalOf, totalInBudget } from './total.ts';

type TotalBudget = Pick<EvidenceBudget, 'start' | 'stop' | 'constants'>;

/** What a board file says where it says nothing. */
const DEFAULT_BUDGET: TotalBudget = { start: 'power-on', stop: 'containers', constants: [] };

export interface TotalEvents {
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** The total of each boot by its own board; board files are looked for from the directory `from` on. */
export function totalByBoard(events: TotalEvents, directory: string): TotalOf {
  const totals = new Map<string, TotalOf>();
  return (boot) => {
    const known = totals.get(boot.board);
    if (known !== undefined) return known(boot);
    const { start, stop, constants } = budgetOf(boot.board, directory);
    const total = totalInBudget({
      start: events.from ?? start,
      stop: events.to ?? stop,
      constants,
    });
    totals.set(boot.board, total);
    return total(boot);
  };
}

/**
 * Refuses an event that no boot has: a mistyped one would leave empty tables that say nothing of the cause.
 * Throws USAGE_BAD_VALUE.
 */
export function refuseUnknownEvents(
  boots: readonly TimedBoot[],
  { from, to }: TotalEvents,
  directory: string,
): void {
  for (const [side, event] of [
    ['from', from],
    ['to', to],
  ] as const) {
    if (event === undefined || boots.length === 0) continue;
    const isThere = (boot: TimedBoot): boolean =>
      reach(boot, event, budgetOf(boot.board, directory).constants, side) !== null;
    if (boots.some(isThere)) continue;
    const known = eventNames(boots);
    const nearest = nearestWord(event, known);
    throw new ColdsealError(
      'USAGE_BAD_VALUE',
      `Cannot use --${side} ${event}: none of ${boots.length} boots has that event, ` +
        `expected one of ${known.join(', ')}`,
      nearest === undefined ? {} : { hint: `did you mean ${nearest}?` },
    );
  }
}

/** In the order in which boots have them; the edges of stages count as events. */
function eventNames(boots: readonly TimedBoot[]): string[] {
  const names = boots.flatMap(({ events, stages }) => [
    ...events.map(({ name }) => name),
    ...stages.flatMap(({ name }) => [`${stageOf(name)}:start`, `${stageOf(name)}:end`]),
  ]);
  return [...new Set(names)];
}

function budgetOf(board: string, directory: string): TotalBudget {
  // The name is from a record, which must not choose a file of this machine.
  if (!/^[A-Za-z0-9][\w-]*$/.test(board)) return DEFAULT_BUDGET;
  try {
    return budgetOfBoard(loadBoard(board, directory).value);
  } catch (error) {
    if (!(error instanceof ColdsealError) || error.code !== 'CONFIG_BOARD_UNKNOWN') throw error;
    return DEFAULT_BUDGET;
  }
}
