/**
 * Thousands of patterns matched at once, in time that a policy cannot stretch.
 *
 * All patterns become one nondeterministic automaton, and its deterministic one is made while paths are matched, state
 * by state: a path costs a step for each of its bytes, however many patterns there are. A regular expression engine
 * that backtracks takes exponential time for patterns such as `(a|a)*b`; here the work is counted, and what no honest
 * policy needs is refused. The counting makes the refusal the same on every machine.
 *
 * Sources: Thompson, Regular Expression Search Algorithm, 1968; Cox, Regular Expression Matching in the Wild, 2010.
 */
import { type ByteSet, hasByte, type Pattern, PatternError } from './pattern.ts';

/** A policy of 6,000 patterns has 200,000 states. */
const NODES_MAX = 2_000_000;
/** States of one pattern: repetitions with numbers are written out. */
const NODES_OF_PATTERN_MAX = 50_000;
/** Steps through the nondeterministic automaton; 100,000 paths with Debian's policy take 2 million. */
const WORK_MAX = 100_000_000;
/** Deterministic states kept, by the sum of their sizes; beyond it all are made anew. */
const KEPT_MAX = 8_000_000;

/** Too much for any honest policy. */
export class CostError extends Error {}

/** What a node does: bytes of a set lead on, two ways, the end of a pattern. */
const STEP = 0;
const FORK = 1;
const END = 2;

/** A state of the deterministic automaton. */
class State {
  /** Nodes of kind STEP in which the nondeterministic one can be, ascending. */
  readonly nodes: Int32Array;
  /** Patterns that end here, the last one first. */
  readonly ends: readonly number[];
  /** By class of bytes; filled when it is first needed. */
  readonly next: (State | undefined)[];

  constructor(nodes: Int32Array, ends: readonly number[], classes: number) {
    this.nodes = nodes;
    this.ends = ends;
    this.next = Array.from({ length: classes }, () => undefined);
  }
}

export class Matcher {
  readonly #kinds: number[] = [];
  /** STEP: index of the set. FORK: first way. END: number of the pattern. */
  readonly #first: number[] = [];
  /** STEP: where it leads. FORK: second way. */
  readonly #second: number[] = [];
  readonly #sets: ByteSet[] = [];
  readonly #setNumbers = new Map<string, number>();
  readonly #starts: number[] = [];
  /** Class of each byte: bytes that no pattern tells apart share one. */
  readonly #classes = new Uint8Array(256);
  #classCount = 0;
  /** For each set, whether it has a class. */
  readonly #hasClass: Uint8Array[] = [];
  #states = new Map<string, State>();
  #kept = 0;
  #work = 0;
  #start: State | undefined;
  /** When a node was last visited. */
  #visited = new Int32Array(0);
  #visit = 0;

  /** Adds a pattern; its number is the count of those before. Throws PatternError or CostError. */
  add(pattern: Pattern): void {
    if (this.#start !== undefined) throw new Error('patterns are added before paths are matched');
    const before = this.#kinds.length;
    const end = this.#node(END, this.#starts.length, 0);
    this.#starts.push(this.#compile(pattern, end, before + NODES_OF_PATTERN_MAX));
  }

  /** Numbers of the patterns that match a whole path of bytes, the last one first. Throws CostError. */
  match(path: string): readonly number[] {
    let state = this.#startState();
    let beforeLast = state;
    for (let i = 0; i < path.length; i++) {
      beforeLast = state;
      const byteClass = this.#classes[path.charCodeAt(i)]!;
      state = state.next[byteClass] ?? this.#step(state, byteClass);
    }
    // `$` matches before a newline at the end too.
    if (!path.endsWith('\n') || beforeLast.ends.length === 0) return state.ends;
    return [...new Set([...state.ends, ...beforeLast.ends])].sort((a, b) => b - a);
  }

  // --- the nondeterministic automaton, from its end to its beginning -------------------------------------

  #node(kind: number, first: number, second: number): number {
    if (this.#kinds.length >= NODES_MAX) throw new CostError('has too many patterns');
    this.#first.push(first);
    this.#second.push(second);
    return this.#kinds.push(kind) - 1;
  }

  /** Compiles a pattern that goes on at `next`; returns where it begins. */
  #compile(pattern: Pattern, next: number, limit: number): number {
    if (this.#kinds.length > limit) {
      throw new PatternError('repeats too much: it has more states than any real pattern');
    }
    switch (pattern.kind) {
      case 'set':
        return this.#node(STEP, this.#setNumber(pattern.set), next);
      case 'sequence':
        return pattern.parts.reduceRight((to, part) => this.#compile(part, to, limit), next);
      case 'choice':
        return pattern.choices
          .map((choice) => this.#compile(choice, next, limit))
          .reduceRight((others, way) => this.#node(FORK, way, others));
      case 'repeat':
        return this.#compileRepeat(pattern, next, limit);
    }
  }

  #compileRepeat(
    { part, least, most }: Extract<Pattern, { kind: 'repeat' }>,
    next: number,
    limit: number,
  ): number {
    let at = next;
    if (most === Infinity) {
      at = this.#node(FORK, next, next);
      this.#first[at] = this.#compile(part, at, limit);
    } else {
      for (let i = least; i < most; i++)
        at = this.#node(FORK, this.#compile(part, at, limit), next);
    }
    for (let i = 0; i < least; i++) at = this.#compile(part, at, limit);
    return at;
  }

  #setNumber(set: ByteSet): number {
    const key = set.join();
    let number = this.#setNumbers.get(key);
    if (number === undefined) this.#setNumbers.set(key, (number = this.#sets.push(set) - 1));
    return number;
  }

  // --- the deterministic one, made while it is used ------------------------------------------------------

  #startState(): State {
    if (this.#start !== undefined) return this.#start;
    this.#classifyBytes();
    this.#visited = new Int32Array(this.#kinds.length);
    this.#start = this.#stateOf(this.#starts);
    return this.#start;
  }

  #classifyBytes(): void {
    const numbers = new Map<string, number>();
    const examples: number[] = [];
    for (let byte = 0; byte < 256; byte++) {
      const key = this.#sets.map((set) => (hasByte(set, byte) ? '1' : '0')).join('');
      let number = numbers.get(key);
      if (number === undefined) numbers.set(key, (number = examples.push(byte) - 1));
      this.#classes[byte] = number;
    }
    this.#classCount = examples.length;
    for (const set of this.#sets) {
      this.#hasClass.push(Uint8Array.from(examples, (byte) => (hasByte(set, byte) ? 1 : 0)));
    }
  }

  #step(state: State, byteClass: number): State {
    const targets: number[] = [];
    for (const node of state.nodes) {
      if (this.#hasClass[this.#first[node]!]![byteClass] === 1) targets.push(this.#second[node]!);
    }
    this.#count(state.nodes.length);
    const next = this.#stateOf(targets);
    state.next[byteClass] = next;
    return next;
  }

  /** The state of being in some nodes, and wherever forks lead from there. */
  #stateOf(targets: readonly number[]): State {
    const visit = ++this.#visit;
    const nodes: number[] = [];
    const ends: number[] = [];
    const pending = [...targets];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (this.#visited[node] === visit) continue;
      this.#visited[node] = visit;
      this.#count(1);
      const kind = this.#kinds[node];
      if (kind === STEP) nodes.push(node);
      else if (kind === END) ends.push(this.#first[node]!);
      else pending.push(this.#second[node]!, this.#first[node]!);
    }
    const sorted = Int32Array.from(nodes).sort();
    const key = `${bytesAsText(sorted)};${ends.sort((a, b) => b - a).join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    this.#makeRoom(sorted.length + this.#classCount);
    const state = new State(sorted, ends, this.#classCount);
    this.#states.set(key, state);
    return state;
  }

  #makeRoom(size: number): void {
    this.#kept += size;
    if (this.#kept <= KEPT_MAX) return;
    // Whoever holds a state can go on with it; the rest is made anew when it is needed.
    for (const state of this.#states.values()) state.next.fill(undefined);
    this.#states = new Map();
    this.#kept = size;
  }

  #count(steps: number): void {
    this.#work += steps;
    if (this.#work > WORK_MAX) throw new CostError('takes more work than any real policy');
  }

  /** Steps through the nondeterministic automaton so far. */
  get work(): number {
    return this.#work;
  }
}

/** A key for a Map: joining numbers takes ten times as long. */
function bytesAsText({ buffer, byteOffset, byteLength }: Int32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}
