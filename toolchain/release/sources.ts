/**
 * From a source of the bootset to a tree, its objects on the way into the release's store.
 */
import { createHash } from 'node:crypto';
import { distinctObjects, type ObjectReference } from '../../runtime/format/object-list.ts';
import { byteStringOfText } from '../image/byte-string.ts';
import { parseDump } from '../image/dumpfile.ts';
import { objectsOfTree } from '../image/objects.ts';
import { namingFile, namingFileAsync } from '../files/name-file.ts';
import { readInput } from '../files/read-input.ts';
import { scanDirectory } from '../image/scan.ts';
import { readTar, type ReadTarOptions } from '../image/tar.ts';
import type { TarDigests } from '../image/tar-input.ts';
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
  /** Sizes and digests of the archive, for one. */
  readonly archive: TarDigests | undefined;
}

/** Reads one image's source and stores its objects. Throws what scanning, parsing and storing throw. */
export async function readSource(
  image: BootsetImage,
  options: ReadSourceOptions,
): Promise<SourceTree> {
  if (image.source.kind === 'dump') return readDumpSource(image, options);
  const { root, archive } = await readTree(image, options);
  return describeTree(root, { archive });
}

/** A directory or an archive, by the same recipe. */
async function readTree(
  { source, recipe, algorithm }: BootsetImage,
  options: ReadSourceOptions,
): Promise<{ root: TreeNode; archive?: TarDigests }> {
  const settings: ReadTarOptions = {
    algorithm,
    inlineMax: recipe!.inlineMax,
    useEpoch: recipe!.mtime === 2,
    skipDevices: recipe!.devices === 2,
    xattrs: (['all', 'user', 'none'] as const)[recipe!.xattrs - 1]!,
    hardlinks: recipe!.hardlinks === 2,
    store: options.store,
    ...(options.signal === undefined ? {} : { interrupted: options.signal }),
    onProgress: ({ hashedBytes, totalBytes }) => options.onProgress?.(hashedBytes, totalBytes),
  };
  if (source.kind === 'directory') {
    return scanDirectory(byteStringOfText(source.path), { ...settings, threads: options.threads });
  }
  return namingFileAsync(`Cannot use archive ${source.path}`, () => readTar(source.path, settings));
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
  return describeTree(root, { dumpSha256: createHash('sha256').update(bytes).digest('hex') });
}

function describeTree(
  root: TreeNode,
  { dumpSha256, archive }: Partial<Pick<SourceTree, 'dumpSha256' | 'archive'>>,
): SourceTree {
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
    archive,
  };
}

function objectReferences(root: TreeNode): ObjectReference[] {
  // Every object of a directory, and by checkDigests every object of a dump, has its digest.
  return distinctObjects(
    objectsOfTree(root).map(({ digest, size }) => ({ digest: digest!, size })),
  );
}
