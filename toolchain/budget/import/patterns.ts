/**
 * Regular expressions that cannot hang: all patterns of a dictionary as one automaton, whose time for a line is
 * proportional to the line's length, whatever the patterns and whoever wrote the line. Pure.
 *
 * The syntax is the part of JavaScript's that an automaton can do: characters, classes, `.`, `^`, `$`, groups, `|` and
 * repetition. Backreferences, lookaround and word boundaries are refused. Thompson's construction (CACM 11, 1968) with
 * sets of states made when they are met, and forgotten when there are too many.
 */

/** Of all patterns together, counted repetitions written out. */
const NODES_MAX = 4000;
/** Sets of states that are kept. */
const SETS_MAX = 2000;
const REPEAT_MAX = 1000;
/** Groups within groups. */
const DEPTH_MAX = 50;
const UNIT_MAX = 0xffff;

/** Ranges of UTF-16 code units, sorted, apart from each other. */
type Ranges = readonly (readonly [low: number, high: number])[];

type Tree =
  | { readonly kind: 'unit'; readonly ranges: Ranges }
  | { readonly kind: 'start' | 'end' | 'empty' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly of: Tree; readonly min: number; readonly max: number };

const DIGIT: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
/** As JavaScript has it. */
const SPACE: Ranges = normalized([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const LINE_ENDS: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];

function normalized(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

function complement(ranges: Ranges): Ranges {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [low, high] of ranges) {
    if (low > from) rest.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= UNIT_MAX) rest.push([from, UNIT_MAX]);
  return rest;
}

/** What is wrong with a pattern, as a message that continues its name; thrown by the parser only. */
class PatternError extends Error {}

/** The problem of a pattern, continuing a sentence that begins with it; undefined for a good one. */
export function patternProblem(pattern: string): string | undefined {
  try {
    build([pattern]);
    return undefined;
  } catch (error) {
    if (error instanceof PatternError) return error.message;
    throw error;
  }
}

const ESCAPES: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
  t: [[9, 9]],
  n: [[10, 10]],
  r: [[13, 13]],
  f: [[12, 12]],
  v: [[11, 11]],
  0: [[0, 0]],
};

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Tree {
    const tree = this.#choice();
    if (this.#at < this.#text.length) throw new PatternError('has a ) that opens nowhere');
    return tree;
  }

  #peek(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Tree {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#text.length && !this.#peek('|') && !this.#peek(')')) {
      parts.push(this.#repeated(this.#atom()));
    }
    return { kind: 'sequence', parts };
  }

  #atom(): Tree {
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return { kind: 'unit', ranges: this.#class() };
    if (this.#take('.')) return { kind: 'unit', ranges: complement(LINE_ENDS) };
    if (this.#take('^')) return { kind: 'start' };
    if (this.#take('$')) return { kind: 'end' };
    if (this.#take('\\')) return { kind: 'unit', ranges: this.#escape() };
    const char = this.#text[this.#at++]!;
    if ('*+?'.includes(char)) throw new PatternError(`has a ${char} with nothing to repeat`);
    return { kind: 'unit', ranges: single(char) };
  }

  #group(): Tree {
    if (this.#take('?') && !this.#take(':')) {
      if (/^<[a-z_]\w*>/i.test(this.#text.slice(this.#at, this.#at + 100))) {
        this.#at = this.#text.indexOf('>', this.#at) + 1;
      } else throw new PatternError('looks around with (?, which is not supported');
    }
    if (++this.#depth > DEPTH_MAX) throw new PatternError('has groups nested too deep');
    const tree = this.#choice();
    this.#depth--;
    if (!this.#take(')')) throw new PatternError('has a ( that is not closed');
    return tree;
  }

  #escape(): Ranges {
    const char = this.#text[this.#at++];
    if (char === undefined) throw new PatternError('ends in a backslash');
    const known = ESCAPES[char];
    if (known !== undefined) return known;
    if (char === 'x' || char === 'u') return single(String.fromCharCode(this.#hex(char)));
    if (/[1-9k]/.test(char)) throw new PatternError('has a backreference, which is not supported');
    if (/[bB]/.test(char)) throw new PatternError('has a word boundary, which is not supported');
    if (/[A-Za-z]/.test(char)) throw new PatternError(`has \\${char}, which is not known`);
    return single(char);
  }

  #hex(kind: 'x' | 'u'): number {
    const digits = this.#text.slice(this.#at, this.#at + (kind === 'x' ? 2 : 4));
    const isWhole = digits.length === (kind === 'x' ? 2 : 4) && /^[0-9a-f]+$/i.test(digits);
    if (!isWhole) throw new PatternError(`has \\${kind} without its hexadecimal digits`);
    this.#at += digits.length;
    return Number.parseInt(digits, 16);
  }

  #class(): Ranges {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      if (this.#at >= this.#text.length) throw new PatternError('has a [ that is not closed');
      const low = this.#classUnit();
      const isRange = this.#peek('-') && this.#text[this.#at + 1] !== ']' && isSingle(low);
      if (!isRange) {
        ranges.push(...low);
        continue;
      }
      this.#at++;
      if (this.#at >= this.#text.length) throw new PatternError('has a [ that is not closed');
      const high = this.#classUnit();
      if (!isSingle(high)) throw new PatternError('has a range that ends in a class');
      const [from, to] = [low[0]![0], high[0]![0]];
      if (from > to) throw new PatternError('has a range that is the wrong way round');
      ranges.push([from, to]);
    }
    const set = normalized(ranges);
    return isNegated ? complement(set) : set;
  }

  #classUnit(): Ranges {
    if (this.#take('\\')) return this.#escape();
    return single(this.#text[this.#at++]!);
  }

  #repeated(of: Tree): Tree {
    const bounds = this.#bounds();
    if (bounds === undefined) return of;
    if (of.kind === 'start' || of.kind === 'end') throw new PatternError('repeats a ^ or $');
    const [min, max] = bounds;
    if (min > max) throw new PatternError('has a repetition that is the wrong way round');
    if (min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX)) {
      throw new PatternError(`repeats more than ${REPEAT_MAX} times`);
    }
    // Whether as much or as little as possible is taken makes no difference to whether there is a match.
    this.#take('?');
    if (/[*+?]/.test(this.#text[this.#at] ?? '')) throw new PatternError('repeats a repetition');
    return { kind: 'repeat', of, min, max };
  }

  #bounds(): [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    const counted = /^\{(\d{1,6})(,(\d{0,6}))?\}/.exec(this.#text.slice(this.#at, this.#at + 16));
    if (counted === null) return undefined;
    this.#at += counted[0].length;
    const min = Number(counted[1]);
    if (counted[2] === undefined) return [min, min];
    return [min, counted[3] === '' ? Infinity : Number(counted[3])];
  }
}

function single(char: string): Ranges {
  const unit = char.charCodeAt(0);
  return [[unit, unit]];
}

function isSingle(ranges: Ranges): boolean {
  return ranges.length === 1 && ranges[0]![0] === ranges[0]![1];
}

/** A node of the automaton. `unit` waits for a code unit; the others are passed at once, where they may be. */
interface Node {
  readonly kind: 'unit' | 'start' | 'end' | 'split' | 'accept';
  readonly ranges: Ranges;
  readonly pattern: number;
  next: number[];
}

/** The nodes, and the one that all patterns begin with. */
interface Automaton {
  readonly nodes: readonly Node[];
  readonly start: number;
}

function build(patterns: readonly string[]): Automaton {
  const nodes: Node[] = [];
  const add = (kind: Node['kind'], next: number[], ranges: Ranges = [], pattern = -1): number => {
    if (nodes.length === NODES_MAX) throw new PatternError('is too large');
    return nodes.push({ kind, ranges, pattern, next }) - 1;
  };
  let steps = 0;
  /** Made from behind: the first node of a tree that goes on to `next`. */
  const compile = (tree: Tree, next: number): number => {
    // Empty groups within counted repetitions make no nodes.
    if (++steps > 10 * NODES_MAX) throw new PatternError('is too large');
    switch (tree.kind) {
      case 'unit':
        return add('unit', [next], tree.ranges);
      case 'start':
      case 'end':
        return add(tree.kind, [next]);
      case 'empty':
        return next;
      case 'choice':
        return add(
          'split',
          tree.parts.map((part) => compile(part, next)),
        );
      case 'sequence':
        return tree.parts.reduceRight((after, part) => compile(part, after), next);
      case 'repeat': {
        let first = next;
        if (tree.max === Infinity) {
          first = add('split', [next]);
          nodes[first]!.next.push(compile(tree.of, first));
        } else {
          for (let i = tree.min; i < tree.max; i++) {
            first = add('split', [next, compile(tree.of, first)]);
          }
        }
        for (let i = 0; i < tree.min; i++) first = compile(tree.of, first);
        return first;
      }
    }
  };
  const starts = patterns.map((pattern, index) => {
    const tree = new Parser(pattern).parse();
    return compile(tree, add('accept', [], [], index));
  });
  return { nodes, start: add('split', starts) };
}

/** Where the automaton may be after some code units. */
interface StateSet {
  /** Nodes that wait for a code unit, or for the end. */
  readonly waiting: readonly number[];
  /** Patterns that have matched by now. */
  readonly accepted: readonly number[];
  /** Patterns that match if the line ends here. */
  readonly acceptedAtEnd: readonly number[];
  /** By class of code units. */
  readonly next: (StateSet | undefined)[];
}

/** Finds which of several patterns are in a line. */
export class PatternSet {
  readonly #automaton: Automaton;
  /** The lowest code unit of each class: units between two bounds are the same to all patterns. */
  readonly #bounds: readonly number[];
  readonly #classOfByte: Uint16Array;
  readonly #visited: Uint32Array;
  #generation = 0;
  #sets = new Map<string, StateSet>();
  readonly #first: StateSet;

  /** Patterns for which `patternProblem` has none. */
  constructor(patterns: readonly string[]) {
    this.#automaton = build(patterns);
    const bounds = new Set([0]);
    for (const { ranges } of this.#automaton.nodes) {
      for (const [low, high] of ranges) {
        bounds.add(low);
        if (high < UNIT_MAX) bounds.add(high + 1);
      }
    }
    this.#bounds = [...bounds].sort((a, b) => a - b);
    this.#classOfByte = Uint16Array.from({ length: 256 }, (_, unit) => this.#search(unit));
    this.#visited = new Uint32Array(this.#automaton.nodes.length);
    this.#first = this.#makeSet([this.#automaton.start], true);
  }

  /** The indices of the patterns that match somewhere in the line, in order. */
  match(line: string): number[] {
    const found = new Set<number>();
    let set = this.#first;
    for (let at = 0; ; at++) {
      for (const pattern of set.accepted) found.add(pattern);
      if (at === line.length) break;
      const unit = line.charCodeAt(at);
      const group = unit < 256 ? this.#classOfByte[unit]! : this.#search(unit);
      set = set.next[group] ?? this.#step(set, group);
    }
    for (const pattern of set.acceptedAtEnd) found.add(pattern);
    return [...found].sort((a, b) => a - b);
  }

  #search(unit: number): number {
    let [low, high] = [0, this.#bounds.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#bounds[middle]! <= unit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #step(set: StateSet, group: number): StateSet {
    const unit = this.#bounds[group]!;
    const { nodes, start } = this.#automaton;
    const seeds = set.waiting.flatMap((index) => {
      const { kind, ranges, next } = nodes[index]!;
      const isIn = kind === 'unit' && ranges.some(([low, high]) => low <= unit && unit <= high);
      return isIn ? next : [];
    });
    // A match may begin anywhere.
    const made = this.#makeSet([...seeds, start], false);
    set.next[group] = made;
    return made;
  }

  #makeSet(seeds: readonly number[], isStart: boolean): StateSet {
    const { nodes } = this.#automaton;
    const reached = this.#closure(seeds, isStart, false);
    const waiting = reached.filter((index) => ['unit', 'end'].includes(nodes[index]!.kind));
    const accepted = this.#acceptedIn(reached);
    const key = `${isStart ? 's' : ''}${waiting.join()}/${accepted.join()}`;
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    // Patterns can be written for which there are more sets than memory: then they are made again when needed.
    if (this.#sets.size >= SETS_MAX) {
      for (const old of this.#sets.values()) old.next.length = 0;
      this.#sets.clear();
    }
    const atEnd = this.#closure(waiting, isStart, true);
    const made = { waiting, accepted, acceptedAtEnd: this.#acceptedIn(atEnd), next: [] };
    this.#sets.set(key, made);
    return made;
  }

  #acceptedIn(reached: readonly number[]): number[] {
    return reached.map((index) => this.#automaton.nodes[index]!.pattern).filter((id) => id >= 0);
  }

  /** All nodes that are reached without reading on, sorted. */
  #closure(seeds: readonly number[], isStart: boolean, isEnd: boolean): number[] {
    const generation = ++this.#generation;
    const reached: number[] = [];
    const stack = [...seeds];
    for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
      if (this.#visited[index] === generation) continue;
      this.#visited[index] = generation;
      const { kind, next } = this.#automaton.nodes[index]!;
      reached.push(index);
      const isPassed =
        kind === 'split' || (kind === 'start' && isStart) || (kind === 'end' && isEnd);
      if (isPassed) stack.push(...next);
    }
    return reached.sort((a, b) => a - b);
  }
}
