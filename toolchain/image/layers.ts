/**
 * Layers of an image to one tree: one over the other, each read in one pass as an archive (tar.ts).
 *
 * A layer may take away what is below it: `.wh.NAME` hides a name of earlier layers, `.wh..wh..opq` all that earlier
 * layers have in its directory. Neither touches what the same layer brings, wherever it stands in it. Every layer is
 * checked against the configuration's digest of its content, and its file against the manifest where that has one; only
 * then is there a tree.
 * Spec: OCI Image Format Specification 1.1, layer.md.
 */
import { createHash } from 'node:crypto';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { StoreSummary } from '../objects/store.ts';
import type { ByteString } from './byte-string.ts';
import type { EntryTable } from './entry-table.ts';
import type { FilePlace } from './image-files.ts';
import { failTar } from './tar-error.ts';
import { TarInput } from './tar-input.ts';
import { TAR_LIMITS } from './tar-limits.ts';
import { tarPath } from './tar-path.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';
import { TarStream } from './tar-stream.ts';
import { TarTree } from './tar-tree.ts';
import {
  openSink,
  readEntries,
  type ContentSink,
  type EntryTaker,
  type ReadTarOptions,
} from './tar.ts';

/** A layer as it lies there, and what is known of it. */
export interface LayerFile {
  /** Digest or name of the file, for messages. */
  readonly shown: string;
  readonly place: FilePlace;
  /** `sha256:…` of the file; undefined where nothing says it. */
  readonly digest: string | undefined;
  /** `sha256:…` of the uncompressed layer. */
  readonly diffId: string;
}

export interface LayersTable {
  /** Sealed. */
  readonly table: EntryTable;
  readonly entries: number;
  readonly store: StoreSummary | undefined;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Bookkeeping of AUFS, which Docker left in layers long ago. */
const AUFS = '.wh..wh.';

/** Reads layers in their order. Throws VERIFY_OCI_*, FORMAT_OCI_WHITEOUT, FORMAT_TAR_*, HOST_*. */
export async function readLayers(
  layers: readonly LayerFile[],
  options: ReadTarOptions,
): Promise<LayersTable> {
  const tree = new TarTree(options, options.limits ?? TAR_LIMITS);
  using sink = openSink(options);
  const totalBytes = layers.reduce((sum, { place }) => sum + place.size, 0);
  let doneBytes = 0;
  for (const layer of layers) {
    const report = (bytes: number): void =>
      options.onProgress?.({ entries: tree.count, hashedBytes: doneBytes + bytes, totalBytes });
    await readLayer(layer, new Layer(tree), sink, options, report);
    doneBytes += layer.place.size;
  }
  return { table: tree.finish(), entries: tree.count, store: sink.finish() };
}

async function readLayer(
  layer: LayerFile,
  tree: Layer,
  sink: ContentSink,
  options: ReadTarOptions,
  report: (bytes: number) => void,
): Promise<void> {
  const { place } = layer;
  using input = new TarInput(place.path, options.interrupted, { part: place });
  const stream = new TarStream(input.pieces(), options.limits ?? TAR_LIMITS, () => input.bytes);
  // Some writers leave the end out; here the digest tells whether a layer is whole.
  const reader = new TarReader(stream, { isEndOptional: true });
  try {
    await readEntries(stream, reader, tree, sink.content, () => report(input.bytes));
  } catch (error) {
    // That the layer is another one says more than where reading it failed.
    if (error instanceof ColdsealError && error.code.startsWith('FORMAT_')) {
      await requireLayer(layer, () => sha256Of(place, options.interrupted));
      throw new ColdsealError(error.code, `Cannot use layer ${layer.shown}: ${error.message}`, {
        hint: error.hint,
        cause: error,
      });
    }
    throw error;
  }
  const { sha256, tarSha256 } = await input.digests();
  await requireLayer(layer, () => Promise.resolve(sha256));
  if (`sha256:${tarSha256}` === layer.diffId) return;
  throw new ColdsealError(
    'VERIFY_OCI_DIFF_ID',
    `Cannot use layer ${layer.shown}: uncompressed it has the digest sha256:${tarSha256}, expected ${layer.diffId}`,
    { hint: 'manifest and configuration are of different images' },
  );
}

async function requireLayer(layer: LayerFile, sha256: () => Promise<string>): Promise<void> {
  if (layer.digest === undefined) return;
  const found = `sha256:${await sha256()}`;
  if (found === layer.digest) return;
  throw new ColdsealError(
    'VERIFY_OCI_BLOB',
    `Cannot use layer ${layer.shown}: its file has the digest ${found}`,
    { hint: 'the image is damaged; copy it again' },
  );
}

async function sha256Of(
  place: { readonly path: string; readonly offset: number; readonly size: number },
  signal: AbortSignal | undefined,
): Promise<string> {
  using input = new TarInput(place.path, signal, { part: place });
  const hash = createHash('sha256');
  for await (const piece of input.filePieces()) hash.update(piece);
  return hash.digest('hex');
}

/** The entries of one layer, whiteouts among them. */
class Layer implements EntryTaker {
  readonly table: EntryTable;
  readonly #tree: TarTree;

  constructor(tree: TarTree) {
    this.#tree = tree;
    this.table = tree.table;
    tree.beginLayer();
  }

  add(entry: TarEntry): number | undefined {
    const { place } = entry;
    const { path } = tarPath(entry.name, 'name', place);
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    if (!name.startsWith(WHITEOUT)) return this.#tree.add(entry);
    const parent = path.slice(0, Math.max(slash, 0)) as ByteString;
    if (name === OPAQUE) this.#tree.hideBelow(parent, place);
    else if (!name.startsWith(AUFS)) {
      const hidden = name.slice(WHITEOUT.length);
      if (hidden === '' || hidden === '.' || hidden === '..') {
        failTar('FORMAT_OCI_WHITEOUT', place, 'it takes away a name that no entry has');
      }
      this.#tree.hide((parent === '' ? hidden : `${parent}/${hidden}`) as ByteString, place);
    }
    return undefined;
  }
}
