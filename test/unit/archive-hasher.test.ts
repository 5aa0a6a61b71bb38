/** The digest of an archive is the same wherever it is made, and nobody waits for a thread that is gone. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ArchiveHasher } from '../../toolchain/image/archive-hasher.ts';

const test = suite('archive hasher');

const MIB = 1 << 20;
const BYTES = Buffer.alloc(
  40 * MIB,
  'some bytes that repeat, with a length that divides no block,',
);

const ROWS: readonly (readonly [label: string, size: number, pieceSize: number])[] = [
  ['nothing', 0, 1],
  ['one byte', 1, 1],
  ['one buffer', MIB, MIB],
  ['one more', MIB + 1, MIB],
  ['all buffers but a byte', 8 * MIB - 1, 65_536],
  ['all buffers', 8 * MIB, 65_536],
  ['one more byte, in a thread', 8 * MIB + 1, 65_537],
  ['many times all buffers', 40 * MIB, 3 * MIB + 5],
];
for (const [label, size, pieceSize] of ROWS) {
  test(label, async () => {
    const bytes = BYTES.subarray(0, size);
    const expected = createHash('sha256').update(bytes).digest('hex');
    for (const known of [undefined, size, 1 << 30]) {
      using hasher = new ArchiveHasher(known);
      for (let at = 0; at < size; at += pieceSize) {
        const piece = Buffer.from(bytes.subarray(at, at + pieceSize));
        await hasher.update(piece);
        // It was copied.
        piece.fill(0);
      }
      assert.is(await hasher.digest(), expected, `size ${known}`);
    }
  });
}

test('who waits goes on when it is disposed of', async () => {
  const hasher = new ArchiveHasher();
  const waiting = hasher.update(BYTES);
  hasher[Symbol.dispose]();
  await waiting;
  await hasher.update(BYTES.subarray(0, 5 * MIB));
});

test.run();
