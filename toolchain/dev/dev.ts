/**
 * `npm run dev`: on every save, rebuilds and reruns the tests that reach the saved file.
 *
 * Suites that need mounts or outside tools are left to `npm test`. With patterns, only matching tests are considered.
 */
import { build as esbuild } from 'esbuild';
import { readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { runTests } from '../../test/run.ts';
import { build } from './build.ts';
import { ROOT } from './root.ts';

const WATCHED = ['runtime', 'toolchain', 'test'];
const SETTLE_MS = 150;

/** Watches until it is interrupted. */
export async function main(patterns: readonly string[]): Promise<number> {
  const changed = new Set<string>();
  let wake = (): void => undefined;
  for (const dir of WATCHED) {
    watch(join(ROOT, dir), { recursive: true }, (_event, name) => {
      if (name?.endsWith('.ts') !== true) return;
      changed.add(`${dir}/${name}`);
      wake();
    });
  }
  console.log(`Watching ${WATCHED.join(', ')}; end with Ctrl-C`);
  for (;;) {
    if (changed.size === 0) await new Promise<void>((resolve) => (wake = resolve));
    // An editor may write a file in several steps.
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const files = [...changed];
    changed.clear();
    await rerun(files, patterns);
  }
}

async function rerun(changed: readonly string[], patterns: readonly string[]): Promise<void> {
  console.log(`\n${new Date().toTimeString().slice(0, 8)} changed: ${changed.join(', ')}`);
  try {
    await build({ keepOldChunks: true });
    const tests = (await testsReaching(changed)).filter(
      (test) => patterns.length === 0 || patterns.some((pattern) => test.includes(pattern)),
    );
    if (tests.length === 0) console.log('No unit or tamper test reaches these files');
    else await runTests({ patterns: tests, print: (line) => console.log(line) });
  } catch (error) {
    console.log((error as Error).message);
  }
}

/** The test files whose imports lead to one of the changed files. */
async function testsReaching(changed: readonly string[]): Promise<string[]> {
  const tests = ['test/unit', 'test/tamper'].flatMap((dir) =>
    readdirSync(join(ROOT, dir))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `${dir}/${name}`),
  );
  const { metafile } = await esbuild({
    entryPoints: tests,
    absWorkingDir: ROOT,
    outdir: 'out',
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });
  const reaches = (path: string, seen: Set<string>): boolean => {
    if (changed.includes(path)) return true;
    if (seen.has(path)) return false;
    seen.add(path);
    return metafile.inputs[path]?.imports.some((item) => reaches(item.path, seen)) ?? false;
  };
  return tests.filter((test) => reaches(test, new Set()));
}
