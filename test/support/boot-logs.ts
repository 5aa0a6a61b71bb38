/** Boot logs of test/vectors/boot-logs, and logs written in a test, as importers take them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BootFacts, importBoots } from '../../toolchain/budget/import/import-boots.ts';
import { IMPORT_DEFAULTS, type ImportOptions } from '../../toolchain/budget/import/importer.ts';
import type { LogInput } from '../../toolchain/budget/import/log-input.ts';
import { readLog } from '../../toolchain/budget/import/read-log.ts';
import type { MeasuredBoot } from '../../toolchain/budget/measured-boot.ts';
import { ROOT } from '../../toolchain/dev/root.ts';

export const BOOT_LOGS: string = join(ROOT, 'test/vectors/boot-logs');

export const NO_FACTS: BootFacts = {
  board: 'sample',
  evidence: undefined,
  start: null,
  specimen: null,
  conditions: {},
  release: null,
  measuredAt: null,
};

/** A log of the vectors: a file or directory by its path. */
export function vectorLog(path: string): LogInput {
  return readLog(join(BOOT_LOGS, path));
}

/** The text of a log of the vectors. */
export function vectorText(path: string): string {
  return readFileSync(join(BOOT_LOGS, path), 'utf8');
}

/** A log that is one file. */
export function fileLog(content: string | Uint8Array, name = 'log'): LogInput {
  return { name, files: new Map([[name, Buffer.from(content)]]) };
}

/** A log that is several files. */
export function filesLog(files: Readonly<Record<string, string | Uint8Array>>): LogInput {
  const entries = Object.entries(files).map(([path, content]): [string, Uint8Array] => {
    return [path, Buffer.from(content)];
  });
  return { name: 'directory', files: new Map(entries) };
}

export interface ImportSettings extends Partial<ImportOptions> {
  readonly format?: string;
  readonly facts?: Partial<BootFacts>;
}

/** All records of one log. */
export function importAll(log: LogInput, settings: ImportSettings = {}): MeasuredBoot[] {
  const { format = 'auto', facts, ...options } = settings;
  return importBoots([log], {
    format,
    merge: false,
    options: { ...IMPORT_DEFAULTS, ...options },
    facts: { ...NO_FACTS, ...facts },
  });
}

/** The record of a log with one boot. */
export function importOne(log: LogInput, settings: ImportSettings = {}): MeasuredBoot {
  const boots = importAll(log, settings);
  if (boots.length !== 1) throw new Error(`${boots.length} boots, expected one`);
  return boots[0]!;
}

/** The record of several logs of one boot. */
export function importMerged(
  logs: readonly LogInput[],
  settings: ImportSettings = {},
): MeasuredBoot {
  const { format = 'auto', facts, ...options } = settings;
  return importBoots(logs, {
    format,
    merge: true,
    options: { ...IMPORT_DEFAULTS, ...options },
    facts: { ...NO_FACTS, ...facts },
  })[0]!;
}

/** `name start end`, in nanoseconds, a row each; a dash for what did not end. */
export function rows(boot: MeasuredBoot): string[] {
  return boot.stages.map(({ name, startNs, endNs }) => `${name} ${startNs} ${endNs ?? '-'}`);
}

/** When an event was. */
export function at(boot: MeasuredBoot, name: string): number | undefined {
  return boot.events.find((event) => event.name === name)?.atNs;
}

/** The codes of the flags, those that make a boot unusable with an exclamation mark. */
export function flagWords(boot: MeasuredBoot): string[] {
  return boot.flags.map(({ code, isUnusable }) => `${code}${isUnusable ? '!' : ''}`);
}
