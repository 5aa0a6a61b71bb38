/**
 * Trust files: what `--trust FILE` names.
 *
 * Either PEM certificates of roots, as `keys init` writes and security officers exchange, or the canonical
 * CBOR trust bundle that goes into the sealed initramfs. From a certificate comes its key's pin and, from its
 * extended key usage, what it may anchor; a root without that extension anchors everything but development.
 * There is no default: trust is always given (docs/decisions/0012-trust-files.md).
 */
import { anchorPurposes } from '../../runtime/format/chain.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  decodeTrustBundle,
  encodeTrustBundle,
  type TrustAnchor,
} from '../../runtime/format/trust.ts';
import { readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { namingFile } from '../files/name-file.ts';
import { certificatesOfPem, readSmallFile } from './pem.ts';

/** The anchors of a trust file; throws CONFIG_TRUST_* or what the formats say. */
export function loadTrust(path: string): TrustAnchor[] {
  const bytes = readSmallFile(path);
  const isPem = Buffer.from(bytes).includes('-----BEGIN ');
  const doing = `Cannot use trust file ${path}`;
  if (!isPem) return namingFile(doing, () => [...decodeTrustBundle(bytes).anchors]);
  const text = Buffer.from(bytes).toString();
  const ders = certificatesOfPem(text, path);
  if (text.includes('PRIVATE KEY-----')) {
    throw new ColdsealError('CONFIG_PEM', `${doing}: it has a private key beside certificates`, {
      hint: 'trust files go to every device; make one with the root certificate alone',
    });
  }
  return namingFile(doing, () => ders.map((der) => anchorOfRoot(der, path)));
}

/** The device's trust bundle for some roots. */
export function trustBundleOfRoots(roots: readonly Uint8Array[], version: number): Uint8Array {
  return encodeTrustBundle({ version, anchors: roots.map((der) => anchorOfRoot(der, 'a root')) });
}

/** A root must be able to issue and must have signed itself; a leaf in a trust file is a mistake. */
function anchorOfRoot(der: Uint8Array, path: string): TrustAnchor {
  const crypto = createNodeCrypto();
  const split = splitCertificate(der);
  const root = readCertificate(split);
  const signsItself = crypto.verifySignature(
    split.algorithm,
    root.spki,
    split.tbs,
    split.signature,
  );
  if (root.basicConstraints?.isCa !== true || !signsItself) {
    throw new ColdsealError(
      'CONFIG_TRUST_NOT_ROOT',
      `Cannot trust a certificate of ${path}: expected self-signed roots that may issue`,
      { hint: 'give the root certificate alone, without leaf and intermediate' },
    );
  }
  return { spkiSha256: crypto.sha256(root.spki), purposes: anchorPurposes(root) };
}
