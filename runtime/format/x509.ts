/**
 * X.509 v3 certificates (RFC 5280), read strictly: one certificate alone, without its issuer.
 *
 * Reading has two steps, so that nothing inside a certificate is believed before its signature was checked:
 * `splitCertificate` finds the signed bytes, the algorithm and the signature; `readCertificate` reads the
 * fields and refuses what no certificate of ours may have (a weak key, another version, an unknown critical
 * extension). How certificates follow each other is in chain.ts.
 */
import type { SignatureAlgorithm } from '../crypto.ts';
import { equalBytes, fromHex, toHex } from './bytes.ts';
import { concatBytes } from './concat.ts';
import {
  checkInteger,
  DER_TAG,
  DerReader,
  openDer,
  readBoolean,
  readNamedBits,
  readSmallInteger,
  readTime,
  readWholeBits,
} from './der.ts';
import { ColdsealError, type ErrorCode } from './errors.ts';
import { OID } from './oids.ts';
import { isAcceptableRsaKey, readRsaSpki, RSA_BITS_MAX, RSA_BITS_MIN } from './rsa.ts';

/** Largest certificate: an RSA-8192 one is under 3 KiB. */
export const CERTIFICATE_BYTES_MAX = 4096;
/** RFC 5280 4.1.2.2: conforming serial numbers are positive and at most 20 bytes. */
const SERIAL_BYTES_MAX = 20;

export type KeyKind = 'rsa' | 'p256' | 'p384' | 'ed25519';

/** A certificate taken apart just far enough to check its signature. */
export interface SplitCertificate {
  readonly der: Uint8Array;
  /** The signed bytes. */
  readonly tbs: Uint8Array;
  /** The outer AlgorithmIdentifier, whole. */
  readonly algorithmDer: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  /** In the form `Crypto.verifySignature` takes: ECDSA already as r and s side by side. */
  readonly signature: Uint8Array;
}

export interface Certificate {
  readonly der: Uint8Array;
  /** Two's complement content of the serial number. */
  readonly serial: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  /** Names as DER: compared byte for byte, never interpreted. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, whole. */
  readonly spki: Uint8Array;
  readonly keyKind: KeyKind;
  readonly keyBits: number;
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: KeyUsage | undefined;
  /** OIDs as hexadecimal text of their content. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
}

export interface BasicConstraints {
  readonly critical: boolean;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
}

export interface KeyUsage {
  readonly critical: boolean;
  /** Bit numbers of RFC 5280 4.2.1.3: 0 digitalSignature, 5 keyCertSign, 6 cRLSign. */
  readonly bits: ReadonlySet<number>;
}

export const KEY_USAGE_DIGITAL_SIGNATURE = 0;
export const KEY_USAGE_CERT_SIGN = 5;

/** The error for a certificate rule: every rule has its own code. */
export function certificateError(code: ErrorCode, problem: string): ColdsealError {
  return new ColdsealError(code, `Cannot accept the certificate: ${problem}`);
}

// --- step one: the outer structure ---------------------------------------------------------------------

/** Finds the signed bytes and the signature; throws FORMAT_DER or VERIFY_CERT_ALGORITHM. */
export function splitCertificate(der: Uint8Array): SplitCertificate {
  if (der.length > CERTIFICATE_BYTES_MAX) {
    throw certificateError(
      'VERIFY_CERT_TOO_LARGE',
      `it has ${der.length} bytes, expected at most ${CERTIFICATE_BYTES_MAX}`,
    );
  }
  const outer = openDer(der, DER_TAG.SEQUENCE, 'a certificate');
  const tbs = outer.element(DER_TAG.SEQUENCE).whole;
  const algorithmDer = outer.element(DER_TAG.SEQUENCE).whole;
  const bits = readWholeBits(outer.element(DER_TAG.BIT_STRING).content, 'a certificate signature');
  outer.finish();
  const algorithm = SIGNATURE_ALGORITHMS.get(toHex(algorithmDer));
  if (algorithm === undefined) {
    throw certificateError('VERIFY_CERT_ALGORITHM', 'its signature algorithm is not one of ours');
  }
  const signature = algorithm.startsWith('ecdsa') ? ecdsaRaw(bits, algorithm) : bits;
  return { der, tbs, algorithmDer, algorithm, signature };
}

/**
 * Every accepted AlgorithmIdentifier, as whole DER: a comparison instead of a parser. RSASSA-PSS is SHA-256,
 * MGF1 with SHA-256, 32 bytes of salt (RFC 4055); its hash identifiers may carry NULL or nothing.
 */
const SIGNATURE_ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  [sequence(oid(OID.SHA256_WITH_RSA), NULL()), 'rsa-pkcs1-sha256'],
  [pssIdentifier(NULL()), 'rsa-pss-sha256'],
  [pssIdentifier(''), 'rsa-pss-sha256'],
  [sequence(oid(OID.ECDSA_SHA256)), 'ecdsa-p256-sha256'],
  [sequence(oid(OID.ECDSA_SHA384)), 'ecdsa-p384-sha384'],
  [sequence(oid(OID.ED25519)), 'ed25519'],
]);

function pssIdentifier(hashParameters: string): string {
  const hash = sequence(oid(OID.SHA256), hashParameters);
  const mask = sequence(oid(OID.MGF1), hash);
  return sequence(
    oid(OID.RSASSA_PSS),
    sequence(element('a0', hash), element('a1', mask), element('a2', '020120')),
  );
}

/** DER writers for short constants, in hexadecimal. */
function element(tag: string, ...contents: readonly string[]): string {
  const content = contents.join('');
  return `${tag}${(content.length / 2).toString(16).padStart(2, '0')}${content}`;
}
function sequence(...contents: readonly string[]): string {
  return element('30', ...contents);
}
function oid(content: string): string {
  return element('06', content);
}
function NULL(): string {
  return '0500';
}

/** ECDSA-Sig-Value to r and s of fixed length; integers must be minimal, positive and fit. */
function ecdsaRaw(bits: Uint8Array, algorithm: SignatureAlgorithm): Uint8Array {
  const size = algorithm === 'ecdsa-p256-sha256' ? 32 : 48;
  const reader = openDer(bits, DER_TAG.SEQUENCE, 'an ECDSA signature');
  const raw = new Uint8Array(2 * size);
  for (const at of [0, size]) {
    const content = checkInteger(reader.element(DER_TAG.INTEGER).content, 'an ECDSA signature');
    const digits = content[0] === 0 ? content.subarray(1) : content;
    if (content[0]! >= 0x80 || digits.length > size) {
      throw certificateError('VERIFY_CERT_SIGNATURE', 'an ECDSA signature value is out of range');
    }
    raw.set(digits, at + size - digits.length);
  }
  reader.finish();
  return raw;
}

// --- step two: the fields ------------------------------------------------------------------------------

/** Reads the signed fields; throws FORMAT_DER or a VERIFY_CERT_* code. */
export function readCertificate(split: SplitCertificate): Certificate {
  const tbs = openDer(split.tbs, DER_TAG.SEQUENCE, 'a certificate');
  readVersion(tbs);
  const serial = readSerial(tbs);
  const innerAlgorithm = tbs.element(DER_TAG.SEQUENCE).whole;
  if (!equalBytes(innerAlgorithm, split.algorithmDer)) {
    throw certificateError(
      'VERIFY_CERT_ALGORITHM_MISMATCH',
      'the signature algorithm inside differs from the one outside',
    );
  }
  const issuer = tbs.element(DER_TAG.SEQUENCE).whole;
  const validity = tbs.open(DER_TAG.SEQUENCE, 'a validity');
  const notBefore = readTime(validity.any(), 'notBefore');
  const notAfter = readTime(validity.any(), 'notAfter');
  validity.finish();
  const subject = tbs.element(DER_TAG.SEQUENCE).whole;
  const spki = tbs.element(DER_TAG.SEQUENCE).whole;
  // Unique identifiers ([1] and [2]) are not accepted, so only [3] can follow.
  const extensions = readExtensions(tbs);
  tbs.finish();
  const { der, algorithm } = split;
  const times = { notBefore, notAfter };
  return {
    der,
    serial,
    algorithm,
    issuer,
    subject,
    ...times,
    spki,
    ...readKey(spki),
    ...extensions,
  };
}

function readVersion(tbs: DerReader): void {
  const explicit = tbs.optional(0xa0);
  const version = explicit === undefined ? 0 : readExplicitVersion(explicit.content);
  if (version !== 2) {
    throw certificateError('VERIFY_CERT_VERSION', `it is version ${version + 1}, expected 3`);
  }
}

function readExplicitVersion(content: Uint8Array): number {
  const reader = new DerReader(content, 'a certificate version');
  const version = readSmallInteger(
    reader.element(DER_TAG.INTEGER).content,
    'a certificate version',
  );
  reader.finish();
  return version;
}

function readSerial(tbs: DerReader): Uint8Array {
  const serial = checkInteger(tbs.element(DER_TAG.INTEGER).content, 'a serial number');
  const positive = serial[0]! < 0x80 && serial.some((byte) => byte !== 0);
  if (!positive || serial.length > SERIAL_BYTES_MAX) {
    throw certificateError(
      'VERIFY_CERT_SERIAL',
      `its serial number is 0x${toHex(serial)}, expected a positive one of at most ${SERIAL_BYTES_MAX} bytes`,
    );
  }
  return serial;
}

/** Templates of SubjectPublicKeyInfo before the key's own bytes (RFC 5480, RFC 8410). */
const P256_PREFIX = spkiPrefix(sequence(oid(OID.EC_PUBLIC_KEY), oid(OID.P256)), 65);
const P384_PREFIX = spkiPrefix(sequence(oid(OID.EC_PUBLIC_KEY), oid(OID.P384)), 97);
const ED25519_PREFIX = spkiPrefix(sequence(oid(OID.ED25519)), 32);

function spkiPrefix(algorithm: string, keyBytes: number): Uint8Array {
  const bits = `03${(keyBytes + 1).toString(16)}00`;
  const total = (algorithm.length + bits.length) / 2 + keyBytes;
  const length = total < 0x80 ? total.toString(16) : `81${total.toString(16)}`;
  return fromHex(`30${length}${algorithm}${bits}`)!;
}

/** The kind of an acceptable key; throws VERIFY_CERT_KEY for a weak or unknown one. */
function readKey(spki: Uint8Array): { keyKind: KeyKind; keyBits: number } {
  const starts = (prefix: Uint8Array, keyBytes: number): boolean =>
    spki.length === prefix.length + keyBytes &&
    equalBytes(spki.subarray(0, prefix.length), prefix) &&
    (keyBytes === 32 || spki[prefix.length] === 4);
  if (starts(P256_PREFIX, 65)) return { keyKind: 'p256', keyBits: 256 };
  if (starts(P384_PREFIX, 97)) return { keyKind: 'p384', keyBits: 384 };
  if (starts(ED25519_PREFIX, 32)) return { keyKind: 'ed25519', keyBits: 256 };
  const rsa = readRsaSpki(spki);
  if (rsa === undefined || !isAcceptableRsaKey(rsa)) {
    const found =
      rsa === undefined ? 'another kind' : `RSA-${rsa.bits} with exponent 0x${toHex(rsa.exponent)}`;
    throw certificateError(
      'VERIFY_CERT_KEY',
      `its key is ${found}, expected RSA of ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits ` +
        `with exponent 65537, P-256, P-384 or Ed25519`,
    );
  }
  return { keyKind: 'rsa', keyBits: rsa.bits };
}

type Extensions = Pick<
  Certificate,
  'basicConstraints' | 'keyUsage' | 'extendedKeyUsage' | 'subjectKeyId' | 'authorityKeyId'
>;

function readExtensions(tbs: DerReader): Extensions {
  const found = new Map<string, { critical: boolean; value: Uint8Array }>();
  const explicit = tbs.optional(0xa3);
  const list =
    explicit === undefined ? undefined : openDer(explicit.content, DER_TAG.SEQUENCE, 'extensions');
  while (list !== undefined && !list.done) {
    const entry = list.open(DER_TAG.SEQUENCE, 'an extension');
    const id = entry.oid();
    const flag = entry.optional(DER_TAG.BOOLEAN);
    const critical = flag !== undefined && readBoolean(flag.content, 'an extension');
    if (flag !== undefined && !critical) {
      throw certificateError('VERIFY_CERT_EXTENSION', 'an extension writes the default FALSE out');
    }
    const value = entry.element(DER_TAG.OCTET_STRING).content;
    entry.finish();
    if (found.has(id))
      throw certificateError('VERIFY_CERT_EXTENSION', 'an extension appears twice');
    if (critical && !KNOWN_EXTENSIONS.has(id)) {
      throw certificateError(
        'VERIFY_CERT_CRITICAL_UNKNOWN',
        `a critical extension is unknown (${id})`,
      );
    }
    found.set(id, { critical, value });
  }
  const get = <T>(id: string, read: (value: Uint8Array, critical: boolean) => T): T | undefined => {
    const entry = found.get(id);
    return entry === undefined ? undefined : read(entry.value, entry.critical);
  };
  return {
    basicConstraints: get(OID.BASIC_CONSTRAINTS, readBasicConstraints),
    keyUsage: get(OID.KEY_USAGE, readKeyUsage),
    extendedKeyUsage: get(OID.EXTENDED_KEY_USAGE, readExtendedKeyUsage),
    subjectKeyId: get(OID.SUBJECT_KEY_ID, readSubjectKeyId),
    authorityKeyId: get(OID.AUTHORITY_KEY_ID, readAuthorityKeyId),
  };
}

const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.BASIC_CONSTRAINTS,
  OID.KEY_USAGE,
  OID.EXTENDED_KEY_USAGE,
  OID.SUBJECT_KEY_ID,
  OID.AUTHORITY_KEY_ID,
]);

function readBasicConstraints(value: Uint8Array, critical: boolean): BasicConstraints {
  const reader = openDer(value, DER_TAG.SEQUENCE, 'basic constraints');
  const ca = reader.optional(DER_TAG.BOOLEAN);
  const isCa = ca !== undefined && readBoolean(ca.content, 'basic constraints');
  const length = reader.optional(DER_TAG.INTEGER);
  reader.finish();
  if ((ca !== undefined && !isCa) || (length !== undefined && !isCa)) {
    throw certificateError('VERIFY_CERT_EXTENSION', 'basic constraints contradict themselves');
  }
  const pathLength =
    length === undefined ? undefined : readSmallInteger(length.content, 'a path length');
  return { critical, isCa, pathLength };
}

function readKeyUsage(value: Uint8Array, critical: boolean): KeyUsage {
  const outer = new DerReader(value, 'key usage');
  const bits = readNamedBits(outer.element(DER_TAG.BIT_STRING).content, 'key usage');
  outer.finish();
  return { critical, bits };
}

function readExtendedKeyUsage(value: Uint8Array): readonly string[] {
  const reader = openDer(value, DER_TAG.SEQUENCE, 'extended key usage');
  const usages: string[] = [];
  while (!reader.done) usages.push(reader.oid());
  if (usages.length === 0 || new Set(usages).size !== usages.length) {
    throw certificateError(
      'VERIFY_CERT_EXTENSION',
      'extended key usage is empty or repeats itself',
    );
  }
  return usages;
}

function readSubjectKeyId(value: Uint8Array): Uint8Array {
  const outer = new DerReader(value, 'a subject key identifier');
  const id = outer.element(DER_TAG.OCTET_STRING).content;
  outer.finish();
  return keyId(id);
}

/** Only the key identifier form: issuer and serial would be a second way to name the issuer. */
function readAuthorityKeyId(value: Uint8Array): Uint8Array {
  const reader = openDer(value, DER_TAG.SEQUENCE, 'an authority key identifier');
  const id = reader.element(0x80).content;
  reader.finish();
  return keyId(id);
}

function keyId(id: Uint8Array): Uint8Array {
  if (id.length < 8 || id.length > 32) {
    throw certificateError('VERIFY_CERT_EXTENSION', 'a key identifier is not 8 to 32 bytes');
  }
  return id;
}

/** The common name of a DER name for messages, or undefined. Never used in a decision. */
export function commonName(name: Uint8Array): string | undefined {
  const marker = concatBytes(Uint8Array.of(6, 3), fromHex(OID.COMMON_NAME)!);
  for (let at = 0; at + marker.length + 2 <= name.length; at++) {
    if (!equalBytes(name.subarray(at, at + marker.length), marker)) continue;
    const length = name[at + marker.length + 1]!;
    const text = name.subarray(at + marker.length + 2, at + marker.length + 2 + length);
    return String.fromCharCode(...text).replace(/[^\x20-\x7e]/g, '?');
  }
  return undefined;
}
