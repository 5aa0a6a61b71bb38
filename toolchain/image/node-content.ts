/** The content of a file of a tree: from the tree itself, or from the object store that it was read into. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { TreeNode } from './tree.ts';

/** All bytes of a regular file; the caller has bounded its size. Throws HOST_NOT_FOUND and the like. */
export function nodeContent(file: TreeNode, store: string): Uint8Array {
  if (file.content !== undefined) return file.content;
  if (file.payload === undefined) return new Uint8Array();
  const path = join(store, file.payload);
  try {
    return readFileSync(path);
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
}
