/**
 * Finding a board by its identifier or by the path of its file.
 *
 * An identifier is looked for in `board-configs/` beside the file that names it, then in the boards that come
 * with coldseal. A path has a slash or ends in .yaml, and counts from the directory it was written in.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readConfig, type ConfigFile } from '../config/config-file.ts';
import { nearestWord } from '../config/nearest.ts';
import { type Board, BOARD_CONFIG } from './schema.ts';

const DIRECTORY = 'board-configs';

/** Loads a board. Throws CONFIG_BOARD_UNKNOWN, CONFIG_BOARD or CONFIG_YAML. */
export function loadBoard(reference: string, from: string): ConfigFile<Board> {
  const path = isPath(reference) ? resolve(from, reference) : findBoard(reference, from);
  const file = readConfig(path, BOARD_CONFIG);
  const expected = basename(path).replace(/\.ya?ml$/, '');
  if (file.value.id !== expected) {
    file.refuse([
      { path: ['id'], message: `is ${file.value.id}, expected ${expected}, its file's name` },
    ]);
  }
  return file;
}

function isPath(reference: string): boolean {
  return reference.includes('/') || /\.ya?ml$/.test(reference);
}

function findBoard(id: string, from: string): string {
  const directories = [join(from, DIRECTORY), shippedBoards()];
  for (const directory of directories) {
    const path = join(directory, `${id}.yaml`);
    if (existsSync(path)) return path;
  }
  const known = [...new Set(directories.flatMap(boardIds))].sort();
  const near = nearestWord(id, known);
  throw new ColdsealError(
    'CONFIG_BOARD_UNKNOWN',
    `Cannot find board ${id}: expected one of ${known.join(', ')}, or a path to a board file`,
    { hint: near === undefined ? undefined : `did you mean ${near}?` },
  );
}

/** Identifiers of the boards in a directory, sorted. */
export function boardIds(directory: string = shippedBoards()): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** The boards that come with coldseal: the nearest `board-configs` above this bundle. */
export function shippedBoards(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let dir = here; dirname(dir) !== dir; dir = dirname(dir)) {
    const candidate = join(dir, DIRECTORY);
    if (existsSync(join(candidate, 'schema.json'))) return candidate;
  }
  return join(here, DIRECTORY);
}
