/** Random trees through an archive and back, in any order of their entries; random bytes to a tree or a refusal. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { fsVerityDigest } from '../../runtime/format/fsverity.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { TAR_LIMITS } from '../../toolchain/image/tar-limits.ts';
import {
  isRegular,
  isSymlink,
  NO_XATTRS,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
  type TreeNode,
  walkTree,
} from '../../toolchain/image/tree.ts';
import { objectPath } from '../../toolchain/objects/layout.ts';
import { arbitraryTree, treeText } from '../support/arbitrary-tree.ts';
import { TAR_OPTIONS, treeOfBytes } from '../support/tar-lab.ts';
import {
  GNU_MAGIC,
  longName,
  membersOfTree,
  paxHeader,
  putChecksum,
  TAR_END,
  tarMember,
  tarOf,
  type TreeDialect,
} from '../support/tar-writer.ts';

const test = suite('tar properties');

const sha256 = hashFunction('sha256');

/** Makes a tree one that an archive of the dialect can hold, and gives its files contents. */
function fitForTar(root: TreeNode, dialect: TreeDialect): Map<TreeNode, Uint8Array> {
  const contents = new Map<TreeNode, Uint8Array>();
  for (const { node } of walkTree(root)) {
    if (node.hardlink !== undefined) continue;
    node.nlink = 1;
    node.mtimeSec = Number(BigInt.asIntN(dialect === 'gnu' ? 33 : 48, BigInt(node.mtimeSec)));
    if (dialect === 'gnu') {
      node.mtimeNsec = 0;
      node.xattrs = NO_XATTRS;
    }
    // No archive holds a socket.
    if ((node.mode & S_IFMT) === S_IFSOCK) node.mode = S_IFIFO | (node.mode & 0o7777);
    if (isSymlink(node)) node.mode |= 0o777;
    if (isSymlink(node)) node.mode &= ~0o7000;
    if (isRegular(node)) contents.set(node, giveContent(node));
  }
  for (const { node } of walkTree(root)) if (node.hardlink !== undefined) node.hardlink.nlink++;
  return contents;
}

function giveContent(node: TreeNode): Uint8Array {
  const content = node.content ?? new Uint8Array(node.size % 9000).fill(node.size % 251);
  node.size = content.length;
  const isInline = content.length <= TAR_OPTIONS.inlineMax;
  node.content = isInline && content.length > 0 ? content : undefined;
  node.digest = isInline ? undefined : toHex(fsVerityDigest(content, 'sha256', sha256));
  node.payload = node.digest === undefined ? undefined : (objectPath(node.digest) as ByteString);
  return content;
}

const dialect = fc.constantFrom<TreeDialect>('pax', 'gnu');

test('a tree comes back as it was, whatever the order of its entries', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryTree, dialect, fc.nat(), async (root, which, seed) => {
      const contents = fitForTar(root, which);
      const members = membersOfTree(root, (node) => contents.get(node)!, which);
      const inOrder = members.map(({ bytes }) => bytes);
      const expected = treeText(root);
      const read = (parts: readonly Buffer[]): Promise<TreeNode> =>
        treeOfBytes(Buffer.concat([...parts, TAR_END]), { hardlinks: true });
      assert.is(treeText(await read(inOrder)), expected);
      // Parents may come after what is in them, but a target has to come before its links.
      const others = members.filter(({ isHardlink }) => !isHardlink).map(({ bytes }) => bytes);
      const links = members.filter(({ isHardlink }) => isHardlink).map(({ bytes }) => bytes);
      assert.is(treeText(await read([...rotated(others, seed), ...links])), expected);
    }),
    { numRuns: 60 },
  );
});

/** Backwards, from some place on. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)].reverse();
}

const LIMITS = { ...TAR_LIMITS, totalBytes: 1 << 24, entries: 10_000 };

/** A tree or a ColdsealError of the formats, nothing else. */
async function readOrRefuse(bytes: Uint8Array): Promise<void> {
  try {
    await treeOfBytes(bytes, { limits: LIMITS, hardlinks: true });
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    assert.match(error.code, /^FORMAT_TAR_/);
  }
}

/** One of every kind of member, small enough that a change often hits something. */
const SEED = tarOf(
  paxHeader('g', [['mtime', '5.5']]),
  { name: './', type: '5', mode: 0o755 },
  { name: 'a', content: 'content', pax: [['SCHILY.xattr.user.a', '1']] },
  { name: 'b', type: '1', linkName: 'a' },
  { name: 'c', type: '2', linkName: 'x/y' },
  { name: 'd', type: '3', major: 1, minor: 2 },
  longName('e'.repeat(120)),
  { name: 'e', magic: GNU_MAGIC },
  {
    name: 'f',
    content: 'abc',
    pax: [
      ['GNU.sparse.size', '99'],
      ['GNU.sparse.map', '7,3'],
    ],
  },
  { name: 'g', type: 'S', magic: GNU_MAGIC, change: (block) => block.write('00000000777\0', 483) },
);

test('any bytes are a tree or are refused', async () => {
  const bytes = fc.uint8Array({ maxLength: 2048 });
  await fc.assert(fc.asyncProperty(bytes, readOrRefuse), { numRuns: 200 });
});

test('an archive with changed bytes is a tree or is refused', async () => {
  const changes = fc.array(fc.tuple(fc.nat(SEED.length - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(changes, fc.boolean(), async (list, isForged) => {
      const bytes = Buffer.from(SEED);
      for (const [at, value] of list) {
        bytes[at] = value;
        // Whoever forges an archive makes the checksum right.
        const block = bytes.subarray(at - (at % 512), at - (at % 512) + 512);
        if (isForged && block.toString('latin1', 257, 262) === 'ustar') putChecksum(block);
      }
      await readOrRefuse(bytes);
    }),
    { numRuns: 1500 },
  );
});

test('PAX headers of any text are read or refused', async () => {
  const text = fc.oneof(
    fc.stringMatching(/^[0-9 =\na-z.,-]{0,60}$/),
    fc
      .tuple(
        fc.constantFrom(
          'path',
          'linkpath',
          'size',
          'uid',
          'mtime',
          'GNU.sparse.map',
          'GNU.sparse.size',
          'GNU.sparse.major',
          'GNU.sparse.name',
          'SCHILY.xattr.user.a',
          'SCHILY.acl.access',
        ),
        fc.string({ unit: 'binary-ascii', maxLength: 20 }),
      )
      .map(([key, value]) => [[key, value]] as const),
  );
  await fc.assert(
    fc.asyncProperty(text, async (records) => {
      const member = tarMember({ name: 'f', content: 'x' });
      await readOrRefuse(tarOf(paxHeader('x', records), member));
    }),
    { numRuns: 500 },
  );
});

test.run();
