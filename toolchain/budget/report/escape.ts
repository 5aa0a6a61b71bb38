/**
 * Text from outside, made safe for HTML and SVG. Names of boards, stages and files may be hostile: they must come out
 * as text, never as markup, and must not turn the text around them about.
 *
 * Escaped is for element content and for attributes in double quotes alike. Characters that cannot be seen (controls,
 * direction marks, halves of surrogate pairs) are spelled, as `\u{202e}`: a page that is signed must not hide any.
 */

/** Controls and format characters, except the joiners that scripts and emoji need. */
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu;

/** Escapes text for content and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Spells what cannot be seen. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}

/** A JSON document for a data block of a page: nothing in it can end the block, and it parses to the same value. */
export function escapeJson(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Cuts the middle out of a long text, so that it has at most `max` characters. */
export function shorten(text: string, max: number): string {
  const characters = Array.from(text);
  if (characters.length <= max) return text;
  const head = Math.ceil((max - 1) * 0.6);
  const tail = max - 1 - head;
  return `${characters.slice(0, head).join('')}…${characters.slice(characters.length - tail).join('')}`;
}
