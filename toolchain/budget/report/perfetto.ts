/**
 * The typical boot of each group and arm as a trace for the Perfetto UI: native TrackEvent protobuf, because it has
 * tracks of its own where Chrome's JSON has threads.
 *
 * Rules of the format: one packet sequence that begins with cleared state; a descriptor before the first event of its
 * track; slices of a track follow each other, so whatever lies side by side has a track of its own. A slice without an
 * end never ended. Names are written out, so that no packet depends on another one. Zero of the trace is the zero of
 * each boot's clock, or the start of what was declared to lie before it.
 *
 * https://perfetto.dev/docs/reference/synthetic-track-event; field numbers are those of protos/perfetto/trace in
 * google/perfetto.
 */
import { createHash } from 'node:crypto';
import type { MeasuredBoot, Span } from '../measured-boot.ts';
import { stageOf } from '../measured-boot.ts';
import type {
  DeclaredConstant,
  Evidence,
  EvidenceBudget,
  EvidenceGroup,
  SampleSet,
} from '../evidence.ts';
import { msText } from '../units.ts';
import { plainText } from './plain-text.ts';
import { Message } from './protobuf.ts';
import { type Arm, armsOf, CLASS_WORDS } from './words.ts';

const SEQUENCE_ID = 1;
const SEQ_INCREMENTAL_STATE_CLEARED = 1;
const TYPE = { begin: 1, end: 2, instant: 3, counter: 4 } as const;
const ORDER_EXPLICIT = 3;
const UNIT = { count: 2, sizeBytes: 3 } as const;

/** Above this the units of a kind share tracks: thousands of initcalls with a line each are no picture. */
const UNIT_TRACKS_MAX = 300;

/** Tracks of one trace; more than all boots that evidence can show have. */
const TRACKS_MAX = 2 ** 21;

interface Slice extends Span {
  readonly notes?: Readonly<Record<string, string | number>>;
}

/** A packet with its place in time; descriptors come before everything. */
interface Timed {
  readonly atNs: number;
  readonly event: Message;
}

/** The trace, for `ui.perfetto.dev` or `traceconv`. */
export function perfettoTrace(evidence: Evidence): Uint8Array {
  const trace = new TraceWriter(evidence);
  let pid = 0;
  for (const group of evidence.groups) {
    for (const [arm, set] of armsOf(group)) {
      if (set.typical === null) continue;
      pid += 1;
      addBoot(trace, pid, { group, arm, set, record: set.typical.record }, evidence);
    }
  }
  return trace.bytes();
}

interface Boot {
  readonly group: EvidenceGroup;
  readonly arm: Arm;
  readonly set: SampleSet;
  readonly record: MeasuredBoot;
}

function addBoot(trace: TraceWriter, pid: number, boot: Boot, { board, budget }: Evidence): void {
  const { group, arm, set } = boot;
  const { record, declared } = withConstants(boot.record, group.constants);
  const version = record.release === null ? '' : ` ${record.release.version}`;
  const name = `${arm}${version}: ${group.label}`;
  const description = [
    `${board.name}, boot ${set.typical!.boot} of ${set.boots} (its total is the median).`,
    `Evidence: ${group.evidence}, ${CLASS_WORDS[group.evidence]}.`,
    `Clock: ${record.clock.name}, zero at ${record.clock.zero}.`,
  ].join(' ');
  const process = trace.process(pid, name, description);
  addTotal(trace, process, record, budget);
  addPlan(trace, process, record, budget);
  addLanes(trace, process, 'declared', 'declared', declared);
  addLanes(trace, process, 'stages', 'stage', stageSlices(record, set));
  addUnits(trace, process, record);
  const events = record.events.map(({ name, atNs }) => ({ name, atNs }));
  if (events.length > 0) trace.instants(trace.track(process, 'events'), 'event', events);
  addReads(trace, process, record);
}

/**
 * The boot with what no clock sees: constants that end at the clock's zero move everything later, one that begins at an
 * event follows it. Their other ends become events, so that start and stop are found.
 */
function withConstants(
  record: MeasuredBoot,
  constants: readonly DeclaredConstant[],
): { readonly record: MeasuredBoot; readonly declared: readonly Slice[] } {
  const before: DeclaredConstant[] = [];
  const rest = [...constants];
  for (let at = record.clock.zero; ; at = before[0]!.from) {
    const i = rest.findIndex(({ to }) => to === at);
    if (i < 0) break;
    before.unshift(...rest.splice(i, 1));
  }
  const offsetNs = before.reduce((sum, { ns }) => sum + ns, 0);
  const later = <T extends Span>(span: T): T => ({
    ...span,
    startNs: span.startNs + offsetNs,
    endNs: span.endNs === null ? null : span.endNs + offsetNs,
  });
  const declared: Slice[] = [];
  const events: { name: string; atNs: number }[] = [];
  let atNs = 0;
  for (const { name, from, ns } of before) {
    events.push({ name: from, atNs });
    declared.push({ name, startNs: atNs, endNs: (atNs += ns) });
  }
  events.push(...record.events.map(({ name, atNs }) => ({ name, atNs: atNs + offsetNs })));
  for (const { name, from, to, ns } of rest) {
    const start = events.find((event) => event.name === from);
    if (start === undefined) continue;
    declared.push({ name, startNs: start.atNs, endNs: start.atNs + ns });
    events.push({ name: to, atNs: start.atNs + ns });
  }
  const { stages, units } = record;
  return {
    record: { ...record, stages: stages.map(later), units: units.map(later), events },
    declared,
  };
}

/** What was to be kept, and what it took, from the start event. Without that event there is no place for it. */
function addTotal(
  trace: TraceWriter,
  process: number,
  record: MeasuredBoot,
  { start, stop, totalNs }: EvidenceBudget,
): void {
  const startNs = startOf(record, start);
  if (startNs === null) return;
  const budget = { name: `budget ${msText(totalNs)}`, startNs, endNs: startNs + totalNs };
  trace.slices(trace.track(process, 'budget'), 'budget', [budget]);
  const stopNs = record.events.find(({ name }) => name === stop)?.atNs ?? null;
  if (stopNs !== null && stopNs < startNs) return;
  const took = stopNs === null ? 'never ended' : msText(stopNs - startNs);
  const total = { name: `${start} to ${stop}: ${took}`, startNs, endNs: stopNs };
  trace.slices(trace.track(process, 'total'), 'total', [total]);
}

/** The budgets of the stages one after the other: where each stage would end if all took what they may. */
function addPlan(
  trace: TraceWriter,
  process: number,
  record: MeasuredBoot,
  { start, stages, reserveNs }: EvidenceBudget,
): void {
  let atNs = startOf(record, start) ?? 0;
  const parts = reserveNs > 0 ? [...stages, { name: 'reserve', ns: reserveNs }] : stages;
  const slices = parts.map(({ name, ns }): Slice => {
    const startNs = atNs;
    atNs += ns;
    return { name: `${name} ${msText(ns)}`, startNs, endNs: atNs };
  });
  if (slices.length > 0) trace.slices(trace.track(process, 'stage budgets'), 'budget', slices);
}

/** The start event's time. A clock that begins with it needs no event. */
function startOf({ clock, events }: MeasuredBoot, start: string): number | null {
  const event = events.find(({ name }) => name === start);
  return event?.atNs ?? (clock.zero === start ? 0 : null);
}

function stageSlices({ stages }: MeasuredBoot, set: SampleSet): Slice[] {
  return stages.map((row) => {
    const column = set.stages.find(({ name }) => name === stageOf(row.name));
    const budget = column?.budgetNs ?? null;
    const summary = column?.summary ?? null;
    return {
      ...row,
      notes: {
        ...(budget === null ? {} : { 'budget of the stage, ns': budget }),
        ...(summary === null ? {} : { 'median of all boots, ns': summary.medianNs }),
        ...(summary === null ? {} : { 'p95 of all boots, ns': summary.p95Ns }),
      },
    };
  });
}

/** A parent for each kind of unit, below it a track for each unit. */
function addUnits(trace: TraceWriter, process: number, { units }: MeasuredBoot): void {
  const kinds = groupBy(units, ({ track }) => track);
  for (const [kind, rows] of kinds) {
    if (rows.length > UNIT_TRACKS_MAX) {
      addLanes(trace, process, kind, 'unit', rows);
      continue;
    }
    const parent = trace.track(process, kind);
    for (const [name, spans] of groupBy(rows, ({ name }) => name)) {
      addLanes(trace, parent, name, 'unit', spans);
    }
  }
}

/** As many tracks of one name as it takes that nothing overlaps; the UI draws them below each other as one. */
function addLanes(
  trace: TraceWriter,
  parent: number,
  name: string,
  category: string,
  slices: readonly Slice[],
): void {
  const lanes: { endNs: number; readonly slices: Slice[] }[] = [];
  for (const slice of slices.toSorted((a, b) => a.startNs - b.startNs)) {
    let lane = lanes.find(({ endNs }) => endNs <= slice.startNs);
    if (lane === undefined) {
      lane = { endNs: 0, slices: [] };
      lanes.push(lane);
    }
    const endNs = slice.endNs === null ? null : Math.max(slice.endNs, slice.startNs);
    lane.slices.push({ ...slice, endNs });
    lane.endNs = endNs ?? Infinity;
  }
  for (const lane of lanes) trace.slices(trace.track(parent, name), category, lane.slices);
}

/** What was read so far, as known at the end of each stage. Of a stage with several rows it is the last. */
function addReads(trace: TraceWriter, process: number, { io, stages }: MeasuredBoot): void {
  const [first] = stages;
  if (io === null || first === undefined) return;
  const rowOf = (stage: string): number => {
    const own = stages.findLastIndex(({ name }) => name === stage);
    return own < 0 ? stages.findLastIndex(({ name }) => stageOf(name) === stage) : own;
  };
  let [reads, readBytes] = [0, 0];
  const steps = [{ atNs: first.startNs, reads, readBytes }];
  for (const [i, { endNs }] of stages.entries()) {
    if (endNs === null) continue;
    for (const row of io.filter(({ stage }) => rowOf(stage) === i)) {
      reads += row.reads;
      readBytes += row.readBytes;
    }
    steps.push({ atNs: endNs, reads, readBytes });
  }
  const points = (of: 'reads' | 'readBytes'): { atNs: number; value: number }[] =>
    steps.map((step) => ({ atNs: step.atNs, value: step[of] }));
  trace.counter(trace.track(process, 'read requests', UNIT.count), points('reads'));
  trace.counter(trace.track(process, 'read bytes', UNIT.sizeBytes), points('readBytes'));
}

/** Packets of one sequence: descriptors in the order of their tracks, then events in the order of time. */
class TraceWriter {
  readonly #base: number;
  readonly #descriptors: Message[] = [];
  readonly #events: Timed[] = [];

  constructor(evidence: Evidence) {
    // Identifiers of tracks shall not clash with those of other traces, so they begin somewhere else for each.
    const names = JSON.stringify([evidence.board.id, evidence.sources.map(({ sha256 }) => sha256)]);
    this.#base = createHash('sha256').update(names).digest().readUInt32BE() * TRACKS_MAX + 1;
  }

  /** A process is a boot: the UI folds its tracks together. */
  process(pid: number, name: string, description: string): number {
    const process = new Message().number(1, pid).text(6, plainText(name));
    const descriptor = this.#descriptor(name)
      .message(3, process)
      .number(11, ORDER_EXPLICIT)
      .text(14, plainText(description));
    return this.#add(descriptor);
  }

  /** A track below another one, shown in the order of being made. */
  track(parent: number, name: string, counterUnit?: number): number {
    const rank = this.#descriptors.length;
    const descriptor = this.#descriptor(name).number(5, parent).number(12, rank);
    if (counterUnit === undefined) return this.#add(descriptor.number(11, ORDER_EXPLICIT));
    return this.#add(descriptor.message(8, new Message().number(3, counterUnit)));
  }

  /** Slices that follow each other. */
  slices(track: number, category: string, slices: readonly Slice[]): void {
    for (const { name, startNs, endNs, notes = {} } of slices) {
      const event = eventOf(track, TYPE.begin).text(22, category).text(23, plainText(name));
      for (const [key, value] of Object.entries(notes)) event.message(4, note(key, value));
      this.#events.push({ atNs: startNs, event });
      if (endNs !== null) this.#events.push({ atNs: endNs, event: eventOf(track, TYPE.end) });
    }
  }

  instants(
    track: number,
    category: string,
    instants: readonly { readonly name: string; readonly atNs: number }[],
  ): void {
    for (const { name, atNs } of instants) {
      const event = eventOf(track, TYPE.instant).text(22, category).text(23, plainText(name));
      this.#events.push({ atNs, event });
    }
  }

  counter(
    track: number,
    points: readonly { readonly atNs: number; readonly value: number }[],
  ): void {
    for (const { atNs, value } of points) {
      this.#events.push({ atNs, event: eventOf(track, TYPE.counter).number(30, value) });
    }
  }

  bytes(): Uint8Array {
    const trace = new Message();
    for (const [i, descriptor] of this.#descriptors.entries()) {
      const packet = new Message().number(10, SEQUENCE_ID).message(60, descriptor);
      if (i === 0) {
        packet.number(13, SEQ_INCREMENTAL_STATE_CLEARED).number(42, 1).number(87, 1);
      }
      trace.message(1, packet);
    }
    // Sorting keeps the order of events at one time, so that an end stays before the next begin of its track.
    for (const { atNs, event } of this.#events.toSorted((a, b) => a.atNs - b.atNs)) {
      const packet = new Message().number(8, Math.round(atNs)).number(10, SEQUENCE_ID);
      trace.message(1, packet.message(11, event));
    }
    return trace.bytes();
  }

  #descriptor(name: string): Message {
    return new Message().number(1, this.#base + this.#descriptors.length).text(2, plainText(name));
  }

  #add(descriptor: Message): number {
    this.#descriptors.push(descriptor);
    return this.#base + this.#descriptors.length - 1;
  }
}

function eventOf(track: number, type: number): Message {
  return new Message().number(9, type).number(11, track);
}

function note(name: string, value: string | number): Message {
  const annotation = new Message().text(10, name);
  return typeof value === 'string'
    ? annotation.text(6, value)
    : annotation.number(4, Math.round(value));
}

/** In the order of the first of each. */
function groupBy<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(key(row));
    if (group === undefined) groups.set(key(row), [row]);
    else group.push(row);
  }
  return groups;
}
