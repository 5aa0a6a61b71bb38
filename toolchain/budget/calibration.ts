/**
 * A calibration as a file: terms, residuals, the images and files behind them, and what makes it expire; and what it
 * predicts of a boot. Pure.
 *
 * It is for one real board, one virtual board and one emulator. What a program can see of that is checked before every
 * prediction; the rest is listed for people (`expires`). The same records give the same file: there is no date in it.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { firstProblem } from '../config/explain-issue.ts';
import { type CalibrationImage, type Fits, type Load, predictMs, TERMS } from './calibrate.ts';
import {
  type CountedBoot,
  loadOf,
  type MatchedImages,
  STARTS,
  STOP,
} from './calibration-images.ts';
import { EVIDENCE_CLASSES } from './measured-boot.ts';

export const CALIBRATION_KIND = 'coldseal-calibration';
export const CALIBRATION_SCHEMA = 1;

const MS_MAX = 86_400_000;
const text = z.string().min(1).max(512);
const figure = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const ms = z.number().min(-MS_MAX).max(MS_MAX);
const count = z.int().min(0);

const terms = z.strictObject({
  fixed: figure.optional(),
  cpu: figure.optional(),
  latency: figure.optional(),
  transfer: figure.optional(),
});
const unseen = z
  .array(z.strictObject({ release: text, measuredMs: ms, predictedMs: ms }))
  .max(4096);
const residual = z.strictObject({ relative: figure, ms: figure });
const fit = { terms, residual, heldOut: unseen, leftOut: unseen };
const range = z.tuple([figure, figure]);

const schema = z.strictObject({
  kind: z.literal(CALIBRATION_KIND),
  schema: z.literal(CALIBRATION_SCHEMA),
  /** Of these boots' records; the class of their evidence says how they were timed. */
  board: text,
  evidence: z.enum(EVIDENCE_CLASSES),
  virtualBoard: text,
  emulator: z.strictObject({ name: text, version: text, machine: text, cpu: text, icount: text }),
  /** The first two numbers of kernel versions. */
  kernels: z.array(text).max(64),
  /** What was timed on both boards. */
  span: z.strictObject({ from: z.enum(STARTS), to: z.literal(STOP) }),
  units: z.strictObject({ fixed: text, cpu: text, latency: text, transfer: text }),
  total: z.strictObject(fit),
  stages: z
    .array(z.strictObject({ name: text, ...fit, unknown: z.array(z.enum(TERMS)).max(4) }))
    .max(256),
  /** Between which figures the images lie. */
  range: z.strictObject({ virtualNs: range, reads: range, readBytes: range }),
  images: z
    .array(
      z.strictObject({
        release: text,
        version: text,
        realBoots: count,
        realMs: figure,
        virtualMs: figure,
        reads: figure,
        readBytes: figure,
      }),
    )
    .max(4096),
  leftOut: z.strictObject({ failed: count, unmatched: count }),
  inputs: z
    .array(z.strictObject({ side: z.enum(['virtual', 'real']), file: text, sha256: text }))
    .max(4096),
  expires: z.array(text).max(64),
});

export type Calibration = z.output<typeof schema>;

const UNITS = {
  fixed: 'ms',
  cpu: 'real ns per virtual ns',
  latency: 'us per read',
  transfer: 'ns per byte',
} as const;

/** What no record shows. */
const EXPIRES = [
  'another stepping of the SoC, or another clock of its processors',
  'other firmware or another bootloader',
  'another configuration of the DRAM',
  'another part, mode or partition of the storage',
  'another board file of the virtual board, other than its budget',
] as const;

/** Puts a fit and what it was fitted to together. */
export function makeCalibration(
  matched: MatchedImages,
  { total, stages }: Fits,
  inputs: Calibration['inputs'],
): Calibration {
  const { images, from, board, evidence, virtualBoard, emulator, kernels, leftOut } = matched;
  const between = (of: (load: Load) => number): [number, number] => {
    const values = images.map(({ load }) => of(load));
    return [Math.min(...values), Math.max(...values)];
  };
  return {
    kind: CALIBRATION_KIND,
    schema: CALIBRATION_SCHEMA,
    board,
    evidence,
    virtualBoard,
    emulator: { ...emulator },
    kernels: [...kernels],
    span: { from, to: STOP },
    units: UNITS,
    total: copyOf(total),
    stages: stages.map((stage) => ({
      ...copyOf(stage),
      name: stage.name,
      unknown: [...stage.unknown],
    })),
    range: {
      virtualNs: between(({ virtualNs }) => virtualNs),
      reads: between(({ reads }) => reads),
      readBytes: between(({ readBytes }) => readBytes),
    },
    images: images.map(shownImage),
    leftOut,
    inputs,
    expires: [
      `another QEMU than ${emulator.version}, or another kernel than ${kernels.join(', ')}`,
      ...EXPIRES,
    ],
  };
}

function copyOf({ terms: t, residual: r, heldOut, leftOut }: Fits['total']): Calibration['total'] {
  return { terms: { ...t }, residual: r, heldOut: [...heldOut], leftOut: [...leftOut] };
}

function shownImage(image: CalibrationImage): Calibration['images'][number] {
  const { release, version, realBoots, realNs, load } = image;
  return {
    release,
    version,
    realBoots,
    realMs: realNs / 1e6,
    virtualMs: load.virtualNs / 1e6,
    reads: load.reads,
    readBytes: load.readBytes,
  };
}

/** Reads a calibration. Throws FORMAT_CALIBRATION. */
export function parseCalibration(json: string, path: string): Calibration {
  const refuse = (problem: string, cause?: unknown): ColdsealError =>
    new ColdsealError('FORMAT_CALIBRATION', `Cannot use the calibration ${path}: ${problem}`, {
      hint: 'qa calibrate writes one',
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw refuse('it is not JSON', error);
  }
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw refuse(firstProblem(parsed.error, schema, 'it'));
}

/** The time of a real board. Modelled: no boot of that board has taken it. */
export interface Prediction {
  readonly board: string;
  readonly from: Calibration['span']['from'];
  readonly ms: number;
  /** The worst error on images that the terms had not seen, whichever of part and time is more here. */
  readonly plusMinusMs: number;
  readonly residual: Calibration['total']['residual'];
  /** What this boot has less or more of than any image had. */
  readonly outside: readonly string[];
}

/** How far beyond the images a boot may lie before it is said, as a part of their range. */
const BEYOND = 0.1;

/** What a calibrated board would take. Throws USAGE_CALIBRATION_EXPIRED, USAGE_CALIBRATION_IO. */
export function predict(calibration: Calibration, counted: CountedBoot): Prediction {
  refuseExpired(calibration, counted);
  const { board, total, span, range: ranges } = calibration;
  if (counted.boot.io === null) {
    throw new ColdsealError(
      'USAGE_CALIBRATION_IO',
      'Cannot predict: the reads of this boot were not counted',
    );
  }
  const load = loadOf(counted, span.from).total;
  if (!Number.isFinite(load.virtualNs)) {
    throw new ColdsealError(
      'USAGE_CALIBRATION_IO',
      'Cannot predict: this boot never got to its end',
    );
  }
  const predictedMs = predictMs(total.terms, load);
  const outside = (['virtualNs', 'reads', 'readBytes'] as const).filter((key) => {
    const [least, most] = ranges[key];
    const slack = BEYOND * (most - least);
    return load[key] < least - slack || load[key] > most + slack;
  });
  return {
    board,
    from: span.from,
    ms: predictedMs,
    plusMinusMs: Math.max(total.residual.relative * predictedMs, total.residual.ms),
    residual: total.residual,
    outside: outside.map((key) => OUTSIDE[key]),
  };
}

const OUTSIDE = {
  virtualNs: 'virtual time',
  reads: 'number of reads',
  readBytes: 'bytes read',
} as const;

function refuseExpired(calibration: Calibration, { boot, emulator, kernel }: CountedBoot): void {
  const { virtualBoard, kernels } = calibration;
  const old = Object.entries(calibration.emulator);
  const changed = old.find(([key, value]) => emulator[key as keyof typeof emulator] !== value);
  const problem =
    boot.board !== virtualBoard
      ? `it is for ${virtualBoard}, and this boot of ${boot.board}`
      : changed !== undefined
        ? `it is for the ${changed[0]} ${changed[1]}, and this boot of ` +
          emulator[changed[0] as keyof typeof emulator]
        : kernels.includes(kernel)
          ? undefined
          : `it is for the kernel ${kernels.join(', ')}, and this boot of ${kernel}`;
  if (problem === undefined) return;
  throw new ColdsealError(
    'USAGE_CALIBRATION_EXPIRED',
    `Cannot predict by this calibration: ${problem}`,
    {
      hint: 'calibrate anew: qa calibrate, with records of both boards',
    },
  );
}
