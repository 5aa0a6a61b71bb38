/**
 * A strict reader of our own HTML and SVG: every tag closed in order, every attribute in double quotes, no `<` or `&`
 * that is not markup. A browser forgives all of that, so a test must not.
 */
export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: (Element | string)[];
}

const VOID = new Set(['meta', 'br']);
/** Their content is not markup. */
const RAW = new Set(['style', 'script']);
const ATTRIBUTE = /\s+([a-zA-Z][\w:-]*)="([^"<]*)"/y;
const OPEN = /<([a-zA-Z][\w-]*)/y;

/** Reads a page or a picture; throws with the place of what is not well-formed. */
export function readMarkup(text: string): Element {
  const root: Element = { name: '', attributes: new Map(), children: [] };
  const stack = [root];
  let at = text.startsWith('<!doctype html>\n') ? '<!doctype html>\n'.length : 0;
  const fail = (what: string): never => {
    throw new Error(`${what} at ${at}: ${text.slice(at, at + 80)}`);
  };
  while (at < text.length) {
    const top = stack.at(-1)!;
    const next = text.indexOf('<', at);
    if (next !== at) {
      const end = next < 0 ? text.length : next;
      top.children.push(decodeText(text.slice(at, end)));
      at = end;
      continue;
    }
    if (text.startsWith('</', at)) {
      const close = `</${top.name}>`;
      if (!text.startsWith(close, at)) fail(`expected ${close}`);
      stack.pop();
      at += close.length;
      continue;
    }
    OPEN.lastIndex = at;
    const [opening, name] = OPEN.exec(text) ?? fail('not a tag');
    at += opening.length;
    const attributes = new Map<string, string>();
    for (;;) {
      ATTRIBUTE.lastIndex = at;
      const match = ATTRIBUTE.exec(text);
      if (match === null) break;
      if (attributes.has(match[1]!)) fail(`${match[1]!} twice`);
      attributes.set(match[1]!, decodeText(match[2]!));
      at += match[0].length;
    }
    const element: Element = { name: name!, attributes, children: [] };
    top.children.push(element);
    if (text.startsWith('/>', at)) at += 2;
    else if (text.startsWith('>', at)) {
      at += 1;
      if (RAW.has(name!)) {
        const end = text.indexOf(`</${name!}>`, at);
        element.children.push(text.slice(at, end));
        at = end + name!.length + 3;
      } else if (!VOID.has(name!)) stack.push(element);
    } else fail('a tag that does not end');
  }
  if (stack.length > 1) fail(`<${stack.at(-1)!.name}> is not closed`);
  return root;
}

/** Text with its references resolved; throws on an ampersand that is none. */
export function decodeText(text: string): string {
  return text.replace(/&(?:#(\d+);)?/g, (_, code: string | undefined) => {
    if (code === undefined) throw new Error(`an unescaped ampersand: ${text.slice(0, 80)}`);
    return String.fromCodePoint(Number(code));
  });
}

/** All elements below one, in document order. */
export function elementsOf(root: Element, name?: string): Element[] {
  const found: Element[] = [];
  const walk = (element: Element): void => {
    for (const child of element.children) {
      if (typeof child === 'string') continue;
      if (name === undefined || child.name === name) found.push(child);
      walk(child);
    }
  };
  walk(root);
  return found;
}

/** The text of an element, as it is read. */
export function textOf(element: Element): string {
  return element.children
    .map((child) => (typeof child === 'string' ? child : RAW.has(child.name) ? '' : textOf(child)))
    .join('');
}
