/** Attacks on the chain of a good envelope, signed again by the attacker where that is possible. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import {
  encodeEnvelope,
  encodeProtectedHeader,
  encodeSigStructure,
} from '../../runtime/format/envelope.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { verifyManifest, type VerifyPolicy } from '../../runtime/verify.ts';
import { keyIdOf, makeCertificate, PARTS, testKey } from '../support/make-certificate.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { goodParts, KEYS, makeChain, testAnchor, testSigner } from '../support/test-pki.ts';

const test = suite('tamper: chain');
const crypto = createNodeCrypto();
const manifest = testManifest();

/** An envelope over any chain, signed with any key, without the checks a real signer makes. */
function forge(
  chain: readonly Uint8Array[],
  key = KEYS.leaf,
  payload = encodeManifest(manifest),
): Uint8Array {
  const signer = testSigner([1], chain, key);
  const thumbprint = crypto.sha256(chain[0]!);
  const header = encodeProtectedHeader({ kind: 'manifest', algorithm: -37, chain, thumbprint });
  return encodeEnvelope(
    header,
    payload,
    signer.sign(encodeSigStructure('manifest', header, payload)),
  );
}

function codeOfChain(envelope: Uint8Array, change: Partial<VerifyPolicy> = {}): string {
  const policy = testPolicy(change);
  const verdict = verifyManifest({
    envelope,
    denyList: undefined,
    crypto,
    images: 'at-mount',
    policy,
  });
  return verdict.reason?.code ?? 'verified';
}

const [leaf, intermediate, root] = makeChain() as [Uint8Array, Uint8Array, Uint8Array];
const attacker = testKey('other');

/** A whole PKI of the attacker with the names of ours. */
const stranger = makeChain({
  root: { key: attacker, issuerKey: attacker },
  intermediate: { key: attacker, issuerKey: attacker },
  leaf: { key: attacker, issuerKey: attacker },
});

/** A root certificate with our root's key that anyone can write, and that nobody's private key signed. */
const loosened = makeCertificate({
  ...goodParts().root,
  issuerKey: attacker,
  extensions: [
    PARTS.basicConstraints(true),
    PARTS.keyUsage([5]),
    PARTS.subjectKeyId(keyIdOf(KEYS.root)),
  ],
});

const ATTACKS: readonly [what: string, code: string, envelope: () => Uint8Array][] = [
  ['the good chain', 'verified', () => forge([leaf, intermediate, root])],
  ["a stranger's chain with our names", 'VERIFY_ANCHOR_UNKNOWN', () => forge(stranger, attacker)],
  [
    "a stranger's leaf under our root",
    'VERIFY_CERT_SIGNATURE',
    () => forge([stranger[0]!, stranger[1]!, root], attacker),
  ],
  [
    "a stranger's leaf under our intermediate",
    'VERIFY_CERT_SIGNATURE',
    () => forge([stranger[0]!, intermediate, root], attacker),
  ],
  [
    "our chain, a stranger's signature",
    'VERIFY_SIGNATURE',
    () => forge([leaf, intermediate, root], attacker),
  ],
  [
    'the leaf as issuer of a leaf',
    'VERIFY_CERT_PATH_LENGTH',
    () => forge([leafOfLeaf(), leaf, intermediate, root], attacker),
  ],
  [
    'the intermediate as signer',
    'VERIFY_CERT_LEAF_IS_CA',
    () => forge([intermediate, root], KEYS.intermediate),
  ],
  ['the leaf straight under the root', 'VERIFY_CERT_SIGNATURE', () => forge([leaf, root])],
  ['the root alone', 'FORMAT_ENVELOPE_CHAIN', () => forge([root], KEYS.root)],
  ['the root twice', 'VERIFY_CERT_LEAF_IS_CA', () => forge([root, root], KEYS.root)],
  ['the chain upside down', 'VERIFY_ANCHOR_UNKNOWN', () => forge([root, intermediate, leaf])],
  ['no root', 'VERIFY_ANCHOR_UNKNOWN', () => forge([leaf, intermediate])],
  [
    'a certificate from elsewhere between',
    'VERIFY_CERT_SIGNATURE',
    () => forge([leaf, stranger[1]!, root]),
  ],
];

/** Someone who holds the leaf's key issues a certificate with it. */
function leafOfLeaf(): Uint8Array {
  return makeCertificate({
    ...goodParts().leaf,
    key: attacker,
    issuerKey: KEYS.leaf,
    issuer: 'test leaf',
    subject: 'leaf of leaf',
    extensions: [
      ...goodParts().leaf.extensions.slice(0, 4),
      PARTS.authorityKeyId(keyIdOf(KEYS.leaf)),
    ],
  });
}

test('each attack is refused by its own code', () => {
  for (const [what, code, envelope] of ATTACKS) assert.is(codeOfChain(envelope()), code, what);
});

test('a root certificate written by a stranger gives no new power', () => {
  // The pinned key is what counts, so this verifies; what it signs for is still limited by the anchor's entry.
  assert.is(codeOfChain(forge([leaf, intermediate, loosened])), 'verified');
  const developmentOnly = { anchors: [testAnchor(KEYS.root, [2])] };
  assert.is(
    codeOfChain(forge([leaf, intermediate, loosened]), developmentOnly),
    'VERIFY_CERT_EKU_NESTING',
  );
});

test('a chain for one purpose is not one for another', () => {
  for (const purpose of [2, 3, 4, 5, 6, 7] as const) {
    const chain = makeChain({ purposes: [purpose] });
    const roles = purpose <= 4 ? ([1, purpose] as (1 | 2 | 3 | 4)[]) : ([1] as const);
    const code = purpose <= 4 ? 'VERIFY_ROLE_MISMATCH' : 'VERIFY_PURPOSE';
    assert.is(codeOfChain(forge(chain), { roles }), code, `purpose ${purpose}`);
  }
});

test.run();
