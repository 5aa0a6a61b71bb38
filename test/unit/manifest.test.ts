/** The manifest: what is written is read, everything else is refused by field. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ascii, toHex } from '../../runtime/format/bytes.ts';
import {
  type CborKey,
  type CborValue,
  decodeCanonical,
  encodeCanonical,
} from '../../runtime/format/cbor.ts';
import { decodeDenyList, encodeDenyList } from '../../runtime/format/deny-list.ts';
import { VERITY_ALGORITHMS, VERITY_BLOCK_SIZE } from '../../runtime/format/fsverity.ts';
import { decodeImage, encodeImage } from '../../runtime/format/manifest-image.ts';
import {
  createManifest,
  decodeManifest,
  encodeManifest,
  MANIFEST_FEATURES,
  releaseIdOf,
  requiredRuntime,
  RUNTIME_LEVEL,
} from '../../runtime/format/manifest.ts';
import { distinctObjects, summariseObjects } from '../../runtime/format/object-list.ts';
import { decodeTrustBundle, encodeTrustBundle } from '../../runtime/format/trust.ts';
import { expectCode } from '../support/expect-code.ts';
import { encodeRecipe } from '../../toolchain/image/recipe.ts';
import { imageEntry, sha256, TEST_RECIPE, testManifest } from '../support/manifests.ts';

const test = suite('manifest');
const LIMITS = { maxBytes: 65536, maxDepth: 8, maxItems: 5000 };
const bytes = encodeManifest(testManifest());
type Tree = Map<CborKey, CborValue>;

/** The manifest with something in its tree changed, encoded again. */
function changed(change: (map: Tree) => void): Uint8Array {
  const map = decodeCanonical(bytes, LIMITS) as Tree;
  change(map);
  return encodeCanonical(map);
}

function imageChanged(change: (map: Tree) => void): Uint8Array {
  return changed((map) => change((map.get(11) as Tree[])[0]!));
}

test('decode after encode is the same manifest', () => {
  const manifest = testManifest();
  assert.equal(decodeManifest(encodeManifest(manifest)), manifest);
  const bare = testManifest({
    valid: undefined,
    bootBinding: undefined,
    sbom: undefined,
    provenance: undefined,
    notes: undefined,
    images: [imageEntry({ recipe: undefined })],
  });
  assert.equal(decodeManifest(encodeManifest(bare)), bare);
});

test('the bytes are pinned: a change here is a change of the format', () => {
  assert.is(
    toHex(sha256(bytes)),
    'bc749438e7e01d29a028d67bc26f405b863bf5da4fb319be07a26d04be3a2a04',
  );
});

test('sizes above 2^31, 2^32 and up to 2^53 - 1 survive', () => {
  for (const size of [
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 40,
    Number.MAX_SAFE_INTEGER,
  ]) {
    const manifest = testManifest({ images: [imageEntry({ size, objectBytes: size })] });
    const [image] = decodeManifest(encodeManifest(manifest)).images;
    assert.is(image!.size, size);
    assert.is(image!.objectBytes, size);
  }
  const tooLarge = imageChanged((image) => image.set(4, 2n ** 53n));
  expectCode(() => decodeManifest(tooLarge), 'FORMAT_MANIFEST_FIELD');
});

test('digest sizes and block size are those of fs-verity', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const { id, digestSize } = VERITY_ALGORITHMS[algorithm];
    const digest = { algorithm, value: new Uint8Array(digestSize) };
    const written = encodeImage(imageEntry({ digest })) as Tree;
    assert.equal(written.get(5), [id, VERITY_BLOCK_SIZE, digest.value]);
    assert.equal(decodeImage(written, 'image').digest, digest);
  }
});

test('images and boards are sorted whatever the order of the input', () => {
  const manifest = testManifest();
  const shuffled = testManifest({
    images: [...manifest.images].reverse(),
    boards: ['linux,dummy-virt', 'fsl,imx8mp-evk', 'linux,dummy-virt'],
  });
  assert.equal(shuffled, manifest);
});

test('the release id is over the contents, and over nothing else', () => {
  const manifest = testManifest();
  assert.is(manifest.releaseId.length, 16);
  assert.equal(
    releaseIdOf(encodeManifest({ ...manifest, releaseId: new Uint8Array(16) }), sha256),
    manifest.releaseId,
  );
  for (const change of [
    { version: '1.2.4' },
    { builtAt: 1 },
    { minDenyVersion: 1 },
    { product: 'x' },
  ]) {
    assert.is.not(toHex(testManifest(change).releaseId), toHex(manifest.releaseId));
  }
});

test('min_runtime rises with each feature, and only with it', () => {
  assert.is(requiredRuntime(testManifest()), 1);
  const users = [
    imageEntry({ digest: { algorithm: 'sha512', value: new Uint8Array(64) } }),
    imageEntry({ format: 2 }),
    imageEntry({ recipe: encodeRecipe({ ...TEST_RECIPE, rootMetadata: 'fixed' }) }),
  ];
  assert.is(users.length, MANIFEST_FEATURES.length, 'a new feature needs a row here');
  MANIFEST_FEATURES.forEach((feature, index) => {
    const manifest = testManifest({ images: [users[index]!] });
    assert.is(manifest.minRuntime, feature.level, feature.name);
    assert.not(feature.isUsed(testManifest()), feature.name);
    const written = encodeManifest(manifest);
    expectCode(() => decodeManifest(written, feature.level - 1), 'VERIFY_RUNTIME_TOO_OLD');
    const understated = encodeManifest({ ...manifest, minRuntime: feature.level - 1 });
    expectCode(() => decodeManifest(understated), 'FORMAT_MANIFEST_FIELD', feature.name);
  });
  const overstated = encodeManifest({ ...testManifest(), minRuntime: 2 });
  expectCode(() => decodeManifest(overstated), 'FORMAT_MANIFEST_FIELD');
  assert.is(RUNTIME_LEVEL, Math.max(...MANIFEST_FEATURES.map(({ level }) => level)));
});

test('an old runtime says that it is too old, not that a key is unknown', () => {
  const future = changed((map) => map.set(2, RUNTIME_LEVEL + 1).set(99, 'something new'));
  expectCode(() => decodeManifest(future), 'VERIFY_RUNTIME_TOO_OLD');
  expectCode(() => decodeManifest(changed((map) => map.set(1, 2).set(99, 1))), 'VERIFY_SCHEMA');
  expectCode(() => decodeManifest(changed((map) => map.delete(1))), 'VERIFY_SCHEMA');
  expectCode(() => decodeManifest(encodeCanonical([])), 'VERIFY_SCHEMA');
  expectCode(() => decodeManifest(changed((map) => map.set(2, 'two'))), 'VERIFY_RUNTIME_TOO_OLD');
});

const long = (length: number): string => 'x'.repeat(length);

/** So many of each thing that a manifest can have several of. */
function many(map: Tree, counts: { boards: number; images: number; domains: number }): void {
  const { boards, images, domains } = counts;
  const [first] = map.get(11) as Tree[];
  map.set(
    4,
    Array.from({ length: boards }, (_, i) => `b${i + 10}`),
  );
  map.set(
    11,
    Array.from({ length: images }, (_, i) => new Map(first).set(2, `n${i + 10}`)),
  );
  map.set(6, new Map(Array.from({ length: domains }, (_, i) => [i, 1])));
}

const FIELDS: readonly [what: string, bytes: () => Uint8Array][] = [
  ['an unknown key', () => changed((map) => map.set(17, 0))],
  ['a text key', () => changed((map) => map.set('1', 1))],
  ['no product', () => changed((map) => map.delete(3))],
  ['an empty product', () => changed((map) => map.set(3, ''))],
  ['a product with a space', () => changed((map) => map.set(3, 'a b'))],
  ['a long product', () => changed((map) => map.set(3, long(129)))],
  ['a number as product', () => changed((map) => map.set(3, 1))],
  ['no boards', () => changed((map) => map.set(4, []))],
  ['unsorted boards', () => changed((map) => map.set(4, ['b', 'a']))],
  ['a board twice', () => changed((map) => map.set(4, ['a', 'a']))],
  ['33 boards', () => changed((map) => many(map, { boards: 33, images: 1, domains: 1 }))],
  ['65 images', () => changed((map) => many(map, { boards: 1, images: 65, domains: 1 }))],
  ['17 domains', () => changed((map) => many(map, { boards: 1, images: 1, domains: 17 }))],
  ['a version with a line feed', () => changed((map) => map.set(5, '1\n2'))],
  ['no epochs', () => changed((map) => map.set(6, new Map()))],
  ['a negative epoch', () => changed((map) => map.set(6, new Map([[1, -1]])))],
  ['a text domain', () => changed((map) => map.set(6, new Map([['a', 1]])))],
  ['an epoch above 2^53', () => changed((map) => map.set(6, new Map([[1, 2n ** 60n]])))],
  ['a release id of 15 bytes', () => changed((map) => map.set(7, new Uint8Array(15)))],
  ['a negative time', () => changed((map) => map.set(8, -1))],
  ['a validity of one', () => changed((map) => map.set(9, [1]))],
  ['a validity that ends before it begins', () => changed((map) => map.set(9, [2, 1]))],
  ['a validity without a beginning', () => changed((map) => map.set(9, [null, 1]))],
  ['a validity that begins before 1970', () => changed((map) => map.set(9, [-1, 1]))],
  ['role 0', () => changed((map) => map.set(10, 0))],
  ['role 5', () => changed((map) => map.set(10, 5))],
  ['no images', () => changed((map) => map.set(11, []))],
  ['unsorted images', () => changed((map) => (map.get(11) as Tree[]).reverse())],
  [
    'an image twice',
    () => changed((map) => map.set(11, [(map.get(11) as Tree[])[0]!, (map.get(11) as Tree[])[0]!])),
  ],
  ['a name twice', () => changed((map) => (map.get(11) as Tree[])[1]!.set(2, 'root'))],
  ['an unknown binding', () => changed((map) => (map.get(12) as Tree).set(9, new Uint8Array(32)))],
  ['a short binding', () => changed((map) => (map.get(12) as Tree).set(1, new Uint8Array(31)))],
  ['an SBOM of two', () => changed((map) => map.set(13, [1, new Uint8Array(32)]))],
  ['an SBOM in an unknown format', () => changed((map) => map.set(13, [4, new Uint8Array(32), 1]))],
  ['an SBOM without a size', () => changed((map) => map.set(13, [1, new Uint8Array(32), null]))],
  ['an SBOM of size -1', () => changed((map) => map.set(13, [1, new Uint8Array(32), -1]))],
  ['an SBOM by half a digest', () => changed((map) => map.set(13, [1, new Uint8Array(31), 1]))],
  ['a deny version of 2^32', () => changed((map) => map.set(15, 2 ** 32))],
  ['no deny version', () => changed((map) => map.delete(15))],
  ['a note key in capitals', () => changed((map) => map.set(16, new Map([['A', 'b']])))],
  ['a note of 1025 characters', () => changed((map) => map.set(16, new Map([['a', long(1025)]])))],
  [
    '33 notes',
    () =>
      changed((map) => map.set(16, new Map(Array.from({ length: 33 }, (_, i) => [`n${i}`, ''])))),
  ],
  ['an unknown image key', () => imageChanged((image) => image.set(13, 1))],
  ['image role 0', () => imageChanged((image) => image.set(1, 0))],
  ['a path as name', () => imageChanged((image) => image.set(2, '../etc'))],
  ['a hidden name', () => imageChanged((image) => image.set(2, '.x'))],
  ['a name like an option', () => imageChanged((image) => image.set(2, '-x'))],
  ['a name in capitals', () => imageChanged((image) => image.set(2, 'Root'))],
  ['a long name', () => imageChanged((image) => image.set(2, long(65)))],
  ['format 3', () => imageChanged((image) => image.set(3, 3))],
  ['an empty image', () => imageChanged((image) => image.set(4, 0))],
  [
    'digest algorithm 3',
    () => imageChanged((image) => image.set(5, [3, 4096, new Uint8Array(32)])),
  ],
  ['blocks of 1024', () => imageChanged((image) => image.set(5, [1, 1024, new Uint8Array(32)]))],
  [
    'a SHA-512 of 32 bytes',
    () => imageChanged((image) => image.set(5, [2, 4096, new Uint8Array(32)])),
  ],
  [
    'a digest with a salt',
    () => imageChanged((image) => image.set(5, [1, 4096, new Uint8Array(32), new Uint8Array()])),
  ],
  ['no digest', () => imageChanged((image) => image.delete(5))],
  ['a negative count', () => imageChanged((image) => image.set(6, -1))],
  ['a short list digest', () => imageChanged((image) => image.set(8, new Uint8Array(31)))],
  ['a path as mount', () => imageChanged((image) => image.set(9, '/'))],
  ['mount 4', () => imageChanged((image) => image.set(9, 4))],
  ['start 0', () => imageChanged((image) => image.set(10, 0))],
  ['an unknown flag', () => imageChanged((image) => image.set(11, 16))],
  ['a recipe that is no map', () => imageChanged((image) => image.set(12, 1))],
];

test('every field out of bounds is refused', () => {
  for (const [what, make] of FIELDS)
    expectCode(() => decodeManifest(make()), 'FORMAT_MANIFEST_FIELD', what);
  assert.equal(decodeManifest(changed(() => undefined)), testManifest());
});

test('every field at its bound is read', () => {
  const counts = { boards: 32, images: 64, domains: 16 };
  const full = decodeManifest(changed((map) => many(map, counts)));
  assert.is(full.boards.length, 32);
  assert.is(full.images.length, 64);
  assert.is(full.epochs.size, 16);
  const moment = decodeManifest(changed((map) => map.set(9, [2, 2]).set(15, 2 ** 32 - 1)));
  assert.equal(moment.valid, { notBefore: 2, notAfter: 2 });
  assert.is(moment.minDenyVersion, 2 ** 32 - 1);
  const notes = new Map(Array.from({ length: 32 }, (_, i) => [`n${i}`, '']));
  assert.is(decodeManifest(changed((map) => map.set(16, notes))).notes?.size, 32);
});

test('the path of the field stands in the message', () => {
  const make = imageChanged((image) => image.set(2, '../etc'));
  assert.throws(() => decodeManifest(make), /manifest\.images\[0\]\.name/);
});

test('what the builder may not write, it does not', () => {
  const { minRuntime: _, releaseId: __, ...input } = testManifest();
  expectCode(() => createManifest({ ...input, boards: [] }, sha256), 'FORMAT_MANIFEST_FIELD');
  expectCode(() => createManifest({ ...input, product: 'a b' }, sha256), 'FORMAT_MANIFEST_FIELD');
  const notes = new Map(Array.from({ length: 32 }, (_, i) => [`n${i}`, long(1024)]));
  expectCode(() => createManifest({ ...input, notes }, sha256), 'FORMAT_CBOR_TOO_LARGE');
});

test('the object list is that of sort and sha256sum', () => {
  const [a, b] = ['aa'.repeat(32), 'bb'.repeat(32)] as [string, string];
  const summary = summariseObjects(
    [
      { digest: b, size: 5 },
      { digest: a, size: 3_000_000_000 },
      { digest: b, size: 5 },
    ],
    sha256,
  );
  assert.is(summary.count, 2);
  assert.is(summary.bytes, 3_000_000_005);
  assert.equal(summary.digest, sha256(ascii(`${a} 3000000000\n${b} 5\n`)));
  assert.equal(summariseObjects([], sha256).digest, sha256(new Uint8Array()));
  expectCode(
    () =>
      distinctObjects([
        { digest: a, size: 1 },
        { digest: a, size: 2 },
      ]),
    'FORMAT_OBJECT_LIST',
  );
});

test('trust bundles and deny lists: round trips and refusals', () => {
  const pin = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
  const bundle = {
    version: 3,
    anchors: [
      { spkiSha256: pin(2), purposes: [1, 5] as const },
      { spkiSha256: pin(1), purposes: [2] as const },
    ],
  };
  const encoded = encodeTrustBundle(bundle);
  assert.equal(decodeTrustBundle(encoded), { version: 3, anchors: [...bundle.anchors].reverse() });
  const trustTree = (change: (map: Tree) => void): Uint8Array => {
    const map = decodeCanonical(encoded, LIMITS) as Tree;
    change(map);
    return encodeCanonical(map);
  };
  const anchor = (fill: number, purposes: number[]): CborValue =>
    new Map<CborKey, CborValue>([
      [1, pin(fill)],
      [2, purposes],
    ]);
  const wrongTrust: readonly ((map: Tree) => void)[] = [
    (map) => map.set(1, 2),
    (map) => map.set(2, 0),
    (map) => map.set(3, []),
    (map) => map.set(3, [anchor(2, [1]), anchor(1, [1])]),
    (map) => map.set(3, [anchor(1, [1]), anchor(1, [1])]),
    (map) => map.set(3, [anchor(1, [])]),
    (map) => map.set(3, [anchor(1, [2, 1])]),
    (map) => map.set(3, [anchor(1, [8])]),
    (map) =>
      map.set(
        3,
        Array.from({ length: 9 }, (_, i) => anchor(i, [1])),
      ),
    (map) => map.set(4, 0),
  ];
  for (const change of wrongTrust)
    expectCode(() => decodeTrustBundle(trustTree(change)), 'FORMAT_TRUST_FIELD');

  const list = {
    version: 9,
    keys: [pin(2), pin(1)],
    certificates: [],
    manifests: [pin(3)],
    epochs: new Map([[1, 2]]),
  };
  const denied = encodeDenyList(list);
  assert.equal(decodeDenyList(denied), { ...list, keys: [pin(1), pin(2)] });
  const denyTree = (change: (map: Tree) => void): Uint8Array => {
    const map = decodeCanonical(denied, LIMITS) as Tree;
    change(map);
    return encodeCanonical(map);
  };
  const wrongDeny: readonly ((map: Tree) => void)[] = [
    (map) => map.set(1, 0),
    (map) => map.set(2, 0),
    (map) => map.set(3, [pin(2), pin(1)]),
    (map) => map.set(3, [pin(1), pin(1)]),
    (map) => map.set(4, [new Uint8Array(31)]),
    (map) => map.delete(5),
    (map) => map.set(6, new Map([['a', 1]])),
    (map) => map.set(7, 0),
  ];
  for (const change of wrongDeny)
    expectCode(() => decodeDenyList(denyTree(change)), 'FORMAT_DENY_FIELD');
});

test.run();
