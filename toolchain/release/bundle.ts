/**
 * An OCI runtime bundle made of a root file system: `rootfs/`, which is the tree of the source, beside `config.json`.
 *
 * The image is never written, on the board as little as here, so every place that something is mounted on has to be in
 * it: what is missing becomes an empty directory with mode 755, owner 0:0 and time 0, as do the root of the bundle and
 * config.json. Whatever else would make the engine fail is told here, where it can be changed.
 */
import { createHash } from 'node:crypto';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { VerityHasher } from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { byteStringOfText, type ByteString } from '../image/byte-string.ts';
import { findNode } from '../image/find-node.ts';
import { nodeContent } from '../image/node-content.ts';
import { isDirectory, isRegular, S_IFDIR, S_IFREG, sortChildren, TreeNode } from '../image/tree.ts';
import { objectPath } from '../objects/layout.ts';
import { ObjectStore } from '../objects/store.ts';
import type { BootsetImage } from './bootset.ts';
import { runtimeUser } from './container-user.ts';
import {
  parseContainerImage,
  type RuntimeConfig,
  runtimeConfig,
  userOf,
  volumesOf,
} from './runtime-config.ts';

export interface BundleOptions {
  /** Object store of the release, which has the contents of the tree. */
  readonly store: string;
  /** The image's configuration; undefined where the source is none. */
  readonly config: object | undefined;
  readonly onWarning?: (text: string) => void;
}

export interface Bundle {
  readonly root: TreeNode;
  /** For the record. */
  readonly record: { readonly configSha256: string; readonly volumes: readonly string[] };
}

/** Real ones have some kilobytes. */
const USER_FILE_BYTES_MAX = 1 << 20;
const DIRECTORY_MODE = S_IFDIR | 0o755;
const ANY_EXECUTE = 0o111;

/** Makes the bundle; the tree becomes part of it. Throws CONFIG_CONTAINER_*, FORMAT_OCI_CONFIG. */
export function makeBundle(
  {
    name,
    settings,
    algorithm,
    recipe,
  }: Pick<BootsetImage, 'name' | 'settings' | 'algorithm' | 'recipe'>,
  rootfs: TreeNode,
  { store, config: imageConfig, onWarning }: BundleOptions,
): Bundle {
  const image = parseContainerImage(imageConfig ?? {});
  const container = settings.container ?? {};
  const file = (path: string): string => userFile(rootfs, path, store);
  const found = runtimeUser(userOf(image, container), {
    passwd: file('/etc/passwd'),
    group: file('/etc/group'),
  });
  if ('unknown' in found) {
    const problem = `it has no ${found.unknown} in /etc/passwd and /etc/group`;
    fail(
      'CONFIG_CONTAINER_USER',
      name,
      problem,
      'set container.user to numbers, such as 1000:1000',
    );
  }
  const config = runtimeConfig(name, image, container, found.user);
  requireProgram(name, rootfs, config);
  const volumes = volumesOf(image, container);
  for (const path of volumes) warnOfHidden(name, rootfs, path, onWarning);
  makeDirectories(name, rootfs, config);
  const bytes = Buffer.from(`${JSON.stringify(config, undefined, 2)}\n`);
  const root = new TreeNode('' as ByteString, DIRECTORY_MODE);
  rootfs.name = 'rootfs' as ByteString;
  root.children = [configNode(bytes, { algorithm, store, inlineMax: recipe!.inlineMax }), rootfs];
  const configSha256 = createHash('sha256').update(bytes).digest('hex');
  return { root, record: { configSha256, volumes } };
}

function configNode(
  bytes: Buffer,
  options: Pick<BootsetImage, 'algorithm'> & { readonly store: string; readonly inlineMax: number },
): TreeNode {
  const node = new TreeNode('config.json' as ByteString, S_IFREG | 0o644);
  node.size = bytes.length;
  if (bytes.length <= options.inlineMax) {
    node.content = bytes;
    return node;
  }
  const hasher = new VerityHasher(options.algorithm, hashFunction(options.algorithm));
  hasher.update(bytes);
  node.digest = toHex(hasher.digest());
  node.payload = objectPath(node.digest) as ByteString;
  using store = new ObjectStore(options.store);
  store.putBytes(bytes, node.digest);
  store.finish();
  return node;
}

function userFile(rootfs: TreeNode, path: string, store: string): string {
  const node = findNode(rootfs, path);
  if (node === undefined || !isRegular(node) || node.size > USER_FILE_BYTES_MAX) return '';
  return Buffer.from(nodeContent(node, store)).toString('latin1');
}

// --- what the engine would fail on ---------------------------------------------------------------------

/** Looks for the program as the engine does: by its path, or in the directories of PATH. */
function requireProgram(name: string, rootfs: TreeNode, { process, mounts }: RuntimeConfig): void {
  const [program] = process.args;
  if (program === undefined || program === '') {
    fail(
      'CONFIG_CONTAINER_ARGS',
      name,
      'its configuration names neither entrypoint nor command',
      'say what to start with container.args',
    );
  }
  const path = process.env.find((each) => each.startsWith('PATH='))!.slice('PATH='.length);
  const places = program.includes('/')
    ? [program.startsWith('/') ? program : `${process.cwd}/${program}`]
    : path.split(':').map((directory) => `${directory}/${program}`);
  const isMounted = places.some((place) => mounts.some((each) => isBelow(place, each.destination)));
  if (isMounted || places.some((place) => isProgram(findNode(rootfs, place)))) return;
  fail(
    'CONFIG_CONTAINER_ARGS',
    name,
    `it has no program ${program}${program.includes('/') ? '' : ` in ${path}`}`,
    'change container.args',
  );
}

function isProgram(node: TreeNode | undefined): boolean {
  return node !== undefined && isRegular(node) && (node.mode & ANY_EXECUTE) !== 0;
}

const isBelow = (path: string, directory: string): boolean => path.startsWith(`${directory}/`);

/** Places of mounts, and where the program starts; what is below an earlier mount is not in the image. */
function makeDirectories(name: string, rootfs: TreeNode, config: RuntimeConfig): void {
  const { mounts, process } = config;
  const places = mounts.map(({ destination, type }) => ({
    path: destination,
    mayBeFile: type === 'bind',
  }));
  for (const { path, mayBeFile } of [...places, { path: process.cwd, mayBeFile: false }]) {
    if (mounts.some(({ destination }) => isBelow(path, destination))) continue;
    const isRoot = path === '/' && mounts.some(({ destination }) => destination === '/');
    const problem = isRoot ? 'would be hidden' : makeDirectory(rootfs, path, mayBeFile);
    if (problem === undefined) continue;
    fail(
      'CONFIG_CONTAINER_PATH',
      name,
      `${path} ${problem}, expected a directory or nothing`,
      'change container.mounts, omit_mounts or cwd, or the image',
    );
  }
}

/** Makes what is missing of a path, as far as there is nothing else; symlinks are followed within the tree. */
function makeDirectory(rootfs: TreeNode, path: string, mayBeFile: boolean): string | undefined {
  const there = findNode(rootfs, path);
  if (there !== undefined) {
    return isDirectory(there) || (mayBeFile && isRegular(there)) ? undefined : 'is no directory';
  }
  const parts = path.split('/').filter((part) => part !== '');
  let depth = parts.length - 1;
  while (findNode(rootfs, parts.slice(0, depth).join('/')) === undefined) depth--;
  let here = findNode(rootfs, parts.slice(0, depth).join('/'))!;
  if (!isDirectory(here)) return 'is below a file';
  for (const part of parts.slice(depth)) {
    const made = new TreeNode(byteStringOfText(part), DIRECTORY_MODE);
    if (here.children!.some((child) => child.name === made.name)) {
      return 'is a symlink that leads nowhere, or is below one';
    }
    here.children!.push(made);
    sortChildren(here.children!);
    here = made;
  }
  return undefined;
}

function warnOfHidden(
  name: string,
  rootfs: TreeNode,
  path: string,
  onWarning: BundleOptions['onWarning'],
): void {
  const count = findNode(rootfs, path)?.children?.length ?? 0;
  if (count === 0) return;
  onWarning?.(
    `image ${name} has the volume ${path}: it starts empty and hides ${count} entries of the image; ` +
      'container.mounts can put something else there',
  );
}

function fail(
  code: 'CONFIG_CONTAINER_ARGS' | 'CONFIG_CONTAINER_PATH' | 'CONFIG_CONTAINER_USER',
  name: string,
  problem: string,
  hint: string,
): never {
  throw new ColdsealError(code, `Cannot make a container of image ${name}: ${problem}`, { hint });
}
