/** The recording of a guest's writes, also as an emulator leaves it that was killed; and what a torn write can be. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { applyWrites, readWriteLog, tornWrites } from '../support/write-log.ts';

const test = suite('log of writes');

const SECTOR = 512;

function sectorOf(fields: readonly bigint[], at = 0): Buffer {
  const sector = Buffer.alloc(SECTOR);
  fields.forEach((field, index) => sector.writeBigUInt64LE(field, at + 8 * index));
  return sector;
}

const FIRST = sectorOf([0x6a736677736872n, 1n, 0n, BigInt(SECTOR)]);
const FLUSH = sectorOf([0n, 0n, 1n, 0n]);
const DISCARD = sectorOf([4n, 1n, 4n, 0n]);
const write = (sector: number, byte: number): Buffer[] => [
  sectorOf([BigInt(sector), 1n, 0n, 0n]),
  Buffer.alloc(SECTOR, byte),
];

/** Where each write went, and whether it was flushed. */
const told = (...parts: Buffer[]): unknown[] =>
  readWriteLog(Buffer.concat(parts)).map(({ offset, data, isFlushed }) => [
    offset / SECTOR,
    data[0],
    isFlushed,
  ]);

test('what was flushed, and what was not', () => {
  assert.equal(told(), []);
  assert.equal(told(FIRST), []);
  assert.equal(told(FIRST, ...write(3, 1), FLUSH, ...write(8, 2)), [
    [3, 1, true],
    [8, 2, false],
  ]);
});

test('a killed emulator leaves holes and ends', () => {
  // The first sector is written with the first flush.
  assert.equal(told(Buffer.alloc(SECTOR), ...write(3, 1)), [[3, 1, false]]);
  const [header, data] = write(8, 2) as [Buffer, Buffer];
  assert.equal(told(FIRST, ...write(3, 1), FLUSH, header, data.subarray(0, 100)), [[3, 1, true]]);
  assert.equal(told(FIRST, ...write(3, 1), FLUSH, header.subarray(0, 20)), [[3, 1, true]]);
  assert.equal(told(FIRST, ...write(3, 1), Buffer.alloc(4 * SECTOR)), [[3, 1, false]]);
});

test('another file, and what the boards never do', () => {
  assert.throws(() => told(Buffer.alloc(SECTOR, 1)), 'not a log of writes');
  assert.throws(() => told(FIRST, DISCARD), 'the guest discarded sectors');
});

test('a torn write: each sector and each byte of the first one, from either end', () => {
  const [before, data] = [new Uint8Array(4096).fill(1), new Uint8Array(4096).fill(2)];
  const torn = tornWrites(before, data);
  assert.is(torn.length, 2 * 7 + 2 * 511 + 2);
  const half = torn.find(({ name }) => name === 'the first 2048 bytes')!;
  assert.equal([half.bytes[2047], half.bytes[2048]], [2, 1]);
  const disk = applyWrites(new Uint8Array(8192), 4096, [{ offset: 8192, data: half.bytes }]);
  assert.equal([disk[4095], disk[4096], disk[8191]], [0, 2, 1]);
});

test.run();
