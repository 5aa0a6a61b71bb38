/**
 * From logs to records: the importer of each log, what only the user knows about the boots, and the check that every
 * record is one. Pure.
 */
import { createHash } from 'node:crypto';
import { ColdsealError } from '../../../runtime/format/errors.ts';
import { namingFile } from '../../files/name-file.ts';
import {
  type BootFlag,
  type EvidenceClass,
  isRealBoard,
  MEASURED_BOOT,
  MEASURED_BOOT_KIND,
  MEASURED_BOOT_SCHEMA,
  type MeasuredBoot,
} from '../measured-boot.ts';
import type { ImportedBoot, Importer, ImportOptions } from './importer.ts';
import type { LogInput } from './log-input.ts';
import { mergeBoots } from './merge.ts';
import { importerFor } from './registry.ts';

/** What no log says, or what the user knows better. */
export interface BootFacts {
  readonly board: string | undefined;
  readonly evidence: EvidenceClass | undefined;
  readonly start: MeasuredBoot['start'];
  readonly specimen: string | null;
  readonly conditions: Readonly<Record<string, string>>;
  readonly release: MeasuredBoot['release'];
  readonly measuredAt: string | null;
}

export interface ImportRequest {
  /** The word of an importer, or `auto`. */
  readonly format: string;
  /** All logs are of one boot. */
  readonly merge: boolean;
  readonly options: ImportOptions;
  readonly facts: BootFacts;
}

interface ChosenLog {
  readonly log: LogInput;
  readonly importer: Importer;
}

/** The records of the logs, in their order. Throws FORMAT_BOOT_LOG_*, with the name of the log. */
export function importBoots(logs: readonly LogInput[], request: ImportRequest): MeasuredBoot[] {
  const chosen = logs.map((log): ChosenLog => {
    return { log, importer: inLog(log, () => importerFor(log, request.format)) };
  });
  if (request.merge) return [mergedBoot(chosen, request)];
  return chosen.flatMap(({ log, importer }) =>
    inLog(log, () =>
      importer
        .read(log, request.options)
        .map((boot) => record(boot, request.facts, sourceOf([log], importer.format))),
    ),
  );
}

function inLog<T>(log: LogInput, run: () => T): T {
  return namingFile(`Cannot import ${log.name}`, run);
}

/** Logs of the same kind are parts of one source: the units of systemd are in another file than its stages. */
function mergedBoot(chosen: readonly ChosenLog[], { options, facts }: ImportRequest): MeasuredBoot {
  const formats = [...new Set(chosen.map(({ importer }) => importer.format))];
  const sources = formats.map((format) => {
    const same = chosen.filter(({ importer }) => importer.format === format);
    const log = joined(same.map((each) => each.log));
    const boots = inLog(log, () => same[0]!.importer.read(log, { ...options, split: false }));
    return { format, boot: boots[0]! };
  });
  const logs = chosen.map(({ log }) => log);
  return record(mergeBoots(sources), facts, sourceOf(logs, formats.join('+')));
}

function joined(logs: readonly LogInput[]): LogInput {
  if (logs.length === 1) return logs[0]!;
  const files = new Map<string, Uint8Array>();
  for (const log of logs) {
    for (const [path, bytes] of log.files) {
      // Logs of two directories may have files of one name.
      files.set(files.has(path) ? `${files.size}/${path}` : path, bytes);
    }
  }
  return { name: logs.map(({ name }) => name).join(' and '), files };
}

/** Several files have one digest: that of their names and digests, sorted. */
function sourceOf(logs: readonly LogInput[], format: string): MeasuredBoot['source'] {
  const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const files = logs.flatMap((log) => [...log.files]);
  const names = logs.map(({ name }) => name).join(' ');
  if (files.length === 1) return { format, file: names, sha256: sha256(files[0]![1]) };
  const lines = files.map(([path, bytes]) => `${sha256(bytes)}  ${path}\n`).sort();
  return { format, file: names.slice(0, 512), sha256: sha256(Buffer.from(lines.join(''))) };
}

function record(
  boot: ImportedBoot,
  facts: BootFacts,
  source: MeasuredBoot['source'],
): MeasuredBoot {
  const evidence = facts.evidence ?? boot.evidence;
  const made: MeasuredBoot = {
    kind: MEASURED_BOOT_KIND,
    schema: MEASURED_BOOT_SCHEMA,
    evidence,
    board: boardOf(boot, facts),
    specimen: facts.specimen,
    start: facts.start,
    conditions: { ...facts.conditions },
    release: facts.release ?? boot.release ?? null,
    measuredAt: facts.measuredAt,
    clock: boot.clock,
    outcome: boot.outcome,
    reason: boot.reason,
    stages: boot.stages,
    units: boot.units,
    events: boot.events,
    io: null,
    flags: [...boot.flags, ...emulationFlag(boot, evidence)].slice(0, 200),
    source,
  };
  const checked = MEASURED_BOOT.safeParse(made);
  if (checked.success) return checked.data;
  // An importer must not let such a thing through, and a record that is none must not be written.
  const [issue] = checked.error.issues;
  throw new Error(`the importer made no record: ${issue!.path.join('.')} ${issue!.message}`);
}

function boardOf(boot: ImportedBoot, facts: BootFacts): string {
  const board = facts.board ?? boot.board;
  if (board === undefined) {
    throw new ColdsealError('USAGE_MISSING_OPTION', 'the log does not name its board', {
      hint: 'give --board',
    });
  }
  if (facts.board === undefined || boot.board === undefined || facts.board === boot.board) {
    return board;
  }
  throw new ColdsealError(
    'USAGE_OPTION_CONFLICT',
    `the log is of the board ${boot.board}, and --board says ${facts.board}`,
  );
}

/** An emulator's log that is handed in as a board's. */
function emulationFlag(boot: ImportedBoot, evidence: EvidenceClass): BootFlag[] {
  if (!boot.isEmulated || !isRealBoard(evidence)) return [];
  return [
    {
      code: 'BUDGET_FLAG_EMULATED',
      message: `the log says that the board is an emulator, and it was given as ${evidence}`,
      isUnusable: true,
    },
  ];
}
