/**
 * What a serial line says about a boot: the events of the product's dictionary while the board boots, and afterwards
 * what the importer of serial captures finds in the whole capture.
 *
 * The importer counts from the first character, which is not when the power came on; its times are moved to the
 * run's zero, and what came before the first character is the stage `firmware`. So `records import` on a kept
 * capture finds the same events at the same distances.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import {
  applyDictionary,
  type Dictionary,
  readDictionary,
  withEvents,
} from '../budget/import/dictionary.ts';
import { IMPORT_DEFAULTS, type ImportedBoot } from '../budget/import/importer.ts';
import { PatternSet } from '../budget/import/patterns.ts';
import { serial } from '../budget/import/serial.ts';
import type { MeasuredBoot } from '../budget/measured-boot.ts';
import type { EventFinder } from './serial-boot.ts';
import { grabserialText, type SerialLine } from './serial-lines.ts';

/** How a driver reads the lines of a product. */
export interface SerialEvents {
  /** The events that a line announces. */
  readonly find: EventFinder;
  /** The event that ends a boot. */
  readonly stop: string;
  /** The record with what its whole capture shows beside. */
  readonly complete: (record: MeasuredBoot, lines: readonly SerialLine[]) => MeasuredBoot;
}

export interface LoadedEvents extends SerialEvents {
  /** Of the dictionary, lower-case hexadecimal. */
  readonly sha256: string;
}

/** Reads a dictionary; `stop` is where the board's budget ends. Throws CONFIG_EVENT_DICTIONARY, CONFIG_YAML, HOST_*. */
export function loadEvents(path: string, stop: string): LoadedEvents {
  const file = readDictionary(path);
  const dictionary = file.value;
  const searched = dictionary.events.flatMap(({ name, pattern }) =>
    pattern === undefined ? [] : [{ name, pattern }],
  );
  if (!searched.some(({ name }) => name === stop)) {
    const message = `has no event ${stop} with a pattern, and the budget of the board ends there`;
    file.refuse([{ path: ['events'], message }]);
  }
  const patterns = new PatternSet(searched.map(({ pattern }) => pattern));
  return {
    find: (text) => [...patterns.match(text)].map((index) => searched[index]!.name),
    stop,
    complete: (record, lines) => completeRecord(record, lines, dictionary),
    sha256: file.sha256,
  };
}

function completeRecord(
  record: MeasuredBoot,
  lines: readonly SerialLine[],
  dictionary: Dictionary,
): MeasuredBoot {
  const own = importedFrom(lines);
  const boot: ImportedBoot = {
    ...record,
    evidence: 'board-serial',
    isEmulated: false,
    events: withEvents(own?.events ?? [], record.events),
    stages: own?.stages ?? [],
    flags: [...record.flags, ...(own?.flags ?? [])],
  };
  // Power-on is the zero, whatever the dictionary counts from; and the driver has decided how the boot ended.
  const settled = { ...dictionary, zero: undefined, start: undefined, stop: undefined };
  const { events, stages, flags } = applyDictionary(boot, settled);
  return { ...record, events: [...events].sort((a, b) => a.atNs - b.atNs), stages, flags };
}

type Imported = Pick<ImportedBoot, 'events' | 'stages' | 'flags'>;

/** What the importer finds, counted from power-on; nothing where it refuses the capture, such as after a restart. */
function importedFrom(lines: readonly SerialLine[]): Imported | undefined {
  const [first] = lines;
  if (first === undefined) return undefined;
  let boots: ImportedBoot[];
  try {
    const files = new Map([['capture', grabserialText(lines)]]);
    boots = serial.read({ name: 'capture', files }, IMPORT_DEFAULTS);
  } catch (error) {
    if (error instanceof ColdsealError) return undefined;
    throw error;
  }
  const { events, stages, flags } = boots[0]!;
  const moved = (ns: number): number => ns + first.atNs;
  const rows = stages.map(({ name, startNs, endNs }) => {
    return { name, startNs: moved(startNs), endNs: endNs === null ? null : moved(endNs) };
  });
  const firmware = { name: 'firmware', startNs: 0, endNs: first.atNs };
  return {
    events: events.map(({ name, atNs }) => ({ name, atNs: moved(atNs) })),
    stages: rows.length === 0 ? [] : [firmware, ...rows],
    flags,
  };
}
