/** What a benchmark found, and how that is printed: one row per measure, the limit and the verdict beside it. */
import { verdictOf } from './limits.ts';

export type Unit = 'ms' | 'bytes' | 'bytes/s' | 'us/entry' | 'bytes/entry' | 'ratio';

/** One measure of one case. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  /** Median of the runs. */
  readonly value: number;
  /** Least of the runs, where there were several. */
  readonly least?: number;
  /** What the value should not be above. */
  readonly limit?: number;
  /** A figure to compare with that is no limit, such as that of C mkcomposefs. */
  readonly reference?: number;
}

/** Everything about one case. */
export interface CaseResult {
  readonly name: string;
  readonly rows: readonly Row[];
  /** Facts about the input and comparisons, a sentence each. */
  readonly notes: readonly string[];
  /** Why nothing was measured. */
  readonly skipped?: string;
  readonly failed?: string;
}

const HEADER = ['case', 'measure', 'median', 'least', 'limit', 'ratio', 'verdict'];
const LEFT_COLUMNS = 2;

/** The table as lines of text; notes stand below the rows of their case. */
export function printTable(results: readonly CaseResult[]): string[] {
  const cells = results.map((result) => rowsOf(result));
  const widths = HEADER.map((head, column) =>
    Math.max(head.length, ...cells.flat().map((row) => row[column]!.length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) =>
        i < LEFT_COLUMNS || i === row.length - 1
          ? cell.padEnd(widths[i]!)
          : cell.padStart(widths[i]!),
      )
      .join('  ')
      .trimEnd();
  const lines = [line(HEADER)];
  results.forEach((result, i) => {
    lines.push('', ...cells[i]!.map(line));
    if (result.rows.length === 0) lines.push(result.name);
    if (result.skipped !== undefined) lines.push(`  skipped: ${result.skipped}`);
    if (result.failed !== undefined)
      lines.push(...`FAILED: ${result.failed}`.split('\n').map(indent));
    lines.push(...result.notes.map(indent));
  });
  return lines;
}

function rowsOf(result: CaseResult): string[][] {
  return result.rows.map((row, i) => [i === 0 ? result.name : '', ...cellsOf(row)]);
}

function indent(line: string): string {
  return `  ${line}`;
}

function cellsOf(row: Row): string[] {
  const show = (value: number | undefined): string =>
    value === undefined ? '' : formatValue(value, row.unit);
  const against = row.limit ?? row.reference;
  return [
    row.what,
    show(row.value),
    show(row.least),
    row.limit === undefined && row.reference !== undefined ? `C ${show(against)}` : show(against),
    against === undefined ? '' : (row.value / against).toFixed(2),
    row.limit === undefined ? '' : verdictOf(row.value, row.limit),
  ];
}

/** A value with its unit, in decimal multiples, with about three digits. */
export function formatValue(value: number, unit: Unit): string {
  switch (unit) {
    case 'ms':
      return value < 1000 ? `${digits(value)} ms` : `${digits(value / 1000)} s`;
    case 'bytes':
      return formatBytes(value);
    case 'bytes/s':
      return `${formatBytes(value)}/s`;
    case 'us/entry':
      return `${value.toFixed(2)} us`;
    case 'bytes/entry':
      return `${Math.round(value)} B`;
    case 'ratio':
      return value.toFixed(2);
  }
}

function formatBytes(value: number): string {
  if (value < 1e6) return `${digits(value / 1e3)} kB`;
  return value < 1e9 ? `${digits(value / 1e6)} MB` : `${digits(value / 1e9)} GB`;
}

function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** `12 rows: 10 within, 2 over`; the last line of the bench. */
export function summaryLine(results: readonly CaseResult[]): string {
  const limited = results.flatMap(({ rows }) => rows).filter(({ limit }) => limit !== undefined);
  const over = limited.filter(({ value, limit }) => verdictOf(value, limit!) === 'over');
  const count = (key: 'failed' | 'skipped'): number =>
    results.filter((result) => result[key] !== undefined).length;
  return (
    `${limited.length} limits: ${limited.length - over.length} within, ${over.length} over; ` +
    `${results.length} cases, ${count('skipped')} skipped, ${count('failed')} failed`
  );
}
