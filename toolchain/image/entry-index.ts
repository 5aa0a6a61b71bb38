/**
 * The entries of each directory of a table, sorted by the bytes of their names.
 *
 * Names are compared by their first six bytes as one number; only when these are equal, byte by byte.
 */
import type { EntryTable } from './entry-table.ts';

/** Runs up to here are sorted by insertion. */
const RUN = 12;
const KEY_BYTES = 6;

/** In `parent`: the entry is in no directory, and so not in the tree. */
export const DETACHED = -1;

export interface EntryIndex {
  /** The entries of a directory are `entries[start[directory]]` up to `entries[start[directory + 1]]`. */
  readonly start: Int32Array;
  readonly entries: Int32Array;
}

/**
 * Finds and sorts the entries of all directories; `onDuplicate` gets each two of one name, in their order in the
 * table.
 */
export function indexEntries(
  table: EntryTable,
  onDuplicate: (first: number, second: number) => void,
): EntryIndex {
  const index = groupByParent(table);
  const sorter = new Sorter(table, index.entries);
  for (let directory = 0; directory < table.count; directory++) {
    const from = index.start[directory]!;
    const to = index.start[directory + 1]!;
    if (to - from < 2) continue;
    sorter.sort(from, to);
    for (let i = from + 1; i < to; i++) {
      const before = index.entries[i - 1]!;
      const entry = index.entries[i]!;
      if (sorter.areEqual(before, entry)) {
        onDuplicate(Math.min(before, entry), Math.max(before, entry));
      }
    }
  }
  return index;
}

function groupByParent({ count, parent }: EntryTable): EntryIndex {
  const start = new Int32Array(count + 1);
  for (let entry = 1; entry < count; entry++) {
    if (parent[entry] !== DETACHED) start[parent[entry]! + 1]!++;
  }
  for (let i = 1; i <= count; i++) start[i]! += start[i - 1]!;
  const entries = new Int32Array(count);
  // Each start moves to the next one while its entries are put down, and then back.
  for (let entry = 1; entry < count; entry++) {
    if (parent[entry] !== DETACHED) entries[start[parent[entry]!]!++] = entry;
  }
  for (let i = count; i > 0; i--) start[i] = start[i - 1]!;
  start[0] = 0;
  return { start, entries };
}

class Sorter {
  readonly #table: EntryTable;
  readonly #entries: Int32Array;
  readonly #keys: Float64Array;
  #spare = new Int32Array(256);

  constructor(table: EntryTable, entries: Int32Array) {
    this.#table = table;
    this.#entries = entries;
    this.#keys = new Float64Array(table.count);
    for (let entry = 1; entry < table.count; entry++) this.#keys[entry] = keyOf(table, entry);
  }

  areEqual(a: number, b: number): boolean {
    return this.#keys[a] === this.#keys[b] && compareRest(this.#table, a, b) === 0;
  }

  /** Sorts `entries[from, to)`: insertion into short runs, which are then merged. */
  sort(from: number, to: number): void {
    if (this.#isSorted(from, to)) return;
    for (let start = from; start < to; start += RUN) this.#insert(start, Math.min(start + RUN, to));
    for (let width = RUN; width < to - from; width *= 2) {
      for (let start = from; start + width < to; start += 2 * width) {
        this.#merge(start, start + width, Math.min(start + 2 * width, to));
      }
    }
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#keys[a]!;
    const right = this.#keys[b]!;
    if (left !== right) return left < right;
    return compareRest(this.#table, a, b) < 0;
  }

  #isSorted(from: number, to: number): boolean {
    const entries = this.#entries;
    for (let i = from + 1; i < to; i++) {
      if (this.#isBefore(entries[i]!, entries[i - 1]!)) return false;
    }
    return true;
  }

  #insert(from: number, to: number): void {
    const entries = this.#entries;
    for (let i = from + 1; i < to; i++) {
      const entry = entries[i]!;
      let at = i;
      for (; at > from && this.#isBefore(entry, entries[at - 1]!); at--) {
        entries[at] = entries[at - 1]!;
      }
      entries[at] = entry;
    }
  }

  #merge(from: number, middle: number, to: number): void {
    const entries = this.#entries;
    const count = middle - from;
    if (this.#spare.length < count) this.#spare = new Int32Array(2 * count);
    const spare = this.#spare;
    for (let i = 0; i < count; i++) spare[i] = entries[from + i]!;
    let right = middle;
    let at = from;
    for (let left = 0; left < count;) {
      const takeRight = right < to && this.#isBefore(entries[right]!, spare[left]!);
      entries[at++] = takeRight ? entries[right++]! : spare[left++]!;
    }
  }
}

/** The first bytes of a name as a number; no name contains NUL, so a shorter name comes first. */
function keyOf({ heap, nameAt, nameSize }: EntryTable, entry: number): number {
  const place = nameAt[entry]!;
  const chunk = heap.chunkOf(place);
  const at = heap.offsetOf(place);
  const size = nameSize[entry]!;
  let key = 0;
  for (let i = 0; i < KEY_BYTES; i++) key = key * 256 + (i < size ? chunk[at + i]! : 0);
  return key;
}

/** Compares two names whose keys are equal. */
function compareRest({ heap, nameAt, nameSize }: EntryTable, a: number, b: number): number {
  const left = heap.chunkOf(nameAt[a]!);
  const right = heap.chunkOf(nameAt[b]!);
  const leftAt = heap.offsetOf(nameAt[a]!);
  const rightAt = heap.offsetOf(nameAt[b]!);
  const size = Math.min(nameSize[a]!, nameSize[b]!);
  for (let i = KEY_BYTES; i < size; i++) {
    const difference = left[leftAt + i]! - right[rightAt + i]!;
    if (difference !== 0) return difference;
  }
  return nameSize[a]! - nameSize[b]!;
}
