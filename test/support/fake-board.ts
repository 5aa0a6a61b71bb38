/**
 * What a fake board is made of, and what may happen to it in one run (see fake-device.ts).
 */
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import type { Crypto } from '../../runtime/crypto.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import type { FsConfig, KernelMeasurement, MountAttributes } from '../../runtime/sys.ts';

export interface StoreFile {
  bytes: Uint8Array;
  /** fs-verity digest as the descriptor says it; absent: not sealed. */
  sealed?: string;
  kind?: 'file' | 'symlink';
}

export interface FakePartition {
  readonly name: string;
  /** Such as `vda2`. */
  readonly device: string;
  /** When it appears, in milliseconds of the boot clock; undefined: never. */
  readonly atMs: number | undefined;
}

/** What stays when the power goes. */
export interface FakeBoard {
  partitions: readonly FakePartition[];
  readonly store: Map<string, StoreFile>;
  readonly state: Uint8Array;
  readonly initramfs: Map<string, Uint8Array>;
  commandLine: string;
  compatible: string;
  smbios?: { vendor: string; product: string };
  /** What /sys/class/block/vda/stat has now. */
  diskStat?: () => string;
  /** Paths below the root of the system image that exist, as directories or programs. */
  systemPaths: readonly string[];
  modulesLoaded: Set<string>;
}

export interface FakeRun {
  /** The call with this number (from 1) fails; clean-up calls are not counted and never fail. */
  readonly failAt?: number;
  /** Every call that begins with this fails with EIO. */
  readonly failCall?: string;
  /** Power fails in the effect with this number (from 1). */
  readonly cutAt?: number;
  /** How many bytes of a write in that effect still reach the medium. */
  readonly cutBytes?: number;
  /** Lies about what the kernel measures. */
  readonly measure?: (path: string, honest: KernelMeasurement) => KernelMeasurement;
  /** Linux 6.15 and newer: layers from mounts that are attached nowhere. */
  readonly detachedLayers?: boolean;
  readonly failWrites?: boolean;
  readonly counter?: boolean;
}

export type MachineEnd = 'exec' | 'restart' | 'power-off' | 'halt' | 'power cut';

/** The machine has ended; not an error that runtime code may explain. */
export class Ended extends Error {
  readonly how: MachineEnd;
  constructor(how: MachineEnd) {
    super(`the machine has ended: ${how}`);
    this.how = how;
  }
}

export interface Mounted {
  readonly type: string;
  readonly source: string;
  readonly attributes: MountAttributes;
  /** Of an image: the store's path of the file that was mounted. */
  readonly image?: string;
  /** Whether every file must have fs-verity. */
  readonly isVerityRequired?: boolean;
  readonly data?: string;
}

/** What an open descriptor is. */
export type Handle =
  | { kind: 'file'; path: string; bytes: Uint8Array; fileKind: 'file' | 'symlink' }
  | { kind: 'device'; path: string }
  | { kind: 'directory'; path: string; image?: string }
  | { kind: 'context'; type: string; options: FsConfig[] }
  | { kind: 'mount'; mounted: Mounted; image?: string }
  | { kind: 'uevents' };

/** How the kernel announces a partition. */
export function ueventOf({ name, device }: FakePartition): string[] {
  return [
    'ACTION=add',
    'SUBSYSTEM=block',
    'DEVTYPE=partition',
    `DEVNAME=${device}`,
    `PARTNAME=${name}`,
  ];
}

export function copy(bytes: Uint8Array, into: Uint8Array, offset: number): number {
  const part = bytes.subarray(offset, offset + into.length);
  into.set(part);
  return part.length;
}

export function digestOf(bytes: Uint8Array, algorithm: VerityAlgorithm = 'sha256'): string {
  return toHex(fsVerityDigest(bytes, algorithm, hashFunction(algorithm)));
}

/** The same signatures are verified in hundreds of boots. */
export function rememberingCrypto(real: Crypto): Crypto {
  const known = new Map<string, boolean>();
  return {
    ...real,
    verifySignature: (algorithm, spki, message, signature) => {
      const parts = [spki, message, signature].map((part) => toHex(real.sha256(part)));
      const key = [algorithm, ...parts].join();
      const answer = known.get(key) ?? real.verifySignature(algorithm, spki, message, signature);
      known.set(key, answer);
      return answer;
    },
  };
}

export const textOf = (option: FsConfig | undefined): string =>
  option?.kind === 'string' ? option.value : '';

export const isIntact = (file: StoreFile): boolean => digestOf(file.bytes) === file.sealed;
