/**
 * Options as the C library's getopt(3) and getopt_long(3) read them: anywhere among the operands; short ones in
 * clusters, with values attached or apart; long ones as `--name=value`, `--name value` and by an unambiguous
 * beginning of the name; `--` ends them.
 */

export interface OptionsRead {
  /** Letters and long names with their values, in order; a flag's value is empty. */
  readonly options: readonly (readonly [name: string, value: string])[];
  readonly operands: readonly string[];
  /** What getopt would print behind the program's name; reading stopped there. */
  readonly problem?: string;
}

type LongTable = Readonly<Record<string, 'flag' | 'value'>>;
type Found = { readonly name: string; readonly value: string; readonly usedNext: boolean };

/**
 * Reads arguments. `short` is an option string such as `ht:o:`, in which a colon after a letter means that it takes a
 * value; `long` says the same of each long option. Without `long`, two dashes are a cluster like any other.
 */
export function getopt(
  argv: readonly string[],
  { short = '', long }: { readonly short?: string; readonly long?: LongTable },
): OptionsRead {
  const options: (readonly [string, string])[] = [];
  const operands: string[] = [];
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
    const found =
      long !== undefined && word.startsWith('--')
        ? readLong(word, argv[i + 1], long)
        : readCluster(word, argv[i + 1], short);
    if (typeof found === 'string') return { options, operands, problem: found };
    for (const { name, value, usedNext } of found) {
      options.push([name, value]);
      if (usedNext) i++;
    }
  }
  return { options, operands };
}

function readCluster(word: string, next: string | undefined, short: string): Found[] | string {
  const found: Found[] = [];
  for (let at = 1; at < word.length; at++) {
    const name = word[at]!;
    const known = name === ':' ? -1 : short.indexOf(name);
    if (known < 0) return `invalid option -- '${name}'`;
    if (short[known + 1] !== ':') {
      found.push({ name, value: '', usedNext: false });
      continue;
    }
    const usedNext = at + 1 === word.length;
    const value = usedNext ? next : word.slice(at + 1);
    if (value === undefined) return `option requires an argument -- '${name}'`;
    return [...found, { name, value, usedNext }];
  }
  return found;
}

function readLong(word: string, next: string | undefined, table: LongTable): Found[] | string {
  const equals = word.indexOf('=');
  const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const candidates = Object.hasOwn(table, given)
    ? [given]
    : Object.keys(table).filter((name) => name.startsWith(given));
  const [name] = candidates;
  if (name === undefined) return `unrecognized option '--${given}'`;
  if (candidates.length > 1) {
    const names = candidates.map((candidate) => `'--${candidate}'`).join(' ');
    return `option '--${given}' is ambiguous; possibilities: ${names}`;
  }
  const attached = equals < 0 ? undefined : word.slice(equals + 1);
  if (table[name] === 'flag') {
    if (attached !== undefined) return `option '--${name}' doesn't allow an argument`;
    return [{ name, value: '', usedNext: false }];
  }
  const value = attached ?? next;
  if (value === undefined) return `option '--${name}' requires an argument`;
  return [{ name, value, usedNext: attached === undefined }];
}
