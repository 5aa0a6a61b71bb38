/**
 * The object list digest: one SHA-256 over every distinct object of an image, by digest and size.
 *
 * The text it is computed over has one line per distinct object, sorted by digest: the digest in lower-case
 * hexadecimal, one space, the size in decimal, a line feed. So any host can repeat it with `sort` and
 * `sha256sum`. An image without objects has the SHA-256 of the empty text.
 */
import { ascii } from './bytes.ts';
import { ColdsealError } from './errors.ts';

export interface ObjectReference {
  /** Lower-case hexadecimal fs-verity digest. */
  readonly digest: string;
  readonly size: number;
}

export interface ObjectListSummary {
  readonly count: number;
  readonly bytes: number;
  readonly digest: Uint8Array;
}

/** Distinct objects in the order of the list; two sizes for one digest are FORMAT_OBJECT_LIST. */
export function distinctObjects(objects: Iterable<ObjectReference>): ObjectReference[] {
  const sizes = new Map<string, number>();
  for (const { digest, size } of objects) {
    const known = sizes.get(digest);
    if (known !== undefined && known !== size) {
      throw new ColdsealError(
        'FORMAT_OBJECT_LIST',
        `Cannot list object ${digest}: it appears with sizes ${known} and ${size}`,
      );
    }
    sizes.set(digest, size);
  }
  const digests = [...sizes.keys()].sort();
  return digests.map((digest) => ({ digest, size: sizes.get(digest)! }));
}

/** Count, total size and list digest of an image's objects. */
export function summariseObjects(
  objects: Iterable<ObjectReference>,
  sha256: (bytes: Uint8Array) => Uint8Array,
): ObjectListSummary {
  const list = distinctObjects(objects);
  const lines = list.map(({ digest, size }) => `${digest} ${size}\n`);
  const bytes = list.reduce((total, { size }) => total + size, 0);
  return { count: list.length, bytes, digest: sha256(ascii(lines.join(''))) };
}
