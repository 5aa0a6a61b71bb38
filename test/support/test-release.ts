/** A small release directory: one image, two objects, a signed manifest. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import { summariseObjects } from '../../runtime/format/object-list.ts';
import type { Manifest } from '../../runtime/format/manifest.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { signManifest } from '../../toolchain/sign/sign-manifest.ts';
import type { Signer } from '../../toolchain/sign/signer.ts';
import { imageEntry, sha256, testManifest } from './manifests.ts';

const CONTENTS = [Buffer.alloc(10_000, 'a'), Buffer.alloc(70_000, 'b')];

/** What the manifest binds, by part: name and content. */
export const BOOT_FILES = {
  kernel: ['kernel', Buffer.from('a kernel')],
  dtb: ['dtb', Buffer.from('a devicetree')],
  cmdline: ['cmdline.txt', Buffer.from('quiet\n')],
  initramfs: ['initramfs.cpio.lz4', Buffer.from('an initramfs')],
} as const;

export interface TestRelease {
  readonly manifest: Manifest;
  /** Paths below the directory. */
  readonly image: string;
  readonly objects: readonly string[];
}

/** The dump of a tree with some external files. */
export function dumpOf(
  files: readonly { path: string; digest: string; size: number }[],
): Uint8Array {
  const lines = files.map(({ path, digest, size }, i) => {
    return `/file${i} ${size} 100644 1 0 0 0 0.0 ${path} - ${digest}`;
  });
  return Buffer.from(['/ 0 40755 1 0 0 0 0.0 - - -', ...lines, ''].join('\n'));
}

/** Writes the release; `dump` may replace the image's contents. */
export function writeRelease(dir: string, signer: Signer, dump?: Uint8Array): TestRelease {
  const hash = hashFunction('sha256');
  const files = CONTENTS.map((content) => {
    const digest = toHex(fsVerityDigest(content, 'sha256', hash));
    const path = join('objects', objectPath(digest));
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), content);
    return { path: objectPath(digest), digest, size: content.length };
  });
  const image = imageBytes(parseDump(dump ?? dumpOf(files)));
  const digest = toHex(fsVerityDigest(image, 'sha256', hash));
  mkdirSync(join(dir, 'images'), { recursive: true });
  for (const [name, bytes] of Object.values(BOOT_FILES)) writeFileSync(join(dir, name), bytes);
  const imagePath = join('images', `${digest}.cfs`);
  writeFileSync(join(dir, imagePath), image);
  const summary = summariseObjects(files, sha256);
  const manifest = testManifest({
    role: 2,
    valid: undefined,
    bootBinding: Object.fromEntries(
      Object.entries(BOOT_FILES).map(([part, [, bytes]]) => [part, sha256(bytes)]),
    ),
    images: [
      imageEntry({
        size: image.length,
        digest: { algorithm: 'sha256', value: fromHex(digest)! },
        objectCount: summary.count,
        objectBytes: summary.bytes,
        objectListDigest: summary.digest,
      }),
    ],
  });
  writeFileSync(join(dir, 'manifest.cose'), signManifest(manifest, signer));
  writeFileSync(join(dir, 'release.json'), '{}\n');
  return { manifest, image: imagePath, objects: files.map(({ path }) => join('objects', path)) };
}
