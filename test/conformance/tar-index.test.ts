/**
 * The kernel and erofs-utils judge indexes of archives: what is mounted is what the archive was made of, entry by entry
 * and byte by byte, and what mkfs.erofs's own index of the same archive shows.
 */
import {
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  closeSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import type { ByteString } from '../../toolchain/image/byte-string.ts';
import { buildIndex } from '../../toolchain/image/tar-index.ts';
import { TreeNode } from '../../toolchain/image/tree.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { requireErofsJudge } from '../support/erofs-judge.ts';
import { runTool } from '../support/file-systems.ts';
import { makeNode, setMtime, setXattr } from '../support/native.ts';
import { runCli } from '../support/run-cli.ts';
import { shown, walk } from '../support/shown-tree.ts';
import { mountIndex, type IndexMount } from '../support/tar-index-lab.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';
import { makeVectorTree } from '../support/vector-tree.ts';

const test = suite('indexes of archives');

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const WAYS: readonly IndexMount[] = ['files', 'devices', 'joined'];

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
});
test.after.each(() => dir.remove());

/** Two trees show the same in every respect; returns how many bytes were compared. */
function compareTrees(expected: string, mounted: string): number {
  const paths = walk(expected).sort();
  assert.equal(walk(mounted).sort(), paths, 'the same paths');
  let bytes = 0;
  for (const path of paths) {
    assert.equal(shown(mounted, path), shown(expected, path));
    if ((lstatFast(expected + path).mode & S_IFMT) !== S_IFREG) continue;
    const content = readFileSync(Buffer.from(expected + path, 'latin1'));
    assertBytes(readFileSync(Buffer.from(mounted + path, 'latin1')), content, path);
    bytes += content.length;
  }
  return bytes;
}

function archive(source: string, tar: string, ...options: string[]): void {
  const all = ['--xattrs', '--xattrs-include=*', '--format=posix'];
  makeArchive(source, tar, [...all, ...options]);
}

function makeArchive(source: string, tar: string, options: readonly string[]): void {
  const same = ['--numeric-owner', '--sort=name'];
  runTool(requireTool('tar', 'tar'), [...same, ...options, '-C', source, '-cf', tar, '.']);
}

async function build(tar: string, image: string): Promise<void> {
  const { code, stderr } = await runCli(['image', 'build', '--tar-index', tar, image]);
  assert.is(code, 0, stderr);
}

/** Entries of every kind, with sizes around the blocks of the index. */
function makeOddTree(source: string): void {
  const file = (name: string, content: string | Buffer): void => {
    writeFileSync(join(source, name), content);
  };
  mkdirSync(source);
  for (const directory of ['dev', 'many', 'sizes', 'deep', 'none'])
    mkdirSync(join(source, directory));
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 1_000_000]) {
    file(`sizes/${size}`, Buffer.alloc(size, `${size},`));
  }
  linkSync(join(source, 'sizes/513'), join(source, 'many/another name'));
  linkSync(join(source, 'sizes/0'), join(source, 'empty too'));
  for (let i = 0; i < 200; i++) file(`many/${i}-${'n'.repeat((i * 7) % 250)}`, `${i}`);
  for (const length of [1, 60, 300, 470, 500, 513, 2000, 4095]) {
    symlinkSync('t/'.repeat(length).slice(0, length), join(source, `link-${length}`));
  }
  makeNode(join(source, 'dev/null'), 0o20666, 0x103);
  makeNode(join(source, 'dev/disk'), 0o60600, (259 << 8) | 0x77 | (0x123 << 20));
  makeNode(join(source, 'dev/whiteout'), 0o20000, 0);
  makeNode(join(source, 'dev/pipe'), 0o10644);
  for (const name of ['sizes/1', 'sizes/512', 'many', 'deep'])
    setXattr(join(source, name), 'user.shared', 'same');
  setXattr(join(source, 'sizes/513'), 'user.big', 'v'.repeat(3000));
  setXattr(join(source, 'deep'), 'trusted.overlay.opaque', 'y');
  setMtime(join(source, 'sizes/1'), 981_173_106, 789);
  setMtime(join(source, 'sizes/511'), -86_400, 0);
}

for (const way of WAYS) {
  test(`every kind of entry, mounted as ${way}`, async () => {
    requireRoot();
    makeOddTree(at('source'));
    archive(at('source'), at('a.tar'));
    await build(at('a.tar'), at('a.index'));
    mkdirSync(at('mounted'));
    using _ = mountIndex(way, at('a.index'), at('a.tar'), at('mounted'));
    assert.ok(compareTrees(at('source'), at('mounted')) > 1_000_000);
  });
}

for (const [seed, files] of [
  [1, 300],
  [2, 1500],
] as const) {
  test(`tree ${seed} with ${files} entries`, async () => {
    requireRoot();
    makeVectorTree(seed, at('source'), files);
    archive(at('source'), at('a.tar'));
    await build(at('a.tar'), at('a.index'));
    mkdirSync(at('mounted'));
    using _ = mountIndex('files', at('a.index'), at('a.tar'), at('mounted'));
    assert.ok(compareTrees(at('source'), at('mounted')) > 0);
  });
}

for (const form of ['0.0', '0.1', '1.0', 'gnu']) {
  test(`sparse files in form ${form}`, async () => {
    requireRoot();
    mkdirSync(at('source'));
    writeSparse(at('source/begins'), [[0, 5000]], 3_000_000);
    writeSparse(
      at('source/middle'),
      [
        [1 << 20, 100],
        [2 << 20, 4096],
      ],
      5_000_001,
    );
    writeSparse(at('source/end'), [[(1 << 20) - 100, 100]], 1 << 20);
    writeSparse(at('source/hole'), [], 9_000_000);
    if (form === 'gnu') {
      setAllTimes(at('source'));
      makeArchive(at('source'), at('a.tar'), ['--sparse', '--format=gnu']);
    } else archive(at('source'), at('a.tar'), '--sparse', `--sparse-version=${form}`);
    await build(at('a.tar'), at('a.index'));
    mkdirSync(at('mounted'));
    using _ = mountIndex('files', at('a.index'), at('a.tar'), at('mounted'));
    compareTrees(at('source'), at('mounted'));
  });
}

/** Whole seconds, which is what the format has. */
function setAllTimes(root: string): void {
  for (const path of walk(root).reverse()) setMtime(root + path, 1_700_000_000, 0);
}

function writeSparse(
  path: string,
  regions: readonly (readonly [at: number, size: number])[],
  size: number,
): void {
  const fd = openSync(path, 'w');
  for (const [from, length] of regions)
    writeSync(fd, Buffer.alloc(length, 'data'), 0, length, from);
  ftruncateSync(fd, size);
  closeSync(fd);
}

test('contents beyond 4 GiB of the archive', async () => {
  requireRoot();
  const far = 5 * 2 ** 30;
  const root = new TreeNode('' as ByteString, 0o40755);
  const file = (name: string, size: number, offset: number): TreeNode => {
    const node = new TreeNode(name as ByteString, 0o100644);
    node.size = size;
    node.payload = String(offset) as ByteString;
    return node;
  };
  // The first file lies in several chunks. Its archive would take long to hash, and nothing here asks for the digest.
  root.children!.push(file('a', far - 512, 512), file('b', 13, far));
  const fd = openSync(at('a.tar'), 'w');
  writeSync(fd, 'begins', 512);
  writeSync(fd, 'ends', far - 4);
  writeSync(fd, 'behind 5 GiB\n', far);
  ftruncateSync(fd, far + 1024);
  closeSync(fd);
  const digests = { sha256: '00'.repeat(32), fsVerityDigest: '00'.repeat(32) };
  const tar = { root, bytes: far + 1024, ...digests, algorithm: 'sha256' } as const;
  const pieces: Uint8Array[] = [];
  const consume = (bytes: Uint8Array): number => pieces.push(bytes.slice());
  buildIndex(tar, { recipe: {}, algorithm: 'sha256', consume });
  writeFileSync(at('a.index'), Buffer.concat(pieces));
  mkdirSync(at('mounted'));
  using _ = mountIndex('devices', at('a.index'), at('a.tar'), at('mounted'));
  assert.is(readFileSync(at('mounted/b'), 'latin1'), 'behind 5 GiB\n');
  assert.is(readAt(at('mounted/a'), 0, 6), 'begins');
  assert.is(readAt(at('mounted/a'), far - 512 - 4, 100), 'ends');
  assert.is(lstatFast(at('mounted/a')).size, far - 512);
});

function readAt(path: string, position: number, size: number): string {
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(size);
  const count = readSync(fd, bytes, 0, size, position);
  closeSync(fd);
  return bytes.toString('latin1', 0, count);
}

test('fsck.erofs finds nothing and extracts everything', async () => {
  const judge = await requireErofsJudge();
  requireRoot();
  makeOddTree(at('source'));
  archive(at('source'), at('a.tar'));
  await build(at('a.tar'), at('a.index'));
  judge('fsck.erofs', `--device=${at('a.tar')}`, `--extract=${at('extracted')}`, at('a.index'));
  for (const path of walk(at('source'))) {
    const { mode } = lstatFast(at('source') + path);
    if ((mode & S_IFMT) !== S_IFREG) continue;
    const content = readFileSync(at('source') + path);
    assertBytes(readFileSync(at('extracted') + path), content, path);
  }
  assert.match(judge('dump.erofs', '-s', at('a.index')), /device_table/);
});

test('shows what the index of mkfs.erofs shows', async () => {
  const judge = await requireErofsJudge();
  requireRoot();
  makeOddTree(at('source'));
  // It takes a fraction of fewer than nine digits for nanoseconds, and GNU tar leaves zeros at the end out.
  setAllTimes(at('source'));
  archive(at('source'), at('a.tar'));
  await build(at('a.tar'), at('a.index'));
  judge('mkfs.erofs', '--tar=i', '--quiet', at('theirs.index'), at('a.tar'));
  for (const name of ['ours', 'theirs']) mkdirSync(at(name));
  using _ours = mountIndex('devices', at('a.index'), at('a.tar'), at('ours'));
  using _theirs = mountIndex('devices', at('theirs.index'), at('a.tar'), at('theirs'));
  assert.ok(compareTrees(at('theirs'), at('ours')) > 1_000_000);
});

test.run();
