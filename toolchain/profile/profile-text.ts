/** A profile for people: what a boot touches, in its order, and what of it another release has. Pure. */
import { formatBytes } from '../cli/progress.ts';
import { textTable } from '../history/text-table.ts';
import type { Coverage } from './match-profile.ts';
import type { Profile, ProfileRecord } from './profile-schema.ts';
import { bytesOfRanges } from './record-profile.ts';

const DIGEST_SHOWN = 12;

/** The table and what it comes to. */
export function profileLines(profile: Profile): string[] {
  const { records, requests, release, board } = profile;
  const rows = records.map((record, index) => [
    String(index + 1),
    record.stage,
    record.kind,
    kib(bytesOfRanges(record.ranges)),
    kib(record.size),
    String(record.ranges.length),
    nameOf(record),
  ]);
  const head = ['#', 'stage', 'kind', 'read KiB', 'of KiB', 'pieces', 'name'];
  const title =
    release === null ? '' : `, release ${release.version} (${release.id.slice(0, DIGEST_SHOWN)})`;
  const bytes = records.reduce((sum, { ranges }) => sum + bytesOfRanges(ranges), 0);
  return [
    `boot of ${board}${title}, from a ${profile.source}`,
    ...textTable(head, rows, [0, 3, 4, 5]),
    `${records.length} files, ${formatBytes(bytes)} of their content`,
    ...(requests === null ? [] : [requestText(requests)]),
  ];
}

/** One line about a release that a profile was matched with. */
export function coverageText(coverage: Coverage): string {
  const { records, byDigest, byName, bytes, foundBytes } = coverage;
  const part = percent(foundBytes, bytes);
  return (
    `${byDigest + byName} of ${records} files that the profile names, ${byDigest} unchanged and ${byName} by name; ` +
    `${formatBytes(foundBytes)} of ${formatBytes(bytes)}, ${part} %`
  );
}

function requestText({
  total,
  content,
  tree,
  metadata,
  outside,
}: NonNullable<Profile['requests']>): string {
  const of = (name: string, { reads, bytes }: { reads: number; bytes: number }): string =>
    `${reads} ${name} (${formatBytes(bytes)})`;
  const parts = [
    of('of content', content),
    of('of Merkle trees and descriptors', tree),
    of("of the file system's records", metadata),
    of('outside the store', outside),
  ];
  return `${total.reads} reads of ${formatBytes(total.bytes)}: ${parts.join(', ')}`;
}

function nameOf(record: ProfileRecord): string {
  switch (record.kind) {
    case 'object':
      return record.names[0] ?? record.digest.slice(0, DIGEST_SHOWN);
    case 'image':
      return `${record.name} (image)`;
    case 'signed':
      return record.path;
  }
}

const kib = (bytes: number): string => (bytes / 1024).toFixed(1);
const percent = (part: number, whole: number): string =>
  whole === 0 ? '100' : String(Math.floor((part / whole) * 100));
