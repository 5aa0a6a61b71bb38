/**
 * Random trees for property tests: deep, wide, with every type, binary names, many attributes, whiteouts,
 * hardlinks, times before 1970 and sizes up to 2^53.
 *
 * `treeText` is what an image can tell of a tree, so that "write, then read" can be compared.
 */
import fc from 'fast-check';
import { byteString, type ByteString } from '../../toolchain/image/byte-string.ts';
import {
  isDirectory,
  isRegular,
  isSymlink,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  sortChildren,
  TreeNode,
  walkTree,
  XattrPool,
  type Xattr,
} from '../../toolchain/image/tree.ts';

/** Fills a node; made by the arbitraries below and applied once the name is known. */
type Fill = (node: TreeNode, pool: XattrPool) => void;
type Spec = { readonly mode: number; readonly apply: Fill; readonly entries?: readonly Entry[] };
type Entry = { readonly name: ByteString; readonly spec: Spec };

const bytes = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max });

/** Names: short plain ones, any bytes, and those that sort around the dots. */
const name: fc.Arbitrary<ByteString> = fc
  .oneof(
    { weight: 4, arbitrary: fc.stringMatching(/^[a-f0-9]{1,3}$/) },
    { weight: 2, arbitrary: bytes(1, 255).map((value) => byteString(value)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('!x', '-', '-a', '.a', '...', '=', ' ', '\\', '00', 'ff'),
    },
  )
  .map((text) => text.replaceAll(/[/\0]/g, '_') as ByteString)
  .filter((text) => text !== '.' && text !== '..');

const xattrName = fc.oneof(
  fc.constantFrom(
    'user.a',
    'user.b',
    'security.selinux',
    'security.capability',
    'system.posix_acl_access',
    'trusted.x',
    'trusted.overlay.metacopy',
    'trusted.overlay.overlay.origin',
    'lustre.lov',
    'other',
  ),
  fc.nat(150).map((n) => `user.x${String(n).padStart(3, '0')}`),
);
const xattrValue = fc.oneof(
  fc.constantFrom('', '1', '-', 'system_u:object_r:usr_t:s0\0'),
  bytes(0, 200).map((value) => byteString(value)),
);
const xattrs = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 4, arbitrary: fc.array(fc.tuple(xattrName, xattrValue), { maxLength: 5 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 120, max: 140 }).map((n) => {
      return Array.from(
        { length: n },
        (_, i) => [`user.x${String(i).padStart(3, '0')}`, '1'] as const,
      );
    }),
  },
);
const id = fc.constantFrom(0, 1000, 65535, 65536, 4294967295);
const mtime = fc.tuple(
  fc.oneof(
    fc.constantFrom(0, -1, 1700000000, -(2 ** 40), 2n ** 63n - 1n, -(2n ** 63n)),
    fc.integer(),
  ),
  fc.constantFrom(0, 1, 999999999),
);

const common: fc.Arbitrary<Fill> = fc
  .record({
    permissions: fc.integer({ min: 0, max: 0o7777 }),
    nlink: fc.constantFrom(1, 1, 2, 70000),
    uid: id,
    gid: id,
    mtime: fc.option(mtime, { nil: undefined, freq: 3 }),
    xattrs,
  })
  .map((value) => (node, pool) => {
    node.mode |= value.permissions;
    node.nlink = value.nlink;
    node.uid = value.uid;
    node.gid = value.gid;
    if (value.mtime !== undefined) [node.mtimeSec, node.mtimeNsec] = value.mtime;
    const byName = new Map(value.xattrs);
    const sorted = [...byName].sort(([a], [b]) => (a < b ? -1 : 1));
    node.xattrs = sorted.map(([key, text]): Xattr =>
      pool.get(key as ByteString, text as ByteString),
    );
  });

const digest = fc.option(
  fc.oneof(bytes(32, 32), bytes(64, 64)).map((value) => Buffer.from(value).toString('hex')),
  { nil: undefined },
);
const size = fc.oneof(
  fc.constantFrom(1, 64, 4095, 4096, 4097, 2 ** 31, 2 ** 43, 2 ** 43 + 1, 2 ** 52, 2 ** 53),
  fc.integer({ min: 1, max: 2 ** 45 }),
);
const payload = fc.option(
  fc.stringMatching(/^[a-z]{1,9}(\/[a-z]{1,9}){0,3}$/).map((text) => text as ByteString),
  { nil: undefined },
);

const external: fc.Arbitrary<Fill> = fc
  .tuple(size, digest, payload)
  .map(([length, hex, path]) => (node) => {
    node.size = length;
    node.digest = hex;
    node.payload = path;
  });
const inline: fc.Arbitrary<Fill> = fc
  .oneof(
    { weight: 4, arbitrary: bytes(1, 70) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(2048, 2049, 4095, 4096, 4097, 5000)
        .map((n) => new Uint8Array(n).fill(7)),
    },
  )
  .map((content) => (node) => {
    node.content = content;
    node.size = content.length;
  });
const symlink: fc.Arbitrary<Fill> = fc
  .oneof(
    { weight: 4, arbitrary: bytes(1, 80) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(3000, 4031, 4032, 4095).map((n) => new Uint8Array(n).fill(0x74)),
    },
  )
  .map((value) => (node) => {
    node.payload = byteString(value).replaceAll('\0', '0') as ByteString;
    node.size = node.payload.length;
  });
const device: fc.Arbitrary<Fill> = fc.integer({ min: 1, max: 0xffffffff }).map((rdev) => (node) => {
  node.rdev = rdev;
});
const nothing: fc.Arbitrary<Fill> = fc.constant(() => undefined);

function leaf(mode: number, own: fc.Arbitrary<Fill>): fc.Arbitrary<Spec> {
  return fc.tuple(common, own).map(([first, second]) => ({
    mode,
    apply: (node, pool) => {
      first(node, pool);
      second(node, pool);
    },
  }));
}

const file = fc.oneof(
  { weight: 4, arbitrary: leaf(S_IFREG, external) },
  { weight: 4, arbitrary: leaf(S_IFREG, inline) },
  { weight: 2, arbitrary: leaf(S_IFREG, nothing) },
  { weight: 3, arbitrary: leaf(S_IFLNK, symlink) },
  { weight: 1, arbitrary: leaf(S_IFCHR, device) },
  { weight: 1, arbitrary: leaf(S_IFBLK, device) },
  { weight: 1, arbitrary: leaf(S_IFIFO, nothing) },
  { weight: 1, arbitrary: leaf(S_IFSOCK, nothing) },
  { weight: 2, arbitrary: leaf(S_IFCHR, nothing) },
);

const { entry } = fc.letrec<{ entry: Entry; directory: Spec; deep: Spec; wide: Spec }>((tie) => ({
  entry: fc.record({
    name,
    spec: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      file,
      tie('directory'),
      tie('deep'),
      tie('wide'),
    ),
  }),
  directory: directoryOf(fc.array(tie('entry'), { maxLength: 8 })),
  // A chain of directories, and one with entries in several blocks.
  deep: fc
    .tuple(common, fc.integer({ min: 2, max: 60 }))
    .map(([apply, depth]) => chain(apply, depth)),
  wide: fc
    .tuple(
      common,
      fc.integer({ min: 100, max: 400 }),
      fc.constantFrom('!', 'm', 'mmmmmmmmmmmmmmmm'),
    )
    .map(([apply, count, prefix]): Spec => ({
      mode: S_IFDIR,
      apply,
      entries: Array.from({ length: count }, (_, i): Entry => {
        const text = `${prefix}${i}` as ByteString;
        return { name: text, spec: { mode: S_IFREG | 0o644, apply: () => undefined } };
      }),
    })),
}));

function directoryOf(entries: fc.Arbitrary<Entry[]>): fc.Arbitrary<Spec> {
  return fc
    .tuple(common, entries)
    .map(([apply, list]) => ({ mode: S_IFDIR, apply, entries: list }));
}

function chain(apply: Fill, depth: number): Spec {
  let spec: Spec = { mode: S_IFDIR, apply, entries: [] };
  for (let i = 0; i < depth; i++)
    spec = { mode: S_IFDIR, apply, entries: [{ name: 'd' as ByteString, spec }] };
  return spec;
}

/** A whole tree as sources hand it over. */
export const arbitraryTree: fc.Arbitrary<TreeNode> = fc
  .record({
    root: directoryOf(fc.array(entry, { maxLength: 12 })),
    links: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 6 }),
  })
  .map(({ root, links }) => {
    const tree = build('' as ByteString, root, new XattrPool());
    for (const [from, to] of links) addHardlink(tree, from, to);
    return tree;
  });

function build(own: ByteString, spec: Spec, pool: XattrPool): TreeNode {
  const node = new TreeNode(own, spec.mode);
  spec.apply(node, pool);
  const byName = new Map((spec.entries ?? []).map((child) => [child.name, child.spec]));
  for (const [child, childSpec] of byName) node.children!.push(build(child, childSpec, pool));
  if (node.children !== undefined) sortChildren(node.children);
  return node;
}

/** Makes one entry that is no directory a further name of another one. */
function addHardlink(root: TreeNode, from: number, to: number): void {
  const files = [...walkTree(root)].map(({ node }) => node).filter((node) => !isDirectory(node));
  const linked = new Set(files.map((node) => node.hardlink));
  const links = files.filter((node) => node.hardlink === undefined && !linked.has(node));
  const targets = files.filter((node) => node.hardlink === undefined);
  const link = links[from % Math.max(links.length, 1)];
  const target = targets[to % Math.max(targets.length, 1)];
  if (link === undefined || target === undefined || link === target) return;
  const replacement = new TreeNode(link.name, target.mode);
  replacement.hardlink = target;
  for (const { node } of walkTree(root)) {
    const at = node.children?.indexOf(link) ?? -1;
    if (at >= 0) node.children![at] = replacement;
  }
}

/**
 * Everything an image can tell of a tree, one line for each entry. Which of several names of an inode is the
 * original can be ambiguous, so names of one inode are told by the first of them. Sizes and link counts of
 * directories are left out: an image has its own.
 */
export function treeText(root: TreeNode): string {
  const firstPaths = new Map<TreeNode, string>();
  const lines: string[] = [];
  for (const { path, node } of walkTree(root)) {
    const inode = node.hardlink ?? node;
    const first = firstPaths.get(inode) ?? path;
    firstPaths.set(inode, first);
    lines.push(JSON.stringify([path, first === path ? '' : first, ...describe(inode)]));
  }
  return lines.join('\n');
}

function describe(node: TreeNode): unknown[] {
  const hasObject = isRegular(node) && node.content === undefined && node.size > 0;
  const isCounted = isRegular(node) || isSymlink(node);
  return [
    node.mode.toString(8),
    isDirectory(node) ? 0 : node.nlink,
    node.uid,
    node.gid,
    node.rdev,
    isCounted ? node.size : 0,
    `${node.mtimeSec}.${node.mtimeNsec}`,
    isSymlink(node) || hasObject ? (node.payload ?? null) : null,
    hasObject ? (node.digest ?? null) : null,
    node.content === undefined ? null : Buffer.from(node.content).toString('hex'),
    node.xattrs.map(({ name: key, value }) => [key, value]),
  ];
}
