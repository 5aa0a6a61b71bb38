/**
 * What a board would only find out while booting, asked of the trees before they become images.
 *
 * The system image must have the program that the runtime hands over to, the directories it moves its mounts to, and
 * the container engine when something starts containers. A container that starts by itself must be an OCI bundle: the
 * engine starts the image as it is mounted, without unpacking or preparing anything.
 *
 * Source: OCI runtime specification, config.md and bundle.md.
 */
import { MOUNT, START } from '../../runtime/format/manifest-image.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { Board } from '../board/schema.ts';
import { findNode } from '../image/find-node.ts';
import { nodeContent } from '../image/node-content.ts';
import { isDirectory, isRegular, type TreeNode } from '../image/tree.ts';
import { hasKernel } from '../disk/kernel.ts';
import type { Bootset, BootsetImage } from './bootset.ts';

/** Mounted before the system is, and moved there. */
const SYSTEM_DIRECTORIES = ['dev', 'proc', 'run', 'sys'];
const CONFIG = 'config.json';
/** Real ones have a few kilobytes. */
const CONFIG_BYTES_MAX = 1024 * 1024;
const ANY_EXECUTE = 0o111;

export interface UnbootableOptions {
  /** No disk is made: what would not boot is told and does not stop the release. */
  readonly noDisk?: boolean | undefined;
  readonly onWarning: (text: string) => void;
}

/** Collects what is wrong with the trees of a bootset, for each of its boards that names its kernel. */
export class UnbootableImages {
  readonly #bootset: Bootset;
  readonly #options: UnbootableOptions;
  readonly #boards: readonly Board[];
  readonly #problems: string[] = [];

  constructor(bootset: Bootset, options: UnbootableOptions) {
    this.#bootset = bootset;
    this.#options = options;
    this.#boards = bootset.boards.map(({ value }) => value).filter(hasKernel);
    const hasSystem = bootset.images.some(({ mount }) => mount === MOUNT.ROOT);
    if (this.#boards.length === 0 || hasSystem) return;
    this.#problems.push('no image has mount root, expected one: it becomes the root of the board');
  }

  /** Looks at the tree of an image, whose objects are in a store. */
  look(image: BootsetImage, root: TreeNode, store: string): void {
    const startsContainers = this.#bootset.images.some(({ start }) => start !== START.NONE);
    const found = this.#boards.flatMap((board) =>
      bootProblems(board, image, root, { startsContainers, store }),
    );
    this.#problems.push(...[...new Set(found)].map((problem) => `image ${image.name} ${problem}`));
  }

  /** Throws CONFIG_UNBOOTABLE with every problem, or warns of them where no disk is made. */
  tell(): void {
    if (this.#problems.length === 0) return;
    const boards = this.#boards.map(({ id }) => id).join(', ');
    if (this.#options.noDisk === true) {
      for (const problem of this.#problems) {
        this.#options.onWarning(`board ${boards} would not boot this: ${problem}`);
      }
      return;
    }
    const { product, version } = this.#bootset;
    throw new ColdsealError(
      'CONFIG_UNBOOTABLE',
      `Cannot build ${product} ${version} for board ${boards}: it would not boot` +
        this.#problems.map((problem) => `\n  ${problem}`).join(''),
      { hint: 'change the sources of the images, the board file, or start: none of a container' },
    );
  }
}

/** What is wrong with the tree of an image, for a board; each sentence goes on after the name of the image. */
export function bootProblems(
  board: Board,
  image: Pick<BootsetImage, 'mount' | 'start' | 'settings'>,
  root: TreeNode,
  options: { readonly startsContainers: boolean; readonly store: string },
): string[] {
  if (image.mount === MOUNT.ROOT) return systemProblems(board, root, options.startsContainers);
  if (image.start === START.NONE) return [];
  const reason = `it starts ${image.settings.start ?? 'normal'}, which takes an OCI bundle`;
  return bundleProblems(root, options.store).map((problem) => `${problem}; ${reason}`);
}

function systemProblems({ system }: Board, root: TreeNode, startsContainers: boolean): string[] {
  const missing = SYSTEM_DIRECTORIES.filter((name) => {
    const node = root.children!.find((child) => child.name === name);
    return node === undefined || !isDirectory(node);
  });
  return [
    ...programProblems(root, system.init, 'system.init'),
    ...(startsContainers
      ? programProblems(root, system.container_engine, 'system.container_engine')
      : []),
    ...missing.map((name) => `has no directory /${name}, where the runtime mounts`),
  ];
}

function programProblems(root: TreeNode, path: string, setting: string): string[] {
  const node = findNode(root, path);
  const what = `${path}, the board's ${setting}`;
  if (node === undefined) return [`has no ${what}`];
  if (!isRegular(node)) return [`has ${what}, which is no file`];
  return (node.mode & ANY_EXECUTE) === 0 ? [`has ${what}, which is not executable`] : [];
}

interface BundleConfig {
  readonly ociVersion?: unknown;
  readonly process?: { readonly args?: unknown; readonly terminal?: unknown };
  readonly root?: { readonly path?: unknown };
}

function bundleProblems(root: TreeNode, store: string): string[] {
  const node = root.children!.find(({ name }) => name === CONFIG);
  if (node === undefined) return [`has no ${CONFIG} at its root`];
  const file = node.hardlink ?? node;
  if (!isRegular(file) || file.size > CONFIG_BYTES_MAX) {
    return [`has a ${CONFIG} that is no file of at most ${CONFIG_BYTES_MAX} bytes`];
  }
  const config = parseConfig(nodeContent(file, store));
  if (config === undefined) return [`has a ${CONFIG} that is no JSON object`];
  const problems: string[] = [];
  if (typeof config.ociVersion !== 'string') problems.push(`has no ociVersion in ${CONFIG}`);
  const args = config.process?.args;
  if (!Array.isArray(args) || typeof args[0] !== 'string') {
    problems.push(`has no process.args in ${CONFIG}`);
  }
  if (config.process?.terminal === true) {
    problems.push(`has process.terminal in ${CONFIG}, where nobody holds a terminal`);
  }
  return [...problems, ...rootProblems(root, config.root?.path)];
}

function rootProblems(root: TreeNode, path: unknown): string[] {
  if (typeof path !== 'string') return [`has no root.path in ${CONFIG}`];
  if (path.startsWith('/')) {
    return [`has root.path ${path} in ${CONFIG}, expected a path within the bundle`];
  }
  const directory = findNode(root, path);
  if (directory !== undefined && isDirectory(directory)) return [];
  return [`has no directory ${path}, the root.path of ${CONFIG}`];
}

function parseConfig(bytes: Uint8Array): BundleConfig | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? value : undefined;
  } catch {
    // Not JSON; the caller says so.
    return undefined;
  }
}
