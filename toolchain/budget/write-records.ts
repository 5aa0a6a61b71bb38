/**
 * Records on the host's disk: a file with one record a line, which appears whole or grows by whole lines.
 */
import { existsSync } from 'node:fs';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { refuseExisting, writeFileAtomically } from '../files/atomic-file.ts';
import { readInput } from '../files/read-input.ts';
import type { MeasuredBoot } from './measured-boot.ts';

/** The lines of records. */
export function recordLines(boots: readonly MeasuredBoot[]): string {
  return boots.map((boot) => `${JSON.stringify(boot)}\n`).join('');
}

export interface WriteOptions {
  /** Puts the records behind those that are there. */
  readonly append: boolean;
  /** Replaces a file that is there. */
  readonly force: boolean;
}

/** Refuses an output that cannot be written as asked; before the work begins. */
export function checkOutput(path: string, { append, force }: WriteOptions): void {
  if (!append && !force) refuseExisting(path);
}

/** Writes or appends records, atomically. Throws FORMAT_BOOT_JOURNAL when what is there is no file of records. */
export function writeRecords(
  path: string,
  boots: readonly MeasuredBoot[],
  options: WriteOptions,
): void {
  checkOutput(path, options);
  const old = options.append && existsSync(path) ? readInput(path) : Buffer.alloc(0);
  requireWholeLines(path, old);
  const added = Buffer.from(recordLines(boots));
  writeFileAtomically(path, Buffer.concat([old, added]), { force: true });
}

function requireWholeLines(path: string, old: Buffer): void {
  const lines = old.toString('utf8').split('\n');
  if (lines.pop() === '' && lines.every((line) => /^\{.*\}$/.test(line))) return;
  throw new ColdsealError(
    'FORMAT_BOOT_JOURNAL',
    `Cannot append to ${path}: expected one JSON record a line`,
    { hint: 'move the file away, or give another name' },
  );
}
