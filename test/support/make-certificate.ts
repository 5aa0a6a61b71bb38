/**
 * Certificates for tests, good and bad: a DER writer that can break every rule, signed with node:crypto.
 *
 * RSA-3072 keys take a while to make, so they are kept under out/test-keys and made again when that is gone.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  constants,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex } from '../../runtime/format/bytes.ts';
import { OID, type Purpose, purposeOid } from '../../runtime/format/oids.ts';
import { ROOT } from '../../toolchain/dev/root.ts';

/** One DER element. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return new Uint8Array(Buffer.concat([Buffer.from([tag, ...head]), content]));
}

export const oid = (hex: string): Uint8Array => der(0x06, fromHex(hex)!);
export const sequence = (...contents: readonly Uint8Array[]): Uint8Array => der(0x30, ...contents);
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const bitString = (content: Uint8Array, unused = 0): Uint8Array =>
  der(0x03, bytes(unused), content);

/** SubjectPublicKeyInfo of a private key. */
export function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
}

/** A stored RSA-3072 key by name, made on first use. */
export function testKey(name: string): KeyObject {
  const dir = join(ROOT, 'out/test-keys');
  const path = join(dir, `${name}.pem`);
  try {
    return createPrivateKey(readFileSync(path));
  } catch {
    mkdirSync(dir, { recursive: true });
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    renameSync(temporary, path);
    // Another test process may have been faster: all must use the one that stayed.
    return createPrivateKey(readFileSync(path));
  }
}

/** AlgorithmIdentifiers and how to sign with them. */
const hashId = sequence(oid(OID.SHA256), bytes(5, 0));
export const SIGNATURES = {
  pkcs1: sequence(oid(OID.SHA256_WITH_RSA), bytes(5, 0)),
  pss: sequence(
    oid(OID.RSASSA_PSS),
    sequence(
      der(0xa0, hashId),
      der(0xa1, sequence(oid(OID.MGF1), hashId)),
      der(0xa2, bytes(2, 1, 32)),
    ),
  ),
  /** RSASSA-PSS with a 20-byte salt, the ASN.1 default: not one of ours. */
  pss20: sequence(
    oid(OID.RSASSA_PSS),
    sequence(der(0xa0, hashId), der(0xa1, sequence(oid(OID.MGF1), hashId))),
  ),
  sha1: sequence(fromHex('06092a864886f70d010105')!, bytes(5, 0)),
  ecdsa: sequence(oid(OID.ECDSA_SHA256)),
  ecdsa384: sequence(oid(OID.ECDSA_SHA384)),
  ed25519: sequence(oid(OID.ED25519)),
} as const;

export type SignatureName = keyof typeof SIGNATURES;

function signTbs(name: SignatureName, tbs: Uint8Array, key: KeyObject): Uint8Array {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  switch (name) {
    case 'pss':
      return sign('sha256', tbs, { key, padding, saltLength: 32 });
    case 'pss20':
      return sign('sha256', tbs, { key, padding, saltLength: 20 });
    case 'sha1':
      return sign('sha1', tbs, key);
    case 'ecdsa384':
      return sign('sha384', tbs, key);
    case 'ed25519':
      return sign(null, tbs, key);
    default:
      return sign('sha256', tbs, key);
  }
}

export const name = (common: string): Uint8Array =>
  common === ''
    ? sequence()
    : sequence(der(0x31, sequence(oid(OID.COMMON_NAME), der(0x0c, Buffer.from(common)))));

/** One extension. */
export function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(oid(id), ...(critical ? [bytes(1, 1, 0xff)] : []), der(0x04, value));
}

/** Key identifier as forge and openssl compute it; any 20 bytes would do. */
export function keyIdOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createHash('sha1').update(spkiOf(key)).digest());
}

export const PARTS = {
  basicConstraints: (isCa: boolean, pathLength?: number, critical = true): Uint8Array => {
    const path = pathLength === undefined ? [] : [der(0x02, bytes(pathLength))];
    const value = isCa ? sequence(bytes(1, 1, 0xff), ...path) : sequence();
    return extension(OID.BASIC_CONSTRAINTS, critical, value);
  },
  /** Bits as RFC 5280 numbers them, below 8. */
  keyUsage: (bits: readonly number[], critical = true): Uint8Array => {
    const value = bits.reduce((mask, bit) => mask | (0x80 >> bit), 0);
    return extension(OID.KEY_USAGE, critical, bitString(bytes(value), 7 - Math.max(...bits)));
  },
  usages: (ids: readonly string[]): Uint8Array =>
    extension(OID.EXTENDED_KEY_USAGE, false, sequence(...ids.map(oid))),
  purposes: (purposes: readonly Purpose[]): Uint8Array =>
    PARTS.usages([OID.CODE_SIGNING, ...purposes.map(purposeOid)]),
  subjectKeyId: (id: Uint8Array): Uint8Array => extension(OID.SUBJECT_KEY_ID, false, der(0x04, id)),
  authorityKeyId: (id: Uint8Array): Uint8Array =>
    extension(OID.AUTHORITY_KEY_ID, false, sequence(der(0x80, id))),
};

/** Everything a certificate is made of; each part can be replaced by something wrong. */
export interface CertificateParts {
  readonly key: KeyObject;
  readonly issuerKey: KeyObject;
  readonly subject: string;
  readonly issuer: string;
  readonly extensions: readonly Uint8Array[];
  readonly version?: number;
  readonly serial?: readonly number[];
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly signature?: SignatureName;
  /** The algorithm inside, when it shall differ from the one outside. */
  readonly innerAlgorithm?: Uint8Array;
  readonly spki?: Uint8Array;
  /** What follows the last field of the signed part, of its version and of its validity. */
  readonly tail?: Uint8Array;
  readonly versionTail?: Uint8Array;
  readonly validityTail?: Uint8Array;
}

export function makeCertificate(parts: CertificateParts): Uint8Array {
  const { version = 2, serial = [0x41, 2, 3], signature = 'pkcs1' } = parts;
  const algorithm = SIGNATURES[signature];
  const time = (text: string): Uint8Array =>
    der(text.length === 13 ? 0x17 : 0x18, Buffer.from(text));
  const { tail = bytes(), versionTail = bytes(), validityTail = bytes() } = parts;
  const tbs = sequence(
    ...(version === 0 ? [] : [der(0xa0, bytes(2, 1, version), versionTail)]),
    der(0x02, Uint8Array.from(serial)),
    parts.innerAlgorithm ?? algorithm,
    name(parts.issuer),
    sequence(
      time(parts.notBefore ?? '260101000000Z'),
      time(parts.notAfter ?? '20560101000000Z'),
      validityTail,
    ),
    name(parts.subject),
    parts.spki ?? spkiOf(parts.key),
    ...(parts.extensions.length === 0 ? [] : [der(0xa3, sequence(...parts.extensions))]),
    tail,
  );
  return sequence(tbs, algorithm, bitString(signTbs(signature, tbs, parts.issuerKey)));
}
