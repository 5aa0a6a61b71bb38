/**
 * The QuickJS engine of a board: one static program with the device bundle in it as bytecode.
 *
 * Same sources, bundle, compiler and C library, same bytes, on every run and in every directory. What was built is kept
 * in the cache under the digest of all that went in, so that a second release takes no time.
 *
 * QuickJS-ng and glibc are linked into the program: see docs/decisions/0035-quickjs-engine.md for their licences.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { RUNTIME_REASONS } from '../../runtime/reasons.ts';
import { explainSysError } from '../../runtime/sys-error.ts';
import type { BoardArchitecture } from '../board/qemu.ts';
import { runToolToSuccess } from '../host/run-tool.ts';
import {
  COMPILE_FLAGS,
  compile,
  type Compiler,
  findCompiler,
  HOST_ARCHITECTURE,
  link,
  LINK_FLAGS,
  OWN_FLAGS,
} from './compiler.ts';
import { cachedDirectory, digestOf, engineCache } from './engine-cache.ts';
import { fetchQuickjs, quickjsObjects, type QuickjsSources } from './quickjs-library.ts';

export interface EngineSettings {
  /** Path of the device bundle, dist/runtime.js; engine-quickjs.js and runtime-texts.json are beside it. */
  readonly bundle: string;
  /** Default: `$XDG_CACHE_HOME/coldseal`. */
  readonly cache?: string | undefined;
  /** Where compiled things are kept. Default: `engine` in the cache. */
  readonly objects?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told what takes long. */
  readonly onProgress?: ((step: string) => void) | undefined;
}

export interface BuiltEngine {
  /** In the cache; copy it, do not change it. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Bytes: the program, and in it the bytecode of the bundle and of the engine module, and the text of reasons. */
  readonly sizes: {
    readonly program: number;
    readonly bundle: number;
    readonly engine: number;
    readonly reasons: number;
  };
}

/** The engine is most of an initramfs, which the bootloader reads and the kernel unpacks within the budget. */
export const ENGINE_SIZE_MAX = 2.5 * 1024 * 1024;

const PROGRAM = 'init';
const COMPILER_SOURCE = 'compile.c';
const EMBED_SOURCE = 'embed.S';

/** Builds the engine, or finds it in the cache. */
export async function buildEngine(
  architecture: BoardArchitecture,
  settings: EngineSettings,
): Promise<BuiltEngine> {
  const { signal, onProgress = () => undefined } = settings;
  const scripts = readScripts(settings.bundle);
  const compiler = await findCompiler(architecture, signal);
  onProgress('fetch the sources of QuickJS-ng');
  const sources = await fetchQuickjs(settings.cache, signal);
  const own = engineSources();
  const cache = settings.objects ?? engineCache(settings.cache);
  const inputs = [
    architecture,
    compiler.version,
    sources.version,
    ...COMPILE_FLAGS,
    ...OWN_FLAGS,
    ...LINK_FLAGS,
    ...readAll(own),
    ...Object.values(scripts),
  ];
  const name = `${architecture}-${digestOf(inputs)}`;
  const directory = await cachedDirectory(cache, name, async (work) => {
    onProgress(`compile QuickJS-ng ${sources.version} for ${architecture}`);
    const library = { sources, compiler, cache, signal };
    const objects = await quickjsObjects({ ...library, parser: false });
    onProgress('compile the device bundle');
    await compileScripts(work, scripts, { sources, cache, signal });
    onProgress('link the engine');
    await linkEngine(work, { own, sources, compiler, objects, signal });
  });
  return readEngine(directory, architecture);
}

interface Scripts {
  readonly bundle: Uint8Array;
  readonly engine: Uint8Array;
  readonly reasons: Uint8Array;
  readonly texts: Uint8Array;
}

function readScripts(bundle: string): Scripts {
  const reasons = Object.entries(RUNTIME_REASONS).map(([code, text]) => `${code}\t${text}\n`);
  const engine = join(dirname(bundle), 'engine-quickjs.js');
  const read = (path: string): Uint8Array => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw explainSysError(error, `Cannot read the device bundle ${path}`, {
        hint: 'run npm run build',
      });
    }
  };
  return {
    bundle: read(bundle),
    engine: read(engine),
    reasons: Buffer.from(reasons.join('')),
    texts: read(join(dirname(bundle), 'runtime-texts.json')),
  };
}

/** The C sources that come with coldseal: the nearest runtime/engines/quickjs above this bundle. */
export function engineSources(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let dir = here; dirname(dir) !== dir; dir = dirname(dir)) {
    const candidate = join(dir, 'runtime/engines/quickjs');
    if (existsSync(join(candidate, 'host.c'))) return candidate;
  }
  throw new ColdsealError(
    'HOST_NOT_FOUND',
    `Cannot find the sources of the engine: expected runtime/engines/quickjs above ${here}`,
  );
}

function readAll(directory: string): (string | Uint8Array)[] {
  const names = readdirSync(directory).filter((name) => /\.[chS]$/.test(name));
  return names.sort().flatMap((name) => [name, readFileSync(join(directory, name))]);
}

/** The C files of the engine itself, sorted. */
export function ownCFiles(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.c'));
  return names.filter((name) => name !== COMPILER_SOURCE).sort();
}

interface ScriptTools {
  readonly sources: QuickjsSources;
  readonly cache: string;
  readonly signal: AbortSignal | undefined;
}

/** Bytecode is made on this machine, whatever the board's; it is the same for all that are little-endian. */
async function compileScripts(work: string, scripts: Scripts, tools: ScriptTools): Promise<void> {
  const compileTool = await bytecodeCompiler(tools);
  writeFileSync(join(work, 'reasons.txt'), scripts.reasons);
  writeFileSync(join(work, 'texts.json'), scripts.texts);
  for (const name of ['bundle', 'engine'] as const) {
    const [from, to] = [join(work, `${name}.js`), join(work, `${name}.bin`)];
    writeFileSync(from, scripts[name]);
    await runToolToSuccess([compileTool, `coldseal:${name}`, from, to], {
      debian: 'gcc',
      signal: tools.signal,
    });
  }
}

async function bytecodeCompiler({ sources, cache, signal }: ScriptTools): Promise<string> {
  const compiler = await findCompiler(HOST_ARCHITECTURE, signal);
  const own = engineSources();
  const source = readFileSync(join(own, COMPILER_SOURCE));
  const key = digestOf([sources.version, compiler.version, ...COMPILE_FLAGS, source]);
  const directory = await cachedDirectory(cache, `compile-${key}`, async (work) => {
    const objects = await quickjsObjects({ sources, compiler, parser: true, cache, signal });
    const object = join(work, 'compile.o');
    await compileOwn(compiler, own, sources, COMPILER_SOURCE, object, [], signal);
    await link(compiler, [object, ...objects], join(work, 'compile'), ['-no-pie'], signal);
  });
  return join(directory, 'compile');
}

/** Compiles a C file of this project, with warnings as errors; QuickJS's headers are not its concern. */
export async function compileOwn(
  compiler: Compiler,
  own: string,
  sources: QuickjsSources,
  source: string,
  object: string,
  extra: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const flags = [...COMPILE_FLAGS, ...OWN_FLAGS, '-isystem', sources.directory, ...extra];
  await compile(compiler, { directory: own, source, object, flags, signal });
}

interface LinkJob {
  readonly own: string;
  readonly sources: QuickjsSources;
  readonly compiler: Compiler;
  /** Of QuickJS. */
  readonly objects: readonly string[];
  readonly signal: AbortSignal | undefined;
}

async function linkEngine(work: string, job: LinkJob): Promise<void> {
  const { own, sources, compiler, objects, signal } = job;
  const ownObjects: string[] = [];
  for (const source of [...ownCFiles(own), EMBED_SOURCE]) {
    const object = join(work, `${source}.o`);
    // What embed.S includes is found by name alone in the directory of this build.
    const extra = source === EMBED_SOURCE ? [`-Wa,-I,${work}`] : [];
    await compileOwn(compiler, own, sources, source, object, extra, signal);
    ownObjects.push(object);
  }
  const program = join(work, PROGRAM);
  await link(compiler, [...ownObjects, ...objects], program, LINK_FLAGS, signal);
  chmodSync(program, 0o755);
}

function readEngine(directory: string, architecture: BoardArchitecture): BuiltEngine {
  const path = join(directory, PROGRAM);
  const bytes = readFileSync(path);
  if (bytes.length > ENGINE_SIZE_MAX) {
    throw new ColdsealError(
      'BUDGET_ENGINE_SIZE',
      `Cannot use the engine for ${architecture}: it has ${bytes.length} bytes, expected at most ${ENGINE_SIZE_MAX}`,
    );
  }
  const size = (name: string): number => readFileSync(join(directory, name)).length;
  return {
    path,
    bytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sizes: {
      program: bytes.length,
      bundle: size('bundle.bin'),
      engine: size('engine.bin'),
      reasons: size('reasons.txt'),
    },
  };
}
