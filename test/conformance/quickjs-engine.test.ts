/**
 * The QuickJS engine: the contract of DeviceSys, SHA-256, and programs that are the same bytes in every directory,
 * small enough, and run their bundle and nothing else.
 *
 * Needs gcc and Debian's qjs-src (fetched once). QUICKJS_SANITIZE=1 runs the contract under the sanitizers too, which
 * compiles QuickJS once more.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../toolchain/dev/root.ts';
import { buildEngine, ENGINE_SIZE_MAX } from '../../toolchain/engine/build-engine.ts';
import { expectCodeAsync } from '../support/expect-code.ts';
import type { Report } from '../support/quickjs/uvu.ts';
import { buildTestEngine, needingCompiler } from '../support/quickjs-lab.ts';
import { SYS_CONTRACT } from '../support/sys-contract.ts';
import { type TempDir, tempDir } from '../support/temp-dir.ts';

const test = suite('quickjs engine');
const TIMEOUT_MS = 60_000;

function run(program: string, args: readonly string[]): Report {
  const { stdout, stderr, status } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  assert.is(status, 0, stderr.slice(0, 2000));
  return JSON.parse(stdout) as Report;
}

/** Inside the repository, where packages are found. */
function workDirectory(): TempDir {
  const out = join(ROOT, 'out');
  mkdirSync(out, { recursive: true });
  return tempDir(out);
}

/** Bundles a file of test/support/quickjs for the engine; returns the path. */
async function bundleSupport(name: string, dir: string): Promise<string> {
  const outfile = join(dir, 'support.mjs');
  await build({ ...OPTIONS, entryPoints: [`test/support/quickjs/${name}`], outfile });
  return outfile;
}

const OPTIONS = { absWorkingDir: ROOT, bundle: true, format: 'esm', platform: 'neutral' } as const;

for (const sanitize of process.env['QUICKJS_SANITIZE'] === '1' ? [false, true] : [false]) {
  test(`the contract of DeviceSys${sanitize ? ', under sanitizers' : ''}`, async () => {
    const engine = await needingCompiler(() => buildTestEngine({ sanitize }));
    using dir = workDirectory();
    using scratch = tempDir();
    const path = await bundleSupport('contract.ts', dir.path);
    const user = process.getuid?.() === 0 ? 'root' : 'user';
    const report = run(engine, [path, scratch.path, user]);
    assert.equal(report.failed, []);
    const mustPass = SYS_CONTRACT.filter(({ needs }) => needs !== 'root').length - 1;
    assert.ok(report.passed.length >= mustPass, `skipped: ${report.skipped.join('; ')}`);
  });
}

for (const architecture of ['x86_64', 'aarch64'] as const) {
  test(`${architecture}: two builds in two places give the same bytes, within the budget`, async () => {
    await withScripts(async (bundle) => {
      const first = await needingCompiler(() => buildEngine(architecture, { bundle }));
      // The sources need not be fetched twice: only what is compiled is made anew.
      using objects = tempDir();
      const again = await buildEngine(architecture, { bundle, objects: objects.path });
      assert.is.not(again.path, first.path);
      assert.is(again.sha256, first.sha256);
      assert.ok(Buffer.from(again.bytes).equals(first.bytes));
      assert.ok(first.sizes.program <= ENGINE_SIZE_MAX);
      const text = Buffer.from(first.bytes).toString('latin1');
      for (const trace of [ROOT, '/coldseal/engine', 'quickjs-ng/']) {
        assert.not(text.includes(trace), `${trace} in the program`);
      }
    });
  });
}

test('the program runs its bundle, and nothing that it is given', async () => {
  await withScripts(async (bundle) => {
    const { path } = await needingCompiler(() => buildEngine('x86_64', { bundle }));
    if (process.arch !== 'x64') return;
    const said = spawnSync(path, ['one', 'two words'], { encoding: 'utf8' });
    assert.is(said.stdout, 'quickjs: one,two words\n');
    assert.is(said.status, 7);
    const failed = spawnSync(path, ['throw'], { encoding: 'utf8' });
    assert.is(failed.status, 1);
    assert.match(failed.stderr, /^coldseal: Error: as asked$/m);
    assert.match(failed.stderr, / at main /, 'a stack names its functions');
    const full = spawnSync(path, ['memory'], { encoding: 'utf8' });
    assert.is(full.status, 1);
    assert.match(full.stderr, /out of memory/);
    const deep = spawnSync(path, ['stack'], { encoding: 'utf8' });
    assert.is(deep.status, 1);
    assert.match(deep.stderr, /call stack/i);
    for (const how of ['eval', 'function']) {
      const evaluated = spawnSync(path, [how], { encoding: 'utf8' });
      assert.is(evaluated.status, 1, `${how}: there is no parser in it`);
      assert.match(evaluated.stderr, /Error/);
    }
    const meanings = spawnSync(path, ['reasons'], { encoding: 'utf8' });
    assert.match(meanings.stdout, /quickjs: DER is not in its one encoding/);
  });
});

test('errors: no bundle, and an engine over its budget', async () => {
  const none = { bundle: '/no/such/runtime.js' };
  await expectCodeAsync(() => buildEngine('x86_64', none), 'HOST_NOT_FOUND');
  await needingCompiler(() => buildTestEngine());
  const long = 'x'.repeat(ENGINE_SIZE_MAX);
  await withScripts(
    async (bundle) => {
      await expectCodeAsync(() => buildEngine('x86_64', { bundle }), 'BUDGET_ENGINE_SIZE');
    },
    `export const main = () => ${JSON.stringify(long)}.length;`,
  );
});

const STAND_IN = `
  const grow = () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20)); };
  const sink = (n) => sink(n + 1) + 1;
  export function main(engine, args) {
    switch (args[0]) {
      case 'throw': throw new Error('as asked');
      case 'memory': return grow();
      case 'stack': return sink(0);
      case 'eval': return (0, globalThis.eval)('1 + 1');
      case 'function': return new Function('return 1')();
      case 'reasons': engine.print(engine.name + ': ' + engine.reasons().FORMAT_DER); return 0;
    }
    engine.print(engine.name + ': ' + args.join());
    return 7;
  }`;

/** A small bundle beside the engine module as the build makes it. */
async function withScripts(
  action: (bundle: string) => Promise<void>,
  text: string = STAND_IN,
): Promise<void> {
  using dir = workDirectory();
  const bundle = join(dir.path, 'runtime.js');
  writeFileSync(bundle, text);
  writeFileSync(join(dir.path, 'runtime-texts.json'), '[]');
  const entryPoints = ['runtime/engines/quickjs/main.ts'];
  const outfile = join(dir.path, 'engine-quickjs.js');
  await build({ ...OPTIONS, entryPoints, outfile, minify: true });
  await action(bundle);
}

test('SHA-256 in C: the vectors of FIPS 180-4, and every length up to five blocks', async () => {
  const engine = await needingCompiler(() => buildTestEngine());
  using dir = workDirectory();
  const path = await bundleSupport('sha256.ts', dir.path);
  const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
  const all = Array.from({ length: 321 }, (_, length) =>
    sha256(Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 0xff)),
  );
  const report = run(engine, [path, sha256(Buffer.concat(all)).toString('hex')]);
  assert.equal(report.failed, []);
  assert.is(report.passed.length, 5);
});

test('the power of RSA in C: equal to BigInt for every length, and nothing else is taken', async () => {
  for (const sanitize of process.env['QUICKJS_SANITIZE'] === '1' ? [false, true] : [false]) {
    const engine = await needingCompiler(() => buildTestEngine({ sanitize }));
    using dir = workDirectory();
    const report = run(engine, [await bundleSupport('power.ts', dir.path)]);
    assert.equal(report.failed, []);
    assert.is(report.passed.length, 54);
  }
});

test.run();
