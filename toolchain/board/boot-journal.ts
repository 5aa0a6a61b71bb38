/**
 * Boot records on the host's disk: boot-records.jsonl, one boot a line, and a console log for each.
 *
 * The journal only grows. It is read, the new lines are put after the old ones, and the whole is renamed into place,
 * so that an interruption leaves the old journal; a last line that was cut off by something else is refused.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { writeFileAtomically } from '../files/atomic-file.ts';
import { makeDirectories } from '../files/make-directories.ts';
import { readInput } from '../files/read-input.ts';
import type { VirtualBoot } from './virtual.ts';

export const JOURNAL_FILE = 'boot-records.jsonl';

/** A boot as it is kept: everything but the console, which has a file of its own. */
export function keptBoot(boot: VirtualBoot): Omit<VirtualBoot, 'console'> {
  const { console: _, ...kept } = boot;
  return kept;
}

/** Appends boots to the journal of a directory, which is made; returns the paths that were written. */
export function writeJournal(dir: string, boots: readonly VirtualBoot[]): string[] {
  makeDirectories(dir);
  const path = join(dir, JOURNAL_FILE);
  const old = existsSync(path) ? readInput(path) : Buffer.alloc(0);
  const count = countLines(path, old);
  const consoles = boots.map(({ console }, i) => {
    const log = join(dir, `console-${count + i + 1}.log`);
    writeFileAtomically(log, Buffer.from(console, 'latin1'), { force: true });
    return log;
  });
  const added = Buffer.from(boots.map((boot) => `${JSON.stringify(keptBoot(boot))}\n`).join(''));
  writeFileAtomically(path, Buffer.concat([old, added]), { force: true });
  return [path, ...consoles];
}

function countLines(path: string, journal: Buffer): number {
  const lines = journal.toString('utf8').split('\n');
  const isWhole = lines.pop() === '' && lines.every((line) => /^\{.*\}$/.test(line));
  if (isWhole) return lines.length;
  throw new ColdsealError(
    'FORMAT_BOOT_JOURNAL',
    `Cannot append to ${path}: expected one JSON record a line`,
    { hint: 'move the file away, or give another --out' },
  );
}
