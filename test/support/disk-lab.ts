/** A small disk with a signed release in slot a, made by the same code as a real one. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join, relative } from 'node:path';
import { PARTITION, slotManifest, STORE_OBJECTS } from '../../runtime/device-paths.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest, type VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { encodeSlotStates, freshSlotState } from '../../runtime/format/slot-state.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import {
  BOOT_FILE,
  buildDisk,
  type BootFile,
  type DiskSummary,
  type StoreFile,
} from '../../toolchain/disk/disk.ts';
import { Ext4Reader } from '../../toolchain/disk/ext4-reader.ts';
import { openDisk, partitionOf, readPartition } from '../../toolchain/disk/open-disk.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { openDevSigner, initDevKeys } from '../../toolchain/sign/dev-keys.ts';
import { sha256 } from './manifests.ts';
import { BOOT_FILES, type TestRelease, writeRelease } from './test-release.ts';

/** Sizes at which something changes: no block, one, two, the gap, one level of the tree, two. */
export const EDGE_SIZES = [
  0,
  1,
  10,
  4095,
  4096,
  4097,
  65536,
  65537,
  128 * 4096,
  128 * 4096 + 1,
  1_000_000,
];

/** Where a block of a file of the store is on the disk, in bytes. */
export function placeInStore(path: string, file: string, block: number): number {
  using disk = openDisk(path);
  const store = partitionOf(disk, PARTITION.STORE);
  const reader = new Ext4Reader(readPartition(disk, store), store.size);
  const found = reader.files().find((each) => each.path === file)!;
  const run = found.runs.find(({ logical, count }) => logical <= block && block < logical + count)!;
  return store.offset + (run.physical + block - run.logical) * 4096;
}

/** A sealed object of `size` bytes that are not zero. */
export function sealedObject(
  size: number,
  algorithm: VerityAlgorithm = 'sha256',
): StoreFile & { bytes: Uint8Array } {
  const bytes = Buffer.alloc(size, `${size} bytes `);
  const digest = toHex(fsVerityDigest(bytes, algorithm, hashFunction(algorithm)));
  return { name: `${STORE_OBJECTS}/${objectPath(digest)}`, digest, bytes };
}

export interface DiskLab {
  readonly disk: string;
  readonly trust: string;
  readonly release: TestRelease;
  readonly summary: DiskSummary;
  readonly store: readonly StoreFile[];
  readonly boot: readonly BootFile[];
}

/** Makes keys, a release and its disk below a directory. */
export async function diskLab(dir: string): Promise<DiskLab> {
  const keys = join(dir, 'keys');
  const notBefore = Math.floor(Date.now() / 1000) - 60;
  initDevKeys(keys, { notBefore, leafDays: 90, organization: 'Example', force: false });
  const from = join(dir, 'release');
  const release = writeRelease(from, openDevSigner(keys));
  const store = [
    { name: slotManifest('a'), digest: undefined, path: join(from, 'manifest.cose') },
    ...filesBelow(join(from, 'images')).map((name) => {
      return {
        name: `images/${name}`,
        digest: name.slice(0, -4),
        path: join(from, 'images', name),
      };
    }),
    ...filesBelow(join(from, 'objects')).map((name) => {
      const digest = name.replace('/', '');
      return { name: `objects/${name}`, digest, path: join(from, 'objects', name) };
    }),
    ...EDGE_SIZES.map((size) => sealedObject(size)),
    ...EDGE_SIZES.map((size) => sealedObject(size, 'sha512')),
  ];
  const boot = Object.entries(BOOT_FILES).map(([part, [, bytes]]) => {
    return { name: BOOT_FILE[part as keyof typeof BOOT_FILE], bytes };
  });
  const disk = join(dir, 'disk.img');
  const summary = await buildDisk({ output: disk, boot, store, state: TEST_STATE });
  return { disk, trust: join(keys, 'root.cert.pem'), release, summary, store, boot };
}

export const TEST_STATE = encodeSlotStates(freshSlotState(3, 2), sha256);

function filesBelow(dir: string, root = dir): string[] {
  return readdirSync(dir)
    .sort()
    .flatMap((name) => {
      const path = join(dir, name);
      return statSync(path).isDirectory() ? filesBelow(path, root) : [relative(root, path)];
    });
}

/** Changes one byte of a file; twice changes it back. */
export function flip(path: string, at: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}
