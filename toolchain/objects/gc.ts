/**
 * Garbage collection of an object store: deletes objects that no named image and no mount refers
 * to.
 *
 * What is kept is known completely before anything is deleted, and only files whose names are
 * digests or that interrupted writers left are ever deleted. Stopped at any point, the store is a
 * store with some garbage. No writer of coldseal can be active meanwhile (lock.ts); C mkcomposefs
 * takes no lock, so its unfinished files are left alone for a day.
 */
import { readFileSync, rmSync } from 'node:fs';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { lstatIfThere } from '../../runtime/engines/node/xattr.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { type ByteString, byteStringOfText } from '../image/byte-string.ts';
import { inFile } from '../image/load-image.ts';
import { findMountedObjects, type ReadObjectPaths } from '../mount/mounted-objects.ts';
import type { MountEntry } from '../mount/mount-table.ts';
import { type Inventory, type StoredObject, takeInventory } from './inventory.ts';
import { algorithmOfDigest, isForeignTemporary } from './layout.ts';
import { StoreLock } from './lock.ts';

export interface CollectOptions {
  readonly images: readonly string[];
  readonly dryRun: boolean;
  readonly readObjectPaths: ReadObjectPaths;
  readonly nowSec: number;
  /** The mounts to look at; this machine's by default. */
  readonly entries?: readonly MountEntry[];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface CollectResult {
  readonly kept: number;
  readonly keptBytes: number;
  readonly deleted: readonly StoredObject[];
  readonly deletedBytes: number;
  readonly leftovers: readonly ByteString[];
  /** Files that are not objects; never deleted. */
  readonly strays: Inventory['strays'];
  /** Objects that a named image refers to and the store does not have. */
  readonly missing: number;
  readonly mounts: readonly { readonly mountPoint: string; readonly how: string }[];
}

const FOREIGN_TEMPORARY_AGE_SEC = 86_400;

/** Decides what is garbage and, unless it is a dry run, deletes it. */
export function collectGarbage(dir: string, options: CollectOptions): CollectResult {
  using lock = options.dryRun ? undefined : StoreLock.take(dir, 'collector', 0);
  void lock;
  const inventory = takeInventory(dir);
  const needed = new Set<string>();
  for (const image of options.images) {
    for (const path of readImage(image, options.readObjectPaths)) needed.add(path);
  }
  const present = new Set<string>(inventory.objects.map(({ path }) => path));
  const missing = [...needed].filter((path) => !present.has(path)).length;
  const mounts = findMountedObjects(dir, {
    readObjectPaths: options.readObjectPaths,
    algorithms: algorithmsOf(inventory),
    ...(options.entries === undefined ? {} : { entries: options.entries }),
  });
  for (const { paths } of mounts) for (const path of paths) needed.add(path);
  const kept = inventory.objects.filter(({ path }) => needed.has(path));
  const deleted = inventory.objects.filter(({ path }) => !needed.has(path));
  const leftovers = inventory.leftovers.filter((name) => isStale(dir, name, options.nowSec));
  if (!options.dryRun) {
    deleteAll(dir, [...leftovers, ...deleted.map(({ path }) => path)], options);
  }
  return {
    kept: kept.length,
    keptBytes: bytesIn(kept),
    deleted,
    deletedBytes: bytesIn(deleted),
    leftovers,
    strays: inventory.strays,
    missing,
    mounts: mounts.map(({ mountPoint, how }) => ({ mountPoint, how })),
  };
}

function readImage(image: string, readObjectPaths: ReadObjectPaths): readonly string[] {
  try {
    return readObjectPaths(readFileSync(image));
  } catch (error) {
    throw explainSysError(inFile(error, image), `Cannot read the image ${image}`);
  }
}

function algorithmsOf({ objects }: Inventory): VerityAlgorithm[] {
  return [...new Set(objects.map(({ digest }) => algorithmOfDigest(digest)))];
}

function isStale(dir: string, name: ByteString, nowSec: number): boolean {
  if (!isForeignTemporary(name)) return true;
  const stat = lstatIfThere(`${byteStringOfText(dir)}/${name}`);
  return stat !== undefined && nowSec - stat.mtimeSec > FOREIGN_TEMPORARY_AGE_SEC;
}

function deleteAll(dir: string, paths: readonly ByteString[], options: CollectOptions): void {
  // The names are ASCII: digests, or what a writer calls its leftovers.
  paths.forEach((path, done) => {
    options.signal?.throwIfAborted();
    try {
      rmSync(`${dir}/${path}`, { recursive: true, force: true });
    } catch (error) {
      throw explainSysError(error, `Cannot delete ${dir}/${path}`);
    }
    options.onProgress?.(done + 1, paths.length);
  });
}

function bytesIn(objects: readonly StoredObject[]): number {
  return objects.reduce((sum, { stat }) => sum + stat.size, 0);
}
