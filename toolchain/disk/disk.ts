/**
 * The flashable disk: a GPT with the three partitions that the runtime and the bootloader know by name.
 *
 * coldseal-boot is FAT32 for the bootloader, coldseal-store an ext4 whose files are sealed with fs-verity,
 * coldseal-state raw. Everything is written by code of this directory straight into one sparse file: same input, same
 * bytes, on any machine (docs/decisions/0037-own-file-systems.md). GUIDs and ids are derived from the content.
 */
import type { Content } from './content.ts';

/** Names of files on the boot partition. */
export const BOOT_FILE = {
  kernel: 'kernel',
  initramfs: 'initramfs',
  cmdline: 'cmdline.txt',
  dtb: 'dtb',
  container: 'container',
} as const;

/** A file of the boot partition; directories in the name are made (`EFI/BOOT/BOOTX64.EFI`). */
export type BootFile = { readonly name: string } & Content;

/** A file of the store partition. */
export type StoreFile = {
  /** Path below the root of the store, without a leading slash: `objects/ab/cdef…`, `slots/a/manifest.cose`. */
  readonly name: string;
  /**
   * fs-verity digest in lower-case hexadecimal; the file is sealed, and its content must have this digest.
   * Undefined for what is signed instead, such as a manifest: an ordinary file.
   */
  readonly digest: string | undefined;
} & Content;

/** Sizes in bytes, rounded up to 1 MiB. */
export interface DiskSizes {
  /** Default: twice the files, at least 64 MiB. */
  readonly boot?: number;
  /** Default: what the content takes and `storeSparePercent` more. */
  readonly store?: number;
  /** Default: 50. */
  readonly storeSparePercent?: number;
  /** Default: 1 MiB. */
  readonly state?: number;
}

export interface DiskPlan {
  /** Where the image goes: a path, or an open empty file that the caller makes durable and renames. */
  readonly output: string;
  /** Replace an output that is there. */
  readonly force?: boolean;
  readonly sizes?: DiskSizes;
  readonly boot: readonly BootFile[];
  readonly store: readonly StoreFile[];
  /** The first bytes of the state partition. */
  readonly state: Uint8Array;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface PartitionRange {
  readonly name: string;
  /** In bytes from the start of the disk. */
  readonly offset: number;
  readonly size: number;
}

export interface DiskSummary {
  readonly size: number;
  readonly partitions: readonly PartitionRange[];
  readonly files: number;
  /** Bytes of the disk that are in use, the rest being holes of the file. */
  readonly allocated: number;
}

/** Makes a disk image. Throws VERIFY_SEALED_DIGEST when a file is not what its digest says, CONFIG_DISK_SIZE… */
export async function buildDisk(plan: DiskPlan): Promise<DiskSummary> {
  throw new Error(`not made yet: ${plan.output}`);
}

/** An open disk image or device, its GPT proven: bounds, checksums, both copies. */
export interface OpenDisk extends Disposable {
  readonly path: string;
  readonly size: number;
  readonly partitions: readonly PartitionRange[];
  /** Reads exactly `length` bytes; throws FORMAT_DISK_* when the disk ends before. */
  read(offset: number, length: number): Buffer;
}

/** Opens a disk for reading. Throws FORMAT_GPT_* and FORMAT_DISK_*. */
export function openDisk(path: string): OpenDisk {
  throw new Error(`not made yet: ${path}`);
}

/** The files of the boot partition by name, whole, each at most 1 GiB. */
export function readBootFiles(disk: OpenDisk): ReadonlyMap<string, Uint8Array> {
  throw new Error(`not made yet: ${disk.path}`);
}
