/**
 * The envelope: COSE_Sign1 (RFC 9052) with the signer's chain (RFC 9360), in one fixed shape.
 *
 *   18([ << { 1: alg, 2: [33, 34], 3: content type, 33: [leaf, ..., anchor], 34: [-16, SHA-256 of leaf] } >>,
 *        {}, payload, signature ])
 *
 * Everything but the signature is under the signature: the chain sits in the protected header and the
 * unprotected one is empty, so no byte can change unseen. `crit` lists the two labels that a reader must
 * understand. The kind of object (manifest, trust bundle, deny list, evidence) enters the signature twice,
 * as external_aad and as content type, so that none can be used as another.
 *
 * This parser is the only code that sees unauthenticated bytes, so it knows nothing but this shape: no
 * general CBOR, no optional parts, definite and minimal lengths, every cap before its allocation.
 */
import type { SignatureAlgorithm } from '../crypto.ts';
import { ascii, toByteString } from './bytes.ts';
import { encodeCanonical, encodeHead } from './cbor.ts';
import { CHAIN_LENGTH_MAX, CHAIN_LENGTH_MIN } from './chain.ts';
import { concatBytes } from './concat.ts';
import { ColdsealError } from './errors.ts';
import { PURPOSE, type Purpose } from './oids.ts';
import { CERTIFICATE_BYTES_MAX, type KeyKind } from './x509.ts';

/** The whole envelope of everything that a device reads. RAUC uses the same cap for its signatures. */
export const ENVELOPE_BYTES_MAX = 64 * 1024;
/** Evidence is read by hosts alone: JSON with the samples of up to some hundred thousand boots. */
export const EVIDENCE_ENVELOPE_BYTES_MAX = 64 * 1024 * 1024;
/** RSA-8192, the largest signature accepted. */
const SIGNATURE_BYTES_MAX = 1024;

export type ObjectKind = 'manifest' | 'trust bundle' | 'deny list' | 'evidence';

/** external_aad of each kind. The version is that of the label, raised if a kind's meaning ever changes. */
export const CONTEXT_LABELS: Readonly<Record<ObjectKind, string>> = {
  manifest: 'coldseal manifest v1',
  'trust bundle': 'coldseal trust bundle v1',
  'deny list': 'coldseal deny list v1',
  evidence: 'coldseal evidence v1',
};

const CONTENT_TYPES: Readonly<Record<ObjectKind, string>> = {
  manifest: 'application/vnd.coldseal.manifest+cbor',
  'trust bundle': 'application/vnd.coldseal.trust+cbor',
  'deny list': 'application/vnd.coldseal.deny+cbor',
  evidence: 'application/vnd.coldseal.evidence+json',
};

/** Purposes that may sign each kind; for a manifest it is the role the manifest names. */
export const KIND_PURPOSES: Readonly<Record<ObjectKind, readonly Purpose[]>> = {
  manifest: [PURPOSE.PRODUCTION, PURPOSE.DEVELOPMENT, PURPOSE.FACTORY, PURPOSE.RECOVERY],
  'trust bundle': [PURPOSE.TRUST_BUNDLE],
  'deny list': [PURPOSE.DENY_LIST],
  evidence: [PURPOSE.EVIDENCE],
};

/** COSE algorithms (IANA registry; RFC 8230 and RFC 9053). */
export const COSE_PS256 = -37;
export const COSE_ES256 = -7;
export const COSE_EDDSA = -8;

export type CoseAlgorithm = typeof COSE_PS256 | typeof COSE_ES256 | typeof COSE_EDDSA;

interface CoseAlgorithmFacts {
  readonly name: string;
  readonly algorithm: SignatureAlgorithm;
  readonly keyKind: KeyKind;
}

export const COSE_ALGORITHMS: ReadonlyMap<CoseAlgorithm, CoseAlgorithmFacts> = new Map([
  [COSE_PS256, { name: 'PS256', algorithm: 'rsa-pss-sha256', keyKind: 'rsa' }],
  [COSE_ES256, { name: 'ES256', algorithm: 'ecdsa-p256-sha256', keyKind: 'p256' }],
  [COSE_EDDSA, { name: 'EdDSA', algorithm: 'ed25519', keyKind: 'ed25519' }],
]);

/** Header labels: RFC 9052 section 3.1, RFC 9360 section 2. */
const LABEL = { ALG: 1, CRIT: 2, CONTENT_TYPE: 3, X5CHAIN: 33, X5T: 34 } as const;
/** SHA-256 in the COSE algorithm registry, for x5t (RFC 9054). */
const COSE_SHA256 = -16;

/** An envelope taken apart. Nothing in it is authentic yet. */
export interface Envelope {
  readonly algorithm: CoseAlgorithm;
  readonly contentType: string;
  /** Leaf first, anchor last. */
  readonly chain: readonly Uint8Array[];
  /** SHA-256 of the leaf, as the signer claims it. */
  readonly thumbprint: Uint8Array;
  /** The protected header, exactly as signed. */
  readonly protectedHeader: Uint8Array;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** What a signer decides before it signs. */
export interface EnvelopeHeader {
  readonly kind: ObjectKind;
  readonly algorithm: CoseAlgorithm;
  readonly chain: readonly Uint8Array[];
  readonly thumbprint: Uint8Array;
}

/** How large an envelope of a kind may be. */
export function envelopeBytesMax(kind: ObjectKind): number {
  return kind === 'evidence' ? EVIDENCE_ENVELOPE_BYTES_MAX : ENVELOPE_BYTES_MAX;
}

/** The media type of a kind, as it stands in the protected header. */
export function contentTypeOf(kind: ObjectKind): string {
  return CONTENT_TYPES[kind];
}

/** The protected header of a new envelope. */
export function encodeProtectedHeader(header: EnvelopeHeader): Uint8Array {
  return encodeCanonical(
    new Map<number, number | string | (number | Uint8Array)[]>([
      [LABEL.ALG, header.algorithm],
      [LABEL.CRIT, [LABEL.X5CHAIN, LABEL.X5T]],
      [LABEL.CONTENT_TYPE, CONTENT_TYPES[header.kind]],
      [LABEL.X5CHAIN, [...header.chain]],
      [LABEL.X5T, [COSE_SHA256, header.thumbprint]],
    ]),
  );
}

/** Sig_structure of RFC 9052 section 4.4: the exact bytes that are signed. */
export function encodeSigStructure(
  kind: ObjectKind,
  protectedHeader: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  return encodeCanonical(['Signature1', protectedHeader, ascii(CONTEXT_LABELS[kind]), payload]);
}

/** Puts header, payload and signature together. */
export function encodeEnvelope(
  protectedHeader: Uint8Array,
  payload: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const body = encodeCanonical([protectedHeader, new Map(), payload, signature]);
  return concatBytes(encodeHead(6, BigInt(COSE_SIGN1_TAG)), body);
}

const COSE_SIGN1_TAG = 18;

// --- the parser ----------------------------------------------------------------------------------------

/** Major types of RFC 8949 that occur in an envelope. */
const MAJOR = { NEGATIVE: 1, BYTES: 2, TEXT: 3, ARRAY: 4, MAP: 5, TAG: 6, UNSIGNED: 0 } as const;

/** Takes an envelope apart; throws FORMAT_ENVELOPE_*. The result has its own copy of the bytes. */
export function decodeEnvelope(bytes: Uint8Array, maxBytes: number = ENVELOPE_BYTES_MAX): Envelope {
  if (bytes.length > maxBytes) {
    throw new ColdsealError(
      'FORMAT_ENVELOPE_SIZE',
      `Cannot read an envelope of ${bytes.length} bytes: expected at most ${maxBytes}`,
    );
  }
  const reader = new EnvelopeReader(new Uint8Array(bytes));
  reader.expect(MAJOR.TAG, COSE_SIGN1_TAG, 'tag 18 (COSE_Sign1)');
  reader.expect(MAJOR.ARRAY, 4, 'an array of 4');
  const protectedHeader = reader.bytes(ENVELOPE_BYTES_MAX, 'the protected header');
  reader.expect(MAJOR.MAP, 0, 'an empty unprotected header');
  const payload = reader.bytes(maxBytes, 'the payload');
  const signature = reader.bytes(SIGNATURE_BYTES_MAX, 'the signature');
  reader.finish();
  return { ...decodeProtectedHeader(protectedHeader), protectedHeader, payload, signature };
}

type HeaderFields = Pick<Envelope, 'algorithm' | 'contentType' | 'chain' | 'thumbprint'>;

/** All five labels, in order, each once: an unknown label or another `crit` has no place to stand. */
function decodeProtectedHeader(bytes: Uint8Array): HeaderFields {
  const reader = new EnvelopeReader(bytes);
  reader.expect(MAJOR.MAP, 5, 'a header of 5 labels');
  reader.expect(MAJOR.UNSIGNED, LABEL.ALG, 'label 1 (alg)');
  const claimed = -1 - reader.head(MAJOR.NEGATIVE, 'an algorithm');
  const algorithm = [...COSE_ALGORITHMS.keys()].find((known) => known === claimed);
  if (algorithm === undefined) {
    throw new ColdsealError(
      'FORMAT_ENVELOPE_ALGORITHM',
      `Cannot read the envelope: algorithm ${claimed} is not PS256, ES256 or EdDSA`,
    );
  }
  reader.expect(MAJOR.UNSIGNED, LABEL.CRIT, 'label 2 (crit)');
  reader.expect(MAJOR.ARRAY, 2, 'two critical labels', 'FORMAT_ENVELOPE_CRIT');
  reader.expect(MAJOR.UNSIGNED, LABEL.X5CHAIN, 'critical label 33', 'FORMAT_ENVELOPE_CRIT');
  reader.expect(MAJOR.UNSIGNED, LABEL.X5T, 'critical label 34', 'FORMAT_ENVELOPE_CRIT');
  reader.expect(MAJOR.UNSIGNED, LABEL.CONTENT_TYPE, 'label 3 (content type)');
  const contentType = reader.text(64, 'the content type');
  reader.expect(MAJOR.UNSIGNED, LABEL.X5CHAIN, 'label 33 (x5chain)');
  const chain = decodeChain(reader);
  reader.expect(MAJOR.UNSIGNED, LABEL.X5T, 'label 34 (x5t)');
  reader.expect(MAJOR.ARRAY, 2, 'a thumbprint of two parts');
  reader.expect(MAJOR.NEGATIVE, -1 - COSE_SHA256, 'SHA-256 (-16)');
  const thumbprint = reader.bytes(32, 'the thumbprint');
  if (thumbprint.length !== 32) throw reader.problem('the thumbprint is not 32 bytes');
  reader.finish();
  return { algorithm, contentType, chain, thumbprint };
}

function decodeChain(reader: EnvelopeReader): Uint8Array[] {
  const count = reader.head(MAJOR.ARRAY, 'a certificate chain');
  if (count < CHAIN_LENGTH_MIN || count > CHAIN_LENGTH_MAX) {
    throw new ColdsealError(
      'FORMAT_ENVELOPE_CHAIN',
      `Cannot read the envelope: it has ${count} certificates, expected ${CHAIN_LENGTH_MIN} to ${CHAIN_LENGTH_MAX}`,
    );
  }
  return Array.from({ length: count }, () => reader.bytes(CERTIFICATE_BYTES_MAX, 'a certificate'));
}

/** Reads the few forms an envelope has, one after another. */
class EnvelopeReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The argument of the next item, which must have this major type and the shortest form. */
  head(major: number, label: string): number {
    const first = this.#bytes[this.#at];
    if (first === undefined || first >> 5 !== major) throw this.problem(`expected ${label}`);
    this.#at++;
    const info = first & 0x1f;
    if (info < 24) return info;
    // No item of an envelope needs more than 32 bits; on a device none that is accepted needs more than 16.
    if (info > 26) throw this.problem(`${label} has an indefinite or too long a form`);
    const size = 1 << (info - 24);
    if (this.#at + size > this.#bytes.length) throw this.problem(`${label} is cut off`);
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + this.#bytes[this.#at + i]!;
    if (value < (size === 1 ? 24 : 256 ** (size / 2))) {
      throw this.problem(`${label} is not in its shortest form`);
    }
    this.#at += size;
    return value;
  }

  expect(
    major: number,
    value: number,
    label: string,
    code: 'FORMAT_ENVELOPE' | 'FORMAT_ENVELOPE_CRIT' = 'FORMAT_ENVELOPE',
  ): void {
    if (this.head(major, label) !== value) throw this.problem(`expected ${label}`, code);
  }

  bytes(max: number, label: string): Uint8Array {
    return this.#run(MAJOR.BYTES, max, label);
  }

  /** Text that is plain ASCII: media types are. */
  text(max: number, label: string): string {
    const bytes = this.#run(MAJOR.TEXT, max, label);
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e))
      throw this.problem(`${label} is not ASCII`);
    return toByteString(bytes);
  }

  finish(): void {
    if (this.#at !== this.#bytes.length) {
      throw this.problem(`${this.#bytes.length - this.#at} more bytes, expected the end`);
    }
  }

  problem(
    problem: string,
    code: 'FORMAT_ENVELOPE' | 'FORMAT_ENVELOPE_CRIT' = 'FORMAT_ENVELOPE',
  ): ColdsealError {
    return new ColdsealError(code, `Cannot read the envelope at byte ${this.#at}: ${problem}`);
  }

  #run(major: number, max: number, label: string): Uint8Array {
    const length = this.head(major, label);
    if (length > max || length > this.#bytes.length - this.#at) {
      throw this.problem(`${label} has ${length} bytes, more than allowed or left`);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** Whether the content type is that of the kind. */
export function isContentType(envelope: Envelope, kind: ObjectKind): boolean {
  return envelope.contentType === CONTENT_TYPES[kind];
}
