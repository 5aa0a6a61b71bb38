/**
 * The engine's test build: the same C files with QuickJS's parser, which evaluates the module in a file.
 *
 * With `sanitize`, it is linked dynamically with the address and undefined-behaviour sanitizers, and QuickJS with it.
 * The test files and stand-ins that it runs are in test/support/quickjs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { compileOwn, engineSources, ownCFiles } from '../../toolchain/engine/build-engine.ts';
import {
  findCompiler,
  HOST_ARCHITECTURE,
  link,
  LINK_FLAGS,
} from '../../toolchain/engine/compiler.ts';
import { cachedDirectory, digestOf, engineCache } from '../../toolchain/engine/engine-cache.ts';
import { fetchQuickjs, quickjsObjects } from '../../toolchain/engine/quickjs-library.ts';
import { areToolsRequired, skipTest } from './tools.ts';

const SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-g'];
/** A call through a pointer of another type is how QuickJS stores its functions; the rest must be clean. */
const SANITIZED_LINK = ['-no-pie', '-fsanitize=address,undefined'];

/** Path of the test build for this machine. */
export async function buildTestEngine({ sanitize = false } = {}): Promise<string> {
  const compiler = await findCompiler(HOST_ARCHITECTURE);
  const sources = await fetchQuickjs();
  const own = engineSources();
  const cache = engineCache();
  const extra = ['-DCOLDSEAL_TEST', ...(sanitize ? SANITIZE : [])];
  const texts = readdirSync(own)
    .filter((name) => /\.[ch]$/.test(name))
    .sort()
    .map((name) => readFileSync(join(own, name)));
  const key = digestOf([compiler.version, sources.version, ...extra, ...texts]);
  const directory = await cachedDirectory(cache, `test-${key}`, async (work) => {
    const library = { sources, compiler, cache, parser: true };
    const objects = [...(await quickjsObjects({ ...library, extra: sanitize ? SANITIZE : [] }))];
    for (const source of ownCFiles(own)) {
      const object = join(work, `${source}.o`);
      await compileOwn(compiler, own, sources, source, object, extra, undefined);
      objects.push(object);
    }
    const flags = sanitize ? SANITIZED_LINK : LINK_FLAGS;
    await link(compiler, objects, join(work, 'engine'), flags, undefined);
  });
  return join(directory, 'engine');
}

/** Runs something that needs a compiler and Debian's sources; skips where those are not to be had. */
export async function needingCompiler<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const missing = ['HOST_TOOL_MISSING', 'HOST_NO_NETWORK', 'HOST_PACKAGE_MISSING'];
    if (error instanceof ColdsealError && missing.includes(error.code) && !areToolsRequired()) {
      return skipTest(error.message);
    }
    throw error;
  }
}
