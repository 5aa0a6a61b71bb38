/**
 * What a boot record says about time: a row for each stretch from power-on to the last early container, against the
 * board's budget, and whether several runs agree. Pure.
 *
 * All times are on the board's clock. Its zero is power-on where the processor's counter told how long that was before
 * the kernel, and the kernel's start otherwise. docs/boot-time.md says what belongs to each row.
 */
import type { BootRecord, StartedContainer } from '../../runtime/format/boot-record.ts';
import type { Board } from './schema.ts';

export interface TimeRow {
  /** `before the kernel`, `kernel`, or a stage of the record. */
  readonly name: string;
  readonly startNs: number;
  /** Null: it did not end. */
  readonly endNs: number | null;
  /** For this row and those that follow with the same first word. */
  readonly budgetNs: number | null;
  readonly isOver: boolean;
}

export interface ContainerTimes {
  readonly name: string;
  readonly startNs: number;
  readonly startedNs: number | null;
  readonly firstOutputNs: number | null;
}

export interface BootTimes {
  readonly rows: readonly TimeRow[];
  /** Early containers, in the order they were started. */
  readonly containers: readonly ContainerTimes[];
  readonly totalNs: number;
  /** What the total ends with: `first output of app`, `start of app`, or `the last stage`. */
  readonly totalUntil: string;
  readonly budgetNs: number;
  /** The total, or a stage with a budget of its own. */
  readonly isOver: boolean;
}

/** The times of a boot against a board's budget. */
export function bootTimes(
  record: BootRecord,
  budget: Pick<Board['budget'], 'total_ms' | 'stages'>,
): BootTimes {
  const before = record.clock.beforeKernelNs;
  const zero = before ?? 0;
  const row = (name: string, startNs: number, endNs: number, ms?: number): TimeRow => {
    const budgetNs = ms === undefined ? null : Math.round(ms * 1e6);
    const isOver = budgetNs !== null && endNs - startNs > budgetNs;
    return { name, startNs, endNs, budgetNs, isOver };
  };
  const first = record.stages[0];
  const rows = [
    ...(before === null
      ? []
      : [row('before the kernel', 0, before, budget.stages['before-kernel'])]),
    ...(first === undefined
      ? []
      : [row('kernel', zero, zero + first.startNs, budget.stages.kernel)]),
    ...stageRows(record.stages, zero, budget.stages),
  ];
  const late = (ns: number | null): number | null => (ns === null ? null : zero + ns);
  const containers = record.containers
    .filter(({ start }) => start === 'early')
    .map(({ name, startNs, startedNs, firstOutputNs }) => ({
      name,
      startNs: zero + startNs,
      startedNs: late(startedNs),
      firstOutputNs: late(firstOutputNs),
    }));
  const end = endOf(rows, containers);
  const budgetNs = Math.round(budget.total_ms * 1e6);
  const isOver = end.totalNs > budgetNs || rows.some((each) => each.isOver);
  return { rows, containers, ...end, budgetNs, isOver };
}

const wordOf = (name: string): string => name.split(' ')[0]!;

/** A budget is for all stages of one word, such as every module; the first of them shows it. */
function stageRows(
  stages: BootRecord['stages'],
  zero: number,
  budgets: Board['budget']['stages'],
): TimeRow[] {
  return stages.map(({ name, startNs, endNs }, index) => {
    const word = wordOf(name);
    const ms = budgets[word as keyof typeof budgets];
    const same = stages.filter((other) => wordOf(other.name) === word);
    const sumNs = same.reduce(
      (sum, other) => sum + (other.endNs ?? other.startNs) - other.startNs,
      0,
    );
    const budgetNs = ms === undefined ? null : Math.round(ms * 1e6);
    const isFirst = stages.findIndex((other) => wordOf(other.name) === word) === index;
    return {
      name,
      startNs: zero + startNs,
      endNs: endNs === null ? null : zero + endNs,
      budgetNs: isFirst ? budgetNs : null,
      isOver: budgetNs !== null && sumNs > budgetNs,
    };
  });
}

type End = Pick<BootTimes, 'totalNs' | 'totalUntil'>;

/** The boot is over when the last early container has said something, or runs where it says nothing. */
function endOf(rows: readonly TimeRow[], containers: readonly ContainerTimes[]): End {
  const ends = containers.flatMap(({ name, startedNs, firstOutputNs }): End[] => {
    if (firstOutputNs !== null) {
      return [{ totalNs: firstOutputNs, totalUntil: `first output of ${name}` }];
    }
    return startedNs === null ? [] : [{ totalNs: startedNs, totalUntil: `start of ${name}` }];
  });
  const stages = rows.map(({ startNs, endNs }) => endNs ?? startNs);
  const last = { totalNs: Math.max(0, ...stages), totalUntil: 'the last stage' };
  return ends.reduce((a, b) => (b.totalNs > a.totalNs ? b : a), ends[0] ?? last);
}

/** Nothing in two runs of one release may differ by more than this part of the total. */
export const AGREEMENT = 0.005;

export interface Agreement {
  readonly runs: number;
  /** The largest difference between two runs in a row, a container or the total, as a part of the median total. */
  readonly maxDeviation: number;
  /** Where that is. */
  readonly at: string;
  readonly limit: number;
  readonly isWithin: boolean;
}

/** How well runs of one release agree, in every stage and the total; undefined for fewer than two. */
export function agreementOf(runs: readonly BootTimes[]): Agreement | undefined {
  const [first, ...others] = runs.map(durations);
  if (first === undefined || others.length === 0) return undefined;
  let worst = { maxDeviation: 0, at: 'total' };
  const names = (run: ReadonlyMap<string, number>): string => [...run.keys()].join();
  if (others.some((run) => names(run) !== names(first))) {
    worst = { maxDeviation: 1, at: 'the stages, which are not the same' };
  } else {
    const all = [first, ...others];
    const sorted = (at: string): number[] => all.map((run) => run.get(at)!).sort((a, b) => a - b);
    const total = Math.max(1, sorted('total')[Math.floor(all.length / 2)]!);
    for (const at of first.keys()) {
      const values = sorted(at);
      const maxDeviation = (values.at(-1)! - values[0]!) / total;
      if (maxDeviation > worst.maxDeviation) worst = { maxDeviation, at };
    }
  }
  return {
    runs: runs.length,
    ...worst,
    limit: AGREEMENT,
    isWithin: worst.maxDeviation <= AGREEMENT,
  };
}

/** How long everything took, by name; the same name again gets a number. */
function durations({ rows, containers, totalNs }: BootTimes): Map<string, number> {
  const found = new Map<string, number>();
  const add = (name: string, startNs: number, endNs: number | null): void => {
    const same = [...found.keys()].filter((key) => key.replace(/ #\d+$/, '') === name).length;
    found.set(same === 0 ? name : `${name} #${same + 1}`, (endNs ?? startNs) - startNs);
  };
  for (const { name, startNs, endNs } of rows) add(name, startNs, endNs);
  for (const { name, startNs, startedNs, firstOutputNs } of containers) {
    add(`start of ${name}`, startNs, startedNs);
    add(`first output of ${name}`, startNs, firstOutputNs);
  }
  return found.set('total', totalNs);
}

/** Early containers that could not be started. */
export function failedContainers({ containers }: BootRecord): StartedContainer[] {
  return containers.filter(({ start, reason }) => start === 'early' && reason !== null);
}
