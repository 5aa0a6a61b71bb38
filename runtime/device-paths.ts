/**
 * Where things are on a device: in the initramfs, on the store partition, and below /run in the booted system.
 *
 * The toolchain writes to these places and the runtime reads them; both take the names from here. No name comes
 * from a manifest: images are found by digest, mounts by enumeration and checked name.
 */
import { toHex } from './format/bytes.ts';
import type { ImageDigest } from './format/manifest-image.ts';
import type { SlotName } from './format/slot-state.ts';

/** GPT names of the partitions, which the kernel announces as PARTNAME. */
export const PARTITION = {
  /** FAT: kernel, initramfs and command line, for the bootloader. */
  BOOT: 'coldseal-boot',
  /** ext4 with fs-verity, mounted read-only: objects, images, slots. */
  STORE: 'coldseal-store',
  /** Raw: two copies of the slot state. */
  STATE: 'coldseal-state',
} as const;

/** In the initramfs. */
export const SEALED = '/coldseal';
export const SEALED_POLICY = `${SEALED}/policy.cbor`;
export const SEALED_TRUST = `${SEALED}/trust.cbor`;
/** What a boot will read, in order; there in a release with a profile. */
export const SEALED_READ_AHEAD = `${SEALED}/read-ahead`;
/** The file of a kernel module, without compression. */
export const sealedModule = (name: string): string => `${SEALED}/modules/${name}.ko`;
export const NEW_ROOT = '/sysroot';

/** What the kernel says about disks and their partitions, a directory each. */
export const BLOCK_DEVICES = '/sys/class/block';

/** In the booted system, all on a tmpfs at /run. */
export const RUN = '/run/coldseal';
export const RUN_RECORD = `${RUN}/boot.json`;
/** The runtime itself, and what was sealed with it. */
export const RUN_PROGRAM = `${RUN}/bin/coldseal`;
export const RUN_SEALED = `${RUN}/sealed`;
export const RUN_STORE = `${RUN}/store`;
export const RUN_CONTAINERS = `${RUN}/containers`;
export const RUN_CONFIG = `${RUN}/config`;
/** What containers print, a file each, when it does not go to the console. */
export const RUN_OUTPUT = `${RUN}/output`;

/** Below the root of the store. */
export const STORE_OBJECTS = 'objects';
export const slotManifest = (slot: SlotName): string => `slots/${slot}/manifest.cose`;
export const slotDenyList = (slot: SlotName): string => `slots/${slot}/deny.cose`;
export const storeImage = (digest: ImageDigest): string => `images/${toHex(digest.value)}.cfs`;
