/**
 * The bootstrap behind every npm script, in plain JavaScript because nothing may be installed yet.
 *
 * Installs the packages when node_modules is missing or older than package-lock.json, bundles toolchain/dev/<script>.ts
 * with esbuild (Node 20 cannot run TypeScript) and runs it with the remaining arguments. Its exit code is passed on.
 */
import { spawnSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [script = '', ...args] = process.argv.slice(2);
const source = join(root, 'toolchain/dev', `${script}.ts`);

if (script === '' || !existsSync(source)) {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  console.error(`Cannot run "${script}": expected one of ${Object.keys(scripts).join(', ')}`);
  process.exit(2);
}

installPackages();

const outdir = join(root, 'out', `run-${process.pid}`);
process.on('exit', () => rmSync(outdir, { recursive: true, force: true }));
process.exitCode = await bundleAndRun();

function installPackages() {
  const installed = join(root, 'node_modules/.package-lock.json');
  const isCurrent =
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
  if (isCurrent) return;
  console.error('Installing packages: npm ci');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error(
      'Cannot install packages: npm ci failed, expected it to reach the registry or its cache',
    );
    process.exit(6);
  }
}

async function bundleAndRun() {
  const { build } = await import('esbuild');
  // A script exports `main(args)`, which returns its exit code, or simply does its work when it is imported.
  const entry = `import * as script from ${JSON.stringify(source)};
    if (typeof script.main === 'function') process.exitCode = (await script.main(process.argv.slice(2))) ?? 0;`;
  const worker = join(root, 'toolchain/objects/hash-worker.ts');
  const common = {
    outdir,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
  };
  try {
    await build({
      ...common,
      stdin: { contents: entry, resolveDir: root, sourcefile: `${script}.mjs` },
    });
    if (existsSync(worker)) await build({ ...common, entryPoints: [worker] });
  } catch (error) {
    console.error(`Cannot bundle toolchain/dev/${script}.ts: ${error.message}`);
    return 1;
  }
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', join(outdir, 'stdin.mjs'), ...args],
    {
      stdio: 'inherit',
      cwd: root,
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}
