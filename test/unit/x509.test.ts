/** Certificates and chains: one bad certificate per rule, each refused by its own code. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as fc from 'fast-check';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { checkValidity, verifyChain } from '../../runtime/format/chain.ts';
import { fromHex } from '../../runtime/format/bytes.ts';
import { OID, PURPOSE, purposeOid, PURPOSES } from '../../runtime/format/oids.ts';
import { commonName, readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import {
  der,
  extension,
  keyIdOf,
  makeCertificate,
  PARTS,
  SIGNATURES,
  spkiOf,
  testKey,
} from '../support/make-certificate.ts';
import { goodParts, KEYS, makeChain, testAnchor } from '../support/test-pki.ts';

const test = suite('x509');
const crypto = createNodeCrypto();
const PRODUCTION = [PURPOSE.PRODUCTION];

const verify = (chain: readonly Uint8Array[], anchors = [testAnchor()]): unknown =>
  verifyChain(chain, anchors, crypto);

/** The good extensions of the leaf with one replaced or removed, by index. */
function leafWith(index: number, ...replacement: readonly Uint8Array[]): { leaf: object } {
  const extensions = [...goodParts().leaf.extensions];
  extensions.splice(index, 1, ...replacement);
  return { leaf: { extensions } };
}

function intermediateWith(
  index: number,
  ...replacement: readonly Uint8Array[]
): { intermediate: object } {
  const extensions = [...goodParts().intermediate.extensions];
  extensions.splice(index, 1, ...replacement);
  return { intermediate: { extensions } };
}

function rootWith(index: number, ...replacement: readonly Uint8Array[]): { root: object } {
  const extensions = [...goodParts().root.extensions];
  extensions.splice(index, 1, ...replacement);
  return { root: { extensions } };
}

test('a good chain gives leaf, anchor and purposes', () => {
  const chain = verifyChain(makeChain(), [testAnchor()], crypto);
  assert.equal([...chain.purposes], PRODUCTION);
  assert.is(commonName(chain.leaf.subject), 'test leaf');
  assert.is(chain.leaf.keyBits, 3072);
  assert.is(chain.leaf.notAfter, Date.UTC(2056, 0, 1) / 1000);
  for (const signature of ['pss'] as const) {
    verify(makeChain({ leaf: { signature }, intermediate: { signature }, root: { signature } }));
  }
});

const weak = (modulusLength: number, publicExponent: number): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey;
const usages = (...ids: string[]): Uint8Array => PARTS.usages([OID.CODE_SIGNING, ...ids]);
const NAME_CONSTRAINTS = '551d1e';
const NULL = Uint8Array.of(5, 0);

type Change = Parameters<typeof makeChain>[0];
const RULES: readonly [what: string, code: string, change: () => Change][] = [
  ['version 1', 'VERIFY_CERT_VERSION', () => ({ leaf: { version: 0 } })],
  ['version 2', 'VERIFY_CERT_VERSION', () => ({ leaf: { version: 1 } })],
  ['version 4', 'VERIFY_CERT_VERSION', () => ({ leaf: { version: 3 } })],
  ['serial 0', 'VERIFY_CERT_SERIAL', () => ({ leaf: { serial: [0] } })],
  ['a negative serial', 'VERIFY_CERT_SERIAL', () => ({ leaf: { serial: [0x80, 1] } })],
  ['a serial of 21 bytes', 'VERIFY_CERT_SERIAL', () => ({ leaf: { serial: Array(21).fill(1) } })],
  [
    'another algorithm inside',
    'VERIFY_CERT_ALGORITHM_MISMATCH',
    () => ({ leaf: { innerAlgorithm: SIGNATURES.pss } }),
  ],
  ['SHA-1', 'VERIFY_CERT_ALGORITHM', () => ({ leaf: { signature: 'sha1' } })],
  ['PSS with a short salt', 'VERIFY_CERT_ALGORITHM', () => ({ leaf: { signature: 'pss20' } })],
  [
    'an algorithm of another key',
    'VERIFY_CERT_ALGORITHM',
    () => {
      const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
      return { leaf: { issuerKey: key, signature: 'ecdsa' } };
    },
  ],
  ['RSA-2048', 'VERIFY_CERT_KEY', () => ({ leaf: { spki: spkiOf(weak(2048, 65537)) } })],
  ['exponent 3', 'VERIFY_CERT_KEY', () => ({ leaf: { spki: spkiOf(weak(3072, 3)) } })],
  [
    'a curve that is not ours',
    'VERIFY_CERT_KEY',
    () => {
      const key = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
      return { leaf: { spki: spkiOf(key) } };
    },
  ],
  [
    'a point in compressed form',
    'VERIFY_CERT_KEY',
    () => {
      const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
      const spki = spkiOf(key);
      spki[spki.length - 65] = 2;
      return { leaf: { spki } };
    },
  ],
  ['something behind the fields', 'FORMAT_DER', () => ({ leaf: { tail: NULL } })],
  ['something behind the version', 'FORMAT_DER', () => ({ leaf: { versionTail: NULL } })],
  ['something behind the validity', 'FORMAT_DER', () => ({ leaf: { validityTail: NULL } })],
  [
    'something behind the value of an extension',
    'FORMAT_DER',
    () => leafWith(3, der(0x30, der(6, fromHex('551d1f')!), der(4), NULL)),
  ],
  [
    'an authority named by its serial number too',
    'FORMAT_DER',
    () => {
      const id = der(0x80, keyIdOf(KEYS.intermediate));
      const serial = der(0x82, Uint8Array.of(1));
      return leafWith(4, extension(OID.AUTHORITY_KEY_ID, false, der(0x30, id, serial)));
    },
  ],
  ['no basic constraints', 'VERIFY_CERT_LEAF_CONSTRAINTS', () => leafWith(0)],
  ['a leaf that issues', 'VERIFY_CERT_LEAF_IS_CA', () => leafWith(0, PARTS.basicConstraints(true))],
  ['no key usage', 'VERIFY_CERT_KEY_USAGE_MISSING', () => leafWith(1)],
  [
    'key usage not critical',
    'VERIFY_CERT_KEY_USAGE_MISSING',
    () => leafWith(1, PARTS.keyUsage([0], false)),
  ],
  ['another key usage', 'VERIFY_CERT_KEY_USAGE_LEAF', () => leafWith(1, PARTS.keyUsage([2]))],
  ['one usage too many', 'VERIFY_CERT_KEY_USAGE_LEAF', () => leafWith(1, PARTS.keyUsage([0, 1]))],
  ['no extended key usage', 'VERIFY_CERT_EKU_CODE_SIGNING', () => leafWith(2)],
  [
    'a purpose without codeSigning',
    'VERIFY_CERT_EKU_CODE_SIGNING',
    () => leafWith(2, PARTS.usages([purposeOid(1)])),
  ],
  [
    'anyExtendedKeyUsage',
    'VERIFY_CERT_EKU_ANY',
    () => leafWith(2, usages(purposeOid(1), OID.ANY_KEY_USAGE)),
  ],
  [
    'serverAuth beside ours',
    'VERIFY_CERT_EKU_FOREIGN',
    () => leafWith(2, usages(purposeOid(1), '2b06010505070301')),
  ],
  [
    'emailProtection beside ours',
    'VERIFY_CERT_EKU_FOREIGN',
    () => leafWith(2, usages(purposeOid(1), '2b06010505070304')),
  ],
  [
    'serverAuth alone',
    'VERIFY_CERT_EKU_CODE_SIGNING',
    () => leafWith(2, PARTS.usages(['2b06010505070301'])),
  ],
  [
    'an arc that differs by 2^32',
    'VERIFY_CERT_EKU_FOREIGN',
    () => leafWith(2, usages(`${purposeOid(1).slice(0, -2)}9080808001`)),
  ],
  ['codeSigning alone', 'VERIFY_CERT_EKU_PURPOSE', () => leafWith(2, usages())],
  [
    'an unknown critical extension',
    'VERIFY_CERT_CRITICAL_UNKNOWN',
    () => leafWith(3, extension(NAME_CONSTRAINTS, true, der(0x30))),
  ],
  [
    'an extension twice',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(3, PARTS.keyUsage([0]), PARTS.keyUsage([0])),
  ],
  [
    'critical FALSE written out',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(3, der(0x30, der(6, fromHex('551d1f')!), Uint8Array.of(1, 1, 0), der(4))),
  ],
  [
    'a path length without cA',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(0, extension(OID.BASIC_CONSTRAINTS, true, der(0x30, der(2, Uint8Array.of(0))))),
  ],
  [
    'cA FALSE written out',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(0, extension(OID.BASIC_CONSTRAINTS, true, der(0x30, Uint8Array.of(1, 1, 0)))),
  ],
  [
    'a purpose twice',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(2, usages(purposeOid(1), purposeOid(1))),
  ],
  ['an empty extended key usage', 'VERIFY_CERT_EXTENSION', () => leafWith(2, PARTS.usages([]))],
  [
    'a key identifier of 7 bytes',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(3, PARTS.subjectKeyId(new Uint8Array(7))),
  ],
  [
    'a key identifier of 33 bytes',
    'VERIFY_CERT_EXTENSION',
    () => leafWith(3, PARTS.subjectKeyId(new Uint8Array(33))),
  ],
  ['no authority key identifier', 'VERIFY_CERT_KEY_ID', () => leafWith(4)],
  [
    'another authority key identifier',
    'VERIFY_CERT_KEY_ID',
    () => leafWith(4, PARTS.authorityKeyId(new Uint8Array(20))),
  ],
  ['an issuer without key identifier', 'VERIFY_CERT_KEY_ID', () => intermediateWith(2)],
  ['another issuer name', 'VERIFY_CERT_NAME', () => ({ leaf: { issuer: 'Test intermediate' } })],
  [
    'an issuer without a name',
    'VERIFY_CERT_NAME',
    () => ({ intermediate: { subject: '' }, leaf: { issuer: '' } }),
  ],
  [
    'a stranger as issuer',
    'VERIFY_CERT_SIGNATURE',
    () => ({ leaf: { issuerKey: testKey('other') } }),
  ],
  [
    'an issuer without cA',
    'VERIFY_CERT_ISSUER_NOT_CA',
    () => intermediateWith(0, PARTS.basicConstraints(false)),
  ],
  ['an issuer without constraints', 'VERIFY_CERT_ISSUER_NOT_CA', () => intermediateWith(0)],
  [
    'an issuer whose constraints are not critical',
    'VERIFY_CERT_ISSUER_NOT_CA',
    () => intermediateWith(0, PARTS.basicConstraints(true, 0, false)),
  ],
  ['an issuer without key usage', 'VERIFY_CERT_KEY_USAGE_MISSING', () => intermediateWith(1)],
  [
    'an issuer whose key usage is not critical',
    'VERIFY_CERT_KEY_USAGE_MISSING',
    () => intermediateWith(1, PARTS.keyUsage([5], false)),
  ],
  [
    'an issuer without keyCertSign',
    'VERIFY_CERT_KEY_USAGE_ISSUER',
    () => intermediateWith(1, PARTS.keyUsage([0])),
  ],
  [
    'an issuer restricted to serverAuth',
    'VERIFY_CERT_EKU_ISSUER',
    () =>
      intermediateWith(
        3,
        PARTS.authorityKeyId(keyIdOf(KEYS.root)),
        PARTS.usages(['2b06010505070301']),
      ),
  ],
  [
    'an issuer for development only',
    'VERIFY_CERT_EKU_NESTING',
    () =>
      intermediateWith(
        3,
        PARTS.authorityKeyId(keyIdOf(KEYS.root)),
        PARTS.purposes([PURPOSE.DEVELOPMENT]),
      ),
  ],
  [
    'a root of path length 0',
    'VERIFY_CERT_PATH_LENGTH',
    () => rootWith(0, PARTS.basicConstraints(true, 0)),
  ],
  [
    'a root that is a leaf',
    'VERIFY_CERT_ISSUER_NOT_CA',
    () => rootWith(0, PARTS.basicConstraints(false)),
  ],
  ['a date that does not exist', 'FORMAT_DER', () => ({ leaf: { notBefore: '260230000000Z' } })],
  [
    'a certificate of 5 KiB',
    'VERIFY_CERT_TOO_LARGE',
    () => ({ leaf: { subject: 'x'.repeat(5000) } }),
  ],
];

test('each rule refuses by its own code', () => {
  for (const [what, code, change] of RULES)
    expectCode(() => verify(makeChain(change())), code, what);
});

test('the longest serial number and key identifiers are read', () => {
  verify(makeChain({ leaf: { serial: [0x7f, ...Array<number>(19).fill(0xff)] } }));
  for (const size of [8, 32])
    verify(makeChain(leafWith(3, PARTS.subjectKeyId(new Uint8Array(size)))));
});

test('each extension that is known may be critical', () => {
  const id = der(0x80, keyIdOf(KEYS.intermediate));
  verify(makeChain(leafWith(4, extension(OID.AUTHORITY_KEY_ID, true, der(0x30, id)))));
  verify(makeChain(leafWith(3, extension(OID.SUBJECT_KEY_ID, true, der(4, new Uint8Array(20))))));
});

test('a value of an ECDSA signature is positive, fits, and has one spelling', () => {
  const split = (r: readonly number[], ...more: readonly Uint8Array[]): Uint8Array => {
    const one = der(2, Uint8Array.of(1));
    const value = der(0x30, der(2, Uint8Array.from(r)), one, ...more);
    const signature = der(3, Uint8Array.of(0), value);
    return splitCertificate(der(0x30, der(0x30), SIGNATURES.ecdsa, signature)).signature;
  };
  const high = Array<number>(32).fill(0x80);
  assert.equal(split([0, ...high]), Uint8Array.of(...high, ...Array<number>(31).fill(0), 1));
  expectCode(() => split(high), 'VERIFY_CERT_SIGNATURE', 'negative');
  expectCode(() => split([1, ...high]), 'VERIFY_CERT_SIGNATURE', '33 bytes');
  expectCode(() => split([0, 1]), 'FORMAT_DER', 'padded');
  expectCode(() => split([1], NULL), 'FORMAT_DER', 'a third value');
});

test('the anchor is a key, not a name', () => {
  const impostor = { key: testKey('other'), issuerKey: testKey('other') };
  const chain = makeChain({ root: impostor, intermediate: { issuerKey: testKey('other') } });
  expectCode(() => verify(chain), 'VERIFY_ANCHOR_UNKNOWN');
  expectCode(() => verify(makeChain(), [testAnchor(testKey('other'))]), 'VERIFY_ANCHOR_UNKNOWN');
  expectCode(() => verify(makeChain(), []), 'VERIFY_ANCHOR_UNKNOWN');
  // Without its root the chain ends at a key nobody pinned; pinning that key makes it the anchor.
  expectCode(() => verify(makeChain().slice(0, 2)), 'VERIFY_ANCHOR_UNKNOWN');
  verify(makeChain().slice(0, 2), [testAnchor(KEYS.intermediate)]);
});

test("the anchor's entry limits purposes", () => {
  const anchor = testAnchor(KEYS.root, [PURPOSE.DEVELOPMENT]);
  expectCode(() => verify(makeChain(), [anchor]), 'VERIFY_CERT_EKU_NESTING');
  verify(makeChain({ purposes: [PURPOSE.DEVELOPMENT] }), [anchor]);
});

test('chains have two to four certificates, in order', () => {
  const [leaf, intermediate, root] = makeChain() as [Uint8Array, Uint8Array, Uint8Array];
  for (const chain of [[], [root], [leaf, intermediate, intermediate, intermediate, root]]) {
    expectCode(() => verify(chain), 'VERIFY_CHAIN_LENGTH');
  }
  expectCode(() => verify([intermediate, leaf, root]), 'VERIFY_CERT_SIGNATURE');
  expectCode(() => verify([leaf, root, root]), 'VERIFY_CERT_SIGNATURE');
  // Path length 0 of the intermediate: it may not issue an issuer.
  const { intermediate: parts, leaf: leafParts } = goodParts();
  const second = makeCertificate({
    ...parts,
    key: testKey('other'),
    issuerKey: KEYS.intermediate,
    subject: 'second',
    issuer: 'test intermediate',
    extensions: [
      PARTS.basicConstraints(true),
      PARTS.keyUsage([5]),
      PARTS.subjectKeyId(keyIdOf(testKey('other'))),
      PARTS.authorityKeyId(keyIdOf(KEYS.intermediate)),
    ],
  });
  const third = makeCertificate({
    ...leafParts,
    issuerKey: testKey('other'),
    issuer: 'second',
    extensions: [
      ...leafParts.extensions.slice(0, 4),
      PARTS.authorityKeyId(keyIdOf(testKey('other'))),
    ],
  });
  expectCode(() => verify([third, second, intermediate, root]), 'VERIFY_CERT_PATH_LENGTH');
});

test('elliptic curves and Ed25519 are read and verified', () => {
  const cases = [
    [generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey, 'ecdsa', 'p256'],
    [generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey, 'ecdsa384', 'p384'],
    [generateKeyPairSync('ed25519').privateKey, 'ed25519', 'ed25519'],
  ] as const;
  for (const [key, signature, kind] of cases) {
    const root = { key, issuerKey: key, signature };
    const change = { root, intermediate: { issuerKey: key, signature } };
    // Key identifiers stay those of the RSA root: only equality matters.
    const chain = verifyChain(makeChain(change), [testAnchor(key)], crypto);
    assert.is(chain.certificates[2]!.keyKind, kind);
    const rsaOnly = { ...crypto, algorithms: new Set(['rsa-pkcs1-sha256'] as const) };
    expectCode(
      () => verifyChain(makeChain(change), [testAnchor(key)], rsaOnly),
      'VERIFY_ALGORITHM_UNAVAILABLE',
    );
  }
});

test('validity is asked for separately, and never of the anchor', () => {
  const expired = { notBefore: '240101000000Z', notAfter: '250101000000Z' };
  const now = Date.UTC(2026, 5, 1) / 1000;
  const chain = (change: Change): ReturnType<typeof verifyChain> =>
    verifyChain(makeChain(change), [testAnchor()], crypto);
  checkValidity(chain({}), now, true);
  checkValidity(chain({ root: expired }), now, true);
  expectCode(() => checkValidity(chain({ leaf: expired }), now, true), 'VERIFY_CERT_EXPIRED');
  expectCode(
    () => checkValidity(chain({ intermediate: expired }), now, false),
    'VERIFY_CERT_EXPIRED',
  );
  const early = Date.UTC(2025, 0, 1) / 1000;
  expectCode(() => checkValidity(chain({}), early, true), 'VERIFY_CERT_NOT_YET_VALID');
  checkValidity(chain({}), early, false);
  const { notBefore, notAfter } = chain({}).leaf;
  for (const moment of [notBefore, notAfter]) checkValidity(chain({}), moment, true);
  expectCode(() => checkValidity(chain({}), notAfter + 1, true), 'VERIFY_CERT_EXPIRED');
  expectCode(() => checkValidity(chain({}), notBefore - 1, true), 'VERIFY_CERT_NOT_YET_VALID');
});

test('every changed byte of a certificate is refused, and only by ColdsealErrors', () => {
  const chain = makeChain();
  const leaf = chain[0]!;
  for (let at = 0; at < leaf.length; at++) {
    const changed = Uint8Array.from(leaf);
    changed[at] = changed[at]! ^ (1 << (at % 8));
    assert.match(
      codeOf(() => verify([changed, ...chain.slice(1)])),
      /^(VERIFY|FORMAT)_/,
      `byte ${at}`,
    );
  }
});

test('reading any mutated certificate gives a certificate or a ColdsealError', () => {
  const good = makeChain().concat(makeChain({ leaf: { signature: 'pss' } }));
  fc.assert(
    fc.property(
      fc.constantFrom(...good),
      fc.array(fc.tuple(fc.nat(1200), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (certificate, changes) => {
        const changed = Uint8Array.from(certificate);
        for (const [at, value] of changes) changed[at % changed.length] = value;
        codeOf(() => readCertificate(splitCertificate(changed)));
      },
    ),
    { seed: 6, numRuns: 5000 },
  );
});

test('purposes are those of the table', () => {
  assert.equal(PURPOSES, [1, 2, 3, 4, 5, 6, 7]);
});

test.run();
