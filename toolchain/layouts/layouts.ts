/**
 * The layouts that are compared: how each is made from trees, how a board mounts it, and what it verifies.
 *
 * A layout of its own per image has a partition for each; one that shares has everything in the first. No loop device
 * is in between: that is how a board has them.
 */
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { LayoutId } from './layout-ids.ts';
import { makeComposefs, imageName, STORE_MOUNT, type StoredImage } from './make-composefs.ts';
import { FARM_MOUNT, FARM_STORE, farmImage, type FarmKind, makeFarm } from './make-farm.ts';
import {
  addVerity,
  DEBIAN,
  ext4Used,
  makeErofs,
  makeExt4,
  makeSquashfs,
  type VerityTable,
  verityTable,
} from './make-image.ts';
import { readEntries } from './tree.ts';
import type { Staged } from './variants.ts';

/** What was made: file systems, one for each image or one for all of them. */
export interface Made {
  readonly files: readonly string[];
  /** What they take on a disk. */
  readonly bytes: number;
  readonly stored: readonly StoredImage[];
  readonly tables: readonly VerityTable[];
}

export interface MakeJob {
  readonly images: readonly Staged[];
  /** A new directory; nothing but the file systems is left in it. */
  readonly work: string;
  readonly signal: AbortSignal | undefined;
}

/** What a layout is mounted from; several layouts may have the same. */
export interface Source {
  /** Tools beyond those of every layout, with their Debian packages. */
  readonly tools: readonly (readonly [tool: string, debian: string])[];
  /** Whether all images are in one file system. */
  readonly isShared: boolean;
  make(job: MakeJob): Promise<Made>;
}

export interface Layout {
  readonly id: LayoutId;
  readonly title: string;
  /** What of a file's bytes is checked when, and what of names, modes and owners. */
  readonly verifiesData: string;
  readonly verifiesMetadata: string;
  readonly source: Source;
  /** Commands of the probe that mount an image at `target`; the first image is always mounted before another. */
  mount(made: Made, index: number, target: string): readonly string[];
  /** Objects to be read while mounting: the paths below the store, for the probe's list. */
  eager?(made: Made, startup: readonly string[]): readonly string[];
  /** Links that lead below here are files. */
  readonly linksTo?: string;
}

/** The file with the list of `eager`, in the initramfs. */
export const EAGER_LIST = '/eager';

const device = (index: number): string => `/dev/vda${index + 1}`;
const lower = (target: string): string => `/lower${target}`;

// --- made for each image -------------------------------------------------------------------------------

type MakeImage = (image: Staged, file: string, signal: AbortSignal | undefined) => Promise<void>;

async function makeEach({ images, work, signal }: MakeJob, make: MakeImage): Promise<Made> {
  const files: string[] = [];
  let bytes = 0;
  for (const [index, image] of images.entries()) {
    const file = join(work, `${index}.img`);
    await make(image, file, signal);
    files.push(file);
    bytes += statSync(file).size;
  }
  return { files, bytes, stored: [], tables: [] };
}

async function makeVerity(job: MakeJob): Promise<Made> {
  const tables: VerityTable[] = [];
  const made = await makeEach(job, async ({ root }, file, signal) => {
    await makeErofs(root, file, signal);
    tables.push(await addVerity(file, signal));
  });
  return { ...made, tables };
}

async function makeExt4s(job: MakeJob): Promise<Made> {
  const made = await makeEach(job, ({ holder, entries }, file, signal) =>
    makeExt4(holder, file, entries, signal),
  );
  return { ...made, bytes: made.files.reduce((sum, file) => sum + ext4Used(file), 0) };
}

const mountDirect =
  (type: string): Layout['mount'] =>
  (_, index, target) => [`mount ${type} ${device(index)} ${target} ro`];

/** What a container would get: read-only below, and room for its writes in memory. */
const mountOverlay =
  (type: string): Layout['mount'] =>
  (_, index, target) => [
    `mount ${type} ${device(index)} ${lower(target)} ro`,
    `mount tmpfs tmpfs /upper${target} rw`,
    `directory /upper${target}/upper`,
    `directory /upper${target}/work`,
    `mount overlay overlay ${target} rw lowerdir=${lower(target)},` +
      `upperdir=/upper${target}/upper,workdir=/upper${target}/work`,
  ];

// --- shared --------------------------------------------------------------------------------------------

async function makeStore({ images, work, signal }: MakeJob): Promise<Made> {
  const file = join(work, 'store.img');
  const objects = join(work, 'composefs');
  mkdirSync(objects);
  const stored = await makeComposefs(images, file, objects, signal);
  rmSync(objects, { recursive: true });
  return { files: [file], bytes: ext4Used(file), stored, tables: [] };
}

const mountComposefs = (made: Made, index: number, target: string): string[] => [
  ...(index === 0 ? [`mount ext4 ${device(0)} ${STORE_MOUNT} ro`] : []),
  `measure ${STORE_MOUNT}/${imageName(index)} ${made.stored[index]!.digest}`,
  `mount erofs ${STORE_MOUNT}/${imageName(index)} ${lower(target)} ro`,
  `mount overlay overlay ${target} ro metacopy=on,redirect_dir=on,verity=require,` +
    `lowerdir=${lower(target)}::${STORE_MOUNT}/objects`,
];

/** The list is for the first image; another one shares what was read for it. */
const mountEager: Layout['mount'] = (made, index, target) => [
  ...mountComposefs(made, index, target),
  ...(index === 0 ? [`eager ${STORE_MOUNT}/objects ${EAGER_LIST}`] : []),
];

function objectsOf(made: Made, paths: readonly string[]): string[] {
  const { objects } = made.stored[0]!;
  return [...new Set(paths.flatMap((path) => objects.get(path) ?? []))];
}

async function makeLinks({ images, work, signal }: MakeJob, kind: FarmKind): Promise<Made> {
  const farm = join(work, 'farm');
  await makeFarm(images, farm, kind, signal);
  const file = join(work, 'farm.img');
  await makeExt4(farm, file, readEntries(farm), signal);
  rmSync(farm, { recursive: true });
  return { files: [file], bytes: ext4Used(file), stored: [], tables: [] };
}

const mountFarm: Layout['mount'] = (_, index, target) => [
  ...(index === 0 ? [`mount ext4 ${device(0)} ${FARM_MOUNT} ro`] : []),
  `mount none ${FARM_MOUNT}/${farmImage(index)} ${target} bind`,
];

// --- the tables ----------------------------------------------------------------------------------------

const MKFS_EROFS = ['mkfs.erofs', DEBIAN.erofs] as const;
const MKE2FS = ['mke2fs', DEBIAN.ext4] as const;

const STORE: Source = { tools: [], isShared: true, make: makeStore };
const EROFS: Source = {
  tools: [MKFS_EROFS],
  isShared: false,
  make: (job) => makeEach(job, ({ root }, file, signal) => makeErofs(root, file, signal)),
};
const VERITY: Source = {
  tools: [MKFS_EROFS, ['veritysetup', DEBIAN.verity]],
  isShared: false,
  make: makeVerity,
};
const EXT4: Source = { tools: [MKE2FS], isShared: false, make: makeExt4s };

const squashfs = (compressor: 'lz4' | 'zstd'): Source => ({
  tools: [['mksquashfs', DEBIAN.squashfs]],
  isShared: false,
  make: (job) =>
    makeEach(job, ({ root }, file, signal) => makeSquashfs(root, file, compressor, signal)),
});
const SQUASHFS_LZ4 = squashfs('lz4');

const farm = (kind: FarmKind): Source => ({
  tools: [MKE2FS],
  isShared: true,
  make: (job) => makeLinks(job, kind),
});

const ON_READ = 'each block of 4 KiB when it is read from the disk';
const UNVERIFIED = { verifiesData: 'nothing', verifiesMetadata: 'nothing' } as const;
const COMPOSEFS = {
  source: STORE,
  verifiesMetadata: 'all: the image, by its fs-verity digest',
} as const;

/** Layouts of one source stand together, so that it is made once. */
export const LAYOUTS: readonly Layout[] = [
  {
    ...COMPOSEFS,
    id: 'composefs',
    title: 'composefs',
    verifiesData: `${ON_READ}, and the digest of a file when it is opened`,
    mount: mountComposefs,
  },
  {
    ...COMPOSEFS,
    id: 'composefs-eager',
    title: 'composefs, start-up set read at mount',
    verifiesData: 'the start-up set at mount, the rest as composefs',
    mount: mountEager,
    eager: objectsOf,
  },
  {
    ...COMPOSEFS,
    id: 'composefs-eager-all',
    title: 'composefs, everything read at mount',
    verifiesData: 'every object at mount',
    mount: mountEager,
    eager: (made) => objectsOf(made, [...made.stored[0]!.objects.keys()]),
  },
  { ...UNVERIFIED, id: 'erofs', title: 'EROFS', source: EROFS, mount: mountDirect('erofs') },
  {
    ...UNVERIFIED,
    id: 'erofs-overlay',
    title: 'EROFS + overlayfs',
    source: EROFS,
    mount: mountOverlay('erofs'),
  },
  {
    ...UNVERIFIED,
    id: 'squashfs-lz4',
    title: 'squashfs (lz4)',
    source: SQUASHFS_LZ4,
    mount: mountDirect('squashfs'),
  },
  {
    ...UNVERIFIED,
    id: 'squashfs-overlay',
    title: 'squashfs (lz4) + overlayfs',
    source: SQUASHFS_LZ4,
    mount: mountOverlay('squashfs'),
  },
  {
    ...UNVERIFIED,
    id: 'squashfs-zstd',
    title: 'squashfs (zstd)',
    source: squashfs('zstd'),
    mount: mountDirect('squashfs'),
  },
  {
    id: 'dm-verity',
    title: 'EROFS on dm-verity',
    verifiesData: ON_READ,
    verifiesMetadata: 'all: each block of 4 KiB, by the root hash',
    source: VERITY,
    mount: (made, index, target) => [
      `verity image-${index} ${made.tables[index]!.sectors} ${verityTable(device(index), made.tables[index]!)}`,
      `mount erofs /dev/dm-${index} ${target} ro`,
    ],
  },
  {
    ...UNVERIFIED,
    id: 'symlinks',
    title: 'symbolic links into a store',
    source: farm('symbolic'),
    mount: mountFarm,
    linksTo: `${FARM_STORE}/`,
  },
  {
    ...UNVERIFIED,
    id: 'hardlinks',
    title: 'hard links into a store',
    source: farm('hard'),
    mount: mountFarm,
  },
  {
    ...UNVERIFIED,
    id: 'ext4',
    title: 'ext4 directory',
    source: EXT4,
    mount: (_, index, target) => [
      `mount ext4 ${device(index)} ${lower(target)} ro`,
      `mount none ${lower(target)}/tree ${target} bind`,
    ],
  },
];

/** The layouts with these identifiers, in the order of the table. */
export function layoutsOf(ids: ReadonlySet<LayoutId>): Layout[] {
  return LAYOUTS.filter(({ id }) => ids.has(id));
}
