/**
 * The bootset against the board: what the board would refuse is refused here, before anything is built.
 */
import { COSE_ALGORITHMS } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { purposeName } from '../../runtime/format/oids.ts';
import { checkImageTarget, targetOfBoard } from '../board/image-rules.ts';
import type { Board } from '../board/schema.ts';
import { type ConfigProblem } from '../config/explain-issue.ts';
import { showPath } from '../config/config-file.ts';
import type { ImageFacts } from '../image/image-facts.ts';
import { checkSigner } from '../sign/sign-manifest.ts';
import type { SignerDescription } from '../sign/signer.ts';
import type { Bootset } from './bootset.ts';

/** The boards of a bootset that leave the house. */
export function productionBoards(bootset: Pick<Bootset, 'boards'>): string[] {
  return bootset.boards.filter(({ value }) => value.production).map(({ value }) => value.id);
}

export interface CheckBoardsOptions {
  readonly now?: number | undefined;
  readonly onWarning?: (text: string) => void;
}

/** Throws CONFIG_KEY_* for a key that must not sign this, then CONFIG_BOARD_MISMATCH with every problem. */
export function checkBoards(
  bootset: Bootset,
  signer: SignerDescription,
  options: CheckBoardsOptions = {},
): void {
  const { now, onWarning } = options;
  checkSigner(bootset, signer, {
    productionBoards: productionBoards(bootset),
    ...(now === undefined ? {} : { now }),
    ...(onWarning === undefined ? {} : { onWarning }),
  });
  for (const { value } of bootset.boards) {
    refuseMismatch(bootset, value, boardProblems(bootset, value, signer));
  }
}

/** Throws CONFIG_BOARD_MISMATCH when a board's oldest kernel would refuse an image; the facts are in their order. */
export function checkImages(bootset: Bootset, images: readonly ImageFacts[]): void {
  for (const { value } of bootset.boards) {
    const problems = images.flatMap((facts, index): ConfigProblem[] =>
      checkImageTarget(facts, targetOfBoard(value))
        .filter(({ severity }) => severity === 'refusal')
        .map(({ message, advice }) => ({
          path: ['images', index, 'recipe'],
          message: `${message}: ${advice}`,
        })),
    );
    refuseMismatch(bootset, value, problems);
  }
}

function boardProblems(bootset: Bootset, board: Board, signer: SignerDescription): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { name: algorithm } = COSE_ALGORITHMS.get(signer.algorithm)!;
  if (!board.signing.algorithms.some((each) => each === algorithm)) {
    const message = `signs with ${algorithm}, expected one of ${board.signing.algorithms.join(', ')}`;
    problems.push({ path: ['keys'], message });
  }
  const role = purposeName(bootset.role);
  if (!board.signing.roles.some((each) => each === role)) {
    const message = `is ${role}, expected one of ${board.signing.roles.join(', ')}`;
    problems.push({ path: ['role'], message });
  }
  for (const { domain, name } of board.epochs) {
    if (bootset.epochs.has(domain)) continue;
    problems.push({ path: ['epochs'], message: `has no epoch for domain ${domain} (${name})` });
  }
  bootset.images.forEach((image, index) => {
    if (board.verity.algorithms.includes(image.algorithm)) return;
    const message = `is ${image.algorithm}, expected one of ${board.verity.algorithms.join(', ')}`;
    problems.push({ path: ['images', index, 'recipe', 'hash'], message });
  });
  return problems;
}

function refuseMismatch(bootset: Bootset, board: Board, problems: readonly ConfigProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ path, message }) => `\n  ${showPath(path)} ${message}`).join('');
  const name = `${bootset.product} ${bootset.version}`;
  throw new ColdsealError(
    'CONFIG_BOARD_MISMATCH',
    `Cannot build ${name} for board ${board.id}: the board would refuse it${lines}`,
    { hint: 'change the bootset, or the board file where the board can do more than it says' },
  );
}
