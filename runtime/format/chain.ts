/**
 * From a chain of certificates to a key that may sign: every rule with its own code.
 *
 * The chain runs leaf first, anchor last. The anchor is known by the SHA-256 of its SubjectPublicKeyInfo and
 * by nothing else: a name proves nothing. Certificates are walked from the anchor down, and each signature
 * is checked before a field of the certificate is read. The anchor's own signature is not checked, because a
 * self-signature proves nothing either; its bytes are covered by the envelope's signature.
 *
 * Time is not looked at here. A board in storage must still boot, so only an installation asks for validity
 * (`checkValidity`).
 */
import type { Crypto, SignatureAlgorithm } from '../crypto.ts';
import { equalBytes, toHex } from './bytes.ts';
import { ColdsealError } from './errors.ts';
import { OID, type Purpose, purposeName, purposeOfOid, PURPOSES } from './oids.ts';
import type { TrustAnchor } from './trust.ts';
import {
  type Certificate,
  certificateError,
  commonName,
  KEY_USAGE_CERT_SIGN,
  KEY_USAGE_DIGITAL_SIGNATURE,
  type KeyKind,
  readCertificate,
  type SplitCertificate,
  splitCertificate,
} from './x509.ts';

/** Leaf, two intermediates, anchor: as deep as the key hierarchy of keys/README.md gets. */
export const CHAIN_LENGTH_MAX = 4;
export const CHAIN_LENGTH_MIN = 2;

export interface VerifiedChain {
  readonly leaf: Certificate;
  /** Leaf first, anchor last. */
  readonly certificates: readonly Certificate[];
  readonly anchor: TrustAnchor;
  /** What the leaf may sign: named by it and allowed by every issuer and by the anchor's entry. */
  readonly purposes: ReadonlySet<Purpose>;
}

/** Checks a chain up to a pinned anchor; throws the code of the first rule that says no. */
export function verifyChain(
  ders: readonly Uint8Array[],
  anchors: readonly TrustAnchor[],
  crypto: Crypto,
): VerifiedChain {
  if (ders.length < CHAIN_LENGTH_MIN || ders.length > CHAIN_LENGTH_MAX) {
    throw new ColdsealError(
      'VERIFY_CHAIN_LENGTH',
      `Cannot accept a chain of ${ders.length} certificates: expected ${CHAIN_LENGTH_MIN} to ${CHAIN_LENGTH_MAX}`,
    );
  }
  const root = readCertificate(splitCertificate(ders[ders.length - 1]!));
  const anchor = findAnchor(root, anchors, crypto);
  checkIssuer(root, ders.length - 2);
  const certificates = [root];
  for (let index = ders.length - 2; index >= 0; index--) {
    const issuer = certificates[0]!;
    const split = splitCertificate(ders[index]!);
    checkSignature(split, issuer, crypto);
    const certificate = readCertificate(split);
    checkLink(certificate, issuer);
    if (index > 0) checkIssuer(certificate, index - 1);
    else checkLeaf(certificate);
    certificates.unshift(certificate);
  }
  const leaf = certificates[0]!;
  return { leaf, certificates, anchor, purposes: checkPurposes(certificates, anchor) };
}

function findAnchor(
  root: Certificate,
  anchors: readonly TrustAnchor[],
  crypto: Crypto,
): TrustAnchor {
  const pin = crypto.sha256(root.spki);
  const anchor = anchors.find((candidate) => equalBytes(candidate.spkiSha256, pin));
  if (anchor === undefined) {
    throw new ColdsealError(
      'VERIFY_ANCHOR_UNKNOWN',
      `Cannot trust the chain: it ends at key ${toHex(pin)}, expected one of ${anchors.length} pinned keys`,
      { hint: 'check that the trust file is the one for these keys (keys show prints the pins)' },
    );
  }
  return anchor;
}

/** Which key each signature algorithm belongs to. */
const KEY_OF_ALGORITHM: Readonly<Record<SignatureAlgorithm, KeyKind>> = {
  'rsa-pkcs1-sha256': 'rsa',
  'rsa-pss-sha256': 'rsa',
  'ecdsa-p256-sha256': 'p256',
  'ecdsa-p384-sha384': 'p384',
  ed25519: 'ed25519',
};

function checkSignature(split: SplitCertificate, issuer: Certificate, crypto: Crypto): void {
  if (KEY_OF_ALGORITHM[split.algorithm] !== issuer.keyKind) {
    throw certificateError(
      'VERIFY_CERT_ALGORITHM',
      `it says ${split.algorithm}, but its issuer's key is ${issuer.keyKind}`,
    );
  }
  requireAlgorithm(crypto, split.algorithm);
  if (!crypto.verifySignature(split.algorithm, issuer.spki, split.tbs, split.signature)) {
    throw certificateError('VERIFY_CERT_SIGNATURE', "its signature is not its issuer's");
  }
}

/** Refuses an algorithm that the engine cannot verify: "cannot tell" is never a yes. */
export function requireAlgorithm(crypto: Crypto, algorithm: SignatureAlgorithm): void {
  if (!crypto.algorithms.has(algorithm)) {
    throw new ColdsealError(
      'VERIFY_ALGORITHM_UNAVAILABLE',
      `Cannot verify ${algorithm}: this engine has ${[...crypto.algorithms].join(', ')}`,
    );
  }
}

/** What binds a certificate to its issuer besides the signature: names and key identifiers. */
function checkLink(certificate: Certificate, issuer: Certificate): void {
  if (!equalBytes(certificate.issuer, issuer.subject)) {
    throw certificateError('VERIFY_CERT_NAME', "its issuer name is not its issuer's subject");
  }
  const wanted = issuer.subjectKeyId;
  const named = certificate.authorityKeyId;
  if (wanted === undefined || named === undefined || !equalBytes(wanted, named)) {
    throw certificateError(
      'VERIFY_CERT_KEY_ID',
      "its authority key identifier is not its issuer's subject key identifier",
    );
  }
}

/** Rules for a certificate that issues; `below` is how many issuing certificates follow it. */
function checkIssuer(certificate: Certificate, below: number): void {
  const constraints = certificate.basicConstraints;
  if (constraints === undefined || !constraints.isCa || !constraints.critical) {
    throw certificateError(
      'VERIFY_CERT_ISSUER_NOT_CA',
      'it issues, but has no critical basic constraints with cA true',
    );
  }
  if (certificate.keyUsage === undefined || !certificate.keyUsage.critical) {
    throw certificateError('VERIFY_CERT_KEY_USAGE_MISSING', 'it has no critical key usage');
  }
  if (!certificate.keyUsage.bits.has(KEY_USAGE_CERT_SIGN)) {
    throw certificateError('VERIFY_CERT_KEY_USAGE_ISSUER', 'it issues without keyCertSign');
  }
  if (certificate.subject.length <= 2) {
    throw certificateError('VERIFY_CERT_NAME', 'it issues under an empty name');
  }
  if (constraints.pathLength !== undefined && below > constraints.pathLength) {
    throw certificateError(
      'VERIFY_CERT_PATH_LENGTH',
      `${below} issuing certificates follow, its path length allows ${constraints.pathLength}`,
    );
  }
}

function checkLeaf(certificate: Certificate): void {
  const constraints = certificate.basicConstraints;
  if (constraints === undefined) {
    throw certificateError('VERIFY_CERT_LEAF_CONSTRAINTS', 'the leaf has no basic constraints');
  }
  if (constraints.isCa) throw certificateError('VERIFY_CERT_LEAF_IS_CA', 'the leaf may issue');
  const usage = certificate.keyUsage;
  if (usage === undefined || !usage.critical) {
    throw certificateError('VERIFY_CERT_KEY_USAGE_MISSING', 'it has no critical key usage');
  }
  if (usage.bits.size !== 1 || !usage.bits.has(KEY_USAGE_DIGITAL_SIGNATURE)) {
    throw certificateError(
      'VERIFY_CERT_KEY_USAGE_LEAF',
      'its key usage is not digitalSignature alone',
    );
  }
  checkLeafUsages(certificate.extendedKeyUsage);
}

function checkLeafUsages(usages: readonly string[] | undefined): void {
  if (usages === undefined || !usages.includes(OID.CODE_SIGNING)) {
    throw certificateError(
      'VERIFY_CERT_EKU_CODE_SIGNING',
      'its extended key usage lacks codeSigning',
    );
  }
  if (usages.includes(OID.ANY_KEY_USAGE)) {
    throw certificateError('VERIFY_CERT_EKU_ANY', 'its extended key usage allows any purpose');
  }
  const foreign = usages.find((id) => id !== OID.CODE_SIGNING && purposeOfOid(id) === undefined);
  if (foreign !== undefined) {
    throw certificateError(
      'VERIFY_CERT_EKU_FOREIGN',
      `its extended key usage names a purpose of someone else (${foreign})`,
    );
  }
  if (usages.length === 1) {
    throw certificateError(
      'VERIFY_CERT_EKU_PURPOSE',
      'its extended key usage names none of our purposes',
    );
  }
}

/**
 * The leaf's purposes, each of which every issuer with an extended key usage and the anchor's entry in the
 * trust bundle must allow. So a development root can never speak for production, whatever it issues.
 */
function checkPurposes(
  certificates: readonly Certificate[],
  anchor: TrustAnchor,
): ReadonlySet<Purpose> {
  const purposes = purposesOf(certificates[0]!.extendedKeyUsage!);
  for (const [index, issuer] of certificates.slice(1).entries()) {
    const usages = issuer.extendedKeyUsage;
    if (usages === undefined) continue;
    if (!usages.includes(OID.CODE_SIGNING)) {
      throw certificateError(
        'VERIFY_CERT_EKU_ISSUER',
        'an issuer restricts usages without codeSigning',
      );
    }
    checkAllowed(purposes, purposesOf(usages), `issuer ${index + 1}`);
  }
  checkAllowed(purposes, new Set(anchor.purposes), 'the trust anchor');
  return purposes;
}

function checkAllowed(
  purposes: ReadonlySet<Purpose>,
  allowed: ReadonlySet<Purpose>,
  by: string,
): void {
  for (const purpose of purposes) {
    if (!allowed.has(purpose)) {
      throw certificateError(
        'VERIFY_CERT_EKU_NESTING',
        `${by} does not allow ${purposeName(purpose)}`,
      );
    }
  }
}

/** Our purposes among extended key usages. */
export function purposesOf(usages: readonly string[]): ReadonlySet<Purpose> {
  const found = usages.map(purposeOfOid).filter((purpose) => purpose !== undefined);
  return new Set(found);
}

/** What a root may anchor when it comes as a certificate: its own usages, else all but development. */
export function anchorPurposes(root: Certificate): readonly Purpose[] {
  const usages = root.extendedKeyUsage;
  if (usages !== undefined) return [...purposesOf(usages)].sort((a, b) => a - b);
  return PURPOSES.filter((purpose) => purposeName(purpose) !== 'development');
}

/**
 * Whether the certificates below the anchor are valid at `now`; only an installation asks. With a time that
 * is merely a floor, a certificate from the future may be real and the clock wrong, so it is let through.
 */
export function checkValidity(chain: VerifiedChain, now: number, isTrusted: boolean): void {
  for (const certificate of chain.certificates.slice(0, -1)) {
    const name = commonName(certificate.subject) ?? 'a certificate';
    if (now > certificate.notAfter) {
      throw new ColdsealError('VERIFY_CERT_EXPIRED', `Cannot install: ${name} has expired`, {
        hint: 'boot never asks for this; an installation needs a release signed with a current key',
      });
    }
    if (isTrusted && now < certificate.notBefore) {
      throw new ColdsealError(
        'VERIFY_CERT_NOT_YET_VALID',
        `Cannot install: ${name} is not valid yet`,
      );
    }
  }
}
