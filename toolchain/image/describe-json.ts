/** Entries and objects of an image as JSON values, for the `--json` of the image commands. */
import { showBytes } from './byte-string.ts';
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
  walkTree,
  type TreeNode,
} from './tree.ts';

const TYPES: Readonly<Record<number, string>> = {
  [S_IFCHR]: 'character-device',
  [S_IFBLK]: 'block-device',
  [S_IFIFO]: 'fifo',
  [S_IFSOCK]: 'socket',
};

/** What `ls` shows of an entry. Names that are not UTF-8 have `\xHH` for their bytes. */
export interface ListedEntry {
  readonly path: string;
  readonly type: string;
  readonly target?: string;
  readonly object?: string;
  readonly hardlink?: string;
}

/** What `dump` shows of an entry; times as `seconds.nanoseconds`, as the dump text has them. */
export interface DumpedEntry extends ListedEntry {
  readonly size: number;
  readonly mode: string;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly mtime: string;
  readonly digest?: string;
  readonly contentBase64?: string;
  readonly xattrs: readonly { readonly name: string; readonly valueBase64: string }[];
}

/** Every entry but the root, as `ls` shows it. */
export function listEntries(root: TreeNode): ListedEntry[] {
  return describeTree(root, listEntry).slice(1);
}

/** Every entry, as `dump` shows it. */
export function dumpEntries(root: TreeNode): DumpedEntry[] {
  return describeTree(root, dumpEntry);
}

function describeTree<T extends ListedEntry>(
  root: TreeNode,
  describe: (path: string, node: TreeNode) => T,
): T[] {
  const paths = new Map<TreeNode, string>();
  const links: { index: number; target: TreeNode }[] = [];
  const entries: T[] = [];
  for (const { path, node } of walkTree(root)) {
    const shown = showBytes(path);
    if (node.hardlink !== undefined) links.push({ index: entries.length, target: node.hardlink });
    else paths.set(node, shown);
    entries.push(describe(shown, node.hardlink ?? node));
  }
  for (const { index, target } of links) {
    entries[index] = { ...entries[index]!, hardlink: paths.get(target)! };
  }
  return entries;
}

function listEntry(path: string, node: TreeNode): ListedEntry {
  const { payload } = node;
  if (isDirectory(node)) return { path, type: 'directory' };
  if (isSymlink(node)) return { path, type: 'symlink', target: showBytes(payload!) };
  if (!isRegular(node)) return { path, type: TYPES[node.mode & S_IFMT]! };
  return { path, type: 'file', ...(payload === undefined ? {} : { object: showBytes(payload) }) };
}

function dumpEntry(path: string, node: TreeNode): DumpedEntry {
  return {
    ...listEntry(path, node),
    size: node.size,
    mode: node.mode.toString(8),
    nlink: node.nlink,
    uid: node.uid,
    gid: node.gid,
    rdev: node.rdev,
    mtime: `${node.mtimeSec}.${node.mtimeNsec}`,
    ...(node.digest === undefined ? {} : { digest: node.digest }),
    ...(node.content === undefined
      ? {}
      : { contentBase64: Buffer.from(node.content).toString('base64') }),
    xattrs: node.xattrs.map(({ name, value }) => ({
      name: showBytes(name),
      valueBase64: Buffer.from(value, 'latin1').toString('base64'),
    })),
  };
}
