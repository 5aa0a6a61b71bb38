/**
 * The trust bundle: which keys a device believes, and for what.
 *
 * Canonical CBOR, integer keys. An anchor is the SHA-256 of a SubjectPublicKeyInfo and a list of purposes;
 * the certificate itself travels in the envelope. The bundle lies in the sealed initramfs, so on the device
 * it needs no signature; a bundle that is to replace it travels in an envelope of its own kind.
 */
import { compareBytes, toByteString } from './bytes.ts';
import { type CborKey, type CborValue, decodeCanonical, encodeCanonical } from './cbor.ts';
import { type Purpose, PURPOSES } from './oids.ts';
import { MapShape } from './shape.ts';

export interface TrustAnchor {
  /** SHA-256 of the anchor's SubjectPublicKeyInfo, in DER. */
  readonly spkiSha256: Uint8Array;
  /** What chains to this anchor may sign; ascending. */
  readonly purposes: readonly Purpose[];
}

export interface TrustBundle {
  /** Rises by one with each bundle; a device never goes back. */
  readonly version: number;
  readonly anchors: readonly TrustAnchor[];
}

const TRUST_SCHEMA = 1;
/** A fleet in rotation has two roots, a development board one more. */
const TRUST_ANCHORS_MAX = 8;
const TRUST_BYTES_MAX = 4096;

const CODE = 'FORMAT_TRUST_FIELD';

/** The canonical bytes of a bundle; anchors are sorted by pin. */
export function encodeTrustBundle(bundle: TrustBundle): Uint8Array {
  const sorted = [...bundle.anchors].sort((a, b) => compareBytes(a.spkiSha256, b.spkiSha256));
  const anchors: CborValue = sorted.map((anchor) => {
    const purposes = [...anchor.purposes].sort((a, b) => a - b);
    return new Map<CborKey, CborValue>([
      [1, anchor.spkiSha256],
      [2, purposes],
    ]);
  });
  return encodeCanonical(
    new Map<CborKey, CborValue>([
      [1, TRUST_SCHEMA],
      [2, bundle.version],
      [3, anchors],
    ]),
  );
}

/** Reads a bundle; throws FORMAT_CBOR_* or FORMAT_TRUST_FIELD. */
export function decodeTrustBundle(bytes: Uint8Array): TrustBundle {
  const limits = { maxBytes: TRUST_BYTES_MAX, maxDepth: 4, maxItems: 256 };
  const shape = new MapShape(decodeCanonical(bytes, limits), 'trust', CODE);
  shape.oneOf(1, 'schema', [TRUST_SCHEMA]);
  const version = shape.uint(2, 'version', 0xffff_ffff, 1);
  const anchors = shape.array(3, 'anchors', TRUST_ANCHORS_MAX, decodeAnchor);
  shape.finish();
  shape.ascending('anchors', anchors, ({ spkiSha256 }) => toByteString(spkiSha256));
  if (anchors.length === 0) throw shape.problem('anchors', 'is empty, expected at least one');
  return { version, anchors };
}

function decodeAnchor(value: CborValue, path: string): TrustAnchor {
  const shape = new MapShape(value, path, CODE);
  const spkiSha256 = shape.bytes(1, 'spkiSha256', 32);
  const purposes = shape.numbers(2, 'purposes', PURPOSES);
  shape.finish();
  return { spkiSha256, purposes };
}
