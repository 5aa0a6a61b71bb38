/**
 * A tar archive to a tree: one pass over its bytes, nothing is unpacked.
 *
 * Content goes into the object store, or into the image when it is small, while the archive flows by; memory holds the
 * tree and a piece of the archive. The tree is that of a scanned directory with the same entries (scan.ts), so the
 * image has the same digest. What an archive may not say is in tar-reader.ts and tar-tree.ts, what it may not cost in
 * tar-limits.ts. docs/decisions/0060-tar-source.md has the reasons.
 */
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { INLINE_CONTENT_MAX } from '../../runtime/format/composefs.ts';
import { ObjectStore, type StoreSummary } from '../objects/store.ts';
import type { EntryTable } from './entry-table.ts';
import type { ScanProgress } from './scan.ts';
import { TarContent } from './tar-content.ts';
import type { ArchiveFormat } from './tar-error.ts';
import { TarInput, type TarDigests } from './tar-input.ts';
import { TAR_LIMITS, type TarLimits } from './tar-limits.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';
import { TarStream } from './tar-stream.ts';
import { TarTree, type TarTreeOptions } from './tar-tree.ts';
import { treeOfTable } from './tree-table.ts';
import type { TreeNode } from './tree.ts';

export interface ReadTarOptions extends TarTreeOptions {
  /** Algorithm of the objects' digests. */
  readonly algorithm: VerityAlgorithm;
  /** Files up to this many bytes are stored in the image. */
  readonly inlineMax: number;
  /** Object store to fill on the way. */
  readonly store?: string | undefined;
  readonly verifyExisting?: boolean;
  readonly interrupted?: AbortSignal;
  readonly limits?: TarLimits;
  /** Called now and then; bytes are those of the archive file. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export interface TarTable {
  /** Sealed. */
  readonly table: EntryTable;
  readonly entries: number;
  readonly store: StoreSummary | undefined;
  readonly archive: TarDigests;
}

export interface TarResult extends Omit<TarTable, 'table'> {
  readonly root: TreeNode;
}

/** Entries between two reports of progress. */
export const REPORT_ENTRIES = 1024;

/** Reads an archive, or stdin for `-`. Throws FORMAT_TAR_* with place and entry, HOST_*. */
export function readTarTable(path: string, options: ReadTarOptions): Promise<TarTable> {
  return readArchiveTable(path, 'tar', options, tableOfTar);
}

/** What archives of every format have in common: the file, how far it is read, and its digests. */
export async function readArchiveTable(
  path: string,
  format: ArchiveFormat,
  options: ReadTarOptions,
  tableOf: typeof tableOfTar,
): Promise<TarTable> {
  using input = new TarInput(path, options.interrupted, { format });
  const limits = options.limits ?? TAR_LIMITS;
  const stream = new TarStream(input.pieces(), limits, () => input.bytes, format);
  const onEntries = (entries: number): void =>
    options.onProgress?.({
      entries,
      hashedBytes: input.bytes,
      totalBytes: input.size ?? input.bytes,
    });
  const result = await tableOf(stream, options, onEntries);
  return { ...result, archive: await input.digests() };
}

/** The same as nodes. */
export async function readTar(path: string, options: ReadTarOptions): Promise<TarResult> {
  const { table, ...result } = await readTarTable(path, options);
  return { root: treeOfTable(table), ...result };
}

/** The table of the bytes of an uncompressed archive. */
export async function tableOfTar(
  stream: TarStream,
  options: ReadTarOptions,
  onEntries: (count: number) => void = () => undefined,
): Promise<Omit<TarTable, 'archive'>> {
  const tree = new TarTree(options, options.limits ?? TAR_LIMITS);
  using sink = openSink(options);
  await readEntries(stream, new TarReader(stream), tree, sink.content, onEntries);
  return { table: tree.finish(), entries: tree.count, store: sink.finish() };
}

/** Where contents go: a store if there is one, and what is kept for the image. */
export interface ContentSink extends Disposable {
  readonly content: TarContent;
  /** Makes the store durable. */
  finish(): StoreSummary | undefined;
}

export function openSink(options: ReadTarOptions): ContentSink {
  const { algorithm, inlineMax, verifyExisting = false } = options;
  if (inlineMax > INLINE_CONTENT_MAX) throw new RangeError('inlineMax is too large');
  const store =
    options.store === undefined ? undefined : new ObjectStore(options.store, { verifyExisting });
  const content = new TarContent({ algorithm, inlineMax, store });
  return {
    content,
    finish: () => store?.finish(),
    [Symbol.dispose]: () => {
      content[Symbol.dispose]();
      store?.[Symbol.dispose]();
    },
  };
}

/** Takes entries until the archive ends. */
export interface EntryTaker {
  readonly table: EntryTable;
  /** The entry of a regular file that wants its content. */
  add(entry: TarEntry): number | undefined;
}

/** Reads all entries of an archive, contents to `content`. */
export async function readEntries(
  stream: TarStream,
  reader: TarReader,
  tree: EntryTaker,
  content: TarContent,
  onEntries: (count: number) => void = () => undefined,
): Promise<void> {
  try {
    let count = 0;
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const file = tree.add(entry);
      if (file !== undefined && tree.table.size[file]! > 0) {
        await storeContent(tree.table, file, content, () => reader.content(entry, content));
      }
      if (++count % REPORT_ENTRIES === 0) onEntries(count);
    }
    onEntries(count);
  } finally {
    await stream.close();
  }
}

/** Gives a file its content, which `read` hands on. */
export async function storeContent(
  table: EntryTable,
  file: number,
  content: TarContent,
  read: () => Promise<void>,
): Promise<void> {
  content.begin(table.size[file]!);
  await read();
  const stored = content.end();
  if (stored.digest === undefined) table.setData(file, stored.content);
  else table.setObject(file, Buffer.from(stored.digest, 'hex'));
}
