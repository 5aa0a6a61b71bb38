/**
 * Signs evidence: the exact bytes of a report's JSON, in the envelope of all signed objects, with a label and a purpose
 * of its own (docs/decisions/0049-signed-evidence.md).
 *
 * Refused: a key that is not for evidence, an expired leaf, and what `verify` would not take for evidence afterwards.
 * The signature is verified by two implementations before anyone sees it (sign-envelope.ts).
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { PURPOSE, purposeName } from '../../runtime/format/oids.ts';
import { readEvidenceJson } from './evidence-json.ts';
import { signEnvelope } from './sign-envelope.ts';
import { checkDates } from './sign-manifest.ts';
import type { Signer, SignerDescription } from './signer.ts';

export interface SignEvidenceOptions {
  /** Seconds since 1970; the host's clock by default. Never enters the envelope. */
  readonly now?: number;
}

/** The signed envelope of evidence, already verified through two code paths. */
export function signEvidence(
  json: Uint8Array,
  signer: Signer,
  options: SignEvidenceOptions = {},
): Uint8Array {
  checkEvidenceSigner(signer.describe(), options);
  readEvidenceJson(json);
  return signEnvelope('evidence', json, signer);
}

/** Refuses a signer that must not sign evidence; a report asks before its work begins. */
export function checkEvidenceSigner(
  signer: SignerDescription,
  { now = Math.floor(Date.now() / 1000) }: SignEvidenceOptions = {},
): void {
  if (!signer.purposes.includes(PURPOSE.EVIDENCE)) {
    const named = signer.purposes.map(purposeName).join(', ');
    throw new ColdsealError(
      'CONFIG_KEY_ROLE',
      `Cannot sign evidence with ${signer.name}: it is for ${named}`,
      { hint: 'evidence has a signer of its own: evidence.key.pem of coldseal keys init' },
    );
  }
  checkDates(signer, now);
}
