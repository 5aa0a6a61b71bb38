/**
 * The contents that a dump refers to: every one has a digest, is found in a given object store, and is measured
 * again before it is copied.
 *
 * A dump without digests still makes a mountable image; in a release it would be content that nobody checks, so it is
 * refused, with the path of the file.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fstatFast } from '../../runtime/engines/node/xattr.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { showBytes, type ByteString } from '../image/byte-string.ts';
import { isRegular, type TreeNode, walkTree } from '../image/tree.ts';
import { algorithmOfDigest, objectPath } from '../objects/layout.ts';
import type { ObjectStore } from '../objects/store.ts';
import { computeDigest } from '../../runtime/engines/node/compute-digest.ts';
import type { BootsetImage } from './bootset.ts';

/** Paths shown in one error: enough to see the pattern. */
const SHOWN_MAX = 5;

interface WantedObject {
  readonly digest: string;
  readonly size: number;
  /** The first file that has this content. */
  readonly path: ByteString;
}

/** The objects of a dump's tree. Throws CONFIG_OBJECT_UNDIGESTED, CONFIG_OBJECT_PATH or CONFIG_OBJECT_ALGORITHM. */
export function checkDigests(root: TreeNode, image: BootsetImage): WantedObject[] {
  const wanted = new Map<string, WantedObject>();
  const undigested: string[] = [];
  for (const { path, node } of walkTree(root)) {
    if (node.hardlink !== undefined || !isRegular(node)) continue;
    const { digest, payload, size } = node;
    if (payload === undefined && digest === undefined && isComplete(node)) continue;
    if (digest === undefined) {
      undigested.push(showBytes(path));
      continue;
    }
    checkReference(image, path, payload, digest);
    if (!wanted.has(digest)) wanted.set(digest, { digest, size, path });
  }
  if (undigested.length > 0) {
    throw new ColdsealError(
      'CONFIG_OBJECT_UNDIGESTED',
      `Cannot release image ${image.name}: ${image.source.given} has no fs-verity digest for ${listed(undigested)}`,
      { hint: 'write the dump with digests; without them nothing can check the content' },
    );
  }
  return [...wanted.values()];
}

/** Whether a file needs no object: it is empty, or its content is in the image. */
function isComplete(node: TreeNode): boolean {
  return node.size === 0 || node.content !== undefined;
}

function checkReference(
  image: BootsetImage,
  path: ByteString,
  payload: ByteString | undefined,
  digest: string,
): void {
  const where = `Cannot release image ${image.name}: ${showBytes(path)} of ${image.source.given}`;
  if (payload?.replace(/^\/+/, '') !== objectPath(digest)) {
    const found = payload === undefined ? 'nowhere' : `at ${showBytes(payload)}`;
    throw new ColdsealError(
      'CONFIG_OBJECT_PATH',
      `${where} looks for its content ${found}, expected ${objectPath(digest)}`,
    );
  }
  if (algorithmOfDigest(digest) !== image.algorithm) {
    throw new ColdsealError(
      'CONFIG_OBJECT_ALGORITHM',
      `${where} has a ${algorithmOfDigest(digest)} digest, expected ${image.algorithm} as recipe.hash says`,
    );
  }
}

function listed(paths: readonly string[]): string {
  const shown = paths.slice(0, SHOWN_MAX).join(', ');
  const more = paths.length - SHOWN_MAX;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

export interface CopyObjectsOptions {
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Copies a dump's objects into the store. Throws CONFIG_OBJECT_MISSING, or VERIFY_OBJECT_* for damaged ones. */
export async function copyObjects(
  wanted: readonly WantedObject[],
  image: BootsetImage,
  store: ObjectStore,
  options: CopyObjectsOptions = {},
): Promise<void> {
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  const missing: string[] = [];
  let done = 0;
  for (const [index, object] of wanted.entries()) {
    if (!copyFromAny(object, image, store)) missing.push(showBytes(object.path));
    done += object.size;
    if (index % 64 !== 0) continue;
    options.onProgress?.(done, total);
    await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
  }
  if (missing.length === 0) return;
  throw new ColdsealError(
    'CONFIG_OBJECT_MISSING',
    `Cannot release image ${image.name}: none of its object stores has the content of ${listed(missing)}`,
    { hint: 'name the store that has it under source.objects, or build from the directory itself' },
  );
}

/** Tries the stores in order: a damaged object in one of them is no harm when another has it whole. */
function copyFromAny(object: WantedObject, image: BootsetImage, store: ObjectStore): boolean {
  let damaged: ColdsealError | undefined;
  for (const directory of image.source.objects) {
    const problem = copyFrom(join(directory, objectPath(object.digest)), object, store);
    if (problem === undefined) return true;
    if (problem !== 'absent') damaged = problem;
  }
  if (damaged !== undefined) throw damaged;
  return false;
}

function copyFrom(
  path: string,
  { digest, size }: WantedObject,
  store: ObjectStore,
): 'absent' | ColdsealError | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: a FIFO planted in place of an object must not stop the build.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return 'absent';
    throw explainSysError(error, `Cannot open the object ${path}`);
  }
  try {
    const stamp = fstatFast(fd);
    if ((stamp.mode & constants.S_IFMT) !== constants.S_IFREG || stamp.size !== size) {
      return new ColdsealError(
        'VERIFY_OBJECT_SIZE',
        `Cannot copy object ${digest} from ${path}: expected a regular file of ${size} bytes, found ${stamp.size}`,
      );
    }
    const measured = computeDigest(fd, algorithmOfDigest(digest));
    if (measured !== digest) {
      return new ColdsealError(
        'VERIFY_OBJECT_DIGEST',
        `Cannot copy object ${digest} from ${path}: its fs-verity digest is ${measured}`,
        { hint: 'the store is damaged; coldseal store verify lists what else is' },
      );
    }
    store.put({ path, fd, stamp }, digest, size);
    return undefined;
  } catch (error) {
    throw explainSysError(error, `Cannot read the object ${path}`);
  } finally {
    closeSync(fd);
  }
}
