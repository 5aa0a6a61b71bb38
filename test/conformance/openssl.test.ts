/** openssl agrees: our certificates are a chain, our COSE signature is a PSS signature over Sig_structure. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope, encodeSigStructure } from '../../runtime/format/envelope.ts';
import { readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { initDevKeys, openDevSigner } from '../../toolchain/sign/dev-keys.ts';
import { certificatesOfPem } from '../../toolchain/sign/pem.ts';
import { showKeys } from '../../toolchain/sign/show-keys.ts';
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
  ];
  assert.match(run('verify', '-CAfile', file('root.cert.pem'), ...args), /: OK/);
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
  for (const name of ['root', 'intermediate', 'image']) {
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

test('openssl verifies the PS256 signature over Sig_structure', () => {
  const envelope = decodeEnvelope(signManifest(testManifest({ role: 2 }), openDevSigner(dir)));
  const path = (name: string): string => join(base.path, name);
  const tbs = encodeSigStructure('manifest', envelope.protectedHeader, envelope.payload);
  writeFileSync(path('tbs'), tbs);
  writeFileSync(path('signature'), envelope.signature);
  writeFileSync(path('pub.pem'), run('x509', '-in', file('image.cert.pem'), '-noout', '-pubkey'));
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
  assert.match(run(...args, path('tbs')), /Verified OK/);
  writeFileSync(
    path('tbs'),
    encodeSigStructure('evidence', envelope.protectedHeader, envelope.payload),
  );
  assert.is.not(spawnSync(openssl, [...args, path('tbs')]).status, 0);
});

test.run();
