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
import { failTar, type TarPlace } from './tar-error.ts';
import { S_IFMT, type TreeNode } from './tree.ts';

interface Group {
  readonly nodes: TreeNode[];
  readonly header: CpioHeader;
  readonly place: TarPlace;
  /** The first name that came with data. */
  full: TreeNode | undefined;
}

/** What has to be the same for all names, whoever unpacks them last. */
const SAME = ['mode', 'uid', 'gid', 'mtime', 'rdevMajor', 'rdevMinor'] as const;

export class CpioLinks {
  readonly #groups = new Map<string, Group>();

  /** Takes note of an entry whose content has been read. Throws FORMAT_CPIO_HARDLINK. */
  add(header: CpioHeader, node: TreeNode, place: TarPlace): void {
    const { devMajor, devMinor, ino, mode } = header;
    const key = `${devMajor}:${devMinor}:${ino}:${mode & S_IFMT}`;
    const group = this.#groups.get(key);
    const full = node.size > 0 ? node : undefined;
    if (group === undefined) {
      this.#groups.set(key, { nodes: [node], header, place, full });
      return;
    }
    for (const field of SAME) {
      if (header[field] === group.header[field]) continue;
      const problem = `${field} is ${header[field]} here and ${group.header[field]} there`;
      this.#fail(group, place, problem);
    }
    if (full !== undefined && group.full !== undefined && !isSame(full, group.full)) {
      this.#fail(group, place, 'the contents differ');
    }
    group.full ??= full;
    group.nodes.push(node);
  }

  /** Gives every name the data of its file; with `isTied` they become one file. */
  finish(isTied: boolean): void {
    for (const { nodes, full } of this.#groups.values()) {
      const [first] = nodes;
      for (const node of nodes) {
        if (full !== undefined && node !== full) fill(node, full);
        if (isTied && node !== first) node.hardlink = first;
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

function isSame(a: TreeNode, b: TreeNode): boolean {
  if (a.size !== b.size || a.digest !== b.digest) return false;
  if (a.content !== undefined && b.content !== undefined)
    return Buffer.compare(a.content, b.content) === 0;
  return a.payload === b.payload;
}

function fill(node: TreeNode, full: TreeNode): void {
  node.size = full.size;
  node.content = full.content;
  node.digest = full.digest;
  node.payload = full.payload;
}
