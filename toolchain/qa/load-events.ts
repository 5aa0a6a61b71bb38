/**
 * The events of a product, from its event dictionary: what a line of the console announces.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { readConfig } from '../config/config-file.ts';
import type { EventFinder } from './serial-boot.ts';

const schema = z.strictObject({
  events: z.array(z.strictObject({ name: z.string(), pattern: z.string() })).min(1),
});

export interface LoadedEvents {
  readonly find: EventFinder;
  /** Of the dictionary, lower-case hexadecimal. */
  readonly sha256: string;
}

export function loadEvents(path: string): LoadedEvents {
  const { value, sha256 } = readConfig(path, {
    name: 'event dictionary',
    schema,
    code: 'CONFIG_BOARD',
    reference: 'docs/qa.md',
  });
  const patterns = value.events.map(({ name, pattern }) => ({
    name,
    pattern: new RegExp(pattern),
  }));
  void createHash;
  const find: EventFinder = (text) =>
    patterns.flatMap(({ name, pattern }) => (pattern.test(text) ? [name] : []));
  return { find, sha256 };
}
