/**
 * The objects that the mounts of this machine may read: what a garbage collection has to keep
 * besides the named images.
 *
 * Three ways, by what a mount tells. A mount by coldseal names its image file. A plain EROFS mount
 * shows the redirect xattrs of its files. Any other composefs mount shows only contents, which are
 * measured: slow, and right. A mount that can be read in no way stops the collection, with its
 * name.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { XATTR_REDIRECT } from '../../runtime/format/composefs.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { majorOf, minorOf } from '../../runtime/format/device-number.ts';
import { getXattr, lstatFast } from '../../runtime/engines/node/xattr.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import { bytesOf, type ByteString, byteStringOfText, showBytes } from '../image/byte-string.ts';
import { objectPath } from '../objects/layout.ts';
import {
  dataLayersOf,
  hasUpperLayer,
  imageOfSource,
  type MountEntry,
  readMountTables,
} from './mount-table.ts';
import { measureFile } from '../objects/verity.ts';

/** The paths that an image needs below its object store. */
export type ReadObjectPaths = (image: Uint8Array) => readonly string[];

export interface MountedObjects {
  readonly mountPoint: string;
  readonly how: 'image' | 'layer' | 'content';
  readonly paths: readonly string[];
}

export interface MountedOptions {
  readonly readObjectPaths: ReadObjectPaths;
  /** Algorithms that the store has objects of. */
  readonly algorithms: readonly VerityAlgorithm[];
  /** The mounts to look at; this machine's by default. */
  readonly entries?: readonly MountEntry[];
}

/** What the mounts that use a store need of it. */
export function findMountedObjects(dir: string, options: MountedOptions): MountedObjects[] {
  const store = statSync(dir);
  const found: MountedObjects[] = [];
  for (const entry of options.entries ?? readMountTables()) {
    const isErofs = entry.type === 'erofs';
    if (!isErofs && !usesStore(entry, store)) continue;
    try {
      const objects = isErofs
        ? fromLayer(entry)
        : (fromImage(entry, options) ?? fromContent(entry, options));
      if (objects.paths.length > 0) found.push(objects);
    } catch (error) {
      if (errnoOf(error) === undefined && !(error instanceof ColdsealError)) throw error;
      throw unreadable(entry, error);
    }
  }
  return found;
}

/** Whether one of the data layers is the store. A layer whose path leads nowhere now may be it. */
function usesStore(entry: MountEntry, store: { dev: number; ino: number }): boolean {
  return dataLayersOf(entry).some((layer) => {
    try {
      const stat = statSync(pathIn(entry, layer));
      return stat.dev === store.dev && stat.ino === store.ino;
    } catch {
      return true;
    }
  });
}

function pathIn(entry: MountEntry, path: ByteString): Buffer {
  return Buffer.concat([Buffer.from(entry.prefix), bytesOf(path)]);
}

function fromImage(entry: MountEntry, options: MountedOptions): MountedObjects | undefined {
  const image = imageOfSource(entry.source);
  if (image === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(Buffer.concat([Buffer.from(entry.prefix), image.path]), constants.O_RDONLY);
  } catch {
    return undefined;
  }
  try {
    const { dev, ino } = fstatSync(fd);
    if (dev !== image.dev || ino !== image.ino) return undefined;
    const paths = options.readObjectPaths(readFileSync(fd));
    return { mountPoint: showBytes(entry.mountPoint), how: 'image', paths };
  } finally {
    closeSync(fd);
  }
}

/** A plain EROFS mount, such as one of the layers of another tool's composefs mount. */
function fromLayer(entry: MountEntry): MountedObjects {
  // Only root sees trusted xattrs; to others there would seem to be none.
  if (process.geteuid?.() !== 0) {
    throw new ColdsealError('HOST_PERMISSION', 'Cannot read trusted xattrs: expected to be root');
  }
  const paths: string[] = [];
  walkFiles(entry, (path) => {
    const redirect = getXattr(path, XATTR_REDIRECT);
    if (redirect !== undefined) paths.push(redirect.replace(/^\/+/, ''));
  });
  return { mountPoint: showBytes(entry.mountPoint), how: 'layer', paths };
}

/** Measures every file that the mount shows. */
function fromContent(entry: MountEntry, options: MountedOptions): MountedObjects {
  if (hasUpperLayer(entry)) {
    throw new ColdsealError(
      'HOST_MOUNT_UNREADABLE',
      `Cannot see every file of the image at ${showBytes(entry.mountPoint)}: it has an upper layer`,
    );
  }
  const paths: string[] = [];
  walkFiles(entry, (path) => {
    for (const algorithm of options.algorithms) {
      paths.push(objectPath(measureFile(bytesOf(path), algorithm).digest));
    }
  });
  return { mountPoint: showBytes(entry.mountPoint), how: 'content', paths };
}

/** Calls back for each regular file of a mount, without entering mounts below it. */
function walkFiles(entry: MountEntry, onFile: (path: ByteString) => void): void {
  const root = `${byteStringOfText(entry.prefix)}${entry.mountPoint}` as ByteString;
  const { dev } = lstatFast(`${root}/.`);
  const [major = 0, minor = 0] = entry.device.split(':').map(Number);
  if (majorOf(dev) !== major || minorOf(dev) !== minor) {
    throw new ColdsealError(
      'HOST_MOUNT_UNREADABLE',
      `Cannot look into ${showBytes(entry.mountPoint)}: another mount hides it`,
    );
  }
  const pending = [root];
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    for (const name of readdirSync(bytesOf(dir), { encoding: 'latin1' })) {
      const path = `${dir}/${name}` as ByteString;
      const stat = lstatFast(path);
      const kind = stat.mode & constants.S_IFMT;
      if (kind === constants.S_IFDIR && stat.dev === dev) pending.push(path);
      else if (kind === constants.S_IFREG) onFile(path);
    }
  }
}

function unreadable(entry: MountEntry, cause: unknown): ColdsealError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ColdsealError(
    'HOST_MOUNT_UNREADABLE',
    `Cannot tell which objects the mount at ${showBytes(entry.mountPoint)} needs: ${reason}`,
    { hint: 'nothing was deleted; run as root, or unmount it first', cause },
  );
}
