/** Measured boots for tests of reports: a board's stages with what a test wants to be different. */
import { stageOf, type MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';

export const MS = 1e6;

/** Durations in milliseconds, one after the other from power-on. */
export const STAGE_MS: Readonly<Record<string, number>> = {
  'before-kernel': 130,
  kernel: 350,
  setup: 2.6,
  'modules virtio_blk': 3,
  'modules erofs': 5,
  'verify a': 22,
  containers: 28,
  'first-output': 15,
};

/** The others that the shipped virtual boards have budgets for. */
export const OTHER_STAGE_MS: Readonly<Record<string, number>> = {
  policy: 3,
  'find-store': 1.6,
  'slot-state': 3,
  'mount-store': 0.8,
  mount: 7,
  'switch-root': 0.5,
  handover: 0.1,
};

export interface BootChange extends Partial<Omit<MeasuredBoot, 'stages' | 'events'>> {
  /** Instead of those of STAGE_MS, by name; null leaves a stage out. */
  readonly stageMs?: Readonly<Record<string, number | null>>;
  /** It never got to its containers. */
  readonly isCut?: boolean;
}

/** One boot of a real board, timed at its pins, cold. */
export function measuredBoot({ stageMs = {}, isCut, ...change }: BootChange = {}): MeasuredBoot {
  let at = 0;
  const stages = Object.entries({ ...STAGE_MS, ...stageMs }).flatMap(([name, ms]) => {
    if (ms === null) return [];
    const startNs = at;
    at += Math.round(ms * MS);
    return [{ name, startNs, endNs: at }];
  });
  const kernel = stages.find(({ name }) => stageOf(name) === 'kernel');
  return {
    kind: 'coldseal-measured-boot',
    schema: 1,
    evidence: 'board-gpio',
    board: 'qemu-aarch64',
    specimen: null,
    start: 'cold',
    conditions: {},
    release: { id: 'aa', version: '1.0', builtAt: 1_760_000_000 },
    measuredAt: null,
    clock: { name: 'analyser', zero: 'power-on', uncertaintyNs: 0 },
    outcome: isCut === true ? 'failed' : 'booted',
    reason: isCut === true ? 'it hung' : null,
    stages,
    units: [],
    events: [
      { name: 'power-on', atNs: 0 },
      ...(kernel === undefined ? [] : [{ name: 'kernel', atNs: kernel.startNs }]),
      ...(isCut === true ? [] : [{ name: 'containers', atNs: at }]),
    ],
    io: null,
    flags: [],
    source: { format: 'logic-analyser', file: 'a.csv', sha256: 'ab'.repeat(32) },
    ...change,
  };
}

/** So many boots, each made by its index, and each from a log of its own. */
export function measuredBoots(
  count: number,
  change: (index: number) => BootChange = () => ({}),
): MeasuredBoot[] {
  return Array.from({ length: count }, (_, index) => {
    const source = { format: 'logic-analyser', file: `${index}.csv`, sha256: digestOf(index) };
    return measuredBoot({ source, ...change(index) });
  });
}

const digestOf = (index: number): string => index.toString(16).padStart(64, '0');
