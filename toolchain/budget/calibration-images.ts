/**
 * Which records of a virtual and of a real board belong together: one image for each release that both have booted.
 *
 * Both sides are timed from the same event to the same event. Of several boots of a release the median counts, for the
 * total and for each stage by itself, so that one boot that was disturbed decides nothing. A boot that failed is no
 * measurement and is counted as left out; records of two boards, of two kinds of evidence or of starts of two kinds are
 * refused, since one set of terms cannot stand for both. Pure.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { CalibrationImage, Load } from './calibrate.ts';
import { eventAt, stretchOf } from './events.ts';
import { isRealBoard, type MeasuredBoot, stageOf } from './measured-boot.ts';

/** A boot of a virtual board with what only its own record says. */
export interface CountedBoot {
  readonly boot: MeasuredBoot;
  /** Kernel, initramfs and devicetree. */
  readonly bootBytes: number;
  readonly emulator: Emulation;
  /** The first two numbers of the kernel's version. */
  readonly kernel: string;
}

/** What makes two virtual boards the same. */
export interface Emulation {
  readonly name: string;
  readonly version: string;
  readonly machine: string;
  readonly cpu: string;
  readonly icount: string;
}

/** Where time begins: as early as the real board's clock does. */
export const STARTS = ['power-on', 'reset', 'kernel'] as const;
export type StartEvent = (typeof STARTS)[number];
export const STOP = 'containers';

export interface MatchedImages {
  readonly images: readonly CalibrationImage[];
  readonly from: StartEvent;
  readonly board: string;
  readonly evidence: MeasuredBoot['evidence'];
  readonly virtualBoard: string;
  readonly emulator: Emulation;
  readonly kernels: readonly string[];
  /** Boots of the real board that failed, or that nobody could match with an image. */
  readonly leftOut: { readonly failed: number; readonly unmatched: number };
}

/** Matches by release. Throws USAGE_CALIBRATION_IO, USAGE_CALIBRATION_MIXED and USAGE_CALIBRATION_FEW. */
export function matchImages(
  virtual: readonly CountedBoot[],
  real: readonly MeasuredBoot[],
): MatchedImages {
  const good = real.filter(isGood);
  refuseVirtual(virtual);
  const board = sameIn(good, 'boards', ({ board: id }) => id);
  const evidence = sameIn(good, 'kinds of evidence', (boot) => boot.evidence);
  sameIn(
    good.filter(({ start }) => start !== null),
    'kinds of start',
    ({ start }) => start!,
  );
  const virtualBoard = sameIn(virtual, 'virtual boards', ({ boot }) => boot.board);
  const emulator = JSON.parse(
    sameIn(virtual, 'emulators', (each) => JSON.stringify(each.emulator)),
  ) as Emulation;
  const from = STARTS.find((name) => good.every((boot) => stretchOf(boot, name, STOP) !== null));
  if (good.length === 0 || from === undefined) {
    throw new ColdsealError(
      'USAGE_CALIBRATION_FEW',
      `Cannot calibrate: expected boots of a real board with one of the events ${STARTS.join(', ')} ` +
        `and the event ${STOP} in each`,
    );
  }
  const counted = byRelease(virtual, ({ boot }) => boot);
  const measured = byRelease(good, (boot) => boot);
  const images = [...counted].flatMap(([release, boots]) => {
    const reals = measured.get(release);
    return reals === undefined ? [] : [imageOf(release, boots, reals, from)];
  });
  const matched = images.reduce((sum, { realBoots }) => sum + realBoots, 0);
  return {
    images,
    from,
    board,
    evidence,
    virtualBoard,
    emulator,
    kernels: [...new Set(virtual.map(({ kernel }) => kernel))].sort(),
    leftOut: { failed: real.length - good.length, unmatched: good.length - matched },
  };
}

/** What a virtual board counted from an event on: for the whole boot, and by stage. */
export function loadOf(
  counted: CountedBoot,
  from: StartEvent,
): { total: Load; stages: Map<string, Load> } {
  const { boot, bootBytes } = counted;
  const io = boot.io ?? [];
  // The bootloader's reading lies before the kernel.
  const loaded = from === 'kernel' ? 0 : bootBytes;
  const total = {
    virtualNs: stretchOf(boot, from, STOP) ?? Number.NaN,
    reads: sum(io, ({ reads }) => reads),
    readBytes: sum(io, ({ readBytes }) => readBytes) + loaded,
  };
  const stages = new Map<string, Load>();
  for (const [name, virtualNs] of stageTimes(boot, from)) {
    const own = io.filter(({ stage }) => stageOf(stage) === name);
    const readBytes = sum(own, (row) => row.readBytes) + (name === 'before-kernel' ? loaded : 0);
    stages.set(name, { virtualNs, reads: sum(own, ({ reads }) => reads), readBytes });
  }
  return { total, stages };
}

/** All rows of a stage together, for stages that ended. */
function stageTimes(boot: MeasuredBoot, from: StartEvent): Map<string, number> {
  const startNs = eventAt(boot, from) ?? 0;
  const times = new Map<string, number>();
  const open = new Set<string>();
  for (const row of boot.stages.filter((each) => each.startNs >= startNs)) {
    const name = stageOf(row.name);
    if (row.endNs === null) open.add(name);
    else times.set(name, (times.get(name) ?? 0) + row.endNs - row.startNs);
  }
  open.forEach((name) => times.delete(name));
  return times;
}

function imageOf(
  release: string,
  virtual: readonly CountedBoot[],
  real: readonly MeasuredBoot[],
  from: StartEvent,
): CalibrationImage {
  const loads = virtual.map((each) => loadOf(each, from));
  const times = real.map((boot) => stageTimes(boot, from));
  const names = [...loads[0]!.stages.keys()].filter(
    (name) =>
      loads.every(({ stages }) => stages.has(name)) && times.every((each) => each.has(name)),
  );
  return {
    release,
    version: virtual[0]!.boot.release!.version,
    realNs: median(real.map((boot) => stretchOf(boot, from, STOP)!)),
    realBoots: real.length,
    load: medianLoad(loads.map(({ total }) => total)),
    stages: names.map((name) => ({
      name,
      realNs: median(times.map((each) => each.get(name)!)),
      load: medianLoad(loads.map(({ stages }) => stages.get(name)!)),
    })),
  };
}

function medianLoad(loads: readonly Load[]): Load {
  return {
    virtualNs: median(loads.map(({ virtualNs }) => virtualNs)),
    reads: median(loads.map(({ reads }) => reads)),
    readBytes: median(loads.map(({ readBytes }) => readBytes)),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function byRelease<T>(boots: readonly T[], of: (each: T) => MeasuredBoot): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const each of boots) {
    const id = of(each).release?.id ?? undefined;
    if (id !== undefined) found.set(id, [...(found.get(id) ?? []), each]);
  }
  return found;
}

const isGood = (boot: MeasuredBoot): boolean =>
  boot.outcome === 'booted' && !boot.flags.some(({ isUnusable }) => isUnusable);

function refuseVirtual(virtual: readonly CountedBoot[]): void {
  for (const { boot } of virtual) {
    const problem =
      boot.evidence !== 'virtual'
        ? `is evidence of class ${boot.evidence}, expected virtual`
        : !isGood(boot) || stretchOf(boot, 'kernel', STOP) === null
          ? 'did not boot'
          : boot.io === null
            ? 'has no counted reads'
            : undefined;
    if (problem === undefined) continue;
    const name = `${boot.release?.version ?? 'no release'} (${boot.release?.id ?? '-'})`;
    throw new ColdsealError(
      'USAGE_CALIBRATION_IO',
      `Cannot calibrate: the virtual boot of ${name} ${problem}`,
      { hint: 'coldseal boot DIR --io --out RECORDS counts what a boot reads' },
    );
  }
}

/** The one value that all have; with none of them the empty text. Throws USAGE_CALIBRATION_MIXED. */
function sameIn<T, V extends string>(all: readonly T[], what: string, value: (each: T) => V): V {
  const found = [...new Set(all.map(value))].sort();
  if (found.length <= 1) return found[0] ?? ('' as V);
  throw new ColdsealError(
    'USAGE_CALIBRATION_MIXED',
    `Cannot calibrate: the records are of ${found.length} ${what}: ${found.join(', ')}`,
    { hint: 'one calibration is for one real board and one virtual one' },
  );
}

/** Whether records are of a real board; the others are for the other side. */
export const isReal = ({ evidence }: MeasuredBoot): boolean => isRealBoard(evidence);

function sum<T>(values: readonly T[], of: (each: T) => number): number {
  return values.reduce((total, each) => total + of(each), 0);
}
