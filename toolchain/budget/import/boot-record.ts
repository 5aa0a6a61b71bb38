/**
 * The runtime's own record of a boot, /run/coldseal/boot.json of a board. Pure.
 *
 * `report` reads such files as they are; importing one adds what the board does not know, such as the kind of start,
 * and lays it onto one clock with other logs.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { checkBootReport } from '../../board/boot-report.ts';
import { fromBootRecord } from '../from-boot-record.ts';
import { applyDictionary } from './dictionary.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import {
  isBinary,
  JSON_BYTES_MAX,
  type LogInput,
  rowName,
  soleFile,
  wholeText,
} from './log-input.ts';
import { boundedRows, firmwareFlag, SELF_CLOCK_NS } from './plausible.ts';

const KIND = /^\s{0,100}\{[^}]{0,400}"kind"\s{0,10}:\s{0,10}"coldseal-boot-record"/;
/** Boards that QEMU plays have such names. */
const EMULATED = /^qemu-/;

function recognises(log: LogInput): boolean {
  const bytes = soleFile(log);
  if (bytes === undefined || isBinary(bytes)) return false;
  return KIND.test(Buffer.from(bytes.subarray(0, 4096)).toString('latin1'));
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const bytes = soleFile(log);
  const record = checkBootReport(
    parseJson(bytes === undefined ? '' : wholeText(bytes, JSON_BYTES_MAX).text),
  );
  const isEmulated = EMULATED.test(record.board);
  const measured = fromBootRecord(record, {
    evidence: 'board-selfclock',
    start: null,
    specimen: null,
    conditions: {},
    measuredAt: null,
    uncertaintyNs: options.uncertaintyNs ?? SELF_CLOCK_NS,
    source: { format: 'boot-record', file: log.name, sha256: '' },
  });
  const long = firmwareFlag(record.clock.beforeKernelNs ?? 0, options.firmwareLimitNs);
  const { clock, outcome, reason, stages, units, events, flags, board, release } = measured;
  const boot: ImportedBoot = {
    evidence: isEmulated ? 'virtual-wallclock' : 'board-selfclock',
    isEmulated,
    board,
    release,
    clock,
    outcome,
    reason,
    stages,
    units,
    events,
    flags: [...flags, ...(long === null ? [] : [long])],
  };
  const { dictionary } = options;
  return [boundedRows(dictionary === null ? boot : applyDictionary(boot, dictionary))];
}

function parseJson(text: string): unknown {
  if (text.trim() === '') {
    throw new ColdsealError('FORMAT_BOOT_LOG_EMPTY', 'it is empty, expected a log');
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `the record is not whole: ${rowName((cause as Error).message)}`,
      { cause },
    );
  }
}

export const bootRecord: Importer = {
  format: 'boot-record',
  summary: "the runtime's own record of a boot: /run/coldseal/boot.json",
  recognisedBy: 'the kind coldseal-boot-record',
  recognises,
  read,
};
