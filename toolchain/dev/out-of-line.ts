/**
 * Takes the sentences out of the device bundle: a table beside it holds them, the bundle keeps their numbers.
 *
 * A third of the bundle was text that a boot without trouble never shows. What has two words or more becomes
 * `$$(12, value)`; dist/runtime-texts.json has the sentence with a mark for each value, and is looked at when the
 * first one is needed; reason codes go the same way. Whoever embeds the bundle embeds its table. What is put back is
 * what was taken, so meaning does not change; labels that are hashed stay all the same (docs/decisions/0032).
 */
import { type AnyNode, type Node, parse } from 'acorn';

/** Stands for a value in a sentence; a private use character, so that no sentence has it. */
const MARK = '\ue000';
const WORDS_MIN = 2;
const IS_REASON_CODE = /^(?:BUDGET|CONFIG|FORMAT|HOST|INTERNAL|USAGE|VERIFY)_[A-Z0-9_]+$/;
/** Labels are part of what is hashed and signed. */
const IS_LABEL = /^coldseal .* v\d|\0/;

export interface OutOfLine {
  readonly code: string;
  readonly texts: readonly string[];
}

/** An engine may load the bundle first and set the table then. These two names are free in a minified bundle; a test runs the result. */
const LOOKUP =
  'let $T;function $$(n,...v){$T??=globalThis.coldsealTexts?.();' +
  `return $T?.[n].replace(/${MARK}/g,()=>v.shift())??["text",n,...v].join(" ")}`;

/** Rewrites a bundle. Throws when it cannot be parsed, or when it would look at the table in every boot. */
export function takeTextsOut(bundle: string): OutOfLine {
  const texts: string[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (text: string): number => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, texts.length);
    return texts.push(text) - 1;
  };
  const rewrite = (node: AnyNode, place: Place): string => {
    const changes: Change[] = [];
    const visit = (inner: AnyNode, where: Place): void => {
      const code = replacement(inner, where, numberOf, rewrite);
      if (code !== undefined) changes.push({ start: inner.start, end: inner.end, code });
      else for (const child of childrenOf(inner)) visit(child, placeBelow(inner, where));
    };
    visit(node, place);
    return splice(bundle, node, changes);
  };
  const program = parse(bundle, { ecmaVersion: 2023, sourceType: 'module' });
  return { code: `${LOOKUP}${rewrite(program, 'module')}`, texts };
}

/** Where something stands: run once when the bundle starts, there as the argument of a call, or in a function. */
type Place = 'module' | 'argument' | 'function';

interface Change {
  readonly start: number;
  readonly end: number;
  readonly code: string;
}

function placeBelow(node: AnyNode, place: Place): Place {
  if (place === 'function' || /Function|PropertyDefinition/.test(node.type)) return 'function';
  return node.type === 'CallExpression' ? 'argument' : place;
}

/** What takes the place of a sentence; undefined for everything else. */
function replacement(
  node: AnyNode,
  place: Place,
  numberOf: (text: string) => number,
  rewrite: (node: AnyNode, place: Place) => string,
): string | undefined {
  const text = sentenceOf(node);
  if (text === undefined) return undefined;
  if (isReasonCode(text, place)) return `$$(${numberOf(text)})`;
  if (!isSentence(text)) return undefined;
  // A record says what each field means, for the documentation; the device never asks.
  if (place === 'argument') return '""';
  if (place === 'module') {
    throw new Error(`the bundle would read its texts at every start, for ${JSON.stringify(text)}`);
  }
  const values = node.type === 'TemplateLiteral' ? node.expressions : [];
  return `$$(${[String(numberOf(text)), ...values.map((value) => rewrite(value, place))].join()})`;
}

function sentenceOf(node: AnyNode): string | undefined {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined;
  if (node.type !== 'TemplateLiteral') return undefined;
  return node.quasis.map(({ value }) => value.cooked ?? '').join(MARK);
}

function isSentence(text: string): boolean {
  return !IS_LABEL.test(text) && text.trim().split(' ').length >= WORDS_MIN;
}

/** Reason codes are three bytes in four of what is left of an error; as constants of a module they stay. */
function isReasonCode(text: string, place: Place): boolean {
  return place === 'function' && IS_REASON_CODE.test(text);
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
