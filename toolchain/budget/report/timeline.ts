/**
 * Where everything of a boot lies on the budget's time: zero is the start event, the last is the stop event, declared
 * constants fill what the record's clock cannot see. Pure.
 */
import type { DeclaredConstant, EvidenceBudget, EvidenceGroup } from '../evidence.ts';
import { eventAt, reach } from '../events.ts';
import { stageOf, type MeasuredBoot } from '../measured-boot.ts';

export interface PlacedSpan {
  readonly name: string;
  readonly startNs: number;
  readonly endNs: number;
  /** It did not end: the end is where the picture does. */
  readonly isOpen: boolean;
}

export interface PlacedConstant extends DeclaredConstant {
  readonly startNs: number;
  readonly endNs: number;
}

export interface Timeline {
  readonly stages: readonly PlacedSpan[];
  /** By track, in the order of their first start. */
  readonly tracks: readonly { readonly name: string; readonly units: readonly PlacedSpan[] }[];
  readonly constants: readonly PlacedConstant[];
  readonly totalNs: number;
}

/** The typical boot of a group on the budget's time; null without one. */
export function timelineOf(group: EvidenceGroup, budget: EvidenceBudget): Timeline | null {
  const { typical, totalsNs } = group.candidate;
  const totalNs = typical === null ? null : (totalsNs[typical.boot] ?? null);
  if (typical === null || totalNs === null) return null;
  const { record } = typical;
  const { constants } = group;
  const start = reach(record, budget.start, constants, 'from');
  const leading = start?.constants ?? constants.filter((each) => isBefore(each, record, budget));
  const trailing = constants.filter((each) => !leading.includes(each));
  const shiftNs =
    start === null ? sum(leading) - startNs(record, budget, totalNs - sum(constants)) : -start.atNs;
  const place = (spans: MeasuredBoot['stages']): PlacedSpan[] =>
    spans.map(({ name, startNs: from, endNs }) => ({
      name,
      startNs: from + shiftNs,
      endNs: endNs === null ? Math.max(totalNs, from + shiftNs) : endNs + shiftNs,
      isOpen: endNs === null,
    }));
  const tracks = new Map<string, MeasuredBoot['units']>();
  for (const unit of record.units) {
    const track = tracks.get(unit.track);
    if (track === undefined) tracks.set(unit.track, [unit]);
    else track.push(unit);
  }
  return {
    stages: place(record.stages),
    tracks: [...tracks].map(([name, units]) => ({ name, units: place(units) })),
    constants: [...lay(leading, 0), ...lay(trailing, totalNs - sum(trailing))],
    totalNs,
  };
}

/** A stretch that ends where the clock begins, or begins where the budget does, comes first; others come last. */
function isBefore(each: DeclaredConstant, record: MeasuredBoot, budget: EvidenceBudget): boolean {
  return each.to === record.clock.zero || each.from === budget.start;
}

function sum(constants: readonly DeclaredConstant[]): number {
  return constants.reduce((total, { ns }) => total + ns, 0);
}

function lay(constants: readonly DeclaredConstant[], fromNs: number): PlacedConstant[] {
  let at = fromNs;
  return constants.map((each) => {
    const start = at;
    at += each.ns;
    return { ...each, startNs: start, endNs: at };
  });
}

/** On the record's clock, without a start event: so much before the stop event as was measured, or the clock's zero. */
function startNs(record: MeasuredBoot, budget: EvidenceBudget, measuredNs: number): number {
  const stopNs = eventAt(record, budget.stop);
  return stopNs === null ? 0 : stopNs - measuredNs;
}

/** Rows of a stage, by the stage's name. */
export function rowsByStage(spans: readonly PlacedSpan[]): Map<string, PlacedSpan[]> {
  const found = new Map<string, PlacedSpan[]>();
  for (const span of spans) {
    const stage = stageOf(span.name);
    found.set(stage, [...(found.get(stage) ?? []), span]);
  }
  return found;
}
