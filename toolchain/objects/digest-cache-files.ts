/**
 * Where digest caches lie, and how they are read and written: nothing here ever stops a build.
 *
 * A cache is believed like the source it speaks of, so it must be its user's own: a file of mode 0600 that belongs to
 * whoever runs this, in such a directory of mode 0700. It is written beside its name and renamed, so that builds at the
 * same time each see a whole one, and the last to end wins. It is not brought to the disk: its checksum tells whether
 * it arrived, and after a power cut it is of an earlier boot anyway.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { errnoOf } from '../../runtime/sys-error.ts';
import { makeDirectories } from '../files/make-directories.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS = 0o077;
/** A larger file was not written by coldseal: ENTRIES_MAX entries take less. */
const READ_MAX = 512 << 20;
/** All caches together; the one that was not used for longest goes first. */
const TOTAL_MAX = 1 << 30;
const UNUSED_DAYS_MAX = 30;
/** What a killed writer left. */
const TEMPORARY_DAYS_MAX = 1;
const TEMPORARY = '.tmp';
const DAY_MS = 86_400_000;

/** A cache as it lies there, a reason not to use it, or undefined when there is none. */
export function readCacheFile(directory: string, name: string): Uint8Array | string | undefined {
  let fd: number | undefined;
  try {
    const there = lstatSync(directory, { throwIfNoEntry: false });
    if (there === undefined) return undefined;
    if (!there.isDirectory() || !isOwn(there)) return `${directory} is open to others`;
    fd = openSync(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
    const stat = fstatSync(fd);
    if (!stat.isFile() || !isOwn(stat)) return 'it is open to others';
    if (stat.size > READ_MAX) return 'it is too large';
    const bytes = new Uint8Array(stat.size);
    for (let at = 0; at < bytes.length;) {
      const length = readSync(fd, bytes, at, bytes.length - at, at);
      if (length === 0) return 'it is cut off';
      at += length;
    }
    return bytes;
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? undefined : `it cannot be read (${errnoOf(error)})`;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function isOwn({ uid, mode }: { readonly uid: number; readonly mode: number }): boolean {
  return uid === process.geteuid!() && (mode & OTHERS) === 0;
}

/** Writes a cache; in a few words why it could not be, else undefined. */
export function writeCacheFile(
  directory: string,
  name: string,
  bytes: Uint8Array,
): string | undefined {
  const temporary = join(directory, `${randomBytes(8).toString('hex')}${TEMPORARY}`);
  try {
    makeDirectories(directory, DIRECTORY_MODE);
    const stat = lstatSync(directory);
    if (!stat.isDirectory() || !isOwn(stat)) return `${directory} is open to others`;
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, join(directory, name));
    return undefined;
  } catch (error) {
    removeIfThere(temporary);
    return `it cannot be written (${errnoOf(error) ?? (error as Error).message})`;
  }
}

function removeIfThere(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Where it could not be made, nothing is to be removed.
  }
}

/** Notes that a cache was of use, so that it is not the next to go. */
export function touchCacheFile(directory: string, name: string, nowMs: number): void {
  try {
    utimesSync(join(directory, name), nowMs / 1000, nowMs / 1000);
  } catch {
    // Another build may just be replacing it.
  }
}

/** Removes caches that were not used for long, the oldest beyond the bound, and what killed writers left. */
export function trimCaches(directory: string, nowMs: number, totalMax = TOTAL_MAX): void {
  const files = listFiles(directory).sort((a, b) => b.mtimeMs - a.mtimeMs);
  let total = 0;
  for (const { path, size, mtimeMs } of files) {
    total += size;
    const days = (nowMs - mtimeMs) / DAY_MS;
    const daysMax = path.endsWith(TEMPORARY) ? TEMPORARY_DAYS_MAX : UNUSED_DAYS_MAX;
    if (days > daysMax || total > totalMax) removeIfThere(path);
  }
}

function listFiles(directory: string): { path: string; size: number; mtimeMs: number }[] {
  try {
    return readdirSync(directory).flatMap((name) => {
      const path = join(directory, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      return stat?.isFile() === true ? [{ path, size: stat.size, mtimeMs: stat.mtimeMs }] : [];
    });
  } catch {
    return [];
  }
}
