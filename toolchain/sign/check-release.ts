/**
 * `coldseal verify`: the device's decision over a release directory, and then every object in it.
 *
 * Envelope, manifest and images go through runtime/verify.ts, unchanged. What only a host can afford follows: the
 * boot files are hashed, every image's objects are listed and compared with the manifest, every object is hashed, and
 * nothing else may lie in the directory. The images are read once; what was measured is what is parsed. A disk is a
 * file of its own, which `coldseal disk check` reads.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, toHex } from '../../runtime/format/bytes.ts';
import { ENVELOPE_BYTES_MAX } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import { encodeManifest, type Manifest } from '../../runtime/format/manifest.ts';
import {
  distinctObjects,
  type ObjectReference,
  summariseObjects,
} from '../../runtime/format/object-list.ts';
import {
  type ImageMeasurement,
  type ManifestVerdict,
  verifyManifest,
  type VerifyPolicy,
} from '../../runtime/verify.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { recipesOf } from '../image/recipe.ts';
import { algorithmOfDigest, objectPath } from '../objects/layout.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { readDigest } from '../objects/verity.ts';
import { checkBootFiles } from './check-boot-files.ts';
import { DISK_FILE, readWhole, releaseNames, withFile } from './release-files.ts';
import { agreeWithSecondReader } from './second-reader.ts';

/** One object of an image, as the image reader lists it. */
export interface ListedObject {
  readonly path: string;
  readonly digest: string | undefined;
  readonly size: number;
}

export interface CheckReleaseOptions {
  readonly policy: VerifyPolicy;
  /** The envelope of a deny list. */
  readonly denyList: Uint8Array | undefined;
  /** Lists the objects of image bytes; throws FORMAT_* when they are not a composefs image. */
  readonly objectsOfImage: (bytes: Uint8Array) => Iterable<ListedObject>;
  /** Called now and then with the bytes of objects hashed so far, and their total. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface ReleaseReport {
  readonly verdict: ManifestVerdict;
  /** Objects whose content was found good. */
  readonly objects: { readonly count: number; readonly bytes: number };
  /** The distinct objects of all images; empty unless the verdict is yes. */
  readonly list: readonly ObjectReference[];
  /** Kernel, initramfs and so on that are what the manifest binds. */
  readonly bootFiles: readonly string[];
  /** Whether there is a disk. What is on it has not been looked at: `coldseal disk check` does. */
  readonly hasDisk: boolean;
}

/** Verifies a release directory. A "no" is in the verdict; only trouble of the host throws. */
export async function checkRelease(
  dir: string,
  options: CheckReleaseOptions,
): Promise<ReleaseReport> {
  const images = new Map<string, Uint8Array>();
  const verdict = verifyDirectory(dir, options, images);
  const objects = { count: 0, bytes: 0 };
  const nothing = { list: [], bootFiles: [], hasDisk: false };
  if (!verdict.ok) return { verdict, objects, ...nothing };
  try {
    const manifest = verdict.manifest!;
    agreeWithSecondReader(encodeManifest(manifest), 'the manifest');
    recipesOf(manifest);
    const bootFiles = checkBootFiles(dir, manifest);
    const list = listObjects(manifest, images, options);
    checkNothingElse(dir, manifest, list, bootFiles);
    await checkObjects(dir, list, options, objects);
    return { verdict, objects, list, bootFiles, hasDisk: listNames(dir).includes(DISK_FILE) };
  } catch (error) {
    if (!(error instanceof ColdsealError) || !/^(VERIFY|FORMAT)_/.test(error.code)) throw error;
    const integrity = { status: 'fail', code: error.code, message: error.message } as const;
    return { verdict: { ...verdict, ok: false, reason: error, integrity }, objects, ...nothing };
  }
}

function verifyDirectory(
  dir: string,
  options: CheckReleaseOptions,
  images: Map<string, Uint8Array>,
): ManifestVerdict {
  const envelope = readEnvelope(join(dir, 'manifest.cose'));
  return verifyManifest({
    envelope,
    denyList: options.denyList,
    policy: options.policy,
    crypto: createNodeCrypto(),
    images: (image) => measureImage(dir, image, images),
  });
}

/** At most one byte more than allowed is read: the verifier then refuses the size by its own code. */
function readEnvelope(path: string): Uint8Array {
  return withFile(path, 'VERIFY_MANIFEST_MISSING', (fd, size) => {
    return readWhole(fd, Math.min(size, ENVELOPE_BYTES_MAX + 1));
  });
}

/** The file name of an image in `images/`. */
export function imageFileName(image: ImageEntry): string {
  return `${toHex(image.digest.value)}.cfs`;
}

function measureImage(
  dir: string,
  image: ImageEntry,
  images: Map<string, Uint8Array>,
): ImageMeasurement {
  const path = join(dir, 'images', imageFileName(image));
  return withFile(path, 'VERIFY_IMAGE_MISSING', (fd, size) => {
    // A wrong size is refused by the caller without reading; the digest is then of no interest.
    if (size !== image.size) return { size, digest: new Uint8Array() };
    const bytes = readWhole(fd, size);
    images.set(image.name, bytes);
    const { algorithm } = image.digest;
    const digest = fsVerityDigest(bytes, algorithm, hashFunction(algorithm));
    return { size: bytes.length, digest };
  });
}

/** The objects of all images, each list proven equal to what the manifest says about it. */
export function listObjects(
  manifest: Manifest,
  images: ReadonlyMap<string, Uint8Array>,
  options: Pick<CheckReleaseOptions, 'objectsOfImage'>,
): ObjectReference[] {
  const { sha256 } = createNodeCrypto();
  const all: ObjectReference[] = [];
  for (const image of manifest.images) {
    const objects = [...options.objectsOfImage(images.get(image.name)!)].map((object) => {
      return checkListed(image, object);
    });
    const { count, bytes, digest } = summariseObjects(objects, sha256);
    const isSame =
      count === image.objectCount &&
      bytes === image.objectBytes &&
      equalBytes(digest, image.objectListDigest);
    if (!isSame) {
      throw new ColdsealError(
        'VERIFY_OBJECT_LIST',
        `Cannot accept image ${image.name}: its ${count} objects (${bytes} bytes) are not those the manifest lists`,
      );
    }
    all.push(...objects);
  }
  return distinctObjects(all);
}

function checkListed(image: ImageEntry, object: ListedObject): ObjectReference {
  const { path, digest, size } = object;
  if (digest === undefined) {
    throw new ColdsealError(
      'VERIFY_OBJECT_UNDIGESTED',
      `Cannot accept image ${image.name}: it refers to ${path} without a digest`,
      { hint: 'build the image with digests; without them the kernel cannot check the content' },
    );
  }
  if (path.replace(/^\/+/, '') !== objectPath(digest)) {
    throw new ColdsealError(
      'VERIFY_OBJECT_PATH',
      `Cannot accept image ${image.name}: it looks for object ${digest} at ${path}`,
    );
  }
  return { digest, size };
}

async function checkObjects(
  dir: string,
  list: readonly ObjectReference[],
  options: CheckReleaseOptions,
  done: { count: number; bytes: number },
): Promise<void> {
  const total = list.reduce((sum, { size }) => sum + size, 0);
  for (const object of list) {
    checkObject(dir, object);
    done.count++;
    done.bytes += object.size;
    if (done.count % 64 === 0) {
      options.onProgress?.(done.bytes, total);
      // Lets signals and timers in.
      await new Promise((resolve) => setImmediate(resolve));
      options.signal?.throwIfAborted();
    }
  }
}

function checkObject(dir: string, { digest, size }: ObjectReference): void {
  const path = join(dir, 'objects', objectPath(digest));
  withFile(path, 'VERIFY_OBJECT_MISSING', (fd, found) => {
    if (found !== size) {
      throw new ColdsealError(
        'VERIFY_OBJECT_SIZE',
        `Cannot accept object ${digest}: it has ${found} bytes, expected ${size}`,
      );
    }
    // Read even where the kernel has a digest, which says nothing about blocks that nobody has read.
    const measured = readDigest(fd, algorithmOfDigest(digest));
    if (measured !== digest) {
      throw new ColdsealError(
        'VERIFY_OBJECT_DIGEST',
        measured === undefined
          ? `Cannot accept object ${digest}: it cannot be read (EIO), which is how fs-verity refuses changed content`
          : `Cannot accept object ${digest}: its fs-verity digest is ${measured}`,
      );
    }
  });
}

// --- nothing else --------------------------------------------------------------------------------------

function checkNothingElse(
  dir: string,
  manifest: Manifest,
  objects: readonly ObjectReference[],
  bootFiles: readonly string[],
): void {
  checkNames(dir, releaseNames(manifest, bootFiles));
  checkKinds(dir);
  checkNames(join(dir, 'images'), new Set(manifest.images.map(imageFileName)));
  const fanOut = new Map<string, Set<string>>();
  for (const { digest } of objects) {
    const [directory, name] = objectPath(digest).split('/') as [string, string];
    const names = fanOut.get(directory);
    if (names === undefined) fanOut.set(directory, new Set([name]));
    else names.add(name);
  }
  if (objects.length === 0 && !listNames(dir).includes('objects')) return;
  const store = join(dir, 'objects');
  checkNames(store, new Set(fanOut.keys()));
  for (const [directory, names] of fanOut) {
    checkDirectory(join(store, directory));
    checkNames(join(store, directory), names);
  }
}

const RELEASE_DIRECTORIES: ReadonlySet<string> = new Set(['images', 'objects']);

/** A link would show other files tomorrow, and a copy of the release would carry the link and not what was verified. */
function checkKinds(dir: string): void {
  for (const name of listNames(dir)) {
    const path = join(dir, name);
    if (RELEASE_DIRECTORIES.has(name)) checkDirectory(path);
    else if (!lstatSync(path).isFile()) throw notOfKind(path, 'a regular file');
  }
}

/** A directory that is absent is reported by what should be in it. */
function checkDirectory(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === false) throw notOfKind(path, 'a directory');
}

function notOfKind(path: string, kind: string): ColdsealError {
  return new ColdsealError(
    'VERIFY_FILE_KIND',
    `Cannot accept the release: ${path} is not ${kind}, expected no links or other files there`,
    { hint: 'copy the release whole, with links replaced by what they point at' },
  );
}

function checkNames(dir: string, allowed: ReadonlySet<string>): void {
  for (const name of listNames(dir)) {
    if (!allowed.has(name)) {
      throw new ColdsealError(
        'VERIFY_EXTRA_FILE',
        `Cannot accept the release: ${join(dir, name)} is not part of it`,
        { hint: 'write each release into a directory of its own' },
      );
    }
  }
}

function listNames(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    // A missing directory has no surplus files; the objects that should be there are reported one by one.
    if (errnoOf(error) === 'ENOENT') return [];
    throw explainSysError(error, `Cannot list ${dir}`);
  }
}
