/**
 * Ties the hardlinks of a dump to the entries they name, once every line is read: a target may come later.
 *
 * A hardlink to a hardlink means the same inode. A ring of hardlinks means none and is refused; each link is
 * followed once, so that a long chain costs no more than its length.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { NOT_LINKED, type EntryTable } from './entry-table.ts';

/** A hardlink as its line gave it. */
export interface PendingHardlink {
  readonly entry: number;
  readonly target: ByteString;
  readonly line: number;
  readonly column: number;
}

/** Sets `hardlink` of every pending entry to one that is none itself. Throws FORMAT_DUMP_HARDLINK. */
export function resolveHardlinks(
  table: EntryTable,
  links: readonly PendingHardlink[],
  find: (path: ByteString) => number | undefined,
): void {
  const pending = new Map(links.map((link) => [link.entry, link]));
  for (const first of links) {
    const chain = new Set<PendingHardlink>();
    let target: number | undefined = first.entry;
    for (let link = pending.get(target); link !== undefined && !chain.has(link);) {
      chain.add(link);
      target = find(link.target);
      if (target === undefined) return fail(link, 'is no entry of this dump');
      link = pending.get(target);
    }
    if (pending.has(target)) fail(first, 'leads back to hardlinks only');
    const known: number = table.hardlink[target]!;
    const original = known === NOT_LINKED ? target : known;
    if (table.isDirectory(original)) fail(first, 'is a directory');
    for (const link of chain) {
      table.hardlink[link.entry] = original;
      pending.delete(link.entry);
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
