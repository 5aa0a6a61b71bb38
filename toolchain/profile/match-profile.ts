/**
 * What of a profile a release still has: its files of the store in the boot's order, and how much that is. Pure.
 *
 * First by digest; what has another content now by name, so that a profile of an older release is of use for a newer
 * one. Nothing is placed twice.
 */
import { STORE_OBJECTS } from '../../runtime/device-paths.ts';
import type { VerityAlgorithm } from '../../runtime/format/fsverity.ts';
import { algorithmOfDigest, objectPath } from '../objects/layout.ts';
import type { ByteRange, Profile, ProfileRecord } from './profile-schema.ts';
import { bytesOfRanges } from './record-profile.ts';
import type { ImageContent } from './release-content.ts';

export interface MatchedFile {
  /** Path in the store. */
  readonly name: string;
  readonly record: ProfileRecord;
  /** Of its content, as far as it reaches. */
  readonly ranges: readonly ByteRange[];
  /** Undefined of what is signed. */
  readonly sealed?: { readonly size: number; readonly algorithm: VerityAlgorithm };
  readonly by: 'digest' | 'name';
}

/** Of objects and images; what is signed has another content in every release, and is not counted. */
export interface Coverage {
  /** Records of the profile, and those that the release has. */
  readonly records: number;
  readonly byDigest: number;
  readonly byName: number;
  /** Bytes that the profile names, and those that the release has. */
  readonly bytes: number;
  readonly foundBytes: number;
}

export interface MatchedProfile {
  readonly files: readonly MatchedFile[];
  readonly coverage: Coverage;
}

interface Found {
  readonly name: string;
  readonly size: number;
  readonly algorithm?: VerityAlgorithm;
  readonly by: MatchedFile['by'];
}

/** Looks everything up. */
export function matchProfile(profile: Profile, images: readonly ImageContent[]): MatchedProfile {
  const find = createFinder(images);
  const placed = new Set<string>();
  const files: MatchedFile[] = [];
  for (const record of profile.records) {
    const found = find(record);
    if (found === undefined || placed.has(found.name)) continue;
    placed.add(found.name);
    const ranges = record.ranges
      .filter(([from]) => from < found.size)
      .map(([from, to]): ByteRange => [from, Math.min(to, found.size)]);
    const { name, size, algorithm, by } = found;
    const sealed = algorithm === undefined ? {} : { sealed: { size, algorithm } };
    files.push({ name, record, ranges, by, ...sealed });
  }
  const content = files.filter(({ record }) => record.kind !== 'signed');
  const named = profile.records.filter(({ kind }) => kind !== 'signed');
  const count = (by: MatchedFile['by']): number => content.filter((file) => file.by === by).length;
  const sum = (all: readonly { readonly ranges: readonly ByteRange[] }[]): number =>
    all.reduce((total, { ranges }) => total + bytesOfRanges(ranges), 0);
  return {
    files,
    coverage: {
      records: named.length,
      byDigest: count('digest'),
      byName: count('name'),
      bytes: sum(named),
      foundBytes: sum(content),
    },
  };
}

function createFinder(
  images: readonly ImageContent[],
): (record: ProfileRecord) => Found | undefined {
  const objects = new Map<string, number>();
  const names = new Map<string, { digest: string; size: number }>();
  for (const { name, files } of images) {
    for (const [path, { digest, size }] of files) {
      objects.set(digest, size);
      names.set(`${name}:${path}`, { digest, size });
    }
  }
  const object = (digest: string, size: number, by: Found['by']): Found => {
    const name = `${STORE_OBJECTS}/${objectPath(digest)}`;
    return { name, size, by, algorithm: algorithmOfDigest(digest) };
  };
  return (record) => {
    switch (record.kind) {
      case 'signed':
        return { name: record.path, size: record.size, by: 'digest' };
      case 'image': {
        const same = images.find(({ digest }) => digest === record.digest);
        const now = same ?? images.find(({ name }) => name === record.name);
        const by = same === undefined ? 'name' : 'digest';
        if (now === undefined) return undefined;
        const { digest, size } = now;
        return { name: `images/${digest}.cfs`, size, by, algorithm: algorithmOfDigest(digest) };
      }
      case 'object': {
        const size = objects.get(record.digest);
        if (size !== undefined) return object(record.digest, size, 'digest');
        const now = record.names.map((name) => names.get(name)).find((file) => file !== undefined);
        return now && object(now.digest, now.size, 'name');
      }
    }
  };
}
