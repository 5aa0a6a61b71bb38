/**
 * OCI images that umoci and skopeo made: the tree is what umoci unpacks, and a single layer is the directory that it
 * was made from, down to the digest.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildImage } from '../../toolchain/image/build.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { readDocker } from '../../toolchain/image/docker.ts';
import { parsePlatform } from '../../toolchain/image/image-config.ts';
import { readOci, type ReadOciOptions } from '../../toolchain/image/oci.ts';
import { scanDirectory } from '../../toolchain/image/scan.ts';
import { readTar } from '../../toolchain/image/tar.ts';
import type { TreeNode } from '../../toolchain/image/tree.ts';
import { bootsetLab, LAB_BOOTSET } from '../support/bootset-lab.ts';
import { runTool } from '../support/file-systems.ts';
import { makeNode, setMtime, setXattr } from '../support/native.ts';
import { INDEX_TYPE, type Json, OciWriter } from '../support/oci-writer.ts';
import { runCli } from '../support/run-cli.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('OCI images of others');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  requireRoot();
  requireTool('umoci', 'umoci');
  requireTool('skopeo', 'skopeo');
  dir = tempDir();
});
test.after.each(() => dir.remove());

function umoci(...args: string[]): void {
  runTool('umoci', args);
}

function skopeo(...args: string[]): void {
  runTool('skopeo', ['--insecure-policy', 'copy', '--quiet', ...args]);
}

function makeTree(path: string): void {
  mkdirSync(join(path, 'usr/lib/deep'), { recursive: true });
  mkdirSync(join(path, 'etc'));
  writeFileSync(join(path, 'usr/lib/big'), 'content '.repeat(50_000));
  writeFileSync(join(path, 'usr/lib/small'), 'small');
  writeFileSync(join(path, 'usr/lib/deep/file'), 'deep');
  writeFileSync(join(path, 'etc', 'n'.repeat(200)), 'long name');
  linkSync(join(path, 'usr/lib/big'), join(path, 'etc/hardlink'));
  symlinkSync('../usr/lib/big', join(path, 'etc/symlink'));
  makeNode(join(path, 'etc/fifo'), 0o010644);
  makeNode(join(path, 'etc/null'), 0o020666, 0x103);
  setXattr(join(path, 'usr/lib/small'), 'user.a', 'binary\xff\0');
  setWholeSeconds(path);
}

/** The writers of these tools round times to seconds. */
function setWholeSeconds(path: string): void {
  for (const name of runTool('find', [path, '-depth']).trim().split('\n')) {
    setMtime(name, 1_700_000_000, 0);
  }
}

/** A layout with the tree as one layer, under the name `one`. */
function makeLayout(): void {
  mkdirSync(at('tree'));
  makeTree(at('tree'));
  umoci('init', '--layout', at('layout'));
  umoci('new', '--image', `${at('layout')}:one`);
  umoci('insert', '--image', `${at('layout')}:one`, at('tree'), '/');
}

async function scanned(path: string): Promise<TreeNode> {
  const options = { ...TAR_OPTIONS, threads: 1, hardlinks: true };
  return (await scanDirectory(byteStringOfText(path), options)).root;
}

async function ociTree(path: string, options: Partial<ReadOciOptions> = {}): Promise<TreeNode> {
  return (await readOci(path, { ...TAR_OPTIONS, hardlinks: true, ...options })).root;
}

function lines(root: TreeNode): string[] {
  return [...printDump(root)].join('').split('\n');
}

test('a directory, its archive and its single layer give one image', async () => {
  makeLayout();
  const args = ['--format=posix', '--xattrs', '--numeric-owner', '-C', at('tree'), '-cf'];
  runTool('tar', [...args, at('a.tar'), '.']);
  const expected = await scanned(at('tree'));
  const { root: archived } = await readTar(at('a.tar'), { ...TAR_OPTIONS, hardlinks: true });
  const layered = await ociTree(at('layout'));
  assert.equal(lines(layered), lines(expected));
  const { digest } = buildImage(expected);
  assert.is(buildImage(archived).digest, digest);
  assert.is(buildImage(layered).digest, digest);
});

/** What umoci calls changes of a root file system become layers with whiteouts. */
test('layers over layers are what umoci unpacks', async () => {
  makeLayout();
  const changes: ((root: string) => void)[] = [
    (root) => {
      rmSync(join(root, 'usr/lib/deep'), { recursive: true });
      rmSync(join(root, 'etc/symlink'));
      writeFileSync(join(root, 'usr/lib/small'), 'changed');
      linkSync(join(root, 'usr/lib/big'), join(root, 'usr/second-name'));
    },
    (root) => {
      rmSync(join(root, 'etc'), { recursive: true });
      writeFileSync(join(root, 'etc'), 'now a file');
      mkdirSync(join(root, 'usr/lib/deep'));
      writeFileSync(join(root, 'usr/lib/deep/again'), 'again');
    },
    (root) => {
      rmSync(join(root, 'etc'));
      mkdirSync(join(root, 'etc/x'), { recursive: true });
      rmSync(join(root, 'usr/lib/big'));
    },
  ];
  let tag = 'one';
  for (const [i, change] of changes.entries()) {
    umoci('unpack', '--image', `${at('layout')}:${tag}`, at(`work${i}`));
    change(at(`work${i}`, 'rootfs'));
    tag = `step${i}`;
    umoci('repack', '--image', `${at('layout')}:${tag}`, at(`work${i}`));
    umoci('unpack', '--image', `${at('layout')}:${tag}`, at(`judge${i}`));
    const expected = await scanned(at(`judge${i}`, 'rootfs'));
    assert.equal(lines(await ociTree(at('layout'), { ref: tag })), lines(expected), tag);
  }
  skopeo(`oci:${at('layout')}:${tag}`, `oci-archive:${at('image.tar')}:name`);
  const whole = lines(await ociTree(at('layout'), { ref: tag }));
  assert.equal(lines(await ociTree(at('image.tar'), { ref: 'name' })), whole, 'archive');
  skopeo('--dest-compress-format=zstd', `oci:${at('layout')}:${tag}`, `oci:${at('zstd')}:z`);
  assert.equal(lines(await ociTree(at('zstd'))), whole, 'skopeo, zstd');
});

/** skopeo carries an image from form to form; the tree stays the same, whoever compressed the layers. */
test('each form that skopeo copies an image into is one image', async () => {
  makeLayout();
  umoci('unpack', '--image', `${at('layout')}:one`, at('work'));
  rmSync(at('work/rootfs/usr/lib/deep'), { recursive: true });
  umoci('repack', '--image', `${at('layout')}:two`, at('work'));
  const source = `oci:${at('layout')}:two`;
  skopeo(source, `oci:${at('copy')}:1.2`);
  skopeo(source, `oci-archive:${at('oci.tar')}:1.2`);
  skopeo('--format=v2s2', source, `dir:${at('plain')}`);
  skopeo(`dir:${at('plain')}`, `oci:${at('back')}:1.2`);
  skopeo(source, `docker-archive:${at('docker.tar')}:app:1.2`);
  skopeo(`docker-archive:${at('docker.tar')}`, `oci:${at('round')}:1.2`);
  const expected = await ociTree(at('layout'), { ref: 'two' });
  const { digest } = buildImage(expected);
  for (const name of ['copy', 'oci.tar', 'back', 'round']) {
    const root = await ociTree(at(name), { ref: '1.2' });
    assert.equal(lines(root), lines(expected), name);
    assert.is(buildImage(root).digest, digest, name);
  }
  for (const ref of [undefined, 'app:1.2', 'docker.io/library/app:1.2']) {
    const options = { ...TAR_OPTIONS, hardlinks: true, ref };
    const { root, image } = await readDocker(at('docker.tar'), options);
    assert.equal(lines(root), lines(expected), `docker-archive, ${ref}`);
    assert.is(buildImage(root).digest, digest);
    assert.equal(image.names, ['docker.io/library/app:1.2']);
  }
  mkdirSync(at('unpacked'));
  runTool('tar', ['-C', at('unpacked'), '-xf', at('docker.tar')]);
  const { root } = await readDocker(at('unpacked'), { ...TAR_OPTIONS, hardlinks: true });
  assert.is(buildImage(root).digest, digest, 'the files of the archive');
});

test('an index of two machines, as skopeo carries it, has the image of each', async () => {
  makeLayout();
  const index = JSON.parse(readFileSync(at('layout/index.json'), 'utf8')) as { manifests: Json[] };
  umoci('config', '--image', `${at('layout')}:one`, '--tag', 'arm', '--architecture', 'arm64');
  umoci('insert', '--image', `${at('layout')}:arm`, at('tree/etc'), '/only-arm');
  const both = JSON.parse(readFileSync(at('layout/index.json'), 'utf8')) as { manifests: Json[] };
  const list = {
    schemaVersion: 2,
    mediaType: INDEX_TYPE,
    manifests: both.manifests.map(({ annotations, ...each }) => {
      const { name } = { name: (annotations as Json)['org.opencontainers.image.ref.name'] };
      const architecture = name === 'arm' ? 'arm64' : goArchitecture();
      return { ...each, platform: { os: 'linux', architecture } };
    }),
  };
  const writer = new OciWriter(at('layout'));
  const annotations = { 'org.opencontainers.image.ref.name': 'multi' };
  writer.writeIndex(...index.manifests, { ...writer.json(list, INDEX_TYPE), annotations });
  skopeo('--all', `oci:${at('layout')}:multi`, `oci-archive:${at('multi.tar')}:1`);
  const options = { ref: '1' };
  const arm = await ociTree(at('multi.tar'), {
    ...options,
    platform: parsePlatform('linux/arm64'),
  });
  const own = await ociTree(at('multi.tar'), {
    ...options,
    platform: parsePlatform(`linux/${goArchitecture()}`),
  });
  assert.ok(arm.children!.some(({ name }) => name === 'only-arm'));
  assert.equal(lines(own), lines(await scanned(at('tree'))));
});

/** umoci writes the architecture of the machine that it runs on. */
function goArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

test('image diff explains what a layer lost: the fraction of a second', async () => {
  mkdirSync(at('tree'));
  makeTree(at('tree'));
  setMtime(at('tree/usr/lib/big'), 1_700_000_000, 500_000_000);
  umoci('init', '--layout', at('layout'));
  umoci('new', '--image', `${at('layout')}:one`);
  umoci('insert', '--image', `${at('layout')}:one`, at('tree'), '/');
  const run = (...args: string[]): ReturnType<typeof runCli> => runCli(args, { cwd: dir.path });
  for (const args of [
    ['tree', 'a.cfs'],
    ['--from-oci', 'layout', 'b.cfs'],
  ]) {
    const { code, stderr } = await run('image', 'build', ...args);
    assert.is(code, 0, stderr);
  }
  const { code, stdout } = await run('image', 'diff', 'a.cfs', 'b.cfs');
  assert.is(code, 3);
  assert.match(stdout, /mtime/);
  assert.match(stdout, /\/usr\/lib\/big/);
  assert.not.match(stdout, /small/, 'and nothing else');
});

test('image build --from-oci: an image to mount, its record, and a choice that has to be made', async () => {
  makeLayout();
  umoci('config', '--image', `${at('layout')}:one`, '--tag', 'arm', '--architecture', 'arm64');
  const build = (...args: string[]): ReturnType<typeof runCli> =>
    runCli(['image', 'build', '--from-oci', ...args], { cwd: dir.path });
  const ambiguous = await build('layout', 'i.cfs');
  assert.is(ambiguous.code, 2);
  assert.match(ambiguous.stderr, /USAGE_OCI_CHOICE/);
  assert.match(ambiguous.stderr, /one for/, 'it says what there is');
  assert.not.ok(existsSync(at('i.cfs')));
  const wrong = await build('--ref=one', '--platform=linux/arm64', 'layout', 'i.cfs');
  assert.is(wrong.code, 4);
  assert.match(wrong.stderr, /FORMAT_OCI_CONFIG/);
  const built = await build('--ref=one', '--json', '--digest-store=objects', 'layout', 'i.cfs');
  assert.is(built.code, 0, built.stderr);
  const { result } = JSON.parse(built.stdout) as {
    result: { oci: { platform: string; layers: { diffId: string }[] } };
  };
  assert.match(result.oci.platform, /^linux\//);
  assert.match(result.oci.layers[0]!.diffId, /^sha256:[0-9a-f]{64}$/);
  const missing = await runCli(['image', 'missing', '--verify', '--basedir=objects', 'i.cfs'], {
    cwd: dir.path,
  });
  assert.is(missing.code, 0, missing.stderr);
  for (const args of [
    ['--ref=x', 'tree', 'j.cfs'],
    ['--platform=linux/arm64', '--from-cpio', 'tree', 'j.cfs'],
    ['--from-tar', '--from-oci', 'layout', 'j.cfs'],
    ['--from-cpio', '--from-docker', 'layout', 'j.cfs'],
  ]) {
    const { code, stderr } = await runCli(['image', 'build', ...args], { cwd: dir.path });
    assert.is(code, 2);
    assert.match(stderr, /USAGE_OPTION_CONFLICT/);
  }
});

/** The image holds a bundle already. */
function withOci(ref: string): string {
  const source = `oci: layout, ref: ${ref} }, container: { bundle: as-is`;
  return LAB_BOOTSET.replace('directory: bundle', source);
}

test('a release takes the image of its board, and records what it was', async () => {
  using lab = bootsetLab();
  const layout = join(lab.path, 'layout');
  umoci('init', '--layout', layout);
  for (const [tag, arch] of [
    ['intel', 'amd64'],
    ['arm', 'arm64'],
  ] as const) {
    umoci('new', '--image', `${layout}:${tag}`);
    umoci('config', '--image', `${layout}:${tag}`, '--architecture', arch);
    umoci('insert', '--image', `${layout}:${tag}`, join(lab.path, 'bundle'), '/');
  }
  lab.write('BOOTSET.yaml', withOci('intel'));
  const built = await lab.release();
  const names = built.images.map(({ source }) => source.entries);
  assert.is(names[1], 3);
  const record = JSON.parse(readFileSync(join(lab.path, 'out/release.json'), 'utf8')) as {
    inputs: { images: { oci: string; image: { platform: string; manifestDigest: string } }[] };
  };
  const [, app] = record.inputs.images;
  assert.is(app!.oci, 'layout');
  assert.is(app!.image.platform, 'linux/amd64');
  assert.match(app!.image.manifestDigest, /^sha256:/);
  lab.write('BOOTSET.yaml', withOci('arm'));
  let code = '';
  await lab.release({ output: join(lab.path, 'other') }).catch((error: { code: string }) => {
    code = error.code;
  });
  assert.is(code, 'FORMAT_OCI_CONFIG', 'the board would not run it');
});

/** `docker save` and the layout have the same tree, so the release has the same image. */
test('a release from a Docker archive has the bundle of the OCI image, and records what it was', async () => {
  using lab = bootsetLab();
  const layout = join(lab.path, 'layout');
  mkdirSync(join(lab.path, 'app/bin'), { recursive: true });
  writeFileSync(join(lab.path, 'app/bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  umoci('init', '--layout', layout);
  umoci('new', '--image', `${layout}:1`);
  umoci('insert', '--image', `${layout}:1`, join(lab.path, 'app'), '/');
  umoci(
    'config',
    `--image=${layout}:1`,
    '--architecture=amd64',
    '--config.cmd=/bin/tool',
    '--config.volume=/bin',
  );
  skopeo(`oci:${layout}:1`, `docker-archive:${join(lab.path, 'app.tar')}:app:1`);
  const digests: string[] = [];
  for (const source of ['oci: layout', 'docker: app.tar, ref: app:1']) {
    lab.write('BOOTSET.yaml', LAB_BOOTSET.replace('directory: bundle', source));
    const warnings: string[] = [];
    const onWarning = (text: string): void => void warnings.push(text);
    const built = await lab.release({ force: true, onWarning });
    digests.push(built.images[1]!.treeSha256);
    assert.ok(warnings.some((text) => /volume \/bin: .* hides 1 entries/.test(text)));
  }
  assert.is(digests[0], digests[1]);
  const record = JSON.parse(readFileSync(join(lab.path, 'out/release.json'), 'utf8')) as {
    inputs: { images: { docker: string; image: { names: string[]; configDigest: string } }[] };
  };
  const [, app] = record.inputs.images;
  assert.is(app!.docker, 'app.tar');
  assert.equal(app!.image.names, ['docker.io/library/app:1']);
  assert.match(app!.image.configDigest, /^sha256:/);
});

test.run();
