/**
 * The `coldseal.*` keys of the kernel's command line. They only tighten: which slot first, and how to stop.
 *
 * The bootloader checks the command line together with the kernel, so a key that is not understood is a mistake or an
 * attempt, and is refused. `coldseal.report` names a port for the boot record, `coldseal.io` a disk whose requests
 * are counted, `coldseal.read-ahead=off` reads nothing ahead; they exist on development boards only.
 */
import { ColdsealError } from './format/errors.ts';
import type { Slot } from './slots.ts';

export interface CommandLine {
  /** Tried first. */
  readonly slot?: Slot;
  /** Instead of the board's failure policy. */
  readonly onFailure?: 'halt' | 'power-off';
  /** The virtio-serial port that gets the boot record. */
  readonly report?: string;
  /** The disk to count, such as `vda`. */
  readonly io?: string;
  /** Leave out what is sealed in for reading ahead, to see what a boot needs by itself. */
  readonly readAhead?: 'off';
}

/** Words, in which blanks may stand between quotes (Documentation/admin-guide/kernel-parameters.rst). */
const WORD = /(?:[^\s"]|"[^"]*"?)+/g;
const PREFIX = 'coldseal.';

/** What was understood, and the first problem: CONFIG_COMMAND_LINE. */
export function parseCommandLine(
  text: string,
  board: { readonly isProduction: boolean; readonly slotCount: 1 | 2 },
): { readonly commandLine: CommandLine; readonly problem: ColdsealError | undefined } {
  const allowed: Readonly<Record<string, RegExp>> = {
    slot: board.slotCount === 2 ? /^[ab]$/ : /^a$/,
    'on-failure': /^(?:halt|power-off)$/,
    ...(board.isProduction
      ? {}
      : { report: /^[\w.-]{1,64}$/, io: /^\w{1,32}$/, 'read-ahead': /^off$/ }),
  };
  const values = new Map<string, string>();
  let problem: ColdsealError | undefined;
  for (const quoted of text.match(WORD) ?? []) {
    const word = quoted.replaceAll('"', '');
    if (!word.startsWith(PREFIX)) continue;
    const equals = word.indexOf('=');
    const key = word.slice(PREFIX.length, equals < 0 ? undefined : equals);
    const value = equals < 0 ? '' : word.slice(equals + 1);
    const isKnown = Object.hasOwn(allowed, key) && allowed[key]!.test(value);
    if (isKnown && !values.has(key)) values.set(key, value);
    else {
      problem ??= new ColdsealError(
        'CONFIG_COMMAND_LINE',
        `Cannot use "${word}" on the command line: expected once one of ` +
          Object.keys(allowed).join(', '),
      );
    }
  }
  const keys = ['slot', 'on-failure', 'report', 'io', 'read-ahead'];
  const [slot, onFailure, report, io, readAhead] = keys.map((key) => values.get(key));
  const commandLine = {
    ...(slot === undefined ? {} : { slot: slot as Slot }),
    ...(onFailure === undefined ? {} : { onFailure: onFailure as 'halt' | 'power-off' }),
    ...(report === undefined ? {} : { report }),
    ...(io === undefined ? {} : { io }),
    ...(readAhead === undefined ? {} : { readAhead: readAhead as 'off' }),
  };
  return { commandLine, problem };
}
