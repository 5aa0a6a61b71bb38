/** runtime/engines/node/crypto.ts in the Node run, with a record of what QuickJS cannot verify: engine-crypto.ts. */
import type { Crypto } from '../../../runtime/crypto.ts';
import { createNodeCrypto as createReal } from '../../../runtime/engines/node/crypto.ts';
import { noteAnswer } from './recorded-crypto.ts';

export function createNodeCrypto(): Crypto {
  const real = createReal();
  return {
    ...real,
    verifySignature: (algorithm, spki, message, signature) => {
      const answer = real.verifySignature(algorithm, spki, message, signature);
      if (!algorithm.startsWith('rsa')) noteAnswer('verify', String(answer));
      return answer;
    },
  };
}
