/**
 * Where the bytes of a file lie in an archive, as the payload of its node, and as chunks.
 *
 * A payload is text: `OFFSET` for a file in one piece, `AT:SIZE@OFFSET,…` for the pieces of a sparse one, `hole` when
 * it has none. So listings show it as it is, and a tree of a million files holds a short string for each.
 */
import type { ByteString } from './byte-string.ts';
import {
  INDEX_BLKSZBITS,
  INDEX_BLOCK_SIZE,
  INDEX_CHUNK_BITS_MAX,
  SPARSE_CHUNKS_MAX,
} from './tar-index-format.ts';

/** Bytes of a file from `at` on that the archive has at `offset`. */
export interface Extent {
  readonly at: number;
  readonly size: number;
  readonly offset: number;
}

const HOLE = 'hole' as ByteString;

/** Extents in order as a payload. */
export function payloadOf(extents: readonly Extent[], fileSize: number): ByteString {
  const [first] = extents;
  if (first === undefined) return HOLE;
  const isWhole = first.at === 0 && first.size === fileSize;
  if (isWhole) return String(first.offset) as ByteString;
  return extents.map(({ at, size, offset }) => `${at}:${size}@${offset}`).join(',') as ByteString;
}

/** The extents that a payload says. */
export function extentsOf(payload: ByteString, fileSize: number): Extent[] {
  if (payload === HOLE) return [];
  if (!payload.includes('@')) return [{ at: 0, size: fileSize, offset: Number(payload) }];
  return payload.split(',').map((text) => {
    const [at, size, offset] = text.split(/[:@]/).map(Number) as [number, number, number];
    return { at, size, offset };
  });
}

/** The data of a sparse file, whose regions follow each other in the archive from `offset` on. */
export function extentsOfMap(map: readonly number[], offset: number): Extent[] {
  const extents: Extent[] = [];
  let from = offset;
  for (let i = 0; i < map.length; i += 2) {
    const at = map[i]!;
    const size = map[i + 1]!;
    if (size === 0) continue;
    const last = extents.at(-1);
    if (last !== undefined && last.at + last.size === at) {
      extents[extents.length - 1] = { ...last, size: last.size + size };
    } else extents.push({ at, size, offset: from });
    from += size;
  }
  return extents;
}

/** How many chunks of which size say where a file lies; undefined when none do. */
export interface Chunking {
  readonly bits: number;
  readonly count: number;
}

/**
 * The largest chunks that are either all data or all hole, up to 2^30 bytes. Undefined when a hole does not begin or
 * end between two blocks, or when there were too many chunks.
 */
export function chunkingOf(extents: readonly Extent[], fileSize: number): Chunking | undefined {
  let bits = Math.min(INDEX_CHUNK_BITS_MAX, bitsFor(fileSize));
  for (const { at, size, offset } of extents) {
    if (offset % INDEX_BLOCK_SIZE !== 0) return undefined;
    bits = Math.min(bits, alignmentBits(at));
    // The last chunk may be cut off by the end of the file.
    if (at + size < fileSize) bits = Math.min(bits, alignmentBits(at + size));
  }
  const count = Math.ceil(fileSize / 2 ** bits);
  const isSparse = extents.length !== 1 || extents[0]!.size !== fileSize;
  if (bits < INDEX_BLKSZBITS || (isSparse && count > SPARSE_CHUNKS_MAX)) return undefined;
  return { bits, count };
}

/** Bits of the smallest power of two that holds a size, a block at least. */
function bitsFor(size: number): number {
  let bits = INDEX_BLKSZBITS;
  while (2 ** bits < size) bits++;
  return bits;
}

/** How many low bits of a position are zero. */
function alignmentBits(position: number): number {
  if (position === 0) return INDEX_CHUNK_BITS_MAX;
  let bits = 0;
  while (bits < INDEX_CHUNK_BITS_MAX && position % 2 ** (bits + 1) === 0) bits++;
  return bits;
}

/** Byte of the archive at which each chunk begins, or -1 for a hole. */
export function* chunkOffsets(
  extents: readonly Extent[],
  { bits, count }: Chunking,
): Generator<number> {
  const chunkSize = 2 ** bits;
  let next = 0;
  for (let chunk = 0; chunk < count; chunk++) {
    const at = chunk * chunkSize;
    while (next < extents.length && extents[next]!.at + extents[next]!.size <= at) next++;
    const extent = extents[next];
    yield extent === undefined || extent.at > at ? -1 : extent.offset + at - extent.at;
  }
}
