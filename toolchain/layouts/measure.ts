/**
 * Measuring layouts: the trees, then for each layout the file systems, the disk, and its boots.
 *
 * A layout counts only when the board has seen the same tree as this machine: every name, size and byte of two images.
 * One layout's disk is there at a time. The boots of a layout run beside each other where there are processors for it:
 * their clocks count instructions and not time.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { loadBoard } from '../board/load.ts';
import { rateOf } from '../board/storage-model.ts';
import { requireDirectory } from '../files/require-directory.ts';
import { makeWorkDirectory } from '../files/work-directory.ts';
import { locateTool } from '../host/run-tool.ts';
import { VERSION } from '../version.ts';
import { chooseRandom, chooseStartup, type StartupList, type StartupSet } from './choose-files.ts';
import { type LabBoard, prepareLabBoard } from './lab-board.ts';
import { writeLabDisk } from './lab-disk.ts';
import type { Layout, Made, Source } from './layouts.ts';
import { type LayoutsDocument, LAYOUTS_KIND, type LayoutResult } from './result.ts';
import { bootLayout, type MeasuredLayout, type Trees } from './run-boots.ts';
import { sumTree, type TreeEntry } from './tree.ts';
import { chooseChanges, IMAGES, makeVariants, type Staged, stageTree } from './variants.ts';

export interface MeasureOptions {
  readonly layouts: readonly Layout[];
  /** Identifier or path of a board file that QEMU plays. */
  readonly board: string;
  /** Identifier or path of the board file whose storage is modelled. */
  readonly storage: string;
  /** Where relative paths of board files count from. */
  readonly from: string;
  readonly startup?: StartupList | undefined;
  readonly seed: number;
  readonly runs: number;
  /** Wall time of one boot. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Told what is done now, and how many layouts are done. */
  readonly onProgress?: ((doing: string, done: number) => void) | undefined;
}

/** Measures everything. Throws HOST_LAYOUT_REPORT, HOST_LAYOUT_TREE, HOST_TOOL_MISSING, and what booting throws. */
export async function measureLayouts(
  dir: string,
  options: MeasureOptions,
): Promise<LayoutsDocument> {
  const { layouts, signal, seed, onProgress = () => undefined } = options;
  requireDirectory(dir, 'Cannot compare layouts of');
  requireTools(layouts);
  const storage = storageOf(options);
  using work = makeWorkDirectory('layouts-');
  onProgress('Preparing the board', 0);
  const board = await prepareLabBoard(options.board, options.from, work.path, signal);
  onProgress('Copying the tree', 0);
  const base = await stageTree(resolve(dir), work.path, signal);
  const startup = chooseStartup(base.entries, options.startup);
  const paths = new Set(startup.files.map(({ path }) => path));
  onProgress('Making similar images', 0);
  const images = [base, ...(await makeVariants(base, work.path, { seed, base: paths, signal }))];
  const trees: Trees = {
    startup: startup.files,
    random: chooseRandom(base.entries, seed),
    entries: base.entries,
    sums: [images[0]!, images[1]!].map(({ root, entries }) => sumTree(root, entries)),
  };
  const settings = { ...options, board, trees, storage };
  const results: MeasuredLayout[] = [];
  let built: Built | undefined;
  for (const [done, layout] of layouts.entries()) {
    if (built?.source !== layout.source) {
      onProgress(`Making ${layout.title}`, done);
      built?.[Symbol.dispose]();
      built = await build(layout.source, images, work.path, signal);
    }
    onProgress(`Booting ${layout.title}`, done);
    results.push(await bootLayout(layout, built, settings));
  }
  onProgress('', layouts.length);
  return documentOf(dir, { base, startup, trees, board, storage, results }, options);
}

// --- what is there before ------------------------------------------------------------------------------

const ALWAYS: Source['tools'] = [['cp', 'coreutils']];

/** All that are missing at once, with the command that installs them. */
function requireTools(layouts: readonly Layout[]): void {
  const tools = [...ALWAYS, ...layouts.flatMap(({ source }) => source.tools)];
  const missing = tools.filter(([tool, debian]) => !isThere(tool, debian));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(([tool]) => tool))].join(', ');
  const packages = [...new Set(missing.map(([, debian]) => debian))].sort().join(' ');
  throw new ColdsealError(
    'HOST_TOOL_MISSING',
    `Cannot make the layouts without ${names}: expected it to be installed`,
    {
      hint: `sudo apt-get install -y --no-install-recommends ${packages}; or --only other layouts`,
    },
  );
}

function isThere(tool: string, debian: string): boolean {
  try {
    locateTool(tool, debian);
    return true;
  } catch {
    // Missing; all that are get named together.
    return false;
  }
}

/** The first storage of the board file that has a rate. */
function storageOf({ storage, from }: MeasureOptions): LayoutsDocument['storage'] {
  const board = loadBoard(storage, from).value;
  for (const each of board.storage) {
    const rate = rateOf(each);
    if (rate === undefined) continue;
    const latencyUs = each.read_latency_us?.value ?? null;
    return { board: board.id, kind: each.kind, ...rate, latencyUs };
  }
  return null;
}

// --- file systems --------------------------------------------------------------------------------------

export interface Built extends Disposable {
  readonly source: Source;
  /** The file systems of the first two images, as they are on the disk. */
  readonly made: Made;
  readonly disk: string;
  readonly buildMs: number;
  readonly bytes: LayoutResult['bytes'];
}

/** Makes one image for its time and size, all for theirs, and a disk with the first two. */
async function build(
  source: Source,
  images: readonly Staged[],
  workDir: string,
  signal: AbortSignal | undefined,
): Promise<Built> {
  const disk = join(workDir, 'layout.img');
  let count = 0;
  const make = async (some: readonly Staged[]): Promise<Made & { dir: string }> => {
    const work = join(workDir, `made-${count++}`);
    mkdirSync(work);
    return { ...(await source.make({ images: some, work, signal })), dir: work };
  };
  const drop = ({ dir }: { dir: string }): void => rmSync(dir, { recursive: true, force: true });
  const startMs = performance.now();
  const one = await make(images.slice(0, 1));
  const buildMs = performance.now() - startMs;
  // Where images share nothing, one of them is the same alone or beside others.
  const rest = await make(source.isShared ? images : images.slice(2));
  drop(rest);
  if (source.isShared) drop(one);
  const second = await make(source.isShared ? images.slice(0, 2) : images.slice(1, 2));
  const made = source.isShared ? second : joined(one, second);
  writeLabDisk(disk, made.files);
  for (const each of [one, second]) drop(each);
  const all = source.isShared ? rest.bytes : made.bytes + rest.bytes;
  return {
    source,
    made,
    disk,
    buildMs,
    bytes: { one: one.bytes, all },
    [Symbol.dispose]: () => rmSync(disk, { force: true }),
  };
}

function joined(a: Made, b: Made): Made {
  return {
    files: [...a.files, ...b.files],
    bytes: a.bytes + b.bytes,
    stored: [...a.stored, ...b.stored],
    tables: [...a.tables, ...b.tables],
  };
}

// --- the document --------------------------------------------------------------------------------------

interface Measured {
  readonly base: Staged;
  readonly startup: StartupSet;
  readonly trees: Trees;
  readonly board: LabBoard;
  readonly storage: LayoutsDocument['storage'];
  readonly results: readonly MeasuredLayout[];
}

function documentOf(
  dir: string,
  { base, startup, trees, board, storage, results }: Measured,
  { seed, runs }: MeasureOptions,
): LayoutsDocument {
  const { entries } = base;
  const ofKind = (kind: TreeEntry['kind']): TreeEntry[] =>
    entries.filter((each) => each.kind === kind);
  const files = ofKind('file');
  const sizes = (list: readonly TreeEntry[]): number =>
    list.reduce((sum, { size }) => sum + size, 0);
  const unchanged = new Set(startup.files.map(({ path }) => path));
  const { changed, added } = chooseChanges(entries, 1, { seed, base: unchanged });
  return {
    kind: LAYOUTS_KIND,
    schema: 1,
    tool: { name: 'coldseal', version: VERSION },
    tree: {
      name: basename(resolve(dir)),
      files: files.length,
      directories: ofKind('directory').length,
      links: ofKind('link').length,
      others: ofKind('other').length,
      bytes: sizes(files),
      sum: trees.sums[0]!.content,
    },
    images: { count: IMAGES, changed: changed.length, added: added.length },
    seed,
    startup: {
      from: startup.from,
      bytes: sizes(startup.files),
      paths: startup.files.map(({ path }) => Buffer.from(path, 'latin1').toString('utf8')),
    },
    statFiles: trees.random.length,
    board: board.facts,
    storage,
    runs: {
      count: runs,
      largestDifference:
        runs === 1 ? null : Math.max(...results.map(({ difference }) => difference)),
    },
    layouts: results.map(({ result }) => result),
  };
}
