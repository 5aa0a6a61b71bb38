/** The documents are true where a test can tell: links, commands, options, scripts, paths, packages, versions. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { markGoodCommand } from '../../runtime/commands/mark-good.ts';
import { runContainersCommand } from '../../runtime/commands/run-containers.ts';
import { statusCommand } from '../../runtime/commands/status.ts';
import { decodeCanonical, type CborMap } from '../../runtime/format/cbor.ts';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { encodeManifest } from '../../runtime/format/manifest.ts';
import { createStyle } from '../../toolchain/cli/color.ts';
import { parseFlag } from '../../toolchain/cli/command.ts';
import { GLOBAL_OPTIONS } from '../../toolchain/cli/help.ts';
import { PERSONALITIES } from '../../toolchain/cli/personalities.ts';
import { COMMANDS, parseArguments } from '../../toolchain/cli/program.ts';
import { fillPageTables } from '../../toolchain/dev/page-tables.ts';
import { ROOT } from '../../toolchain/dev/root.ts';
import { encodeRecipe } from '../../toolchain/image/recipe.ts';
import { imageEntry, TEST_RECIPE, testManifest } from '../support/manifests.ts';
import { linksOf, markdownPages, readPage, type Page } from '../support/markdown.ts';
import { importsOf, sourceFiles } from '../support/source-files.ts';

const test = suite('documents');

interface PackageFile {
  readonly version: string;
  readonly license: string;
  readonly files: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const pages = markdownPages();
const files = sourceFiles();
const packageFile = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageFile;

/** Paths that documents name as planned, or that commands make. An entry that exists has to go. */
const PLANNED = new Set(['runtime/engines/fuse/']);
const MADE = new Set(['keys/dev', 'keys/dev/', 'keys/trust/']);

/** File names that documents use for what commands read and write. */
const PRODUCT_FILES = new Set([
  'BOOTSET.yaml',
  'boot.json',
  'config.json',
  'manifest.json',
  'provenance.json',
  'release.json',
  'run.json',
  'sbom.json',
  'timings.json',
]);

/** Commands that only the program on the device has. */
const ON_DEVICE = new Set(
  [markGoodCommand, runContainersCommand, statusCommand].map(({ name }) => name),
);

/** Pages about other programs name those programs' options too. */
const ABOUT_OTHERS = /^docs\/(composefs-differences|benchmarks|decisions\/)|^test\//;

function page(path: string): Page {
  const found = pages.find((each) => each.path === path);
  if (found === undefined) throw new Error(`no page ${path}`);
  return found;
}

function assertNone(found: readonly string[], rule: string): void {
  if (found.length > 0) throw new Error(`${rule}\n  ${found.join('\n  ')}`);
}

test('every relative link leads to a file, and its anchor to a heading', () => {
  const faults = pages.flatMap((each) =>
    linksOf(each)
      .filter((target) => !/^(https?|mailto):/.test(target))
      .filter((target) => !isReachable(each, target))
      .map((target) => `${each.path}: ${target}`),
  );
  assertNone(faults, 'a link that leads nowhere');
});

function isReachable(from: Page, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const at = path === '' ? from.path : normalize(join(dirname(from.path), path));
  if (!existsSync(join(ROOT, at))) return false;
  if (anchor === undefined || !at.endsWith('.md')) return true;
  return page(at).anchors.has(anchor);
}

/** What may be missing from a command that is only named in a sentence. */
const NAMED_ONLY = new Set(['USAGE_MISSING_ARGUMENT', 'USAGE_MISSING_COMMAND']);

test('every command line names a command and options that exist', () => {
  const faults = pages.flatMap((each) => [
    ...commandLines(each).flatMap((line) => problemOf(line, each.path, false)),
    ...each.spans
      // Labels of signatures begin like a command line: `coldseal manifest v1`.
      .filter((span) => span.startsWith('coldseal ') && !span.endsWith(' v1'))
      .flatMap((span) => problemOf(span, each.path, true)),
  ]);
  assertNone(faults, 'a command line that is refused');
});

/** Lines of fenced blocks that run coldseal. */
function commandLines({ blocks }: Page): string[] {
  return blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.replaceAll('\\\n', ' ').split(/\n|&&|\|\|?|;/))
    .map((line) => line.trim().replace(/\s#.*$/, ''))
    .filter((line) => line.startsWith('coldseal '));
}

function problemOf(line: string, path: string, isNamed: boolean): string[] {
  const words = line.split(/\s+/).slice(1);
  if (PERSONALITIES.some(({ name }) => name === words[0])) return [];
  if (isNamed && words.length === 1 && ON_DEVICE.has(words[0]!)) return [];
  try {
    parseArguments(words, packageFile.version, createStyle(false));
    return [];
  } catch (error) {
    if (!(error instanceof ColdsealError)) throw error;
    if (isNamed && NAMED_ONLY.has(error.code)) return [];
    return [`${path}: ${line}: ${error.message}`];
  }
}

test('every option named alone is an option of some command', () => {
  const known = new Set(
    [...COMMANDS.flatMap(({ options }) => Object.values(options)), ...Object.values(GLOBAL_OPTIONS)]
      .map(({ flag }) => `--${parseFlag(flag).long}`)
      .concat('--version'),
  );
  const faults = pages
    .filter(({ path }) => !ABOUT_OTHERS.test(path))
    .flatMap(({ path, spans }) =>
      spans
        .map((span) => /^--[a-z][a-z-]*/.exec(span)?.[0])
        .filter((option) => option !== undefined && !known.has(option))
        .map((option) => `${path}: ${option}`),
    );
  assertNone(faults, 'an option that no command has');
});

test('every npm script named is there, and so is what it runs', () => {
  const faults = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\bnpm (?:run ([a-z:-]+)|(test|t)\b)/g)]
      .map((match) => match[1] ?? match[2]!)
      .filter((name) => !isScript(name))
      .map((name) => `${path}: npm run ${name}`),
  );
  assertNone(faults, 'a script that does not exist');
});

function isScript(name: string): boolean {
  return name in packageFile.scripts && existsSync(join(ROOT, 'toolchain/dev', `${name}.ts`));
}

test('every path of the project exists, unless it is named as planned', () => {
  const faults = pages.flatMap(({ path, spans }) =>
    spans
      .flatMap(expandBraces)
      .filter((span) => !isTruePath(span))
      .map((span) => `${path}: ${span}`),
  );
  assertNone(faults, 'a path that does not exist');
  const arrived = [...PLANNED].filter((path) => existsSync(join(ROOT, path)));
  assertNone(arrived, 'a planned path that has arrived');
});

/** `a/{b,c}.ts` as two paths. */
function expandBraces(span: string): string[] {
  const match = /^([\w./-]*)\{([\w,-]+)\}([\w./-]*)$/.exec(span);
  if (match === null) return [span];
  return match[2]!.split(',').map((part) => `${match[1]}${part}${match[3]}`);
}

function isTruePath(span: string): boolean {
  if (
    /^(runtime|toolchain|test|docs|keys|board-configs|man|completions|\.ci)\/[\w./-]*$/.test(span)
  )
    return existsSync(join(ROOT, span)) || PLANNED.has(span) || MADE.has(span);
  if (!/^[\w.-]+\.(ts|mjs|json|yaml|tsv|md)$/.test(span) || PRODUCT_FILES.has(span)) return true;
  return files.some(({ path }) => basename(path) === span);
}

test('every dependency has its reason in CONTRIBUTING.md, and nothing else has', () => {
  const { text } = page('CONTRIBUTING.md');
  const section = text.slice(text.indexOf('## Dependencies'), text.indexOf('### Debian packages'));
  const named = [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!);
  const { dependencies, devDependencies, optionalDependencies } = packageFile;
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  assert.equal(named.sort(), Object.keys(all).sort());
});

test('the changelog begins with this version and has only its three sections', () => {
  const { text } = page('CHANGELOG.md');
  const [, first] = /^## (\S+)/m.exec(text)!;
  assert.is(first, packageFile.version);
  const sections = new Set([...text.matchAll(/^### (.+)$/gm)].map((match) => match[1]!));
  assert.equal([...sections].sort(), ['Format', 'Runtime', 'Toolchain']);
});

test('the licence is the one that package.json names', () => {
  const licence = readFileSync(join(ROOT, 'LICENSE'), 'utf8');
  assert.is(packageFile.license, 'Apache-2.0');
  assert.match(licence, /Apache License\s+Version 2\.0, January 2004/);
  assert.match(licence, /END OF TERMS AND CONDITIONS/);
});

test('decisions have a number of their own and say what would change them', () => {
  const decisions = pages.filter(({ path }) => path.startsWith('docs/decisions/'));
  const numbers = decisions.map(({ path }) => Number(basename(path).slice(0, 4)));
  assert.equal([...new Set(numbers)], numbers);
  for (const { path, text } of decisions) {
    const number = Number(basename(path).slice(0, 4));
    assert.match(text, new RegExp(`^# ${number}\\. .`), path);
    for (const part of ['**Context.**', '**Choice.**', '**What would change our mind.**']) {
      assert.ok(text.includes(part), `${path}: ${part}`);
    }
  }
});

test('every decision is linked from a page that is none', () => {
  const linked = pages
    .filter(({ path }) => !path.startsWith('docs/decisions/'))
    .flatMap((each) => linksOf(each).map((target) => basename(target.split('#')[0]!)));
  const lost = pages
    .map(({ path }) => path)
    .filter((path) => path.startsWith('docs/decisions/') && !linked.includes(basename(path)));
  assertNone(lost, 'a decision that nobody finds');
});

test('sources refer to documents that exist', () => {
  const faults = files
    .filter(({ path }) => /\.(ts|mjs|json|yaml)$/.test(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/\bdocs\/[\w/-]+(?:\.[\w-]+)*\.(?:md|json|svg)\b/g)]
        .filter(([target]) => !existsSync(join(ROOT, target)))
        .map(([target]) => `${path}: ${target}`),
    );
  assertNone(faults, 'a document that does not exist');
});

test('the threat model names tests that exist, and what it quotes of them is there', () => {
  const { text } = page('docs/threat-model.md');
  const named = [
    ...text.matchAll(
      /\b(unit|tamper|conformance|vm)\/([a-z0-9-]+)(?:\.test\.ts)?`?[,:]?(?: "([^"]+)")?/g,
    ),
  ];
  assert.ok(named.length > 20, `${named.length}`);
  const faults = named.flatMap(([whole, folder, name, quoted]) => {
    const path = join(ROOT, 'test', folder!, `${name}.test.ts`);
    if (!existsSync(path)) return [whole];
    const words = quoted?.replace(/\s+/g, ' ');
    return words === undefined || textOfTest(path).includes(words) ? [] : [whole];
  });
  assertNone(faults, 'a claim without its test');
});

/** A test file with the tables that it takes from `test/support`. */
function textOfTest(path: string): string {
  const text = readFileSync(path, 'utf8');
  const tables = importsOf(text).filter(({ from }) => from.startsWith('../support/'));
  return [
    text,
    ...tables.map(({ from }) => readFileSync(join(dirname(path), from), 'utf8')),
  ].join();
}

test('the CDDL of the signed set has the keys that are written', () => {
  const { blocks } = page('docs/format.md');
  const cddl = blocks.find(({ language }) => language === 'cddl')!.text;
  const full = { ...TEST_RECIPE, rootMetadata: 'usr', selinux: new Uint8Array(32) } as const;
  const complete = testManifest({ images: [imageEntry({ recipe: encodeRecipe(full) })] });
  const limits = { maxBytes: 65_536, maxDepth: 8, maxItems: 4096 };
  // Every optional field is present in this manifest.
  const manifest = decodeCanonical(encodeManifest(complete), limits) as CborMap;
  const [image] = manifest.get(11) as readonly CborMap[];
  const recipe = image!.get(12) as CborMap;
  for (const [rule, map] of Object.entries({ manifest, image: image!, recipe })) {
    const body = new RegExp(`^${rule} = \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(cddl)![1]!;
    const keys = [...body.matchAll(/^ {2}(?:\? )?(\d+) =>/gm)].map((match) => Number(match[1]));
    assert.equal(keys, [...map.keys()], rule);
  }
});

test('pictures can be read in light and dark, and say what they show', () => {
  const pictures = files.filter(({ path }) => path.endsWith('.svg'));
  assert.ok(pictures.length >= 2);
  for (const { path, text } of pictures) {
    assert.match(text, /prefers-color-scheme: dark/, path);
    assert.match(text, /<title id="title">.+<\/title>/, path);
    assert.match(text, /<desc id="desc">[^<]{100,}<\/desc>/, path);
    assert.not.match(text, /<script|href="http/, path);
  }
});

test('an installed package has what `release` builds the runtime from, and the notices for it', () => {
  const isPacked = (path: string): boolean =>
    packageFile.files.some((entry) => {
      const pattern = entry.replaceAll('.', '\\.').replaceAll('*', '[^/]*');
      return new RegExp(`^${pattern}(?:/|$)`).test(path);
    });
  const sources = files.filter(({ path }) => /^runtime\/engines\/quickjs\/.*\.[chS]$/.test(path));
  assert.ok(sources.length > 5);
  const needed = ['dist/runtime.js', 'board-configs/schema.json', 'NOTICE'];
  for (const path of [...needed, ...sources.map((source) => source.path)]) {
    assert.ok(isPacked(path), path);
  }
  const notice = readFileSync(join(ROOT, 'NOTICE'), 'utf8');
  // What is bundled into dist/, and what is linked into the program of a board.
  const bundled = Object.keys(packageFile.dependencies);
  for (const name of [...bundled, 'QuickJS-ng', 'glibc']) {
    assert.ok(notice.includes(name), name);
  }
});

test('tables in pages are filled between their markers and only there', async () => {
  const marked =
    'Before.\n\n<!-- table: commands -->\nstale row\n<!-- end of table -->\n\nAfter.\n';
  const filled = await fillPageTables('README.md', marked);
  assert.not.match(filled, /stale row/);
  for (const { name } of COMMANDS) assert.ok(filled.includes(`[\`${name}\`]`), name);
  assert.match(filled, /^Before\.\n[\s\S]*\nAfter\.\n$/);
  assert.is(await fillPageTables('README.md', filled), filled);
  const unknown = '<!-- table: nothing -->\n<!-- end of table -->\n';
  const message = await fillPageTables('README.md', unknown).then(String, String);
  assert.match(message, /expected one of commands/);
});

test('a page is taken apart into prose, code and anchors', () => {
  const text = '# A title, `b`\n\nSee `c d` [x](y.md#z).\n\n```sh\ncoldseal keys\n```\n';
  const read = readPage('p.md', text);
  assert.equal(read.spans, ['b', 'c d']);
  assert.equal(read.blocks, [{ language: 'sh', text: 'coldseal keys\n' }]);
  assert.equal([...read.anchors], ['a-title-b']);
  assert.equal(linksOf(read), ['y.md#z']);
  assert.equal(problemOf('coldseal keys', 'p.md', true), []);
  assert.is(problemOf('coldseal keys init --no-such', 'p.md', true).length, 1);
  assert.is(problemOf('coldseal no-such', 'p.md', true).length, 1);
});

test.run();
