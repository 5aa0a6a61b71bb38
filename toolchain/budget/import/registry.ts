/**
 * All importers, and which of them a log is for. Pure.
 *
 * Add an importer by adding its line. `auto` goes by content alone, asks every importer, and refuses to choose when two
 * say yes: a log that is taken for the wrong kind gives wrong figures, not an error.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { bootRecord } from './boot-record.ts';
import { bootstageDt } from './bootstage-dt.ts';
import { bootstage } from './bootstage.ts';
import { cbmem } from './cbmem.ts';
import { efiLoader } from './efi-loader.ts';
import { fpdt } from './fpdt.ts';
import type { Importer } from './importer.ts';
import { kernelLog } from './kernel-log.ts';
import { type LogInput, soleFile } from './log-input.ts';
import { logicAnalyser } from './logic-analyser.ts';
import { serial } from './serial.ts';
import { systemd } from './systemd.ts';

/** Every importer, in the order help shows them. */
export const IMPORTERS: readonly Importer[] = [
  bootRecord,
  kernelLog,
  serial,
  systemd,
  bootstage,
  bootstageDt,
  cbmem,
  fpdt,
  efiLoader,
  logicAnalyser,
];

export const FORMATS: readonly string[] = IMPORTERS.map(({ format }) => format);

/** The importer for a log. Throws FORMAT_BOOT_LOG_EMPTY, FORMAT_BOOT_LOG_AMBIGUOUS or FORMAT_BOOT_LOG_TYPE. */
export function importerFor(log: LogInput, format: string): Importer {
  if (format !== 'auto') {
    const chosen = IMPORTERS.find((each) => each.format === format);
    if (chosen === undefined) throw new Error(`no importer is called ${format}`);
    return chosen;
  }
  if (log.files.size === 0 || soleFile(log)?.length === 0) {
    throw new ColdsealError('FORMAT_BOOT_LOG_EMPTY', 'it is empty, expected a log');
  }
  const fitting = IMPORTERS.filter(({ recognises }) => recognises(log));
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length > 1) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_AMBIGUOUS',
      `it could be ${fitting.map((each) => each.format).join(' or ')}`,
      { hint: 'say which with --format' },
    );
  }
  if (hasRecords(log)) {
    throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', 'it has boot records already, expected a log', {
      hint: 'coldseal report and coldseal history add read records as they are',
    });
  }
  throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', 'it is no kind of log that is known', {
    hint: 'see "coldseal records import --help" for the kinds, and choose one with --format',
  });
}

/** Whether a file begins as the records of boot --out, qa and of importers do. */
function hasRecords(log: LogInput): boolean {
  const start = Buffer.from(soleFile(log)?.subarray(0, 64) ?? []).toString('latin1');
  return /^\{"kind":"coldseal-(?:virtual-boot|measured-boot)"/.test(start);
}
