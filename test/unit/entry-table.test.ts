/** Trees as columns: what goes in comes out, entries are sorted, and an entry takes no more memory than it may. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { feedInput } from '../../toolchain/files/read-input.ts';
import { imageBytes } from '../../toolchain/image/build.ts';
import { ByteHeap } from '../../toolchain/image/byte-heap.ts';
import { byteString, type ByteString } from '../../toolchain/image/byte-string.ts';
import { DigestPool, hashWords, NO_DIGEST } from '../../toolchain/image/digest-pool.ts';
import { printDump } from '../../toolchain/image/describe.ts';
import { ENTRY_SIZE, EntryTable } from '../../toolchain/image/entry-table.ts';
import { INODE_SIZE, layoutImage } from '../../toolchain/image/layout.ts';
import { tableOfTree, treeOfTable } from '../../toolchain/image/tree-table.ts';
import { S_IFDIR, S_IFREG } from '../../toolchain/image/tree.ts';
import { arbitraryTree } from '../support/arbitrary-tree.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { tempDir } from '../support/temp-dir.ts';

const RUNS = Number(process.env['COLDSEAL_PROPERTY_RUNS'] ?? 150);

const test = suite('entry-table');

/** Bytes of one element of every typed array that an object has and that is as long as `length` says. */
function bytesOfColumns(columns: object, length: (array: Int32Array) => boolean): number {
  let size = 0;
  for (const value of Object.values(columns) as unknown[]) {
    if (!ArrayBuffer.isView(value) || value instanceof DataView) continue;
    const array = value as Int32Array;
    if (length(array)) size += array.BYTES_PER_ELEMENT;
  }
  return size;
}

test('the columns of an entry and of an inode have the size that the memory of large trees is counted with', () => {
  const table = new EntryTable();
  assert.is(
    bytesOfColumns(table, ({ length }) => length === table.parent.length),
    ENTRY_SIZE,
  );
  const root = table.add(0, table.heap.addString('' as ByteString), 0, S_IFDIR | 0o755);
  assert.is(root, 0);
  table.seal();
  const { inodes } = layoutImage(table, { min: 0, max: 0 });
  assert.is(inodes.count, 257);
  assert.is(
    bytesOfColumns(inodes, ({ length }) => length === 257),
    INODE_SIZE,
  );
  // A million entries within 512 MB: these, and the index, names and digests.
  assert.ok(ENTRY_SIZE + INODE_SIZE <= 128);
});

test('a tree comes out of a table as it went in, and gives the same image', () => {
  fc.assert(
    fc.property(arbitraryTree, (tree) => {
      const table = tableOfTree(tree);
      const again = treeOfTable(table);
      assert.is([...printDump(again)].join(''), [...printDump(tree)].join(''));
      assertBytes(imageBytes(again), imageBytes(table), 'image');
    }),
    { numRuns: RUNS },
  );
});

test('entries are sorted by the bytes of their names, however many', () => {
  const byte = fc.constantFrom(0x01, 0x2d, 0x2e, 0x30, 0x61, 0x62, 0xff);
  const name = fc
    .array(byte, { minLength: 1, maxLength: 9 })
    .map((bytes) => byteString(Uint8Array.from(bytes)));
  const names = fc.uniqueArray(name, { maxLength: 200 });
  fc.assert(
    fc.property(names, (given) => {
      const table = new EntryTable();
      table.add(0, 0, 0, S_IFDIR | 0o755);
      for (const text of given) table.add(0, table.heap.addString(text), text.length, S_IFREG);
      table.seal(() => assert.unreachable('two entries of one name'));
      const { entries, start } = table.index;
      const sorted = [...entries.subarray(start[0], start[1])]
        .filter((entry) => entry < table.sourceCount)
        .map((entry) => table.name(entry));
      assert.equal(
        sorted,
        [...given].sort((a, b) => (a < b ? -1 : 1)),
      );
    }),
    { numRuns: RUNS },
  );
});

test('entries of one name are told, in the order in which they came', () => {
  const table = new EntryTable();
  table.add(0, 0, 0, S_IFDIR | 0o755);
  for (const text of ['longer-name', 'b', 'longer-name', 'longer-nam', 'b'] as ByteString[]) {
    table.add(0, table.heap.addString(text), text.length, S_IFREG);
  }
  const told: [number, number][] = [];
  table.seal((first, second) => told.push([first, second]));
  assert.equal(told, [
    [2, 5],
    [1, 3],
  ]);
});

test('digests of both sizes are kept once, and come out as they went in', () => {
  const pool = new DigestPool();
  const slots = new Map<string, number>();
  const hex = (i: number): string => {
    const size = i % 3 === 0 ? 128 : 64;
    return i
      .toString(16)
      .padStart(8, '0')
      .repeat(size / 8);
  };
  for (let i = 0; i < 3000; i++) slots.set(hex(i), pool.addHex(hex(i), hex(i).length / 2));
  assert.is(new Set(slots.values()).size, 3000);
  assert.is(pool.count, 4000);
  for (const [text, slot] of slots) {
    assert.is(pool.hex(slot), text);
    const path = `${text.slice(0, 2)}/${text.slice(2)}` as ByteString;
    assert.is(pool.objectPath(slot), path);
    assert.is(pool.addObjectPath(path), slot);
  }
  assert.is(pool.count, 4000, 'nothing was added');
  const path = `ab/${'cd'.repeat(31)}`;
  for (const other of [
    path.toUpperCase(),
    path.slice(1),
    `${path}0`,
    path.replace('/', '-'),
    `${path.slice(0, -1)}g`,
    `${path.slice(0, -1)}\u0141`,
    '',
  ]) {
    assert.is(pool.addObjectPath(other as ByteString), NO_DIGEST, other);
  }
  assert.ok(pool.compare(slots.get(hex(1))!, slots.get(hex(2))!) < 0);
});

test('digests that were made to meet in one place are told apart', () => {
  const pool = new DigestPool();
  const words = new Uint32Array(8);
  const slots = new Map<string, number>();
  for (let i = 0; i < 3000; i++) {
    words[0] = i;
    // The last word undoes what the words before it did to the hash.
    words[7] = hashWords(words, 0, 7, 8);
    slots.set(Buffer.from(words.buffer).toString('hex'), 0);
    assert.is(hashWords(words, 0, 8), 0, `${i}`);
  }
  for (const hex of slots.keys()) slots.set(hex, pool.addHex(hex, 32));
  assert.is(new Set(slots.values()).size, 3000);
  for (const [hex, slot] of slots) assert.is(pool.addHex(hex, 32), slot);
  assert.is(pool.count, 3000);
});

test('bytes of any number stay what they are', () => {
  const heap = new ByteHeap();
  const sizes = [0, 1, 255, 100_000, 40_000, 131_072, 131_073, 300_000, 7];
  const given = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  const places = given.map((bytes) => heap.addBytes(bytes, 0, bytes.length));
  for (const [i, bytes] of given.entries()) {
    assert.is(Buffer.compare(heap.bytes(places[i]!, bytes.length), bytes), 0, `${bytes.length}`);
    assert.is(heap.string(places[i]!, bytes.length), bytes.toString('latin1'));
  }
});

test('input comes in pieces, and what was not taken comes again', () => {
  using dir = tempDir();
  const file = join(dir.path, 'input');
  const given = Buffer.from(Array.from({ length: 400_000 }, (_, i) => `${i}\n`).join('') + 'end');
  writeFileSync(file, given);
  // Whole lines only; then nothing at all, so that a piece has to grow.
  for (const takesLines of [true, false]) {
    const taken: Buffer[] = [];
    let calls = 0;
    feedInput(file, (bytes, isLast) => {
      calls++;
      const count = isLast ? bytes.length : takesLines ? bytes.lastIndexOf(0x0a) + 1 : 0;
      taken.push(Buffer.from(bytes.subarray(0, count)));
      return count;
    });
    assert.is(Buffer.compare(Buffer.concat(taken), given), 0);
    assert.ok(calls > 2);
  }
});

test.run();
