/**
 * Comparing bytes in tests: the first difference as an offset and two short hexdump rows.
 *
 * uvu's own `assert.equal` takes seconds and prints megabytes on arrays of an image's size.
 */
const ROW = 16;

/** Fails with the first difference unless both are the same bytes. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, label = 'bytes'): void {
  const length = Math.min(actual.length, expected.length);
  let at = 0;
  while (at < length && actual[at] === expected[at]) at++;
  if (at === actual.length && at === expected.length) return;
  const start = at - (at % ROW);
  const sizes =
    actual.length === expected.length
      ? ''
      : ` (${actual.length} bytes, expected ${expected.length})`;
  throw new Error(
    `${label} differ at byte ${at} (0x${at.toString(16)})${sizes}\n` +
      `  actual   ${hexRow(actual, start)}\n` +
      `  expected ${hexRow(expected, start)}`,
  );
}

/** One hexdump row: offset, up to 16 bytes, and their ASCII. */
function hexRow(bytes: Uint8Array, start: number): string {
  const row = [...bytes.subarray(start, start + ROW)];
  const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = row
    .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
    .join('');
  return `${start.toString(16).padStart(8, '0')}  ${hex.padEnd(ROW * 3 - 1)}  ${text}`;
}
