/**
 * The device bundle's entry: as PID 1 it boots, otherwise it answers commands.
 *
 * Lines go to the engine; the exit code is returned. With `--json` standard output is one document on one line, on
 * failure too. Any argument that is no command does not keep PID 1 from booting: the kernel hands its unknown words on.
 */
import { boot } from './boot.ts';
import type { CommandResult, DeviceCommand } from './commands/command.ts';
import type { CommandDocument, HelpResult, VersionResult } from './commands/documents.ts';
import { markGoodCommand } from './commands/mark-good.ts';
import { reasonsCommand } from './commands/explain-reasons.ts';
import { runContainersCommand } from './commands/run-containers.ts';
import { statusCommand } from './commands/status.ts';
import { verifyCommand } from './commands/verify.ts';
import type { Engine } from './engine.ts';
import { ColdsealError } from './format/errors.ts';
import { RUNTIME_LEVEL } from './format/manifest.ts';
import { explainSysError } from './sys-error.ts';

declare const COLDSEAL_VERSION: string | undefined;
const VERSION = typeof COLDSEAL_VERSION === 'string' ? COLDSEAL_VERSION : '0.0.0-unbuilt';

const COMMANDS: readonly DeviceCommand[] = [
  statusCommand,
  markGoodCommand,
  verifyCommand,
  reasonsCommand,
  runContainersCommand,
  {
    name: '--help',
    about: () => 'this list',
    run: () => {
      const rows = COMMANDS.map(({ name, operands = [], about }) => {
        return `  ${[name, ...operands].join(' ').padEnd(16)} ${about()}`;
      });
      const lines = ['usage: coldseal COMMAND [--json]', ...rows];
      return { lines, result: { text: lines.join('\n') } satisfies HelpResult };
    },
  },
  {
    name: '--version',
    about: () => 'the version, and the level of manifests it can read',
    run: () => {
      const text = `coldseal runtime ${VERSION}, level ${RUNTIME_LEVEL}`;
      const result: VersionResult = { version: VERSION, level: RUNTIME_LEVEL };
      return { lines: [text], result };
    },
  },
];

function findCommand(word: string | undefined): DeviceCommand | undefined {
  return COMMANDS.find(({ name }) => name === word);
}

/** Boots or runs a command; returns the exit code. `args` begin after the program's name. */
export function main(engine: Engine, args: readonly string[]): number {
  const isJson = args.includes('--json');
  const words = args.filter((word) => word !== '--json');
  if (engine.sys.pid() === 1 && findCommand(words[0]) === undefined) return boot(engine);
  let done: CommandResult;
  try {
    done = runCommand(engine, words);
  } catch (error) {
    return fail(engine, error, isJson);
  }
  const { lines, result, exitCode = 0, after } = done;
  if (isJson) printDocument(engine, { ok: exitCode === 0, result });
  else for (const line of lines) engine.print(line);
  return after === undefined ? exitCode : after();
}

function runCommand(engine: Engine, [name, ...operands]: readonly string[]): CommandResult {
  const command = findCommand(name);
  const refuse = (problem: string): ColdsealError =>
    new ColdsealError('USAGE_DEVICE_COMMAND', `Cannot run coldseal: ${problem}`, {
      hint: 'coldseal --help lists the commands',
    });
  if (command === undefined) throw refuse(name === undefined ? 'no command' : `no command ${name}`);
  const extra = operands.slice(command.operands?.length ?? 0);
  const stranger = operands.find((word) => word.startsWith('-')) ?? extra[0];
  if (stranger !== undefined) throw refuse(`${name} takes no ${stranger}`);
  return command.run(engine, operands);
}

function fail(engine: Engine, error: unknown, isJson: boolean): number {
  const explained = explainSysError(error, 'Cannot run the command');
  const known =
    explained instanceof ColdsealError
      ? explained
      : new ColdsealError('INTERNAL_DEVICE', `Unexpected error: ${String(explained)}`);
  const { code, message, hint } = known;
  engine.printError(`coldseal: ${message}`);
  if (hint !== undefined) engine.printError(`  ${hint}`);
  engine.printError(`  ${code}`);
  if (isJson) printDocument(engine, { ok: false, error: { code, message, hint } });
  return known.exitCode;
}

function printDocument(engine: Engine, document: Omit<CommandDocument, 'schema'>): void {
  engine.print(JSON.stringify({ schema: 1, ...document } satisfies CommandDocument));
}
