/**
 * What systemd knows about a boot: the manager's time stamps, and when units started. Pure.
 *
 * The stages are in the manager's properties (`systemctl show`), or rounded in the sentence of `systemd-analyze time`.
 * `systemd-analyze plot --json` has units only, so it needs one of them beside it. All stamps count from the kernel's
 * start, except those of firmware and loader, which say how long before it something was (org.freedesktop.systemd1).
 */
import { ColdsealError } from '../../../runtime/format/errors.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import { applyDictionary } from './dictionary.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import {
  isBinary,
  JSON_BYTES_MAX,
  type LogInput,
  logText,
  rowName,
  wholeText,
} from './log-input.ts';
import { unitRows } from './systemd-units.ts';
import { boundedRows, firmwareFlag, MS, plausibleNs, SELF_CLOCK_NS, US } from './plausible.ts';

const MANAGER = /^(?:Userspace|Finish)TimestampMonotonic=\d/m;
const UNITS = /^InactiveExitTimestampMonotonic=\d/m;
const SENTENCE = /^Startup finished in (.{1,400})$/m;
const PLOT = /^\s{0,100}\[\s{0,100}\{\s{0,100}"name"\s{0,10}:/;

/** The parts of a log, in whichever of its files they are. */
interface Parts {
  readonly properties: ReadonlyMap<string, string>;
  readonly sentence: string | undefined;
  readonly plot: string | undefined;
  readonly units: readonly ReadonlyMap<string, string>[];
  readonly flags: readonly BootFlag[];
}

function textOf(bytes: Uint8Array): string {
  return isBinary(bytes) ? '' : Buffer.from(bytes).toString('latin1');
}

function isSystemd(text: string): boolean {
  const isLog = /^\[ {0,8}\d{1,9}\.\d{6}/m.test(text.slice(0, 4096));
  return !isLog && [MANAGER, UNITS, SENTENCE, PLOT].some((pattern) => pattern.test(text));
}

function recognises(log: LogInput): boolean {
  return [...log.files.values()].some((bytes) => isSystemd(textOf(bytes)));
}

function read(log: LogInput, options: ImportOptions): ImportedBoot[] {
  const parts = readParts(log);
  const boot =
    parts.properties.size > 0 ? fromProperties(parts, options) : fromSentence(parts, options);
  const { dictionary } = options;
  return [boundedRows(dictionary === null ? boot : applyDictionary(boot, dictionary))];
}

function readParts(log: LogInput): Parts {
  const parts = {
    properties: new Map<string, string>(),
    sentence: undefined as string | undefined,
    plot: undefined as string | undefined,
    units: [] as Map<string, string>[],
    flags: [] as BootFlag[],
  };
  for (const bytes of log.files.values()) {
    const isPlot = PLOT.test(textOf(bytes));
    if (!isSystemd(textOf(bytes)) && log.files.size > 1) continue;
    if (isPlot) {
      parts.plot = wholeText(bytes, JSON_BYTES_MAX).text;
      continue;
    }
    const { lines, flags } = logText(bytes);
    parts.flags.push(...flags);
    readProperties(lines, parts);
  }
  if (parts.properties.size > 0 || parts.sentence !== undefined) return parts;
  const hasUnits = parts.plot !== undefined || parts.units.length > 0;
  throw new ColdsealError(
    hasUnits ? 'FORMAT_BOOT_LOG_INCOMPLETE' : 'FORMAT_BOOT_LOG_TYPE',
    hasUnits
      ? "it has systemd's units and no stages, expected the manager's properties beside them"
      : 'it is not what systemctl show or systemd-analyze prints',
    {
      hint: 'add the output of "systemctl show" to a directory or give both files with --merge',
    },
  );
}

function readProperties(
  lines: readonly string[],
  parts: {
    properties: Map<string, string>;
    sentence: string | undefined;
    units: Map<string, string>[];
  },
): void {
  let unit: Map<string, string> | undefined;
  for (const line of lines) {
    const sentence = SENTENCE.exec(line)?.[1];
    if (sentence !== undefined) parts.sentence ??= sentence;
    if (line === '') unit = undefined;
    const [, key, value] = /^([A-Z][A-Za-z]{1,60})=(.{0,400})$/.exec(line) ?? [];
    if (key === undefined) continue;
    // Properties of a unit come in a block; those of the manager have other names.
    const isUnits =
      key === 'Id' || /^(?:Inactive|Active)(?:Exit|Enter)TimestampMonotonic$/.test(key);
    if (!isUnits) {
      if (!parts.properties.has(key) && isManagers(key)) parts.properties.set(key, value!);
      continue;
    }
    if (unit === undefined) parts.units.push((unit = new Map()));
    unit.set(key, value!);
  }
}

function isManagers(key: string): boolean {
  return /^(?:[A-Z][A-Za-z]{1,40}TimestampMonotonic|Virtualization)$/.test(key);
}

/** A time stamp in microseconds; 0 is systemd's word for "not set". */
function stampNs(properties: ReadonlyMap<string, string>, name: string): number | null {
  const text = properties.get(`${name}TimestampMonotonic`);
  if (text === undefined || text === '0') return null;
  if (!/^\d{1,20}$/.test(text)) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_TYPE',
      `${name}TimestampMonotonic is "${rowName(text)}", expected microseconds`,
    );
  }
  return plausibleNs(Number(text) * US, `${name}TimestampMonotonic`);
}

/** The instants of a boot, in nanoseconds on a clock that begins with the earliest thing that is known. */
interface Instants {
  readonly zero: 'reset' | 'os-loader' | 'kernel';
  /** End of the firmware, and the kernel's start; null where unknown. */
  readonly loaderNs: number | null;
  readonly kernelNs: number;
  readonly initrdNs: number | null;
  readonly userspaceNs: number | null;
  readonly finishNs: number | null;
}

function fromProperties(parts: Parts, options: ImportOptions): ImportedBoot {
  const { properties } = parts;
  const stamp = (name: string): number | null => stampNs(properties, name);
  const [firmware, loader] = [stamp('Firmware'), stamp('Loader')];
  if (firmware !== null && loader !== null && loader > firmware) {
    throw new ColdsealError(
      'FORMAT_BOOT_LOG_NEGATIVE',
      `the firmware would take ${(firmware - loader) / MS} ms: LoaderTimestampMonotonic is ` +
        'larger than FirmwareTimestampMonotonic',
      { hint: 'the loader and the firmware used different counters' },
    );
  }
  const kernelNs = firmware ?? loader ?? 0;
  const after = (name: string): number | null => {
    const ns = stamp(name);
    return ns === null ? null : kernelNs + ns;
  };
  const instants: Instants = {
    zero: firmware !== null ? 'reset' : loader !== null ? 'os-loader' : 'kernel',
    loaderNs: firmware === null || loader === null ? null : firmware - loader,
    kernelNs,
    initrdNs: after('InitRD'),
    userspaceNs: after('Userspace'),
    finishNs: after('Finish'),
  };
  const { units, left } = unitRows(parts, instants.kernelNs, instants.finishNs);
  const boot = bootOf(instants, { ...parts, units, uncertaintyNs: SELF_CLOCK_NS, left }, options);
  const total = parts.sentence === undefined ? null : sentenceSpans(parts.sentence);
  const flags = [
    ...boot.flags,
    ...managerFlags(properties),
    ...(total === null ? [] : totalFlag(instants.finishNs, total.totalNs, total.parts.size)),
  ];
  // Where the manager is not asked about security it does not say that it runs in a container either.
  const isEmulated = (properties.get('Virtualization') ?? '') !== '';
  return { ...boot, isEmulated, evidence: isEmulated ? 'virtual-wallclock' : boot.evidence, flags };
}

function managerFlags(properties: ReadonlyMap<string, string>): BootFlag[] {
  const flags: BootFlag[] = [];
  const flag = (code: string, message: string): void =>
    void flags.push({ code, message, isUnusable: true });
  // systemd-analyze itself tells containers apart by this stamp.
  if (properties.get('SecurityStartTimestampMonotonic') === '0') {
    flag(
      'BUDGET_FLAG_IN_CONTAINER',
      'this systemd runs in a container, and its stamps are the host’s',
    );
  }
  if ((properties.get('SoftRebootStartTimestampMonotonic') ?? '0') !== '0') {
    flag(
      'BUDGET_FLAG_SOFT_REBOOT',
      'userspace was restarted, so its stamps are not those of a boot',
    );
  }
  return flags;
}

interface Details {
  readonly units: MeasuredBoot['units'];
  readonly flags: readonly BootFlag[];
  readonly uncertaintyNs: number;
  /** Units whose times cannot be. */
  readonly left: number;
}

function bootOf(instants: Instants, details: Details, options: ImportOptions): ImportedBoot {
  const { zero, kernelNs, initrdNs, userspaceNs, finishNs } = instants;
  requireOrder(instants);
  const flags = [...details.flags];
  if (finishNs === null) {
    flags.push({
      code: 'BUDGET_FLAG_NOT_FINISHED',
      message: 'systemd was still starting when it was asked',
      isUnusable: true,
    });
  }
  if (details.left > 0) {
    flags.push({
      code: 'BUDGET_FLAG_UNIT_TIME',
      message: `${details.left} units have times that cannot be and were left out`,
      isUnusable: false,
    });
  }
  const long = firmwareFlag(kernelNs, options.firmwareLimitNs);
  const event = (name: string, atNs: number | null): MeasuredBoot['events'] =>
    atNs === null ? [] : [{ name, atNs }];
  const targets = details.units.flatMap(({ name, endNs }) =>
    name.endsWith('.target') ? event(name, endNs) : [],
  );
  return {
    evidence: 'board-selfclock',
    isEmulated: false,
    clock: {
      name: 'CLOCK_MONOTONIC',
      zero,
      uncertaintyNs: options.uncertaintyNs ?? details.uncertaintyNs,
    },
    outcome: 'booted',
    reason: null,
    stages: stageRows(instants),
    units: details.units,
    events: [
      { name: zero, atNs: 0 },
      ...event('kernel', kernelNs),
      ...event('init', initrdNs ?? userspaceNs),
      ...event('userspace', userspaceNs),
      ...event('userspace-finished', finishNs),
      ...targets,
    ],
    flags: [...flags, ...(long === null ? [] : [long])],
  };
}

function requireOrder({ kernelNs, initrdNs, userspaceNs, finishNs }: Instants): void {
  const order = [kernelNs, initrdNs, userspaceNs, finishNs].filter((ns) => ns !== null);
  if (order.every((ns, index) => index === 0 || ns >= order[index - 1]!)) return;
  throw new ColdsealError(
    'FORMAT_BOOT_LOG_CLOCK',
    'the stamps of kernel, initrd, userspace and finish are not one after the other',
  );
}

function stageRows(instants: Instants): MeasuredBoot['stages'] {
  const { zero, loaderNs, kernelNs, initrdNs, userspaceNs, finishNs } = instants;
  const rows: MeasuredBoot['stages'] = [];
  // Where the loader did not say when it began, nobody knows where the firmware ends.
  if (zero === 'reset') rows.push({ name: 'firmware', startNs: 0, endNs: loaderNs });
  if (zero === 'os-loader') rows.push({ name: 'loader', startNs: 0, endNs: kernelNs });
  if (loaderNs !== null) rows.push({ name: 'loader', startNs: loaderNs, endNs: kernelNs });
  rows.push({ name: 'kernel', startNs: kernelNs, endNs: initrdNs ?? userspaceNs });
  if (initrdNs !== null) rows.push({ name: 'initrd', startNs: initrdNs, endNs: userspaceNs });
  if (userspaceNs !== null) rows.push({ name: 'userspace', startNs: userspaceNs, endNs: finishNs });
  return rows;
}

const UNIT_NS: Readonly<Record<string, number>> = {
  us: US,
  ms: MS,
  s: 1000 * MS,
  min: 60_000 * MS,
  h: 3_600_000 * MS,
  d: 86_400_000 * MS,
  w: 7 * 86_400_000 * MS,
  month: 30.4375 * 86_400_000 * MS,
  y: 365.25 * 86_400_000 * MS,
};

/** systemd's way to write a duration: `1min 9.608s`. */
function spanNs(text: string): number | undefined {
  let total = 0;
  for (const word of text.trim().split(' ')) {
    const [, number, unit] =
      /^(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|min|h|d|w|month|y)$/.exec(word) ?? [];
    if (number === undefined) return undefined;
    total += Math.round(Number(number) * UNIT_NS[unit!]!);
  }
  return total;
}

interface Spans {
  readonly parts: ReadonlyMap<string, number>;
  readonly totalNs: number | null;
}

/** `5.855s (firmware) + 8.469s (loader) + 3.106s (kernel) + 12.181s (userspace) = 29.613s`. */
function sentenceSpans(sentence: string): Spans {
  const [sum, total] = sentence.split(' = ');
  const parts = new Map<string, number>();
  for (const part of sum!.split(' + ')) {
    const [, span, name] =
      /^(.{1,100}) \((firmware|loader|kernel|initrd|userspace)\) ?$/.exec(part) ?? [];
    const ns = span === undefined ? undefined : spanNs(span);
    if (ns === undefined) {
      throw new ColdsealError(
        'FORMAT_BOOT_LOG_TYPE',
        `"${rowName(part)}" is no part of a start-up, expected a time and its stage`,
      );
    }
    parts.set(name!, plausibleNs(ns, `the time of ${name!}`));
  }
  const totalNs = total === undefined ? null : (spanNs(total.replace(/\.$/, '')) ?? null);
  return { parts, totalNs };
}

function fromSentence(parts: Parts, options: ImportOptions): ImportedBoot {
  const { parts: spans, totalNs } = sentenceSpans(parts.sentence!);
  const firmware = spans.get('firmware');
  const loader = spans.get('loader');
  const kernelNs = (firmware ?? 0) + (loader ?? 0);
  const initNs = spans.has('kernel') ? kernelNs + spans.get('kernel')! : null;
  const userspaceNs = initNs === null ? 0 : initNs + (spans.get('initrd') ?? 0);
  const userspace = spans.get('userspace');
  const instants: Instants = {
    zero: firmware !== undefined ? 'reset' : loader !== undefined ? 'os-loader' : 'kernel',
    loaderNs: firmware === undefined || loader === undefined ? null : firmware,
    kernelNs,
    initrdNs: spans.has('initrd') ? initNs : null,
    userspaceNs,
    finishNs: userspace === undefined ? null : userspaceNs + userspace,
  };
  const { units, left } = unitRows(parts, instants.kernelNs, instants.finishNs);
  // Every part is cut off after milliseconds.
  const uncertaintyNs = spans.size * MS;
  const boot = bootOf(instants, { units, left, flags: parts.flags, uncertaintyNs }, options);
  const inContainer = spans.has('kernel')
    ? []
    : managerFlags(new Map([['SecurityStartTimestampMonotonic', '0']]));
  const flags = [
    ...boot.flags,
    ...inContainer,
    ...totalFlag(instants.finishNs, totalNs, spans.size),
  ];
  return { ...boot, flags };
}

/** systemd's own total cuts off once, where the sum of its parts cuts off for each. */
function totalFlag(finishNs: number | null, totalNs: number | null, parts: number): BootFlag[] {
  if (finishNs === null || totalNs === null) return [];
  if (Math.abs(finishNs - totalNs) <= (parts + 1) * MS) return [];
  return [
    {
      code: 'BUDGET_FLAG_TOTAL_DIFFERS',
      message:
        `systemd says ${totalNs / MS} ms for the whole boot, and its parts make ` +
        `${finishNs / MS} ms: they are of different boots`,
      isUnusable: true,
    },
  ];
}

export const systemd: Importer = {
  format: 'systemd',
  summary: "systemd's stamps: systemctl show, systemd-analyze time, and plot --json for units",
  recognisedBy: 'UserspaceTimestampMonotonic=, "Startup finished in", or the JSON of a plot',
  recognises,
  read,
};
