/**
 * The lexical side of composefs-dump(5): escapes and numbers of one field.
 *
 * Fields are byte strings. `\\`, `\n`, `\r`, `\t` and `\xHH` are the escapes; a field that is a lone `-` is
 * unset, so a literal dash is written `\x2d`. Source: man/composefs-dump.md of composefs.
 */
import type { ByteString } from './byte-string.ts';

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\', n: '\n', r: '\r', t: '\t' };

/** What is wrong with a field, and at which character of it. */
export interface FieldProblem {
  readonly at: number;
  readonly problem: string;
}

/** Undoes the escapes of a field that contains a backslash. */
export function unescapeField(field: string): ByteString | FieldProblem {
  let result = '';
  let from = 0;
  for (let at = field.indexOf('\\'); at >= 0; at = field.indexOf('\\', from)) {
    result += field.slice(from, at);
    const kind = field[at + 1] ?? '';
    const simple = SIMPLE_ESCAPES[kind];
    if (simple !== undefined) {
      result += simple;
      from = at + 2;
      continue;
    }
    const hex = field.slice(at + 2, at + 4);
    if (kind !== 'x' || !/^[0-9a-fA-F]{2}$/.test(hex)) {
      const shown = field.slice(at, at + (kind === 'x' ? 4 : 2));
      return { at, problem: `has the escape ${shown}, expected \\\\, \\n, \\r, \\t or \\xHH` };
    }
    result += String.fromCharCode(Number.parseInt(hex, 16));
    from = at + 4;
  }
  return (result + field.slice(from)) as ByteString;
}

const GRAPHIC = /^[!-[\]-~]*$/;
const GRAPHIC_WITHOUT_EQUALS = /^[!-<>-[\]-~]*$/;

/** Writes a field so that `unescapeField` gives it back; `=` is escaped too inside xattrs. */
export function escapeField(value: ByteString, escapeEquals = false): string {
  if (value === '-') return '\\x2d';
  if ((escapeEquals ? GRAPHIC_WITHOUT_EQUALS : GRAPHIC).test(value)) return value;
  let result = '';
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0x5c) result += '\\\\';
    else if (code === 0x0a) result += '\\n';
    else if (code === 0x0d) result += '\\r';
    else if (code === 0x09) result += '\\t';
    else if (code <= 0x20 || code >= 0x7f || (escapeEquals && code === 0x3d)) {
      result += `\\x${code < 16 ? '0' : ''}${code.toString(16)}`;
    } else result += value[i];
  }
  return result;
}

/** Digits that a number holds exactly, whatever they are. */
const SAFE_DIGITS = 15;

/**
 * Reads `text[from, to)` as an unsigned number in base 10 or 8; undefined when it is not one. Values beyond
 * what a number holds exactly come back as bigint.
 */
export function parseUnsigned(
  text: string,
  from: number,
  to: number,
  base: 8 | 10,
): number | bigint | undefined {
  if (from >= to) return undefined;
  if (to - from > SAFE_DIGITS) return parseBig(text.slice(from, to), base);
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit >= base) return undefined;
    value = value * base + digit;
  }
  return value;
}

function parseBig(digits: string, base: 8 | 10): number | bigint | undefined {
  if (!(base === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(digits)) return undefined;
  const significant = digits.replace(/^0+(?=.)/, '');
  // Such a number is far beyond any field's range; reading it exactly would only cost time.
  if (significant.length > SIGNIFICANT_DIGITS_MAX) return TOO_LARGE;
  const value = BigInt((base === 8 ? '0o' : '') + significant);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

const SIGNIFICANT_DIGITS_MAX = 40;
const TOO_LARGE = 1n << 200n;
/** What strtoull returns for anything larger. */
export const U64_MAX = 0xffffffffffffffffn;

/**
 * Reads a number as C's strtoull does, for the drop-in tools only: leading white space and a sign are
 * allowed, a negative value wraps around, and one beyond 64 bits becomes the largest.
 */
export function parseLikeStrtoull(text: string, base: 8 | 10): number | bigint | undefined {
  const match = /^[\t\n\v\f\r ]*([+-]?)([0-9]+)$/.exec(text);
  if (match === null) return undefined;
  const digits = match[2]!;
  const value = parseUnsigned(digits, 0, digits.length, base);
  if (value === undefined) return undefined;
  if (value > U64_MAX) return U64_MAX;
  if (match[1] !== '-') return value;
  const wrapped = BigInt.asUintN(64, -BigInt(value));
  return wrapped <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(wrapped) : wrapped;
}
