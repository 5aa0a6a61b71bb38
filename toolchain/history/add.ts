/**
 * Adding boots: all of a call or none, and what is there already once more changes nothing.
 *
 * Everything is read and checked before the transaction begins, so that it is short: a rig that writes to a slow pipe
 * keeps nobody waiting, and a bad line changes nothing.
 */
import type { Insertable } from 'kysely';
import type { MeasuredBoot } from '../budget/measured-boot.ts';
import { type IdentifiedBoot, identifyBoots, isPreferred, sha256Of } from './identity.ts';
import type { History } from './open.ts';
import type { BootTable, HistoryDatabase, HistoryTables } from './schema.ts';

export interface AddResult {
  /** That were handed in. */
  readonly records: number;
  readonly added: number;
  /** Of boots that were there already, or came twice. */
  readonly known: number;
}

/** Identifiers that are asked for in one statement. */
const ASKED_MAX = 500;
/** Values of one statement: SQLite takes 32766, PostgreSQL 65535. */
const VALUES_MAX = 8000;

/** Adds the boots of one file, in its order. */
export async function addBoots(
  history: History,
  records: readonly MeasuredBoot[],
): Promise<AddResult> {
  const boots = identifyBoots(records);
  const added = await history.write(async (db) => {
    let number = await lastNumber(db);
    let count = 0;
    for (const some of chunks(boots, ASKED_MAX)) {
      const fresh = await withoutKnown(db, some);
      await insertBoots(db, fresh, number + 1);
      number += fresh.length;
      count += fresh.length;
    }
    return count;
  });
  return { records: records.length, added, known: records.length - added };
}

async function lastNumber(db: HistoryDatabase): Promise<number> {
  const row = await db
    .selectFrom('boots')
    .select(({ fn }) => fn.max('number').as('last'))
    .executeTakeFirst();
  return row?.last ?? 0;
}

/** The boots that are not there yet; of the others the preferred text is kept. */
async function withoutKnown(
  db: HistoryDatabase,
  boots: readonly IdentifiedBoot[],
): Promise<IdentifiedBoot[]> {
  const ids = boots.map(({ id }) => id);
  const rows = await db
    .selectFrom('boots')
    .select(['id', 'record_sha256'])
    .where('id', 'in', ids)
    .execute();
  const known = new Map(rows.map(({ id, record_sha256 }) => [id, record_sha256]));
  for (const { id, text } of boots) {
    const digest = known.get(id);
    if (digest !== undefined && digest !== sha256Of(text)) await preferText(db, id, text);
  }
  return boots.filter(({ id }) => !known.has(id));
}

async function preferText(db: HistoryDatabase, id: string, text: string): Promise<void> {
  const { record } = await db
    .selectFrom('boots')
    .select('record')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  if (!isPreferred(text, record)) return;
  const change = { record: text, record_sha256: sha256Of(text) };
  await db.updateTable('boots').set(change).where('id', '=', id).execute();
}

async function insertBoots(
  db: HistoryDatabase,
  boots: readonly IdentifiedBoot[],
  first: number,
): Promise<void> {
  const numbered = boots.map((boot, i) => ({ ...boot, number: first + i }));
  await insertAll(db, 'boots', numbered.map(bootRow));
  await insertAll(
    db,
    'conditions',
    numbered.flatMap(({ number, record }) =>
      Object.entries(record.conditions).map(([name, value]) => ({ boot: number, name, value })),
    ),
  );
  await insertAll(
    db,
    'stages',
    numbered.flatMap(({ number, record }) =>
      record.stages.map(({ name, startNs, endNs }, position) => {
        return { boot: number, position, name, start_ns: startNs, end_ns: endNs };
      }),
    ),
  );
  await insertAll(
    db,
    'events',
    numbered.flatMap(({ number, record }) =>
      record.events.map(({ name, atNs }, position) => {
        return { boot: number, position, name, at_ns: atNs };
      }),
    ),
  );
  await insertAll(
    db,
    'flags',
    numbered.flatMap(({ number, record }) =>
      record.flags.map(({ code, message, isUnusable }, position) => {
        return { boot: number, position, code, message, is_unusable: isUnusable ? 1 : 0 };
      }),
    ),
  );
}

function bootRow({ id, text, record, number }: IdentifiedBoot & { number: number }): BootTable {
  const { release, measuredAt, clock } = record;
  return {
    number,
    id,
    board: record.board,
    specimen: record.specimen,
    evidence: record.evidence,
    start_kind: record.start,
    conditions: JSON.stringify(record.conditions),
    release_id: release?.id ?? null,
    release_version: release?.version ?? null,
    built_at: release?.builtAt ?? null,
    measured_at: measuredAt === null ? null : new Date(measuredAt).toISOString(),
    clock_name: clock.name,
    clock_zero: clock.zero,
    uncertainty_ns: clock.uncertaintyNs,
    outcome: record.outcome,
    reason: record.reason,
    record: text,
    record_sha256: sha256Of(text),
  };
}

async function insertAll<T extends keyof HistoryTables>(
  db: HistoryDatabase,
  table: T,
  rows: readonly Insertable<HistoryTables[T]>[],
): Promise<void> {
  const [first] = rows;
  if (first === undefined) return;
  const rowsMax = Math.floor(VALUES_MAX / Object.keys(first).length);
  for (const some of chunks(rows, rowsMax)) await db.insertInto(table).values(some).execute();
}

function* chunks<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
