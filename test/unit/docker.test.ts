/** Docker archives to trees: how each version writes them, the choice of an image, and what is damaged. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildImage } from '../../toolchain/image/build.ts';
import { readDocker, type ReadDockerOptions } from '../../toolchain/image/docker.ts';
import { parsePlatform } from '../../toolchain/image/image-config.ts';
import { readOci } from '../../toolchain/image/oci.ts';
import { walkTree } from '../../toolchain/image/tree.ts';
import { DockerWriter, writeDocker25, type DockerStyle } from '../support/docker-writer.ts';
import { codeOfRejection, expectCodeAsync } from '../support/expect-code.ts';
import { sha256 } from '../support/oci-writer.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tarOf, type TarMember } from '../support/tar-writer.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('docker');

let dir: TempDir;
let archive: string;
test.before.each(() => {
  dir = tempDir();
  archive = join(dir.path, 'image.tar');
});
test.after.each(() => dir.remove());

function read(options: Partial<ReadDockerOptions> = {}): ReturnType<typeof readDocker> {
  return readDocker(archive, { ...TAR_OPTIONS, ...options });
}

async function paths(options: Partial<ReadDockerOptions> = {}): Promise<string[]> {
  const { root } = await read(options);
  return [...walkTree(root)].slice(1).map(({ path }) => path);
}

const LOWER = tarOf({ name: 'a/x', content: 'x' }, { name: 'b', content: 'b' });
const UPPER = tarOf({ name: 'a/.wh.x' }, { name: 'c', content: 'c' });

test('each way to write them is one image', async () => {
  const digests = new Set<string>();
  for (const style of ['legacy', 'skopeo', 'blobs'] satisfies DockerStyle[]) {
    const writer = new DockerWriter(style).image([LOWER, UPPER, LOWER, UPPER]);
    writer.write(archive);
    assert.equal(await paths(), ['/a', '/b', '/c'], style);
    digests.add(buildImage((await read()).root).digest);
    const unpacked = join(dir.path, style);
    writer.writeDirectory(unpacked);
    digests.add(buildImage((await readDocker(unpacked, TAR_OPTIONS)).root).digest);
  }
  assert.is(digests.size, 1);
});

test('what Docker writes since 25 is one image by either of its lists', async () => {
  const path = join(dir.path, 'both');
  mkdirSync(path);
  writeDocker25(path, [LOWER, UPPER], 'app:1.2');
  const docker = await readDocker(path, { ...TAR_OPTIONS, ref: 'app:1.2' });
  const oci = await readOci(path, { ...TAR_OPTIONS, ref: '1.2' });
  assert.is(buildImage(docker.root).digest, buildImage(oci.root).digest);
  assert.is(docker.image.configDigest, oci.image.configDigest);
});

test('compressed layers, as some tools store them', async () => {
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(LOWER)}`] },
    }),
  );
  const Config = `sha256:${sha256(config)}`;
  const Layers = ['layer.tar.gz'];
  writeFileSync(
    archive,
    tarOf(
      { name: Config, content: config },
      { name: Layers[0]!, content: gzipSync(LOWER) },
      { name: 'manifest.json', content: JSON.stringify([{ Config, RepoTags: null, Layers }]) },
    ),
  );
  assert.equal(await paths(), ['/a', '/a/x', '/b']);
});

test('one image is chosen by name and by platform, never by its place', async () => {
  new DockerWriter()
    .image([LOWER], { names: ['docker.io/library/app:1.2', 'app'] })
    .image([UPPER], { names: ['host:5000/app:1.2'], architecture: 'arm64' })
    .image([], { names: null })
    .write(archive);
  for (const ref of ['app:1.2', 'docker.io/library/app:1.2', 'app', 'app:latest']) {
    assert.equal(await paths({ ref }), ['/a', '/a/x', '/b'], ref);
  }
  assert.equal(await paths({ ref: 'host:5000/app:1.2' }), ['/c']);
  assert.equal(await paths({ platform: parsePlatform('linux/arm64') }), ['/c']);
  for (const options of [
    {},
    { ref: '1.2' },
    { ref: 'host:5000/app' },
    { ref: 'app', platform: parsePlatform('linux/arm64') },
    { platform: parsePlatform('linux/amd64') },
  ]) {
    const error = await expectCodeAsync(() => read(options), 'USAGE_OCI_CHOICE');
    assert.match(error.hint!, /it has .*(app:1\.2|sha256:)/, 'it says what there is');
  }
  new DockerWriter().write(archive);
  await expectCodeAsync(() => read(), 'USAGE_OCI_CHOICE', 'no image');
});

test('the record names configuration, names and layers', async () => {
  const config = { config: { Entrypoint: ['/b'] } };
  new DockerWriter().image([LOWER], { config }).write(archive);
  const { image } = await read();
  assert.equal(image.names, ['app:latest']);
  assert.equal(image.layers, [
    { file: `${sha256(LOWER)}.tar`, size: LOWER.length, diffId: `sha256:${sha256(LOWER)}` },
  ]);
  assert.equal(image.config['config'], config.config);
});

/** Changes the members of a good archive. */
type Damage = (members: TarMember[]) => TarMember[];

const replaced =
  (pattern: RegExp, change: Partial<TarMember>): Damage =>
  (members) =>
    members.map((each) => (pattern.test(each.name) ? { ...each, ...change } : each));
const listed = (entry: object): Damage =>
  replaced(/^manifest/, { content: JSON.stringify([entry]) });
const manifestWith =
  (change: object): Damage =>
  (members) => {
    const [entry] = JSON.parse(String(members.at(-1)!.content)) as object[];
    return listed({ ...entry, ...change })(members);
  };

const HOSTILE: readonly (readonly [label: string, code: string, damage: Damage])[] = [
  ['no manifest', 'FORMAT_DOCKER_LAYOUT', (members) => members.slice(0, -1)],
  [
    'Docker before 1.10',
    'FORMAT_DOCKER_LAYOUT',
    (members) => [...members.slice(0, -1), { name: 'repositories', content: '{}' }],
  ],
  [
    'no layer',
    'FORMAT_DOCKER_LAYOUT',
    (members) => members.filter(({ name }) => !name.endsWith('tar')),
  ],
  ['no configuration', 'FORMAT_DOCKER_LAYOUT', (members) => members.slice(1)],
  ['a path that leads out', 'FORMAT_DOCKER_LAYOUT', manifestWith({ Layers: ['../../etc/passwd'] })],
  ['a path with NUL', 'FORMAT_DOCKER_LAYOUT', manifestWith({ Config: 'a\0b' })],
  ['an empty path', 'FORMAT_DOCKER_LAYOUT', manifestWith({ Config: '' })],
  [
    'a layer that is a symlink out',
    'FORMAT_DOCKER_LAYOUT',
    replaced(/tar$/, { type: '2', linkName: '/etc/passwd', content: '' }),
  ],
  [
    'an absolute symlink',
    'FORMAT_DOCKER_LAYOUT',
    (members) => [
      { name: 'l', type: '2', linkName: `/${members[1]!.name}` },
      ...manifestWith({ Layers: ['l'] })(members),
    ],
  ],
  [
    'a symlink to itself',
    'FORMAT_DOCKER_LAYOUT',
    (members) => [
      { name: 'l', type: '2', linkName: './l' },
      ...manifestWith({ Layers: ['l'] })(members),
    ],
  ],
  ['a directory for a layer', 'FORMAT_DOCKER_LAYOUT', replaced(/tar$/, { type: '5', content: '' })],
  [
    'a huge manifest',
    'FORMAT_DOCKER_LAYOUT',
    replaced(/^manifest/, { content: ' '.repeat((4 << 20) + 1) }),
  ],
  ['no JSON', 'FORMAT_OCI_JSON', replaced(/^manifest/, { content: '{' })],
  ['no list', 'FORMAT_OCI_JSON', replaced(/^manifest/, { content: '{}' })],
  ['a number for a layer', 'FORMAT_OCI_JSON', manifestWith({ Layers: [1] })],
  [
    '1001 layers',
    'FORMAT_OCI_JSON',
    manifestWith({ Layers: Array.from({ length: 1001 }, () => 'l') }),
  ],
  ['two layers for one diffID', 'FORMAT_OCI_CONFIG', manifestWith({ Layers: ['a', 'b'] })],
  ['no layers for a diffID', 'FORMAT_OCI_CONFIG', manifestWith({ Layers: null })],
  ['a configuration that was changed', 'VERIFY_OCI_BLOB', replaced(/json$/, { content: '{}' })],
  ['a layer that is another one', 'VERIFY_OCI_DIFF_ID', replaced(/tar$/, { content: UPPER })],
  [
    'a layer that is no archive',
    'FORMAT_TAR_CHECKSUM',
    replaced(/tar$/, { content: 'x'.repeat(600) }),
  ],
  [
    'a layer that leads out',
    'FORMAT_TAR_TRAVERSAL',
    replaced(/tar$/, { content: tarOf({ name: '../f' }) }),
  ],
  [
    'a whiteout of ..',
    'FORMAT_OCI_WHITEOUT',
    replaced(/tar$/, { content: tarOf({ name: '.wh...' }) }),
  ],
];

test('damaged and hostile archives', async () => {
  for (const [label, code, damage] of HOSTILE) {
    const writer = new DockerWriter().image([LOWER]);
    writer.write(archive);
    assert.equal(await paths(), ['/a', '/a/x', '/b'], 'it is whole before');
    // The configuration's name and that of the manifest both end in json.
    const members = damage([...writer.all()]);
    if (code === 'VERIFY_OCI_BLOB') members[members.length - 1] = writer.all().at(-1)!;
    writeFileSync(archive, tarOf(...members));
    await expectCodeAsync(() => read(), code, label);
  }
});

test('a blob whose name is its digest is checked by it', async () => {
  const writer = new DockerWriter('blobs').image([LOWER]);
  const members = writer
    .all()
    .map((each) => (each.content === LOWER ? { ...each, content: UPPER } : each));
  writeFileSync(archive, tarOf(...members));
  await expectCodeAsync(() => read(), 'VERIFY_OCI_BLOB');
});

test('a compressed archive is refused, with what to do', async () => {
  new DockerWriter().image([LOWER]).write(archive);
  writeFileSync(archive, gzipSync(readFileSync(archive)));
  const error = await expectCodeAsync(() => read(), 'FORMAT_DOCKER_LAYOUT');
  assert.match(error.message, /compressed by gzip/);
  assert.match(error.hint!, /unpack it/);
  await expectCodeAsync(() => readDocker(join(dir.path, 'none'), TAR_OPTIONS), 'HOST_NOT_FOUND');
});

test('an archive with changed bytes is an image or is refused with a code', async () => {
  new DockerWriter('legacy').image([LOWER, LOWER]).write(archive);
  const whole = readFileSync(archive);
  const damage = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }));
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, bits] of changes) bytes[at]! ^= bits;
      writeFileSync(archive, bytes);
      // Anything but a ColdsealError is thrown on.
      const code = await codeOfRejection(() => read());
      assert.match(code, /^(nothing was thrown|(FORMAT|VERIFY|USAGE)_.*)$/);
    }),
    { numRuns: 200 },
  );
});

test.run();
