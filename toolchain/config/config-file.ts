/**
 * A configuration file: strict YAML 1.2, checked against a schema, with every problem told at once.
 *
 * No custom tags, no duplicate keys, no second document. A problem names its line, its column and its path, such
 * as `9:5 images[1].source`. What is found out later (a directory that does not exist) is told the same way
 * through `refuse`.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { isNode, LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { ColdsealError, type ErrorCode } from '../../runtime/format/errors.ts';
import { readInput } from '../files/read-input.ts';
import { type ConfigPath, type ConfigProblem, explainIssues } from './explain-issue.ts';

/** A bootset of a thousand images is smaller. */
const FILE_BYTES_MAX = 1024 * 1024;

/** What a kind of file is: its schema, and how its problems are told. */
export interface ConfigKind<S extends z.ZodType> {
  /** In messages: `bootset`, `board file`. */
  readonly name: string;
  readonly schema: S;
  /** Code for settings that are wrong. */
  readonly code: ErrorCode;
  /** The page that lists every setting. */
  readonly reference: string;
}

export class ConfigFile<T> {
  readonly path: string;
  readonly value: T;
  /** SHA-256 of the file's bytes, lower-case hexadecimal. */
  readonly sha256: string;
  readonly #refuse: (problems: readonly ConfigProblem[]) => never;

  constructor(
    path: string,
    value: T,
    sha256: string,
    refuse: (problems: readonly ConfigProblem[]) => never,
  ) {
    this.path = path;
    this.value = value;
    this.sha256 = sha256;
    this.#refuse = refuse;
  }

  /** Throws all problems together; returns when there are none. */
  refuse(problems: readonly ConfigProblem[]): void {
    if (problems.length > 0) this.#refuse(problems);
  }
}

/** Reads and checks a file. Throws CONFIG_YAML, the kind's code, or HOST_* when it cannot be read. */
export function readConfig<S extends z.ZodType>(
  path: string,
  kind: ConfigKind<S>,
): ConfigFile<z.output<S>> {
  const bytes = readInput(path);
  const lines = new LineCounter();
  const document = parseYaml(path, bytes, kind, lines);
  const refuse = (problems: readonly ConfigProblem[]): never => {
    throw configError(path, problems, kind, (at) => position(document, lines, at));
  };
  const parsed = kind.schema.safeParse(plainValue(path, document, kind), { reportInput: true });
  if (!parsed.success) return refuse(explainIssues(parsed.error.issues, kind.schema));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return new ConfigFile(path, parsed.data, sha256, refuse);
}

/** The document as plain values; a few hundred aliases that expand to millions of values are refused. */
function plainValue(path: string, document: Document, kind: ConfigKind<z.ZodType>): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw yamlError(path, [`1:1 ${(error as Error).message}`], kind);
  }
}

function yamlError(
  path: string,
  problems: readonly string[],
  kind: ConfigKind<z.ZodType>,
): ColdsealError {
  return new ColdsealError('CONFIG_YAML', describe(path, problems, 'as YAML'), {
    hint: `a ${kind.name} is one YAML 1.2 document without tags; ${kind.reference} has an example`,
  });
}

function parseYaml(
  path: string,
  bytes: Uint8Array,
  kind: ConfigKind<z.ZodType>,
  lineCounter: LineCounter,
): Document {
  const fail = (problems: readonly string[]): ColdsealError => yamlError(path, problems, kind);
  if (bytes.length > FILE_BYTES_MAX) {
    throw fail([`1:1 has ${bytes.length} bytes, expected at most ${FILE_BYTES_MAX}`]);
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  if (text.includes('\ufffd')) throw fail(['1:1 has bytes that are not UTF-8']);
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    uniqueKeys: true,
    intAsBigInt: false,
    prettyErrors: false,
    lineCounter,
  });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw fail(
      faults.map(({ pos, message }) => `${at(lineCounter, pos[0])} ${message.split('\n')[0]!}`),
    );
  }
  return document;
}

function configError(
  path: string,
  problems: readonly ConfigProblem[],
  kind: ConfigKind<z.ZodType>,
  where: (path: ConfigPath) => string,
): ColdsealError {
  const lines = problems
    .map(({ path: at, message }) => `${where(at)} ${showPath(at) || kind.name} ${message}`)
    .sort((a, b) => lineAndColumn(a) - lineAndColumn(b));
  return new ColdsealError(kind.code, describe(path, lines, `as a ${kind.name}`), {
    hint: `every setting is explained in ${kind.reference}`,
  });
}

/** Orders lines that begin with `line:column`, a column being at most the file's size. */
function lineAndColumn(text: string): number {
  const [line = 0, column = 0] = text.split(' ', 1)[0]!.split(':').map(Number);
  return line * FILE_BYTES_MAX + column;
}

/** A log that was given as a configuration has a problem in each of its lines. */
const PROBLEMS_SHOWN = 50;

function describe(path: string, problems: readonly string[], what: string): string {
  const unique = [...new Set(problems)];
  const count = unique.length === 1 ? '1 problem' : `${unique.length} problems`;
  const lines = unique.slice(0, PROBLEMS_SHOWN).map((line) => `  ${line}`);
  const left = unique.length - lines.length;
  if (left > 0) lines.push(`  and ${left} more`);
  return `Cannot read ${basename(path)} ${what}: ${count}\n${lines.join('\n')}`;
}

/** `images[1].source`; a key that is not a plain word is quoted. */
export function showPath(path: ConfigPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** `line:column` of the deepest part of a path that the file has. */
function position(document: Document, lines: LineCounter, path: ConfigPath): string {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return at(lines, node.range[0]);
  }
  return '1:1';
}

function at(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${Math.max(1, line)}:${Math.max(1, col)}`;
}
