/** What one row of the tables about kernel options is; the tables are kernel-needs, kernel-safety and kernel-time. */
import type { Board } from './board-shape.ts';

export interface KernelRule {
  /** Without `CONFIG_`. */
  readonly option: string;
  /** Options that do as well; one of all of them is enough. */
  readonly or?: readonly string[];
  readonly wanted: 'on' | 'off';
  /** The rule is about kernels that have this option built in. */
  readonly onlyWith?: string;
  /** What is lost otherwise. */
  readonly why: string;
  readonly source: string;
  /** Its name as a module, for an option that can be one: then the board must load it. */
  readonly module?: string;
  /** Not every board feels it: a warning even where it is about function. */
  readonly isAdvice?: true;
  /** The boards it is about; without it all of them. */
  readonly when?: (board: Board) => boolean;
}

export const isArch =
  (arch: Board['arch']) =>
  (board: Board): boolean =>
    board.arch === arch;

export const isProduction = (board: Board): boolean => board.production;

/** Whether a word is on the board's command line: a whole word, or `key=`. */
export const hasWord =
  (pattern: RegExp) =>
  (board: Board): boolean =>
    board.kernel.command_line.split(' ').some((word) => pattern.test(word));

/** Whether the kernel can be asked to enforce the signatures of modules. */
export const keepsSignatures = (board: Board): boolean => board.kernel.module_signatures === 'keep';

/** Whether a kind of storage is among the board's. */
export const hasStorage =
  (pattern: RegExp) =>
  (board: Board): boolean =>
    board.storage.some(({ kind }) => pattern.test(kind));
