/** Which stage read what: QEMU's trace, the board's counters beside it, and what storages would take for it. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BootRecord, BootStage, DiskCounters } from '../../runtime/format/boot-record.ts';
import { AFTER, BETWEEN, countIo, type IoCount } from '../../toolchain/board/io-counts.ts';
import { type DiskRequest, parseDiskTrace } from '../../toolchain/board/io-trace.ts';
import { modelStorage } from '../../toolchain/board/storage-model.ts';
import { codeOf, expectCode } from '../support/expect-code.ts';
import { testRecord } from '../support/test-record.ts';

const test = suite('io counts');

// --- the trace ---

const DISK = '0x556f1f9a2fe0';
const PORT = '0x556f1fae0090';
const status = (device: string, value: number): string =>
  `virtio_set_status vdev ${device} val ${value}`;
const made = (kind: 'read' | 'write', id: string, sectors: number, device = DISK): string =>
  `virtio_blk_handle_${kind} vdev ${device} req ${id} sector 8 nsectors ${sectors}`;
const done = (id: string, code = 0, device = DISK): string =>
  `virtio_blk_req_complete vdev ${device} req ${id} status ${code}`;
const UP = [status(DISK, 0), status(DISK, 1), status(DISK, 3), status(DISK, 11), status(DISK, 15)];

/** As QEMU 7.2.22 wrote it for a q35 board: SeaBIOS reads the first sector, then the kernel takes the disk over. */
const Q35 = [
  ...UP,
  made('read', '0x7f9224103040', 1),
  done('0x7f9224103040'),
  ...UP,
  made('read', '0x7f92241030c0', 8),
  done('0x7f92241030c0'),
  status(PORT, 15),
  made('write', '0x7f92241030c0', 8),
  done('0x7f92241030c0'),
  done('0x7f9224103140'),
  made('read', '0x7f92241030c0', 256),
  done('0x7f92241030c0'),
  status(DISK, 0),
  status(PORT, 0),
  '',
];

test('a trace gives requests in the order they were done, and the firmware its own', () => {
  assert.equal(parseDiskTrace(Q35.join('\n')), {
    firmware: [{ kind: 'read', offset: 4096, bytes: 512 }],
    kernel: [
      { kind: 'read', offset: 4096, bytes: 4096 },
      { kind: 'write', offset: 4096, bytes: 4096 },
      { kind: 'other', offset: 0, bytes: 0 },
      { kind: 'read', offset: 4096, bytes: 131_072 },
    ],
  });
  const overtaking = [
    ...UP,
    made('read', '0xa', 1),
    made('read', '0xb', 2),
    done('0xb'),
    done('0xa'),
  ];
  assert.equal(
    parseDiskTrace(overtaking.join('\n')).kernel.map(({ bytes }) => bytes),
    [1024, 512],
  );
  const unfinished = [...UP, made('read', '0xa', 1), done('0xa'), made('read', '0xb', 2)];
  assert.is(parseDiskTrace(unfinished.join('\n')).kernel.length, 1);
});

test('a driver of an older virtio takes the disk, and one that has not said so does not', () => {
  const taken = (value: number): string =>
    [status(DISK, 3), status(DISK, value), made('read', '0xa', 1), done('0xa')].join('\n');
  // ACKNOWLEDGE, DRIVER and DRIVER_OK; FEATURES_OK is of virtio 1.
  assert.is(parseDiskTrace(taken(7)).kernel.length, 1);
  expectCode(() => parseDiskTrace(taken(11)), 'HOST_IO_TRACE');
});

test('a flush in the place of a read that is done is no read', () => {
  const lines = [...UP, made('read', '0xa', 1), done('0xa'), done('0xa')];
  assert.equal(parseDiskTrace(lines.join('\n')).kernel, [
    { kind: 'read', offset: 4096, bytes: 512 },
    { kind: 'other', offset: 0, bytes: 0 },
  ]);
});

test('a trace that is none, or cannot be counted, is refused', () => {
  for (const [name, lines] of [
    ['empty', []],
    ['no requests', UP],
    ['another line', [...Q35, 'qemu-system-x86_64: warning: something']],
    ['another event', [...Q35, `virtio_blk_rw_complete vdev ${DISK} req 0x1 ret 0`]],
    ['a request that failed', [...UP, made('read', '0xa', 1), done('0xa', 1)]],
    [
      'two disks',
      [
        ...UP,
        made('read', '0xa', 1),
        done('0xa'),
        made('read', '0xb', 1, PORT),
        done('0xb', 0, PORT),
      ],
    ],
    [
      'two disks, of which one only flushes',
      [...UP, made('read', '0xa', 1), done('0xa'), done('0xb', 0, PORT)],
    ],
    ['a disk without a driver', [status(DISK, 3), made('read', '0xa', 1), done('0xa')]],
    ['cut off', [Q35.join('\n').slice(0, -60)]],
  ] as [string, string[]][]) {
    assert.is(
      codeOf(() => parseDiskTrace(lines.join('\n'))),
      'HOST_IO_TRACE',
      name,
    );
  }
});

// --- who read it ---

const read = (bytes: number): DiskRequest => ({ kind: 'read', offset: 0, bytes });
const write = (bytes: number): DiskRequest => ({ kind: 'write', offset: 0, bytes });
const counters = (
  readRequests: number,
  readBytes: number,
  writeRequests = 0,
  writeBytes = 0,
): DiskCounters => ({ readRequests, readBytes, writeRequests, writeBytes });
const io = (reads: number, readBytes: number, writes = 0, writeBytes = 0): IoCount => ({
  reads,
  readBytes,
  writes,
  writeBytes,
});

let at = 0;
const stage = (name: string, startIo?: DiskCounters, endIo?: DiskCounters): BootStage => ({
  name,
  startNs: at++,
  endNs: at,
  ...(startIo && { startIo }),
  ...(endIo && { endIo }),
});

const KERNEL = [
  read(4096),
  read(8192),
  write(4096),
  read(512),
  { kind: 'other', offset: 0, bytes: 0 },
  read(1024),
] as const;
const TRACE = { firmware: [read(512)], kernel: [...KERNEL, read(65_536)] };
/** Linux counts the empty flush after the write as a write, too. */
const RECORD = testRecord({
  stages: [
    stage('setup'),
    stage('policy'),
    stage('modules virtio_blk', undefined, counters(1, 4096)),
    stage('find-store', counters(1, 4096), counters(1, 4096)),
    stage('slot-state', counters(1, 4096), counters(2, 12_288, 2, 4096)),
    stage('handover', counters(3, 12_800, 2, 4096), counters(3, 12_800, 2, 4096)),
  ],
  io: counters(4, 13_824, 2, 4096),
});

test('every request belongs to a stage, to what is between them, or to what comes after', () => {
  const counted = countIo(RECORD, TRACE);
  assert.equal(counted.stages, [
    { name: 'setup', ...io(0, 0) },
    { name: 'policy', ...io(0, 0) },
    { name: 'modules virtio_blk', ...io(1, 4096) },
    { name: 'find-store', ...io(0, 0) },
    { name: 'slot-state', ...io(1, 8192, 1, 4096) },
    { name: 'handover', ...io(0, 0) },
    { name: BETWEEN, ...io(1, 512) },
    { name: AFTER, ...io(1, 1024) },
  ]);
  assert.equal(counted.total, io(4, 13_824, 1, 4096));
  assert.equal(counted.outside, { firmware: io(1, 512), afterwards: io(1, 65_536) });
});

test('what a built-in driver read before /init is the kernel’s', () => {
  const first = counters(2, 12_288);
  const record = testRecord({
    stages: [stage('setup'), stage('policy', undefined, first), stage('mount-store', first, first)],
    io: first,
  });
  const { stages } = countIo(record, { firmware: [], kernel: KERNEL });
  assert.equal(
    stages.map(({ name, reads }) => [name, reads]),
    [
      ['kernel', 2],
      ['setup', 0],
      ['policy', 0],
      ['mount-store', 0],
      [BETWEEN, 0],
      [AFTER, 0],
    ],
  );
});

test('a policy that was counted on both sides read for itself', () => {
  const [before, after] = [counters(1, 4096), counters(2, 12_288)];
  const record = testRecord({ stages: [stage('policy', before, after)], io: after });
  const { stages } = countIo(record, { firmware: [], kernel: KERNEL });
  assert.equal(
    stages.map(({ name, reads }) => [name, reads]),
    [
      ['policy', 1],
      [BETWEEN, 1],
      [AFTER, 0],
    ],
  );
});

test('a board and a QEMU that do not agree are refused, and so is a board that did not count', () => {
  const [setup, policy, modules, ...rest] = RECORD.stages;
  const withEnd = (endIo: DiskCounters): BootRecord => {
    return { ...RECORD, stages: [setup!, policy!, { ...modules!, endIo }, ...rest] };
  };
  for (const [name, record, pattern] of [
    [
      'other bytes',
      withEnd(counters(1, 8192)),
      /by modules virtio_blk .* 1 reads of 8192 bytes, and QEMU 4096/,
    ],
    ['another number', withEnd(counters(2, 4096)), /QEMU 12288 bytes in as many/],
    ['more than there are', withEnd(counters(9, 4096)), /QEMU only 5 reads/],
    [
      'writes that were none',
      withEnd(counters(1, 4096, 1, 512)),
      /512 bytes in 1 writes, and QEMU never so/,
    ],
    ['a write of nothing but bytes', withEnd(counters(1, 4096, 0, 4096)), /4096 bytes in 0 writes/],
    ['the end', { ...RECORD, io: counters(5, 1) }, /by the end/],
  ] as [string, BootRecord, RegExp][]) {
    const { message } = expectCode(() => countIo(record, TRACE), 'HOST_IO_COUNT', name);
    assert.match(message, pattern);
  }
  const { io: _, ...silent } = RECORD;
  const { message, hint } = expectCode(() => countIo(silent, TRACE), 'HOST_IO_COUNT');
  assert.match(message, /the board did not count/);
  assert.match(hint!, /older version/);
});

/** Requests, how many were done by each mark, and how many came after the last one. */
const boots = fc.record({
  requests: fc.array(
    fc.record({
      kind: fc.constantFrom('read', 'write', 'other'),
      bytes: fc.integer({ min: 1, max: 64 }).map((sectors) => sectors * 512),
    }),
    { minLength: 1, maxLength: 40 },
  ),
  marks: fc.array(fc.nat({ max: 40 }), { minLength: 3, maxLength: 12 }),
});

/** The record of a board that counts exactly. */
function recordOf(requests: readonly DiskRequest[], marks: readonly number[]): BootRecord {
  const sorted = marks.map((mark) => Math.min(mark, requests.length)).sort((a, b) => a - b);
  const sum = (kind: string, until: number): [number, number] => {
    const those = requests.slice(0, until).filter((request) => request.kind === kind);
    return [those.length, those.reduce((bytes, request) => bytes + request.bytes, 0)];
  };
  const noted = sorted.map((mark) => counters(...sum('read', mark), ...sum('write', mark)));
  const stages = noted.slice(0, -1).flatMap((start, i) => {
    const end = noted[i + 1];
    return i % 2 === 0 ? [stage(`mount ${i}`, start, end)] : [];
  });
  return testRecord({ stages, io: noted.at(-1)! });
}

test('for any boot: rows add up to the total, and with what is outside to the whole trace', () => {
  fc.assert(
    fc.property(boots, ({ requests, marks }) => {
      const kernel = requests as DiskRequest[];
      const { stages, total, outside } = countIo(recordOf(kernel, marks), { firmware: [], kernel });
      for (const key of ['reads', 'readBytes', 'writes', 'writeBytes'] as const) {
        assert.is(
          stages.reduce((sum, row) => sum + row[key], 0),
          total[key],
        );
        assert.ok(stages.every((row) => row[key] >= 0));
      }
      const whole = kernel.filter(({ kind }) => kind === 'read').length;
      assert.is(total.reads + outside.afterwards.reads, whole);
    }),
  );
});

test('for any boot: a read of another size before the last mark is found', () => {
  fc.assert(
    fc.property(boots, fc.nat(), ({ requests, marks }, pick) => {
      const kernel = requests as DiskRequest[];
      const record = recordOf(kernel, marks);
      const { readRequests } = record.io!;
      fc.pre(readRequests > 0);
      let seen = 0;
      const chosen = pick % readRequests;
      const changed = kernel.map((request) => {
        if (request.kind !== 'read' || seen++ !== chosen) return request;
        return { ...request, bytes: request.bytes + 512 };
      });
      expectCode(() => countIo(record, { firmware: [], kernel: changed }), 'HOST_IO_COUNT');
    }),
  );
});

// --- what it would take ---

const fact = (value: number, evidence: 'measured' | 'vendor') => ({ value, source: 's', evidence });

test('storage is modelled from the figures of the board file, measured before ceiling', () => {
  const storage = [
    { kind: 'virtio-blk', read_latency_us: fact(100, 'measured') },
    { kind: 'emmc', ceiling_mb_s: fact(400, 'vendor'), measured_mb_s: fact(200, 'measured') },
    { kind: 'ospi', ceiling_mb_s: fact(330, 'vendor'), read_latency_us: fact(150, 'vendor') },
  ];
  const stages = [
    { name: 'verify a', ...io(20, 4_000_000, 1, 1) },
    { name: AFTER, ...io(60, 16_000_000) },
  ];
  const found = modelStorage(storage, 40_000_000, counters(80, 20_000_000), stages);
  assert.equal(found, [
    {
      kind: 'emmc',
      mbPerS: 200,
      evidence: 'measured',
      latencyUs: null,
      latencyEvidence: null,
      loadMs: 200,
      readMs: 100,
      stages: [
        { name: 'verify a', modelledMs: 20 },
        { name: AFTER, modelledMs: 80 },
      ],
    },
    {
      kind: 'ospi',
      mbPerS: 330,
      evidence: 'ceiling, vendor',
      latencyUs: 150,
      latencyEvidence: 'vendor',
      loadMs: 40_000 / 330,
      readMs: 12 + 20_000 / 330,
      stages: [
        { name: 'verify a', modelledMs: 3 + 4000 / 330 },
        { name: AFTER, modelledMs: 9 + 16_000 / 330 },
      ],
    },
  ]);
  const uncounted = modelStorage(storage, 1000, undefined)[0]!;
  assert.equal([uncounted.readMs, uncounted.stages], [0, []]);
});

test.run();
