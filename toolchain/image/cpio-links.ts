/**
 * Names of one file in a cpio archive: entries with the same inode number, of the same device and type.
 *
 * newc writes the data once, with the last name, and the others are empty until then; odc writes them with each name.
 * The kernel, GNU cpio and libarchive agree about such archives. Where they would not (data that differ between the
 * names, or owners), the archive is refused.
 * Source: Linux init/initramfs.c, maybe_link().
 */
import type { CpioHeader } from './cpio-header.ts';
import { showBytes } from './byte-string.ts';
import { type EntryTable, NO_DATA } from './entry-table.ts';
import { failTar, type TarPlace } from './tar-error.ts';
import { S_IFMT } from './tree.ts';

interface Group {
  readonly names: number[];
  readonly header: CpioHeader;
  readonly place: TarPlace;
  /** The first name that came with data. */
  full: number | undefined;
}

/** What has to be the same for all names, whoever unpacks them last. */
const SAME = ['mode', 'uid', 'gid', 'mtime', 'rdevMajor', 'rdevMinor'] as const;

export class CpioLinks {
  readonly #table: EntryTable;
  readonly #groups = new Map<string, Group>();

  constructor(table: EntryTable) {
    this.#table = table;
  }

  /** Takes note of an entry whose content has been read. Throws FORMAT_CPIO_HARDLINK. */
  add(header: CpioHeader, name: number, place: TarPlace): void {
    const { devMajor, devMinor, ino, mode } = header;
    const key = `${devMajor}:${devMinor}:${ino}:${mode & S_IFMT}`;
    const group = this.#groups.get(key);
    const full = this.#table.size[name]! > 0 ? name : undefined;
    if (group === undefined) {
      this.#groups.set(key, { names: [name], header, place, full });
      return;
    }
    for (const field of SAME) {
      if (header[field] === group.header[field]) continue;
      const problem = `${field} is ${header[field]} here and ${group.header[field]} there`;
      this.#fail(group, place, problem);
    }
    if (full !== undefined && group.full !== undefined && !isSame(this.#table, full, group.full)) {
      this.#fail(group, place, 'the contents differ');
    }
    group.full ??= full;
    group.names.push(name);
  }

  /** Gives every name the data of its file; with `isTied` they become one file. */
  finish(isTied: boolean): void {
    const { size, hardlink } = this.#table;
    for (const { names, full } of this.#groups.values()) {
      const first = names[0]!;
      for (const name of names) {
        if (full !== undefined && name !== full) {
          size[name] = size[full]!;
          this.#table.copyContent(name, full);
        }
        if (isTied && name !== first) hardlink[name] = first;
      }
    }
    this.#groups.clear();
  }

  #fail(group: Group, place: TarPlace, problem: string): never {
    const other = group.place.name === undefined ? '' : showBytes(group.place.name);
    return failTar(
      'FORMAT_CPIO_HARDLINK',
      place,
      `it has the inode number of ${other}, and ${problem}`,
      'expected two names of one file; cpio --renumber-inodes keeps files apart',
    );
  }
}

function isSame(table: EntryTable, a: number, b: number): boolean {
  const { size, digest, dataSize, dataAt, heap } = table;
  if (size[a] !== size[b] || digest[a] !== digest[b] || dataSize[a] !== dataSize[b]) return false;
  if (dataSize[a] === NO_DATA) return true;
  const bytes = (name: number): Uint8Array => heap.bytes(dataAt[name]!, dataSize[name]!);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}
