/**
 * Makes the profile of a release: boots its disk on its virtual board, traces the requests, and finds out what each was
 * for.
 */
import { join } from 'node:path';
import { PARTITION, STORE_OBJECTS } from '../../runtime/device-paths.ts';
import { type BootReleaseOptions, traceRelease } from '../board/virtual.ts';
import { Ext4Reader, type FoundFile } from '../disk/ext4-reader.ts';
import { openDisk, partitionOf, readPartition } from '../disk/open-disk.ts';
import { digestOfPath } from '../objects/layout.ts';
import { DISK_FILE } from '../sign/release-files.ts';
import { BlockMap } from './block-map.ts';
import { type Profile, PROFILE_KIND, PROFILE_SCHEMA } from './profile-schema.ts';
import { type DescribeFile, type FileIdentity, recordTouches } from './record-profile.ts';
import { type ImageContent, namesOfObjects, readReleaseContents } from './release-content.ts';

/** What the runtime reads ahead would be in the trace as if it had been needed. */
const WITHOUT_READ_AHEAD = ['coldseal.read-ahead=off'];

/** Boots DIR once. Throws what booting and reading the disk throw, and HOST_IO_TRACE, HOST_IO_COUNT. */
export async function profileRelease(dir: string, options: BootReleaseOptions): Promise<Profile> {
  const { images } = readReleaseContents(dir);
  const traced = await traceRelease(dir, options, WITHOUT_READ_AHEAD);
  using disk = openDisk(join(dir, DISK_FILE));
  const store = partitionOf(disk, PARTITION.STORE);
  const map = new BlockMap(new Ext4Reader(readPartition(disk, store), store.size));
  const { record, trace, board, release } = traced;
  const { records, requests } = recordTouches(record, trace, store, map, describer(images));
  return {
    kind: PROFILE_KIND,
    schema: PROFILE_SCHEMA,
    board: board.id,
    release,
    source: 'trace',
    records,
    requests,
  };
}

const OBJECT = new RegExp(`^${STORE_OBJECTS}/([0-9a-f]{2})/([0-9a-f]+)$`);
const IMAGE = /^images\/([0-9a-f]+)\.cfs$/;
const SIGNED = /^slots\/(?:a|b|recovery)\/(?:manifest|deny)\.cose$/;

function describer(images: readonly ImageContent[]): DescribeFile {
  const names = namesOfObjects(images);
  return ({ path, size }: FoundFile): FileIdentity | undefined => {
    const object = OBJECT.exec(path);
    const digest = object === null ? undefined : digestOfPath(object[1]!, object[2]!);
    if (digest !== undefined) {
      return { kind: 'object', digest, size, names: [...(names.get(digest) ?? [])] };
    }
    const image = images.find((each) => each.digest === IMAGE.exec(path)?.[1]);
    if (image !== undefined) {
      return { kind: 'image', digest: image.digest, size, name: image.name };
    }
    return SIGNED.test(path) ? { kind: 'signed', path, size } : undefined;
  };
}
