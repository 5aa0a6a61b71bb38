/**
 * The ACPI Firmware Performance Data Table, as the kernel shows it below /sys/firmware/acpi/fpdt/boot. Pure.
 *
 * Five instants in nanoseconds since the firmware's timer began, which ACPI 6.5 section 5.2.24 has at the reset of the
 * processor. The directory, or text with a name and a value a line, as `grep . DIR/*` prints. 0 is "not recorded".
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import { fileEnding, type LogInput, logText, rowName, sampleLines, soleFile } from './log-input.ts';
import { boundedRows, firmwareFlag, plausibleNs } from './plausible.ts';

const NAMES = [
  'firmware_start_ns',
  'bootloader_load_ns',
  'bootloader_launch_ns',
  'exitbootservice_start_ns',
  'exitbootservice_end_ns',
] as const;
type Name = (typeof NAMES)[number];

const EVENTS: Readonly<Record<Name, string>> = {
  firmware_start_ns: 'firmware-start',
  bootloader_load_ns: 'os-loader-load',
  bootloader_launch_ns: 'os-loader',
  exitbootservice_start_ns: 'exit-boot-services-start',
  exitbootservice_end_ns: 'exit-boot-services-end',
};

const LINE = new RegExp(`^\\S{0,200}?(${NAMES.join('|')})[\\s:=]{1,10}(\\S{1,40})\\s{0,10}$`);

function recognises(log: LogInput): boolean {
  const bytes = soleFile(log);
  if (bytes === undefined) return NAMES.some((name) => fileEnding(log, name) !== undefined);
  return sampleLines(log).some((line) => LINE.test(line));
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const values = readValues(log);
  if (values.size === 0) {
    throw new ColdsealError('FORMAT_BOOT_LOG_TYPE', `it has none of ${NAMES.join(', ')}`, {
      hint: 'give the directory /sys/firmware/acpi/fpdt/boot, or a copy of it',
    });
  }
  const at = (name: Name): number | null => values.get(name) ?? null;
  requireOrder(values);
  const launch = at('bootloader_launch_ns');
  const end = at('exitbootservice_end_ns');
  if (launch === null && end === null) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_INCOMPLETE',
      'it has neither the launch of the loader nor the end of the boot services',
      { hint: 'the firmware did not record them; it cannot be measured this way' },
    );
  }
  const long = firmwareFlag(end ?? launch!, options.firmwareLimitNs);
  return [
    boundedRows({
      evidence: 'board-selfclock',
      isEmulated: false,
      clock: { name: 'ACPI FPDT', zero: 'reset', uncertaintyNs: options.uncertaintyNs },
      outcome: 'booted',
      reason: null,
      stages: [
        { name: 'firmware', startNs: 0, endNs: launch },
        ...(launch === null ? [] : [{ name: 'loader', startNs: launch, endNs: end }]),
      ],
      units: [],
      events: [
        { name: 'reset', atNs: 0 },
        ...(end === null ? [] : [{ name: 'kernel', atNs: end }]),
        ...[...values].map(([name, atNs]) => ({ name: EVENTS[name], atNs })),
      ],
      flags: long === null ? [] : [long],
    }),
  ];
}

/** What is recorded; 0 is not. */
function readValues(log: LogInput): Map<Name, number> {
  const values = new Map<Name, number>();
  const put = (name: Name, text: string): void => {
    if (!/^\d{1,20}$/.test(text)) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_TYPE',
        `${name} is "${rowName(text)}", expected nanoseconds`,
      );
    }
    if (Number(text) !== 0) values.set(name, plausibleNs(Number(text), name));
  };
  const bytes = soleFile(log);
  const isOneValue = NAMES.some((name) => fileEnding(log, name) !== undefined);
  if (bytes !== undefined && !isOneValue) {
    for (const line of logText(bytes).lines) {
      const [, name, text] = LINE.exec(line) ?? [];
      if (name !== undefined) put(name as Name, text!);
    }
    return values;
  }
  for (const name of NAMES) {
    const file = fileEnding(log, name);
    if (file !== undefined) put(name, Buffer.from(file.subarray(0, 64)).toString('latin1').trim());
  }
  return values;
}

function requireOrder(values: ReadonlyMap<Name, number>): void {
  let [before, last]: [string, number] = ['', 0];
  for (const name of NAMES) {
    const atNs = values.get(name);
    if (atNs === undefined) continue;
    if (atNs < last) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_CLOCK',
        `${name} is ${atNs}, before ${before} at ${last}; expected one after the other`,
      );
    }
    [before, last] = [name, atNs];
  }
}

export const fpdt: Importer = {
  format: 'fpdt',
  summary: 'the ACPI Firmware Performance Data Table: /sys/firmware/acpi/fpdt/boot',
  recognisedBy: 'the names firmware_start_ns … exitbootservice_end_ns',
  recognises,
  read,
};
