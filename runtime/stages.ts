/**
 * The stages of a boot and their times, on one clock; and the time before the kernel, where the processor can tell.
 *
 * A clock that fails does not stop a boot: the last reading stands in for it, and `failed` says so. Where a disk is
 * named, its counters are noted beside the times; that takes time itself, and the times are then good for nothing.
 */
import { readDiskCounters } from './disk-counters.ts';
import type { BootRecord, BootStage, DiskCounters } from './format/boot-record.ts';
import type { ClockReading, SysClock, SysFiles } from './sys.ts';

export interface StageTimer {
  readonly stages: readonly BootStage[];
  /** The disk to count, once the command line has named one. */
  disk: string | undefined;
  /** Begins a stage; the result ends it. A stage that is never ended has `endNs` null. */
  begin(name: string): () => void;
  /** One stage around an action; not ended when the action throws. */
  run<T>(name: string, action: () => T): T;
  /** The record's words about the clock, as of now. */
  describe(): BootRecord['clock'];
  /** Whether some reading failed. */
  failed(): boolean;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function createStageTimer(sys: SysClock & SysFiles): StageTimer {
  const stages: Writable<BootStage>[] = [];
  let isFailed = false;
  let last: ClockReading = { bootNs: 0 };
  const read = (): ClockReading => {
    try {
      last = sys.clock();
    } catch {
      isFailed = true;
    }
    return last;
  };
  const first = read();
  const begin = (name: string): (() => void) => {
    const stage: (typeof stages)[number] = { name, startNs: read().bootNs, endNs: null };
    stages.push(stage);
    const startIo = count();
    if (startIo !== undefined) stage.startIo = startIo;
    return () => {
      stage.endNs = read().bootNs;
      const endIo = count();
      if (endIo !== undefined) stage.endIo = endIo;
    };
  };
  const timer: StageTimer = {
    stages,
    disk: undefined,
    begin,
    run: (name, action) => {
      const end = begin(name);
      const result = action();
      end();
      return result;
    },
    describe: () => {
      const before = beforeKernelNs(first, read());
      const counter = before === null ? null : first.counter!.name;
      return { name: 'CLOCK_BOOTTIME', beforeKernelNs: before, counter };
    },
    failed: () => isFailed,
  };
  const count = (): DiskCounters | undefined => readDiskCounters(sys, timer.disk);
  return timer;
}

/** Shorter spans say too little about the counter's frequency. */
const SPAN_NS_MIN = 10_000_000;
/** Slower than any architected timer, faster than any processor. */
const HZ_MIN = 1e6;
const HZ_MAX = 1e10;
/** How far firmware's figure may be from the measured one. */
const HZ_TOLERANCE = 0.01;
/** A counter that was running this long was not reset with the board. */
const BEFORE_NS_MAX = 600e9;

/**
 * Nanoseconds from the counter's start to the clock's zero, or null when that is unknown or not plausible. Two readings
 * give the frequency where the processor does not say it, and check it where it does.
 */
export function beforeKernelNs(first: ClockReading, last: ClockReading): number | null {
  const [from, to] = [first.counter, last.counter];
  if (from === undefined || to === undefined || from.name !== to.name) return null;
  const spanNs = last.bootNs - first.bootNs;
  const measured =
    spanNs >= SPAN_NS_MIN ? ((to.ticks - from.ticks) / spanNs) * 1e9 : (to.hz ?? Number.NaN);
  const hz = to.hz ?? measured;
  const isPlausible = hz >= HZ_MIN && hz <= HZ_MAX && Math.abs(measured / hz - 1) <= HZ_TOLERANCE;
  const before = Math.round((to.ticks / hz) * 1e9 - last.bootNs);
  return isPlausible && before >= 0 && before <= BEFORE_NS_MAX ? before : null;
}
