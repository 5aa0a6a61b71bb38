/**
 * Questions to the history. Every answer is in one order, whatever the database and whoever added first: by the time of
 * measuring, boots without one last, then by identifier.
 */
import { type ExpressionBuilder, sql } from 'kysely';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { EvidenceClass, MeasuredBoot, StartKind } from '../budget/measured-boot.ts';
import { sha256Of } from './identity.ts';
import type { History } from './open.ts';
import type { HistoryDatabase, HistoryTables } from './schema.ts';

/** Which boots; what is absent does not matter. */
export interface BootFilter {
  readonly board?: string | undefined;
  readonly evidence?: EvidenceClass | undefined;
  readonly start?: StartKind | undefined;
  readonly specimen?: string | undefined;
  /** All of these; a boot may have more. */
  readonly conditions?: Readonly<Record<string, string>>;
  /** Measured then or later, in milliseconds since 1970; boots without a time are left out. */
  readonly sinceMs?: number | undefined;
}

/** What figures are made of: a record without what only `show` needs. */
export type TimedBoot = Omit<MeasuredBoot, 'kind' | 'schema' | 'units' | 'io' | 'source'> & {
  readonly id: string;
};

/** The boots of a filter, without units. */
export function readBoots(history: History, filter: BootFilter = {}): Promise<TimedBoot[]> {
  return history.read(async (db) => {
    const rows = await ordered(db, filter).selectAll('boots').execute();
    const stages = groupByBoot(
      await db
        .selectFrom('stages')
        .selectAll()
        .where('boot', 'in', numbersOf(db, filter))
        .orderBy('boot')
        .orderBy('position')
        .execute(),
    );
    const events = groupByBoot(
      await db
        .selectFrom('events')
        .selectAll()
        .where('boot', 'in', numbersOf(db, filter))
        .orderBy('boot')
        .orderBy('position')
        .execute(),
    );
    const flags = groupByBoot(
      await db
        .selectFrom('flags')
        .selectAll()
        .where('boot', 'in', numbersOf(db, filter))
        .orderBy('boot')
        .orderBy('position')
        .execute(),
    );
    return rows.map((row) => ({
      ...withoutRows(row),
      stages: (stages.get(row.number) ?? []).map(({ name, start_ns, end_ns }) => {
        return { name, startNs: start_ns, endNs: end_ns };
      }),
      events: (events.get(row.number) ?? []).map(({ name, at_ns }) => ({ name, atNs: at_ns })),
      flags: (flags.get(row.number) ?? []).map(({ code, message, is_unusable }) => {
        return { code, message, isUnusable: is_unusable === 1 };
      }),
    }));
  });
}

/** Records as they are kept, a batch at a time, so that a large history is never in memory as a whole. */
export async function eachRecord(
  history: History,
  filter: BootFilter,
  use: (id: string, text: string) => void,
): Promise<number> {
  return history.read(async (db) => {
    const ids = await ordered(db, filter).select('id').execute();
    for (let at = 0; at < ids.length; at += BATCH) {
      const batch = ids.slice(at, at + BATCH).map(({ id }) => id);
      const rows = await db
        .selectFrom('boots')
        .select(['id', 'record', 'record_sha256'])
        .where('id', 'in', batch)
        .execute();
      const records = new Map(rows.map((row) => [row.id, checkedRecord(history, row)]));
      for (const id of batch) use(id, records.get(id)!);
    }
    return ids.length;
  });
}

const BATCH = 200;
const ID_DIGITS = 64;

/** The one boot whose identifier begins so, and its record's text. Throws USAGE_HISTORY_BOOT. */
export async function findRecord(
  history: History,
  prefix: string,
): Promise<{ readonly id: string; readonly text: string }> {
  const refuse = (problem: string): never => {
    throw new ColdsealError('USAGE_HISTORY_BOOT', `Cannot show the boot ${prefix}: ${problem}`, {
      hint: 'coldseal history export --format csv lists the boots with their identifiers',
    });
  };
  const digits = prefix.toLowerCase();
  if (!/^[0-9a-f]{4,64}$/.test(digits)) refuse('expected 4 to 64 hexadecimal digits');
  const rows = await history.read((db) =>
    db
      .selectFrom('boots')
      .select(['id', 'record', 'record_sha256'])
      .where('id', '>=', digits)
      .where('id', '<=', digits.padEnd(ID_DIGITS, 'f'))
      .orderBy('id')
      .limit(2)
      .execute(),
  );
  const [row, other] = rows;
  if (row === undefined) return refuse('the history has none that begins so');
  if (other !== undefined) return refuse('several begin so, expected more digits');
  return { id: row.id, text: checkedRecord(history, row) };
}

type Row = HistoryTables['boots'];

/** What the disk or somebody else changed is not handed on as measured. */
function checkedRecord(
  { place }: History,
  row: Pick<Row, 'id' | 'record' | 'record_sha256'>,
): string {
  if (sha256Of(row.record) === row.record_sha256) return row.record;
  throw new ColdsealError(
    'FORMAT_HISTORY',
    `Cannot read the history ${place.shown}: the record of boot ${row.id} is not what was added`,
    { hint: 'the database is damaged or was changed; add the boot again to one without it' },
  );
}

function withoutRows(row: Row): Omit<TimedBoot, 'stages' | 'events' | 'flags'> {
  return {
    id: row.id,
    evidence: row.evidence as EvidenceClass,
    board: row.board,
    specimen: row.specimen,
    start: row.start_kind as StartKind | null,
    conditions: JSON.parse(row.conditions) as Record<string, string>,
    release:
      row.release_version === null
        ? null
        : { id: row.release_id, version: row.release_version, builtAt: row.built_at },
    measuredAt: row.measured_at,
    clock: { name: row.clock_name, zero: row.clock_zero, uncertaintyNs: row.uncertainty_ns },
    outcome: row.outcome as MeasuredBoot['outcome'],
    reason: row.reason,
  };
}

const selected = (db: HistoryDatabase, filter: BootFilter) =>
  db.selectFrom('boots').where((where) => isSelected(where, filter));

const ordered = (db: HistoryDatabase, filter: BootFilter) =>
  selected(db, filter)
    // The databases differ in where a null goes by default.
    .orderBy(sql`case when measured_at is null then 1 else 0 end`)
    .orderBy('measured_at')
    .orderBy('id');

const numbersOf = (db: HistoryDatabase, filter: BootFilter) =>
  selected(db, filter).select('boots.number');

function isSelected(where: ExpressionBuilder<HistoryTables, 'boots'>, filter: BootFilter) {
  const columns = [
    ['board', filter.board],
    ['evidence', filter.evidence],
    ['start_kind', filter.start],
    ['specimen', filter.specimen],
  ] as const;
  const equal = columns.flatMap(([column, value]) =>
    value === undefined ? [] : [where(column, '=', value)],
  );
  const conditions = Object.entries(filter.conditions ?? {}).map(([name, value]) =>
    where.exists(
      where
        .selectFrom('conditions')
        .select('conditions.boot')
        .whereRef('conditions.boot', '=', 'boots.number')
        .where('conditions.name', '=', name)
        .where('conditions.value', '=', value),
    ),
  );
  const since =
    filter.sinceMs === undefined
      ? []
      : [where('measured_at', '>=', new Date(filter.sinceMs).toISOString())];
  return where.and([...equal, ...conditions, ...since]);
}

function groupByBoot<T extends { readonly boot: number }>(rows: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const row of rows) {
    const group = groups.get(row.boot);
    if (group === undefined) groups.set(row.boot, [row]);
    else group.push(row);
  }
  return groups;
}
