/**
 * `coldseal composefs-dump SRC DST`: the C test helper of that name, which writes an image anew from what it
 * reads of another one, in the same format version.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { openImage, type ErofsImage } from '../../runtime/format/erofs-image.ts';
import { COMPOSEFS_VERSION_MAX_WRITTEN } from '../../runtime/format/composefs.ts';
import type { Output } from '../cli/output.ts';
import { buildImage } from '../image/build.ts';
import { readTree } from '../image/read-tree.ts';
import type { TreeNode } from '../image/tree.ts';
import { strerror } from './strerror.ts';

const NAME = 'composefs-dump';
const USAGE = `usage: ${NAME} SRC DEST\n`;

/** Runs the tool and returns its exit status. */
export async function main(argv: string[], output: Output): Promise<number> {
  const fail = (text: string): number => {
    output.errorText(text);
    return 1;
  };
  const [source, target] = argv;
  if (source === undefined) return fail(`No source path specified\n${USAGE}`);
  if (target === undefined) return fail(`No destination path specified\n${USAGE}`);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(source);
  } catch (error) {
    return fail(`${NAME}: Failed to open '${source}': ${strerror(error)}\n`);
  }
  let image: ErofsImage;
  let root: TreeNode;
  try {
    image = openImage(bytes);
    root = readTree(image);
  } catch (error) {
    return fail(`${NAME}: Failed to load '${source}': ${strerror(error)}\n`);
  }
  if (image.version > COMPOSEFS_VERSION_MAX_WRITTEN) {
    return fail(`${NAME}: cannot write file: Operation not supported\n`);
  }
  return write(root, image.version, target, fail);
}

/** Overwrites the target in place, as the C tool does: it may be a device or a pipe. */
function write(
  root: TreeNode,
  version: number,
  target: string,
  fail: (text: string) => number,
): number {
  let fd: number;
  try {
    fd = openSync(target, 'w', 0o666);
  } catch (error) {
    return fail(`${NAME}: failed to open '${target}': ${strerror(error)}\n`);
  }
  try {
    buildImage(root, {
      versions: { min: version, max: version },
      consume: (piece) => writeAll(fd, piece),
    });
    return 0;
  } catch (error) {
    return fail(`${NAME}: cannot write file: ${strerror(error)}\n`);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}
