/**
 * The keys around a board: its own signer, and those of everybody whose releases it must refuse.
 *
 * All but the stranger have a root that may do everything, so that what a board refuses is refused by its policy and
 * not for want of a purpose on the way up.
 */
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Purpose, PURPOSE, PURPOSES } from '../../runtime/format/oids.ts';
import { issue, type IssuedKey } from '../../toolchain/sign/forge.ts';
import { pemOfCertificate } from '../../toolchain/sign/pem.ts';
import type { Signer } from '../../toolchain/sign/signer.ts';
import { LAB_NOW } from './bootset-lab.ts';
import { testKey } from './make-certificate.ts';
import { testSigner } from './test-pki.ts';

const DAY = 86_400;
const LEAVES = {
  own: [PURPOSE.DEVELOPMENT],
  production: [PURPOSE.PRODUCTION],
  recovery: [PURPOSE.RECOVERY],
  denyList: [PURPOSE.DENY_LIST],
  expired: [PURPOSE.DEVELOPMENT],
} as const satisfies Record<string, readonly Purpose[]>;

export type BoardPki = Readonly<Record<keyof typeof LEAVES | 'stranger', Signer>> & {
  /** A key directory with the board's own signer. */
  readonly directory: string;
};

/** Makes the keys; the directory is made below `parent`. */
export function boardPki(parent: string): BoardPki {
  const chain = issueIssuers('root', 'intermediate');
  const later = LAB_NOW + 365 * DAY;
  const leaf = (purposes: readonly Purpose[], key = 'leaf', notAfter = later): IssuedKey =>
    issueFrom(key, purposes, chain[0]!, notAfter);
  const signerOf = (key: IssuedKey, issuers = chain): Signer => {
    const certificates = [key, ...issuers].map(({ certificate }) => certificate);
    return testSigner([], certificates, createPrivateKey(key.privateKeyPem));
  };
  const own = leaf(LEAVES.own);
  const directory = join(parent, 'keys');
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, 'image.key.pem'), own.privateKeyPem, { mode: 0o600 });
  const certificates = [own, ...chain].map(({ certificate }) => pemOfCertificate(certificate));
  writeFileSync(join(directory, 'image.chain.pem'), certificates.join(''));
  const strange = issueIssuers('other', 'strange intermediate');
  return {
    directory,
    own: signerOf(own),
    production: signerOf(leaf(LEAVES.production)),
    recovery: signerOf(leaf(LEAVES.recovery)),
    denyList: signerOf(leaf(LEAVES.denyList, 'deny list leaf')),
    // Ended before the release was built, and before the board's clock starts.
    expired: signerOf(leaf(LEAVES.expired, 'leaf', LAB_NOW - 1000 * DAY)),
    stranger: signerOf(issueFrom('strange leaf', LEAVES.own, strange[0]!, later), strange),
  };
}

/** Intermediate and root, in the order of a chain. */
function issueIssuers(rootKey: string, key: string): readonly IssuedKey[] {
  const common = {
    organization: 'test',
    notBefore: LAB_NOW - 3000 * DAY,
    notAfter: LAB_NOW + 3000 * DAY,
    purposes: PURPOSES,
  };
  const root = issue({
    ...common,
    commonName: 'test root',
    pathLength: 1,
    privateKeyPem: pemOf(rootKey),
  });
  const intermediate = issue({
    ...common,
    commonName: 'test intermediate',
    pathLength: 0,
    issuer: root,
    privateKeyPem: pemOf(key),
  });
  return [intermediate, root];
}

function issueFrom(
  key: string,
  purposes: readonly Purpose[],
  issuer: IssuedKey,
  notAfter: number,
): IssuedKey {
  return issue({
    organization: 'test',
    commonName: `test ${key}`,
    notBefore: LAB_NOW - 2000 * DAY,
    notAfter,
    purposes,
    issuer,
    privateKeyPem: pemOf(key),
  });
}

/** Keys are kept between runs: making one takes a second. */
const pemOf = (name: string): string =>
  testKey(name).export({ type: 'pkcs8', format: 'pem' }).toString();
