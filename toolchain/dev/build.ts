/**
 * `npm run build`: the host CLI and the device bundle, with their sizes against budget.
 *
 * dist/coldseal.mjs is the CLI with its chunks, dist/hash-worker.mjs the hashing thread, dist/runtime.js the device
 * bundle with its texts, dist/engine-quickjs.js what QuickJS needs beside it. Same sources, same bytes: nothing of the
 * clock, the environment or the directory order gets in. Files are written beside and renamed, and chunks are named by
 * content, so a running CLI never sees half a build.
 */
import { build as esbuild, type BuildOptions, type Metafile, type OutputFile } from 'esbuild';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bundleRuntime } from './bundle-runtime.ts';
import { ROOT } from './root.ts';

export interface BuildSettings {
  readonly outdir?: string;
  /** Leaves chunks of earlier builds in place, for a process that still runs one. */
  readonly keepOldChunks?: boolean;
  readonly print?: (line: string) => void;
}

/** Native modules cannot be bundled; everything else is. */
const NATIVE_MODULES = ['koffi', 'fuse-native', 'cbor-extract', 'libsql', 'pg-native'];

const VERSION = (
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
).version;
const DEFINE = { COLDSEAL_VERSION: JSON.stringify(VERSION) };

/** The device bundle is unpacked and parsed within the boot budget (docs/decisions/0032). */
const RUNTIME_SIZE_MAX = 64 * 1024;
/** The files read before `coldseal --help` can print: they decide its start time. */
const CLI_START_SIZE_MAX = 512 * 1024;

// Bundled CommonJS packages call `require` for Node's own modules.
const BANNER = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);`;

/** Builds everything into `dist`; throws with a sentence when a bundle breaks its rules. */
export async function build(settings: BuildSettings = {}): Promise<void> {
  const outdir = settings.outdir ?? join(ROOT, 'dist');
  const print = settings.print ?? (() => undefined);
  const written = new Map<string, Uint8Array>();
  const cli = await bundleCli(outdir);
  for (const file of cli.files) written.set(basename(file.path), cliBytes(file));
  checkSize('coldseal --help', startSize(cli.metafile), CLI_START_SIZE_MAX);
  const runtime = await bundleRuntime({ ...commonOptions(outdir), define: DEFINE });
  checkRuntimeInputs(runtime.metafile);
  checkSize('runtime.js', runtime.code.length, RUNTIME_SIZE_MAX);
  written.set('runtime.js', runtime.code);
  written.set('runtime-texts.json', runtime.texts);
  const engine = await bundleQuickjsEngine(outdir);
  checkRuntimeInputs(engine.metafile);
  written.set('engine-quickjs.js', engine.bytes);
  written.set('engine-node.mjs', await bundleNodeEngine(outdir));
  writeAll(outdir, written, settings.keepOldChunks === true);
  printSizes(written, print);
}

/** The npm script. */
export async function main(): Promise<number> {
  // oxlint-disable-next-line no-console -- a development script
  await build({ print: (line) => console.log(line) });
  return 0;
}

async function bundleCli(outdir: string): Promise<{ files: OutputFile[]; metafile: Metafile }> {
  const entryPoints: Record<string, string> = { coldseal: 'toolchain/main.ts' };
  const worker = 'toolchain/objects/hash-worker.ts';
  if (existsSync(join(ROOT, worker))) entryPoints['hash-worker'] = worker;
  const result = await esbuild({
    ...commonOptions(outdir),
    entryPoints,
    splitting: true,
    platform: 'node',
    external: NATIVE_MODULES,
    chunkNames: 'chunk-[hash]',
    banner: { js: BANNER },
    define: DEFINE,
  });
  return { files: result.outputFiles, metafile: result.metafile };
}

/** What stands between the device bundle and host.c: carried as bytecode beside it (toolchain/engine). */
async function bundleQuickjsEngine(
  outdir: string,
): Promise<{ bytes: Uint8Array; metafile: Metafile }> {
  const result = await esbuild({
    ...commonOptions(outdir),
    entryPoints: { 'engine-quickjs': 'runtime/engines/quickjs/main.ts' },
    outExtension: { '.js': '.js' },
    platform: 'neutral',
    minify: true,
  });
  return { bytes: result.outputFiles[0]!.contents, metafile: result.metafile };
}

/** The device bundle's engine on Node; it imports the bundle from beside itself when it runs. */
async function bundleNodeEngine(outdir: string): Promise<Uint8Array> {
  const result = await esbuild({
    ...commonOptions(outdir),
    entryPoints: { 'engine-node': 'runtime/engines/node/main.ts' },
    platform: 'node',
    external: NATIVE_MODULES,
  });
  return result.outputFiles[0]!.contents;
}

function commonOptions(outdir: string): BuildOptions & { write: false; metafile: true } {
  return {
    outdir,
    absWorkingDir: ROOT,
    bundle: true,
    format: 'esm',
    target: 'node20',
    charset: 'utf8',
    legalComments: 'none',
    outExtension: { '.js': '.mjs' },
    write: false,
    metafile: true,
    logLevel: 'silent',
  };
}

function cliBytes(file: OutputFile): Uint8Array {
  if (basename(file.path) !== 'coldseal.mjs') return file.contents;
  return Buffer.concat([Buffer.from('#!/usr/bin/env node\n'), file.contents]);
}

/** Bytes of the entry and of the chunks it imports statically. */
function startSize(metafile: Metafile): number {
  const seen = new Set<string>();
  const visit = (path: string): number => {
    const output = metafile.outputs[path];
    if (output === undefined || seen.has(path)) return 0;
    seen.add(path);
    const needed = output.imports.filter(
      ({ kind, external }) => kind === 'import-statement' && external !== true,
    );
    return output.bytes + needed.reduce((sum, item) => sum + visit(item.path), 0);
  };
  const entry = Object.keys(metafile.outputs).find((path) => basename(path) === 'coldseal.mjs');
  return visit(entry ?? '');
}

/** The device runs `runtime/`, and nothing else may slip in. */
export function checkRuntimeInputs(metafile: Pick<Metafile, 'inputs' | 'outputs'>): void {
  const strangers = Object.keys(metafile.inputs).filter((path) => !path.startsWith('runtime/'));
  const outside = Object.values(metafile.outputs)
    .flatMap((output) => output.imports)
    .filter((item) => item.external === true)
    .map((item) => item.path);
  if (strangers.length + outside.length === 0) return;
  const names = [...strangers, ...outside].sort().join(', ');
  throw new Error(`dist/runtime.js contains ${names}: expected only runtime/`);
}

/** Refuses what is over its budget. */
export function checkSize(name: string, size: number, max: number): void {
  if (size <= max) return;
  throw new Error(`${name} needs ${size} bytes: expected at most ${max}`);
}

function writeAll(
  outdir: string,
  files: ReadonlyMap<string, Uint8Array>,
  keepOldChunks: boolean,
): void {
  mkdirSync(outdir, { recursive: true });
  // Chunks first, so that an entry never names one that is not there yet.
  const names = [...files.keys()].sort(
    (a, b) => Number(b.startsWith('chunk-')) - Number(a.startsWith('chunk-')),
  );
  for (const name of names) {
    const target = join(outdir, name);
    const bytes = files.get(name)!;
    if (existsSync(target) && readFileSync(target).equals(bytes)) continue;
    const temporary = join(outdir, `.${name}.${process.pid}`);
    writeFileSync(temporary, bytes, { mode: name === 'coldseal.mjs' ? 0o755 : 0o644 });
    renameSync(temporary, target);
  }
  if (keepOldChunks) return;
  for (const name of readdirSync(outdir))
    if (!files.has(name)) rmSync(join(outdir, name), { recursive: true });
}

function printSizes(files: ReadonlyMap<string, Uint8Array>, print: (line: string) => void): void {
  const row = (name: string, size: number, packed: number, limit = ''): void =>
    print(
      `${name.padEnd(24)} ${String(size).padStart(9)} B ${String(packed).padStart(8)} B gzip ${limit}`.trimEnd(),
    );
  let chunkSize = 0;
  let chunkPacked = 0;
  for (const [name, bytes] of files) {
    const packed = gzipSync(bytes).length;
    if (!name.startsWith('chunk-') && !/-[0-9A-Z]{8}\.mjs$/.test(name)) {
      row(
        `dist/${name}`,
        bytes.length,
        packed,
        name === 'runtime.js' ? `limit ${RUNTIME_SIZE_MAX} B` : '',
      );
    } else {
      chunkSize += bytes.length;
      chunkPacked += packed;
    }
  }
  row('dist chunks', chunkSize, chunkPacked);
}
