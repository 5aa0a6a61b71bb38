/**
 * One run of the command line: parse, run, print, and say which exit code it comes to.
 *
 * Everything of the process is handed in, and only toolchain/main.ts sets the exit code.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import { createStyle, decideColor, type ColorMode } from './color.ts';
import type { Command } from './command.ts';
import { commandIn, hasOwn } from './help.ts';
import {
  createOutput,
  type OutputControl,
  type OutputSettings,
  type OutputWorld,
} from './output.ts';
import { PERSONALITIES } from './personalities.ts';
import { parseArguments, COMMANDS } from './program.ts';

export interface RunWorld extends OutputWorld {
  /** Arguments after node and the script. */
  readonly argv: readonly string[];
  readonly version: string;
  /** Whether SIGINT or SIGTERM has arrived. */
  readonly wasInterrupted: () => boolean;
}

export const EXIT_INTERRUPTED = 130;

/** Runs the command line and returns the exit code. */
export async function runMain(
  world: RunWorld,
  commands: readonly Command[] = COMMANDS,
): Promise<number> {
  const [first, ...rest] = world.argv;
  const personality = PERSONALITIES.find(({ name }) => name === first);
  const settings: OutputSettings =
    personality === undefined
      ? scanSettings(world.argv, commands)
      : { json: false, quiet: false, color: 'never' };
  const control = createOutput(settings, world);
  let exitCode: number;
  try {
    if (personality !== undefined) {
      exitCode = await (await personality.load()).main(rest, control.output);
    } else {
      exitCode = await runCommand(world, settings, control, commands);
    }
  } catch (error) {
    // An interruption ends in an abort error; anything else is a clean-up that failed, and the user must know.
    const isAbort = error instanceof Error && error.name === 'AbortError';
    exitCode = world.wasInterrupted() && isAbort ? EXIT_INTERRUPTED : report(error, control);
  }
  if (world.wasInterrupted()) {
    exitCode = EXIT_INTERRUPTED;
    control.fail({ code: 'INTERRUPTED', message: 'Interrupted' });
  }
  await control.finish();
  const failure = control.stdoutFailure();
  if (failure === undefined || exitCode === EXIT_INTERRUPTED) return exitCode;
  // Nobody has the result, whatever it was. A drop-in has the one failure status of its tool.
  const failed = report(explainSysError(failure, 'Cannot write to stdout'), control);
  await control.flushErrors();
  return personality === undefined ? failed : 1;
}

async function runCommand(
  world: RunWorld,
  settings: OutputSettings,
  control: OutputControl,
  commands: readonly Command[],
): Promise<number> {
  const style = createStyle(decideColor(settings.color, world.env, world.stdout.isTTY === true));
  const request = parseArguments(world.argv, world.version, style, commands);
  if (request.kind === 'print') {
    control.output.text(request.text);
    if (settings.json) control.output.result({ text: request.text });
    return 0;
  }
  return (await request.command.run(request.args, request.options, control.output)) ?? 0;
}

function report(error: unknown, control: OutputControl): number {
  if (error instanceof ColdsealError) {
    control.fail({ code: error.code, message: error.message, hint: error.hint });
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  control.fail({
    code: 'INTERNAL_UNEXPECTED',
    message: `Unexpected error: ${message}`,
    hint: 'this is a bug in coldseal; please report it with the command line and this text',
    stack: error instanceof Error ? error.stack : undefined,
  });
  return 1;
}

/**
 * The global options, read before the rest of the line is, because they decide how a mistake in the rest is reported.
 * Where a command has a `--json FILE` of its own, the document is asked for before the verb, or with `-` for stdout.
 */
function scanSettings(argv: readonly string[], commands: readonly Command[]): OutputSettings {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  let color: ColorMode = 'auto';
  words.forEach((word, i) => {
    const value = word === '--color' ? words[i + 1] : /^--color=(.*)$/.exec(word)?.[1];
    if (value === 'auto' || value === 'always' || value === 'never') color = value;
  });
  return { json: isDocument(words, commands), quiet: words.includes('--quiet'), color };
}

function isDocument(words: readonly string[], commands: readonly Command[]): boolean {
  const command = commandIn(words, commands);
  if (command === undefined || !hasOwn(command, 'json')) return words.includes('--json');
  const verb = words.indexOf(command.name.split(' ')[0]!);
  return words.some(
    (word, index) =>
      word === '--json=-' || (word === '--json' && (index < verb || words[index + 1] === '-')),
  );
}
