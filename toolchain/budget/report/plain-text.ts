/**
 * Names from outside as one harmless line: nothing that moves a cursor, turns the direction of writing, ends a line or
 * is no character. Escaping for XML, Markdown and so on comes after this, in each output.
 *
 * Records have a schema that refuses control characters; a report must not depend on that.
 */

// Controls, line and paragraph separators, marks and overrides of the direction of writing, halves of surrogate pairs,
// and code points that are no characters (Unicode 16, 23.7).
const UNPRINTABLE =
  /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufeff]|[\ufffe\uffff]/gu;
const NO_CHARACTER = /[\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{efffe}-\u{10ffff}]/gu;

// Of what terminals draw two columns wide: East Asian scripts, and pictures.
const WIDE_SCRIPT =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;
const WIDE_OTHER = /\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** One line without anything that is not printed. */
export function plainText(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd').replace(NO_CHARACTER, '\ufffd');
}

/** Columns that a terminal needs for a text. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += widthOf(character);
  return columns;
}

/** The beginning of a text, with an ellipsis where it was longer. */
export function clip(text: string, columnsMax: number): string {
  if (columnsOf(text) <= columnsMax) return text;
  return `${startOf(text, columnsMax - 1)}…`;
}

/** A text in lines of a width, broken at spaces where there are any. */
export function wrap(text: string, columnsMax: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((word) => pieces(word, columnsMax))) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (columnsOf(longer) <= columnsMax) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** Cells below each other; the first columns to the left, figures to the right. */
export function alignedTable(rows: readonly (readonly string[])[], leftColumns = 1): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => columnsOf(row[i]!))));
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const space = ' '.repeat(widths[i]! - columnsOf(cell));
        return i < leftColumns ? cell + space : space + cell;
      })
      .join('  ')
      .trimEnd(),
  );
}

function widthOf(character: string): number {
  if (ZERO_WIDTH.test(character)) return 0;
  return WIDE_SCRIPT.test(character) || WIDE_OTHER.test(character) ? 2 : 1;
}

function startOf(text: string, columnsMax: number): string {
  let start = '';
  let columns = 0;
  for (const character of text) {
    columns += widthOf(character);
    if (columns > columnsMax) break;
    start += character;
  }
  return start;
}

function pieces(word: string, columnsMax: number): string[] {
  const parts: string[] = [];
  let rest = word;
  while (columnsOf(rest) > columnsMax) {
    const part = startOf(rest, columnsMax);
    parts.push(part);
    rest = rest.slice(part.length);
  }
  return [...parts, rest];
}
