/**
 * What composefs allows of EROFS: the second gate.
 *
 * A flat list of rules, each with its code. Those of scope `header` cost nothing; those of scope `tree` take one
 * walk over the image. Every image that mkcomposefs writes passes all of them, and an image that passes is
 * described by its tree alone: no byte is unaccounted for. What remains to guard names, modes, owners, times and
 * content is the image's fs-verity digest.
 */
import { HEADER_RULES } from './header-rules.ts';
import type { ErofsImage } from './erofs-image.ts';
import { ColdsealError, type ErrorCode } from './errors.ts';
import { INODE_RULES } from './inode-rules.ts';
import type { Rule } from './rules.ts';
import { TREE_RULES, TreeChecker } from './tree-rules.ts';
import { XATTR_RULES } from './xattr-rules.ts';

/** Every rule, in the order they are tested; docs/format.md is printed from this. */
export const COMPOSEFS_RULES: readonly Rule[] = [
  ...HEADER_RULES,
  ...INODE_RULES,
  ...XATTR_RULES,
  ...TREE_RULES,
];

export interface RestrictOptions {
  /** Only the rules of scope `header`: what a mount needs at once, before the kernel takes over. */
  readonly headerOnly?: boolean;
}

/** A rule that an image breaks. */
export interface BrokenRule {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Throws the first rule that the image breaks. */
export function restrictToComposefs(image: ErofsImage, options: RestrictOptions = {}): void {
  const refuse = (code: ErrorCode, message: string): never => {
    throw new ColdsealError(code, message);
  };
  checkHeader(image, refuse);
  if (options.headerOnly !== true) new TreeChecker(image, refuse).run();
}

/** The rules an image breaks, at most `limit` of them; stops early where the image cannot be read on. */
export function findBrokenRules(image: ErofsImage, limit = 100): BrokenRule[] {
  const broken: BrokenRule[] = [];
  const note = (code: ErrorCode, message: string): void => {
    if (broken.length < limit) broken.push({ code, message });
  };
  try {
    checkHeader(image, note);
    new TreeChecker(image, note).run();
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    note(error.code, error.message);
  }
  return broken;
}

function checkHeader(image: ErofsImage, report: (code: ErrorCode, message: string) => void): void {
  for (const { code, meaning, test } of HEADER_RULES) {
    const problem = test(image);
    if (problem !== undefined)
      report(code, `Cannot accept the superblock: ${meaning}, but ${problem}`);
  }
}
