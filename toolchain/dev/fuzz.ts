/**
 * `npm run fuzz`: damages images and dump texts and watches that readers give a result or a ColdsealError.
 *
 * `-- --runs N` (default 200000), `--seconds N`, `--seed S` (default 1), `--first N` to begin at a later run. A run is
 * made from seed and number alone, so `--seed S --first N --runs 1` repeats it. Inputs that show a bug are kept
 * in out/.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SEED_DUMPS, seedImages } from './fuzz/corpus.ts';
import { exerciseImage, exerciseText } from './fuzz/exercise.ts';
import { mutateImage, mutateText } from './fuzz/mutate.ts';
import { Random } from './fuzz/random.ts';
import { ROOT } from './root.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly first?: number;
  readonly runs?: number;
  readonly seconds?: number;
}

export interface FuzzBug {
  readonly run: number;
  readonly message: string;
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly runs: number;
  readonly seconds: number;
  /** How often each outcome came. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly bugs: readonly FuzzBug[];
}

/** No input of this size may take longer; two orders of magnitude above what they take. */
const RUN_MS_MAX = 2000;
const BUGS_MAX = 20;
/** One run in four is about dump text. */
const TEXT_SHARE = 4;

/** Damages and exercises until the runs or the seconds are used up. */
export function fuzz(options: FuzzOptions): FuzzReport {
  const { seed, first = 0, runs = Number.POSITIVE_INFINITY } = options;
  const images = seedImages();
  const outcomes = new Map<string, number>();
  const bugs: FuzzBug[] = [];
  const start = performance.now();
  const deadline = start + (options.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  let done = 0;
  let before = start;
  while (done < runs && before < deadline && bugs.length < BUGS_MAX) {
    const run = first + done++;
    const random = new Random(seed, run);
    const isText = run % TEXT_SHARE === 0;
    const input = isText
      ? Buffer.from(mutateText(random, SEED_DUMPS), 'latin1')
      : mutateImage(random, images);
    let outcome: string;
    try {
      outcome = isText ? exerciseText(input) : exerciseImage(input, random);
    } catch (error) {
      outcome = 'BUG';
      bugs.push({ run, message: String((error as Error).stack ?? error), input });
    }
    const now = performance.now();
    if (now - before > RUN_MS_MAX) {
      bugs.push({ run, message: `took ${Math.round(now - before)} ms`, input });
    }
    before = now;
    const key = `${isText ? 'dump ' : 'image'} ${outcome}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
  }
  return { runs: done, seconds: (performance.now() - start) / 1000, outcomes, bugs };
}

/** Runs what the arguments ask for and returns the exit code. */
export function main(args: readonly string[]): number {
  // oxlint-disable-next-line no-console -- a development script
  const print = (line: string): void => console.log(line);
  const options: Record<string, number> = { seed: 1 };
  for (let i = 0; i < args.length; i += 2) {
    const name = /^--(seed|first|runs|seconds)$/.exec(args[i]!)?.[1];
    const value = Number(args[i + 1]);
    if (name === undefined || !Number.isFinite(value)) {
      print(
        `Cannot fuzz with ${args.slice(i).join(' ')}: expected --runs, --seconds, --seed or --first with a number`,
      );
      return 2;
    }
    options[name] = value;
  }
  if (options['seconds'] === undefined) options['runs'] ??= 200_000;
  const report = fuzz(options as unknown as FuzzOptions);
  const sorted = [...report.outcomes].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [outcome, count] of sorted) print(`${String(count).padStart(8)}  ${outcome}`);
  for (const { run, message, input } of report.bugs) {
    const file = join(ROOT, 'out', `fuzz-${options['seed']}-${run}.bin`);
    mkdirSync(join(ROOT, 'out'), { recursive: true });
    writeFileSync(file, input);
    print(`BUG in run ${run}, input in ${file}\n${message}`);
  }
  const rate = Math.round(report.runs / report.seconds);
  print(
    `${report.runs} runs in ${report.seconds.toFixed(1)} s (${rate}/s), ${report.bugs.length} bugs`,
  );
  return report.bugs.length === 0 ? 0 : 1;
}
