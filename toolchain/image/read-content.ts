/**
 * The bytes of a file of a tree, from wherever they are: the image, the object store, the directory that was read.
 *
 * What comes from outside the image is measured, so that nothing is decided by content that is not in the image.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { byteStringOfText, nodePath, showBytes, type ByteString } from './byte-string.ts';
import { type TreeNode, walkTree } from './tree.ts';

export interface ContentPlaces {
  readonly algorithm: VerityAlgorithm;
  /** Object store with the contents. */
  readonly store: string | undefined;
  /** Directory that the tree was read from. */
  readonly directory: string | undefined;
}

/** Throws CONFIG_SELINUX_MISSING, HOST_FILE_CHANGED and what reading throws. */
export function readContent(root: TreeNode, file: TreeNode, places: ContentPlaces): Uint8Array {
  if (file.content !== undefined) return file.content;
  const path = placeOf(root, file, places);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(nodePath(path));
  } catch (error) {
    throw explainSysError(error, `Cannot read ${showBytes(path)}`);
  }
  const { algorithm } = places;
  if (toHex(fsVerityDigest(bytes, algorithm, hashFunction(algorithm))) === file.digest)
    return bytes;
  throw new ColdsealError(
    'HOST_FILE_CHANGED',
    `Cannot use ${showBytes(path)}: it is not what was read for the image`,
    { hint: 'build from a tree that nothing writes to, such as a snapshot' },
  );
}

function placeOf(root: TreeNode, file: TreeNode, { store, directory }: ContentPlaces): ByteString {
  if (store !== undefined) return byteStringOfText(join(store, file.payload!));
  for (const { path, node } of walkTree(root)) {
    if (node !== file) continue;
    if (directory !== undefined) return `${byteStringOfText(directory)}${path}` as ByteString;
    throw new ColdsealError(
      'CONFIG_SELINUX_MISSING',
      `Cannot read ${showBytes(path)} of the image: nothing keeps the contents of this source`,
      { hint: 'give --digest-store, or name a policy on this machine' },
    );
  }
  throw new Error('the file is not in the tree');
}
