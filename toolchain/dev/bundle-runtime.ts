/**
 * Makes dist/runtime.js, the one bundle of the device, and the texts beside it.
 *
 * esbuild bundles and gives our own property names short ones, terser presses out what is left, the sentences go
 * into a table (out-of-line.ts). Names that others see keep theirs: what an engine provides, what stands in the boot
 * record, and what JavaScript brings. The bundle is what every engine runs; nothing in it depends on this machine.
 */
import { build as esbuild, type BuildOptions, type Metafile } from 'esbuild';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { minify } from 'terser';
import { takeTextsOut } from './out-of-line.ts';
import { ROOT } from './root.ts';

export interface RuntimeBundle {
  readonly code: Uint8Array;
  /** dist/runtime-texts.json. */
  readonly texts: Uint8Array;
  readonly metafile: Metafile;
}

/** Files whose property names an engine knows, or who reads what the device prints. */
const INTERFACES = [
  'sys.ts',
  'engine.ts',
  'crypto.ts',
  'format/boot-record.ts',
  'commands/documents.ts',
  // Looked up by the first word of a reason code, and by an errno's name.
  'format/errors.ts',
  'sys-error.ts',
];

/** Names of JavaScript's own objects that the sources use; a test compares them with the engine that runs it. */
export const BUILTIN_NAMES: ReadonlySet<string> = new Set(
  (
    'Array BigInt DataView Date Error Float64Array JSON MAX_SAFE_INTEGER Math Number Object RangeError RegExp ' +
    'String TextDecoder Uint8Array add anchor arguments asIntN asUintN at buffer byteLength byteOffset call caller catch ' +
    'cause ceil charCodeAt clear codePointAt concat console constructor crypto delete done endsWith entries escape every exec ' +
    'fill filter find findIndex flags flatMap floor forEach freeze from fromCharCode fromCodePoint fromEntries get getBigInt64 getBigUint64 ' +
    'getUint16 getUint32 getUint8 has includes indexOf input isArray isInteger isSafeInteger isWellFormed join keys ' +
    'lastIndexOf length link map match max message min name next of padEnd padStart parse parseInt pop process prototype push ' +
    'reduce repeat replace replaceAll return reverse round set setBigInt64 setBigUint64 setUint16 setUint32 setUint8 shift sign size ' +
    'slice small some sort source splice split stack startsWith stringify subarray sub test then throw toFixed toString toUpperCase toLowerCase trim ' +
    'unshift undefined value values with writable'
  ).split(' '),
);

/** A name in quotes may be a key that is looked up, such as an errno's or an algorithm's. */
const QUOTED = /['"`]([a-zA-Z]\w*)['"`]/g;
const NAME = /[\s{(,.[]#?([a-zA-Z]\w*)\??\s*[:(,}=.;)\]]/g;
/** Short ones gain nothing. */
const NAME_LENGTH_MIN = 3;

/** Every name in some files of `runtime/`, whatever it names; or what else a pattern finds. */
export function namesIn(files: readonly string[], pattern = NAME): Set<string> {
  const names = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(ROOT, 'runtime', file), 'utf8');
    for (const [, name] of text.matchAll(pattern)) names.add(name!);
  }
  return names;
}

/** The sources of the bundle, engines left out. */
export function runtimeSources(): string[] {
  return readdirSync(join(ROOT, 'runtime'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('engines'))
    .sort();
}

/** Property names that nobody outside the bundle sees. */
export function ownNames(): string[] {
  const sources = runtimeSources();
  const seen = new Set([...namesIn(INTERFACES), ...namesIn(sources, QUOTED)]);
  return [...namesIn(sources)]
    .filter((name) => name.length >= NAME_LENGTH_MIN)
    .filter((name) => !seen.has(name) && !BUILTIN_NAMES.has(name) && name !== 'coldsealTexts')
    .sort();
}

/** Bundles the runtime with the options that all bundles share. */
export async function bundleRuntime(
  options: BuildOptions & { write: false; metafile: true },
): Promise<RuntimeBundle> {
  const { outputFiles, metafile } = await esbuild({
    ...options,
    entryPoints: { runtime: 'runtime/main.ts' },
    outExtension: { '.js': '.js' },
    platform: 'neutral',
    minify: true,
    mangleProps: new RegExp(`^(?:${ownNames().join('|')})$`),
  });
  const pressed = await minify(outputFiles[0]!.text, {
    module: true,
    ecma: 2020,
    compress: { passes: 3, keep_fargs: false, pure_getters: true, unsafe_arrows: true },
  });
  const { code, texts } = takeTextsOut(pressed.code!);
  return {
    code: Buffer.from(`${code}\n`),
    texts: Buffer.from(`${JSON.stringify(texts, undefined, 1)}\n`),
    metafile,
  };
}
