/**
 * The boots of one layout, judged: what the board says must be what was asked of it, and the trees must be right.
 */
import { availableParallelism } from 'node:os';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { IoCount } from '../board/io-counts.ts';
import { type BootName, BOOTS, CACHE, FIRST, guestPlan, LISTS, OTHER, STEP } from './guest-plan.ts';
import { countSteps, type GuestReport, parseGuestReport, reported } from './guest-report.ts';
import type { LabBoard } from './lab-board.ts';
import type { Layout, Made } from './layouts.ts';
import type { Figure, LayoutResult, LayoutsDocument } from './result.ts';
import type { TreeEntry, TreeSums } from './tree.ts';

/** What the board is to see. */
export interface Trees {
  readonly entries: readonly TreeEntry[];
  readonly startup: readonly TreeEntry[];
  readonly random: readonly TreeEntry[];
  /** Of the two images that are on the disk. */
  readonly sums: readonly TreeSums[];
}

export interface BootSettings {
  readonly board: LabBoard;
  readonly trees: Trees;
  readonly storage: LayoutsDocument['storage'];
  readonly runs: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface BuiltLayout {
  readonly made: Made;
  readonly disk: string;
  readonly buildMs: number;
  readonly bytes: LayoutResult['bytes'];
}

export interface MeasuredLayout {
  readonly result: LayoutResult;
  /** The largest difference of a figure between the runs, as a share of it. */
  readonly difference: number;
}

/** One boot's report with its counted requests. */
interface Boot {
  readonly what: string;
  readonly report: GuestReport;
  readonly counts: ReadonlyMap<string, IoCount>;
}

type Boots = Readonly<Record<BootName, Boot>>;

/** Boots a layout as often as asked. Throws HOST_LAYOUT_REPORT, HOST_LAYOUT_TREE. */
export async function bootLayout(
  layout: Layout,
  built: BuiltLayout,
  settings: BootSettings,
): Promise<MeasuredLayout> {
  const runs: LayoutResult[] = [];
  for (let run = 0; run < settings.runs; run++) {
    const boots = await bootAll(layout, built, settings);
    runs.push(judge(layout, built, boots, settings));
  }
  return { result: runs[0]!, difference: largestDifference(runs) };
}

async function bootAll(
  layout: Layout,
  { made, disk }: BuiltLayout,
  settings: BootSettings,
): Promise<Boots> {
  const stop = new AbortController();
  const { signal } = settings;
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const one = async (name: BootName): Promise<readonly [BootName, Boot]> => {
    const boot = await bootOnce(name, layout, made, disk, { ...settings, signal: either });
    return [name, boot];
  };
  try {
    const done: (readonly [BootName, Boot])[] = [];
    const waiting: readonly BootName[] = BOOTS;
    const beside = Math.max(1, Math.min(BOOTS.length, availableParallelism()));
    for (let at = 0; at < waiting.length; at += beside) {
      done.push(...(await Promise.all(waiting.slice(at, at + beside).map(one))));
    }
    return Object.fromEntries(done) as Record<BootName, Boot>;
  } finally {
    // Where one has failed, nobody waits for the others.
    stop.abort();
  }
}

async function bootOnce(
  name: BootName,
  layout: Layout,
  made: Made,
  disk: string,
  { board, trees, timeoutMs, signal }: BootSettings,
): Promise<Boot> {
  const what = `${layout.title}, boot "${name}"`;
  const paths = (files: readonly TreeEntry[]): string[] => files.map(({ path }) => path);
  const eager = layout.eager?.(made, paths(trees.startup)) ?? [];
  const list = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  const { console, trace } = await board.boot({
    name,
    disk,
    files: {
      '/plan': guestPlan(name, layout, made, board.modules),
      [LISTS.stat]: list(paths(trees.random)),
      [LISTS.startup]: list(paths(trees.startup)),
      [LISTS.eager]: list(eager),
    },
    timeoutMs,
    signal,
  });
  const report = parseGuestReport(console, what);
  return { what, report, counts: countSteps(report, trace) };
}

// --- judging -------------------------------------------------------------------------------------------

function judge(
  layout: Layout,
  built: BuiltLayout,
  boots: Boots,
  { trees, storage }: BootSettings,
): LayoutResult {
  const sizes = (files: readonly TreeEntry[]): number =>
    files.reduce((sum, { size }) => sum + size, 0);
  const { list, stat, read } = boots;
  const expectMet = (boot: Boot, step: string, entries: number, bytes?: number): void => {
    const found = reported(boot.report.steps, step, boot.what);
    const isMet = found.entries === entries && (bytes === undefined || found.bytes === bytes);
    if (isMet) return;
    const expected = bytes === undefined ? '' : ` of ${bytes} bytes`;
    throw otherTree(
      layout,
      `${step} of boot "${list === boot ? 'list' : stat === boot ? 'stat' : 'read'}" met ` +
        `${found.entries} of ${found.bytes} bytes, expected ${entries}${expected}`,
    );
  };
  for (const step of [STEP.cold, STEP.warm]) {
    expectMet(list, step, trees.entries.length);
    expectMet(stat, step, trees.random.length, sizes(trees.random));
    expectMet(read, step, trees.startup.length, sizes(trees.startup));
  }
  expectMet(read, STEP.other, trees.startup.length, sizes(trees.startup));
  const sums = [FIRST, OTHER].map((root) => reported(read.report.sums, root, read.what));
  sums.forEach(({ entries, content }, index) => {
    const expected = trees.sums[index]!;
    if (entries === expected.entries && content === expected.content) return;
    throw otherTree(
      layout,
      `image ${index} has ${entries} entries with the sum ${content}, expected ${expected.entries} ` +
        `with ${expected.content}`,
    );
  });
  const figure = (boot: Boot, step: string): Figure => figureOf(boot, step, storage);
  const both = (boot: Boot): LayoutResult['list'] => ({
    cold: figure(boot, STEP.cold),
    warm: figure(boot, STEP.warm),
  });
  const { id, title, verifiesData, verifiesMetadata } = layout;
  return {
    id,
    title,
    verifiesData,
    verifiesMetadata,
    keepsMetadata: sums[0]!.metadata === trees.sums[0]!.metadata,
    buildMs: Math.round(built.buildMs),
    bytes: built.bytes,
    mount: figure(list, STEP.mount),
    list: both(list),
    stat: both(stat),
    startup: both(read),
    other: figure(read, STEP.other),
    cache: {
      first: grown(read, CACHE.mounted, CACHE.first),
      other: grown(read, CACHE.otherMounted, CACHE.other),
    },
  };
}

function figureOf(
  { what, report, counts }: Boot,
  step: string,
  storage: BootSettings['storage'],
): Figure {
  const { ns } = reported(report.steps, step, what);
  const { reads, readBytes } = reported(counts, step, what);
  const modelledNs =
    storage === null
      ? null
      : Math.round(reads * (storage.latencyUs ?? 0) * 1000 + (readBytes / storage.mbPerS) * 1000);
  return { ns, reads, readBytes, modelledNs };
}

/** How much more the page cache holds, metadata included. */
function grown({ what, report }: Boot, from: string, to: string): number {
  const total = (name: string): number => {
    const { cached, buffers } = reported(report.caches, name, what);
    return cached + buffers;
  };
  return total(to) - total(from);
}

function otherTree({ title }: Layout, problem: string): ColdsealError {
  return new ColdsealError(
    'HOST_LAYOUT_TREE',
    `Cannot compare ${title}: the board sees another tree than it was made from: ${problem}`,
    { hint: 'the tool that made the layout may not keep everything that the tree has' },
  );
}

/** Over all times of all runs. */
function largestDifference(runs: readonly LayoutResult[]): number {
  const times = runs.map(({ mount, list, stat, startup, other }) =>
    [mount, other, ...[list, stat, startup].flatMap(({ cold, warm }) => [cold, warm])].map(
      ({ ns }) => ns,
    ),
  );
  return Math.max(
    0,
    ...times.flatMap((run) => run.map((ns, i) => Math.abs(ns - times[0]![i]!) / times[0]![i]!)),
  );
}
