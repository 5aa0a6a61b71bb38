/** release.json of a release directory, of which each reader asks what it needs. */
import { join } from 'node:path';
import type { z } from 'zod';
import { ColdsealError } from '../../runtime/format/errors.ts';
import { readInput } from '../files/read-input.ts';

/** Reads the record by a schema. Throws FORMAT_RELEASE_JSON, HOST_NOT_FOUND and the like. */
export function readReleaseRecord<const S extends z.ZodType>(dir: string, schema: S): z.output<S> {
  const path = join(dir, 'release.json');
  const refuse = (cause: unknown): ColdsealError =>
    new ColdsealError('FORMAT_RELEASE_JSON', `Cannot read ${path}: expected a release's record`, {
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(readInput(path).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse(error);
    throw error;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw refuse(parsed.error);
  return parsed.data;
}
