/**
 * Plans the ext4 of a store: which inode and which blocks each file and directory gets. Pure.
 *
 * All metadata is at the front, in this order: superblock, group descriptors, block bitmaps, inode bitmaps, inode
 * tables. Then one run of blocks in use, directories first and then the files in the order of their names, then
 * nothing but free blocks. So every bitmap is a run of ones and a file has as few extents as its size allows.
 *
 * Files of a boot order come first, in that order, and so do the directories on their paths: their inodes share the
 * first blocks of the table, their blocks are one stretch of the disk. What is in the files is not changed by it.
 */
import { alignUp } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { algorithmOfDigest } from '../objects/layout.ts';
import {
  BLOCK,
  BLOCKS_PER_GROUP,
  DIRENT_TAIL_SIZE,
  EXTENT_BLOCKS_MAX,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  FIRST_INODE,
  GROUP_SIZE,
  INODES_PER_BLOCK,
  ROOT_INODE,
} from './ext4-records.ts';
import { sealedLayout } from './sealed-layout.ts';

/** Block numbers are written in 32 bits. */
const BLOCKS_MAX = 0xffff_ffff;
const NAME = /^[A-Za-z0-9._-]{1,255}$/;
export const LOST_FOUND = 'lost+found';

export interface Run {
  readonly logical: number;
  readonly physical: number;
  readonly count: number;
}

export interface PlannedFile<F> {
  readonly file: F;
  readonly inode: number;
  readonly size: number;
  readonly runs: readonly Run[];
  /** Blocks of extents that have no room in the inode. */
  readonly indexBlocks: readonly number[];
}

export interface PlannedDirectory {
  readonly path: string;
  readonly inode: number;
  readonly parent: number;
  readonly subdirectories: number;
  /** Entries with their inodes, in the order in which they are written. */
  readonly entries: readonly {
    readonly name: string;
    readonly inode: number;
    readonly isDirectory: boolean;
  }[];
  readonly run: Run;
}

export interface Ext4Geometry {
  readonly blocks: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  readonly blockBitmaps: number;
  readonly inodeBitmaps: number;
  readonly inodeTables: number;
  /** First block behind the metadata. */
  readonly contentStart: number;
}

export interface Ext4Plan<F> {
  readonly geometry: Ext4Geometry;
  readonly directories: readonly PlannedDirectory[];
  readonly files: readonly PlannedFile<F>[];
  /** Blocks and inodes in use are the first ones. */
  readonly usedBlocks: number;
  readonly usedInodes: number;
}

interface FileFacts {
  readonly name: string;
  readonly digest: string | undefined;
  readonly size: number;
}

/**
 * Plans a file system of `sizeBytes`; `order` has names of files that come first. Throws CONFIG_STORE_SIZE when the
 * files do not fit.
 */
export function planExt4<F extends FileFacts>(
  files: readonly F[],
  sizeBytes: number,
  order: readonly string[] = [],
): Ext4Plan<F> {
  const tree = new Tree(files, order);
  const blocks = Math.floor(sizeBytes / BLOCK);
  const geometry = geometryOf(blocks, tree.inodes);
  let next = geometry.contentStart;
  const take = (count: number): number => (next += count) - count;
  const directories = tree.directories.map((directory) => {
    const count = directoryBlocks(directory.entries.map(({ name }) => name));
    return { ...directory, run: { logical: 0, physical: take(count), count } };
  });
  const planned = tree.files.map(({ file, inode }) => {
    const indexBlocks = Array.from({ length: indexCount(file) }, () => take(1));
    const runs = fileRuns(file).map(({ logical, count }) => {
      return { logical, count, physical: take(count) };
    });
    return { file, inode, size: file.size, runs, indexBlocks };
  });
  if (next > blocks || blocks > BLOCKS_MAX) {
    throw new ColdsealError(
      'CONFIG_STORE_SIZE',
      `Cannot make a store of ${sizeBytes} bytes: its files take ${next * BLOCK}, and 16 TiB is the most`,
      { hint: 'give the store more room, or leave its size to be computed' },
    );
  }
  const usedInodes = tree.inodes;
  return { geometry, directories, files: planned, usedBlocks: next, usedInodes };
}

/** The smallest size in bytes, a multiple of `step`, that has room for the files and for `sparePercent` more. */
export function neededBytes(
  files: readonly FileFacts[],
  sparePercent: number,
  step: number,
): number {
  const tree = new Tree(files, []);
  let content = 0;
  for (const { entries } of tree.directories)
    content += directoryBlocks(entries.map((e) => e.name));
  for (const file of files) {
    content += indexCount(file) + fileRuns(file).reduce((sum, { count }) => sum + count, 0);
  }
  const wanted = content + Math.ceil((content * sparePercent) / 100);
  // More blocks may need more groups, and those more metadata: it settles at once or in the second round.
  let size = alignUp(wanted * BLOCK, step);
  for (;;) {
    const { contentStart } = geometryOf(size / BLOCK, tree.inodes);
    const needed = alignUp((contentStart + wanted) * BLOCK, step);
    if (needed <= size) return size;
    size = needed;
  }
}

/** As many free inodes as there are files: for what updates bring. */
function geometryOf(blocks: number, usedInodes: number): Ext4Geometry {
  const groups = Math.max(1, Math.ceil(blocks / BLOCKS_PER_GROUP));
  const perGroup = alignUp(Math.ceil((2 * usedInodes) / groups), INODES_PER_BLOCK);
  const inodesPerGroup = Math.min(Math.max(perGroup, INODES_PER_BLOCK), BLOCKS_PER_GROUP);
  if (inodesPerGroup * groups < usedInodes) {
    throw new ColdsealError(
      'CONFIG_STORE_SIZE',
      `Cannot make a store of ${blocks * BLOCK} bytes: it cannot hold ${usedInodes} files`,
      { hint: 'give the store more room' },
    );
  }
  const blockBitmaps = 1 + Math.ceil((groups * GROUP_SIZE) / BLOCK);
  const inodeBitmaps = blockBitmaps + groups;
  const inodeTables = inodeBitmaps + groups;
  const contentStart = inodeTables + (groups * inodesPerGroup) / INODES_PER_BLOCK;
  return { blocks, groups, inodesPerGroup, blockBitmaps, inodeBitmaps, inodeTables, contentStart };
}

/** Runs of the file's blocks that have content, none longer than an extent. */
function fileRuns({ size, digest }: FileFacts): { logical: number; count: number }[] {
  const dataBlocks = Math.ceil(size / BLOCK);
  const runs = splitRun(0, dataBlocks);
  if (digest === undefined) return runs;
  const { treeStart, descriptorBlock } = sealedLayout(size, algorithmOfDigest(digest));
  const behind = descriptorBlock + 1 - treeStart;
  // Without a gap, data and tree are one run.
  if (treeStart === dataBlocks) return splitRun(0, descriptorBlock + 1);
  return [...runs, ...splitRun(treeStart, behind)];
}

function splitRun(start: number, blocks: number): { logical: number; count: number }[] {
  const runs = [];
  for (let done = 0; done < blocks; done += EXTENT_BLOCKS_MAX) {
    runs.push({ logical: start + done, count: Math.min(EXTENT_BLOCKS_MAX, blocks - done) });
  }
  return runs;
}

function indexCount(file: FileFacts): number {
  const { length } = fileRuns(file);
  if (length <= EXTENTS_IN_INODE) return 0;
  const blocks = Math.ceil(length / EXTENTS_IN_BLOCK);
  if (blocks > EXTENTS_IN_INODE) {
    throw new ColdsealError(
      'CONFIG_STORE_SIZE',
      `Cannot store ${file.name}: it has ${file.size} bytes, expected less than 170 GiB`,
    );
  }
  return blocks;
}

/** Bytes of a directory entry: a header of 8 and the name, rounded up to 4. */
export function direntSize(name: string): number {
  return alignUp(8 + name.length, 4);
}

function directoryBlocks(names: readonly string[]): number {
  let blocks = 1;
  let at = 0;
  for (const name of ['.', '..', ...names]) {
    const size = direntSize(name);
    if (at + size > BLOCK - DIRENT_TAIL_SIZE) {
      blocks++;
      at = 0;
    }
    at += size;
  }
  return blocks;
}

/** Directories and files; inode numbers: the root, lost+found, other directories, files. Entries are by name. */
class Tree<F extends FileFacts> {
  readonly directories: Omit<PlannedDirectory, 'run'>[] = [];
  readonly files: readonly { readonly file: F; readonly inode: number }[];
  readonly inodes: number;

  constructor(unsorted: readonly F[], order: readonly string[]) {
    const sorted = [...unsorted].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const [index, { name }] of sorted.entries()) {
      if (!name.split('/').every((part) => NAME.test(part) && part !== '.' && part !== '..')) {
        throw new Error(`not a path below a store: ${name}`);
      }
      if (name === sorted[index + 1]?.name) throw new Error(`twice in a store: ${name}`);
    }
    const below = directoriesAbove(sorted.map(({ name }) => name)).sort();
    const isThere = new Set(sorted.map(({ name }) => name));
    const first = order.filter((name) => isThere.has(name));
    const inodeOf = new Map([
      ['', ROOT_INODE],
      [LOST_FOUND, FIRST_INODE],
    ]);
    let next = FIRST_INODE;
    for (const path of new Set([...directoriesAbove(first), ...below])) inodeOf.set(path, ++next);
    const rank = new Map(first.map((name, index) => [name, index]));
    const rankOf = ({ name }: F): number => rank.get(name) ?? first.length;
    const placed = [...sorted].sort((a, b) => rankOf(a) - rankOf(b));
    this.files = placed.map((file) => ({ file, inode: ++next }));
    this.inodes = next;
    const inodeOfFile = new Map(this.files.map(({ file, inode }) => [file.name, inode]));
    const entries = new Map<string, { name: string; inode: number; isDirectory: boolean }[]>();
    const add = (path: string, inode: number, isDirectory: boolean): void => {
      const [parent, name] = splitPath(path);
      const list = entries.get(parent);
      if (list === undefined) entries.set(parent, [{ name, inode, isDirectory }]);
      else list.push({ name, inode, isDirectory });
    };
    for (const path of [LOST_FOUND, ...below]) add(path, inodeOf.get(path)!, true);
    for (const { name } of sorted) {
      if (inodeOf.has(name)) throw new Error(`both file and directory: ${name}`);
      add(name, inodeOfFile.get(name)!, false);
    }
    for (const [path, inode] of inodeOf) {
      const own = entries.get(path) ?? [];
      const subdirectories = own.filter(({ isDirectory }) => isDirectory).length;
      const parent = inodeOf.get(splitPath(path)[0])!;
      this.directories.push({ path, inode, parent, subdirectories, entries: own });
    }
  }
}

/** The directories on the paths of files, each once, parents first. */
function directoriesAbove(names: readonly string[]): string[] {
  const paths = new Set<string>();
  for (const name of names) {
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
      paths.add(name.slice(0, at));
    }
  }
  return [...paths];
}

function splitPath(path: string): [parent: string, name: string] {
  const at = path.lastIndexOf('/');
  return at < 0 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
}
