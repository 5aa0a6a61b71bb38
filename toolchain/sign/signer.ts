/**
 * What signs: something that knows its chain and turns bytes into a signature.
 *
 * The whole Sig_structure goes to the signer, not its hash, so that a signing service can read what it signs
 * and apply its own policy. Signing is synchronous: an external helper is awaited with spawnSync.
 */
import type { CoseAlgorithm } from '../../runtime/format/envelope.ts';
import type { Purpose } from '../../runtime/format/oids.ts';

export interface SignerDescription {
  /** For messages: a path, a token label, a helper's name. */
  readonly name: string;
  readonly algorithm: CoseAlgorithm;
  /** DER certificates, leaf first, anchor last. */
  readonly chain: readonly Uint8Array[];
  /** SHA-256 of the leaf's SubjectPublicKeyInfo, lower-case hexadecimal: the key's id everywhere. */
  readonly spkiSha256: string;
  /** What the leaf may sign. */
  readonly purposes: readonly Purpose[];
  /** Validity of the leaf, seconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Signer {
  describe(): SignerDescription;
  /** The signature over `tbs` in COSE form. */
  sign(tbs: Uint8Array): Uint8Array;
}
