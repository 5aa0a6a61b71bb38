/**
 * Directories of built things, named by the digest of everything they are made from.
 *
 * A directory is filled under another name and renamed, so what has its final name is whole. Two processes may build
 * the same at once: the second finds the name taken and uses what is there.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { cacheDirectory } from '../files/cache-directory.ts';
import { makeDirectories } from '../files/make-directories.ts';

/** Where built engines are kept. */
export function engineCache(cache: string = cacheDirectory()): string {
  return join(cache, 'engine');
}

/** A name for what is made from these parts, in this order. */
export function digestOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    // With its length first, no two lists of parts run together to the same bytes.
    const bytes = Buffer.from(part);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex').slice(0, 32);
}

/** The directory `name`, filled by `fill` unless it is there already. */
export async function cachedDirectory(
  parent: string,
  name: string,
  fill: (directory: string) => Promise<void>,
): Promise<string> {
  const final = join(parent, name);
  if (existsSync(final)) return final;
  let work: string;
  try {
    makeDirectories(parent);
    work = mkdtempSync(join(parent, 'unfinished-'));
  } catch (error) {
    throw explainSysError(error, `Cannot write to the cache ${parent}`);
  }
  try {
    await fill(work);
    renameSync(work, final);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'ENOTEMPTY' && errno !== 'EEXIST') {
      throw explainSysError(error, `Cannot fill the cache ${final}`);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return final;
}
