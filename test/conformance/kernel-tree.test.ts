/**
 * The kernel as judge: every vector tree is built, mounted through EROFS and overlayfs, and compared with its source
 * entry by entry: names, types, owners, times, devices, xattrs, link targets and every byte.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { runCli } from '../support/run-cli.ts';
import { readTarget, shown, walk, xattrLines, type Shown } from '../support/shown-tree.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot } from '../support/tools.ts';
import { makeVectorTree } from '../support/vector-tree.ts';
import { vectorRows } from '../support/vector-tables.ts';

const test = suite('kernel shows the source tree');

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const S_IFCHR = 0o020000;

function isWhiteout(mode: number, rdev: number): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdev === 0;
}

/** An entry of the source as the mount must show it. */
function expected(root: string, path: string, holdsWhiteouts: boolean): Shown {
  const stat = lstatFast(root + path);
  const type = stat.mode & S_IFMT;
  const whiteout = isWhiteout(stat.mode, stat.rdev);
  const xattrs = xattrLines(root + path);
  // Inside an image a whiteout is an empty file that says what it is, and so does its directory.
  if (whiteout) xattrs.push('trusted.overlay.whiteout=', 'user.overlay.whiteout=');
  if (holdsWhiteouts) {
    xattrs.push('trusted.overlay.whiteouts=', 'user.overlay.whiteouts=');
    xattrs.push('trusted.overlay.opaque=x', 'user.overlay.opaque=x');
  }
  return {
    path,
    mode: (whiteout ? (stat.mode & ~S_IFMT) | S_IFREG : stat.mode).toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    mtime: `${stat.mtimeSec}.${stat.mtimeNsec}`,
    nlink: type === S_IFDIR ? undefined : 1,
    rdev: stat.rdev,
    size: type === S_IFREG ? stat.size : undefined,
    target: type === S_IFLNK ? readTarget(root + path) : undefined,
    xattrs: xattrs.sort(),
  };
}

function compareTrees(source: string, mounted: string): { entries: number; bytes: number } {
  const paths = walk(source);
  const whiteoutParents = new Set<string>();
  for (const path of paths) {
    const { mode, rdev } = lstatFast(source + path);
    if (isWhiteout(mode, rdev)) whiteoutParents.add(path.slice(0, path.lastIndexOf('/')));
  }
  assert.equal(walk(mounted).sort(), [...paths].sort(), 'the same paths');
  let bytes = 0;
  for (const path of paths) {
    const want = expected(source, path, whiteoutParents.has(path));
    const got = shown(mounted, path);
    // A whiteout has no size of its own in the source.
    assert.equal({ ...got, size: want.size ?? got.size }, { ...want, size: want.size ?? got.size });
    if (want.size === undefined || want.size === 0) continue;
    const content = readFileSync(Buffer.from(source + path, 'latin1'));
    assertBytes(readFileSync(Buffer.from(mounted + path, 'latin1')), content, path);
    bytes += content.length;
  }
  return { entries: paths.length, bytes };
}

const trees = new Set(vectorRows('trees.tsv').map((row) => `${row[0]} ${row[1]}`));
for (const key of trees) {
  const [seed, files] = key.split(' ').map(Number) as [number, number];
  test(`tree ${seed} with ${files} entries`, async () => {
    requireRoot();
    using dir = tempDir();
    const at = (name: string): string => join(dir.path, name);
    makeVectorTree(seed, at('source'), files);
    mkdirSync(at('mounted'));
    const store = `--digest-store=${at('objects')}`;
    const built = await runCli(['image', 'build', store, at('source'), at('image')]);
    assert.is(built.code, 0, built.stderr);
    const basedir = `--basedir=${at('objects')}`;
    const mounted = await runCli(['mount', '--verity=off', basedir, at('image'), at('mounted')]);
    assert.is(mounted.code, 0, mounted.stderr);
    try {
      const compared = compareTrees(at('source'), at('mounted'));
      assert.ok(compared.entries > files / 2, 'the tree has entries');
      assert.ok(compared.bytes > 0, 'some of them have content');
    } finally {
      assert.is((await runCli(['umount', at('mounted')])).code, 0);
    }
  });
}

test.run();
