/** The tools that decide format, lint and types, each as one test; and the build, with its budgets. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../toolchain/dev/build.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('static checks');

const CHECKS: readonly [name: string, command: readonly string[]][] = [
  ['format', ['prettier', '--check', '--log-level', 'warn', '.']],
  ['lint', ['oxlint', '--type-aware', '--deny-warnings', '--format', 'unix']],
  ['types', ['tsc', '-p', '.']],
  ['types of runtime/format', ['tsc', '-p', 'runtime/format']],
];

for (const [name, [tool = '', ...args]] of CHECKS) {
  test(name, () => {
    const result = spawnSync(join(ROOT, 'node_modules/.bin', tool), args, {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.is(result.status, 0, `${tool} ${args.join(' ')}\n${result.stdout}${result.stderr}`);
  });
}

test('the build keeps its budgets and gives the same bytes twice', async () => {
  using first = tempDir();
  using second = tempDir();
  await build({ outdir: first.path });
  await build({ outdir: second.path });
  const names = readdirSync(first.path).sort();
  assert.ok(names.includes('coldseal.mjs'));
  assert.equal(readdirSync(second.path).sort(), names);
  for (const name of names) {
    const [a, b] = [first, second].map(({ path }) => readFileSync(join(path, name)));
    assert.ok(a!.equals(b!), name);
  }
});

test.run();
