/**
 * Opening a history: the same interface over a SQLite file and a PostgreSQL database.
 *
 * A database that is not a history, or one of a newer coldseal, is refused before anything of it is changed. Only
 * `add` makes a history, and brings one of an older version up to date, within a transaction.
 */
import { Kysely, sql } from 'kysely';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainDatabaseError } from './explain-database-error.ts';
import { lockForAdding, openPostgres, POSTGRES_SCHEMA } from './open-postgres.ts';
import { openSqlite } from './open-sqlite.ts';
import type { HistoryPlace } from './place.ts';
import {
  type HistoryDatabase,
  type HistoryTables,
  type Migration,
  MIGRATIONS,
  VERSION_TABLE,
} from './schema.ts';

/** `read` changes nothing at all; `add` may make the history. */
export type HistoryMode = 'read' | 'add';

export interface History {
  readonly place: HistoryPlace;
  /** Asks several questions of one state of the history, whatever others add meanwhile. */
  read<T>(ask: (db: HistoryDatabase) => Promise<T>): Promise<T>;
  /** Changes all or nothing; other writers wait. */
  write<T>(change: (db: HistoryDatabase) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Opens a history, uses it and closes it again, however `use` ends. */
export async function withHistory<T>(
  place: HistoryPlace,
  mode: HistoryMode,
  use: (history: History) => Promise<T>,
): Promise<T> {
  const history = await openHistory(place, mode);
  try {
    return await use(history);
  } finally {
    await history.close();
  }
}

/** Opens a history. Throws FORMAT_HISTORY, FORMAT_HISTORY_SCHEMA, HOST_NOT_FOUND, HOST_HISTORY_SERVER… */
export async function openHistory(
  place: HistoryPlace,
  mode: HistoryMode,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<History> {
  const explained = async <T>(doing: string, run: () => T | Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw explainDatabaseError(error, doing, place);
    }
  };
  const doing = 'Cannot open the history';
  const connection = await explained(doing, () => connect(place, mode));
  try {
    await explained(doing, () => makeReady(connection, mode, migrations));
  } catch (error) {
    await connection.close().catch(() => undefined);
    throw error;
  }
  return {
    place,
    read: (ask) => explained('Cannot read the history', () => connection.transact(ask)),
    write: (change) => explained('Cannot add to the history', () => connection.transact(change)),
    close: () => explained('Cannot close the history', connection.close),
  };
}

interface Connection {
  readonly place: HistoryPlace;
  readonly db: HistoryDatabase;
  /** A transaction that reads one state, or locks out other writers. */
  transact<T>(run: (db: HistoryDatabase) => Promise<T>): Promise<T>;
  prepareWriting(): Promise<void>;
  close(): Promise<void>;
}

function connect(place: HistoryPlace, mode: HistoryMode): Connection {
  if (place.kind === 'postgres') return connectPostgres(place, mode);
  const file = openSqlite(place.target, mode);
  const db = new Kysely<HistoryTables>({ dialect: file.dialect });
  return {
    place,
    db,
    transact: (run) => db.transaction().execute(run),
    prepareWriting: () => file.prepareWriting(),
    close: async () => {
      file.finish();
      await db.destroy();
    },
  };
}

function connectPostgres(place: HistoryPlace, mode: HistoryMode): Connection {
  const pool = new Kysely<HistoryTables>({ dialect: openPostgres(place.target) });
  const reading = pool
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only');
  return {
    place,
    db: pool.withSchema(POSTGRES_SCHEMA),
    transact: (run) =>
      mode === 'read'
        ? reading.execute((db) => run(db.withSchema(POSTGRES_SCHEMA)))
        : pool.transaction().execute(async (db) => {
            await lockForAdding(db);
            return run(db.withSchema(POSTGRES_SCHEMA));
          }),
    prepareWriting: async () => undefined,
    close: () => pool.destroy(),
  };
}

/** Refuses what this version cannot use; makes or brings up to date for `add`. */
async function makeReady(
  connection: Connection,
  mode: HistoryMode,
  migrations: readonly Migration[],
): Promise<void> {
  const { place, db } = connection;
  const latest = migrations.length;
  const version = await readVersion(db, place);
  refuseNewer(version, latest, place);
  if (mode === 'read') return refuseOlder(version, latest, place);
  await connection.prepareWriting();
  if (version === latest) return;
  await connection.transact(async (tables) => {
    // Another rig may have been quicker.
    const now = await readVersion(tables, place);
    refuseNewer(now, latest, place);
    if (now === 0) await makeVersionTable(tables, place);
    for (const migrate of migrations.slice(now)) await migrate(tables, place.kind);
    await tables.updateTable(VERSION_TABLE).set({ version: latest }).execute();
  });
}

async function makeVersionTable(db: HistoryDatabase, { kind }: HistoryPlace): Promise<void> {
  if (kind === 'postgres') await db.schema.createSchema(POSTGRES_SCHEMA).ifNotExists().execute();
  await db.schema
    .createTable(VERSION_TABLE)
    .addColumn('version', 'integer', (column) => column.notNull())
    .execute();
  await db.insertInto(VERSION_TABLE).values({ version: 0 }).execute();
}

/** The version of the tables; 0 when there are none. Throws FORMAT_HISTORY for the tables of something else. */
async function readVersion(db: HistoryDatabase, place: HistoryPlace): Promise<number> {
  const names = await tableNames(db, place);
  if (names.length === 0) return 0;
  const refusal = (problem: string): ColdsealError =>
    new ColdsealError('FORMAT_HISTORY', `Cannot open the history ${place.shown}: ${problem}`);
  if (!names.includes(VERSION_TABLE)) throw refusal('it is the database of something else');
  const rows = await db.selectFrom(VERSION_TABLE).select('version').execute();
  const version = rows[0]?.version;
  if (rows.length === 1 && Number.isInteger(version) && version! > 0) return version!;
  throw refusal('it does not say its version');
}

async function tableNames(db: HistoryDatabase, { kind }: HistoryPlace): Promise<string[]> {
  const query =
    kind === 'sqlite'
      ? sql<{ name: string }>`select name from sqlite_master where type = 'table'`
      : sql<{
          name: string;
        }>`select tablename as name from pg_catalog.pg_tables where schemaname = ${POSTGRES_SCHEMA}`;
  return (await query.execute(db)).rows.map(({ name }) => name);
}

function refuseNewer(version: number, latest: number, { shown }: HistoryPlace): void {
  if (version <= latest) return;
  throw new ColdsealError(
    'FORMAT_HISTORY_SCHEMA',
    `Cannot open the history ${shown}: its schema is ${version}, expected at most ${latest}`,
    { hint: 'a newer coldseal has made it; use that one' },
  );
}

function refuseOlder(version: number, latest: number, { shown }: HistoryPlace): void {
  if (version === latest) return;
  if (version === 0) {
    throw new ColdsealError('HOST_NOT_FOUND', `Cannot open the history ${shown}: it is empty`, {
      hint: 'coldseal history add puts boots into it',
    });
  }
  throw new ColdsealError(
    'FORMAT_HISTORY_SCHEMA',
    `Cannot open the history ${shown}: its schema is ${version}, expected ${latest}`,
    { hint: 'the next coldseal history add brings it up to date' },
  );
}
