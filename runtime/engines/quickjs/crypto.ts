/**
 * The Crypto interface on QuickJS: RSA by format/rsa.ts, its power and SHA-256 in C.
 *
 * Other algorithms are not listed, so a policy that allows them is refused before anything is verified.
 */
import type { Crypto, SignatureAlgorithm } from '../../crypto.ts';
import { verifyRsaSignature } from '../../format/rsa.ts';
import type { Host } from './host.ts';

const ALGORITHMS: ReadonlySet<SignatureAlgorithm> = new Set<SignatureAlgorithm>([
  'rsa-pkcs1-sha256',
  'rsa-pss-sha256',
]);

/** Verification without a library. */
export function createQuickjsCrypto(host: Pick<Host, 'sha256' | 'power65537'>): Crypto {
  const sha256 = (bytes: Uint8Array): Uint8Array => host.sha256(bytes);
  return {
    algorithms: ALGORITHMS,
    sha256,
    verifySignature: (algorithm, spki, message, signature) =>
      (algorithm === 'rsa-pss-sha256' || algorithm === 'rsa-pkcs1-sha256') &&
      verifyRsaSignature(algorithm, spki, message, signature, sha256, host.power65537),
  };
}
