/**
 * One image of a manifest: what it is, what its bytes must be, and how it is mounted.
 *
 * The fs-verity digest decides; size, counts and the object list's digest let a check say what is wrong and
 * prove completeness without walking the image. Where it is mounted is a number that the device maps to a
 * path of its own.
 */
import type { CborKey, CborMap, CborValue } from './cbor.ts';
import {
  VERITY_ALGORITHMS,
  VERITY_BLOCK_SIZE,
  type VerityAlgorithm,
  verityAlgorithmOfId,
} from './fsverity.ts';
import { MapShape } from './shape.ts';

/** 1 system, 2 container, 3 configuration. */
export const IMAGE_ROLE = { SYSTEM: 1, CONTAINER: 2, CONFIG: 3 } as const;
export type ImageRole = (typeof IMAGE_ROLE)[keyof typeof IMAGE_ROLE];

/** Where the device mounts it: 1 the root, 2 a container's root by name, 3 a configuration by name. */
export const MOUNT = { ROOT: 1, CONTAINER: 2, CONFIG: 3 } as const;
export type MountId = (typeof MOUNT)[keyof typeof MOUNT];

/** When it starts: 1 early (inside the budget), 2 normal, 3 none. */
export const START = { EARLY: 1, NORMAL: 2, NONE: 3 } as const;
export type Start = (typeof START)[keyof typeof START];

/** Mount flags, a bit mask. */
export const MOUNT_FLAG = { READ_ONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8 } as const;
const MOUNT_FLAGS_ALL = 0xf;

/** `[a-z0-9._-]`, not starting with a dot or a dash: safe as a file name and as an option. */
export const IMAGE_NAME = { max: 64, pattern: /^[a-z0-9][a-z0-9._-]*$/ };

export interface ImageDigest {
  readonly algorithm: VerityAlgorithm;
  readonly value: Uint8Array;
}

export interface ImageEntry {
  readonly role: ImageRole;
  readonly name: string;
  /** composefs layout version: 0, 1 or 2. */
  readonly format: 0 | 1 | 2;
  /** Bytes of the image file. */
  readonly size: number;
  /** fs-verity digest of the image file, 4096-byte blocks, no salt. */
  readonly digest: ImageDigest;
  readonly objectCount: number;
  /** Sum of the sizes of all distinct objects. */
  readonly objectBytes: number;
  /** See object-list.ts. */
  readonly objectListDigest: Uint8Array;
  readonly mount: MountId;
  readonly start: Start;
  /** Bits of MOUNT_FLAG. */
  readonly flags: number;
  /** How the image was made, so that another build can be compared with it. No decision reads it; see recipe.ts. */
  readonly recipe: CborMap | undefined;
}

/** An entry as CBOR. */
export function encodeImage(image: ImageEntry): CborValue {
  const { id } = VERITY_ALGORITHMS[image.digest.algorithm];
  const map = new Map<CborKey, CborValue>([
    [1, image.role],
    [2, image.name],
    [3, image.format],
    [4, image.size],
    [5, [id, VERITY_BLOCK_SIZE, image.digest.value]],
    [6, image.objectCount],
    [7, image.objectBytes],
    [8, image.objectListDigest],
    [9, image.mount],
    [10, image.start],
    [11, image.flags],
  ]);
  if (image.recipe !== undefined) map.set(12, image.recipe);
  return map;
}

/** Reads an entry; throws FORMAT_MANIFEST_FIELD. */
export function decodeImage(value: CborValue, path: string): ImageEntry {
  const shape = new MapShape(value, path, 'FORMAT_MANIFEST_FIELD');
  const image: ImageEntry = {
    role: shape.oneOf(1, 'role', Object.values(IMAGE_ROLE)),
    name: shape.text(2, 'name', IMAGE_NAME),
    format: shape.oneOf(3, 'format', [0, 1, 2]),
    size: shape.uint(4, 'size', Number.MAX_SAFE_INTEGER, 1),
    digest: readDigest(shape),
    objectCount: shape.uint(6, 'objectCount'),
    objectBytes: shape.uint(7, 'objectBytes'),
    objectListDigest: shape.bytes(8, 'objectListDigest', 32),
    mount: shape.oneOf(9, 'mount', Object.values(MOUNT)),
    start: shape.oneOf(10, 'start', Object.values(START)),
    flags: shape.uint(11, 'flags', MOUNT_FLAGS_ALL),
    recipe: shape.has(12) ? readRecipe(shape) : undefined,
  };
  shape.finish();
  return image;
}

function readDigest(shape: MapShape): ImageDigest {
  const [id, blockSize, value] = shape.array(5, 'digest', 3, (item) => item);
  const algorithm = verityAlgorithmOfId(id);
  if (algorithm === undefined || blockSize !== VERITY_BLOCK_SIZE) {
    throw shape.problem('digest', `is not [1 or 2, ${VERITY_BLOCK_SIZE}, digest]`);
  }
  const size = VERITY_ALGORITHMS[algorithm].digestSize;
  if (!(value instanceof Uint8Array) || value.length !== size) {
    throw shape.problem('digest', `has no digest of ${size} bytes`);
  }
  return { algorithm, value };
}

/** Any map: what is in it is for build hosts, which read it strictly. */
function readRecipe(shape: MapShape): CborMap {
  const value = shape.value(12, 'recipe');
  if (!(value instanceof Map)) throw shape.problem('recipe', 'is not a map');
  return value as CborMap;
}
