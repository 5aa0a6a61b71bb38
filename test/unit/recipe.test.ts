/** Recipes: as the manifest has them, and what they change in a tree. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CborMap, decodeCanonical, encodeCanonical } from '../../runtime/format/cbor.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { applyRecipe, type Transforms } from '../../toolchain/image/apply-recipe.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { RECIPE_WORDS } from '../../toolchain/image/recipe-words.ts';
import { objectsOfImage } from '../../toolchain/image/objects.ts';
import {
  decodeRecipe,
  describeRecipe,
  encodeRecipe,
  readingOptions,
  type Recipe,
  recipesOf,
} from '../../toolchain/image/recipe.ts';
import { checkRelease, type ReleaseReport } from '../../toolchain/sign/check-release.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { signManifest } from '../../toolchain/sign/sign-manifest.ts';
import { jsonReport } from '../../toolchain/sign/verify-report.ts';
import { LabelPolicy, type PolicyFile } from '../../toolchain/selinux/policy.ts';
import { expectCode } from '../support/expect-code.ts';
import { imageEntry, TEST_RECIPE, testManifest, testPolicy } from '../support/manifests.ts';
import { tempDir } from '../support/temp-dir.ts';
import { testSigner } from '../support/test-pki.ts';
import { writeRelease } from '../support/test-release.ts';

const test = suite('recipe');

const LIMITS = { maxBytes: 1024, maxDepth: 4, maxItems: 64 };

/** Every recipe there is, but for sizes and digests. */
function* allRecipes(): Generator<Recipe> {
  for (const mtime of RECIPE_WORDS.mtime)
    for (const xattrs of RECIPE_WORDS.xattrs)
      for (const rootMetadata of RECIPE_WORDS.rootMetadata)
        for (const hardlinks of RECIPE_WORDS.hardlinks)
          for (const devices of RECIPE_WORDS.devices)
            for (const selinux of [undefined, new Uint8Array(32).fill(7)])
              yield { mtime, xattrs, rootMetadata, hardlinks, devices, selinux, inlineMax: 64 };
}

test('every recipe comes back from its bytes, and no two have the same', () => {
  const seen = new Set<string>();
  for (const recipe of allRecipes()) {
    const bytes = encodeCanonical(encodeRecipe(recipe));
    seen.add(Buffer.from(bytes).toString('hex'));
    assert.equal(decodeRecipe(decodeCanonical(bytes, LIMITS) as CborMap, 'recipe'), recipe);
  }
  assert.is(seen.size, 4 * 4 * 3 * 2 * 2 * 2);
});

test('what runtime level 1 knows is written as before; anything else raises the level', () => {
  for (const recipe of allRecipes()) {
    const isOld =
      ['keep', 'epoch'].includes(recipe.mtime) &&
      recipe.xattrs !== 'capability' &&
      recipe.rootMetadata === 'source' &&
      recipe.selinux === undefined;
    const map = encodeRecipe(recipe);
    assert.is(map.size === 5, isOld);
    const { minRuntime } = testManifest({ images: [imageEntry({ recipe: map })] });
    assert.is(minRuntime, isOld ? 1 : 3);
  }
});

const full: Recipe = {
  ...TEST_RECIPE,
  rootMetadata: 'usr',
  selinux: new Uint8Array(32),
};
const REFUSED: readonly (readonly [what: string, change: (map: Map<unknown, unknown>) => void])[] =
  [
    ['mtime 5', (map) => map.set(1, 5)],
    ['xattrs 5', (map) => map.set(2, 5)],
    ['hardlinks 3', (map) => map.set(3, 3)],
    ['devices 0', (map) => map.set(4, 0)],
    ['an inline limit of 5001', (map) => map.set(5, 5001)],
    ['no inline limit', (map) => map.delete(5)],
    ['root metadata 4', (map) => map.set(6, 4)],
    ['a policy without root metadata', (map) => map.delete(6)],
    ['a short digest', (map) => map.set(7, new Uint8Array(31))],
    ['an unknown key', (map) => map.set(8, 1)],
    ['a key for a recipe that does not need it', (map) => map.set(6, 1).delete(7)],
  ];

test('a build host refuses what is no recipe, where a device passes over it', () => {
  for (const [what, change] of REFUSED) {
    const map = new Map<unknown, unknown>(encodeRecipe(full));
    change(map);
    const recipe = map as unknown as CborMap;
    expectCode(() => decodeRecipe(recipe, 'recipe'), 'FORMAT_MANIFEST_FIELD', what);
    const manifest = testManifest({ images: [imageEntry({ recipe })] });
    assert.ok(encodeManifest(manifest).length > 0);
    expectCode(() => recipesOf(manifest), 'FORMAT_MANIFEST_FIELD', what);
  }
  assert.equal(recipesOf(testManifest({ images: [imageEntry({ recipe: undefined })] })), [
    undefined,
  ]);
});

test('a recipe that is none is not signed, and where it was, the release is refused', async () => {
  using dir = tempDir();
  const signer = testSigner([2]);
  const { manifest } = writeRelease(dir.path, signer);
  const recipe = new Map(encodeRecipe(TEST_RECIPE)).set(9, 9);
  const forged = testManifest({ ...manifest, images: [{ ...manifest.images[0]!, recipe }] });
  expectCode(() => signManifest(forged, signer), 'FORMAT_MANIFEST_FIELD');
  const verify = (): Promise<ReleaseReport> =>
    checkRelease(dir.path, {
      policy: testPolicy({ roles: [2] }),
      denyList: undefined,
      objectsOfImage,
    });
  const good = jsonReport(await verify()) as Shown;
  assert.equal(good.images[0]!.recipe, describeRecipe(TEST_RECIPE));
  assert.ok(good.verified);
  const envelope = signEnvelope('manifest', encodeManifest(forged), signer);
  writeFileSync(join(dir.path, 'manifest.cose'), envelope);
  const bad = jsonReport(await verify()) as Shown;
  assert.is(bad.reason?.code, 'FORMAT_MANIFEST_FIELD');
  assert.is(bad.images[0]!.recipe, null);
});

interface Shown {
  readonly verified: boolean;
  readonly reason: { readonly code: string } | null;
  readonly images: readonly { readonly recipe: object | null }[];
}

test('what a reader does itself and what is applied afterwards', () => {
  const reading = (change: Partial<Recipe>): object =>
    readingOptions({ ...TEST_RECIPE, ...change });
  assert.equal(reading({ mtime: 'clamp', xattrs: 'capability' }), {
    useEpoch: false,
    xattrs: 'all',
    hardlinks: false,
    skipDevices: false,
    inlineMax: 64,
  });
  assert.equal(reading({ xattrs: 'user', hardlinks: 'keep', devices: 'skip', inlineMax: 0 }), {
    useEpoch: true,
    xattrs: 'user',
    hardlinks: true,
    skipDevices: true,
    inlineMax: 0,
  });
});

// --- what is applied to a tree -------------------------------------------------------------------------

const TREE = [
  '/ 0 40700 3 7 8 0 50.9 - - - user.root=r',
  '/a 0 100644 2 0 0 0 20.1 - - - security.capability=c security.selinux=old user.k=v',
  '/b 0 @100644 2 0 0 0 0.0 /a - -',
  '/usr 0 40711 2 1 2 0 30.5 - - - user.usr=u',
  '/usr/neg 0 100644 1 0 0 0 -3.5 - - -',
  '',
].join('\n');

const PLAIN: Transforms = {
  mtime: 'keep',
  xattrs: 'all',
  rootMetadata: 'source',
  sourceDateEpoch: undefined,
  labels: undefined,
};

/** The lines that a change of the recipe changes; further names of a file show what their file has. */
function applied(change: Partial<Transforms>, tree = TREE): string[] {
  const root = parseDump(Buffer.from(tree));
  const before = [...printDump(root)].join('').split('\n');
  applyRecipe(root, { ...PLAIN, ...change });
  const after = [...printDump(root)].join('').split('\n');
  return after.filter((line, index) => line !== before[index] && !line.includes(' @'));
}

function policy(lines: string, others: Partial<Record<PolicyFile, string>> = {}): LabelPolicy {
  const files = Object.entries({ file_contexts: lines, ...others }).map(
    ([name, text]) => [name as PolicyFile, Buffer.from(text)] as const,
  );
  return new LabelPolicy({ name: 'policy', files: new Map(files) });
}

const CASES: readonly (readonly [Partial<Transforms>, readonly string[]])[] = [
  [{}, []],
  [{ rootMetadata: 'fixed' }, ['/ 0 40755 3 0 0 0 0.0 - - -']],
  [{ rootMetadata: 'usr' }, ['/ 0 40711 3 1 2 0 30.5 - - - user.usr=u']],
  [
    { mtime: 'seconds' },
    [
      '/ 0 40700 3 7 8 0 50.0 - - - user.root=r',
      '/a 0 100644 2 0 0 0 20.0 - - - security.capability=c security.selinux=old user.k=v',
      '/usr 0 40711 2 1 2 0 30.0 - - - user.usr=u',
      '/usr/neg 0 100644 1 0 0 0 -3.0 - - -',
    ],
  ],
  [
    { mtime: 'clamp', sourceDateEpoch: 30 },
    ['/ 0 40700 3 7 8 0 30.0 - - - user.root=r', '/usr 0 40711 2 1 2 0 30.0 - - - user.usr=u'],
  ],
  // The root takes the time of /usr, and then it is clamped as that is.
  [
    { mtime: 'clamp', sourceDateEpoch: 25, rootMetadata: 'usr' },
    ['/ 0 40711 3 1 2 0 25.0 - - - user.usr=u', '/usr 0 40711 2 1 2 0 25.0 - - - user.usr=u'],
  ],
  [
    { xattrs: 'capability' },
    [
      '/ 0 40700 3 7 8 0 50.9 - - -',
      '/a 0 100644 2 0 0 0 20.1 - - - security.capability=c',
      '/usr 0 40711 2 1 2 0 30.5 - - -',
    ],
  ],
  // Where the policy says none or nothing, an old label goes.
  [
    { labels: policy('/usr(/.*)?\tu:r:usr\n/usr\t-d\tu:r:dir:s0\n/a\t<<none>>\n') },
    [
      '/a 0 100644 2 0 0 0 20.1 - - - security.capability=c user.k=v',
      '/usr 0 40711 2 1 2 0 30.5 - - - security.selinux=u:r:dir:s0\\x00 user.usr=u',
      '/usr/neg 0 100644 1 0 0 0 -3.5 - - - security.selinux=u:r:usr\\x00',
    ],
  ],
  // Labels are set whatever attributes are kept.
  [
    { labels: policy('/.*\tu:r:all\n'), xattrs: 'capability', rootMetadata: 'fixed' },
    [
      '/ 0 40755 3 0 0 0 0.0 - - - security.selinux=u:r:all\\x00',
      '/a 0 100644 2 0 0 0 20.1 - - - security.capability=c security.selinux=u:r:all\\x00',
      '/usr 0 40711 2 1 2 0 30.5 - - - security.selinux=u:r:all\\x00',
      '/usr/neg 0 100644 1 0 0 0 -3.5 - - - security.selinux=u:r:all\\x00',
    ],
  ],
];

test('each setting changes what it is about and nothing else', () => {
  for (const [change, expected] of CASES) {
    assert.equal(applied(change), expected, JSON.stringify(change));
  }
});

test('what a tree does not allow is refused', () => {
  const bare = '/ 0 40700 2 7 8 0 50.9 - - -\n/usr 1 120777 1 0 0 0 0.0 x - -\n';
  expectCode(() => applied({ rootMetadata: 'usr' }, bare), 'CONFIG_RECIPE_ROOT');
  expectCode(() => applied({ rootMetadata: 'usr' }, bare.split('/usr')[0]), 'CONFIG_RECIPE_ROOT');
  expectCode(() => applied({ mtime: 'clamp' }), 'CONFIG_RECIPE_CLAMP');
  expectCode(
    () => applied({ labels: policy('/a\tu:r:a\n/b\tu:r:b\n') }),
    'CONFIG_SELINUX_HARDLINK',
  );
  expectCode(() => applied({ labels: policy('/b\tu:r:b\n') }), 'CONFIG_SELINUX_HARDLINK');
  assert.equal(applied({ labels: policy('/[ab]\tu:r:a\n') }).length, 1);
});

test.run();
