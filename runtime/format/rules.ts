/**
 * What a rule of the second gate is. A rule has a code and one line that says what must hold; its test returns
 * the problem as a sentence fragment, or undefined when the rule holds.
 */
import type { ErofsImage, XattrView } from './erofs-image.ts';
import type { ErofsInode } from './erofs-inode.ts';
import type { ErrorCode } from './errors.ts';

export interface Rule {
  readonly code: ErrorCode;
  /** What must hold, for docs/format.md and the error reference. */
  readonly meaning: string;
  /** `header`: read from the first kilobytes at once. `tree`: needs a walk over every inode. */
  readonly scope: 'header' | 'tree';
  /** Format versions the rule applies to; all when absent. */
  readonly versions?: readonly number[];
}

export interface HeaderRule extends Rule {
  readonly test: (image: ErofsImage) => string | undefined;
}

export interface InodeRule extends Rule {
  readonly test: (facts: InodeFacts) => string | undefined;
}

export interface NamedXattr {
  readonly name: string;
  readonly view: XattrView;
}

/** What the rules look at for one inode; made once and shared by all rules. */
export interface InodeFacts {
  readonly image: ErofsImage;
  readonly inode: ErofsInode;
  readonly isRoot: boolean;
  readonly xattrs: readonly NamedXattr[];
}

/** The versions mkcomposefs writes, and the former one of composefs-rs. */
export const V0_V1: readonly number[] = [0, 1];
export const V2: readonly number[] = [2];

/** `n is x, expected y`. */
export function unlike(
  what: string,
  value: number | bigint | string,
  expected: string | number,
): string {
  return `${what} is ${value}, expected ${expected}`;
}
