/**
 * The project's Markdown as tests look at it: prose without code, spans of code, fenced blocks, headings as anchors.
 *
 * Not a Markdown parser; the documents keep to the forms that this knows, and Prettier keeps them so.
 */
import { sourceFiles } from './source-files.ts';

export interface Page {
  readonly path: string;
  readonly text: string;
  /** Text outside fenced blocks and spans of code. */
  readonly prose: string;
  /** Spans of code, outside fenced blocks. */
  readonly spans: readonly string[];
  readonly blocks: readonly { readonly language: string; readonly text: string }[];
  /** What a link can name after `#`. */
  readonly anchors: ReadonlySet<string>;
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;
const SPAN = /`([^`]+)`/g;

/** Every Markdown page, sorted by path. */
export function markdownPages(): Page[] {
  return sourceFiles()
    .filter(({ path }) => path.endsWith('.md'))
    .map(({ path, text }) => readPage(path, text));
}

/** Takes one page apart. */
export function readPage(path: string, text: string): Page {
  const blocks = [...text.matchAll(FENCE)].map(([, language = '', body = '']) => {
    return { language, text: body };
  });
  const unfenced = text.replace(FENCE, '');
  const spans = [...unfenced.matchAll(SPAN)].map((match) => match[1]!.replace(/\s+/g, ' '));
  const prose = unfenced.replace(SPAN, '');
  const headings = [...unfenced.matchAll(/^#{1,6} (.+)$/gm)].map((match) => anchorOf(match[1]!));
  return { path, text, prose, spans, blocks, anchors: new Set(headings) };
}

/** The anchor that hosts of Markdown give a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

/** Targets of links and images. */
export function linksOf(page: Page): string[] {
  const unfenced = page.text.replace(FENCE, '');
  return [...unfenced.matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1]!);
}
