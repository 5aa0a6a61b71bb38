/** Reads the tables in test/vectors. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../toolchain/dev/root.ts';

/** Rows of a table as columns, comments left out. */
export function vectorRows(name: string): string[][] {
  const text = readFileSync(join(ROOT, 'test/vectors', name), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split('\t'));
}
