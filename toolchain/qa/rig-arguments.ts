/** What the command line says about the rig: which driver, and the options that it needs and takes. Pure. */
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { RunArguments } from './run-record.ts';
import { BAUD_RATES } from './serial-port.ts';

export type Rig =
  | { readonly driver: 'virtual' }
  | { readonly driver: 'serial'; readonly device: string; readonly baud: number }
  | { readonly driver: 'command'; readonly command: string };

const BAUD_DEFAULT = 115_200;

/** Reads `virtual`, `serial:DEVICE[,BAUD]` or `command:COMMAND`. Throws USAGE_BAD_VALUE. */
export function parseRig(text: string): Rig {
  if (text === 'virtual') return { driver: 'virtual' };
  const [, kind, rest = ''] = /^(serial|command):(.*)$/s.exec(text) ?? [];
  if (kind === 'command' && rest.trim() !== '') return { driver: 'command', command: rest };
  const [, device, baud] = /^([^,]+)(?:,(\d+))?$/.exec(rest) ?? [];
  if (kind !== 'serial' || device === undefined) {
    throw new ColdsealError(
      'USAGE_BAD_VALUE',
      `Cannot read --board ${text}: expected virtual, serial:DEVICE[,BAUD] or command:COMMAND`,
      { hint: 'which board file counts is said by the release, or by --board-file' },
    );
  }
  const rate = baud === undefined ? BAUD_DEFAULT : Number(baud);
  if (BAUD_RATES.includes(rate)) return { driver: 'serial', device, baud: rate };
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot use ${baud} baud: expected one of ${BAUD_RATES.join(', ')}`,
  );
}

type RigOption = keyof typeof FLAGS;
const FLAGS = {
  select: '--select',
  powerOn: '--power-on',
  powerOff: '--power-off',
  offTime: '--off-time',
  settle: '--settle',
  dictionary: '--dictionary',
  evidence: '--evidence',
} as const;

/** What each driver takes beside what all take. */
const TAKEN: Readonly<Record<Rig['driver'], readonly RigOption[]>> = {
  virtual: [],
  serial: ['select', 'powerOn', 'powerOff', 'offTime', 'settle', 'dictionary'],
  command: ['select', 'evidence'],
};

/** Refuses options that the driver has no use for, and asks for those it cannot do without. */
export function checkRigOptions(
  { driver }: Rig,
  given: Readonly<Record<RigOption, unknown>>,
  hasBaseline: boolean,
): void {
  const names = Object.keys(FLAGS) as RigOption[];
  const extra = names.find((name) => given[name] !== undefined && !TAKEN[driver].includes(name));
  if (extra !== undefined) {
    throw new ColdsealError(
      'USAGE_OPTION_CONFLICT',
      `Cannot use ${FLAGS[extra]} with --board ${driver}: it has no effect there`,
    );
  }
  if (driver !== 'serial') return;
  const wanted: RigOption[] = ['powerOn', 'powerOff', ...(hasBaseline ? ['select' as const] : [])];
  const missing = wanted.find((name) => given[name] === undefined);
  if (missing === undefined) return;
  throw new ColdsealError(
    'USAGE_MISSING_OPTION',
    `Cannot boot a board on a serial line without ${FLAGS[missing]}`,
    {
      hint:
        missing === 'select'
          ? 'a command that puts the release of COLDSEAL_ARM on the board, while its power is off'
          : 'a command that switches the relay, such as one of the relay card',
    },
  );
}

/** Reads `--condition name=value`. Throws USAGE_BAD_VALUE. */
export function parseConditions(given: readonly string[]): RunArguments['conditions'] {
  const pairs = given.map((text): [string, string] => {
    const [, name, value] =
      /^([A-Za-z][A-Za-z0-9_.-]{0,63})=([\x20-\x7e]{1,128})$/.exec(text) ?? [];
    if (name !== undefined && value !== undefined) return [name, value];
    throw new ColdsealError(
      'USAGE_BAD_VALUE',
      `Cannot read --condition ${text}: expected NAME=VALUE, such as temperature=-30C`,
    );
  });
  const names = pairs.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return Object.fromEntries(pairs);
  throw new ColdsealError('USAGE_BAD_VALUE', `Cannot use --condition ${twice}=… twice`);
}
