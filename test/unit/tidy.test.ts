/**
 * Whether the house is in order: rules about the sources that neither the compiler nor the linter knows.
 *
 * The exceptions lists only ever get shorter; an entry that is no longer needed fails too.
 */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { staleFiles } from '../../toolchain/dev/docs.ts';
import { TOOLCHAIN_REASONS } from '../../toolchain/reasons.ts';
import {
  importsOf,
  sourceFiles,
  withoutComments,
  type SourceFile,
} from '../support/source-files.ts';

const test = suite('tidy');

/** Codes that no test asserts yet. */
const UNTESTED_CODES: readonly string[] = [];

const LINE_MAX = 120;

const files = sourceFiles();
const typescript = files.filter(({ path }) => /^(runtime|toolchain|test)\/.*\.ts$/.test(path));
const runtime = typescript.filter(({ path }) => path.startsWith('runtime/'));
const toolchain = typescript.filter(({ path }) => path.startsWith('toolchain/'));
const tests = typescript.filter(({ path }) => path.startsWith('test/'));
const product = [...runtime, ...toolchain];

/** The lines of some files that match, as `path:line: text`; comments do not count. */
function findLines(where: readonly SourceFile[], pattern: RegExp): string[] {
  return where.flatMap(({ path, text }) =>
    withoutComments(text)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

function assertNone(found: readonly string[], rule: string): void {
  if (found.length > 0) throw new Error(`${rule}\n  ${found.slice(0, 40).join('\n  ')}`);
}

test('runtime imports nothing of toolchain, and node:* and packages only in the engines', () => {
  const faults = runtime.flatMap(({ path, text }) => {
    const isEngine = /^runtime\/engines\/(node|fuse)\//.test(path);
    return importsOf(text)
      .filter(({ from }) => {
        if (from.startsWith('.')) return /(^|\/)(toolchain|test)\//.test(from);
        return !isEngine;
      })
      .map(({ from, line }) => `${path}:${line}: ${from}`);
  });
  assertNone(faults, 'a forbidden import');
});

test('toolchain imports nothing of the tests, except the development scripts that run them', () => {
  const faults = toolchain
    .filter(({ path }) => !path.startsWith('toolchain/dev/'))
    .flatMap(({ path, text }) => importsOf(text).map(({ from }) => `${path}: ${from}`))
    .filter((line) => /\.\.\/test\//.test(line));
  assertNone(faults, 'a forbidden import');
});

test('runtime/format is pure', () => {
  const format = runtime.filter(({ path }) => path.startsWith('runtime/format/'));
  const impure =
    /\b(Date|Buffer|process|performance|setTimeout|TextDecoder|TextEncoder)\b\s*[.(]|Math\.random/;
  assertNone(findLines(format, impure), 'a clock, chance or an engine in runtime/format');
  const faults = format.flatMap(({ path, text }) =>
    importsOf(text)
      .filter(({ from, isType }) => from.startsWith('../') && !isType)
      .map(({ from, line }) => `${path}:${line}: ${from}`),
  );
  assertNone(faults, 'runtime/format imports only types from outside itself');
});

test('neither the writer nor the release reads the clock', () => {
  const writers = toolchain.filter(({ path }) => path.startsWith('toolchain/image/'));
  assertNone(
    findLines(writers, /Date\.now|new Date\(\)|Math\.random/),
    'a clock or chance in the writer',
  );
});

test('only main.ts chooses the exit code, and only the CLI writes to the process streams', () => {
  const mains = /^toolchain\/(main\.ts|dev\/|bench\/)|^runtime\/engines\/node\/main\.ts$/;
  const others = product.filter(({ path }) => !mains.test(path));
  assertNone(findLines(others, /process\.(exit\b|exitCode)/), 'an exit code chosen elsewhere');
  assertNone(findLines(others, /process\.(stdout|stderr)\b/), 'a process stream used elsewhere');
});

test('only toolchain/sign touches private keys', () => {
  const others = product.filter(({ path }) => !path.startsWith('toolchain/sign/'));
  assertNone(
    findLines(others, /createPrivateKey|privateKeyFromPem|PRIVATE KEY-----/),
    'a private key elsewhere',
  );
});

const CODE = /['"`]((?:INTERNAL|USAGE|CONFIG|VERIFY|FORMAT|BUDGET|HOST)_[A-Z0-9_]+)['"`]/g;

/** Where CONFIG_ names are the kernel's build options. */
const KERNEL_OPTIONS = /^toolchain\/(host|disk)\//;

function codesIn(where: readonly SourceFile[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { path, text } of where) {
    if (path.endsWith('/reasons.ts')) continue;
    for (const [, code] of withoutComments(text).matchAll(CODE)) {
      const isKernelOption = KERNEL_OPTIONS.test(path) && code!.startsWith('CONFIG_');
      if (!isKernelOption || Object.hasOwn(TOOLCHAIN_REASONS, code!)) found.set(code!, path);
    }
  }
  return found;
}

test('every code has a row where it is thrown, and every row is used there', () => {
  const trees: readonly [SourceFile[], Record<string, string>, Record<string, string>][] = [
    [runtime, RUNTIME_REASONS, {}],
    [toolchain, TOOLCHAIN_REASONS, RUNTIME_REASONS],
  ];
  for (const [where, own, shared] of trees) {
    const used = codesIn(where);
    const missing = [...used].filter(([code]) => !(code in own) && !(code in shared));
    assertNone(
      missing.map(([code, path]) => `${code} in ${path}`),
      'a code without a row',
    );
    assertNone(
      Object.keys(own).filter((code) => !used.has(code)),
      'a row whose code is never used',
    );
  }
  assertNone(
    Object.keys(TOOLCHAIN_REASONS).filter((code) => code in RUNTIME_REASONS),
    'a row in both tables',
  );
});

test('codes are written out, never put together', () => {
  const parts = /`[^`]*\b(INTERNAL|USAGE|CONFIG|VERIFY|FORMAT|BUDGET|HOST)_[A-Z0-9_]*\$\{/;
  const types = /runtime\/format\/errors\.ts/;
  assertNone(
    findLines(
      product.filter(({ path }) => !types.test(path)),
      parts,
    ),
    'a code put together',
  );
});

test('rows are sorted, and their meanings are phrases without a full stop', () => {
  for (const table of [RUNTIME_REASONS, TOOLCHAIN_REASONS]) {
    assert.equal(Object.keys(table), Object.keys(table).sort());
    assertNone(
      Object.values(table).filter((meaning) => /^$|\.$|\n/.test(meaning)),
      'a meaning out of shape',
    );
  }
});

test('every code is asserted by a test', () => {
  const isTested = (code: string): boolean =>
    files.some(
      ({ path, text }) =>
        path.startsWith('test/') && path !== 'test/unit/tidy.test.ts' && text.includes(code),
    );
  const codes = [...Object.keys(RUNTIME_REASONS), ...Object.keys(TOOLCHAIN_REASONS)];
  const untested = codes.filter((code) => !isTested(code));
  assertNone(
    untested.filter((code) => !UNTESTED_CODES.includes(code)),
    'a code that no test names',
  );
  assertNone(
    UNTESTED_CODES.filter((code) => !untested.includes(code)),
    'an exception no longer needed',
  );
});

test('lines are short enough to read', () => {
  const faults = typescript.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, i) => (line.length > LINE_MAX ? [`${path}:${i + 1}: ${line.length}`] : [])),
  );
  assertNone(faults, `a line over ${LINE_MAX} characters`);
});

test('every file opens by saying what it is', () => {
  const faults = typescript.filter(({ text }) => !text.startsWith('/**')).map(({ path }) => path);
  assertNone(faults, 'a file without an opening comment');
});

test('nothing is left for later', () => {
  // The words are spelled so that this line does not match itself.
  const marks = /\b(TO[D]O|FIX[M]E|XX[X])\b/;
  const faults = [
    ...typescript,
    ...files.filter(({ path }) => /\.(mjs|md|yaml|c)$/.test(path)),
  ].flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (marks.test(line) ? [`${path}:${i + 1}: ${line}`] : [])),
  );
  assertNone(faults, 'a note for later');
  assertNone(findLines(typescript, /\bas any\b|@ts-(ignore|nocheck)/), 'an unchecked type');
  const ordinary = tests.filter(
    ({ path }) => !/runner\.test\.ts$|support\/guarded-uvu\.ts$/.test(path),
  );
  assertNone(findLines(ordinary, /\b\w+\.(only|skip)\(/), 'a focused or silently skipped test');
});

// Names of places and tools that belong to no reader of this project, as digests, so that they are not named here.
const FOREIGN_WORDS = new Set([
  '216d3696f4fb08b1',
  '902546650b60bae0',
  '4ea91362a1443499',
  '8cf10d1b0e07c1d8',
  'fbb8037df8cc9050',
  '40622135302ec6b0',
  '63a2967111cc0b70',
  '70f0d1f1823263c8',
]);

test('no file names a private place', () => {
  const faults = files.flatMap(({ path, text }) =>
    foreignWords(text).map((word) => `${path}: ${word}`),
  );
  assertNone(faults, 'a name that means nothing to a reader');
  const hosts =
    /https?:\/\/(?:[\w-]+\.)*[\w-]+\.(?:internal|local|lan|corp|intra)\b|https?:\/\/(?:10|192\.168)\./;
  assertNone(
    files.filter(({ text }) => hosts.test(text)).map(({ path }) => path),
    'a private host',
  );
  const lock = files.find(({ path }) => path === 'package-lock.json')?.text ?? '';
  const resolved = [...lock.matchAll(/"resolved": "([^"]+)"/g)].map((match) => match[1]!);
  assertNone(
    resolved.filter((url) => !url.startsWith('https://registry.npmjs.org/')),
    'a private registry',
  );
});

function foreignWords(text: string): string[] {
  const candidates = new Set<string>();
  for (const { 0: word, index } of text.matchAll(/[\w.-]+/g)) {
    const isFollowed = text[index + word.length] === '/';
    const isAbsolute = text[index - 1] === '/' && !/[\w./-]/.test(text[index - 2] ?? ' ');
    candidates.add(word);
    if (isFollowed) candidates.add(`${word}/`);
    if (isFollowed && isAbsolute) candidates.add(`/${word}/`);
  }
  return [...candidates].filter((word) => {
    const digest = createHash('sha256').update(word).digest('hex').slice(0, 16);
    return FOREIGN_WORDS.has(digest);
  });
}

test('the search for private places finds them', () => {
  const planted = Buffer.from('c2VlIC93b3JrL3ggYW5kIHNoYXJlZC94', 'base64').toString();
  assert.is(foreignWords(planted).length, 2);
  assert.equal(foreignWords('a/network/x'), []);
});

test('the lock file holds every optional package of another platform, or npm ci refuses it', () => {
  interface Package {
    readonly optionalDependencies?: Record<string, string>;
  }
  const text = files.find(({ path }) => path === 'package-lock.json')?.text ?? '{}';
  const { packages } = JSON.parse(text) as { packages: Record<string, Package> };
  const locked = Object.keys(packages);
  const wanted = Object.values(packages).flatMap((each) =>
    Object.keys(each.optionalDependencies ?? {}),
  );
  assertNone(
    wanted.filter((name) => !locked.some((path) => path.endsWith(`node_modules/${name}`))),
    'a package missing from package-lock.json',
  );
});

test('generated files are current', async () => {
  assertNone(await staleFiles(), 'run `npm run docs`');
});

test('comments are told from code', () => {
  const cases: readonly [string, string][] = [
    ['a // b', 'a     '],
    [`'// not' // yes`, `'// not'       `],
    ['`/* not */` /* yes */', '`/* not */`          '],
    ['x = /\\/\\//; // yes', 'x = /\\/\\//;       '],
    ['/* a\nb */ c', '    \n     c'],
  ];
  for (const [source, expected] of cases) assert.is(withoutComments(source), expected);
});

test('imports are found in all their forms', () => {
  const source = `import { a } from './a.ts';
import type { B } from './b.ts';
export { c } from './c.ts';
import {
  d,
} from './d.ts';
// import './no.ts';
const e = await import('./e.ts');
import './f.ts';
`;
  assert.equal(
    importsOf(source).map(({ from, isType }) => [from, isType]),
    [
      ['./a.ts', false],
      ['./b.ts', true],
      ['./c.ts', false],
      ['./d.ts', false],
      ['./e.ts', false],
      ['./f.ts', false],
    ],
  );
});

test.run();
