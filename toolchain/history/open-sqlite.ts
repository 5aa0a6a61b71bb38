/**
 * A history in one SQLite file, through libsql's synchronous interface (decisions/0051).
 *
 * The file is in write-ahead mode, so that reading never waits for a rig that adds. Writers take the lock when their
 * transaction begins, and wait for each other then: a transaction that began as a reader could not be waited for. A
 * writer puts the log back into the file when it leaves, so that the file alone is the history; libsql keeps the
 * connection's files until the process ends, which is no harm.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import Database from 'libsql';
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  SQLITE_BUSY,
  SQLITE_CANTOPEN,
  SQLITE_READONLY,
  sqliteCodeOf,
} from './explain-database-error.ts';
import type { HistoryMode } from './open.ts';

/** Ten thousand records take a few seconds; a rig that is waited for longer than this has a problem. */
export const BUSY_TIMEOUT_MS = 60_000;
const RETRY_MS = 20;

export interface SqliteHistory {
  readonly dialect: Dialect;
  /** Called once the file is known to be a history, or empty, and is about to be written. */
  prepareWriting(): Promise<void>;
  /** Before the connection is closed. */
  finish(): void;
}

/** Opens the file; `add` makes it. Throws HOST_NOT_FOUND, USAGE_NOT_A_FILE and what SQLite says. */
export function openSqlite(path: string, mode: HistoryMode): SqliteHistory {
  const database = mode === 'add' ? openForAdding(path) : openForReading(path);
  return {
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new HistoryDriver(database, mode),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
    prepareWriting: () => enterWriteAheadMode(database),
    finish: () => {
      if (mode === 'add') emptyLog(database);
    },
  };
}

/** Kysely's driver, with transactions that can be waited for and rollbacks of what SQLite has rolled back already. */
class HistoryDriver extends SqliteDriver {
  readonly #database: Database.Database;
  readonly #begin: string;

  constructor(database: Database.Database, mode: HistoryMode) {
    super({ database });
    this.#database = database;
    this.#begin = mode === 'add' ? 'begin immediate' : 'begin';
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(this.#begin));
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // On a full disk SQLite ends the transaction itself, and a second end would hide the reason.
    if (this.#database.inTransaction) await super.rollbackTransaction(connection);
  }
}

function openForAdding(path: string): Database.Database {
  if (existsSync(path)) refuseOther(path);
  else if (!existsSync(dirname(path))) throw notFound(path, 'its directory does not exist');
  return open(path, 'mode=rwc');
}

function openForReading(path: string): Database.Database {
  if (!existsSync(path)) {
    throw notFound(
      path,
      'it does not exist',
      'coldseal history add makes it; --db or COLDSEAL_HISTORY says where it is',
    );
  }
  refuseOther(path);
  const database = open(path, 'mode=ro');
  try {
    database.prepare('select 1 from sqlite_master').all();
    return database;
  } catch (error) {
    // In a place that cannot be written, the log's index cannot be made. With nothing in the log, the file is all.
    const log = `${path}-wal`;
    const isLogEmpty = !existsSync(log) || statSync(log).size === 0;
    const code = sqliteCodeOf(error);
    if ((code !== SQLITE_CANTOPEN && code !== SQLITE_READONLY) || !isLogEmpty) throw error;
    return open(path, 'mode=ro&immutable=1');
  }
}

function notFound(path: string, problem: string, hint?: string): ColdsealError {
  return new ColdsealError('HOST_NOT_FOUND', `Cannot open the history ${path}: ${problem}`, {
    hint,
  });
}

function refuseOther(path: string): void {
  const stat = statSync(path);
  if (stat.isFile()) return;
  const found = stat.isDirectory() ? 'a directory' : 'a device or pipe';
  throw new ColdsealError(
    'USAGE_NOT_A_FILE',
    `Cannot open the history ${path}: it is ${found}, expected a file`,
  );
}

function open(path: string, parameters: string): Database.Database {
  // As a URI, no name is special, and only the mode that is asked for can make a file.
  const database = new Database(`${pathToFileURL(resolve(path)).href}?${parameters}`);
  database.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}`);
  database.exec('pragma foreign_keys = on');
  return database;
}

/** The change of mode does not wait for others by itself. */
async function enterWriteAheadMode(database: Database.Database): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
    try {
      database.exec('pragma journal_mode = wal');
      return;
    } catch (error) {
      if (sqliteCodeOf(error) !== SQLITE_BUSY || waitedMs >= BUSY_TIMEOUT_MS) throw error;
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

function emptyLog(database: Database.Database): void {
  try {
    // Whoever else is there does it when leaving.
    database.exec('pragma busy_timeout = 0');
    database.prepare('pragma wal_checkpoint(truncate)').all();
  } catch {
    // What was committed is safe in the log, and is read from there.
  }
}
