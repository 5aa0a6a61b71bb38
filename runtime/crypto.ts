/**
 * The cryptography that verification needs, as an interface: engines hand in their own.
 *
 * `verifySignature` answers true or false for any input and never throws on hostile bytes. An algorithm that
 * the engine does not list in `algorithms` must be refused by the caller before: "cannot verify" is an error
 * with its own code, never a no that could be mistaken for a bad signature, and never a yes.
 */

/** ECDSA signatures are r and s side by side (IEEE P1363); RSA-PSS has a 32-byte salt; RSA is >= 3072 bits. */
export type SignatureAlgorithm =
  'rsa-pkcs1-sha256' | 'rsa-pss-sha256' | 'ecdsa-p256-sha256' | 'ecdsa-p384-sha384' | 'ed25519';

export interface Crypto {
  /** What this engine can verify. */
  readonly algorithms: ReadonlySet<SignatureAlgorithm>;
  sha256(bytes: Uint8Array): Uint8Array;
  /** Whether `signature` over `message` is good for the key in `spki` (DER SubjectPublicKeyInfo). */
  verifySignature(
    algorithm: SignatureAlgorithm,
    spki: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
  ): boolean;
}
