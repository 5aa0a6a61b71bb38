/**
 * The boot record as a file: /run/coldseal/boot.json, one line of JSON in ASCII.
 *
 * Nothing is decided by it that root could not decide anyway: only root can write below /run/coldseal.
 */
import { RUN_RECORD } from './device-paths.ts';
import { BOOT_RECORD_SCHEMA, type BootRecord } from './format/boot-record.ts';
import { ascii, toByteString } from './format/bytes.ts';
import { ColdsealError } from './format/errors.ts';
import { readSmallFile } from './read-file.ts';
import type { SysFiles, SysWrites } from './sys.ts';

/** A record has at most 64 images and as many containers; their lines are far shorter than this in sum. */
const RECORD_BYTES_MAX = 256 * 1024;

/** A record as its one line, without the line's end. Other characters than ASCII are escaped. */
export function recordLine(record: BootRecord): string {
  return JSON.stringify(record).replace(/[^\x20-\x7e]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Writes the record whole, so that a reader sees the old one or the new one. */
export function writeRecord(sys: SysWrites, record: BootRecord): void {
  sys.writeFile(RUN_RECORD, ascii(`${recordLine(record)}\n`), { mode: 0o644 });
}

/** The record of this boot; undefined when there is none. */
export function readRecord(sys: SysFiles): BootRecord | undefined {
  let text: string;
  try {
    text = toByteString(readSmallFile(sys, RUN_RECORD, RECORD_BYTES_MAX));
  } catch (error) {
    if (error instanceof ColdsealError && error.code === 'HOST_NOT_FOUND') return undefined;
    throw error;
  }
  const value = parse(text);
  const { kind, schema } = (value ?? {}) as Partial<BootRecord>;
  if (kind === 'coldseal-boot-record' && schema === BOOT_RECORD_SCHEMA) return value as BootRecord;
  throw new ColdsealError(
    'FORMAT_BOOT_RECORD',
    `Cannot read ${RUN_RECORD}: expected a boot record of schema 1`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
