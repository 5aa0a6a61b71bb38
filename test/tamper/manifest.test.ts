/**
 * Attacks on the manifest's fields: every value at every depth is changed, removed, and given another type.
 *
 * Unsigned, each is refused for its signature. Signed by the right key, as a careless signing service would, it
 * is refused by shape, by release id, or is a manifest that says exactly what its bytes say.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { equalBytes } from '../../runtime/format/bytes.ts';
import { decodeCanonical, encodeCanonical } from '../../runtime/format/cbor.ts';
import { decodeEnvelope, encodeEnvelope } from '../../runtime/format/envelope.ts';
import { decodeManifest, encodeManifest } from '../../runtime/format/manifest.ts';
import { type ManifestVerdict, verifyManifest } from '../../runtime/verify.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { mutations } from '../support/cbor-mutations.ts';
import { codeOf } from '../support/expect-code.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { testSigner } from '../support/test-pki.ts';
import { VectorRng } from '../support/vector-rng.ts';

const test = suite('tamper: manifest');
const crypto = createNodeCrypto();
const policy = testPolicy();
const LIMITS = { maxBytes: 65536, maxDepth: 8, maxItems: 5000 };
const bytes = encodeManifest(testManifest());
const envelope = decodeEnvelope(signEnvelope('manifest', bytes, testSigner()));

const ALL = [...mutations(decodeCanonical(bytes, LIMITS), 'manifest')].filter(([, tree]) => {
  return !equalBytes(encodeCanonical(tree), bytes);
});

test('changed under the old signature, every field is refused for it', () => {
  assert.ok(ALL.length > 900, `${ALL.length} changes`);
  for (const [where, tree] of ALL) {
    const forged = encodeEnvelope(
      envelope.protectedHeader,
      encodeCanonical(tree),
      envelope.signature,
    );
    const verdict = verifyManifest({
      envelope: forged,
      denyList: undefined,
      crypto,
      images: 'at-mount',
      policy,
    });
    assert.is(verdict.reason?.code, 'VERIFY_SIGNATURE', where);
    assert.is(verdict.manifest, undefined, where);
  }
});

test('of 1,000 random bit flips of a manifest none verifies', () => {
  const { protectedHeader, payload, signature } = envelope;
  const verdictOf = (changed: Uint8Array): ManifestVerdict =>
    verifyManifest({
      envelope: encodeEnvelope(protectedHeader, changed, signature),
      denyList: undefined,
      crypto,
      images: 'at-mount',
      policy,
    });
  assert.ok(verdictOf(payload).ok);
  const rng = new VectorRng(0x5eed);
  for (let round = 0; round < 1000; round++) {
    const changed = Uint8Array.from(payload);
    const bit = rng.below(payload.length * 8);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    const { ok, reason, manifest } = verdictOf(changed);
    assert.equal(
      [ok, reason?.code, manifest],
      [false, 'VERIFY_SIGNATURE', undefined],
      `bit ${bit}`,
    );
  }
});

test('changed and signed again, a field is refused by shape or means what it says', () => {
  for (const [where, tree] of ALL) {
    const changed = encodeCanonical(tree);
    const code = codeOf(() => {
      const manifest = decodeManifest(changed);
      assert.ok(equalBytes(encodeManifest(manifest), changed), `${where}: read as something else`);
    });
    assert.match(code, /^(nothing was thrown|FORMAT_|VERIFY_SCHEMA|VERIFY_RUNTIME_TOO_OLD)/, where);
  }
});

test('changed and signed again without a new release id, every readable field is refused', () => {
  const readable = ALL.filter(([, tree]) => {
    return codeOf(() => decodeManifest(encodeCanonical(tree))) === 'nothing was thrown';
  });
  assert.ok(readable.length > 50, `${readable.length} readable changes`);
  const signer = testSigner([1, 2, 3, 4]);
  for (const [where, tree] of readable) {
    const verdict = verifyManifest({
      envelope: signEnvelope('manifest', encodeCanonical(tree), signer),
      denyList: undefined,
      crypto,
      images: 'at-mount',
      policy: { ...policy, roles: [1, 2, 3, 4] },
    });
    assert.is(verdict.reason?.code, 'VERIFY_RELEASE_ID', where);
  }
});

test.run();
