/**
 * The event dictionary of a product: a YAML file that says which line of a log, or which edge of a channel, is which
 * event, and which stretches between events are stages.
 *
 * Its patterns run over logs that a hostile board may have written, so they are an automaton without backtracking
 * (`patterns.ts`). What the dictionary names and the log does not have is unknown in the record, and is said.
 */
import { z } from 'zod';
import { type ConfigFile, type ConfigKind, readConfig } from '../../config/config-file.ts';
import type { ConfigProblem } from '../../config/explain-issue.ts';
import { nearestWord } from '../../config/nearest.ts';
import type { BootFlag, MeasuredBoot } from '../measured-boot.ts';
import type { ImportedBoot } from './importer.ts';
import { PatternSet, patternProblem } from './patterns.ts';

const EVENTS_MAX = 200;

const NAME = z
  .string()
  .max(60)
  .regex(
    /^[a-z][a-z0-9-]*$/,
    'expected small letters, digits and hyphens, beginning with a letter',
  );

const event = z
  .strictObject({
    name: NAME,
    /** Is found anywhere in the text of a line, as a regular expression. */
    pattern: z.string().min(1).max(400).optional(),
    /** Of a logic analyser, as its export names it. */
    channel: z.string().min(1).max(100).optional(),
    edge: z.enum(['rising', 'falling']).optional(),
    which: z.enum(['first', 'last']).default('first'),
  })
  .superRefine(({ pattern, channel, edge }, context) => {
    const fault = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message, input: undefined });
    if ((pattern === undefined) === (channel === undefined)) {
      fault('pattern', 'is needed, or a channel with its edge, and not both');
    } else if ((channel === undefined) !== (edge === undefined)) {
      fault('edge', 'belongs to a channel, and a channel to an edge');
    }
    const problem = pattern === undefined ? undefined : patternProblem(pattern);
    if (problem !== undefined) fault('pattern', problem);
  });

const dictionary = z.strictObject({
  events: z.array(event).min(1).max(EVENTS_MAX),
  /** Instead of the importer's own stages. */
  stages: z
    .array(z.strictObject({ name: NAME, from: NAME, to: NAME }))
    .max(100)
    .default([]),
  /** The event that the record counts from. */
  zero: NAME.optional(),
  /** The boot begins here. */
  start: NAME.optional(),
  /** The boot ends here; without this event it has failed. */
  stop: NAME.optional(),
});

export type Dictionary = z.output<typeof dictionary>;

/** Events that importers know themselves, which a dictionary may refer to. */
export const KNOWN_EVENTS = [
  'power-on',
  'reset',
  'first-character',
  'capture',
  'spl',
  'u-boot',
  'kernel',
  'kernel-output',
  'init',
  'initrd',
  'systemd',
  'switch-root',
  'userspace',
  'userspace-finished',
  'login',
  'os-loader',
  'payload',
] as const;

export const DICTIONARY_CONFIG: ConfigKind<typeof dictionary> = {
  name: 'dictionary of events',
  schema: dictionary,
  code: 'CONFIG_EVENT_DICTIONARY',
  reference: 'docs/boot-records.md',
};

/** Reads a dictionary. Throws CONFIG_YAML, CONFIG_EVENT_DICTIONARY or HOST_*. */
export function readDictionary(path: string): ConfigFile<Dictionary> {
  const file = readConfig(path, DICTIONARY_CONFIG);
  file.refuse(dictionaryProblems(file.value));
  return file;
}

function dictionaryProblems({ events, stages, zero, start, stop }: Dictionary): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const names = events.map(({ name }) => name);
  names.forEach((name, index) => {
    if (names.indexOf(name) === index) return;
    problems.push({
      path: ['events', index, 'name'],
      message: `is ${name}, which is there already`,
    });
  });
  const known = [...names, ...KNOWN_EVENTS];
  const check = (name: string | undefined, path: ConfigProblem['path']): void => {
    if (name === undefined || known.includes(name)) return;
    const near = nearestWord(name, known);
    const remedy = near === undefined ? '' : `, did you mean ${near}?`;
    problems.push({ path, message: `is ${name}, which is no event${remedy}` });
  };
  stages.forEach(({ from, to }, index) => {
    check(from, ['stages', index, 'from']);
    check(to, ['stages', index, 'to']);
  });
  check(zero, ['zero']);
  check(start, ['start']);
  check(stop, ['stop']);
  return problems;
}

/** A line with its time. */
export interface TimedLine {
  readonly atNs: number;
  readonly text: string;
}

/** The events that the dictionary's patterns find in lines, which are in the order of time. */
export function findEvents(
  lines: Iterable<TimedLine>,
  { events }: Dictionary,
): MeasuredBoot['events'] {
  const searched = events.filter(({ pattern }) => pattern !== undefined);
  if (searched.length === 0) return [];
  const patterns = new PatternSet(searched.map(({ pattern }) => pattern!));
  const found = new Map<string, number>();
  for (const { atNs, text } of lines) {
    for (const index of patterns.match(text)) {
      const { name, which } = searched[index]!;
      if (which === 'last' || !found.has(name)) found.set(name, atNs);
    }
  }
  return [...found].map(([name, atNs]) => ({ name, atNs }));
}

/** Events of the product stand before those of the importer with the same name. */
export function withEvents(
  own: MeasuredBoot['events'],
  found: MeasuredBoot['events'],
): MeasuredBoot['events'] {
  const names = new Set(found.map(({ name }) => name));
  return [...found, ...own.filter(({ name }) => !names.has(name))];
}

/** A boot with the dictionary's stages, zero, start and stop; its events are there already. */
export function applyDictionary(boot: ImportedBoot, dictionary: Dictionary): ImportedBoot {
  const at = new Map(boot.events.map(({ name, atNs }) => [name, atNs]));
  const flags: BootFlag[] = [];
  const staged =
    dictionary.stages.length === 0
      ? boot
      : { ...boot, stages: dictionaryStages(dictionary, at, flags) };
  const outcome = judgeEnds(dictionary, at, flags);
  return countFrom(dictionary.zero, {
    ...staged,
    ...(outcome === undefined ? {} : { outcome: 'failed', reason: outcome }),
    flags: [...boot.flags, ...flags],
  });
}

function dictionaryStages(
  { stages }: Dictionary,
  at: ReadonlyMap<string, number>,
  flags: BootFlag[],
): MeasuredBoot['stages'] {
  return stages.flatMap(({ name, from, to }) => {
    const startNs = at.get(from);
    const endNs = at.get(to) ?? null;
    if (startNs === undefined) {
      flags.push(missingEvent(from, `so the stage ${name} is unknown`, false));
      return [];
    }
    if (endNs !== null && endNs < startNs) {
      flags.push({
        code: 'BUDGET_FLAG_STAGE_REVERSED',
        message: `the stage ${name} would end before it began: ${to} came before ${from}`,
        isUnusable: true,
      });
      return [];
    }
    return [{ name, startNs, endNs }];
  });
}

function missingEvent(name: string, consequence: string, isUnusable: boolean): BootFlag {
  const message = `the event ${name} is not in the log, ${consequence}`;
  return { code: 'BUDGET_FLAG_EVENT_MISSING', message, isUnusable };
}

/** Why the boot failed; undefined when its end is there, or nobody said what that is. */
function judgeEnds(
  { start, stop }: Dictionary,
  at: ReadonlyMap<string, number>,
  flags: BootFlag[],
): string | undefined {
  const startNs = start === undefined ? undefined : at.get(start);
  const stopNs = stop === undefined ? undefined : at.get(stop);
  if (start !== undefined && startNs === undefined) {
    flags.push(missingEvent(start, 'so the boot has no start', true));
  }
  if (startNs !== undefined && stopNs !== undefined && stopNs < startNs) {
    flags.push({
      code: 'BUDGET_FLAG_STOP_BEFORE_START',
      message: `the boot would end before it began: ${stop!} came before ${start!}`,
      isUnusable: true,
    });
  }
  const isMissing = stop !== undefined && stopNs === undefined;
  return isMissing ? `the stop event ${stop} never came` : undefined;
}

/** Moves the zero to an event. What began before it is not in the record any more. */
function countFrom(zero: string | undefined, boot: ImportedBoot): ImportedBoot {
  if (zero === undefined) return boot;
  const zeroNs = boot.events.find(({ name }) => name === zero)?.atNs;
  if (zeroNs === undefined) {
    const flag = missingEvent(zero, `so the record counts from ${boot.clock.zero}`, true);
    return { ...boot, flags: [...boot.flags, flag] };
  }
  const shifted = <T extends { readonly startNs: number; readonly endNs: number | null }>(
    rows: readonly T[],
  ): T[] =>
    rows
      .filter(({ startNs }) => startNs >= zeroNs)
      .map((row) => ({
        ...row,
        startNs: row.startNs - zeroNs,
        endNs: row.endNs === null ? null : row.endNs - zeroNs,
      }));
  return {
    ...boot,
    clock: { ...boot.clock, zero },
    stages: shifted(boot.stages),
    units: shifted(boot.units),
    events: boot.events
      .filter(({ atNs }) => atNs >= zeroNs)
      .map(({ name, atNs }) => ({ name, atNs: atNs - zeroNs })),
  };
}
