/** Hashing files together: the same digests as one by one, and no more work for each than it needs. */
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashFunction } from '../../runtime/engines/node/compute-digest.ts';
import { libc } from '../../runtime/engines/node/libc.ts';
import { lstatFast } from '../../runtime/engines/node/xattr.ts';
import { fsVerityDigest, VerityHasher } from '../../runtime/format/fsverity.ts';
import { byteStringOfText, type ByteString } from '../../toolchain/image/byte-string.ts';
import { scanDirectory, type ScanOptions } from '../../toolchain/image/scan.ts';
import { walkTree } from '../../toolchain/image/tree.ts';
import { type BlockHasherMaker, nodeBlockHashers } from '../../toolchain/objects/block-hasher.ts';
import { FileHasher, SYSTEM_CALLS } from '../../toolchain/objects/file-hasher.ts';
import { JobPacker, type PackedJobs } from '../../toolchain/objects/hash-job.ts';
import { HashPool } from '../../toolchain/objects/hash-pool.ts';
import { MerkleLevels } from '../../toolchain/objects/merkle-levels.ts';
import { blockHashers } from '../../toolchain/objects/multi-buffer.ts';
import { ObjectStore } from '../../toolchain/objects/store.ts';
import { VerityBatch } from '../../toolchain/objects/verity-batch.ts';
import { expectCode } from '../support/expect-code.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('file-hasher');

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('tree'));
});
test.after.each(() => dir.remove());

const ALGORITHMS = ['sha256', 'sha512'] as const;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Bytes that differ from file to file and from block to block. */
function contentOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (size + i * 31 + (i >> 12) * 7) & 0xff;
  return bytes;
}

/** Around every place where a block, a tree of one block, or the batch fills up; for both algorithms. */
const SIZES = [1, 4095, 4096, 4097, 8192, 64 * 4096, 64 * 4096 + 1, 128 * 4096, 128 * 4096 + 1];

test('files of any size, together and alone, have the digests of one hasher fed with one file', () => {
  const size = fc.oneof(fc.constantFrom(...SIZES), fc.integer({ min: 1, max: 20_000 }));
  for (const algorithm of ALGORITHMS) {
    const hash = hashFunction(algorithm);
    for (const make of [nodeBlockHashers(algorithm), blockHashers(algorithm)]) {
      const batch = new VerityBatch(algorithm, make);
      const check = (sizes: readonly number[]): void => {
        const files = sizes.map(contentOf);
        const found: string[] = [];
        let waiting = 0;
        const finish = (): void => {
          const digests = batch.finish();
          const digestSize = digests.length / waiting;
          for (let i = 0; i < waiting; i++) {
            found.push(hex(digests.subarray(digestSize * i, digestSize * (i + 1))));
          }
          waiting = 0;
        };
        for (const file of files) {
          if (waiting > 0 && !(batch.collects(file.length) && batch.hasRoom(file.length))) finish();
          if (batch.collects(file.length)) {
            file.copy(batch.buffer, batch.collect(file.length));
            waiting++;
          } else {
            const read = (from: number, length: number): unknown =>
              file.copy(batch.buffer, 0, from, from + length);
            found.push(hex(batch.digestOf(file.length, read)));
          }
        }
        if (waiting > 0) finish();
        assert.equal(
          found,
          files.map((file) => hex(fsVerityDigest(file, algorithm, hash))),
        );
      };
      check(SIZES);
      check([...SIZES, 0, 257 * 4096, 512 * 4096 + 5].reverse());
      fc.assert(fc.property(fc.array(size, { minLength: 1, maxLength: 12 }), check), {
        numRuns: 10,
      });
    }
  }
});

test('trees of three and four levels have the root that one hasher finds', () => {
  const block = contentOf(4096);
  for (const algorithm of ALGORITHMS) {
    const hash = hashFunction(algorithm);
    const digestSize = algorithm === 'sha256' ? 32 : 64;
    const perBlock = 4096 / digestSize;
    for (const blocks of [perBlock ** 2, perBlock ** 2 + 1, perBlock ** 2 * 3 + perBlock + 1]) {
      const leaf = new Uint8Array(hash(block));
      const tops: string[] = [];
      const hasher = new VerityHasher(algorithm, hash, (level, bytes) => {
        tops[level] = hex(bytes);
      });
      const levels = new MerkleLevels(hash, digestSize);
      for (let i = 0; i < blocks; i++) {
        hasher.update(block);
        levels.add(leaf);
      }
      hasher.digest();
      // The root is the hash of the last block of the highest level.
      const top = Buffer.from(tops.at(-1)!, 'hex');
      assert.is(hex(levels.root()), hex(hash(top)), `${algorithm} ${blocks}`);
    }
  }
});

function jobs(paths: readonly string[]): PackedJobs {
  const packer = new JobPacker(paths.length);
  for (const path of paths) packer.add(byteStringOfText(path), lstatFast(path));
  return packer.pack();
}

function countingCalls(): { calls: typeof SYSTEM_CALLS; counts: Record<string, number> } {
  const counts: Record<string, number> = { open: 0, read: 0, stat: 0, close: 0 };
  const calls = { ...SYSTEM_CALLS };
  for (const [name, call] of Object.entries(SYSTEM_CALLS)) {
    Object.assign(calls, {
      [name]: (...args: unknown[]): unknown => {
        counts[name]!++;
        return (call as (...values: unknown[]) => unknown)(...args);
      },
    });
  }
  return { calls, counts };
}

test('a file costs one call each of open, read, stat and close, and a further read for each MiB', () => {
  const settings = { algorithm: 'sha256', inlineMax: 64 } as const;
  const sizes = [10, 64, 65, 5000, 128 * 4096, (3 << 20) + 1];
  const paths = sizes.map((size) => {
    writeFileSync(at('tree', `${size}`), contentOf(size));
    return at('tree', `${size}`);
  });
  for (const isWithStore of [false, true]) {
    const store = isWithStore ? new ObjectStore(at('store')) : undefined;
    const { calls, counts } = countingCalls();
    new FileHasher(settings, { store, calls }).run(jobs(paths));
    store?.finish();
    const files = sizes.length;
    assert.equal(counts, { open: files, read: files + 3, stat: files, close: files });
  }
});

test('whatever fails, every file that was opened is closed', () => {
  const settings = { algorithm: 'sha256', inlineMax: 64 } as const;
  const paths = [100, 200, 300].map((size) => {
    writeFileSync(at('tree', `${size}`), contentOf(size));
    return at('tree', `${size}`);
  });
  const packed = jobs(paths);
  writeFileSync(at('tree', '300'), 'changed');
  using store = new ObjectStore(at('store'));
  const { calls, counts } = countingCalls();
  const hasher = new FileHasher(settings, { store, calls });
  expectCode(() => hasher.run(packed), 'HOST_FILE_CHANGED');
  assert.is(counts['close'], counts['open']);
  // What was waiting when it failed is forgotten.
  assert.is(hex(hasher.run(jobs(paths.slice(0, 1)))).length, 64);
});

test('blocks, trees and descriptors are hashed in bulk', () => {
  const runs: number[] = [];
  const counting: BlockHasherMaker = (size, capacity) => {
    const hasher = nodeBlockHashers('sha256')(size, capacity);
    const { messages, digests } = hasher;
    const run = (count: number): void => {
      runs.push(count);
      hasher.run(count);
    };
    return { messages, digests, run };
  };
  const batch = new VerityBatch('sha256', counting);
  for (let i = 0; i < 100; i++) batch.collect(i % 2 === 0 ? 100 : 8192);
  batch.finish();
  assert.equal(runs, [150, 50, 100]);
});

test('a worker gets many files in one message', async () => {
  let answers = 0;
  const settings = { algorithm: 'sha256', inlineMax: 64, threads: 2 } as const;
  const onProgress = (): number => answers++;
  const pool = new HashPool(
    { ...settings, store: undefined, verifyExisting: false, onProgress },
    () => undefined,
  );
  writeFileSync(at('tree/file'), contentOf(100));
  const stat = lstatFast(at('tree/file'));
  for (let i = 0; i < 2000; i++) pool.add(at('tree/file') as ByteString, stat);
  await pool.finish();
  assert.is(answers, Math.ceil(2000 / 128));
});

test('a scan asks for the stat and the attributes of each name once, and reads a hardlinked file once', async () => {
  for (let i = 0; i < 20; i++) writeFileSync(at('tree', `f${i}`), contentOf(100));
  for (let i = 0; i < 5; i++) linkSync(at('tree/f0'), at('tree', `g${i}`));
  const real = libc();
  const counts = { statx: 0, llistxattr: 0 };
  const { statx, llistxattr } = real;
  Object.assign(real, {
    statx: (...args: Parameters<typeof statx>) => (counts.statx++, statx(...args)),
    llistxattr: (...args: Parameters<typeof llistxattr>) => (
      counts.llistxattr++,
      llistxattr(...args)
    ),
  });
  try {
    const settings: ScanOptions = { algorithm: 'sha256', inlineMax: 64, threads: 1 };
    const { root, entries } = await scanDirectory(byteStringOfText(at('tree')), settings);
    assert.is(entries, 26);
    // Each name once, and each of the 20 files once more after it was read.
    assert.equal(counts, { statx: 26 + 20, llistxattr: 26 });
    const digests = [...walkTree(root)].slice(1).map(({ node }) => node.digest);
    assert.is(new Set(digests).size, 1);
    assert.is(digests[0]?.length, 64);
  } finally {
    Object.assign(real, { statx, llistxattr });
  }
});

test.run();
