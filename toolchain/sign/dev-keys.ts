/**
 * The development PKI of a directory: root, intermediate and image-signing leaf (keys/README.md).
 *
 * Files: `root`, `intermediate` and `image`, each as `.key.pem` (mode 0600, created exclusively) and
 * `.cert.pem`; `image.chain.pem` holds the three certificates, leaf first. Every certificate names the
 * development purpose and nothing else that could sign a manifest, so no chain from here can speak for
 * production. A key that others can read, or that git tracks, is refused.
 */
import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, type KeyObject, sign, constants } from 'node:crypto';
import { closeSync, fsyncSync, lstatSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { toHex } from '../../runtime/format/bytes.ts';
import { verifyChain } from '../../runtime/format/chain.ts';
import { COSE_PS256 } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { type Purpose, PURPOSE } from '../../runtime/format/oids.ts';
import { PSS_SALT_LENGTH } from '../../runtime/format/rsa.ts';
import { errnoOf, explainSysError } from '../../runtime/sys-error.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { makeDirectories } from '../files/make-directories.ts';
import { issue, type IssuedKey } from './forge.ts';
import { certificatesOfPem, pemOfCertificate, readSmallFile } from './pem.ts';
import { anchorOf } from './sign-envelope.ts';
import { checkDates } from './sign-manifest.ts';
import type { Signer, SignerDescription } from './signer.ts';

/** The directory `keys init` uses by default; git ignores it. */
export const DEV_KEYS_DIR = 'keys/dev';

const MEMBERS = ['root', 'intermediate', 'image'] as const;
const CHAIN_FILE = 'image.chain.pem';
const DAY = 86_400;

export interface InitKeysOptions {
  /** Start of validity, seconds since 1970. */
  readonly notBefore: number;
  /** Life of the image-signing leaf. */
  readonly leafDays: number;
  readonly organization: string;
  /** Replace what is there. */
  readonly force: boolean;
}

/** Default life of a developer's leaf. */
export const DEV_LEAF_DAYS = 90;

/** Makes the development PKI in `dir`; refuses to replace keys without `force`. */
export function initDevKeys(dir: string, options: InitKeysOptions): void {
  const files = [...MEMBERS.flatMap((name) => [`${name}.key.pem`, `${name}.cert.pem`]), CHAIN_FILE];
  refuseOtherThanDirectory(dir);
  const present = files.filter((file) => exists(join(dir, file)));
  if (present.length > 0 && !options.force) {
    throw new ColdsealError(
      'CONFIG_KEYS_EXIST',
      `Cannot make keys in ${dir}: it has ${present[0]!}`,
      {
        hint: '--force replaces them; what they signed will no longer verify against the new root',
      },
    );
  }
  const keys = issueDevelopmentChain(options);
  try {
    makeDirectories(dir, 0o700);
    for (const file of present) rmSync(join(dir, file));
    MEMBERS.forEach((name, index) => {
      writeNew(join(dir, `${name}.key.pem`), keys[index]!.privateKeyPem, 0o600);
      writeNew(join(dir, `${name}.cert.pem`), pemOfCertificate(keys[index]!.certificate), 0o644);
    });
    const chain = [...keys].reverse().map((key) => pemOfCertificate(key.certificate));
    writeNew(join(dir, CHAIN_FILE), chain.join(''), 0o644);
  } catch (error) {
    // Some of the keys are of no use, and would be in the way of the next attempt.
    if (errnoOf(error) !== 'EEXIST')
      for (const file of files) rmSync(join(dir, file), { force: true });
    throw explainSysError(error, `Cannot write keys in ${dir}`);
  }
}

/** The files are looked for before anything is written, and then a path through a file would be a surprise. */
function refuseOtherThanDirectory(dir: string): void {
  try {
    if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== false) return;
  } catch (error) {
    throw explainSysError(error, `Cannot make keys in ${dir}`);
  }
  throw new ColdsealError(
    'USAGE_NOT_A_DIRECTORY',
    `Cannot make keys in ${dir}: it is a file, expected a directory`,
  );
}

/** Root, intermediate, leaf. All may only ever be for development; the deny list is for tests of revocation. */
function issueDevelopmentChain(options: InitKeysOptions): readonly IssuedKey[] {
  const { notBefore, organization } = options;
  const name = (role: string): string => `coldseal development ${role}`;
  const purposes: readonly Purpose[] = [PURPOSE.DEVELOPMENT, PURPOSE.DENY_LIST, PURPOSE.EVIDENCE];
  const common = { organization, notBefore };
  const root = issue({
    ...common,
    commonName: name('root'),
    notAfter: notBefore + 20 * 365 * DAY,
    purposes,
    pathLength: 1,
  });
  const intermediate = issue({
    ...common,
    commonName: name('intermediate'),
    notAfter: notBefore + 5 * 365 * DAY,
    purposes,
    pathLength: 0,
    issuer: root,
  });
  const image = issue({
    ...common,
    commonName: name('image signer'),
    notAfter: notBefore + options.leafDays * DAY,
    purposes: [PURPOSE.DEVELOPMENT],
    issuer: intermediate,
  });
  return [root, intermediate, image];
}

function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw explainSysError(error, `Cannot look for ${path}`);
  }
}

/** Creates a file that must not exist, so that no link planted there is followed. */
function writeNew(path: string, text: string, mode: number): void {
  const fd = openSync(path, 'wx', mode);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export interface OpenSignerOptions {
  /** Seconds since 1970; the host's clock by default. */
  readonly now?: number;
  readonly onWarning?: (text: string) => void;
}

/** The image signer of a key directory, its files and chain checked. */
export function openDevSigner(dir: string, options: OpenSignerOptions = {}): Signer {
  const keyPath = join(dir, 'image.key.pem');
  const chainPath = join(dir, CHAIN_FILE);
  return openFileSigner(keyPath, chainPath, options);
}

/** A signer from a private key file and a chain file, leaf first, anchor last. */
export function openFileSigner(
  keyPath: string,
  chainPath: string,
  options: OpenSignerOptions = {},
): Signer {
  const { now = Math.floor(Date.now() / 1000), onWarning } = options;
  const chain = certificatesOfPem(Buffer.from(readSmallFile(chainPath)).toString(), chainPath);
  checkKeyFile(keyPath);
  const key = readPrivateKey(keyPath);
  const description = describeChain(keyPath, chain);
  const leafSpki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  if (toHex(createNodeCrypto().sha256(leafSpki)) !== description.spkiSha256) {
    throw new ColdsealError(
      'CONFIG_KEY_MISMATCH',
      `Cannot sign with ${keyPath}: the first certificate of ${chainPath} is for another key`,
    );
  }
  checkDates(description, now, onWarning);
  return {
    describe: () => description,
    sign: (tbs) => {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return new Uint8Array(sign('sha256', tbs, { key, padding, saltLength: PSS_SALT_LENGTH }));
    },
  };
}

/** Checks the chain by the rules of the device and describes its leaf. */
function describeChain(name: string, chain: readonly Uint8Array[]): SignerDescription {
  const crypto = createNodeCrypto();
  const { leaf, purposes } = verifyChain(chain, [anchorOf(chain)], crypto);
  if (leaf.keyKind !== 'rsa') {
    throw new ColdsealError('CONFIG_KEY_KIND', `Cannot sign with ${name}: expected an RSA key`);
  }
  return {
    name,
    algorithm: COSE_PS256,
    chain,
    spkiSha256: toHex(crypto.sha256(leaf.spki)),
    purposes: [...purposes].sort((a, b) => a - b),
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
  };
}

function readPrivateKey(path: string): KeyObject {
  const pem = readSmallFile(path);
  try {
    return createPrivateKey(Buffer.from(pem));
  } catch (cause) {
    // The cause may quote the input; a private key must not reach a log.
    void cause;
    throw new ColdsealError(
      'CONFIG_KEY_FILE',
      `Cannot read ${path}: expected a PKCS#8 private key in PEM`,
    );
  }
}

/** Refuses a private key that others can read, that is a link, or that git tracks. */
function checkKeyFile(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new ColdsealError('HOST_NOT_FOUND', `Cannot read ${path}: it does not exist`, {
      hint: 'make development keys with: coldseal keys init',
    });
  }
  if (!stat.isFile() || (stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw new ColdsealError(
      'CONFIG_KEY_READABLE',
      `Cannot sign with ${path}: expected a regular file that only its owner can read, its mode is ${mode}`,
      { hint: `chmod 600 ${path}` },
    );
  }
  const git = spawnSync(
    'git',
    ['-C', dirname(resolve(path)), 'ls-files', '--error-unmatch', '--', resolve(path)],
    {
      stdio: 'ignore',
      env: { PATH: process.env['PATH'] ?? '' },
    },
  );
  // No git, or no repository here, gives another status or none: then nothing tracks it.
  if (git.status === 0) {
    throw new ColdsealError('CONFIG_KEY_TRACKED', `Cannot sign with ${path}: git tracks it`, {
      hint: 'make a new key; everyone who can read the repository has this one',
    });
  }
}
