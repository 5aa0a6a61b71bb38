/**
 * The list of commands, and the parser made from it.
 *
 * Parsing is strict: an unknown command or option, a missing or surplus argument and a value outside its bounds are
 * errors with a code, and where a name is close to a known one the hint says which. Add a command by adding its line to
 * COMMANDS.
 */
import { Command as Parser, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { benchLayouts } from '../commands/bench-layouts.ts';
import { boardCheck } from '../commands/board-check.ts';
import { boardList } from '../commands/board-list.ts';
import { boardShow } from '../commands/board-show.ts';
import { diskCheck } from '../commands/disk-check.ts';
import { diskFlash } from '../commands/disk-flash.ts';
import { boot } from '../commands/boot.ts';
import { doctor } from '../commands/doctor.ts';
import { historyAdd } from '../commands/history-add.ts';
import { historyExport } from '../commands/history-export.ts';
import { historyList } from '../commands/history-list.ts';
import { historyShow } from '../commands/history-show.ts';
import { historyTrend } from '../commands/history-trend.ts';
import { imageBuild } from '../commands/image-build.ts';
import { imageCheck } from '../commands/image-check.ts';
import { imageDiff } from '../commands/image-diff.ts';
import { imageDigest } from '../commands/image-digest.ts';
import { imageDump } from '../commands/image-dump.ts';
import { imageLs } from '../commands/image-ls.ts';
import { imageMissing } from '../commands/image-missing.ts';
import { imageObjects } from '../commands/image-objects.ts';
import { keysInit } from '../commands/keys-init.ts';
import { keysShow } from '../commands/keys-show.ts';
import { qaCalibrate } from '../commands/qa-calibrate.ts';
import { profile } from '../commands/profile.ts';
import { profileShow } from '../commands/profile-show.ts';
import { recordsImport } from '../commands/records-import.ts';
import { qa } from '../commands/qa.ts';
import { release } from '../commands/release.ts';
import { report } from '../commands/report.ts';
import { verify } from '../commands/verify.ts';
import { mount } from '../commands/mount.ts';
import { storeGc } from '../commands/store-gc.ts';
import { storeStats } from '../commands/store-stats.ts';
import { storeVerify } from '../commands/store-verify.ts';
import { umount } from '../commands/umount.ts';
import type { Style } from './color.ts';
import {
  argText,
  commandHelp,
  commandIn,
  groupHelp,
  groupOf,
  GLOBAL_OPTIONS,
  globalOptionsOf,
} from './help.ts';
import { parseFlag, type Command, type OptionSpec, type OptionTable } from './command.ts';
import { PERSONALITIES } from './personalities.ts';

/** Every command, in the order help shows them. */
export const COMMANDS: readonly Command[] = [
  imageBuild,
  imageLs,
  imageDump,
  imageObjects,
  imageMissing,
  imageDigest,
  imageDiff,
  imageCheck,
  storeVerify,
  storeGc,
  storeStats,
  mount,
  umount,
  keysInit,
  keysShow,
  release,
  verify,
  diskCheck,
  diskFlash,
  boot,
  profile,
  profileShow,
  recordsImport,
  report,
  qa,
  qaCalibrate,
  boardList,
  boardShow,
  boardCheck,
  historyAdd,
  historyList,
  historyShow,
  historyTrend,
  historyExport,
  benchLayouts,
  doctor,
];

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'print'; readonly text: string }
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly args: readonly string[];
      readonly options: Readonly<Record<string, unknown>>;
    };

const CODES: Readonly<Record<string, ErrorCode>> = {
  'commander.unknownOption': 'USAGE_UNKNOWN_OPTION',
  'commander.unknownCommand': 'USAGE_UNKNOWN_COMMAND',
  'commander.missingArgument': 'USAGE_MISSING_ARGUMENT',
  'commander.excessArguments': 'USAGE_EXCESS_ARGUMENT',
  'commander.optionMissingArgument': 'USAGE_MISSING_VALUE',
  'commander.invalidArgument': 'USAGE_BAD_VALUE',
  'commander.help': 'USAGE_MISSING_COMMAND',
};

/** Reads a command line (without node and the script) against the commands. */
export function parseArguments(
  argv: readonly string[],
  version: string,
  style: Style,
  commands: readonly Command[] = COMMANDS,
): Request {
  let request: Request | undefined;
  let printed = '';
  const words = argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv];
  if (argv[0] === 'help') refuseUnknownTopic(argv.slice(1), commands);
  const globals = globalsFor(words, commands);
  const program = createProgram(version, style, commands, globals, {
    print: (text) => (printed += text),
    choose: (command, args, options) => (request = { kind: 'run', command, args, options }),
  });
  try {
    program.parse(withoutDocument(joinVerbs(words, commands), globals), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'print', text: printed };
    throw usageError(error, words, commands);
  }
  if (request === undefined) throw missingCommand(words, commands);
  refuseEmpty(request, commands);
  return request;
}

/** Before a verb that has a `--json` of its own, the word is the global one, which has been seen to already. */
function withoutDocument(words: readonly string[], globals: OptionTable): string[] {
  if ('json' in globals) return [...words];
  const verb = words.findIndex((word) => !word.startsWith('-'));
  return words.filter((word, index) => index > verb || word !== '--json');
}

/** An empty argument is most often a variable of a script that is not set; no path, name or time is empty. */
function refuseEmpty(request: Request, commands: readonly Command[]): void {
  if (request.kind !== 'run') return;
  const { command, args, options } = request;
  const position = args.indexOf('');
  const spec = command.args[Math.min(position, command.args.length - 1)];
  const option = Object.entries(command.options).find(([key, { checksEmpty }]) => {
    return checksEmpty !== true && [options[key]].flat().includes('');
  })?.[1];
  const name = position >= 0 ? argText(spec!) : option?.flag;
  if (name === undefined) return;
  throw new ColdsealError(
    'USAGE_BAD_VALUE',
    `Cannot read the command line: ${name} is "", expected a value`,
    { hint: helpHint(command.name.split(' '), commands) },
  );
}

/** The parser answers `nonsense --help` with the help of everything. */
function refuseUnknownTopic(words: readonly string[], commands: readonly Command[]): void {
  const topic = words.filter((word) => !word.startsWith('-'));
  const known = [...commands, ...PERSONALITIES].map(({ name }) => name.split(' ')[0]);
  if (topic.length === 0 || known.includes(topic[0])) return;
  throw new ColdsealError(
    'USAGE_UNKNOWN_COMMAND',
    `Cannot show help: unknown command '${topic.join(' ')}'`,
    { hint: 'see coldseal --help' },
  );
}

interface ParserWorld {
  readonly print: (text: string) => void;
  readonly choose: (
    command: Command,
    args: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ) => void;
}

function createProgram(
  version: string,
  style: Style,
  commands: readonly Command[],
  globals: OptionTable,
  world: ParserWorld,
): Parser {
  const program = configure(new Parser('coldseal'), world);
  program.version(version, '--version').helpOption('-h, --help');
  program.helpInformation = () => groupHelp('', commands, PERSONALITIES, style);
  addOptions(program, globals);
  const groups = new Map<string, Parser>([['', program]]);
  for (const command of commands) {
    const group = groupOf(command);
    let parent = groups.get(group);
    if (isVerbOfVerb(command, commands)) parent = program;
    if (parent === undefined) {
      parent = configure(program.command(group), world);
      parent.helpInformation = () => groupHelp(group, commands, PERSONALITIES, style);
      groups.set(group, parent);
    }
    addCommand(parent, command, style, world);
  }
  return program;
}

/** `qa calibrate` beside `qa`: a verb whose group is itself a verb, with arguments and options. */
function isVerbOfVerb(command: Command, commands: readonly Command[]): boolean {
  const group = groupOf(command);
  return group !== '' && commands.some(({ name }) => name === group);
}

/** The parser would give the options of such a verb to the one before it, so that both words are one for it. */
function joinVerbs(words: readonly string[], commands: readonly Command[]): string[] {
  const command = commandIn(words, commands);
  const at = words.findIndex((word) => !word.startsWith('-'));
  const isWhole = command?.name === `${words[at]} ${words[at + 1]}`;
  if (command === undefined || !isWhole || !isVerbOfVerb(command, commands)) return [...words];
  return [...words.slice(0, at), command.name, ...words.slice(at + 2)];
}

function configure(parser: Parser, world: ParserWorld): Parser {
  return parser
    .exitOverride()
    .allowExcessArguments(false)
    .helpCommand(false)
    .configureOutput({
      writeOut: world.print,
      writeErr: () => undefined,
      // Help arrives coloured or not; commander's own rules for stripping colour are not ours.
      getOutHasColors: () => true,
    });
}

/** The global options that the words' command gives no meaning of its own; the parser knows help itself. */
function globalsFor(words: readonly string[], commands: readonly Command[]): OptionTable {
  const command = commandIn(words, commands);
  const globals = command === undefined ? Object.entries(GLOBAL_OPTIONS) : globalOptionsOf(command);
  return Object.fromEntries(globals.filter(([name]) => name !== 'help'));
}

function addCommand(parent: Parser, command: Command, style: Style, world: ParserWorld): void {
  const isTop = parent.parent === null;
  const parser = configure(
    new Parser(isTop ? command.name : command.name.split(' ').at(-1)),
    world,
  );
  parent.addCommand(parser);
  parser.helpInformation = () => commandHelp(command, style);
  for (const arg of command.args) parser.argument(argText(arg), arg.help);
  addOptions(parser, command.options);
  parser.action(() => {
    const values = parser.opts<Record<string, unknown>>();
    const options: Record<string, unknown> = {};
    for (const [key, spec] of Object.entries(command.options)) {
      const { long, value } = parseFlag(spec.flag);
      const given = values[camelCase(long)];
      options[key] = given ?? (value === undefined ? false : spec.repeat === true ? [] : undefined);
    }
    world.choose(command, parser.args, options);
  });
}

function addOptions(parser: Parser, options: Readonly<Record<string, OptionSpec>>): void {
  for (const spec of Object.values(options)) {
    const option = new Option(spec.flag, spec.help);
    option.attributeName = () => camelCase(parseFlag(spec.flag).long);
    // `--no-x` is an ordinary flag here, not the opposite of `--x`.
    option.negate = false;
    if (spec.default !== undefined) option.default(spec.default);
    if (parseFlag(spec.flag).value !== undefined) {
      option.argParser((text: string, previous: unknown) => {
        const value = parseValue(spec, text);
        if (spec.repeat !== true) return value;
        return Array.isArray(previous) ? [...(previous as unknown[]), value] : [value];
      });
    }
    parser.addOption(option);
  }
}

function parseValue(spec: OptionSpec, text: string): string | number {
  // A value that was left out takes the next option for it; a file of such a name is ./--name.
  if (text.startsWith('--')) throw new InvalidArgumentError('expected a value, not an option');
  if (spec.choices?.includes(text) === false) {
    throw new InvalidArgumentError(`expected ${spec.choices.join(', ')}`);
  }
  if (spec.integer === undefined) return text;
  const { min, max } = spec.integer;
  const value = /^-?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new InvalidArgumentError(`expected an integer from ${min} to ${max}`);
  }
  return value;
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function usageError(
  error: CommanderError,
  words: readonly string[],
  commands: readonly Command[],
): ColdsealError {
  const code = CODES[error.code];
  if (code === undefined || code === 'USAGE_MISSING_COMMAND')
    return missingCommand(words, commands);
  const [first = '', second = ''] = error.message
    .replace(/^error: /, '')
    // One sentence, in the words of every other message.
    .replace(/^option '(.*)' argument '(.*)' is invalid\. /s, 'option $1 is "$2", ')
    .replace(/^option '(.*)' argument missing$/, 'option $1 has no value')
    .replace(/\. Expected (\d+) arguments?( but got \d+)\.$/, ', expected $1$2')
    .split('\n');
  const suggestion = /^\(Did you mean (.*)\?\)$/.exec(second)?.[1];
  const hint = suggestion === undefined ? helpHint(words, commands) : `did you mean ${suggestion}?`;
  return new ColdsealError(code, `Cannot read the command line: ${first}`, { hint });
}

function missingCommand(words: readonly string[], commands: readonly Command[]): ColdsealError {
  return new ColdsealError(
    'USAGE_MISSING_COMMAND',
    'Cannot run without a command: expected a verb',
    {
      hint: helpHint(words, commands),
    },
  );
}

/** Points at the help of the command or group that the words begin with. */
function helpHint(words: readonly string[], commands: readonly Command[]): string {
  const names = words.filter((word) => !word.startsWith('-'));
  const exact = commands.find((command) => names.join(' ').startsWith(command.name));
  const group = commands.map(groupOf).find((name) => name !== '' && name === names[0]);
  const target = exact?.name ?? group;
  return target === undefined ? 'see coldseal --help' : `see coldseal ${target} --help`;
}
