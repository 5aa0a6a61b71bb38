/**
 * The recipe of an image: every setting that decides how a source becomes a tree, in words and as the manifest has it.
 *
 * In a manifest the recipe is a map of numbers, which devices pass over. A recipe that uses nothing but the first five
 * settings is written as it always was; any other has the root's rule too, and needs runtime level 3.
 *
 * Source: docs/recipe.md, docs/manifest.md.
 */
import type { CborKey, CborMap, CborValue } from '../../runtime/format/cbor.ts';
import { INLINE_CONTENT_MAX } from '../../runtime/format/composefs.ts';
import type { Manifest } from '../../runtime/format/manifest.ts';
import { MapShape } from '../../runtime/format/shape.ts';
import { RECIPE_WORDS } from './recipe-words.ts';
import type { ScanOptions } from './scan.ts';

type Word<K extends keyof typeof RECIPE_WORDS> = (typeof RECIPE_WORDS)[K][number];

export interface Recipe {
  /** Modification times: as they are, all 0, none after SOURCE_DATE_EPOCH, without fractions. */
  readonly mtime: Word<'mtime'>;
  /** Extended attributes that are kept: all, `user.*`, none, `security.capability`. */
  readonly xattrs: Word<'xattrs'>;
  /** Names of one file: a file each, or together. */
  readonly hardlinks: Word<'hardlinks'>;
  readonly devices: Word<'devices'>;
  /** Files up to this many bytes are inside the image. */
  readonly inlineMax: number;
  /** Mode, owner, time and attributes of the root directory: the source's, those of /usr, 0755 0:0 at 0 without any. */
  readonly rootMetadata: Word<'rootMetadata'>;
  /** Digest of the SELinux policy that gave the labels, see policy.ts; undefined: labels are attributes as others. */
  readonly selinux: Uint8Array | undefined;
}

const KEY = {
  MTIME: 1,
  XATTRS: 2,
  HARDLINKS: 3,
  DEVICES: 4,
  INLINE_MAX: 5,
  ROOT_METADATA: 6,
  SELINUX: 7,
};
/** How many words of a setting there were before runtime level 3. */
const FIRST_WORDS = { mtime: 2, xattrs: 3 };

/** A recipe as CBOR. */
export function encodeRecipe(recipe: Recipe): CborMap {
  const map = new Map<CborKey, CborValue>([
    [KEY.MTIME, numberOf('mtime', recipe.mtime)],
    [KEY.XATTRS, numberOf('xattrs', recipe.xattrs)],
    [KEY.HARDLINKS, numberOf('hardlinks', recipe.hardlinks)],
    [KEY.DEVICES, numberOf('devices', recipe.devices)],
    [KEY.INLINE_MAX, recipe.inlineMax],
  ]);
  if (!needsLevel3(recipe)) return map;
  map.set(KEY.ROOT_METADATA, numberOf('rootMetadata', recipe.rootMetadata));
  if (recipe.selinux !== undefined) map.set(KEY.SELINUX, recipe.selinux);
  return map;
}

/** Reads a recipe; throws FORMAT_MANIFEST_FIELD. `path` names it, such as `manifest.images[0].recipe`. */
export function decodeRecipe(map: CborMap, path: string): Recipe {
  const shape = new MapShape(map, path, 'FORMAT_MANIFEST_FIELD');
  const recipe: Recipe = {
    mtime: wordOf(shape, KEY.MTIME, 'mtime'),
    xattrs: wordOf(shape, KEY.XATTRS, 'xattrs'),
    hardlinks: wordOf(shape, KEY.HARDLINKS, 'hardlinks'),
    devices: wordOf(shape, KEY.DEVICES, 'devices'),
    inlineMax: shape.uint(KEY.INLINE_MAX, 'inlineMax', INLINE_CONTENT_MAX),
    rootMetadata: shape.has(KEY.ROOT_METADATA)
      ? wordOf(shape, KEY.ROOT_METADATA, 'rootMetadata')
      : 'source',
    selinux: shape.has(KEY.SELINUX) ? shape.bytes(KEY.SELINUX, 'selinux', 32) : undefined,
  };
  shape.finish();
  // One recipe has one spelling, and min_runtime goes by the number of keys.
  if (needsLevel3(recipe) !== shape.has(KEY.ROOT_METADATA)) {
    throw shape.problem(
      'rootMetadata',
      `is ${shape.has(KEY.ROOT_METADATA) ? 'there' : 'missing'}, expected it with settings of runtime level 3 only`,
    );
  }
  return recipe;
}

/** The recipes of a manifest's images, which devices pass over, read strictly; throws FORMAT_MANIFEST_FIELD. */
export function recipesOf({ images }: Pick<Manifest, 'images'>): (Recipe | undefined)[] {
  return images.map(
    ({ recipe }, index) => recipe && decodeRecipe(recipe, `manifest.images[${index}].recipe`),
  );
}

/** What a reader of sources is asked for; the rest is applied to the finished tree (apply-recipe.ts). */
export function readingOptions(
  recipe: Pick<Recipe, 'mtime' | 'xattrs' | 'hardlinks' | 'devices' | 'inlineMax'>,
): Required<Pick<ScanOptions, 'useEpoch' | 'xattrs' | 'hardlinks' | 'skipDevices' | 'inlineMax'>> {
  return {
    useEpoch: recipe.mtime === 'epoch',
    xattrs: recipe.xattrs === 'capability' ? 'all' : recipe.xattrs,
    hardlinks: recipe.hardlinks === 'keep',
    skipDevices: recipe.devices === 'skip',
    inlineMax: recipe.inlineMax,
  };
}

/** A recipe for JSON documents: digests in hexadecimal, settings that are not used left out. */
export function describeRecipe({ selinux, rootMetadata, ...recipe }: Recipe): object {
  return {
    ...recipe,
    ...(rootMetadata === 'source' ? {} : { rootMetadata }),
    ...(selinux === undefined ? {} : { selinux: Buffer.from(selinux).toString('hex') }),
  };
}

function needsLevel3({ mtime, xattrs, rootMetadata, selinux }: Recipe): boolean {
  return (
    numberOf('mtime', mtime) > FIRST_WORDS.mtime ||
    numberOf('xattrs', xattrs) > FIRST_WORDS.xattrs ||
    rootMetadata !== 'source' ||
    selinux !== undefined
  );
}

function numberOf(name: keyof typeof RECIPE_WORDS, word: string): number {
  return (RECIPE_WORDS[name] as readonly string[]).indexOf(word) + 1;
}

function wordOf<K extends keyof typeof RECIPE_WORDS>(
  shape: MapShape,
  key: number,
  name: K,
): Word<K> {
  const words: readonly Word<K>[] = RECIPE_WORDS[name];
  const number = shape.oneOf(
    key,
    name,
    words.map((_, index) => index + 1),
  );
  return words[number - 1]!;
}
