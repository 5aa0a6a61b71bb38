/**
 * Whether an index and an archive belong together: the archive is the one that the index names, and the index is what
 * this archive gives, byte for byte.
 */
import { statSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { buildIndex, readIndexedTar, recipeOf, type IndexedTar } from './tar-index.ts';
import { TarIndexImage, type IndexedArchive } from './tar-index-open.ts';
import { TarInput } from './tar-input.ts';

export interface IndexPair {
  readonly image: string;
  readonly imageBytes: Uint8Array;
  readonly tar: string;
  readonly interrupted?: AbortSignal;
}

/** Throws VERIFY_TAR_INDEX_BLOB for another archive, VERIFY_TAR_INDEX for another index, and what reading may throw. */
export async function checkIndexedTar(pair: IndexPair): Promise<IndexedArchive> {
  const { archive } = new TarIndexImage(pair.imageBytes);
  requireSize(pair, archive);
  const tar = await readArchive(pair, archive);
  const found = { sha256: tar.sha256, 'fs-verity digest': tar.fsVerityDigest };
  const expected = { sha256: archive.sha256, 'fs-verity digest': archive.fsVerityDigest };
  for (const what of ['sha256', 'fs-verity digest'] as const) {
    if (found[what] !== expected[what]) refuseArchive(pair, what, found[what], expected[what]);
  }
  requireSameBytes(pair, tar, archive);
  return archive;
}

function requireSize(pair: IndexPair, archive: IndexedArchive): void {
  let size: number;
  try {
    size = statSync(pair.tar).size;
  } catch (error) {
    throw explainSysError(error, `Cannot read ${pair.tar}`);
  }
  if (size !== archive.bytes) refuseArchive(pair, 'size in bytes', size, archive.bytes);
}

/** That an archive is another one says more than where reading it failed. */
async function readArchive(pair: IndexPair, archive: IndexedArchive): Promise<IndexedTar> {
  const { algorithm, recipe } = archive;
  const { tar, interrupted } = pair;
  const signal = interrupted === undefined ? {} : { interrupted };
  try {
    return await readIndexedTar(tar, { algorithm, ...recipeOf(recipe), ...signal });
  } catch (error) {
    if (!(error instanceof ColdsealError) || error.code.startsWith('HOST_')) throw error;
    const sha256 = await sha256Of(tar, interrupted);
    if (sha256 === archive.sha256) throw error;
    return refuseArchive(pair, 'sha256', sha256, archive.sha256);
  }
}

async function sha256Of(path: string, signal: AbortSignal | undefined): Promise<string> {
  using input = new TarInput(path, signal);
  for await (const piece of input.filePieces()) void piece;
  return (await input.digests()).sha256;
}

function refuseArchive(
  { image, tar }: IndexPair,
  what: string,
  found: string | number,
  expected: string | number,
): never {
  throw new ColdsealError(
    'VERIFY_TAR_INDEX_BLOB',
    `Cannot use ${tar} with ${image}: its ${what} is ${found}, expected ${expected}`,
    { hint: 'the archive is another one, was changed, or was compressed' },
  );
}

function requireSameBytes(
  { image, imageBytes, tar: path }: IndexPair,
  tar: IndexedTar,
  archive: IndexedArchive,
): void {
  const original = Buffer.from(imageBytes.buffer, imageBytes.byteOffset, imageBytes.length);
  let at = 0;
  let differsAt: number | undefined;
  const { algorithm, recipe } = archive;
  buildIndex(tar, {
    algorithm,
    recipe: recipeOf(recipe),
    consume: (bytes) => {
      const isSame = original.subarray(at, at + bytes.length).equals(bytes);
      if (!isSame) differsAt ??= at + bytes.findIndex((byte, i) => original[at + i] !== byte);
      at += bytes.length;
    },
  });
  if (at !== original.length) differsAt ??= Math.min(at, original.length);
  if (differsAt === undefined) return;
  throw new ColdsealError(
    'VERIFY_TAR_INDEX',
    `Cannot use ${image} with ${path}: the archive gives another index, different from byte ${differsAt} on`,
    { hint: `the index was changed, or made by another tool or version; build it again` },
  );
}
