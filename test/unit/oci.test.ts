/** OCI layouts to trees: layers and whiteouts in any order, the choice of an image, and what is damaged. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { parsePlatform, showPlatform } from '../../toolchain/image/image-config.ts';
import { readOci, type ReadOciOptions } from '../../toolchain/image/oci.ts';
import { walkTree } from '../../toolchain/image/tree.ts';
import { expectCode, expectCodeAsync } from '../support/expect-code.ts';
import { INDEX_TYPE, LAYER_TYPE, OciWriter, sha256, type Json } from '../support/oci-writer.ts';
import { TAR_OPTIONS } from '../support/tar-lab.ts';
import { tarMember, tarOf, type TarMember } from '../support/tar-writer.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('oci');

let dir: TempDir;
let layout: OciWriter;
test.before.each(() => {
  dir = tempDir();
  layout = new OciWriter(dir.path);
});
test.after.each(() => dir.remove());

const blobPath = (hex: string): string => join(dir.path, 'blobs/sha256', hex);

function read(options: Partial<ReadOciOptions> = {}): ReturnType<typeof readOci> {
  return readOci(dir.path, { ...TAR_OPTIONS, ...options });
}

/** Each path with what tells versions apart: content, target or mode. */
async function shown(options: Partial<ReadOciOptions> = {}): Promise<string[]> {
  const { root } = await read(options);
  return [...walkTree(root)].slice(1).map(({ path, node }) => {
    const { hardlink, content, payload, children, mode } = node;
    if (hardlink !== undefined) return `${path} = ${hardlink.name}`;
    if (children !== undefined) return `${path}/ ${(mode & 0o7777).toString(8)}`;
    return `${path} ${content === undefined ? (payload ?? '') : Buffer.from(content).toString()}`;
  });
}

const file = (name: string, content = name): TarMember => ({ name, content });
const folder = (name: string, mode = 0o700): TarMember => ({ name: `${name}/`, type: '5', mode });
const whiteout = (name: string): TarMember => ({ name });

const BASE = [folder('a'), file('a/x'), file('a/y'), folder('a/d'), file('a/d/z'), file('f')];

const LAYERS: readonly (readonly [label: string, upper: readonly TarMember[], shown: string])[] = [
  ['nothing', [], '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f f'],
  [
    'a file over a file',
    [file('a/x', 'new')],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x new, /a/y a/y, /f f',
  ],
  ['a file goes', [whiteout('a/.wh.x')], '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/y a/y, /f f'],
  ['a directory goes', [whiteout('.wh.a')], '/f f'],
  [
    'what is not there goes',
    [whiteout('a/.wh.none'), whiteout('b/.wh.x'), whiteout('f/.wh.x')],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f f',
  ],
  ['a directory becomes a file', [file('a', 'new')], '/a new, /f f'],
  [
    'a file becomes a directory',
    [folder('f'), file('f/g')],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f/ 700, /f/g f/g',
  ],
  [
    'the mode of a directory',
    [folder('a', 0o711)],
    '/a/ 711, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f f',
  ],
  ['opaque', [folder('a', 0o711), whiteout('a/.wh..wh..opq')], '/a/ 711, /f f'],
  [
    'opaque, with something of its own',
    [whiteout('a/.wh..wh..opq'), file('a/new')],
    '/a/ 700, /a/new a/new, /f f',
  ],
  [
    'the same in the other order',
    [file('a/new'), whiteout('a/.wh..wh..opq')],
    '/a/ 700, /a/new a/new, /f f',
  ],
  [
    'opaque above a path of its own',
    [file('a/d/new'), whiteout('a/.wh..wh..opq')],
    '/a/ 700, /a/d/ 755, /a/d/new a/d/new, /f f',
  ],
  ['the root opaque', [file('new'), whiteout('.wh..wh..opq')], '/new new'],
  [
    'gone and made again',
    [whiteout('.wh.a'), folder('a', 0o711), file('a/n')],
    '/a/ 711, /a/n a/n, /f f',
  ],
  [
    'made again and gone',
    [folder('a', 0o711), file('a/n'), whiteout('.wh.a')],
    '/a/ 711, /a/n a/n, /f f',
  ],
  ['gone below a path of its own', [file('a/n'), whiteout('.wh.a')], '/a/ 755, /a/n a/n, /f f'],
  [
    'what the layer itself brings is not hidden',
    [file('a/x', 'new'), whiteout('a/.wh.x')],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x new, /a/y a/y, /f f',
  ],
  [
    'a hardlink to an earlier layer',
    [{ name: 'l', type: '1', linkName: 'a/x' }],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f f, /l = x',
  ],
  [
    'whose target then goes',
    [{ name: 'l', type: '1', linkName: 'a/x' }, whiteout('.wh.a')],
    '/f f, /l a/x',
  ],
  [
    'the bookkeeping of AUFS',
    [folder('.wh..wh.plnk'), whiteout('.wh..wh.aufs')],
    '/a/ 700, /a/d/ 700, /a/d/z a/d/z, /a/x a/x, /a/y a/y, /f f',
  ],
];

test('a layer over another', async () => {
  for (const [label, upper, expected] of LAYERS) {
    layout.writeIndex(layout.image([tarOf(...BASE), tarOf(...upper)]));
    assert.is((await shown({ hardlinks: true })).join(', '), expected, label);
  }
});

test('three layers, and a whiteout that a later one undoes', async () => {
  const layers = [tarOf(...BASE), tarOf(whiteout('.wh.a')), tarOf(file('a/x', 'third'))];
  layout.writeIndex(layout.image(layers));
  assert.equal(await shown(), ['/a/ 755', '/a/x third', '/f f']);
  layout.writeIndex(layout.image([]));
  assert.equal(await shown(), []);
});

test('a layer without its end is whole, for its digest says so', async () => {
  layout.writeIndex(layout.image([tarMember(file('f'))]));
  assert.equal(await shown(), ['/f f']);
  // umoci leaves out what fills the last block up, too.
  layout.writeIndex(layout.image([tarMember(file('f')).subarray(0, 513)]));
  assert.equal(await shown(), ['/f f']);
  for (const size of [400, 512, 600]) {
    layout.writeIndex(layout.image([tarMember(file('f', 'x'.repeat(90))).subarray(0, size)]));
    await expectCodeAsync(() => read(), 'FORMAT_TAR_TRUNCATED', `${size} bytes`);
  }
});

test('an archive of the layout is the same', async () => {
  const config = { config: { Entrypoint: ['/f'] } };
  layout.writeIndex(layout.image([tarOf(...BASE), tarOf(whiteout('a/.wh.x'))], { config }));
  const expected = await read();
  const members = readdirSync(dir.path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ name: path.slice(dir.path.length + 1), content: readFileSync(path) }));
  const archive = join(dir.path, 'image.tar');
  writeFileSync(archive, tarOf(...members));
  const found = await readOci(archive, TAR_OPTIONS);
  assert.equal([...walkTree(found.root)].length, [...walkTree(expected.root)].length);
  assert.equal(found.image, expected.image);
  assert.equal(found.image.config['config'], config.config);
  writeFileSync(archive, gzipSync(tarOf(...members)));
  await expectCodeAsync(() => readOci(archive, TAR_OPTIONS), 'FORMAT_OCI_LAYOUT');
});

test('one image is chosen by platform and by name, never by its place', async () => {
  const arm = layout.image([tarOf(file('arm'))], { architecture: 'arm64' });
  const intel = layout.image([tarOf(file('intel'))]);
  const named = (each: Json, name: string): Json => ({
    ...each,
    annotations: { 'org.opencontainers.image.ref.name': name },
  });
  const attestation = { ...layout.image([]), platform: { os: 'unknown', architecture: 'unknown' } };
  const nested = layout.json(
    { schemaVersion: 2, manifests: [arm, intel, attestation] },
    INDEX_TYPE,
  );
  const platform = (text: string): Partial<ReadOciOptions> => ({ platform: parsePlatform(text) });
  for (const index of [[arm, intel], [nested], [named(nested, 'v1'), named(nested, 'latest')]]) {
    layout.writeIndex(...index);
    assert.equal(await shown(platform('linux/arm64')), ['/arm arm']);
    assert.equal(await shown(platform('linux/amd64')), ['/intel intel']);
    await expectCodeAsync(() => read(), 'USAGE_OCI_CHOICE', 'two images');
    await expectCodeAsync(() => read(platform('linux/riscv64')), 'USAGE_OCI_CHOICE');
    await expectCodeAsync(() => read(platform('windows/amd64')), 'USAGE_OCI_CHOICE');
  }
  layout.writeIndex(named(arm, 'a'), named(intel, 'b'));
  assert.equal(await shown({ ref: 'b' }), ['/intel intel']);
  await expectCodeAsync(() => read({ ref: 'c' }), 'USAGE_OCI_CHOICE');
  await expectCodeAsync(() => read({ ref: 'a', ...platform('linux/amd64') }), 'USAGE_OCI_CHOICE');
  layout.writeIndex();
  await expectCodeAsync(() => read(), 'USAGE_OCI_CHOICE', 'no image');
  // Without a platform in the index, the configuration has the word.
  const { platform: _, ...bare } = arm;
  layout.writeIndex(bare);
  assert.equal(await shown(platform('linux/arm64')), ['/arm arm']);
  await expectCodeAsync(() => read(platform('linux/amd64')), 'FORMAT_OCI_CONFIG');
});

test('a variant counts where both sides say one', async () => {
  const v6 = layout.image([tarOf(file('v6'))], { architecture: 'arm', config: { variant: 'v6' } });
  const v7 = layout.image([tarOf(file('v7'))], { architecture: 'arm', config: { variant: 'v7' } });
  const withVariant = (each: Json, variant: string): Json => ({
    ...each,
    platform: { os: 'linux', architecture: 'arm', variant },
  });
  layout.writeIndex(withVariant(v6, 'v6'), withVariant(v7, 'v7'));
  assert.equal(await shown({ platform: parsePlatform('linux/arm/v7') }), ['/v7 v7']);
  const any = { platform: parsePlatform('linux/arm') };
  await expectCodeAsync(() => read(any), 'USAGE_OCI_CHOICE', 'two variants');
  layout.writeIndex(v7);
  assert.equal(await shown({ platform: parsePlatform('linux/arm/v7') }), ['/v7 v7']);
  assert.equal(await shown(any), ['/v7 v7']);
  await expectCodeAsync(
    () => read({ platform: parsePlatform('linux/arm/v6') }),
    'FORMAT_OCI_CONFIG',
    'only the configuration tells',
  );
});

test('a platform as it is written', () => {
  for (const text of ['linux/arm64', 'linux/arm/v7']) {
    assert.is(showPlatform(parsePlatform(text)), text);
  }
  for (const text of ['', 'linux', 'linux/', 'linux/arm/v7/x', 'Linux/arm64', 'linux arm64']) {
    expectCode(() => parsePlatform(text), 'USAGE_BAD_VALUE', text);
  }
});

const LAYER = tarOf(file('f'));

/** What makes a good layout bad. */
const DAMAGE: readonly (readonly [label: string, code: string, damage: () => void])[] = [
  ['no index', 'FORMAT_OCI_LAYOUT', () => rmSync(join(dir.path, 'index.json'))],
  ['no oci-layout', 'FORMAT_OCI_LAYOUT', () => rmSync(join(dir.path, 'oci-layout'))],
  ['another version', 'FORMAT_OCI_JSON', () => layout.writeVersion('2.0.0')],
  ['no JSON', 'FORMAT_OCI_JSON', () => writeFileSync(join(dir.path, 'index.json'), '{')],
  [
    'a huge index',
    'FORMAT_OCI_LAYOUT',
    () => writeFileSync(join(dir.path, 'index.json'), ' '.repeat((4 << 20) + 1)),
  ],
  [
    'a size in words',
    'FORMAT_OCI_JSON',
    () => layout.writeIndex({ ...layout.image([LAYER]), size: 'big' }),
  ],
  [
    'a digest that is a path',
    'FORMAT_OCI_LAYOUT',
    () => layout.writeIndex({ ...layout.image([LAYER]), digest: 'sha256:../../index.json' }),
  ],
  [
    'a missing blob',
    'FORMAT_OCI_LAYOUT',
    () => layout.writeIndex({ ...layout.image([LAYER]), digest: `sha256:${'0'.repeat(64)}` }),
  ],
  [
    'another size',
    'VERIFY_OCI_BLOB',
    () => layout.writeIndex({ ...layout.image([LAYER]), size: 3 }),
  ],
  [
    'a changed manifest',
    'VERIFY_OCI_BLOB',
    () => {
      const each = layout.image([LAYER]);
      layout.writeIndex(each);
      const hex = (each['digest'] as string).slice(7);
      writeFileSync(blobPath(hex), Buffer.alloc(each['size'] as number, ' '));
    },
  ],
  [
    'a changed layer',
    'VERIFY_OCI_BLOB',
    () => {
      layout.writeIndex(layout.image([LAYER]));
      const other = tarOf(file('g'));
      writeFileSync(blobPath(sha256(LAYER)), other);
    },
  ],
  [
    'a layer that is no archive any more',
    'VERIFY_OCI_BLOB',
    () => {
      layout.writeIndex(layout.image([LAYER]));
      writeFileSync(blobPath(sha256(LAYER)), Buffer.alloc(LAYER.length, 'x'));
    },
  ],
  [
    'a layer that never was one',
    'FORMAT_TAR_CHECKSUM',
    () => layout.writeIndex(layout.image([Buffer.alloc(600, 'x')])),
  ],
  [
    'a hostile layer',
    'FORMAT_TAR_TRAVERSAL',
    () => layout.writeIndex(layout.image([tarOf(file('../f'))])),
  ],
  [
    'below a symlink of an earlier layer',
    'FORMAT_TAR_SYMLINK',
    () =>
      layout.writeIndex(
        layout.image([tarOf({ name: 'l', type: '2', linkName: '/' }), tarOf(file('l/f'))]),
      ),
  ],
  [
    'a file for a directory that the layer itself filled',
    'FORMAT_TAR_REPLACE',
    () => layout.writeIndex(layout.image([tarOf(file('a/x')), tarOf(file('a/y'), file('a'))])),
  ],
  [
    'a whiteout of nothing',
    'FORMAT_OCI_WHITEOUT',
    () => layout.writeIndex(layout.image([tarOf(file('.wh.'))])),
  ],
  [
    'a whiteout of ..',
    'FORMAT_OCI_WHITEOUT',
    () => layout.writeIndex(layout.image([tarOf(file('a/.wh...'))])),
  ],
  [
    'another diffID',
    'VERIFY_OCI_DIFF_ID',
    () => layout.writeIndex(layout.image([LAYER], { diffIds: [`sha256:${'0'.repeat(64)}`] })),
  ],
  [
    'too few diffIDs',
    'FORMAT_OCI_CONFIG',
    () => layout.writeIndex(layout.image([LAYER], { diffIds: [] })),
  ],
  [
    'an index that says another machine',
    'FORMAT_OCI_CONFIG',
    () =>
      layout.writeIndex({
        ...layout.image([LAYER]),
        platform: { os: 'linux', architecture: 's390x' },
      }),
  ],
  [
    'an encrypted layer',
    'FORMAT_OCI_MEDIA_TYPE',
    () => layout.writeIndex(layout.image([LAYER], { layerType: `${LAYER_TYPE}+gzip+encrypted` })),
  ],
  [
    'indexes without end',
    'FORMAT_OCI_JSON',
    () => {
      let each = layout.image([LAYER]);
      for (let i = 0; i < 6; i++)
        each = layout.json({ schemaVersion: 2, manifests: [each] }, INDEX_TYPE);
      layout.writeIndex(each);
    },
  ],
];

test('damaged and hostile layouts', async () => {
  for (const [label, code, damage] of DAMAGE) {
    layout.writeVersion();
    layout.writeIndex(layout.image([LAYER]));
    assert.equal(await shown(), ['/f f'], 'it is whole before');
    damage();
    await expectCodeAsync(() => read(), code, label);
  }
  await expectCodeAsync(() => readOci(join(dir.path, 'none'), TAR_OPTIONS), 'HOST_NOT_FOUND');
});

/** What layers mean, told in the simplest way: each is applied to a list of paths, whiteouts first. */
function expectedPaths(layers: readonly (readonly string[])[]): string[] {
  let lower = new Set<string>();
  for (const names of layers) {
    const isBelow = (path: string, top: string): boolean =>
      top === '' || path.startsWith(`${top}/`);
    for (const name of names) {
      const slash = name.lastIndexOf('/');
      const parent = name.slice(0, Math.max(slash, 0));
      const last = name.slice(slash + 1);
      if (last === '.wh..wh..opq')
        lower = new Set([...lower].filter((path) => !isBelow(path, parent)));
      else if (last.startsWith('.wh.')) {
        const gone = [parent, last.slice(4)].filter((part) => part !== '').join('/');
        lower = new Set([...lower].filter((path) => path !== gone && !isBelow(path, gone)));
      }
    }
    for (const name of names) {
      if (name.includes('.wh.')) continue;
      const parts = name.split('/');
      for (let i = 1; i <= parts.length; i++) lower.add(parts.slice(0, i).join('/'));
    }
  }
  return [...lower].map((path) => `/${path}`).sort();
}

test('layers in any order of their entries are what a simple model says', async () => {
  // Directories have letters and files digits, so that none takes the place of the other.
  const parents = fc.constantFrom('', 'a/', 'b/', 'a/a/', 'a/b/', 'b/a/b/');
  const last = fc.constantFrom('1', '2', '3', '.wh.1', '.wh.2', '.wh.a', '.wh.b', '.wh..wh..opq');
  const layer = fc.array(
    fc.tuple(parents, last).map((parts) => parts.join('')),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), async (layers) => {
      layout.writeIndex(
        layout.image(layers.map((names) => tarOf(...names.map((name) => ({ name }))))),
      );
      const { root, entries } = await read();
      const paths = [...walkTree(root)].map(({ path }) => path);
      assert.equal(paths.slice(1).sort(), expectedPaths(layers));
      assert.is(entries, paths.length);
    }),
    { numRuns: 150 },
  );
});

test('an index with changed bytes is an image or is refused', async () => {
  layout.writeIndex(layout.image([LAYER]));
  const good = readFileSync(join(dir.path, 'index.json'));
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, value) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      writeFileSync(join(dir.path, 'index.json'), bytes);
      try {
        await read();
      } catch (error) {
        if (!(error instanceof ColdsealError)) throw error;
        assert.match(error.code, /^(FORMAT|VERIFY|USAGE)_OCI_/);
      }
    }),
    { numRuns: 300 },
  );
});

test.run();
