/**
 * The manifest: the signed statement of what one release is (docs/manifest.md).
 *
 * Canonical CBOR, integer keys, every enumeration starts at 1 so that a zeroed value is never legal. Nothing
 * in it is a path, a command, a URL or a slot name: the device maps enumerations to its own paths. Decoding
 * has two doors. `readManifestHead` looks only at schema and min_runtime, so that an old runtime says "too
 * old" instead of "unknown key"; `decodeManifest` reads everything and refuses what it does not know.
 */
import {
  type CborKey,
  type CborMap,
  type CborValue,
  decodeCanonical,
  encodeCanonical,
  withoutEntry,
} from './cbor.ts';
import { concatBytes } from './concat.ts';
import { encodeUtf8 } from './utf8.ts';
import { ColdsealError } from './errors.ts';
import { decodeImage, encodeImage, type ImageEntry } from './manifest-image.ts';
import type { Purpose } from './oids.ts';
import { MapShape, showValue } from './shape.ts';

const MANIFEST_SCHEMA = 1;

/** What this code can read: raised with each feature of `MANIFEST_FEATURES`. */
export const RUNTIME_LEVEL = 3;

/** Half of the envelope: the chain and the signature need the rest. */
const MANIFEST_BYTES_MAX = 32 * 1024;
export const IMAGES_MAX = 64;
export const BOARDS_MAX = 32;
export const DOMAINS_MAX = 16;
const LIMITS = { maxBytes: MANIFEST_BYTES_MAX, maxDepth: 6, maxItems: 4096 };
const CODE = 'FORMAT_MANIFEST_FIELD';

/** The role a manifest is signed in; the leaf certificate must carry the same purpose. */
export type SignerRole = Extract<Purpose, 1 | 2 | 3 | 4>;
const SIGNER_ROLES: readonly SignerRole[] = [1, 2, 3, 4];

/** Product and board identifiers: printable ASCII without quotes or spaces, such as `fsl,imx8mp-evk`. */
export const IDENTIFIER = { max: 128, pattern: /^[A-Za-z0-9][A-Za-z0-9._,+:/-]*$/ };
/** Shown to people, never compared. */
const VERSION = { max: 64, pattern: /^[\x20-\x7e]+$/ };
const NOTE_KEY = { max: 64, pattern: /^[a-z0-9][a-z0-9._-]*$/ };
const NOTE_TEXT = { max: 1024 };
const NOTES_MAX = 32;

/** A document that travels beside the manifest. */
export interface DocumentReference {
  /** 1 SPDX JSON, 2 CycloneDX JSON, 3 in-toto statement. */
  readonly format: 1 | 2 | 3;
  readonly sha256: Uint8Array;
  readonly size: number;
}

/** SHA-256 of what was built together with the images; each part is optional. */
export interface BootBinding {
  readonly kernel?: Uint8Array;
  readonly dtb?: Uint8Array;
  readonly cmdline?: Uint8Array;
  readonly initramfs?: Uint8Array;
  /** The FIT image or unified kernel image that holds the others. */
  readonly container?: Uint8Array;
}

export interface Manifest {
  /** Lowest runtime level that understands every feature used; computed by `requiredRuntime`. */
  readonly minRuntime: number;
  readonly product: string;
  /** Board identifiers this release is for; ascending. */
  readonly boards: readonly string[];
  /** For people only. */
  readonly version: string;
  /** Rollback domain to epoch; at least one. */
  readonly epochs: ReadonlyMap<number, number>;
  /** First 16 bytes of a SHA-256 over everything else; computed by `releaseIdOf`. */
  readonly releaseId: Uint8Array;
  /** Seconds since 1970: SOURCE_DATE_EPOCH. Feeds the time floor, never authorises anything. */
  readonly builtAt: number;
  /** Asked for at installation only. `notAfter` null: no end. */
  readonly valid: { readonly notBefore: number; readonly notAfter: number | null } | undefined;
  readonly role: SignerRole;
  /** Ascending by role, then name. */
  readonly images: readonly ImageEntry[];
  readonly bootBinding: BootBinding | undefined;
  readonly sbom: DocumentReference | undefined;
  readonly provenance: DocumentReference | undefined;
  /** Lowest deny list version to be judged with; 0 asks for none. */
  readonly minDenyVersion: number;
  /** Information for people and fleets; never read by a decision. */
  readonly notes: ReadonlyMap<string, string> | undefined;
}

/** Keys of the map, as docs/manifest.md lists them. */
const KEY = {
  SCHEMA: 1,
  MIN_RUNTIME: 2,
  PRODUCT: 3,
  BOARDS: 4,
  VERSION: 5,
  EPOCHS: 6,
  RELEASE_ID: 7,
  BUILT_AT: 8,
  VALID: 9,
  ROLE: 10,
  IMAGES: 11,
  BOOT_BINDING: 12,
  SBOM: 13,
  PROVENANCE: 14,
  MIN_DENY_VERSION: 15,
  NOTES: 16,
} as const;

/** A feature that an older runtime would misread, and the level that brought it. */
interface ManifestFeature {
  readonly name: string;
  readonly level: number;
  readonly isUsed: (manifest: Pick<Manifest, 'images'>) => boolean;
}

/** Level 1 is everything not listed here. A test proves that each row raises the level, and only when used. */
export const MANIFEST_FEATURES: readonly ManifestFeature[] = [
  {
    name: 'sha512-digests',
    level: 2,
    isUsed: ({ images }) => images.some((image) => image.digest.algorithm === 'sha512'),
  },
  {
    name: 'composefs-format-2',
    level: 2,
    isUsed: ({ images }) => images.some((image) => image.format === 2),
  },
  {
    // An older runtime knows five settings and refuses others.
    name: 'complete-recipe',
    level: 3,
    isUsed: ({ images }) => images.some(({ recipe }) => recipe !== undefined && recipe.size > 5),
  },
];

/** The runtime level a manifest needs: the highest among the features it uses. */
export function requiredRuntime(manifest: Pick<Manifest, 'images'>): number {
  const levels = MANIFEST_FEATURES.filter((feature) => feature.isUsed(manifest)).map(
    (f) => f.level,
  );
  return Math.max(1, ...levels);
}

/** What the builder provides: the rest is computed. */
export type ManifestInput = Omit<Manifest, 'minRuntime' | 'releaseId'>;

/** Completes a manifest: sorts what is a set, computes min_runtime and release_id, checks every bound. */
export function createManifest(
  input: ManifestInput,
  sha256: (bytes: Uint8Array) => Uint8Array,
): Manifest {
  const byRoleAndName = (a: ImageEntry, b: ImageEntry): number =>
    a.role - b.role || (a.name < b.name ? -1 : 1);
  const sorted = {
    ...input,
    boards: [...new Set(input.boards)].sort(),
    images: [...input.images].sort(byRoleAndName),
  };
  const draft = { ...sorted, minRuntime: requiredRuntime(sorted), releaseId: new Uint8Array(16) };
  const manifest = { ...draft, releaseId: releaseIdOf(encodeManifest(draft), sha256) };
  decodeManifest(encodeManifest(manifest)); // What the builder writes, the device must read.
  return manifest;
}

/** SHA-256 over a label and the manifest without its release_id, cut to 16 bytes; of the canonical bytes. */
export function releaseIdOf(
  encoded: Uint8Array,
  sha256: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  // The device reads and never writes manifests: taking the entry out of the bytes spares it the writer.
  const others = withoutEntry(encoded, KEY.RELEASE_ID, LIMITS);
  return sha256(concatBytes(encodeUtf8('coldseal release id v1\0'), others)).slice(0, 16);
}

/** The canonical bytes of a manifest. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return encodeCanonical(manifestMap(manifest));
}

function manifestMap(manifest: Manifest): Map<CborKey, CborValue> {
  const map = new Map<CborKey, CborValue>([
    [KEY.SCHEMA, MANIFEST_SCHEMA],
    [KEY.MIN_RUNTIME, manifest.minRuntime],
    [KEY.PRODUCT, manifest.product],
    [KEY.BOARDS, manifest.boards],
    [KEY.VERSION, manifest.version],
    [KEY.EPOCHS, manifest.epochs],
    [KEY.RELEASE_ID, manifest.releaseId],
    [KEY.BUILT_AT, manifest.builtAt],
    [KEY.ROLE, manifest.role],
    [KEY.IMAGES, manifest.images.map(encodeImage)],
    [KEY.MIN_DENY_VERSION, manifest.minDenyVersion],
  ]);
  const { valid, bootBinding, sbom, provenance, notes } = manifest;
  if (valid !== undefined) map.set(KEY.VALID, [valid.notBefore, valid.notAfter]);
  if (bootBinding !== undefined) map.set(KEY.BOOT_BINDING, encodeBinding(bootBinding));
  if (sbom !== undefined) map.set(KEY.SBOM, [sbom.format, sbom.sha256, sbom.size]);
  if (provenance !== undefined) {
    map.set(KEY.PROVENANCE, [provenance.format, provenance.sha256, provenance.size]);
  }
  if (notes !== undefined) map.set(KEY.NOTES, notes);
  return map;
}

// --- decoding ------------------------------------------------------------------------------------------

/** Schema and min_runtime of canonical bytes; throws FORMAT_CBOR_*, VERIFY_SCHEMA or VERIFY_RUNTIME_TOO_OLD. */
function readManifestHead(bytes: Uint8Array, level: number = RUNTIME_LEVEL): CborValue {
  const value = decodeCanonical(bytes, LIMITS);
  const map: CborMap = value instanceof Map ? (value as CborMap) : new Map();
  const schema = map.get(KEY.SCHEMA);
  if (schema !== MANIFEST_SCHEMA) {
    throw new ColdsealError(
      'VERIFY_SCHEMA',
      `Cannot read the manifest: its schema is ${showValue(schema ?? null)}, expected ${MANIFEST_SCHEMA}`,
    );
  }
  const needed = map.get(KEY.MIN_RUNTIME);
  if (typeof needed !== 'number' || needed > level) {
    throw new ColdsealError(
      'VERIFY_RUNTIME_TOO_OLD',
      `Cannot read the manifest: it needs runtime level ${showValue(needed ?? null)}, this one has ${level}`,
      { hint: 'install a newer runtime first' },
    );
  }
  return value;
}

/** Reads a manifest; throws FORMAT_CBOR_*, VERIFY_SCHEMA, VERIFY_RUNTIME_TOO_OLD or FORMAT_MANIFEST_FIELD. */
export function decodeManifest(bytes: Uint8Array, level: number = RUNTIME_LEVEL): Manifest {
  const shape = new MapShape(readManifestHead(bytes, level), 'manifest', CODE);
  shape.oneOf(KEY.SCHEMA, 'schema', [MANIFEST_SCHEMA]);
  const manifest: Manifest = {
    minRuntime: shape.uint(KEY.MIN_RUNTIME, 'minRuntime', level, 1),
    product: shape.text(KEY.PRODUCT, 'product', IDENTIFIER),
    boards: shape.texts(KEY.BOARDS, 'boards', BOARDS_MAX, IDENTIFIER),
    version: shape.text(KEY.VERSION, 'version', VERSION),
    epochs: shape.uintMap(KEY.EPOCHS, 'epochs', DOMAINS_MAX),
    releaseId: shape.bytes(KEY.RELEASE_ID, 'releaseId', 16),
    builtAt: shape.uint(KEY.BUILT_AT, 'builtAt'),
    valid: shape.has(KEY.VALID) ? readValid(shape) : undefined,
    role: shape.oneOf(KEY.ROLE, 'role', SIGNER_ROLES),
    images: shape.array(KEY.IMAGES, 'images', IMAGES_MAX, decodeImage),
    bootBinding: shape.has(KEY.BOOT_BINDING)
      ? decodeBinding(shape.map(KEY.BOOT_BINDING, 'bootBinding'))
      : undefined,
    sbom: shape.has(KEY.SBOM) ? readDocument(shape, KEY.SBOM, 'sbom') : undefined,
    provenance: shape.has(KEY.PROVENANCE)
      ? readDocument(shape, KEY.PROVENANCE, 'provenance')
      : undefined,
    minDenyVersion: shape.uint(KEY.MIN_DENY_VERSION, 'minDenyVersion', 0xffff_ffff),
    notes: shape.has(KEY.NOTES)
      ? shape.textMap(KEY.NOTES, 'notes', NOTES_MAX, NOTE_KEY, NOTE_TEXT)
      : undefined,
  };
  shape.finish();
  checkWhole(manifest, shape);
  return manifest;
}

/** Rules between fields. */
function checkWhole(manifest: Manifest, shape: MapShape): void {
  if (manifest.boards.length === 0) throw shape.problem('boards', 'is empty');
  if (manifest.images.length === 0) throw shape.problem('images', 'is empty');
  if (manifest.epochs.size === 0) throw shape.problem('epochs', 'is empty');
  for (let i = 1; i < manifest.images.length; i++) {
    const [a, b] = [manifest.images[i - 1]!, manifest.images[i]!];
    if (a.role > b.role || (a.role === b.role && a.name >= b.name)) {
      throw shape.problem('images', 'is not sorted by role and name, or repeats one');
    }
  }
  const names = new Set(manifest.images.map((image) => image.name));
  if (names.size !== manifest.images.length) throw shape.problem('images', 'repeats a name');
  const required = requiredRuntime(manifest);
  if (manifest.minRuntime !== required) {
    throw shape.problem('minRuntime', `is ${manifest.minRuntime}, its features need ${required}`);
  }
}

function readValid(shape: MapShape): Manifest['valid'] {
  const parts = shape.array(KEY.VALID, 'valid', 2, (value) => value);
  const [notBefore, notAfter] = parts;
  const isTime = (value: unknown): value is number => typeof value === 'number' && value >= 0;
  if (parts.length !== 2 || !isTime(notBefore) || (notAfter !== null && !isTime(notAfter))) {
    throw shape.problem('valid', 'is not [seconds, seconds or null]');
  }
  if (notAfter !== null && notAfter < notBefore)
    throw shape.problem('valid', 'ends before it begins');
  return { notBefore, notAfter };
}

function readDocument(shape: MapShape, key: number, name: string): DocumentReference {
  const [format, sha256, size] = shape.array(key, name, 3, (value) => value);
  const isFormat = format === 1 || format === 2 || format === 3;
  if (!isFormat || !(sha256 instanceof Uint8Array) || sha256.length !== 32) {
    throw shape.problem(name, 'is not [format 1 to 3, 32 bytes, size]');
  }
  if (typeof size !== 'number' || size < 0) throw shape.problem(name, 'has no size');
  return { format, sha256, size };
}

const BINDING_KEYS = [
  [1, 'kernel'],
  [2, 'dtb'],
  [3, 'cmdline'],
  [4, 'initramfs'],
  [5, 'container'],
] as const;

function encodeBinding(binding: BootBinding): CborValue {
  const map = new Map<CborKey, CborValue>();
  for (const [key, name] of BINDING_KEYS) {
    const digest = binding[name];
    if (digest !== undefined) map.set(key, digest);
  }
  return map;
}

function decodeBinding(shape: MapShape): BootBinding {
  const binding: { -readonly [K in keyof BootBinding]: BootBinding[K] } = {};
  for (const [key, name] of BINDING_KEYS) {
    if (shape.has(key)) binding[name] = shape.bytes(key, name, 32);
  }
  shape.finish();
  return binding;
}
