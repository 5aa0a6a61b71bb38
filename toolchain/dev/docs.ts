/**
 * `npm run docs`: everything that is generated and committed.
 *
 * The command reference, the manual pages and the completions come from the command definitions, the error reference
 * from the two reason tables, the offset tables of docs/format.md from the records, and some tables of other pages from
 * the lists they repeat. The tidy test fails when a committed file differs from what this would write.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { PERSONALITIES } from '../cli/personalities.ts';
import { COMMANDS } from '../cli/program.ts';
import { TOOLCHAIN_REASONS } from '../reasons.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './docs-completions.ts';
import { commandReference, errorReference } from './docs-markdown.ts';
import { commandPage, mainPage, pageName } from './docs-man.ts';
import { configFiles } from './config-docs.ts';
import { fillFormatTables } from './format-docs.ts';
import { fillPageTables, PAGES } from './page-tables.ts';
import { ROOT } from './root.ts';

/** Directories in which every file is generated, so that a page of a removed command goes too. */
const WHOLLY_GENERATED = ['man', 'completions'];

/** Every generated file: path below the repository to text. */
async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  const files = new Map<string, string>();
  files.set('docs/reference/cli.md', commandReference(COMMANDS, PERSONALITIES));
  files.set(
    'docs/reference/errors.md',
    errorReference({ ...RUNTIME_REASONS, ...TOOLCHAIN_REASONS }),
  );
  files.set('man/coldseal.1', mainPage(COMMANDS, PERSONALITIES, version));
  for (const command of COMMANDS) {
    files.set(`man/${pageName(command)}.1`, commandPage(command, version));
  }
  files.set('completions/coldseal.bash', bashCompletion(COMMANDS, PERSONALITIES));
  files.set('completions/_coldseal', zshCompletion(COMMANDS, PERSONALITIES));
  files.set('completions/coldseal.fish', fishCompletion(COMMANDS, PERSONALITIES));
  for (const [path, text] of configFiles()) files.set(path, text);
  for (const path of PAGES) {
    if (!existsSync(join(ROOT, path))) continue;
    const page = await fillPageTables(path, readFileSync(join(ROOT, path), 'utf8'));
    files.set(path, path === 'docs/format.md' ? await fillFormatTables(page) : page);
  }
  return files;
}

/** Generated files on disk that are missing, differ, or should be gone. */
export async function staleFiles(): Promise<string[]> {
  const files = await generatedFiles();
  const stale = [...files].filter(([path, text]) => readText(path) !== text).map(([path]) => path);
  return [...stale, ...leftovers(files)].sort();
}

/** The npm script. */
export async function main(): Promise<number> {
  const files = await generatedFiles();
  for (const [path, text] of files) {
    if (readText(path) === text) continue;
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
    console.log(`Wrote ${path}`);
  }
  for (const path of leftovers(files)) {
    rmSync(join(ROOT, path));
    console.log(`Removed ${path}`);
  }
  return 0;
}

function leftovers(files: ReadonlyMap<string, string>): string[] {
  return WHOLLY_GENERATED.filter((dir) => existsSync(join(ROOT, dir)))
    .flatMap((dir) => readdirSync(join(ROOT, dir)).map((name) => `${dir}/${name}`))
    .filter((path) => !files.has(path));
}

function readText(path: string): string | undefined {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : undefined;
}
