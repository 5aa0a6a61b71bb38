/** Archives in memory to trees, for tests: what each path became. */
import { readTar, tableOfTar, type ReadTarOptions } from '../../toolchain/image/tar.ts';
import { TAR_LIMITS } from '../../toolchain/image/tar-limits.ts';
import { TarStream } from '../../toolchain/image/tar-stream.ts';
import { treeOfTable } from '../../toolchain/image/tree-table.ts';
import { walkTree, type TreeNode } from '../../toolchain/image/tree.ts';

export const TAR_OPTIONS: ReadTarOptions = { algorithm: 'sha256', inlineMax: 64 };

/** The tree of an uncompressed archive that comes in pieces of some size. */
export async function treeOfBytes(
  bytes: Uint8Array,
  options: Partial<ReadTarOptions> = {},
  pieceSize = bytes.length,
): Promise<TreeNode> {
  const stream = streamOf(bytes, options, pieceSize);
  return treeOfTable((await tableOfTar(stream, { ...TAR_OPTIONS, ...options })).table);
}

function streamOf(
  bytes: Uint8Array,
  { limits = TAR_LIMITS }: Partial<ReadTarOptions>,
  pieceSize: number,
): TarStream {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceSize) {
      yield bytes.subarray(at, at + pieceSize);
    }
  }
  return new TarStream(pieces(), limits, () => bytes.length);
}

/** Every entry by its path. */
export async function entriesOfBytes(
  bytes: Uint8Array,
  options: Partial<ReadTarOptions> = {},
): Promise<Map<string, TreeNode>> {
  const root = await treeOfBytes(bytes, options);
  return new Map([...walkTree(root)].map(({ path, node }) => [path, node]));
}

/** The tree of an archive in a file. */
export async function treeOfFile(
  path: string,
  options: Partial<ReadTarOptions> = {},
): Promise<TreeNode> {
  return (await readTar(path, { ...TAR_OPTIONS, ...options })).root;
}
