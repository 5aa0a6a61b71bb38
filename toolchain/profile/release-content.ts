/**
 * What a release's images have, for profiles: which object is at which path of which image.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { showBytes } from '../image/byte-string.ts';
import { NAMES_MAX } from './profile-schema.ts';
import { loadImage } from '../image/load-image.ts';
import { readTree } from '../image/read-tree.ts';
import { isRegular, walkTree } from '../image/tree.ts';
import { readReleaseRecord } from '../sign/release-record.ts';

export interface ImageFile {
  readonly digest: string;
  readonly size: number;
}

export interface ImageContent {
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  /** Whether it becomes the root. */
  readonly isRoot: boolean;
  /** Objects by their path in the image, as `image ls` shows it. */
  readonly files: ReadonlyMap<string, ImageFile>;
}

export interface ListedImage {
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  readonly isRoot: boolean;
  /** Path of its file. */
  readonly path: string;
}

/** Reads images and lists what is in them. Throws HOST_*, FORMAT_* of the image. */
export function readImageContents(images: readonly ListedImage[]): ImageContent[] {
  return images.map(({ path, ...image }) => {
    const files = new Map<string, ImageFile>();
    for (const { path: at, node } of walkTree(readTree(loadImage(path)))) {
      if (node.hardlink !== undefined || node.payload === undefined || !isRegular(node)) continue;
      if (node.digest === undefined) continue;
      files.set(showBytes(at), { digest: node.digest, size: node.size });
    }
    return { ...image, files };
  });
}

/** Names of each object in the images, `image:/path`. */
export function namesOfObjects(
  images: readonly ImageContent[],
): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { name, files } of images) {
    for (const [path, { digest }] of files) {
      const own = names.get(digest);
      if (own === undefined) names.set(digest, [`${name}:${path}`]);
      else if (own.length < NAMES_MAX) own.push(`${name}:${path}`);
    }
  }
  return names;
}

const releaseJson = z.object({
  releaseId: z.string(),
  version: z.string(),
  boards: z.array(z.string()).min(1),
  images: z.array(
    z.object({
      name: z.string(),
      file: z.string().regex(/^images\/[0-9a-f]+\.cfs$/),
      size: z.number(),
      mount: z.string(),
      fsVerityDigest: z.string(),
    }),
  ),
});

export interface ReleaseContents {
  readonly id: string;
  readonly version: string;
  readonly boards: readonly string[];
  readonly images: readonly ImageContent[];
}

/** The images of a release directory, by its release.json. Throws FORMAT_RELEASE_JSON. */
export function readReleaseContents(dir: string): ReleaseContents {
  const { releaseId: id, version, boards, images: listed } = readReleaseRecord(dir, releaseJson);
  const images = readImageContents(
    listed.map(({ name, file, size, mount, fsVerityDigest: digest }) => {
      return { name, digest, size, isRoot: mount === 'root', path: join(dir, file) };
    }),
  );
  return { id, version, boards, images };
}
