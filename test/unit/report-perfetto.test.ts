/** Traces of typical boots: what is on which track, and the rules of the format whatever the names are. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { perfettoTrace } from '../../toolchain/budget/report/perfetto.ts';
import { Message } from '../../toolchain/budget/report/protobuf.ts';
import type { Evidence } from '../../toolchain/budget/evidence.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { arbitraryEvidence } from '../support/arbitrary-evidence.ts';
import { readTrace, slicesOf, traceFaults } from '../support/read-trace.ts';
import { SAMPLE_NAMES, sampleEvidence } from '../support/sample-evidence.ts';

const test = suite('report as a Perfetto trace');

const MS = 1e6;
const CANDIDATE = 'candidate 1.5.0: virtual, cold';

/** Evidence with another typical boot. */
function withRecord(evidence: Evidence, change: Partial<MeasuredBoot>): Evidence {
  const [group, ...others] = evidence.groups;
  const { candidate } = group!;
  const typical = { boot: 0, record: { ...candidate.typical!.record, ...change } };
  return { ...evidence, groups: [{ ...group!, candidate: { ...candidate, typical } }, ...others] };
}

const tracesOf = (evidence: Evidence): ReturnType<typeof readTrace> =>
  readTrace(perfettoTrace(evidence));

test('each arm is a process with budget, total, plan, stages, events and reads', () => {
  const packets = tracesOf(sampleEvidence({ sample: 'virtual-regression' }));
  assert.equal(traceFaults(packets), []);
  const tracks = packets.flatMap(({ track }) => (track === null ? [] : [track]));
  const processes = tracks.filter(({ pid }) => pid !== null);
  assert.equal(
    processes.map(({ name, pid }) => [name, pid]),
    [
      [CANDIDATE, 1],
      ['baseline 1.4.1: virtual, cold', 2],
    ],
  );
  assert.equal(
    tracks.filter(({ parent }) => parent === processes[0]!.uuid).map(({ name }) => name),
    ['budget', 'total', 'stage budgets', 'stages', 'events', 'read requests', 'read bytes'],
  );
  const slices = new Map(slicesOf(packets));
  assert.equal(slices.get(`${CANDIDATE}/budget`), [
    { name: 'budget 2000.0 ms', startNs: 0, endNs: 2000 * MS },
  ]);
  assert.equal(slices.get(`${CANDIDATE}/total`), [
    { name: 'power-on to first-frame: 1453.0 ms', startNs: 0, endNs: 1453 * MS },
  ]);
  assert.equal(slices.get(`${CANDIDATE}/stages`)!.slice(2, 5), [
    { name: 'setup', startNs: 900 * MS, endNs: 926 * MS },
    { name: 'verify a', startNs: 926 * MS, endNs: 1033 * MS },
    { name: 'mount root', startNs: 1033 * MS, endNs: 1057 * MS },
  ]);
});

test('budgets of stages stand one after the other, with the reserve', () => {
  const slices = new Map(slicesOf(tracesOf(sampleEvidence({ sample: 'virtual-clean' }))));
  const plan = slices.get(`${CANDIDATE}/stage budgets`)!;
  assert.equal(
    plan.map(({ name, endNs }) => `${name} until ${endNs! / MS}`),
    [
      'firmware 400.0 ms until 400',
      'kernel 700.0 ms until 1100',
      'setup 50.0 ms until 1150',
      'verify 80.0 ms until 1230',
      'mount 60.0 ms until 1290',
      'containers 450.0 ms until 1740',
      'reserve 100.0 ms until 1840',
    ],
  );
});

test('reads add up over the stages', () => {
  const packets = tracesOf(sampleEvidence({ sample: 'one-boot' }));
  const requests = packets.find(({ track }) => track?.name === 'read requests')!.track!.uuid;
  const values = packets.flatMap(({ event }) => (event?.track === requests ? [event.value] : []));
  assert.equal(values, [0, 0, 0, 4, 16, 46, 55, 466, 466]);
});

test('reads that are counted by stage and not by row belong to its last row', () => {
  const io = [{ stage: 'mount', reads: 7, readBytes: 1 }];
  const packets = tracesOf(withRecord(sampleEvidence({ sample: 'one-boot' }), { io }));
  const requests = packets.find(({ track }) => track?.name === 'read requests')!.track!.uuid;
  const values = packets.flatMap(({ event }) => (event?.track === requests ? [event.value] : []));
  assert.equal(values, [0, 0, 0, 0, 0, 0, 7, 7, 7]);
});

test('what was declared before the zero of the clock moves the boot to the right', () => {
  const packets = tracesOf(sampleEvidence({ sample: 'board-constants' }));
  assert.equal(traceFaults(packets), []);
  const slices = slicesOf(packets);
  const of = (name: string): (typeof slices)[0][1] =>
    slices.find(([path]) => path.endsWith(`/${name}`))![1];
  assert.equal(of('declared'), [{ name: 'power supervisor and ROM', startNs: 0, endNs: 182 * MS }]);
  assert.is(of('stages')[0]!.startNs, 182 * MS);
  const evidence = sampleEvidence({ sample: 'board-constants' });
  // The total of the trace is the one that is judged, constants and all.
  assert.is(of('total')[0]!.endNs, evidence.groups[0]!.candidate.total!.medianNs);
});

test('units have a track each below their kind; one that never ended has no end', () => {
  const packets = tracesOf(sampleEvidence({ sample: 'systemd' }));
  assert.equal(traceFaults(packets), []);
  const units = slicesOf(packets).filter(([path]) => /\/unit-\d+\.service$/.test(path));
  assert.is(units.length, 180);
  assert.ok(units.every(([, slices]) => slices.length === 1));
  assert.is(units.filter(([, slices]) => slices[0]!.endNs === null).length, 4);
});

test('thousands of units of a kind share tracks, and still none lies over another', () => {
  const units = Array.from({ length: 3000 }, (_, i) => {
    return { track: 'initcall', name: `call_${i}`, startNs: i * 10, endNs: i * 10 + (i % 5) * 9 };
  });
  const packets = tracesOf(withRecord(sampleEvidence({ sample: 'one-boot' }), { units }));
  assert.equal(traceFaults(packets), []);
  const lanes = slicesOf(packets).filter(([path]) => path.endsWith('/initcall'));
  assert.is(
    lanes.reduce((sum, [, slices]) => sum + slices.length, 0),
    3000,
  );
  assert.ok(lanes.length <= 4, `${lanes.length} tracks`);
});

test('the same unit twice at once, no time at all, an end before its start', () => {
  const units = [
    { track: 'x', name: 'twice', startNs: 10, endNs: 50 },
    { track: 'x', name: 'twice', startNs: 20, endNs: null },
    { track: 'x', name: 'short', startNs: 30, endNs: 30 },
    { track: 'x', name: 'short', startNs: 30, endNs: 40 },
    { track: 'x', name: 'wrong', startNs: 30, endNs: 20 },
    { track: 'x', name: 'edge', startNs: 0, endNs: 50 },
    { track: 'x', name: 'edge', startNs: 49, endNs: 60 },
    { track: 'x', name: 'edge', startNs: 50, endNs: 70 },
  ];
  const packets = tracesOf(withRecord(sampleEvidence({ sample: 'one-boot' }), { units }));
  assert.equal(traceFaults(packets), []);
  const slices = slicesOf(packets).filter(([path]) => path.includes('/x/'));
  assert.equal(
    slices.map(([path, rows]) => [path.split('/').at(-1), rows.map(({ endNs }) => endNs)]),
    [
      ['twice', [50]],
      ['twice', [null]],
      ['short', [30, 40]],
      ['wrong', [30]],
      ['edge', [50, 70]],
      ['edge', [60]],
    ],
  );
});

test('boots that nobody has seen end leave no trace of a total', () => {
  assert.equal(tracesOf(sampleEvidence({ sample: 'no-boot-ended' })), []);
  assert.equal(tracesOf(sampleEvidence({ sample: 'no-groups' })), []);
  const events = [{ name: 'power-on', atNs: 0 }];
  const packets = tracesOf(withRecord(sampleEvidence({ sample: 'one-boot' }), { events }));
  const total = slicesOf(packets).find(([path]) => path.endsWith('/total'))![1];
  assert.equal(total, [{ name: 'power-on to first-frame: never ended', startNs: 0, endNs: null }]);
});

test('every sample is the same bytes each time', () => {
  for (const sample of SAMPLE_NAMES) {
    const [a, b] = [sampleEvidence({ sample }), sampleEvidence({ sample })].map(perfettoTrace);
    assert.is(Buffer.compare(a!, b!), 0, sample);
  }
});

test('any names keep the rules', () => {
  fc.assert(
    fc.property(arbitraryEvidence, (evidence) => {
      assert.equal(traceFaults(tracesOf(evidence)), []);
    }),
    { numRuns: 60 },
  );
});

test('the rules find what is planted', () => {
  const good = tracesOf(sampleEvidence({ sample: 'one-boot' }));
  const begin = good.findIndex(({ event }) => event?.type === 'begin');
  const event = good[begin]!.event!;
  const rows: [string, ReturnType<typeof readTrace>][] = [
    ['slices lie over each other', good.toSpliced(begin, 0, good[begin]!)],
    ['time goes back', [...good, { ...good[begin]!, event: { ...event, atNs: 0 } }]],
    ['an event before its track', [good[0]!, good[begin]!]],
    ['a parent comes later', good.slice(1)],
    ['several sequences', good.with(3, { ...good[3]!, sequence: 2 })],
    ['not cleared once', good.with(0, { ...good[0]!, isCleared: false })],
    ['twice, or 0', good.toSpliced(1, 0, good[1]!)],
  ];
  for (const [fault, packets] of rows) {
    assert.ok(
      traceFaults(packets).some((text) => text.includes(fault)),
      fault,
    );
  }
});

test('varints as the encoding guide has them', () => {
  // 150 is 96 01: protobuf.dev, "A Simple Message".
  assert.equal([...new Message().number(1, 150).bytes()], [0x08, 0x96, 0x01]);
  // "testing": protobuf.dev, "Length-Delimited Records".
  assert.is(
    Buffer.from(new Message().text(2, 'testing').bytes()).toString('hex'),
    '120774657374696e67',
  );
  const max = new Message().number(1, Number.MAX_SAFE_INTEGER).bytes();
  assert.is(Buffer.from(max).toString('hex'), '08ffffffffffffff0f');
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
    assert.throws(() => new Message().number(1, value), /no varint/);
  }
});

test.run();
