/**
 * Ties the hardlinks of a dump to the entries they name, once every line is read: a target may come later.
 *
 * A hardlink to a hardlink means the same inode. A ring of hardlinks means none and is refused; each link is
 * followed once, so that a long chain costs no more than its length.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { isDirectory, type TreeNode } from './tree.ts';

/** A hardlink as its line gave it. */
export interface PendingHardlink {
  readonly node: TreeNode;
  readonly target: ByteString;
  readonly line: number;
  readonly column: number;
}

/** Sets `hardlink` of every pending node to an entry that is none itself. Throws FORMAT_DUMP_HARDLINK. */
export function resolveHardlinks(
  links: readonly PendingHardlink[],
  find: (path: ByteString) => TreeNode | undefined,
): void {
  const pending = new Map(links.map((link) => [link.node, link]));
  for (const first of links) {
    const chain = new Set<PendingHardlink>();
    let target: TreeNode | undefined = first.node;
    for (let link = pending.get(target); link !== undefined && !chain.has(link);) {
      chain.add(link);
      target = find(link.target);
      if (target === undefined) return fail(link, 'is no entry of this dump');
      link = pending.get(target);
    }
    if (pending.has(target)) fail(first, 'leads back to hardlinks only');
    const original: TreeNode = target.hardlink ?? target;
    if (isDirectory(original)) fail(first, 'is a directory');
    for (const link of chain) {
      link.node.hardlink = original;
      pending.delete(link.node);
    }
  }
}

function fail(link: PendingHardlink, problem: string): never {
  const place = `line ${link.line}, column ${link.column}`;
  throw new ColdsealError(
    'FORMAT_DUMP_HARDLINK',
    `Cannot read dump ${place}: the hardlink's target ${showBytes(link.target)} ${problem}`,
  );
}
