/**
 * The schema of board files: the settings and the rules between them.
 *
 * From this value come the parser, the JSON Schema for editors (board-configs/schema.json) and the reference page
 * (docs/reference/board-config.md).
 */
import type { ConfigKind } from '../config/config-file.ts';
import { type Board as BoardShape, boardShape } from './board-shape.ts';
import { checkRules } from './rules.ts';

const schema = boardShape.superRefine(
  (board, context) => {
    // A setting that is merely unknown does not make its neighbours unsound.
    const faults = context.issues.filter(({ code }) => code !== 'unrecognized_keys');
    const faulty = new Set<unknown>(faults.map(({ path }) => path?.[0]));
    checkRules(board, faulty, (path, message) =>
      context.addIssue({ code: 'custom', path, message, input: board }),
    );
  },
  { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
);

export type Board = BoardShape;

/** How board files are read and explained. */
export const BOARD_CONFIG: ConfigKind<typeof schema> = {
  name: 'board file',
  schema,
  code: 'CONFIG_BOARD',
  reference: 'docs/reference/board-config.md',
};
