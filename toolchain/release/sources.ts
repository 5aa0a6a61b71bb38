/**
 * From a source of the bootset to a tree, its objects on the way into the release's store.
 */
import { createHash } from 'node:crypto';
import { distinctObjects, type ObjectReference } from '../../runtime/format/object-list.ts';
import type { Board } from '../board/schema.ts';
import { parseDump } from '../image/dumpfile.ts';
import { objectsOfTree } from '../image/objects.ts';
import { namingFile } from '../files/name-file.ts';
import { readInput } from '../files/read-input.ts';
import { applyRecipe } from '../image/apply-recipe.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { openPolicy } from '../image/open-policy.ts';
import { isLayered, readSource } from '../image/read-source.ts';
import { readingOptions, type Recipe } from '../image/recipe.ts';
import { isRegular, type TreeNode, walkTree } from '../image/tree.ts';
import { ObjectStore } from '../objects/store.ts';
import type { BootsetImage } from './bootset.ts';
import { makeBundle } from './bundle.ts';
import { checkDigests, copyObjects } from './dump-objects.ts';

export interface ReadImageOptions {
  /** Object store of the release. */
  readonly store: string;
  readonly threads: number;
  /** Architecture of the boards, which chooses among the images of an OCI layout. */
  readonly arch: Board['arch'];
  readonly onProgress?: (done: number, total: number) => void;
  readonly onWarning?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** Seconds since 1970, which a recipe may clamp times to. */
  readonly sourceDateEpoch: number | undefined;
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
  /** What names the input beside its path: digests of a dump, an archive, an OCI image. */
  readonly input: object;
  /** The recipe with the digest of its SELinux policy; undefined for a dump. */
  readonly recipe: Recipe | undefined;
}

/** Reads one image's source and stores its objects. Throws what scanning, parsing and storing throw. */
export async function readImageSource(
  image: BootsetImage,
  options: ReadImageOptions,
): Promise<SourceTree> {
  if (image.source.kind === 'dump') return readDumpSource(image, options);
  const { recipe, algorithm, source } = image;
  const { root, input, config } = await readTree(image, options);
  const directory = source.kind === 'directory' ? source.path : undefined;
  const labels = openPolicy(image.selinux, root, { algorithm, store: options.store, directory });
  applyRecipe(root, { ...recipe!, labels, sourceDateEpoch: options.sourceDateEpoch });
  const applied = { recipe: { ...recipe!, selinux: labels?.sha256 } };
  if (!image.makesBundle) return { ...describeTree(root, input), ...applied };
  // The recipe is about the source: a container's labels and root are those of its own root file system.
  const bundle = makeBundle(image, root, { ...options, config });
  return { ...describeTree(bundle.root, { ...input, bundle: bundle.record }), ...applied };
}

/** Architectures in the words of OCI, which are those of Go. */
const OCI_ARCHITECTURES: Readonly<Record<Board['arch'], string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
};

/** A directory, an archive or an OCI image, by the recipe. */
async function readTree(
  { source: { kind, path, ref }, recipe, algorithm }: BootsetImage,
  options: ReadImageOptions,
): Promise<{ root: TreeNode; input: object; config: ImageConfig | undefined }> {
  if (kind === 'dump') throw new Error('a dump is not read by a recipe');
  const platform = isLayered(kind)
    ? { os: 'linux', architecture: OCI_ARCHITECTURES[options.arch] }
    : undefined;
  const { root, archive, image, config } = await readSource(
    { kind, path, ref, platform },
    {
      ...readingOptions(recipe!),
      algorithm,
      threads: options.threads,
      store: options.store,
      ...(options.signal === undefined ? {} : { interrupted: options.signal }),
      onProgress: ({ hashedBytes, totalBytes }) => options.onProgress?.(hashedBytes, totalBytes),
    },
  );
  return { root, config, input: { ...(archive && { archive }), ...(image && { image }) } };
}

async function readDumpSource(image: BootsetImage, options: ReadImageOptions): Promise<SourceTree> {
  const bytes = readInput(image.source.path);
  const root = namingFile(`Cannot use dump ${image.source.path}`, () => parseDump(bytes));
  const wanted = checkDigests(root, image);
  using store = new ObjectStore(options.store);
  await copyObjects(wanted, image, store, options);
  store.finish();
  const input = { dumpSha256: createHash('sha256').update(bytes).digest('hex') };
  return { ...describeTree(root, input), recipe: undefined };
}

function describeTree(root: TreeNode, input: object): Omit<SourceTree, 'recipe'> {
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
    input,
  };
}

function objectReferences(root: TreeNode): ObjectReference[] {
  // Every object of a directory, and by checkDigests every object of a dump, has its digest.
  return distinctObjects(
    objectsOfTree(root).map(({ digest, size }) => ({ digest: digest!, size })),
  );
}
