/** `coldseal image build`: a composefs image from a directory, an archive, a container image or a dump. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { ImageFinding } from '../board/image-rules.ts';
import { defineCommand } from '../cli/command.ts';
import type { Output } from '../cli/output.ts';
import type { BuiltImage } from '../image/build.ts';
import type { EntryTable } from '../image/entry-table.ts';
import type { SourceKind } from '../image/read-source.ts';
import type { ScanProgress } from '../image/scan.ts';
import type { TreeNode } from '../image/tree.ts';
import type { CacheSummary } from '../objects/digest-cache.ts';
import type { StoreSummary } from '../objects/store.ts';
import { requireOutput, requireUseful, type BuildRequest } from './build-request.ts';
import {
  checkTargets,
  epochFor,
  finishTree,
  policyFor,
  RECIPE_OPTIONS,
  recipeOf,
  targetsOf,
} from './image-build-recipe.ts';

export const imageBuild = defineCommand({
  name: 'image build',
  summary: 'Build a composefs image from a directory, an archive, a container image or a dump',
  description: `Writes the metadata of SOURCE into IMAGE, bit for bit as mkcomposefs does. Files larger
than 64 bytes stay outside: the image names each by the fs-verity digest of its content. With
--digest-store they are copied into an object store, from which the image can be mounted.

SOURCE is a directory, or with --from-tar or --from-cpio an archive, with --from-oci an OCI image
layout, with --from-docker an archive of docker save, with --from-file a text in the format of
composefs-dump(5), read strictly. An archive may be compressed with gzip, zstd or xz; it is never
unpacked, and gives the image of the directory that it was made from. The layers of a container
image are checked and laid over each other. - is stdin or stdout.

With --tar-index, SOURCE is an uncompressed tar archive that stays as it is, and IMAGE is plain EROFS
whose files lie in it. Both are mounted together: mount -t erofs -o device=SOURCE IMAGE DIR. Nothing is
shared between images, and files are covered by the archive's fs-verity digest, which IMAGE holds.

Of a directory that was built before, only files are read whose times, size or inode have changed.
The format version is 0, or 1 when the tree has a whiteout; giving --min-version or --max-version
sets the other one to 0, as with mkcomposefs.

With --selinux the image gets the labels that setfiles would set, by a file_contexts and the files
beside it, or by the policy of the image itself. --target-kernel and --board refuse an image that
would not work there.`,
  args: [
    {
      name: 'source',
      help: 'directory, or what a --from option says; - is stdin',
    },
    { name: 'image', help: 'image to write; - is stdout', optional: true },
  ],
  options: {
    fromFile: { flag: '--from-file', help: 'SOURCE is a dump, not a directory' },
    fromTar: { flag: '--from-tar', help: 'SOURCE is a tar archive, not a directory' },
    fromCpio: {
      flag: '--from-cpio',
      help: 'SOURCE is a cpio archive (newc, crc or odc), not a directory',
    },
    fromOci: {
      flag: '--from-oci',
      help: 'SOURCE is an OCI image layout, a directory or an archive',
    },
    fromDocker: {
      flag: '--from-docker',
      help: 'SOURCE is an archive of docker save, or a directory that has its files',
    },
    tarIndex: {
      flag: '--tar-index',
      help: 'SOURCE is a tar archive that stays, and IMAGE only points into it',
    },
    ref: { flag: '--ref <name>', help: 'container image of SOURCE that has this name' },
    platform: {
      flag: '--platform <os/arch>',
      help: 'container image of SOURCE for this machine, such as linux/arm64',
    },
    digestStore: { flag: '--digest-store <dir>', help: 'copy files into this object store' },
    verifyExisting: {
      flag: '--verify-existing',
      help: 'measure objects that are in the store already; replace damaged ones',
    },
    noCache: {
      flag: '--no-cache',
      help: 'read every file, also those that have not changed since an earlier build',
    },
    useEpoch: { flag: '--use-epoch', help: 'set every modification time to 0' },
    skipDevices: { flag: '--skip-devices', help: 'leave out character and block devices' },
    skipXattrs: { flag: '--skip-xattrs', help: 'leave out all extended attributes' },
    userXattrs: { flag: '--user-xattrs', help: 'keep only extended attributes named user.*' },
    hardlinks: {
      flag: '--hardlinks',
      help: 'keep the names of one file together (mkcomposefs does not)',
    },
    inlineMax: {
      flag: '--inline-max <n>',
      help: 'store files up to this many bytes in the image (default: 64)',
      integer: { min: 0, max: 5000 },
    },
    ...RECIPE_OPTIONS,
    hash: {
      flag: '--hash <algorithm>',
      help: 'algorithm of the digests',
      choices: ['sha256', 'sha512'],
      default: 'sha256',
    },
    minVersion: {
      flag: '--min-version <n>',
      help: 'least format version',
      integer: { min: 0, max: 1 },
    },
    maxVersion: {
      flag: '--max-version <n>',
      help: 'highest format version',
      integer: { min: 0, max: 1 },
    },
    threads: {
      flag: '--threads <n>',
      help: 'threads that hash and copy (default: processors)',
      integer: { min: 1, max: 256 },
    },
    printDigest: { flag: '--print-digest', help: "print the image's fs-verity digest" },
    printDigestOnly: { flag: '--print-digest-only', help: 'print the digest and write no image' },
    force: { flag: '--force', help: 'replace an IMAGE that exists' },
  },
  examples: [
    {
      run: 'coldseal image build rootfs rootfs.cfs --digest-store=objects',
      note: 'Build an image and its object store',
    },
    {
      run: 'coldseal image build --from-tar rootfs.tar.zst rootfs.cfs --digest-store=objects',
      note: 'The same from an archive, without unpacking it',
      needs: 'tools',
      before: 'zstd --quiet rootfs.tar',
    },
    {
      run: 'coldseal image build --from-oci --platform=linux/arm64 app.oci app.cfs --digest-store=objects',
      note: 'Build an image of the layers of a container image',
    },
    {
      run: 'coldseal image build --from-docker --ref=app:1.2 app.tar app.cfs --digest-store=objects',
      note: 'The same of what docker save wrote',
    },
    {
      run: 'coldseal image build --from-cpio --print-digest-only initramfs.cpio',
      note: 'Print the digest of the image of a cpio archive',
    },
    {
      run: 'coldseal image build --tar-index rootfs.tar rootfs.index',
      note: 'Index an archive, which is then mounted with its index',
    },
    {
      run: 'coldseal image build rootfs rootfs.cfs --force --selinux=file_contexts --root-metadata=fixed',
      note: 'Label it by a policy, and leave the root directory of the source out of it',
    },
    {
      run: 'coldseal image build rootfs rootfs.cfs --force --target-kernel=6.1',
      note: 'Refuse what Linux 6.1 cannot mount',
      exits: 2,
    },
    {
      run: 'coldseal image build --from-file --print-digest-only tree.dump',
      note: 'Print the digest of the image that a dump describes',
    },
  ],
  async run({ args, options, output }) {
    const request: BuildRequest = { source: args[0], image: args[1], ...options };
    requireOutput(request);
    requireUseful(request);
    const { AtomicFile, refuseExisting } = await import('../files/atomic-file.ts');
    if (request.image !== undefined && request.image !== '-' && !request.force) {
      refuseExisting(request.image);
    }
    if (request.tarIndex) return buildIndex(request, options.hash, output);
    const { formatVersions } = await import('../image/versions.ts');
    const { buildImage } = await import('../image/build.ts');
    const targets = await targetsOf(request);
    const source = await readRequest(request, options.hash, output);
    const { root } = source;
    const build = {
      versions: formatVersions(options.minVersion, options.maxVersion),
      algorithm: options.hash,
    };
    using file =
      request.image === undefined || request.image === '-'
        ? undefined
        : new AtomicFile(request.image, { force: request.force });
    // Kept where the whole image is needed again.
    const pieces: Uint8Array[] = [];
    const isKept = request.image === '-' || targets.length > 0;
    const built = buildImage(root, {
      ...build,
      consume: (bytes) => {
        if (isKept) pieces.push(new Uint8Array(bytes));
        file?.write(bytes);
      },
    });
    const notes = await checkTargets(targets, { root, pieces, algorithm: options.hash }, output);
    if (request.image === '-') for (const piece of pieces) await output.raw(piece);
    file?.commit();
    report(built, request, { ...source, notes }, output);
  },
});

function sourceKind(request: BuildRequest): SourceKind {
  if (request.fromTar) return 'tar';
  if (request.fromCpio) return 'cpio';
  if (request.fromOci) return 'oci';
  return request.fromDocker ? 'docker' : 'directory';
}

async function buildIndex(
  request: BuildRequest,
  algorithm: 'sha256' | 'sha512',
  output: Output,
): Promise<void> {
  const { buildTarIndex } = await import('./build-tar-index.ts');
  const { source, image, force, digestStore, verifyExisting, useEpoch, skipDevices } = request;
  const xattrs = request.skipXattrs ? 'none' : request.userXattrs ? 'user' : 'all';
  const printsDigest = request.printDigest || request.printDigestOnly;
  const recipe = { useEpoch, skipDevices, xattrs } as const;
  const index = { source, image, force, digestStore, verifyExisting, printsDigest };
  return buildTarIndex({ ...index, recipe, algorithm }, output);
}

async function readRequest(
  request: BuildRequest,
  algorithm: 'sha256' | 'sha512',
  output: Output,
): Promise<Source> {
  if (request.fromFile) return readDump(request.source);
  const kind = sourceKind(request);
  if (kind === 'directory') await refuseFileAsTree(request.source);
  const { readSource, readTable } = await import('../image/read-source.ts');
  const { changesTree } = await import('../image/apply-recipe.ts');
  const { readingOptions } = await import('../image/recipe.ts');
  const { availableParallelism } = await import('node:os');
  const { parsePlatform } = await import('../image/image-config.ts');
  if (request.digestStore !== undefined && kind === 'directory')
    await refuseStoreInSource(request.digestStore, request.source);
  const recipe = await recipeOf(request);
  const sourceDateEpoch = await epochFor(recipe);
  const labels = request.selinux === 'image' ? 'image' : await policyFor(request.selinux);
  const { source: path, ref } = request;
  const platform = request.platform === undefined ? undefined : parsePlatform(request.platform);
  const progress = output.progress(`reading ${path === '-' ? 'stdin' : path}`, { unit: 'bytes' });
  const treeSource = { kind, path, ref, platform };
  const options = {
    ...readingOptions(recipe),
    algorithm,
    threads: request.threads ?? availableParallelism(),
    store: request.digestStore,
    verifyExisting: request.verifyExisting,
    cache: request.noCache ? undefined : {},
    interrupted: output.interrupted,
    onProgress: ({ hashedBytes, totalBytes }: ScanProgress) =>
      progress.update(hashedBytes, totalBytes),
  };
  const places = {
    algorithm,
    store: request.digestStore,
    directory: kind === 'directory' ? path : undefined,
  };
  // Only what a recipe changes has to be a tree of nodes.
  const isChanged = labels !== undefined || changesTree(recipe);
  const result = isChanged
    ? await readSource(treeSource, options)
    : await readTable(treeSource, options);
  progress.done();
  const policy =
    'root' in result
      ? await finishTree(result.root, recipe, labels, sourceDateEpoch, places)
      : undefined;
  const root = 'root' in result ? result.root : result.table;
  const { store, archive, image, cache } = result;
  const { describeRecipe } = await import('../image/recipe.ts');
  const input = {
    ...(kind === 'directory' && { cache: cache ?? null }),
    ...(archive && { archive }),
    ...(image && { [kind]: image }),
  };
  return { root, store, input, recipe: describeRecipe({ ...recipe, selinux: policy }) };
}

/** A dump without --from-file would be told as a path that leads nowhere. */
async function refuseFileAsTree(source: string): Promise<void> {
  const { statSync } = await import('node:fs');
  const isFile = source === '-' || statSync(source, { throwIfNoEntry: false })?.isFile() === true;
  if (!isFile) return;
  throw new ColdsealError(
    'USAGE_NOT_A_DIRECTORY',
    `Cannot read the source ${source}: expected a directory`,
    {
      hint: 'with --from-tar or --from-cpio, SOURCE is an archive, with --from-file a dump; or - for stdin',
    },
  );
}

/** A store inside the tree would become part of what it is built from. */
async function refuseStoreInSource(store: string, source: string): Promise<void> {
  const { isInside } = await import('../files/is-inside.ts');
  if (!isInside(store, source)) return;
  throw new ColdsealError(
    'USAGE_STORE_IN_SOURCE',
    `Cannot use the object store ${store}: it lies inside the source directory ${source}`,
    { hint: 'put the store beside the source' },
  );
}

async function readDump(path: string): Promise<Source> {
  const { DumpReader } = await import('../image/dumpfile.ts');
  const { feedInput } = await import('../files/read-input.ts');
  const { namingFile } = await import('../files/name-file.ts');
  const doing = `Cannot use dump ${path === '-' ? 'stdin' : path}`;
  const reader = new DumpReader();
  feedInput(path, (bytes, isLast) => namingFile(doing, () => reader.read(bytes, isLast)));
  return { root: namingFile(doing, () => reader.finish()), store: undefined };
}

interface Source {
  readonly root: TreeNode | EntryTable;
  readonly store: StoreSummary | undefined;
  /** What was read, for the record. */
  readonly input?: { readonly cache?: CacheSummary | null } & Readonly<Record<string, unknown>>;
  /** Absent for a dump. */
  readonly recipe?: object;
  /** What depends on how the target's kernel is configured. */
  readonly notes?: readonly ImageFinding[];
}

const VERITY_NOTES: Readonly<Record<StoreSummary['verity'], string>> = {
  enabled: 'fs-verity enabled',
  unsupported: 'fs-verity not supported there',
  unknown: 'fs-verity on no object',
};

function report(built: BuiltImage, request: BuildRequest, source: Source, output: Output): void {
  if (request.printDigest || request.printDigestOnly) output.line(built.digest);
  const { digest, size, version, inodeCount } = built;
  const { store } = source;
  output.result({
    image: request.image ?? null,
    digest,
    size,
    version,
    inodeCount,
    store: store ?? null,
    ...source.input,
    ...(source.recipe && { recipe: source.recipe }),
    ...(source.notes?.length && { notes: source.notes }),
  });
  if (request.image === undefined) return;
  output.note(
    `${request.image}: ${inodeCount} inodes, ${size} bytes, format version ${version}, fs-verity ${digest}`,
  );
  const hits = source.input?.cache?.hits ?? 0;
  if (hits > 0) output.note(`${request.source}: ${hits} files are unchanged and were not read`);
  if (store === undefined) return;
  output.note(
    `${request.digestStore}: ${store.copied} objects copied (${store.copiedBytes} bytes, ${store.reflinked} shared` +
      ` blocks), ${store.present} present, ${store.replaced} damaged and replaced; ${VERITY_NOTES[store.verity]}`,
  );
}
