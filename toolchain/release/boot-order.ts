/**
 * What `--profile` gives a release: the order of its files on the disk, and what the runtime reads ahead.
 *
 * The list goes into the initramfs, which the manifest binds, so it is made before there is a manifest: of that
 * only the name counts here.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { toHex } from '../../runtime/format/bytes.ts';
import { MOUNT } from '../../runtime/format/manifest-image.ts';
import { distinctObjects } from '../../runtime/format/object-list.ts';
import type { Board } from '../board/schema.ts';
import { imageFileName } from '../sign/check-release.ts';
import type { BootStepOptions } from './boot-steps.ts';
import type { BuiltSetImage } from './build-release.ts';
import { diskSizes, type SlotRelease, storeFiles } from './release-disk.ts';
import { slotManifest } from '../../runtime/device-paths.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { BLOCK, INODES_PER_BLOCK } from '../disk/ext4-records.ts';
import { planExt4 } from '../disk/ext4-layout.ts';
import { withSizes } from '../disk/ext4-verity.ts';
import { type StoreFile, storeSize } from '../disk/disk.ts';
import { type Coverage, matchProfile } from '../profile/match-profile.ts';
import { parseProfile, type Profile } from '../profile/profile-schema.ts';
import { type ReadAheadList, readAheadList } from '../profile/read-ahead-list.ts';
import { type ImageContent, readImageContents } from '../profile/release-content.ts';
import { readInput } from '../files/read-input.ts';

export interface GivenProfile {
  readonly profile: Profile;
  readonly sha256: string;
}

export interface BootOrder {
  readonly profileSha256: string;
  /** Names of files of the store. */
  readonly order: readonly string[];
  readonly coverage: Coverage;
  /** Undefined where the disk alone is ordered. */
  readonly readAhead: ReadAheadList | undefined;
}

/** Reads the profile for a board. Throws FORMAT_PROFILE, CONFIG_PROFILE_BOARD. */
export function readProfile(path: string, board: string): GivenProfile {
  const bytes = readInput(path);
  const profile = parseProfile(bytes, path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (profile.board === board) return { profile, sha256 };
  throw new ColdsealError(
    'CONFIG_PROFILE_BOARD',
    `Cannot use the profile ${path}: it is of board ${profile.board}, expected ${board}`,
    { hint: 'another board boots in another order; make one with coldseal profile' },
  );
}

/** The order of a release whose images are written and whose manifest is not. Warns of a profile that is of no use. */
export function orderRelease(
  profile: GivenProfile,
  images: readonly BuiltSetImage[],
  slots: readonly SlotRelease[],
  directory: string,
  board: Board,
  { noReadAhead = false, onWarning }: BootStepOptions,
): BootOrder {
  const contents = readImageContents(
    images.map(({ entry }) => ({
      name: entry.name,
      digest: toHex(entry.digest.value),
      size: entry.size,
      isRoot: entry.mount === MOUNT.ROOT,
      path: join(directory, 'images', imageFileName(entry)),
    })),
  );
  const own = {
    slot: 'a',
    path: directory,
    manifest: { images: images.map(({ entry }) => entry) },
    objects: distinctObjects(images.flatMap(({ source }) => source.objects)),
    hasDenyList: false,
  } as const;
  const store = withoutManifest(storeFiles([own, ...slots]));
  const storeBytes = storeSize(store, diskSizes(board));
  const order = bootOrder(profile, contents, store, { storeBytes, noReadAhead });
  const { byDigest, byName, records } = order.coverage;
  if (byDigest + byName === 0) {
    onWarning(`the profile is of no use: the release has none of its ${records} files`);
  }
  return order;
}

/** Matches a profile with what will be on the disk, whose store has `storeBytes`. */
function bootOrder(
  { profile, sha256: profileSha256 }: GivenProfile,
  images: readonly ImageContent[],
  store: readonly StoreFile[],
  { storeBytes, noReadAhead }: { readonly storeBytes: number; readonly noReadAhead: boolean },
): BootOrder {
  const { files, coverage } = matchProfile(profile, images);
  const isThere = new Set(store.map(({ name }) => name));
  const placed = files.filter(({ name }) => isThere.has(name));
  const order = placed.map(({ name }) => name);
  const metadata = { name: '', ranges: metadataRanges(store, storeBytes, order) };
  const readAhead = noReadAhead ? undefined : readAheadList([metadata, ...placed]);
  return { profileSha256, order, coverage, readAhead };
}

/** Where the file system keeps what leads to the first files: their inodes, and the directories above them. */
function metadataRanges(
  store: readonly StoreFile[],
  sizeBytes: number,
  order: readonly string[],
): [from: number, to: number][] {
  const { geometry, directories, files } = planExt4(withSizes(store), sizeBytes, order);
  const first = new Set(order);
  const isAbove = (path: string): boolean => order.some((name) => name.startsWith(`${path}/`));
  const used = directories.filter(({ path }) => path === '' || isAbove(path));
  const inodes = [
    ...used.map(({ inode }) => inode),
    ...files.filter(({ file }) => first.has(file.name)).map(({ inode }) => inode),
  ];
  const runs = used.map(({ run }) => run);
  const table = geometry.inodeTables;
  const tableEnd = table + Math.ceil(Math.max(...inodes) / INODES_PER_BLOCK);
  const start = Math.min(...runs.map(({ physical }) => physical));
  const end = Math.max(...runs.map(({ physical, count }) => physical + count));
  const blocks =
    tableEnd === start
      ? [[table, end] as const]
      : [[table, tableEnd] as const, [start, end] as const];
  return blocks.map(([from, to]) => [from * BLOCK, to * BLOCK]);
}

/** Room for a manifest that is not signed yet. */
function withoutManifest(files: readonly StoreFile[]): StoreFile[] {
  return files.map((file) =>
    file.name === slotManifest('a')
      ? { name: file.name, digest: undefined, bytes: new Uint8Array(2 * BLOCK) }
      : file,
  );
}
