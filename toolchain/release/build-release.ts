/**
 * `coldseal release`: bootset in, signed release directory out, in one order.
 *
 * Ask what can be asked before any work (settings, sources, key, board, the releases for other slots); make the boot
 * files; build every image into one shared object store; make and sign the manifest; read everything back from the
 * directory through the device's own verification and the image reader; make the disk of what was read back; only then
 * give the directory its name. Whatever fails on the way, the name shows nothing new. The same inputs give the same
 * bytes in every file but the signature's, the disk that carries the signature, and timings.json.
 */
import { createHash } from 'node:crypto';
import { chmodSync, closeSync, constants, mkdirSync, openSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import { openImage } from '../../runtime/format/erofs-image.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import { createManifest, encodeManifest, type Manifest } from '../../runtime/format/manifest.ts';
import {
  distinctObjects,
  type ObjectReference,
  summariseObjects,
} from '../../runtime/format/object-list.ts';
import { restrictToComposefs } from '../../runtime/format/restrict.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { enableVerity } from '../../runtime/engines/node/verity.ts';
import type { DiskSummary } from '../disk/disk.ts';
import { AtomicFile, refuseExisting, writeFileAtomically } from '../files/atomic-file.ts';
import { isInside } from '../files/is-inside.ts';
import { readInput } from '../files/read-input.ts';
import { syncPath } from '../files/sync-path.ts';
import { parseSourceDateEpoch } from '../config/source-date-epoch.ts';
import { requireEpoch } from '../image/apply-recipe.ts';
import { buildImage } from '../image/build.ts';
import { printDump } from '../image/describe.ts';
import { type ImageFacts, imageFacts } from '../image/image-facts.ts';
import { objectsOfImage } from '../image/objects.ts';
import { isLayered } from '../image/read-source.ts';
import { readTree } from '../image/read-tree.ts';
import { encodeRecipe } from '../image/recipe.ts';
import { checkRelease, imageFileName } from '../sign/check-release.ts';
import { DEV_KEYS_DIR, openDevSigner } from '../sign/dev-keys.ts';
import { anchorOf } from '../sign/sign-envelope.ts';
import { signManifest } from '../sign/sign-manifest.ts';
import type { Signer, SignerDescription } from '../sign/signer.ts';
import { bootBinding, type BootFiles, writeBootFiles } from './boot-files.ts';
import {
  bootBoardOf,
  bootFilesOf,
  type BootStepOptions,
  makeDisk,
  openSlots,
} from './boot-steps.ts';
import { type BootOrder, orderRelease, readProfile } from './boot-order.ts';
import { type Bootset, type BootsetImage, loadBootset } from './bootset.ts';
import { checkBoards, checkImages, productionBoards } from './check-board.ts';
import { UnbootableImages } from './check-bootable.ts';
import { releaseRecord } from './record.ts';
import type { SlotRelease } from './release-disk.ts';
import { readImageSource, type SourceTree } from './sources.ts';
import { StagedDirectory } from './staged-directory.ts';
import { StageTimes, type Timings } from './timings.ts';

export interface ReleaseOptions extends BootStepOptions {
  readonly bootset: string;
  readonly output: string;
  readonly force: boolean;
  readonly threads: number;
  /** Replaces `keys:`. */
  readonly keys?: string | undefined;
  /** Replaces `board:`. */
  readonly board?: string | undefined;
  /** SOURCE_DATE_EPOCH as the environment has it. */
  readonly sourceDateEpoch?: string | undefined;
  /** Seconds since 1970, for the validity of the key; the host's clock by default. Never enters the release. */
  readonly now?: number | undefined;
}

/** A release that has been built and published. */
export interface BuiltRelease {
  readonly bootset: Bootset;
  readonly manifest: Manifest;
  readonly manifestSha256: string;
  readonly signer: SignerDescription;
  readonly images: readonly BuiltSetImage[];
  /** Distinct objects of the whole set, and what the images would need apart from each other. */
  readonly objects: { readonly count: number; readonly bytes: number };
  /** What the bootloader starts, and the disk; undefined when the release has none. */
  readonly boot: BuiltBoot | undefined;
  readonly timings: Timings;
}

export interface BuiltBoot {
  readonly files: BootFiles;
  /** Earlier releases on the disk. */
  readonly slots: readonly SlotRelease[];
  readonly disk: DiskSummary;
  /** By a profile. */
  readonly order: BootOrder | undefined;
}

/** One image of the set, built. */
export interface BuiltSetImage {
  readonly image: BootsetImage;
  readonly entry: ImageEntry;
  readonly source: Omit<SourceTree, 'root'>;
  readonly inodeCount: number;
  /** SHA-256 of what `coldseal image dump` prints: names the tree whatever format it is written in. */
  readonly treeSha256: string;
  /** What the image asks of a kernel. */
  readonly facts: ImageFacts;
}

/** Builds, signs, reads back and publishes a release. */
export async function buildRelease(options: ReleaseOptions): Promise<BuiltRelease> {
  const times = new StageTimes();
  if (!options.force) refuseExisting(options.output);
  const epoch = parseSourceDateEpoch(options.sourceDateEpoch);
  const bootset = loadBootset(options.bootset, options);
  if (bootset.images.some(({ recipe }) => recipe?.mtime === 'clamp')) requireEpoch(epoch);
  refuseOutputInSource(options.output, bootset);
  const { now, onWarning } = options;
  const whenWhat = { ...(now === undefined ? {} : { now }), onWarning };
  const keys = options.keys ?? bootset.keys ?? DEV_KEYS_DIR;
  const signer = openDevSigner(keys, now === undefined ? {} : { now });
  checkBoards(bootset, signer.describe(), whenWhat);
  const board = bootBoardOf(bootset, options);
  times.end('check');
  const profile =
    options.profile === undefined ? undefined : readProfile(options.profile, board!.value.id);
  const slots = board === undefined ? [] : await openSlots(board, bootset, signer, options, times);
  const makeBootFiles = (readAhead?: Uint8Array): Promise<BootFiles> | undefined =>
    board && bootFilesOf(board, bootset, signer, options, times, readAhead);
  // What is read ahead depends on the images; anything else that is wrong with the boot files shows before that work.
  const early = profile !== undefined ? undefined : await makeBootFiles();

  using staged = new StagedDirectory(options.output, options);
  const images = await buildImages(
    bootset,
    staged.path,
    { ...options, epoch, noDisk: !board },
    times,
  );
  checkImages(
    bootset,
    images.map(({ facts }) => facts),
  );
  const order = profile && orderRelease(profile, images, slots, staged.path, board!.value, options);
  const files = early ?? (await makeBootFiles(order?.readAhead?.bytes));
  const manifest = makeManifest(bootset, images, epoch ?? newestOf(images), files);
  const payload = encodeManifest(manifest);
  const envelope = signManifest(manifest, signer, {
    productionBoards: productionBoards(bootset),
    ...(now === undefined ? {} : { now }),
  });
  const { sha256 } = createNodeCrypto();
  const built = {
    bootset,
    manifest,
    manifestSha256: toHex(sha256(payload)),
    signer: signer.describe(),
    images,
    objects: setObjects(images),
  };
  writeFileAtomically(join(staged.path, 'manifest.cose'), envelope);
  if (files !== undefined) writeBootFiles(staged.path, files);
  times.end('sign');

  const objects = await readBack(staged.path, built, signer, options);
  times.end('verify');
  const own = { ...built, slot: 'a', path: staged.path, objects, hasDenyList: false } as const;
  const releases = [own, ...slots];
  const disk =
    files && (await makeDisk(files, releases, staged.path, options, times, order?.order));
  const boot = files && disk && { files, slots, disk, order };
  writeJson(join(staged.path, 'release.json'), releaseRecord({ ...built, boot }, epoch));
  const timings = times.finish();
  writeJson(join(staged.path, 'timings.json'), timings);
  staged.commit();
  return { ...built, boot, timings };
}

// --- images --------------------------------------------------------------------------------------------

async function buildImages(
  bootset: Bootset,
  directory: string,
  options: ReleaseOptions & { readonly epoch: number | undefined },
  times: StageTimes,
): Promise<BuiltSetImage[]> {
  const store = join(directory, 'objects');
  const imageDirectory = join(directory, 'images');
  for (const path of [store, imageDirectory]) {
    mkdirSync(path);
    // Whatever the umask is: a release is for others to read.
    chmodSync(path, 0o755);
  }
  const built: BuiltSetImage[] = [];
  const problems = new UnbootableImages(bootset, options);
  for (const image of bootset.images) {
    const progress = options.startProgress(`reading ${image.name}`);
    const { root, ...source } = await readImageSource(image, {
      store,
      threads: options.threads,
      arch: bootset.boards[0]!.value.arch,
      signal: options.signal,
      onWarning: options.onWarning,
      sourceDateEpoch: options.epoch,
      onProgress: (done, total) => progress.update(done, total),
    }).finally(() => progress.done());
    times.end(`read ${image.name}`);
    problems.look(image, root, store);
    built.push({ image, source, ...writeImage(image, { root, ...source }, imageDirectory) });
    times.end(`write ${image.name}`);
  }
  problems.tell();
  syncPath(imageDirectory);
  return built;
}

function writeImage(
  image: BootsetImage,
  source: SourceTree,
  directory: string,
): Pick<BuiltSetImage, 'entry' | 'inodeCount' | 'treeSha256' | 'facts'> {
  const { algorithm, versions } = image;
  // The name is the digest, which is known when the image has been written.
  const path = join(directory, '.unnamed');
  using file = new AtomicFile(path);
  const built = buildImage(source.root, {
    versions,
    algorithm,
    consume: (bytes) => file.write(bytes),
  });
  file.commit();
  const { sha256 } = createNodeCrypto();
  const objects = summariseObjects(source.objects, sha256);
  const entry: ImageEntry = {
    role: image.role,
    name: image.name,
    format: built.version as ImageEntry['format'],
    size: built.size,
    digest: { algorithm, value: fromHex(built.digest)! },
    objectCount: objects.count,
    objectBytes: objects.bytes,
    objectListDigest: objects.digest,
    mount: image.mount,
    start: image.start,
    flags: image.flags,
    recipe: source.recipe && encodeRecipe(source.recipe),
  };
  const bytes = readInput(path);
  const treeSha256 = treeDigest(bytes);
  const facts = imageFacts(source.root, bytes, algorithm);
  sealFile(path, algorithm);
  renameSync(path, join(directory, imageFileName(entry)));
  return { entry, inodeCount: built.inodeCount, treeSha256, facts };
}

/** Turns fs-verity on where this kernel and file system can, so that the image can be mounted with verity required. */
function sealFile(path: string, algorithm: BootsetImage['algorithm']): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    enableVerity(fd, algorithm);
  } catch (error) {
    throw explainSysError(error, `Cannot enable fs-verity on ${path}`);
  } finally {
    closeSync(fd);
  }
}

/** Of the image as it was written, not of the tree in memory: what the writer computes is part of it. */
function treeDigest(bytes: Uint8Array): string {
  const image = openImage(bytes);
  restrictToComposefs(image);
  const hash = createHash('sha256');
  for (const piece of printDump(readTree(image))) hash.update(piece, 'latin1');
  return hash.digest('hex');
}

function setObjects(images: readonly BuiltSetImage[]): { count: number; bytes: number } {
  const objects = distinctObjects(images.flatMap(({ source }) => source.objects));
  return { count: objects.length, bytes: objects.reduce((sum, { size }) => sum + size, 0) };
}

// --- manifest ------------------------------------------------------------------------------------------

function makeManifest(
  bootset: Bootset,
  images: readonly BuiltSetImage[],
  builtAt: number,
  files: BootFiles | undefined,
): Manifest {
  return createManifest(
    {
      product: bootset.product,
      boards: bootset.boards.map(({ value }) => value.id),
      version: bootset.version,
      epochs: bootset.epochs,
      builtAt,
      valid: bootset.valid,
      role: bootset.role,
      images: images.map(({ entry }) => entry),
      bootBinding: files && bootBinding(files),
      sbom: undefined,
      provenance: undefined,
      minDenyVersion: bootset.minDenyVersion,
      notes: bootset.notes,
    },
    createNodeCrypto().sha256,
  );
}

function newestOf(images: readonly BuiltSetImage[]): number {
  return Math.max(...images.map(({ source }) => source.newest));
}

// --- the directory -------------------------------------------------------------------------------------

/** A release inside a source would become part of what it is built from. */
function refuseOutputInSource(output: string, bootset: Bootset): void {
  for (const { source, name } of bootset.images) {
    if (source.kind !== 'directory' && !isLayered(source.kind)) continue;
    if (!isInside(output, source.path) && !isInside(source.path, output)) continue;
    throw new ColdsealError(
      'USAGE_STORE_IN_SOURCE',
      `Cannot write the release ${output}: it and the source of image ${name}, ${source.path}, lie inside each other`,
      { hint: 'put the release beside the source' },
    );
  }
}

function writeJson(path: string, value: object): void {
  writeFileAtomically(path, Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`));
}

/** The second code path: what lies in the directory, through the device's verification and the image reader. */
async function readBack(
  directory: string,
  { bootset, manifest }: Pick<BuiltRelease, 'bootset' | 'manifest'>,
  signer: Signer,
  options: ReleaseOptions,
): Promise<readonly ObjectReference[]> {
  const { chain, algorithm } = signer.describe();
  const progress = options.startProgress('reading back');
  const { verdict, list } = await checkRelease(directory, {
    policy: {
      anchors: [anchorOf(chain)],
      algorithms: [algorithm],
      roles: [manifest.role],
      product: bootset.product,
      board: manifest.boards[0],
      epochs: bootset.epochs,
      denyVersion: bootset.minDenyVersion,
      checkTime: undefined,
    },
    denyList: undefined,
    objectsOfImage,
    onProgress: (done, total) => progress.update(done, total),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }).finally(() => progress.done());
  if (verdict.ok) return list;
  const { code, message } = verdict.reason!;
  throw new ColdsealError(code, `Cannot publish the release, reading it back says: ${message}`, {
    hint: 'something changed what had been written; check the disk and the memory of this machine',
    cause: verdict.reason,
  });
}
