/**
 * What runtime/engines/node/crypto.ts means on QuickJS: the engine's own Crypto, so that every test of a signature is
 * one of RSA over BigInt.
 *
 * It has no elliptic curves. What tests ask of those was recorded on Node (recorded-engine-crypto.ts): the code around
 * a verification is what they test, and that runs here.
 */
import type { Crypto, SignatureAlgorithm } from '../../../runtime/crypto.ts';
import { createQuickjsCrypto } from '../../../runtime/engines/quickjs/crypto.ts';
import { replayAnswer } from './replayed-crypto.ts';

export function createNodeCrypto(): Crypto {
  const own = createQuickjsCrypto(COLDSEAL_HOST);
  const others = ['ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'ed25519'] as const;
  return {
    algorithms: new Set<SignatureAlgorithm>([...own.algorithms, ...others]),
    sha256: own.sha256,
    verifySignature: (algorithm, spki, message, signature) =>
      own.algorithms.has(algorithm)
        ? own.verifySignature(algorithm, spki, message, signature)
        : replayAnswer('verify') === 'true',
  };
}
