/**
 * Tree to image in one call: plan, write, digest. The commands and the release use this and nothing below it.
 */
import { VerityHasher, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import type { EntryTable } from './entry-table.ts';
import type { ConsumeBytes } from './image-sink.ts';
import { DEFAULT_VERSIONS, layoutImage, type FormatVersions } from './layout.ts';
import type { TreeNode } from './tree.ts';
import { writeImage } from './write.ts';

export interface BuildImageOptions {
  readonly versions?: FormatVersions;
  /** Algorithm of the image's own digest. */
  readonly algorithm?: VerityAlgorithm;
  /** Receives the image in pieces; without it only the digest is made. */
  readonly consume?: ConsumeBytes;
}

export interface BuiltImage {
  /** fs-verity digest of the image in lower-case hexadecimal. */
  readonly digest: string;
  /** Bytes of the image. */
  readonly size: number;
  readonly version: number;
  readonly inodeCount: number;
}

/** Builds the image of a tree and returns its digest. */
export function buildImage(
  root: TreeNode | EntryTable,
  options: BuildImageOptions = {},
): BuiltImage {
  const algorithm = options.algorithm ?? 'sha256';
  const layout = layoutImage(root, options.versions ?? DEFAULT_VERSIONS);
  const hasher = new VerityHasher(algorithm, hashFunction(algorithm));
  let size = 0;
  writeImage(layout, (bytes) => {
    hasher.update(bytes);
    size += bytes.length;
    options.consume?.(bytes);
  });
  const digest = toHex(hasher.digest());
  return { digest, size, version: layout.version, inodeCount: layout.inodes.count };
}

/** The whole image in memory, for tests and small trees. */
export function imageBytes(root: TreeNode | EntryTable, versions?: FormatVersions): Uint8Array {
  const pieces: Uint8Array[] = [];
  const consume = (bytes: Uint8Array): number => pieces.push(new Uint8Array(bytes));
  buildImage(root, { ...(versions === undefined ? {} : { versions }), consume });
  return Buffer.concat(pieces);
}
