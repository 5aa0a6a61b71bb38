/**
 * Attacks on a signed envelope: every byte, every truncation, random bits. None verifies, and each is refused
 * with a ColdsealError, never with a crash.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { type ManifestVerdict, verifyManifest } from '../../runtime/verify.ts';
import { createDeviceCrypto, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { testSigner } from '../support/test-pki.ts';

const test = suite('tamper: envelope');
const crypto = createNodeCrypto();
const policy = testPolicy();
const good = signEnvelope('manifest', encodeManifest(testManifest()), testSigner());

function verdictOf(envelope: Uint8Array, engine = crypto): ManifestVerdict {
  return verifyManifest({
    envelope,
    denyList: undefined,
    crypto: engine,
    images: 'at-mount',
    policy,
  });
}

function refuse(envelope: Uint8Array, label: string): void {
  const verdict = verdictOf(envelope);
  assert.not(verdict.ok, label);
  assert.is(verdict.authenticity.status, 'fail', label);
  assert.is(verdict.manifest, undefined, label);
  assert.match(verdict.reason?.code ?? '', /^(VERIFY|FORMAT)_/, label);
}

test('the envelope under attack is good', () => {
  assert.ok(verdictOf(good).ok);
  assert.ok(verdictOf(good, createDeviceCrypto()).ok);
});

test('every byte: one bit, and all of them', () => {
  for (let at = 0; at < good.length; at++) {
    for (const value of [good[at]! ^ (1 << (at % 8)), 255 - good[at]!]) {
      const changed = Uint8Array.from(good);
      changed[at] = value;
      refuse(changed, `byte ${at} = ${value}`);
    }
  }
});

test('every truncation, and bytes before and after', () => {
  for (let length = 0; length < good.length; length++)
    refuse(good.subarray(0, length), `${length}`);
  for (const extra of [Uint8Array.of(0), good, new Uint8Array(1000)]) {
    refuse(Buffer.concat([good, extra]), 'bytes after');
    refuse(Buffer.concat([extra, good]), 'bytes before');
  }
});

/** xorshift32: the same thousand attacks on every machine. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test('a thousand times one to eight random bits', () => {
  const next = randomNumbers(0x5eed);
  for (let round = 0; round < 1000; round++) {
    const changed = Uint8Array.from(good);
    const bits = new Set(
      Array.from({ length: 1 + (next() % 8) }, () => next() % (good.length * 8)),
    );
    for (const bit of bits) changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
    refuse(changed, `round ${round}`);
  }
});

test('bytes swapped, dropped and doubled at random places', () => {
  const next = randomNumbers(0xfeed);
  for (let round = 0; round < 300; round++) {
    const at = next() % (good.length - 2);
    const dropped = Buffer.concat([good.subarray(0, at), good.subarray(at + 1)]);
    const doubled = Buffer.concat([good.subarray(0, at + 1), good.subarray(at)]);
    refuse(dropped, `without byte ${at}`);
    refuse(doubled, `byte ${at} twice`);
    if (good[at] !== good[at + 1]) {
      const swapped = Uint8Array.from(good);
      swapped.set([good[at + 1]!, good[at]!], at);
      refuse(swapped, `bytes ${at} and ${at + 1} swapped`);
    }
  }
});

test('parts of two good envelopes do not make a third', () => {
  const other = signEnvelope(
    'manifest',
    encodeManifest(testManifest({ version: '9' })),
    testSigner(),
  );
  const signatureAt = good.length - 384;
  refuse(
    Buffer.concat([good.subarray(0, signatureAt), other.subarray(other.length - 384)]),
    'signature',
  );
  const again = signEnvelope('manifest', encodeManifest(testManifest()), testSigner());
  // Two PSS signatures over the same bytes differ, and each is good in the other's place.
  assert.ok(
    verdictOf(Buffer.concat([good.subarray(0, signatureAt), again.subarray(signatureAt)])).ok,
  );
});

test.run();
