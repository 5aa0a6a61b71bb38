/**
 * A board that a command boots: for rigs that have their own programs, such as a board farm or a bench with a
 * climate chamber.
 *
 * The command boots once and hands over one record, a line of JSON in the file that COLDSEAL_OUT names or on its
 * stdout: a measured boot, or the boot record that a board keeps as /run/coldseal/boot.json. Its exit code says what
 * happened: 0, there is a record; 10, the board did not come up, which is recorded with the last line of stderr;
 * anything else, the rig is broken and the run stops. Too slow for the time limit is a board that did not come up.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import type { EvidenceClass, MeasuredBoot } from '../budget/measured-boot.ts';
import { parseRecord } from '../budget/read-records.ts';
import { readInput } from '../files/read-input.ts';
import {
  commandEnvironment,
  type BootDriver,
  type BootRequest,
  type DrivenBoot,
} from './driver.ts';
import { failedBoot } from './failed-boot.ts';
import { type CommandResult, rigCommandError, runCommand, runRigCommand } from './run-command.ts';

export interface CommandDriverOptions {
  readonly command: string;
  /** Puts the arm on the board before its boot; undefined: the command does. */
  readonly select: string | undefined;
  readonly cwd: string;
  readonly board: string;
  /** What the command says its records are. */
  readonly evidence: EvidenceClass;
  readonly timeoutMs: number;
}

const FORMAT = 'qa-command';
const RECORD_LINE = /^\{.*"kind": ?"coldseal-(?:measured-boot|boot-record|virtual-boot)"/;
const RECORD_BYTES_MAX = 4 * 1024 * 1024;

/** What a command exits with when the board did not come up. */
export const EXIT_BOARD_FAILED = 10;

export function commandDriver(options: CommandDriverOptions): BootDriver {
  const { command, select, evidence } = options;
  return {
    name: 'command',
    evidence,
    describe: async () => ({
      settings: { evidence },
      steps: [...(select === undefined ? [] : [`select: ${select}`]), `boot: ${command}`],
    }),
    check: async () => undefined,
    boot: (request) => bootOnce(request, options),
    async [Symbol.asyncDispose]() {
      // Every command has ended with its boot.
    },
  };
}

async function bootOnce(request: BootRequest, options: CommandDriverOptions): Promise<DrivenBoot> {
  const { command, select, cwd, timeoutMs } = options;
  const dir = mkdtempSync(join(tmpdir(), 'coldseal-qa-'));
  try {
    const out = join(dir, 'record.json');
    const env = { ...commandEnvironment(request), COLDSEAL_OUT: out };
    const settings = { cwd, env, timeoutMs, signal: request.signal };
    if (select !== undefined) await runRigCommand('select the release', select, settings);
    const result = await runCommand(command, settings);
    const capture = Buffer.concat([result.stdout, Buffer.from(result.stderr)]);
    const reason = failureOf(result, timeoutMs);
    if (reason !== undefined) {
      const record = failedBoot({ ...options, reason, format: FORMAT, start: null });
      return { record, others: [], capture };
    }
    if (result.code !== 0 || result.stopped !== null) {
      throw rigCommandError('boot the board', command, result, timeoutMs);
    }
    return { record: readRecord(options, out, result.stdout), others: [], capture };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Why the board did not come up; undefined when that is not what the command says. */
function failureOf(
  { code, stopped, stderr }: CommandResult,
  timeoutMs: number,
): string | undefined {
  if (stopped === 'late') return `HOST_BOARD_TIMEOUT: it took longer than ${timeoutMs} ms`;
  if (stopped !== null || code !== EXIT_BOARD_FAILED) return undefined;
  return stderr.trim().split('\n').at(-1) || 'the command says that the board did not come up';
}

/** The one record that the command handed over. Throws HOST_RIG_RECORD. */
function readRecord({ command }: CommandDriverOptions, out: string, stdout: Buffer): MeasuredBoot {
  const refuse = (problem: string): ColdsealError =>
    new ColdsealError('HOST_RIG_RECORD', `Cannot use the record of ${command}: it ${problem}`, {
      hint: 'docs/qa.md says what a command hands over',
    });
  const text = existsSync(out) ? readBounded(out, refuse) : stdout.toString('utf8');
  const [line, ...others] = text.split('\n').filter((each) => RECORD_LINE.test(each.trim()));
  if (line === undefined) throw refuse('is not there, expected a line of JSON with its kind');
  if (others.length > 0) throw refuse(`is one of ${others.length + 1}, expected one for one boot`);
  const record = parseRecord(line.trim(), 'capture', refuse);
  return { ...record, source: { ...record.source, format: FORMAT } };
}

function readBounded(path: string, refuse: (problem: string) => ColdsealError): string {
  const bytes = readInput(path);
  if (bytes.length <= RECORD_BYTES_MAX) return bytes.toString('utf8');
  throw refuse(`has ${bytes.length} bytes, expected at most ${RECORD_BYTES_MAX}`);
}
