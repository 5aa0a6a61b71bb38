/**
 * The object store, seen by a writer: files go in under their fs-verity digest, whole or not at
 * all.
 *
 * Content is copied to a staging directory of this writer, brought to the disk, and only then
 * renamed to its name. So whatever happens, and whenever, a file with an object's name has its
 * whole content. When `finish` has returned, every object put is on the disk under its name, its
 * directories too; earlier than that nothing is promised about how many are. Syncing is per batch
 * and not per file (docs/decisions/0010-object-store.md).
 *
 * Several writers, in threads or processes, may use one store: they have their own staging
 * directories, and renaming the same object twice replaces equal content.
 */
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import type { SysVerity } from '../../runtime/sys.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { enableVerity, measureVerity } from '../../runtime/engines/node/verity.ts';
import { type FastStat, fstatFast, lstatIfThere } from '../../runtime/engines/node/xattr.ts';
import { errnoOf, explainSysError, SysError } from '../../runtime/sys-error.ts';
import { syncPath } from '../files/sync-path.ts';
import { byteString, showBytes } from '../image/byte-string.ts';
import { type CopyMethod, FileCopier } from './copy.ts';
import { makeDirectories } from '../files/make-directories.ts';
import { algorithmOfDigest, digestOfPath, isFanOut, objectPath, STAGING_PREFIX } from './layout.ts';
import { StoreLock } from './lock.ts';
import { readDigest } from './verity.ts';

/** What tells whether a file is still the one that was measured. */
export type FileStamp = Pick<
  FastStat,
  'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec'
>;

export interface ObjectSource {
  /** Bytes, or text. Also names the file in errors. */
  readonly path: Buffer | string;
  /** An open descriptor to read instead of opening the path. Stays open; its position moves. */
  readonly fd?: number;
  /** The file's stamp from before its digest was computed: a difference is an error. */
  readonly stamp?: FileStamp;
}

export interface StoreOptions {
  /** Measure the content of objects that are there already, not only their size. */
  readonly verifyExisting?: boolean;
  /** Marks this writer's staging directory, so that whoever ends the writer can remove it. */
  readonly stagingTag?: string | undefined;
  /** The kernel's fs-verity; tests hand in their own. */
  readonly verity?: SysVerity;
}

/** An open file in the staging directory of a writer. */
export interface StagedFile {
  readonly path: string;
  readonly fd: number;
}

export type PutResult = 'copied' | 'present' | 'replaced';

/** What a writer did. */
export interface StoreSummary {
  copied: number;
  copiedBytes: number;
  /** Objects that were there already and right. */
  present: number;
  /** Objects that were there and damaged: wrong size, kind or content. */
  replaced: number;
  reflinked: number;
  /** Whether objects got fs-verity; `unknown` when there was nothing to try it on. */
  verity: 'enabled' | 'unsupported' | 'unknown';
}

/** A batch becomes visible when it has this many objects or bytes: what a killed writer can lose. */
const BATCH_OBJECTS = 16_384;
const BATCH_BYTES = 1024 ** 3;
/** Up to here, syncing each file is cheaper than syncing the file system, and does not wait for others' data. */
const SYNC_EACH_MAX = 32;
const OBJECT_MODE = 0o644;

export class ObjectStore implements Disposable {
  readonly dir: string;
  readonly summary: StoreSummary = {
    copied: 0,
    copiedBytes: 0,
    present: 0,
    replaced: 0,
    reflinked: 0,
    verity: 'unknown',
  };
  readonly #lock: StoreLock;
  readonly #verifyExisting: boolean;
  readonly #stagingTag: string;
  readonly #verity: SysVerity;
  readonly #copier = new FileCopier();
  readonly #fanOut: Set<string>;
  readonly #settled = new Set<string>();
  /** Digests whose content is in the staging directory, and where. */
  #batch = new Map<string, string>();
  #batchBytes = 0;
  #staging: string | undefined;
  #nextName = 0;
  #needsChmod: boolean | undefined;
  #closed = false;

  /** Opens a store for writing; the directory is made when it does not exist. */
  constructor(dir: string, options: StoreOptions = {}) {
    this.dir = dir;
    this.#verifyExisting = options.verifyExisting ?? false;
    this.#stagingTag = options.stagingTag ?? '';
    this.#verity = options.verity ?? { measureVerity, enableVerity };
    try {
      makeDirectories(dir);
      this.#lock = StoreLock.take(dir, 'writer');
      this.#fanOut = new Set(readdirSync(dir).filter(isFanOut));
    } catch (error) {
      throw explainSysError(error, `Cannot open the object store ${dir}`);
    }
  }

  /** Stores a file of `size` bytes under its digest, unless it is there already. Visible after `finish`. */
  put(source: ObjectSource, digest: string, size: number): PutResult {
    return this.#putUnlessThere(digest, size, () => this.#stage(source, digest, size));
  }

  /** The same for content in memory. */
  putBytes(content: Uint8Array, digest: string): PutResult {
    return this.#putUnlessThere(digest, content.length, () => {
      const { path, fd } = this.stageFile();
      try {
        writeWhole(fd, content);
      } catch (error) {
        throw explainSysError(error, `Cannot write the object store ${this.dir}`);
      } finally {
        closeSync(fd);
      }
      this.#keep(path, digest, content.length);
    });
  }

  /** Whether an object is there and right; then it counts as put. */
  has(digest: string, size: number): boolean {
    if (this.#settled.has(digest)) return true;
    if (this.#examine(digest, size) !== 'right') return false;
    this.#settled.add(digest);
    this.summary.present++;
    return true;
  }

  /** A new file for content whose digest is known only at its end. The caller closes it, and hands it to `adopt`. */
  stageFile(): StagedFile {
    this.#staging ??= mkdtempSync(`${this.dir}/${STAGING_PREFIX}${this.#stagingTag}`);
    const path = `${this.#staging}/${this.#nextName++}`;
    try {
      return { path, fd: this.#create(path) };
    } catch (error) {
      throw explainSysError(error, `Cannot write the object store ${this.dir}`);
    }
  }

  /** Takes a staged file, whose content has this digest, as an object; removes it when the object is there already. */
  adopt(path: string, digest: string, size: number): PutResult {
    const result = this.#putUnlessThere(digest, size, () => this.#keep(path, digest, size));
    if (result === 'present') rmSync(path);
    return result;
  }

  #putUnlessThere(digest: string, size: number, stage: () => void): PutResult {
    if (digestOfPath(digest.slice(0, 2), digest.slice(2)) === undefined) {
      throw new Error(`not a digest: ${digest}`);
    }
    if (this.#settled.has(digest)) return 'present';
    const existing = this.#examine(digest, size);
    if (existing === 'right') {
      this.#settled.add(digest);
      this.summary.present++;
      return 'present';
    }
    stage();
    this.#settled.add(digest);
    if (this.#batch.size >= BATCH_OBJECTS || this.#batchBytes >= BATCH_BYTES) this.flush();
    if (existing === 'absent') return 'copied';
    this.summary.replaced++;
    return 'replaced';
  }

  /** Lets a staged file become an object at the next flush. */
  #keep(path: string, digest: string, size: number): void {
    if (!this.#enableStaged(path, digest)) throw changed(path);
    this.#batch.set(digest, path);
    this.#batchBytes += size;
    this.summary.copied++;
    this.summary.copiedBytes += size;
  }

  /** Brings what was put so far to the disk and gives it its names. */
  flush(): void {
    if (this.#batch.size === 0) return;
    try {
      const directories = this.#publish();
      this.#syncDirectories(directories);
    } catch (error) {
      throw explainSysError(error, `Cannot write the object store ${this.dir}`);
    }
    this.#batch = new Map();
    this.#batchBytes = 0;
  }

  /** Flushes and lets go of the store. Afterwards every object put is durable. */
  finish(): StoreSummary {
    this.flush();
    this[Symbol.dispose]();
    return this.summary;
  }

  /** Lets go of the store without publishing what is not flushed; removes the staging directory. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#staging !== undefined) rmSync(this.#staging, { recursive: true, force: true });
    this.#lock[Symbol.dispose]();
  }

  /** Looks at the object that has this name now, if any. */
  #examine(digest: string, size: number): 'absent' | 'right' | 'damaged' {
    // A store that is being filled has few directories yet: no question to the file system at all.
    if (!this.#fanOut.has(digest.slice(0, 2))) return 'absent';
    const path = `${this.dir}/${objectPath(digest)}`;
    try {
      const stat = lstatIfThere(Buffer.from(path));
      if (stat === undefined) return 'absent';
      if ((stat.mode & constants.S_IFMT) !== constants.S_IFREG || stat.size !== size)
        return 'damaged';
      if (stat.hasVerity && this.summary.verity === 'unknown') this.summary.verity = 'enabled';
      if (!this.#verifyExisting && (stat.hasVerity || this.summary.verity === 'unsupported')) {
        return 'right';
      }
      return this.#examineContent(path, digest) ? 'right' : 'damaged';
    } catch (error) {
      throw explainSysError(error, `Cannot read the object ${path}`);
    }
  }

  /** Measures an existing object where asked to, and gives it fs-verity where it can have it. */
  #examineContent(path: string, digest: string): boolean {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (this.#verifyExisting && readDigest(fd, algorithmOfDigest(digest)) !== digest)
        return false;
      return this.#enable(fd, digest);
    } finally {
      closeSync(fd);
    }
  }

  /** Turns fs-verity on and compares the kernel's digest. False when the content is not that of the digest. */
  #enable(fd: number, digest: string): boolean {
    if (this.summary.verity === 'unsupported') return true;
    const algorithm = algorithmOfDigest(digest);
    const answer = this.#tryEnable(fd, algorithm);
    if (answer === 'not this file') return true;
    if (answer === 'unsupported') {
      this.summary.verity = 'unsupported';
      return true;
    }
    this.summary.verity = 'enabled';
    const kernel = this.#verity.measureVerity(fd);
    return (
      kernel.verity === 'measured' && kernel.algorithm === algorithm && kernel.digest === digest
    );
  }

  #tryEnable(fd: number, algorithm: VerityAlgorithm): 'enabled' | 'unsupported' | 'not this file' {
    try {
      return this.#verity.enableVerity(fd, algorithm) ? 'enabled' : 'unsupported';
    } catch (error) {
      // An object that belongs to another user, or that someone has open for writing, stays as it is.
      const errno = errnoOf(error);
      if (errno !== 'EACCES' && errno !== 'EPERM' && errno !== 'ETXTBSY') throw error;
      return 'not this file';
    }
  }

  #stage(source: ObjectSource, digest: string, size: number): void {
    const name = typeof source.path === 'string' ? source.path : showBytes(byteString(source.path));
    let fd = source.fd;
    try {
      fd ??= openSync(source.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOCTTY);
      this.#copyIn(fd, name, digest, size, source.stamp);
    } catch (error) {
      throw explainSysError(error, `Cannot copy ${name} to the object store ${this.dir}`);
    } finally {
      if (fd !== undefined && source.fd === undefined) closeSync(fd);
    }
  }

  #copyIn(fd: number, name: string, digest: string, size: number, stamp?: FileStamp): void {
    const before = fstatFast(fd);
    if (before.size !== size || (stamp !== undefined && !sameStamp(stamp, before)))
      throw changed(name);
    this.#staging ??= mkdtempSync(`${this.dir}/${STAGING_PREFIX}${this.#stagingTag}`);
    const staged = `${this.#staging}/${this.#nextName++}`;
    try {
      const { method, copied } = this.#writeStaged(staged, { fd, ...before });
      if (copied !== size || !sameStamp(before, fstatFast(fd))) throw changed(name);
      if (!this.#enableStaged(staged, digest)) throw changed(name);
      if (method === 'reflink') this.summary.reflinked++;
    } catch (error) {
      rmSync(staged, { force: true });
      throw error;
    }
    this.#batch.set(digest, staged);
    this.#batchBytes += size;
    this.summary.copied++;
    this.summary.copiedBytes += size;
  }

  #writeStaged(
    staged: string,
    source: { fd: number; size: number; dev: number; blocks: number },
  ): { method: CopyMethod; copied: number } {
    const to = this.#create(staged);
    try {
      return this.#copier.copy(source, to);
    } finally {
      closeSync(to);
    }
  }

  #create(staged: string): number {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const fd = openSync(staged, flags, OBJECT_MODE);
    try {
      // The umask is the same for the whole run, so the first file tells whether the mode needs a call.
      this.#needsChmod ??= (fstatFast(fd).mode & 0o7777) !== OBJECT_MODE;
      if (this.#needsChmod) fchmodSync(fd, OBJECT_MODE);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** fs-verity wants a file that nobody writes to, so the staged file is opened again. */
  #enableStaged(staged: string, digest: string): boolean {
    if (this.summary.verity === 'unsupported') return true;
    const fd = openSync(staged, constants.O_RDONLY);
    try {
      return this.#enable(fd, digest);
    } finally {
      closeSync(fd);
    }
  }

  /** Content first to the disk, then the names. Returns the directories that changed. */
  #publish(): Set<string> {
    this.#syncContent();
    const directories = new Set<string>();
    for (const [digest, staged] of this.#batch) {
      const fanOut = digest.slice(0, 2);
      if (!this.#fanOut.has(fanOut)) {
        mkdirSync(`${this.dir}/${fanOut}`, { recursive: true, mode: 0o755 });
        this.#fanOut.add(fanOut);
        directories.add(this.dir);
      }
      directories.add(`${this.dir}/${fanOut}`);
      this.#rename(staged, `${this.dir}/${objectPath(digest)}`);
    }
    return directories;
  }

  /** A directory or link in the object's place is damage, and must go before the object can have the name. */
  #rename(staged: string, target: string): void {
    try {
      renameSync(staged, target);
    } catch (error) {
      if (errnoOf(error) !== 'EISDIR') throw error;
      rmSync(target, { recursive: true });
      renameSync(staged, target);
    }
  }

  #syncContent(): void {
    if (this.#batch.size > SYNC_EACH_MAX && this.#syncFileSystem()) return;
    for (const staged of this.#batch.values()) syncPath(staged);
  }

  #syncDirectories(directories: Set<string>): void {
    if (directories.size > SYNC_EACH_MAX && this.#syncFileSystem()) return;
    for (const directory of directories) syncPath(directory);
  }

  /** syncfs(2), which also reports write errors of any file written since the store was opened (Linux 5.8). */
  #syncFileSystem(): boolean {
    if (libc().syncfs(this.#lock.fd) === 0) return true;
    const errno = libc().errnoName();
    if (errno !== 'ENOSYS') throw new SysError('syncfs', errno);
    return false;
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, done);
  }
}

function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return (
    a.size === b.size &&
    a.mtimeSec === b.mtimeSec &&
    a.mtimeNsec === b.mtimeNsec &&
    a.ctimeSec === b.ctimeSec &&
    a.ctimeNsec === b.ctimeNsec
  );
}

function changed(name: string): ColdsealError {
  return new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot copy ${name}: it changed after its digest was computed, expected the same file`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}

/** Removes what ended writers with this tag had staged. */
export function removeStaged(dir: string, stagingTag: string): void {
  const prefix = `${STAGING_PREFIX}${stagingTag}`;
  const names = existsSync(dir) ? readdirSync(dir) : [];
  for (const name of names) {
    if (name.startsWith(prefix)) rmSync(`${dir}/${name}`, { recursive: true, force: true });
  }
}
