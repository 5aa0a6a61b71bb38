/** A board for people: every setting on a line, each figure with its evidence and its source. */
import type { Board } from './board-shape.ts';
import { failureAction, type FailureStep } from './boot-settings.ts';
import { chainMs, stagesMs } from './check-policy.ts';
import type { Fact } from './figures.ts';

type Row = readonly [path: string, value: string, remark?: string];

/** Lines in three aligned columns: setting, value, and where a figure is from. */
export function describeBoard(board: Board): string[] {
  const { on_failure: steps, ...settings } = board;
  const rows: Row[] = [
    ...settingRows('', settings),
    ['on_failure', steps.map(stepText).join(', then ')],
    ...derivedRows(board),
  ];
  const pathWidth = Math.max(...rows.map(([path]) => path.length));
  // A long text does not push the remarks of all the others to the right.
  const figures = rows.filter(([, , remark]) => remark !== undefined);
  const valueWidth = Math.max(0, ...figures.map(([, value]) => value.length));
  return rows.map(([path, value, remark]) => {
    const start = `${path.padEnd(pathWidth)}  `;
    return remark === undefined ? start + value : `${start}${value.padEnd(valueWidth)}  ${remark}`;
  });
}

/** What a loaded board is made of. */
type Setting =
  string | number | boolean | undefined | readonly Setting[] | { readonly [key: string]: Setting };

function settingRows(path: string, value: Setting): Row[] {
  if (value === undefined) return [];
  if (typeof value !== 'object') return [[path, String(value) || 'none']];
  if (isList(value)) {
    if (value.every((each) => typeof each !== 'object'))
      return [[path, value.join(', ') || 'none']];
    return value.flatMap((each, index) => settingRows(`${path}[${index}]`, each));
  }
  if (isFact(value)) return [[path, String(value.value), `${value.evidence}: ${value.source}`]];
  return Object.entries(value).flatMap(([key, each]) =>
    settingRows(path === '' ? key : `${path}.${key}`, each),
  );
}

function isFact(value: object): value is Fact<number | boolean> {
  return 'value' in value && 'evidence' in value;
}

function isList(value: object): value is readonly Setting[] {
  return Array.isArray(value);
}

function stepText(step: FailureStep): string {
  const action = failureAction(step);
  if (action.action !== 'restart') return action.action;
  return `restart after ${action.delayS} s (${action.max} times at most)`;
}

/** What follows from the settings. */
function derivedRows(board: Board): Row[] {
  const stages = stagesMs(board);
  const before = chainMs(board);
  const left = board.budget.total_ms - stages - before;
  const text = `${before} ms known before the runtime + ${stages} ms of stages`;
  const end = left >= 0 ? `${left} ms are left` : `${-left} ms too much`;
  return [['budget', `${text}, ${end} of ${board.budget.total_ms} ms`]];
}
