/**
 * From a virtual board's counts to a real board's time: a few terms, fitted to boots of both, and how wrong they are on
 * images that they were not fitted to. Pure.
 *
 * The model of a boot, and of each stage: time = fixed + cpu x virtual time + latency x reads + transfer x bytes. No
 * term is negative. Every fourth image by size is held out: the terms never see it. Then each image in turn is left
 * out and predicted by a fit to all others. The worst error of both is published with the terms and printed with every
 * prediction; a fit that follows its own points says nothing about the next one.
 *
 * What cannot be found out is refused: too few images, images that are alike, terms that always change together.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { leastSquares, nnls } from './nnls.ts';

/** What a virtual board counted of a boot, or of a stage. */
export interface Load {
  readonly virtualNs: number;
  readonly reads: number;
  /** With what the bootloader reads, where the time has it. */
  readonly readBytes: number;
}

/** One image on both sides: medians of its boots. */
export interface CalibrationImage {
  readonly release: string;
  readonly version: string;
  readonly realNs: number;
  readonly realBoots: number;
  readonly load: Load;
  /** Stages that both sides have. */
  readonly stages: readonly {
    readonly name: string;
    readonly realNs: number;
    readonly load: Load;
  }[];
}

export const TERMS = ['fixed', 'cpu', 'latency', 'transfer'] as const;
export type Term = (typeof TERMS)[number];

/** In the units of `TERM_UNITS`; zero is an answer, absent means that the images could not say. */
export type Terms = { readonly [T in Term]?: number | undefined };

export const TERM_UNITS: Readonly<Record<Term, string>> = {
  fixed: 'ms',
  cpu: 'real ns per virtual ns',
  latency: 'us per read',
  transfer: 'ns per byte',
};

/** An image that the terms had not seen. */
export interface Unseen {
  readonly release: string;
  readonly measuredMs: number;
  readonly predictedMs: number;
}

export interface Residual {
  /** The largest error as a part of the measured time. */
  readonly relative: number;
  readonly ms: number;
}

export interface Fit {
  readonly terms: Terms;
  /** Of the images held out, and of each image left out once: the worst of all. */
  readonly residual: Residual;
  readonly heldOut: readonly Unseen[];
  readonly leftOut: readonly Unseen[];
}

export interface StageFit extends Fit {
  readonly name: string;
  /** Terms that this stage's images could not tell: they are alike in it, or go with another term. */
  readonly unknown: readonly Term[];
}

export interface Fits {
  readonly total: Fit;
  readonly stages: readonly StageFit[];
}

/** Four terms and two images to judge them by; fewer would fit anything. */
export const IMAGES_MIN = 8;
const HOLD_OUT_EVERY = 4;
/** Images whose figures differ by less than this part of their mean are alike in it. */
const SPREAD_MIN = 0.01;
/**
 * How much of a term's spread the other terms may explain. Beyond it errors are blown up tenfold (a variance inflation
 * factor of 100, ten times what textbooks call troubling), and the terms mean nothing by themselves.
 */
const EXPLAINED_MAX = 0.99;

/**
 * Fits the total and every stage that all images have. Throws USAGE_CALIBRATION_FEW, USAGE_CALIBRATION_ALIKE and
 * USAGE_CALIBRATION_VALUE.
 */
export function fitImages(images: readonly CalibrationImage[]): Fits {
  if (images.length < IMAGES_MIN) {
    throw new ColdsealError(
      'USAGE_CALIBRATION_FEW',
      `Cannot calibrate: expected ${IMAGES_MIN} images with records of both boards, found ${images.length}`,
      {
        hint: 'images are matched by release; make some with other sizes, compression and services',
      },
    );
  }
  const points = images.map(({ release, realNs, load }) => ({ release, realNs, load }));
  refuseValues('total', points);
  const { alike, together } = unknownTerms(points);
  if (alike.length > 0) {
    throw indistinguishable(
      `${alike.map(columnName).join(' and ')} hardly differ from image to image, ` +
        'and cannot be told apart from what is fixed',
    );
  }
  if (together.length > 0) {
    throw indistinguishable(
      `${together.map(columnName).join(' and ')} always change together, and cannot be told apart`,
    );
  }
  const isHeld = holdOut(points);
  const total = fit(points, TERMS, isHeld);
  const [first, ...others] = images;
  const names = first!.stages
    .map(({ name }) => name)
    .filter((name) => others.every(({ stages }) => stages.some((stage) => stage.name === name)));
  return { total, stages: names.map((name) => fitStage(name, images, isHeld)) };
}

/** What the terms say of a load, in milliseconds. */
export function predictMs(terms: Terms, load: Load): number {
  return columns(load).reduce((sum, value, i) => sum + value * (terms[TERMS[i]!] ?? 0), 0);
}

interface Point {
  readonly release: string;
  readonly realNs: number;
  readonly load: Load;
}

function fitStage(
  name: string,
  images: readonly CalibrationImage[],
  isHeld: ReadonlySet<string>,
): StageFit {
  const points = images.map(({ release, stages }) => {
    return { release, ...stages.find((stage) => stage.name === name)! };
  });
  refuseValues(name, points);
  const { alike, together } = unknownTerms(points);
  // Of terms that go together the processor's stays, then the bytes: what a stage costs without any of them is fixed.
  const unknown = new Set<Term>(alike);
  let rest = together;
  for (const term of ['latency', 'transfer'] as const) {
    if (rest.length === 0) break;
    if (!rest.includes(term)) continue;
    unknown.add(term);
    rest = unknownTerms(
      points,
      TERMS.filter((each) => !unknown.has(each)),
    ).together;
  }
  const known = TERMS.filter((term) => !unknown.has(term));
  return {
    name,
    unknown: TERMS.filter((term) => unknown.has(term)),
    ...fit(points, known, isHeld),
  };
}

// --- one fit ---

const MEGA = 1e6;

/** In the order of TERMS, so that each times its term gives milliseconds. */
function columns({ virtualNs, reads, readBytes }: Load): readonly [number, ...number[]] {
  return [1, virtualNs / MEGA, reads / 1000, readBytes / MEGA];
}

const COLUMN_NAMES: Readonly<Record<Term, string>> = {
  fixed: 'what is fixed',
  cpu: 'the virtual time',
  latency: 'the number of reads',
  transfer: 'the bytes read',
};
const columnName = (term: Term): string => COLUMN_NAMES[term];

function solve(points: readonly Point[], known: readonly Term[]): Terms {
  const chosen = known.map((term) => TERMS.indexOf(term));
  const rows = points.map(({ load }) => chosen.map((i) => columns(load)[i]!));
  // Columns of one size: which term enters first must not depend on units.
  const sizes = chosen.map((_, j) => Math.max(...rows.map((row) => row[j]!)) || 1);
  const { x } = nnls(
    rows.map((row) => row.map((value, j) => value / sizes[j]!)),
    points.map(({ realNs }) => realNs / MEGA),
  );
  return Object.fromEntries(known.map((term, j) => [term, x[j]! / sizes[j]!]));
}

function fit(points: readonly Point[], known: readonly Term[], isHeld: ReadonlySet<string>): Fit {
  const terms = solve(
    points.filter(({ release }) => !isHeld.has(release)),
    known,
  );
  const heldOut = points
    .filter(({ release }) => isHeld.has(release))
    .map((point) => unseen(point, terms));
  const leftOut = points.map((point) => {
    const others = points.filter((each) => each !== point);
    return unseen(point, solve(others, known));
  });
  return { terms, residual: worstOf([...heldOut, ...leftOut]), heldOut, leftOut };
}

function unseen({ release, realNs, load }: Point, terms: Terms): Unseen {
  return { release, measuredMs: realNs / MEGA, predictedMs: predictMs(terms, load) };
}

function worstOf(all: readonly Unseen[]): Residual {
  const errors = all.map(({ measuredMs, predictedMs }) => Math.abs(predictedMs - measuredMs));
  const parts = all.map(({ measuredMs }, i) => errors[i]! / Math.max(measuredMs, 1e-6));
  return { relative: Math.max(...parts), ms: Math.max(...errors) };
}

/** Every fourth by what it reads, then by virtual time; the same for the same images in any order. */
function holdOut(points: readonly Point[]): ReadonlySet<string> {
  const sorted = points.toSorted(
    (a, b) =>
      a.load.readBytes - b.load.readBytes ||
      a.load.virtualNs - b.load.virtualNs ||
      (a.release < b.release ? -1 : 1),
  );
  const held = sorted.filter((_, i) => i % HOLD_OUT_EVERY === HOLD_OUT_EVERY - 1);
  return new Set(held.map(({ release }) => release));
}

// --- what cannot be found out ---

function unknownTerms(
  points: readonly Point[],
  known: readonly Term[] = TERMS,
): { readonly alike: readonly Term[]; readonly together: readonly Term[] } {
  const varying = known.filter((term) => term !== 'fixed');
  const centred = new Map(
    varying.map((term) => {
      const values = points.map(({ load }) => columns(load)[TERMS.indexOf(term)]!);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return [term, { mean, values: values.map((value) => value - mean) }] as const;
    }),
  );
  const alike = varying.filter((term) => {
    const { mean, values } = centred.get(term)!;
    return Math.hypot(...values) / Math.sqrt(values.length) <= SPREAD_MIN * mean;
  });
  const rest = varying.filter((term) => !alike.includes(term));
  const together = rest.filter((term) => {
    const others = rest
      .filter((other) => other !== term)
      .map((other) => centred.get(other)!.values);
    return explained(centred.get(term)!.values, others) > EXPLAINED_MAX;
  });
  return { alike, together };
}

/** The part of a column's spread that other columns explain. */
function explained(column: readonly number[], others: readonly (readonly number[])[]): number {
  const used = [...others];
  while (used.length > 0) {
    const sizes = used.map((other) => Math.hypot(...other));
    const rows = column.map((_, i) => used.map((other, j) => other[i]! / sizes[j]!));
    const solved = leastSquares(rows, column);
    if (solved !== undefined) {
      const rest = column.map(
        (value, i) => value - rows[i]!.reduce((sum, each, j) => sum + each * solved[j]!, 0),
      );
      return 1 - (Math.hypot(...rest) / Math.hypot(...column)) ** 2;
    }
    // One of them depends on the others, so that it explains nothing more.
    used.pop();
  }
  return 0;
}

function indistinguishable(problem: string): ColdsealError {
  return new ColdsealError('USAGE_CALIBRATION_ALIKE', `Cannot calibrate: ${problem}`, {
    hint: 'add images that differ in just that: more small files, larger ones, other services',
  });
}

function refuseValues(what: string, points: readonly Point[]): void {
  const isFigure = (value: number): boolean => Number.isFinite(value) && value >= 0;
  const wrong = points.find(({ realNs, load }) => ![realNs, ...columns(load)].every(isFigure));
  if (wrong === undefined) return;
  throw new ColdsealError(
    'USAGE_CALIBRATION_VALUE',
    `Cannot calibrate: ${what} of release ${wrong.release} has a figure that is none`,
  );
}
