/**
 * One door to every source that a tree is read from with a recipe: a directory, an archive, an image of layers.
 *
 * What reads a kind is loaded when it is asked for: most builds need one of them.
 */
import { namingFileAsync } from '../files/name-file.ts';
import type { CacheSummary, DigestCacheOptions } from '../objects/digest-cache.ts';
import type { StoreSummary } from '../objects/store.ts';
import { byteStringOfText } from './byte-string.ts';
import type { ImageConfig } from './image-config.ts';
import type { OciChoice } from './oci-manifest.ts';
import type { EntryTable } from './entry-table.ts';
import type { ReadTarOptions } from './tar.ts';
import type { TreeNode } from './tree.ts';

/** Kinds of sources that are read with a recipe; a dump has been read already. */
export const SOURCE_KINDS = ['directory', 'tar', 'cpio', 'oci', 'docker'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** Kinds that hold several images, of which a name and a platform choose one. */
export type LayeredKind = 'oci' | 'docker';

export interface TreeSource extends OciChoice {
  readonly kind: SourceKind;
  /** `-` is stdin, for an archive. */
  readonly path: string;
}

export interface ReadSourceOptions extends ReadTarOptions {
  /** Threads that hash the files of a directory. */
  readonly threads: number;
  /** Digests of earlier scans of a directory; without it every file is read. */
  readonly cache?: DigestCacheOptions | undefined;
}

/** What was read besides the tree. */
export interface SourceFindings {
  readonly store: StoreSummary | undefined;
  /** What the cache knew of a directory. */
  readonly cache?: CacheSummary | undefined;
  /** Digests of an archive that was read, for the record. */
  readonly archive?: object;
  /** Digests of an image's parts, for the record. */
  readonly image?: object;
  /** What the image says of its container. */
  readonly config?: ImageConfig;
}

export interface SourceResult extends SourceFindings {
  readonly root: TreeNode;
}

/** A source as it is best for an image of it. */
export interface ImageSourceResult extends SourceFindings {
  readonly root: TreeNode | EntryTable;
}

/** Whether images are chosen from a source of this kind. */
export function isLayered(kind: string): kind is LayeredKind {
  return kind === 'oci' || kind === 'docker';
}

/** Reads a source. Throws what scanning and reading throw; for archives the sentence names the file. */
export function readSource(source: TreeSource, options: ReadSourceOptions): Promise<SourceResult> {
  if (source.kind === 'directory') return readDirectory(source.path, options);
  return naming(source, () => {
    if (source.kind === 'tar') return readArchive(source.path, options);
    if (source.kind === 'cpio') return readCpioArchive(source.path, options);
    return source.kind === 'oci' ? readOciImage(source, options) : readDockerImage(source, options);
  });
}

/** The same for an image that is built of the source as it is: a table where that takes less memory. */
export function readImageSource(
  source: TreeSource,
  options: ReadSourceOptions,
): Promise<ImageSourceResult> {
  if (source.kind === 'directory') return readDirectoryTable(source.path, options);
  if (source.kind !== 'tar' && source.kind !== 'cpio') return readSource(source, options);
  return naming(source, () => readArchiveTable(source, options));
}

function naming<T>({ path }: TreeSource, read: () => Promise<T>): Promise<T> {
  return namingFileAsync(`Cannot use ${path === '-' ? 'stdin' : path}`, read);
}

async function readDirectoryTable(
  path: string,
  options: ReadSourceOptions,
): Promise<ImageSourceResult> {
  const { scanTable } = await import('./scan.ts');
  const { table, store, cache } = await scanTable(byteStringOfText(path), options);
  return { root: table, store, cache };
}

async function readArchiveTable(
  { kind, path }: TreeSource,
  options: ReadSourceOptions,
): Promise<ImageSourceResult> {
  const { table, store, archive } =
    kind === 'tar'
      ? await (await import('./tar.ts')).readTarTable(path, options)
      : await (await import('./cpio.ts')).readCpioTable(path, options);
  return { root: table, store, archive };
}

async function readDirectory(path: string, options: ReadSourceOptions): Promise<SourceResult> {
  const { scanDirectory } = await import('./scan.ts');
  const { root, store, cache } = await scanDirectory(byteStringOfText(path), options);
  return { root, store, cache };
}

async function readArchive(path: string, options: ReadSourceOptions): Promise<SourceResult> {
  const { readTar } = await import('./tar.ts');
  const { root, store, archive } = await readTar(path, options);
  return { root, store, archive };
}

async function readCpioArchive(path: string, options: ReadSourceOptions): Promise<SourceResult> {
  const { readCpio } = await import('./cpio.ts');
  const { root, store, archive } = await readCpio(path, options);
  return { root, store, archive };
}

async function readOciImage(source: TreeSource, options: ReadSourceOptions): Promise<SourceResult> {
  const { ociRecord, readOci } = await import('./oci.ts');
  const { ref, platform } = source;
  const { root, store, image } = await readOci(source.path, { ...options, ref, platform });
  return { root, store, image: ociRecord(image), config: image.config };
}

async function readDockerImage(
  source: TreeSource,
  options: ReadSourceOptions,
): Promise<SourceResult> {
  const { dockerRecord, readDocker } = await import('./docker.ts');
  const { ref, platform } = source;
  const { root, store, image } = await readDocker(source.path, { ...options, ref, platform });
  return { root, store, image: dockerRecord(image), config: image.config };
}
