/** How the device bundle gets small: what is taken out of it, and which names are never shortened. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BUILTIN_NAMES,
  checkWords,
  namesIn,
  ownNames,
  runtimeSources,
} from '../../toolchain/dev/bundle-runtime.ts';
import { type OutOfLine, takeTextsOut } from '../../toolchain/dev/out-of-line.ts';

const test = suite('bundle-runtime');

const MARK = '\ue000';

/** What a function of a rewritten bundle gives, with its table or without. */
function run(source: string, args: readonly unknown[] = [], table = true): unknown {
  const { code, texts } = takeTextsOut(`function run(...args){${source}}`);
  const body = `${code};return (table) => { globalThis.coldsealTexts = table; return run }`;
  // oxlint-disable-next-line no-implied-eval -- the code is the bundler's own
  const made = new Function(body) as () => (table: unknown) => (...args: unknown[]) => unknown;
  const before = globalThis.coldsealTexts;
  try {
    return made()(table ? () => texts : undefined)(...args);
  } finally {
    globalThis.coldsealTexts = before;
  }
}

const textsOf = (source: string): readonly string[] => takeTextsOut(source).texts;

/** Bodies of a function, what they give for the arguments 7 and 'x', and the table. */
const SENTENCES: readonly (readonly [body: string, gives: unknown, texts: readonly string[]])[] = [
  ['return "one two"', 'one two', ['one two']],
  ['return"glued to its keyword"', 'glued to its keyword', ['glued to its keyword']],
  ['return ["one two","one two"].join()', 'one two,one two', ['one two']],
  ['return `it has ${args[0]} bytes`', 'it has 7 bytes', [`it has ${MARK} bytes`]],
  [
    'return `Cannot read ${args[1]}: ${args[0]>5?`more than ${args[0]} bytes`:"too few bytes"}`',
    'Cannot read x: more than 7 bytes',
    [`Cannot read ${MARK}: ${MARK}`, `more than ${MARK} bytes`, 'too few bytes'].sort(),
  ],
  [
    'return `say "${"quoted words"}" twice`',
    'say "quoted words" twice',
    ['quoted words', `say "${MARK}" twice`],
  ],
  ['return `a dollar: ${"$&"} and $1`', 'a dollar: $& and $1', [`a dollar: ${MARK} and $1`]],
  // Data stays: one word, a word with values, what is only put together.
  ['return "one"', 'one', []],
  ['return `verify ${args[1]}`', 'verify x', []],
  ['return `${args[0]}: ${args[1]}`', '7: x', []],
  ['return "mode=0755"', 'mode=0755', []],
  // Labels are hashed and signed.
  ['return "coldseal manifest v1"', 'coldseal manifest v1', []],
  ['return "coldseal release id v1\\0"', 'coldseal release id v1\0', []],
  // Codes go, and what only looks like one does not.
  ['return "VERIFY_SIGNATURE"', 'VERIFY_SIGNATURE', ['VERIFY_SIGNATURE']],
  ['return "CLOCK_BOOTTIME"', 'CLOCK_BOOTTIME', []],
  // What is looked up by a text must not depend on the table.
  ['return {"deny list":1}["deny list"]', 1, []],
];

test('what is put back is what was taken', () => {
  for (const [body, gives, texts] of SENTENCES) {
    assert.equal(run(body, [7, 'x']), gives, body);
    assert.equal([...textsOf(`()=>{${body.replaceAll('args', 'a')}}`)].sort(), texts, body);
  }
});

test('texts that stay are told, and so are those that nobody reads', () => {
  const record =
    'var r=struct("slot state",4,"docs/x",{magic:[0,magic(7,"the letters CSST")]});' +
    'function f(){return[`slot`,"two words"]}';
  const taken: OutOfLine = takeTextsOut(record);
  assert.equal([...taken.words], ['slot state', 'docs/x', 'slot']);
  assert.equal([...taken.dropped], ['the letters CSST']);
  assert.equal(taken.texts, ['two words']);
  assert.match(taken.code, /magic\(7,""\)/);
});

test('a bundle that would need its table to start is refused', () => {
  for (const source of ['var a="two words"', 'var a={b:["two words"]}', 'var a=`two ${1} words`']) {
    assert.throws(() => takeTextsOut(source), /would read its texts at every start/, source);
  }
  // Reason codes are constants there, and stay.
  assert.equal(textsOf('var CODE="FORMAT_TRUST_FIELD"'), []);
  assert.equal(textsOf('var f=()=>"two words";class A{b="two words"}'), ['two words']);
});

test('without a table a text is its number and its values, and the table may come later', () => {
  assert.is(run('return `it has ${args[0]} bytes`', [7], false), 'text 0 7');
  const later =
    'let first=`it has ${args[0]} bytes`;globalThis.coldsealTexts=args[1];return [first,`it has ${args[0]} bytes`]';
  const texts = [`it has ${MARK} bytes`];
  assert.equal(run(later, [7, () => texts], false), ['text 0 7', 'it has 7 bytes']);
});

test('a table is asked for once, when the first text is needed', () => {
  let asked = 0;
  const table = (): string[] => {
    asked++;
    return ['one two'];
  };
  const twice = 'globalThis.coldsealTexts=args[0];return ["one two","one two"]';
  assert.equal(run(twice, [table], false), ['one two', 'one two']);
  assert.is(asked, 1);
  run('globalThis.coldsealTexts=args[0];return "one"', [table], false);
  assert.is(asked, 1);
});

// --- names ---------------------------------------------------------------------------------------------

/** Constructors and namespaces of the language, whose names and members the sources may use. */
const GLOBALS =
  'Array ArrayBuffer BigInt Boolean DataView Date Error Float64Array Function JSON Map Math Number Object ' +
  'Promise Proxy RangeError Reflect RegExp Set String Symbol TypeError Uint8Array WeakMap';

/** Every property that an object of the language has in this engine, own or inherited. */
function builtins(): Set<string> {
  const names = new Set(GLOBALS.split(' '));
  const take = (object: unknown): void => {
    for (
      let at: unknown = object;
      at !== null && at !== undefined;
      at = Object.getPrototypeOf(at)
    ) {
      for (const name of Object.getOwnPropertyNames(at)) names.add(name);
    }
  };
  for (const name of GLOBALS.split(' ')) {
    const value = (globalThis as unknown as Record<string, { prototype?: unknown }>)[name]!;
    take(value);
    take(value.prototype);
  }
  const generated = (function* (): Generator<number> {
    yield 1;
  })();
  const others = [[][Symbol.iterator](), new Map().entries(), generated, /x/d.exec('x')];
  others.forEach(take);
  take(new Error('x', { cause: 'y' }));
  for (const name of ['value', 'done', 'undefined']) names.add(name);
  return names;
}

test('no name of the language is shortened', () => {
  const known = builtins();
  const missing = [...namesIn(runtimeSources())].filter(
    (name) => known.has(name) && !BUILTIN_NAMES.has(name),
  );
  assert.equal(missing, []);
});

test('no name that others see is shortened', () => {
  const own = new Set(ownNames());
  const seen =
    'fsconfig nofollow readOnly idmap bootNs ticks verity algorithm digest argv env output pid write read ' +
    'verifySignature computeDigest printError coldsealTexts firstOutputNs beforeKernelNs manifestSha256 ' +
    'exitCode hint code message cause ENOENT ENAMETOOLONG VERIFY upperdir dtb sha512 layout reserved3';
  for (const name of seen.split(' ')) assert.not.ok(own.has(name), name);
  for (const name of ['releaseId', 'storeDeadlineMs', 'verifyManifest'])
    assert.ok(own.has(name), name);
});

test('a text that is spelled like a shortened name is refused until somebody decides', () => {
  assert.not.throws(() => checkWords(['triesA', 'two words', 'other'], ['triesA', 'sink']));
  assert.throws(
    () => checkWords(['sink', 'other'], ['triesA', 'sink']),
    /has the names sink as texts/,
  );
});

test.run();
