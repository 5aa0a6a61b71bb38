/**
 * Changes to a board's disk, as somebody makes them who holds it and knows every format: bytes in place, files of the
 * store exchanged (the file system is written anew, sound in itself), partitions renamed, states forged.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import {
  PARTITION,
  slotDenyList,
  slotManifest,
  STORE_OBJECTS,
  storeImage,
} from '../../runtime/device-paths.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { type DenyList, encodeDenyList } from '../../runtime/format/deny-list.ts';
import { encodeEnvelope } from '../../runtime/format/envelope.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import {
  createManifest,
  encodeManifest,
  type ManifestInput,
} from '../../runtime/format/manifest.ts';
import {
  encodeSlotStates,
  freshSlotState,
  SLOT_STATE_BYTES,
  SLOT_STATE_SPACING,
  type SlotState,
  SlotStateRecord,
} from '../../runtime/format/slot-state.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { BOOT_FILE, buildDisk, type StoreFile } from '../../toolchain/disk/disk.ts';
import { encodeGpt, type GptPartition } from '../../toolchain/disk/gpt.ts';
import { Ext4Reader } from '../../toolchain/disk/ext4-reader.ts';
import { openDisk, partitionOf, readPartition } from '../../toolchain/disk/open-disk.ts';
import { sealedLayout } from '../../toolchain/disk/sealed-layout.ts';
import { writeAll } from '../../toolchain/disk/write-all.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { initialState } from '../../toolchain/release/release-disk.ts';
import { planEnvelope, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import type { Signer } from '../../toolchain/sign/signer.ts';
import type { BoardBoots, Content } from './board-boots.ts';
import { flip, placeInStore } from './disk-lab.ts';

type SlotLetter = 'a' | 'b';
const BLOCK = 4096;
const { sha256 } = createNodeCrypto();
const digestOf = (bytes: Uint8Array): string =>
  toHex(fsVerityDigest(bytes, 'sha256', hashFunction('sha256')));

// --- names ---------------------------------------------------------------------------------------------

/** The path in the store of the object of a file that differs between the releases. */
export function objectOf(lab: BoardBoots, file: keyof Content, slot: SlotLetter = 'a'): string {
  return `${STORE_OBJECTS}/${objectPath(digestOf(lab.releases[slot].content[file]))}`;
}

/** The path in the store of an image of a release. */
export function imageName(lab: BoardBoots, image: string, slot: SlotLetter = 'a'): string {
  const { images } = lab.releases[slot].manifest;
  return storeImage(images.find(({ name }) => name === image)!.digest);
}

// --- bytes in place ------------------------------------------------------------------------------------

/** Makes a changed disk and returns its path. */
export type Change = (lab: BoardBoots) => string | Promise<string>;

/** A file of the store, by its path there. */
export type FileOf = (lab: BoardBoots) => string;

/** A part of a sealed file: a block of its data (-1 is the last), of its tree (0 is the root), or its descriptor's. */
export type SealedPart = { readonly data: number } | { readonly tree: number } | 'descriptor';

/** Changes a byte of sealed files; `at` counts within the block, below zero from its end. */
export function flipSealed(files: FileOf | readonly FileOf[], part: SealedPart, at = 0): Change {
  return (lab) => {
    const path = lab.copyDisk();
    for (const file of [files].flat()) {
      const name = file(lab);
      const place = placeInStore(path, name, blockOf(path, name, part));
      flip(path, place + (at < 0 ? BLOCK + at : at));
    }
    return path;
  };
}

/** Changes a byte of files that are not sealed, counted from their ends. */
export function flipPlain(files: readonly FileOf[], fromEnd: number): Change {
  return (lab) => {
    const path = lab.copyDisk();
    for (const file of files) {
      const at = sizeInStore(path, file(lab)) - fromEnd;
      flip(path, placeInStore(path, file(lab), Math.floor(at / BLOCK)) + (at % BLOCK));
    }
    return path;
  };
}

function blockOf(disk: string, name: string, part: SealedPart): number {
  const layout = sealedLayout(sizeInStore(disk, name), 'sha256');
  const { dataBlocks, treeStart, descriptorBlock, levels } = layout;
  if (part === 'descriptor') return descriptorBlock;
  if ('data' in part) return part.data < 0 ? dataBlocks + part.data : part.data;
  if (levels.length === 0) throw new Error(`${name} has no Merkle tree`);
  return treeStart + part.tree;
}

function sizeInStore(path: string, name: string): number {
  using disk = openDisk(path);
  const store = partitionOf(disk, PARTITION.STORE);
  const reader = new Ext4Reader(readPartition(disk, store), store.size);
  return reader.files().find((file) => file.path === name)!.size;
}

/** Writes into the state partition; `at` counts from its start. */
function writeState(path: string, at: number, bytes: Uint8Array): string {
  using disk = openDisk(path);
  const { offset } = partitionOf(disk, PARTITION.STATE);
  write(path, bytes, offset + at);
  return path;
}

function write(path: string, bytes: Uint8Array, at: number): void {
  const fd = openSync(path, 'r+');
  try {
    writeAll(fd, bytes, at);
  } finally {
    closeSync(fd);
  }
}

/** Changes a byte of some copies of the slot state. */
export function flipState(...copies: readonly number[]): Change {
  return (lab) => {
    const path = lab.copyDisk();
    using disk = openDisk(path);
    const { offset } = partitionOf(disk, PARTITION.STATE);
    for (const copy of copies) flip(path, offset + copy * SLOT_STATE_SPACING + 0x10);
    return path;
  };
}

/** Fills the state partition, all but the two copies. */
export const fillState: Change = (lab) => {
  const path = lab.copyDisk();
  const between = new Uint8Array(SLOT_STATE_SPACING - SlotStateRecord.size).fill(0xff);
  writeState(path, SlotStateRecord.size, between);
  using disk = openDisk(path);
  const { size } = partitionOf(disk, PARTITION.STATE);
  return writeState(path, SLOT_STATE_BYTES, new Uint8Array(size - SLOT_STATE_BYTES).fill(0xff));
};

/** Another change, on a board that has booted both releases before. */
export function withState(state: Partial<SlotState>, change: Change): Change {
  return async (lab) => {
    const { triesMax, slotCount, epochs } = lab.built.boot!.files.policy;
    const known = {
      ...freshSlotState(triesMax, slotCount, epochs),
      releaseA: lab.releases.a.manifest.releaseId,
      releaseB: lab.releases.b.manifest.releaseId,
      ...state,
    };
    return writeState(await change(lab), 0, encodeSlotStates(known, sha256));
  };
}

// --- the store -----------------------------------------------------------------------------------------

/** Files of the store by name; to set one is to write it, sealed or not. */
export type StoreFiles = Map<string, StoreFile>;

/** Writes the disk again with other files in its store. */
export function changeStore(edit: (files: StoreFiles, lab: BoardBoots) => void): Change {
  return async (lab) => {
    const files: StoreFiles = new Map(lab.store.map((file) => [file.name, file]));
    edit(files, lab);
    const { boot } = lab.built;
    const path = lab.newPath();
    await buildDisk({
      output: path,
      boot: boot!.files.files.map(({ part, bytes }) => ({ name: BOOT_FILE[part], bytes })),
      store: [...files.values()],
      state: initialState(boot!.files),
    });
    return path;
  };
}

/** Puts one file in the place of another; both are sealed and whole. */
export const replaceFile = (file: FileOf, by: FileOf): Change =>
  changeStore((files, lab) => {
    files.set(file(lab), { ...files.get(by(lab))!, name: file(lab) });
  });

/** Exchanges the names of two files. */
export const exchangeFiles = (one: FileOf, other: FileOf): Change =>
  changeStore((files, lab) => {
    const [first, second] = [files.get(one(lab))!, files.get(other(lab))!];
    files.set(first.name, { ...second, name: first.name });
    files.set(second.name, { ...first, name: second.name });
  });

export const removeFile = (file: FileOf): Change =>
  changeStore((files, lab) => files.delete(file(lab)));

/** Takes the last byte away from a file that is not sealed. */
export const cutFile = (file: FileOf): Change =>
  changeStore((files, lab) => {
    const name = file(lab);
    const bytes = contentOf(files.get(name)!).subarray(0, -1);
    files.set(name, { name, digest: undefined, bytes });
  });

/** Takes the seal off a file, and changes a byte of it. */
export const unsealFile = (file: FileOf): Change =>
  changeStore((files, lab) => {
    const name = file(lab);
    const bytes = contentOf(files.get(name)!);
    bytes[bytes.length - 1]! ^= 1;
    files.set(name, { name, digest: undefined, bytes });
  });

/** Changes a byte and seals the file again: sound in itself, but not what its name says. */
export const resealFile = (file: FileOf): Change =>
  changeStore((files, lab) => {
    const name = file(lab);
    const bytes = contentOf(files.get(name)!);
    bytes[bytes.length - 1]! ^= 1;
    files.set(name, { name, digest: digestOf(bytes), bytes });
  });

function contentOf(file: StoreFile): Uint8Array {
  return 'bytes' in file ? Uint8Array.from(file.bytes) : new Uint8Array(readFileSync(file.path));
}

// --- what is signed ------------------------------------------------------------------------------------

/** Another manifest for slot a: the release's own with some fields changed, signed by somebody. */
export const signAgain = (
  signer: (lab: BoardBoots) => Signer,
  change: (lab: BoardBoots) => Partial<ManifestInput> = () => ({}),
): Change =>
  changeStore((files, lab) => {
    const manifest = createManifest({ ...lab.releases.a.manifest, ...change(lab) }, sha256);
    const key = signer(lab);
    // Not by signManifest, which asks what a board would: attackers have tools of their own.
    const plan = planEnvelope('manifest', encodeManifest(manifest), key.describe());
    const bytes = encodeEnvelope(plan.protectedHeader, plan.payload, key.sign(plan.tbs));
    files.set(slotManifest('a'), { name: slotManifest('a'), digest: undefined, bytes });
  });

/** A deny list for slot a, signed by the board's own authority. */
export const addDenyList = (list: (lab: BoardBoots) => Partial<DenyList>): Change =>
  changeStore((files, lab) => {
    const none: DenyList = {
      version: 1,
      keys: [],
      certificates: [],
      manifests: [],
      epochs: new Map(),
    };
    const payload = encodeDenyList({ ...none, ...list(lab) });
    const bytes = signEnvelope('deny list', payload, lab.pki.denyList);
    files.set(slotDenyList('a'), { name: slotDenyList('a'), digest: undefined, bytes });
  });

// --- the partition table -------------------------------------------------------------------------------

/** Writes another partition table, with the right checksums in both copies. */
export function changePartitions(
  change: (partitions: readonly GptPartition[]) => readonly GptPartition[],
): Change {
  return (lab) => {
    const path = lab.copyDisk();
    using disk = openDisk(path);
    const { front, back } = encodeGpt(
      { guid: disk.gpt.guid, partitions: change(disk.partitions) },
      disk.size,
    );
    write(path, front, 0);
    write(path, back, disk.size - back.length);
    return path;
  };
}
