/** The names of files that have several, to be made one inode each when a scanned table is complete. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes } from './byte-string.ts';
import type { EntryTable } from './entry-table.ts';
import { S_IFREG } from './tree.ts';

export class EntryLinks {
  readonly #table: EntryTable;
  readonly #inodes = new Map<number, string>();
  readonly #owners = new Map<string, number>();

  constructor(table: EntryTable) {
    this.#table = table;
  }

  /** Says of an entry, which is no directory, what inode it is a name of. */
  add(entry: number, inode: string): void {
    this.#inodes.set(entry, inode);
  }

  /**
   * Makes one inode of the names of one file in the sealed table; the first name in depth-first order owns it. Throws
   * HOST_FILE_CHANGED.
   */
  tie(): void {
    if (this.#inodes.size === 0) return;
    for (const entry of this.#table.depthFirst()) this.#tieName(entry);
  }

  #tieName(entry: number): void {
    const inode = this.#inodes.get(entry);
    if (inode === undefined) return;
    const owner = this.#owners.get(inode);
    if (owner === undefined) {
      this.#owners.set(inode, entry);
      return;
    }
    requireSameFile(this.#table, owner, entry);
    this.#table.hardlink[entry] = owner;
    this.#table.nlink[owner]!++;
  }
}

/** Two names of one inode cannot differ unless it changed between the two looks at it. */
function requireSameFile(table: EntryTable, a: number, b: number): void {
  const { size, digest } = table;
  const isRegular = (entry: number): boolean => table.typeOf(entry) === S_IFREG;
  if (size[a] === size[b] && digest[a] === digest[b] && isRegular(a) === isRegular(b)) return;
  throw new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot describe ${showBytes(table.name(b))}: it changed while it was read, expected the content of its hardlink`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}
