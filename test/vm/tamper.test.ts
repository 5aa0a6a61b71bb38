/**
 * The tamper table: each row is a real boot of both virtual boards from a changed disk, with a real kernel.
 *
 * Slot a holds the release, slot b an older one that is whole. What a row changes must be noticed with the reason code
 * it names, and end as it says: slot b boots, or the board's policy acts. In every boot, whatever the row, what runs
 * is one of the two releases exactly, and what the container reads is what was released, or an error: 0 false accepts.
 */
import { appendFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type BoardBoots,
  boardBoots,
  type LabBoot,
  PROBE_FILES,
  readState,
  sha256Hex,
} from '../support/board-boots.ts';
import { againAfterPanic } from '../support/kernel-panic.ts';
import { type Expected, TAMPER_ROWS, type TamperRow } from '../support/tamper-rows.ts';

const test = suite('tamper table');

interface Seen {
  readonly boots: readonly LabBoot[];
  readonly state: ReturnType<typeof readState> | undefined;
  readonly ms: number;
}

/** Boots of one row need another processor than those of the next, and wait for nothing of this process. */
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(job: () => Promise<T>): Promise<T> {
  if (running === availableParallelism()) await new Promise<void>((wake) => waiting.push(wake));
  else running++;
  try {
    return await job();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

/** Boots a row; once more when the kernel died of an exception of its own. */
function bootRow(lab: BoardBoots, row: TamperRow): Promise<Seen> {
  return againAfterPanic(
    () => bootOnce(lab, row),
    (console) => keepLine(lab.architecture, row.name, console.replaceAll('\n', ' / ')),
  );
}

async function bootOnce(lab: BoardBoots, { change, boots }: TamperRow): Promise<Seen> {
  const startMs = performance.now();
  const disk = await change(lab);
  try {
    const seen: LabBoot[] = [];
    for (let count = 0; count < boots.length; count++) seen.push(await lab.boot(disk));
    const hasState = seen.every(({ record }) =>
      record.notes.every(({ code }) => code !== 'HOST_STATE_MISSING'),
    );
    const state = hasState ? readState(disk) : undefined;
    return { boots: seen, state, ms: performance.now() - startMs };
  } finally {
    rmSync(disk, { force: true });
  }
}

function assertBoot(
  lab: BoardBoots,
  row: TamperRow,
  expected: Expected,
  { record, readings, console }: LabBoot,
): void {
  const attempts = record.attempts.map(({ slot, reason }) => [slot, reason?.code ?? null]);
  assert.equal(attempts, expected.attempts, JSON.stringify(record.attempts));
  assert.is(record.outcome, expected.outcome);
  assert.equal(
    record.notes.map(({ code }) => code),
    expected.notes ?? [],
  );
  const { slot } = record;
  if (expected.outcome !== 'booted') {
    assert.equal([slot, readings], [null, undefined], 'nothing of a refused release runs');
    return;
  }
  if (slot !== 'a' && slot !== 'b') return assert.unreachable(String(slot));
  const release = lab.releases[slot];
  if (row.isSignedAgain !== true) assert.is(record.release?.manifestSha256, release.manifestSha256);
  const [container] = record.containers;
  assert.is(container?.reason?.code, expected.container);
  if (expected.container !== undefined) return assert.is(readings, undefined);
  if (readings === undefined) return assert.unreachable(`the container said nothing: ${console}`);
  for (const file of PROBE_FILES) {
    const { bytes, sha256, error } = readings[file];
    const content = release.content[file];
    assert.is(sha256, sha256Hex(content.subarray(0, bytes)), `${file}: wrong data`);
    const wanted = expected.errors?.[file] ?? '';
    assert.equal([error, bytes === content.length], [wanted, wanted === ''], file);
  }
}

/** TAMPER_REPORT names a file that gets a line for each row. */
function keepLine(...cells: readonly string[]): void {
  const path = process.env['TAMPER_REPORT'];
  if (path !== undefined) appendFileSync(path, `${cells.join(' | ')}\n`);
}

/** What the boots of a row came to, in few words. */
function summary(boots: readonly LabBoot[]): string {
  const seen = boots.map(({ record: { attempts, outcome, notes, containers }, readings }) => {
    const tried = attempts.map(({ slot, reason }) => `${slot}:${reason?.code ?? 'boots'}`);
    const noted = notes.map(({ code }) => `(${code})`);
    const failed = containers.flatMap(({ reason }) => (reason === null ? [] : [reason.code]));
    const read = PROBE_FILES.map((file) => readings?.[file].error).filter(Boolean);
    return [...tried, ...noted, ...failed, ...read, outcome].join(' ');
  });
  return seen.join('; ');
}

/** For work on one row: TAMPER_BOARD and TAMPER_ROW choose boards and rows by a part of their names. */
const BOARDS = (['aarch64', 'x86_64'] as const).filter((board) =>
  board.includes(process.env['TAMPER_BOARD'] ?? ''),
);
const CHOSEN = TAMPER_ROWS.filter(({ name }) =>
  new RegExp(process.env['TAMPER_ROW'] ?? '').test(name),
);

const labs: Promise<BoardBoots>[] = [];

for (const architecture of BOARDS) {
  let lab: Promise<BoardBoots> | undefined;
  const labOnce = (): Promise<BoardBoots> => {
    if (lab === undefined) labs.push((lab = boardBoots(architecture)));
    return lab;
  };
  const seen = new Map<TamperRow, Promise<Seen>>();
  /** The first test starts the boots of all rows. */
  const start = async (): Promise<BoardBoots> => {
    const board = await labOnce();
    for (const row of CHOSEN) {
      if (seen.has(row)) continue;
      const result = inTurn(() => bootRow(board, row));
      // Its own test tells of a failure.
      result.catch(() => undefined);
      seen.set(row, result);
    }
    return board;
  };
  for (const row of CHOSEN) {
    test(`${architecture}: ${row.name}`, async () => {
      const board = await start();
      const { boots, state, ms } = await seen.get(row)!;
      keepLine(architecture, row.name, summary(boots), `${Math.round(ms)} ms`);
      row.boots.forEach((expected, index) => assertBoot(board, row, expected, boots[index]!));
      row.after?.(state?.state, state?.damaged ?? 0);
    });
  }
}

test.after(async () => {
  for (const lab of labs) (await lab.catch(() => undefined))?.[Symbol.dispose]();
});

test.run();
