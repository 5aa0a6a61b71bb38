/**
 * A history in a PostgreSQL database, in a schema of its own, for rigs that share one.
 *
 * Writers hold one advisory lock until their transaction ends. Rigs then add one after the other as they do with a
 * file; without it two that add the same boots in another order would wait for each other until the server ends one of
 * them.
 */
import { type Dialect, type Kysely, PostgresDialect, sql } from 'kysely';
import { Pool } from 'pg';

/** The schema of the tables: a database may hold other things too. */
export const POSTGRES_SCHEMA = 'coldseal';

const CONNECT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 60_000;
/** Any number that nobody else uses: `cold` and `seal` in ASCII, halved to fit a signed 64-bit integer. */
const ADD_LOCK = '3582532355429150902';
/** int8, which the driver gives as text: all of ours are below 2^53. */
const INT8 = 20;

/** The dialect of a URL; connects when the first query is made. */
export function openPostgres(url: string): Dialect {
  const pool = new Pool({
    connectionString: url,
    max: 1,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'coldseal',
    types: { getTypeParser: parserOf },
  });
  // A connection that breaks says so beside the query that it breaks, which says the same.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new PostgresDialect({ pool });
}

function parserOf(oid: number, format?: string): (value: string) => unknown {
  if (format === 'binary') throw new Error('expected results as text');
  // The tables have numbers and text; counts are int8 too.
  const isNumber = oid === INT8 || oid === 21 || oid === 23;
  return isNumber ? Number : (value) => value;
}

/** Waits for the other writers. Released with the transaction. */
export async function lockForAdding<T>(transaction: Kysely<T>): Promise<void> {
  await sql.raw(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`).execute(transaction);
  await sql.raw(`select pg_advisory_xact_lock(${ADD_LOCK})`).execute(transaction);
}
