/**
 * `npm run bench`: what coldseal takes, beside its limits. `-- PATTERN…` chooses cases.
 *
 * Options: `--runs N` (default 3), `--tree DIR` (default /usr), `--json FILE`, `--history` (earlier results beside),
 * `--history-file FILE`, `--no-build`. A measure over its limit says so and fails nothing; the exit code is 1 only when
 * something could not be run or gave a wrong digest. Every run is appended to the history.
 * docs/benchmarks.md tells how to read the table.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { chooseCases, CASES, runCases, type MeasuredCase } from '../bench/bench.ts';
import type { BenchContext } from '../bench/context.ts';
import {
  describeMachine,
  measureMachine,
  type Machine,
  type MachineRates,
} from '../bench/machine.ts';
import {
  appendHistory,
  compareWithHistory,
  historyEntry,
  historyFile,
  readHistory,
} from '../bench/history.ts';
import { Meter } from '../bench/measure.ts';
import { formatValue, printTable, summaryLine } from '../bench/table.ts';
import { makeWorkDirectory } from '../files/work-directory.ts';
import { build } from './build.ts';
import { ROOT } from './root.ts';

export interface BenchSettings {
  readonly patterns: readonly string[];
  readonly runs: number;
  readonly tree: string;
  readonly json: string | undefined;
  /** Print earlier results beside. */
  readonly isComparing: boolean;
  readonly historyFile: string | undefined;
  readonly isBuilding: boolean;
}

const RUNS_DEFAULT = 3;
const OPTIONS = '--runs N, --tree DIR, --json FILE, --history, --history-file FILE, --no-build';

/** Reads the arguments; a string says what is wrong with them. */
export function parseBenchArgs(args: readonly string[]): BenchSettings | string {
  const patterns: string[] = [];
  const values: Record<string, string> = {};
  let isBuilding = true;
  let isComparing = false;
  for (let i = 0; i < args.length; i++) {
    const [, name, inline] = /^--(runs|tree|json|history-file)(?:=(.*))?$/.exec(args[i]!) ?? [];
    if (name !== undefined) {
      const value = inline ?? args[++i];
      if (value === undefined || value === '') return `--${name} lacks its value`;
      values[name] = value;
    } else if (args[i] === '--no-build') isBuilding = false;
    else if (args[i] === '--history') isComparing = true;
    else if (args[i]!.startsWith('-')) {
      return `${args[i]}, expected ${OPTIONS} or patterns`;
    } else patterns.push(args[i]!);
  }
  const broken = patterns.find((pattern) => !isRegExp(pattern));
  if (broken !== undefined) return `${broken}, expected parts of names or regular expressions`;
  const { runs = String(RUNS_DEFAULT), tree = '/usr', json, 'history-file': historyFile } = values;
  if (!/^[1-9]\d{0,2}$/.test(runs)) return `--runs ${runs}, expected 1 to 999`;
  return { patterns, runs: Number(runs), tree, json, isComparing, historyFile, isBuilding };
}

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

/** Runs what the arguments ask for and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const print = (line: string): void => console.log(line);
  const settings = parseBenchArgs(args);
  if (typeof settings === 'string') {
    console.error(`Cannot run the bench with ${settings}`);
    return 2;
  }
  const cases = chooseCases(settings.patterns);
  if (cases.length === 0) {
    const names = CASES.map(({ name }) => name).join(', ');
    console.error(`No case matches ${settings.patterns.join(' ')}: expected one of ${names}`);
    return 2;
  }
  if (settings.isBuilding) await build({ keepOldChunks: true });
  const machine = describeMachine();
  const mkcomposefs = findMkcomposefs();
  for (const line of headerLines(machine, settings.runs, mkcomposefs)) print(line);
  using workspace = makeWorkDirectory('bench-');
  const meter = new Meter(workspace.path);
  stopOnSignal(meter);
  let rates: MachineRates | undefined;
  const context: BenchContext = {
    dir: workspace.path,
    runs: settings.runs,
    tree: resolve(settings.tree),
    mkcomposefs,
    meter,
    progress: (text) => console.error(text),
    rates: () => (rates ??= measureMachine(workspace.path)),
  };
  const results = await runCases(cases, context);
  for (const line of printTable(results)) print(line);
  print('');
  print(summaryLine(results));
  for (const line of keepHistory(settings, machine, results)) print(line);
  if (settings.json !== undefined) writeJson(settings.json, machine, settings.runs, results);
  return results.some(({ failed }) => failed !== undefined) ? 1 : 0;
}

/** Appends this run to the history; returns the comparison that was asked for, and what was wrong. */
function keepHistory(
  settings: BenchSettings,
  machine: Machine,
  results: readonly MeasuredCase[],
): string[] {
  const file = settings.historyFile ?? historyFile();
  try {
    const { entries, broken } = readHistory(file);
    const about = { at: new Date().toISOString(), version: VERSION, commit: commitOf(), machine };
    const entry = historyEntry(about, results);
    const lines = settings.isComparing ? ['', ...compareWithHistory(entry, entries)] : [];
    if (broken > 0) lines.push(`${file}: ${broken} lines are no results and were left out`);
    if (Object.keys(entry.cases).length > 0) appendHistory(file, entry);
    return lines;
  } catch (error) {
    // The figures are on the screen, whatever becomes of the file.
    return [`${file}: not kept, ${(error as Error).message}`];
  }
}

const VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
).version;

/** The commit that is checked out; with + when files differ from it, and `unknown` without git. */
function commitOf(): string {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
    return status === 0 ? stdout.trim() : undefined;
  };
  const commit = git('rev-parse', '--short=12', 'HEAD');
  if (commit === undefined) return 'unknown';
  return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`;
}

function headerLines(machine: Machine, runs: number, mkcomposefs: string | undefined): string[] {
  const memory = formatValue(machine.memoryBytes, 'bytes');
  const { cpu, cores, kernel, node, load } = machine;
  return [
    `${cores} x ${cpu}, ${memory}; Linux ${kernel}, Node ${node}; load ${load.toFixed(1)}`,
    `counted runs of each command: ${runs}, after one that does not count; 1 MB is a million bytes`,
    mkcomposefs === undefined
      ? 'no mkcomposefs in PATH or $MKCOMPOSEFS to compare with'
      : `compared with ${mkcomposefs}, in turns`,
    '',
  ];
}

/** `$MKCOMPOSEFS`, else the one in PATH. */
function findMkcomposefs(): string | undefined {
  const { MKCOMPOSEFS: given, PATH: path = '' } = process.env;
  if (given !== undefined && given !== '') return resolve(given);
  return path
    .split(delimiter)
    .map((dir) => join(dir, 'mkcomposefs'))
    .find((file) => existsSync(file));
}

/** Ends the measured command and, by leaving, removes the workspace. */
function stopOnSignal(meter: Meter): void {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const [signal, code] of Object.entries(codes)) {
    process.once(signal, () => {
      meter.stop();
      process.exit(code);
    });
  }
}

function writeJson(
  file: string,
  machine: Machine,
  runs: number,
  cases: readonly MeasuredCase[],
): void {
  const ok = cases.every(({ failed }) => failed === undefined);
  // What the commands printed is only wanted to compare digests.
  const withoutOutput = (key: string, value: unknown): unknown =>
    key === 'stdout' ? undefined : value;
  const temporary = `${file}.${process.pid}`;
  writeFileSync(
    temporary,
    `${JSON.stringify({ schema: 1, ok, machine, runs, cases }, withoutOutput, 2)}\n`,
  );
  renameSync(temporary, file);
}
