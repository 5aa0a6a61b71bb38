/**
 * Looking up a path in a tree as the kernel would, with the tree as the root: symlinks are followed, `..` stops there.
 */
import { byteStringOfText } from './byte-string.ts';
import { isDirectory, isSymlink, type TreeNode } from './tree.ts';

/** As Linux, MAXSYMLINKS. */
const SYMLINKS_MAX = 40;

/** The entry at a path; undefined when there is none. */
export function findNode(root: TreeNode, path: string): TreeNode | undefined {
  const rest: string[] = byteStringOfText(path).split('/').reverse();
  /** The directories on the way, the last one being where we are. */
  let trail: TreeNode[] = [root];
  let links = 0;
  while (rest.length > 0) {
    const name = rest.pop()!;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const here = trail.at(-1)!;
    const found = isDirectory(here)
      ? here.children!.find((child) => child.name === name)
      : undefined;
    if (found === undefined) return undefined;
    const node = found.hardlink ?? found;
    if (!isSymlink(node)) {
      trail.push(node);
      continue;
    }
    if (++links > SYMLINKS_MAX) return undefined;
    const target = node.payload ?? '';
    if (target.startsWith('/')) trail = [root];
    rest.push(...target.split('/').reverse());
  }
  return trail.at(-1);
}
