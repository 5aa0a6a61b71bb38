/**
 * Bundles test files for the guarded runner.
 *
 * All files go into one flat directory inside the repository, so that packages resolve, `import.meta.url` has the same
 * depth everywhere, and the hashing thread lies beside the code that starts it. `uvu` becomes the recording wrapper.
 */
import { build, type Plugin } from 'esbuild';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from './root.ts';

const WRAPPER = join(ROOT, 'test/support/guarded-uvu.ts');

const guardUvu: Plugin = {
  name: 'guard-uvu',
  setup(bundler) {
    bundler.onResolve({ filter: /^uvu$/ }, ({ importer }) =>
      importer === WRAPPER ? { path: 'uvu', external: true } : { path: WRAPPER },
    );
  },
};

/** Bundles `files` (absolute paths) into `outdir`; returns the bundle of each, in order, and that of the harness. */
export async function bundleTests(
  files: readonly string[],
  outdir: string,
): Promise<{ bundles: string[]; harness: string }> {
  const entryPoints: Record<string, string> = { harness: join(ROOT, 'test/support/harness.ts') };
  const worker = join(ROOT, 'toolchain/objects/hash-worker.ts');
  if (existsSync(worker)) entryPoints['hash-worker'] = worker;
  const names = files.map(
    (file, i) =>
      `${i}-${relative(ROOT, file)
        .replace(/[^\w.]+/g, '_')
        .replace(/\.ts$/, '')}`,
  );
  names.forEach((name, i) => (entryPoints[name] = files[i]!));
  await build({
    entryPoints,
    outdir,
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
    plugins: [guardUvu],
  });
  return {
    bundles: names.map((name) => join(outdir, `${name}.mjs`)),
    harness: join(outdir, 'harness.mjs'),
  };
}
