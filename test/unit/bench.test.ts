/** The pure parts of the bench: statistics, limits, tables, inputs. Nothing is timed here. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseCases, CASES, runCases } from '../../toolchain/bench/bench.ts';
import { makeTrees, millionRows } from '../../toolchain/bench/case-million.ts';
import { growthRows } from '../../toolchain/bench/cases-build.ts';
import { comparisonNotes, usageRows, type BenchContext } from '../../toolchain/bench/context.ts';
import {
  LIMITS,
  MKCOMPOSEFS,
  REFERENCE_STORE,
  REFERENCE_TREE,
  treeLimitMs,
  verdictOf,
} from '../../toolchain/bench/limits.ts';
import {
  appendHistory,
  compareWithHistory,
  historyEntry,
  type HistoryEntry,
  judgeChange,
  readHistory,
} from '../../toolchain/bench/history.ts';
import { machineNotes } from '../../toolchain/bench/machine-limits.ts';
import { parseOpensslSpeed, type Machine } from '../../toolchain/bench/machine.ts';
import { Meter, type Sample } from '../../toolchain/bench/measure.ts';
import { least, marginalCosts, pairRatios } from '../../toolchain/bench/statistics.ts';
import { median } from '../../toolchain/budget/statistics/quantiles.ts';
import { syntheticDump } from '../../toolchain/bench/synthetic-dump.ts';
import {
  fileSizes,
  syntheticPaths,
  writeSyntheticTree,
} from '../../toolchain/bench/synthetic-tree.ts';
import { formatValue, printTable, summaryLine } from '../../toolchain/bench/table.ts';
import { describeTree, hashedBytes } from '../../toolchain/bench/tree-facts.ts';
import { parseBenchArgs } from '../../toolchain/dev/bench.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { buildImage } from '../../toolchain/image/build.ts';
import { parseDump } from '../../toolchain/image/dumpfile.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('bench');

function sample(values: Partial<Sample>): Sample {
  return { wallMs: 0, userMs: 0, sysMs: 0, peakBytes: 0, diskBytes: 0, stdout: '', ...values };
}

test('median and least', () => {
  const cases: readonly [values: number[], middle: number, lowest: number][] = [
    [[5], 5, 5],
    [[3, 1], 2, 1],
    [[10, 9, 100], 10, 9],
    [[4, 1, 3, 2], 2.5, 1],
  ];
  for (const [values, middle, lowest] of cases) {
    const before = [...values];
    assert.is(median(values), middle);
    assert.is(least(values), lowest);
    assert.equal(values, before);
  }
  assert.throws(() => median([]), /at least one/);
  assert.throws(() => least([]), /at least one/);
});

test('ratios go pair by pair', () => {
  assert.equal(pairRatios([2, 9], [1, 3]), [2, 3]);
  assert.throws(() => pairRatios([1], []), /as many/);
});

test('a fixed cost does not count as growth, a square law does', () => {
  const points = (cost: (size: number) => number): { size: number; cost: number }[] =>
    [1, 3, 10].map((size) => ({ size, cost: cost(size) }));
  assert.equal(marginalCosts(points((size) => 50 + 2 * size)), [2, 2]);
  const [early, late] = marginalCosts(points((size) => size * size)) as [number, number];
  assert.ok(Math.abs(late / early - 3.25) < 1e-9, 'the figure that limits.ts gives');
});

test('growth is judged on what further entries cost', () => {
  const series = [100_000, 300_000, 1_000_000].map((size) => [
    sample({
      wallMs: size / 100,
      userMs: 100 + size / 200,
      sysMs: 20,
      peakBytes: 5e7 + size * 900,
    }),
  ]);
  const rows = growthRows(series);
  assert.is(rows.length, 3 * 4 + 2);
  for (const row of rows.slice(-2)) {
    assert.is(row.limit, LIMITS.growth);
    assert.ok(Math.abs(row.value - 1) < 1e-9, row.what);
  }
});

test('the limit of the reference tree is the stated one, and half the tree has half the rest', () => {
  assert.is(treeLimitMs(REFERENCE_TREE), LIMITS.treeMs);
  const { entries, bytes } = REFERENCE_TREE;
  const half = (LIMITS.treeMs + LIMITS.startMs) / 2;
  const trees: readonly [entries: number, bytes: number, limit: number][] = [
    [0, 0, LIMITS.startMs],
    [entries, 0, half],
    [0, bytes, half],
    [entries / 2, bytes / 2, half],
    [2 * entries, 2 * bytes, 2 * LIMITS.treeMs - LIMITS.startMs],
  ];
  for (const [e, b, limit] of trees) assert.is(treeLimitMs({ entries: e, bytes: b }), limit);
});

test('a value at its limit is within it', () => {
  assert.is(verdictOf(80, 80), 'within');
  assert.is(verdictOf(80.1, 80), 'over');
});

test('values have a unit and about three digits', () => {
  const cases: readonly [Parameters<typeof formatValue>, string][] = [
    [[0.5, 'ms'], '0.50 ms'],
    [[61.25, 'ms'], '61.3 ms'],
    [[999, 'ms'], '999 ms'],
    [[4000, 'ms'], '4.00 s'],
    [[500, 'bytes'], '0.50 kB'],
    [[256e6, 'bytes'], '256 MB'],
    [[6.1e9, 'bytes'], '6.10 GB'],
    [[1.6e9, 'bytes/s'], '1.60 GB/s'],
    [[5.678, 'us/entry'], '5.68 us'],
    [[1497.6, 'bytes/entry'], '1498 B'],
    [[0.994, 'ratio'], '0.99'],
  ];
  for (const [args, text] of cases) assert.is(formatValue(...args), text);
});

test('the table has the limit, the ratio and the verdict beside each measure', () => {
  const results = [
    {
      name: 'start',
      notes: [],
      rows: [
        { what: 'wall', unit: 'ms' as const, value: 100, least: 90, limit: 80 },
        { what: 'peak memory', unit: 'bytes' as const, value: 48e6, least: 47e6 },
      ],
    },
    {
      name: 'store',
      rows: [{ what: 'wall', unit: 'ms' as const, value: 465, least: 460, reference: 930 }],
      notes: ['4856 files'],
    },
    { name: 'verify', rows: [], notes: [], skipped: 'no such command' },
    { name: 'tree', rows: [], notes: [], failed: 'exit code 6\nno such directory' },
    {
      name: 'dump',
      notes: [],
      rows: [{ what: 'wall', unit: 'ms' as const, value: 350, least: 340, limit: 350 }],
    },
  ];
  assert.equal(printTable(results), [
    'case   measure       median    least     limit  ratio  verdict',
    '',
    'start  wall          100 ms  90.0 ms   80.0 ms   1.25  over',
    '       peak memory  48.0 MB  47.0 MB',
    '',
    'store  wall          465 ms   460 ms  C 930 ms   0.50',
    '  4856 files',
    '',
    'verify',
    '  skipped: no such command',
    '',
    'tree',
    '  FAILED: exit code 6',
    '  no such directory',
    '',
    'dump   wall          350 ms   340 ms    350 ms   1.00  within',
  ]);
  assert.is(summaryLine(results), '2 limits: 1 within, 1 over; 5 cases, 1 skipped, 1 failed');
});

test('samples become rows with medians, and limits only where they are', () => {
  const samples = [1, 2, 9].map((n) =>
    sample({ wallMs: n, userMs: 2 * n, sysMs: n, peakBytes: n * 1e6 }),
  );
  assert.equal(usageRows(samples, { wallLimitMs: 3, peakReferenceBytes: 7 }, 'x: '), [
    { what: 'x: wall', unit: 'ms', value: 2, least: 1, limit: 3 },
    { what: 'x: user + system', unit: 'ms', value: 6, least: 3 },
    { what: 'x: peak memory', unit: 'bytes', value: 2e6, least: 1e6, reference: 7 },
  ]);
  const theirs = [1, 4, 3].map((n) => sample({ wallMs: n, peakBytes: 5e6 }));
  assert.equal(comparisonNotes(samples, theirs), [
    'mkcomposefs here: 3.00 ms, 5.00 MB; the digests are equal',
    'coldseal / mkcomposefs, pair by pair: 1.00 0.50 3.00',
  ]);
});

test('hashed bytes are whole blocks, the Merkle tree and the descriptor', () => {
  const block = 4096;
  const cases: readonly [size: number, blocks: number][] = [
    [65, 1],
    [4096, 1],
    [4097, 2 + 1],
    [128 * block, 128 + 1],
    [129 * block, 129 + 2 + 1],
  ];
  for (const [size, blocks] of cases) assert.is(hashedBytes(size), blocks * block + 256);
  // These are inside the image.
  assert.is(hashedBytes(0), 0);
  assert.is(hashedBytes(64), 0);
});

test('the synthetic dump is valid, has exactly so many entries, and never changes', () => {
  const digestOf = (text: string): string =>
    buildImage(parseDump(Buffer.from(text, 'latin1'))).digest;
  for (const entries of [1, 16, 20, 5000]) {
    const lines = [...syntheticDump(entries)];
    assert.is(lines.length, entries);
    digestOf(lines.join(''));
  }
  const text = [...syntheticDump(5000)].join('');
  // A changed digest is another input: figures from before and after cannot be compared.
  assert.is(digestOf(text), '4e5b657d857d7566f4ec9c333787ca95270efd486558ca15a07205f68bfa1e59');
  const bytesPerEntry = text.length / 5000;
  assert.ok(bytesPerEntry > 190 && bytesPerEntry < 230, `${bytesPerEntry} bytes per entry`);
});

test('the sizes of the synthetic tree add up', () => {
  const { files, bytes } = REFERENCE_STORE;
  const sizes = fileSizes(files, bytes);
  assert.is(sizes.length, files);
  assert.is(
    sizes.reduce((sum, size) => sum + size, 0),
    bytes,
  );
  assert.equal(fileSizes(files, bytes), sizes);
  using dir = tempDir();
  writeSyntheticTree(dir.path, 70, 100_000);
  const paths = syntheticPaths(dir.path, 70);
  assert.is(new Set(paths).size, 70);
  assert.equal(
    paths.map((path) => statSync(path).size),
    fileSizes(70, 100_000),
  );
});

test('trees of so many names lie in each other', () => {
  using dir = tempDir();
  const sizes = [1, 103, 104, 500];
  const trees = makeTrees(dir.path, sizes);
  assert.equal(
    trees.map((tree) => describeTree(tree).entries),
    sizes,
  );
});

test('a further entry of directories is judged as one of dumps', () => {
  const series = [100_000, 300_000, 1_000_000].map((size) => [
    sample({ wallMs: size / 100, userMs: 100 + size / 200, peakBytes: size * 600 }),
  ]);
  const rows = millionRows(series);
  assert.equal(
    rows.filter(({ limit }) => limit !== undefined).map(({ value, limit }) => [value, limit]),
    [
      [600e6, LIMITS.millionPeakBytes],
      [1, LIMITS.growth],
    ],
  );
});

test('the machine is told beside a measure, as a ratio', () => {
  const rates = { oneCore: 1e9, allCores: 2e9, openssl: undefined, pageCache: 4e9 };
  assert.equal(machineNotes({ bytes: 8e9, hashedBytes: 4e9 }, 3000, rates), [
    'hashing alone, 4.00 GB at 2.00 GB/s on all cores: 2.00 s; the least wall time is 1.50 times that',
    'reading alone, 8.00 GB at 4.00 GB/s on one core: 2.00 s; the least wall time is 1.50 times that',
  ]);
});

const MACHINE: Machine = {
  cpu: 'a processor',
  cores: 2,
  memoryBytes: 1,
  kernel: '6',
  node: 'v20',
  load: 0,
};

function entryOf(at: string, walls: readonly number[], machine = MACHINE): HistoryEntry {
  const samples = {
    coldseal: walls.map((wallMs) => sample({ wallMs, userMs: 5, peakBytes: 1e6 })),
  };
  return historyEntry({ at, version: '1', commit: 'abc', machine }, [
    { name: 'dump', samples },
    { name: 'skipped', samples: {} },
  ]);
}

test('results are kept, lines that are none are left out, and nothing is no error', () => {
  using dir = tempDir();
  const file = join(dir.path, 'below/history.jsonl');
  assert.equal(readHistory(file), { entries: [], broken: 0 });
  const entries = [entryOf('one', [1, 2]), entryOf('two', [3])];
  for (const entry of entries) appendHistory(file, entry);
  writeFileSync(file, '{"schema":2}\nnull\n{"schema":1,"cas', { flag: 'a' });
  assert.equal(readHistory(file), { entries, broken: 3 });
  assert.equal(Object.keys(entries[0]!.cases), ['dump']);
});

test('a change is told when it is beyond what earlier results differ by', () => {
  const steady = [
    [100, 101, 102],
    [101, 102, 103],
    [99, 100, 101],
    [100, 102, 104],
  ];
  const rows: [earlier: number[][], now: number[], verdict: string][] = [
    [steady, [120, 121, 122], ', WORSE by 20 %, beyond the noise'],
    [steady, [80, 81, 82], ', better by 20 %, beyond the noise'],
    [steady, [100, 101, 103], ''],
    // Beyond the interval, and less than the results differ among themselves.
    [[...steady, [130, 131, 132]], [120, 121, 122], ''],
    // Too few to tell how much they differ.
    [steady.slice(0, 2), [120, 121, 122], ''],
    // One run has no interval.
    [steady.map((values) => values.slice(0, 1)), [120], ''],
  ];
  for (const [earlier, now, verdict] of rows) {
    assert.is(judgeChange(earlier, now).verdict, verdict, JSON.stringify([earlier, now]));
  }
});

test('only results of the same machine are compared', () => {
  const now = entryOf('now', [120, 121, 122]);
  assert.equal(compareWithHistory(now, []), ['no earlier result of this machine and Node']);
  const other = entryOf('other', [1], { ...MACHINE, node: 'v22' });
  assert.equal(compareWithHistory(now, [other]), ['no earlier result of this machine and Node']);
  const earlier = [1, 2, 3, 4].map((day) => entryOf(`day ${day}`, [99, 100, 101 + day]));
  assert.equal(compareWithHistory(now, [...earlier, other]), [
    '4 earlier results of this machine, the last of day 4 at abc',
    '  dump, coldseal, wall: 100 ms before, now 121 ms, WORSE by 21 %, beyond the noise',
    '  dump, coldseal, user + system: 5.00 ms before, now 5.00 ms',
    '  dump, coldseal, peak memory: 1.00 MB before, now 1.00 MB',
  ]);
});

test('the rate is found in what openssl prints', () => {
  assert.is(parseOpensslSpeed('+H:4096\n+F:25:sha256:1570758076.77\n'), 1570758076.77);
  assert.is(parseOpensslSpeed('+H:4096\n+F:7:SHA256:100\n'), 100);
  assert.is(parseOpensslSpeed('speed: Option unknown option -mr\n'), undefined);
});

test('arguments', () => {
  const defaults = {
    patterns: [],
    runs: 3,
    tree: '/usr',
    json: undefined,
    isComparing: false,
    historyFile: undefined,
    isBuilding: true,
  };
  const cases: readonly [args: string[], settings: ReturnType<typeof parseBenchArgs>][] = [
    [[], defaults],
    [['dump', '--runs', '5', 'tree'], { ...defaults, patterns: ['dump', 'tree'], runs: 5 }],
    [
      ['--tree=/opt', '--json=out.json', '--no-build'],
      { ...defaults, tree: '/opt', json: 'out.json', isBuilding: false },
    ],
    [
      ['--history', '--history-file', 'kept'],
      { ...defaults, isComparing: true, historyFile: 'kept' },
    ],
    [['--runs', '0'], '--runs 0, expected 1 to 999'],
    [['--runs'], '--runs lacks its value'],
    [['--json='], '--json lacks its value'],
    [
      ['--fast'],
      '--fast, expected --runs N, --tree DIR, --json FILE, --history, --history-file FILE, --no-build or patterns',
    ],
    [['['], '[, expected parts of names or regular expressions'],
  ];
  for (const [args, settings] of cases)
    assert.equal(parseBenchArgs(args), settings, args.join(' '));
});

test('cases are chosen by name', () => {
  assert.is(chooseCases([]), CASES);
  const names = (patterns: string[]): string[] => chooseCases(patterns).map(({ name }) => name);
  assert.equal(names(['^t']), ['tree', 'tar']);
  assert.equal(names(['dump', 'start']), ['start', 'dump']);
  assert.equal(names(['nothing']), []);
});

test('a case that fails or cannot run is a result, and the next one runs', async () => {
  const said: string[] = [];
  const context = { progress: (text: string) => said.push(text) } as unknown as BenchContext;
  const found = { rows: [], notes: ['done'], samples: {} };
  const results = await runCases(
    [
      { name: 'a', title: 'fails', run: () => Promise.reject(new Error('no luck')) },
      { name: 'b', title: 'cannot', run: () => Promise.resolve('not here') },
      { name: 'c', title: 'works', run: () => Promise.resolve(found) },
    ],
    context,
  );
  assert.equal(
    results.map(({ failed, skipped, notes }) => failed ?? skipped ?? notes[0]),
    ['no luck', 'not here', 'done'],
  );
  assert.equal(said, ['[1/3] a: fails', '[2/3] b: cannot', '[3/3] c: works']);
});

test('a command is measured by what the kernel counted', async () => {
  using dir = tempDir();
  const meter = new Meter(dir.path);
  const size = 64e6;
  const script = `const b = Buffer.alloc(${size}, 1); console.log(b.length)`;
  let prepared = 0;
  const command = {
    label: 'fill memory',
    argv: [process.execPath, '-e', script],
    prepare: () => prepared++,
  };
  const [samples] = await meter.alternate([command], { runs: 1 });
  assert.is(prepared, 2, 'the run that does not count is prepared too');
  assert.is(samples!.length, 1);
  const [{ stdout, wallMs, userMs, sysMs, peakBytes }] = samples as [Sample];
  assert.is(stdout, `${size}\n`);
  assert.ok(wallMs > 0 && userMs + sysMs > 0);
  assert.ok(peakBytes > size, `${peakBytes} bytes`);
  // The child begins as a copy of a small process, whose size does not hide a small command.
  const { peakBytes: floor } = await meter.once({ label: 'true', argv: ['true'] });
  assert.ok(floor < 32e6, `${floor} bytes`);
});

test('a command that fails is an error with what it said', async () => {
  using dir = tempDir();
  const meter = new Meter(dir.path);
  const failing: readonly [argv: string[], message: RegExp][] = [
    [['sh', '-c', 'echo too bad >&2; exit 3'], /^it: exit code 3\ntoo bad$/],
    [['sh', '-c', 'kill -9 $$'], /^it: signal SIGKILL$/],
    [['/no/such/command'], /^it: .*ENOENT/],
  ];
  for (const [argv, expected] of failing) {
    let message = '';
    try {
      await meter.once({ label: 'it', argv });
    } catch (error) {
      ({ message } = error as Error);
    }
    assert.match(message, expected);
  }
});

test('docs/benchmarks.md gives the limits and figures that are printed', () => {
  const text = readFileSync(join(ROOT, 'docs/benchmarks.md'), 'utf8');
  const expected = [
    formatValue(LIMITS.startMs, 'ms'),
    formatValue(LIMITS.dumpMs, 'ms'),
    formatValue(LIMITS.treeMs, 'ms'),
    formatValue(LIMITS.peakBytes, 'bytes'),
    formatValue(LIMITS.growth, 'ratio'),
    formatValue(LIMITS.storeMs, 'ms'),
    formatValue(LIMITS.rebuildShare, 'ratio'),
    formatValue(LIMITS.millionPeakBytes, 'bytes'),
    formatValue(LIMITS.bootMs, 'ms'),
    formatValue(LIMITS.reportMs, 'ms'),
    formatValue(LIMITS.reportPeakBytes, 'bytes'),
    formatValue(MKCOMPOSEFS.dumpMs, 'ms'),
    formatValue(MKCOMPOSEFS.dumpPeakBytes, 'bytes'),
    formatValue(MKCOMPOSEFS.treeMs, 'ms'),
    formatValue(MKCOMPOSEFS.treePeakBytes, 'bytes'),
    formatValue(MKCOMPOSEFS.storeMs, 'ms'),
  ];
  for (const figure of expected) assert.ok(text.includes(`| ${figure} `), figure);
  for (const { name } of CASES) assert.ok(text.includes(`\`${name}\``), name);
});

test.run();
