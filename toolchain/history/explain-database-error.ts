/**
 * What SQLite, PostgreSQL and the network say, in this house's words and codes.
 *
 * SQLite's codes are at https://sqlite.org/rescode.html; the low byte of an extended one is the primary one, and
 * numbers are used because libsql has no names for some. PostgreSQL's are the SQLSTATEs of appendix A of its manual.
 */
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { errnoOf } from '../../runtime/sys-error.ts';
import type { HistoryPlace } from './place.ts';

type Row = readonly [code: ErrorCode, problem: string, hint?: string];

const BUSY: Row = [
  'HOST_HISTORY_BUSY',
  'another process has kept it locked for too long',
  'try again when the other one is done',
];
const FULL: Row = ['HOST_NO_SPACE', 'no space left on the file system'];
const DAMAGED = 'export what can still be read, or go back to a backup (docs/history.md)';

/** Primary result codes. */
export const SQLITE_BUSY = 5;
export const SQLITE_READONLY = 8;
export const SQLITE_CANTOPEN = 14;

const SQLITE: ReadonlyMap<number, Row> = new Map<number, Row>([
  [3, ['HOST_PERMISSION', 'permission denied']],
  [SQLITE_BUSY, BUSY],
  [6, BUSY],
  [SQLITE_READONLY, ['HOST_PERMISSION', 'the file, or its directory, cannot be written']],
  [10, ['HOST_SYSTEM_CALL', 'an input/output error']],
  [11, ['FORMAT_HISTORY', 'the database is damaged', DAMAGED]],
  [13, FULL],
  [SQLITE_CANTOPEN, ['HOST_PERMISSION', 'it, or a file beside it, cannot be opened']],
  [26, ['FORMAT_HISTORY', 'the file is no SQLite database']],
]);

const POSTGRES: readonly (readonly [prefix: string, row: Row])[] = [
  ['55P03', BUSY],
  ['53100', FULL],
  ['42501', ['HOST_PERMISSION', 'this user of the database may not do that']],
  ['25006', ['HOST_PERMISSION', 'the database is read-only']],
  ['XX001', ['FORMAT_HISTORY', 'the database is damaged', DAMAGED]],
  ['XX002', ['FORMAT_HISTORY', 'an index of the database is damaged', DAMAGED]],
];

/** The error for a person. What is no error of a database is returned as it is. */
export function explainDatabaseError(
  error: unknown,
  doing: string,
  { kind, shown }: HistoryPlace,
): unknown {
  if (error instanceof ColdsealError || !(error instanceof Error)) return error;
  const known = kind === 'sqlite' ? sqliteRow(error) : postgresRow(error);
  if (known === undefined) return error;
  const [code, problem, hint] = known;
  return new ColdsealError(code, `${doing} ${shown}: ${problem}`, { hint, cause: error });
}

/** SQLite's primary result code; undefined for an error that is not SQLite's. */
export function sqliteCodeOf(error: unknown): number | undefined {
  const raw = (error as { rawCode?: unknown } | null)?.rawCode;
  return typeof raw === 'number' ? raw & 0xff : undefined;
}

function sqliteRow(error: Error): Row | undefined {
  const code = sqliteCodeOf(error);
  if (code !== undefined) return SQLITE.get(code);
  // Opening fails before there is a connection that could have a code.
  return /^ConnectionFailed\(.*: 14"\)$/s.test(error.message)
    ? ['HOST_PERMISSION', 'it, or its directory, cannot be opened']
    : undefined;
}

function postgresRow(error: Error): Row | undefined {
  const errno = errnoOf(error);
  const state = (error as { code?: unknown }).code;
  // The driver's own errors, such as a connection that ended, have no code; a bug of ours has a class of its own.
  const isPlain = state === undefined && Object.getPrototypeOf(error) === Error.prototype;
  if (errno !== undefined || isPlain) {
    const reason = error.message === '' ? errno! : error.message;
    return ['HOST_HISTORY_SERVER', reason, 'check that the server runs, and the URL'];
  }
  if (typeof state !== 'string' || !/^[0-9A-Z]{5}$/.test(state)) return undefined;
  const row = POSTGRES.find(([prefix]) => state === prefix)?.[1];
  return row ?? ['HOST_HISTORY_SERVER', `${error.message} (SQLSTATE ${state})`];
}
