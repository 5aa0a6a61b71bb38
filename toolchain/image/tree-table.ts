/** From a tree of nodes to a table of entries, and back. */
import { flat } from './byte-string.ts';
import { NO_DIGEST } from './digest-pool.ts';
import { EntryTable, NO_DATA, NOT_LINKED } from './entry-table.ts';
import { isRegular, TreeNode } from './tree.ts';

/** The sealed table of a tree, in the order in which a directory is walked. The tree is not changed. */
export function tableOfTree(root: TreeNode): EntryTable {
  const table = new EntryTable();
  const nodes: TreeNode[] = [root];
  const targets = new Set<TreeNode>();
  table.addNode(0, root);
  for (let directory = 0; directory < nodes.length; directory++) {
    const node = nodes[directory]!;
    if (node.children === undefined || node.hardlink !== undefined) continue;
    for (const child of node.children) {
      nodes.push(child);
      table.addNode(directory, child);
      if (child.hardlink !== undefined) targets.add(child.hardlink);
    }
  }
  if (targets.size > 0) linkEntries(table, nodes, targets);
  table.seal();
  return table;
}

function linkEntries(
  table: EntryTable,
  nodes: readonly TreeNode[],
  targets: ReadonlySet<TreeNode>,
): void {
  const entries = new Map<TreeNode, number>();
  for (const [entry, node] of nodes.entries()) if (targets.has(node)) entries.set(node, entry);
  for (const [entry, { hardlink }] of nodes.entries()) {
    if (hardlink === undefined) continue;
    const target = entries.get(hardlink);
    if (target === undefined) throw new Error('a hardlink points outside the tree');
    table.hardlink[entry] = target;
  }
}

/** The nodes of a sealed table; `visit` may add to each what its entry says besides. */
export function treeOfTable(
  table: EntryTable,
  visit?: (node: TreeNode, entry: number) => void,
): TreeNode {
  const nodes: TreeNode[] = [];
  for (let entry = 0; entry < table.sourceCount; entry++) {
    const node = nodeOf(table, entry);
    visit?.(node, entry);
    nodes.push(node);
  }
  const { start, entries } = table.index;
  for (let entry = 0; entry < table.sourceCount; entry++) {
    const node = nodes[entry]!;
    const target = table.hardlink[entry]!;
    if (target !== NOT_LINKED) node.hardlink = nodes[target]!;
    for (let i = start[entry]!; i < start[entry + 1]!; i++) {
      const child = entries[i]!;
      if (child < table.sourceCount) node.children!.push(nodes[child]!);
    }
  }
  return nodes[0]!;
}

function nodeOf(table: EntryTable, entry: number): TreeNode {
  const node = new TreeNode(table.name(entry), table.mode[entry]!);
  if (table.hardlink[entry] !== NOT_LINKED) return node;
  node.nlink = table.nlink[entry]!;
  node.uid = table.uid[entry]!;
  node.gid = table.gid[entry]!;
  node.rdev = table.rdev[entry]!;
  node.size = table.size[entry]!;
  node.mtimeSec = table.mtimeSec(entry);
  node.mtimeNsec = table.mtimeNsec[entry]!;
  node.xattrs = table.xattrLists.lists[table.xattrs[entry]!]!;
  const at = table.dataAt[entry]!;
  const size = table.dataSize[entry]!;
  if (!isRegular(node)) {
    if (size !== NO_DATA) node.payload = table.heap.string(at, size);
    return node;
  }
  if (size !== NO_DATA) node.content = Buffer.from(table.heap.bytes(at, size));
  const payload = table.payload(table.redirect[entry]!);
  if (payload !== undefined) node.payload = table.redirect[entry]! >= 0 ? flat(payload) : payload;
  const digest = table.digest[entry]!;
  if (digest !== NO_DIGEST) node.digest = table.digests.hex(digest);
  return node;
}
