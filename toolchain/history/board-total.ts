/**
 * Which total a boot is judged by: between the start and the stop event of its board's budget, or those that were asked
 * for. A board that has no file here has the default budget of board files.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { loadBoard } from '../board/load.ts';
import { budgetOfBoard } from '../budget/budget-of-board.ts';
import type { EvidenceBudget } from '../budget/evidence.ts';
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
