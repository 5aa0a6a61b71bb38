/**
 * Test files on both engines: which can run without Node, and their bundles.
 *
 * A file qualifies when it tests the runtime (it imports at least as much from there as from the toolchain) and nothing
 * in its bundle imports from Node, apart from modules with a stand-in: node:crypto and what makes keys (recorded on
 * Node, replayed on QuickJS), and the Node engine's Crypto (QuickJS's own there).
 */
import { build, type Metafile, type Plugin } from 'esbuild';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../toolchain/dev/root.ts';

const SUPPORT = join(ROOT, 'test/support/quickjs');
const ENGINE_CRYPTO = join(ROOT, 'runtime/engines/node/crypto.ts');
/** Modules that import from Node what a stand-in replaces. */
const STANDING_IN = [
  'test/support/make-certificate.ts',
  'test/support/test-release.ts',
  'runtime/engines/node/compute-digest.ts',
  'runtime/engines/node/crypto.ts',
].map((path) => join(ROOT, path));

export type EngineName = 'node' | 'quickjs';

function standIns(engine: EngineName, record: readonly string[]): Plugin {
  const way = engine === 'node' ? 'recorded' : 'replayed';
  const own = (name: string): { path: string } => ({ path: join(SUPPORT, name) });
  return {
    name: 'stand-ins',
    setup(bundler) {
      bundler.onResolve({ filter: /^uvu$/ }, () => own('uvu.ts'));
      bundler.onResolve({ filter: /^coldseal:record$/ }, ({ path }) => ({
        path,
        namespace: 'record',
      }));
      bundler.onLoad({ filter: /./, namespace: 'record' }, () => ({
        contents: JSON.stringify(record),
        loader: 'json',
      }));
      bundler.onResolve({ filter: /^node:/ }, ({ path, importer }) => {
        const isOwn = importer.startsWith(SUPPORT) || importer === ENGINE_CRYPTO;
        if (path === 'node:crypto' && !isOwn) return own(`${way}-crypto.ts`);
        if (path === 'node:fs' && STANDING_IN.includes(importer)) return own(`${way}-fs.ts`);
        if (path === 'node:path' && STANDING_IN.includes(importer) && engine === 'quickjs') {
          return own('path.ts');
        }
        return { path, external: true };
      });
      bundler.onResolve({ filter: /engines\/node\/crypto\.ts$/ }, ({ importer }) =>
        importer.startsWith(SUPPORT)
          ? undefined
          : own(engine === 'node' ? 'recorded-engine-crypto.ts' : 'engine-crypto.ts'),
      );
      if (engine === 'node') return;
      bundler.onResolve({ filter: /dev\/root\.ts$/ }, () => own('root.ts'));
    },
  };
}

const FINISH: Readonly<Record<EngineName, string>> = {
  node: `import { record } from './recorded-crypto.ts';
    const report = await runAll();
    process.stdout.write(JSON.stringify({ report, record }));`,
  quickjs: `import { encodeUtf8 } from '../../../runtime/format/utf8.ts';
    export async function start(host) {
      host.write(1, encodeUtf8(JSON.stringify({ report: await runAll() })));
      return 0;
    }`,
};

export interface EngineBundle {
  /** ES module. */
  readonly text: string;
  /** What it imports from Node. */
  readonly imports: readonly string[];
}

/** Bundles one test file for an engine; `record` is what its Node run recorded. Undefined when it does not bundle. */
export async function bundleForEngine(
  file: string,
  engine: EngineName,
  record: readonly string[] = [],
): Promise<EngineBundle | undefined> {
  const world = engine === 'node' ? './node-world.ts' : './world.ts';
  const contents = `import '${world}';
    import { runAll } from './uvu.ts';
    import '${join(ROOT, file)}';
    ${FINISH[engine]}`;
  try {
    const result = await build({
      stdin: { contents, resolveDir: SUPPORT, loader: 'ts' },
      absWorkingDir: ROOT,
      bundle: true,
      write: false,
      metafile: true,
      // package.json says that modules have no side effects; registering tests is one.
      ignoreAnnotations: true,
      format: 'esm',
      target: 'es2022',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      logLevel: 'silent',
      plugins: [standIns(engine, record)],
    });
    return { text: result.outputFiles[0]!.text, imports: externalsOf(result.metafile) };
  } catch {
    // Packages that need Node do not resolve here.
    return undefined;
  }
}

function externalsOf(metafile: Metafile): string[] {
  return Object.values(metafile.outputs).flatMap((output) =>
    output.imports.filter((item) => item.external === true).map((item) => item.path),
  );
}

/** The test files whose subject is the runtime, as paths below the repository, sorted. */
export function runtimeTests(): string[] {
  const files = ['test/unit', 'test/tamper'].flatMap((dir) =>
    readdirSync(join(ROOT, dir)).map((name) => `${dir}/${name}`),
  );
  return files.filter((file) => file.endsWith('.test.ts') && testsRuntime(file)).sort();
}

function testsRuntime(file: string): boolean {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const count = (part: string): number => text.split(`from '../../${part}/`).length - 1;
  return count('runtime') > 0 && count('runtime') >= count('toolchain');
}
