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

export interface SourceTable {
  /** Sealed. */
  readonly table: EntryTable;
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

export interface SourceResult extends Omit<SourceTable, 'table'> {
  readonly root: TreeNode;
}

/** Whether images are chosen from a source of this kind. */
export function isLayered(kind: string): kind is LayeredKind {
  return kind === 'oci' || kind === 'docker';
}

/** Reads a source. Throws what scanning and reading throw; for archives the sentence names the file. */
export function readTable(source: TreeSource, options: ReadSourceOptions): Promise<SourceTable> {
  if (source.kind === 'directory') return readDirectory(source.path, options);
  const shown = source.path === '-' ? 'stdin' : source.path;
  return namingFileAsync(`Cannot use ${shown}`, () => {
    if (source.kind === 'tar') return readArchive(source.path, options);
    if (source.kind === 'cpio') return readCpioArchive(source.path, options);
    return source.kind === 'oci' ? readOciImage(source, options) : readDockerImage(source, options);
  });
}

/** The same as nodes, which a recipe can change and which take several times the memory. */
export async function readSource(
  source: TreeSource,
  options: ReadSourceOptions,
): Promise<SourceResult> {
  const { table, ...result } = await readTable(source, options);
  const { treeOfTable } = await import('./tree-table.ts');
  return { root: treeOfTable(table), ...result };
}

async function readDirectory(path: string, options: ReadSourceOptions): Promise<SourceTable> {
  const { scanTable } = await import('./scan.ts');
  const { table, store, cache } = await scanTable(byteStringOfText(path), options);
  return { table, store, cache };
}

async function readArchive(path: string, options: ReadSourceOptions): Promise<SourceTable> {
  const { readTarTable } = await import('./tar.ts');
  const { table, store, archive } = await readTarTable(path, options);
  return { table, store, archive };
}

async function readCpioArchive(path: string, options: ReadSourceOptions): Promise<SourceTable> {
  const { readCpioTable } = await import('./cpio.ts');
  const { table, store, archive } = await readCpioTable(path, options);
  return { table, store, archive };
}

async function readOciImage(source: TreeSource, options: ReadSourceOptions): Promise<SourceTable> {
  const { ociRecord, readOciTable } = await import('./oci.ts');
  const { ref, platform } = source;
  const { table, store, image } = await readOciTable(source.path, { ...options, ref, platform });
  return { table, store, image: ociRecord(image), config: image.config };
}

async function readDockerImage(
  source: TreeSource,
  options: ReadSourceOptions,
): Promise<SourceTable> {
  const { dockerRecord, readDockerTable } = await import('./docker.ts');
  const { ref, platform } = source;
  const { table, store, image } = await readDockerTable(source.path, { ...options, ref, platform });
  return { table, store, image: dockerRecord(image), config: image.config };
}
