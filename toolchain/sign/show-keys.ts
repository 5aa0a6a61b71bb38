/** What `keys show` says about certificates: names, purposes, pins, validity, and whether they form a chain. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../../runtime/format/bytes.ts';
import { purposesOf, verifyChain } from '../../runtime/format/chain.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { PURPOSE, purposeName } from '../../runtime/format/oids.ts';
import { PUBLISHED_KEYS } from '../../runtime/format/published-keys.ts';
import { commonName, readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { namingFile } from '../files/name-file.ts';
import { certificatesOfPem, readSmallFile } from './pem.ts';
import { anchorOf } from './sign-envelope.ts';

export interface ShownCertificate {
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo: the pin. */
  readonly spkiSha256: string;
  readonly key: string;
  readonly isIssuer: boolean;
  readonly isDevelopment: boolean;
  readonly isPublished: boolean;
  readonly purposes: readonly string[];
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
}

export interface ShownFile {
  readonly file: string;
  readonly certificates: readonly ShownCertificate[];
  /** For a file with several certificates: `ok`, or the code of the rule that says no. */
  readonly chain: string | undefined;
}

/** Describes files; a directory stands for its `*.cert.pem` and `*.chain.pem` files. */
export function showKeys(paths: readonly string[]): ShownFile[] {
  return paths.flatMap(expand).map(showFile);
}

function expand(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => /\.(cert|chain)\.pem$/.test(name));
    if (names.length > 0) return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  }
  throw new ColdsealError(
    'CONFIG_PEM',
    `Cannot show ${path}: it has no .cert.pem or .chain.pem file`,
    {
      hint: 'make development keys with: coldseal keys init',
    },
  );
}

function showFile(file: string): ShownFile {
  const ders = certificatesOfPem(Buffer.from(readSmallFile(file)).toString(), file);
  const certificates = namingFile(`Cannot show ${file}`, () => ders.map(showCertificate));
  return { file, certificates, chain: ders.length > 1 ? checkChain(ders) : undefined };
}

function checkChain(ders: readonly Uint8Array[]): string {
  try {
    verifyChain(ders, [anchorOf(ders)], createNodeCrypto());
    return 'ok';
  } catch (error) {
    if (error instanceof ColdsealError) return error.code;
    throw error;
  }
}

function showCertificate(der: Uint8Array): ShownCertificate {
  const certificate = readCertificate(splitCertificate(der));
  const spkiSha256 = toHex(createNodeCrypto().sha256(certificate.spki));
  const purposes = [...purposesOf(certificate.extendedKeyUsage ?? [])];
  const kinds = {
    rsa: `RSA-${certificate.keyBits}`,
    p256: 'P-256',
    p384: 'P-384',
    ed25519: 'Ed25519',
  };
  const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return {
    name: commonName(certificate.subject) ?? '',
    spkiSha256,
    key: kinds[certificate.keyKind],
    isIssuer: certificate.basicConstraints?.isCa === true,
    isDevelopment: purposes.includes(PURPOSE.DEVELOPMENT),
    isPublished: PUBLISHED_KEYS.has(spkiSha256),
    purposes: purposes.map(purposeName),
    notBefore: iso(certificate.notBefore),
    notAfter: iso(certificate.notAfter),
  };
}
