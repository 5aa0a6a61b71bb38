/**
 * An index of a tar archive: an EROFS image whose files lie in the archive, which stays as it is.
 *
 * The archive is read once, for its entries, its SHA-256 and its fs-verity digest; contents are not looked at. The
 * image names the archive by both digests. docs/decisions/0064-tar-index.md has the reasons.
 */
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  VERITY_ALGORITHMS,
  VerityHasher,
  type VerityAlgorithm,
} from '../../runtime/format/fsverity.ts';
import type { StructValue } from '../../runtime/format/struct.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { byteString, bytesOf } from './byte-string.ts';
import type { ConsumeBytes } from './image-sink.ts';
import type { ScanProgress } from './scan.ts';
import { failTar, type TarPlace } from './tar-error.ts';
import { chunkingOf, extentsOfMap, payloadOf, type Extent } from './tar-extents.ts';
import {
  INDEX_BLOCK_SIZE,
  RECIPE_SKIP_DEVICES,
  RECIPE_SKIP_XATTRS,
  RECIPE_USE_EPOCH,
  RECIPE_USER_XATTRS,
  SPARSE_CHUNKS_TOTAL_MAX,
  TAR_INDEX_VERSION,
  type TarIndexHeader,
} from './tar-index-format.ts';
import { layoutIndex } from './tar-index-layout.ts';
import { writeIndex } from './tar-index-write.ts';
import { compressionOf, TarInput } from './tar-input.ts';
import { TAR_LIMITS, type TarLimits } from './tar-limits.ts';
import { TarReader } from './tar-reader.ts';
import { TarStream } from './tar-stream.ts';
import { TarTree, type TarTreeOptions } from './tar-tree.ts';
import { treeOfTable } from './tree-table.ts';
import type { TreeNode } from './tree.ts';

/** How an archive is read; hardlinks always stay together. */
export type IndexRecipe = Omit<TarTreeOptions, 'hardlinks'>;

export interface ReadIndexedTarOptions extends IndexRecipe {
  /** Algorithm of the archive's fs-verity digest. */
  readonly algorithm: VerityAlgorithm;
  readonly interrupted?: AbortSignal;
  readonly limits?: TarLimits;
  /** Called now and then with bytes of the archive. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

/** An archive that an index can point into. */
export interface IndexedTar {
  /** Files have payloads that say where their bytes are (tar-extents.ts). */
  readonly root: TreeNode;
  readonly bytes: number;
  /** Both in lower-case hexadecimal. */
  readonly sha256: string;
  readonly fsVerityDigest: string;
  readonly algorithm: VerityAlgorithm;
}

/** Names of AUFS's and OCI's marks for what a layer takes away. */
const WHITEOUT = '.wh.';
const REPORT_ENTRIES = 1024;

/** Reads an archive. Throws FORMAT_TAR_*, USAGE_TAR_INDEX_SOURCE unless it is a plain file, HOST_*. */
export async function readIndexedTar(
  path: string,
  options: ReadIndexedTarOptions,
): Promise<IndexedTar> {
  if (path === '-') refuseSource('stdin', 'it is a stream', 'give the file that will be mounted');
  using input = new TarInput(path, options.interrupted);
  if (input.size === undefined) {
    refuseSource(path, 'it is no regular file', 'give the file that will be mounted');
  }
  const { algorithm } = options;
  const verity = new VerityHasher(algorithm, hashFunction(algorithm));
  const stream = new TarStream(
    plainPieces(path, input, verity),
    options.limits ?? TAR_LIMITS,
    () => input.bytes,
  );
  const root = await readTree(stream, options, (entries) =>
    options.onProgress?.({ entries, hashedBytes: input.bytes, totalBytes: input.size! }),
  );
  const { bytes, sha256 } = await input.digests();
  return { root, bytes, sha256, fsVerityDigest: toHex(verity.digest()), algorithm };
}

/** The file as it is, hashed on the way. */
async function* plainPieces(
  path: string,
  input: TarInput,
  verity: VerityHasher,
): AsyncGenerator<Uint8Array> {
  for await (const piece of input.filePieces()) {
    if (input.bytes === piece.length && compressionOf(piece, 'tar') !== 'none') {
      const hint = 'unpack it and keep the result: what is mounted is the archive itself';
      refuseSource(path, `it is compressed by ${compressionOf(piece, 'tar')}`, hint);
    }
    verity.update(piece);
    yield piece;
  }
}

function refuseSource(path: string, problem: string, hint: string): never {
  throw new ColdsealError(
    'USAGE_TAR_INDEX_SOURCE',
    `Cannot index ${path}: ${problem}, expected a file with an uncompressed archive`,
    { hint },
  );
}

async function readTree(
  stream: TarStream,
  recipe: IndexRecipe & { readonly limits?: TarLimits },
  onEntries: (count: number) => void,
): Promise<TreeNode> {
  const reader = new TarReader(stream);
  const tree = new TarTree({ ...recipe, hardlinks: true }, recipe.limits ?? TAR_LIMITS);
  const pieces = new SparsePieces();
  try {
    let count = 0;
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const file = tree.add(entry);
      const size = file === undefined ? 0 : tree.table.size[file]!;
      if (file !== undefined && size > 0) {
        const { offset, map = [0, size] } = reader.dataPlace;
        const extents = extentsOfMap(map, offset);
        pieces.require(extents, size, entry.place);
        // As bytes of the table until there are nodes: they are not the content.
        tree.table.setData(file, bytesOf(payloadOf(extents, size)));
      }
      if (++count % REPORT_ENTRIES === 0) onEntries(count);
    }
    onEntries(count);
  } finally {
    await stream.close();
  }
  return treeOfTable(tree.finish(), (node) => {
    if (node.content === undefined) return;
    node.payload = byteString(node.content);
    node.content = undefined;
  });
}

/** Refuses what chunks cannot say, or only too many of them. */
class SparsePieces {
  #chunks = 0;

  require(extents: readonly Extent[], size: number, place: TarPlace): void {
    const chunking = chunkingOf(extents, size);
    const isSparse = extents.length !== 1 || extents[0]!.size !== size;
    if (isSparse) this.#chunks += chunking?.count ?? 0;
    if (chunking !== undefined && this.#chunks <= SPARSE_CHUNKS_TOTAL_MAX) return;
    failTar(
      'FORMAT_TAR_INDEX_SPARSE',
      place,
      chunking === undefined
        ? `it is sparse, with a hole that does not begin and end with a block of ${INDEX_BLOCK_SIZE} bytes, or too many`
        : 'the archive has too many holes in sparse files',
      'make the archive without --sparse, or a composefs image of it with --from-tar',
    );
  }
}

export interface BuiltIndex {
  /** fs-verity digest of the image in lower-case hexadecimal. */
  readonly digest: string;
  /** Bytes of the image. */
  readonly size: number;
  readonly version: number;
  readonly inodeCount: number;
  /** Entries that would take away something if the archive was laid over others; here they are files. */
  readonly whiteouts: number;
}

export interface BuildIndexOptions {
  readonly recipe: IndexRecipe;
  /** Algorithm of the image's own digest. */
  readonly algorithm: VerityAlgorithm;
  /** Receives the image in pieces; without it only the digest is made. */
  readonly consume?: ConsumeBytes;
}

/** Builds the index of an archive. */
export function buildIndex(tar: IndexedTar, options: BuildIndexOptions): BuiltIndex {
  const layout = layoutIndex(tar.root);
  const { algorithm } = options;
  const hasher = new VerityHasher(algorithm, hashFunction(algorithm));
  let size = 0;
  writeIndex(layout, headerOf(tar, options.recipe), (bytes) => {
    hasher.update(bytes);
    size += bytes.length;
    options.consume?.(bytes);
  });
  return {
    digest: toHex(hasher.digest()),
    size,
    version: TAR_INDEX_VERSION,
    inodeCount: layout.nodes.length,
    whiteouts: layout.nodes.filter(({ name }) => name.startsWith(WHITEOUT)).length,
  };
}

function headerOf(tar: IndexedTar, recipe: IndexRecipe): StructValue<typeof TarIndexHeader> {
  const verity = new Uint8Array(64);
  verity.set(fromHex(tar.fsVerityDigest)!);
  return {
    version: TAR_INDEX_VERSION,
    recipe: recipeBits(recipe),
    verity_algorithm: VERITY_ALGORITHMS[tar.algorithm].id,
    tar_size: BigInt(tar.bytes),
    tar_sha256: fromHex(tar.sha256)!,
    tar_verity: verity,
  };
}

function recipeBits({ useEpoch, skipDevices, xattrs }: IndexRecipe): number {
  return (
    (useEpoch === true ? RECIPE_USE_EPOCH : 0) |
    (skipDevices === true ? RECIPE_SKIP_DEVICES : 0) |
    (xattrs === 'none' ? RECIPE_SKIP_XATTRS : xattrs === 'user' ? RECIPE_USER_XATTRS : 0)
  );
}

/** The recipe that a header says. */
export function recipeOf(bits: number): IndexRecipe {
  return {
    useEpoch: (bits & RECIPE_USE_EPOCH) !== 0,
    skipDevices: (bits & RECIPE_SKIP_DEVICES) !== 0,
    xattrs:
      (bits & RECIPE_SKIP_XATTRS) !== 0
        ? 'none'
        : (bits & RECIPE_USER_XATTRS) !== 0
          ? 'user'
          : 'all',
  };
}
