/** Columns of text, as wide as they must be; figures stand on the right. Pure. */

/** The lines of a table with a head. `right` says which columns hold figures. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[],
): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) =>
    all.reduce((width, row) => Math.max(width, row[column]!.length), 0),
  );
  return all.map((row) =>
    row
      .map((cell, at) =>
        right.includes(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
