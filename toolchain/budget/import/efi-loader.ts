/**
 * The Boot Loader Interface: LoaderTimeInitUSec and LoaderTimeExecUSec, as efivarfs has them. Pure.
 *
 * Four bytes of attributes, then a decimal number of microseconds in UTF-16 with or without a final NUL
 * (systemd.io/BOOT_LOADER_INTERFACE). The files are known by their names only. Some counters survive a reset of the
 * board, which gives half an hour of firmware.
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import type { LogInput } from './log-input.ts';
import { boundedRows, firmwareFlag, plausibleNs, US } from './plausible.ts';

const ATTRIBUTES = 4;
const VARIABLE = /(?:^|\/)(LoaderTime(?:Init|Exec)USec)(?:-[0-9a-f-]{36})?$/;

function variables(log: LogInput): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [path, bytes] of log.files) {
    const name = VARIABLE.exec(path)?.[1];
    if (name !== undefined) found.set(name, bytes);
  }
  return found;
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const found = variables(log);
  if (found.size === 0) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      'it has no file LoaderTimeInitUSec-… or LoaderTimeExecUSec-…',
      { hint: 'copy them from /sys/firmware/efi/efivars; not every loader sets them' },
    );
  }
  const init = variableNs(found, 'LoaderTimeInitUSec');
  const exec = variableNs(found, 'LoaderTimeExecUSec');
  if (init === null) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_INCOMPLETE',
      'it has no LoaderTimeInitUSec, so the end of the firmware is unknown',
    );
  }
  if (exec !== null && exec < init) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_CLOCK',
      `the loader ended at ${exec} ns and began at ${init} ns`,
    );
  }
  const long = firmwareFlag(exec ?? init, options.firmwareLimitNs);
  return [
    boundedRows({
      evidence: 'board-selfclock',
      isEmulated: false,
      clock: { name: 'Boot Loader Interface', zero: 'reset', uncertaintyNs: options.uncertaintyNs },
      outcome: 'booted',
      reason: null,
      stages: [
        { name: 'firmware', startNs: 0, endNs: init },
        { name: 'loader', startNs: init, endNs: exec },
      ],
      units: [],
      events: [
        { name: 'reset', atNs: 0 },
        { name: 'os-loader', atNs: init },
        ...(exec === null ? [] : [{ name: 'kernel', atNs: exec }]),
      ],
      flags: long === null ? [] : [long],
    }),
  ];
}

function variableNs(found: ReadonlyMap<string, Uint8Array>, name: string): number | null {
  const bytes = found.get(name);
  if (bytes === undefined) return null;
  const text = Buffer.from(bytes.subarray(ATTRIBUTES, ATTRIBUTES + 100)).toString('utf16le');
  const digits = text.replace(/\0$/, '');
  if (bytes.length % 2 !== 0 || !/^\d{1,20}$/.test(digits)) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TRUNCATED',
      `${name} has ${bytes.length} bytes that are no attributes and number in UTF-16`,
    );
  }
  return plausibleNs(Number(digits) * US, name);
}

export const efiLoader: Importer = {
  format: 'efi-loader',
  summary: 'EFI variables of the loader: LoaderTimeInitUSec and LoaderTimeExecUSec from efivarfs',
  recognisedBy: 'the names of the files',
  recognises: (log) => variables(log).size > 0,
  read,
};
