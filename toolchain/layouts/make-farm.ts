/**
 * Farms: a store that has each file once, and for each image a tree of links into it, symbolic or hard.
 *
 * What is a file of the store is decided as OSTree does for hard links: by bytes, mode and owner, since a hard link
 * has no mode of its own. A link's time is that of the first file with these bytes. Everything is made of hard links
 * on this machine, so that only directories and links are written.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { explainSysError } from '../../runtime/sys-error.ts';
import { runToolToSuccess } from '../host/run-tool.ts';
import { objectPath } from '../objects/layout.ts';
import { pathBytes, readPieces, type TreeEntry } from './tree.ts';
import type { Staged } from './variants.ts';

/** Where the board has the file system of a farm. */
export const FARM_MOUNT = '/fs';
export const FARM_STORE = `${FARM_MOUNT}/objects`;
/** Names of the images' directories in it. */
export const farmImage = (index: number): string => `image-${index}`;

export type FarmKind = 'symbolic' | 'hard';

/** Makes a farm in the new directory `farm`. */
export async function makeFarm(
  images: readonly Staged[],
  farm: string,
  kind: FarmKind,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    mkdirSync(join(farm, 'objects'), { recursive: true });
    const objects = new Set<string>();
    for (const [index, image] of images.entries()) {
      signal?.throwIfAborted();
      const root = join(farm, farmImage(index));
      mkdirSync(root);
      await new Farmer(image, root, farm, objects, kind).plant(signal);
    }
  } catch (error) {
    throw explainSysError(error, `Cannot make a farm of links in ${farm}`);
  }
}

class Farmer {
  readonly #image: Staged;
  readonly #root: string;
  readonly #farm: string;
  readonly #objects: Set<string>;
  readonly #kind: FarmKind;

  constructor(image: Staged, root: string, farm: string, objects: Set<string>, kind: FarmKind) {
    this.#image = image;
    this.#root = root;
    this.#farm = farm;
    this.#objects = objects;
    this.#kind = kind;
  }

  async plant(signal: AbortSignal | undefined): Promise<void> {
    const { entries, root } = this.#image;
    const directories = entries.filter(({ kind }) => kind === 'directory');
    for (const { path } of directories) mkdirSync(pathBytes(this.#root, path));
    for (const entry of entries) {
      if (entry.kind === 'file') this.#link(entry);
      else if (entry.kind === 'link') this.#copyLink(entry);
      else if (entry.kind === 'other') await this.#copySpecial(root, entry, signal);
    }
    // Now that nothing is added to them any more.
    for (const { path, mode, uid, gid, mtime } of directories.reverse()) {
      const directory = pathBytes(this.#root, path);
      if (isRoot()) lchownSync(directory, uid, gid);
      chmodSync(directory, mode & 0o7777);
      utimesSync(directory, mtime, mtime);
    }
  }

  #link(entry: TreeEntry): void {
    const name = objectPath(fileKey(this.#image.root, entry));
    const object = join(this.#farm, 'objects', name);
    if (!this.#objects.has(name)) {
      mkdirSync(join(object, '..'), { recursive: true });
      linkSync(pathBytes(this.#image.root, entry.path), object);
      this.#objects.add(name);
    }
    const path = pathBytes(this.#root, entry.path);
    if (this.#kind === 'hard') linkSync(object, path);
    else symlinkSync(`${FARM_STORE}/${name}`, path);
  }

  #copyLink({ path, target, uid, gid, mtime }: TreeEntry): void {
    const link = pathBytes(this.#root, path);
    symlinkSync(Buffer.from(target, 'latin1'), link);
    if (isRoot()) lchownSync(link, uid, gid);
    lutimesSync(link, mtime, mtime);
  }

  /** Devices and pipes are few. */
  async #copySpecial(
    root: string,
    { path }: TreeEntry,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const [from, to] = [root, this.#root].map((each) => pathBytes(each, path).toString());
    await runToolToSuccess(['cp', '-a', '-T', '--', from!, to!], { debian: 'coreutils', signal });
  }
}

const isRoot = (): boolean => process.geteuid?.() === 0;

/** The name of a file's object. */
function fileKey(root: string, { path, mode, uid, gid }: TreeEntry): string {
  const hash = createHash('sha256').update(`${mode} ${uid} ${gid}\0`);
  readPieces(root, path, (bytes) => hash.update(bytes));
  return hash.digest('hex');
}
