/** What `release` prints: the same facts as text and as JSON. */
import { toHex } from '../../runtime/format/bytes.ts';
import { purposeName } from '../../runtime/format/oids.ts';
import { formatBytes, formatDuration } from '../cli/progress.ts';
import { breakEvenText } from '../disk/break-even.ts';
import { coverageText } from '../profile/profile-text.ts';
import type { BootOrder } from './boot-order.ts';
import type { BuiltBoot, BuiltRelease } from './build-release.ts';
import { bootOf } from './record.ts';

/** What the images would need apart from each other beyond what they need together. */
export function sharedObjects({ images, objects }: Pick<BuiltRelease, 'images' | 'objects'>): {
  count: number;
  bytes: number;
} {
  const sum = (pick: (entry: BuiltRelease['images'][number]['entry']) => number): number =>
    images.reduce((total, { entry }) => total + pick(entry), 0);
  return {
    count: sum(({ objectCount }) => objectCount) - objects.count,
    bytes: sum(({ objectBytes }) => objectBytes) - objects.bytes,
  };
}

/** The report in lines. */
export function textReport(release: BuiltRelease, directory: string): string[] {
  const { manifest, signer, objects, images, timings } = release;
  const shared = sharedObjects(release);
  const saved =
    shared.count === 0
      ? 'none shared between images'
      : `${shared.count} shared between images save ${formatBytes(shared.bytes)}`;
  return [
    `release       ${manifest.product} ${manifest.version} (${toHex(manifest.releaseId)})`,
    `boards        ${manifest.boards.join(', ')}`,
    ...images.map(
      ({ image, entry, inodeCount }) =>
        `image         ${entry.name}: ${image.settings.role}, ${inodeCount} inodes in ${formatBytes(entry.size)}, ` +
        `${entry.objectCount} objects with ${formatBytes(entry.objectBytes)}, ` +
        `fs-verity ${toHex(entry.digest.value)}`,
    ),
    `objects       ${objects.count} with ${formatBytes(objects.bytes)}, ${saved}`,
    `manifest      sha256 ${release.manifestSha256}`,
    `signed by     ${signer.name}, key ${signer.spkiSha256}, for ${signer.purposes.map(purposeName).join(', ')}`,
    `epochs        ${[...manifest.epochs].map(([domain, epoch]) => `domain ${domain}: ${epoch}`).join(', ')}`,
    `built at      ${builtAtText(manifest.builtAt)}`,
    ...(release.boot === undefined ? [] : bootLines(release.boot)),
    `read back     every image and object, through the device's verification`,
    `written       ${directory} in ${formatDuration(timings.totalMs)}`,
  ];
}

function bootLines({ files, slots, disk, order }: BuiltBoot): string[] {
  const { kernel, initramfs, policy, breakEven } = files;
  const { compression, archiveBytes, baseBytes } = initramfs;
  const chosen = breakEven.costs.find((cost) => cost.compression === compression)!;
  const [sizes, verdict] = breakEvenText(breakEven);
  const places = disk.partitions.map(({ name, size }) => `${name} ${formatBytes(size)}`);
  return [
    `kernel        Linux ${kernel.release}, ${formatBytes(kernel.image.length)}, sha256 ${kernel.sha256}`,
    `initramfs     ${compression}, ${formatBytes(chosen.bytes)} of ${formatBytes(archiveBytes)}, ` +
      `without modules ${formatBytes(baseBytes)}; loads ${policy.modules.join(', ') || 'no modules'}`,
    `              ${sizes}`,
    `              ${verdict}`,
    ...slots.map(
      ({ slot, manifest }) =>
        `slot ${slot.padEnd(9)}${manifest.product} ${manifest.version} (${toHex(manifest.releaseId)})`,
    ),
    `disk          ${formatBytes(disk.size)}: ${places.join(', ')}; ${formatBytes(disk.allocated)} in use`,
    ...(order === undefined ? [] : [`boot order    ${orderText(order)}`]),
  ];
}

function orderText({ coverage, readAhead }: BootOrder): string {
  const ahead =
    readAhead === undefined
      ? 'nothing is read ahead'
      : `${formatBytes(readAhead.total)} are read ahead` +
        (readAhead.left === 0 ? '' : `, ${readAhead.left} files had no room in the list`);
  return `${coverageText(coverage)}; ${ahead}`;
}

function builtAtText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds}` : `${date.toISOString()} (${seconds})`;
}

/** The report as the `result` of the JSON document. */
export function jsonReport(release: BuiltRelease, directory: string): object {
  const { manifest, signer, objects, timings } = release;
  return {
    directory,
    product: manifest.product,
    version: manifest.version,
    releaseId: toHex(manifest.releaseId),
    manifestSha256: release.manifestSha256,
    boards: manifest.boards,
    epochs: Object.fromEntries(manifest.epochs),
    role: purposeName(manifest.role),
    builtAt: manifest.builtAt,
    signer: { key: signer.spkiSha256, purposes: signer.purposes.map(purposeName) },
    images: release.images.map(({ entry, inodeCount }) => ({
      name: entry.name,
      size: entry.size,
      format: entry.format,
      inodes: inodeCount,
      fsVerityDigest: toHex(entry.digest.value),
      objects: { count: entry.objectCount, bytes: entry.objectBytes },
    })),
    objects: { ...objects, shared: sharedObjects(release) },
    boot:
      release.boot === undefined
        ? null
        : { ...bootOf(release.boot), breakEven: release.boot.files.breakEven },
    timings,
  };
}
