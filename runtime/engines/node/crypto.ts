/**
 * The Crypto interface on node:crypto.
 *
 * OpenSSL would verify RSA-1024 or any salt length if asked; the limits of the interface are enforced here,
 * so that this engine and the BigInt one (runtime/format/rsa.ts) say the same for every input.
 */
import { createHash, createPublicKey, constants, type KeyObject, verify } from 'node:crypto';
import type { Crypto, SignatureAlgorithm } from '../../crypto.ts';
import { isAcceptableRsaKey, PSS_SALT_LENGTH, readRsaSpki } from '../../format/rsa.ts';

const ALGORITHMS: ReadonlySet<SignatureAlgorithm> = new Set<SignatureAlgorithm>([
  'rsa-pkcs1-sha256',
  'rsa-pss-sha256',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'ed25519',
]);

/** Verification on OpenSSL. */
export function createNodeCrypto(): Crypto {
  return {
    algorithms: ALGORITHMS,
    sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
    verifySignature: (algorithm, spki, message, signature) => {
      const key = importKey(algorithm, spki);
      return key !== undefined && verifyWith(algorithm, key, message, signature);
    },
  };
}

/** The key, or undefined when it is not one for this algorithm. */
function importKey(algorithm: SignatureAlgorithm, spki: Uint8Array): KeyObject | undefined {
  let key: KeyObject;
  try {
    if (algorithm.startsWith('rsa')) {
      const rsa = readRsaSpki(spki);
      if (rsa === undefined || !isAcceptableRsaKey(rsa)) return undefined;
    }
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch {
    return undefined; // Not a key: the answer to "is this signature good for it" is no.
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const fits = {
    'rsa-pkcs1-sha256': key.asymmetricKeyType === 'rsa',
    'rsa-pss-sha256': key.asymmetricKeyType === 'rsa',
    'ecdsa-p256-sha256': curve === 'prime256v1',
    'ecdsa-p384-sha384': curve === 'secp384r1',
    ed25519: key.asymmetricKeyType === 'ed25519',
  }[algorithm];
  return fits ? key : undefined;
}

function verifyWith(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    switch (algorithm) {
      case 'rsa-pkcs1-sha256':
        return verify('sha256', message, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
      case 'rsa-pss-sha256': {
        const padding = constants.RSA_PKCS1_PSS_PADDING;
        return verify('sha256', message, { key, padding, saltLength: PSS_SALT_LENGTH }, signature);
      }
      case 'ecdsa-p256-sha256':
        return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
      case 'ecdsa-p384-sha384':
        return verify('sha384', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
      case 'ed25519':
        return verify(null, message, key, signature);
    }
  } catch {
    return false; // OpenSSL throws on some malformed signatures; malformed is not good.
  }
}
