/** Digests kept between builds: what counts as unchanged, and that nothing that befalls a cache shows in an image. */
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lstatFast, newFastStat } from '../../runtime/engines/node/xattr.ts';
import { byteStringOfText } from '../../toolchain/image/byte-string.ts';
import { scanDirectory, type ScanOptions, type ScanResult } from '../../toolchain/image/scan.ts';
import { walkTree } from '../../toolchain/image/tree.ts';
import type { DigestCacheOptions } from '../../toolchain/objects/digest-cache.ts';
import { trimCaches } from '../../toolchain/objects/digest-cache-files.ts';
import {
  CacheEntry32,
  CacheEntry64,
  CacheHeader,
  type CacheIdentity,
  decodeCache,
  encodeCache,
  EntryTable,
} from '../../toolchain/objects/digest-cache-format.ts';
import {
  distrust,
  fileSystemOf,
  identifySource,
  judgeTimes,
  mayBeOpenForWriting,
  sourceOfMount,
} from '../../toolchain/objects/digest-cache-trust.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { fieldsOf } from '../../runtime/format/struct.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('digest cache');

const HOUR = 3_600_000;
/** Files of the test are an hour old by the cache's clock, unless a row says otherwise. */
const later = (): number => Date.now() + HOUR;
const BOOT = Buffer.alloc(16, 1);

/** A test's directory may be of any file system: whether it would be trusted is another test. */
const identify: NonNullable<DigestCacheOptions['identify']> = (_, { dev, ino }) => ({
  fileSystemType: 0xef53n,
  fileSystemId: 7n,
  device: BigInt(dev),
  rootIno: BigInt(ino),
  bootId: BOOT,
});

let dir: TempDir;
const at = (...parts: string[]): string => join(dir.path, ...parts);
const file = (): string => at('tree/file');
const caches = (): string => at('digests');
const cacheFile = (): string => join(caches(), readdirSync(caches())[0]!);

test.before.each(() => {
  dir = tempDir();
  mkdirSync(at('tree'));
  writeFileSync(file(), Buffer.alloc(5000, 'old content'));
  writeFileSync(at('tree/other'), Buffer.alloc(6000, 'other'));
  writeFileSync(at('tree/small'), 'in the image');
});
test.after.each(() => dir.remove());

function scan(
  cache: DigestCacheOptions = {},
  options: Partial<ScanOptions> = {},
): Promise<ScanResult> {
  return scanDirectory(byteStringOfText(at('tree')), {
    algorithm: 'sha256',
    inlineMax: 64,
    threads: 1,
    cache: { directory: caches(), minFiles: 0, now: later, identify, ...cache },
    ...options,
  });
}

/** Digests by path, which is all that a cache could spoil. */
function digestsOf({ root }: ScanResult): Record<string, string> {
  const found = [...walkTree(root)].map(({ path, node }) => [path, node.digest ?? '']);
  return Object.fromEntries(found) as Record<string, string>;
}

/** What a build without any cache says, to which every other build is held. */
async function truth(): Promise<Record<string, string>> {
  return digestsOf(await scan({}, { cache: undefined }));
}

test('an unchanged tree is not read again, and its cache is not written again', async () => {
  assert.equal((await scan()).cache, { hits: 0, misses: 2, added: 2 });
  const before = statSync(cacheFile()).ino;
  const again = await scan();
  assert.equal(again.cache, { hits: 2, misses: 0, added: 0 });
  assert.equal(digestsOf(again), await truth());
  assert.is(statSync(cacheFile()).ino, before);
});

/** What happens to `tree/file` between two builds, and whether it may be known afterwards. */
const CHANGES: [name: string, change: () => void, isKnown: boolean][] = [
  ['nothing', () => undefined, true],
  ['a longer content', () => writeFileSync(file(), Buffer.alloc(5001, 'new content')), false],
  [
    'another content of the same size, with the modification time put back',
    () => {
      const { atimeMs, mtimeMs } = statSync(file());
      writeFileSync(file(), Buffer.alloc(5000, 'new content'));
      utimesSync(file(), atimeMs / 1000, mtimeMs / 1000);
    },
    false,
  ],
  [
    'another file of the same size and time renamed over it',
    () => {
      const { atimeMs, mtimeMs } = statSync(file());
      writeFileSync(at('new'), Buffer.alloc(5000, 'new content'));
      utimesSync(at('new'), atimeMs / 1000, mtimeMs / 1000);
      renameSync(at('new'), file());
    },
    false,
  ],
  [
    'removed and made anew, which may take the inode again',
    () => {
      const { atimeMs, mtimeMs } = statSync(file());
      rmSync(file());
      writeFileSync(file(), Buffer.alloc(5000, 'new content'));
      utimesSync(file(), atimeMs / 1000, mtimeMs / 1000);
    },
    false,
  ],
  ['touched to another time', () => utimesSync(file(), 1, 1), false],
  ['another mode, which moves the change time', () => chmodSync(file(), 0o600), false],
  [
    'a sparse end of the same size',
    () => {
      truncateSync(file(), 0);
      truncateSync(file(), 5000);
    },
    false,
  ],
];

test('whatever changes a file makes it unknown', async () => {
  for (const [name, change, isKnown] of CHANGES) {
    dir.remove();
    dir = tempDir();
    mkdirSync(at('tree'));
    writeFileSync(file(), Buffer.alloc(5000, 'old content'));
    await scan();
    // The kernel's clock for change times ticks each 10 ms at worst.
    await new Promise((resolve) => setTimeout(resolve, 25));
    change();
    const after = await scan();
    assert.is(after.cache!.hits, isKnown ? 1 : 0, name);
    assert.equal(digestsOf(after), await truth(), name);
  }
});

test('names of one file have one entry, and all of them are known by it', async () => {
  for (const name of ['a', 'b', 'c']) linkSync(file(), at('tree', name));
  assert.equal((await scan()).cache, { hits: 0, misses: 2, added: 2 });
  const again = await scan();
  assert.equal(again.cache, { hits: 2, misses: 0, added: 0 });
  assert.equal(digestsOf(again), await truth());
});

test('what is gone from the tree goes from the cache', async () => {
  await scan();
  const size = statSync(cacheFile()).size;
  rmSync(at('tree/other'));
  assert.equal((await scan()).cache, { hits: 1, misses: 0, added: 0 });
  assert.is(statSync(cacheFile()).size, size - CacheEntry32.size);
});

test('the clock decides with the change time whether a file is cached', async () => {
  const stat = { ...newFastStat(), ino: 5, size: 9, ctimeSec: 1000, ctimeNsec: 500_000_000 };
  const rows: [name: string, ageMs: number, change: object, expected: string][] = [
    ['changed in this tick', 0, {}, 'never'],
    ['changed a few ticks ago', 99, {}, 'never'],
    ['changed long enough ago to tell', 100, {}, 'unless open for writing'],
    ['almost a minute', 59_999, {}, 'unless open for writing'],
    ['a minute', 60_000, {}, 'settled'],
    ['changed in the future: the clock was set back', -1, {}, 'never'],
    ['far in the future', -1e9, {}, 'never'],
    ['whole seconds, young', 10_000, { ctimeNsec: 0 }, 'never'],
    ['whole seconds, old', 60_500, { ctimeNsec: 0 }, 'settled'],
    ['an inode number that is not exact', 1e6, { ino: 2 ** 53 }, 'never'],
    ['a size that is not exact', 1e6, { size: 2 ** 60 }, 'never'],
  ];
  for (const [name, ageMs, change, expected] of rows) {
    assert.is(judgeTimes({ ...stat, ...change }, 1_000_500 + ageMs), expected, name);
  }
});

test('a file that somebody has open for writing is not cached while it is young', async () => {
  const { ctimeMs } = statSync(file());
  const now = (): number => Math.round(ctimeMs) + 10_000;
  const path = byteStringOfText(file());
  const fd = openSync(file(), 'r+');
  assert.is(mayBeOpenForWriting(path), true);
  assert.equal((await scan({ now })).cache, { hits: 0, misses: 2, added: 1 });
  closeSync(fd);
  assert.is(mayBeOpenForWriting(path), false);
  assert.equal((await scan({ now })).cache, { hits: 1, misses: 1, added: 1 });
  assert.is(mayBeOpenForWriting(byteStringOfText(at('absent'))), true);
});

test('a cache from the future is no cache', async () => {
  await scan();
  const back = await scan({ now: () => later() - HOUR / 2 });
  assert.is(back.cache!.problem, 'the clock was set back since it was written');
  assert.is(back.cache!.hits, 0);
});

/** What can befall the file of the cache, and what is then said. */
const DAMAGES: [name: string, damage: (path: string) => void, problem: RegExp | undefined][] = [
  ['it is gone', (path) => rmSync(path), undefined],
  ['empty', (path) => truncateSync(path, 0), /cut off/],
  ['cut in the header', (path) => truncateSync(path, CacheHeader.size - 1), /cut off/],
  ['cut before the entries', (path) => truncateSync(path, CacheHeader.size), /checksum/],
  ['cut in an entry', (path) => truncateSync(path, CacheHeader.size + 50), /checksum/],
  ['cut after an entry', (path) => truncateSync(path, statSync(path).size - 72), /checksum/],
  ['longer', (path) => writeFileSync(path, Buffer.alloc(72), { flag: 'a' }), /checksum/],
  ['of another version', (path) => poke(path, CacheHeader.at.version, 2), /version/],
  ['another magic', (path) => poke(path, CacheHeader.at.magic, 0), /checksum/],
  ['a digest with one bit less', (path) => poke(path, CacheHeader.size + 0x28, 0), /checksum/],
  ['text', (path) => writeFileSync(path, 'x'.repeat(4096)), /version/],
  ['readable by others', (path) => chmodSync(path, 0o644), /open to others/],
  ['a directory of others', () => chmodSync(caches(), 0o755), /open to others/],
  [
    'a link',
    (path) => {
      renameSync(path, at('moved'));
      symlinkSync(at('moved'), path);
    },
    /cannot be read \(ELOOP\)/,
  ],
  [
    'a directory in its place',
    (path) => {
      rmSync(path);
      mkdirSync(path, { mode: 0o700 });
    },
    /open to others|cannot/,
  ],
];

function poke(path: string, offset: number, byte: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = bytes[offset] === byte ? byte + 1 : byte;
  writeFileSync(path, bytes);
}

test('a damaged cache is as good as none, and the next build has a whole one again', async () => {
  for (const [name, damage, problem] of DAMAGES) {
    rmSync(caches(), { recursive: true, force: true });
    await scan();
    damage(cacheFile());
    const after = await scan();
    assert.is(after.cache!.hits, 0, name);
    if (problem === undefined) assert.is(after.cache!.problem, undefined, name);
    else assert.match(after.cache!.problem!, problem, name);
    assert.equal(digestsOf(after), await truth(), name);
    const isMended = !name.startsWith('a directory');
    assert.is((await scan()).cache!.hits, isMended ? 2 : 0, name);
  }
});

test('every truncation and every flipped bit of a cache is refused', async () => {
  await scan();
  const bytes = new Uint8Array(readFileSync(cacheFile()));
  const { dev, ino } = lstatFast(at('tree'));
  const identity = identify(byteStringOfText(at('tree')), { dev, ino }) as CacheIdentity;
  const decode = (changed: Uint8Array): unknown =>
    decodeCache(changed, identity, 'sha256', later() + 1);
  assert.instance(decode(bytes), EntryTable);
  for (let length = 0; length < bytes.length; length++) {
    assert.type(decode(bytes.slice(0, length)), 'string', `${length} bytes`);
  }
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.type(decode(changed), 'string', `bit ${bit}`);
  }
});

test('a cache of another boot, device, directory or algorithm is none', async () => {
  const identity = identify(byteStringOfText('/'), { dev: 1, ino: 2 }) as CacheIdentity;
  const bytes = encodeCache(identity, 1000, 32, 0, []);
  const rows: [change: Partial<CacheIdentity>, problem: string][] = [
    [{ bootId: Buffer.alloc(16, 2) }, 'it is from before the last boot'],
    [{ device: 2n }, 'it is of another directory'],
    [{ rootIno: 3n }, 'it is of another directory'],
    [{ fileSystemId: 8n }, 'it is of another directory'],
    [{ fileSystemType: 9n }, 'it is of another directory'],
  ];
  for (const [change, problem] of rows) {
    assert.is(decodeCache(bytes, { ...identity, ...change }, 'sha256', 1000), problem);
  }
  assert.is(decodeCache(bytes, identity, 'sha512', 1000), 'its size is wrong');
  assert.is(
    decodeCache(bytes, identity, 'sha256', 999),
    'the clock was set back since it was written',
  );
  assert.instance(decodeCache(bytes, identity, 'sha256', 1000), EntryTable);
  await scan();
  assert.is((await scan({}, { algorithm: 'sha512' })).cache!.hits, 0);
  assert.is((await scan({}, { algorithm: 'sha512' })).cache!.hits, 2);
  assert.is((await scan()).cache!.hits, 2);
});

test('an entry is what its record says, whatever the numbers', () => {
  const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const seconds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });
  const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });
  const stats = fc.record({
    ino: whole,
    size: whole,
    mtimeSec: seconds,
    mtimeNsec: nanoseconds,
    ctimeSec: seconds,
    ctimeNsec: nanoseconds,
  });
  fc.assert(
    fc.property(fc.array(stats, { minLength: 1, maxLength: 200 }), (all) => {
      for (const [algorithm, record, size] of [
        ['sha256', CacheEntry32, 32],
        ['sha512', CacheEntry64, 64],
      ] as const) {
        const table = new EntryTable(algorithm);
        all.forEach((stat, i) => {
          assert.is(table.add(stat), i);
          table.digest(i).fill(i + 1);
        });
        all.forEach((stat, i) => {
          const digest = new Uint8Array(size).fill(i + 1);
          const { ino, mtimeSec, ctimeSec } = stat;
          assert.equal(record.decode(table.bytesOf(i)), {
            ...stat,
            ino: BigInt(ino),
            size: BigInt(stat.size),
            mtimeSec: BigInt(mtimeSec),
            ctimeSec: BigInt(ctimeSec),
            digest,
          });
          assert.ok(table.isOf(i, stat));
          for (const key of Object.keys(stat) as (keyof typeof stat)[]) {
            assert.not(table.isOf(i, { ...stat, [key]: stat[key] + 1 }), key);
          }
        });
      }
    }),
    { numRuns: 30 },
  );
});

test('a place that cannot be written to is told and stops nothing', async () => {
  for (const directory of ['/proc/coldseal/digests', '/dev/null/digests', '/dev/null']) {
    const result = await scan({ directory });
    assert.match(result.cache!.problem!, /^it cannot be written \(E|open to others$/, directory);
    assert.equal(digestsOf(result), await truth());
  }
});

test('builds at the same time leave one whole cache', async () => {
  for (let i = 0; i < 300; i++) writeFileSync(at('tree', `f${i}`), Buffer.alloc(100 + i, i));
  const results = await Promise.all(Array.from({ length: 6 }, () => scan()));
  const expected = await truth();
  for (const result of results) assert.equal(digestsOf(result), expected);
  assert.is(readdirSync(caches()).length, 1);
  assert.is((await scan()).cache!.hits, 302);
});

test('with a store, only what is not in it is read', async () => {
  const store = at('objects');
  await scan();
  assert.equal((await scan({}, { store })).cache, { hits: 0, misses: 2, added: 0 });
  const again = await scan({}, { store });
  assert.equal(again.cache, { hits: 2, misses: 0, added: 0 });
  assert.is(again.store!.present, 2);
  const digest = digestsOf(again)['/file']!;
  const object = join(store, digest.slice(0, 2), digest.slice(2));
  rmSync(object);
  const mended = await scan({}, { store });
  assert.equal(mended.cache, { hits: 1, misses: 1, added: 0 });
  assert.is(mended.store!.copied, 1);
  assert.ok(existsSync(object));
  // Of the wrong size: damage that shows without reading.
  chmodSync(object, 0o644);
  truncateSync(object, 1);
  assert.is((await scan({}, { store })).store!.replaced, 1);
  assert.is(statSync(object).size, 5000);
  assert.equal((await scan({}, { store, verifyExisting: true })).cache, {
    hits: 0,
    misses: 2,
    added: 2,
  });
});

test('a known file is not opened: its entry is believed as the tree is', async () => {
  await scan();
  const { dev, ino } = lstatFast(at('tree'));
  const identity = identify(byteStringOfText(at('tree')), { dev, ino }) as CacheIdentity;
  const table = new EntryTable('sha256');
  table.digest(table.add(lstatFast(file()))).fill(0xab);
  const forged = encodeCache(identity, Date.now(), 32, 1, [table.bytesOf(0)]);
  writeFileSync(cacheFile(), forged);
  assert.is(digestsOf(await scan())['/file'], 'ab'.repeat(32));
  // What reads every file is not misled.
  writeFileSync(cacheFile(), forged);
  const options = { store: at('objects'), verifyExisting: true };
  assert.equal(digestsOf(await scan({}, options)), await truth());
});

test('a small tree is not worth a file', async () => {
  assert.is((await scan({ minFiles: 3 })).cache!.added, 2);
  assert.not(existsSync(caches()));
  await scan({ minFiles: 3, minBytes: 11_000 });
  assert.is(readdirSync(caches()).length, 1);
});

test('only file systems that time every change themselves are trusted', () => {
  const rows: [type: bigint, device: number, problem: RegExp | undefined][] = [
    [0xef53n, 0xfe00, undefined],
    [0x58465342n, 0x802, undefined],
    [0x9123683en, 0x21, undefined],
    [0xef53n, 0x700, /loop device/],
    [0xef53n, 0x2b00, /network block device/],
    [0x794c7630n, 0x21, /type 0x794c7630/], // overlay
    [0x65735546n, 0x21, /type 0x65735546/], // FUSE
    [0x6969n, 0x21, /type 0x6969/], // NFS
    [0x01021994n, 0x21, /type 0x1021994/], // tmpfs
    [0x4d44n, 0x801, /type 0x4d44/], // vfat
    [0x01021997n, 0x21, /type 0x1021997/], // 9p
  ];
  for (const [type, device, problem] of rows) {
    const found = distrust({ type, id: 1n, source: '/dev/vda' }, device);
    if (problem === undefined) assert.is(found, undefined);
    else assert.match(found!, problem);
  }
  const btrfs = { type: 0x9123683en, id: 1n };
  assert.match(distrust({ ...btrfs, source: '/dev/loop3' }, 0x28)!, /loop device/);
  assert.match(distrust({ ...btrfs, source: '/dev/nbd0' }, 0x28)!, /network block device/);
  assert.match(distrust({ ...btrfs, source: undefined }, 0x28)!, /not known/);
  const proc = byteStringOfText('/proc');
  assert.is(fileSystemOf(proc)!.type, 0x9fa0n);
  assert.match(identifySource(proc, lstatFast('/proc')) as string, /type 0x9fa0/);
  assert.is(fileSystemOf(byteStringOfText(at('absent'))), undefined);
});

test('the source of a mount is that of the longest mount point, the last one mounted there', () => {
  const mountinfo = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '30 22 0:40 / /mnt/a rw shared:2 master:3 - btrfs /dev/loop0 rw',
    '31 22 0:41 / /mnt/a\\040b rw - btrfs /dev/sd\\134b rw',
    '32 30 0:42 / /mnt/a rw - xfs /dev/sdc rw',
    'garbage',
    '',
  ].join('\n');
  const rows: [path: string, source: string | undefined][] = [
    ['/', '/dev/vda'],
    ['/mnt', '/dev/vda'],
    ['/mnt/ab', '/dev/vda'],
    ['/mnt/a', '/dev/sdc'],
    ['/mnt/a/x/y', '/dev/sdc'],
    ['/mnt/a b/x', '/dev/sd\\b'],
  ];
  for (const [path, source] of rows) assert.is(sourceOfMount(mountinfo, path), source, path);
  assert.is(sourceOfMount('', '/'), undefined);
});

test('the record and its description are the same', () => {
  const text = readFileSync(join(ROOT, 'docs/cache.md'), 'utf8');
  for (const field of [...fieldsOf(CacheHeader), ...fieldsOf(CacheEntry32)]) {
    const offset = `0x${field.offset.toString(16).padStart(2, '0')}`;
    assert.match(text, new RegExp(`\\| ${offset} +\\| ${field.name} +\\|`), field.name);
  }
});

test('caches that nobody uses go, the oldest first', () => {
  mkdirSync(caches());
  const now = Date.now();
  const make = (name: string, days: number): void => {
    writeFileSync(join(caches(), name), Buffer.alloc(100));
    utimesSync(
      join(caches(), name),
      (now - days * 24 * HOUR) / 1000,
      (now - days * 24 * HOUR) / 1000,
    );
  };
  const ages = { new: 0, week: 7, month: 31, 'young.tmp': 0.5, 'killed.tmp': 2 };
  for (const [name, days] of Object.entries(ages)) make(name, days);
  trimCaches(caches(), now);
  assert.equal(readdirSync(caches()).sort(), ['new', 'week', 'young.tmp']);
  trimCaches(caches(), now, 250);
  assert.equal(readdirSync(caches()).sort(), ['new', 'young.tmp']);
});

test.run();
