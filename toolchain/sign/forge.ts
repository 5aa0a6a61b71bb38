/**
 * Issues keys and certificates with node-forge. It never decides trust: what it makes is read back and
 * checked by our own reader like anyone else's.
 *
 * RSA keys come from node:crypto, which needs a fraction of a second where forge needs many; forge builds and
 * signs the certificates. Extended key usages are written as raw DER, because our arc is a UUID and forge's
 * OID code ends at 53 bits. Serial numbers and dates are derived from the inputs, so that the same keys and
 * dates give the same certificates.
 */
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import forge from 'node-forge';
import { fromHex } from '../../runtime/format/bytes.ts';
import { OID, type Purpose, purposeOid } from '../../runtime/format/oids.ts';

/** Private keys are PKCS#8 PEM, certificates DER. */
export interface IssuedKey {
  readonly privateKeyPem: string;
  readonly certificate: Uint8Array;
}

export interface IssueRequest {
  readonly commonName: string;
  readonly organization: string;
  /** Seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** What it, and for an issuer what it issues, may sign. */
  readonly purposes: readonly Purpose[];
  /** Undefined for a leaf; for an issuer the number of issuers allowed below it. */
  readonly pathLength?: number;
  /** Undefined for a root, which signs itself. */
  readonly issuer?: IssuedKey;
  /** An existing key to certify; a new one is made otherwise. */
  readonly privateKeyPem?: string;
}

/** Size of new keys: the smallest that lasts (NIST SP 800-57), the fastest on a small core. */
const RSA_KEY_BITS = 3072;

/** Makes a key (unless given) and its certificate. */
export function issue(request: IssueRequest): IssuedKey {
  const privateKeyPem = request.privateKeyPem ?? generateRsaKey();
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKeyOf(privateKeyPem);
  certificate.serialNumber = serialOf(request, privateKeyPem);
  certificate.validity.notBefore = new Date(request.notBefore * 1000);
  certificate.validity.notAfter = new Date(request.notAfter * 1000);
  certificate.setSubject([
    { name: 'organizationName', value: request.organization },
    { name: 'commonName', value: request.commonName },
  ]);
  const issuer = request.issuer === undefined ? undefined : parseIssuer(request.issuer);
  certificate.setIssuer(issuer?.attributes ?? certificate.subject.attributes);
  const issuerKeyId = issuer?.keyId ?? keyIdOf(certificate);
  certificate.setExtensions(extensions(request, issuerKeyId));
  const signingKey = forge.pki.privateKeyFromPem(request.issuer?.privateKeyPem ?? privateKeyPem);
  certificate.sign(signingKey, forge.md.sha256.create());
  const der = forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes();
  return { privateKeyPem, certificate: new Uint8Array(Buffer.from(der, 'latin1')) };
}

function generateRsaKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: RSA_KEY_BITS,
    publicExponent: 65537,
  });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function publicKeyOf(privateKeyPem: string): forge.pki.rsa.PublicKey {
  const pem = createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }) as string;
  return forge.pki.publicKeyFromPem(pem);
}

/** 16 bytes from the keys, the name and the dates; the first is 0x40 to 0x7f, so it is positive and full length. */
function serialOf(request: IssueRequest, privateKeyPem: string): string {
  const spki = (pem: string): Buffer =>
    createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const hash = createHash('sha256').update(spki(privateKeyPem));
  if (request.issuer !== undefined) hash.update(spki(request.issuer.privateKeyPem));
  hash.update(JSON.stringify([request.commonName, request.notBefore, request.notAfter]));
  const digest = hash.digest().subarray(0, 16);
  digest[0] = 0x40 | (digest[0]! & 0x3f);
  return digest.toString('hex');
}

interface ParsedIssuer {
  readonly attributes: forge.pki.CertificateField[];
  readonly keyId: string;
}

/** The issuer's name and key identifier. Only these are read, because forge cannot read our purposes. */
function parseIssuer(issuer: IssuedKey): ParsedIssuer {
  const der = forge.util.createBuffer(Buffer.from(issuer.certificate).toString('latin1'));
  const tbs = (forge.asn1.fromDer(der).value as forge.asn1.Asn1[])[0]!;
  const subject = (tbs.value as forge.asn1.Asn1[])[5]!;
  const pki = forge.pki as typeof forge.pki & {
    RDNAttributesAsArray(name: forge.asn1.Asn1): forge.pki.CertificateField[];
  };
  const holder = forge.pki.createCertificate();
  holder.publicKey = publicKeyOf(issuer.privateKeyPem);
  return { attributes: pki.RDNAttributesAsArray(subject), keyId: keyIdOf(holder) };
}

function keyIdOf(certificate: forge.pki.Certificate): string {
  return certificate.generateSubjectKeyIdentifier().getBytes();
}

function extensions(request: IssueRequest, issuerKeyId: string): object[] {
  const isIssuer = request.pathLength !== undefined;
  const constraints = isIssuer
    ? { cA: true, pathLenConstraint: request.pathLength }
    : { cA: false };
  const usage = isIssuer ? { keyCertSign: true, cRLSign: true } : { digitalSignature: true };
  return [
    { name: 'basicConstraints', critical: true, ...constraints },
    { name: 'keyUsage', critical: true, ...usage },
    { name: 'extKeyUsage', critical: true, value: extendedKeyUsage(request.purposes) },
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: issuerKeyId },
  ];
}

/** SEQUENCE of codeSigning and our purposes, as a binary string. */
function extendedKeyUsage(purposes: readonly Purpose[]): string {
  const ids = [OID.CODE_SIGNING, ...[...purposes].sort((a, b) => a - b).map(purposeOid)];
  const elements = ids.map((id) => {
    const content = fromHex(id)!;
    return Buffer.concat([Buffer.from([0x06, content.length]), content]);
  });
  const body = Buffer.concat(elements);
  if (body.length > 127)
    return Buffer.concat([Buffer.from([0x30, 0x81, body.length]), body]).toString('latin1');
  return Buffer.concat([Buffer.from([0x30, body.length]), body]).toString('latin1');
}
