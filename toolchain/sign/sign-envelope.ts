/**
 * From payload to envelope, in the two steps of offline signing: plan, then attach.
 *
 * `planEnvelope` fixes the protected header and gives the exact bytes to sign (`tbs`); they can be carried to
 * another room. `attachSignature` puts the signature in and verifies the result twice, with node:crypto and
 * with the BigInt code of the device, before anyone sees it: a broken helper or token must not reach a disk.
 */
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import type { Crypto } from '../../runtime/crypto.ts';
import { anchorPurposes } from '../../runtime/format/chain.ts';
import {
  type CoseAlgorithm,
  encodeEnvelope,
  encodeProtectedHeader,
  encodeSigStructure,
  envelopeBytesMax,
  type ObjectKind,
} from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { verifyRsaSignature } from '../../runtime/format/rsa.ts';
import { PURPOSES } from '../../runtime/format/oids.ts';
import type { TrustAnchor } from '../../runtime/format/trust.ts';
import { readCertificate, splitCertificate } from '../../runtime/format/x509.ts';
import { verifyEnvelope } from '../../runtime/verify.ts';
import type { Signer } from './signer.ts';

export interface EnvelopePlan {
  readonly kind: ObjectKind;
  readonly algorithm: CoseAlgorithm;
  readonly chain: readonly Uint8Array[];
  readonly protectedHeader: Uint8Array;
  readonly payload: Uint8Array;
  /** Sig_structure: what the key signs. */
  readonly tbs: Uint8Array;
}

/** Fixes everything but the signature. */
export function planEnvelope(
  kind: ObjectKind,
  payload: Uint8Array,
  signer: { readonly algorithm: CoseAlgorithm; readonly chain: readonly Uint8Array[] },
): EnvelopePlan {
  const { algorithm, chain } = signer;
  const thumbprint = createNodeCrypto().sha256(chain[0]!);
  const protectedHeader = encodeProtectedHeader({ kind, algorithm, chain, thumbprint });
  const tbs = encodeSigStructure(kind, protectedHeader, payload);
  return { kind, algorithm, chain, protectedHeader, payload, tbs };
}

/** Completes a plan; throws what the verification says if the signature is not good. */
export function attachSignature(plan: EnvelopePlan, signature: Uint8Array): Uint8Array {
  const envelope = encodeEnvelope(plan.protectedHeader, plan.payload, signature);
  const maxBytes = envelopeBytesMax(plan.kind);
  if (envelope.length > maxBytes) {
    throw new ColdsealError(
      'CONFIG_ENVELOPE_SIZE',
      `Cannot write an envelope of ${envelope.length} bytes for ${plan.kind}: expected at most ${maxBytes}`,
    );
  }
  // Not a decision about trust: whatever the chain ends at is the anchor, for everything.
  const anchor = { ...anchorOf(plan.chain), purposes: PURPOSES };
  const policy = { anchors: [anchor], algorithms: [plan.algorithm] };
  for (const crypto of [createNodeCrypto(), createDeviceCrypto()]) {
    verifyEnvelope(envelope, plan.kind, policy, crypto);
  }
  return envelope;
}

/** Plans, signs, attaches. */
export function signEnvelope(kind: ObjectKind, payload: Uint8Array, signer: Signer): Uint8Array {
  const plan = planEnvelope(kind, payload, signer.describe());
  return attachSignature(plan, signer.sign(plan.tbs));
}

/** The anchor a chain ends at, with what its certificate allows. */
export function anchorOf(chain: readonly Uint8Array[]): TrustAnchor {
  const root = readCertificate(splitCertificate(chain[chain.length - 1]!));
  return { spkiSha256: createNodeCrypto().sha256(root.spki), purposes: anchorPurposes(root) };
}

/** RSA by the device's own code, the rest by node:crypto: the second opinion on every signature. */
export function createDeviceCrypto(): Crypto {
  const node = createNodeCrypto();
  return {
    ...node,
    verifySignature: (algorithm, spki, message, signature) => {
      if (algorithm === 'rsa-pss-sha256' || algorithm === 'rsa-pkcs1-sha256') {
        return verifyRsaSignature(algorithm, spki, message, signature, node.sha256);
      }
      return node.verifySignature(algorithm, spki, message, signature);
    },
  };
}
