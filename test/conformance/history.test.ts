/**
 * The history in both of its databases: the same answers whoever adds first, several rigs at once, a kill, a full disk,
 * and what is no history. PostgreSQL's psql and SQLite's own shell judge what was written.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  openSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { addBoots } from '../../toolchain/history/add.ts';
import { exportOtava, exportRecords, exportRows } from '../../toolchain/history/export.ts';
import { type History, openHistory, withHistory } from '../../toolchain/history/open.ts';
import { historyPlace, type HistoryPlace } from '../../toolchain/history/place.ts';
import { type BootFilter, findRecord, readBoots } from '../../toolchain/history/query.ts';
import { MIGRATIONS } from '../../toolchain/history/schema.ts';
import { seriesOf } from '../../toolchain/history/series.ts';
import { totalInBudget } from '../../toolchain/history/total.ts';
import { describeTrend, trendOf } from '../../toolchain/history/trend.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import { runTool } from '../support/file-systems.ts';
import {
  boots,
  bootOf,
  measuredBoot,
  type PostgresServer,
  startPostgres,
} from '../support/history-lab.ts';
import { CLI_PATH, runCli } from '../support/run-cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { requireRoot, requireTool } from '../support/tools.ts';

const test = suite('history databases');

const TOTAL = totalInBudget({ start: 'power-on', stop: 'containers', constants: [] });

let server: PostgresServer | undefined;

/** A place of each kind that nothing is in yet. The server starts with the first test that needs it. */
const KINDS: readonly [kind: string, place: (dir: string) => HistoryPlace][] = [
  ['sqlite', (dir) => historyPlace(join(dir, 'boots.db'), {})],
  ['postgres', () => (server ??= startPostgres()).place()],
];

/** Registers a test for each database. */
function testBoth(name: string, run: (place: HistoryPlace, dir: string) => Promise<void>): void {
  for (const [kind, placeIn] of KINDS) {
    test(`${kind}: ${name}`, async () => {
      using dir = tempDir();
      await run(placeIn(dir.path), dir.path);
    });
  }
}

test.after(() => {
  server?.[Symbol.dispose]();
});

const add = (place: HistoryPlace, records: readonly MeasuredBoot[]): ReturnType<typeof addBoots> =>
  withHistory(place, 'add', (history) => addBoots(history, records));

const read = <T>(place: HistoryPlace, use: (history: History) => Promise<T>): Promise<T> =>
  withHistory(place, 'read', use);

const OTAVA_FILTER = { board: 'demo-board', evidence: 'virtual', start: 'cold' } as const;

/** Everything that the commands say about a history, as one text. */
async function everything(place: HistoryPlace): Promise<string> {
  return read(place, async (history) => {
    const parts: string[] = [];
    const write = (text: string): void => void parts.push(text);
    await exportRecords(history, {}, write);
    await exportRows(history, {}, write);
    await exportOtava(history, OTAVA_FILTER, TOTAL, write);
    const series = seriesOf(await readBoots(history), TOTAL);
    parts.push(JSON.stringify(series, null, 1));
    for (const each of series)
      parts.push(
        ...describeTrend(
          trendOf(each, () => [2]),
          true,
        ),
      );
    return parts.join('\n');
  });
}

/** Every null, every table, and text from the far ends of Unicode. */
function strangeBoots(): MeasuredBoot[] {
  return [
    ...boots(3, 4),
    measuredBoot({ measuredAt: null }),
    measuredBoot({ measuredAt: null }),
    measuredBoot({ measuredAt: null, release: null, specimen: '🛰️', start: null }),
    measuredBoot({ board: 'Äpfel', measuredAt: '2026-10-01T12:00:00.5Z' }),
    measuredBoot({ board: 'zebra', measuredAt: '2026-10-01T12:00:00.123456Z' }),
    measuredBoot({ board: '\uffff', conditions: { ü: 'ß', '10': 'b', '9': 'a' } }),
    measuredBoot({ board: '\u{10000}', outcome: 'failed', reason: "it's; drop table boots" }),
    measuredBoot({
      evidence: 'board-serial',
      release: { id: null, version: '1', builtAt: null },
      clock: { name: 'x', zero: 'kernel', uncertaintyNs: null },
      stages: [{ name: 'setup', startNs: 0, endNs: null }],
      units: [{ name: 'a', startNs: 0, endNs: 86_400e9, track: 'initcall' }],
      events: [{ name: 'late', atNs: 86_400e9 }],
      io: [{ stage: 'setup', reads: 3, readBytes: 2 ** 53 - 1 }],
      flags: [{ code: 'BUDGET_X', message: 'm', isUnusable: true }],
      source: { format: 'serial', file: 'a,b".log', sha256: 'ab'.repeat(32) },
    }),
  ];
}

test('the same boots give the same answers in both databases, whoever added first', async () => {
  using dir = tempDir();
  const records = strangeBoots();
  const answers: string[] = [];
  for (const [, placeIn] of KINDS) {
    for (const order of [records, [...records].reverse()]) {
      using own = tempDir(dir.path);
      const place = placeIn(own.path);
      for (let at = 0; at < order.length; at += 7) await add(place, order.slice(at, at + 7));
      // Two that do not say when they were are two boots only within one file.
      await add(place, records);
      answers.push(await everything(place));
    }
  }
  assert.is(answers.length, 4);
  for (const answer of answers) assert.ok(answer === answers[0]);
  assert.ok(answers[0]!.includes('86400000000000'));
});

testBoth(
  'what was added is given back byte for byte, and can be added again',
  async (place, dir) => {
    const records = strangeBoots();
    await add(place, records);
    const lines = async (from: HistoryPlace): Promise<string> => {
      let text = '';
      await read(from, (history) => exportRecords(history, {}, (piece) => (text += piece)));
      return text;
    };
    const first = await lines(place);
    const sorted = (text: string): string[] => text.trimEnd().split('\n').sort();
    const given = records.map((each) => JSON.stringify(each)).join('\n');
    assert.ok(sorted(first).join('\n') === sorted(given).join('\n'));
    writeFileSync(join(dir, 'all.jsonl'), first);
    const copy = historyPlace(join(dir, 'copy.db'), {});
    const { code, stdout } = await runCli(['history', 'add', 'all.jsonl', '--db', 'copy.db'], {
      cwd: dir,
    });
    assert.is(code, 0);
    assert.is(stdout, `all.jsonl: ${records.length} added, 0 there already\n`);
    assert.is(await lines(copy), first);
  },
);

testBoth('a boot that is there already is counted and changes nothing', async (place) => {
  const records = boots(2, 3);
  assert.equal(await add(place, records), { records: 6, added: 6, known: 0 });
  assert.equal(await add(place, records), { records: 6, added: 0, known: 6 });
  const more = [...records, ...records.slice(0, 1), bootOf(1, { measuredAt: null })];
  assert.equal(await add(place, more), { records: 8, added: 1, known: 7 });
  assert.equal(await add(place, []), { records: 0, added: 0, known: 0 });
  assert.is((await read(place, (history) => readBoots(history))).length, 7);
});

testBoth('of one boot from two sources the same record is kept in either order', async (place) => {
  const record = (file: string): MeasuredBoot =>
    measuredBoot({ source: { format: 'x', file, sha256: '' } });
  const kept: string[] = [];
  for (const order of [
    ['b', 'a', 'c'],
    ['c', 'b', 'a'],
  ]) {
    for (const file of order) await add(place, [record(file)]);
    await read(place, (history) => exportRecords(history, {}, (text) => void kept.push(text)));
  }
  assert.equal(kept, [`${JSON.stringify(record('a'))}\n`, `${JSON.stringify(record('a'))}\n`]);
});

const FILTERS: readonly [filter: BootFilter, count: number][] = [
  [{}, 20],
  [{ board: 'demo-board' }, 12],
  [{ board: 'demo' }, 0],
  [{ evidence: 'board-gpio' }, 2],
  [{ start: 'warm' }, 2],
  [{ specimen: 'rig-2' }, 2],
  [{ conditions: { temperature: '-30C' } }, 4],
  [{ conditions: { temperature: '-30C', supply: '9V' } }, 2],
  [{ conditions: { supply: '-30C' } }, 0],
  [{ conditions: { temperature: "' or 1=1 --" } }, 0],
  [{ sinceMs: Date.UTC(2026, 9, 1, 0, 10) }, 2],
  [{ sinceMs: Date.UTC(2026, 9, 2), board: 'demo-board' }, 0],
];

testBoth('filters', async (place) => {
  const old = '2026-01-01T00:00:00Z';
  const of = (change: Partial<MeasuredBoot>): MeasuredBoot[] =>
    [1, 2].map((ns) => bootOf(ns, { board: 'other', measuredAt: old, ...change }));
  await add(place, [
    ...boots(3, 4),
    ...of({ evidence: 'board-gpio', conditions: { temperature: '-30C' } }),
    ...of({ start: 'warm', conditions: { temperature: '-30C', supply: '9V' } }),
    ...of({ specimen: 'rig-2' }),
    ...of({ measuredAt: null }),
  ]);
  for (const [filter, count] of FILTERS) {
    const found = await read(place, (history) => readBoots(history, filter));
    assert.is(found.length, count, JSON.stringify(filter));
  }
});

testBoth('one boot is found by the beginning of its identifier', async (place) => {
  await add(place, boots(20, 20));
  await read(place, async (history) => {
    const [boot] = await readBoots(history);
    const found = await findRecord(history, boot!.id.slice(0, 16).toUpperCase());
    assert.is(found.id, boot!.id);
    for (const id of ['', 'abc', 'xyzw', '%%%%', 'f'.repeat(64), 'f'.repeat(65)]) {
      await expectCodeAsync(() => findRecord(history, id), 'USAGE_HISTORY_BOOT', id);
    }
  });
});

testBoth('an identifier that begins several boots is refused', async (place) => {
  await add(place, boots(2, 1));
  await withHistory(place, 'add', (history) =>
    history.write(async (db) => {
      await db
        .updateTable('boots')
        .set({ id: sql`'aaaa' || substr(id, 5)` })
        .execute();
    }),
  );
  const { message } = await expectCodeAsync(
    () => read(place, (history) => findRecord(history, 'aaaa')),
    'USAGE_HISTORY_BOOT',
  );
  assert.match(message, 'several');
});

testBoth('builds are exported for one series only', async (place) => {
  await add(place, [...boots(2, 2), measuredBoot({ start: 'warm' })]);
  const lines: string[] = [];
  const write = (text: string): void => void lines.push(text);
  await read(place, async (history) => {
    for (const filter of [{}, { board: 'x' }]) {
      const run = (): Promise<unknown> => exportOtava(history, filter, TOTAL, write);
      await expectCodeAsync(run, 'USAGE_HISTORY_SERIES');
    }
    assert.equal(lines, []);
    const counts = await exportOtava(history, { start: 'cold' }, TOTAL, write);
    assert.equal(counts, { builds: 2, leftOut: 0 });
  });
  assert.match(lines[0]!, /^time,version,release,boots,total_median_ns,.*,verify_median_ns\n$/);
  assert.match(lines[1]!, /^2026-09-21T14:13:20\.000Z,1\.0\.0,0{64},2,\d+,/);
});

testBoth('a record that was changed is not handed on', async (place) => {
  await add(place, [measuredBoot()]);
  await withHistory(place, 'add', (history) =>
    history.write(async (db) => {
      await db
        .updateTable('boots')
        .set({ record: sql`replace(record, '900000000', '800000000')` })
        .execute();
    }),
  );
  const { message } = await expectCodeAsync(
    () => read(place, (history) => exportRecords(history, {}, () => undefined)),
    'FORMAT_HISTORY',
  );
  assert.match(message, 'is not what was added');
});

testBoth('reading makes nothing; an empty database is no history yet', async (place, dir) => {
  const { hint } = await expectCodeAsync(() => openHistory(place, 'read'), 'HOST_NOT_FOUND');
  assert.match(hint!, 'history add');
  assert.not.ok(existsSync(join(dir, 'boots.db')));
  if (place.kind === 'sqlite') {
    writeFileSync(place.target, '');
    await expectCodeAsync(() => openHistory(place, 'read'), 'HOST_NOT_FOUND');
  }
  await add(place, [measuredBoot()]);
  await (await openHistory(place, 'read')).close();
});

testBoth('a history of a newer coldseal is refused and not touched', async (place) => {
  await add(place, [measuredBoot()]);
  await withHistory(place, 'add', (history) =>
    history.write(async (db) => {
      await db.updateTable('coldseal_history').set({ version: 2 }).execute();
    }),
  );
  const before = place.kind === 'sqlite' ? readFileSync(place.target) : undefined;
  for (const mode of ['read', 'add'] as const) {
    await expectCodeAsync(() => openHistory(place, mode), 'FORMAT_HISTORY_SCHEMA', mode);
  }
  if (before !== undefined) assert.equal(readFileSync(place.target).equals(before), true);
});

testBoth('an older history is brought up to date by adding, once', async (place) => {
  await add(place, [measuredBoot()]);
  let runs = 0;
  const newer = [
    ...MIGRATIONS,
    async (db: Parameters<(typeof MIGRATIONS)[0]>[0]): Promise<void> => {
      runs++;
      await db.schema.alterTable('boots').addColumn('extra', 'integer').execute();
    },
  ];
  await expectCodeAsync(() => openHistory(place, 'read', newer), 'FORMAT_HISTORY_SCHEMA');
  for (let i = 0; i < 2; i++) await (await openHistory(place, 'add', newer)).close();
  assert.is(runs, 1);
  await (await openHistory(place, 'read', newer)).close();
  await expectCodeAsync(() => openHistory(place, 'add'), 'FORMAT_HISTORY_SCHEMA');
});

testBoth('a step to a newer schema that fails leaves the old one', async (place) => {
  await add(place, [measuredBoot()]);
  const failing = [
    ...MIGRATIONS,
    async (db: Parameters<(typeof MIGRATIONS)[0]>[0]): Promise<void> => {
      await db.schema.dropTable('events').execute();
      throw new Error('half-way');
    },
  ];
  try {
    await openHistory(place, 'add', failing);
    assert.unreachable();
  } catch (error) {
    // An error without a code is the server's for PostgreSQL.
    assert.match((error as Error).message, 'half-way');
  }
  assert.is((await read(place, (history) => readBoots(history)))[0]!.events.length, 2);
});

testBoth('a version that is none is refused', async (place) => {
  await add(place, [measuredBoot()]);
  await withHistory(place, 'add', (history) =>
    history.write(async (db) => {
      await db.deleteFrom('coldseal_history').execute();
    }),
  );
  await expectCodeAsync(() => openHistory(place, 'read'), 'FORMAT_HISTORY');
});

/** Runs the CLI with several argument lists at the same time. */
async function runTogether(dir: string, all: readonly (readonly string[])[]): Promise<string[]> {
  const results = await Promise.all(all.map((args) => runCli(args, { cwd: dir })));
  return results.map(({ code, stdout, stderr }) => {
    assert.is(code, 0, stderr);
    return stdout;
  });
}

const write = (dir: string, name: string, records: readonly MeasuredBoot[]): void =>
  writeFileSync(join(dir, name), records.map((each) => `${JSON.stringify(each)}\n`).join(''));

testBoth('rigs that add at once, the same boots and others, lose nothing', async (place, dir) => {
  const all = boots(40, 25);
  const shared = all.slice(0, 400);
  // In another order, so that two transactions would lock the same rows the other way round.
  write(dir, 'a.jsonl', [...shared, ...all.slice(400, 700)]);
  write(dir, 'b.jsonl', [...all.slice(700), ...[...shared].reverse()]);
  const db = ['--db', place.target];
  const printed = await runTogether(dir, [
    ['history', 'add', 'a.jsonl', ...db],
    ['history', 'add', 'b.jsonl', ...db],
    ['history', 'add', 'a.jsonl', ...db],
    ['history', 'add', 'b.jsonl', ...db],
  ]);
  const added = printed.map((text) => Number(/(\d+) added/.exec(text)![1]));
  assert.is(
    added.reduce((a, b) => a + b, 0),
    1000,
  );
  assert.is((await read(place, (history) => readBoots(history))).length, 1000);
  assert.equal(await add(place, all), { records: 1000, added: 0, known: 1000 });
});

/** Whether a process is in the middle of adding: the database has bytes of a transaction that has not ended. */
function isAdding(place: HistoryPlace, sinceMs: number): boolean {
  if (place.kind === 'sqlite') {
    // What does not fit into the cache goes to the log before the end.
    const log = `${place.target}-wal`;
    if (!existsSync(log)) return false;
    const { size, mtimeMs } = statSync(log);
    return size > 1_000_000 && mtimeMs > sinceMs;
  }
  const count = `select count(*) from pg_stat_activity
    where application_name = 'coldseal' and backend_xid is not null`;
  return server!.query(place, count) !== '0\n';
}

testBoth(
  'a kill in the middle leaves nothing of a file, and the rest whole',
  async (place, dir) => {
    await add(place, boots(1, 1, 'before'));
    const all = boots(100, 60);
    write(dir, 'a.jsonl', all);
    const args = [CLI_PATH, 'history', 'add', 'a.jsonl', '--db', place.target];
    let killed = 0;
    for (let i = 0; i < 3; i++) {
      const startMs = Date.now();
      const child = spawn(process.execPath, args, { cwd: dir, stdio: 'ignore' });
      const ended = new Promise<NodeJS.Signals | null>((done) => {
        child.once('close', (_, signal) => done(signal));
      });
      while (child.exitCode === null && !isAdding(place, startMs)) {
        await new Promise((done) => setTimeout(done, 5));
      }
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
      const kept = await read(place, (history) => readBoots(history, { board: 'demo-board' }));
      assert.ok(kept.length === 0 || kept.length === all.length, `${kept.length} boots`);
    }
    assert.ok(killed > 0, 'every process had ended before it was killed');
    const { added, known } = await add(place, all);
    assert.ok(added === 0 || known === 0, `${added} added, ${known} known`);
    assert.is((await read(place, (history) => readBoots(history))).length, all.length + 1);
  },
);

testBoth('a line that is no record changes nothing', async (place, dir) => {
  write(dir, 'good.jsonl', boots(1, 2));
  writeFileSync(join(dir, 'bad.jsonl'), `${JSON.stringify(measuredBoot())}\n{"kind":"x"}\n`);
  const args = ['history', 'add', 'good.jsonl', 'bad.jsonl', '--db', place.target, '--json'];
  const { code, stdout } = await runCli(args, { cwd: dir });
  assert.is(code, 4);
  assert.is((JSON.parse(stdout) as { error: { code: string } }).error.code, 'FORMAT_BOOT_RECORDS');
  await expectCodeAsync(() => openHistory(place, 'read'), 'HOST_NOT_FOUND');
});

test('sqlite: a writer that never ends is reported, not waited for', async () => {
  using dir = tempDir();
  const place = historyPlace(join(dir.path, 'boots.db'), {});
  await add(place, [measuredBoot()]);
  const other = await openHistory(place, 'add');
  const mine = await openHistory(place, 'add');
  await mine.write((db) => sql`pragma busy_timeout = 50`.execute(db));
  await other.write(async () => {
    await expectCodeAsync(() => mine.write(async () => undefined), 'HOST_HISTORY_BUSY');
    // Reading does not wait.
    assert.is((await read(place, (history) => readBoots(history))).length, 1);
  });
  await mine.close();
  await other.close();
});

test('sqlite: the file alone is the history when nobody writes', async () => {
  using dir = tempDir();
  const place = historyPlace(join(dir.path, 'boots.db'), {});
  await add(place, boots(3, 4));
  copyFileSync(place.target, join(dir.path, 'copy.db'));
  const copy = historyPlace(join(dir.path, 'copy.db'), {});
  assert.is((await read(copy, (history) => readBoots(history))).length, 12);
});

test('sqlite: names of files that are special in a URI are only names', async () => {
  using dir = tempDir();
  for (const name of ['a?mode=memory', 'b#c', '%41', ':memory:', 'file:x', 'ü 1']) {
    const place = historyPlace(join(dir.path, name), {});
    await add(place, [measuredBoot()]);
    assert.ok(existsSync(join(dir.path, name)), name);
    assert.is((await read(place, (history) => readBoots(history))).length, 1, name);
  }
});

test('sqlite: what is no history is refused and left as it is', async () => {
  using dir = tempDir();
  const text = join(dir.path, 'text');
  writeFileSync(text, 'these are not the boots you are looking for\n'.repeat(100));
  const foreign = join(dir.path, 'foreign.db');
  runTool(requireTool('sqlite3', 'sqlite3'), [foreign, 'create table boots (x)']);
  const directory = join(dir.path, 'directory');
  mkdirSync(directory);
  const rows = [
    [text, 'FORMAT_HISTORY'],
    [foreign, 'FORMAT_HISTORY'],
    [directory, 'USAGE_NOT_A_FILE'],
    ['/dev/null', 'USAGE_NOT_A_FILE'],
    [join(dir.path, 'missing/boots.db'), 'HOST_NOT_FOUND'],
  ] as const;
  for (const [path, code] of rows) {
    const before = path.startsWith(dir.path) && existsSync(path) ? statSync(path).mtimeMs : 0;
    for (const mode of ['read', 'add'] as const) {
      await expectCodeAsync(() => openHistory(historyPlace(path, {}), mode), code, path);
    }
    if (before !== 0) assert.is(statSync(path).mtimeMs, before, path);
  }
});

test('sqlite: a damaged file is an error, not an answer', async () => {
  using dir = tempDir();
  const place = historyPlace(join(dir.path, 'boots.db'), {});
  await add(place, boots(20, 20));
  const whole = readFileSync(place.target);
  const damage: readonly [label: string, make: () => void][] = [
    ['cut off', () => truncateSync(place.target, whole.length / 2)],
    [
      'overwritten',
      () => {
        const fd = openSync(place.target, 'r+');
        writeSync(fd, Buffer.alloc(whole.length - 8192, 0xa5), 0, whole.length - 8192, 8192);
        closeSync(fd);
      },
    ],
  ];
  for (const [label, make] of damage) {
    writeFileSync(place.target, whole);
    make();
    await expectCodeAsync(
      () => read(place, (history) => readBoots(history)),
      'FORMAT_HISTORY',
      label,
    );
  }
});

test('sqlite: a full disk is an error, and the history stays as it was', async () => {
  requireRoot();
  using dir = tempDir();
  const mount = requireTool('mount', 'mount');
  const disk = join(dir.path, 'disk');
  mkdirSync(disk);
  runTool(mount, ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk]);
  try {
    write(dir.path, 'few.jsonl', boots(1, 20));
    write(dir.path, 'many.jsonl', boots(100, 20));
    // In processes of their own, which give the files back when they end.
    const add = (file: string): ReturnType<typeof runCli> =>
      runCli(['history', 'add', file, '--db', 'disk/boots.db'], { cwd: dir.path });
    assert.is((await add('few.jsonl')).code, 0);
    const { code, stderr } = await add('many.jsonl');
    assert.is(code, 6, stderr);
    assert.match(stderr, 'HOST_NO_SPACE');
    assert.is((await add('few.jsonl')).stdout, 'few.jsonl: 0 added, 20 there already\n');
  } finally {
    runTool('umount', [disk]);
  }
});

test('sqlite: a user who may only read can read, and adding says what is in the way', async () => {
  requireRoot();
  const setpriv = requireTool('setpriv', 'util-linux');
  using dir = tempDir();
  const place = historyPlace(join(dir.path, 'boots.db'), {});
  await add(place, boots(1, 3));
  // Without the files of the connection, as on a medium that was written elsewhere.
  using medium = tempDir();
  copyFileSync(place.target, join(medium.path, 'boots.db'));
  chmodSync(join(medium.path, 'boots.db'), 0o444);
  chmodSync(medium.path, 0o555);
  write(dir.path, 'a.jsonl', boots(1, 4));
  chmodSync(dir.path, 0o755);
  const asNobody = (args: readonly string[]): Promise<{ code: number; text: string }> =>
    new Promise((done, fail) => {
      const user = ['--reuid=65534', '--regid=65534', '--clear-groups'];
      const child = spawn(setpriv, [...user, process.execPath, CLI_PATH, ...args], {
        cwd: '/',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let text = '';
      child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
      child.stderr.on('data', (piece: Buffer) => (text += piece.toString()));
      child.once('error', fail);
      child.once('close', (code) => done({ code: code ?? -1, text }));
    });
  const db = ['--db', join(medium.path, 'boots.db')];
  const list = await asNobody(['history', 'list', ...db]);
  assert.is(list.code, 0, list.text);
  assert.match(list.text, '1.0.0');
  const added = await asNobody(['history', 'add', join(dir.path, 'a.jsonl'), ...db]);
  assert.is(added.code, 6, added.text);
  assert.match(added.text, 'HOST_PERMISSION');
  const made = await asNobody(['history', 'add', join(dir.path, 'a.jsonl'), '--db', '/proc/x.db']);
  assert.match(made.text, /HOST_PERMISSION|HOST_NOT_FOUND/);
});

/** The SQL that the documentation shows. */
function documentedSql(): { readonly deletion: string; readonly queries: readonly string[] } {
  const text = readFileSync(join(ROOT, 'docs/history.md'), 'utf8');
  const blocks = [...text.matchAll(/^```sql\n(.*?)^```/gms)].map((match) => match[1]!);
  const isDeletion = (block: string): boolean => block.includes('delete from');
  const queries = blocks.filter((block) => !isDeletion(block));
  assert.is(queries.length, 2);
  return { deletion: blocks.find(isDeletion)!, queries };
}

const inTheCold = (): MeasuredBoot =>
  measuredBoot({ evidence: 'board-gpio', conditions: { temperature: '-30C' }, specimen: 'rig' });
const ANSWERS = [
  /^1\.0\.0\|5\n1\.0\.1\|4\n1\.0\.2\|4\n$/,
  /^[0-9a-f]{64}\|2026-10-01.*\|rig\|900\n$/,
];

test('sqlite3 reads the file, finds it sound, and the documented SQL works', async () => {
  const sqlite3 = requireTool('sqlite3', 'sqlite3');
  using dir = tempDir();
  const place = historyPlace(join(dir.path, 'boots.db'), {});
  await add(place, [...boots(3, 4), inTheCold()]);
  const query = (text: string): string => runTool(sqlite3, [place.target, text]);
  assert.is(query('pragma integrity_check'), 'ok\n');
  assert.is(query('pragma foreign_key_check'), '');
  const { deletion, queries } = documentedSql();
  queries.forEach((text, i) => assert.match(query(text), ANSWERS[i]!));
  query(deletion.replace('2025-01-01', '2026-10-01T00:05'));
  assert.is(query('select count(*) from boots'), '8\n');
  assert.is(query('select count(distinct boot) from stages'), '8\n');
});

test('postgres: psql reads the tables in their schema', async () => {
  const place = (server ??= startPostgres()).place();
  await add(place, [...boots(3, 4), inTheCold()]);
  documentedSql().queries.forEach((text, i) => {
    assert.match(server!.query(place, `set search_path = coldseal; ${text}`), ANSWERS[i]!);
  });
});

test('postgres: other tables of a database are left alone', async () => {
  const place = (server ??= startPostgres()).place();
  server.query(place, 'create table boots (x int); insert into boots values (7)');
  await add(place, [measuredBoot()]);
  assert.is(server.query(place, 'select x from public.boots'), '7\n');
  server.query(place, 'drop table coldseal.coldseal_history');
  await expectCodeAsync(() => openHistory(place, 'add'), 'FORMAT_HISTORY');
});

test('postgres: what the server refuses is an error without the password', async () => {
  const { socket } = (server ??= startPostgres());
  using dir = tempDir();
  write(dir.path, 'a.jsonl', [measuredBoot()]);
  const at = encodeURIComponent(socket);
  const urls = [
    `postgres://rig:secret@/nothing?host=${at}`,
    `postgres://nobody:secret@/postgres?host=${at}`,
    `postgres://rig:secret@/x?host=${encodeURIComponent(dir.path)}`,
    'postgres://rig:secret@127.0.0.1:1/x',
    'postgres://rig@127.0.0.1:1/x?password=secret',
  ];
  for (const url of urls) {
    for (const more of [[], ['--json']]) {
      const args = ['history', 'add', 'a.jsonl', '--db', url, ...more];
      const { code, stdout, stderr } = await runCli(args, { cwd: dir.path });
      assert.is(code, 6, `${url} ${stderr}`);
      assert.match(stdout + stderr, 'HOST_HISTORY_SERVER');
      assert.not.match(stdout + stderr, 'secret');
    }
  }
});

test('postgres: a user without the right to write is told so, and may read', async () => {
  const place = (server ??= startPostgres()).place();
  await add(place, [measuredBoot()]);
  server.query(place, 'create role reader login; grant usage on schema coldseal to reader');
  server.query(place, 'grant select on all tables in schema coldseal to reader');
  const reader = historyPlace(place.target.replace('rig@', 'reader@'), {});
  assert.is((await read(reader, (history) => readBoots(history))).length, 1);
  await expectCodeAsync(() => add(reader, boots(1, 1)), 'HOST_PERMISSION');
  // What the documentation says a rig needs.
  server.query(place, 'grant insert, update on all tables in schema coldseal to reader');
  assert.is((await add(reader, boots(1, 1))).added, 1);
});

test('postgres: a server that goes away in the middle is an error', async () => {
  const place = (server ??= startPostgres()).place();
  await add(place, [measuredBoot()]);
  const end = `select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'coldseal'`;
  await withHistory(place, 'add', async (history) => {
    const run = (): Promise<unknown> =>
      history.write(async (db) => {
        server!.query(place, end);
        await db.selectFrom('boots').select('id').execute();
      });
    await expectCodeAsync(run, 'HOST_HISTORY_SERVER');
  });
});

test('the commands say the same as text and as JSON', async () => {
  using dir = tempDir();
  write(dir.path, 'a.jsonl', boots(3, 4));
  const env = { COLDSEAL_HISTORY: 'lab.db', LANG: 'C' };
  const run = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await runCli(line.split(' '), { cwd: dir.path, env });
    assert.is(code, 0, `${line}: ${stderr}`);
    return stdout;
  };
  assert.is(await run('history add a.jsonl'), 'a.jsonl: 12 added, 0 there already\n');
  assert.ok(existsSync(join(dir.path, 'lab.db')));
  const list = JSON.parse(await run('history list --json')) as {
    result: { series: { builds: { total: { n: number; medianNs: number } }[] }[] };
  };
  assert.equal(
    list.result.series[0]!.builds.map(({ total }) => total.n),
    [4, 4, 4],
  );
  const text = await run('history list');
  const ms = (list.result.series[0]!.builds[0]!.total.medianNs / 1e6).toFixed(3);
  assert.match(text, ms);
  assert.match(await run('history trend'), /\|\*/);
  const trend = JSON.parse(await run('history trend --json')) as {
    result: { trends: { builds: { version: string }[] }[] };
  };
  assert.equal(
    trend.result.trends[0]!.builds.map(({ version }) => version),
    ['1.0.0', '1.0.1', '1.0.2'],
  );
  for (const verb of ['trend', 'list']) {
    const words = ['history', verb, '--to', 'verify:stop'];
    const unknown = await runCli(words, { cwd: dir.path, env });
    assert.equal([unknown.code, unknown.stdout], [2, ''], verb);
    assert.match(unknown.stderr, /--to verify:stop: none of 12 boots .*verify:start/);
    assert.match(unknown.stderr, /did you mean verify:/);
    assert.match(unknown.stderr, 'USAGE_BAD_VALUE');
  }
  assert.match(await run('history trend --from verify:start --to verify:end'), /1\.0\.2/);
  const [, row] = (await run('history export --format csv')).split('\n');
  const id = row!.split(',')[0]!;
  assert.match(await run(`history show ${id.slice(0, 12)}`), `boot       ${id}`);
  assert.is(await run('history export -o x.jsonl'), '');
  assert.is(readFileSync(join(dir.path, 'x.jsonl'), 'utf8'), await run('history export'));
  const refused = await runCli(['history', 'export', '--json'], { cwd: dir.path, env });
  assert.is(refused.code, 2);
  assert.match(refused.stdout, 'USAGE_OPTION_CONFLICT');
  const again = await runCli(['history', 'export', '-o', 'x.jsonl'], { cwd: dir.path, env });
  assert.match(again.stderr, 'USAGE_OUTPUT_EXISTS');
});

test.run();
