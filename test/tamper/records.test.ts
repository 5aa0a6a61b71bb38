/**
 * Attacks on everything that is read from a disk as a record: every bit of every field, from the tables that describe
 * the records, so that a new field is attacked on the day it is added. A bit is refused or it is part of the value;
 * none is passed over. What hashes and checksums add to that is in the tests of each format.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { equalBytes, toHex } from '../../runtime/format/bytes.ts';
import { decodeCanonical, encodeCanonical } from '../../runtime/format/cbor.ts';
import { decodeDenyList, encodeDenyList } from '../../runtime/format/deny-list.ts';
import { type FieldTable, fieldsOf, type Struct } from '../../runtime/format/struct.ts';
import { ErofsChunkIndex, ErofsDeviceSlot } from '../../runtime/format/erofs.ts';
import { decodeTrustBundle, encodeTrustBundle } from '../../runtime/format/trust.ts';
import { parseBootReport } from '../../toolchain/board/boot-report.ts';
import { RECORDS } from '../../toolchain/dev/format-docs.ts';
import { crc32 } from '../../toolchain/disk/crc32.ts';
import * as ext4 from '../../toolchain/disk/ext4-records.ts';
import * as fat from '../../toolchain/disk/fat-records.ts';
import * as gpt from '../../toolchain/disk/gpt.ts';
import { TarIndexHeader } from '../../toolchain/image/tar-index-format.ts';
import { CacheHeader } from '../../toolchain/objects/digest-cache-format.ts';
import { mutations } from '../support/cbor-mutations.ts';
import { codeOf } from '../support/expect-code.ts';
import { sourceFiles } from '../support/source-files.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('tamper: records');

// --- records of a table --------------------------------------------------------------------------------

type AnyRecord = Struct<FieldTable>;

const ALL: readonly AnyRecord[] = [
  RECORDS,
  [ErofsChunkIndex, ErofsDeviceSlot, TarIndexHeader, CacheHeader],
  ...[ext4, fat, gpt].map((module) => Object.values(module)),
].flatMap((values: readonly unknown[]) => values.filter(isRecord));

function isRecord(value: unknown): value is AnyRecord {
  return typeof value === 'object' && value !== null && 'table' in value && 'decode' in value;
}

/** The bytes of a record whose values are zero where they may be. */
function exampleOf(record: AnyRecord): Uint8Array {
  const zeros = new DataView(new ArrayBuffer(record.size));
  const values = Object.entries(record.table)
    .filter(([, [, codec]]) => codec.implicit !== true)
    .map(([name, [at, codec]]) => {
      const read = codec.read(zeros, at) as { value?: unknown; problem?: string };
      assert.is(read.problem, undefined, `${record.name}.${name}`);
      return [name, read.value] as const;
    });
  return record.encode(Object.fromEntries(values) as never);
}

test('no record of the sources is left out', () => {
  const defined = sourceFiles()
    .filter(({ path }) => /^(runtime|toolchain)\/.*\.ts$/.test(path))
    .flatMap(({ text }) => [...text.matchAll(/\bstruct\(\s*'([^']+)',/g)].map(([, name]) => name!));
  assert.ok(defined.length >= 20, defined.join(', '));
  assert.equal(ALL.map(({ name }) => name).sort(), defined.sort());
});

for (const record of ALL) {
  test(`${record.name}: every bit of every field is refused or read`, () => {
    const good = exampleOf(record);
    assert.is(
      codeOf(() => record.decode(good)),
      'nothing was thrown',
    );
    for (const { name, offset, size } of fieldsOf(record)) {
      const isFixed = record.table[name]![1].implicit === true;
      for (let bit = 0; bit < size * 8; bit++) {
        const bytes = Uint8Array.from(good);
        bytes[offset + (bit >> 3)]! ^= 1 << (bit & 7);
        const code = codeOf(() => {
          const again = record.encode(record.decode(bytes) as never);
          assert.ok(equalBytes(again, bytes), `${name}, bit ${bit}: passed over`);
        });
        const isRefused = code === 'FORMAT_RECORD_FIELD';
        assert.ok(
          isRefused || (!isFixed && code === 'nothing was thrown'),
          `${name}, bit ${bit}: ${code}`,
        );
      }
    }
  });
}

// --- the partition table -------------------------------------------------------------------------------

const MIB = 1024 * 1024;
const PARTITIONS = ['one', 'two'].map((name, index) => ({
  name,
  type: new Uint8Array(16).fill(7),
  guid: new Uint8Array(16).fill(index + 1),
  offset: (1 + index) * MIB,
  size: MIB,
  attributes: 4n,
}));
const DISK_SIZE = gpt.diskSizeFor(3 * MIB);

/** The table on a disk of its own, and the one way to read it. */
function tableDisk(): { disk: Uint8Array; code: () => string } {
  const disk = new Uint8Array(DISK_SIZE);
  const { front, back } = gpt.encodeGpt(
    { guid: new Uint8Array(16).fill(9), partitions: PARTITIONS },
    DISK_SIZE,
  );
  disk.set(front);
  disk.set(back, DISK_SIZE - back.length);
  const read = (at: number, length: number): Uint8Array => disk.subarray(at, at + length);
  return { disk, code: () => codeOf(() => gpt.readGpt(read, DISK_SIZE)) };
}

const COPIES = [
  { name: 'first', header: gpt.SECTOR, entries: 2 * gpt.SECTOR },
  { name: 'second', header: DISK_SIZE - gpt.SECTOR, entries: DISK_SIZE - gpt.GPT_BACK },
] as const;

for (const { name, header, entries } of COPIES) {
  test(`${name} partition table: every field, with and without the checksums made right`, () => {
    const { disk, code } = tableDisk();
    const good = disk.slice();
    const fixChecksums = (): void => {
      const view = new DataView(disk.buffer);
      const { entriesChecksum, checksum } = gpt.GptHeader.at;
      view.setUint32(
        header + entriesChecksum,
        crc32(disk.subarray(entries, entries + 128 * 128)),
        true,
      );
      view.setUint32(header + checksum, 0, true);
      view.setUint32(header + checksum, crc32(disk.subarray(header, header + 92)), true);
    };
    assert.is(code(), 'nothing was thrown');
    const places = [
      ...fieldsOf(gpt.GptHeader).map((field) => ({ ...field, at: header })),
      ...[0, 1].flatMap((index) =>
        fieldsOf(gpt.GptEntry).map((field) => ({
          ...field,
          at: entries + index * gpt.GptEntry.size,
        })),
      ),
    ];
    const sums = new Set(['checksum', 'entriesChecksum']);
    for (const { name: field, at, offset, size } of places) {
      for (let byte = at + offset; byte < at + offset + size; byte++) {
        disk[byte]! ^= 0x01;
        assert.is(code(), 'FORMAT_GPT', `${field} at ${byte - at}`);
        // Whoever makes one copy right contradicts the other one.
        if (!sums.has(field)) {
          fixChecksums();
          assert.is(code(), 'FORMAT_GPT', `${field} at ${byte - at}, with its checksum`);
        }
        disk.set(good.subarray(header, header + gpt.SECTOR), header);
        disk.set(good.subarray(entries, entries + 256), entries);
      }
    }
  });
}

// --- records in CBOR and JSON --------------------------------------------------------------------------

const LIMITS = { maxBytes: 65536, maxDepth: 8, maxItems: 5000 };
const pin = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

const AUTHORITIES: readonly [
  name: string,
  good: Uint8Array,
  again: (bytes: Uint8Array) => Uint8Array,
][] = [
  [
    'trust bundle',
    encodeTrustBundle({
      version: 3,
      anchors: [
        { spkiSha256: pin(1), purposes: [1, 5] },
        { spkiSha256: pin(2), purposes: [2] },
      ],
    }),
    (bytes) => encodeTrustBundle(decodeTrustBundle(bytes)),
  ],
  [
    'deny list',
    encodeDenyList({
      version: 4,
      keys: [pin(1), pin(2)],
      certificates: [pin(3)],
      manifests: [pin(4)],
      epochs: new Map([
        [1, 7],
        [2, 0],
      ]),
    }),
    (bytes) => encodeDenyList(decodeDenyList(bytes)),
  ],
];

for (const [name, good, again] of AUTHORITIES) {
  test(`${name}: every field changed is refused, or means what it says`, () => {
    let refused = 0;
    for (const [where, tree] of mutations(decodeCanonical(good, LIMITS), name)) {
      const changed = encodeCanonical(tree);
      if (equalBytes(changed, good)) continue;
      const code = codeOf(() => {
        assert.ok(equalBytes(again(changed), changed), `${where}: read as something else`);
      });
      assert.match(code, /^(nothing was thrown|FORMAT_(CBOR|TRUST|DENY)_)/, where);
      if (code !== 'nothing was thrown') refused++;
    }
    assert.ok(refused > 80, `${refused} refused`);
  });

  test(`${name}: every bit of its bytes`, () => {
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bytes = Uint8Array.from(good);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      codeOf(() =>
        assert.is(toHex(again(bytes)), toHex(bytes), `bit ${bit}: read as something else`),
      );
    }
  });
}

/** A value of each other kind, and near ones. */
function otherValues(value: unknown): unknown[] {
  const others = [undefined, null, true, -1, 0.5, 2 ** 60, 'x', '', [], {}, [1], { x: 1 }];
  return typeof value === 'number' ? [...others, value + 1] : others;
}

/** Every document that differs from a good one in one place. */
function* otherDocuments(value: unknown, path: string): Generator<[where: string, unknown]> {
  for (const other of otherValues(value)) {
    if (JSON.stringify(other) !== JSON.stringify(value))
      yield [`${path} = ${JSON.stringify(other)}`, other];
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    for (const [where, changed] of otherDocuments(item, `${path}.${key}`)) {
      const copy: unknown = Array.isArray(value) ? [...value] : { ...value };
      (copy as Record<string, unknown>)[key] = changed;
      yield [where, copy];
    }
  }
  if (!Array.isArray(value)) yield [`${path} with more`, { ...value, surplus: 1 }];
}

test('boot record: every field changed is refused, or means what it says', () => {
  const record = testRecord({
    io: { readRequests: 1, readBytes: 512, writeRequests: 0, writeBytes: 0 },
  });
  let refused = 0;
  let changes = 0;
  for (const [where, document] of otherDocuments(record, 'record')) {
    const text = JSON.stringify(document);
    if (text === undefined || text === JSON.stringify(record)) continue;
    changes++;
    const code = codeOf(() => {
      const read = parseBootReport(Buffer.from(`${text}\n`));
      assert.equal(read, JSON.parse(text), `${where}: read as something else`);
    });
    assert.match(code, /^(nothing was thrown|FORMAT_BOOT_REPORT)$/, where);
    if (code !== 'nothing was thrown') refused++;
  }
  assert.ok(changes > 700 && refused > changes / 2, `${refused} of ${changes} refused`);
});

test.run();
