/**
 * The development PKI of a directory: root, intermediate, and leaves for images and for evidence (keys/README.md).
 *
 * Files: `root`, `intermediate`, `image` and `evidence`, each as `.key.pem` (mode 0600, created exclusively) and
 * `.cert.pem`; `image.chain.pem` and `evidence.chain.pem` hold the leaf, intermediate and root. No certificate names
 * production, factory or recovery, so no chain from here can speak for production, and the evidence leaf names evidence
 * alone, so that it cannot sign a manifest. A key that others can read, or that git tracks, is refused.
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

const ISSUERS = ['root', 'intermediate'] as const;
/** What signs, with what each may sign. */
const LEAVES = {
  image: { commonName: 'image signer', purposes: [PURPOSE.DEVELOPMENT] },
  evidence: { commonName: 'evidence signer', purposes: [PURPOSE.EVIDENCE] },
} as const satisfies Record<string, { commonName: string; purposes: readonly Purpose[] }>;
type LeafName = keyof typeof LEAVES;
const DAY = 86_400;

const keyFile = (name: string): string => `${name}.key.pem`;
const certificateFile = (name: string): string => `${name}.cert.pem`;
const chainFile = (name: LeafName): string => `${name}.chain.pem`;
const leafFiles = (name: LeafName): string[] => [
  keyFile(name),
  certificateFile(name),
  chainFile(name),
];

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
  const files = [
    ...ISSUERS.flatMap((name) => [keyFile(name), certificateFile(name)]),
    ...leafFiles('image'),
    ...leafFiles('evidence'),
  ];
  refuseOtherThanDirectory(dir);
  const present = refusePresent(
    dir,
    files,
    options,
    '--force replaces them; what they signed will no longer verify against the new root',
  );
  const [root, intermediate] = issueDevelopmentIssuers(options);
  const image = issueLeaf('image', intermediate, options);
  const evidence = issueLeaf('evidence', intermediate, options);
  replaceFiles(dir, files, present, () => {
    makeDirectories(dir, 0o700);
    ISSUERS.forEach((name, index) => writeMember(dir, name, [root, intermediate][index]!));
    writeLeaf(dir, 'image', image, [intermediate.certificate, root.certificate]);
    writeLeaf(dir, 'evidence', evidence, [intermediate.certificate, root.certificate]);
  });
}

/**
 * Adds an evidence signer to keys that have none, or with `force` replaces theirs. Root, intermediate and image signer
 * stay, and so does all trust in what they signed.
 */
export function addEvidenceKey(dir: string, options: InitKeysOptions): void {
  const files = leafFiles('evidence');
  refuseOtherThanDirectory(dir);
  const present = refusePresent(
    dir,
    files,
    options,
    '--force replaces the evidence signer and nothing else; what it signed stays good',
  );
  // The key first: its absence says that there are no keys at all, and what to do.
  const privateKeyPem = readIssuerKey(dir);
  const issuers = ['intermediate', 'root'].map((name) => readCertificateOf(dir, name));
  const intermediate = { privateKeyPem, certificate: issuers[0]! };
  const evidence = issueLeaf('evidence', intermediate, options);
  // By the rules of the device, before anything is written: these may be the keys of somebody else.
  const chain = [evidence.certificate, ...issuers];
  verifyChain(chain, [anchorOf(chain)], createNodeCrypto());
  replaceFiles(dir, files, present, () => writeLeaf(dir, 'evidence', evidence, issuers));
}

/** Those of some files that are there, which without `force` must be none. Throws CONFIG_KEYS_EXIST. */
function refusePresent(
  dir: string,
  files: readonly string[],
  { force }: InitKeysOptions,
  hint: string,
): string[] {
  const present = files.filter((file) => exists(join(dir, file)));
  if (present.length === 0 || force) return present;
  throw new ColdsealError(
    'CONFIG_KEYS_EXIST',
    `Cannot make keys in ${dir}: it has ${present[0]!}`,
    { hint },
  );
}

/** Takes old files away and writes new ones; a failure leaves none of them. */
function replaceFiles(
  dir: string,
  files: readonly string[],
  present: readonly string[],
  write: () => void,
): void {
  try {
    for (const file of present) rmSync(join(dir, file));
    write();
  } catch (error) {
    // Some of the keys are of no use, and would be in the way of the next attempt.
    if (errnoOf(error) !== 'EEXIST')
      for (const file of files) rmSync(join(dir, file), { force: true });
    throw explainSysError(error, `Cannot write keys in ${dir}`);
  }
}

function writeMember(dir: string, name: string, key: IssuedKey): void {
  writeNew(join(dir, keyFile(name)), key.privateKeyPem, 0o600);
  writeNew(join(dir, certificateFile(name)), pemOfCertificate(key.certificate), 0o644);
}

function writeLeaf(
  dir: string,
  name: LeafName,
  leaf: IssuedKey,
  issuers: readonly Uint8Array[],
): void {
  writeMember(dir, name, leaf);
  const chain = [leaf.certificate, ...issuers].map(pemOfCertificate).join('');
  writeNew(join(dir, chainFile(name)), chain, 0o644);
}

/** The one certificate of a member's file. */
function readCertificateOf(dir: string, name: string): Uint8Array {
  const path = join(dir, certificateFile(name));
  return certificatesOfPem(Buffer.from(readSmallFile(path)).toString(), path)[0]!;
}

/** The intermediate's private key, by the rules of every key that signs. */
function readIssuerKey(dir: string): string {
  const path = join(dir, keyFile('intermediate'));
  checkKeyFile(path);
  return readPrivateKey(path).export({ type: 'pkcs8', format: 'pem' }) as string;
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

const commonName = (role: string): string => `coldseal development ${role}`;

/** Root and intermediate. Both may only ever be for development; the deny list is for tests of revocation. */
function issueDevelopmentIssuers(options: InitKeysOptions): readonly [IssuedKey, IssuedKey] {
  const { notBefore, organization } = options;
  const purposes: readonly Purpose[] = [PURPOSE.DEVELOPMENT, PURPOSE.DENY_LIST, PURPOSE.EVIDENCE];
  const common = { organization, notBefore };
  const root = issue({
    ...common,
    commonName: commonName('root'),
    notAfter: notBefore + 20 * 365 * DAY,
    purposes,
    pathLength: 1,
  });
  const intermediate = issue({
    ...common,
    commonName: commonName('intermediate'),
    notAfter: notBefore + 5 * 365 * DAY,
    purposes,
    pathLength: 0,
    issuer: root,
  });
  return [root, intermediate];
}

function issueLeaf(name: LeafName, issuer: IssuedKey, options: InitKeysOptions): IssuedKey {
  const { notBefore, organization, leafDays } = options;
  return issue({
    organization,
    notBefore,
    commonName: commonName(LEAVES[name].commonName),
    notAfter: notBefore + leafDays * DAY,
    purposes: LEAVES[name].purposes,
    issuer,
  });
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
  /** The command that makes a new certificate when this one has expired. */
  readonly renewal?: string;
}

/** The image signer of a key directory, its files and chain checked. */
export function openDevSigner(dir: string, options: OpenSignerOptions = {}): Signer {
  return openFileSigner(join(dir, keyFile('image')), join(dir, chainFile('image')), options);
}

/** The evidence signer of a key directory, in the same way. Keys made by older versions have none. */
export function openEvidenceSigner(dir: string, options: OpenSignerOptions = {}): Signer {
  const [key, chain] = [keyFile('evidence'), chainFile('evidence')].map((file) => join(dir, file));
  const missing = [key!, chain!].find((path) => !exists(path));
  if (missing === undefined) {
    return openFileSigner(key!, chain!, {
      renewal: `keys init ${dir} --add-evidence --force`,
      ...options,
    });
  }
  const hasIssuer = exists(join(dir, keyFile('intermediate')));
  throw new ColdsealError(
    'HOST_NOT_FOUND',
    `Cannot sign evidence with the keys in ${dir}: ${missing} does not exist`,
    {
      hint: hasIssuer
        ? `add an evidence signer to these keys with: coldseal keys init ${dir} --add-evidence`
        : `make development keys with: coldseal keys init ${dir}`,
    },
  );
}

/** A signer from a private key file and a chain file, leaf first, anchor last. */
export function openFileSigner(
  keyPath: string,
  chainPath: string,
  options: OpenSignerOptions = {},
): Signer {
  const { now = Math.floor(Date.now() / 1000), onWarning, renewal } = options;
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
  checkDates(description, now, { onWarning, renewal });
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
