/**
 * The objects an image refers to: what has to be in the object store for every file to be readable.
 *
 * The image passes both gates first, so a path that comes out of here has no empty, `.` or `..` part and can be
 * joined to a directory.
 */
import { openImage, type ErofsImage } from '../../runtime/format/erofs-image.ts';
import { restrictToComposefs } from '../../runtime/format/restrict.ts';
import type { ByteString } from './byte-string.ts';
import { readTree } from './read-tree.ts';
import { isRegular, walkTree, type TreeNode } from './tree.ts';

/** One object as an image describes it. */
export interface ImageObject {
  /** Path below the object store. */
  readonly path: ByteString;
  /** fs-verity digest in lower-case hexadecimal; undefined when the image does not know it. */
  readonly digest: string | undefined;
  readonly size: number;
}

/** The objects of an image, sorted by path; a path comes twice only if the image contradicts itself. */
export function objectsOfImage(bytes: Uint8Array): ImageObject[] {
  const image = openImage(bytes);
  restrictToComposefs(image);
  return readObjects(image);
}

/** The objects of an image that passed both gates; `filter` keeps some names of the root. */
export function readObjects(image: ErofsImage, filter?: ReadonlySet<string>): ImageObject[] {
  return objectsOfTree(readTree(image, { filter }));
}

/** The objects of a tree, sorted by path. */
export function objectsOfTree(root: TreeNode): ImageObject[] {
  const objects = new Map<string, ImageObject>();
  for (const { node } of walkTree(root)) {
    if (node.hardlink !== undefined || node.payload === undefined || !isRegular(node)) continue;
    const { payload: path, digest, size } = node;
    const object = { path, digest, size };
    objects.set(keyOf(object), object);
  }
  return [...objects.values()].sort(compareObjects);
}

function keyOf({ path, digest, size }: ImageObject): string {
  return `${path}\0${digest ?? ''}\0${size}`;
}

function compareObjects(a: ImageObject, b: ImageObject): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  if (a.digest !== b.digest) return (a.digest ?? '') < (b.digest ?? '') ? -1 : 1;
  return a.size - b.size;
}

/** The distinct paths of some objects, in order. */
export function objectPaths(objects: readonly ImageObject[]): ByteString[] {
  return [...new Set(objects.map(({ path }) => path))];
}

/** The objects of several images together, sorted and each once. */
export function mergeObjects(lists: readonly (readonly ImageObject[])[]): ImageObject[] {
  if (lists.length === 1) return [...lists[0]!];
  const objects = new Map<string, ImageObject>();
  for (const object of lists.flat()) objects.set(keyOf(object), object);
  return [...objects.values()].sort(compareObjects);
}
