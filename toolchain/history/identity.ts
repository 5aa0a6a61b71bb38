/**
 * When two records are the same boot, and the one text that a record is kept as. Pure.
 *
 * The text has the fields in the order of the schema and the names of conditions sorted, so equal records are equal
 * bytes, and a record in this form is kept byte for byte. The identifier is the SHA-256 of what was measured: of the
 * source it has the log's digest, and not even that where the record says when it was measured. So a log that is
 * renamed, or grows and is imported again, does not make new boots of old ones.
 *
 * Records that say no time may be of several boots that took equally long, as boots of a virtual board do. The second
 * of such records in a file is a boot of its own, the third too, and adding the file again adds nothing.
 */
import { createHash } from 'node:crypto';
import { MEASURED_BOOT, type MeasuredBoot } from '../budget/measured-boot.ts';

export interface IdentifiedBoot {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly text: string;
  readonly record: MeasuredBoot;
}

/** A device counts nanoseconds of its own: two of its records that are equal are one. */
const DEVICE_FORMAT = 'boot-record';

/** Identifies the records of one file; a boot that is in it twice comes once. */
export function identifyBoots(records: Iterable<MeasuredBoot>): IdentifiedBoot[] {
  const groups = new Map<string, Omit<IdentifiedBoot, 'id'>[]>();
  for (const each of records) {
    const record = inOrder(each);
    const identity = JSON.stringify(identifyingPart(record));
    const group = groups.get(identity) ?? [];
    groups.set(identity, group);
    group.push({ text: JSON.stringify(record), record });
  }
  return [...groups].flatMap(([identity, group]) => {
    // They differ in their source at most; which of them is the second does not depend on their order.
    group.sort((a, b) => (a.text < b.text ? -1 : 1));
    const distinct = isCounted(group[0]!.record) ? group : group.slice(0, 1);
    return distinct.map((boot, i) => ({
      ...boot,
      id: sha256Of(i === 0 ? identity : `${identity}\n${i + 1}`),
    }));
  });
}

/** What is equal in two records of one boot; where they say no time, also in those of boots that took equally long. */
export function identityOf(record: MeasuredBoot): string {
  return JSON.stringify(identifyingPart(inOrder(record)));
}

/** Of two texts of one boot, which differ in their source only, one is kept, whichever came first. */
export function isPreferred(text: string, other: string): boolean {
  return text < other;
}

/** SHA-256 of text, in hexadecimal. */
export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function inOrder(record: MeasuredBoot): MeasuredBoot {
  const ordered = MEASURED_BOOT.parse(record);
  const names = Object.keys(ordered.conditions).sort();
  const conditions = Object.fromEntries(names.map((name) => [name, ordered.conditions[name]!]));
  return { ...ordered, conditions };
}

function identifyingPart({ source, ...measured }: MeasuredBoot): object {
  if (measured.measuredAt !== null) return measured;
  return { ...measured, source: { format: source.format, sha256: source.sha256 } };
}

/** Whether equal records of a file are several boots. */
function isCounted({ measuredAt, source }: MeasuredBoot): boolean {
  return measuredAt === null && source.format !== DEVICE_FORMAT;
}
