/**
 * The disk of a release: boot files, the releases of its slots in one store, the state of a board that never booted.
 *
 * A release for slot b or for recovery is verified first, with exactly what is sealed into the initramfs: what this
 * board's runtime would refuse does not get onto its disk. Objects and images that releases share are there once.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import {
  slotDenyList,
  slotManifest,
  STORE_OBJECTS,
  storeImage,
} from '../../runtime/device-paths.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { ENVELOPE_BYTES_MAX } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Manifest } from '../../runtime/format/manifest.ts';
import type { ObjectReference } from '../../runtime/format/object-list.ts';
import {
  encodeSlotStates,
  freshSlotState,
  type SlotName,
} from '../../runtime/format/slot-state.ts';
import { decodeTrustBundle } from '../../runtime/format/trust.ts';
import type { VerifyPolicy } from '../../runtime/verify.ts';
import type { Board } from '../board/schema.ts';
import { BOOT_FILE, buildDisk, type DiskSummary, type StoreFile } from '../disk/disk.ts';
import { objectsOfImage } from '../image/objects.ts';
import { objectPath } from '../objects/layout.ts';
import { checkRelease, imageFileName } from '../sign/check-release.ts';
import { readWhole, withFile } from '../sign/release-files.ts';
import type { BootFiles } from './boot-files.ts';

/** A verified release and the slot it goes into. */
export interface SlotRelease {
  readonly slot: SlotName;
  /** Its directory. */
  readonly path: string;
  readonly manifest: Manifest;
  readonly manifestSha256: string;
  readonly objects: readonly ObjectReference[];
  readonly hasDenyList: boolean;
}

/** What of a release says which files it has. */
export type StoredRelease = Pick<SlotRelease, 'slot' | 'path' | 'objects' | 'hasDenyList'> & {
  readonly manifest: Pick<Manifest, 'images'>;
};

/** What the runtime of the board will ask of a release, before a boot has raised any floor. */
export function bootPolicy({ policy, trust }: Pick<BootFiles, 'policy' | 'trust'>): VerifyPolicy {
  return {
    anchors: decodeTrustBundle(trust).anchors,
    algorithms: policy.algorithms,
    roles: policy.roles,
    product: policy.product,
    board: policy.board,
    epochs: policy.epochs,
    denyVersion: policy.minDenyVersion,
    checkTime: undefined,
  };
}

export interface OpenSlotOptions {
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Verifies an earlier release for a slot. Throws the code of whatever the runtime would refuse it for. */
export async function openSlotRelease(
  slot: SlotName,
  path: string,
  boot: Pick<BootFiles, 'policy' | 'trust'>,
  options: OpenSlotOptions = {},
): Promise<SlotRelease> {
  const deny = join(path, 'deny.cose');
  const denyList = existsSync(deny) ? readDenyList(deny) : undefined;
  const { onProgress, signal } = options;
  const { verdict, list } = await checkRelease(path, {
    policy: bootPolicy(boot),
    denyList,
    objectsOfImage,
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (verdict.ok) {
    return {
      slot,
      path,
      manifest: verdict.manifest!,
      manifestSha256: toHex(verdict.manifestSha256!),
      objects: list,
      hasDenyList: denyList !== undefined,
    };
  }
  const { code, message, hint } = verdict.reason!;
  const where = slot === 'recovery' ? 'for recovery' : `in slot ${slot}`;
  throw new ColdsealError(
    code,
    `Cannot put ${path} ${where}, the board would refuse it: ${message}`,
    {
      hint,
      cause: verdict.reason,
    },
  );
}

function readDenyList(path: string): Uint8Array {
  return withFile(path, 'VERIFY_DENY_LIST_OLD', (fd, size) =>
    readWhole(fd, Math.min(size, ENVELOPE_BYTES_MAX + 1)),
  );
}

/** The files of the store partition, each once, by name. */
export function storeFiles(slots: readonly StoredRelease[]): StoreFile[] {
  const files = new Map<string, StoreFile>();
  const add = (file: StoreFile): void => void (files.has(file.name) || files.set(file.name, file));
  for (const { slot, path, manifest, objects, hasDenyList } of slots) {
    const signed = (name: string, from: string): void =>
      add({ name, digest: undefined, path: join(path, from) });
    signed(slotManifest(slot), 'manifest.cose');
    if (hasDenyList) signed(slotDenyList(slot), 'deny.cose');
    for (const image of manifest.images) {
      const from = join(path, 'images', imageFileName(image));
      add({ name: storeImage(image.digest), digest: toHex(image.digest.value), path: from });
    }
    for (const { digest } of objects) {
      const place = objectPath(digest);
      add({ name: `${STORE_OBJECTS}/${place}`, digest, path: join(path, 'objects', place) });
    }
  }
  return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The state partition of a board that has never booted: full tries, the epochs that are sealed in as floors. */
export function initialState({ policy }: Pick<BootFiles, 'policy'>): Uint8Array {
  const { triesMax, slotCount, epochs } = policy;
  return encodeSlotStates(freshSlotState(triesMax, slotCount, epochs), createNodeCrypto().sha256);
}

const MIB = 1024 * 1024;

export interface WriteDiskOptions extends OpenSlotOptions {
  readonly output: string;
  /** Files of the store that come first. */
  readonly order?: readonly string[] | undefined;
}

/** Writes the disk of a board. Same releases and boot files, same bytes. */
export async function writeReleaseDisk(
  boot: Pick<BootFiles, 'board' | 'policy' | 'files'>,
  slots: readonly SlotRelease[],
  { output, order, onProgress, signal }: WriteDiskOptions,
): Promise<DiskSummary> {
  return buildDisk({
    output,
    sizes: diskSizes(boot.board.value),
    boot: boot.files.map(({ part, bytes }) => ({ name: BOOT_FILE[part], bytes })),
    store: storeFiles(slots),
    order,
    state: initialState(boot),
    signal,
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

export function diskSizes({ store }: Board): { store?: number; storeSparePercent: number } {
  const { size_mb: size, spare_percent: storeSparePercent } = store;
  return size === undefined ? { storeSparePercent } : { store: size * MIB, storeSparePercent };
}
