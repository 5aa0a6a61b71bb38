/**
 * The store of composefs images, as a release's disk has it: one sealed ext4 with the objects, and an image each.
 *
 * Objects are those that `image build --digest-store` makes, and the file system is that of `coldseal release`, without
 * the room that a release leaves for updates.
 */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { INLINE_CONTENT_RECOMMENDED_MAX } from '../../runtime/format/composefs.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { StoreFile } from '../disk/disk.ts';
import { neededBytes } from '../disk/ext4-layout.ts';
import { withSizes, writeSealedExt4 } from '../disk/ext4-verity.ts';
import { buildImage } from '../image/build.ts';
import { byteStringOfText } from '../image/byte-string.ts';
import { scanDirectory } from '../image/scan.ts';
import { walkTree } from '../image/tree.ts';
import { BLOCK } from './make-image.ts';
import type { Staged } from './variants.ts';

/** Where the board has the store. */
export const STORE_MOUNT = '/store';
export const imageName = (index: number): string => `image-${index}.cfs`;

/** What was put into a store, of one image. */
export interface StoredImage {
  /** fs-verity digest of the image. */
  readonly digest: string;
  /** Paths of the objects below the store's objects, by the path of their file in the tree. */
  readonly objects: ReadonlyMap<string, string>;
}

/** Writes the file system `file`; `work` is a new directory for the objects. */
export async function makeComposefs(
  images: readonly Staged[],
  file: string,
  work: string,
  signal: AbortSignal | undefined,
): Promise<StoredImage[]> {
  const store = join(work, 'objects');
  const stored: StoredImage[] = [];
  const files = new Map<string, StoreFile>();
  for (const [index, { root }] of images.entries()) {
    const scanned = await scanDirectory(byteStringOfText(root), {
      algorithm: 'sha256',
      inlineMax: INLINE_CONTENT_RECOMMENDED_MAX,
      threads: availableParallelism(),
      store,
      ...(signal === undefined ? {} : { interrupted: signal }),
    });
    const pieces: Uint8Array[] = [];
    const { digest } = buildImage(scanned.root, {
      consume: (bytes) => pieces.push(new Uint8Array(bytes)),
    });
    const objects = new Map<string, string>();
    for (const { path, node } of walkTree(scanned.root)) {
      if (node.digest === undefined || node.payload === undefined) continue;
      objects.set(path, node.payload);
      const name = `objects/${node.payload}`;
      files.set(name, { name, digest: node.digest, path: join(store, node.payload) });
    }
    const name = imageName(index);
    files.set(name, { name, digest, bytes: Buffer.concat(pieces) });
    stored.push({ digest, objects });
  }
  await writeStore([...files.values()], file, signal);
  return stored;
}

async function writeStore(
  files: readonly StoreFile[],
  file: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sizeBytes = neededBytes(withSizes(files), 0, BLOCK);
  let fd: number | undefined;
  try {
    fd = openSync(file, 'w+');
    ftruncateSync(fd, sizeBytes);
    await writeSealedExt4(fd, 0, {
      files,
      sizeBytes,
      uuid: new Uint8Array(16).fill(1),
      label: 'layouts',
      signal,
    });
  } catch (error) {
    throw explainSysError(error, `Cannot write ${file}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
