/**
 * The flashable disk: a GPT with the three partitions that the runtime and the bootloader know by name.
 *
 * coldseal-boot is FAT32 for the bootloader, coldseal-store an ext4 whose files are sealed with fs-verity,
 * coldseal-state raw. Everything is written by code of this directory straight into one sparse file: same input, same
 * bytes, on any machine (docs/decisions/0037-own-file-systems.md). GUIDs and ids are derived from the content.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PARTITION } from '../../runtime/device-paths.ts';
import { alignUp, toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { refuseExisting } from '../files/atomic-file.ts';
import { syncPath } from '../files/sync-path.ts';
import { checkFileSystem } from './check-file-system.ts';
import { type Content, contentSize, readContent } from './content.ts';
import { neededBytes } from './ext4-layout.ts';
import { withSizes, writeSealedExt4 } from './ext4-verity.ts';
import { writeFat } from './fat.ts';
import {
  ALIGNMENT,
  diskSizeFor,
  encodeGpt,
  type Gpt,
  type GptPartition,
  guidOf,
  SECTOR,
} from './gpt.ts';
import { writeAll } from './write-all.ts';

/** Kinds of partitions; the last is coldseal's own, for which no system mounts anything. */
const TYPE = {
  EFI_SYSTEM: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  LINUX: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  STATE: '8d2c1f5a-6b0e-4c57-9a43-5e10c0ad5ea1',
} as const;
/** "Legacy BIOS bootable", by which U-Boot finds the partition to boot from. */
const BOOTABLE = 4n;
const BOOT_BYTES_DEFAULT = 64 * 1024 * 1024;
const PARTITION_BYTES_MAX = 8 * 1024 ** 4;

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
  /** Path of the image; it is written beside it and renamed. */
  readonly output: string;
  /** Replace an output that is there. */
  readonly force?: boolean;
  readonly sizes?: DiskSizes;
  readonly boot: readonly BootFile[];
  readonly store: readonly StoreFile[];
  /** Names of store files that come first on the disk, in this order; the others follow by name. */
  readonly order?: readonly string[] | undefined;
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
  const sizes = sizesOf(plan);
  const seed = seedOf(plan, sizes);
  const gpt = layOut(sizes, seed);
  const [boot, store, state] = gpt.partitions as [GptPartition, GptPartition, GptPartition];
  const diskSize = diskSizeFor(state.offset + state.size);
  using output = new OutputImage(plan.output, diskSize, plan.force === true);
  const { fd } = output;
  const total = totalSize(plan.store);
  writeFat(fd, boot.offset, {
    files: plan.boot,
    sizeBytes: boot.size,
    startSector: boot.offset / SECTOR,
    volumeId: new DataView(derive(seed, 'volume').buffer).getUint32(0, true),
    label: 'COLDSEAL',
  });
  await writeSealedExt4(fd, store.offset, {
    files: plan.store,
    order: plan.order,
    sizeBytes: store.size,
    uuid: uuidFrom(seed, 'file system'),
    label: PARTITION.STORE,
    onProgress: (done) => plan.onProgress?.(done, total),
    signal: plan.signal,
  });
  writeAll(fd, plan.state, state.offset);
  const { front, back } = encodeGpt(gpt, diskSize);
  writeAll(fd, back, diskSize - back.length);
  writeAll(fd, front, 0);
  await checkFileSystem(output.temporary, store.offset, plan.signal);
  const allocated = fstatSync(fd).blocks * 512;
  output.commit();
  return {
    size: diskSize,
    partitions: gpt.partitions.map(({ name, offset, size }) => ({ name, offset, size })),
    files: plan.store.length,
    allocated,
  };
}

// --- sizes and ids -------------------------------------------------------------------------------------

type Sizes = Readonly<Record<'boot' | 'store' | 'state', number>>;

const totalSize = (files: readonly Content[]): number =>
  files.reduce((sum, file) => sum + contentSize(file), 0);

/** Bytes of the store partition that a disk with these files and sizes has. */
export function storeSize(store: readonly StoreFile[], sizes: DiskSizes): number {
  const { store: given, storeSparePercent: spare = 50 } = sizes;
  return alignUp(given ?? neededBytes(withSizes(store), spare, ALIGNMENT), ALIGNMENT);
}

function sizesOf({ sizes = {}, boot, store, state }: DiskPlan): Sizes {
  const wanted = {
    boot: sizes.boot ?? Math.max(BOOT_BYTES_DEFAULT, 2 * totalSize(boot)),
    store: storeSize(store, sizes),
    state: sizes.state ?? ALIGNMENT,
  };
  if (state.length > wanted.state) {
    throw new ColdsealError(
      'CONFIG_DISK_SIZE',
      `Cannot make a state partition of ${wanted.state} bytes: the state has ${state.length}`,
    );
  }
  const aligned = Object.entries(wanted).map(([name, size]) => {
    if (!(size > 0 && size <= PARTITION_BYTES_MAX)) {
      throw new ColdsealError(
        'CONFIG_DISK_SIZE',
        `Cannot make a ${name} partition of ${size} bytes: expected 1 to ${PARTITION_BYTES_MAX}`,
      );
    }
    return [name, alignUp(size, ALIGNMENT)];
  });
  return Object.fromEntries(aligned) as Sizes;
}

/** One hash over everything that goes onto the disk; sealed files are named by their digests. */
function seedOf({ boot, store, order = [], state }: DiskPlan, sizes: Sizes): Uint8Array {
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  const lines = [
    ...[...boot].sort(byName).map((file) => `boot ${file.name} ${sha256Of(file)}`),
    ...[...store].sort(byName).map((file) => `store ${file.name} ${file.digest ?? sha256Of(file)}`),
    ...order.map((name) => `order ${name}`),
    `state ${sha256Of({ bytes: state })}`,
    ...Object.entries(sizes).map(([name, size]) => `size ${name} ${size}`),
  ];
  return createHash('sha256')
    .update(`coldseal disk v1\n${lines.join('\n')}\n`)
    .digest();
}

function sha256Of(content: Content): string {
  const hash = createHash('sha256');
  readContent(content, (piece) => hash.update(piece));
  return hash.digest('hex');
}

/** 32 bytes for one use. */
function derive(seed: Uint8Array, use: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(seed).update(use).digest());
}

/** A UUID of version 8, which is for ids that are made in a way of one's own (RFC 9562). */
function uuidFrom(seed: Uint8Array, use: string): Uint8Array {
  const uuid = derive(seed, use).slice(0, 16);
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
}

/** The same as the GPT has it. */
function guidFrom(seed: Uint8Array, use: string): Uint8Array {
  return guidOf(toHex(uuidFrom(seed, use)));
}

function layOut(sizes: Sizes, seed: Uint8Array): Gpt {
  let offset = ALIGNMENT;
  const partition = (name: string, size: number, type: string, attributes = 0n): GptPartition => {
    offset += size;
    const guid = guidFrom(seed, name);
    return { name, type: guidOf(type), guid, offset: offset - size, size, attributes };
  };
  const partitions = [
    partition(PARTITION.BOOT, sizes.boot, TYPE.EFI_SYSTEM, BOOTABLE),
    partition(PARTITION.STORE, sizes.store, TYPE.LINUX),
    partition(PARTITION.STATE, sizes.state, TYPE.STATE),
  ];
  return { guid: guidFrom(seed, 'disk'), partitions };
}

// --- the file ------------------------------------------------------------------------------------------

/** The image under a temporary name, which becomes its own when it is whole. */
class OutputImage implements Disposable {
  readonly temporary: string;
  readonly #path: string;
  #fd: number | undefined;

  constructor(path: string, size: number, force: boolean) {
    if (!force) refuseExisting(path);
    this.#path = path;
    this.temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    try {
      rmSync(this.temporary, { force: true });
      this.#fd = openSync(this.temporary, 'wx+', 0o644);
      ftruncateSync(this.#fd, size);
    } catch (error) {
      this[Symbol.dispose]();
      throw explainSysError(error, `Cannot write ${path}`);
    }
  }

  get fd(): number {
    return this.#fd!;
  }

  commit(): void {
    try {
      fsyncSync(this.fd);
      renameSync(this.temporary, this.#path);
      closeSync(this.fd);
      this.#fd = undefined;
      syncPath(dirname(this.#path));
    } catch (error) {
      throw explainSysError(error, `Cannot write ${this.#path}`);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(this.temporary, { force: true });
  }
}
