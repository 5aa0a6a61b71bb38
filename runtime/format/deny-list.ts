/**
 * The deny list: keys, certificates and manifests that no longer count, and the lowest epochs.
 *
 * Canonical CBOR, integer keys, in an envelope of its own kind. It never expires: a list that did would
 * block updates on the day it ran out, and an empty answer would be worse. `version` only rises; a manifest
 * names the lowest version it wants to be judged with (`min_deny_version`).
 */
import { compareBytes } from './bytes.ts';
import { type CborKey, type CborValue, decodeCanonical, encodeCanonical } from './cbor.ts';
import { MapShape } from './shape.ts';

export interface DenyList {
  readonly version: number;
  /** SHA-256 of revoked SubjectPublicKeyInfos: of leaves, issuers or anchors. */
  readonly keys: readonly Uint8Array[];
  /** SHA-256 of revoked certificates (their whole DER). */
  readonly certificates: readonly Uint8Array[];
  /** SHA-256 of revoked manifests (the envelope's payload). */
  readonly manifests: readonly Uint8Array[];
  /** Lowest epoch per rollback domain. */
  readonly epochs: ReadonlyMap<number, number>;
}

const DENY_SCHEMA = 1;
/** 512 entries of each kind are 17 KiB: a list that is read in every boot stays small. */
const DENY_ENTRIES_MAX = 512;
const DENY_BYTES_MAX = 56 * 1024;
const DOMAINS_MAX = 16;

/** The canonical bytes of a list; entries are sorted. */
export function encodeDenyList(list: DenyList): Uint8Array {
  const sorted = (items: readonly Uint8Array[]): CborValue => [...items].sort(compareBytes);
  return encodeCanonical(
    new Map<CborKey, CborValue>([
      [1, DENY_SCHEMA],
      [2, list.version],
      [3, sorted(list.keys)],
      [4, sorted(list.certificates)],
      [5, sorted(list.manifests)],
      [6, list.epochs],
    ]),
  );
}

/** Reads a list; throws FORMAT_CBOR_* or FORMAT_DENY_FIELD. */
export function decodeDenyList(bytes: Uint8Array): DenyList {
  const limits = { maxBytes: DENY_BYTES_MAX, maxDepth: 3, maxItems: 4 * DENY_ENTRIES_MAX };
  const shape = new MapShape(decodeCanonical(bytes, limits), 'deny', 'FORMAT_DENY_FIELD');
  shape.oneOf(1, 'schema', [DENY_SCHEMA]);
  const version = shape.uint(2, 'version', 0xffff_ffff, 1);
  const keys = shape.byteStrings(3, 'keys', DENY_ENTRIES_MAX, 32);
  const certificates = shape.byteStrings(4, 'certificates', DENY_ENTRIES_MAX, 32);
  const manifests = shape.byteStrings(5, 'manifests', DENY_ENTRIES_MAX, 32);
  const epochs = shape.uintMap(6, 'epochs', DOMAINS_MAX);
  shape.finish();
  return { version, keys, certificates, manifests, epochs };
}
