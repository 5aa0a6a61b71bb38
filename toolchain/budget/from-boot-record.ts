/**
 * The runtime's own boot record as a measured boot: from a real board (`/run/coldseal/boot.json`), or inside the record
 * of a virtual one. Pure.
 *
 * The record counts from the kernel's start. Where the processor's counter says what came before, times are moved to
 * the counter's start; where it does not, they stay, and the zero is the kernel. A counter starts with the processor's
 * reset. On a virtual board that is power-on; on a real one power supplies came first, and what they take is declared
 * in the board file as a constant from `power-on` to `reset`.
 */
import type { BootRecord, StartedContainer } from '../../runtime/format/boot-record.ts';
import { attributeIo, type StageIo } from '../board/io-counts.ts';
import {
  type BootFlag,
  type EvidenceClass,
  isRealBoard,
  MEASURED_BOOT_KIND,
  MEASURED_BOOT_SCHEMA,
  type MeasuredBoot,
  type StartKind,
} from './measured-boot.ts';

/** What the record itself cannot know. */
export interface BootFacts {
  readonly evidence: EvidenceClass;
  readonly start: StartKind | null;
  readonly specimen: string | null;
  readonly conditions: Readonly<Record<string, string>>;
  readonly measuredAt: string | null;
  readonly uncertaintyNs: number | null;
  readonly source: MeasuredBoot['source'];
}

/** The events that every record of the runtime has; others are stages by `NAME:start` and `NAME:end`. */
export const EVENT = {
  POWER_ON: 'power-on',
  RESET: 'reset',
  KERNEL: 'kernel',
  INIT: 'init',
  CONTAINERS: 'containers',
} as const;

/** Converts a record that `parseBootReport` has checked. */
export function fromBootRecord(record: BootRecord, facts: BootFacts): MeasuredBoot {
  const before = record.clock.beforeKernelNs;
  const zeroNs = before ?? 0;
  const counterStart = isRealBoard(facts.evidence) ? [EVENT.RESET] : [EVENT.POWER_ON, EVENT.RESET];
  const { end, events: heard } = containerEvents(early(record), zeroNs);
  const isBooted = record.outcome === 'booted';
  const refused = record.attempts.find(({ reason }) => reason !== null)?.reason?.code;
  // Without one of the early containers, or without a system, the board never got there.
  const isUp = isBooted && early(record).every((each) => heardAt(each) !== null);
  const stages = stageRows(record, zeroNs, isUp ? (end ?? 0) : null);
  const last = stages.at(-1);
  const endNs = end ?? last?.endNs ?? last?.startNs ?? null;
  return {
    kind: MEASURED_BOOT_KIND,
    schema: MEASURED_BOOT_SCHEMA,
    evidence: facts.evidence,
    board: record.board,
    specimen: facts.specimen,
    start: facts.start,
    conditions: { ...facts.conditions },
    release:
      record.release === null
        ? null
        : {
            id: record.release.id,
            version: record.release.version,
            builtAt: record.release.builtAt,
          },
    measuredAt: facts.measuredAt,
    clock: {
      name: record.clock.name,
      zero: before === null ? EVENT.KERNEL : counterStart[0]!,
      uncertaintyNs: facts.uncertaintyNs,
    },
    outcome: isBooted ? 'booted' : 'failed',
    reason: isBooted ? null : (refused ?? record.outcome),
    stages,
    units: record.containers.map((container) => ({
      name: container.name,
      track: 'container',
      startNs: zeroNs + container.startNs,
      endNs: late(heardAt(container), zeroNs),
    })),
    events: [
      ...(before === null ? [] : counterStart.map((name) => ({ name, atNs: 0 }))),
      { name: EVENT.KERNEL, atNs: zeroNs },
      ...(record.stages[0] === undefined
        ? []
        : [{ name: EVENT.INIT, atNs: zeroNs + record.stages[0].startNs }]),
      ...heard,
      ...(isUp && endNs !== null ? [{ name: EVENT.CONTAINERS, atNs: endNs }] : []),
    ],
    io: ioOf(attributeIo(record)?.stages),
    flags: flagsOf(record, refused),
    source: facts.source,
  };
}

/** Reads by stage, without the stages that read nothing. */
export function ioOf(stages: readonly StageIo[] | undefined): MeasuredBoot['io'] {
  if (stages === undefined) return null;
  return stages
    .filter(({ reads }) => reads > 0)
    .map(({ name, reads, readBytes }) => ({ stage: name, reads, readBytes }));
}

/**
 * A row for each stretch from power-on to the last early container, one after the other. `upNs` is when that was heard,
 * 0 where there is none, null where one never was.
 */
function stageRows(
  { clock, stages }: BootRecord,
  zeroNs: number,
  upNs: number | null,
): MeasuredBoot['stages'] {
  const first = stages[0];
  const rows = stages.map(({ name, startNs, endNs }) => {
    return { name, startNs: zeroNs + startNs, endNs: late(endNs, zeroNs) };
  });
  const lastEnd = Math.max(0, ...rows.map(({ startNs, endNs }) => endNs ?? startNs));
  return [
    ...(clock.beforeKernelNs === null
      ? []
      : [{ name: 'before-kernel', startNs: 0, endNs: clock.beforeKernelNs }]),
    ...(first === undefined
      ? []
      : [{ name: 'kernel', startNs: zeroNs, endNs: zeroNs + first.startNs }]),
    ...rows,
    // From the handover until the last early container was heard: no time where there is none, or it was heard before.
    ...(upNs === null
      ? []
      : [{ name: 'first-output', startNs: lastEnd, endNs: Math.max(lastEnd, upNs) }]),
  ];
}

const early = ({ containers }: BootRecord): StartedContainer[] =>
  containers.filter(({ start }) => start === 'early');

/** An early container is there when it has said something, or runs where it says nothing. */
const heardAt = ({ startedNs, firstOutputNs }: StartedContainer): number | null =>
  firstOutputNs ?? startedNs;

function containerEvents(
  containers: readonly StartedContainer[],
  zeroNs: number,
): { end: number | null; events: MeasuredBoot['events'] } {
  const events = containers.flatMap(({ name, startedNs, firstOutputNs }) => [
    ...(startedNs === null ? [] : [{ name: `started ${name}`, atNs: zeroNs + startedNs }]),
    ...(firstOutputNs === null
      ? []
      : [{ name: `first-output ${name}`, atNs: zeroNs + firstOutputNs }]),
  ]);
  const ends = containers.flatMap((container) => {
    const at = heardAt(container);
    return at === null ? [] : [zeroNs + at];
  });
  return { end: ends.length === 0 ? null : Math.max(...ends), events };
}

function flagsOf(record: BootRecord, refused: string | undefined): BootFlag[] {
  const broken = early(record).filter(({ reason }) => reason !== null);
  const flag = (code: string, message: string): BootFlag => ({ code, message, isUnusable: false });
  return [
    ...(record.outcome === 'booted' && refused !== undefined
      ? [flag('BUDGET_FLAG_SLOT_REFUSED', `a slot was refused first: ${refused}`)]
      : []),
    ...broken.map(({ name, reason }) =>
      flag('BUDGET_FLAG_CONTAINER', `the container ${name} did not start: ${reason!.code}`),
    ),
    ...record.notes.map(({ code, message }) => flag(code, oneLine(message))),
  ];
}

const late = (ns: number | null, zeroNs: number): number | null =>
  ns === null ? null : zeroNs + ns;

/** Notes may have several lines; a flag has one. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- a board wrote it
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 512) || '-';
}
