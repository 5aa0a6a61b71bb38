/**
 * Measuring every object of a store again, and replacing damaged ones by good copies from other stores.
 *
 * Each file is read whole, also where the kernel has fs-verity: reading is what finds a bad block. A repaired
 * object is measured before it is copied and written like any other object, so a repair never makes things worse.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { lstatIfThere } from '../../runtime/engines/node/xattr.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { bytesOf, type ByteString, byteStringOfText } from '../image/byte-string.ts';
import { FileHasher } from './file-hasher.ts';
import type { HashJob } from './hash-job.ts';
import { HashPool } from './hash-pool.ts';
import { type Inventory, type StoredObject, takeInventory } from './inventory.ts';
import { algorithmOfDigest, digestOfPath } from './layout.ts';
import { ObjectStore } from './store.ts';
import { readDigest } from './verity.ts';

export interface Damage {
  readonly path: ByteString;
  /** What was found: another digest, or why the file could not be read. */
  readonly problem: string;
  /** The store that a good copy came from. */
  repairedFrom?: string;
}

export interface StoreReport {
  readonly objects: number;
  readonly bytes: number;
  readonly damaged: readonly Damage[];
  readonly strays: Inventory['strays'];
  readonly leftovers: Inventory['leftovers'];
}

export interface CheckOptions {
  readonly repairFrom: readonly string[];
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Measures every object of a store; with stores to repair from, replaces what is damaged. */
export async function checkStore(dir: string, options: CheckOptions): Promise<StoreReport> {
  const { objects, damaged: misfits, strays, leftovers } = takeInventory(dir);
  for (const source of options.repairFrom) takeInventory(source);
  const total = objects.reduce((sum, { stat }) => sum + stat.size, 0);
  const damaged: Damage[] = [...misfits];
  let doneBefore = 0;
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const some = objects.filter(({ digest }) => algorithmOfDigest(digest) === algorithm);
    damaged.push(
      ...(await measureAll(dir, some, algorithm, options.signal, (bytes) =>
        options.onProgress?.(doneBefore + bytes, total),
      )),
    );
    doneBefore += some.reduce((sum, { stat }) => sum + stat.size, 0);
  }
  damaged.sort((a, b) => (a.path < b.path ? -1 : 1));
  const report = { objects: objects.length, bytes: total, damaged, strays, leftovers };
  if (options.repairFrom.length > 0 && damaged.length > 0) repair(dir, damaged, options.repairFrom);
  return report;
}

async function measureAll(
  dir: string,
  objects: readonly StoredObject[],
  algorithm: VerityAlgorithm,
  signal: AbortSignal | undefined,
  onProgress: (bytes: number) => void,
): Promise<Damage[]> {
  const base = byteStringOfText(dir);
  const results: (string | undefined)[] = [];
  // No file is inlined: also an empty one has to have its digest.
  const settings = { algorithm, inlineMax: -1 };
  const threads = Math.min(availableParallelism(), 8);
  const pool = new HashPool(
    { ...settings, threads, store: undefined, verifyExisting: false, onProgress },
    (index, result) => (results[index] = Buffer.from(result).toString('hex')),
  );
  const jobs = objects.map((object) => jobOf(base, object));
  try {
    for (const job of jobs) {
      pool.add(job.path, job);
      await pool.hasRoom();
    }
    await pool.finish(signal);
  } catch (error) {
    // One file cannot be read; which others can is found out one by one below.
    if (!(error instanceof ColdsealError) || error.code === 'INTERNAL_WORKER') throw error;
    await pool.stop();
  }
  let alone: FileHasher | undefined;
  return objects.flatMap((object, index) => {
    const found =
      results[index] ?? measureAlone(jobs[index]!, (alone ??= new FileHasher(settings)));
    return found === object.digest ? [] : [{ path: object.path, problem: problemOf(found) }];
  });
}

function jobOf(base: ByteString, { path, stat }: StoredObject): HashJob {
  return { ...stat, path: `${base}/${path}` as ByteString, hasVerity: false };
}

/** The digest, or the error's message. */
function measureAlone(job: HashJob, hasher: FileHasher): string {
  try {
    return Buffer.from(hasher.runOne(job)).toString('hex');
  } catch (error) {
    if (error instanceof ColdsealError) return error.message;
    throw error;
  }
}

function problemOf(found: string): string {
  return /^[0-9a-f]+$/.test(found) ? `its content has the digest ${found}` : found;
}

function repair(dir: string, damaged: readonly Damage[], sources: readonly string[]): void {
  using store = new ObjectStore(dir, { verifyExisting: true });
  for (const damage of damaged) {
    const digest = digestOfPath(damage.path.slice(0, 2), damage.path.slice(3));
    if (digest === undefined) continue;
    for (const source of sources) {
      const path = bytesOf(`${byteStringOfText(source)}/${damage.path}` as ByteString);
      const stamp = lstatIfThere(path);
      if (stamp === undefined || !isGood(path, digest)) continue;
      store.put({ path, stamp }, digest, stamp.size);
      damage.repairedFrom = source;
      break;
    }
  }
  store.finish();
  for (const damage of damaged) {
    const digest = digestOfPath(damage.path.slice(0, 2), damage.path.slice(3));
    if (digest === undefined) continue;
    const path = bytesOf(`${byteStringOfText(dir)}/${damage.path}` as ByteString);
    if (!isGood(path, digest)) delete damage.repairedFrom;
  }
}

function isGood(path: Buffer, digest: string): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return readDigest(fd, algorithmOfDigest(digest)) === digest;
  } catch {
    // Unreadable there too: the next store may have it.
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
