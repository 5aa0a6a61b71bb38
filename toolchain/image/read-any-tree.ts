/** The tree of an image of either kind: composefs, or an index of an archive. */
import { imageFrom, inFile, loadBytes } from './load-image.ts';
import { keepOnly, readTree } from './read-tree.ts';
import { isTarIndex } from './tar-index-format.ts';
import { TarIndexImage } from './tar-index-open.ts';
import { readIndexTree } from './tar-index-read.ts';
import type { TreeNode } from './tree.ts';

export interface AnyTree {
  readonly kind: 'composefs' | 'tar-index';
  readonly root: TreeNode;
}

/** Reads an image; the error names the file. */
export function readAnyTree(path: string, filter: ReadonlySet<string> | undefined): AnyTree {
  const bytes = loadBytes(path);
  if (!isTarIndex(bytes)) {
    return { kind: 'composefs', root: readTree(imageFrom(bytes, path), { filter }) };
  }
  try {
    const root = readIndexTree(new TarIndexImage(bytes));
    if (filter !== undefined) keepOnly(root, filter);
    return { kind: 'tar-index', root };
  } catch (error) {
    throw inFile(error, path);
  }
}
