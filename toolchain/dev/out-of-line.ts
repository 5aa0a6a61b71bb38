/**
 * Takes the sentences out of the device bundle: a table beside it holds them, the bundle keeps their numbers.
 *
 * A third of the bundle was text that a boot without trouble never shows. What has two words or more becomes
 * `$(12, value)`; dist/runtime-texts.json has the sentence with a mark for each value, and is looked at when the
 * first one is needed; reason codes go the same way. Whoever embeds the bundle embeds its table. What is put back is
 * what was taken, so meaning does not change; labels that are hashed stay all the same (docs/decisions/0032).
 */
import { type AnyNode, type Node, parse } from 'acorn';

/** Stands for a value in a sentence; a private use character, so that no sentence has it. */
const MARK = '\ue000';
const WORDS_MIN = 2;
/** Of what stands between blanks and values, what has letters. */
const WORD = /(?<![^ \ue000])[^ \ue000]*[A-Za-z][^ \ue000]*/g;
const IS_REASON_CODE = /^(?:BUDGET|CONFIG|FORMAT|HOST|INTERNAL|USAGE|VERIFY)_[A-Z0-9_]+$/;
/** Labels are part of what is hashed and signed. */
const IS_LABEL = /^coldseal .* v\d|\0/;

export interface OutOfLine {
  readonly code: string;
  readonly texts: readonly string[];
  /** Texts that stay in the code. */
  readonly words: ReadonlySet<string>;
  /** Texts that are in neither: what a record says about its fields. */
  readonly dropped: ReadonlySet<string>;
}

/** The one name that a minifier must leave free; all of the lookup is below it. */
export const LOOKUP_NAME = '$';
/** An engine may load the bundle first and set the table then: it is asked for until it is there. */
const LOOKUP =
  'function $(n,...v){$.t??=globalThis.coldsealTexts?.();' +
  `return $.t?.[n].replace(/${MARK}/g,()=>v.shift())??["text",n,...v].join(" ")}`;

/** Rewrites a bundle. Throws when it cannot be parsed, or when it would need the table to start. */
export function takeTextsOut(bundle: string): OutOfLine {
  const program = parse(bundle, { ecmaVersion: 2023, sourceType: 'module' });
  const rewriter = new Rewriter(bundle, new Set(keysBelow(program)));
  const code = `${LOOKUP}${rewriter.rewrite(program, 'module')}`;
  const { numbers, words, dropped } = rewriter;
  return { code, texts: [...numbers.keys()], words, dropped };
}

/**
 * Where something stands: run once when the bundle starts; there as an argument of a call, such as a record's name;
 * there within a table that is an argument, such as a record's fields; or in a function.
 */
type Place = 'module' | 'argument' | 'record' | 'function';

interface Change {
  readonly start: number;
  readonly end: number;
  readonly code: string;
}

class Rewriter {
  readonly #bundle: string;
  /** Keys of properties; what is looked up by a text must not depend on the table. */
  readonly #keys: ReadonlySet<string>;
  /** Texts with their places in the table. */
  readonly numbers = new Map<string, number>();
  readonly words = new Set<string>();
  readonly dropped = new Set<string>();

  constructor(bundle: string, keys: ReadonlySet<string>) {
    this.#bundle = bundle;
    this.#keys = keys;
  }

  /** The source of a node without its sentences. */
  rewrite(node: AnyNode, place: Place): string {
    const changes: Change[] = [];
    const visit = (inner: AnyNode, where: Place): void => {
      const text = textOf(inner);
      const code = text === undefined ? undefined : this.#replace(inner, text, where);
      if (code !== undefined) {
        changes.push({ start: inner.start, end: inner.end, code });
        return;
      }
      if (text !== undefined) this.words.add(text);
      for (const child of childrenOf(inner)) visit(child, placeBelow(inner, where));
    };
    visit(node, place);
    return splice(this.#bundle, node, changes);
  }

  /** What takes the place of a text; undefined when it stays. */
  #replace(node: AnyNode, text: string, place: Place): string | undefined {
    // Reason codes are three bytes in four of what is left of an error; as constants of a module they stay.
    if (place === 'function' && IS_REASON_CODE.test(text)) return this.#lookUp(text);
    if (!isSentence(text) || this.#keys.has(text)) return undefined;
    if (place === 'argument') return undefined;
    // A record says what each field means, for the documentation; the device never asks.
    if (place === 'record') {
      this.dropped.add(text);
      return '""';
    }
    if (place === 'module') {
      throw new Error(
        `the bundle would read its texts at every start, for ${JSON.stringify(text)}`,
      );
    }
    const values = node.type === 'TemplateLiteral' ? node.expressions : [];
    return this.#lookUp(text, ...values.map((value) => this.rewrite(value, place)));
  }

  #lookUp(text: string, ...values: readonly string[]): string {
    const number = this.numbers.get(text) ?? this.numbers.size;
    this.numbers.set(text, number);
    return `${LOOKUP_NAME}(${[String(number), ...values].join()})`;
  }
}

function placeBelow(node: AnyNode, place: Place): Place {
  if (place === 'function' || /Function|PropertyDefinition/.test(node.type)) return 'function';
  if (place === 'module' && node.type === 'CallExpression') return 'argument';
  return place === 'argument' && node.type === 'ObjectExpression' ? 'record' : place;
}

/** The text of a literal or a template, with a mark for each value. */
function textOf(node: AnyNode): string | undefined {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined;
  if (node.type !== 'TemplateLiteral') return undefined;
  return node.quasis.map(({ value }) => value.cooked ?? '').join(MARK);
}

function isSentence(text: string): boolean {
  return !IS_LABEL.test(text) && (text.match(WORD)?.length ?? 0) >= WORDS_MIN;
}

/** Every key of a property that is written as a text. */
function keysBelow(node: AnyNode): string[] {
  const own = node.type === 'Property' && !node.computed ? textOf(node.key) : undefined;
  return [...(own === undefined ? [] : [own]), ...childrenOf(node).flatMap(keysBelow)];
}

/** Every node right below one, in the order of the source. Keys of properties and module names stay as they are. */
function childrenOf(node: AnyNode): AnyNode[] {
  const isKey = (name: string): boolean =>
    (name === 'key' && 'computed' in node && !node.computed) ||
    (name === 'source' && node.type !== 'ImportExpression') ||
    name === 'quasi';
  return Object.entries(node)
    .filter(([name]) => !isKey(name))
    .flatMap(([, value]) => (Array.isArray(value) ? (value as unknown[]) : [value as unknown]))
    .filter(isNode)
    .sort((a, b) => a.start - b.start);
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

function splice(source: string, node: Node, changes: readonly Change[]): string {
  const parts: string[] = [];
  let at = node.start;
  for (const { start, end, code } of changes) {
    // A minifier may leave no blank between a keyword and a quotation mark.
    const isGlued = /[\w$]/.test(source[start - 1] ?? '') && start > at;
    parts.push(source.slice(at, start), isGlued ? ' ' : '', code);
    at = end;
  }
  parts.push(source.slice(at, node.end));
  return parts.join('');
}
