/**
 * What the schema says about a value, in this house's words: the value, and what was expected.
 *
 * One zod issue can be several problems (three unknown settings), each with its own path.
 */
import { z } from 'zod';
import { nearestWord } from './nearest.ts';

export type ConfigPath = readonly (string | number)[];

export interface ConfigProblem {
  readonly path: ConfigPath;
  /** Continues a sentence that begins with the path: `is 5, expected at most 3`. */
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

const NOUNS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'settings',
  record: 'settings',
};

/** The problems behind the schema's issues. */
export function explainIssues(issues: readonly Issue[], schema: z.ZodType): ConfigProblem[] {
  return issues.flatMap((issue) => explainIssue(issue, [], schema));
}

/** The first problem as the end of a sentence, of a document in which nobody looks for the others. */
export function firstProblem(
  { issues }: { readonly issues: readonly Issue[] },
  schema: z.ZodType,
  whole: string,
): string {
  const [problem] = explainIssues(issues, schema);
  return `${problem!.path.join('.') || whole} ${problem!.message}`;
}

function explainIssue(issue: Issue, parent: ConfigPath, schema: z.ZodType): ConfigProblem[] {
  const path = [...parent, ...issue.path.map((part) => part as string | number)];
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, known) }));
  }
  if (issue.code === 'invalid_union') {
    // The branch that got furthest is the one that was meant.
    const depth = (branch: readonly Issue[]): number =>
      Math.max(0, ...branch.map((each) => each.path.length));
    const meant = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
    if (meant !== undefined && depth(meant) > 0) {
      return meant.flatMap((each) => explainIssue(each, path, schema));
    }
  }
  if (issue.code === 'invalid_key') {
    const reason = issue.issues[0]?.message ?? 'expected another name';
    return [{ path, message: `has a name that is not allowed, ${reason}` }];
  }
  return [{ path, message: explainValue(issue) }];
}

function explainValue(issue: Issue): string {
  const { input } = issue;
  if (issue.code === 'custom') return issue.message;
  if (input === undefined) return `is missing, expected ${expectation(issue)}`;
  if (issue.code === 'invalid_value' && typeof input === 'string') {
    const near = nearestWord(input, issue.values.map(String));
    if (near !== undefined) return `is ${show(input)}, did you mean ${near}?`;
  }
  const wantsText = issue.code === 'invalid_type' && issue.expected === 'string';
  const remedy = wantsText && typeof input !== 'object' ? ' (put it in quotes)' : '';
  return `is ${show(input)}, expected ${expectation(issue)}${remedy}`;
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return NOUNS[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return issue.values.length === 1
        ? String(issue.values[0])
        : `one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `at least ${String(issue.minimum)}${unitOf(issue.origin)}`;
    case 'too_big':
      return `at most ${String(issue.maximum)}${unitOf(issue.origin)}`;
    default:
      return issue.message.replace(/^expected /, '');
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  if (origin === 'array') return ' entries';
  return '';
}

/** A value in a message: short, and never more than a line. */
function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'empty';
  if (typeof value === 'object') return 'settings';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearestWord(key, known);
  if (near !== undefined) return `is not a known setting, did you mean ${near}?`;
  return known.length === 0
    ? 'is not a known setting'
    : `is not a known setting, expected ${known.join(', ')}`;
}

/** The settings a schema knows at a path; empty when there are none to name. */
function knownKeys(schema: z.ZodType, path: ConfigPath): string[] {
  let at: z.ZodType | undefined = schema;
  for (const part of path) {
    at = at === undefined ? undefined : unwrap(at);
    if (at instanceof z.ZodObject) at = (at.shape as Record<string, z.ZodType>)[String(part)];
    else if (at instanceof z.ZodArray) at = at.element as unknown as z.ZodType;
    else if (at instanceof z.ZodRecord) at = at.valueType as z.ZodType;
    else return [];
  }
  const end = at === undefined ? undefined : unwrap(at);
  return end instanceof z.ZodObject ? Object.keys(end.shape) : [];
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  return schema;
}
