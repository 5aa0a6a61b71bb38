/**
 * Where things are in an object store: `ab/cdef…` for the object whose fs-verity digest is
 * `abcdef…`.
 *
 * The first two hexadecimal digits name the directory and the rest the file: 62 digits for SHA-256,
 * 126 for SHA-512 (libcomposefs lcfs-utils.c, digest_to_path). Everything being written is under
 * `.staging-…`, one directory per writer, so whatever a killed writer leaves is recognised by its
 * name and no object is ever seen half-written.
 */
import { VERITY_ALGORITHMS, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';

export const STAGING_PREFIX = '.staging-';

/** What C mkcomposefs calls a file in the store that it has not finished. */
const FOREIGN_TEMPORARY = /^\.tmp[A-Za-z0-9]{6}$/;

/** The path of an object below its store. */
export function objectPath(digest: string): string {
  return `${digest.slice(0, 2)}/${digest.slice(2)}`;
}

/** Whether a name directly in the store can hold objects. */
export function isFanOut(name: string): boolean {
  return /^[0-9a-f]{2}$/.test(name);
}

/** The digest of the object at `directory/name`, or undefined when no object can have that name. */
export function digestOfPath(directory: string, name: string): string | undefined {
  const digest = directory + name;
  const known = digest.length === 64 || digest.length === 128;
  return known && /^[0-9a-f]+$/.test(digest) ? digest : undefined;
}

/** The algorithm of a digest in hexadecimal. */
export function algorithmOfDigest(digest: string): VerityAlgorithm {
  return digest.length === 2 * VERITY_ALGORITHMS.sha512.digestSize ? 'sha512' : 'sha256';
}

/** Whether a name in the store is what an interrupted writer leaves. */
export function isLeftover(name: string): boolean {
  return name.startsWith(STAGING_PREFIX) || isForeignTemporary(name);
}

/** Whether a name in the store is an unfinished file of C mkcomposefs, which takes no lock. */
export function isForeignTemporary(name: string): boolean {
  return FOREIGN_TEMPORARY.test(name);
}
