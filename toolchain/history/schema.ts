/**
 * The tables of the history, described once for SQLite and PostgreSQL, and how they came about, version by version.
 *
 * A boot is kept twice: as its record, whole and unchanged, and as the columns and rows that questions are asked of.
 * The rows follow from the record. Units and initcalls are only in the record: there may be thousands in a boot, and no
 * figure over many boots needs them. A total is in no column: where a boot begins and ends is the board's budget, which
 * changes, and a stored total would go on answering the old question. It is computed from stages and events on reading.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely';

export type DatabaseKind = 'sqlite' | 'postgres';

/** Exactly one row. */
interface VersionTable {
  readonly version: number;
}

export interface BootTable {
  /** Of this database only, so that the rows of stages and events are short. Never printed. */
  readonly number: number;
  /** What the boot is called everywhere: identity.ts. */
  readonly id: string;
  readonly board: string;
  readonly specimen: string | null;
  readonly evidence: string;
  readonly start_kind: string | null;
  /** JSON, names in order, so that equal conditions are equal text; `conditions` has them one a row. */
  readonly conditions: string;
  readonly release_id: string | null;
  readonly release_version: string | null;
  /** Seconds since 1970. */
  readonly built_at: number | null;
  /** UTC in one form, `2026-11-25T12:00:00.000Z`, so that order of text is order in time. */
  readonly measured_at: string | null;
  readonly clock_name: string;
  readonly clock_zero: string;
  readonly uncertainty_ns: number | null;
  readonly outcome: string;
  readonly reason: string | null;
  readonly record: string;
  /** Of the record's UTF-8, in hexadecimal: anybody can see whether it is still what was added. */
  readonly record_sha256: string;
}

export interface ConditionTable {
  readonly boot: number;
  readonly name: string;
  readonly value: string;
}

export interface StageTable {
  readonly boot: number;
  readonly position: number;
  readonly name: string;
  readonly start_ns: number;
  readonly end_ns: number | null;
}

export interface EventTable {
  readonly boot: number;
  readonly position: number;
  readonly name: string;
  readonly at_ns: number;
}

export interface FlagTable {
  readonly boot: number;
  readonly position: number;
  readonly code: string;
  readonly message: string;
  /** 0 or 1. */
  readonly is_unusable: number;
}

export interface HistoryTables {
  coldseal_history: VersionTable;
  boots: BootTable;
  conditions: ConditionTable;
  stages: StageTable;
  events: EventTable;
  flags: FlagTable;
}

export type HistoryDatabase = Kysely<HistoryTables>;

/** The table whose presence says that a database is a history, and of which version. */
export const VERSION_TABLE = 'coldseal_history';

/** A step from one version to the next. What was released is never edited. */
export type Migration = (db: HistoryDatabase, kind: DatabaseKind) => Promise<void>;

/** Position 0 makes version 1. */
export const MIGRATIONS: readonly Migration[] = [makeFirstTables];

async function makeFirstTables(db: HistoryDatabase, kind: DatabaseKind): Promise<void> {
  // Order of bytes on both, whatever the locale of the server.
  const text: RawBuilder<unknown> = kind === 'postgres' ? sql`text collate "C"` : sql`text`;
  await db.schema
    .createTable('boots')
    .addColumn('number', 'bigint', (column) => column.primaryKey())
    .addColumn('id', text, (column) => column.notNull().unique())
    .addColumn('board', text, (column) => column.notNull())
    .addColumn('specimen', text)
    .addColumn('evidence', text, (column) => column.notNull())
    .addColumn('start_kind', text)
    .addColumn('conditions', text, (column) => column.notNull())
    .addColumn('release_id', text)
    .addColumn('release_version', text)
    .addColumn('built_at', 'bigint')
    .addColumn('measured_at', text)
    .addColumn('clock_name', text, (column) => column.notNull())
    .addColumn('clock_zero', text, (column) => column.notNull())
    .addColumn('uncertainty_ns', 'bigint')
    .addColumn('outcome', text, (column) => column.notNull())
    .addColumn('reason', text)
    .addColumn('record', text, (column) => column.notNull())
    .addColumn('record_sha256', text, (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('boots_by_series')
    .on('boots')
    .columns(['board', 'evidence', 'measured_at'])
    .execute();
  await makeRowsOfBoots(db, text);
}

/** The tables with several rows a boot; they go with their boot. */
async function makeRowsOfBoots(db: HistoryDatabase, text: RawBuilder<unknown>): Promise<void> {
  const rowsOf = (table: Exclude<keyof HistoryTables, 'boots' | 'coldseal_history'>) =>
    db.schema
      .createTable(table)
      .addColumn('boot', 'bigint', (column) =>
        column.notNull().references('boots.number').onDelete('cascade'),
      );
  await rowsOf('conditions')
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('value', text, (column) => column.notNull())
    .addPrimaryKeyConstraint('conditions_key', ['boot', 'name'])
    .execute();
  await rowsOf('stages')
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('start_ns', 'bigint', (column) => column.notNull())
    .addColumn('end_ns', 'bigint')
    .addPrimaryKeyConstraint('stages_key', ['boot', 'position'])
    .execute();
  await rowsOf('events')
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('name', text, (column) => column.notNull())
    .addColumn('at_ns', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('events_key', ['boot', 'position'])
    .execute();
  await rowsOf('flags')
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('code', text, (column) => column.notNull())
    .addColumn('message', text, (column) => column.notNull())
    .addColumn('is_unusable', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('flags_key', ['boot', 'position'])
    .execute();
}
