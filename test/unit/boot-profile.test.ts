/** Boot profiles: requests back to files, the file format, what a later release still has, the list to read ahead. */
import { ftruncateSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootStage, DiskCounters } from '../../runtime/format/boot-record.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { READ_AHEAD_BYTES_MAX } from '../../runtime/read-ahead.ts';
import { AFTER, BETWEEN } from '../../toolchain/board/io-counts.ts';
import type { DiskRequest } from '../../toolchain/board/io-trace.ts';
import type { StoreFile } from '../../toolchain/disk/disk.ts';
import { neededBytes } from '../../toolchain/disk/ext4-layout.ts';
import { Ext4Reader, type FoundFile } from '../../toolchain/disk/ext4-reader.ts';
import { withSizes, writeSealedExt4 } from '../../toolchain/disk/ext4-verity.ts';
import { sealedLayout } from '../../toolchain/disk/sealed-layout.ts';
import { BlockMap } from '../../toolchain/profile/block-map.ts';
import { matchProfile } from '../../toolchain/profile/match-profile.ts';
import { profileOfList } from '../../toolchain/profile/profile-list.ts';
import {
  encodeProfile,
  parseProfile,
  type Profile,
  type ProfileRecord,
} from '../../toolchain/profile/profile-schema.ts';
import { coverageText, profileLines } from '../../toolchain/profile/profile-text.ts';
import { readAheadList, READ_AHEAD_TOTAL_MAX } from '../../toolchain/profile/read-ahead-list.ts';
import { rangesOf, recordTouches } from '../../toolchain/profile/record-profile.ts';
import type { ImageContent } from '../../toolchain/profile/release-content.ts';
import { sealedObject } from '../support/disk-lab.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { tempDir } from '../support/temp-dir.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('boot profile');
const BLOCK = 4096;
const MIB = 1024 * 1024;

// --- from requests to files ---

const LARGE = sealedObject(1_000_000);
const SMALL = sealedObject(10);
const MANIFEST: StoreFile = {
  name: 'slots/a/manifest.cose',
  digest: undefined,
  bytes: Buffer.from('signed'),
};
const STORE = [LARGE, SMALL, MANIFEST, sealedObject(200_000, 'sha512'), sealedObject(0)];
/** Of the partition on its disk. */
const PLACE = { offset: MIB, size: 0 };

async function readerOf(
  files: readonly StoreFile[],
): Promise<{ reader: Ext4Reader; size: number }> {
  using dir = tempDir();
  const path = join(dir.path, 'ext4');
  const sizeBytes = neededBytes(withSizes(files), 50, MIB);
  const fd = openSync(path, 'w+');
  ftruncateSync(fd, sizeBytes);
  await writeSealedExt4(fd, 0, { files, sizeBytes, uuid: new Uint8Array(16), label: 'test' });
  const image = readFileSync(path);
  const reader = new Ext4Reader((at, length) => image.subarray(at, at + length), image.length);
  return { reader, size: image.length };
}

test('every block of a store belongs to what it was written for', async () => {
  const { reader, size } = await readerOf(STORE);
  const map = new BlockMap(reader);
  const expected = new Map<number, string>();
  const { reader: again } = await readerOf(STORE);
  for (const file of again.files()) {
    const digest = STORE.find(({ name }) => name === file.path)!.digest;
    const end = Math.ceil(file.size / BLOCK);
    for (const { logical, physical, count } of file.runs) {
      for (let i = 0; i < count; i++) {
        const kind = logical + i < end ? 'data' : 'tree';
        expected.set(physical + i, `${kind} ${file.path} ${logical + i}`);
      }
    }
    if (digest === undefined) continue;
    const { blocks } = sealedLayout(file.size, digest.length === 64 ? 'sha256' : 'sha512');
    const own = [...expected.values()].filter((text) => text.split(' ')[1] === file.path);
    assert.is(own.length, blocks, file.path);
  }
  for (const { runs } of again.directories) {
    for (const { physical } of runs) expected.set(physical, 'metadata directory');
  }
  for (const { physical, count } of again.inodeTables) {
    for (let i = 0; i < count; i++) expected.set(physical + i, 'metadata inode');
  }
  assert.ok([...expected.values()].filter((text) => text === 'metadata directory').length > 5);
  for (let block = 0; block < size / BLOCK + 10; block++) {
    const owner = map.ownerOf(block);
    const text =
      owner.kind === 'metadata'
        ? `metadata ${owner.what}`
        : `${owner.kind} ${owner.file.path} ${owner.block}`;
    assert.is(text, expected.get(block) ?? 'metadata other', String(block));
  }
});

const counters = (readRequests: number): DiskCounters => ({
  readRequests,
  readBytes: 0,
  writeRequests: 0,
  writeBytes: 0,
});
let ns = 0;
const stage = (name: string, start?: number, end?: number): BootStage => ({
  name,
  startNs: ns++,
  endNs: ns,
  ...(start === undefined ? {} : { startIo: counters(start) }),
  ...(end === undefined ? {} : { endIo: counters(end) }),
});

test('a boot becomes its files in the order of the first read, with stages, ranges and sums', async () => {
  const { reader, size } = await readerOf(STORE);
  const store = { ...PLACE, size };
  const files = new Map((await readerOf(STORE)).reader.files().map((file) => [file.path, file]));
  const read = (name: string, block: number, count: number): DiskRequest => {
    const { runs } = files.get(name)!;
    const run = runs.find((each) => each.logical <= block && block < each.logical + each.count)!;
    const at = run.physical + block - run.logical;
    return { kind: 'read', offset: store.offset + at * BLOCK, bytes: count * BLOCK };
  };
  const tree = sealedLayout(1_000_000, 'sha256').treeStart;
  const requests: DiskRequest[] = [
    { kind: 'read', offset: 0, bytes: BLOCK },
    { kind: 'write', offset: 0, bytes: BLOCK },
    { kind: 'read', offset: store.offset + 1024, bytes: 1024 },
    read(MANIFEST.name, 0, 1),
    read(LARGE.name, 8, 4),
    read(LARGE.name, tree, 2),
    read(SMALL.name, 0, 1),
    read(LARGE.name, 12, 2),
    read(LARGE.name, 244, 1),
    // After the last first output.
    read(LARGE.name, 0, 1),
    // Half of it is not the store's.
    { kind: 'read', offset: store.offset + size - BLOCK, bytes: 2 * BLOCK },
  ];
  const record = testRecord({
    stages: [
      stage('policy', undefined, 1),
      stage('mount-store', 1, 2),
      stage('verify a', 2, 3),
      stage('containers', 4, 5),
    ],
    io: counters(8),
  });
  const describe = ({ path, size: bytes }: FoundFile) =>
    path === MANIFEST.name
      ? { kind: 'signed' as const, path, size: bytes }
      : {
          kind: 'object' as const,
          digest: path.replace(/objects|\//g, ''),
          size: bytes,
          names: [],
        };
  const trace = { firmware: [read(SMALL.name, 0, 1)], kernel: requests };
  const made = recordTouches(record, trace, store, new BlockMap(reader), describe);
  const rows = made.records.map((each) => [
    each.kind === 'signed' ? each.path : 'digest' in each ? each.digest : '',
    each.stage,
    each.ranges,
    each.treeBlocks,
  ]);
  assert.equal(rows, [
    [MANIFEST.name, 'verify a', [[0, 6]], 0],
    [
      LARGE.digest,
      BETWEEN,
      [
        [32_768, 57_344],
        [999_424, 1_000_000],
      ],
      2,
    ],
    [SMALL.digest, AFTER, [[0, 10]], 0],
  ]);
  assert.equal(made.requests, {
    total: { reads: 8, bytes: 1024 + 12 * BLOCK },
    content: { reads: 5, bytes: 9 * BLOCK },
    tree: { reads: 1, bytes: 2 * BLOCK },
    metadata: { reads: 1, bytes: 1024 },
    outside: { reads: 1, bytes: BLOCK },
  });
});

test('blocks become ranges', () => {
  for (const [blocks, size, expected] of [
    [[], 100, []],
    [[0], 100, [[0, 100]]],
    [[2, 0, 1], 9000, [[0, 9000]]],
    [
      [3, 0],
      16_384,
      [
        [0, 4096],
        [12_288, 16_384],
      ],
    ],
  ] as const) {
    assert.equal(rangesOf(blocks, size), expected);
  }
});

// --- the file ---

const DIGEST = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const touched = { stage: 'containers', ranges: [[0, 4096]] as [number, number][], treeBlocks: 1 };
const object = (digest: string, names: string[], size = 9000): ProfileRecord => {
  return { kind: 'object', digest, size, names, ...touched };
};
const profileWith = (...records: ProfileRecord[]): Profile => ({
  kind: 'coldseal-boot-profile',
  schema: 1,
  board: 'test-board',
  release: { id: '0f'.repeat(16), version: '1.0' },
  source: 'trace',
  records,
  requests: null,
});
const PROFILE = profileWith(
  { kind: 'signed', path: 'slots/a/manifest.cose', size: 10, ...touched, ranges: [[0, 10]] },
  { kind: 'image', digest: OTHER, size: 5000, name: 'root', ...touched },
  object(DIGEST, ['root:/usr/bin/app', 'app:/bin/app']),
);

test('a profile is read as it was written, one record a line', () => {
  for (const profile of [PROFILE, profileWith()]) {
    const bytes = encodeProfile(profile);
    assert.equal(parseProfile(bytes, 'p'), profile);
    assert.equal(JSON.parse(bytes.toString('utf8')), profile);
  }
  assert.is(encodeProfile(PROFILE).toString('utf8').split('\n').length, 14);
});

/** What is changed in the JSON, and what the refusal says of it. */
const HOSTILE: readonly (readonly [from: RegExp, to: string, says: RegExp])[] = [
  [/^/, 'x', /it is not JSON/],
  [/"schema": 1/, '"schema": 2', /schema is 2/],
  [/"coldseal-boot-profile"/, '"coldseal-calibration"', /kind is/],
  [/"board": "[^"]*"/, '"board": ""', /board/],
  [/"kind":"image"/, '"kind":"device"', /records\.1/],
  [/"kind":"image"/, '"kind":"image","path":"/x"', /records\.1\.path/],
  [new RegExp(DIGEST), DIGEST.toUpperCase(), /records\.2\.digest.* fs-verity digest/],
  [new RegExp(DIGEST), '..', /records\.2\.digest/],
  [/slots\/a\/manifest/, 'slots/../manifest', /records\.0\.path/],
  [/slots\/a\/manifest\.cose/, '/etc/passwd', /records\.0\.path/],
  [/\[\[0,10\]\]/, '[[10,0]]', /records\.0\.ranges.*ascending/],
  [/\[\[0,10\]\]/, '[[0,10],[5,20]]', /records\.0\.ranges.*ascending/],
  [/\[\[0,10\]\]/, '[[-1,10]]', /records\.0\.ranges/],
  [/\[\[0,10\]\]/, '[[0,1e300]]', /records\.0\.ranges/],
  [/"treeBlocks":1/, '"treeBlocks":1.5', /records\.0\.treeBlocks/],
  [/"requests": null/, '"requests": {}', /requests/],
];

test('what is no profile is refused with its place', () => {
  const text = encodeProfile(PROFILE).toString('utf8');
  for (const [from, to, says] of HOSTILE) {
    const changed = text.replace(from, to);
    assert.is.not(changed, text, String(from));
    const parse = (): Profile => parseProfile(Buffer.from(changed), 'boot.profile');
    const error = expectCode(parse, 'FORMAT_PROFILE', to);
    assert.match(error.message, says);
    assert.match(error.message, /boot\.profile/);
  }
  assert.is(
    codeOf(() => parseProfile(Buffer.from([0xff, 0xfe]), 'p')),
    'FORMAT_PROFILE',
  );
  assert.is(
    codeOf(() => parseProfile(Buffer.alloc(17 * MIB, ' '), 'p')),
    'FORMAT_PROFILE',
  );
});

test('whatever the bytes, a profile or a refusal comes of them', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        parseProfile(Buffer.from(text), 'p');
      } catch (error) {
        assert.ok(error instanceof ColdsealError && error.code === 'FORMAT_PROFILE');
      }
    }),
  );
});

// --- what a release has of it ---

const imageOf = (
  name: string,
  digest: string,
  files: readonly (readonly [path: string, digest: string, size: number])[],
): ImageContent => ({
  name,
  digest,
  size: 6000,
  isRoot: name === 'root',
  files: new Map(files.map(([path, of, size]) => [path, { digest: of, size }])),
});

const NEW = '12'.repeat(32);
const NEW_IMAGE = '34'.repeat(32);
const GONE = '56'.repeat(32);

test('a record is found by its digest, else by its name, else not', () => {
  const images = [
    imageOf('root', NEW_IMAGE, [
      ['/usr/bin/app', NEW, 2000],
      ['/lib/same', DIGEST, 9000],
    ]),
    imageOf('app', OTHER, [['/bin/app', NEW, 2000]]),
  ];
  const profile = profileWith(
    ...PROFILE.records.slice(0, 2),
    object(DIGEST, ['elsewhere:/x']),
    object(GONE, ['root:/gone', 'app:/bin/app']),
    // The same object now as the one before.
    object('78'.repeat(32), ['root:/usr/bin/app']),
    object('9a'.repeat(32), []),
    { kind: 'image', digest: GONE, size: 1, name: 'root', ...touched },
    { kind: 'image', digest: GONE, size: 1, name: 'gone', ...touched },
  );
  const { files, coverage } = matchProfile(profile, images);
  assert.equal(
    files.map(({ name, ranges, by }) => [name, ranges, by]),
    [
      ['slots/a/manifest.cose', [[0, 10]], 'digest'],
      [`images/${OTHER}.cfs`, [[0, 4096]], 'digest'],
      [`objects/ab/${DIGEST.slice(2)}`, [[0, 4096]], 'digest'],
      // No further than the file reaches.
      [`objects/12/${NEW.slice(2)}`, [[0, 2000]], 'name'],
      [`images/${NEW_IMAGE}.cfs`, [[0, 4096]], 'name'],
    ],
  );
  const bytes = { bytes: 7 * 4096, foundBytes: 3 * 4096 + 2000 };
  assert.equal(coverage, { records: 7, byDigest: 2, byName: 2, ...bytes });
  assert.match(coverageText(coverage), /^4 of 7 files .*, 2 unchanged and 2 by name; .*, 49 %$/);
  assert.is(matchProfile(PROFILE, []).coverage.foundBytes, 0);
});

test('a profile is shown in its order', () => {
  const lines = profileLines(PROFILE);
  assert.match(lines[0]!, /^boot of test-board, release 1\.0 \(0f0f0f0f0f0f\), from a trace$/);
  assert.match(lines[2]!, /^1 +containers +signed +0\.0 +0\.0 +1 +slots\/a\/manifest\.cose$/);
  assert.match(lines[3]!, /^2 +containers +image +4\.0 +4\.9 +1 +root \(image\)$/);
  assert.match(lines[4]!, /^3 +containers +object +4\.0 +8\.8 +1 +root:\/usr\/bin\/app$/);
  assert.is(lines.at(-1), '3 files, 8.0 KiB of their content');
});

// --- a list instead of a boot ---

test('a list gives whole files in its order, after the images', () => {
  const images = [
    imageOf('root', OTHER, [
      ['/b', DIGEST, 9000],
      ['/a', NEW, 0],
    ]),
    imageOf('app', NEW_IMAGE, [['/a', GONE, 5]]),
  ];
  const release = { id: '1', version: '2', boards: ['x'], images };
  const text = `# from fatrace\n\n /b \napp:/a\n${NEW}\n/nothing\nroot:/b\n`;
  const { profile, unknown } = profileOfList(text, 'list', release, 'x');
  assert.equal(unknown, ['/nothing']);
  assert.equal(
    profile.records.map((each) => ['digest' in each && each.digest, each.ranges]),
    [
      [OTHER, [[0, 6000]]],
      [NEW_IMAGE, [[0, 6000]]],
      [DIGEST, [[0, 9000]]],
      [GONE, [[0, 5]]],
      [NEW, []],
    ],
  );
  assert.equal([profile.source, profile.requests], ['list', null]);
  assert.equal(parseProfile(encodeProfile(profile), 'p'), profile);
  const none = (): unknown => profileOfList('/nothing\n', 'list', release, 'x');
  assert.is(codeOf(none), 'USAGE_PROFILE_LIST');
});

// --- the list that is sealed ---

test('the list to read ahead: one line a file, large ranges in pieces, the tree where it has blocks', () => {
  const sealed = (size: number) => ({ size, algorithm: 'sha256' as const });
  const { bytes, files, total, left } = readAheadList([
    {
      name: '',
      ranges: [
        [4096, 8192],
        [16_384, 20_480],
      ],
    },
    { name: 'objects/a', ranges: [[0, 1_200_000]], sealed: sealed(1_200_000) },
    { name: 'objects/b', ranges: [[0, 4000]], sealed: sealed(4000) },
    { name: 'objects/c', ranges: [], sealed: sealed(128 * 4096) },
  ]);
  assert.is(
    Buffer.from(bytes).toString('latin1'),
    ' 4096 4096 16384 4096\n' +
      '+objects/a 0 524288 524288 524288 1048576 151424\n' +
      'objects/b 0 4000\n' +
      'objects/c',
  );
  assert.equal([files, total, left], [4, 1_212_192, 0]);
});

test('the list has an end, in its own bytes and in those that it asks for', () => {
  const name = `objects/${'x'.repeat(100)}`;
  const many = Array.from({ length: 2000 }, () => ({ name, ranges: [[0, 1]] as const }));
  const long = readAheadList(many);
  assert.ok(long.bytes.length <= READ_AHEAD_BYTES_MAX && long.bytes.length > 65_000);
  assert.is(long.files + long.left, 2000);
  const large = readAheadList(Array.from({ length: 9 }, () => ({ name, ranges: [[0, 8 * MIB]] })));
  assert.equal([large.files, large.left, large.total], [4, 5, READ_AHEAD_TOTAL_MAX]);
});

test.run();
