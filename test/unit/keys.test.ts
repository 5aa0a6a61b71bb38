/** Development keys: what is made, what is refused, and signing with it. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { PURPOSE } from '../../runtime/format/oids.ts';
import { PUBLISHED_KEYS } from '../../runtime/format/published-keys.ts';
import { decodeTrustBundle } from '../../runtime/format/trust.ts';
import { verifyManifest } from '../../runtime/verify.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import {
  addEvidenceKey,
  initDevKeys,
  openDevSigner,
  openEvidenceSigner,
  openFileSigner,
} from '../../toolchain/sign/dev-keys.ts';
import { issue, type IssuedKey } from '../../toolchain/sign/forge.ts';
import { certificatesOfPem, pemOfCertificate, readSmallFile } from '../../toolchain/sign/pem.ts';
import { verifyEvidence } from '../../toolchain/sign/read-evidence.ts';
import { showKeys } from '../../toolchain/sign/show-keys.ts';
import { attachSignature, signEnvelope } from '../../toolchain/sign/sign-envelope.ts';
import { signEvidence } from '../../toolchain/sign/sign-evidence.ts';
import type { Signer } from '../../toolchain/sign/signer.ts';
import { exportTbs, signManifest } from '../../toolchain/sign/sign-manifest.ts';
import { loadTrust, trustBundleOfRoots } from '../../toolchain/sign/trust-file.ts';
import { expectCode } from '../support/expect-code.ts';
import { spkiOf } from '../support/make-certificate.ts';
import { testManifest, testPolicy } from '../support/manifests.ts';
import { KEYS, makeChain, testSigner } from '../support/test-pki.ts';
import { requireRoot } from '../support/tools.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('keys');
const crypto = createNodeCrypto();
const NOW = Date.UTC(2026, 10, 20) / 1000;
const DAY = 86_400;
const OPTIONS = { notBefore: NOW, leafDays: 90, organization: 'Example', force: false };

const base = tempDir();
const dir = join(base.path, 'dev');
initDevKeys(dir, OPTIONS);
const development = testManifest({ role: 2 });

test('makes four keys that only the owner can read, and a good chain', () => {
  assert.is(statSync(dir).mode & 0o777, 0o700);
  for (const name of ['root', 'intermediate', 'image', 'evidence']) {
    assert.is(statSync(join(dir, `${name}.key.pem`)).mode & 0o777, 0o600);
    const key = createPrivateKey(readFileSync(join(dir, `${name}.key.pem`)));
    assert.is(key.asymmetricKeyDetails?.modulusLength, 3072);
  }
  const files = showKeys([dir]);
  for (const [name, purpose] of [
    ['image', 'development'],
    ['evidence', 'evidence'],
  ] as const) {
    const chain = files.find(({ file }) => file.endsWith(`${name}.chain.pem`))!;
    assert.is(chain.chain, 'ok');
    const [leaf, intermediate, root] = chain.certificates;
    assert.equal(leaf!.purposes, [purpose], 'a leaf is for one thing');
    assert.ok([intermediate, root].every((shown) => shown!.isDevelopment));
    assert.ok(intermediate!.isIssuer && root!.isIssuer && !leaf!.isIssuer);
    assert.is(leaf!.notBefore, '2026-11-20T00:00:00.000Z');
    assert.is(leaf!.notAfter, '2027-02-18T00:00:00.000Z');
  }
});

test('refuses to replace keys without force', () => {
  expectCode(() => initDevKeys(dir, OPTIONS), 'CONFIG_KEYS_EXIST');
  const other = copyOfKeys('partly');
  const before = readFileSync(join(other, 'root.key.pem'), 'utf8');
  rmSync(join(other, 'image.key.pem'));
  expectCode(() => initDevKeys(other, OPTIONS), 'CONFIG_KEYS_EXIST');
  assert.is(readFileSync(join(other, 'root.key.pem'), 'utf8'), before);
  initDevKeys(other, { ...OPTIONS, force: true });
  assert.is.not(readFileSync(join(other, 'root.key.pem'), 'utf8'), before);
});

/** The content of every file in a key directory. */
function filesOf(path: string): Record<string, string> {
  const names = readdirSync(path).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name), 'utf8')]));
}

const withoutEvidence = (files: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !name.startsWith('evidence.')));

test('older keys get an evidence signer, and nothing else changes', () => {
  const older = copyOfKeys('older');
  for (const file of ['key', 'cert', 'chain']) rmSync(join(older, `evidence.${file}.pem`));
  const before = filesOf(older);
  const missing = expectCode(() => openEvidenceSigner(older, { now: NOW }), 'HOST_NOT_FOUND');
  assert.match(missing.message, /evidence\.key\.pem does not exist$/);
  assert.match(missing.hint!, /coldseal keys init .*older --add-evidence$/);
  openDevSigner(older, { now: NOW });
  addEvidenceKey(older, OPTIONS);
  const after = filesOf(older);
  assert.equal(withoutEvidence(after), before);
  assert.is(Object.keys(after).length, Object.keys(before).length + 3);
  assert.is(statSync(join(older, 'evidence.key.pem')).mode & 0o777, 0o600);
  const signer = openEvidenceSigner(older, { now: NOW });
  assert.equal(signer.describe().purposes, [PURPOSE.EVIDENCE]);
  // The same root: whoever trusted it trusts the new signer.
  const json = Buffer.from('{"kind":"coldseal-boot-evidence"}');
  const policy = { anchors: loadTrust(join(dir, 'root.cert.pem')), algorithms: [-37] as const };
  verifyEvidence(signEvidence(json, signer, { now: NOW }), policy);
  // Not again without force, and then the evidence signer alone.
  expectCode(() => addEvidenceKey(older, OPTIONS), 'CONFIG_KEYS_EXIST');
  assert.equal(filesOf(older), after);
  addEvidenceKey(older, { ...OPTIONS, force: true });
  assert.equal(withoutEvidence(filesOf(older)), before);
  assert.is.not(filesOf(older)['evidence.key.pem'], after['evidence.key.pem']);
});

test('no evidence signer is added to what are no keys, or keys of others', () => {
  const none = expectCode(() => addEvidenceKey(join(base.path, 'no'), OPTIONS), 'HOST_NOT_FOUND');
  assert.match(none.hint!, /coldseal keys init/);
  const opened = expectCode(() => openEvidenceSigner(join(base.path, 'no')), 'HOST_NOT_FOUND');
  assert.match(opened.hint!, /make development keys with: coldseal keys init .*no$/);
  const file = join(base.path, 'plain');
  writeFileSync(file, '');
  expectCode(() => addEvidenceKey(file, OPTIONS), 'USAGE_NOT_A_DIRECTORY');
  const strange = copyOfKeys('strange');
  for (const name of ['key', 'cert', 'chain']) rmSync(join(strange, `evidence.${name}.pem`));
  const before = filesOf(strange);
  const refused = (code: string): void => {
    expectCode(() => addEvidenceKey(strange, OPTIONS), code);
    const key = join(strange, 'intermediate.key.pem');
    chmodSync(key, 0o600);
    for (const [name, text] of Object.entries(before)) writeFileSync(join(strange, name), text);
    assert.equal(filesOf(strange), before, code);
  };
  chmodSync(join(strange, 'intermediate.key.pem'), 0o644);
  refused('CONFIG_KEY_READABLE');
  // The key and the certificate of the intermediate do not belong together.
  copyFileSync(join(strange, 'image.key.pem'), join(strange, 'intermediate.key.pem'));
  refused('VERIFY_CERT_SIGNATURE');
  rmSync(join(strange, 'root.cert.pem'));
  refused('HOST_NOT_FOUND');
});

test('an evidence signer that has expired says how to replace it alone', () => {
  const later = NOW + 91 * DAY;
  const expired = expectCode(() => openEvidenceSigner(dir, { now: later }), 'CONFIG_KEY_EXPIRED');
  assert.match(expired.hint!, /keys init .*dev --add-evidence --force$/);
  const warnings: string[] = [];
  openEvidenceSigner(dir, { now: NOW + 80 * DAY, onWarning: (text) => warnings.push(text) });
  assert.match(warnings[0]!, /evidence\.key\.pem expires in 10 days/);
});

test('the image signer signs no evidence, and the evidence signer no image', () => {
  const json = Buffer.from('{"kind":"coldseal-boot-evidence"}');
  const image = openDevSigner(dir, { now: NOW });
  const evidence = openEvidenceSigner(dir, { now: NOW });
  expectCode(() => signEvidence(json, image, { now: NOW }), 'CONFIG_KEY_ROLE');
  expectCode(() => signManifest(development, evidence, { now: NOW }), 'CONFIG_KEY_ROLE');
});

test('a file in place of the key directory is refused', () => {
  const file = join(base.path, 'file');
  writeFileSync(file, '');
  expectCode(() => initDevKeys(file, OPTIONS), 'USAGE_NOT_A_DIRECTORY');
  expectCode(() => initDevKeys(join(file, 'dev'), OPTIONS), 'HOST_NOT_FOUND');
  // Node's recursive mkdir would not return from there.
  expectCode(() => initDevKeys('/proc/absent/dev', OPTIONS), 'HOST_NOT_FOUND');
});

test('keys that do not fit on the disk leave nothing behind', () => {
  requireRoot();
  const full = join(base.path, 'full');
  mkdirSync(full);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', full]);
  try {
    expectCode(() => initDevKeys(join(full, 'dev'), OPTIONS), 'HOST_NO_SPACE');
    assert.equal(readdirSync(join(full, 'dev')), []);
  } finally {
    execFileSync('umount', [full]);
  }
});

test('the same keys and dates give the same certificates', () => {
  const privateKeyPem = KEYS.leaf.export({ type: 'pkcs8', format: 'pem' }) as string;
  const make = (): IssuedKey =>
    issue({
      commonName: 'x',
      organization: 'y',
      notBefore: NOW,
      notAfter: NOW + 40 * 365 * DAY,
      purposes: [2],
      pathLength: 1,
      privateKeyPem,
    });
  assert.equal(make().certificate, make().certificate);
});

test('signs for development, and the device code agrees', () => {
  const signer = openDevSigner(dir, { now: NOW });
  const envelope = signManifest(development, signer, { now: NOW });
  const policy = testPolicy({ anchors: loadTrust(join(dir, 'root.cert.pem')), roles: [2] });
  const request = { envelope, denyList: undefined, crypto, images: 'at-mount' } as const;
  assert.ok(verifyManifest({ ...request, policy }).ok);
  const production = verifyManifest({ ...request, policy: { ...policy, roles: [1, 3, 4] } });
  assert.is(production.reason?.code, 'VERIFY_ROLE_NOT_ACCEPTED');
});

test('the two steps of offline signing give a good envelope', () => {
  const signer = openDevSigner(dir, { now: NOW });
  const plan = exportTbs(development, signer.describe(), { now: NOW });
  const envelope = attachSignature(plan, signer.sign(plan.tbs));
  const policy = testPolicy({ anchors: loadTrust(join(dir, 'root.cert.pem')), roles: [2] });
  assert.ok(
    verifyManifest({ envelope, denyList: undefined, crypto, images: 'at-mount', policy }).ok,
  );
});

test('refuses what would do harm', () => {
  const signer = openDevSigner(dir, { now: NOW });
  const sign = (manifest = development, options = {}): unknown =>
    signManifest(manifest, signer, { now: NOW, ...options });
  expectCode(
    () => sign(development, { productionBoards: ['fsl,imx8mp-evk'] }),
    'CONFIG_KEY_DEVELOPMENT',
  );
  expectCode(() => sign(testManifest({ role: 1 })), 'CONFIG_KEY_ROLE');
  expectCode(() => sign(testManifest({ role: 3 })), 'CONFIG_KEY_ROLE');
  expectCode(() => sign(development, { now: NOW + 91 * DAY }), 'CONFIG_KEY_EXPIRED');
  expectCode(() => sign(development, { now: NOW - DAY }), 'CONFIG_KEY_EXPIRED');
  expectCode(() => openDevSigner(dir, { now: NOW + 91 * DAY }), 'CONFIG_KEY_EXPIRED');
  const broken = { ...development, boards: ['b', 'a'] };
  expectCode(() => sign(broken), 'FORMAT_MANIFEST_FIELD');
});

test('a key that serves production and development signs for no production board', () => {
  const both = testSigner([1, 2]);
  const options = { now: NOW, productionBoards: ['fsl,imx8mp-evk'] };
  expectCode(() => signManifest(testManifest(), both, options), 'CONFIG_KEY_DEVELOPMENT');
  signManifest(testManifest(), testSigner([1]), options);
});

test('warns thirty days before the end', () => {
  const warnings: string[] = [];
  const onWarning = (text: string): unknown => warnings.push(text);
  openDevSigner(dir, { now: NOW + 59 * DAY, onWarning });
  assert.equal(warnings, []);
  openDevSigner(dir, { now: NOW + 61 * DAY, onWarning });
  assert.match(warnings[0]!, /expires in 29 days/);
});

function copyOfKeys(name: string): string {
  const copy = join(base.path, name);
  execFileSync('cp', ['-a', dir, copy]);
  return copy;
}

test('refuses key files that others can read, that are links, or that do not fit', () => {
  const copy = copyOfKeys('files');
  const key = join(copy, 'image.key.pem');
  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    chmodSync(key, mode);
    expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_KEY_READABLE', mode.toString(8));
  }
  rmSync(key);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'HOST_NOT_FOUND');
  symlinkSync(join(dir, 'image.key.pem'), key);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_KEY_READABLE');
  rmSync(key);
  copyFileSync(join(dir, 'root.key.pem'), key);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_KEY_MISMATCH');
  writeFileSync(key, '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
  try {
    openDevSigner(copy, { now: NOW });
    assert.unreachable();
  } catch (error) {
    assert.not.match(
      JSON.stringify([String(error), (error as Error).cause ?? '']),
      /c2VjcmV0|secret/,
    );
  }
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_KEY_FILE');
  expectCode(() => openDevSigner(join(base.path, 'absent')), 'HOST_NOT_FOUND');
});

test('refuses a key that git tracks', () => {
  const copy = copyOfKeys('tracked');
  const git = (...args: string[]): unknown =>
    execFileSync('git', ['-C', copy, ...args], { stdio: 'ignore' });
  git('init', '-q');
  openDevSigner(copy, { now: NOW });
  git('add', 'image.key.pem');
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_KEY_TRACKED');
});

test('refuses chains that the device would refuse', () => {
  const copy = copyOfKeys('chains');
  const chain = join(copy, 'image.chain.pem');
  const [leaf, intermediate, root] = certificatesOfPem(readFileSync(chain, 'utf8'), chain);
  const write = (...ders: Uint8Array[]): void =>
    writeFileSync(chain, ders.map(pemOfCertificate).join(''));
  write(leaf!, root!);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'VERIFY_CERT_SIGNATURE');
  write(leaf!);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'VERIFY_CHAIN_LENGTH');
  write(root!, intermediate!, leaf!);
  expectCode(() => openDevSigner(copy, { now: NOW }), 'VERIFY_CERT_ISSUER_NOT_CA');
  writeFileSync(chain, 'nothing');
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_PEM');
  writeFileSync(chain, pemOfCertificate(leaf!).replace('-----END', '----END'));
  expectCode(() => openDevSigner(copy, { now: NOW }), 'CONFIG_PEM');
});

test('a published key is refused, by the signer and by the device', () => {
  const key = createPrivateKey(readFileSync(join(ROOT, 'test/vectors/keys/published.key.pem')));
  assert.ok(PUBLISHED_KEYS.has(toHex(crypto.sha256(spkiOf(key)))));
  const chain = makeChain({ leaf: { key } });
  const signer = testSigner([1], chain, key);
  expectCode(
    () => signEnvelope('manifest', encodeManifest(testManifest()), signer),
    'VERIFY_KEY_PUBLISHED',
  );
});

test('trust files: roots as PEM or as a bundle, and nothing else', () => {
  const rootPem = join(dir, 'root.cert.pem');
  const anchors = loadTrust(rootPem);
  assert.equal(anchors[0]!.purposes, [PURPOSE.DEVELOPMENT, PURPOSE.DENY_LIST, PURPOSE.EVIDENCE]);
  const [root] = certificatesOfPem(readFileSync(rootPem, 'utf8'), rootPem);
  const bundle = join(base.path, 'trust.cbor');
  writeFileSync(bundle, trustBundleOfRoots([root!], 1));
  assert.equal(loadTrust(bundle), anchors);
  assert.is(decodeTrustBundle(readSmallFile(bundle)).version, 1);
  expectCode(() => loadTrust(join(dir, 'image.cert.pem')), 'CONFIG_TRUST_NOT_ROOT');
  expectCode(() => loadTrust(join(dir, 'intermediate.cert.pem')), 'CONFIG_TRUST_NOT_ROOT');
  expectCode(() => loadTrust(join(dir, 'image.chain.pem')), 'CONFIG_TRUST_NOT_ROOT');
  expectCode(() => loadTrust(join(dir, 'root.key.pem')), 'CONFIG_PEM');
  expectCode(() => loadTrust(join(base.path, 'absent')), 'HOST_NOT_FOUND');
  const other = join(base.path, 'other');
  const withKey = readFileSync(rootPem, 'utf8') + readFileSync(join(dir, 'root.key.pem'), 'utf8');
  writeFileSync(other, withKey);
  expectCode(() => loadTrust(other), 'CONFIG_PEM');
  writeFileSync(other, '');
  expectCode(() => loadTrust(other), 'FORMAT_CBOR_STRUCTURE');
  assert.throws(() => loadTrust(other), /^Cannot use trust file .*other: Cannot decode/);
  writeFileSync(other, Buffer.alloc(300_000));
  expectCode(() => loadTrust(other), 'CONFIG_FILE_TOO_LARGE');
});

test('a root without extended key usage anchors everything but development', () => {
  const path = join(base.path, 'plain.pem');
  writeFileSync(path, pemOfCertificate(makeChain()[2]!));
  assert.equal(loadTrust(path)[0]!.purposes, [1, 3, 4, 5, 6, 7]);
});

test('what is found instead of certificates is told', () => {
  const root = readFileSync(join(dir, 'root.cert.pem'), 'utf8');
  const key = readFileSync(join(dir, 'root.key.pem'), 'utf8');
  for (const [text, found] of [
    ['', 'none'],
    ['\x89PNG', 'none'],
    [key, 'a private key'],
    [root.slice(0, 300), 'only 0 whole of 1'],
    [root + root.slice(0, 300), 'only 1 whole of 2'],
  ] as const) {
    assert.throws(
      () => certificatesOfPem(text, 'x'),
      new RegExp(`^Cannot read x: expected PEM certificates, found ${found}$`),
    );
  }
});

test('only RSA keys are opened from files', () => {
  const chain = join(base.path, 'chain.pem');
  const keyFile = join(base.path, 'leaf.key.pem');
  const open = (key: KeyObject): Signer => {
    writeFileSync(chain, makeChain({ leaf: { key } }).map(pemOfCertificate).join(''));
    rmSync(keyFile, { force: true });
    writeFileSync(keyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    return openFileSigner(keyFile, chain, { now: NOW });
  };
  assert.equal(open(KEYS.leaf).describe().purposes, [1]);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  expectCode(() => open(privateKey), 'CONFIG_KEY_KIND');
});

test.run();
