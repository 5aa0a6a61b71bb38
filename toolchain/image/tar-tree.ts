/**
 * Entries of an archive to a table, as if they had been unpacked one after the other, without a file system.
 *
 * - Of two entries with one path the later one counts. A directory that comes again keeps what is in it.
 * - A hardlink is another name of what its target is at that moment; what comes later under the target's path is
 *   something else. A target must come before its links.
 * - A directory that no entry describes has mode 755, owner 0:0 and time 0, the root too.
 * - Nothing is ever put below a symlink or a file, and a directory that holds something is never replaced: what such
 *   an archive means depends on who unpacks it.
 */
import { bytesOf, type ByteString, flat } from './byte-string.ts';
import { DETACHED } from './entry-index.ts';
import { EntryTable, NOT_LINKED } from './entry-table.ts';
import { failTar, showName, type TarPlace } from './tar-error.ts';
import { factsOf, type TarFacts } from './tar-facts.ts';
import type { TarLimits } from './tar-limits.ts';
import { tarPath } from './tar-path.ts';
import type { TarEntry } from './tar-reader.ts';
import { tieNames } from './tie-names.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, XattrPool } from './tree.ts';

export interface TarTreeOptions {
  readonly useEpoch?: boolean;
  readonly skipDevices?: boolean;
  readonly xattrs?: 'all' | 'user' | 'none';
  /** Keep the names of one file together; otherwise each becomes a file of its own, as in a scanned directory. */
  readonly hardlinks?: boolean;
}

/** Of a directory that no entry describes. */
const IMPLIED_MODE = S_IFDIR | 0o755;
const ROOT = 0;

export class TarTree {
  /** What was added so far, without order; entries that were replaced or hidden are in no directory. */
  readonly table = new EntryTable();
  readonly #options: TarTreeOptions;
  readonly #limits: TarLimits;
  readonly #pool = new XattrPool();
  /** The entries of every directory by name. */
  readonly #entries = new Map<number, Map<ByteString, number>>();
  /** Entries that the current layer put or described, and directories it has hidden the lower part of. */
  #fresh: Set<number> | undefined;
  readonly #hidden = new Set<number>();
  #count = 1;
  #detached = 0;
  #lastParentPath = '' as ByteString;
  #lastParent = ROOT;

  constructor(options: TarTreeOptions, limits: TarLimits) {
    this.#options = options;
    this.#limits = limits;
    this.table.add(ROOT, 0, 0, IMPLIED_MODE);
    this.#entries.set(ROOT, new Map());
  }

  /** Entries of the tree so far. */
  get count(): number {
    return this.#count;
  }

  /** Adds an entry; returns the one of a regular file, whose content the caller fills in. */
  add(entry: TarEntry): number | undefined {
    const { place } = entry;
    const { path, endsInSlash } = tarPath(entry.name, 'name', place);
    if (entry.type === '1') {
      this.#addHardlink(entry, path, endsInSlash);
      return undefined;
    }
    const made = this.#add(entry, path, endsInSlash);
    return this.table.typeOf(made) === S_IFREG ? made : undefined;
  }

  /** Adds an entry that is no hardlink; returns what it became in the table. */
  addEntry(entry: TarEntry): number {
    const { path, endsInSlash } = tarPath(entry.name, 'name', entry.place);
    return this.#add(entry, path, endsInSlash);
  }

  #add(entry: TarEntry, path: ByteString, endsInSlash: boolean): number {
    const facts = factsOf(entry, this.#pool, this.#options.xattrs);
    const { place } = entry;
    if ((facts.mode & S_IFMT) !== S_IFDIR && (endsInSlash || path === '')) {
      const problem = path === '' ? 'the root is no directory' : 'its name ends in a slash';
      failTar('FORMAT_TAR_NAME', place, `${problem}, and type ${entry.type} is no directory`);
    }
    const made = path === '' ? ROOT : this.#put(path, facts.mode, place);
    this.#describe(made, entry, facts);
    return made;
  }

  // --- one entry ---------------------------------------------------------------------------------------

  /** A directory that was there is what the entry says from now on. */
  #describe(made: number, entry: TarEntry, facts: TarFacts): void {
    const { table } = this;
    table.mode[made] = facts.mode;
    table.uid[made] = entry.uid;
    table.gid[made] = entry.gid;
    table.rdev[made] = facts.rdev;
    table.size[made] = facts.size;
    if (this.#options.useEpoch !== true) table.setMtime(made, entry.mtimeSec, entry.mtimeNsec);
    table.xattrs[made] = table.xattrLists.idOf(facts.xattrs);
    if (facts.target !== undefined) table.setData(made, bytesOf(facts.target));
    this.#fresh?.add(made);
  }

  /** A directory of which only the path is left. */
  #describeAsImplied(directory: number): void {
    const { table } = this;
    table.mode[directory] = IMPLIED_MODE;
    table.uid[directory] = table.gid[directory] = table.xattrs[directory] = 0;
    table.setMtime(directory, 0, 0);
    this.#fresh?.add(directory);
  }

  // --- places ------------------------------------------------------------------------------------------

  /** Takes an entry out of the tree. It stays in the table, where hardlinks may still name it. */
  #detach(entry: number, place: TarPlace): void {
    this.table.parent[entry] = DETACHED;
    if (++this.#detached <= this.#limits.replaced) return;
    failTar(
      'FORMAT_TAR_ENTRIES',
      place,
      `more than ${this.#limits.replaced} entries replace or take away others`,
      'make the archive of the tree itself, not of its changes',
    );
  }

  /** A new entry in the place of what is there, or the directory that is there if it is to be one. */
  #put(path: ByteString, mode: number, place: TarPlace): number {
    const name = lastPart(path);
    const parent = this.#parent(path, place);
    const siblings = this.#entries.get(parent)!;
    const existing = siblings.get(name);
    if (existing === undefined) {
      this.#countEntry(place);
      return this.#make(parent, siblings, name, mode);
    }
    if (this.table.isDirectory(existing)) {
      if ((mode & S_IFMT) === S_IFDIR) return existing;
      // What lies below it in an earlier layer goes with it.
      if (this.#fresh !== undefined) this.#hideLowerIn(existing, place);
      if (this.#entries.get(existing)!.size > 0) {
        failTar('FORMAT_TAR_REPLACE', place, 'it would replace a directory that holds something');
      }
      this.#forget(existing);
    }
    this.#detach(existing, place);
    return this.#make(parent, siblings, name, mode);
  }

  #make(parent: number, siblings: Map<ByteString, number>, name: ByteString, mode: number): number {
    const { table } = this;
    const made = table.add(parent, table.heap.addString(name), name.length, mode);
    siblings.set(name, made);
    this.#fresh?.add(made);
    if ((mode & S_IFMT) === S_IFDIR) this.#entries.set(made, new Map());
    return made;
  }

  #forget(directory: number): void {
    this.#entries.delete(directory);
    this.#forgetLastParent();
  }

  #forgetLastParent(): void {
    this.#lastParentPath = '' as ByteString;
    this.#lastParent = ROOT;
  }

  /** The directory that a path is in; made where no entry described it. */
  #parent(path: ByteString, place: TarPlace): number {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return ROOT;
    const parentPath = path.slice(0, slash) as ByteString;
    if (parentPath === this.#lastParentPath) return this.#lastParent;
    let directory = ROOT;
    for (const name of parentPath.split('/') as ByteString[]) {
      directory = this.#directory(directory, name, place);
    }
    this.#lastParentPath = parentPath;
    this.#lastParent = directory;
    return directory;
  }

  #directory(parent: number, name: ByteString, place: TarPlace): number {
    const siblings = this.#entries.get(parent)!;
    const existing = siblings.get(name);
    if (existing === undefined) {
      this.#countEntry(place);
      return this.#make(parent, siblings, flat(name), IMPLIED_MODE);
    }
    if (this.table.isDirectory(existing)) return existing;
    const shown = showName(name);
    if (this.table.typeOf(this.#inodeOf(existing)) === S_IFLNK) {
      failTar(
        'FORMAT_TAR_SYMLINK',
        place,
        `it is below ${shown}, which is a symlink, expected a directory`,
        'unpacking could write outside of the tree; make the archive of the tree itself',
      );
    }
    return failTar('FORMAT_TAR_PARENT', place, `it is below ${shown}, which is no directory`);
  }

  #countEntry(place: TarPlace): void {
    if (++this.#count <= this.#limits.entries) return;
    failTar(
      'FORMAT_TAR_ENTRIES',
      place,
      `the archive has more than ${this.#limits.entries} entries, with the directories its paths imply`,
    );
  }

  /** The entry whose inode an entry is a name of. */
  #inodeOf(entry: number): number {
    const inode = this.table.hardlink[entry]!;
    return inode === NOT_LINKED ? entry : inode;
  }

  // --- layers ------------------------------------------------------------------------------------------

  /** What comes from now on is laid over what is there; only that can be hidden. */
  beginLayer(): void {
    this.#fresh = new Set();
    this.#hidden.clear();
  }

  /** Takes away what earlier layers have at a path; what this layer put there stays. */
  hide(path: ByteString, place: TarPlace): void {
    const entry = this.#find(path);
    if (entry === undefined || entry === ROOT) return;
    const parent = this.#find(path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as ByteString)!;
    this.#hideLower(this.#entries.get(parent)!, entry, place);
  }

  /** Takes away what earlier layers have in a directory. */
  hideBelow(path: ByteString, place: TarPlace): void {
    const entry = this.#find(path);
    if (entry !== undefined && this.table.isDirectory(entry)) this.#hideLowerIn(entry, place);
  }

  /** Each directory is looked through once in a layer: all that is left in it then is of this layer. */
  #hideLowerIn(directory: number, place: TarPlace): void {
    if (this.#hidden.has(directory)) return;
    this.#hidden.add(directory);
    const entries = this.#entries.get(directory)!;
    for (const child of entries.values()) this.#hideLower(entries, child, place);
  }

  #hideLower(siblings: Map<ByteString, number>, entry: number, place: TarPlace): void {
    const isDirectory = this.table.isDirectory(entry);
    if (isDirectory) this.#hideLowerIn(entry, place);
    if (this.#fresh!.has(entry)) return;
    if (isDirectory && this.#entries.get(entry)!.size > 0) {
      // Only its path is left, which leads to what this layer has in it.
      this.#describeAsImplied(entry);
      return;
    }
    siblings.delete(this.table.name(entry));
    this.#detach(entry, place);
    this.#count--;
    if (isDirectory) this.#forget(entry);
  }

  // --- hardlinks ---------------------------------------------------------------------------------------

  #addHardlink(entry: TarEntry, path: ByteString, endsInSlash: boolean): void {
    const { place } = entry;
    const target = tarPath(entry.linkName, "hardlink's target", place).path;
    const existing = this.#find(target);
    const shown = showName(entry.linkName);
    if (existing === undefined) {
      const problem = `the hardlink's target ${shown} is no earlier entry`;
      failTar('FORMAT_TAR_HARDLINK', place, problem, 'a target has to come before its links');
    }
    if (this.table.isDirectory(existing) || path === '' || endsInSlash) {
      failTar(
        'FORMAT_TAR_HARDLINK',
        place,
        `it is a hardlink to ${shown}, and one of them is a directory`,
      );
    }
    // GNU tar writes this for a file that it was told to archive twice.
    if (path === target) return;
    const inode = this.#inodeOf(existing);
    const made = this.#put(path, this.table.mode[inode]!, place);
    if (this.#options.hardlinks === true) this.table.hardlink[made] = inode;
    else this.table.copyInode(made, inode);
  }

  #find(path: ByteString): number | undefined {
    let entry: number | undefined = ROOT;
    for (const name of path === '' ? [] : (path.split('/') as ByteString[])) {
      entry = entry === undefined ? undefined : this.#entries.get(entry)?.get(name);
    }
    return entry;
  }

  // --- the tree ----------------------------------------------------------------------------------------

  /** The finished table, sealed. */
  finish(): EntryTable {
    const { table } = this;
    this.#entries.clear();
    if (this.#options.skipDevices === true) this.#detachDevices();
    table.seal();
    if (this.#options.hardlinks === true) tieNames(table);
    return table;
  }

  #detachDevices(): void {
    for (let entry = 1; entry < this.table.count; entry++) {
      const type = this.table.typeOf(this.#inodeOf(entry));
      if (type === S_IFCHR || type === S_IFBLK) this.table.parent[entry] = DETACHED;
    }
  }
}

function lastPart(path: ByteString): ByteString {
  return flat(path.slice(path.lastIndexOf('/') + 1));
}
