/** The envelope: COSE_Sign1 in one shape, and the kinds of objects kept apart. */
import { generateKeyPairSync } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { ascii, equalBytes, toHex } from '../../runtime/format/bytes.ts';
import { type CborValue, decodeCanonical, encodeCanonical } from '../../runtime/format/cbor.ts';
import { concatBytes } from '../../runtime/format/concat.ts';
import {
  CONTEXT_LABELS,
  contentTypeOf,
  COSE_EDDSA,
  COSE_ES256,
  COSE_PS256,
  decodeEnvelope,
  encodeEnvelope,
  encodeSigStructure,
  ENVELOPE_BYTES_MAX,
  type ObjectKind,
} from '../../runtime/format/envelope.ts';
import { PURPOSE, PURPOSES } from '../../runtime/format/oids.ts';
import { verifyEnvelope } from '../../runtime/verify.ts';
import { attachSignature, planEnvelope, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { spkiOf, testKey } from '../support/make-certificate.ts';
import { KEYS, makeChain, testAnchor, testSigner } from '../support/test-pki.ts';

const test = suite('envelope');
const crypto = createNodeCrypto();
const payload = ascii('the payload');
const KINDS = Object.keys(CONTEXT_LABELS) as ObjectKind[];
const trust = { anchors: [testAnchor()], algorithms: [COSE_PS256] } as const;

test('what is signed comes back, byte for byte', () => {
  const chain = makeChain();
  const bytes = signEnvelope('manifest', payload, testSigner([1], chain));
  const envelope = decodeEnvelope(bytes);
  assert.equal(envelope.payload, payload);
  assert.equal(envelope.chain, chain);
  assert.is(envelope.algorithm, COSE_PS256);
  assert.equal(envelope.thumbprint, crypto.sha256(chain[0]!));
  const again = encodeEnvelope(envelope.protectedHeader, envelope.payload, envelope.signature);
  assert.ok(equalBytes(again, bytes));
  assert.is(verifyEnvelope(bytes, 'manifest', trust, crypto).payload.length, payload.length);
});

test('the payload is a private copy', () => {
  const bytes = signEnvelope('manifest', payload, testSigner());
  const { payload: copy } = verifyEnvelope(bytes, 'manifest', trust, crypto);
  bytes.fill(0);
  assert.equal(copy, payload);
});

test('Sig_structure is that of RFC 9052 4.4', () => {
  const structure = encodeSigStructure('deny list', Uint8Array.of(0xa0), Uint8Array.of(1));
  const expected = `846a5369676e61747572653141a055${toHex(ascii('coldseal deny list v1'))}4101`;
  assert.is(toHex(structure), expected);
});

test('no kind passes for another, by label or by content type', () => {
  const all = testSigner(PURPOSES);
  for (const kind of KINDS) {
    const bytes = signEnvelope(kind, payload, all);
    for (const other of KINDS) {
      const verify = (): unknown => verifyEnvelope(bytes, other, trust, crypto);
      if (other === kind) verify();
      else expectCode(verify, 'VERIFY_KIND', `${kind} as ${other}`);
    }
    // The same, with the content type forged but the signature made over the label of the true kind.
    for (const other of KINDS.filter((candidate) => candidate !== kind)) {
      const plan = planEnvelope(other, payload, all.describe());
      const forged = encodeSigStructure(kind, plan.protectedHeader, payload);
      const envelope = encodeEnvelope(plan.protectedHeader, payload, all.sign(forged));
      expectCode(() => verifyEnvelope(envelope, other, trust, crypto), 'VERIFY_SIGNATURE');
    }
  }
  assert.is(new Set(Object.values(CONTEXT_LABELS)).size, KINDS.length);
  assert.is(new Set(KINDS.map(contentTypeOf)).size, KINDS.length);
});

test('a key signs only the kinds its certificate names', () => {
  const allowed: Record<ObjectKind, readonly number[]> = {
    manifest: [1, 2, 3, 4],
    'deny list': [5],
    'trust bundle': [6],
    evidence: [7],
  };
  for (const purpose of PURPOSES) {
    const signer = testSigner([purpose]);
    for (const kind of KINDS) {
      const plan = planEnvelope(kind, payload, signer.describe());
      const bytes = encodeEnvelope(plan.protectedHeader, payload, signer.sign(plan.tbs));
      const code = codeOf(() => verifyEnvelope(bytes, kind, trust, crypto));
      const expected = allowed[kind].includes(purpose) ? 'nothing was thrown' : 'VERIFY_PURPOSE';
      assert.is(code, expected, `${kind} by purpose ${purpose}`);
    }
  }
});

test('a signature over other bytes is refused before anyone sees it', () => {
  const signer = testSigner();
  const plan = planEnvelope('manifest', payload, signer.describe());
  expectCode(() => attachSignature(plan, signer.sign(payload)), 'VERIFY_SIGNATURE');
  expectCode(() => attachSignature(plan, new Uint8Array(384)), 'VERIFY_SIGNATURE');
  const other = testSigner([1], makeChain(), testKey('other'));
  expectCode(() => signEnvelope('manifest', payload, other), 'VERIFY_SIGNATURE');
  const large = new Uint8Array(ENVELOPE_BYTES_MAX);
  expectCode(() => signEnvelope('manifest', large, signer), 'CONFIG_ENVELOPE_SIZE');
});

test('ES256 and EdDSA only where the policy lists them, and only with their keys', () => {
  const cases = [
    [COSE_ES256, generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey],
    [COSE_EDDSA, generateKeyPairSync('ed25519').privateKey],
  ] as const;
  for (const [algorithm, key] of cases) {
    const chain = makeChain({ leaf: { spki: spkiOf(key) } });
    const bytes = signEnvelope('manifest', payload, testSigner([1], chain, key, algorithm));
    verifyEnvelope(bytes, 'manifest', { ...trust, algorithms: [algorithm] }, crypto);
    expectCode(
      () => verifyEnvelope(bytes, 'manifest', trust, crypto),
      'VERIFY_ALGORITHM_NOT_ALLOWED',
    );
    const wrong = testSigner([1], makeChain(), key, algorithm);
    const plan = planEnvelope('manifest', payload, wrong.describe());
    const forged = encodeEnvelope(plan.protectedHeader, payload, wrong.sign(plan.tbs));
    const policy = { ...trust, algorithms: [algorithm] };
    expectCode(() => verifyEnvelope(forged, 'manifest', policy, crypto), 'VERIFY_ALGORITHM_KEY');
  }
});

test('an engine that cannot verify says so instead of no', () => {
  const bytes = signEnvelope('manifest', payload, testSigner());
  const limited = { ...crypto, algorithms: new Set(['rsa-pkcs1-sha256'] as const) };
  expectCode(
    () => verifyEnvelope(bytes, 'manifest', trust, limited),
    'VERIFY_ALGORITHM_UNAVAILABLE',
  );
});

test('the thumbprint is that of the leaf', () => {
  const signer = testSigner();
  const plan = planEnvelope('manifest', payload, signer.describe());
  const header = Uint8Array.from(plan.protectedHeader);
  header[header.length - 1] = header[header.length - 1]! ^ 1;
  const tbs = encodeSigStructure('manifest', header, payload);
  const bytes = encodeEnvelope(header, payload, signer.sign(tbs));
  expectCode(() => verifyEnvelope(bytes, 'manifest', trust, crypto), 'VERIFY_THUMBPRINT');
});

// --- the parser: shapes that differ in one thing ---

const good = decodeEnvelope(signEnvelope('manifest', payload, testSigner()));
const limits = { maxBytes: 65536, maxDepth: 4, maxItems: 100 };
const header = decodeCanonical(good.protectedHeader, limits) as ReadonlyMap<number, CborValue>;

/** An envelope whose protected header is changed; the signature no longer matters. */
function withHeader(change: (map: Map<number, CborValue>) => void): Uint8Array {
  const map = new Map(header);
  change(map);
  return encodeEnvelope(encodeCanonical(map), good.payload, good.signature);
}

function withBody(...items: readonly CborValue[]): Uint8Array {
  return concatBytes(Uint8Array.of(0xd2), encodeCanonical(items));
}

const { protectedHeader, signature } = good;
const EMPTY = new Map();
const SHAPES: readonly [what: string, code: string, bytes: () => Uint8Array][] = [
  ['nothing', 'FORMAT_ENVELOPE', () => new Uint8Array()],
  [
    'no tag',
    'FORMAT_ENVELOPE',
    () => encodeCanonical([protectedHeader, EMPTY, payload, signature]),
  ],
  [
    'COSE_Sign (tag 98)',
    'FORMAT_ENVELOPE',
    () =>
      concatBytes(
        Uint8Array.of(0xd8, 98),
        encodeCanonical([protectedHeader, EMPTY, payload, signature]),
      ),
  ],
  ['three parts', 'FORMAT_ENVELOPE', () => withBody(protectedHeader, EMPTY, payload)],
  ['five parts', 'FORMAT_ENVELOPE', () => withBody(protectedHeader, EMPTY, payload, signature, 0)],
  [
    'a detached payload',
    'FORMAT_ENVELOPE',
    () => withBody(protectedHeader, EMPTY, null, signature),
  ],
  ['text as payload', 'FORMAT_ENVELOPE', () => withBody(protectedHeader, EMPTY, 'x', signature)],
  [
    'an unprotected header',
    'FORMAT_ENVELOPE',
    () => withBody(protectedHeader, new Map([[4, Uint8Array.of(1)]]), payload, signature),
  ],
  [
    'a header that is no map',
    'FORMAT_ENVELOPE',
    () => withBody(encodeCanonical([]), EMPTY, payload, signature),
  ],
  [
    'an empty header',
    'FORMAT_ENVELOPE',
    () => withBody(new Uint8Array(), EMPTY, payload, signature),
  ],
  [
    'a signature of 1025 bytes',
    'FORMAT_ENVELOPE',
    () => withBody(protectedHeader, EMPTY, payload, new Uint8Array(1025)),
  ],
  [
    'bytes after the end',
    'FORMAT_ENVELOPE',
    () => concatBytes(withBody(protectedHeader, EMPTY, payload, signature), Uint8Array.of(0)),
  ],
  ['65537 bytes', 'FORMAT_ENVELOPE_SIZE', () => new Uint8Array(ENVELOPE_BYTES_MAX + 1)],
  ['65536 bytes of nothing', 'FORMAT_ENVELOPE', () => new Uint8Array(ENVELOPE_BYTES_MAX)],
  ['an unknown label', 'FORMAT_ENVELOPE', () => withHeader((map) => map.set(4, Uint8Array.of(1)))],
  ['no algorithm', 'FORMAT_ENVELOPE', () => withHeader((map) => map.delete(1))],
  ['RS256', 'FORMAT_ENVELOPE_ALGORITHM', () => withHeader((map) => map.set(1, -257))],
  ['PS384', 'FORMAT_ENVELOPE_ALGORITHM', () => withHeader((map) => map.set(1, -38))],
  ['HMAC', 'FORMAT_ENVELOPE', () => withHeader((map) => map.set(1, 5))],
  ['no crit', 'FORMAT_ENVELOPE', () => withHeader((map) => map.delete(2))],
  ['an empty crit', 'FORMAT_ENVELOPE_CRIT', () => withHeader((map) => map.set(2, []))],
  ['crit without x5t', 'FORMAT_ENVELOPE_CRIT', () => withHeader((map) => map.set(2, [33]))],
  [
    'an unknown critical label',
    'FORMAT_ENVELOPE_CRIT',
    () => withHeader((map) => map.set(2, [33, 99])),
  ],
  [
    'three critical labels',
    'FORMAT_ENVELOPE_CRIT',
    () => withHeader((map) => map.set(2, [33, 34, 99])),
  ],
  ['a number as content type', 'FORMAT_ENVELOPE', () => withHeader((map) => map.set(3, 60))],
  [
    'a content type with a control',
    'FORMAT_ENVELOPE',
    () => withHeader((map) => map.set(3, 'a\u0000')),
  ],
  ['a content type with DEL', 'FORMAT_ENVELOPE', () => withHeader((map) => map.set(3, 'a\u007f'))],
  [
    'a content type of 65 bytes',
    'FORMAT_ENVELOPE',
    () => withHeader((map) => map.set(3, 'a'.repeat(65))),
  ],
  ['one certificate', 'FORMAT_ENVELOPE', () => withHeader((map) => map.set(33, good.chain[0]!))],
  [
    'a chain of one',
    'FORMAT_ENVELOPE_CHAIN',
    () => withHeader((map) => map.set(33, [good.chain[0]!])),
  ],
  [
    'a chain of five',
    'FORMAT_ENVELOPE_CHAIN',
    () => withHeader((map) => map.set(33, [...good.chain, ...good.chain.slice(0, 2)])),
  ],
  [
    'a certificate of 4097 bytes',
    'FORMAT_ENVELOPE',
    () => withHeader((map) => map.set(33, [new Uint8Array(4097), good.chain[1]!])),
  ],
  [
    'a SHA-1 thumbprint',
    'FORMAT_ENVELOPE',
    () => withHeader((map) => map.set(34, [-14, good.thumbprint])),
  ],
  [
    'a thumbprint of 31 bytes',
    'FORMAT_ENVELOPE',
    () => withHeader((map) => map.set(34, [-16, good.thumbprint.subarray(1)])),
  ],
  [
    'a header with a tail',
    'FORMAT_ENVELOPE',
    () => encodeEnvelope(concatBytes(protectedHeader, Uint8Array.of(0)), payload, signature),
  ],
  [
    'an indefinite array',
    'FORMAT_ENVELOPE',
    () => {
      const parts = [protectedHeader, EMPTY, payload, signature].map((item) =>
        encodeCanonical(item),
      );
      return concatBytes(Uint8Array.of(0xd2, 0x9f), ...parts, Uint8Array.of(0xff));
    },
  ],
  [
    'a length in five bytes',
    'FORMAT_ENVELOPE',
    () => concatBytes(Uint8Array.of(0xd2, 0x84, 0x5a, 0, 0, 0, 1, 0xa0), new Uint8Array(20)),
  ],
  [
    'a length that is not minimal',
    'FORMAT_ENVELOPE',
    () => concatBytes(Uint8Array.of(0xd2, 0x84, 0x58, 1, 0xa0), new Uint8Array(20)),
  ],
  [
    'a length of 100 in two bytes',
    'FORMAT_ENVELOPE',
    () =>
      concatBytes(
        Uint8Array.of(0xd2, 0x84),
        encodeCanonical(protectedHeader),
        Uint8Array.of(0xa0, 0x59, 0, 100),
        new Uint8Array(100),
        encodeCanonical(signature),
      ),
  ],
  [
    'a length past the end',
    'FORMAT_ENVELOPE',
    () => Uint8Array.of(0xd2, 0x84, 0x59, 0xff, 0xff, 0xa0),
  ],
];

test('every other shape is refused, by code', () => {
  for (const [what, code, bytes] of SHAPES) expectCode(() => decodeEnvelope(bytes()), code, what);
  assert.is(
    codeOf(() => decodeEnvelope(withHeader(() => undefined))),
    'nothing was thrown',
  );
});

test('the longest signature and content type are read', () => {
  const signed = decodeEnvelope(withBody(protectedHeader, EMPTY, payload, new Uint8Array(1024)));
  assert.is(signed.signature.length, 1024);
  const typed = decodeEnvelope(withHeader((map) => map.set(3, ' '.repeat(63) + '~')));
  assert.is(typed.contentType.length, 64);
});

test('an intermediate may be pinned', () => {
  const chain = makeChain().slice(0, 2);
  const bytes = signEnvelope('manifest', payload, testSigner([1], chain));
  verifyEnvelope(bytes, 'manifest', { ...trust, anchors: [testAnchor(KEYS.intermediate)] }, crypto);
});

test('purpose numbers are those of the roles', () => {
  assert.equal([PURPOSE.PRODUCTION, PURPOSE.RECOVERY], [1, 4]);
});

test.run();
