/** SIGINT and SIGTERM, on the real entry with commands that wait: exit 130, after the clean-up where there is one. */
import { build } from 'esbuild';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../toolchain/dev/root.ts';
import { tempDir, type TempDir } from '../support/temp-dir.ts';

const test = suite('interruption');

let dir: TempDir;

test.before(async () => {
  // Below the repository, so that native packages resolve.
  mkdirSync(join(ROOT, 'out'), { recursive: true });
  dir = tempDir(join(ROOT, 'out'));
  // The CLI as it is, with the waiting commands put in front of its own.
  const list = 'export const COMMANDS: readonly Command[] = [';
  const slow = JSON.stringify(join(ROOT, 'test/support/slow-commands.ts'));
  await build({
    entryPoints: { cli: join(ROOT, 'toolchain/main.ts') },
    outdir: dir.path,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    external: ['koffi', 'fuse-native', 'cbor-extract'],
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
    },
    plugins: [
      {
        name: 'add-commands',
        setup: (bundler) =>
          bundler.onLoad({ filter: /toolchain\/cli\/program\.ts$/ }, ({ path }) => {
            const source = readFileSync(path, 'utf8');
            assert.ok(source.includes(list));
            const added = `import { SLOW_COMMANDS } from ${slow};\n${source.replace(list, `${list}...SLOW_COMMANDS,`)}`;
            return { contents: added, loader: 'ts' };
          }),
      },
    ],
  });
});

test.after(() => dir.remove());

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the CLI, sends the signals one after the other once it has started, and waits for its end. */
async function interrupt(
  args: readonly string[],
  signals: readonly NodeJS.Signals[],
): Promise<Ending> {
  const child = spawn(process.execPath, [join(dir.path, 'cli.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes('started')) resolve();
    });
    child.on('exit', () => resolve());
  });
  for (const signal of signals) {
    child.kill(signal);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr });
    }
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} waits for the clean-up of a command that watches`, async () => {
    const file = join(dir.path, `clean-${signal}`);
    const { code, stderr } = await interrupt(['careful', file, '--clean-up=200'], [signal]);
    assert.is(code, 130);
    assert.is(readFileSync(file, 'utf8'), 'clean');
    assert.match(stderr, /INTERRUPTED/);
    assert.not.match(stderr, /AbortError|Unexpected/);
  });

  test(`${signal} ends a command that does not watch at once`, async () => {
    const start = performance.now();
    assert.is((await interrupt(['deaf'], [signal])).code, 130);
    assert.ok(performance.now() - start < 30_000);
  });
}

test('a second signal does not wait for the clean-up', async () => {
  const file = join(dir.path, 'never');
  const { code } = await interrupt(['careful', file, '--clean-up=60000'], ['SIGINT', 'SIGINT']);
  assert.is(code, 130);
  assert.not(existsSync(file));
});

test('an interruption is one JSON document, too', async () => {
  const { code, stdout } = await interrupt(
    ['careful', join(dir.path, 'json'), '--json'],
    ['SIGINT'],
  );
  assert.is(code, 130);
  assert.equal(JSON.parse(stdout), {
    schema: 1,
    ok: false,
    error: { code: 'INTERRUPTED', message: 'Interrupted' },
  });
});

test.run();
