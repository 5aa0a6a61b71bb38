/**
 * A boot profile as a file: what of the store a boot touched, in the order in which it was first needed. Pure.
 *
 * It is for people and programs alike: JSON, no date, and the same trace gives the same bytes. A later release takes
 * what it still has: an object by its digest, or by the path under which an image has it; an image by its digest or
 * its name; what is signed by its place.
 */
import { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { firstProblem } from '../config/explain-issue.ts';

export const PROFILE_KIND = 'coldseal-boot-profile';
export const PROFILE_SCHEMA = 1;
/** A profile of a boot has some hundred kilobytes at most. */
export const PROFILE_BYTES_MAX = 16 * 1024 * 1024;
/** No boot touches as many files before its first containers are heard. */
export const RECORDS_MAX = 65_536;
/** Names of one object that are kept. */
export const NAMES_MAX = 16;

const text = z.string().min(1).max(512);
const figure = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const digest = z.string().regex(/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/, 'expected an fs-verity digest');
/** From and to, in bytes; ascending, apart from each other, whole blocks but for the end of a file. */
const ranges = z
  .array(z.tuple([figure, figure]))
  .max(RECORDS_MAX)
  .refine((all) => all.every(([from, to], i) => from < to && from >= (all[i - 1]?.[1] ?? 0)), {
    message: 'expected ascending ranges of bytes',
  });

const touched = {
  /** In which the first byte of it was read. */
  stage: text,
  /** Of its content. */
  ranges,
  /** Blocks that fs-verity keeps behind it: Merkle tree and descriptor. */
  treeBlocks: figure,
};
const record = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('object'),
    digest,
    size: figure,
    /** Where images have it: `name:/path`. */
    names: z.array(z.string().min(3).max(8192)).max(NAMES_MAX),
    ...touched,
  }),
  z.strictObject({ kind: z.literal('image'), digest, size: figure, name: text, ...touched }),
  z.strictObject({
    kind: z.literal('signed'),
    path: z.string().regex(/^slots\/(?:a|b|recovery)\/(?:manifest|deny)\.cose$/),
    size: figure,
    ...touched,
  }),
]);

const requests = z.strictObject({ reads: figure, bytes: figure });
const schema = z.strictObject({
  kind: z.literal(PROFILE_KIND),
  schema: z.literal(PROFILE_SCHEMA),
  board: text,
  release: z.strictObject({ id: text, version: text }).nullable(),
  /** How it was found out: a virtual board's trace, or a list that somebody gave. */
  source: z.enum(['trace', 'list']),
  /** By the order of the first read. */
  records: z.array(record).max(RECORDS_MAX),
  /** What was read of the disk until the last first output, by what its first block is; null for a list. */
  requests: z
    .strictObject({
      total: requests,
      content: requests,
      tree: requests,
      metadata: requests,
      outside: requests,
    })
    .nullable(),
});

export type Profile = z.output<typeof schema>;
export type ProfileRecord = Profile['records'][number];
export type ByteRange = readonly [from: number, to: number];
export type RequestSums = NonNullable<Profile['requests']>;

/** Reads a profile. Throws FORMAT_PROFILE. */
export function parseProfile(bytes: Uint8Array, path: string): Profile {
  const refuse = (problem: string, cause?: unknown): ColdsealError =>
    new ColdsealError('FORMAT_PROFILE', `Cannot use the profile ${path}: ${problem}`, {
      hint: 'coldseal profile writes one',
      cause,
    });
  if (bytes.length > PROFILE_BYTES_MAX) {
    throw refuse(`it has ${bytes.length} bytes, expected at most ${PROFILE_BYTES_MAX}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw refuse('it is not JSON', error);
  }
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw refuse(firstProblem(parsed.error, schema, 'it'));
}

/** The bytes of its file: one line for each record. */
export function encodeProfile({ records, ...head }: Profile): Buffer {
  const lines = records.map((each) => `    ${JSON.stringify(each)}`);
  const { requests: sums, ...first } = head;
  const parts = [
    ...Object.entries(first).map(
      ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
    ),
    lines.length === 0 ? '  "records": []' : `  "records": [\n${lines.join(',\n')}\n  ]`,
    `  "requests": ${JSON.stringify(sums)}`,
  ];
  return Buffer.from(`{\n${parts.join(',\n')}\n}\n`);
}
