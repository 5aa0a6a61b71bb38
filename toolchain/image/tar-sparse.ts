/**
 * Sparse files: which parts of a file an archive holds; the rest are zeros.
 *
 * A map is only believed when its regions are in order, apart from each other, inside the file, and together as long
 * as the data that follows. Three PAX forms and GNU's old one come down to the same list of numbers.
 * Source: GNU tar manual, "Storing Sparse Files".
 */
import { failTar, type TarPlace } from './tar-error.ts';
import { isZeroBlock, requireTarNumber, TAR_BLOCK_SIZE, TAR_FIELDS } from './tar-header.ts';
import { SPARSE_REGIONS_MAX } from './tar-limits.ts';

/** Offset and size of each region with data, alternating. */
export type SparseMap = readonly number[];

/** Gives the next block of the archive. */
export type NextBlock = () => Promise<Uint8Array>;

const NUMBER_SIZE = 12;
const NEWLINE = 0x0a;

/** A list of numbers as a map; only that there are pairs is checked. Throws FORMAT_TAR_SPARSE. */
export function parseSparseMap(numbers: readonly number[], place: TarPlace): SparseMap {
  if (numbers.length % 2 !== 0) fail(place, `has ${numbers.length} numbers, expected pairs`);
  requireCount(numbers.length / 2, place);
  return numbers;
}

function requireCount(count: number, place: TarPlace): void {
  if (count <= SPARSE_REGIONS_MAX) return;
  fail(place, `has more than ${SPARSE_REGIONS_MAX} regions`);
}

/** Proves a map right for a file of `realSize` bytes, of which `dataSize` are in the archive. */
export function checkSparseMap(
  map: SparseMap,
  realSize: number,
  dataSize: number,
  place: TarPlace,
): void {
  let end = 0;
  let total = 0;
  for (let i = 0; i < map.length; i += 2) {
    const offset = map[i]!;
    const size = map[i + 1]!;
    if (offset < end) fail(place, `has a region at ${offset}, before the end of another at ${end}`);
    end = offset + size;
    if (end > realSize) fail(place, `has a region that ends at ${end}, beyond ${realSize} bytes`);
    total += size;
  }
  if (total === dataSize) return;
  fail(place, `has regions of ${total} bytes, expected the ${dataSize} that follow`);
}

/** The map of GNU's old form (type S): four regions in the header, 21 in each block that follows. */
export async function readOldSparseMap(
  header: Uint8Array,
  next: NextBlock,
  place: TarPlace,
): Promise<SparseMap> {
  const map: number[] = [];
  addRegions(map, header, ...TAR_FIELDS.sparseMap, place);
  let isExtended = header[TAR_FIELDS.isExtended[0]] !== 0;
  while (isExtended) {
    const block = await next();
    addRegions(map, block, 0, 21 * 2 * NUMBER_SIZE, place);
    requireCount(map.length / 2, place);
    isExtended = block[21 * 2 * NUMBER_SIZE] !== 0;
  }
  return map;
}

function addRegions(
  map: number[],
  block: Uint8Array,
  from: number,
  size: number,
  place: TarPlace,
): void {
  for (let at = from; at < from + size; at += 2 * NUMBER_SIZE) {
    // The first region without a size ends the list.
    if (block[at + NUMBER_SIZE] === 0) return;
    const offset = requireTarNumber(block, at, NUMBER_SIZE, 'the offset of a region', place);
    const length = requireTarNumber(
      block,
      at + NUMBER_SIZE,
      NUMBER_SIZE,
      'the size of a region',
      place,
    );
    if (offset < 0 || length < 0) fail(place, `has a region of ${length} bytes at ${offset}`);
    map.push(offset, length);
  }
}

/** The map of form 1.0: decimal lines before the data, the count first, filled up to a whole block. */
export async function readSparseLines(
  dataSize: number,
  next: NextBlock,
  place: TarPlace,
): Promise<{ map: SparseMap; mapSize: number }> {
  const lines = new DecimalLines(dataSize, next, place);
  const count = await lines.next();
  requireCount(count, place);
  const map: number[] = [];
  for (let i = 0; i < 2 * count; i++) map.push(await lines.next());
  lines.requireZeros();
  return { map, mapSize: lines.size };
}

/** Decimal numbers, a line each, taken block by block. */
class DecimalLines {
  readonly #dataSize: number;
  readonly #next: NextBlock;
  readonly #place: TarPlace;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Bytes of the data taken so far. */
  size = 0;

  constructor(dataSize: number, next: NextBlock, place: TarPlace) {
    this.#dataSize = dataSize;
    this.#next = next;
    this.#place = place;
  }

  async next(): Promise<number> {
    let value = 0;
    for (let digits = 0; ; digits++) {
      if (this.#at === this.#block.length) await this.#take();
      const byte = this.#block[this.#at++]!;
      if (byte === NEWLINE && digits > 0) return value;
      if (byte < 0x30 || byte > 0x39) fail(this.#place, 'has a line that is no decimal number');
      value = value * 10 + byte - 0x30;
      if (!Number.isSafeInteger(value)) fail(this.#place, 'has a number that no file needs');
    }
  }

  async #take(): Promise<void> {
    if (this.size + TAR_BLOCK_SIZE > this.#dataSize) {
      fail(this.#place, `is longer than the data, ${this.#dataSize} bytes`);
    }
    this.#block = await this.#next();
    this.#at = 0;
    this.size += TAR_BLOCK_SIZE;
  }

  requireZeros(): void {
    if (!isZeroBlock(this.#block.subarray(this.#at))) {
      fail(this.#place, 'is followed by bytes that are not zero');
    }
  }
}

function fail(place: TarPlace, problem: string): never {
  return failTar('FORMAT_TAR_SPARSE', place, `the map of a sparse file ${problem}`);
}
