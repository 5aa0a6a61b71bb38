/** A good chain for tests, each certificate of which can be replaced; and signers over it. */
import { constants, type KeyObject, sign } from 'node:crypto';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { toHex } from '../../runtime/format/bytes.ts';
import { COSE_PS256, type CoseAlgorithm } from '../../runtime/format/envelope.ts';
import { type Purpose, PURPOSE, PURPOSES } from '../../runtime/format/oids.ts';
import type { TrustAnchor } from '../../runtime/format/trust.ts';
import type { Signer } from '../../toolchain/sign/signer.ts';
import {
  type CertificateParts,
  keyIdOf,
  makeCertificate,
  PARTS,
  spkiOf,
  testKey,
} from './make-certificate.ts';

const KEY_CERT_SIGN = 5;

export const KEYS = {
  get root(): KeyObject {
    return testKey('root');
  },
  get intermediate(): KeyObject {
    return testKey('intermediate');
  },
  get leaf(): KeyObject {
    return testKey('leaf');
  },
  get other(): KeyObject {
    return testKey('other');
  },
};

type Change = Partial<CertificateParts>;

/** The parts of a good root, intermediate and leaf. */
export function goodParts(purposes: readonly Purpose[] = [PURPOSE.PRODUCTION]): {
  root: CertificateParts;
  intermediate: CertificateParts;
  leaf: CertificateParts;
} {
  const issuerExtensions = (key: KeyObject, pathLength: number): Uint8Array[] => [
    PARTS.basicConstraints(true, pathLength),
    PARTS.keyUsage([KEY_CERT_SIGN]),
    PARTS.subjectKeyId(keyIdOf(key)),
    PARTS.authorityKeyId(keyIdOf(KEYS.root)),
  ];
  return {
    root: {
      key: KEYS.root,
      issuerKey: KEYS.root,
      subject: 'test root',
      issuer: 'test root',
      extensions: issuerExtensions(KEYS.root, 1),
    },
    intermediate: {
      key: KEYS.intermediate,
      issuerKey: KEYS.root,
      subject: 'test intermediate',
      issuer: 'test root',
      extensions: issuerExtensions(KEYS.intermediate, 0),
    },
    leaf: {
      key: KEYS.leaf,
      issuerKey: KEYS.intermediate,
      subject: 'test leaf',
      issuer: 'test intermediate',
      extensions: [
        PARTS.basicConstraints(false),
        PARTS.keyUsage([0]),
        PARTS.purposes(purposes),
        PARTS.subjectKeyId(keyIdOf(KEYS.leaf)),
        PARTS.authorityKeyId(keyIdOf(KEYS.intermediate)),
      ],
    },
  };
}

/** A chain, leaf first, with some parts replaced. */
export function makeChain(
  change: {
    root?: Change;
    intermediate?: Change;
    leaf?: Change;
    purposes?: readonly Purpose[];
  } = {},
): Uint8Array[] {
  const good = goodParts(change.purposes);
  return (['leaf', 'intermediate', 'root'] as const).map((which) =>
    makeCertificate({ ...good[which], ...change[which] }),
  );
}

/** The anchor of the test root, for all purposes unless told otherwise. */
export function testAnchor(
  key: KeyObject = KEYS.root,
  purposes: readonly Purpose[] = PURPOSES,
): TrustAnchor {
  return { spkiSha256: createNodeCrypto().sha256(spkiOf(key)), purposes };
}

/** A signer over any key and chain, without the checks of the real ones. */
export function testSigner(
  purposes: readonly Purpose[] = [PURPOSE.PRODUCTION],
  chain: readonly Uint8Array[] = makeChain({ purposes }),
  key: KeyObject = KEYS.leaf,
  algorithm: CoseAlgorithm = COSE_PS256,
): Signer {
  const description = {
    name: 'test signer',
    algorithm,
    chain,
    spkiSha256: toHex(createNodeCrypto().sha256(spkiOf(key))),
    purposes,
    notBefore: 0,
    notAfter: 4_000_000_000,
  };
  return {
    describe: () => description,
    sign: (tbs) => {
      if (algorithm === COSE_PS256) {
        const padding = constants.RSA_PKCS1_PSS_PADDING;
        return sign('sha256', tbs, { key, padding, saltLength: 32 });
      }
      return key.asymmetricKeyType === 'ed25519'
        ? sign(null, tbs, key)
        : sign('sha256', tbs, { key, dsaEncoding: 'ieee-p1363' });
    },
  };
}
