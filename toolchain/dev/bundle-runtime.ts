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
import { LOOKUP_NAME, takeTextsOut } from './out-of-line.ts';
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
];

/** Names that are looked up by a text: shortened, the lookup would miss. */
const KEYS: ReadonlySet<string> = new Set(
  [
    // By the first word of a reason code, and by an errno's name.
    'INTERNAL USAGE CONFIG VERIFY FORMAT BUDGET HOST',
    'ENOENT ENOTDIR EISDIR EEXIST ELOOP ENAMETOOLONG EMFILE EIO EACCES EPERM EROFS ENOSPC EDQUOT EFBIG',
    // Errors come from the engine, and are told with --json.
    'code hint message cause',
    // By the name of a digest, of a signature algorithm, of a kind of signed object.
    'sha256 sha512 ed25519 manifest evidence',
    // Checks of a verdict, parts of a boot binding, layers of an overlay, keys of the command line.
    'authenticity role integrity board epoch time',
    'kernel dtb cmdline initramfs container',
    'upperdir workdir',
    'slot report',
    // Fields of a record that a refusal can name: what has only one value.
    'magic layout unused reserved1 reserved2 reserved3',
  ].flatMap((words) => words.split(' ')),
);

/**
 * Texts that happen to be spelled like a property: nobody looks anything up by them. The build refuses a text that is
 * neither here nor above, so that whoever adds one decides.
 */
const WORDS: ReadonlySet<string> = new Set(
  [
    // What a refusal calls a field of a manifest, of a policy, of a deny list, of the trust bundle, of the slot state.
    'boards bootBinding format minDenyVersion minRuntime notAfter notBefore',
    'objectBytes objectCount objectListDigest provenance recipe releaseId sbom valid',
    'action compatible containerDeadlineMs containerEngine containerOutput delayS identity init modules onFailure',
    'roles slotCount storeDeadlineMs triesMax vendor',
    'anchors certificates manifests purposes spkiSha256',
    'active booted goodA goodB latch restarts sequence timeFloor triesA triesB',
    // What a refusal was about, stages of a boot, commands, columns of lines for people.
    'policy trust run state status failed tries',
    // File systems.
    'erofs overlay',
  ].flatMap((words) => words.split(' ')),
);

/** Names of JavaScript's own objects that the sources use; a test compares them with the engine that runs it. */
export const BUILTIN_NAMES: ReadonlySet<string> = new Set(
  [
    'Array BigInt DataView Date Error Float64Array JSON MAX_SAFE_INTEGER Map Math NaN Number Object',
    'POSITIVE_INFINITY RangeError RegExp Set String Uint8Array abs add all anchor any asIntN asUintN',
    'assign at buffer byteLength byteOffset call catch cause ceil charCodeAt clear clz32 codePointAt',
    'concat constructor delete done endsWith entries escape every exec fill filter find findIndex',
    'flags flatMap floor for forEach freeze from fromCharCode fromCodePoint fromEntries get',
    'getBigInt64 getBigUint64 getInt32 getUint16 getUint32 getUint8 has hasOwn imul includes index',
    'indexOf input isArray isFinite isInteger isSafeInteger isWellFormed join keys lastIndexOf length',
    'link log map match max message min name next now of padEnd padStart parse parseInt pop process',
    'prototype push raw reduce repeat replace replaceAll return reverse round set setBigInt64',
    'setBigUint64 setUint16 setUint32 setUint8 shift size slice some sort source splice split stack',
    'startsWith stringify sub subarray test then throw toFixed toLowerCase toString toUpperCase trim',
    'undefined unshift value values with',
  ].flatMap((names) => names.split(' ')),
);

const NAME = /(?<=[\s{(,.[#])([a-zA-Z]\w*)(?=\??\s*[:(,}=.;)\]<])/g;
/** A member of an interface or of an object type; parameters follow a bracket or a comma. */
const MEMBER = /(?:readonly |[{;] |^ {2})(\w+)\??(?=[:(<])/gm;
/** Short ones gain nothing. */
const NAME_LENGTH_MIN = 3;

function matchesIn(files: readonly string[], pattern: RegExp): Set<string> {
  const names = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(ROOT, 'runtime', file), 'utf8');
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
    for (const [, name] of code.matchAll(pattern)) names.add(name!);
  }
  return names;
}

/** Every name in some files of `runtime/`, whatever it names. */
export function namesIn(files: readonly string[]): Set<string> {
  return matchesIn(files, NAME);
}

/** The sources of the bundle, engines left out. */
export function runtimeSources(): string[] {
  return readdirSync(join(ROOT, 'runtime'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('engines'))
    .sort();
}

/** Property names that nobody outside the bundle sees. */
export function ownNames(): string[] {
  const seen = matchesIn(INTERFACES, MEMBER);
  return [...namesIn(runtimeSources())]
    .filter((name) => name.length >= NAME_LENGTH_MIN)
    .filter((name) => !seen.has(name) && !KEYS.has(name) && !BUILTIN_NAMES.has(name))
    .filter((name) => name !== 'coldsealTexts')
    .sort();
}

/** Bundles the runtime with the options that all bundles share. */
export async function bundleRuntime(
  options: BuildOptions & { write: false; metafile: true },
): Promise<RuntimeBundle> {
  const { outputFiles, metafile, mangleCache } = await esbuild({
    ...options,
    entryPoints: { runtime: 'runtime/main.ts' },
    outExtension: { '.js': '.js' },
    platform: 'neutral',
    minifySyntax: true,
    mangleProps: new RegExp(`^(?:${ownNames().join('|')})$`),
    mangleCache: {},
  });
  const pressed = await minify(outputFiles[0]!.text, {
    module: true,
    ecma: 2020,
    compress: { passes: 3, keep_fargs: false, pure_getters: true, unsafe_arrows: true },
    mangle: { reserved: [LOOKUP_NAME] },
  });
  const { code, texts, words } = takeTextsOut(pressed.code!);
  checkWords(words, Object.keys(mangleCache));
  return {
    code: Buffer.from(`${code}\n`),
    texts: Buffer.from(`${JSON.stringify(texts, undefined, 1)}\n`),
    metafile,
  };
}

/** Refuses texts left in the bundle that are spelled like a shortened name, unless nobody looks up by them. */
export function checkWords(words: Iterable<string>, shortened: readonly string[]): void {
  const names = new Set(shortened);
  const undecided = [...words].filter((word) => names.has(word) && !WORDS.has(word)).sort();
  if (undecided.length === 0) return;
  throw new Error(
    `dist/runtime.js has the names ${undecided.join(', ')} as texts as well: ` +
      'expected each in KEYS or WORDS of toolchain/dev/bundle-runtime.ts',
  );
}
