/**
 * Bundles test files for the guarded runner.
 *
 * All files go into one flat directory inside the repository, so that packages resolve, `import.meta.url` has the same
 * depth everywhere, and the hashing thread lies beside the code that starts it. `uvu` becomes the recording wrapper.
 */
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { existsSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
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

export interface TestBundle {
  readonly file: string;
  readonly path: string;
  /** Why the file could not be bundled. */
  readonly fault?: string;
}

/** Bundles `files` (absolute paths) into `outdir`; a file that does not bundle does not stop the others. */
export async function bundleTests(
  files: readonly string[],
  outdir: string,
): Promise<{ bundles: TestBundle[]; harness: string }> {
  const entryPoints: Record<string, string> = { harness: join(ROOT, 'test/support/harness.ts') };
  const worker = join(ROOT, 'toolchain/objects/hash-worker.ts');
  if (existsSync(worker)) entryPoints['hash-worker'] = worker;
  const bundles: TestBundle[] = files.map((file, i) => {
    const name = relative(ROOT, file)
      .replace(/\.ts$/, '')
      .replace(/[^\w.]+/g, '_');
    return { file, path: join(outdir, `${i}-${name}.mjs`) };
  });
  const entriesOf = (each: readonly TestBundle[]): Record<string, string> =>
    Object.fromEntries(each.map(({ file, path }) => [basename(path, '.mjs'), file]));
  const harness = join(outdir, 'harness.mjs');
  try {
    await build({
      ...buildOptions(outdir),
      entryPoints: { ...entryPoints, ...entriesOf(bundles) },
    });
    return { bundles, harness };
  } catch {
    // One bad file spoils a joint build, so find out which ones it is.
    const checked = await Promise.all(bundles.map((bundle) => checkBundle(bundle, outdir)));
    const good = checked.filter(({ fault }) => fault === undefined);
    await build({ ...buildOptions(outdir), entryPoints: { ...entryPoints, ...entriesOf(good) } });
    return { bundles: checked, harness };
  }
}

async function checkBundle(bundle: TestBundle, outdir: string): Promise<TestBundle> {
  try {
    await build({ ...buildOptions(outdir), entryPoints: [bundle.file], write: false });
    return bundle;
  } catch (error) {
    return { ...bundle, fault: (error as Error).message };
  }
}

function buildOptions(outdir: string): BuildOptions {
  return {
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
    logLevel: 'silent',
    plugins: [guardUvu],
  };
}
