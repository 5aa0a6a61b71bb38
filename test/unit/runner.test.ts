/** The guarded runner fails on everything that uvu alone lets through. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../toolchain/dev/root.ts';
import { runTests, type Totals } from '../run.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('runner');

const HEAD = `import { suite } from 'uvu';
const test = suite('planted');
const fail = (text) => { throw new Error(text); };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

/** Runs one planted test file and returns the totals and everything printed. */
async function runPlanted(
  source: string | undefined,
  extra: { junit?: string; timeoutMs?: number } = {},
): Promise<Totals & { printed: string }> {
  // Below the repository, so that the planted file can import packages.
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  using dir = tempDir(join(ROOT, 'out'));
  if (source !== undefined) writeFileSync(join(dir.path, 'planted.test.ts'), source);
  const lines: string[] = [];
  const totals = await runTests({
    testDir: dir.path,
    patterns: [],
    print: (line) => lines.push(line),
    ...extra,
  });
  assert.is(
    lines.at(-1),
    `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`,
  );
  return { ...totals, printed: lines.join('\n') };
}

const SILENT_GREENS: readonly [name: string, source: string | undefined, says: RegExp][] = [
  [
    'a before hook throws',
    `${HEAD}test.before(() => { throw new Error('no'); });\ntest('a', () => {});\ntest.run();`,
    /before hook threw Error: no/,
  ],
  [
    'a test throws a non-Error and the next one would fail',
    `${HEAD}test('a', () => { throw undefined; });\ntest('b', () => { throw new Error('b ran'); });\ntest.run();`,
    /b ran/,
  ],
  [
    'an after.each hook throws over a failing test',
    `${HEAD}test.after.each(() => fail('no'));\ntest('a', () => fail('a'));\ntest.run();`,
    /after.each hook threw/,
  ],
  ['run was forgotten', `${HEAD}test('a', () => {});`, /\.run\(\) was never called/],
  [
    'only was left in',
    `${HEAD}test('a', () => { throw new Error('hidden'); });\ntest.only('b', () => {});\ntest.run();`,
    /registered with \.only/,
  ],
  ['no file matches', undefined, /No test file matches/],
  ['a file without tests', `export const nothing = 1;`, /registered no test/],
  [
    'a skip without a reason',
    `${HEAD}test.skip('a', () => {});\ntest('b', () => {});\ntest.run();`,
    /without a declared reason/,
  ],
  [
    'an import that throws',
    `${HEAD}test('a', () => {});\ntest.run();\nthrow new Error('late');`,
    /late/,
  ],
  ['a file that does not compile', `${HEAD}test('a', () => { const };`, /Expected identifier/],
  [
    'an early exit',
    `${HEAD}test('a', () => process.exit(0));\ntest.run();`,
    /ended before its tests did/,
  ],
  [
    'a promise that never settles',
    `${HEAD}test('a', () => new Promise(() => {}));\ntest.run();`,
    /ended before its tests did/,
  ],
  [
    'a rejection nobody waits for',
    `${HEAD}test('a', async () => { void Promise.reject(new Error('x')); await sleep(50); });\ntest.run();`,
    /ended before its tests did/,
  ],
  [
    'tests registered after run',
    `${HEAD}test('a', () => {});\ntest.run();\ntest('b', () => {});`,
    /"b" was registered and never ran/,
  ],
];

for (const [name, source, says] of SILENT_GREENS) {
  test(`fails when ${name}`, async () => {
    const result = await runPlanted(source);
    assert.ok(result.failed > 0, result.printed);
    assert.match(result.printed, says);
  });
}

test('a file that takes too long is ended and fails', async () => {
  const source = `${HEAD}test('a', async () => { for (;;) await sleep(20); });\ntest.run();`;
  const result = await runPlanted(source, { timeoutMs: 500 });
  assert.is(result.failed, 1);
  assert.match(result.printed, /took longer than 500 ms/);
});

test('counts passed, failed and declared skips, maps stack traces and writes JUnit', async () => {
  using dir = tempDir();
  const junit = join(dir.path, 'junit.xml');
  const source = `import { skipTest } from ${JSON.stringify(join(ROOT, 'test/support/tools.ts'))};
${HEAD}test('good', () => {});
test('bad', () => { throw new Error('<it> & broke'); });
test('absent', () => skipTest('no such tool'));
test.run();`;
  const { printed, ...totals } = await runPlanted(source, { junit });
  assert.equal(totals, { passed: 1, failed: 1, skipped: 1 });
  assert.match(printed, /planted\.test\.ts:7/);
  assert.match(printed, /skipped: planted "absent": no such tool/);
  const xml = readFileSync(junit, 'utf8');
  assert.match(xml, /tests="3" failures="1" skipped="1"/);
  assert.match(xml, /&#60;it&#62; &#38; broke/);
});

test('a before hook may skip its suite with a reason', async () => {
  const source = `import { skipTest } from ${JSON.stringify(join(ROOT, 'test/support/tools.ts'))};
${HEAD}test.before(() => skipTest('no kernel'));
test('a', () => { throw new Error('ran'); });
test.run();`;
  const { printed: _, ...totals } = await runPlanted(source);
  assert.equal(totals, { passed: 0, failed: 0, skipped: 1 });
});

test.run();
