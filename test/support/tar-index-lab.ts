/** Indexes of archives for tests: built, mounted in each way that there is, and damaged by name. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { libc } from '../../runtime/engines/node/libc.ts';
import { runTool } from './file-systems.ts';
import { requireTool } from './tools.ts';
import {
  buildIndex,
  readIndexedTar,
  type IndexedTar,
  type IndexRecipe,
} from '../../toolchain/image/tar-index.ts';

export interface TestIndex {
  readonly tar: IndexedTar;
  readonly bytes: Buffer;
}

/** The index of an archive in a file. */
export async function indexOfFile(path: string, recipe: IndexRecipe = {}): Promise<TestIndex> {
  const tar = await readIndexedTar(path, { ...recipe, algorithm: 'sha256' });
  const pieces: Uint8Array[] = [];
  buildIndex(tar, { recipe, algorithm: 'sha256', consume: (bytes) => pieces.push(bytes.slice()) });
  return { tar, bytes: Buffer.concat(pieces) };
}

/** The same of bytes, which are written to a file. */
export async function indexOfBytes(
  dir: string,
  archive: Uint8Array,
  recipe: IndexRecipe = {},
): Promise<TestIndex> {
  const path = join(dir, 'archive.tar');
  writeFileSync(path, archive);
  return indexOfFile(path, recipe);
}

/** `files`: both as files (Linux 6.12); `devices`: two loop devices; `joined`: one after the other on one device. */
export type IndexMount = 'files' | 'devices' | 'joined';

/** Mounts an index with its archive read-only; disposing takes it all away. Needs root. */
export function mountIndex(how: IndexMount, image: string, tar: string, at: string): Disposable {
  requireTool('losetup', 'mount');
  const loops: string[] = [];
  const loop = (file: string): string => {
    const device = runTool('losetup', ['--find', '--show', '--read-only', file]).trim();
    loops.push(device);
    return device;
  };
  const detach = (): void => loops.forEach((device) => runTool('losetup', ['-d', device]));
  try {
    if (how === 'files') mountFiles(image, tar, at);
    else if (how === 'devices') {
      runTool('mount', ['-t', 'erofs', '-o', `ro,device=${loop(tar)}`, loop(image), at]);
    } else {
      const joined = `${image}.joined`;
      writeFileSync(joined, Buffer.concat([readFileSync(image), readFileSync(tar)]));
      runTool('mount', ['-t', 'erofs', '-o', 'ro', loop(joined), at]);
    }
  } catch (error) {
    detach();
    throw error;
  }
  return {
    [Symbol.dispose]() {
      runTool('umount', [at]);
      detach();
    },
  };
}

const MS_RDONLY = 1;

/** mount(8) makes a loop device of every file, so this is the system call. */
function mountFiles(image: string, tar: string, at: string): void {
  const text = (value: string): Buffer => Buffer.from(`${value}\0`);
  const data = text(`device=${tar}`);
  const { mount } = libc();
  if (mount(text(image), text(at), text('erofs'), MS_RDONLY, data) !== 0) {
    throw new Error(`cannot mount ${image} with ${tar} as files`);
  }
}
