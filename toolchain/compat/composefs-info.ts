/**
 * `coldseal composefs-info`: the C tool of that name, with its flags, output and exit status.
 *
 * As in C, an image only has to be readable, not right. Where the C tool prints bytes that are not in the image
 * or crashes, this one does not (docs/composefs-differences.md).
 */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { openImage } from '../../runtime/format/erofs-image.ts';
import type { Output } from '../cli/output.ts';
import { byteStringOfText, nodePath, type ByteString } from '../image/byte-string.ts';
import { printDump, printListing } from '../image/describe.ts';
import { objectPaths, objectsOfTree } from '../image/objects.ts';
import { readTree } from '../image/read-tree.ts';
import type { TreeNode } from '../image/tree.ts';
import { writeBytesOrText } from '../image/write-paths.ts';
import { measureFile } from '../objects/verity.ts';
import { getopt } from './getopt.ts';
import { strerror } from './strerror.ts';

const NAME = 'composefs-info';
const USAGE = `usage: ${NAME} [--basedir=path] [ls|objects|dump|missing-objects|measure-file] IMAGES...\n`;
const COMMANDS = new Set(['ls', 'objects', 'dump', 'missing-objects', 'measure-file']);

/** What ends the tool: text for stderr and exit status 1. */
class Exit extends Error {}

/** Runs the tool and returns its exit status. */
export async function main(argv: string[], output: Output): Promise<number> {
  try {
    await run(argv, output);
    return 0;
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    output.errorText(error.message);
    return 1;
  }
}

async function run(argv: readonly string[], output: Output): Promise<void> {
  const { options, operands, problem } = getopt(argv, {
    long: { basedir: 'value', filter: 'value' },
  });
  let basedir: string | undefined;
  const filters: string[] = [];
  for (const [name, value] of options) {
    if (name === 'basedir') basedir = value;
    else if (value.includes('/'))
      throw new Exit(`${NAME}: Filter must be a single name: ${value}: Success\n`);
    else filters.push(value);
  }
  if (problem !== undefined) {
    output.text('Def\n');
    throw new Exit(`${NAME}: ${problem}\n${USAGE}`);
  }
  const [command, ...files] = operands;
  if (command === undefined) throw new Exit(`No command specified\n${USAGE}`);
  if (!COMMANDS.has(command)) throw new Exit(`${NAME}: Unknown command '${command}'\n\n`);
  if (command === 'measure-file') return measureFiles(files, output);
  if (basedir !== undefined) openBasedir(basedir);
  if (files.length === 0) throw new Exit(`No image path specified\n${USAGE}`);
  const filter = filters.length === 0 ? undefined : new Set(filters.map(byteStringOfText));
  const trees = loadTrees(files, filter);
  if (command === 'ls') {
    for (const root of trees) for (const piece of printListing(root)) output.text(piece);
  } else if (command === 'dump') {
    for (const root of trees) for (const piece of printDump(root)) output.text(piece);
  } else await printObjects(command === 'objects' ? undefined : (basedir ?? ''), trees, output);
}

function* loadTrees(
  files: readonly string[],
  filter: ReadonlySet<string> | undefined,
): Generator<TreeNode> {
  for (const file of files) {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(file);
    } catch (error) {
      throw new Exit(`${NAME}: Failed to open '${file}': ${strerror(error)}\n`);
    }
    try {
      yield readTree(openImage(bytes), { filter, likeComposefsInfo: true });
    } catch (error) {
      if (error instanceof Exit) throw error;
      throw new Exit(`${NAME}: Failed to load '${file}': ${strerror(error)}\n`);
    }
  }
}

function openBasedir(path: string): void {
  try {
    if (statSync(path).isDirectory()) return;
  } catch (error) {
    throw new Exit(`${NAME}: Can't open basedir \`${path}\`\n: ${strerror(error)}\n`);
  }
  throw new Exit(`${NAME}: Can't open basedir \`${path}\`\n: Not a directory\n`);
}

/** Objects of all images, sorted; with a base directory only those that are not in it. */
async function printObjects(
  basedir: string | undefined,
  trees: Iterable<TreeNode>,
  output: Output,
): Promise<void> {
  const paths = new Set<ByteString>();
  for (const root of trees) for (const path of objectPaths(objectsOfTree(root))) paths.add(path);
  const wanted = [...paths].sort((a, b) => (a < b ? -1 : 1));
  const missing = basedir === undefined ? wanted : wanted.filter((path) => !isThere(basedir, path));
  await writeBytesOrText(missing, output);
}

/** Without a base directory nothing is there. */
function isThere(basedir: string, path: ByteString): boolean {
  if (basedir === '' || path.includes('\0')) return false;
  const relative = path.replace(/^\/+/, '');
  try {
    lstatSync(nodePath(`${byteStringOfText(basedir)}/${relative}` as ByteString));
    return true;
  } catch {
    return false;
  }
}

function measureFiles(files: readonly string[], output: Output): void {
  if (files.length === 0) throw new Exit(`No files specified\n${USAGE}`);
  for (const file of files) {
    try {
      if (statSync(file).isDirectory())
        throw new Exit(`failed to measure '${file}': No data available`);
      output.line(measureFile(file, 'sha256').digest);
    } catch (error) {
      if (error instanceof Exit) throw error;
      throw new Exit(`${NAME}: Failed to open '${file}': ${strerror(error)}\n`);
    }
  }
}
