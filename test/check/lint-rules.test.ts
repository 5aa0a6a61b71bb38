/** The lint rules that the design leans on report faults planted in a copy of the tree's shape. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../toolchain/dev/root.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('lint rules');

/** Files and, for each, the rule that must report it; undefined for files that must be clean. */
const PLANTED: readonly [path: string, source: string, rule: string | undefined][] = [
  ['runtime/a.ts', `export { x } from '../toolchain/x.ts';\n`, 'no-restricted-imports'],
  [
    'runtime/b.ts',
    `import { readFileSync } from 'node:fs';\nreadFileSync('x');\n`,
    'no-restricted-imports',
  ],
  [
    'runtime/engines/node/c.ts',
    `import { readFileSync } from 'node:fs';\nreadFileSync('x');\n`,
    undefined,
  ],
  [
    'runtime/engines/node/d.ts',
    `import { x } from '../../../toolchain/x.ts';\nexport const y = x;\n`,
    'no-restricted-imports',
  ],
  [
    'runtime/format/e.ts',
    `import { x } from '../sys.ts';\nexport const y = x;\n`,
    'no-restricted-imports',
  ],
  [
    'runtime/format/f.ts',
    `import { z } from 'zod';\nexport const y = z;\n`,
    'no-restricted-imports',
  ],
  ['runtime/format/g.ts', `export const y = Buffer.alloc(1).length;\n`, 'no-restricted-globals'],
  ['runtime/format/h.ts', `export const y = Date.now();\n`, 'no-restricted-globals'],
  [
    'runtime/format/i.ts',
    `import type { X } from '../sys.ts';\nexport const y: X = 1;\n`,
    undefined,
  ],
  ['runtime/sys.ts', `export type X = number;\nexport const x = 1;\n`, undefined],
  ['toolchain/x.ts', `export const x = 1;\n`, undefined],
  ['toolchain/j.ts', `export { t } from '../test/t.ts';\n`, 'no-restricted-imports'],
  ['test/t.ts', `export const t = 1;\n`, undefined],
  ['toolchain/k.ts', `console.log('x');\n`, 'no-console'],
  ['toolchain/cli/l.ts', `console.log('x');\n`, undefined],
  [
    'toolchain/m.ts',
    `import { n } from './n.ts';\nexport const m = (): number => n();\n`,
    'no-cycle',
  ],
  [
    'toolchain/n.ts',
    `import { m } from './m.ts';\nexport const n = (): number => m();\n`,
    'no-cycle',
  ],
  ['toolchain/o.ts', `export default 1;\n`, 'no-default-export'],
  ['toolchain/p.ts', `export const p = (a: number): boolean => a == 1;\n`, 'eqeqeq'],
  [
    'toolchain/q.ts',
    `async function f(): Promise<void> {}\nexport function q(): void {\n  f();\n}\n`,
    'no-floating-promises',
  ],
  [
    'toolchain/r.ts',
    `export function r(k: 'a' | 'b'): number {\n  switch (k) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n`,
    'switch-exhaustiveness-check',
  ],
  [
    'toolchain/s.ts',
    `export function s(a: number) {\n  return a;\n}\n`,
    'explicit-module-boundary-types',
  ],
  ['toolchain/u.ts', `export const u = (a: any): number => (a ? 1 : 0);\n`, 'no-explicit-any'],
  [
    'toolchain/long-function.ts',
    `export function t(): number {\n  let a = 0;\n${'  a += 1;\n'.repeat(70)}  return a;\n}\n`,
    'max-lines-per-function',
  ],
  ['toolchain/long-file.ts', `export const z = [\n${'  0,\n'.repeat(500)}];\n`, 'max-lines'],
  ['toolchain/v.ts', `export * from './x.ts';\n`, 'no-barrel-file'],
  [
    'toolchain/w.ts',
    `import { X } from '../runtime/sys.ts';\nexport const w: X = 1;\n`,
    'consistent-type-imports',
  ],
];

test('every planted fault is reported, and nothing else is', () => {
  using dir = tempDir();
  for (const name of ['.oxlintrc.json', 'tsconfig.json'])
    copyFileSync(join(ROOT, name), join(dir.path, name));
  symlinkSync(join(ROOT, 'node_modules'), join(dir.path, 'node_modules'));
  for (const [path, source] of PLANTED) {
    mkdirSync(dirname(join(dir.path, path)), { recursive: true });
    writeFileSync(join(dir.path, path), source);
  }
  const oxlint = join(ROOT, 'node_modules/.bin/oxlint');
  const { stdout } = spawnSync(oxlint, ['--type-aware', '--format', 'unix'], {
    cwd: dir.path,
    encoding: 'utf8',
  });
  for (const [path, , rule] of PLANTED) {
    const reports = stdout.split('\n').filter((line) => line.startsWith(`${path}:`));
    const isAsPlanned =
      rule === undefined
        ? reports.length === 0
        : reports.some((line) => line.includes(`(${rule})`));
    assert.ok(
      isAsPlanned,
      `${path}: expected ${rule ?? 'nothing'}, got ${reports.join('; ') || 'nothing'}`,
    );
  }
});

test.run();
