/**
 * The regular expressions of a file_contexts, parsed: what libselinux hands to PCRE2, as far as policies use it.
 *
 * Patterns match bytes and whole paths (`^…$`, dot matches everything). Constructs that mean more than a set of texts,
 * such as look-around, back references and possessive repetition, and those that PCRE2 and a reader could understand
 * differently, are refused: a label is never guessed. A lazy repetition matches the same whole paths as a greedy one.
 *
 * Source: pcre2pattern(3), libselinux label_file.h (compile_regex).
 */

/** Bytes that match at one place: 256 bits. */
export type ByteSet = Uint32Array;

export type Pattern =
  | { readonly kind: 'set'; readonly set: ByteSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly choices: readonly Pattern[] }
  | {
      readonly kind: 'repeat';
      readonly part: Pattern;
      readonly least: number;
      /** Infinity: without an end. */
      readonly most: number;
    };

/** What is wrong with a pattern; the caller knows the file and the line. */
export class PatternError extends Error {}

/** Real policies have two levels. */
const DEPTH_MAX = 32;
/** PCRE2 allows 65535; no path needs it. */
const REPEAT_MAX = 4095;

/** Parses a pattern of ASCII characters; throws PatternError with a sentence part such as `has a lookahead`. */
export function parsePattern(text: string): Pattern {
  return new Parser(text).parse();
}

export function hasByte(set: ByteSet, byte: number): boolean {
  return ((set[byte >>> 5]! >>> (byte & 31)) & 1) === 1;
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    // Anchors say at the ends what is so anyway.
    const end = /(?<!\\)(?:\\\\)*\$$/.test(text) ? text.length - 1 : text.length;
    this.#text = text.slice(text.startsWith('^') ? 1 : 0, end);
  }

  parse(): Pattern {
    const pattern = this.#sequence();
    const next = this.#text[this.#at];
    if (next === undefined) return pattern;
    if (next === ')') throw new PatternError('has a closing parenthesis too many');
    throw new PatternError(
      'has | outside of parentheses, of which libselinux anchors one end only',
    );
  }

  #choice(): Pattern {
    const choices = [this.#sequence()];
    while (this.#text[this.#at] === '|') {
      this.#at++;
      choices.push(this.#sequence());
    }
    return choices.length === 1 ? choices[0]! : { kind: 'choice', choices };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') break;
      parts.push(this.#repeated(this.#one(next)));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  #one(first: string): Pattern {
    this.#at++;
    switch (first) {
      case '.':
        return { kind: 'set', set: complement(newSet()) };
      case '[':
        return { kind: 'set', set: this.#class() };
      case '(':
        return this.#group();
      case '\\':
        return { kind: 'set', set: this.#escape() };
      case '*':
      case '+':
      case '?':
        throw new PatternError(`has ${first} with nothing before it`);
      case '{':
        // What is a repetition and what four characters is not the same in all versions of PCRE2.
        if (/^(?:$|[\d, \t])/.test(this.#text.slice(this.#at))) {
          throw new PatternError('has { that may be a repetition, expected \\{');
        }
        return { kind: 'set', set: setOf(first.charCodeAt(0)) };
      case '^':
      case '$':
        throw new PatternError(`has ${first} within, expected it at an end or as \\${first}`);
      default:
        return { kind: 'set', set: setOf(first.charCodeAt(0)) };
    }
  }

  #group(): Pattern {
    if (this.#text.startsWith('?:', this.#at)) this.#at += 2;
    else if (/[?*]/.test(this.#text[this.#at] ?? '')) {
      throw new PatternError(
        `has (${this.#text.slice(this.#at, this.#at + 2)}, which is not supported`,
      );
    }
    if (++this.#depth > DEPTH_MAX) throw new PatternError(`nests deeper than ${DEPTH_MAX} groups`);
    const inner = this.#choice();
    if (this.#text[this.#at] !== ')') throw new PatternError('lacks a closing parenthesis');
    this.#at++;
    this.#depth--;
    return inner;
  }

  #repeated(part: Pattern): Pattern {
    const [whole, sign, least, comma, most] =
      /^(?:([*+?])|\{(\d{1,5})(?:(,)(\d{0,5}))?\})/.exec(
        this.#text.slice(this.#at, this.#at + 16),
      ) ?? [];
    if (whole === undefined) return part;
    this.#at += whole.length;
    const after = this.#text[this.#at];
    if (after === '+')
      throw new PatternError('has a possessive repetition, which is not supported');
    if (after === '?') this.#at++;
    if (/[*+?{]/.test(this.#text[this.#at] ?? '')) {
      throw new PatternError('repeats a repetition, expected parentheses around it');
    }
    if (sign !== undefined) {
      return {
        kind: 'repeat',
        part,
        least: sign === '+' ? 1 : 0,
        most: sign === '?' ? 1 : Infinity,
      };
    }
    const from = Number(least);
    const to = comma === undefined ? from : most === '' ? Infinity : Number(most);
    if (from > to || from > REPEAT_MAX || (to > REPEAT_MAX && to !== Infinity)) {
      throw new PatternError(
        `has ${whole}, expected at most ${REPEAT_MAX}, the lower number first`,
      );
    }
    return { kind: 'repeat', part, least: from, most: to };
  }

  /** After `[`. The first `]` of a class is a character, as in PCRE2. */
  #class(): ByteSet {
    const isNegated = this.#text[this.#at] === '^';
    if (isNegated) this.#at++;
    const set = newSet();
    for (let isFirst = true; ; isFirst = false) {
      const next = this.#text[this.#at];
      if (next === undefined) throw new PatternError('lacks a ]');
      this.#at++;
      if (next === ']' && !isFirst) break;
      this.#member(set, next);
    }
    return isNegated ? complement(set) : set;
  }

  #member(set: ByteSet, first: string): void {
    if (first === '[' && /[:.=]/.test(this.#text[this.#at] ?? '')) {
      addAll(set, this.#posixClass());
      return;
    }
    const low = first === '\\' ? this.#escape() : setOf(first.charCodeAt(0));
    const isRange = this.#text[this.#at] === '-' && (this.#text[this.#at + 1] ?? ']') !== ']';
    if (!isRange) {
      addAll(set, low);
      return;
    }
    this.#at++;
    const last = this.#text[this.#at++]!;
    if (last === '[' && /[:.=]/.test(this.#text[this.#at] ?? '')) {
      throw new PatternError('has a range that ends in a class');
    }
    const high = last === '\\' ? this.#escape() : setOf(last.charCodeAt(0));
    const [from, to] = [onlyByte(low), onlyByte(high)];
    if (from === undefined || to === undefined || from > to) {
      throw new PatternError('has a range whose ends are no characters in order');
    }
    for (let byte = from; byte <= to; byte++) addByte(set, byte);
  }

  #posixClass(): ByteSet {
    const [whole, name] = /^:(\w+):\]/.exec(this.#text.slice(this.#at, this.#at + 12)) ?? [];
    const pattern = name === undefined ? undefined : POSIX_CLASSES[name];
    if (pattern === undefined)
      throw new PatternError('has a class of characters that is not known');
    this.#at += whole!.length;
    return setMatching(pattern);
  }

  /** After a backslash. A backslash before anything but letters and digits takes its meaning away. */
  #escape(): ByteSet {
    const next = this.#text[this.#at];
    if (next === undefined) throw new PatternError('ends in a backslash');
    this.#at++;
    if (!/[0-9A-Za-z]/.test(next)) return setOf(next.charCodeAt(0));
    const pattern = ESCAPED_CLASSES[next.toLowerCase()];
    if (pattern === undefined) throw new PatternError(`has \\${next}, which is not supported`);
    const set = setMatching(pattern);
    return next === next.toLowerCase() ? set : complement(set);
  }
}

/** In the C locale, which is that of PCRE2's own tables. */
const POSIX_CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t-\r]/,
  upper: /[A-Z]/,
  word: /[0-9A-Za-z_]/,
  xdigit: /[0-9A-Fa-f]/,
};
const ESCAPED_CLASSES: Readonly<Record<string, RegExp>> = {
  d: POSIX_CLASSES['digit']!,
  s: POSIX_CLASSES['space']!,
  w: POSIX_CLASSES['word']!,
};

function newSet(): ByteSet {
  return new Uint32Array(8);
}

function addByte(set: ByteSet, byte: number): void {
  set[byte >>> 5]! |= 1 << (byte & 31);
}

function addAll(set: ByteSet, other: ByteSet): void {
  for (let i = 0; i < 8; i++) set[i]! |= other[i]!;
}

function setOf(byte: number): ByteSet {
  const set = newSet();
  addByte(set, byte);
  return set;
}

function setMatching(pattern: RegExp): ByteSet {
  const set = newSet();
  for (let byte = 0; byte < 128; byte++) {
    if (pattern.test(String.fromCharCode(byte))) addByte(set, byte);
  }
  return set;
}

function complement(set: ByteSet): ByteSet {
  return set.map((word) => ~word);
}

/** The one byte of a set; undefined when it has none or several. */
function onlyByte(set: ByteSet): number | undefined {
  let only: number | undefined;
  for (let byte = 0; byte < 256; byte++) {
    if (!hasByte(set, byte)) continue;
    if (only !== undefined) return undefined;
    only = byte;
  }
  return only;
}
