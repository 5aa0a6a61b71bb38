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
import {
  type CborKey,
  type CborValue,
  decodeCanonical,
  encodeCanonical,
} from '../../runtime/format/cbor.ts';
import { decodeEnvelope, encodeEnvelope } from '../../runtime/format/envelope.ts';
import { decodeManifest, encodeManifest } from '../../runtime/format/manifest.ts';
import { verifyManifest } from '../../runtime/verify.ts';
import { signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { codeOf } from '../support/expect-code.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { testSigner } from '../support/test-pki.ts';

const test = suite('tamper: manifest');
const crypto = createNodeCrypto();
const policy = testPolicy();
const LIMITS = { maxBytes: 65536, maxDepth: 8, maxItems: 5000 };
const bytes = encodeManifest(testManifest());
const envelope = decodeEnvelope(signEnvelope('manifest', bytes, testSigner()));

/** Other values for a value: near ones of the same type and one of each other type. */
function replacements(value: CborValue): CborValue[] {
  const others: CborValue[] = [null, true, -1, 'x', new Uint8Array(3), [], new Map(), 2n ** 63n];
  if (typeof value === 'number') return [value + 1, value - 1, value + 2 ** 32, ...others];
  if (typeof value === 'string')
    return [`${value}x`, value.slice(1), value.toUpperCase(), ...others];
  if (value instanceof Uint8Array) {
    return [value.map((byte, i) => (i === 0 ? byte ^ 1 : byte)), value.subarray(1), ...others];
  }
  return others;
}

/** Every tree that differs from `value` in one place: a value replaced, an entry removed, one added. */
function* mutations(value: CborValue, path: string): Generator<readonly [string, CborValue]> {
  for (const other of replacements(value)) yield [path, other];
  if (value instanceof Map) {
    const map = value as ReadonlyMap<CborKey, CborValue>;
    for (const [key, item] of map) {
      const without = new Map(map);
      without.delete(key);
      yield [`${path}.${key} removed`, without];
      for (const [where, changed] of mutations(item, `${path}.${key}`)) {
        yield [where, new Map(map).set(key, changed)];
      }
    }
    for (const key of [0, 63, 'x']) yield [`${path} with ${key}`, new Map(map).set(key, 0)];
  } else if (Array.isArray(value)) {
    const list = value as readonly CborValue[];
    yield [`${path} longer`, [...list, 0]];
    for (const [index, item] of list.entries()) {
      yield [`${path}[${index}] removed`, list.toSpliced(index, 1)];
      yield [`${path}[${index}] twice`, list.toSpliced(index, 0, item)];
      for (const [where, changed] of mutations(item, `${path}[${index}]`)) {
        yield [where, list.with(index, changed)];
      }
    }
  }
}

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
