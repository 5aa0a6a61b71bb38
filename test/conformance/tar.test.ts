/**
 * Others make the archive, or unpack it: GNU tar, bsdtar and Python's tarfile as makers, a scan of the directory as
 * judge of the tree, GNU tar's own unpacking as judge of odd archives.
 */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildImage } from '../../toolchain/image/build.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { scanDirectory } from '../../toolchain/image/scan.ts';
import { readTar } from '../../toolchain/image/tar.ts';
import type { TreeNode } from '../../toolchain/image/tree.ts';
import { bootsetLab, LAB_BOOTSET } from '../support/bootset-lab.ts';
import { runTool } from '../support/file-systems.ts';
import { makeNode, setMtime, setXattr } from '../support/native.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { runCli } from '../support/run-cli.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tarOf } from '../support/tar-writer.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';
import { makeVectorTree } from '../support/vector-tree.ts';

const test = suite('tar archives of others');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
});
test.after.each(() => dir.remove());

async function scanned(path: string, hardlinks: boolean): Promise<TreeNode> {
  const options = { ...TAR_OPTIONS, threads: 1, hardlinks };
  return (await scanDirectory(byteStringOfText(path), options)).root;
}

/** The archive is the directory: same lines of a dump, so that a difference is seen, and same image. */
async function assertSame(archive: string, directory: string, label: string): Promise<void> {
  for (const hardlinks of [false, true]) {
    const { root } = await readTar(archive, { ...TAR_OPTIONS, hardlinks });
    const expected = await scanned(directory, hardlinks);
    assertLines(lines(root), lines(expected), label);
    assert.is(buildImage(root).digest, buildImage(expected).digest, label);
  }
}

function lines(root: TreeNode): string[] {
  return [...printDump(root)].join('').split('\n');
}

/** Only the lines that differ are shown. */
function assertLines(actual: string[], expected: string[], label: string): void {
  const only = (a: string[], b: string[]): string[] => {
    const others = new Set(b);
    return a.filter((line) => !others.has(line));
  };
  assert.equal(only(actual, expected), only(expected, actual), label);
}

/** Everything an archive can hold. */
function makeRichTree(path: string): void {
  makeVectorTree(5, path, 150);
  mkdirSync(join(path, 'own'));
  writeFileSync(join(path, 'own', 'n'.repeat(255)), 'long name');
  writeFileSync(join(path, 'own/z-owner'), 'owner '.repeat(100));
  linkSync(join(path, 'own/z-owner'), join(path, 'own/a-link'));
  linkSync(join(path, 'own/z-owner'), join(path, 'top-link'));
  symlinkSync(`/${'t'.repeat(200)}`, join(path, 'own/symlink'));
  makeNode(join(path, 'own/char'), 0o020600, 0x12345678);
  makeNode(join(path, 'own/whiteout'), 0o020000, 0);
  makeNode(join(path, 'own/fifo'), 0o010644);
  const sparse = openSync(join(path, 'own/sparse'), 'w');
  ftruncateSync(sparse, 8 << 20);
  for (let i = 0; i < 40; i++) writeSync(sparse, 'data', i * 200_000);
  closeSync(sparse);
  setXattr(join(path, 'own/z-owner'), 'user.a=b%c', 'binary\0\n\xff');
  setXattr(join(path, 'own/z-owner'), 'user.empty', '');
  setXattr(join(path, 'own'), 'trusted.t', 'of a directory');
  setMtime(join(path, 'own/symlink'), -5, 999_999_999);
  setMtime(join(path, 'own'), 1_700_000_000, 123_456_789);
}

/** What the older formats can hold too: whole seconds, no attributes. */
function makePlainTree(path: string): void {
  mkdirSync(join(path, 'd/e'), { recursive: true });
  writeFileSync(join(path, 'd/e/file'), 'content '.repeat(1000));
  writeFileSync(join(path, 'd', 'n'.repeat(90)), 'x');
  linkSync(join(path, 'd/e/file'), join(path, 'd/link'));
  symlinkSync('../x', join(path, 'd/symlink'));
  makeNode(join(path, 'd/fifo'), 0o010644);
  makeNode(join(path, 'd/char'), 0o020644, 0x103);
  for (const name of ['d/e/file', 'd/fifo', 'd/char', `d/${'n'.repeat(90)}`, 'd/e', 'd', '.']) {
    utimesSync(join(path, name), 1_700_000_000, 1_700_000_000);
  }
  setMtime(join(path, 'd/symlink'), 1_700_000_000, 0);
}

const GNU_ARGS = ['--numeric-owner', '--sort=name', '-C'];
const POSIX_ARGS = ['--format=posix', '--xattrs', '--xattrs-include=*', ...GNU_ARGS];

test('GNU tar with attributes: sparse files in each version, or none', async () => {
  requireRoot();
  requireTool('tar', 'tar');
  makeRichTree(at('rich'));
  const rows = [[], ['-S'], ['-S', '--sparse-version=0.0'], ['-S', '--sparse-version=0.1']];
  for (const extra of rows) {
    runTool('tar', [...extra, ...POSIX_ARGS, at('rich'), '-cf', at('a.tar'), '.']);
    await assertSame(at('a.tar'), at('rich'), `tar ${extra.join(' ')}`);
  }
});

test('each compression', async () => {
  requireRoot();
  makeRichTree(at('rich'));
  runTool('tar', [...POSIX_ARGS, at('rich'), '-cf', at('a.tar'), '.']);
  const rows = [
    ['gzip', 'gzip', 'gz', '-kf'],
    ['zstd', 'zstd', 'zst', '-qkf'],
    ['zstd', 'zstd', 'zst', '-qkf', '--ultra', '-22'],
    ['xz', 'xz-utils', 'xz', '-kf'],
  ] as const;
  for (const [tool, debian, suffix, ...args] of rows) {
    requireTool(tool, debian);
    runTool(tool, [...args, at('a.tar')]);
    await assertSame(at(`a.tar.${suffix}`), at('rich'), `${tool} ${args.join(' ')}`);
  }
});

test('bsdtar, with attributes in both spellings', async () => {
  requireRoot();
  requireTool('bsdtar', 'libarchive-tools');
  makeRichTree(at('rich'));
  // It writes -5 s and 0.999999999 s as -5.999999999, which is another time to everyone else.
  setMtime(at('rich/own/symlink'), -5, 0);
  setMtime(at('rich/own'), 1_700_000_000, 123_456_789);
  runTool('bsdtar', [
    '--format',
    'pax',
    '--numeric-owner',
    '-C',
    at('rich'),
    '-cf',
    at('a.tar'),
    '.',
  ]);
  await assertSame(at('a.tar'), at('rich'), 'bsdtar');
});

test('the older formats, where a tree has nothing that they lack', async () => {
  requireRoot();
  requireTool('bsdtar', 'libarchive-tools');
  requireTool('python3', 'python3');
  mkdirSync(at('plain'));
  makePlainTree(at('plain'));
  for (const format of ['gnu', 'oldgnu', 'ustar', 'v7']) {
    // There are no devices and pipes in version 7.
    const from = format === 'v7' ? at('plain/d/e') : at('plain');
    runTool('tar', [`--format=${format}`, ...GNU_ARGS, from, '-cf', at('a.tar'), '.']);
    await assertSame(at('a.tar'), from, `GNU tar, ${format}`);
  }
  for (const format of ['ustar', 'gnutar']) {
    runTool('bsdtar', [
      '--format',
      format,
      '--numeric-owner',
      '-C',
      at('plain'),
      '-cf',
      at('a.tar'),
      '.',
    ]);
    await assertSame(at('a.tar'), at('plain'), `bsdtar, ${format}`);
  }
  for (const format of ['PAX_FORMAT', 'GNU_FORMAT', 'USTAR_FORMAT']) {
    const script = `import sys, tarfile
with tarfile.open(sys.argv[1], 'w', format=tarfile.${format}) as t: t.add(sys.argv[2], arcname='.')`;
    runTool('python3', ['-c', script, at('a.tar'), at('plain')]);
    await assertSame(at('a.tar'), at('plain'), `Python, ${format}`);
  }
});

test('access control lists, as GNU tar and bsdtar write them', async () => {
  requireRoot();
  requireTool('bsdtar', 'libarchive-tools');
  requireTool('setfacl', 'acl');
  mkdirSync(at('tree/d'), { recursive: true });
  writeFileSync(at('tree/d/f'), 'x');
  runTool('setfacl', ['-m', 'u:4242:rw,g:4243:x', at('tree/d/f')]);
  runTool('setfacl', ['-d', '-m', 'u:4242:rw', at('tree/d')]);
  // GNU tar writes names where it finds them; nobody is called 4242.
  runTool('tar', ['--acls', ...POSIX_ARGS, at('tree'), '-cf', at('a.tar'), '.']);
  await assertSame(at('a.tar'), at('tree'), 'GNU tar');
  runTool('bsdtar', ['--acls', '--format', 'pax', '-C', at('tree'), '-cf', at('a.tar'), '.']);
  await assertSame(at('a.tar'), at('tree'), 'bsdtar');
});

test('an archive that grew: GNU tar unpacks what we read', async () => {
  requireRoot();
  const steps: (() => void)[] = [
    () => writeFileSync(at('src/f'), 'new content'),
    () => linkSync(at('src/f'), at('src/g')),
    () => writeFileSync(at('src/d/later'), 'later'),
    () => symlinkSync('d', at('src/s')),
    () => appendFileSync(at('src/f'), ', appended'),
  ];
  mkdirSync(at('src/d'), { recursive: true });
  writeFileSync(at('src/f'), 'old content');
  runTool('tar', [...POSIX_ARGS, at('src'), '-cf', at('a.tar'), '.']);
  for (const step of steps) {
    step();
    runTool('tar', [...POSIX_ARGS, at('src'), '-rf', at('a.tar'), '.']);
  }
  // The same file twice becomes a hardlink to itself.
  runTool('tar', [...POSIX_ARGS, at('src'), '-rf', at('a.tar'), './f', './f']);
  mkdirSync(at('out'));
  runTool('tar', ['--xattrs', '--xattrs-include=*', '-C', at('out'), '-xpf', at('a.tar')]);
  await assertSame(at('a.tar'), at('out'), 'unpacked');
});

test('odd names, as GNU tar unpacks them', async () => {
  requireRoot();
  const archive = tarOf(
    { name: './', type: '5', mode: 0o755, mtime: 9 },
    { name: 'd//', type: '5', mode: 0o755, mtime: 1 },
    { name: './/d/./f', content: 'x', mtime: 2 },
    { name: 'replaced', content: 'x', mtime: 3 },
    { name: 'link', type: '1', linkName: './replaced' },
    { name: 'replaced/', type: '5', mode: 0o700, mtime: 4 },
    { name: 'empty/', type: '5', mode: 0o700, mtime: 5 },
    { name: 'empty', type: '2', linkName: 'd', mtime: 6 },
  );
  writeFileSync(at('a.tar'), archive);
  mkdirSync(at('out'));
  runTool('tar', ['-C', at('out'), '--numeric-owner', '-xpf', at('a.tar')]);
  // GNU tar sets the times of directories again when all is unpacked, but loses those with odd names.
  utimesSync(at('out/d'), 1, 1);
  await assertSame(at('a.tar'), at('out'), 'unpacked');
});

test('what an older format lost is named by image diff', async () => {
  requireRoot();
  mkdirSync(at('tree'));
  writeFileSync(at('tree/f'), 'x');
  setMtime(at('tree/f'), 1_700_000_000, 5);
  runTool('tar', ['--format=ustar', ...GNU_ARGS, at('tree'), '-cf', at('a.tar'), '.']);
  const settings = { cwd: dir.path };
  assert.is((await runCli(['image', 'build', 'tree', 'a.cfs'], settings)).code, 0);
  assert.is((await runCli(['image', 'build', '--from-tar', 'a.tar', 'b.cfs'], settings)).code, 0);
  const { stdout } = await runCli(['image', 'diff', 'a.cfs', 'b.cfs'], settings);
  assert.match(stdout, /modification times differ/);
});

// --- the command ---------------------------------------------------------------------------------------

test('image build --from-tar: a file, stdin, a store, and what it says', async () => {
  const archive = tarOf({ name: 'f', content: 'content '.repeat(1000) });
  writeFileSync(at('a.tar'), archive);
  const args = ['image', 'build', '--from-tar'];
  const settings = { cwd: dir.path };
  const built = await runCli([...args, 'a.tar', 'a.cfs', '--digest-store=o', '--json'], settings);
  assert.is(built.code, 0, built.stderr);
  const { result } = JSON.parse(built.stdout) as {
    result: Record<string, { [key: string]: unknown }>;
  };
  assert.is(result['archive']!['tarBytes'], archive.length);
  assert.is(result['store']!['copied'], 1);
  const piped = await runCli([...args, '-', '--print-digest-only'], { input: archive });
  assert.is(piped.stdout.trim(), result['digest']);
  const missing = await runCli(['image', 'missing', '--basedir=o', 'a.cfs'], settings);
  assert.is(missing.code, 0, missing.stderr);
});

test('image build --from-tar: what is refused leaves nothing', async () => {
  writeFileSync(at('up.tar'), tarOf({ name: '../f' }));
  writeFileSync(at('cut.tar'), tarOf({ name: 'f' }).subarray(0, 600));
  writeFileSync(at('cut.tar.zst'), Buffer.from('28b52ffd0458', 'hex'));
  writeFileSync(at('cut.tar.xz'), Buffer.from('fd377a585a000004', 'hex'));
  writeFileSync(at('dump'), '/ 0 40755 2 0 0 0 0.0 - - -\n');
  mkdirSync(at('tree'));
  const before = readdirSync(dir.path);
  const rows: [args: string, exit: number, code: string][] = [
    ['--from-tar up.tar i.cfs', 4, 'FORMAT_TAR_TRAVERSAL'],
    ['--from-tar cut.tar i.cfs', 4, 'FORMAT_TAR_TRUNCATED'],
    ['--from-tar cut.tar.zst i.cfs', 4, 'FORMAT_TAR_COMPRESSION'],
    ['--from-tar cut.tar.xz i.cfs', 4, 'FORMAT_TAR_COMPRESSION'],
    ['--from-tar dump i.cfs', 4, 'FORMAT_TAR_TRUNCATED'],
    ['--from-tar tree i.cfs', 2, 'USAGE_NOT_A_FILE'],
    ['--from-tar none.tar i.cfs', 6, 'HOST_NOT_FOUND'],
    ['--from-tar --from-file dump i.cfs', 2, 'USAGE_OPTION_CONFLICT'],
    ['up.tar i.cfs', 2, 'USAGE_NOT_A_DIRECTORY'],
  ];
  for (const [args, exit, code] of rows) {
    const { code: actual, stderr } = await runCli(['image', 'build', ...args.split(' ')], {
      cwd: dir.path,
    });
    assert.is(actual, exit, `${args}: ${stderr}`);
    assert.ok(stderr.includes(code), `${args}: expected ${code} in ${stderr}`);
    assert.equal(readdirSync(dir.path), before, args);
  }
});

test('a refused archive ends its program, and leaves no open file', async () => {
  requireTool('zstd', 'zstd');
  const members = Array.from({ length: 20 }, (_, i) => ({
    name: `f${i}`,
    content: randomBytes(1 << 20),
  }));
  writeFileSync(at('a.tar'), tarOf({ name: '../up' }, ...members));
  const before = readdirSync('/proc/self/fd').length;
  const children = (): string => readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1');
  const childrenBefore = children();
  for (const [tool, suffix] of [
    ['zstd', 'zst'],
    ['gzip', 'gz'],
  ]) {
    runTool(tool!, ['-qk', at('a.tar')]);
    for (let i = 0; i < 5; i++) {
      const read = (): Promise<unknown> => readTar(at(`a.tar.${suffix}`), TAR_OPTIONS);
      await expectCodeAsync(read, 'FORMAT_TAR_TRAVERSAL', tool);
    }
  }
  for (let i = 0; i < 100 && readdirSync('/proc/self/fd').length > before; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(readdirSync('/proc/self/fd').length <= before, 'open files');
  assert.is(children(), childrenBefore, 'programs');
});

test('without the program for a compression its package is named', async () => {
  requireTool('zstd', 'zstd');
  writeFileSync(at('a.tar'), tarOf({ name: 'f' }));
  runTool('zstd', ['-q', at('a.tar')]);
  const { code, stderr } = await runCli(['image', 'build', '--from-tar', 'a.tar.zst', 'i.cfs'], {
    cwd: dir.path,
    env: { PATH: '/nowhere' },
  });
  assert.is(code, 6);
  assert.match(stderr, /HOST_TOOL_MISSING/);
  assert.match(stderr, /Debian package zstd/);
  assert.not.ok(existsSync(at('i.cfs')));
});

test('a release from an archive is that of its directory, and its record has the digests', async () => {
  requireTool('tar', 'tar');
  using lab = bootsetLab();
  const direct = await lab.release();
  for (const name of ['rootfs', 'bundle']) {
    const path = join(lab.path, name);
    runTool('tar', [...POSIX_ARGS, path, '-czf', `${path}.tar.gz`, '.']);
  }
  const bootset = LAB_BOOTSET.replaceAll(/directory: (\w+)/g, 'tar: $1.tar.gz');
  lab.write('BOOTSET.yaml', bootset);
  const output = join(lab.path, 'from-tar');
  const built = await lab.release({ output });
  const digests = (release: typeof built): string[] =>
    release.images.map(({ entry }) => Buffer.from(entry.digest.value).toString('hex'));
  assert.equal(digests(built), digests(direct));
  const record = JSON.parse(readFileSync(join(output, 'release.json'), 'utf8')) as {
    inputs: { images: { tar: string; archive: Record<string, unknown> }[] };
  };
  const [first] = record.inputs.images;
  assert.is(first!.tar, 'rootfs.tar.gz');
  assert.is(first!.archive['compression'], 'gzip');
  const sum = runTool('sha256sum', [join(lab.path, 'rootfs.tar.gz')]).split(' ')[0];
  assert.is(first!.archive['sha256'], sum);
  runTool('gunzip', [join(lab.path, 'rootfs.tar.gz')]);
  const inner = runTool('sha256sum', [join(lab.path, 'rootfs.tar')]).split(' ')[0];
  assert.is(first!.archive['tarSha256'], inner);
});

test.run();
