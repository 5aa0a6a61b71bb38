/**
 * Which context a path has, by the files of a policy: what matchpathcon(8) prints and setfiles(8) sets.
 *
 * Of the lines that match a path and its type the last one counts; lines that name one path count before the others;
 * file_contexts.homedirs comes after file_contexts, and file_contexts.local after both. A path is rewritten first by
 * file_contexts.subs, then by file_contexts.subs_dist, each once.
 *
 * Source: selabel_file(5), libselinux label_file.c (lookup_common, selabel_sub_key).
 */
import { createHash } from 'node:crypto';
import { S_IFMT } from '../image/tree.ts';
import {
  parseFileContexts,
  parseSubstitutions,
  policyProblem,
  type Specification,
  type Substitution,
} from './file-contexts.ts';
import { CostError, Matcher } from './matcher.ts';
import { PatternError } from './pattern.ts';

/** The files of a policy, in the order that their digest takes them in. */
export const POLICY_FILES = [
  'file_contexts',
  'file_contexts.homedirs',
  'file_contexts.local',
  'file_contexts.subs',
  'file_contexts.subs_dist',
] as const;
export type PolicyFile = (typeof POLICY_FILES)[number];

/** Debian's largest has 500 KiB. */
export const POLICY_BYTES_MAX = 16 * 1024 * 1024;

export interface PolicyFiles {
  /** For messages. */
  readonly name: string;
  readonly files: ReadonlyMap<PolicyFile, Uint8Array>;
}

export class LabelPolicy {
  /** SHA-256 of what `sha256sum` prints of the files that there are, in their order. */
  readonly sha256: Uint8Array;
  readonly #name: string;
  readonly #specifications: readonly Specification[];
  readonly #matcher = new Matcher();
  readonly #subs: readonly Substitution[];
  readonly #subsDist: readonly Substitution[];

  /** Throws CONFIG_SELINUX_POLICY. */
  constructor({ name, files }: PolicyFiles) {
    this.#name = name;
    this.sha256 = policyDigest(files);
    const text = (file: PolicyFile): string =>
      Buffer.from(files.get(file) ?? []).toString('latin1');
    const parse = (file: PolicyFile): Specification[] =>
      parseFileContexts(text(file), `${name}/${file}`);
    // What comes later in a list of substitutions counts before what came earlier.
    const substitutions = (file: PolicyFile): Substitution[] =>
      parseSubstitutions(text(file), `${name}/${file}`).reverse();
    const base = parse('file_contexts');
    refuseConflicts(base);
    const all = [...base, ...parse('file_contexts.homedirs'), ...parse('file_contexts.local')];
    this.#specifications = [
      ...all.filter(({ isExact }) => !isExact),
      ...all.filter(({ isExact }) => isExact),
    ];
    this.#subs = substitutions('file_contexts.subs');
    this.#subsDist = substitutions('file_contexts.subs_dist');
    for (const specification of this.#specifications) this.#add(specification);
  }

  /**
   * The context of a path from the root of the image, one character a byte; undefined when the policy has none for it.
   * Throws CONFIG_SELINUX_POLICY for a policy that takes too much work.
   */
  contextOf(path: string, mode: number): string | undefined {
    const type = mode & S_IFMT;
    for (const index of this.#match(this.#substitute(path))) {
      const { type: wanted, context } = this.#specifications[index]!;
      if (wanted === 0 || wanted === type) return context;
    }
    return undefined;
  }

  /** The work of matching so far; for measurements. */
  get work(): number {
    return this.#matcher.work;
  }

  #add({ pattern, text, where }: Specification): void {
    try {
      this.#matcher.add(pattern);
    } catch (error) {
      if (error instanceof PatternError) {
        throw policyProblem(where, `has the pattern ${text}, which ${error.message}`);
      }
      if (error instanceof CostError) throw policyProblem(this.#name, error.message);
      throw error;
    }
  }

  #match(path: string): readonly number[] {
    try {
      return this.#matcher.match(path);
    } catch (error) {
      if (!(error instanceof CostError)) throw error;
      throw policyProblem(this.#name, error.message);
    }
  }

  #substitute(path: string): string {
    const local = substitute(this.#subs, path) ?? path;
    return substitute(this.#subsDist, local) ?? local;
  }
}

/** SHA-256 of lines `<sha256>  <name>`, as sha256sum(1) prints them. */
function policyDigest(files: PolicyFiles['files']): Uint8Array {
  const hash = createHash('sha256');
  for (const name of POLICY_FILES) {
    const bytes = files.get(name);
    if (bytes === undefined) continue;
    hash.update(`${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`);
  }
  return new Uint8Array(hash.digest());
}

function substitute(list: readonly Substitution[], path: string): string | undefined {
  for (const { from, to } of list) {
    if (!path.startsWith(from)) continue;
    const next = path[from.length];
    if (next !== undefined && next !== '/') continue;
    return to + path.slice(next === '/' && to === '/' ? from.length + 1 : from.length);
  }
  return undefined;
}

/** Two lines of one file for the same paths: libselinux refuses that where it validates. */
function refuseConflicts(specifications: readonly Specification[]): void {
  const seen = new Map<string, Specification[]>();
  for (const each of specifications) {
    const others = seen.get(each.text);
    if (others === undefined) {
      seen.set(each.text, [each]);
      continue;
    }
    const other = others.find(
      ({ type, context }) =>
        (type === 0 || each.type === 0 || type === each.type) && context !== each.context,
    );
    if (other !== undefined) {
      throw policyProblem(
        each.where,
        `gives ${each.text} another context than ${other.where}, expected one`,
      );
    }
    others.push(each);
  }
}
