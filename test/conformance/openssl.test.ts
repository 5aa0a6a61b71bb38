/** openssl agrees: our certificates are a chain, our COSE signature is a PSS signature over Sig_structure. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeEnvelope,
  encodeSigStructure,
  type Envelope,
  EVIDENCE_ENVELOPE_BYTES_MAX,
  type ObjectKind,
} from '../../runtime/format/envelope.ts';
import { readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { initDevKeys, openDevSigner, openEvidenceSigner } from '../../toolchain/sign/dev-keys.ts';
import { certificatesOfPem } from '../../toolchain/sign/pem.ts';
import { showKeys } from '../../toolchain/sign/show-keys.ts';
import { signEvidence } from '../../toolchain/sign/sign-evidence.ts';
import { signManifest } from '../../toolchain/sign/sign-manifest.ts';
import { testManifest } from '../support/manifests.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireTool } from '../support/tools.ts';

const test = suite('openssl');
const openssl = requireTool('openssl', 'openssl');
const base = tempDir();
const dir = join(base.path, 'dev');
const NOW = Math.floor(Date.now() / 1000) - 60;
initDevKeys(dir, { notBefore: NOW, leafDays: 90, organization: 'Example', force: false });
const file = (name: string): string => join(dir, name);
const run = (...args: string[]): string => execFileSync(openssl, args, { encoding: 'utf8' });

test('openssl verify accepts the chain, and no other root', () => {
  const args = [
    '-x509_strict',
    '-untrusted',
    file('intermediate.cert.pem'),
    file('image.cert.pem'),
    file('evidence.cert.pem'),
  ];
  const accepted = run('verify', '-CAfile', file('root.cert.pem'), ...args);
  assert.is(accepted.match(/: OK/g)?.length, 2);
  const other = join(base.path, 'other');
  initDevKeys(other, { notBefore: NOW, leafDays: 90, organization: 'Example', force: false });
  const wrong = spawnSync(openssl, ['verify', '-CAfile', join(other, 'root.cert.pem'), ...args]);
  assert.is.not(wrong.status, 0);
});

test('openssl reads what we wrote', () => {
  const text = run('x509', '-in', file('image.cert.pem'), '-noout', '-text');
  for (const wanted of [
    'Version: 3',
    'CA:FALSE',
    'Digital Signature',
    'Code Signing, 2.25.37947077281226846605240376724067011773.1.2',
    'CN = coldseal development image signer',
    'sha256WithRSAEncryption',
    'Public-Key: (3072 bit)',
  ]) {
    assert.ok(text.replace(/CN=/g, 'CN = ').includes(wanted), `${wanted} in\n${text}`);
  }
  const root = run('x509', '-in', file('root.cert.pem'), '-noout', '-text');
  assert.match(root, /CA:TRUE, pathlen:1/);
  assert.match(root, /Certificate Sign, CRL Sign/);
});

test('pins are what openssl computes', () => {
  for (const name of ['root', 'intermediate', 'image', 'evidence']) {
    const path = file(`${name}.cert.pem`);
    const spki = execFileSync(openssl, ['x509', '-in', path, '-noout', '-pubkey'], {
      encoding: 'utf8',
    });
    writeFileSync(
      join(base.path, 'spki'),
      createPublicKey(spki).export({ type: 'spki', format: 'der' }),
    );
    const digest = run('dgst', '-sha256', '-r', join(base.path, 'spki')).slice(0, 64);
    assert.is(showKeys([path])[0]!.certificates[0]!.spkiSha256, digest);
  }
});

test('dates are what openssl prints', () => {
  const [der] = certificatesOfPem(readFileSync(file('root.cert.pem'), 'utf8'), 'root');
  const { notBefore, notAfter } = readCertificate(splitCertificate(der!));
  const dates = run('x509', '-in', file('root.cert.pem'), '-noout', '-dates');
  const [, from, to] = /notBefore=(.*)\nnotAfter=(.*)\n/.exec(dates)!;
  assert.is(Date.parse(from!) / 1000, notBefore);
  assert.is(Date.parse(to!) / 1000, notAfter);
});

/** What openssl says to the signature of an envelope over the Sig_structure of a kind. */
function opensslVerifies(
  envelope: Envelope,
  certificate: string,
  kind: ObjectKind,
  payload = envelope.payload,
): boolean {
  const path = (name: string): string => join(base.path, name);
  writeFileSync(path('tbs'), encodeSigStructure(kind, envelope.protectedHeader, payload));
  writeFileSync(path('signature'), envelope.signature);
  writeFileSync(path('pub.pem'), run('x509', '-in', file(certificate), '-noout', '-pubkey'));
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
  const args = [
    'dgst',
    '-sha256',
    ...pss,
    '-verify',
    path('pub.pem'),
    '-signature',
    path('signature'),
  ];
  const { status, stdout } = spawnSync(openssl, [...args, path('tbs')], { encoding: 'utf8' });
  assert.is(status === 0, /Verified OK/.test(stdout));
  return status === 0;
}

test('openssl verifies the PS256 signature over Sig_structure', () => {
  const envelope = decodeEnvelope(signManifest(testManifest({ role: 2 }), openDevSigner(dir)));
  assert.ok(opensslVerifies(envelope, 'image.cert.pem', 'manifest'));
  assert.not(opensslVerifies(envelope, 'image.cert.pem', 'evidence'));
});

test('openssl verifies signed evidence, also where its length takes 32 bits', () => {
  for (const padding of [0, 100_000]) {
    const json = Buffer.from(`{"kind":"coldseal-boot-evidence"}${' '.repeat(padding)}`);
    const bytes = signEvidence(json, openEvidenceSigner(dir));
    const envelope = decodeEnvelope(bytes, EVIDENCE_ENVELOPE_BYTES_MAX);
    assert.ok(opensslVerifies(envelope, 'evidence.cert.pem', 'evidence', json));
    assert.not(opensslVerifies(envelope, 'evidence.cert.pem', 'manifest', json));
    assert.not(opensslVerifies(envelope, 'image.cert.pem', 'evidence', json));
    json[padding] = json[padding]! ^ 1;
    assert.not(opensslVerifies(envelope, 'evidence.cert.pem', 'evidence', json));
  }
});

test.run();
