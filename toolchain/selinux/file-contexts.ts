/**
 * The lines of file_contexts(5) and of its files of substitutions.
 *
 * A line of file_contexts is a pattern, an optional file type and a context, or `<<none>>`. A line of a file of
 * substitutions is two paths: what is below the first is labelled as if it were below the second.
 *
 * Source: file_contexts(5), selabel_file(5), libselinux label_file.h, label_file.c, label_support.c.
 */
import { ColdsealError } from '../../runtime/format/errors.ts';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../image/tree.ts';
import { parsePattern, type Pattern, PatternError } from './pattern.ts';

/** One line of a file_contexts. */
export interface Specification {
  readonly pattern: Pattern;
  /** As it is written. */
  readonly text: string;
  /** Type bits of a mode that it is about; 0: all types. */
  readonly type: number;
  /** Undefined for `<<none>>`: such files are not labelled. */
  readonly context: string | undefined;
  /** Whether it names one path; such lines count before all others. */
  readonly isExact: boolean;
  /** For messages: the file and the line. */
  readonly where: string;
}

export interface Substitution {
  readonly from: string;
  readonly to: string;
}

const TYPES: ReadonlyMap<string, number> = new Map([
  ['--', S_IFREG],
  ['-d', S_IFDIR],
  ['-l', S_IFLNK],
  ['-c', S_IFCHR],
  ['-b', S_IFBLK],
  ['-p', S_IFIFO],
  ['-s', S_IFSOCK],
]);

/** As libselinux's UINT16_MAX. */
const FIELD_MAX = 65_534;
/** libselinux reads lines of a file of substitutions into a buffer of 1024 bytes. */
const SUBSTITUTION_MAX = 1022;
const CONTEXT = /^[^:\s]+:[^:\s]+:[^:\s]+(?::\S+)?$/;
const NONE = '<<none>>';
/** What begins a pattern that is none of one path, in the eyes of libselinux. */
const META = /[.^$?*+|[({]/;
const SPACES = /[ \t-\r]+/;

/** Throws CONFIG_SELINUX_POLICY naming the file and the line. */
export function policyProblem(where: string, problem: string, hint?: string): ColdsealError {
  const options = hint === undefined ? {} : { hint };
  return new ColdsealError('CONFIG_SELINUX_POLICY', `Cannot use ${where}: it ${problem}`, options);
}

/** Parses a file_contexts, one character a byte; `name` is for messages. Throws CONFIG_SELINUX_POLICY. */
export function parseFileContexts(text: string, name: string): Specification[] {
  return linesOf(text, name).map(({ fields, where }) => {
    if (fields.length < 2)
      throw policyProblem(where, 'has a pattern alone, expected a context too');
    if (fields.length > 3) {
      throw policyProblem(where, `has ${fields.length} fields, expected two or three`);
    }
    for (const field of fields) {
      if (field.length > FIELD_MAX) throw policyProblem(where, 'has a field that is too long');
      // oxlint-disable-next-line no-control-regex -- the printable ASCII characters are what is allowed
      if (/[^\x21-\x7e]/.test(field)) {
        throw policyProblem(where, 'has characters that are not ASCII, which libselinux refuses');
      }
    }
    const [text, second, third] = fields as [string, string, string?];
    const [flag, context] = third === undefined ? [undefined, second] : [second, third];
    const type = flag === undefined ? 0 : TYPES.get(flag);
    if (type === undefined) {
      const known = [...TYPES.keys()].join(' ');
      throw policyProblem(where, `has the file type ${flag}, expected one of ${known}`);
    }
    if (context !== NONE && !CONTEXT.test(context)) {
      const message = `has ${context}, expected a context such as system_u:object_r:bin_t:s0`;
      throw policyProblem(where, message);
    }
    const isExact = !META.test(text.replaceAll(/\\[^]/g, ''));
    return {
      pattern: patternOf(text, where),
      text,
      type,
      context: context === NONE ? undefined : context,
      isExact,
      where,
    };
  });
}

function patternOf(text: string, where: string): Pattern {
  refuseUnclearStem(text, where);
  try {
    return parsePattern(text);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw policyProblem(
      where,
      `has the pattern ${text}, which ${error.message}`,
      'write the pattern with characters, classes, groups and repetitions',
    );
  }
}

/**
 * libselinux compares a first component without special characters as it is written, and only the rest as a pattern.
 * Where that gives another answer than the pattern does, versions of libselinux differ.
 */
function refuseUnclearStem(text: string, where: string): void {
  const slash = text.indexOf('/', 1);
  const stem = text.slice(0, slash);
  if (slash < 0 || META.test(stem)) return;
  if (stem.includes('\\')) {
    const message = `has the pattern ${text}, whose first directory has a backslash`;
    throw policyProblem(where, message, 'leave the backslash out where nothing needs it');
  }
  if (/[?*{]/.test(text[slash + 1] ?? '')) {
    const message = `has the pattern ${text}, which repeats the slash after the first directory`;
    throw policyProblem(where, message, 'write it as two lines');
  }
}

/** Parses a file of substitutions. Throws CONFIG_SELINUX_POLICY. */
export function parseSubstitutions(text: string, name: string): Substitution[] {
  return linesOf(text, name).map(({ fields, where, length }) => {
    const [from, to] = fields;
    if (length > SUBSTITUTION_MAX) throw policyProblem(where, 'is longer than libselinux reads');
    if (fields.length !== 2 || !from!.startsWith('/') || !to!.startsWith('/')) {
      throw policyProblem(where, 'has no substitution, expected two absolute paths');
    }
    return { from: from!, to: to! };
  });
}

function linesOf(
  text: string,
  name: string,
): { fields: string[]; where: string; length: number }[] {
  if (text.includes('\0')) {
    throw policyProblem(name, 'has a NUL byte; compiled policies (.bin) are not read');
  }
  return text.split('\n').flatMap((line, index) => {
    const fields = line.split(SPACES).filter((field) => field !== '');
    if (fields.length === 0 || fields[0]!.startsWith('#')) return [];
    return [{ fields, where: `${name}:${index + 1}`, length: line.length }];
  });
}
