/**
 * The tests of the runtime on both engines: each file runs on Node and on QuickJS, with the same outcome.
 *
 * Needs gcc and Debian's qjs-src (fetched once). Minutes: an interpreter counts through what Node compiles.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../toolchain/dev/root.ts';
import { bundleForEngine, type EngineName, runtimeTests } from '../support/quickjs-tests.ts';
import type { Report } from '../support/quickjs/uvu.ts';
import { buildTestEngine, needingCompiler } from '../support/quickjs-lab.ts';
import { type TempDir, tempDir } from '../support/temp-dir.ts';

const test = suite('quickjs');
const TIMEOUT_MS = 240_000;
/** As long as a program of two sources may take on a busy machine. */
const OUTPUT_MAX = 256 * 1024 * 1024;

interface Output {
  readonly report: Report;
  readonly record?: readonly string[];
}

function run(program: string, args: readonly string[]): Output {
  const { stdout, stderr, status, signal } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: OUTPUT_MAX,
  });
  assert.is(status, 0, `${args.join(' ')}: ${signal ?? ''} ${stderr.slice(0, 2000)}`);
  return JSON.parse(stdout) as Output;
}

/** Inside the repository, where packages are found. */
function workDirectory(): TempDir {
  const out = join(ROOT, 'out');
  mkdirSync(out, { recursive: true });
  return tempDir(out);
}

async function runOn(
  engine: EngineName,
  program: string,
  file: string,
  record: readonly string[],
): Promise<Output | undefined> {
  const bundle = await bundleForEngine(file, engine, record);
  if (bundle === undefined) return undefined;
  if (engine === 'quickjs' && bundle.imports.length > 0) return undefined;
  using dir = workDirectory();
  const path = join(dir.path, 'test.mjs');
  writeFileSync(path, bundle.text);
  return run(program, [path]);
}

/** The fewest that are known to qualify: a change that silently takes files out of this test is a failure. */
const FILES_MIN = 20;
let ran = 0;

for (const file of runtimeTests()) {
  test(`${file}: the same on both engines`, async () => {
    const bundle = await bundleForEngine(file, 'quickjs');
    // It needs Node for what it does, not for what it tests.
    if (bundle === undefined || bundle.imports.length > 0) return;
    const engine = await needingCompiler(() => buildTestEngine());
    const node = (await runOn('node', process.execPath, file, []))!;
    const quickjs = (await runOn('quickjs', engine, file, node.record ?? []))!;
    assert.ok(node.report.passed.length > 0, 'it has tests');
    assert.equal(quickjs.report.failed.slice(0, 3), [], 'nothing fails on QuickJS');
    assert.equal(node.report.failed.slice(0, 3), [], 'nothing fails on Node');
    assert.equal(quickjs.report.passed, node.report.passed);
    ran++;
  });
}

test('enough files ran on both engines', async () => {
  await needingCompiler(() => buildTestEngine());
  assert.ok(ran >= FILES_MIN, `${ran} files, expected at least ${FILES_MIN}`);
});

test.run();
