/** fs-verity digests against a second, plain implementation and against known ones. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toHex } from '../../runtime/format/bytes.ts';
import {
  fsVerityDigest,
  VERITY_BLOCK_SIZE,
  VerityHasher,
  verityAlgorithmOfDigestSize,
  type VerityAlgorithm,
} from '../../runtime/format/fsverity.ts';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';

const test = suite('fsverity');

/** The whole tree at once, straight from the kernel's documentation. */
function plainDigest(bytes: Buffer, algorithm: VerityAlgorithm): string {
  const hash = (data: Buffer): Buffer => createHash(algorithm).update(data).digest();
  const size = algorithm === 'sha256' ? 32 : 64;
  let level = bytes;
  let hashes: Buffer[] = [];
  while (bytes.length > 0) {
    hashes = [];
    for (let at = 0; at < level.length; at += VERITY_BLOCK_SIZE) {
      const block = Buffer.alloc(VERITY_BLOCK_SIZE);
      level.copy(block, 0, at, at + VERITY_BLOCK_SIZE);
      hashes.push(hash(block));
    }
    if (hashes.length === 1) break;
    level = Buffer.concat(hashes);
  }
  const descriptor = Buffer.alloc(256);
  descriptor.set([1, algorithm === 'sha256' ? 1 : 2, 12, 0]);
  descriptor.writeBigUInt64LE(BigInt(bytes.length), 8);
  if (hashes[0] !== undefined) descriptor.set(hashes[0].subarray(0, size), 16);
  return hash(descriptor).toString('hex');
}

function patterned(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8) * 7) & 0xff;
  return bytes;
}

/** Around every place where a block or a level of the tree fills up. */
const SIZES = [
  0,
  1,
  63,
  4095,
  4096,
  4097,
  8192,
  128 * 4096 - 1,
  128 * 4096,
  128 * 4096 + 1,
  129 * 4096,
  256 * 4096 + 5,
  64 * 64 * 4096,
  64 * 64 * 4096 + 1,
  128 * 128 * 4096,
  128 * 128 * 4096 + 1,
];

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`${algorithm}: same as the plain implementation at every boundary`, () => {
    const bytes = patterned(Math.max(...SIZES));
    for (const size of SIZES) {
      const data = bytes.subarray(0, size);
      const digest = toHex(fsVerityDigest(data, algorithm, hashFunction(algorithm)));
      assert.is(digest, plainDigest(data, algorithm), `${size} bytes`);
    }
  });

  test(`${algorithm}: pieces of any size, and one hasher for many files`, () => {
    const data = patterned(300 * 4096 + 17);
    const expected = plainDigest(data, algorithm);
    const hasher = new VerityHasher(algorithm, hashFunction(algorithm));
    for (const step of [1000, 4096, 4097, 65536, data.length]) {
      for (let at = 0; at < data.length; at += step) hasher.update(data.subarray(at, at + step));
      assert.is(toHex(hasher.digest()), expected, `pieces of ${step}`);
      hasher.update(patterned(5));
      assert.is(toHex(hasher.digest()), plainDigest(patterned(5), algorithm));
    }
  });
}

test('known digests', () => {
  // An empty file's root hash is all zero (fs-verity's rule; composefs was wrong until July 2026).
  const rows: [VerityAlgorithm, string, string][] = [
    ['sha256', '', '3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95'],
  ];
  for (const [algorithm, text, digest] of rows) {
    const bytes = Buffer.from(text);
    assert.is(toHex(fsVerityDigest(bytes, algorithm, hashFunction(algorithm))), digest);
  }
});

test('a file that failed half-way leaves no trace in the next', () => {
  const hasher = new VerityHasher('sha256', hashFunction('sha256'));
  hasher.update(patterned(129 * 4096 + 3));
  hasher.reset();
  hasher.update(patterned(10));
  assert.is(toHex(hasher.digest()), plainDigest(patterned(10), 'sha256'));
});

test('Merkle blocks are handed out level by level', () => {
  const blocks: number[] = [];
  const hasher = new VerityHasher('sha256', hashFunction('sha256'), (level) => blocks.push(level));
  hasher.update(patterned(129 * 4096));
  hasher.digest();
  assert.equal(blocks, [0, 0, 1]);
});

test('algorithms by the size of their digests', () => {
  assert.is(verityAlgorithmOfDigestSize(32), 'sha256');
  assert.is(verityAlgorithmOfDigestSize(64), 'sha512');
  assert.is(verityAlgorithmOfDigestSize(20), undefined);
});

test.run();
