/**
 * What a recipe changes in a tree that has been read: attributes, the root directory, times and SELinux labels.
 *
 * It is a pass of its own over the finished tree, so that a directory, an archive and an image of layers come out
 * alike. The order is fixed: attributes are chosen, the root gets its own, times are changed, and labels come last,
 * whatever attributes are kept.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { LabelPolicy } from '../selinux/policy.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import type { Recipe } from './recipe.ts';
import {
  CAPABILITY_XATTR,
  isDirectory,
  NO_XATTRS,
  S_IFDIR,
  SELINUX_XATTR,
  sortXattrs,
  type TreeNode,
  walkTree,
  type Xattr,
} from './tree.ts';

export interface Transforms extends Pick<Recipe, 'mtime' | 'xattrs' | 'rootMetadata'> {
  /** Seconds since 1970, which `clamp` needs. */
  readonly sourceDateEpoch: number | undefined;
  readonly labels: LabelPolicy | undefined;
}

const FIXED_ROOT_MODE = 0o755;

/** Whether a recipe without labels changes a tree after it was read, which then has to be one of nodes. */
export function changesTree({ mtime, xattrs, rootMetadata }: Recipe): boolean {
  return (
    xattrs === 'capability' || rootMetadata !== 'source' || mtime === 'seconds' || mtime === 'clamp'
  );
}

/** Changes a tree. Throws CONFIG_RECIPE_ROOT, CONFIG_RECIPE_CLAMP, CONFIG_SELINUX_POLICY, CONFIG_SELINUX_HARDLINK. */
export function applyRecipe(root: TreeNode, transforms: Transforms): void {
  const { xattrs, mtime, sourceDateEpoch, labels } = transforms;
  if (xattrs === 'capability') keepCapabilities(root);
  describeRoot(root, transforms.rootMetadata);
  if (mtime === 'seconds') eachInode(root, (node) => (node.mtimeNsec = 0));
  if (mtime === 'clamp') clampTimes(root, requireEpoch(sourceDateEpoch));
  if (labels !== undefined) labelTree(root, labels);
}

/** Throws CONFIG_RECIPE_CLAMP without SOURCE_DATE_EPOCH; for asking before anything is read. */
export function requireEpoch(sourceDateEpoch: number | undefined): number {
  if (sourceDateEpoch !== undefined) return sourceDateEpoch;
  throw new ColdsealError(
    'CONFIG_RECIPE_CLAMP',
    'Cannot clamp modification times: SOURCE_DATE_EPOCH is not set, expected the latest time',
    { hint: 'set SOURCE_DATE_EPOCH, such as to the time of the last commit' },
  );
}

function eachInode(root: TreeNode, change: (node: TreeNode) => void): void {
  for (const { node } of walkTree(root)) if (node.hardlink === undefined) change(node);
}

function keepCapabilities(root: TreeNode): void {
  eachInode(root, (node) => {
    if (node.xattrs.length === 0) return;
    const kept = node.xattrs.filter(({ name }) => name === CAPABILITY_XATTR);
    node.xattrs = kept.length === 0 ? NO_XATTRS : kept;
  });
}

function describeRoot(root: TreeNode, rule: Recipe['rootMetadata']): void {
  if (rule === 'source') return;
  if (rule === 'fixed') {
    root.mode = S_IFDIR | FIXED_ROOT_MODE;
    root.uid = root.gid = root.mtimeSec = root.mtimeNsec = 0;
    root.xattrs = NO_XATTRS;
    return;
  }
  const usr = root.children!.find(({ name }) => name === 'usr');
  if (usr === undefined || !isDirectory(usr)) {
    throw new ColdsealError(
      'CONFIG_RECIPE_ROOT',
      'Cannot take the root directory from /usr: the source has no such directory',
      { hint: 'use root metadata fixed for trees that are no system' },
    );
  }
  root.mode = usr.mode;
  root.uid = usr.uid;
  root.gid = usr.gid;
  root.mtimeSec = usr.mtimeSec;
  root.mtimeNsec = usr.mtimeNsec;
  root.xattrs = usr.xattrs;
}

function clampTimes(root: TreeNode, latest: number): void {
  eachInode(root, (node) => {
    const isLater =
      node.mtimeSec > latest || (Number(node.mtimeSec) === latest && node.mtimeNsec > 0);
    if (!isLater) return;
    node.mtimeSec = latest;
    node.mtimeNsec = 0;
  });
}

/** Labels every inode; a label that the source had goes, also where the policy has none. */
function labelTree(root: TreeNode, labels: LabelPolicy): void {
  const values = new Map<string, Xattr>();
  const alone = new Map<Xattr, readonly Xattr[]>();
  const isMultiple = new Map<TreeNode, { path: ByteString; context: string | undefined }>();
  const links: { path: ByteString; owner: TreeNode }[] = [];
  for (const { path, node } of walkTree(root)) {
    if (node.hardlink !== undefined) {
      links.push({ path, owner: node.hardlink });
      continue;
    }
    const context = labels.contextOf(path, node.mode);
    if (node.nlink > 1) isMultiple.set(node, { path, context });
    node.xattrs = withLabel(node.xattrs, context, values, alone);
  }
  for (const { path, owner } of links) requireSameLabel(path, owner, isMultiple, labels);
}

function withLabel(
  xattrs: readonly Xattr[],
  context: string | undefined,
  values: Map<string, Xattr>,
  alone: Map<Xattr, readonly Xattr[]>,
): readonly Xattr[] {
  const others = xattrs.filter(({ name }) => name !== SELINUX_XATTR);
  if (context === undefined) return others.length === 0 ? NO_XATTRS : others;
  let label = values.get(context);
  if (label === undefined) {
    // The kernel and libselinux store contexts with the NUL that ends them.
    label = { name: SELINUX_XATTR, value: `${context}\0` as ByteString };
    values.set(context, label);
  }
  if (others.length > 0) return sortXattrs([...others, label]);
  let list = alone.get(label);
  if (list === undefined) alone.set(label, (list = [label]));
  return list;
}

/** One inode has one label; a policy that gives its names several cannot be followed. */
function requireSameLabel(
  path: ByteString,
  owner: TreeNode,
  owners: ReadonlyMap<TreeNode, { path: ByteString; context: string | undefined }>,
  labels: LabelPolicy,
): void {
  const first = owners.get(owner);
  const context = labels.contextOf(path, owner.mode);
  if (first === undefined || first.context === context) return;
  throw new ColdsealError(
    'CONFIG_SELINUX_HARDLINK',
    `Cannot label ${showBytes(path)}: it is the same file as ${showBytes(first.path)}, and the policy says ` +
      `${context ?? 'none'} here and ${first.context ?? 'none'} there`,
    { hint: 'build with hardlinks: split, or give both names one label in file_contexts.local' },
  );
}
