/**
 * RSA signature verification (RFC 8017): what the device engine uses, and the second opinion on the host.
 *
 * The power is computed over BigInt, or by an engine that has something faster; everything else is here.
 *
 * Lax padding has been the source of every RSA forgery in this field, so nothing is parsed: PKCS#1 v1.5
 * builds the only acceptable encoded message and compares all of it; PSS checks every bit and knows one salt
 * length. The exponent is 65537, so a cube-root forgery has nothing to work with. All values are public:
 * no constant-time claims are made or needed.
 */
import { compareBytes, equalBytes, fromHex, toHex } from './bytes.ts';
import { concatBytes } from './concat.ts';
import { DER_TAG, openDer, readPositiveInteger, readWholeBits } from './der.ts';
import { ColdsealError } from './errors.ts';
import { OID } from './oids.ts';

export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** base^65537 mod modulus; all of one length, big-endian, the modulus odd and larger than the base. */
export type Power65537 = (base: Uint8Array, modulus: Uint8Array) => Uint8Array;

export interface RsaPublicKey {
  /** Big-endian, without leading zeros. */
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
  readonly bits: number;
}

/** The only public exponent accepted. */
const RSA_EXPONENT = Uint8Array.of(1, 0, 1);
/** NIST SP 800-57: 128 bits of strength, through 2030 and beyond. */
export const RSA_BITS_MIN = 3072;
/** A verification costs the square of this: the bound keeps a hostile key from stalling a boot. */
export const RSA_BITS_MAX = 8192;

const HASH_LENGTH = 32;
/** PSS salt length: equal to the hash, as COSE fixes for PS256 (RFC 8230 section 2). */
export const PSS_SALT_LENGTH = 32;
/** DigestInfo for SHA-256 up to the digest (RFC 8017 section 9.2, note 1). */
const DIGEST_INFO_SHA256 = /* @__PURE__ */ fromHex('3031300d060960864801650304020105000420')!;

/** Reads an rsaEncryption SubjectPublicKeyInfo; throws FORMAT_DER. Key size is the caller's policy. */
export function readRsaSpki(spki: Uint8Array): RsaPublicKey | undefined {
  const outer = openDer(spki, DER_TAG.SEQUENCE, 'a public key');
  const algorithm = outer.open(DER_TAG.SEQUENCE, 'a key algorithm');
  if (algorithm.oid() !== OID.RSA_ENCRYPTION) return undefined;
  if (algorithm.element(DER_TAG.NULL).content.length !== 0) return undefined;
  algorithm.finish();
  const bits = readWholeBits(outer.element(DER_TAG.BIT_STRING).content, 'an RSA key');
  outer.finish();
  const key = openDer(bits, DER_TAG.SEQUENCE, 'an RSA key');
  const modulus = readPositiveInteger(key.element(DER_TAG.INTEGER).content, 'an RSA modulus');
  const exponent = readPositiveInteger(key.element(DER_TAG.INTEGER).content, 'an RSA exponent');
  key.finish();
  return { modulus, exponent, bits: 8 * modulus.length - Math.clz32(modulus[0]!) + 24 };
}

/** Whether the key is one this house verifies with: 3072 to 8192 bits, odd, exponent 65537. */
export function isAcceptableRsaKey(key: RsaPublicKey): boolean {
  const sized = key.bits >= RSA_BITS_MIN && key.bits <= RSA_BITS_MAX;
  const isOdd = (key.modulus.at(-1)! & 1) === 1;
  return sized && isOdd && equalBytes(key.exponent, RSA_EXPONENT);
}

/** `Crypto.verifySignature` for the RSA algorithms; bytes that are no RSA key have no good signature. */
export function verifyRsaSignature(
  algorithm: 'rsa-pkcs1-sha256' | 'rsa-pss-sha256',
  spki: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  sha256: Sha256,
  power: Power65537 = powerOverBigInt,
): boolean {
  let key: RsaPublicKey | undefined;
  try {
    key = readRsaSpki(spki);
  } catch (error) {
    if (error instanceof ColdsealError) return false;
    throw error;
  }
  if (key === undefined) return false;
  const block = recoverBlock(key, signature, power);
  if (block === undefined) return false;
  return algorithm === 'rsa-pss-sha256'
    ? verifyPss(key.bits, block, message, sha256)
    : verifyPkcs1(block, message, sha256);
}

/** RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.2): exact comparison of the whole block. */
function verifyPkcs1(block: Uint8Array, message: Uint8Array, sha256: Sha256): boolean {
  const digest = sha256(message);
  const fill = block.length - 3 - DIGEST_INFO_SHA256.length - digest.length;
  if (fill < 8) return false;
  const expected = concatBytes(
    Uint8Array.of(0, 1),
    new Uint8Array(fill).fill(0xff),
    Uint8Array.of(0),
    DIGEST_INFO_SHA256,
    digest,
  );
  return equalBytes(block, expected);
}

/** RSASSA-PSS with SHA-256, MGF1-SHA-256 and a 32-byte salt (RFC 8017 sections 8.1.2 and 9.1.2). */
function verifyPss(bits: number, block: Uint8Array, message: Uint8Array, sha256: Sha256): boolean {
  // emBits is one less than the modulus; when that is a multiple of 8 the block has a leading zero byte.
  const emBits = bits - 1;
  const emLength = Math.ceil(emBits / 8);
  if (block.length > emLength && block[0] !== 0) return false;
  const encoded = block.subarray(block.length - emLength);
  const maskedLength = emLength - HASH_LENGTH - 1;
  if (maskedLength < PSS_SALT_LENGTH + 1 || encoded[emLength - 1] !== 0xbc) return false;
  const masked = encoded.subarray(0, maskedLength);
  const hash = encoded.subarray(maskedLength, maskedLength + HASH_LENGTH);
  const topMask = 0xff >> (8 * emLength - emBits);
  if ((masked[0]! & ~topMask) !== 0) return false;
  const data = mgf1(hash, maskedLength, sha256);
  for (let i = 0; i < maskedLength; i++) data[i] = data[i]! ^ masked[i]!;
  data[0] = data[0]! & topMask;
  const saltAt = maskedLength - PSS_SALT_LENGTH;
  for (let i = 0; i < saltAt - 1; i++) if (data[i] !== 0) return false;
  if (data[saltAt - 1] !== 1) return false;
  const salt = data.subarray(saltAt);
  return equalBytes(hash, sha256(concatBytes(new Uint8Array(8), sha256(message), salt)));
}

/** Mask generation (RFC 8017 appendix B.2.1). */
function mgf1(seed: Uint8Array, length: number, sha256: Sha256): Uint8Array {
  const mask = new Uint8Array(length);
  for (let counter = 0, at = 0; at < length; counter++, at += HASH_LENGTH) {
    const block = sha256(concatBytes(seed, Uint8Array.of(0, 0, counter >> 8, counter & 0xff)));
    mask.set(block.subarray(0, Math.min(HASH_LENGTH, length - at)), at);
  }
  return mask;
}

/** signature^e mod n as bytes of the modulus's length; undefined for a wrong length or a value >= n. */
function recoverBlock(
  key: RsaPublicKey,
  signature: Uint8Array,
  power: Power65537,
): Uint8Array | undefined {
  if (!isAcceptableRsaKey(key)) return undefined;
  const { modulus } = key;
  if (signature.length !== modulus.length || compareBytes(signature, modulus) >= 0)
    return undefined;
  return power(signature, modulus);
}

/** Sixteen squarings and one multiplication; slow where an engine divides slowly, but nobody's own arithmetic. */
export function powerOverBigInt(base: Uint8Array, modulus: Uint8Array): Uint8Array {
  const [start, n] = [BigInt(`0x${toHex(base)}`), BigInt(`0x${toHex(modulus)}`)];
  let value = start;
  for (let i = 0; i < 16; i++) value = (value * value) % n;
  value = (value * start) % n;
  return fromHex(value.toString(16).padStart(2 * modulus.length, '0'))!;
}
