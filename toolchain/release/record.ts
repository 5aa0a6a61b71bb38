/**
 * release.json: what a release was built from, with what, and how; for people and their tools, never read by a device.
 *
 * It holds only what the inputs decide, so that two builds can be compared byte by byte: no clock (timings.json
 * has that), no absolute path, no thread count, and nothing of the signature, which differs with each key.
 */
import { toHex } from '../../runtime/format/bytes.ts';
import { MOUNT, MOUNT_FLAG, START } from '../../runtime/format/manifest-image.ts';
import { purposeName } from '../../runtime/format/oids.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { imageFileName } from '../sign/check-release.ts';
import { describeRecipe } from '../image/recipe.ts';
import { DISK_FILE } from '../sign/release-files.ts';
import { VERSION } from '../version.ts';
import type { BootOrder } from './boot-order.ts';
import type { BuiltBoot, BuiltRelease, BuiltSetImage } from './build-release.ts';

/** The record of a release; `epoch` is SOURCE_DATE_EPOCH where it was given. */
export function releaseRecord(
  built: Omit<BuiltRelease, 'timings'>,
  epoch: number | undefined,
): object {
  const { bootset, manifest, objects, boot } = built;
  return {
    schema: 1,
    product: manifest.product,
    version: manifest.version,
    releaseId: toHex(manifest.releaseId),
    manifestSha256: built.manifestSha256,
    boards: manifest.boards,
    epochs: Object.fromEntries(manifest.epochs),
    role: purposeName(manifest.role),
    builtAt: manifest.builtAt,
    valid: manifest.valid ?? null,
    inputs: {
      bootset: { sha256: bootset.file.sha256 },
      boards: bootset.boards.map(({ value, sha256 }) => ({ id: value.id, sha256 })),
      images: built.images.map(inputOf),
    },
    tools: {
      coldseal: VERSION,
      node: process.versions.node,
      openssl: process.versions.openssl,
      ...(boot === undefined ? {} : compressorOf(boot)),
    },
    options: {
      sourceDateEpoch: epoch ?? null,
      builtAtFrom: epoch === undefined ? 'newest modification time' : 'SOURCE_DATE_EPOCH',
      images: Object.fromEntries(built.images.map((each) => [each.image.name, optionsOf(each)])),
    },
    images: built.images.map(outputOf),
    objects,
    boot: boot === undefined ? null : bootOf(boot),
    timings: 'timings.json',
  };
}

function inputOf({ image, source, treeSha256 }: BuiltSetImage): object {
  return {
    name: image.name,
    [image.source.kind]: image.source.given,
    ...source.input,
    entries: source.entries,
    bytes: source.bytes,
    treeSha256,
  };
}

function optionsOf({ image, source }: BuiltSetImage): object {
  const { algorithm, versions } = image;
  const { recipe } = source;
  return {
    hash: algorithm,
    minVersion: versions.min,
    maxVersion: versions.max,
    ...(recipe === undefined ? {} : describeRecipe(recipe)),
  };
}

function outputOf({ image, entry, inodeCount }: BuiltSetImage): object {
  return {
    name: entry.name,
    role: image.settings.role,
    mount: nameOf(MOUNT, entry.mount),
    start: nameOf(START, entry.start),
    flags: Object.entries(MOUNT_FLAG)
      .filter(([, bit]) => (entry.flags & bit) !== 0)
      .map(([name]) => name.toLowerCase()),
    file: `images/${imageFileName(entry)}`,
    size: entry.size,
    format: entry.format,
    inodes: inodeCount,
    fsVerityDigest: toHex(entry.digest.value),
    objects: {
      count: entry.objectCount,
      bytes: entry.objectBytes,
      listSha256: toHex(entry.objectListDigest),
    },
  };
}

function compressorOf({ files }: BuiltBoot): object {
  const { compression, compressor } = files.initramfs;
  return compressor === undefined ? {} : { [compression]: compressor };
}

/** What boots. The disk carries the signature, so its layout is told here and not its hash. */
export function bootOf({ files, slots, disk, order }: BuiltBoot): object {
  const { board, kernel, initramfs, policy } = files;
  const { compression, archiveBytes, baseBytes, initSha256 } = initramfs;
  return {
    board: board.value.id,
    arch: board.value.arch,
    kernel: { release: kernel.release, ...kernel.origin },
    modules: policy.modules,
    moduleSignatures: board.value.kernel.module_signatures,
    commandLine: board.value.kernel.command_line,
    files: Object.fromEntries(
      files.files.map(({ part, name, bytes, sha256 }) => [
        part,
        { file: name, size: bytes.length, sha256: toHex(sha256) },
      ]),
    ),
    initramfs: { compression, archiveBytes, baseBytes, runtimeSha256: toHex(initSha256) },
    trustSha256: toHex(createNodeCrypto().sha256(files.trust)),
    disk: {
      file: DISK_FILE,
      size: disk.size,
      files: disk.files,
      partitions: disk.partitions.map(({ name, offset, size }) => ({ name, offset, size })),
    },
    ...(order === undefined ? {} : { order: orderOf(order) }),
    slots: slots.map(({ slot, manifest, manifestSha256 }) => ({
      slot,
      version: manifest.version,
      releaseId: toHex(manifest.releaseId),
      manifestSha256,
    })),
  };
}

/** What a profile came to; the order itself is that of the profile. */
function orderOf({ profileSha256, coverage, readAhead }: BootOrder): object {
  return {
    profileSha256,
    coverage,
    readAhead:
      readAhead === undefined
        ? null
        : { files: readAhead.files, bytes: readAhead.total, leftOut: readAhead.left },
  };
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table)
    .find((name) => table[name] === value)!
    .toLowerCase();
}
