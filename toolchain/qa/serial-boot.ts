/**
 * One boot as its serial line shows it: the events that its lines announce, on the host's clock. Pure.
 *
 * The first time that an event is announced counts, and so a boot during which the board starts again is one long
 * boot, with a flag: whoever waited before the board waited that long. The stop event is the first one after the
 * last start, since what a board that fell over had announced before is no longer true.
 */
import { EVENT } from '../budget/from-boot-record.ts';
import {
  type BootFlag,
  BOOT_NS_MAX,
  MEASURED_BOOT_KIND,
  MEASURED_BOOT_SCHEMA,
  type MeasuredBoot,
} from '../budget/measured-boot.ts';
import { oneLine } from './failed-boot.ts';
import type { SerialLine } from './serial-lines.ts';

/** The names of the events that a line announces. */
export type EventFinder = (text: string) => readonly string[];

/** Unfinished lines are looked at up to here; a line that is longer is data. */
const PROMPT_CHARS_MAX = 1024;
const EVENTS_MAX = 1000;

export class SerialBoot {
  readonly #find: EventFinder;
  readonly #stop: string;
  #events = new Map<string, number>();
  #first: string | undefined;
  #restarts = 0;
  /** Events of the line that is under way. */
  #found = new Set<string>();
  #isEarly = false;

  /** `stop` is the event that ends the boot. */
  constructor(find: EventFinder, stop: string) {
    this.#find = find;
    this.#stop = stop;
  }

  /** Whether the stop event was seen. */
  get isOver(): boolean {
    return this.#events.has(this.#stop);
  }

  /** How often the board started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Events in the order they were seen. */
  get events(): MeasuredBoot['events'] {
    return [...this.#events].map(([name, atNs]) => ({ name, atNs }));
  }

  /** Takes a line, or as much of it as there is. */
  line({ text, atNs }: SerialLine, isWhole: boolean): void {
    if (isWhole || text.length <= PROMPT_CHARS_MAX) {
      for (const name of this.#find(text)) {
        if (this.#found.has(name)) continue;
        this.#found.add(name);
        this.#announce(name, atNs);
      }
    }
    if (isWhole) this.#found.clear();
  }

  #announce(name: string, atNs: number): void {
    if (atNs < 0) this.#isEarly = true;
    this.#first ??= name;
    const isRestart = name === this.#first && this.#events.size > 1;
    if (isRestart) {
      this.#restarts++;
      // What came after the first event of the boot comes again; the first one, and power-on, stay.
      this.#events = new Map([...this.#events].filter(([known]) => known === name));
    }
    if (this.#events.has(name) || this.#events.size >= EVENTS_MAX) return;
    this.#events.set(name, Math.min(BOOT_NS_MAX, Math.max(0, atNs)));
  }

  /** What is remarkable about the boot so far. */
  get flags(): BootFlag[] {
    const flag = (code: string, message: string): BootFlag => ({
      code,
      message,
      isUnusable: false,
    });
    return [
      ...(this.#restarts === 0
        ? []
        : [flag('BUDGET_FLAG_RESTARTED', `the board started again ${this.#restarts} times`)]),
      ...(this.#isEarly
        ? [
            flag(
              'BUDGET_FLAG_BEFORE_POWER_ON',
              'the board was heard before the power-on command returned; such times are 0',
            ),
          ]
        : []),
    ];
  }
}

export interface SerialFacts {
  readonly board: string;
  /** Half width of what a time may be off. */
  readonly uncertaintyNs: number;
  /** Why it failed; null: it booted. */
  readonly reason: string | null;
  readonly flags: readonly BootFlag[];
}

/** The record of a boot. */
export function serialRecord(
  boot: SerialBoot,
  { board, uncertaintyNs, reason, flags }: SerialFacts,
): MeasuredBoot {
  return {
    kind: MEASURED_BOOT_KIND,
    schema: MEASURED_BOOT_SCHEMA,
    evidence: 'board-serial',
    board,
    specimen: null,
    start: 'cold',
    conditions: {},
    release: null,
    measuredAt: null,
    clock: { name: 'CLOCK_MONOTONIC of the host', zero: EVENT.POWER_ON, uncertaintyNs },
    outcome: reason === null ? 'booted' : 'failed',
    reason: reason === null ? null : oneLine(reason),
    stages: [],
    units: [],
    events: [
      { name: EVENT.POWER_ON, atNs: 0 },
      ...boot.events.filter(({ name }) => name !== EVENT.POWER_ON),
    ],
    io: null,
    flags: [...boot.flags, ...flags],
    source: { format: 'qa-serial', file: 'capture', sha256: '' },
  };
}
