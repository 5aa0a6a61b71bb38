/** `coldseal board show`: all that a board file says, defaults included. */
import { defineCommand } from '../cli/command.ts';

export const boardShow = defineCommand({
  name: 'board show',
  summary: 'Show the settings and figures of a board',
  description: `Shows every setting of a board, those that have their default too. A figure comes with its
evidence (measured, vendor, device-tree, configured or estimated) and with its source; what is not
known is not there.`,
  args: [{ name: 'board', help: 'identifier, or path of a board file' }],
  examples: [{ run: 'coldseal board show qemu-aarch64', note: 'Show the virtual ARM board' }],
  async run({ args: [board], output }) {
    const { loadBoard } = await import('../board/load.ts');
    const { describeBoard } = await import('../board/describe-board.ts');
    const { path, value, sha256 } = loadBoard(board, process.cwd());
    for (const line of describeBoard(value)) output.line(line);
    output.result({ path, sha256, board: value });
  },
});
