/**
 * The guarded test runner.
 *
 * uvu 0.5.6 exits 0 when a `before` hook throws, when a test throws something that is not an Error (and then
 * leaves out the rest of the file), when an `after.each` hook throws, when `.run()` was forgotten, when `.only` was
 * left in, and when no file matched. Here each file runs in a process of its own and all of these fail: every file
 * must register a test, every registered test must run, nothing is skipped without a declared reason, and at least
 * one file must match.
 * test/unit/runner.test.ts plants each of them.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { bundleTests, type TestBundle } from '../toolchain/dev/bundle-tests.ts';
import { ROOT } from '../toolchain/dev/root.ts';
import { junitXml } from './support/junit.ts';
import type { TestRecord } from './support/ledger.ts';

export interface RunOptions {
  /** Parts of paths, or regular expressions over them; all files when empty. */
  readonly patterns: readonly string[];
  readonly print: (line: string) => void;
  readonly testDir?: string;
  readonly junit?: string | undefined;
  /** A file that takes longer is ended and has failed. */
  readonly timeoutMs?: number;
}

export interface FileResult {
  readonly file: string;
  readonly tests: readonly TestRecord[];
  readonly faults: readonly string[];
  readonly output: string;
  readonly ms: number;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

// What a failing file printed is shown up to here; a comparison of two images can be tens of megabytes.
const OUTPUT_MAX = 64 * 1024;
const TIMEOUT_MS = 15 * 60 * 1000;
// These use mounts, loop devices and the machine's tools, so they do not run beside each other.
const SERIAL = /^test\/(conformance|vm)\//;

/** Runs the matching test files and returns the totals; the run is good when `failed` is 0. */
export async function runTests(options: RunOptions): Promise<Totals> {
  const startMs = performance.now();
  const files = findFiles(options.testDir ?? join(ROOT, 'test'), options.patterns);
  if (files.length === 0) {
    options.print(`No test file matches ${options.patterns.join(' ')}`);
    return finish([], { passed: 0, failed: 1, skipped: 0 }, startMs, options);
  }
  const outdir = join(ROOT, 'out', `test-${process.pid}-${Math.round(startMs)}`);
  mkdirSync(outdir, { recursive: true });
  try {
    const { bundles, harness } = await bundleTests(files, outdir);
    const jobs = bundles.map((bundle) => async () => {
      const result = await runFile(bundle, harness, options.timeoutMs ?? TIMEOUT_MS);
      printFile(result, options.print);
      return result;
    });
    const isSerial = (_: unknown, i: number): boolean => SERIAL.test(relative(ROOT, files[i]!));
    const results = [
      ...(await pool(
        jobs.filter((job, i) => !isSerial(job, i)),
        Math.min(4, availableParallelism()),
      )),
      ...(await pool(jobs.filter(isSerial), 1)),
    ];
    return finish(results, total(results), startMs, options);
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

function findFiles(dir: string, patterns: readonly string[]): string[] {
  const expressions = patterns.map((pattern) => toExpression(pattern));
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(dir, name))
    .filter((path) => {
      const shown = relative(ROOT, path);
      return (
        patterns.length === 0 ||
        expressions.some((each, i) => each.test(shown) || shown.includes(patterns[i]!))
      );
    })
    .sort();
}

function toExpression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch {
    return /$^/;
  }
}

/** Runs jobs with at most `width` at a time; results keep the order of the jobs. */
async function pool<T>(jobs: readonly (() => Promise<T>)[], width: number): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const i = next++;
      results[i] = await jobs[i]!();
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  return results;
}

async function runFile(
  bundle: TestBundle,
  harness: string,
  timeoutMs: number,
): Promise<FileResult> {
  const file = relative(ROOT, bundle.file);
  if (bundle.fault !== undefined)
    return { file, tests: [], faults: [bundle.fault], output: '', ms: 0 };
  const startMs = performance.now();
  const resultPath = `${bundle.path}.json`;
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', harness, bundle.path, resultPath],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  const collect = (chunk: Buffer): void => {
    if (output.length < OUTPUT_MAX) output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const status = await new Promise<string>((resolve) => {
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(timer);
  const ms = performance.now() - startMs;
  const result = readResult(resultPath);
  const base = { file, output: output.slice(0, OUTPUT_MAX), ms };
  if (result !== undefined) return { ...base, ...result };
  const fault = isLate
    ? `took longer than ${timeoutMs} ms`
    : `ended before its tests did (${status})`;
  return { ...base, tests: [], faults: [fault] };
}

function readResult(path: string): { tests: TestRecord[]; faults: string[] } | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { tests: TestRecord[]; faults: string[] };
  } catch {
    return undefined;
  }
}

function total(results: readonly FileResult[]): Totals {
  const tests = results.flatMap((result) => result.tests);
  const count = (outcome: TestRecord['outcome']): number =>
    tests.filter((test) => test.outcome === outcome).length;
  const faults = results.reduce((sum, result) => sum + result.faults.length, 0);
  return { passed: count('passed'), failed: count('failed') + faults, skipped: count('skipped') };
}

function printFile(result: FileResult, print: (line: string) => void): void {
  const failed = result.tests.filter((test) => test.outcome === 'failed');
  const isGood = failed.length === 0 && result.faults.length === 0;
  const passed = result.tests.filter((test) => test.outcome === 'passed').length;
  print(
    `${isGood ? 'ok  ' : 'FAIL'} ${result.file}  ${passed} passed  ${Math.round(result.ms)} ms`,
  );
  for (const test of result.tests) {
    if (test.outcome === 'skipped')
      print(`     skipped: ${test.suite} "${test.name}": ${test.detail}`);
  }
  if (isGood) return;
  for (const fault of result.faults) print(`     fault: ${fault}`);
  for (const test of failed)
    print(`     failed: ${test.suite} "${test.name}": ${test.detail.slice(0, 500)}`);
  if (result.output.trim() !== '') print(result.output.trimEnd());
}

function finish(
  results: readonly FileResult[],
  totals: Totals,
  startMs: number,
  options: RunOptions,
): Totals {
  const timed = results.flatMap((result) =>
    result.tests.map((test) => ({ ...test, file: result.file })),
  );
  const slowest = timed.sort((a, b) => b.ms - a.ms).slice(0, 5);
  if (slowest.length > 0) options.print('\nSlowest:');
  for (const test of slowest)
    options.print(`${Math.round(test.ms).toString().padStart(7)} ms  ${test.file} "${test.name}"`);
  if (options.junit !== undefined) writeFileSync(options.junit, junitXml(results));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  options.print(`\n${results.length} files in ${seconds} s`);
  options.print(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  return totals;
}
