/** The decision: order, separate results, policy, deny lists, images, and a wrong root on every path. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { ascii } from '../../runtime/format/bytes.ts';
import {
  type CborKey,
  type CborValue,
  decodeCanonical,
  encodeCanonical,
} from '../../runtime/format/cbor.ts';
import { type DenyList, encodeDenyList } from '../../runtime/format/deny-list.ts';
import type { ImageEntry } from '../../runtime/format/manifest-image.ts';
import { encodeManifest, type Manifest } from '../../runtime/format/manifest.ts';
import { encodeTrustBundle } from '../../runtime/format/trust.ts';
import { installTime } from '../../runtime/install-time.ts';
import {
  CHECKS,
  type CheckName,
  type ImageMeasurement,
  type ManifestVerdict,
  verifyDenyList,
  verifyManifest,
  type VerifyPolicy,
  type VerifyRequest,
  verifyTrustBundle,
} from '../../runtime/verify.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { expectCode } from '../support/expect-code.ts';
import { spkiOf, testKey } from '../support/make-certificate.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { KEYS, makeChain, testAnchor, testSigner } from '../support/test-pki.ts';

const test = suite('verify');
const crypto = createNodeCrypto();
const goodImage = (image: ImageEntry): ImageMeasurement => ({
  size: image.size,
  digest: image.digest.value,
});

function signed(
  manifest: Manifest = testManifest(),
  purposes = [manifest.role as 1 | 2],
): Uint8Array {
  return signEnvelope('manifest', encodeManifest(manifest), testSigner(purposes));
}

const good = signed();

function verdictOf(
  change: Partial<VerifyRequest> = {},
  policy: Partial<VerifyPolicy> = {},
): ManifestVerdict {
  const base = { envelope: good, denyList: undefined, crypto, images: goodImage };
  return verifyManifest({ ...base, policy: testPolicy(policy), ...change });
}

function denyList(change: Partial<DenyList> = {}): Uint8Array {
  const list = {
    version: 3,
    keys: [],
    certificates: [],
    manifests: [],
    epochs: new Map(),
    ...change,
  };
  return signEnvelope(
    'deny list',
    encodeDenyList(list),
    testSigner([5], makeChain({ purposes: [5] })),
  );
}

test('a good release passes every check that was asked for', () => {
  const verdict = verdictOf();
  assert.ok(verdict.ok, verdict.reason?.message);
  for (const name of CHECKS) {
    const expected = name === 'time' ? 'not-evaluated' : 'pass';
    assert.is(verdict[name].status, expected, name);
  }
  assert.equal(verdict.manifest, testManifest());
  assert.equal(verdict.manifestSha256, crypto.sha256(encodeManifest(testManifest())));
  assert.equal(
    verdict.images.map(({ result }) => result.status),
    ['pass', 'pass'],
  );
});

/** The order of runtime/verify.ts: what comes later is never passed once something said no. */
const ORDER: readonly CheckName[] = ['authenticity', 'role', 'board', 'epoch', 'time', 'integrity'];

const REFUSALS: readonly [
  what: string,
  check: CheckName,
  code: string,
  run: () => ManifestVerdict,
][] = [
  [
    'not an envelope',
    'authenticity',
    'FORMAT_ENVELOPE',
    () => verdictOf({ envelope: ascii('no') }),
  ],
  [
    'too large',
    'authenticity',
    'FORMAT_ENVELOPE_SIZE',
    () => verdictOf({ envelope: new Uint8Array(65537) }),
  ],
  [
    'an unknown root',
    'authenticity',
    'VERIFY_ANCHOR_UNKNOWN',
    () => verdictOf({}, { anchors: [testAnchor(testKey('other'))] }),
  ],
  ['no anchors', 'authenticity', 'VERIFY_ANCHOR_UNKNOWN', () => verdictOf({}, { anchors: [] })],
  [
    'no algorithm',
    'authenticity',
    'VERIFY_ALGORITHM_NOT_ALLOWED',
    () => verdictOf({}, { algorithms: [] }),
  ],
  [
    'a deny list presented as manifest',
    'authenticity',
    'VERIFY_KIND',
    () => verdictOf({ envelope: denyList() }),
  ],
  [
    'a manifest presented as deny list',
    'authenticity',
    'VERIFY_KIND',
    () => verdictOf({ denyList: good }),
  ],
  [
    'a revoked leaf key',
    'authenticity',
    'VERIFY_KEY_DENIED',
    () =>
      verdictOf({
        denyList: denyList({ keys: [crypto.sha256(spkiOf(KEYS.leaf))] }),
        envelope: good,
      }),
  ],
  [
    'a revoked certificate',
    'authenticity',
    'VERIFY_CERT_DENIED',
    () => {
      const chain = makeChain();
      const envelope = signEnvelope(
        'manifest',
        encodeManifest(testManifest()),
        testSigner([1], chain),
      );
      return verdictOf({
        envelope,
        denyList: denyList({ certificates: [crypto.sha256(chain[0]!)] }),
      });
    },
  ],
  [
    'a revoked manifest',
    'authenticity',
    'VERIFY_MANIFEST_DENIED',
    () =>
      verdictOf({
        denyList: denyList({ manifests: [crypto.sha256(encodeManifest(testManifest()))] }),
      }),
  ],
  [
    'an old deny list',
    'authenticity',
    'VERIFY_DENY_LIST_OLD',
    () => verdictOf({ denyList: denyList() }, { denyVersion: 4 }),
  ],
  [
    'a role the board refuses',
    'role',
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => verdictOf({}, { roles: [2, 3] }),
  ],
  ['no roles', 'role', 'VERIFY_ROLE_NOT_ACCEPTED', () => verdictOf({}, { roles: [] })],
  [
    'a development key for a production board',
    'role',
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => verdictOf({ envelope: signed(testManifest({ role: 2 })) }),
  ],
  [
    'a production manifest by a development key',
    'role',
    'VERIFY_ROLE_MISMATCH',
    () => verdictOf({ envelope: signed(testManifest(), [2]) }, { roles: [1, 2] }),
  ],
  [
    'a manifest of a role the board refuses by a key of two roles',
    'role',
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => verdictOf({ envelope: signed(testManifest({ role: 2 }), [1, 2]) }),
  ],
  [
    'anything at all by a key of a role the board refuses',
    'role',
    'VERIFY_ROLE_NOT_ACCEPTED',
    () => verdictOf({ envelope: signEnvelope('manifest', encodeCanonical([1]), testSigner([2])) }),
  ],
  [
    'a payload that is no manifest',
    'integrity',
    'VERIFY_SCHEMA',
    () => verdictOf({ envelope: signEnvelope('manifest', encodeCanonical([1]), testSigner()) }),
  ],
  [
    'an authentic payload that is not canonical',
    'integrity',
    'FORMAT_CBOR_NOT_CANONICAL',
    () => verdictOf({ envelope: signEnvelope('manifest', Uint8Array.of(0x18, 1), testSigner()) }),
  ],
  [
    'another release id',
    'integrity',
    'VERIFY_RELEASE_ID',
    () => verdictOf({ envelope: signed({ ...testManifest(), releaseId: new Uint8Array(16) }) }),
  ],
  ['another product', 'board', 'VERIFY_PRODUCT', () => verdictOf({}, { product: 'Demo' })],
  ['another board', 'board', 'VERIFY_BOARD', () => verdictOf({}, { board: 'linux,dummy' })],
  ['an old epoch', 'epoch', 'VERIFY_EPOCH', () => verdictOf({}, { epochs: new Map([[1, 8]]) })],
  [
    'an old epoch in another domain',
    'epoch',
    'VERIFY_EPOCH',
    () =>
      verdictOf(
        {},
        {
          epochs: new Map([
            [1, 7],
            [2, 2],
          ]),
        },
      ),
  ],
  [
    'a missing domain',
    'epoch',
    'VERIFY_EPOCH_MISSING',
    () => verdictOf({}, { epochs: new Map([[9, 0]]) }),
  ],
  [
    'an epoch below that of the deny list',
    'epoch',
    'VERIFY_EPOCH',
    () => verdictOf({ denyList: denyList({ epochs: new Map([[2, 5]]) }) }),
  ],
  [
    'no deny list where the manifest asks for one',
    'epoch',
    'VERIFY_DENY_LIST_OLD',
    () => verdictOf({ envelope: signed(testManifest({ minDenyVersion: 1 })) }),
  ],
  [
    'an older deny list than the manifest asks for',
    'epoch',
    'VERIFY_DENY_LIST_OLD',
    () =>
      verdictOf({ envelope: signed(testManifest({ minDenyVersion: 4 })), denyList: denyList() }),
  ],
  [
    'a deny list left out',
    'epoch',
    'VERIFY_DENY_LIST_OLD',
    () => verdictOf({}, { denyVersion: 3 }),
  ],
  [
    'an expired manifest at installation',
    'time',
    'VERIFY_MANIFEST_EXPIRED',
    () => verdictOf({}, { checkTime: installTime({ now: 1_900_000_001, isTrusted: false }) }),
  ],
  [
    'a manifest from the future at installation',
    'time',
    'VERIFY_MANIFEST_NOT_YET_VALID',
    () => verdictOf({}, { checkTime: installTime({ now: 1_780_000_000, isTrusted: true }) }),
  ],
  [
    'an expired leaf at installation',
    'time',
    'VERIFY_CERT_EXPIRED',
    () => verdictOf({}, { checkTime: installTime({ now: 3_000_000_000, isTrusted: true }) }),
  ],
  [
    'an image of another size',
    'integrity',
    'VERIFY_IMAGE_SIZE',
    () => verdictOf({ images: (image) => ({ ...goodImage(image), size: 8193 }) }),
  ],
  [
    'an image of another digest',
    'integrity',
    'VERIFY_IMAGE_DIGEST',
    () => verdictOf({ images: (image) => ({ ...goodImage(image), digest: new Uint8Array(32) }) }),
  ],
  [
    'an image without a digest',
    'integrity',
    'VERIFY_IMAGE_DIGEST',
    () => verdictOf({ images: (image) => ({ ...goodImage(image), digest: new Uint8Array() }) }),
  ],
  [
    'an image that cannot be read',
    'integrity',
    'HOST_NOT_FOUND',
    () =>
      verdictOf({
        images: () => {
          throw new ColdsealError('HOST_NOT_FOUND', 'gone');
        },
      }),
  ],
];

test('every no has its check and its code, and nothing after it passes', () => {
  for (const [what, check, code, run] of REFUSALS) {
    const verdict = run();
    assert.not(verdict.ok, what);
    assert.is(verdict.reason?.code, code, what);
    const result = verdict[check];
    const codes = CHECKS.map((name) => verdict[name]).map((r) =>
      r.status === 'pass' ? '' : r.code,
    );
    assert.ok(check === 'integrity' || codes.includes('VERIFY_NOT_REACHED'), what);
    assert.is(result.status === 'fail' && result.code, code, what);
    const failed = CHECKS.filter((name) => verdict[name].status === 'fail');
    assert.equal(failed, [check], what);
    for (const later of ORDER.slice(ORDER.indexOf(check) + 1)) {
      assert.is(verdict[later].status, 'not-evaluated', `${what}: ${later}`);
    }
    if (check === 'authenticity') assert.is(verdict.manifest, undefined, what);
  }
});

test('images after the first bad one are not measured', () => {
  const measured: string[] = [];
  const verdict = verdictOf({
    images: (image) => {
      measured.push(image.name);
      return { ...goodImage(image), size: 1 };
    },
  });
  assert.equal(measured, ['root']);
  assert.equal(
    verdict.images.map(({ result }) => result.status),
    ['fail', 'not-evaluated'],
  );
  const [, second] = verdict.images;
  assert.is(second!.result.status !== 'pass' && second!.result.code, 'VERIFY_NOT_REACHED');
});

test('nothing is measured before everything else has passed', () => {
  const never = (): ImageMeasurement => {
    throw new Error('measured too early');
  };
  for (const policy of [{ board: 'x' }, { epochs: new Map([[1, 99]]) }, { roles: [2] as const }]) {
    assert.not(verdictOf({ images: never }, policy).ok);
  }
});

test('what was not asked for is reported, not passed', () => {
  const verdict = verdictOf(
    { images: 'at-mount' },
    { board: undefined, product: undefined, epochs: new Map(), checkTime: installTime(undefined) },
  );
  assert.ok(verdict.ok);
  const codes = CHECKS.map((name) => {
    const result = verdict[name];
    return result.status === 'pass' ? 'pass' : result.code;
  });
  assert.equal(codes, [
    'pass',
    'pass',
    'VERIFY_IMAGES_AT_MOUNT',
    'VERIFY_BOARD_NOT_GIVEN',
    'VERIFY_EPOCH_NOT_GIVEN',
    'VERIFY_TIME_UNKNOWN',
  ]);
  assert.is(verdict.images[0]!.result.status, 'not-evaluated');
});

test('boot does not depend on the time; an installation with a floor lets the future in', () => {
  const { time } = verdictOf({}, { checkTime: undefined });
  assert.ok(time.status !== 'pass');
  assert.is(time.code, 'VERIFY_TIME_NOT_ASKED');
  const floor = { checkTime: installTime({ now: 1_700_000_000, isTrusted: false }) } as const;
  assert.is(verdictOf({}, floor).time.status, 'pass');
  const now = { checkTime: installTime({ now: 1_800_000_000, isTrusted: true }) } as const;
  assert.is(verdictOf({}, now).time.status, 'pass');
});

test('the last moment, the first moment and the lowest deny list still pass', () => {
  for (const now of [1_790_000_000, 1_900_000_000]) {
    const verdict = verdictOf({}, { checkTime: installTime({ now, isTrusted: true }) });
    assert.is(verdict.time.status, 'pass', String(now));
  }
  const envelope = signed(testManifest({ minDenyVersion: 3 }));
  assert.ok(verdictOf({ envelope, denyList: denyList() }, { denyVersion: 3 }).ok);
});

test('deny lists and trust bundles never go back', () => {
  const policy = testPolicy();
  assert.is(verifyDenyList(denyList(), policy, 3, crypto).version, 3);
  expectCode(() => verifyDenyList(denyList(), policy, 4, crypto), 'VERIFY_DENY_LIST_OLD');
  const self = denyList({ keys: [crypto.sha256(spkiOf(KEYS.intermediate))] });
  expectCode(() => verifyDenyList(self, policy, 0, crypto), 'VERIFY_KEY_DENIED');
  const bundle = (version: number): Uint8Array =>
    signEnvelope(
      'trust bundle',
      encodeTrustBundle({ version, anchors: [testAnchor()] }),
      testSigner([6], makeChain({ purposes: [6] })),
    );
  assert.is(verifyTrustBundle(bundle(2), policy, 1, crypto).version, 2);
  for (const version of [1, 3]) {
    expectCode(() => verifyTrustBundle(bundle(version), policy, 1, crypto), 'VERIFY_TRUST_VERSION');
  }
});

test('a wrong root says no on every path that takes one', () => {
  const wrong = testPolicy({ anchors: [testAnchor(testKey('other'))] });
  const trust = signEnvelope(
    'trust bundle',
    encodeTrustBundle({ version: 2, anchors: [testAnchor()] }),
    testSigner([6], makeChain({ purposes: [6] })),
  );
  expectCode(() => verifyDenyList(denyList(), wrong, 0, crypto), 'VERIFY_ANCHOR_UNKNOWN');
  expectCode(() => verifyTrustBundle(trust, wrong, 1, crypto), 'VERIFY_ANCHOR_UNKNOWN');
  const verdict = verdictOf({ denyList: denyList(), policy: wrong });
  assert.is(verdict.reason?.code, 'VERIFY_ANCHOR_UNKNOWN');
});

test('an engine that throws is not an engine that says yes', () => {
  const broken = {
    ...crypto,
    verifySignature: () => {
      throw new Error('broken');
    },
  };
  assert.throws(() => verdictOf({ crypto: broken }), /broken/);
  const lying = { ...crypto, verifySignature: () => false };
  assert.is(verdictOf({ crypto: lying }).reason?.code, 'VERIFY_CERT_SIGNATURE');
});

test('the manifest is decoded only after its signature was found good', () => {
  const tree = decodeCanonical(encodeManifest(testManifest()), {
    maxBytes: 65536,
    maxDepth: 8,
    maxItems: 5000,
  }) as Map<CborKey, CborValue>;
  tree.set(99, 1);
  const stranger = testSigner(
    [1],
    makeChain({
      root: { key: testKey('other'), issuerKey: testKey('other') },
      intermediate: { issuerKey: testKey('other') },
    }),
  );
  const envelope = signEnvelope('manifest', encodeCanonical(tree), stranger);
  assert.is(verdictOf({ envelope }).reason?.code, 'VERIFY_ANCHOR_UNKNOWN');
  const own = signEnvelope('manifest', encodeCanonical(tree), testSigner());
  assert.is(verdictOf({ envelope: own }).reason?.code, 'FORMAT_MANIFEST_FIELD');
});

test.run();
