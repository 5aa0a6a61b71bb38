/**
 * Similar images: the tree as it is, and variants of it as updates of a product would make them.
 *
 * In variant n a twentieth of the files has other bytes, a mark at the end, and as many are added beside others. Which
 * files is decided by the digest of seed, variant and path, so that it depends on nothing else. Files of the start-up
 * set are the base that images have in common and stay as they are. Modes, owners and times are kept, of directories
 * too: only what is meant to differ does.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  mkdirSync,
  renameSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { explainSysError } from '../../runtime/sys-error.ts';
import { runToolToSuccess } from '../host/run-tool.ts';
import { pathBytes, readEntries, type TreeEntry } from './tree.ts';

/** Images that are compared: the tree itself, and its variants. */
export const IMAGES = 5;
/** One file in so many is changed, and as many are added. */
export const CHANGED_ONE_IN = 20;

export interface Staged {
  /** Holds nothing but `tree`, which is how a maker of file systems gets it as a directory of its root. */
  readonly holder: string;
  /** Path of the tree itself. */
  readonly root: string;
  readonly entries: readonly TreeEntry[];
}

export interface StageOptions {
  readonly seed: number;
  /** Paths of the base, which no variant changes. */
  readonly base: ReadonlySet<string>;
  readonly signal?: AbortSignal | undefined;
}

/** Copies the tree below `work`, where everything is made of the copy: DIR itself is only read. */
export async function stageTree(dir: string, work: string, signal?: AbortSignal): Promise<Staged> {
  const holder = join(work, 'image-0');
  mkdirSync(holder);
  await copyTree(['-a', '--reflink=auto'], dir, join(holder, 'tree'), signal);
  return staged(holder);
}

/** The variants 1 to 4 of a staged tree, beside it; what is equal is shared by hard links. */
export async function makeVariants(
  base: Staged,
  work: string,
  options: StageOptions,
): Promise<Staged[]> {
  const variants: Staged[] = [];
  for (let number = 1; number < IMAGES; number++) {
    const holder = join(work, `image-${number}`);
    mkdirSync(holder);
    await copyTree(['-al'], base.root, join(holder, 'tree'), options.signal);
    changeFiles(join(holder, 'tree'), base.entries, number, options);
    variants.push(staged(holder));
  }
  return variants;
}

async function copyTree(
  flags: readonly string[],
  from: string,
  to: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await runToolToSuccess(['cp', ...flags, '-T', '--', from, to], { debian: 'coreutils', signal });
}

function staged(holder: string): Staged {
  const root = join(holder, 'tree');
  return { holder, root, entries: readEntries(root) };
}

/** Which files a variant changes, and beside which ones it adds another. */
export function chooseChanges(
  entries: readonly TreeEntry[],
  number: number,
  { seed, base }: Pick<StageOptions, 'seed' | 'base'>,
): { readonly changed: readonly TreeEntry[]; readonly added: readonly TreeEntry[] } {
  const files = entries.filter(({ kind, path }) => kind === 'file' && !base.has(path));
  const ranked = rank(files, `${seed}:${number}`);
  const count = Math.ceil(files.length / CHANGED_ONE_IN);
  return { changed: ranked.slice(0, count), added: ranked.slice(count, 2 * count) };
}

/** In an order that looks random and depends on the word and the paths alone. */
export function rank(entries: readonly TreeEntry[], word: string): TreeEntry[] {
  const keyed = entries.map((entry) => {
    const key = createHash('sha256').update(`${word}:`).update(entry.path, 'latin1').digest('hex');
    return { key, entry };
  });
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ entry }) => entry);
}

function changeFiles(
  root: string,
  entries: readonly TreeEntry[],
  number: number,
  options: StageOptions,
): void {
  const { changed, added } = chooseChanges(entries, number, options);
  const directories = new Map(
    entries.filter(({ kind }) => kind === 'directory').map((entry) => [entry.path, entry]),
  );
  const touched = new Set<TreeEntry>();
  const write = (entry: TreeEntry, path: string): void => {
    writeMarked(root, entry, path, `\nvariant ${number}\n`);
    const parent = directories.get(dirname(path));
    if (parent !== undefined) touched.add(parent);
  };
  try {
    for (const entry of changed) write(entry, entry.path);
    for (const entry of added) write(entry, `${entry.path}.variant-${number}`);
    for (const { path, mtime } of touched) utimesSync(pathBytes(root, path), mtime, mtime);
  } catch (error) {
    throw explainSysError(error, `Cannot make a variant of the tree in ${root}`);
  }
}

/** A copy with a mark behind its bytes, renamed into place: the hard link that was there is left as it is. */
function writeMarked(root: string, entry: TreeEntry, path: string, mark: string): void {
  const target = pathBytes(root, path);
  const temporary = pathBytes(root, `${path}~`);
  copyFileSync(pathBytes(root, entry.path), temporary, constants.COPYFILE_FICLONE);
  chmodSync(temporary, 0o600);
  appendFileSync(temporary, mark);
  if (process.geteuid?.() === 0) lchownSync(temporary, entry.uid, entry.gid);
  chmodSync(temporary, entry.mode & 0o7777);
  utimesSync(temporary, entry.mtime, entry.mtime);
  renameSync(temporary, target);
}
