/**
 * From a source of the bootset to a tree, its objects on the way into the release's store.
 */
import { createHash } from 'node:crypto';
import { distinctObjects, type ObjectReference } from '../../runtime/format/object-list.ts';
import { byteStringOfText } from '../image/byte-string.ts';
import { parseDump } from '../image/dumpfile.ts';
import { objectsOfTree } from '../image/objects.ts';
import { namingFile } from '../files/name-file.ts';
import { readInput } from '../files/read-input.ts';
import { scanDirectory } from '../image/scan.ts';
import { isRegular, type TreeNode, walkTree } from '../image/tree.ts';
import { ObjectStore } from '../objects/store.ts';
import type { BootsetImage } from './bootset.ts';
import { checkDigests, copyObjects } from './dump-objects.ts';

export interface ReadSourceOptions {
  /** Object store of the release. */
  readonly store: string;
  readonly threads: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A tree as it goes into an image, and what can be said of it. */
export interface SourceTree {
  readonly root: TreeNode;
  readonly entries: number;
  /** Sum of the sizes of all regular files, each name of a file counted once. */
  readonly bytes: number;
  /** Newest modification time in whole seconds, never below 0. */
  readonly newest: number;
  readonly objects: readonly ObjectReference[];
  /** SHA-256 of the dump file, for a dump. */
  readonly dumpSha256: string | undefined;
}

/** Reads one image's source and stores its objects. Throws what scanning, parsing and storing throw. */
export async function readSource(
  image: BootsetImage,
  options: ReadSourceOptions,
): Promise<SourceTree> {
  if (image.source.kind === 'dump') return readDumpSource(image, options);
  const { recipe } = image;
  const { root } = await scanDirectory(byteStringOfText(image.source.path), {
    algorithm: image.algorithm,
    inlineMax: recipe!.inlineMax,
    threads: options.threads,
    useEpoch: recipe!.mtime === 2,
    skipDevices: recipe!.devices === 2,
    xattrs: (['all', 'user', 'none'] as const)[recipe!.xattrs - 1]!,
    hardlinks: recipe!.hardlinks === 2,
    store: options.store,
    ...(options.signal === undefined ? {} : { interrupted: options.signal }),
    onProgress: ({ hashedBytes, totalBytes }) => options.onProgress?.(hashedBytes, totalBytes),
  });
  return describeTree(root, undefined);
}

async function readDumpSource(
  image: BootsetImage,
  options: ReadSourceOptions,
): Promise<SourceTree> {
  const bytes = readInput(image.source.path);
  const root = namingFile(`Cannot use dump ${image.source.path}`, () => parseDump(bytes));
  const wanted = checkDigests(root, image);
  using store = new ObjectStore(options.store);
  await copyObjects(wanted, image, store, options);
  store.finish();
  return describeTree(root, createHash('sha256').update(bytes).digest('hex'));
}

function describeTree(root: TreeNode, dumpSha256: string | undefined): SourceTree {
  let entries = 0;
  let bytes = 0;
  let newest = 0;
  for (const { node } of walkTree(root)) {
    entries++;
    if (node.hardlink !== undefined) continue;
    if (isRegular(node)) bytes += node.size;
    const seconds = Number(node.mtimeSec);
    if (seconds > newest && Number.isSafeInteger(seconds)) newest = seconds;
  }
  return {
    root,
    entries,
    bytes,
    newest,
    objects: objectReferences(root),
    dumpSha256,
  };
}

function objectReferences(root: TreeNode): ObjectReference[] {
  // Every object of a directory, and by checkDigests every object of a dump, has its digest.
  return distinctObjects(
    objectsOfTree(root).map(({ digest, size }) => ({ digest: digest!, size })),
  );
}
