/**
 * One line of composefs-dump(5) text: its fields as spans, read on demand, and errors with line and column.
 *
 * Strict reading wants all eleven fields and nothing that could be meant otherwise. Lenient reading is that of
 * mkcomposefs: absent fields are empty, numbers are what C's strtoull makes of them
 * (docs/decisions/0003-dump-strictness.md).
 */
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { showBytes, type ByteString } from './byte-string.ts';
import { parseLikeStrtoull, parseUnsigned, U64_MAX, unescapeField } from './dump-text.ts';

/** The fixed fields in their order; xattrs follow. */
export const FIELDS = [
  'PATH',
  'SIZE',
  'MODE',
  'NLINK',
  'UID',
  'GID',
  'RDEV',
  'MTIME',
  'PAYLOAD',
  'CONTENT',
  'DIGEST',
] as const;

/** Where each field stands in a line. */
export const PATH = 0;
export const SIZE = 1;
export const MODE = 2;
export const NLINK = 3;
export const UID = 4;
export const GID = 5;
export const RDEV = 6;
export const MTIME = 7;
export const PAYLOAD = 8;
export const CONTENT = 9;
export const DIGEST = 10;

const U32_MAX = 0xffffffff;
/** Characters of a field that an error message shows. */
const SHOWN_MAX = 60;

interface Details {
  readonly hint?: string;
}

/** A cursor over lines. `read` moves it; everything else is about the line it stands on. */
export class DumpLine {
  readonly lenient: boolean;
  /** The line without its newline. */
  text = '';
  /** Counts from 1. */
  number = 0;
  /** Where the xattrs begin; beyond the text when the line has none. */
  xattrsStart = 0;
  #escaped = false;
  /** Start and end of each fixed field; the start of field i is at 2i. */
  readonly #spans = new Int32Array(2 * FIELDS.length);

  constructor(lenient: boolean) {
    this.lenient = lenient;
  }

  /** Moves to the next line, which is `text` without its newline. */
  read(text: string): void {
    this.text = text;
    this.number++;
    this.#escaped = text.includes('\\');
    this.#split();
  }

  #split(): void {
    const { text } = this;
    const end = text.length;
    if (end === 0) this.fail('FORMAT_DUMP_FIELDS', 0, 'the line is empty');
    let from = 0;
    for (let field = 0; field < FIELDS.length; field++) {
      let to = text.indexOf(' ', from);
      if (to < 0) to = end;
      this.#spans[2 * field] = from;
      this.#spans[2 * field + 1] = to;
      if (!this.lenient) this.#requireField(field, from, to);
      from = to === end && field < FIELDS.length - 1 ? end : to + 1;
    }
    this.xattrsStart = from;
  }

  #requireField(field: number, from: number, to: number): void {
    if (to === this.text.length && field < FIELDS.length - 1) {
      this.fail(
        'FORMAT_DUMP_FIELDS',
        to,
        `the line ends after ${field + 1} fields, expected ${FIELDS.length}: ${FIELDS.join(' ')}`,
      );
    }
    if (to === from) {
      this.failField(field, 'FORMAT_DUMP_FIELDS', 'is empty, expected a value or -');
    }
  }

  startOf(field: number): number {
    return this.#spans[2 * field]!;
  }

  endOf(field: number): number {
    return this.#spans[2 * field + 1]!;
  }

  raw(field: number): string {
    return this.text.slice(this.startOf(field), this.endOf(field));
  }

  /** Whether a field is a lone dash. */
  isUnset(field: number): boolean {
    const from = this.startOf(field);
    return this.endOf(field) === from + 1 && this.text.charCodeAt(from) === 0x2d;
  }

  isEmpty(field: number): boolean {
    return this.startOf(field) === this.endOf(field);
  }

  /** A field that names something: its escapes undone, without NUL bytes. */
  string(field: number): ByteString {
    return this.unescape(this.startOf(field), this.endOf(field), FIELDS[field]!, false);
  }

  /** A field that is data: its escapes undone, any bytes. */
  bytes(field: number): ByteString {
    return this.unescape(this.startOf(field), this.endOf(field), FIELDS[field]!, true);
  }

  /** The text from `from` to `to` with its escapes undone; `label` names it in errors. */
  unescape(from: number, to: number, label: string, allowNul: boolean): ByteString {
    const raw = this.text.slice(from, to);
    if (!this.#escaped || !raw.includes('\\')) return raw as ByteString;
    const value = unescapeField(raw);
    if (typeof value !== 'string') {
      return this.fail('FORMAT_DUMP_ESCAPE', from + value.at, `${label} ${value.problem}`);
    }
    if (!allowNul && value.includes('\0')) {
      this.fail('FORMAT_DUMP_NUL', from, `${label} contains a NUL byte`);
    }
    return value;
  }

  /** A number of 32 bits. Lenient reading keeps the low 32 bits of a larger one, as mkcomposefs does. */
  u32(field: number): number {
    const value = this.unsigned(field, 10);
    if (typeof value === 'number' && value <= U32_MAX) return value;
    if (this.lenient) return Number(BigInt.asUintN(32, BigInt(value)));
    return this.failField(field, 'FORMAT_DUMP_NUMBER', `is above ${U32_MAX}`);
  }

  unsigned(field: number, base: 8 | 10): number | bigint {
    return this.unsignedAt(field, this.startOf(field), base);
  }

  /** The number that a field is from `from` on. */
  unsignedAt(field: number, from: number, base: 8 | 10): number | bigint {
    const to = this.endOf(field);
    const value =
      parseUnsigned(this.text, from, to, base) ??
      (this.lenient ? parseLikeStrtoull(this.text.slice(from, to), base) : undefined);
    if (value !== undefined) return this.lenient && value > U64_MAX ? U64_MAX : value;
    const kind = base === 8 ? 'an octal number' : 'a decimal number';
    return this.failField(field, 'FORMAT_DUMP_NUMBER', `is not ${kind}`);
  }

  /** Refuses a field: its name and text, then `problem`. */
  failField(field: number, code: ErrorCode, problem: string, details: Details = {}): never {
    const raw = this.raw(field);
    const shown = showBytes(raw.slice(0, SHOWN_MAX) as ByteString);
    const more = raw.length > SHOWN_MAX ? '…' : '';
    return this.fail(
      code,
      this.startOf(field),
      `${FIELDS[field]} "${shown}${more}" ${problem}`,
      details,
    );
  }

  /** Refuses the line at a place of its text. */
  fail(code: ErrorCode, at: number, problem: string, details: Details = {}): never {
    const column = at + 1;
    const message = `Cannot read dump line ${this.number}, column ${column}: ${problem}`;
    throw new ColdsealError(code, message, details);
  }
}
