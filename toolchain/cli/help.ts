/**
 * Help text, printed from the command definitions.
 *
 * The manual pages and docs/reference/cli.md are made from the same rows (toolchain/dev/docs.ts).
 */
import { EXIT_CODES } from '../../runtime/format/errors.ts';
import { type ArgSpec, type Command, type OptionSpec, parseFlag } from './command.ts';
import type { Personality } from './personalities.ts';
import type { Style } from './color.ts';

/** The options every command has. */
export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  json: { flag: '--json', help: 'Print one JSON document on stdout instead of text' },
  quiet: { flag: '--quiet', help: 'Print no progress and no notes' },
  color: {
    flag: '--color <when>',
    help: 'Colour the text',
    choices: ['auto', 'always', 'never'],
    default: 'auto',
  },
  help: { flag: '-h, --help', help: 'Show this help' },
};

/** Whether a command has an option of its own in the place of a global one. */
export function hasOwn({ options }: Pick<Command, 'options'>, name: string): boolean {
  return Object.values(options).some(({ flag }) => parseFlag(flag).long === name);
}

/** The command that a command line begins with, whatever is wrong with the rest of it. */
export function commandIn(
  words: readonly string[],
  commands: readonly Command[],
): Command | undefined {
  const names = words.filter((word) => !word.startsWith('-'));
  const [verb, ofGroup] = [names[0], `${names[0]} ${names[1]}`];
  // A verb may have verbs of its own.
  return (
    commands.find(({ name }) => name === ofGroup) ?? commands.find(({ name }) => name === verb)
  );
}

/** The global options of a command: those that it gives no meaning of its own. */
export function globalOptionsOf(command: Pick<Command, 'options'>): [name: string, OptionSpec][] {
  return Object.entries(GLOBAL_OPTIONS).filter(([name]) => !hasOwn(command, name));
}

/** What each exit code means, for every command. */
export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  [EXIT_CODES.INTERNAL, 'internal error'],
  [EXIT_CODES.USAGE, 'usage or configuration must change'],
  [EXIT_CODES.VERIFY, 'verification says no'],
  [EXIT_CODES.FORMAT, 'malformed input'],
  [EXIT_CODES.BUDGET, 'over budget, or a regression'],
  [EXIT_CODES.HOST, 'the host lacks a file, tool, kernel feature, permission or space'],
  [130, 'interrupted'],
];

/** What each group of verbs is about. */
export const GROUPS: Readonly<Record<string, string>> = {
  '': 'Commands',
  image: 'Images',
  store: 'Object stores',
  keys: 'Keys',
  disk: 'Disks',
  profile: 'Boot order',
  board: 'Boards',
  records: 'Boot records',
  history: 'History of boots',
  qa: 'Measuring boards',
  bench: 'Comparisons',
};

/** `<name>`, `[name]`, `<name...>` or `[name...]`. */
export function argText(arg: ArgSpec): string {
  const name = arg.variadic === true ? `${arg.name}...` : arg.name;
  return arg.optional === true ? `[${name}]` : `<${name}>`;
}

/** The usage line of a command. */
export function usageText(command: Command): string {
  return ['coldseal', command.name, '[options]', ...command.args.map(argText)].join(' ');
}

/** An option's help with its choices, bounds and default. */
export function optionHelp(option: OptionSpec): string {
  const notes: string[] = [];
  if (option.choices !== undefined) notes.push(option.choices.join(', '));
  if (option.integer !== undefined) notes.push(`${option.integer.min} to ${option.integer.max}`);
  if (option.default !== undefined) notes.push(`default: ${option.default}`);
  if (option.repeat === true) notes.push('may be repeated');
  // One pair of brackets: what the help text has in brackets at its end comes first.
  const own = /^(?<text>.*) \((?<note>[^()]*)\)$/.exec(option.help)?.groups;
  const all = own === undefined ? notes : [own['note']!, ...notes];
  return all.length === 0 ? option.help : `${own?.['text'] ?? option.help} (${all.join('; ')})`;
}

/** The help of one command. */
export function commandHelp(command: Command, style: Style): string {
  const options = Object.values(command.options).map(
    (option) => [option.flag, optionHelp(option)] as const,
  );
  const globals = globalOptionsOf(command).map(
    ([, option]) => [option.flag, optionHelp(option)] as const,
  );
  const codes = Object.entries(command.exitCodes).map(
    ([code, meaning]) => [code, meaning] as const,
  );
  return sections([
    [`${style.bold('Usage:')} ${usageText(command)}`, ''],
    ['', wrap(command.summary, 0)],
    [
      '',
      (command.description ?? '')
        .split(/\n\s*\n/)
        .map((text) => wrap(text, 0))
        .join('\n\n'),
    ],
    [style.bold('Arguments:'), rows(command.args.map((arg) => [argText(arg), arg.help]))],
    [style.bold('Options:'), rows(options)],
    [style.bold('Global options:'), rows(globals)],
    [style.bold('Examples:'), command.examples.map(exampleText).join('\n')],
    [style.bold('Exit codes:'), rows(codes)],
  ]);
}

/** The help of a group of verbs (`image`), or of the whole program when `group` is empty. */
export function groupHelp(
  group: string,
  commands: readonly Command[],
  personalities: readonly Personality[],
  style: Style,
): string {
  const shown = commands.filter((command) => group === '' || groupOf(command) === group);
  const groups = [...new Set(shown.map(groupOf))].sort(
    (a, b) => Object.keys(GROUPS).indexOf(a) - Object.keys(GROUPS).indexOf(b),
  );
  const parts: [string, string][] = [
    [
      `${style.bold('Usage:')} coldseal ${group === '' ? '<command>' : `${group} <verb>`} [options]`,
      '',
    ],
  ];
  if (group === '') {
    parts.push([
      '',
      wrap('Signed, verified boot images that start containers within a two-second cold boot.', 0),
    ]);
  }
  for (const name of groups) {
    const verbs = shown.filter((command) => groupOf(command) === name);
    const title = GROUPS[name] ?? name;
    parts.push([style.bold(`${title}:`), rows(verbs.map((verb) => [verb.name, verb.summary]))]);
  }
  if (group === '' && personalities.length > 0) {
    const lines = rows(personalities.map(({ name, summary }) => [name, summary]));
    parts.push([style.bold('Drop-in replacements:'), lines]);
  }
  const globals = Object.values(GLOBAL_OPTIONS).map(
    (option) => [option.flag, optionHelp(option)] as const,
  );
  const version = group === '' ? [['--version', 'Show the version'] as const] : [];
  parts.push([style.bold('Options:'), rows([...globals, ...version])]);
  parts.push([
    style.bold('Exit codes:'),
    rows(EXIT_MEANINGS.map(([code, text]) => [String(code), text])),
  ]);
  return sections(parts);
}

/** The group of a command: the first word of a two-word name, or nothing. */
export function groupOf(command: Command): string {
  const words = command.name.split(' ');
  return words.length > 1 ? words[0]! : '';
}

function exampleText(example: Command['examples'][number]): string {
  return `  ${example.run}\n${wrap(example.note, 6)}`;
}

function sections(parts: readonly (readonly [title: string, body: string])[]): string {
  const shown = parts.filter(([title, body]) => body !== '' || title.includes('Usage:'));
  const blocks = shown.map(([title, body]) =>
    [title, body].filter((text) => text !== '').join('\n'),
  );
  return `${blocks.join('\n\n')}\n`;
}

function rows(items: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.min(28, Math.max(0, ...items.map(([left]) => left.length)));
  return items
    .map(([left, right]) => {
      const text = wrap(right, width + 4).trimStart();
      const gap =
        left.length > width ? `\n${' '.repeat(width + 4)}` : ' '.repeat(width - left.length + 2);
      return `  ${left}${gap}${text}`;
    })
    .join('\n');
}

/** Breaks text at spaces so that lines, with their indent, are at most 80 characters. */
export function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line !== '' && indent + line.length + 1 + word.length > 80) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines.map((each) => ' '.repeat(indent) + each).join('\n');
}
