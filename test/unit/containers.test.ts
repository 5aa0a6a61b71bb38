/** Starting containers: side by side, one deadline, and a reason for each that does not start. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startContainers, startEarlyContainers } from '../../runtime/containers.ts';
import { type ContainerScript, FakeContainers } from '../support/fake-containers.ts';

const test = suite('containers');

const POLICY = { containerEngine: '/usr/bin/crun', containerDeadlineMs: 2000 };

function start(
  scripts: Readonly<Record<string, ContainerScript>>,
  prepare: (device: FakeContainers) => void = () => undefined,
): { device: FakeContainers; rows: string[]; messages: string[]; seen: Record<string, string> } {
  const device = new FakeContainers(scripts);
  prepare(device);
  const { containers, pipes } = startEarlyContainers(device.engine(), Object.keys(scripts), POLICY);
  const ms = (ns: number | null): string => (ns === null ? '-' : `${ns / 1e6}`);
  return {
    device,
    rows: containers.map(({ name, startNs, startedNs, firstOutputNs, reason }) =>
      [name, ms(startNs), ms(startedNs), ms(firstOutputNs), reason?.code ?? 'ok'].join(' '),
    ),
    messages: containers.flatMap(({ reason }) => (reason === null ? [] : reason.message)),
    seen: Object.fromEntries(
      pipes.map(({ name, seen }) => [name, Buffer.from(seen).toString('latin1')]),
    ),
  };
}

test('the engine gets the prepared bundle, and nothing of the image is in its options', () => {
  const { device, rows } = start({ app: { engineMs: 40 } });
  assert.equal(device.spawned, [
    '/usr/bin/crun --cgroup-manager=cgroupfs run --detach --bundle /run/coldseal/containers/app app',
  ]);
  assert.equal(rows, ['app 1000 1040 - ok']);
  assert.equal(device.openHandles, ['app'], 'only the read end is left');
});

test('no containers: nothing is waited for', () => {
  const { device, rows } = start({});
  assert.equal([rows, device.nowMs], [[], 1000]);
});

/** Scripts, and the rows: name, start, started, first output, reason. */
const TABLE: readonly [string, Readonly<Record<string, ContainerScript>>, readonly string[]][] = [
  [
    'two run side by side',
    { a: { engineMs: 90 }, b: { engineMs: 40 } },
    ['a 1000 1090 - ok', 'b 1000 1040 - ok'],
  ],
  [
    'output while another engine still runs is seen when it comes to light',
    { a: { engineMs: 90 }, b: { engineMs: 40, output: [[35, 'hello']] } },
    ['a 1000 1090 - ok', 'b 1000 1040 1040 ok'],
  ],
  [
    'an engine that says no',
    { a: { engineMs: 9, code: 1, output: [[8, 'note\nerror: no cgroup\n']], endMs: 9 } },
    ['a 1000 - - HOST_CONTAINER_START'],
  ],
  [
    'an engine that does not exist',
    { a: { spawn: 'ENOENT' }, b: { engineMs: 5 } },
    ['a 1000 - - HOST_CONTAINER_ENGINE', 'b 1000 1005 - ok'],
  ],
  [
    'an image that is no bundle',
    { a: { bundle: false }, b: { engineMs: 5 } },
    ['a 1000 - - FORMAT_CONTAINER_BUNDLE', 'b 1000 1005 - ok'],
  ],
  ['a bundle whose block is damaged', { a: { bundle: 'EIO' } }, ['a 1000 - - HOST_READ_FAILED']],
  [
    'one that hangs costs the deadline, and the others nothing',
    { a: {}, b: { engineMs: 40 } },
    ['a 1000 - - BUDGET_CONTAINER_START', 'b 1000 1040 - ok'],
  ],
  [
    'at the deadline to the millisecond',
    { a: { engineMs: 2000 }, b: { engineMs: 2001 } },
    ['a 1000 3000 - ok', 'b 1000 - - BUDGET_CONTAINER_START'],
  ],
];

for (const [name, scripts, expected] of TABLE) {
  test(name, () => assert.equal(start(scripts).rows, expected));
}

test('children that somebody else left are reaped and mean nothing', () => {
  const { device, rows } = start({ app: { engineMs: 40 } }, (device) => {
    device.strangers = [1010, 1020];
  });
  assert.equal([rows, device.strangers], [['app 1000 1040 - ok'], []]);
});

test("the reason has the engine's last words, printable and short", () => {
  const said = (text: string): string =>
    start({ a: { engineMs: 9, code: 3, output: [[1, text]], endMs: 9 } }).messages[0]!;
  assert.match(said('first\nlast \x1b[31mword\n\n'), /ended with 3: last \?\[31mword$/);
  assert.match(said(''), /it said nothing$/);
  assert.ok(said(`${'x'.repeat(50_000)}\n`).length < 300);
});

test('a half-started container that prints for ever does not hold the boot', () => {
  const output = Array.from({ length: 100 }, () => [1, 'x'.repeat(16 * 1024)] as const);
  const { rows, seen } = start({ a: { engineMs: 9, code: 1, output } });
  assert.equal(rows, ['a 1000 - - HOST_CONTAINER_START']);
  assert.ok(seen['a']!.length < 200 * 1024);
});

test('without pipes no container starts, and each says why', () => {
  const { device, rows } = start({ a: { engineMs: 1 }, b: { engineMs: 1 } }, (device) => {
    device.failures.set('pipe', 'EMFILE');
  });
  assert.equal(
    rows.map((row) => row.split(' ').at(-1)),
    ['HOST_CONTAINER_ENGINE', 'HOST_CONTAINER_ENGINE'],
  );
  assert.equal(device.openHandles, []);
});

test('what came early goes on with the pipe', () => {
  const { seen } = start({
    a: {
      engineMs: 40,
      output: [
        [10, 'one '],
        [20, 'two'],
      ],
    },
  });
  assert.equal(seen, { a: 'one ' });
});

test('the same for those that come later', () => {
  const device = new FakeContainers({ app: { engineMs: 4 } });
  const { containers } = startContainers(device.engine(), ['app'], 'normal', POLICY);
  assert.is(containers[0]!.start, 'normal');
});

// --- tried before ---

type Before = NonNullable<ContainerScript['before']>;

/**
 * What an earlier try has left, and what comes of another one at 1000 ms: started, reason, what the engine was asked,
 * and how often it was told to run the container.
 */
const AGAIN: readonly [
  string,
  ContainerScript,
  string,
  { asked: readonly string[]; runs: number },
][] = [
  ['nothing', { engineMs: 40 }, '1041 ok', { asked: ['state a'], runs: 1 }],
  ['runs by now', { before: [[0, 'running']] }, '1001 ok', { asked: ['state a'], runs: 0 }],
  ['is paused', { before: [[0, 'paused']] }, '1001 ok', { asked: ['state a'], runs: 0 }],
  [
    'was created and not started',
    { before: [[0, 'created']], engineMs: 40 },
    '1042 ok',
    { asked: ['state a', 'delete --force a'], runs: 1 },
  ],
  ['has run and ended', { before: [[0, 'stopped']] }, '1001 ok', { asked: ['state a'], runs: 0 }],
  [
    'its first engine is still at work',
    {
      before: [
        [0, 'starting'],
        [1100, 'running'],
      ],
    },
    '1104 ok',
    { asked: ['state a', 'state a', 'state a'], runs: 1 },
  ],
  [
    'comes to run between question and try',
    {
      before: [
        [0, 'starting'],
        [1001, 'running'],
      ],
    },
    '1053 ok',
    { asked: ['state a', 'state a'], runs: 1 },
  ],
  [
    'is late for ever',
    { before: [[0, 'starting']] },
    '- HOST_CONTAINER_START',
    { asked: Array.from({ length: 41 }, () => 'state a'), runs: 1 },
  ],
  ['the engine hangs now', {}, '- BUDGET_CONTAINER_START', { asked: ['state a'], runs: 1 }],
  ['the engine is gone', { spawn: 'ENOENT' }, '- HOST_CONTAINER_ENGINE', { asked: [], runs: 0 }],
];

test('a container that was tried before', () => {
  for (const [name, script, expected, { asked, runs }] of AGAIN) {
    const device = new FakeContainers({ a: script });
    const { containers, pipes } = startContainers(device.engine(), ['a'], 'normal', POLICY);
    const [{ startedNs, reason }] = containers as [(typeof containers)[0]];
    const started = startedNs === null ? '-' : `${startedNs / 1e6}`;
    assert.is(`${started} ${reason?.code ?? 'ok'}`, expected, name);
    assert.equal(device.asked, asked, name);
    assert.is(device.spawned.length, runs, name);
    const own = device.openHandles.filter((handle) => handle !== 'pipe');
    assert.is(own.length, pipes.length, `${name}: nothing stays open but output`);
  }
});

test('a boot asks nothing, and a question about one does not lose the end of another', () => {
  const before: Before = [[0, 'running']];
  const first = new FakeContainers({ a: { before, engineMs: 1 } });
  const started = startEarlyContainers(first.engine(), ['a'], POLICY);
  assert.equal([first.asked, started.containers[0]!.reason?.code], [[], 'HOST_CONTAINER_START']);
  const both = new FakeContainers({ a: { engineMs: 1 }, b: { before } });
  const { containers } = startContainers(both.engine(), ['a', 'b'], 'normal', POLICY);
  assert.equal(
    containers.map(({ reason, startedNs }) => [reason, startedNs !== null]),
    [
      [null, true],
      [null, true],
    ],
  );
});

test('an engine that answers for ever does not hold the device', () => {
  const device = new FakeContainers({ a: { engineMs: 5 } });
  const answer = device.waitReadable.bind(device);
  device.readStream = (_, into) => into.fill(0x20).length;
  device.waitReadable = (fds, ms) => (fds.length > 0 ? [...fds] : answer(fds, ms));
  const { containers } = startContainers(device.engine(), ['a'], 'normal', POLICY);
  assert.is(containers[0]!.reason, null);
});

test.run();
