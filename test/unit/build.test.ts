/** The rules that the build enforces on the device bundle. */
import { build as esbuild, type Metafile } from 'esbuild';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkRuntimeInputs, checkSize } from '../../toolchain/dev/build.ts';
import { tempDir } from '../support/temp-dir.ts';

const test = suite('build');

/** The metafile of a planted tree whose entry is runtime/verify.ts. */
async function metafileOf(files: Readonly<Record<string, string>>): Promise<Metafile> {
  using dir = tempDir();
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(dirname(join(dir.path, path)), { recursive: true });
    writeFileSync(join(dir.path, path), source);
  }
  const { metafile } = await esbuild({
    absWorkingDir: dir.path,
    entryPoints: ['runtime/verify.ts'],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    external: ['node:fs'],
    mainFields: ['module', 'main'],
    logLevel: 'silent',
  });
  return metafile;
}

const X = 'export const x = Math.sqrt(2);';

const TREES: readonly [name: string, files: Record<string, string>, refused: RegExp | undefined][] =
  [
    [
      'runtime alone',
      { 'runtime/verify.ts': `export * from './a.ts';`, 'runtime/a.ts': X },
      undefined,
    ],
    [
      'a package',
      {
        'runtime/verify.ts': `export * from '../node_modules/cbor-x/decode.js';`,
        'node_modules/cbor-x/decode.js': X,
      },
      /contains node_modules\/cbor-x\/decode\.js/,
    ],
    [
      'a file of the toolchain',
      { 'runtime/verify.ts': `export * from '../toolchain/x.ts';`, 'toolchain/x.ts': X },
      /contains toolchain\/x\.ts/,
    ],
    [
      'a module of Node',
      { 'runtime/verify.ts': `export { readFileSync } from 'node:fs';` },
      /contains node:fs/,
    ],
  ];

test('the device bundle holds runtime/ and nothing else', async () => {
  for (const [name, files, refused] of TREES) {
    const metafile = await metafileOf(files);
    const check = (): void => checkRuntimeInputs(metafile);
    if (refused === undefined) assert.not.throws(check, name);
    else assert.throws(check, refused, name);
  }
});

test('a bundle over its budget is refused', () => {
  assert.not.throws(() => checkSize('runtime.js', 100, 100));
  assert.throws(
    () => checkSize('runtime.js', 101, 100),
    /runtime\.js needs 101 bytes: expected at most 100/,
  );
});

test.run();
