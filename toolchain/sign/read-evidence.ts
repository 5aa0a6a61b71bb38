/**
 * Verifies signed evidence, with the code and in the order of every signed object (runtime/verify.ts): size, one shape
 * in shortest forms, content type, algorithm, chain to a pinned anchor, published keys, signature over the exact bytes,
 * purpose, deny list. Only then is the JSON looked at.
 *
 * The signature is verified twice, by node:crypto and by the device's own code, because what comes out may be written
 * to a file and believed for years. Devices never read evidence; its larger size is for hosts alone.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { checkValidity, type VerifiedChain } from '../../runtime/format/chain.ts';
import { EVIDENCE_ENVELOPE_BYTES_MAX } from '../../runtime/format/envelope.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import {
  checkDenied,
  type TrustPolicy,
  verifyDenyList,
  verifyEnvelope,
} from '../../runtime/verify.ts';
import { createNodeCrypto } from '../../runtime/engines/node/crypto.ts';
import { type EvidenceFacts, readEvidenceJson } from './evidence-json.ts';
import { readWhole } from './release-files.ts';
import { createDeviceCrypto } from './sign-envelope.ts';

export interface EvidencePolicy extends TrustPolicy {
  /** The envelope of a deny list. */
  readonly denyList?: Uint8Array | undefined;
  /** Asks whether the certificates are valid at this time, seconds since 1970. Undefined: dates are not judged. */
  readonly now?: number | undefined;
}

export interface VerifiedEvidence {
  /** The exact bytes that were signed, in a copy of their own. */
  readonly payload: Uint8Array;
  readonly chain: VerifiedChain;
  readonly facts: EvidenceFacts;
}

/** Verifies evidence; throws the code of the first no. */
export function verifyEvidence(bytes: Uint8Array, policy: EvidencePolicy): VerifiedEvidence {
  const node = createNodeCrypto();
  const { payload, chain } = verifyEnvelope(bytes, 'evidence', policy, node);
  verifyEnvelope(bytes, 'evidence', policy, createDeviceCrypto());
  if (policy.denyList !== undefined) {
    const list = verifyDenyList(policy.denyList, policy, 0, node);
    checkDenied(chain, node.sha256(payload), list, node);
  }
  if (policy.now !== undefined) checkDatesNow(chain, policy.now);
  return { payload, chain, facts: readEvidenceJson(payload) };
}

/** By the rule of an installation, in words for evidence. */
function checkDatesNow(chain: VerifiedChain, now: number): void {
  try {
    checkValidity(chain, now, true);
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    const message = error.message.replace('Cannot install', 'Cannot accept the evidence today');
    throw new ColdsealError(error.code, message, {
      hint: 'without --mode install the dates of certificates are not judged',
      cause: error,
    });
  }
}

/** A file of evidence. At most one byte more than allowed is read: the size then has its own code. */
export function readEvidenceFile(path: string): Uint8Array {
  let fd: number | undefined;
  try {
    // O_NONBLOCK: a FIFO must not stop the check.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) {
      throw new ColdsealError(
        'USAGE_NOT_A_FILE',
        `Cannot verify ${path}: it is not a regular file, expected signed evidence or a release directory`,
      );
    }
    return readWhole(fd, Math.min(stat.size, EVIDENCE_ENVELOPE_BYTES_MAX + 1));
  } catch (error) {
    throw explainSysError(error, `Cannot read ${path}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
