/**
 * Tables inside pages that are written by hand: the commands in README.md, the Debian packages in CONTRIBUTING.md, the
 * rules of the reader in docs/format.md.
 *
 * A page marks where a table belongs: `<!-- table: NAME -->` before and `<!-- end of table -->` after it. The offset
 * tables of records have markers of their own (format-docs.ts).
 */
import { format, resolveConfig } from 'prettier';
import { join } from 'node:path';
import { COMPOSEFS_RULES } from '../../runtime/format/restrict.ts';
import { groupOf, GROUPS } from '../cli/help.ts';
import { PERSONALITIES } from '../cli/personalities.ts';
import { COMMANDS } from '../cli/program.ts';
import { ROOT } from './root.ts';
import { HOST_PACKAGES } from './setup.ts';

const MARKED = /<!-- table: (?<name>[^>]*?) -->[\s\S]*?<!-- end of table -->/g;

/** The pages that have such tables. */
export const PAGES: readonly string[] = ['README.md', 'CONTRIBUTING.md', 'docs/format.md'];

const TABLES: Readonly<Record<string, () => string>> = {
  commands: commandTable,
  'Debian packages': packageTable,
  'rules of composefs': ruleTable,
};

/** The page with every marked table printed anew, formatted as Prettier wants it. */
export async function fillPageTables(path: string, page: string): Promise<string> {
  const filled = page.replace(MARKED, (_, name: string) => {
    const table = TABLES[name];
    if (table === undefined) {
      const known = Object.keys(TABLES).join(', ');
      throw new Error(`${path} marks a table for "${name}": expected one of ${known}`);
    }
    return `<!-- table: ${name} -->\n\n${table()}\n\n<!-- end of table -->`;
  });
  const filepath = join(ROOT, path);
  return format(filled, { ...(await resolveConfig(filepath)), filepath });
}

function commandTable(): string {
  const commands = COMMANDS.map((command) => {
    const link = `docs/reference/cli.md#coldseal-${command.name.replaceAll(' ', '-')}`;
    const group = groupOf(command);
    return [group === '' ? '' : GROUPS[group]!, `[\`${command.name}\`](${link})`, command.summary];
  });
  const dropIns = PERSONALITIES.map(({ name, summary }) => ['Drop-ins', `\`${name}\``, summary]);
  return table(['', 'Command', 'What it does'], [...commands, ...dropIns]);
}

function packageTable(): string {
  const rows = HOST_PACKAGES.map(({ debian, tool, why, isEssential }) => [
    `\`${debian}\``,
    `\`${tool}\``,
    isEssential === true ? `${why}; the demo needs it` : why,
  ]);
  return table(['Package', 'Tool', 'What it is for'], rows);
}

function ruleTable(): string {
  const rows = COMPOSEFS_RULES.map(({ code, meaning, versions }) => [
    `\`${code}\``,
    versions === undefined ? 'all' : versions.join(', '),
    meaning,
  ]);
  return table(['Code', 'Versions', 'What must hold'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
