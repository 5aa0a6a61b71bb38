/**
 * From the events of a record to the time that a budget asks for. Pure.
 *
 * An event is an instant by its name, or the edge of a stage: `verify:start`, `verify:end`. What no clock sees is
 * declared in the board file as a constant between two events, and carries a time from the one to the other.
 */
import type { DeclaredConstant, EvidenceBudget } from './evidence.ts';
import { type MeasuredBoot, stageOf } from './measured-boot.ts';

/** What of a record is asked: the history has it without reading whole records. */
export type TimedEvents = Pick<MeasuredBoot, 'stages' | 'events'>;

/** When an event was; null where the record does not have it. */
export function eventAt(boot: TimedEvents, name: string): number | null {
  const event = boot.events.find((each) => each.name === name);
  if (event !== undefined) return event.atNs;
  const edge = /^(.+):(start|end)$/.exec(name);
  if (edge === null) return null;
  const rows = boot.stages.filter((row) => stageOf(row.name) === edge[1]);
  if (edge[2] === 'start') return rows[0]?.startNs ?? null;
  return rows.at(-1)?.endNs ?? null;
}

export interface MeasuredTotal {
  /** From start to stop, constants included; null where one is not in the record, or they are the wrong way round. */
  readonly totalNs: number | null;
  readonly constants: readonly DeclaredConstant[];
  /** The event that is missing, or `order` where the stop event came before the start event. */
  readonly missing: 'start' | 'stop' | 'order' | null;
}

/** What the budget's total is in a boot. */
export function totalOf(
  boot: TimedEvents,
  { start, stop, constants }: Pick<EvidenceBudget, 'start' | 'stop' | 'constants'>,
): MeasuredTotal {
  const from = reach(boot, start, constants, 'from');
  const to = reach(boot, stop, constants, 'to');
  if (from === null) return { totalNs: null, constants: [], missing: 'start' };
  if (to === null) return { totalNs: null, constants: [], missing: 'stop' };
  // A stop before its start is a mistake in the record, and no very fast boot.
  if (to.atNs < from.atNs) return { totalNs: null, constants: [], missing: 'order' };
  return {
    totalNs: to.atNs - from.atNs,
    constants: [...from.constants, ...to.constants],
    missing: null,
  };
}

/** A stretch between two events of the record. Null where one is missing, or they are the wrong way round. */
export function stretchOf(boot: TimedEvents, from: string, to: string): number | null {
  const [a, b] = [eventAt(boot, from), eventAt(boot, to)];
  return a === null || b === null || b < a ? null : b - a;
}

export interface Reached {
  readonly atNs: number;
  readonly constants: readonly DeclaredConstant[];
}

/** An event, or one that constants lead to from there: forward from the start, backward from the stop. */
export function reach(
  boot: TimedEvents,
  name: string,
  constants: readonly DeclaredConstant[],
  side: 'from' | 'to',
): Reached | null {
  const used: DeclaredConstant[] = [];
  let at = name;
  // The rules of board files let one constant begin or end at an event, so this cannot go round more often than that.
  for (let step = 0; step <= constants.length; step++) {
    const atNs = eventAt(boot, at);
    if (atNs !== null) {
      const sum = used.reduce((total, { ns }) => total + ns, 0);
      return { atNs: side === 'from' ? atNs - sum : atNs + sum, constants: used };
    }
    const next = constants.find((each) => each[side] === at);
    if (next === undefined) return null;
    used.push(next);
    at = side === 'from' ? next.to : next.from;
  }
  return null;
}
