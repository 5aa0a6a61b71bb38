/**
 * cpio archives that GNU cpio and bsdtar made: the image is that of the scanned directory, names of one file included,
 * and odd archives are what these programs unpack.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildImage } from '../../toolchain/image/build.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { readCpio } from '../../toolchain/image/cpio.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { scanDirectory } from '../../toolchain/image/scan.ts';
import type { TreeNode } from '../../toolchain/image/tree.ts';
import { bootsetLab, LAB_BOOTSET } from '../support/bootset-lab.ts';
import { type CpioMember, cpioOf } from '../support/cpio-writer.ts';
import { runTool } from '../support/file-systems.ts';
import { makeNode, setMtime } from '../support/native.ts';
import { runCli } from '../support/run-cli.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('cpio archives of others');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  requireTool('cpio', 'cpio');
  dir = tempDir();
});
test.after.each(() => dir.remove());

/** What cpio can hold: whole seconds, no attributes, and all types of entries. */
function makeTree(path: string): void {
  mkdirSync(join(path, 'd/e'), { recursive: true });
  writeFileSync(join(path, 'd/e/big'), 'content '.repeat(50_000));
  writeFileSync(join(path, 'd/small'), 'small');
  writeFileSync(join(path, 'd', 'n'.repeat(255)), 'long name');
  writeFileSync(join(path, 'd/empty'), '');
  linkSync(join(path, 'd/e/big'), join(path, 'd/big-link'));
  linkSync(join(path, 'd/e/big'), join(path, 'a-link'));
  linkSync(join(path, 'd/empty'), join(path, 'z-empty'));
  symlinkSync(`/${'t'.repeat(200)}`, join(path, 'd/symlink'));
  linkSync(join(path, 'd/symlink'), join(path, 'd/symlink2'));
  makeNode(join(path, 'd/fifo'), 0o010644);
  makeNode(join(path, 'd/char'), 0o020600, 0x103);
  linkSync(join(path, 'd/char'), join(path, 'd/char2'));
  const names = runTool('find', [path, '-depth']).trim().split('\n');
  for (const name of names) setMtime(name, 1_700_000_000, 0);
}

/** GNU cpio takes the names from its input. */
function gnuCpio(tree: string, archive: string, ...options: string[]): void {
  const names = runTool('sh', ['-c', 'cd "$1" && find .', 'sh', tree]);
  const args = ['--create', '--quiet', `--file=${archive}`, ...options];
  const { status, stderr } = spawnSync('cpio', args, { cwd: tree, input: names });
  assert.is(status, 0, stderr.toString());
}

async function scanned(path: string, hardlinks: boolean): Promise<TreeNode> {
  const options = { ...TAR_OPTIONS, threads: 1, hardlinks };
  return (await scanDirectory(byteStringOfText(path), options)).root;
}

function lines(root: TreeNode): string[] {
  return [...printDump(root)].join('').split('\n');
}

async function assertSame(archive: string, directory: string, label: string): Promise<void> {
  for (const hardlinks of [false, true]) {
    const { root } = await readCpio(archive, { ...TAR_OPTIONS, hardlinks });
    const expected = await scanned(directory, hardlinks);
    assert.equal(lines(root), lines(expected), label);
    assert.is(buildImage(root).digest, buildImage(expected).digest, label);
  }
}

test('each form of each maker is the directory, down to the digest', async () => {
  requireRoot();
  requireTool('bsdtar', 'libarchive-tools');
  mkdirSync(at('tree'));
  makeTree(at('tree'));
  for (const form of ['newc', 'crc', 'odc']) {
    gnuCpio(at('tree'), at('a.cpio'), `--format=${form}`);
    await assertSame(at('a.cpio'), at('tree'), `GNU cpio, ${form}`);
    gnuCpio(at('tree'), at('a.cpio'), `--format=${form}`, '--reproducible');
    await assertSame(at('a.cpio'), at('tree'), `GNU cpio, ${form}, reproducible`);
  }
  for (const form of ['newc', 'odc']) {
    runTool('bsdtar', ['--format', form, '-C', at('tree'), '-cf', at('a.cpio'), '.']);
    await assertSame(at('a.cpio'), at('tree'), `bsdtar, ${form}`);
  }
});

test('each compression, and stdin', async () => {
  requireRoot();
  mkdirSync(at('tree'));
  makeTree(at('tree'));
  gnuCpio(at('tree'), at('a.cpio'), '--format=newc');
  for (const [tool, debian, suffix] of [
    ['gzip', 'gzip', 'gz'],
    ['zstd', 'zstd', 'zst'],
    ['xz', 'xz-utils', 'xz'],
  ] as const) {
    requireTool(tool, debian);
    runTool(tool, ['-kf', ...(tool === 'zstd' ? ['-q'] : []), at('a.cpio')]);
    await assertSame(at(`a.cpio.${suffix}`), at('tree'), tool);
  }
  const args = ['image', 'build', '--print-digest-only'];
  const { code, stdout, stderr } = await runCli([...args, '--from-cpio', '-'], {
    input: readFileSync(at('a.cpio.gz')),
  });
  assert.is(code, 0, stderr);
  const expected = await runCli([...args, at('tree')]);
  assert.is(stdout, expected.stdout);
});

/** Archives that no maker writes today, as GNU cpio unpacks them. */
const ODD: readonly (readonly [label: string, ...members: CpioMember[]])[] = [
  [
    'data with the first name',
    { name: 'a', ino: 1, nlink: 2, content: 'data' },
    { name: 'b', ino: 1, nlink: 2 },
  ],
  [
    'data with each name',
    { name: 'a', ino: 1, nlink: 2, content: 'data', form: 'odc' },
    { name: 'b', ino: 1, nlink: 2, content: 'data', form: 'odc' },
  ],
  [
    'names that are missing',
    { name: 'a', ino: 1, nlink: 9 },
    { name: 'b', ino: 1, nlink: 9, content: 'data' },
  ],
  ['an absolute name', { name: '/d', mode: 0o040700 }, { name: '/d/f', content: 'x' }],
  ['the same name twice', { name: 'f', content: 'old' }, { name: 'f', content: 'new' }],
];

test('odd archives are what GNU cpio unpacks', async () => {
  requireRoot();
  for (const [i, [label, ...members]] of ODD.entries()) {
    const archive = at(`odd${i}.cpio`);
    const out = at(`out${i}`);
    writeFileSync(
      archive,
      cpioOf({ name: '.', mode: 0o040755, nlink: 2, form: members[0]!.form! }, ...members),
    );
    mkdirSync(out);
    const args = ['--extract', '--quiet', '--no-absolute-filenames', '--unconditional'];
    const { status, stderr } = spawnSync(
      'cpio',
      [...args, '--preserve-modification-time', `--file=${archive}`],
      {
        cwd: out,
      },
    );
    assert.is(status, 0, stderr.toString());
    const { root } = await readCpio(archive, { ...TAR_OPTIONS, useEpoch: true, hardlinks: true });
    const options = { ...TAR_OPTIONS, threads: 1, useEpoch: true, hardlinks: true };
    const expected = (await scanDirectory(byteStringOfText(out), options)).root;
    assert.equal(lines(root), lines(expected), label);
  }
});

test('image build --from-cpio: what is refused leaves nothing', async () => {
  writeFileSync(at('up.cpio'), cpioOf({ name: '../f' }));
  const { code, stderr } = await runCli(['image', 'build', '--from-cpio', 'up.cpio', 'i.cfs'], {
    cwd: dir.path,
  });
  assert.is(code, 4);
  assert.match(stderr, /FORMAT_CPIO_TRAVERSAL/);
  assert.match(stderr, /Cannot use up\.cpio: Cannot read cpio archive at byte 0, \.\.\/f/);
  assert.not.ok(existsSync(at('i.cfs')));
});

test('a release from an archive is that of its directory, and its record has the digests', async () => {
  requireRoot();
  using lab = bootsetLab();
  const expected = await lab.release({ output: join(lab.path, 'expected') });
  gnuCpio(join(lab.path, 'bundle'), join(lab.path, 'bundle.cpio'), '--format=newc');
  lab.write('BOOTSET.yaml', LAB_BOOTSET.replace('directory: bundle', 'cpio: bundle.cpio'));
  const built = await lab.release();
  assert.is(built.images[1]!.source.entries, expected.images[1]!.source.entries);
  const record = JSON.parse(readFileSync(join(lab.path, 'out/release.json'), 'utf8')) as {
    inputs: { images: { cpio: string; archive: { compression: string; sha256: string } }[] };
  };
  const app = record.inputs.images[1]!;
  assert.is(app.cpio, 'bundle.cpio');
  assert.is(app.archive.compression, 'none');
  assert.match(app.archive.sha256, /^[0-9a-f]{64}$/);
});

test.run();
