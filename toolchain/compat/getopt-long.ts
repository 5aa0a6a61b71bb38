/**
 * Long options as the C library's getopt_long(3) reads them: anywhere among the operands, `--name=value` or
 * `--name value`, unambiguous beginnings of names, `--` ends the options. Short options are getopt.ts.
 */

export interface LongOptions {
  readonly options: readonly (readonly [name: string, value: string])[];
  readonly operands: readonly string[];
  /** What getopt_long would print behind the program's name; reading stopped there. */
  readonly problem?: string;
}

type Table = Readonly<Record<string, 'flag' | 'value'>>;

/** Reads arguments; `table` says of each long option whether it takes a value. */
export function getoptLong(argv: readonly string[], table: Table): LongOptions {
  const options: (readonly [string, string])[] = [];
  const operands: string[] = [];
  const stop = (problem: string): LongOptions => ({ options, operands, problem });
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--') {
      operands.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    if (!word.startsWith('--')) return stop(`invalid option -- '${word[1]}'`);
    const equals = word.indexOf('=');
    const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const name = findOption(given, table);
    if (name === undefined) return stop(describeUnknown(given, table));
    if (table[name] === 'flag') {
      if (equals >= 0) return stop(`option '--${name}' doesn't allow an argument`);
      options.push([name, '']);
    } else if (equals >= 0) options.push([name, word.slice(equals + 1)]);
    else if (i + 1 < argv.length) options.push([name, argv[++i]!]);
    else return stop(`option '--${name}' requires an argument`);
  }
  return { options, operands };
}

function findOption(given: string, table: Table): string | undefined {
  if (Object.hasOwn(table, given)) return given;
  const candidates = Object.keys(table).filter((name) => name.startsWith(given));
  return candidates.length === 1 ? candidates[0] : undefined;
}

function describeUnknown(given: string, table: Table): string {
  const candidates = Object.keys(table).filter((name) => name.startsWith(given));
  if (candidates.length < 2) return `unrecognized option '--${given}'`;
  const names = candidates.map((name) => `'--${name}'`).join(' ');
  return `option '--${given}' is ambiguous; possibilities: ${names}`;
}
