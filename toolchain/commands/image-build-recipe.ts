/**
 * The recipe that the options of `image build` come to, and the kernel that the image is for.
 *
 * mkcomposefs's flags and the options with words say the same things; giving both is a contradiction.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import type { ImageFinding, ImageTarget } from '../board/image-rules.ts';
import type { Output } from '../cli/output.ts';
import type { EntryTable } from '../image/entry-table.ts';
import type { ContentPlaces } from '../image/read-content.ts';
import { RECIPE_WORDS } from '../image/recipe-words.ts';
import type { Recipe } from '../image/recipe.ts';
import type { TreeNode } from '../image/tree.ts';
import type { LabelPolicy } from '../selinux/policy.ts';

/** Options of `image build` that this is about, beside those of mkcomposefs. */
export const RECIPE_OPTIONS = {
  mtime: {
    flag: '--mtime <rule>',
    help: 'modification times: as they are, 0, at most SOURCE_DATE_EPOCH, or whole seconds',
    choices: RECIPE_WORDS.mtime,
  },
  xattrs: {
    flag: '--xattrs <rule>',
    help: 'extended attributes that are kept; capability is security.capability',
    choices: RECIPE_WORDS.xattrs,
  },
  rootMetadata: {
    flag: '--root-metadata <rule>',
    help: 'root directory: as the source says, as /usr, or 0755 0:0 at 0 (default: source)',
    choices: RECIPE_WORDS.rootMetadata,
  },
  selinux: {
    flag: '--selinux <policy>',
    help: "label by this file_contexts or its directory, or by image, the image's own",
  },
  targetKernel: {
    flag: '--target-kernel <version>',
    help: 'refuse what this version of Linux would refuse',
  },
  board: { flag: '--board <board>', help: 'refuse what this board would refuse' },
} as const;

export interface RecipeRequest {
  readonly fromFile: boolean;
  readonly useEpoch: boolean;
  readonly skipDevices: boolean;
  readonly skipXattrs: boolean;
  readonly userXattrs: boolean;
  readonly hardlinks: boolean;
  readonly inlineMax: number | undefined;
  readonly mtime: Recipe['mtime'] | undefined;
  readonly xattrs: Recipe['xattrs'] | undefined;
  readonly rootMetadata: Recipe['rootMetadata'] | undefined;
  readonly selinux: string | undefined;
  readonly targetKernel: string | undefined;
  readonly board: string | undefined;
}

/** Refuses options that exclude each other, before anything is read. */
export function requireOneRule(request: RecipeRequest): void {
  const twice =
    request.mtime !== undefined && request.useEpoch
      ? '--mtime and --use-epoch'
      : request.xattrs !== undefined && (request.skipXattrs || request.userXattrs)
        ? `--xattrs and ${request.skipXattrs ? '--skip-xattrs' : '--user-xattrs'}`
        : undefined;
  if (twice === undefined) return;
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `Cannot use ${twice} together: expected at most one`,
  );
}

/** Options that have no effect on a dump, with whether they were given. */
export function uselessForDump(request: RecipeRequest): Readonly<Record<string, boolean>> {
  return {
    '--use-epoch': request.useEpoch,
    '--skip-devices': request.skipDevices,
    '--skip-xattrs': request.skipXattrs,
    '--user-xattrs': request.userXattrs,
    '--hardlinks': request.hardlinks,
    '--inline-max': request.inlineMax !== undefined,
    '--mtime': request.mtime !== undefined,
    '--xattrs': request.xattrs !== undefined,
    '--root-metadata': request.rootMetadata !== undefined,
    '--selinux': request.selinux !== undefined,
  };
}

/** The recipe of a request; the digest of its policy is known when that has been read. */
export async function recipeOf(request: RecipeRequest): Promise<Recipe> {
  const { INLINE_CONTENT_RECOMMENDED_MAX } = await import('../../runtime/format/composefs.ts');
  return {
    mtime: request.mtime ?? (request.useEpoch ? 'epoch' : 'keep'),
    xattrs: request.xattrs ?? (request.skipXattrs ? 'none' : request.userXattrs ? 'user' : 'all'),
    hardlinks: request.hardlinks ? 'keep' : 'split',
    devices: request.skipDevices ? 'skip' : 'keep',
    inlineMax: request.inlineMax ?? INLINE_CONTENT_RECOMMENDED_MAX,
    rootMetadata: request.rootMetadata ?? 'source',
    selinux: undefined,
  };
}

/** SOURCE_DATE_EPOCH where the recipe needs it; asked before anything is read. */
export async function epochFor(recipe: Recipe): Promise<number | undefined> {
  if (recipe.mtime !== 'clamp') return undefined;
  const { parseSourceDateEpoch } = await import('../config/source-date-epoch.ts');
  const { requireEpoch } = await import('../image/apply-recipe.ts');
  return requireEpoch(parseSourceDateEpoch(process.env['SOURCE_DATE_EPOCH']));
}

/** A policy on this machine, before anything is read; that of the image is there when the image is. */
export async function policyFor(selinux: string | undefined): Promise<LabelPolicy | undefined> {
  if (selinux === undefined || selinux === 'image') return undefined;
  const { LabelPolicy } = await import('../selinux/policy.ts');
  const { readPolicyFiles } = await import('../selinux/read-policy.ts');
  return new LabelPolicy(readPolicyFiles(selinux));
}

/** Applies what a reader does not; returns the digest of the SELinux policy. */
export async function finishTree(
  root: TreeNode,
  recipe: Recipe,
  given: LabelPolicy | 'image' | undefined,
  sourceDateEpoch: number | undefined,
  places: ContentPlaces,
): Promise<Uint8Array | undefined> {
  const { applyRecipe } = await import('../image/apply-recipe.ts');
  const { openPolicy } = await import('../image/open-policy.ts');
  const labels = given === 'image' ? openPolicy('image', root, places) : given;
  applyRecipe(root, { ...recipe, labels, sourceDateEpoch });
  return labels?.sha256;
}

/** What an image is for, by --target-kernel and --board. Throws USAGE_BAD_VALUE and what loading a board throws. */
export async function targetsOf(request: RecipeRequest): Promise<ImageTarget[]> {
  const targets: ImageTarget[] = [];
  const { targetKernel: kernel, board } = request;
  if (kernel !== undefined) {
    if (!/^\d{1,3}\.\d{1,3}(?:[.-][A-Za-z0-9.+~_-]*)?$/.test(kernel)) {
      throw new ColdsealError(
        'USAGE_BAD_VALUE',
        `Cannot use --target-kernel ${kernel}: expected a version of Linux such as 6.1`,
      );
    }
    targets.push({ name: `Linux ${kernel}`, kernel, verity: 'require' });
  }
  if (board === undefined) return targets;
  const { loadBoard } = await import('../board/load.ts');
  const { targetOfBoard } = await import('../board/image-rules.ts');
  return [...targets, targetOfBoard(loadBoard(board, process.cwd()).value)];
}

/** Throws CONFIG_TARGET_KERNEL with everything that a target would refuse; notes go to stderr. */
export async function checkTargets(
  targets: readonly ImageTarget[],
  image: { root: TreeNode | EntryTable; pieces: readonly Uint8Array[]; algorithm: VerityAlgorithm },
  output: Output,
): Promise<ImageFinding[]> {
  if (targets.length === 0) return [];
  const { imageFacts } = await import('../image/image-facts.ts');
  const { checkImageTarget } = await import('../board/image-rules.ts');
  const { EntryTable } = await import('../image/entry-table.ts');
  const { treeOfTable } = await import('../image/tree-table.ts');
  const root = image.root instanceof EntryTable ? treeOfTable(image.root) : image.root;
  const facts = imageFacts(root, Buffer.concat(image.pieces), image.algorithm);
  const notes: ImageFinding[] = [];
  for (const target of targets) {
    const findings = checkImageTarget(facts, target);
    refuse(
      target,
      findings.filter(({ severity }) => severity === 'refusal'),
    );
    for (const { message, advice } of findings) {
      output.note(`for ${target.name}: the image ${message}: ${advice}`);
    }
    notes.push(...findings);
  }
  return notes;
}

function refuse({ name }: ImageTarget, findings: readonly ImageFinding[]): void {
  if (findings.length === 0) return;
  const lines = findings.map(
    ({ rule, message, advice }) => `\n  ${rule}: the image ${message}: ${advice}`,
  );
  throw new ColdsealError(
    'CONFIG_TARGET_KERNEL',
    `Cannot build the image for ${name}: it would be refused${lines.join('')}`,
    { hint: 'docs/recipe.md lists what came with which kernel' },
  );
}
