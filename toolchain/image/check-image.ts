/** Both gates over one image, and whether the writer would make the same bytes again. */
import { openImage, type ErofsImage } from '../../runtime/format/erofs-image.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { findBrokenRules, type BrokenRule } from '../../runtime/format/restrict.ts';
import { buildImage } from './build.ts';
import { readTree } from './read-tree.ts';

export interface ImageCheck {
  readonly broken: readonly BrokenRule[];
  readonly version?: number;
  readonly inodes?: number;
  /** Whether mkcomposefs writes these bytes for this tree; absent for a malformed image. */
  readonly canonical?: boolean;
}

/** Checks an image completely; nothing an image holds makes it throw. */
export function checkImage(bytes: Uint8Array): ImageCheck {
  let image: ErofsImage;
  try {
    image = openImage(bytes);
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    return { broken: [{ code: error.code, message: error.message }] };
  }
  const broken = findBrokenRules(image);
  const { version } = image;
  if (broken.length > 0) return { broken, version };
  const inodes = Number(image.superblock.inos);
  return { broken, version, inodes, canonical: version < 2 && isCanonical(image) };
}

/** Writes the tree of an image in its own version and compares on the way, without a second copy. */
function isCanonical(image: ErofsImage): boolean {
  const { bytes, version } = image;
  const original = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let isSame = true;
  const consume = (piece: Uint8Array): void => {
    isSame &&= original.subarray(at, at + piece.length).equals(piece);
    at += piece.length;
  };
  try {
    buildImage(readTree(image), { versions: { min: version, max: version }, consume });
  } catch (error) {
    // A tree that the writer refuses cannot have come from it.
    if (error instanceof ColdsealError) return false;
    throw error;
  }
  return isSame && at === bytes.length;
}
