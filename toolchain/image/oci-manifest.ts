/**
 * From the index of an OCI layout to one image: its manifest, its configuration, its layers.
 *
 * An index may have an image for each kind of machine, and may lead to further indexes. One has to be left when name
 * and platform have been looked at; nothing is taken because it comes first. What the configuration says of the machine
 * has to agree with what the index said.
 * Spec: OCI Image Format Specification 1.1, image-index.md, manifest.md, config.md; Docker's schema 2 is the same JSON.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  failImage,
  fitsPlatform,
  type ImageConfig,
  LAYERS_MAX,
  type OciPlatform,
  parseImageConfig,
  parseImageJson,
  platform,
  platformOf,
  showPlatform,
} from './image-config.ts';
import type { OciBlobs } from './oci-blobs.ts';

export interface OciChoice {
  /** The name in the layout, `org.opencontainers.image.ref.name`. */
  readonly ref?: string | undefined;
  readonly platform?: OciPlatform | undefined;
}

/** One image of a layout. */
export interface OciImage {
  readonly manifestDigest: string;
  readonly configDigest: string;
  readonly platform: OciPlatform;
  readonly layers: readonly OciLayer[];
  /** The configuration as it stands, for whoever makes a container of it. */
  readonly config: ImageConfig;
}

export interface OciLayer {
  readonly digest: string;
  readonly size: number;
  /** Digest of the uncompressed layer. */
  readonly diffId: string;
}

const DEPTH_MAX = 4;

const descriptor = z.looseObject({
  mediaType: z.string().optional(),
  digest: z.string(),
  size: z.int().min(0),
  platform: platform.optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const index = z.looseObject({ schemaVersion: z.literal(2), manifests: z.array(descriptor) });
const manifest = z.looseObject({
  schemaVersion: z.literal(2),
  config: descriptor,
  layers: z.array(descriptor).max(LAYERS_MAX),
});
const layout = z.looseObject({ imageLayoutVersion: z.string().regex(/^1\./) });

type Descriptor = z.output<typeof descriptor>;

const REF_NAME = 'org.opencontainers.image.ref.name';
/** Layers that are archives; what else there is (encrypted ones, artifacts) has no files. */
const LAYER_TYPES: readonly RegExp[] = [
  /^application\/vnd\.oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+(gzip|zstd))?$/,
  /^application\/vnd\.docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.(gzip|zstd))?$/,
];
const INDEX_TYPES = /\.image\.index\.|\.manifest\.list\./;

/** Chooses the image of a layout. Throws USAGE_OCI_CHOICE, FORMAT_OCI_*, VERIFY_OCI_BLOB. */
export function chooseImage(blobs: OciBlobs, choice: OciChoice): OciImage {
  parseImageJson(blobs.readFile('oci-layout'), 'oci-layout', layout);
  const top = parseImageJson(blobs.readFile('index.json'), 'index.json', index).manifests;
  const named = top.filter(
    ({ annotations }) => choice.ref === undefined || annotations?.[REF_NAME] === choice.ref,
  );
  if (named.length === 0) failChoice('no image has this name', top, choice);
  const images = named.flatMap((each) => imagesBelow(blobs, each, 1));
  const fitting = images.filter((each) => fitsPlatform(each.platform, choice.platform));
  // Tags of one image are one image.
  const digests = new Set(fitting.map(({ digest }) => digest));
  if (digests.size === 0) failChoice('no image is for this platform', images, choice);
  if (digests.size > 1) failChoice('more than one image fits', fitting, choice);
  return openImage(blobs, fitting[0]!, choice);
}

/** The manifests that a descriptor leads to. */
function imagesBelow(blobs: OciBlobs, each: Descriptor, depth: number): Descriptor[] {
  // Attestations are for no machine.
  if (each.platform?.os === 'unknown' || each.platform?.architecture === 'unknown') return [];
  if (!INDEX_TYPES.test(each.mediaType ?? '')) return [each];
  if (depth > DEPTH_MAX) failImage('FORMAT_OCI_JSON', `${each.digest} is an index too deep`);
  const { manifests } = parseImageJson(blobs.readJson(each), each.digest, index);
  return manifests.flatMap((next) => imagesBelow(blobs, next, depth + 1));
}

function openImage(blobs: OciBlobs, chosen: Descriptor, choice: OciChoice): OciImage {
  const { config: at, layers } = parseImageJson(blobs.readJson(chosen), chosen.digest, manifest);
  for (const { digest, mediaType = '' } of layers) {
    if (LAYER_TYPES.some((type) => type.test(mediaType))) continue;
    failImage('FORMAT_OCI_MEDIA_TYPE', `the layer ${digest} is of type "${mediaType}"`);
  }
  const value = parseImageConfig(blobs.readJson(at), at.digest, {
    layers: layers.length,
    platforms: [chosen.platform, choice.platform],
  });
  const { diff_ids: diffIds } = value.rootfs;
  return {
    manifestDigest: chosen.digest,
    configDigest: at.digest,
    platform: platformOf(value),
    layers: layers.map(({ digest, size }, i) => ({ digest, size, diffId: diffIds[i]! })),
    config: value,
  };
}

function failChoice(problem: string, found: readonly Descriptor[], choice: OciChoice): never {
  const wanted = [choice.ref, choice.platform && showPlatform(choice.platform)].filter(Boolean);
  const list = found.map((each) => {
    const name = each.annotations?.[REF_NAME];
    return `${name === undefined ? each.digest : name} for ${showPlatform(each.platform)}`;
  });
  throw new ColdsealError(
    'USAGE_OCI_CHOICE',
    `Cannot choose an image of the OCI layout: ${problem}${wanted.length > 0 ? ` (${wanted.join(', ')})` : ''}`,
    { hint: list.length === 0 ? 'it has no images' : `it has ${list.slice(0, 10).join('; ')}` },
  );
}
