/** `coldseal board list`: the boards that a bootset can name. */
import { defineCommand } from '../cli/command.ts';

export const boardList = defineCommand({
  name: 'board list',
  summary: 'List the boards',
  description: `Lists the boards that come with coldseal and those in board-configs below the current
directory, which hide shipped ones of the same name. A board without a kernel has its facts written
down, but no disk can be made for it yet.

The columns are identifier, architecture, use, what can be made for the board (a disk, a disk that QEMU boots
as well, or nothing yet) and name. board show and --json have the rest.`,
  examples: [{ run: 'coldseal board list', note: 'List the boards' }],
  exitCodes: { 2: 'a board file has problems; the others are listed' },
  async run({ output }) {
    const { join } = await import('node:path');
    const { boardIds, loadBoard } = await import('../board/load.ts');
    const { ColdsealError } = await import('../../runtime/format/errors.ts');
    const here = process.cwd();
    const ids = [...new Set([...boardIds(join(here, 'board-configs')), ...boardIds()])].sort();
    const boards: object[] = [];
    const rows: string[][] = [];
    const faulty: { id: string; code: string; message: string }[] = [];
    for (const id of ids) {
      try {
        const { path, value } = loadBoard(id, here);
        const { name, arch, production, kernel, virtual } = value;
        const origin = kernel.package?.name ?? kernel.image ?? null;
        boards.push({
          id,
          name,
          arch,
          production,
          kernel: origin,
          virtual: virtual?.machine ?? null,
          path,
        });
        const use = production ? 'production' : 'development';
        rows.push([id, arch, use, origin === null ? '-' : virtual ? 'QEMU' : 'disk', name]);
      } catch (error) {
        if (!(error instanceof ColdsealError)) throw error;
        faulty.push({ id, code: error.code, message: error.message });
      }
    }
    const widths = [0, 1, 2, 3].map((at) => Math.max(...rows.map((row) => row[at]!.length)));
    for (const row of rows) {
      output.line(row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '));
    }
    for (const { code, message } of faulty) output.warn(`${code}: ${message}`);
    output.result({ boards, faulty }, { ok: faulty.length === 0 });
    return faulty.length === 0 ? 0 : 2;
  },
});
