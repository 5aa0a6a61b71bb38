/**
 * Object identifiers as the hexadecimal text of their DER content.
 *
 * Our own arc is 2.25.37947077281226846605240376724067011773: the UUID
 * 1c8c575b-c0c2-4d91-96ad-0739b85d4cbd as an integer below 2.25 (ITU-T X.667), which needs no registration.
 * Purposes are `arc.1.n`; keys/README.md lists them.
 */

/** 2.25.37947077281226846605240376724067011773, from UUID 1c8c575b-c0c2-4d91-96ad-0739b85d4cbd. */
export const COLDSEAL_ARC = '69b98cabd6f88c92b6a396d6c1e79bc2f5993d';

/** What a certificate may sign: the last arc of its purpose OID, and the numbers used in trust bundles. */
export const PURPOSE = {
  PRODUCTION: 1,
  DEVELOPMENT: 2,
  FACTORY: 3,
  RECOVERY: 4,
  DENY_LIST: 5,
  TRUST_BUNDLE: 6,
  EVIDENCE: 7,
} as const;

export type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE];

const PURPOSE_NAMES: Readonly<Record<Purpose, string>> = {
  1: 'production',
  2: 'development',
  3: 'factory',
  4: 'recovery',
  5: 'deny-list',
  6: 'trust-bundle',
  7: 'evidence',
};

/** All purposes, in the order of their numbers. */
export const PURPOSES: readonly Purpose[] = Object.values(PURPOSE);

/** The word for a purpose, as commands and messages show it. */
export function purposeName(purpose: Purpose): string {
  return PURPOSE_NAMES[purpose];
}

/** The OID of a purpose. Arcs below 128 are one byte. */
export function purposeOid(purpose: Purpose): string {
  return `${COLDSEAL_ARC}01${purpose.toString(16).padStart(2, '0')}`;
}

/** The purpose an OID names, if it is ours. */
export function purposeOfOid(oid: string): Purpose | undefined {
  return PURPOSES.find((purpose) => purposeOid(purpose) === oid);
}

/** RFC 8017, RFC 5758 / 5480, RFC 8410. */
export const OID = {
  RSA_ENCRYPTION: '2a864886f70d010101', // 1.2.840.113549.1.1.1
  SHA256_WITH_RSA: '2a864886f70d01010b', // 1.2.840.113549.1.1.11
  RSASSA_PSS: '2a864886f70d01010a', // 1.2.840.113549.1.1.10
  MGF1: '2a864886f70d010108', // 1.2.840.113549.1.1.8
  SHA256: '608648016503040201', // 2.16.840.1.101.3.4.2.1
  EC_PUBLIC_KEY: '2a8648ce3d0201', // 1.2.840.10045.2.1
  P256: '2a8648ce3d030107', // 1.2.840.10045.3.1.7
  P384: '2b81040022', // 1.3.132.0.34
  ECDSA_SHA256: '2a8648ce3d040302', // 1.2.840.10045.4.3.2
  ECDSA_SHA384: '2a8648ce3d040303', // 1.2.840.10045.4.3.3
  ED25519: '2b6570', // 1.3.101.112

  SUBJECT_KEY_ID: '551d0e', // 2.5.29.14
  KEY_USAGE: '551d0f', // 2.5.29.15
  BASIC_CONSTRAINTS: '551d13', // 2.5.29.19
  AUTHORITY_KEY_ID: '551d23', // 2.5.29.35
  EXTENDED_KEY_USAGE: '551d25', // 2.5.29.37

  CODE_SIGNING: '2b06010505070303', // 1.3.6.1.5.5.7.3.3
  ANY_KEY_USAGE: '551d2500', // 2.5.29.37.0
  COMMON_NAME: '550403', // 2.5.4.3
} as const;
