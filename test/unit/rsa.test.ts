/** RSA over BigInt against node:crypto: the same answer on good and on every kind of bad signature. */
import {
  constants,
  createHash,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  sign,
} from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { fromHex, toHex } from '../../runtime/format/bytes.ts';
import { isAcceptableRsaKey, readRsaSpki } from '../../runtime/format/rsa.ts';
import { createDeviceCrypto } from '../../toolchain/sign/sign-envelope.ts';
import { spkiOf, testKey } from '../support/make-certificate.ts';

const test = suite('rsa');
const node = createNodeCrypto();
const device = createDeviceCrypto();
const key = testKey('leaf');
const spki = spkiOf(key);
const message = Buffer.from('the message');
const modulus = BigInt(`0x${toHex(readRsaSpki(spki)!.modulus)}`);

type Scheme = 'rsa-pkcs1-sha256' | 'rsa-pss-sha256';

/** Both engines, one answer. */
function verdict(
  scheme: Scheme,
  signature: Uint8Array,
  of: Uint8Array = message,
  by = spki,
): boolean {
  const answers = [node, device].map((crypto) => crypto.verifySignature(scheme, by, of, signature));
  assert.is(answers[0], answers[1], 'node:crypto and the BigInt code disagree');
  return answers[0]!;
}

function pss(saltLength: number, hash = 'sha256', signer: KeyObject = key): Uint8Array {
  return sign(hash, message, { key: signer, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

/** A raw block raised to the private exponent: any padding one likes. */
function signBlock(block: Uint8Array): Uint8Array {
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
}

test('good signatures are good', () => {
  assert.ok(verdict('rsa-pkcs1-sha256', sign('sha256', message, key)));
  for (let i = 0; i < 20; i++) assert.ok(verdict('rsa-pss-sha256', pss(32)));
});

test('a signature of one scheme or message is not one of another', () => {
  assert.not(verdict('rsa-pss-sha256', sign('sha256', message, key)));
  assert.not(verdict('rsa-pkcs1-sha256', pss(32)));
  assert.not(verdict('rsa-pss-sha256', pss(32), Buffer.from('another message')));
  assert.not(verdict('rsa-pss-sha256', pss(32), message, spkiOf(testKey('other'))));
  assert.not(verdict('rsa-pkcs1-sha256', sign('sha1', message, key)));
  assert.not(verdict('rsa-pkcs1-sha256', sign('sha512', message, key)));
});

test('PSS knows one salt length and one hash', () => {
  for (const salt of [0, 20, 31, 33, 64, 350])
    assert.not(verdict('rsa-pss-sha256', pss(salt)), `${salt}`);
  for (const hash of ['sha1', 'sha384', 'sha512']) {
    assert.not(verdict('rsa-pss-sha256', pss(32, hash)), hash);
  }
});

test('lengths and ranges are exact', () => {
  const good = pss(32);
  const value = BigInt(`0x${toHex(good)}`);
  const bad: [string, Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['zero', new Uint8Array(384)],
    ['one', fromHex('1'.padStart(768, '0'))!],
    ['a byte short', good.subarray(1)],
    ['a byte more', Buffer.concat([good, Buffer.alloc(1)])],
    ['a zero before', Buffer.concat([Buffer.alloc(1), good])],
    ['the modulus', fromHex(modulus.toString(16))!],
    ['the modulus less one', fromHex((modulus - 1n).toString(16))!],
    ['all ones', new Uint8Array(384).fill(0xff)],
  ];
  const shifted = value + modulus;
  if (shifted < 1n << 3072n) bad.push(['s + n', fromHex(shifted.toString(16).padStart(768, '0'))!]);
  for (const [what, signature] of bad) {
    assert.not(verdict('rsa-pss-sha256', signature), what);
    assert.not(verdict('rsa-pkcs1-sha256', signature), what);
  }
});

/** EMSA-PKCS1-v1_5 by hand, so that every part can be wrong. */
function pkcs1Block(
  info: string,
  change: (block: Uint8Array) => void = () => undefined,
): Uint8Array {
  const tail = Buffer.from(info, 'hex');
  const block = new Uint8Array(384).fill(0xff);
  block.set([0, 1]);
  block[384 - tail.length - 1] = 0;
  block.set(tail, 384 - tail.length);
  change(block);
  return block;
}

test('PKCS#1 v1.5 compares the whole block', () => {
  const digest = createHash('sha256').update(message).digest('hex');
  const good = `3031300d060960864801650304020105000420${digest}`;
  assert.ok(verdict('rsa-pkcs1-sha256', signBlock(pkcs1Block(good))));
  const bad: readonly [string, Uint8Array][] = [
    [
      'no NULL parameters',
      pkcs1Block(`302f300b0609608648016503040201 0420${digest}`.replace(' ', '')),
    ],
    [
      'extra element in DigestInfo',
      pkcs1Block(`3033300d060960864801650304020105000420${digest}0500`),
    ],
    ['long-form length', pkcs1Block(`308131300d060960864801650304020105000420${digest}`)],
    ['another OID', pkcs1Block(`3031300d060960864801650304020205000420${digest}`)],
    ['digest alone', pkcs1Block(digest)],
    ['block type 2', pkcs1Block(good, (block) => (block[1] = 2))],
    ['first byte set', pkcs1Block(good, (block) => (block[1] = 0))],
    ['a hole in the fill', pkcs1Block(good, (block) => (block[100] = 0xfe))],
    ['no separator', pkcs1Block(good, (block) => (block[384 - 52] = 0xff))],
    ['short fill, garbage after', garbageAfter(good)],
  ];
  for (const [what, block] of bad) assert.not(verdict('rsa-pkcs1-sha256', signBlock(block)), what);
});

/** The 2006 forgery: eight bytes of fill, DigestInfo, then anything. */
function garbageAfter(info: string): Uint8Array {
  const block = new Uint8Array(384).fill(0x55);
  block.set([0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0]);
  block.set(Buffer.from(info, 'hex'), 11);
  return block;
}

test('every byte of a signature counts', () => {
  const good = { pss: pss(32), pkcs1: new Uint8Array(sign('sha256', message, key)) };
  for (let at = 0; at < 384; at += 7) {
    const flip = (signature: Uint8Array): Uint8Array => {
      const copy = Uint8Array.from(signature);
      copy[at] = copy[at]! ^ (1 << (at % 8));
      return copy;
    };
    assert.not(verdict('rsa-pss-sha256', flip(good.pss)));
    assert.not(verdict('rsa-pkcs1-sha256', flip(good.pkcs1)));
  }
});

test('weak keys are refused by both engines, whatever they sign', () => {
  const weak = [
    { modulusLength: 2048, publicExponent: 65537 },
    { modulusLength: 3072, publicExponent: 3 },
  ].map((options) => generateKeyPairSync('rsa', options).privateKey);
  for (const signer of weak) {
    assert.not(verdict('rsa-pss-sha256', pss(32, 'sha256', signer), message, spkiOf(signer)));
    assert.not(
      verdict('rsa-pkcs1-sha256', sign('sha256', message, signer), message, spkiOf(signer)),
    );
  }
});

test('a modulus whose length is not a multiple of eight', () => {
  for (const modulusLength of [3073, 3079]) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent: 65537 });
    const by = spkiOf(privateKey);
    assert.ok(isAcceptableRsaKey(readRsaSpki(by)!));
    assert.ok(verdict('rsa-pss-sha256', pss(32, 'sha256', privateKey), message, by));
    assert.ok(verdict('rsa-pkcs1-sha256', sign('sha256', message, privateKey), message, by));
  }
});

test('other keys than RSA are no RSA keys', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  assert.is(readRsaSpki(spkiOf(ec)), undefined);
  assert.not(verdict('rsa-pss-sha256', pss(32), message, spkiOf(ec)));
  assert.not(verdict('rsa-pss-sha256', pss(32), message, Buffer.from('3003020101', 'hex')));
});

test.run();
