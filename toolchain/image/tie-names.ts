/** Names of one file in a table that was filled in the order of an archive: which of them owns the inode. */
import { type EntryTable, NOT_LINKED } from './entry-table.ts';

/**
 * The first name in depth-first order of a sealed table owns the inode, as in a scanned directory; until now it was the
 * first one of the archive, which may be out of the tree.
 */
export function tieNames(table: EntryTable): void {
  const { hardlink } = table;
  const inodeOf = (entry: number): number =>
    hardlink[entry] === NOT_LINKED ? entry : hardlink[entry]!;
  const owners = new Int32Array(table.count).fill(NOT_LINKED);
  for (const entry of table.depthFirst()) {
    if (table.isDirectory(entry)) continue;
    const owner = owners[inodeOf(entry)]!;
    if (owner === NOT_LINKED) owners[inodeOf(entry)] = entry;
    else table.nlink[owner]!++;
  }
  // Only now is it known who owns what; the inode of a name that was replaced is owned by another.
  for (const entry of table.depthFirst()) {
    if (table.isDirectory(entry)) continue;
    const inode = inodeOf(entry);
    const owner = owners[inode]!;
    if (entry !== owner) hardlink[entry] = owner;
    else if (inode !== entry) {
      table.copyInode(entry, inode);
      hardlink[entry] = NOT_LINKED;
    }
  }
}
